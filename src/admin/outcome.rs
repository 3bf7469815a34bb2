//! How a command of the admin's ends: done, or refused with every reason.
//!
//! **Invariants.** Text only, nothing is printed here (`terminal` prints). A refusal means
//! that nothing changed.

use std::collections::BTreeSet;
use std::path::Path;

use crate::list::ListName;
use crate::site::{DEFAULT_SITE, Site};
use crate::tree::Tree;

/// What a command ends with.
pub type Outcome = Result<Done, Refused>;

/// A command that did what it was asked to.
#[derive(Debug, Default)]
pub struct Done {
    /// For standard output: what happened, and the way back.
    pub text: String,
    /// What failed after the change was made; the status is then 3.
    pub failed: Vec<String>,
    /// What to type next, for what is in `failed`.
    pub hints: Vec<String>,
    /// The status, where the command has its own (`check`).
    pub status: Option<u8>,
}

/// A command that was refused or failed, and changed nothing.
#[derive(Debug)]
pub struct Refused {
    /// `cannot` what: `upgrade`.
    pub act: &'static str,
    /// Every reason, each one line: object, then cause.
    pub reasons: Vec<String>,
    /// What to type instead.
    pub hints: Vec<String>,
    /// 1, or 3 where something was changed all the same and could not be put back.
    pub status: u8,
}

/// Refused or failed; nothing changed.
pub const REFUSED: u8 = 1;
/// Something changed, and something failed: both are named.
pub const AFTER: u8 = 3;

impl Done {
    /// A command that has nothing to say but `text`.
    pub fn saying(text: impl Into<String>) -> Done {
        Done {
            text: text.into(),
            ..Done::default()
        }
    }
}

impl Refused {
    /// A refusal of `act` for one reason.
    pub fn new(act: &'static str, reason: impl ToString) -> Refused {
        Refused {
            act,
            reasons: vec![reason.to_string()],
            hints: Vec::new(),
            status: REFUSED,
        }
    }

    /// A refusal of `act` to which reasons are added as they are found.
    pub fn empty(act: &'static str) -> Refused {
        Refused {
            act,
            reasons: Vec::new(),
            hints: Vec::new(),
            status: REFUSED,
        }
    }

    /// Takes the reasons of another one over.
    pub fn add(&mut self, other: Refused) {
        self.reasons.extend(other.reasons);
        self.hints.extend(other.hints);
        self.status = self.status.max(other.status);
    }

    /// Itself, if there is a reason.
    ///
    /// # Errors
    /// With every reason.
    pub fn if_any(self) -> Result<(), Refused> {
        if self.reasons.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }

    /// The same with one more hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Refused {
        self.hints.push(hint.into());
        self
    }
}

/// `words` as the admin types them on this site: `mm-parity --site F undo`.
pub fn typed(site: &Site, words: &str) -> String {
    typed_for(&site.path, site.is_default(), "mm-parity", words)
}

/// As [`typed`], for mm-aliases.
pub fn typed_aliases(site: &Site, words: &str) -> String {
    typed_for(&site.path, site.is_default(), "mm-aliases", words)
}

/// As [`typed`], where there may be no site, or none that can be opened.
pub fn typed_at(path: &Path, words: &str) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    typed_for(&path, path == Path::new(DEFAULT_SITE), "mm-parity", words)
}

fn typed_for(path: &Path, is_default: bool, program: &str, words: &str) -> String {
    if is_default {
        return format!("{program} {words}");
    }
    let path = shell_word(&path.to_string_lossy());
    format!("{program} --site {path} {words}")
}

