//! A snapshot of some lists, taken in two rounds.
//!
//! | a kill after | on disk | the next writer |
//! |---|---|---|
//! | 1. the first round, doors open | `.partial-PID`, any part of it | removes it |
//! | 2. the second round, doors closed | the same | removes it |
//! | 3. metadata, all synced | the same, whole | removes it: no list has moved |
//! | 4. each list's renamed to GENERATION/LIST | a snapshot before a change that did not come: as good as any | leaves it; the next one has GENERATION.1 |
//! | 5. parity.toml: the commit point | the snapshot | nothing to do |
//!
//! **Invariants.** Until the commit point the lists' own data are the only ones that count.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::syncfs;
use rustix::io::Errno;

use super::row::WHOLE;
use super::{Kept, OfList, PARTIAL, Snapshot, SnapshotError, Store, Why, list_name, open_or_make};
use crate::clock::Timestamp;
use crate::copying::{
    Copy, CopyError, Known, Place, Rules, Told, bring_to_disk, is_there, make_directory, measure,
    open_directory, open_own_directory, read_names, remove,
};
use crate::list::ListName;
use crate::parts;
use crate::profiles::{self, ListData};

/// So many files are not brought to the disk one by one.
const MANY: u64 = 200;

/// How many bytes of a disk and how many files all of these data take, what only grows whole.
pub fn measure_whole(data: &[&ListData]) -> (u64, u64) {
    measured(data, &|_| WHOLE)
}

/// What a list's profile says of its files: which grow, and which are left out.
type Says<'a> = (
    &'a (dyn Fn(&Path) -> bool + Sync),
    &'a (dyn Fn(&Path) -> bool + Sync),
);

fn measured(
    data: &[&ListData],
    rules: &(dyn for<'r> Fn(Says<'r>) -> Rules<'r> + Sync),
) -> (u64, u64) {
    let shared = Shared::default();
    let what = "measuring the data of lists";
    let sums = parts::each(what, data, &|| false, |data, _| {
        let of = OfList { data };
        let (grows, without) = (
            |path: &Path| of.grows(path),
            |path: &Path| of.is_left_out(path),
        );
        let rules = rules((&grows, &without));
        let places = data.of.iter();
        let found = places.flat_map(|place| there(place, &shared).unwrap_or_default());
        // What there is besides: directories and the metadata.
        let mut sum = (32 * 1024, 8);
        for place in found {
            let Told { room, files, .. } = measure(&place, &rules);
            sum = (sum.0 + room, sum.1 + files);
        }
        sum
    });
    let add = |sum: (u64, u64), one: (u64, u64)| (sum.0 + one.0, sum.1 + one.1);
    sums.into_iter().fold((0, 0), add)
}

/// So many directories are held open at most.
const MOST_OPEN: usize = 64;

/// A list whose data are to be kept.
#[derive(Debug, Clone)]
pub struct Want {
    /// Which.
    pub list: ListName,
    /// What its data are.
    pub data: ListData,
}

/// What is to be kept of some lists, before and while it is copied.
#[derive(Debug)]
pub struct Shot {
    store: Store,
    /// As it is typed.
    command: String,
    tree: String,
    release: String,
    lists: Vec<One>,
    partial: Option<Partial>,
    /// What cannot be kept, in words.
    pub lost: BTreeSet<&'static str>,
}

/// The directory that it is made in.
#[derive(Debug)]
struct Partial {
    name: String,
    directory: OwnedFd,
}

/// One list of a shot.
#[derive(Debug)]
struct One {
    want: Want,
    found: Mutex<Found>,
}

/// What was copied of a list so far.
#[derive(Debug, Default)]
struct Found {
    known: BTreeMap<(usize, OsString), Known>,
    places: Vec<Kept>,
    files: u64,
    bytes: u64,
    lost: BTreeSet<&'static str>,
}

/// The directories that several lists have data in, opened once a round, and read once.
#[derive(Default)]
struct Shared(Mutex<BTreeMap<PathBuf, Arc<Parent>>>);

/// One of them.
struct Parent {
    directory: OwnedFd,
    names: OnceLock<Vec<OsString>>,
}

impl Shared {
    /// The directory at `path`; `None` where there is none.
    fn parent(&self, path: &Path) -> Result<Option<Arc<Parent>>, CopyError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parent) = all.get(path) {
            return Ok(Some(parent.clone()));
        }
        let directory = match open_directory(path) {
            Ok(directory) => directory,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let parent = Arc::new(Parent {
            directory,
            names: OnceLock::new(),
        });
        // Of a list that has its directory to itself, nobody asks again.
        if all.len() < MOST_OPEN {
            all.insert(path.to_owned(), parent.clone());
        }
        Ok(Some(parent))
    }
}

impl Parent {
    fn names(&self) -> Result<&[OsString], Errno> {
        if let Some(names) = self.names.get() {
            return Ok(names);
        }
        let names = read_names(open_own_directory(&self.directory, OsStr::new("."))?)?;
        Ok(self.names.get_or_init(|| names))
    }
}

