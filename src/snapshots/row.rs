//! One place of a list's data while a snapshot is put back: made ready beside it, changed, changed
//! back, emptied (the table in `restore`).
//!
//! **Invariants.** Everything goes by directories that are open; the one that is made beside a place is
//! ours, or nothing is done in it. A rename replaces nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{RenameFlags, Stat, fsync, renameat, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Kept, SnapshotError, Why};
use crate::copying::{
    self, Copy, CopyError, Known, Place, Rules, make_directory, open_own_directory, read_names,
    remove,
};
use crate::profiles::{self, ListData};

/// One place of one list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) list: String,
    pub(super) directory: PathBuf,
    /// As in a snapshot: a `#` stands for a number.
    pub(super) name: String,
    /// The directory that is made beside it.
    pub(super) holder: String,
    /// What is ready, with its device and inode.
    pub(super) ready: BTreeMap<String, (u64, u64)>,
}

/// Everything of it.
pub(super) const WHOLE: Rules<'static> = Rules {
    grows: &|_| false,
    without: &|_| false,
    ends: None,
    is_closed: false,
    is_over: &|| false,
};

fn key(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

impl Row {
    pub(super) fn pattern(&self) -> profiles::Place {
        profiles::Place::of(&self.directory.join(&self.name).to_string_lossy())
    }

    pub(super) fn failed(&self) -> impl Fn(Errno) -> CopyError + use<> {
        let path = self.directory.join(&self.name);
        move |error| CopyError::kernel(&path, error)
    }

    /// The directory in which the data of the place really are; `None` if there is none.
    pub(super) fn beside(&self) -> Result<Option<OwnedFd>, CopyError> {
        match Place::find(&self.directory.join(&self.name)).and_then(Place::real) {
            Ok(place) => Ok(Some(place.directory)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Under which name a name of ours stands there.
    pub(super) fn real_name(&self, name: &str) -> Result<OsString, CopyError> {
        let place = Place::find(&self.directory.join(name))?.real()?;
        Ok(place.name)
    }

    /// The directory that was made beside it, and the one in which it is; `None` if there is none.
    pub(super) fn holder(&self) -> Result<Option<(OwnedFd, OwnedFd)>, CopyError> {
        let Some(beside) = self.beside()? else {
            return Ok(None);
        };
        match open_own_directory(&beside, OsStr::new(&self.holder)) {
            Ok(holder) => {
                let stat = rustix::fs::fstat(&holder).map_err(self.failed())?;
                // SOMEBODY ELSE'S. Who may write the directory may have put one of that name there.
                match stat.st_uid == crate::accounts::runner() {
                    true => Ok(Some((beside, holder))),
                    false => Err(self.failed()(Errno::PERM)),
                }
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed()(error)),
        }
    }

    /// 1 and 2.
    pub(super) fn make_ready(
        &mut self,
        kept: &Kept,
        from: &OwnedFd,
        notes: &mut Vec<String>,
        is_over: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), SnapshotError> {
        let Some(beside) = self.beside()? else {
            return match kept.there.is_empty() {
                true => Ok(()),
                false => Err(self.failed()(Errno::NOENT).into()),
            };
        };
        let failed = self.failed();
        let holder = make_directory(&beside, OsStr::new(&self.holder)).map_err(&failed)?;
        let new = make_directory(&holder, OsStr::new("new")).map_err(&failed)?;
        make_directory(&holder, OsStr::new("old")).map_err(&failed)?;
        for name in &kept.there {
            let of = |end: &PathBuf| end.strip_prefix(name).ok().map(Path::to_owned);
            let ends: BTreeSet<PathBuf> = kept.ends.iter().filter_map(of).collect();
            let path = self.directory.join(name);
            let live = Place::find(&path)?.real()?;
            let copy = Place {
                directory: from
                    .try_clone()
                    .map_err(|error| CopyError::kernel(&path, error))?,
                name: name.into(),
                path: path.clone(),
            };
            let rules = Rules {
                ends: Some((&ends, &live)),
                is_over,
                ..WHOLE
            };
            let told = Copy::bring(&copy, &new, OsStr::new(name), &mut Known::new(), &rules)?;
            let full = |below: &PathBuf| match below.as_os_str().is_empty() {
                true => path.clone(),
                false => path.join(below),
            };
            notes.extend(told.other.iter().map(|below| {
                format!(
                    "note: {:?} is shorter than it was, or begins otherwise: it stays as it is, and \
                     is set aside as well",
                    full(below)
                )
            }));
            notes.extend(told.gone.iter().map(|below| {
                format!(
                    "note: {:?} is gone, and only its length and its ends were kept: it is not put back",
                    full(below)
                )
            }));
            if let Some(stat) = copying::is_there(&new, OsStr::new(name)).map_err(&failed)? {
                self.ready.insert(name.clone(), key(&stat));
            }
        }
        Ok(())
    }

    /// What is no data stays as it is today, in what takes its place.
    pub(super) fn bring_along(&self, data: &ListData) -> Result<(), SnapshotError> {
        let Some((_, holder)) = self.holder()? else {
            return Ok(());
        };
        let new = open_own_directory(&holder, OsStr::new("new")).map_err(self.failed())?;
        for place in &data.without {
            let Ok(below) = place.directory.strip_prefix(&self.directory) else {
                continue;
            };
            // Its directories, as far as they are in the copy.
            let into = below.iter().try_fold(None::<OwnedFd>, |here, name| {
                let here = here.as_ref().map_or(new.as_fd(), AsFd::as_fd);
                open_own_directory(here, name).map(Some)
            });
            let (Ok(Some(into)), Some(name)) = (into, place.name()) else {
                continue;
            };
            let from = Place::find(&place.directory.join(name))?;
            Copy::bring(&from, &into, OsStr::new(name), &mut Known::new(), &WHOLE)?;
        }
        Ok(())
    }

    /// The names there today, as they really are.
    pub(super) fn today(&self, beside: &OwnedFd) -> Result<Vec<OsString>, CopyError> {
        let pattern = self.pattern();
        if let Some(name) = pattern.name() {
            return Ok(vec![self.real_name(name)?]);
        }
        let listed = open_own_directory(beside, OsStr::new(".")).map_err(self.failed())?;
        let names = read_names(&listed).map_err(self.failed())?;
        Ok(names
            .into_iter()
            .filter(|name| pattern.is_name(name))
            .collect())
    }

    /// 4.
    pub(super) fn swap(&self) -> Result<(), CopyError> {
        let failed = self.failed();
        let Some((beside, holder)) = self.holder()? else {
            // GONE. Who may write the directory may have moved it away: then nothing is put back.
            return match self.beside()? {
                Some(_) => Err(failed(Errno::NOENT)),
                None => Ok(()),
            };
        };
        let new = open_own_directory(&holder, OsStr::new("new")).map_err(&failed)?;
        let old = open_own_directory(&holder, OsStr::new("old")).map_err(&failed)?;
        let mut mine = BTreeSet::new();
        for name in self.ready.keys() {
            let at = self.real_name(name)?;
            exchange((&new, OsStr::new(name)), (&beside, &at), &old).map_err(&failed)?;
            mine.insert(at);
        }
        for name in self.today(&beside)? {
            if mine.contains(&name) {
                continue;
            }
            match move_to((&beside, &name), (&old, &name)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        fsync(&new).map_err(&failed)?;
        fsync(&old).map_err(&failed)
    }

    /// The reverse, as far as it was done. Returns whether anything was.
    pub(super) fn swap_back(&self) -> Result<bool, CopyError> {
        let Some((beside, holder)) = self.holder()? else {
            return Ok(false);
        };
        let failed = self.failed();
        let mut is_done = false;
        let (Ok(new), Ok(old)) = (
            open_own_directory(&holder, OsStr::new("new")),
            open_own_directory(&holder, OsStr::new("old")),
        ) else {
            return Ok(false);
        };
        for (name, ready) in &self.ready {
            let at = self.real_name(name)?;
            let stat = copying::is_there(&beside, &at).map_err(&failed)?;
            if stat.is_none_or(|stat| key(&stat) != *ready) {
                continue;
            }
            is_done = true;
            put_back((&new, OsStr::new(name)), (&beside, &at)).map_err(&failed)?;
        }
        for name in read_names(&old).map_err(&failed)? {
            is_done = true;
            move_to((&old, &name), (&beside, &name)).map_err(&failed)?;
        }
        Ok(is_done)
    }

    /// 7: moves what is in `new` and `old` to `into`.
    pub(super) fn empty_into(&self, into: &OwnedFd, why: Why) -> Result<(), CopyError> {
        let Some((_, holder)) = self.holder()? else {
            return Ok(());
        };
        let failed = self.failed();
        for part in ["old", "new"] {
            let Ok(part) = open_own_directory(&holder, OsStr::new(part)) else {
                continue;
            };
            for name in read_names(&part).map_err(&failed)? {
                let stat = copying::is_there(&part, &name).map_err(&failed)?;
                let ready = self.ready.get(&*name.to_string_lossy());
                // After the commit point none of what was made ready is left there, unless there
                // was no place for it.
                if why == Why::Restore && stat.map(|stat| key(&stat)) == ready.copied() {
                    continue;
                }
                take_over((&part, &name), into, &self.directory.join(&name))?;
            }
        }
        Ok(())
    }

    pub(super) fn remove_holder(&self) -> Result<(), CopyError> {
        match self.holder()? {
            Some((beside, _)) => remove(&beside, OsStr::new(&self.holder)).map_err(self.failed()),
            None => Ok(()),
        }
    }
}

/// Puts what is ready in its place, and what stands there today in the place of that: in one step
/// where the file system can.
fn exchange(
    ready: (&OwnedFd, &OsStr),
    live: (&OwnedFd, &OsStr),
    old: &OwnedFd,
) -> Result<(), Errno> {
    match renameat_with(ready.0, ready.1, live.0, live.1, RenameFlags::EXCHANGE) {
        // Nothing stands there today.
        Err(Errno::NOENT) => move_to(ready, live),
        // A file system without it: out, then in. What is out goes back from `old`.
        Err(Errno::INVAL | Errno::NOSYS) => {
            move_to(live, (old, live.1))?;
            move_to(ready, live)
        }
        other => other,
    }
}

/// The reverse, where what was ready stands in its place.
fn put_back(ready: (&OwnedFd, &OsStr), live: (&OwnedFd, &OsStr)) -> Result<(), Errno> {
    match copying::is_there(ready.0, ready.1)? {
        Some(_) => renameat_with(ready.0, ready.1, live.0, live.1, RenameFlags::EXCHANGE),
        // What stood there is in `old`, or nothing did.
        None => move_to(live, ready),
    }
}

/// A rename that replaces nothing.
fn move_to(from: (&OwnedFd, &OsStr), to: (&OwnedFd, &OsStr)) -> Result<(), Errno> {
    match renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => match copying::is_there(to.0, to.1)? {
            Some(_) => Err(Errno::EXIST),
            None => renameat(from.0, from.1, to.0, to.1),
        },
        other => other,
    }
}

/// Moves a tree, by rename or as a copy of which the original is removed.
fn take_over(from: (&OwnedFd, &OsStr), into: &OwnedFd, path: &Path) -> Result<(), CopyError> {
    let failed = |error: Errno| CopyError::kernel(path, error);
    match move_to(from, (into, from.1)) {
        Ok(()) => return Ok(()),
        // Half a copy of an earlier try; the original is here.
        Err(Errno::XDEV | Errno::EXIST) => {}
        Err(error) => return Err(failed(error)),
    }
    let place = Place {
        directory: from
            .0
            .try_clone()
            .map_err(|error| CopyError::kernel(path, error))?,
        name: from.1.to_owned(),
        path: path.to_owned(),
    };
    let mut known = Known::new();
    let copy = |known: &mut Known| Copy::bring(&place, into, from.1, known, &WHOLE).map(drop);
    copy(&mut known)?;
    copying::bring_to_disk(open_own_directory(into, OsStr::new(".")).map_err(failed)?)
        .map_err(failed)?;
    // WHO HAS A FILE OPEN WRITES ON. What he added while it was copied comes along; the rest of it,
    // by who holds it open longer than all that, goes with the original.
    copy(&mut known)?;
    remove(from.0, from.1).map_err(failed)
}
