//! The lock file: its byte ranges, and who may rely on them.
//!
//! The locks belong to the open file (fcntl(2), "open file description locks"): they pass
//! through exec and to children, and end with the last descriptor.
//!
//! **Invariants.** What a byte stands for is known to `doors` alone. Nothing here waits. The
//! file's bytes are never read nor written; it is made elsewhere (`store`).

#![expect(
    unsafe_code,
    reason = "std knows neither fcntl's byte ranges, nor numbers for a copy, nor fstatfs"
)]

use std::ffi::{c_int, c_short};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::span::Span;

/// Above what scripts name (3 to 9) and what shells take for themselves (dash 10 and on); below
/// bash's 255 and the usual limit of open files.
const OUT_OF_THE_WAY: c_int = 200;

/// Bytes of the lock file: the first one, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first byte.
    pub start: u64,
    /// How many bytes, at least 1.
    pub length: u64,
}

impl Range {
    /// Whether they have a byte in common.
    pub const fn overlaps(self, other: Range) -> bool {
        self.start < other.start + other.length && other.start < self.start + self.length
    }

    /// Whether every byte of the other one is in it.
    pub const fn covers(self, other: Range) -> bool {
        self.start <= other.start && other.start + other.length <= self.start + self.length
    }
}

/// Why nobody could come in, or no door be closed. Every variant defers mail.
#[derive(Debug)]
pub enum DoorError {
    /// The lock file is not there: an older mm-deliver knew none, or somebody removed it.
    Missing(PathBuf),
    /// It cannot be opened, looked at or locked.
    File(PathBuf, io::Error),
    /// It is no plain file.
    NotFile(PathBuf),
    /// It lies on a network file system of this name, whose locks hold up others or nobody.
    Network(PathBuf, &'static str),
    /// The list is being moved, and the time to wait for that is over.
    Closed(Span),
    /// Again and again another file stood at its path.
    Swapped(PathBuf),
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DoorError::Missing(path) => {
                write!(
                    f,
                    "the lock file {path:?} is missing: mm-parity init makes it"
                )
            }
            DoorError::File(path, error) => write!(f, "cannot lock {path:?}: {error}"),
            DoorError::NotFile(path) => write!(f, "cannot lock {path:?}: it is not a plain file"),
            DoorError::Network(path, name) => write!(
                f,
                "cannot rely on locks of {path:?}: it lies on a network file system ({name})"
            ),
            DoorError::Closed(wait) => {
                write!(f, "the list is being moved, for more than {wait} by now")
            }
            DoorError::Swapped(path) => write!(f, "cannot lock {path:?}: it is being replaced"),
        }
    }
}

impl std::error::Error for DoorError {}

impl DoorError {
    /// The lock file, where that is at fault.
    pub fn path(&self) -> Option<&Path> {
        match self {
            DoorError::Missing(path)
            | DoorError::File(path, _)
            | DoorError::NotFile(path)
            | DoorError::Network(path, _)
            | DoorError::Swapped(path) => Some(path),
            DoorError::Closed(_) => None,
        }
    }
}