/// Where a place's files are now: each name, in its directory.
fn there(place: &profiles::Place, shared: &Shared) -> Result<Vec<Place>, CopyError> {
    let Some(parent) = shared.parent(&place.directory)? else {
        return Ok(Vec::new());
    };
    let failed = |error| CopyError::kernel(&place.directory, error);
    let names: Vec<OsString> = match place.name() {
        Some(name) => vec![name.into()],
        None => {
            let names = parent.names().map_err(failed)?.iter();
            names.filter(|name| place.is_name(name)).cloned().collect()
        }
    };
    let mut found = Vec::new();
    for name in names {
        if is_there(&parent.directory, &name)
            .map_err(failed)?
            .is_none()
        {
            continue;
        }
        let directory = parent.directory.try_clone();
        let directory = directory.map_err(|error| CopyError::kernel(&place.directory, error))?;
        // What root or we have a link lead to is the data; what somebody else does, is not.
        let one = Place {
            directory,
            path: place.directory.join(&name),
            name,
        };
        let one = one.real()?;
        if one.look()?.is_some() {
            found.push(one);
        }
    }
    Ok(found)
}

impl Shot {
    /// What is to be kept of `lists`, which are on `tree`; nothing is touched yet.
    pub fn new(store: Store, command: &str, tree: (&str, &str), lists: Vec<Want>) -> Shot {
        let one = |want| One {
            want,
            found: Mutex::default(),
        };
        Shot {
            store,
            command: command.to_owned(),
            tree: tree.0.to_owned(),
            release: tree.1.to_owned(),
            lists: lists.into_iter().map(one).collect(),
            partial: None,
            lost: BTreeSet::new(),
        }
    }

    /// How many lists it has.
    pub fn count(&self) -> usize {
        self.lists.len()
    }

    fn files(&self) -> u64 {
        let files = |one: &One| one.found.lock().map_or(0, |found| found.files);
        self.lists.iter().map(files).sum()
    }

    /// Their names.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().map(|one| one.want.list.as_str())
    }

    /// How many bytes of a disk and how many files that would take, as far as it can be seen.
    pub fn measure(&self) -> (u64, u64) {
        let data: Vec<&ListData> = self.lists.iter().map(|one| &one.want.data).collect();
        measured(&data, &|of| Rules {
            grows: of.0,
            without: of.1,
            ends: None,
            is_closed: false,
            is_over: &|| false,
        })
    }

    /// How many bytes were kept.
    pub fn bytes(&self) -> u64 {
        let bytes = |one: &One| one.found.lock().map_or(0, |found| found.bytes);
        self.lists.iter().map(bytes).sum()
    }

    /// The first round, doors open, unless it `is_over`.
    ///
    /// # Errors
    /// What could not be copied; nothing is left of it.
    pub fn first(&mut self, is_over: &dyn Fn() -> bool) -> Result<(), Vec<SnapshotError>> {
        let all = self.store.make().map_err(|error| vec![error])?;
        let name = format!("{PARTIAL}{}", std::process::id());
        let made = remove(&all, OsStr::new(&name))
            .and_then(|()| make_directory(&all, OsStr::new(&name)))
            .map_err(|error| vec![self.store.file(&name, error)])?;
        self.partial = Some(Partial {
            name,
            directory: made,
        });
        self.round(false, is_over)?;
        // What is on the disk already need not be written with doors closed.
        let files = self.files();
        if let Some(partial) = &self.partial {
            to_disk(&partial.directory, files)
                .map_err(|error| vec![self.store.file(&partial.name, error)])?;
        }
        Ok(())
    }

    /// The second round, doors closed, unless it `is_over`.
    ///
    /// # Errors
    /// As [`Shot::first`].
    pub fn second(&mut self, is_over: &dyn Fn() -> bool) -> Result<(), Vec<SnapshotError>> {
        self.round(true, is_over)
    }

    fn round(
        &mut self,
        is_closed: bool,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), Vec<SnapshotError>> {
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let shared = Shared::default();
        let done = parts::each(
            "copying the data of lists",
            &self.lists,
            is_over,
            |one, over| {
                let mut found = one.found.lock().unwrap_or_else(PoisonError::into_inner);
                one.want
                    .bring(&partial.directory, &mut found, is_closed, &shared, over)
                    .map_err(|error| SnapshotError::Of(one.want.list.clone(), error))
            },
        );
        let failed: Vec<SnapshotError> = done.into_iter().filter_map(Result::err).collect();
        for one in &self.lists {
            let found = one.found.lock().unwrap_or_else(PoisonError::into_inner);
            self.lost.extend(&found.lost);
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed),
        }
    }

    /// Gives it its name, as that before change `generation`; `version` tells that of a list's data.
    ///
    /// # Errors
    /// It could not be written.
    pub fn keep(
        &mut self,
        generation: u64,
        version: &dyn Fn(&ListName) -> Option<u64>,
    ) -> Result<(), SnapshotError> {
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let when = Timestamp::now().to_string();
        for one in &self.lists {
            let found = one.found.lock().unwrap_or_else(PoisonError::into_inner);
            let list = &one.want.list;
            let snapshot = Snapshot {
                format: 1,
                list: list.as_str().to_owned(),
                id: String::new(),
                generation,
                when: when.clone(),
                why: Why::Move,
                command: self.command.clone(),
                tree: self.tree.clone(),
                release: self.release.clone(),
                data_version: version(list),
                files: found.files,
                bytes: found.bytes,
                places: found.places.clone(),
            };
            let written = open_own_directory(&partial.directory, &list_name(list))
                .map_err(Into::into)
                .and_then(|directory| snapshot.write(directory));
            written.map_err(|error| self.store.file(&partial.name, error))?;
        }
        let failed = |error: Errno| self.store.file(&partial.name, error);
        to_disk(&partial.directory, self.files()).map_err(failed)?;
        self.store
            .keep(&partial.directory, &partial.name, generation)?;
        self.partial = None;
        Ok(())
    }
}

