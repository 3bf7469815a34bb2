//! One queue's directory: the names in it, and what stands in a file.
//!
//! **Invariants.** Held open: whoever swaps the directory or a file for a link in the meantime
//! leads us nowhere. Opening waits for nobody (a FIFO), and reading is bounded.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Place, QueueError};

/// With so many names in it nobody waits for a queue, and their memory is bounded.
pub(super) const MOST: usize = 1_000_000;
/// Behind the message stands what the list manager noted of it, and that is short.
const TAIL: u64 = 64 * 1024;
/// No entry is read further than this.
const WHOLE: u64 = 64 * 1024 * 1024;

/// A directory that is there.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    handle: OwnedFd,
}

/// What became of a file that was to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// The end of it, or all.
    Bytes(Vec<u8>),
    /// It is gone, or has another name by now.
    Gone,
    /// It is no plain file, or may not be read.
    Refused,
}

impl Directory {
    /// Opens it; `None` if it was never made.
    ///
    /// # Errors
    /// It cannot be opened, is a link, or is missing with the directory that it should be in.
    pub(super) fn open(place: &Place) -> Result<Option<Directory>, QueueError> {
        let path = place.path.clone();
        let read = |path: PathBuf, error: Errno| QueueError::Read(path, error.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Ok(handle) => Ok(Some(Directory { path, handle })),
            Err(Errno::NOENT) => match rustix::fs::stat(&place.within) {
                Ok(_) => Ok(None),
                Err(error) => Err(read(place.within.clone(), error)),
            },
            Err(error @ (Errno::LOOP | Errno::NOTDIR)) => match path.symlink_metadata() {
                Ok(meta) if meta.is_symlink() => Err(QueueError::Link(path)),
                _ => Err(read(path, error)),
            },
            Err(error) => Err(read(path, error)),
        }
    }

    /// Every name in it, in no order.
    ///
    /// # Errors
    /// It cannot be read to its end, or holds too many.
    pub(super) fn names(&self) -> Result<Vec<OsString>, QueueError> {
        let read = |error: Errno| QueueError::Read(self.path.clone(), error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == MOST {
                return Err(QueueError::Crowded(self.path.clone()));
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        Ok(names)
    }

    /// When a plain file was written; `None` if it is gone or no such file.
    pub(super) fn written(&self, name: &OsStr) -> Option<SystemTime> {
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        is_plain.then(|| UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// A number that is another one once a file of these is another one, or was written to: what
    /// the file system says of each, without opening it.
    pub(super) fn mark(&self, names: &[OsString]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for name in names {
            let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok();
            // The time of the last change of any kind: nobody sets that as he likes.
            let mark = stat.map(|it| (it.st_ino, it.st_size, it.st_ctime, it.st_ctime_nsec));
            mark.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The last bytes of a file, which are all that most need.
    pub(super) fn tail(&self, name: &OsStr) -> Text {
        self.read(name, TAIL)
    }

    /// As much of a file as is ever read.
    pub(super) fn whole(&self, name: &OsStr) -> Text {
        self.read(name, WHOLE)
    }

    fn read(&self, name: &OsStr, most: u64) -> Text {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::NOENT) => return Text::Gone,
            Err(_) => return Text::Refused,
        };
        let Some(size) = file
            .metadata()
            .ok()
            .filter(|meta| meta.is_file())
            .map(|meta| meta.len())
        else {
            return Text::Refused;
        };
        let mut bytes = Vec::new();
        let start = SeekFrom::Start(size.saturating_sub(most));
        let done = file
            .seek(start)
            .and_then(|_| file.take(most).read_to_end(&mut bytes));
        match done {
            Ok(_) => Text::Bytes(bytes),
            Err(_) => Text::Refused,
        }
    }

    /// The path of a file in it, for people.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(name.as_bytes()))
    }
}
