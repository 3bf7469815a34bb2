//! What a pipe in an alias leads to: to us, straight into a tree, or elsewhere; and the one
//! form of a pipe that we write.
//!
//! An entry is ours exactly when it pipes to site.toml's `program` with this site's `--site`
//! (none if the site is the default one), a verb and a list. There are no magic comments.
//!
//! **Invariants.** Judges commands, never runs them. A command that has a quote or a shell
//! character is never taken apart: it is somebody's program text, and stays so. What is
//! written holds nothing but bytes that every MTA passes on unchanged.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::is_plain;
use crate::list::{ListName, Verb};
use crate::parity::{FutureState, Parity, Role};
use crate::profiles::Profile;
use crate::site::{Site, SiteError};
use crate::tree::Tree;

/// The longest command, with its bar, that every MTA takes, in bytes.
///
/// Source: measured; Sendmail refuses more than 253.
pub(super) const LONGEST_COMMAND: usize = 252;

/// A site's trees, each with its whole profile where that can be used.
#[derive(Debug)]
pub struct Trees<'a> {
    /// The site.
    pub site: &'a Site,
    /// In the order of the trees.
    profiles: Vec<Result<Profile, SiteError>>,
}

/// What a pipe leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// To mm-deliver, as we write it.
    Us(Verb, ListName),
    /// Straight into a tree: its name, what the command could mean, and the list.
    Tree(String, Vec<Verb>, ListName),
    /// Into a tree of this site, but in a command that only a shell understands.
    Shell(String, ListName),
    /// To a program of the same shape in a place that is no tree of this site.
    Third(PathBuf, ListName),
    /// To any other program.
    Elsewhere,
}

/// Why a pipe to us cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwritable {
    /// The command would have this many bytes.
    Long(usize),
    /// The path of site.toml has this byte.
    Byte(u8),
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unwritable::Long(bytes) => write!(
                f,
                "its command would have {bytes} bytes, and not every MTA takes more than \
                 {LONGEST_COMMAND}; reach the program or site.toml through a shorter link"
            ),
            Unwritable::Byte(byte) => write!(
                f,
                "the path of site.toml has \"{}\", which not every MTA passes on; use a link",
                byte.escape_ascii()
            ),
        }
    }
}

impl<'a> Trees<'a> {
    /// Reads the profiles of the site's trees. One that cannot be used is no error here: what
    /// does without it goes on (`need`, `broken`).
    pub fn open(site: &'a Site) -> Trees<'a> {
        let profiles = site.config.trees.iter();
        Trees {
            site,
            profiles: profiles.map(|tree| Profile::of(site, tree)).collect(),
        }
    }

    /// Every tree whose profile can be used, with it.
    pub fn all(&self) -> impl Iterator<Item = (&'a Tree, &Profile)> {
        let trees = self.site.config.trees.iter().zip(&self.profiles);
        trees.filter_map(|(tree, profile)| Some((tree, profile.as_ref().ok()?)))
    }

    /// Every tree whose profile cannot be used, and why.
    pub fn broken(&self) -> impl Iterator<Item = (&'a Tree, &SiteError)> {
        let trees = self.site.config.trees.iter().zip(&self.profiles);
        trees.filter_map(|(tree, profile)| Some((tree, profile.as_ref().err()?)))
    }

    /// Asks for the profile of each tree that serves a list: without it nobody can say what
    /// addresses that list has.
    ///
    /// # Errors
    /// Such a profile is not there or cannot be used.
    pub fn need(&self, parity: &Parity) -> Result<(), SiteError> {
        for (tree, _) in self.broken() {
            if serves(tree, parity) {
                Profile::of(self.site, tree)?;
            }
        }
        Ok(())
    }

    /// The directory of the tree that serves `list`, whatever its profile.
    pub fn home(&self, parity: &Parity, list: &ListName) -> Option<&'a Tree> {
        let is_current = parity.of(list) == Role::Current;
        let mut trees = self.site.config.trees.iter();
        trees.find(|tree| (tree.name == parity.roles.current) == is_current)
    }

    /// The current tree.
    pub fn current(&self, parity: &Parity) -> Option<(&'a Tree, &Profile)> {
        self.all()
            .find(|(tree, _)| tree.name == parity.roles.current)
    }

    /// The tree that serves `list`.
    pub fn of(&self, parity: &Parity, list: &ListName) -> Option<(&'a Tree, &Profile)> {
        let home = self.home(parity, list)?;
        self.all().find(|(tree, _)| tree.name == home.name)
    }

    /// The trees that serve lists or may do so at any time: the current one, and the future
    /// one while it is ready or lists are on it.
    pub fn in_use(&self, parity: &Parity) -> impl Iterator<Item = (&'a Tree, &Profile)> {
        let future =
            parity.roles.future_state == FutureState::Ready || !parity.on_future.is_empty();
        self.all()
            .filter(move |(tree, _)| future || tree.name == parity.roles.current)
    }

