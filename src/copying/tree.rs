//! A tree copied in two rounds: the first while it is in use, the second when it is not, and only
//! what changed in between.
//!
//! What was copied is known by its stamp: device, inode, size, and both times to the nanosecond. A
//! stamp so young that a second write might leave the same one is not kept, nor one that changed
//! while the file was copied: the second round copies these again.
//!
//! **Invariants.** The second round ends with a copy of what stood there at its end, or with an
//! error. What vanished from the original vanishes from the copy.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fchmod, fstat, linkat, mknodat, readlinkat, symlinkat,
};
use rustix::io::Errno;

use super::attributes::{give, give_at};
use super::contents;
use super::place::{Place, is_there, make_directory, open_beneath, open_own_directory, read_names};
use super::remove::remove;
use super::{Cause, CopyError, ENDS, WHOLE};

/// A file takes at least as much of a disk, in bytes.
const BLOCK: u64 = 4096;
/// How often something that changes under our hands is tried again.
const TRIES: usize = 5;
/// Kernels count time in ticks of up to this: within one, two writes leave the same stamp.
const TICK: Duration = Duration::from_millis(100);

/// By what one sees that a file was not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: i64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of a file.
    pub fn of(stat: &Stat) -> Stamp {
        let nanos = |nanos| i64::try_from(nanos).unwrap_or_default();
        Stamp {
            file: (stat.st_dev, stat.st_ino),
            size: stat.st_size,
            written: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// Whether a write from `now` on cannot leave this very stamp.
    fn is_settled(&self, now: SystemTime) -> bool {
        let seconds = u64::try_from(self.changed.0).unwrap_or_default();
        let nanos = u32::try_from(self.changed.1).unwrap_or_default();
        now.duration_since(UNIX_EPOCH + Duration::new(seconds, nanos))
            .is_ok_and(|age| age > TICK)
    }
}

/// What the first round copied, and need not be copied again while it is as it was.
#[derive(Debug, Default)]
pub struct Known {
    pub(super) stamps: HashMap<PathBuf, Stamp>,
    /// What came of it.
    told: Told,
}

impl Known {
    /// Nothing yet.
    pub fn new() -> Known {
        Known::default()
    }
}

/// How it is copied. Paths are those of the original.
pub struct Rules<'a> {
    /// Of what only grows a large file is not copied: its size, its attributes and its ends are.
    pub grows: &'a (dyn Fn(&Path) -> bool + Sync),
    /// What is left out.
    pub without: &'a (dyn Fn(&Path) -> bool + Sync),
    /// Files of which the original has the ends alone, below it: the first bytes of what stands at
    /// the place given here are copied in their stead.
    pub ends: Option<(&'a BTreeSet<PathBuf>, &'a Place)>,
    /// Whether nobody should be writing: then what changes all the same is an error in the end.
    pub is_closed: bool,
    /// Whether it is to end.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
}

/// What came of a copy.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// How many files of any kind it has.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many bytes of a disk they take, at most.
    pub room: u64,
    /// Those of which only the ends were kept, below the copy's top; "" is that itself.
    pub ends: BTreeSet<PathBuf>,
    /// What is not kept, in words.
    pub lost: BTreeSet<&'static str>,
    /// Files that do not begin as they did, or are shorter: they were copied as they are now.
    pub other: Vec<PathBuf>,
    /// Files of which only the ends were kept, and that are gone: they are not in the copy.
    pub gone: Vec<PathBuf>,
}

/// A copy under way.
pub struct Copy<'a> {
    rules: &'a Rules<'a>,
    known: &'a mut Known,
    /// How the original is called, for people and for the rules.
    path: &'a Path,
    /// The directory in which the copy is made, and its name there.
    to: BorrowedFd<'a>,
    to_name: &'a OsStr,
    /// The first name of each file that has several, below the top.
    links: HashMap<(u64, u64), PathBuf>,
    told: Told,
}

