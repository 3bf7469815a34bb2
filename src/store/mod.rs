//! The only writer of parity.toml, and of the history beside it.
//!
//! Order of a change (`Writer::commit`), and what a kill after each step leaves:
//!
//! | step | on disk | a delivery sees | the next writer |
//! |---|---|---|---|
//! | 1. the line for the history, into `writer`, synced | old parity | the old state | forgets the line |
//! | 2. the new parity.toml beside the old one, synced | old parity, a left-over directory | the old state | removes the left-over |
//! | 3. rename: **the commit point** | new parity | the new state | adds the line to the history |
//! | 4. the line appended to history.jsonl, synced | new parity, maybe half a line | the new state | cuts half a line, adds it whole |
//! | 5. `writer` says that nothing is under way | all new | the new state | nothing to do |
//!
//! **Invariants.** parity.toml is never written in place. Every mode is set explicitly: with
//! a umask of 077 a delivery could not read what decides, and all mail would wait.

mod history;
mod seal;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

pub use history::{Delta, Entry, undoable};
pub use seal::render;
pub use writer::{Holder, Writer};

use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::{Site, SiteError};
use crate::state::{self, Array};

/// parity.toml as a whole.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub parity: Parity,
    /// Whether somebody else than mm-parity wrote it last.
    pub by_hand: bool,
}

/// Why the state could not be read or changed. Nothing was changed, except as said.
#[derive(Debug)]
pub enum StoreError {
    /// The site's files cannot be used.
    Site(SiteError),
    /// Somebody else is changing something.
    Busy(PathBuf, Option<Box<Holder>>),
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// A list stands twice in one array: line from 1, the array, the name.
    Twice(PathBuf, usize, &'static str, ListName),
    /// parity.toml is there already.
    Exists(PathBuf),
    /// A line of the history cannot be read: line from 1.
    History(PathBuf, usize, String),
    /// What is to be taken back is not what stands.
    Elsewhere(u64),
    /// The change stands, and its line in the history does not yet; the next writer adds it.
    Unrecorded(PathBuf, io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Site(error) => error.fmt(f),
            StoreError::Busy(_, Some(holder)) => write!(f, "{holder} is changing something"),
            StoreError::Busy(path, None) => write!(f, "somebody holds the lock on {path:?}"),
            StoreError::File(path, error) => write!(f, "{path:?}: {error}"),
            StoreError::Twice(path, line, array, list) => {
                write!(
                    f,
                    "{}:{line}:1: {list:?} stands twice in {array}",
                    path.display(),
                    list = list.as_str()
                )
            }
            StoreError::Exists(path) => write!(f, "{path:?} is there already"),
            StoreError::History(path, line, what) => {
                write!(f, "{}:{line}:1: {what}", path.display())
            }
            StoreError::Elsewhere(generation) => {
                write!(f, "what change {generation} left is not what stands now")
            }
            StoreError::Unrecorded(path, error) => {
                write!(
                    f,
                    "the change stands, its line in {path:?} not yet: {error}"
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}

impl From<SiteError> for StoreError {
    fn from(error: SiteError) -> StoreError {
        StoreError::Site(error)
    }
}

/// Reads parity.toml without a lock: what it says at this moment.
///
/// # Errors
/// It is missing, unreadable, not to be trusted or not sound; `Twice`.
pub fn load(site: &Site) -> Result<Loaded, StoreError> {
    let path = site.config.parity_file();
    let file = site.open_parity()?;
    let state = |error| StoreError::Site(SiteError::State(path.clone(), error));
    let mut lists = Lists::default();
    let (roles, _) = state::read(&file, &mut |row| lists.take(site, row)).map_err(state)?;
    if site.config.tree(&roles.current).is_none() {
        return Err(SiteError::UnknownTree(path, roles.current).into());
    }
    if let Some(tree) = roles
        .guarded
        .iter()
        .find(|tree| site.config.tree(tree).is_none())
    {
        return Err(SiteError::UnknownTree(path, tree.clone()).into());
    }
    if let Some((array, list)) = lists.twice {
        let line = second_line(&path, &list);
        return Err(StoreError::Twice(path, line, array, list));
    }
    let by_hand = !state::is_sealed(&file).map_err(state)?;
    let Lists {
        pinned,
        paused,
        on_future,
        ..
    } = lists;
    Ok(Loaded {
        parity: Parity {
            roles,
            pinned,
            paused,
            on_future,
        },
        by_hand,
    })
}

/// Every change so far, oldest first.
///
/// # Errors
/// history.jsonl cannot be read; `History` with the line that is damaged.
pub fn history(site: &Site) -> Result<Vec<Entry>, StoreError> {
    history::read(&history::path(site))
}

/// The rows of parity.toml, gathered.
#[derive(Default)]
struct Lists {
    pinned: BTreeSet<ListName>,
    paused: BTreeMap<ListName, Timestamp>,
    on_future: BTreeSet<ListName>,
    twice: Option<(&'static str, ListName)>,
}

impl Lists {
    fn take(&mut self, site: &Site, (array, name, since): state::Row<'_>) {
        // Names were judged by the reader; this only cuts a tree's own domain.
        let Ok(list) = site.list(name) else { return };
        let (array, new) = match array {
            Array::Pinned => ("pinned", self.pinned.insert(list.clone())),
            Array::OnFuture => ("on_future", self.on_future.insert(list.clone())),
            Array::Paused => {
                let since = since.unwrap_or(Timestamp(0));
                ("paused", self.paused.insert(list.clone(), since).is_none())
            }
        };
        if !new && self.twice.is_none() {
            self.twice = Some((array, list));
        }
    }
}

/// The line on which a list is named last; 1 if it cannot be found.
fn second_line(path: &std::path::Path, list: &ListName) -> usize {
    let text = fs::read_to_string(path)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let quoted = format!("\"{list}\"");
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.contains(&quoted))
        .last()
        .map_or(1, |(n, _)| n + 1)
}
