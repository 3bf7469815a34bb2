//! Snapshots: lists' data as they were, below STATE/snapshots.
//!
//! ```text
//! snapshots/                 0700: what is in it has the modes of the lists' own files
//!   42/                      by the change before which it was taken, or that set it aside
//!     toylist/
//!       snapshot.json        which list, when, why, tree, release, data version, what is where
//!       data/0/toylist/…     a copy of each place that the profile names
//!   .partial-PID/            one that is being made; the next writer removes it
//!   .aside-43/               today's data, on their way out of the lists' directories
//!   restoring.json           what is being put back (`restore`)
//! ```
//!
//! `take` makes one, `restore` puts one back (place by place: `row`; noted in `journal`), `loss` says what that would lose, `prune` removes old
//! ones, `room` looks at the disk.
//!
//! **Invariants.** Written only by who holds the writer's lock. A directory under its own name is
//! whole: it was made under another, synced, and renamed. No parity here, and no list manager.

mod journal;
mod loss;
mod prune;
mod restore;
mod room;
mod row;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fsync, mkdirat, openat, renameat, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

pub use journal::{Mended, is_cut_short, mend};
pub use loss::{Loss, loss};
pub use prune::{Pruned, prune, surplus};
pub use restore::{Back, Restoring};
pub use room::{Room, room};
pub use take::{Shot, Want, measure_whole, partial};

use crate::copying::{self, CopyError};
use crate::list::ListName;
use crate::profiles::ListData;
use crate::site::Site;

/// The metadata's file.
const METADATA: &str = "snapshot.json";
/// How one begins that is being made.
const PARTIAL: &str = ".partial-";
/// How the directory begins into which today's data go.
const ASIDE: &str = ".aside-";
/// No metadata are larger than this, in bytes: what somebody put there is not read for ever.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Why a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The list moved to another tree.
    Move,
    /// Other data were put in its place.
    Restore,
    /// It stood there for a while, when putting it back was cut short.
    CutShort,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Move => "before a move",
            Why::Restore => "set aside",
            Why::CutShort => "cut short",
        })
    }
}

/// What is known of a snapshot: snapshot.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Of this form: 1.
    pub format: u32,
    /// The list.
    pub list: String,
    /// By what it is called: the change, and a number where that is not enough.
    #[serde(skip)]
    pub id: String,
    /// The change before which it was taken, or that set it aside.
    pub generation: u64,
    /// When, as RFC 3339 in UTC.
    pub when: String,
    /// Why.
    pub why: Why,
    /// What was typed.
    pub command: String,
    /// The tree on which the list was.
    pub tree: String,
    /// The release in it.
    pub release: String,
    /// The version of the data, where it could be told.
    pub data_version: Option<u64>,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they take.
    pub bytes: u64,
    /// What it is of, in the order of the directories below `data`.
    pub places: Vec<Kept>,
}

/// What was kept of one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The directory that it stands in.
    pub directory: PathBuf,
    /// The name there; a `#` stands for a number.
    pub name: String,
    /// The names that were there.
    pub there: BTreeSet<String>,
    /// Files of which only length and ends are here, below `directory`.
    pub ends: BTreeSet<PathBuf>,
}