/// What a copy was filled with.
enum Filled {
    /// Nothing: there is nothing any more.
    Not,
    /// What it is the copy of.
    Own,
    /// A file that is another's now, or that fewer may read: the copy is given what that has.
    Foreign(OwnedFd, Stat),
}

/// Whether one try was enough.
enum Tried {
    Done,
    Again,
}

impl<'a> Copy<'a> {
    /// Brings the copy at `to_name` in line with what stands at `from`; where nothing stands there,
    /// there is no copy. The directory `to` must be ours alone.
    ///
    /// # Errors
    /// The first thing that could not be copied; what was copied stays.
    pub fn bring(
        from: &Place,
        to: &'a impl AsFd,
        to_name: &'a OsStr,
        known: &'a mut Known,
        rules: &'a Rules<'a>,
    ) -> Result<Told, CopyError> {
        let path = from.path.clone();
        let mut copy = Copy {
            rules,
            known,
            path: &path,
            to: to.as_fd(),
            to_name,
            links: HashMap::new(),
            told: Told::default(),
        };
        let top = (from.directory.as_fd(), &*from.name);
        if copy.rules.is_closed && copy.is_as_known(top, Path::new("")) {
            return Ok(copy.known.told.clone());
        }
        copy.entry(top, (to.as_fd(), to_name), Path::new(""))?;
        copy.known.told = copy.told.clone();
        Ok(copy.told)
    }

