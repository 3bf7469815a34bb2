//! Which lists a command means: names, globs, `--all`.
//!
//! All or nothing: one word that means no list refuses the whole command, and every such
//! word is named.
//!
//! **Invariants.** Changes nothing. A glob never means "none" by mistake: one that matches
//! nothing is refused.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::admin::glob;
use crate::list::ListName;
use crate::site::Site;

/// The lists as they were typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// `--all`.
    All,
    /// Names and globs.
    Named(Vec<OsString>),
}

/// The lists that were meant.
#[derive(Debug, Default)]
pub struct Choice {
    /// Of the candidates, those named or matched.
    pub lists: BTreeSet<ListName>,
    /// Of these, the ones named by themselves.
    pub named: BTreeSet<ListName>,
    /// Named by themselves, no candidates, but lists all the same.
    pub others: BTreeSet<ListName>,
}

/// Why the words do not mean lists.
#[derive(Debug, Default)]
pub struct Unclear {
    /// One line a word.
    pub reasons: Vec<String>,
    /// What to type instead.
    pub hints: Vec<String>,
}

impl Which {
    /// Whether any list could be meant, so that all lists must be known.
    pub fn is_open(&self) -> bool {
        match self {
            Which::All => true,
            Which::Named(words) => words.iter().any(|word| glob::is_glob(word.as_bytes())),
        }
    }

    /// The words as they are recorded.
    pub fn line(&self) -> String {
        match self {
            Which::All => "--all".to_owned(),
            Which::Named(words) => {
                let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
                words.join(" ")
            }
        }
    }
}

/// Finds the lists that `which` means among `candidates`.
///
/// `beyond` says which lists there are besides; it is asked only about a word that means
/// no candidate, so a command whose words are all clear does not depend on it.
///
/// # Errors
/// [`Unclear`], with every word that means nothing.
pub fn choose(
    site: &Site,
    which: &Which,
    candidates: &BTreeSet<ListName>,
    beyond: &dyn Fn() -> Result<BTreeSet<ListName>, String>,
) -> Result<Choice, Unclear> {
    let words = match which {
        Which::All => {
            return Ok(Choice {
                lists: candidates.clone(),
                ..Choice::default()
            });
        }
        Which::Named(words) => words,
    };
    let mut search = Search {
        candidates,
        beyond,
        others: None,
        choice: Choice::default(),
        unclear: Unclear::default(),
    };
    for word in words {
        match site.list(word.as_bytes()) {
            _ if glob::is_glob(word.as_bytes()) => search.glob(word),
            Ok(list) => search.name(list),
            Err(bad) => search.refuse(format!("not a list name: {word:?}: {bad}")),
        }
    }
    let mut unclear = search.unclear;
    if unclear.reasons.is_empty() {
        return Ok(search.choice);
    }
    if are_files_here(words) {
        let some: Vec<String> = words
            .iter()
            .take(3)
            .map(|word| format!("{word:?}"))
            .collect();
        unclear.reasons = vec![format!(
            "these are files of the working directory, not lists: {}{}; \
             the shell put them where * was typed",
            some.join(", "),
            if words.len() > some.len() {
                ", …"
            } else {
                ""
            },
        )];
        unclear.hints = vec!["type '*' in quotes, or --all".to_owned()];
    }
    Err(unclear)
}

/// The words of one command, looked up one by one.
struct Search<'a> {
    candidates: &'a BTreeSet<ListName>,
    beyond: &'a dyn Fn() -> Result<BTreeSet<ListName>, String>,
    /// What `beyond` said, once it was asked.
    others: Option<Result<BTreeSet<ListName>, String>>,
    choice: Choice,
    unclear: Unclear,
}

impl Search<'_> {
    fn glob(&mut self, word: &OsStr) {
        let matched = |list: &&ListName| glob::matches(word.as_bytes(), list.as_str());
        let mut found = self.candidates.iter().filter(matched).peekable();
        if found.peek().is_some() {
            self.choice.lists.extend(found.cloned());
            return;
        }
        match self.others.get_or_insert_with(self.beyond) {
            Ok(others) if others.iter().any(|list| matched(&list)) => {}
            Ok(_) => self.refuse(format!("no list matches {word:?}")),
            Err(cause) => {
                let reason = format!("cannot say which lists match {word:?}: {cause}");
                self.refuse(reason);
            }
        }
    }

    fn name(&mut self, list: ListName) {
        if self.candidates.contains(&list) {
            self.choice.named.insert(list.clone());
            self.choice.lists.insert(list);
            return;
        }
        match self.others.get_or_insert_with(self.beyond) {
            Ok(others) if others.contains(&list) => {
                self.choice.others.insert(list);
            }
            Ok(others) => {
                let near = near(&list, self.candidates.iter().chain(others.iter()));
                if !near.is_empty() {
                    let hint = format!("near {list}: {}", near.join(", "));
                    self.unclear.hints.push(hint);
                }
                self.refuse(format!("there is no list {list}"));
            }
            Err(cause) => {
                let reason = format!("cannot say whether there is a list {list}: {cause}");
                self.refuse(reason);
            }
        }
    }

    fn refuse(&mut self, reason: String) {
        self.unclear.reasons.push(reason);
    }
}

/// Whether the shell made these words of a `*`: every one is a file that stands here.
fn are_files_here(words: &[OsString]) -> bool {
    words
        .iter()
        .all(|word| !word.as_bytes().contains(&b'/') && Path::new(word).symlink_metadata().is_ok())
}

/// At most three of `lists` whose names are nearly `list`'s, the nearest first.
pub fn near<'a>(list: &ListName, lists: impl IntoIterator<Item = &'a ListName>) -> Vec<String> {
    near_words(list.as_str(), lists.into_iter().map(ListName::as_str))
}

/// The same for any words.
pub fn near_words<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let most = (word.len() / 3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = words
        .into_iter()
        .map(|other| (distance(word.as_bytes(), other.as_bytes()), other))
        .filter(|&(distance, _)| distance <= most)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .take(3)
        .map(|(_, word)| word.to_owned())
        .collect()
}

/// How many insertions, removals, changes and swaps of neighbours lead from `a` to `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn near_names_are_those_a_finger_slipped_from() {
        let list = |name: &str| ListName::parse(name).unwrap();
        let all = [
            list("toylist"),
            list("toolist"),
            list("reallist1"),
            list("x"),
        ];
        assert_eq!(near(&list("toylsit"), &all), ["toylist", "toolist"]);
        assert_eq!(near(&list("reallist"), &all), ["reallist1"]);
        assert_eq!(near(&list("announce"), &all), Vec::<String>::new());
    }
}
