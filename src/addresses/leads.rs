//! What a pipe in an alias leads to: to us, straight into a tree, or elsewhere.
//!
//! An entry is ours exactly when it pipes to site.toml's `program` with this site's `--site`
//! (none if the site is the default one), a verb and a list. There are no magic comments. Words by
//! which that program delivers nothing are told apart (`refusal`).
//!
//! A tree's program may be named by another path: through a symbolic link (`/usr/local/mailman`),
//! or through smrsh, which drops the directory and runs what its own has under that name.
//!
//! **Invariants.** Judges commands, never runs them. A command that has a quote or a shell
//! character is never taken apart: it is somebody's program text, and stays so. Links are looked
//! at only where the words behind the program are those of a tree.

use std::path::{Path, PathBuf};

use super::pipe::Trees;
use super::refusal::Refusal;
use crate::config::is_plain;
use crate::list::{BadName, ListName, Verb};
use crate::profiles::{Form, Named};

/// What a pipe leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// To mm-deliver, as we write it.
    Us(Verb, ListName),
    /// To mm-deliver, by words to which it answers 75.
    Refused(Refusal),
    /// To mm-deliver on the site of another site.toml, which is there.
    OtherSite(PathBuf),
    /// Straight into a tree: its name, what the command could mean, and the list.
    Tree(String, Vec<Verb>, ListName),
    /// Into a tree of this site, but in a command that only a shell understands.
    Shell(String, ListName),
    /// To a program of a tree of this site, for something that is no list of ours.
    Odd(String, Odd),
    /// To a program of the same shape in a place that is no tree of this site.
    Third(PathBuf, ListName),
    /// To any other program.
    Elsewhere,
}

/// Why a command into a tree is for no list of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// The profile knows no such words.
    Words,
    /// No list of ours could have this name.
    Name(String, BadName),
    /// The list is of a domain that is not the tree's.
    Foreign(ListName),
    /// It belongs to the list manager as a whole.
    SiteWide(String),
}

