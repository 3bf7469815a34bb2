//! A site's trees with their profiles, and the one form of a pipe to us that we write.
//!
//! **Invariants.** What is written holds nothing but bytes that every MTA passes on unchanged.

use std::fmt;
use std::path::PathBuf;

use super::forms::{Forms, Places};
use super::smrsh;
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
    /// What every command that we write begins with: the program, the site, a blank.
    ours: Result<String, Unwritable>,
    /// In the order of the trees.
    pub(super) profiles: Vec<Result<Profile, SiteError>>,
    /// The forms of commands that pipe straight into a tree.
    pub(super) forms: Forms,
    /// Where paths lead.
    pub(super) places: Places,
    /// The directory of smrsh, if the MTA runs programs through that.
    pub(super) smrsh: Option<PathBuf>,
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
        let trees = site.config.trees.iter();
        let profiles: Vec<_> = trees.map(|tree| Profile::of(site, tree)).collect();
        Trees {
            site,
            ours: ours(site),
            forms: Forms::of(&site.config.trees, &profiles),
            profiles,
            places: Places::default(),
            smrsh: smrsh::directory(site),
        }
    }

    /// The verb and the list's name, not judged yet, of a command just as we write it. A command
    /// of ours with other blanks in it is one too, and [`leads`](Self::leads) knows it.
    pub(super) fn as_written<'c>(&self, command: &'c [u8]) -> Option<(Verb, &'c [u8])> {
        let rest = command.strip_prefix(self.ours.as_ref().ok()?.as_bytes())?;
        let blank = rest.iter().position(|&byte| byte == b' ')?;
        let (verb, list) = (&rest[..blank], &rest[blank + 1..]);
        let is_one_word = list.iter().all(|&byte| is_plain(byte));
        Some((Verb::parse(verb)?, list)).filter(|_| is_one_word)
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

    /// The command, without its bar, that leads to us for `verb` and `list`; the list is
    /// spelled as it came.
    ///
    /// # Errors
    /// [`Unwritable`]: not every MTA would run it.
    pub fn command(&self, verb: Verb, list: &ListName) -> Result<String, Unwritable> {
        let ours = self.ours.as_ref().map_err(Clone::clone)?;
        let command = [ours, verb.as_str(), " ", list.spelling()].concat();
        match command.len() + 1 {
            bytes if bytes > LONGEST_COMMAND => Err(Unwritable::Long(bytes)),
            _ => Ok(command),
        }
    }
}

fn site_word(site: &Site) -> Option<String> {
    (!site.is_default()).then(|| site.path.to_string_lossy().into_owned())
}

/// What every command that we write begins with. The program's path was judged with site.toml.
fn ours(site: &Site) -> Result<String, Unwritable> {
    let program = site.config.program.to_string_lossy();
    let Some(path) = site_word(site) else {
        return Ok(format!("{program} "));
    };
    match path.bytes().find(|&byte| !is_plain(byte)) {
        Some(byte) => Err(Unwritable::Byte(byte)),
        None => Ok(format!("{program} --site {path} ")),
    }
}

/// Whether lists are on this tree.
pub(super) fn serves(tree: &Tree, parity: &Parity) -> bool {
    tree.name == parity.roles.current || !parity.on_future.is_empty()
}
