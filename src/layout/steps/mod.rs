//! One step from an installation to the layout, and its way back.
//!
//! **Invariants.** Each step can be made again where it was made, wholly or in part, and taken back
//! as well. Names are looked up in an opened directory, which is reached through no link, and by one
//! part: who may write the list manager's directories leads us nowhere. Nothing is overwritten.

/// A directory that was exchanged for a link comes back.
mod back;

use std::fmt;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fsync, mkdirat, openat,
    openat2, readlinkat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use serde::{Deserialize, Serialize};

/// One change on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// A directory is made.
    Directory {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// A link is made.
    Link {
        /// Where.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// A directory moves, and a link to where it is stays in its place, in one instant.
    Exchange {
        /// Where it was.
        from: PathBuf,
        /// Where it goes.
        to: PathBuf,
        /// Which one it is: its device.
        dev: u64,
        /// Its inode.
        ino: u64,
    },
    /// A file or a directory moves.
    Move {
        /// Where it was.
        from: PathBuf,
        /// Where it goes; nothing may be there.
        to: PathBuf,
    },
    /// A file is written.
    File {
        /// Where.
        path: PathBuf,
        /// What stands in it.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
}

/// What became of a step that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// It is as it was before.
    Done,
    /// Something of somebody else's stays, and where.
    Left(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Directory { path, mode, .. } => {
                write!(f, "make the directory {path:?}, mode {mode:04o}")
            }
            Step::Link { path, to } => write!(f, "make the link {path:?} to {to:?}"),
            Step::Exchange { from, to, .. } => write!(
                f,
                "move {from:?} to {to:?}, and leave a link in its place, in one instant"
            ),
            Step::Move { from, to } => write!(f, "move {from:?} to {to:?}"),
            Step::File { path, text, .. } if text.is_empty() => {
                write!(f, "make the empty file {path:?}")
            }
            Step::File { path, .. } => write!(f, "write {path:?}"),
        }
    }
}

impl Step {
    /// How it is taken back, for people.
    pub fn way_back(&self) -> String {
        match self {
            Step::Directory { .. } => "remove it, if nothing else is in it".to_owned(),
            Step::Link { .. } => "remove the link".to_owned(),
            Step::Exchange { .. } => {
                "exchange the two again, with all that is in it by then, and remove the link"
                    .to_owned()
            }
            Step::Move { from, .. } => format!("move it to {from:?} again"),
            Step::File { .. } => "remove it; where somebody edited it, it is kept".to_owned(),
        }
    }

    /// The directories in which it changes names, whose times it puts back.
    pub fn holders(&self) -> Vec<PathBuf> {
        let paths = match self {
            Step::Directory { path, .. } | Step::Link { path, .. } | Step::File { path, .. } => {
                vec![path]
            }
            Step::Exchange { from, to, .. } | Step::Move { from, to } => vec![from, to],
        };
        let holders = paths.into_iter().filter_map(|path| path.parent());
        holders.map(Path::to_owned).collect()
    }

    /// Makes it; nothing is done where it is made.
    ///
    /// # Errors
    /// The kernel's; or what stands there is not what was looked at.
    pub fn make(&self) -> io::Result<()> {
        match self {
            Step::Directory {
                path,
                uid,
                gid,
                mode,
            } => make_directory(&Name::of(path)?, (*uid, *gid), *mode),
            Step::Link { path, to } => make_link(&Name::of(path)?, to),
            Step::Exchange { from, to, dev, ino } => {
                exchange(&Name::of(from)?, &Name::of(to)?, (*dev, *ino))
            }
            Step::Move { from, to } => shift(&Name::of(from)?, &Name::of(to)?),
            Step::File { path, text, mode } => write(&Name::of(path)?, text, *mode),
        }
    }

    /// Takes it back; nothing is done where it was not made.
    ///
    /// # Errors
    /// The kernel's; or somebody put something else in its place.
    pub fn take_back(&self) -> io::Result<Back> {
        match self {
            Step::Directory { path, .. } => remove_directory(path),
            Step::Link { path, to } => {
                let Some(name) = Name::if_there(path)? else {
                    return Ok(Back::Done);
                };
                match name.is_link_to(to)? {
                    true => name.unlink(AtFlags::empty()).map(|()| Back::Done),
                    false if name.stat()?.is_none() => Ok(Back::Done),
                    false => Ok(Back::Left(format!(
                        "{path:?}: it is not the link that was made"
                    ))),
                }
            }
            Step::Exchange { from, to, .. } => back::exchange(&Name::of(from)?, &Name::of(to)?),
            Step::Move { from, to } => shift_back(from, to),
            Step::File { path, text, .. } => remove_file(path, text),
        }
    }
}

