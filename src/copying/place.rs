//! The way to a file: from the root, one directory after the other, each opened beneath the one
//! before.
//!
//! **Invariants.** A link is followed only if root or who runs us made it: such a link is the
//! admin's word, for archives on another disk, say. Whoever puts another one in its place is its
//! owner, and it is not followed. What is beneath a list's data is opened without any link.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, mkdirat, openat, openat2,
    readlinkat, statat,
};
use rustix::io::Errno;

use super::{Cause, CopyError};
use crate::accounts;

/// More links than this on one way are a circle.
const MOST_LINKS: usize = 40;

/// A name in a directory that is open.
#[derive(Debug)]
pub struct Place {
    /// The directory; as a rule good for nothing but to reach what is in it.
    pub directory: OwnedFd,
    /// The name in it.
    pub name: OsString,
    /// How one would write it, for people.
    pub path: PathBuf,
}

impl Place {
    /// The place at the absolute `path`; whether anything stands there is another question.
    ///
    /// # Errors
    /// A directory on the way is not there, or is behind somebody's link; `path` has no name.
    pub fn find(path: &Path) -> Result<Place, CopyError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(CopyError::kernel(path, Errno::INVAL));
        };
        Ok(Place {
            directory: open_directory(parent)?,
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// The same place, or the one that links of root's or ours lead to from there; it keeps its path
    /// for people.
    ///
    /// # Errors
    /// The link is somebody else's, or leads nowhere.
    pub fn real(mut self) -> Result<Place, CopyError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..MOST_LINKS {
            let failed = |error: Errno| CopyError::kernel(&self.path, error);
            let link = match openat(&self.directory, &self.name, flags, Mode::empty()) {
                Ok(link) => link,
                Err(Errno::NOENT) => return Ok(self),
                Err(error) => return Err(failed(error)),
            };
            let stat = fstat(&link).map_err(failed)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                return Ok(self);
            }
            if !is_our_word(&stat) {
                break;
            }
            let target = readlinkat(&link, "", Vec::new()).map_err(failed)?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            let Some(name) = target.file_name() else {
                break;
            };
            let parent = target.parent().unwrap_or(Path::new(""));
            self.directory = walk(Some(&self.directory), parent, &self.path)?;
            self.name = name.to_owned();
        }
        Err(CopyError::of(&self.path, Cause::Link))
    }

    /// What stands there; `None` if nothing does.
    ///
    /// # Errors
    /// The kernel's.
    pub fn look(&self) -> Result<Option<Stat>, CopyError> {
        is_there(&self.directory, &self.name).map_err(|error| CopyError::kernel(&self.path, error))
    }
}

/// What stands at `name` in a directory, not followed; `None` if nothing does.
///
/// # Errors
/// The kernel's.
pub fn is_there(directory: impl AsFd, name: &OsStr) -> Result<Option<Stat>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens the directory at the absolute `path`, to reach what is in it.
///
/// # Errors
/// As [`Place::find`].
pub fn open_directory(path: &Path) -> Result<OwnedFd, CopyError> {
    walk(None, path, path)
}

/// Whether whoever made a link may say where data are.
fn is_our_word(link: &Stat) -> bool {
    link.st_uid == 0 || link.st_uid == accounts::runner()
}

/// Opens the directory at `path`, seen from `from` or from the root; `told` is for people.
fn walk(from: Option<&OwnedFd>, path: &Path, told: &Path) -> Result<OwnedFd, CopyError> {
    let failed = |error: Errno| CopyError::kernel(told, error);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = || openat(CWD, "/", flags | OFlags::DIRECTORY, Mode::empty()).map_err(failed);
    let mut here = match from.filter(|_| path.is_relative()) {
        Some(from) => {
            openat(from, ".", flags | OFlags::DIRECTORY, Mode::empty()).map_err(failed)?
        }
        None => root()?,
    };
    let mut way: VecDeque<OsString> = parts(path);
    let mut links = 0;
    while let Some(part) = way.pop_front() {
        let next = openat(&here, &part, flags, Mode::empty()).map_err(failed)?;
        let stat = fstat(&next).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            here = next;
            continue;
        }
        links += 1;
        if !is_our_word(&stat) || links > MOST_LINKS {
            return Err(CopyError::of(told, Cause::Link));
        }
        let target = readlinkat(&next, "", Vec::new()).map_err(failed)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            here = root()?;
        }
        for part in parts(&target).into_iter().rev() {
            way.push_front(part);
        }
    }
    // Of a path that ends in a plain file.
    let stat = fstat(&here).map_err(failed)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(here),
        _ => Err(failed(Errno::NOTDIR)),
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// Opens `name` beneath `directory`; the name is one part, and no link.
pub(super) fn open_beneath(
    directory: impl AsFd,
    name: &OsStr,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    loop {
        match openat2(directory.as_fd(), name, flags, mode, resolve) {
            // A rename elsewhere on the way; the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Opens the directory `name` in one that is open, whoever's it is.
///
/// # Errors
/// It is not there, or is no directory.
pub fn open_own_directory(directory: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    open_beneath(directory, name, flags, Mode::empty())
}

/// Makes the directory `name`, that only we can enter, and opens it.
///
/// # Errors
/// The kernel's; `EXIST` if something stands there.
pub fn make_directory(directory: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    mkdirat(&directory, name, Mode::RWXU)?;
    let made = open_own_directory(&directory, name)?;
    // IS IT OURS? Who may write the directory may have put another one there.
    let stat = fstat(&made)?;
    match stat.st_uid == accounts::runner() {
        true => Ok(made),
        false => Err(Errno::PERM),
    }
}

/// The names in a directory that was opened to be read, sorted.
///
/// # Errors
/// The kernel's.
pub fn read_names(directory: impl AsFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}