impl Trees<'_> {
    /// What a command, without its bar, leads to.
    pub fn leads(&self, command: &[u8]) -> Leads {
        if let Some((verb, name)) = self.as_written(command)
            && let Ok(list) = self.site.list(name)
        {
            return Leads::Us(verb, list);
        }
        let Some(words) = words(command) else {
            return self.within_shell(command);
        };
        if let Some(leads) = self.ours(&words) {
            return leads;
        }
        let known = self.direct(&words).or_else(|| self.third(&words));
        known
            .or_else(|| self.program(words.first()?))
            .unwrap_or_else(|| self.within_shell(command))
    }

    /// The link by which smrsh would run mm-deliver in the place of a program that is named
    /// like this, if that goes through smrsh.
    pub(super) fn smrsh_link(&self, command: &[u8]) -> Option<PathBuf> {
        let words = words(command)?;
        let program = Path::new(words.first()?);
        let by_path = program.parent().filter(|directory| {
            let name = directory.file_name();
            name.is_some_and(|name| name == "smrsh" || name == "sm.bin")
        });
        let directory = self.smrsh.as_deref().or(by_path)?;
        Some(directory.join(self.site.config.program.file_name()?))
    }

    /// What words say that pipe straight into a tree.
    fn direct(&self, words: &[&str]) -> Option<Leads> {
        let same = |one: &Path, other: &Path| self.is_same(one, other);
        let (n, verbs, named) = self.forms.groups().find_map(|(n, forms)| {
            let read = forms
                .iter()
                .filter_map(|form| Some((form, form.read(words, &same)?)));
            let read: Vec<(&Form, Named)> = read.collect();
            // LIST-request@DOMAIN is the request address of LIST, not the list LIST-request.
            let closest = read.iter().map(|(form, _)| form.fixed()).max()?;
            let meant = |(form, named): (&Form, Named)| {
                (form.fixed() == closest).then_some((form.verb, named))
            };
            let (verbs, named): (Vec<Verb>, Vec<Named>) =
                read.into_iter().filter_map(meant).unzip();
            Some((*n, verbs, named.into_iter().next()?))
        })?;
        let tree = self.site.config.trees.get(n)?.name.clone();
        Some(match named {
            Named::List(list) if self.is_site_wide(list.local_part()) => {
                Leads::Odd(tree, Odd::SiteWide(list.to_string()))
            }
            Named::List(list) => Leads::Tree(tree, verbs, list),
            Named::Foreign(list) => Leads::Odd(tree, Odd::Foreign(list)),
            Named::Bad(raw, bad) => Leads::Odd(tree, Odd::Name(raw, bad)),
        })
    }

    fn is_site_wide(&self, name: &str) -> bool {
        self.all()
            .any(|(_, profile)| profile.site_addresses().iter().any(|site| site == name))
    }

    /// Whether a path in a command leads where the profile's does.
    fn is_same(&self, named: &Path, known: &Path) -> bool {
        if let Some(directory) = &self.smrsh
            && let Some(last) = named.file_name()
        {
            let link = directory.join(last);
            if self.places.real(&link).is_some() {
                return self.places.same(&link, known);
            }
        }
        named.is_absolute() && self.places.same(named, known)
    }

    fn third(&self, words: &[&str]) -> Option<Leads> {
        let mut forms = self.forms.all();
        let (root, list) = forms.find_map(|(_, form)| match form.read_elsewhere(words)? {
            (root, Named::List(list) | Named::Foreign(list)) => Some((root, list)),
            (_, Named::Bad(..)) => None,
        })?;
        let mut trees = self.site.config.trees.iter();
        Some(
            match trees.find(|tree| self.places.same(&tree.root, &root)) {
                Some(tree) => Leads::Odd(tree.name.clone(), Odd::Words),
                None => Leads::Third(root, list),
            },
        )
    }

    /// Looks for words in a row that lead into a tree, whatever a shell does around them.
    fn within_shell(&self, command: &[u8]) -> Leads {
        let text = String::from_utf8_lossy(command);
        if let Some(odd) = self.escaped(&text) {
            return odd;
        }
        let bare: String = text
            .chars()
            .filter_map(|c| match c {
                '\'' | '"' | '\\' => None,
                ';' | '&' | '|' | '<' | '>' | '(' | ')' | '\t' | '\n' | '\r' => Some(' '),
                c => Some(c),
            })
            .collect();
        let words: Vec<&str> = bare.split(' ').filter(|word| !word.is_empty()).collect();
        let into = |from: usize, to: usize| match self.direct(&words[from..to])? {
            Leads::Tree(tree, _, list) => Some(Leads::Shell(tree, list)),
            odd => Some(odd),
        };
        (0..words.len())
            .flat_map(|from| (from + 1..=words.len().min(from + 8)).map(move |to| (from, to)))
            .find_map(|(from, to)| into(from, to))
            .or_else(|| words.iter().find_map(|word| self.program(word)))
            .unwrap_or(Leads::Elsewhere)
    }

    /// A name that is escaped from the shell, as list managers do it in the command alone: no
    /// list of ours has such a name.
    fn escaped(&self, text: &str) -> Option<Leads> {
        if text.contains(['\'', '"']) || !text.contains(['\\', ';', '&', '|', '`', '$']) {
            return None;
        }
        let bare = text.replace('\\', "");
        let words: Vec<&str> = bare.split_ascii_whitespace().collect();
        match self.direct(&words)? {
            odd @ Leads::Odd(_, Odd::Name(..)) => Some(odd),
            _ => None,
        }
    }

    /// Whether a word is a tree's program, whatever stands behind it.
    fn program(&self, word: &str) -> Option<Leads> {
        let mut forms = self.forms.all();
        let (n, _) = forms.find(|(_, form)| Path::new(word) == form.program)?;
        let tree = self.site.config.trees.get(n)?;
        Some(Leads::Odd(tree.name.clone(), Odd::Words))
    }
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