/// The lock file, open and on a file system whose locks can be relied on.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl LockFile {
    /// Opens it as one who comes in: for shared locks.
    ///
    /// # Errors
    /// `Missing`, `File`, `NotFile`, `Network`.
    pub fn open(path: &Path) -> Result<LockFile, DoorError> {
        LockFile::open_for(path, OpenOptions::new().read(true))
    }

    /// Opens it as one who moves lists: for exclusive locks.
    ///
    /// # Errors
    /// As [`LockFile::open`].
    pub fn open_to_close_doors(path: &Path) -> Result<LockFile, DoorError> {
        LockFile::open_for(path, OpenOptions::new().read(true).write(true))
    }

    fn open_for(path: &Path, options: &mut OpenOptions) -> Result<LockFile, DoorError> {
        let failed = |error| DoorError::File(path.to_owned(), error);
        let options = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DoorError::Missing(path.to_owned()));
            }
            other => other.map_err(failed)?,
        };
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(DoorError::NotFile(path.to_owned()));
        }
        match network(&file).map_err(failed)? {
            Some(name) => Err(DoorError::Network(path.to_owned(), name)),
            None => Ok(LockFile {
                file,
                path: path.to_owned(),
            }),
        }
    }

    /// The file system and the number there, by which it is told from every other file.
    ///
    /// # Errors
    /// `File`.
    pub fn place(&self) -> Result<(u64, u64), DoorError> {
        let meta = self.file.metadata();
        let meta = meta.map_err(|error| DoorError::File(self.path.clone(), error))?;
        Ok((meta.dev(), meta.ino()))
    }

    /// Whether it is still what stands at its path.
    pub fn is_at_its_path(&self) -> bool {
        let there = fs::symlink_metadata(&self.path).map(|meta| (meta.dev(), meta.ino()));
        matches!((self.place(), there), (Ok(here), Ok(there)) if here == there)
    }

    /// Whether anybody else holds a lock on a byte of `range`.
    ///
    /// # Errors
    /// `File`.
    pub fn is_held(&self, range: Range) -> Result<bool, DoorError> {
        let found = call(&self.file, libc::F_OFD_GETLK, libc::F_WRLCK, range);
        let found = found.map_err(|error| DoorError::File(self.path.clone(), error))?;
        Ok(c_int::from(found.l_type) != libc::F_UNLCK)
    }

    /// Whether anybody else holds an exclusive lock on a byte of `range`.
    ///
    /// # Errors
    /// `File`.
    pub fn is_excluded(&self, range: Range) -> Result<bool, DoorError> {
        let found = call(&self.file, libc::F_OFD_GETLK, libc::F_RDLCK, range);
        let found = found.map_err(|error| DoorError::File(self.path.clone(), error))?;
        Ok(c_int::from(found.l_type) != libc::F_UNLCK)
    }

    /// Takes a shared lock, if nobody has an exclusive one: whether it was had.
    ///
    /// # Errors
    /// `File`.
    pub fn try_share(&self, range: Range) -> Result<bool, DoorError> {
        self.lock(libc::F_RDLCK, range)
    }

    /// Takes an exclusive lock, if nobody has any: whether it was had.
    ///
    /// # Errors
    /// `File`.
    pub fn try_exclude(&self, range: Range) -> Result<bool, DoorError> {
        self.lock(libc::F_WRLCK, range)
    }

    /// Lets go of a lock.
    ///
    /// # Errors
    /// `File`.
    pub fn release(&self, range: Range) -> Result<(), DoorError> {
        self.lock(libc::F_UNLCK, range).map(drop)
    }

    /// The same open file under a number that no script of a list manager's uses by itself:
    /// `exec 3>>log` would let go of a lock that is 3. Where so many may not be open, it stays.
    #[must_use]
    pub fn out_of_the_way(self) -> LockFile {
        let here = self.file.as_raw_fd();
        // SAFETY: touches no memory.
        let found = unsafe { libc::fcntl(here, libc::F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) };
        if found == -1 {
            return self;
        }
        // SAFETY: the descriptor is new and nobody else's.
        let file = unsafe { File::from_raw_fd(found) };
        LockFile { file, ..self }
    }

    fn lock(&self, kind: c_int, range: Range) -> Result<bool, DoorError> {
        let failed = |error| DoorError::File(self.path.clone(), error);
        match call(&self.file, libc::F_OFD_SETLK, kind, range) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// One of fcntl's calls for locks; returns what it left in the struct.
fn call(file: &File, command: c_int, kind: c_int, range: Range) -> io::Result<libc::flock> {
    const { assert!(size_of::<libc::off_t>() == 8, "offsets of 64 bits") };
    let (Ok(l_type), Ok(l_start), Ok(l_len)) = (
        c_short::try_from(kind),
        libc::off_t::try_from(range.start),
        libc::off_t::try_from(range.length),
    ) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: plain data, for which all zeroes is a valid value; l_pid must be 0 here.
    let mut wanted: libc::flock = unsafe { std::mem::zeroed() };
    wanted.l_type = l_type;
    wanted.l_whence = 0; // SEEK_SET
    wanted.l_start = l_start;
    wanted.l_len = l_len;
    // SAFETY: the descriptor is open, and the struct is the one that these commands take.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut wanted) } {
        0 => Ok(wanted),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The network file systems, by the number that statfs(2) has for them. Their locks are their
/// server's or nobody's, and a server that is away would hold all mail up without an answer.
/// FUSE is none of them: where its programs know no locks, the kernel's own are taken.
///
/// Source: linux/magic.h; fs/smb/client/cifsglob.h; fs/afs/internal.h.
const NETWORK: [(u64, &str); 10] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "afs"),
    (0x7375_7245, "coda"),
    (0x0bd0_0bd0, "lustre"),
];

fn network(file: &File) -> io::Result<Option<&'static str>> {
    // SAFETY: plain data, for which all zeroes is a valid value.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the struct is as large as the kernel fills it.
    if unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "the type of the number differs by machine; its 32 bits do not"
    )]
    let magic = u64::from(found.f_type as u32);
    Ok(name_of(magic))
}

fn name_of(magic: u64) -> Option<&'static str> {
    let known = NETWORK.iter().find(|&&(number, _)| number == magic);
    known.map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_number() {
        assert_eq!(name_of(0x6969), Some("nfs"));
        assert_eq!(name_of(0xff53_4d42), Some("cifs"));
        assert_eq!(name_of(0xef53), None); // ext4
        assert_eq!(name_of(0x0102_1994), None); // tmpfs
    }
}