    /// What a command, without its bar, leads to.
    pub fn leads(&self, command: &[u8]) -> Leads {
        let Some(words) = words(command) else {
            return self.within_shell(command);
        };
        if let Some((verb, list)) = self.ours(&words) {
            return Leads::Us(verb, list);
        }
        if let Some((tree, verbs, list)) = self.direct(&words) {
            return Leads::Tree(tree, verbs, list);
        }
        match self.third(&words) {
            Some((root, list)) => Leads::Third(root, list),
            None => self.within_shell(command),
        }
    }

    /// The command, without its bar, that leads to us for `verb` and `list`; the list is
    /// spelled as it came.
    ///
    /// # Errors
    /// [`Unwritable`]: not every MTA would run it.
    pub fn command(&self, verb: Verb, list: &ListName) -> Result<String, Unwritable> {
        let mut command = self.site.config.program.to_string_lossy().into_owned();
        if let Some(site) = self.site_word() {
            if let Some(byte) = site.bytes().find(|&b| !is_plain(b)) {
                return Err(Unwritable::Byte(byte));
            }
            command += &format!(" --site {site}");
        }
        command += &format!(" {verb} {}", list.spelling());
        match command.len() + 1 {
            bytes if bytes > LONGEST_COMMAND => Err(Unwritable::Long(bytes)),
            _ => Ok(command),
        }
    }

    fn site_word(&self) -> Option<String> {
        let site = self.site;
        (!site.is_default()).then(|| site.path.to_string_lossy().into_owned())
    }

    fn ours(&self, words: &[&str]) -> Option<(Verb, ListName)> {
        let (&program, mut rest) = words.split_first()?;
        if Path::new(program) != self.site.config.program {
            return None;
        }
        if let Some(site) = self.site_word() {
            rest = match rest {
                ["--site", named, rest @ ..] if *named == site => rest,
                _ => return None,
            };
        }
        match rest {
            [verb, list] => Some((Verb::parse(verb.as_bytes())?, self.site.list(list).ok()?)),
            _ => None,
        }
    }

    /// A tree's directory may hold what either profile knows: that of the release before.
    fn direct(&self, words: &[&str]) -> Option<(String, Vec<Verb>, ListName)> {
        let trees = self.site.config.trees.iter().zip(&self.profiles);
        trees.into_iter().find_map(|(tree, own)| {
            let others = self
                .profiles
                .iter()
                .filter(|other| !std::ptr::eq(*other, own));
            let mut profiles = std::iter::once(own).chain(others).flatten();
            profiles.find_map(|profile| {
                let (verbs, list) = profile.direct(tree, words)?;
                Some((tree.name.clone(), verbs, list))
            })
        })
    }

    fn third(&self, words: &[&str]) -> Option<(PathBuf, ListName)> {
        let program = Path::new(words.first()?);
        self.all().find_map(|(tree, profile)| {
            program.ancestors().skip(1).find_map(|root| {
                let elsewhere = Tree {
                    root: root.to_owned(),
                    ..tree.clone()
                };
                let (_, list) = profile.direct(&elsewhere, words)?;
                Some((root.to_owned(), list))
            })
        })
    }

    /// Looks for words in a row that lead into a tree, whatever a shell does around them.
    fn within_shell(&self, command: &[u8]) -> Leads {
        let bare: String = String::from_utf8_lossy(command)
            .chars()
            .filter_map(|c| match c {
                '\'' | '"' | '\\' => None,
                ';' | '&' | '|' | '<' | '>' | '(' | ')' | '\t' | '\n' | '\r' => Some(' '),
                c => Some(c),
            })
            .collect();
        let words: Vec<&str> = bare.split(' ').filter(|word| !word.is_empty()).collect();
        (0..words.len())
            .flat_map(|from| (from + 1..=words.len().min(from + 8)).map(move |to| (from, to)))
            .find_map(|(from, to)| self.direct(&words[from..to]))
            .map_or(Leads::Elsewhere, |(tree, _, list)| Leads::Shell(tree, list))
    }
}

/// Whether lists are on this tree.
pub(super) fn serves(tree: &Tree, parity: &Parity) -> bool {
    tree.name == parity.roles.current || !parity.on_future.is_empty()
}

/// The words of a command that needs no shell.
pub(super) fn words(command: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(command).ok()?;
    let blank = |c| c == ' ' || c == '\t';
    let plain = |b: u8| is_plain(b) || b == b' ' || b == b'\t';
    if !text.bytes().all(plain) {
        return None;
    }
    Some(text.split(blank).filter(|word| !word.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_command_without_shell_characters_has_words() {
        assert_eq!(words(b"/a/b  post\tl"), Some(vec!["/a/b", "post", "l"]));
        for bad in [
            &b"/a 'x'"[..],
            b"/a \"x\"",
            b"/a;b",
            b"/a\\ b",
            b"/a $X",
            b"/a \xe9",
            b"/a #",
        ] {
            assert_eq!(words(bad), None);
        }
    }
}