/// A name in an opened directory.
struct Name {
    holder: OwnedFd,
    name: std::ffi::OsString,
    path: PathBuf,
}

impl Name {
    fn of(path: &Path) -> io::Result<Name> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::other(format!(
                "{path:?} is no path in a directory"
            )));
        };
        let holder = directory(parent).map_err(|error| at(parent, error))?;
        Ok(Name {
            holder,
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// `None` where the directory that it was in is gone.
    fn if_there(path: &Path) -> io::Result<Option<Name>> {
        match Name::of(path) {
            Ok(name) => Ok(Some(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What stands there, links not followed.
    fn stat(&self) -> io::Result<Option<Stat>> {
        match statat(&self.holder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(at(&self.path, error)),
        }
    }

    fn is_directory(&self) -> io::Result<bool> {
        let is_directory = |stat: Stat| FileType::from_raw_mode(stat.st_mode).is_dir();
        Ok(self.stat()?.is_some_and(is_directory))
    }

    fn is(&self, (dev, ino): (u64, u64)) -> io::Result<bool> {
        let is_it = |stat: Stat| (stat.st_dev, stat.st_ino) == (dev, ino);
        Ok(self.stat()?.is_some_and(is_it))
    }

    fn is_link_to(&self, to: &Path) -> io::Result<bool> {
        match readlinkat(&self.holder, &self.name, Vec::new()) {
            Ok(text) => Ok(text.as_bytes() == to.as_os_str().as_bytes()),
            Err(Errno::NOENT | Errno::INVAL) => Ok(false),
            Err(error) => Err(at(&self.path, error)),
        }
    }

    fn unlink(&self, flags: AtFlags) -> io::Result<()> {
        unlinkat(&self.holder, &self.name, flags).map_err(|error| at(&self.path, error))?;
        self.sync()
    }

    fn link(&self, to: &Path) -> io::Result<()> {
        symlinkat(to, &self.holder, &self.name).map_err(|error| at(&self.path, error))
    }

    fn rename(&self, to: &Name, flags: RenameFlags) -> io::Result<()> {
        renameat_with(&self.holder, &self.name, &to.holder, &to.name, flags)
            .map_err(|error| at(&self.path, error))
    }

    fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // A directory that we may change and not read: its names go to disk by themselves.
        match openat(&self.holder, ".", flags, Mode::empty()) {
            Ok(holder) => fsync(holder).map_err(|error| at(&self.path, error)),
            Err(Errno::ACCESS) => Ok(()),
            Err(error) => Err(at(&self.path, error)),
        }
    }

    fn other(&self) -> io::Error {
        io::Error::other(format!("{:?} is not what was looked at", self.path))
    }
}

/// Opens a directory by a path that passes through no link.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(CWD, path, flags, Mode::empty(), resolve)?)
}

fn at(path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{path:?}: {error}"))
}

fn make_directory(name: &Name, (uid, gid): (u32, u32), mode: u32) -> io::Result<()> {
    match mkdirat(&name.holder, &name.name, Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::EXIST) if name.is_directory()? => {}
        Err(error) => return Err(at(&name.path, error)),
    }
    // Everybody may write where we made it, perhaps: what stands there now must be a directory.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(&name.holder, &name.name, flags, Mode::empty());
    let made = made.map_err(|error| at(&name.path, error))?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    match rustix::fs::fchown(&made, Some(uid), Some(gid)) {
        // Not root: it is ours, and its group one that we have.
        Err(Errno::PERM) => {}
        done => done.map_err(|error| at(&name.path, error))?,
    }
    rustix::fs::fchmod(&made, Mode::from_raw_mode(mode)).map_err(|error| at(&name.path, error))?;
    name.sync()
}

fn make_link(name: &Name, to: &Path) -> io::Result<()> {
    if !name.is_link_to(to)? {
        name.link(to)?;
    }
    name.sync()
}

/// The directory goes to where a link to that place stood, and the link to where it was.
fn exchange(from: &Name, to: &Name, id: (u64, u64)) -> io::Result<()> {
    if from.is_link_to(&to.path)? && to.is_directory()? {
        return to.sync().and_then(|()| from.sync());
    }
    if !from.is(id)? {
        return Err(from.other());
    }
    make_link(to, &to.path)?;
    from.rename(to, RenameFlags::EXCHANGE)?;
    if !to.is(id)? {
        // Somebody was faster; he gets back what is his.
        from.rename(to, RenameFlags::EXCHANGE)?;
        return Err(from.other());
    }
    to.sync().and_then(|()| from.sync())
}

fn shift(from: &Name, to: &Name) -> io::Result<()> {
    if from.stat()?.is_none() && to.stat()?.is_some() {
        return Ok(());
    }
    from.rename(to, RenameFlags::NOREPLACE)?;
    to.sync().and_then(|()| from.sync())
}

/// What stands under its new name by now goes back: it may have been edited.
fn shift_back(from: &Path, to: &Path) -> io::Result<Back> {
    let (Some(was), Some(is)) = (Name::if_there(from)?, Name::if_there(to)?) else {
        return Ok(Back::Left(format!("{from:?}: it is gone from {to:?}")));
    };
    match (was.stat()?, is.stat()?) {
        (None, Some(_)) => {
            is.rename(&was, RenameFlags::NOREPLACE)?;
            was.sync().and_then(|()| is.sync())?;
            Ok(Back::Done)
        }
        (Some(_), None) => Ok(Back::Done),
        (Some(_), Some(_)) => Ok(Back::Left(format!("{to:?}: {from:?} is there, too"))),
        (None, None) => Ok(Back::Left(format!("{from:?}: it is gone from {to:?}"))),
    }
}

fn write(name: &Name, text: &str, mode: u32) -> io::Result<()> {
    if let Some(stat) = name.stat()? {
        return match FileType::from_raw_mode(stat.st_mode).is_file() && holds(name, text)? {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "{:?} is there already",
                name.path
            ))),
        };
    }
    let beside = beside(&name.path, ".init");
    let new = Name::of(&beside)?;
    if new.stat()?.is_some() {
        new.unlink(AtFlags::empty())?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&new.holder, &new.name, flags, Mode::RUSR | Mode::WUSR);
    let mut file = std::fs::File::from(file.map_err(|error| at(&new.path, error))?);
    file.write_all(text.as_bytes())?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    file.sync_all()?;
    new.rename(name, RenameFlags::NOREPLACE)?;
    name.sync()
}

