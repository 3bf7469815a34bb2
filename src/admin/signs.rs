//! Whether a tree lives and handles what it takes, in words: for refusals, `status` and `check`.
//!
//! `queues` looks; here is what it means that something was seen. A program that answers 0 and
//! then shunts the message, a runner that does not run, and a queue that only grows: no delivery
//! fails by any of these, and so nothing else tells of them.
//!
//! **Invariants.** Never asked by what takes lists back.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::admin::outcome::Refused;
use crate::clock::Timestamp;
use crate::finding::Kind;
use crate::list::ListName;
use crate::parity::{Parity, Role};
use crate::profiles::Profile;
use crate::queues::{self, Life, QueueError, Queues, Trouble};
use crate::site::Site;
use crate::store::{self, Entry};
use crate::tree::Tree;

/// What is seen of one tree.
#[derive(Debug)]
pub struct Signs {
    /// Its name.
    tree: String,
    /// Of its running programs.
    pub life: Life,
    /// Of its queues.
    pub trouble: Vec<Trouble>,
    /// Since when shunted messages count.
    since: Option<Timestamp>,
    /// What is not there without which it takes no mail: itself, or programs.
    gone: Vec<PathBuf>,
}

/// What a sign is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A program that takes mail.
    Program,
    /// A program that should run.
    Life,
    /// What waits in its inbound queues.
    Queue,
    /// What it put aside.
    Shunted,
}

impl Of {
    /// What it is called in JSON, and as a finding of `check`.
    pub fn kind(self) -> Kind {
        match self {
            Of::Program => Kind::Program,
            Of::Life => Kind::Life,
            Of::Queue => Kind::Queue,
            Of::Shunted => Kind::Shunted,
        }
    }
}

/// One thing that is wrong with a tree, or cannot be told.
#[derive(Debug)]
pub struct Sign {
    /// What it is of.
    pub of: Of,
    /// Whether it is so; else it cannot be told.
    pub is_known: bool,
    /// One line, without the tree's name.
    pub what: String,
    /// Where to look; `None` for the tree as a whole.
    pub place: Option<PathBuf>,
    /// What helps, as a sentence.
    pub mend: String,
}

/// Looks at the tree that plays this part; `None` where its profile cannot be used, which is told
/// elsewhere.
pub fn look(site: &Site, parity: &Parity, role: Role, tree: &Tree) -> Option<Signs> {
    let profile = Profile::of(site, tree).ok()?;
    let since = match store::history(site) {
        Ok(entries) => first_list(&entries, &tree.name),
        // Told elsewhere; what was before cannot be told from what came since.
        Err(_) => None,
    };
    let trouble = Queues::of(&profile, tree).map_or_else(Vec::new, |queues| {
        let lists = match role {
            _ if !queues.are_per_list() => BTreeSet::new(),
            Role::Future => parity.on_future.clone(),
            Role::Current => on_current(&profile, parity, tree),
        };
        let at = |since: Timestamp| {
            UNIX_EPOCH + Duration::from_secs(u64::try_from(since.0).unwrap_or(0))
        };
        queues::trouble(queues, &lists, since.map(at), SystemTime::now())
    });
    Some(Signs {
        tree: tree.name.clone(),
        life: queues::life(&profile, tree),
        trouble,
        since,
        gone: gone(site, &profile, tree),
    })
}

/// Its root, if that is not there; else the programs that take mail and are not there, or are nobody's to
/// run.
fn gone(site: &Site, profile: &Profile, tree: &Tree) -> Vec<PathBuf> {
    let is_gone = |path: &Path| match fs::metadata(path) {
        Ok(meta) => !meta.is_file() || meta.mode() & 0o111 == 0,
        // What cannot be looked at is no more gone than there: check says why.
        Err(error) => matches!(error.kind(), NotFound | NotADirectory),
    };
    if fs::metadata(&tree.root).is_err_and(|error| error.kind() == NotFound) {
        return vec![tree.root.clone()];
    }
    let programs = profile.programs(site, tree).into_iter();
    let gone: BTreeSet<PathBuf> = programs
        .map(|(_, path)| path)
        .filter(|path| is_gone(path))
        .collect();
    gone.into_iter().collect()
}

/// The lists on the current tree, as far as it can say: their own queues are looked at.
fn on_current(profile: &Profile, parity: &Parity, tree: &Tree) -> BTreeSet<ListName> {
    let mut lists = profile.enumerate(tree).unwrap_or_default();
    lists.retain(|list| !parity.on_future.contains(list));
    lists
}

