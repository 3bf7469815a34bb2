//! The text of a site.toml: contrib/site.toml, every key of it explained, with this host's values.
//!
//! **Invariants.** No I/O. A line that is not about a value is kept; the examples' places in the
//! explanations become this site's.

use std::path::{Path, PathBuf};

use crate::config::Mta;

/// The example that an admin would start from, too.
const EXAMPLE: &str = include_str!("../../contrib/site.toml");

/// What differs from site to site.
#[derive(Debug, Clone)]
pub struct Values {
    /// Where parity.toml goes.
    pub state: PathBuf,
    /// Who may own what is executed.
    pub owner: String,
    /// Whose write permission is tolerated.
    pub group: Option<String>,
    /// The installation that is there.
    pub current: PathBuf,
    /// Where the next release goes.
    pub future: PathBuf,
    /// What both are.
    pub profile: String,
    /// The queues of each, where the list manager has any.
    pub queues: Option<(PathBuf, PathBuf)>,
    /// The lists' data.
    pub data: PathBuf,
    /// What the MTA reads.
    pub aliases: Vec<PathBuf>,
    /// Which MTA.
    pub mta: Mta,
    /// mm-deliver as aliases have it.
    pub program: PathBuf,
    /// Who the MTA runs it as.
    pub users: Vec<String>,
    /// Who the list manager's own programs run as, where its settings say so.
    pub jobs: Option<String>,
}

/// The word that site.toml has for an MTA.
pub fn word(mta: Mta) -> &'static str {
    match mta {
        Mta::Postfix => "postfix",
        Mta::Sendmail => "sendmail",
        Mta::Exim => "exim",
        Mta::OpenSmtpd => "opensmtpd",
        Mta::None => "none",
    }
}

/// The whole text.
pub fn render(values: &Values) -> String {
    let mut section = "";
    let mut text = String::with_capacity(EXAMPLE.len() + 256);
    for line in EXAMPLE.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name;
        }
        let said = key(line).and_then(|key| values.of(section, key));
        match said {
            Some(Some(value)) => {
                let key = key(line).unwrap_or_default();
                text += &format!("{key} = {value}\n");
            }
            Some(None) => text += &format!("#{}\n", line.trim_start_matches('#')),
            None => text += &format!("{}\n", values.explained(line)),
        }
    }
    text
}

/// The key of a line that has a value, in use or with a `#` right before it.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
    (!key.is_empty() && key.bytes().all(plain)).then_some(key)
}

impl Values {
    /// The value of a key; `Some(None)` where it is not used; `None` where the example's stays.
    fn of(&self, section: &str, key: &str) -> Option<Option<String>> {
        let queues = self.queues.as_ref();
        Some(match (section, key) {
            ("", "state") => Some(path(&self.state)),
            ("", "owner") => Some(quoted(&self.owner)),
            ("", "group") => self.group.as_deref().map(quoted),
            ("trees.a", "root") => Some(path(&self.current)),
            ("trees.b", "root") => Some(path(&self.future)),
            ("trees.a" | "trees.b", "profile") => Some(quoted(&self.profile)),
            ("trees.a", "queues") => queues.map(|(current, _)| path(current)),
            ("trees.b", "queues") => queues.map(|(_, future)| path(future)),
            ("data", "root") => Some(path(&self.data)),
            ("aliases", "files") => Some(array(self.aliases.iter().map(|file| path(file)))),
            ("aliases", "mta") => Some(quoted(word(self.mta))),
            ("deliver", "program") => Some(path(&self.program)),
            ("jobs", "user") => Some(quoted(self.jobs.as_deref()?)),
            ("deliver", "users") => Some(array(self.users.iter().map(|user| quoted(user)))),
            _ => return None,
        })
    }

    /// A line of explanation, with the places of this site.
    fn explained(&self, line: &str) -> String {
        if !line.starts_with("# ") {
            return line.to_owned();
        }
        let places = [
            ("/srv/mailman/var", &self.data),
            ("/srv/mailman/a", &self.current),
            ("/srv/mailman/b", &self.future),
            ("/usr/lib/mm-deliver/mm-deliver", &self.program),
        ];
        places
            .iter()
            .fold(line.to_owned(), |line, (example, here)| {
                line.replace(example, &here.to_string_lossy())
            })
    }
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A TOML text in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::config::Config;

    fn values() -> Values {
        Values {
            state: "/var/lib/x".into(),
            owner: "mailman".into(),
            group: None,
            current: "/opt/it's \"here\"".into(),
            future: "/opt/b".into(),
            profile: "mine".into(),
            queues: Some(("/opt/a/q".into(), "/opt/b/q".into())),
            data: "/opt/data".into(),
            aliases: vec!["/etc/one".into(), "/etc/two".into()],
            mta: Mta::Exim,
            program: "/usr/local/mm-deliver".into(),
            users: vec!["list".into(), "8".into()],
            jobs: None,
        }
    }

    #[test]
    fn a_site_that_is_written_is_one_that_is_read() {
        let said = values();
        let text = render(&said);
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.state, said.state);
        assert_eq!(config.owner.to_string(), "mailman");
        assert!(config.group.is_none());
        let (a, b) = (config.tree("a").unwrap(), config.tree("b").unwrap());
        assert_eq!((&a.root, &b.root), (&said.current, &said.future));
        assert_eq!((a.profile.as_str(), b.profile.as_str()), ("mine", "mine"));
        assert_eq!((&a.data, &b.data), (&said.data, &said.data));
        let queues = (a.queues.clone().unwrap(), b.queues.clone().unwrap());
        assert_eq!(Some(queues), said.queues);
        assert_eq!(config.alias_files, said.aliases);
        assert_eq!((config.mta, config.program), (said.mta, said.program));
        let users: Vec<String> = config.users.iter().map(ToString::to_string).collect();
        assert_eq!(users, said.users);
        assert!(!text.contains("/srv/mailman/"), "{text}");
        // As many lines as the example: each key is explained.
        assert_eq!(text.lines().count(), EXAMPLE.lines().count());
    }

    #[test]
    fn without_queues_a_tree_has_the_profiles_own_place() {
        let said = Values {
            queues: None,
            group: Some("list".into()),
            ..values()
        };
        let config = Config::parse(&render(&said)).unwrap();
        assert!(config.trees.iter().all(|tree| tree.queues.is_none()));
        assert_eq!(config.group.unwrap().to_string(), "list");
    }
}
