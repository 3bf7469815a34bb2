//! What only mm-parity reads in site.toml: the sections that deliveries pass over.
//!
//! **Invariants.** No mail waits for a fault in here: `config` takes these sections unread. A
//! command that needs one and cannot read it is refused, and `check` tells of it.

mod hooks;
mod rehearse;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use hooks::{Each, Hook, On};
pub use rehearse::Rehearse;

use crate::accounts::Account;
use crate::config::BadConfig;
use crate::position::Position;
use crate::site::{Site, SiteError};

/// The sections, as far as site.toml has them.
#[derive(Debug, Default)]
pub struct Settings {
    /// `[snapshots]`.
    pub snapshots: Snapshots,
    /// `[[hooks]]`, in the order of the file.
    pub hooks: Vec<Hook>,
    /// `[jobs]`.
    pub jobs: Jobs,
    /// `[web]`.
    pub web: Web,
    /// `[rehearse]`.
    pub rehearse: Rehearse,
}

/// `[web]`: the web server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Who runs mm-cgi, by name or number.
    pub users: Vec<String>,
}

/// `[jobs]`: how programs of `run` and `cron` are run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jobs {
    /// As whom; without it, as who owns the list's data.
    pub user: Option<Account>,
    /// What is in their environment besides, by tree.
    pub environment: BTreeMap<String, BTreeMap<String, String>>,
}

/// `[jobs]` as it is typed.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawJobs {
    user: Option<String>,
    environment: BTreeMap<String, BTreeMap<String, String>>,
}

/// `[snapshots]`: what is kept of the lists' data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshots {
    /// How many snapshots are kept of each list.
    pub keep: usize,
}

impl Default for Snapshots {
    fn default() -> Snapshots {
        Snapshots { keep: 5 }
    }
}

/// The rest of site.toml is `config`'s.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    snapshots: Snapshots,
    #[serde(default)]
    hooks: Vec<hooks::Raw>,
    #[serde(default)]
    jobs: RawJobs,
    #[serde(default)]
    web: Web,
    #[serde(default)]
    rehearse: Rehearse,
}

impl Settings {
    /// Reads the sections of `site`'s site.toml.
    ///
    /// # Errors
    /// The file cannot be read or relied on, or what is wrong in a section, with its place.
    pub fn of(site: &Site) -> Result<Settings, SiteError> {
        Settings::parse(&site.text()?).map_err(|bad| SiteError::Config(site.path.clone(), bad))
    }

    /// The same for a text.
    ///
    /// # Errors
    /// [`BadConfig`]: the first thing that is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Settings, BadConfig> {
        let raw: Raw = toml::from_str(text).map_err(|error| BadConfig {
            at: Position::of(text, error.span().map_or(0, |span| span.start)),
            what: error.message().to_owned(),
        })?;
        let line_of = |at| Position::of(text, at).line;
        let hooks = raw.hooks.into_iter().map(|hook| hook.cook(line_of));
        Ok(Settings {
            snapshots: raw.snapshots,
            hooks: hooks
                .collect::<Result<_, _>>()
                .map_err(|(at, what)| BadConfig {
                    at: Position::of(text, at),
                    what,
                })?,
            jobs: Jobs {
                user: raw.jobs.user.as_deref().map(Account::new),
                environment: raw.jobs.environment,
            },
            web: raw.web,
            rehearse: raw.rehearse,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default_and_what_is_wrong_a_place() {
        assert_eq!(Settings::parse("x = 1\n").unwrap().snapshots.keep, 5);
        let said = Settings::parse("[snapshots]\nkeep = 0\n").unwrap();
        assert_eq!(said.snapshots.keep, 0);
        let said = Settings::parse("[web]\nusers = [\"www-data\"]\n").unwrap();
        assert_eq!(said.web.users, ["www-data"]);
        assert!(Settings::parse("[web]\n").is_err());
        let bad = Settings::parse("[snapshots]\nkept = 1\n").unwrap_err();
        assert!(bad.to_string().starts_with("2:1"), "{bad}");
        assert_eq!(Settings::parse("").unwrap().jobs, Jobs::default());
        let said = "[jobs]\nuser = \"list\"\n[jobs.environment.a]\nX = \"1\"\n";
        let jobs = Settings::parse(said).unwrap().jobs;
        assert_eq!(jobs.user, Some(Account::new("list")));
        assert_eq!(jobs.environment["a"]["X"], "1");
        let said = "[rehearse]\naccept = [\"same\"]\ntime = \"5s\"\nsmtp = [2525]\n";
        let rehearse = Settings::parse(said).unwrap().rehearse;
        assert_eq!((rehearse.accept.len(), rehearse.smtp), (1, vec![2525]));
        assert!(Settings::parse("[rehearse]\ntime = \"0 s\"\n").is_err());
    }
}