/// When the first list came to the tree since its release was recorded; for the one that was
/// current from the beginning, that beginning.
fn first_list(entries: &[Entry], tree: &str) -> Option<Timestamp> {
    let mut current = "";
    let mut first = None;
    for Entry { when, after, .. } in entries {
        let swap = after.current.as_deref();
        current = swap.unwrap_or(current);
        let is_recorded = after.future_release.is_some() || after.future_state.is_some();
        if current != tree && swap.is_none() && is_recorded {
            first = None;
        }
        if first.is_none() && (current == tree || !after.on_future.is_empty()) {
            first = Timestamp::parse(when);
        }
    }
    first
}

impl Signs {
    /// Whether the tree's programs run, in a word; `None` where that is not asked.
    pub fn running(&self) -> Option<&'static str> {
        match self.life {
            Life::NotAsked => None,
            Life::Alive => Some("running"),
            Life::Down(_) => Some("not running"),
            Life::Unknown(_) => Some("running or not is unknown"),
        }
    }

    /// All of them for `--format json`.
    pub fn rows(&self) -> Vec<Value> {
        let row = |sign: Sign| {
            json!({
                "kind": sign.of.kind().word(),
                "known": sign.is_known,
                "what": sign.what,
                "where": sign.place.map(|place| place.to_string_lossy().into_owned()),
            })
        };
        self.all().into_iter().map(row).collect()
    }

    /// Everything that is wrong, or cannot be told.
    pub fn all(&self) -> Vec<Sign> {
        let life = |is_known, words: &str, lines: &[String]| Sign {
            of: Of::Life,
            is_known,
            what: format!("{words}: {}", lines.join("; ")),
            place: None,
            mend: match is_known {
                true => start(&self.tree),
                false => format!("ask as root; else {}", elsewhere(&self.tree)),
            },
        };
        let mut signs: Vec<Sign> = self.unable().into_iter().collect();
        match &self.life {
            Life::NotAsked | Life::Alive => {}
            Life::Down(lines) => signs.push(life(true, "is not running", lines)),
            Life::Unknown(lines) => signs.push(life(false, "may not be running", lines)),
        }
        signs.extend(self.trouble.iter().map(|trouble| self.sign(trouble)));
        signs
    }

    /// That it cannot take mail, for want of what is to be run.
    fn unable(&self) -> Option<Sign> {
        let first = self.gone.first()?;
        let more = match self.gone.len() {
            1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        Some(Sign {
            of: Of::Program,
            is_known: true,
            what: format!(
                "takes no mail, which waits in the MTA's queue: {first:?}{more} is not there, or cannot be run"
            ),
            place: Some(first.clone()),
            mend: format!(
                "put it back, or move the lists to the other tree; `check` says more of tree {}",
                self.tree
            ),
        })
    }

    fn sign(&self, trouble: &Trouble) -> Sign {
        let messages = |count: usize| match count {
            1 => "1 message".to_owned(),
            n => format!("{n} messages"),
        };
        let (of, is_known, what, place, mend) = match trouble {
            Trouble::Shunted {
                directory,
                count,
                example,
            } => {
                let since = self
                    .since
                    .map_or_else(String::new, |since| format!(" since {since}"));
                let what = format!(
                    "could not handle {}{since} and put it into {directory:?}, such as {:?}",
                    messages(*count),
                    name(example)
                );
                let mend = format!(
                    "see what the logs of tree {} say, then have the messages handled again or \
                     remove them",
                    self.tree
                );
                (Of::Shunted, true, what, directory, mend)
            }
            Trouble::Stuck {
                directory,
                count,
                oldest,
                age,
            } => {
                let what = format!(
                    "does not handle what it takes: {} in {directory:?}, the oldest for {}: {:?}",
                    messages(*count),
                    span(*age),
                    name(oldest)
                );
                let mend = format!(
                    "see whether the programs of tree {} run, and what its logs say of these \
                     messages",
                    self.tree
                );
                (Of::Queue, true, what, directory, mend)
            }
            Trouble::Unknown(error) => {
                let what = format!("may hold messages that nobody handles: {error}");
                let mend = unread(&self.tree, error);
                (Of::Queue, false, what, &error.path().to_owned(), mend)
            }
        };
        Sign {
            of,
            is_known,
            what,
            place: Some(place.clone()),
            mend,
        }
    }
}

/// What helps where a queue cannot be looked at.
pub fn unread(tree: &str, error: &QueueError) -> String {
    let elsewhere = elsewhere(tree);
    match error {
        QueueError::Read(_, error) if error.kind() == NotFound => {
            format!(
                "make that directory, as the programs of tree {} do when they start; or {elsewhere}",
                tree
            )
        }
        QueueError::Read(..) => format!("ask as root; else {elsewhere}"),
        QueueError::Link(_) => format!("put a directory there; or {elsewhere}"),
        QueueError::Crowded(_) => {
            format!("let the programs of tree {} handle what is there", tree)
        }
    }
}