impl Drop for Shot {
    fn drop(&mut self) {
        if let Some(partial) = self.partial.take()
            && let Ok(Some(all)) = self.store.open()
        {
            let _ = remove(&all, OsStr::new(&partial.name));
        }
    }
}

impl Want {
    /// One round for one list.
    fn bring(
        &self,
        partial: &OwnedFd,
        found: &mut Found,
        is_closed: bool,
        shared: &Shared,
        over: &AtomicBool,
    ) -> Result<(), CopyError> {
        let of = OfList { data: &self.data };
        let rules = Rules {
            grows: &|path| of.grows(path),
            without: &|path| of.is_left_out(path),
            ends: None,
            is_closed,
            is_over: &|| over.load(Ordering::Relaxed),
        };
        let failed = |error| CopyError::kernel(Path::new(self.list.as_str()), error);
        let directory = open_or_make(partial, self.list.as_str())
            .and_then(|list| open_or_make(&list, "data"))
            .map_err(failed)?;
        found.places.clear();
        (found.files, found.bytes) = (0, 0);
        for (n, place) in self.data.of.iter().enumerate() {
            let to = open_or_make(&directory, &n.to_string()).map_err(failed)?;
            let places = there(place, shared)?;
            let mut kept = Kept {
                directory: place.directory.clone(),
                name: place.pattern(),
                there: BTreeSet::new(),
                ends: BTreeSet::new(),
            };
            for from in &places {
                let name = from.path.file_name().unwrap_or_default();
                let known = found.known.entry((n, name.to_owned())).or_default();
                let told = Copy::bring(from, &to, name, known, &rules)?;
                if told.files == 0 {
                    continue;
                }
                found.files += told.files;
                found.bytes += told.bytes;
                found.lost.extend(&told.lost);
                let name = name.to_string_lossy().into_owned();
                let below = |end: &PathBuf| match end.as_os_str().is_empty() {
                    true => PathBuf::from(&name),
                    false => Path::new(&name).join(end),
                };
                kept.ends.extend(told.ends.iter().map(below));
                kept.there.insert(name);
            }
            for name in read_names(&to).map_err(failed)? {
                if !kept.there.contains(&*name.to_string_lossy()) {
                    remove(&to, &name).map_err(failed)?;
                }
            }
            found.places.push(kept);
        }
        Ok(())
    }
}

/// Brings a tree of so many files to the disk: many of them with all else that the file system has to
/// write.
pub(super) fn to_disk(directory: &OwnedFd, files: u64) -> Result<(), Errno> {
    match files {
        0..MANY => bring_to_disk(open_own_directory(directory, OsStr::new("."))?),
        _ => syncfs(directory),
    }
}

/// Removes what a killed writer was making. Returns how many there were.
///
/// # Errors
/// It cannot be removed.
pub(super) fn tidy(store: &Store) -> Result<usize, SnapshotError> {
    let partial = partial(store)?;
    let Some(all) = store.open()? else {
        return Ok(0);
    };
    for name in &partial {
        remove(&all, name).map_err(|error| store.file(&name.to_string_lossy(), error))?;
    }
    Ok(partial.len())
}

/// Those that were never made whole.
///
/// # Errors
/// The directory cannot be read.
pub fn partial(store: &Store) -> Result<Vec<OsString>, SnapshotError> {
    let Some(all) = store.open()? else {
        return Ok(Vec::new());
    };
    let names = read_names(&all).map_err(|error| store.file("", error))?;
    let is_partial = |name: &OsString| name.as_bytes().starts_with(PARTIAL.as_bytes());
    Ok(names.into_iter().filter(is_partial).collect())
}
