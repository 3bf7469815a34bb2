//! Reads an aliases file from disk and replaces it, whole, in one instant.
//!
//! Order of events: [`Original::read`]; the caller edits in memory; [`Original::prepare`] writes a
//! temporary file beside it that looks like it in all but bytes (owner, mode, ACL, extended
//! attributes) and syncs it; [`Prepared::exchange`] compares the original with what was read, swaps
//! the two names (RENAME_EXCHANGE) and compares what came out; [`crate::Exchanged::keep`] removes the old
//! file and syncs the directory, or [`crate::Exchanged::put_back`] swaps back. [`replace`] is all of it.
//!
//! IN PLACE. Who has the file open for writing may have written half of it, and will write the rest
//! into whatever file he opened. So a text that somebody has open is waited for ([`WAIT`]) and then
//! refused ([`FileError::Held`]); and if what came out of the exchange is open, it goes back.
//!
//! **Invariants**: the file is never written in place and never missing. What another editor wrote
//! is never deleted: if one was faster, its file stands again and the caller is told to start over.
//! A failure at any point leaves the old bytes or the new ones ([`FileError::stands`]). The umask
//! changes nothing. The grammar of the file is nobody's business here.
//!
//! Precondition: writers that use this crate on one file exclude each other by a lock of theirs.
//!
//! | killed | on disk | a reader sees | mended by |
//! |---|---|---|---|
//! | while the temporary file is written | old, part of a temporary file | old | the next `prepare` removes it |
//! | before the exchange | old, the whole temporary file | old | the same |
//! | after it, before what came out was compared | new; the temporary name holds what stood before | new | the next `prepare`: removed if it is what was read, set aside as `NAME.kept-INODE` if it was another editor's |
//! | before the directory was synced | new | new; after a power cut old or new | the next `prepare`, as above |
//!
//! Where the file system cannot exchange ([`crate::Method::Renamed`]), the file is compared and then
//! replaced by rename(2): an editor that saves between these two loses its change. Where the kernel
//! gives no leases (`held`), an editor that holds the *old* file open and writes into it later
//! writes into nothing, as with every program that replaces files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::disk::error::FileError;
use crate::disk::held;
use crate::disk::leftover::{self};

/// How much of a file is read at a time to compare it, in bytes.
const COMPARED: usize = 256 * 1024;

/// How long somebody who is writing the file is waited for.
const WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether he is done.
const STEP: Duration = Duration::from_millis(50);

/// A file as it was read.
#[derive(Debug, Clone)]
pub struct Original {
    path: PathBuf,
    real: PathBuf,
    bytes: Arc<Vec<u8>>,
    identity: Identity,
    /// How many names it has.
    names: u64,
    mode: u32,
    owner: (u32, u32),
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    pub(crate) inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    #[expect(
        clippy::unnecessary_cast,
        clippy::cast_possible_wrap,
        reason = "the types differ by platform"
    )]
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// The same file with the same bytes, as far as a name's change (which sets ctime) allows.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        Self {
            changed: (0, 0),
            ..*self
        } == Self {
            changed: (0, 0),
            ..*other
        }
    }
}