    /// Whether all is as the first round left it: then nothing of the copy is touched.
    fn is_as_known(&self, from: (BorrowedFd<'_>, &OsStr), below: &Path) -> bool {
        let Some(known) = self.known.stamps.get(below) else {
            // What is left out is not known, and nobody asks how it is.
            return !below.as_os_str().is_empty() && (self.rules.without)(&self.path(below));
        };
        let Ok(Some(stat)) = is_there(from.0, from.1) else {
            return false;
        };
        if Stamp::of(&stat) != *known {
            return false;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return true;
        }
        let inside = open_own_directory(from.0, from.1);
        inside.is_ok_and(|inside| {
            let names = read_names(&inside).unwrap_or_default();
            let mut names = names.iter();
            fstat(&inside).is_ok_and(|stat| Stamp::of(&stat) == *known)
                && names.all(|name| self.is_as_known((inside.as_fd(), name), &below.join(name)))
        })
    }

    /// The original's path, for `below` its top.
    fn path(&self, below: &Path) -> PathBuf {
        match below.as_os_str().is_empty() {
            true => self.path.to_owned(),
            false => self.path.join(below),
        }
    }

    fn failed(&self, below: &Path) -> impl Fn(Errno) -> CopyError + use<> {
        let path = self.path(below);
        move |error| CopyError::kernel(&path, error)
    }

    fn entry(
        &mut self,
        from: (BorrowedFd<'_>, &OsStr),
        to: (BorrowedFd<'_>, &OsStr),
        below: &Path,
    ) -> Result<(), CopyError> {
        let path = self.path(below);
        for _ in 0..TRIES {
            if (self.rules.is_over)() {
                return Err(CopyError::of(&path, Cause::Over));
            }
            let stat = is_there(from.0, from.1).map_err(self.failed(below))?;
            let Some(stat) = stat.filter(|_| !(self.rules.without)(&path)) else {
                self.known.stamps.remove(below);
                return remove(to.0, to.1).map_err(self.failed(below));
            };
            let tried = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.directory(from, &stat, to, below)?,
                kind => self.leaf(kind, from, &stat, to, below)?,
            };
            if matches!(tried, Tried::Done) {
                return Ok(());
            }
        }
        match self.rules.is_closed {
            true => Err(CopyError::of(&path, Cause::Changing)),
            // The second round will have it.
            false => remove(to.0, to.1).map_err(self.failed(below)),
        }
    }

    fn directory(
        &mut self,
        from: (BorrowedFd<'_>, &OsStr),
        was: &Stat,
        to: (BorrowedFd<'_>, &OsStr),
        below: &Path,
    ) -> Result<Tried, CopyError> {
        let failed = self.failed(below);
        let inside = match open_own_directory(from.0, from.1) {
            Ok(inside) => inside,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Tried::Again),
            Err(error) => return Err(failed(error)),
        };
        let began = SystemTime::now();
        let stat = fstat(&inside).map_err(&failed)?;
        if (stat.st_dev, stat.st_ino) != (was.st_dev, was.st_ino) {
            return Ok(Tried::Again);
        }
        let copy = self.own_directory(to).map_err(&failed)?;
        let names = read_names(&inside).map_err(&failed)?;
        for name in read_names(&copy).map_err(&failed)? {
            if names.binary_search(&name).is_err() {
                remove(&copy, &name).map_err(&failed)?;
            }
        }
        for name in &names {
            let below = below.join(name);
            self.entry((inside.as_fd(), name), (copy.as_fd(), name), &below)?;
        }
        give(
            inside.as_fd(),
            &stat,
            copy.as_fd(),
            false,
            &mut self.told.lost,
        )
        .map_err(&failed)?;
        let now = fstat(&inside).map_err(&failed)?;
        if self.rules.is_closed && Stamp::of(&now) != Stamp::of(&stat) {
            return Ok(Tried::Again);
        }
        let stamp = Stamp::of(&stat);
        match stamp.is_settled(began) {
            true => self.known.stamps.insert(below.to_owned(), stamp),
            false => self.known.stamps.remove(below),
        };
        self.count(&stat, false);
        Ok(Tried::Done)
    }

    /// The copy's directory, made where there is none.
    fn own_directory(&self, to: (BorrowedFd<'_>, &OsStr)) -> Result<OwnedFd, Errno> {
        match is_there(to.0, to.1)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let copy = open_own_directory(to.0, to.1)?;
                // The first round may have left it without the right to write.
                fchmod(&copy, Mode::RWXU)?;
                Ok(copy)
            }
            Some(_) => {
                remove(to.0, to.1)?;
                make_directory(to.0, to.1)
            }
            None => make_directory(to.0, to.1),
        }
    }

    /// What is no directory.
    fn leaf(
        &mut self,
        kind: FileType,
        from: (BorrowedFd<'_>, &OsStr),
        stat: &Stat,
        to: (BorrowedFd<'_>, &OsStr),
        below: &Path,
    ) -> Result<Tried, CopyError> {
        let failed = self.failed(below);
        let stamp = Stamp::of(stat);
        let is_known = self.known.stamps.get(below) == Some(&stamp);
        let now = SystemTime::now();
        if is_known && is_there(to.0, to.1).map_err(&failed)?.is_some() {
            self.links
                .entry((stat.st_dev, stat.st_ino))
                .or_insert_with(|| below.to_owned());
            let by_ends = self.is_by_ends(stat, below);
            self.count(stat, by_ends);
            if by_ends {
                self.told.ends.insert(below.to_owned());
            }
            return Ok(Tried::Done);
        }
        self.known.stamps.remove(below);
        remove(to.0, to.1).map_err(&failed)?;
        let first = self.links.get(&(stat.st_dev, stat.st_ino)).cloned();
        if let Some(first) = first.filter(|_| stat.st_nlink > 1) {
            let first = match first.as_os_str().is_empty() {
                true => PathBuf::from(self.to_name),
                false => Path::new(self.to_name).join(first),
            };
            linkat(self.to, &first, to.0, to.1, AtFlags::empty()).map_err(&failed)?;
            self.known.stamps.insert(below.to_owned(), stamp);
            return Ok(Tried::Done);
        }
        match kind {
            FileType::RegularFile => match self.file(from, stat, to, below)? {
                Tried::Done => {}
                Tried::Again => return Ok(Tried::Again),
            },
            FileType::Symlink => match readlinkat(from.0, from.1, Vec::new()) {
                Ok(target) => symlinkat(&*target, to.0, to.1).map_err(&failed)?,
                Err(Errno::NOENT | Errno::INVAL) => return Ok(Tried::Again),
                Err(error) => return Err(failed(error)),
            },
            // NEVER OPENED. A pipe would hold us up, and a device do who knows what.
            _ => mknodat(to.0, to.1, kind, Mode::RUSR, stat.st_rdev).map_err(&failed)?,
        }
        if kind != FileType::RegularFile {
            let is_link = kind == FileType::Symlink;
            give_at(stat, to.0, to.1, is_link, &mut self.told.lost).map_err(&failed)?;
            self.count(stat, false);
        }
        if stamp.is_settled(now) {
            self.known.stamps.insert(below.to_owned(), stamp);
        }
        let links = self.links.entry((stat.st_dev, stat.st_ino));
        links.or_insert_with(|| below.to_owned());
        Ok(Tried::Done)
    }

    fn file(
        &mut self,
        from: (BorrowedFd<'_>, &OsStr),
        was: &Stat,
        to: (BorrowedFd<'_>, &OsStr),
        below: &Path,
    ) -> Result<Tried, CopyError> {
        let failed = self.failed(below);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = match open_beneath(from.0, from.1, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(Tried::Again),
            Err(error) => return Err(failed(error)),
        };
        // Of what was opened everything is asked again: the name may have come to another.
        let stat = fstat(&file).map_err(&failed)?;
        let is_same = (stat.st_dev, stat.st_ino) == (was.st_dev, was.st_ino);
        if !is_same || FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Tried::Again);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let copy = open_beneath(to.0, to.1, flags, Mode::RUSR | Mode::WUSR).map_err(&failed)?;
        let filled = self.bytes(file.as_fd(), &stat, copy.as_fd(), below)?;
        let (like, its) = match &filled {
            Filled::Not => {
                drop(copy);
                remove(to.0, to.1).map_err(&failed)?;
                return Ok(Tried::Done);
            }
            Filled::Own => (file.as_fd(), &stat),
            Filled::Foreign(live, its) => (live.as_fd(), its),
        };
        give(like, its, copy.as_fd(), true, &mut self.told.lost).map_err(&failed)?;
        let now = fstat(&file).map_err(&failed)?;
        let by_ends = self.is_by_ends(&stat, below);
        if Stamp::of(&now) != Stamp::of(&stat) {
            // It is in use, and the second round copies it again, since its stamp is another.
            return Ok(match self.rules.is_closed {
                true => Tried::Again,
                false => {
                    self.count(&stat, by_ends);
                    Tried::Done
                }
            });
        }
        self.count(&stat, by_ends);
        if by_ends {
            self.told.ends.insert(below.to_owned());
        }
        Ok(Tried::Done)
    }

    /// Fills the copy.
    fn bytes(
        &mut self,
        file: BorrowedFd<'_>,
        stat: &Stat,
        copy: BorrowedFd<'_>,
        below: &Path,
    ) -> Result<Filled, CopyError> {
        let failed = self.failed(below);
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let is_over = self.rules.is_over;
        if let Some((ends, live)) = self.rules.ends
            && ends.contains(below)
        {
            return self.grown((file, stat), size, copy, live, below);
        }
        let done = match self.is_by_ends(stat, below) {
            true => contents::copy_ends(file, copy, size).map(|()| true),
            false => contents::copy(file, copy, size, &|| is_over()),
        };
        match done.map_err(failed)? {
            true => Ok(Filled::Own),
            false => Err(CopyError::of(&self.path(below), Cause::Over)),
        }
    }

    /// Fills the copy with the first `size` bytes of what grew since, if its ends are those of
    /// `file`; else with all that stands there now.
    ///
    /// NOBODY READS MORE BY IT. Whoever may write the data may have put a hard link to a file of
    /// somebody else's there: what is not as it was kept stays as its owner has it.
    fn grown(
        &mut self,
        (file, kept): (BorrowedFd<'_>, &Stat),
        size: u64,
        copy: BorrowedFd<'_>,
        live: &Place,
        below: &Path,
    ) -> Result<Filled, CopyError> {
        let Some(now) = open_below(live, below)? else {
            self.told.gone.push(below.to_owned());
            return Ok(Filled::Not);
        };
        let failed = self.failed(below);
        let stat = fstat(&now).map_err(&failed)?;
        let has = u64::try_from(stat.st_size).unwrap_or_default();
        let is_its = (stat.st_uid, stat.st_gid) == (kept.st_uid, kept.st_gid)
            && kept.st_mode & !stat.st_mode & 0o777 == 0;
        let is_same =
            has >= size && contents::same_ends(file, now.as_fd(), size).map_err(&failed)?;
        if !is_same || !is_its {
            self.told.other.push(below.to_owned());
        }
        let size = if is_same { size } else { has };
        let is_over = self.rules.is_over;
        match contents::copy(now.as_fd(), copy, size, &|| is_over()).map_err(&failed)? {
            true if is_its => Ok(Filled::Own),
            true => Ok(Filled::Foreign(now, stat)),
            false => Err(CopyError::of(&self.path(below), Cause::Over)),
        }
    }

    fn is_by_ends(&self, stat: &Stat, below: &Path) -> bool {
        is_by_ends(stat) && (self.rules.grows)(&self.path(below))
    }

    fn count(&mut self, stat: &Stat, by_ends: bool) {
        self.told.add(stat, by_ends);
    }
}

/// Opens the plain file `below` a place, each part beneath the one before; `None` if there is none.
pub(super) fn open_below(top: &Place, below: &Path) -> Result<Option<OwnedFd>, CopyError> {
    let path = top.path.join(below);
    let mut names: Vec<OsString> = vec![top.name.clone()];
    names.extend(below.iter().map(OsStr::to_owned));
    let Some(last) = names.pop() else {
        return Ok(None);
    };
    let done = names
        .iter()
        .try_fold(None::<OwnedFd>, |here, name| {
            let here = here.as_ref().map_or(top.directory.as_fd(), AsFd::as_fd);
            open_own_directory(here, name).map(Some)
        })
        .and_then(|here| {
            let here = here.as_ref().map_or(top.directory.as_fd(), AsFd::as_fd);
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            open_beneath(here, &last, flags, Mode::empty())
        });
    match done {
        Ok(file) => {
            let stat = fstat(&file).map_err(|error| CopyError::kernel(&path, error))?;
            let is_plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            Ok(is_plain.then_some(file))
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(error) => Err(CopyError::kernel(&path, error)),
    }
}

fn is_by_ends(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && u64::try_from(stat.st_size).is_ok_and(|size| size >= WHOLE)
}

impl Told {
    fn add(&mut self, stat: &Stat, by_ends: bool) {
        let number = |n: i64| u64::try_from(n).unwrap_or_default();
        let (size, blocks) = (number(stat.st_size), number(stat.st_blocks) * 512);
        let is_plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        self.files += 1;
        let (bytes, room) = match by_ends {
            true => (2 * ENDS, 2 * ENDS),
            // A small file may take no block here, and one in the copy.
            false => (
                if blocks == 0 { size } else { size.min(blocks) },
                blocks.max(BLOCK),
            ),
        };
        self.bytes += if is_plain { bytes } else { 0 };
        self.room += room;
    }
}

/// How many files a copy would have, and how many bytes they would take, as far as it can be seen:
/// what cannot be looked at is told when it is copied.
pub fn measure(from: &Place, rules: &Rules<'_>) -> Told {
    let mut told = Told::default();
    add(
        (from.directory.as_fd(), &from.name),
        &from.path,
        rules,
        &mut told,
    );
    told
}

fn add(from: (BorrowedFd<'_>, &OsStr), path: &Path, rules: &Rules<'_>, told: &mut Told) {
    let Ok(Some(stat)) = is_there(from.0, from.1) else {
        return;
    };
    if (rules.without)(path) || (rules.is_over)() {
        return;
    }
    told.add(&stat, is_by_ends(&stat) && (rules.grows)(path));
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && let Ok(inside) = open_own_directory(from.0, from.1)
    {
        for name in read_names(&inside).unwrap_or_default() {
            add((inside.as_fd(), &name), &path.join(&name), rules, told);
        }
    }
}