/// Whether this and nothing else stands in the file.
fn holds(name: &Name, text: &str) -> io::Result<bool> {
    use std::io::Read;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&name.holder, &name.name, flags, Mode::empty());
    let file = std::fs::File::from(file.map_err(|error| at(&name.path, error))?);
    let mut found = Vec::new();
    file.take(text.len() as u64 + 1).read_to_end(&mut found)?;
    Ok(found == text.as_bytes())
}

fn beside(path: &Path, tail: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}{tail}"))
}

fn remove_file(path: &Path, text: &str) -> io::Result<Back> {
    let Some(name) = Name::if_there(path)? else {
        return Ok(Back::Done);
    };
    // A kill may have left what was to become it.
    let new = Name::of(&beside(path, ".init"))?;
    if new.stat()?.is_some() {
        new.unlink(AtFlags::empty())?;
    }
    match name.stat()? {
        None => return Ok(Back::Done),
        Some(stat) if FileType::from_raw_mode(stat.st_mode).is_file() && holds(&name, text)? => {
            return name.unlink(AtFlags::empty()).map(|()| Back::Done);
        }
        Some(_) => {}
    }
    for number in 0..100 {
        let kept = match number {
            0 => beside(path, ".undone"),
            more => beside(path, &format!(".undone-{more}")),
        };
        match name.rename(&Name::of(&kept)?, RenameFlags::NOREPLACE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => {
                done?;
                return Ok(Back::Left(format!(
                    "{kept:?}: {path:?} as it was edited meanwhile"
                )));
            }
        }
    }
    Err(io::Error::other(format!(
        "{path:?} was edited, and cannot be kept under another name"
    )))
}

fn remove_directory(path: &Path) -> io::Result<Back> {
    let Some(name) = Name::if_there(path)? else {
        return Ok(Back::Done);
    };
    match unlinkat(&name.holder, &name.name, AtFlags::REMOVEDIR) {
        Ok(()) => name.sync().map(|()| Back::Done),
        Err(Errno::NOENT) => Ok(Back::Done),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(Back::Left(format!(
            "{path:?}: something is in it that was not made here"
        ))),
        Err(error) => Err(at(path, error)),
    }
}
