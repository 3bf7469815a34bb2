//! The only writer of parity.toml, and of the history beside it.
//!
//! Order of a change (`Writer::commit`), and what a kill after each step leaves:
//!
//! | step | on disk | a delivery sees | the next writer |
//! |---|---|---|---|
//! | 1. the line for the history, into `writer`, synced | old parity | the old state | forgets the line, torn or whole |
//! | 2. the new parity.toml beside the old one, synced | old parity, a left-over directory | the old state | removes the left-over |
//! | 3. rename: **the commit point** | new parity | the new state | adds the line to the history |
//! | 4. the line appended to history.jsonl, synced | new parity, maybe half a line | the new state | cuts half a line, adds it whole |
//! | 5. `writer` says that nothing is under way | all new | the new state | nothing to do |
//!
//! On a full disk step 2 writes into a spare (`replace` has its table), and a line that step 4
//! cannot append waits in `writer` with those of the changes after it.
//!
//! **Invariants.** parity.toml is never written in place. Every mode is set explicitly: with
//! a umask of 077 a delivery could not read what decides, and all mail would wait.

mod giving_way;
mod history;
mod holder;
mod hooks;
mod lock;
mod manifest;
mod replace;
mod seal;
mod underway;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use history::{Delta, Entry, Judged, install_mark, undoable, undoable_before, unsound};
pub use holder::Holder;
pub use hooks::{Begun, Prepared, Ran, prepared, ran};
pub use lock::make_lock_file;
pub use manifest::{Head, Manifest, Row, What};
pub use seal::render;
pub use underway::{Held, Hold, Running, Underway};
pub use writer::{About, Writer, is_busy};

use crate::clock::Timestamp;
use crate::doors::DoorError;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::{Site, SiteError};
use crate::state::{self, Array, Rows};

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
    /// The lock file cannot be relied on.
    Door(DoorError),
    /// A list stands twice in one array: line from 1, the array, the name.
    Twice(PathBuf, usize, &'static str, ListName),
    /// The history tells of another current tree, or of lists on future: the file, that tree,
    /// how many lists.
    Told(PathBuf, String, usize),
    /// parity.toml is there already.
    Exists(PathBuf),
    /// Somebody wrote parity.toml since it was read; it is as he wrote it.
    Edited(PathBuf),
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
            StoreError::Door(error) => error.fmt(f),
            StoreError::File(path, error) => write!(f, "{path:?}: {error}"),
            StoreError::Twice(path, line, array, list) => {
                write!(
                    f,
                    "{}:{line}:1: {list:?} stands twice in {array}",
                    path.display(),
                    list = list.as_str()
                )
            }
            StoreError::Told(path, tree, ahead) => write!(
                f,
                "{path:?} tells that tree {tree:?} was current, with {ahead} lists on future; \
                 move it away to begin anew"
            ),
            StoreError::Edited(path) => write!(f, "{path:?} was edited meanwhile"),
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
    let (parity, sealed) = load_file(site)?;
    // A history that cannot be read says nothing.
    let known = history(site)
        .ok()
        .and_then(|entries| history::replay(&entries));
    let by_hand = !sealed || differs(&parity, known.as_ref());
    Ok(Loaded { parity, by_hand })
}

/// Whether parity.toml, sealed or not, is another than the history tells. One that is only a
/// change ahead is that of a writer who was killed.
fn differs(parity: &Parity, known: Option<&Parity>) -> bool {
    known.is_some_and(|known| known != parity && known.roles.generation >= parity.roles.generation)
}

/// What parity.toml says, and whether it is sealed.
fn load_file(site: &Site) -> Result<(Parity, bool), StoreError> {
    let path = site.config.parity_file();
    let file = site.open_parity()?;
    let state = |error| StoreError::Site(SiteError::State(path.clone(), error));
    let mut lists = Lists::new(site);
    let (roles, _) = state::read(&file, &mut lists).map_err(state)?;
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
        let line = second_line(&path, array, &list);
        return Err(StoreError::Twice(path, line, array, list));
    }
    let sealed = state::is_sealed(&file).map_err(state)?;
    let Lists {
        pinned,
        paused,
        on_future,
        ..
    } = lists;
    let parity = Parity {
        roles,
        pinned,
        paused,
        on_future,
    };
    Ok((parity, sealed))
}

/// The spare of parity.toml, and what is wrong with it, if something is.
pub fn spare(site: &Site) -> (PathBuf, Option<String>) {
    let parity_file = site.config.parity_file();
    let spare = replace::Spare::of(&parity_file);
    let bytes = fs::metadata(&parity_file).map_or(0, |meta| meta.len());
    (spare.path().to_owned(), spare.fault(bytes))
}

/// Whether it failed for want of room on a disk or in a quota.
pub fn is_no_room(error: &StoreError) -> bool {
    matches!(error, StoreError::File(_, cause) if replace::is_no_room(cause))
}

/// Every change so far, oldest first.
///
/// # Errors
/// history.jsonl cannot be read; `History` with the line that is damaged.
pub fn history(site: &Site) -> Result<Vec<Entry>, StoreError> {
    history::read(&history::path(site))
}

/// The rows of parity.toml, gathered.
struct Lists<'a> {
    site: &'a Site,
    pinned: BTreeSet<ListName>,
    paused: BTreeMap<ListName, Timestamp>,
    on_future: BTreeSet<ListName>,
    twice: Option<(&'static str, ListName)>,
}

impl<'a> Lists<'a> {
    fn new(site: &'a Site) -> Lists<'a> {
        Lists {
            site,
            pinned: BTreeSet::new(),
            paused: BTreeMap::new(),
            on_future: BTreeSet::new(),
            twice: None,
        }
    }
}

impl Rows for Lists<'_> {
    fn begin(&mut self) {
        *self = Lists::new(self.site);
    }

    fn see(&mut self, (array, name, since): state::Row<'_>) {
        // Names were judged by the reader; this only cuts a tree's own domain.
        let Ok(list) = self.site.list(name) else {
            return;
        };
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

/// The line of `array` that names a list for the second time; that of the array's name if
/// they stand on one line; 1 if it cannot be found.
fn second_line(path: &Path, array: &str, list: &ListName) -> usize {
    let text = fs::read_to_string(path)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let quoted = format!("\"{list}\"");
    let lines = || text.lines().enumerate().map(|(n, line)| (n + 1, line));
    let begins = |line: &str| {
        line.split('=')
            .next()
            .is_some_and(|name| name.trim() == array)
    };
    let Some((begin, _)) = lines().find(|(_, line)| begins(line)) else {
        return 1;
    };
    let rows = lines()
        .skip(begin)
        .take_while(|(_, line)| !line.trim_start().starts_with(']'));
    rows.filter(|(_, line)| line.contains(&quoted))
        .nth(1)
        .map_or(begin, |(number, _)| number)
}