/// Why a snapshot could not be taken, read or put back.
#[derive(Debug)]
pub enum SnapshotError {
    /// Something could not be copied.
    Copy(CopyError),
    /// The same of one list's data.
    Of(ListName, CopyError),
    /// A file of ours could not be read or written.
    File(PathBuf, io::Error),
    /// Metadata that are none.
    Metadata(PathBuf, String),
    /// The list has no such snapshot.
    None(ListName, Option<String>),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Copy(error) => error.fmt(f),
            SnapshotError::Of(list, error) => write!(f, "the data of {list}: {error}"),
            SnapshotError::File(path, error) => write!(f, "{path:?}: {error}"),
            SnapshotError::Metadata(path, what) => write!(f, "{path:?}: {what:?}"),
            SnapshotError::None(list, Some(id)) => write!(f, "{list} has no snapshot {id:?}"),
            SnapshotError::None(list, None) => write!(f, "{list} has no snapshot"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl From<CopyError> for SnapshotError {
    fn from(error: CopyError) -> SnapshotError {
        SnapshotError::Copy(error)
    }
}

/// The directory of all snapshots.
#[derive(Debug, Clone)]
pub struct Store {
    /// Where it is.
    pub path: PathBuf,
}

impl Store {
    /// That of a site; whether it is there is another question.
    pub fn of(site: &Site) -> Store {
        Store {
            path: site.config.state.join("snapshots"),
        }
    }

    fn file(&self, name: &str, error: impl Into<io::Error>) -> SnapshotError {
        SnapshotError::File(self.path.join(name), error.into())
    }

    /// Opens it; `None` if it is not there.
    fn open(&self) -> Result<Option<OwnedFd>, SnapshotError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, &self.path, flags, Mode::empty()) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.file("", error)),
        }
    }

    /// Opens it, made where it is not there.
    fn make(&self) -> Result<OwnedFd, SnapshotError> {
        match mkdirat(CWD, &self.path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.file("", error)),
        }
        let directory = self.open()?.ok_or_else(|| self.file("", Errno::NOENT))?;
        rustix::fs::fchmod(&directory, Mode::RWXU).map_err(|error| self.file("", error))?;
        Ok(directory)
    }

    /// The names of all whole ones, oldest first, each with the lists that it has.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn ids(&self) -> Result<Vec<String>, SnapshotError> {
        let Some(directory) = self.open()? else {
            return Ok(Vec::new());
        };
        let names = copying::read_names(&directory).map_err(|error| self.file("", error))?;
        let mut ids: Vec<String> = names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| number(name).is_some())
            .collect();
        ids.sort_by_key(|id| number(id));
        Ok(ids)
    }

    /// The snapshots of the lists for which `is_asked` says so, oldest first, and those that cannot
    /// be read.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all(
        &self,
        is_asked: &dyn Fn(&str) -> bool,
    ) -> Result<(Vec<Snapshot>, Vec<SnapshotError>), SnapshotError> {
        let (mut found, mut broken) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            let path = self.path.join(&id);
            let read = File::open(&path).and_then(|inside| Ok(copying::read_names(inside)?));
            let names = match read {
                Ok(names) => names,
                Err(error) => {
                    broken.push(SnapshotError::File(path, error));
                    continue;
                }
            };
            for name in names.iter().filter_map(|name| name.to_str()) {
                if !is_asked(name) {
                    continue;
                }
                match self.read(&id, name) {
                    Ok(snapshot) => found.push(snapshot),
                    Err(error) => broken.push(error),
                }
            }
        }
        Ok((found, broken))
    }

    /// The metadata of one.
    fn read(&self, id: &str, list: &str) -> Result<Snapshot, SnapshotError> {
        let path = self.path.join(id).join(list).join(METADATA);
        let failed = |error| SnapshotError::File(path.clone(), error);
        let mut text = String::new();
        let file = File::open(&path).map_err(failed)?;
        file.take(LARGEST)
            .read_to_string(&mut text)
            .map_err(failed)?;
        let bad = |what: String| SnapshotError::Metadata(path.clone(), what);
        let snapshot: Snapshot =
            serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if snapshot.format != 1 || snapshot.list != list {
            return Err(bad("it is of another form, or of another list".to_owned()));
        }
        Ok(Snapshot {
            id: id.to_owned(),
            ..snapshot
        })
    }

    /// How many bytes it takes to put one back: those of which only the ends were kept come back
    /// whole.
    pub fn needs(&self, snapshot: &Snapshot) -> u64 {
        let data = self
            .path
            .join(&snapshot.id)
            .join(&snapshot.list)
            .join("data");
        let places = snapshot.places.iter().enumerate();
        let ends = places.flat_map(|(n, kept)| {
            let at = data.join(n.to_string());
            kept.ends.iter().map(move |end| at.join(end))
        });
        let lengths = ends.filter_map(|path| Some(path.symlink_metadata().ok()?.len()));
        snapshot.bytes.saturating_add(lengths.sum())
    }

    /// The directory of a snapshot's copies.
    fn data(&self, snapshot: &Snapshot) -> Result<OwnedFd, SnapshotError> {
        let path = self
            .path
            .join(&snapshot.id)
            .join(&snapshot.list)
            .join("data");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(CWD, &path, flags, Mode::empty())
            .map_err(|error| SnapshotError::File(path, error.into()))
    }

    /// Gives what stands whole in `from`, a directory per list, the name `generation`; where that is
    /// taken, each list goes there by itself, or where it has one of that name, to `generation.1`.
    fn keep(&self, from: &OwnedFd, from_name: &str, generation: u64) -> Result<(), SnapshotError> {
        let all = self.make()?;
        let failed = |error: Errno| self.file(&generation.to_string(), error);
        // As a rule it is the only one of its change.
        let whole = generation.to_string();
        let flags = RenameFlags::NOREPLACE;
        match renameat_with(&all, from_name, &all, &whole, flags) {
            Ok(()) => return fsync(&all).map_err(failed),
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(failed(error)),
        }
        for list in copying::read_names(from).map_err(failed)? {
            let name = |n: u32| match n {
                0 => generation.to_string(),
                n => format!("{generation}.{n}"),
            };
            let free = (0..u32::MAX).map(name).find_map(|id| {
                let inside = open_or_make(&all, &id);
                match inside.and_then(|inside| Ok((copying::is_there(&inside, &list)?, inside))) {
                    Ok((Some(_), _)) => None,
                    Ok((None, inside)) => Some(Ok(inside)),
                    Err(error) => Some(Err(error)),
                }
            });
            let into = free.unwrap_or(Err(Errno::EXIST)).map_err(failed)?;
            renameat(from, &list, &into, &list).map_err(failed)?;
            fsync(&into).map_err(failed)?;
        }
        copying::remove(&all, OsStr::new(from_name)).map_err(failed)?;
        fsync(&all).map_err(failed)
    }
}