/// A word as a shell takes it.
pub fn shell_word(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(&b);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Each line once, where it stands first: what is asked for several reasons may fail for one cause.
pub fn once(lines: &[String]) -> impl Iterator<Item = &String> {
    let mut seen = BTreeSet::new();
    lines.iter().filter(move |line| seen.insert(*line))
}

/// A command as a table shows it: its words, or the first of them, how many more there are, and the
/// options behind those. It can be typed again as it is shown: quotes stay, control characters do not.
pub fn brief(command: &str) -> String {
    let escaped = command.chars().map(|c| match c {
        '\'' | '"' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    });
    cut(&escaped.collect::<String>())
}

fn cut(command: &str) -> String {
    const MOST: usize = 11;
    let words: Vec<&str> = command.split(' ').collect();
    if words.len() <= MOST + 1 {
        return command.to_owned();
    }
    let (first, rest) = words.split_at(MOST);
    let options: String = rest
        .iter()
        .filter(|word| word.starts_with("--"))
        .map(|word| format!(" {word}"))
        .collect();
    let more = rest.len() - options.split_whitespace().count();
    format!("{} and {more} more{options}", first.join(" "))
}

/// How a trial ends.
pub const UNCHANGED: &str = "nothing was changed (--dry-run)\n";

/// `1 list`, `2 lists`.
pub fn lists(count: usize) -> String {
    format!("{count} {}", if count == 1 { "list" } else { "lists" })
}

/// The names, or the first ten of them and how many more there are.
pub fn names<'a, T: std::fmt::Display + 'a>(names: impl IntoIterator<Item = &'a T>) -> String {
    const MOST: usize = 10;
    let all: Vec<String> = names.into_iter().map(ToString::to_string).collect();
    match all.len().checked_sub(MOST) {
        None | Some(0) => all.join(", "),
        Some(more) => format!("{} and {more} more", all[..MOST].join(", ")),
    }
}

/// The lists as one would type them again, if they are few enough for a line.
pub fn few(moving: &BTreeSet<ListName>) -> Option<String> {
    const MOST: usize = 10;
    let names: Vec<&str> = moving.iter().map(ListName::as_str).collect();
    (names.len() <= MOST).then(|| names.join(" "))
}

/// That a tree is guarded, and until when.
pub fn guarded_until(site: &Site, tree: &Tree) -> String {
    format!(
        "tree {} is guarded: to the MTA a failure of its programs is \"try again later\", until {}",
        tree.name,
        typed(site, &format!("trust {}", tree.name))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_survives_a_shell() {
        let typed = |path: &str| typed_for(Path::new(path), false, "mm-parity", "undo");
        assert_eq!(
            typed("/tmp/site.toml"),
            "mm-parity --site /tmp/site.toml undo"
        );
        assert_eq!(typed("/a b/it's"), r"mm-parity --site '/a b/it'\''s' undo");
        assert_eq!(
            typed_for(Path::new("/x"), true, "mm-parity", "undo"),
            "mm-parity undo"
        );
    }

    #[test]
    fn a_cause_is_told_once() {
        let lines = ["x", "y", "x"].map(str::to_owned);
        assert_eq!(once(&lines).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn a_long_command_is_cut_and_its_options_are_not() {
        let names = (1..=30).map(|n| format!("l{n}")).collect::<Vec<_>>();
        let line = format!("downgrade {} --restore", names.join(" "));
        assert_eq!(
            brief(&line),
            "downgrade l1 l2 l3 l4 l5 l6 l7 l8 l9 l10 and 20 more --restore"
        );
        let short = format!("upgrade {}", names[..11].join(" "));
        assert_eq!(brief(&short), short);
    }

    #[test]
    fn a_command_is_shown_as_it_can_be_typed_again() {
        let quoted = r#"install sh -c 'echo "it'\''s"; exit 3'"#;
        assert_eq!(brief(quoted), quoted);
        assert_eq!(brief("pin x\u{1b}[31m\n"), r"pin x\u{1b}[31m\n");
    }

    #[test]
    fn long_lists_of_names_are_cut_and_counted() {
        let numbers: Vec<u8> = (1..=12).collect();
        assert_eq!(names(&numbers), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more");
        assert_eq!(names(&numbers[..2]), "1, 2");
    }
}