impl Original {
    /// Reads a file, through symbolic links; one that somebody is writing, when he is done.
    ///
    /// # Errors
    /// `Read`; `NotRegular`; `Held` if he was not done in time; `Changed` if it changed again and
    /// again while it was read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let until = Instant::now() + WAIT;
        let mut looks_first = false;
        loop {
            match Self::read_once(path, looks_first) {
                Err(FileError::Held { .. } | FileError::Changed { .. })
                    if Instant::now() < until =>
                {
                    looks_first = true;
                    thread::sleep(STEP);
                }
                Err(FileError::Held { path, .. }) => {
                    let by = fs::canonicalize(&path).map(|real| held::holders(&real));
                    let by = by.unwrap_or_default();
                    return Err(FileError::Held { path, by });
                }
                done => return done,
            }
        }
    }

    /// The same, without waiting for anybody.
    ///
    /// `looks_first`: to spare the reading of a file that is open for writing anyway.
    ///
    /// # Errors
    /// As [`read`](Self::read), at once.
    pub(crate) fn read_once(path: &Path, looks_first: bool) -> Result<Self, FileError> {
        let is_held = |file: &File| match held::is_held(file) {
            true => Err(FileError::Held {
                path: path.to_owned(),
                by: Vec::new(),
            }),
            false => Ok(()),
        };
        let failed = |source: io::Error| FileError::Read {
            path: path.to_owned(),
            source,
        };
        let real = fs::canonicalize(path).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor =
            rustix::fs::open(&real, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let mut file = File::from(descriptor);
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular {
                path: path.to_owned(),
            });
        }
        if looks_first {
            is_held(&file)?;
        }
        let before = stat(&file).map_err(failed)?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes).map_err(failed)?;
        // Asked before the times are compared: who was there and is gone has left his in them.
        is_held(&file)?;
        let identity = stat(&file).map_err(failed)?;
        if before != identity {
            return Err(FileError::Changed {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            real,
            bytes: Arc::new(bytes),
            identity,
            names: metadata.nlink(),
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
        })
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file itself, without symbolic links.
    pub fn real_path(&self) -> &Path {
        &self.real
    }

    /// What was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was read, for somebody who holds it as well.
    pub fn shared(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.bytes)
    }

    /// The user and the group it belongs to, and its permission bits.
    pub fn owner_and_mode(&self) -> (u32, u32, u32) {
        (self.owner.0, self.owner.1, self.mode)
    }

    /// Whether it may be replaced.
    ///
    /// # Errors
    /// `HardLinked` if it has more than one name: replacing it would part them. Reading it is fine.
    pub fn check_one_name(&self) -> Result<(), FileError> {
        if self.names > 1 {
            return Err(FileError::HardLinked {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    /// Removes what killed runs left beside the file.
    pub(crate) fn sweep(&self) {
        if let Ok(directory) = self.open_directory() {
            leftover::sweep(&directory, self.directory(), self.base());
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn inode(&self) -> u64 {
        self.identity.inode
    }

    /// Whether it was written after a file of which this is the metadata.
    pub(crate) fn is_newer_than(&self, metadata: &fs::Metadata) -> bool {
        self.identity.modified > (metadata.mtime(), metadata.mtime_nsec())
    }

    /// When it was written.
    pub(crate) fn modified(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.identity.modified;
        let part = Duration::from_nanos(nanoseconds.unsigned_abs());
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let start = if seconds < 0 {
            SystemTime::UNIX_EPOCH - whole
        } else {
            SystemTime::UNIX_EPOCH + whole
        };
        start + part
    }

    /// # Errors
    /// `Changed` if it is not any more what was read.
    pub(crate) fn check_it_stands(&self) -> Result<(), FileError> {
        let directory = self
            .open_directory()
            .map_err(|source| self.failed("open its directory", source))?;
        if self.still_stands(&directory) {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    pub(crate) fn failed(&self, doing: &'static str, source: io::Error) -> FileError {
        FileError::Write {
            path: self.path.clone(),
            doing,
            source,
        }
    }

    pub(crate) fn changed(&self) -> FileError {
        FileError::Changed {
            path: self.path.clone(),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.real.parent().unwrap_or(Path::new("/"))
    }

    pub(crate) fn base(&self) -> &OsStr {
        self.real.file_name().unwrap_or_default()
    }

    pub(crate) fn open_directory(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(self.directory(), flags, Mode::empty())?)
    }

    /// Whether the path still leads to exactly what was read.
    pub(crate) fn still_stands(&self, directory: &OwnedFd) -> bool {
        let same_place = fs::canonicalize(&self.path).is_ok_and(|real| real == self.real);
        let now = rustix::fs::statat(directory, self.base(), AtFlags::SYMLINK_NOFOLLOW);
        same_place && now.is_ok_and(|stat| Identity::of(&stat) == self.identity)
    }

    /// Whether the file of this name is, byte for byte, what was read, and will stay it: nobody has it
    /// open for writing, which is asked first.
    pub(crate) fn is_what_was_read(&self, directory: &OwnedFd, name: &OsStr) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::LOOP) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        if held::is_held(&file) || !stat(&file)?.same_content(&self.identity) {
            return Ok(false);
        }
        holds(&mut file, &self.bytes)
    }
}

/// Whether a file holds exactly these bytes, from where it is read to its end.
fn holds(file: &mut File, mut bytes: &[u8]) -> io::Result<bool> {
    let mut block = vec![0; COMPARED];
    loop {
        let read = match file.read(&mut block) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok(bytes.is_empty());
        }
        match bytes.split_at_checked(read) {
            Some((same, rest)) if *same == block[..read] => bytes = rest,
            _ => return Ok(false),
        }
    }
}

pub(crate) fn stat(file: impl AsFd) -> io::Result<Identity> {
    Ok(Identity::of(&rustix::fs::fstat(file)?))
}