impl Snapshot {
    /// Puts it into words as a file.
    fn write(&self, directory: impl AsFd) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let flags = flags | OFlags::CLOEXEC;
        let file = openat(directory, METADATA, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        file.write_all(&text)
    }
}

/// A name of ours as numbers: the change, and the number after it.
fn number(id: &str) -> Option<(u64, u32)> {
    let (change, more) = id.split_once('.').unwrap_or((id, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (is_digits(change) && is_digits(more)).then_some(())?;
    Some((change.parse().ok()?, more.parse().ok()?))
}

fn open_or_make(directory: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let name = OsStr::new(name);
    match copying::make_directory(directory, name) {
        Err(Errno::EXIST) => copying::open_own_directory(directory, name),
        other => other,
    }
}

/// The directory of a list in one that holds one for each.
fn list_name(list: &ListName) -> OsString {
    OsString::from(list.as_str())
}

/// The paths of a list's data, as rules for copying them.
struct OfList<'a> {
    data: &'a ListData,
}

impl OfList<'_> {
    fn grows(&self, path: &Path) -> bool {
        self.data.grows.iter().any(|place| place.is(path))
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.data.without.iter().any(|place| place.is(path))
    }
}

/// The newest snapshot with data as tree `tree` had them, of each list for which `is_asked` says so;
/// and those of these lists that cannot be read.
///
/// # Errors
/// The directory cannot be read.
pub fn newest_of_tree(
    store: &Store,
    is_asked: &dyn Fn(&str) -> bool,
    tree: &str,
) -> Result<(BTreeMap<String, Snapshot>, Vec<SnapshotError>), SnapshotError> {
    let (found, broken) = store.all(is_asked)?;
    let its = found
        .into_iter()
        .filter(|one| one.tree == tree && one.why != Why::CutShort);
    // Oldest first: the last one stays.
    let newest = its.map(|one| (one.list.clone(), one)).collect();
    Ok((newest, broken))
}

/// The snapshots that change `generation` set aside, by list; and those of it that cannot be read.
///
/// # Errors
/// The directory cannot be read.
pub fn set_aside_by(
    store: &Store,
    generation: u64,
) -> Result<(BTreeMap<String, Snapshot>, Vec<SnapshotError>), SnapshotError> {
    let (mut found, mut broken) = (BTreeMap::new(), Vec::new());
    for id in store.ids()? {
        if number(&id).is_none_or(|(change, _)| change != generation) {
            continue;
        }
        let (of, unread) = store.of_id(&id)?;
        broken.extend(unread);
        // The first one of a change is the one that it set aside.
        for one in of.into_iter().filter(|one| one.why == Why::Restore) {
            found.entry(one.list.clone()).or_insert(one);
        }
    }
    Ok((found, broken))
}

/// The lists of which a change has such a snapshot already.
fn kept_by(
    store: &Store,
    generation: u64,
    is_it: impl Fn(&Snapshot) -> bool,
) -> Result<BTreeSet<String>, SnapshotError> {
    let mut lists = BTreeSet::new();
    for id in store.ids()? {
        if number(&id).is_some_and(|(change, _)| change == generation) {
            let (of, _) = store.of_id(&id)?;
            lists.extend(of.into_iter().filter(&is_it).map(|one| one.list));
        }
    }
    Ok(lists)
}

impl Store {
    fn of_id(&self, id: &str) -> Result<(Vec<Snapshot>, Vec<SnapshotError>), SnapshotError> {
        let path = self.path.join(id);
        let inside = File::open(&path).map_err(|error| SnapshotError::File(path.clone(), error))?;
        let names = copying::read_names(inside)
            .map_err(|error| SnapshotError::File(path.clone(), error.into()))?;
        let (mut found, mut broken) = (Vec::new(), Vec::new());
        for name in names {
            match self.read(id, &String::from_utf8_lossy(name.as_bytes())) {
                Ok(snapshot) => found.push(snapshot),
                Err(error) => broken.push(error),
            }
        }
        Ok((found, broken))
    }
}

#[cfg(test)]
mod tests;