fn elsewhere(tree: &str) -> String {
    format!(
        "say where its queues are: `queues` in [trees.{}] of site.toml",
        tree
    )
}

/// What helps where a tree's programs do not run.
pub fn start(tree: &str) -> String {
    format!(
        "start the programs of tree {}; if it needs none, `runners = \"none\"` in [trees.{}] of \
         site.toml",
        tree, tree
    )
}

/// That two trees have one queue, in one line; `None` if each has its own.
pub fn shared(site: &Site, current: &Tree, future: &Tree) -> Option<String> {
    let root = |tree: &Tree| {
        let profile = Profile::of(site, tree).ok()?;
        Queues::of(&profile, tree)?.root()
    };
    let (one, other) = (root(current)?, root(future)?);
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    (real(&one) == real(&other)).then(|| {
        format!(
            "trees {} and {} have the same queues: {one:?}",
            current.name, future.name
        )
    })
}

/// What helps where two trees have one queue.
pub fn apart(future: &Tree) -> String {
    format!(
        "give tree {} queues of its own, and name them: `queues` in [trees.{}]",
        future.name, future.name
    )
}

/// Why no list may move to the future tree, as far as its signs go, and what helps.
pub fn refuse(site: &Site, parity: &Parity, future: &Tree, refused: &mut Refused) {
    // A MOVE WOULD MEAN NOTHING. Whichever runner comes first handles the message.
    let current = site.config.tree(&parity.roles.current);
    if let Some(what) = current.and_then(|current| shared(site, current, future)) {
        refused.reasons.push(format!(
            "{what}; a message is handled by the tree whose runner comes first"
        ));
        refused.hints.push(apart(future));
    }
    let Some(signs) = look(site, parity, Role::Future, future) else {
        return;
    };
    let mut hints: Vec<String> = Vec::new();
    // Programs are tried by who moves lists, as the users who deliver.
    let signs = signs.all().into_iter();
    for sign in signs.filter(|sign| sign.of != Of::Program) {
        refused
            .reasons
            .push(format!("tree {} {}", future.name, sign.what));
        if !hints.contains(&sign.mend) {
            hints.push(sign.mend);
        }
    }
    refused.hints.extend(hints);
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// `41 minutes`, `3 hours`, `2 days`.
pub fn span(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    let (count, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// Lines of a history, each with what is after it.
    fn history(lines: &[&str]) -> Vec<Entry> {
        let line = |(n, after): (usize, &&str)| {
            format!(
                "{{\"format\":1,\"generation\":{n},\"when\":\"2026-11-20T10:02:0{n}Z\",\"user\":\"root\",\
                 \"uid\":0,\"command\":\"x\",\"reason\":null,\"undoes\":null,\"before\":{{}},\"after\":{after}}}"
            )
        };
        let entries = lines.iter().enumerate().map(line);
        entries
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    }

    const INIT: &str =
        r#"{"current":"a","current_release":"1","future_state":"ready","future_release":"2"}"#;
    const MOVE: &str = r#"{"on_future":["toylist"]}"#;
    const COMMIT: &str =
        r#"{"current":"b","current_release":"2","future_state":"retired","future_release":"1"}"#;

    #[track_caller]
    fn check(lines: &[&str], a: Option<usize>, b: Option<usize>) {
        let second = |tree| {
            let first = first_list(&history(lines), tree)?.to_string();
            first[17..19].parse::<usize>().ok()
        };
        assert_eq!((second("a"), second("b")), (a, b), "{lines:?}");
    }

    #[test]
    fn what_was_shunted_counts_from_a_trees_first_list_on() {
        check(&[INIT], Some(0), None);
        check(&[INIT, MOVE, "{}", MOVE], Some(0), Some(1));
        check(&[INIT, MOVE, COMMIT], Some(0), Some(1));
    }

    #[test]
    fn a_release_that_is_recorded_anew_begins_anew() {
        let verified = r#"{"future_release":"3"}"#;
        check(&[INIT, MOVE, "{}", verified], Some(0), None);
        check(&[INIT, MOVE, "{}", verified, MOVE], Some(0), Some(4));
        let installed = r#"{"future_release":"3","future_state":"ready"}"#;
        check(&[INIT, MOVE, COMMIT, installed], None, Some(1));
        check(&[INIT, MOVE, COMMIT, installed, MOVE], Some(4), Some(1));
    }

    #[test]
    fn a_span_is_told_in_the_unit_that_fits() {
        for (seconds, text) in [
            (59, "0 minutes"),
            (60, "1 minute"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
