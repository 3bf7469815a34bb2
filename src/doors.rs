//! The doors: byte-range locks by which a move waits for what is in flight, and new deliveries
//! for the move.
//!
//! Each list has a *door* and, for mail and for the web, a *floor*: one byte each of the lock
//! file, found by a hash of the list's name. Who comes in takes shared locks: the door, the
//! floor, and lets the door go; then looks whether the file is still the one at its path. Who
//! moves lists takes exclusive ones: all doors, then all floors. New ones wait at the door, so
//! a move waits for those inside alone and cannot be starved.
//!
//! The locks belong to the open file (fcntl(2), "open file description locks"): they pass
//! through exec to the tree's program and to the children that keep the descriptor, and end
//! with the last of them, however that ends. Nothing is left to clean up.
//!
//! **Invariants.** No parity here. The file's bytes are never read nor written; it is made
//! elsewhere (`store`). One list may wait for another that has its byte: never wrong, only
//! slower.

#![expect(
    unsafe_code,
    reason = "std knows neither fcntl's byte ranges nor fstatfs"
)]

use std::ffi::{c_int, c_short};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::list::ListName;
use crate::span::Span;

/// How often a lock file that is being replaced is opened anew.
const ATTEMPTS: usize = 10;
/// How long the first look at a closed door is slept over; each further one twice as long, up
/// to the last.
const FIRST_NAP: Duration = Duration::from_millis(1);
const LAST_NAP: Duration = Duration::from_millis(20);

/// Where a list's bytes lie, counted from the beginning of each region.
const BYTES: u64 = 1 << 31;
const DOORS: u64 = 0;

/// Whose floor: mail and web are drained together, and told apart by who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Floor {
    /// Deliveries.
    Mail,
    /// Web requests.
    Web,
}

impl Floor {
    /// Every floor there is.
    pub const ALL: [Floor; 2] = [Floor::Mail, Floor::Web];

    const fn begin(self) -> u64 {
        match self {
            Floor::Mail => 1 << 32,
            Floor::Web => 1 << 33,
        }
    }
}

/// Bytes of the lock file: the first one, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first byte.
    pub start: u64,
    /// How many bytes, at least 1.
    pub length: u64,
}

impl Range {
    /// The door of one list.
    pub fn door(list: &ListName) -> Range {
        Range::byte(DOORS, list)
    }

    /// A floor of one list.
    pub fn floor(floor: Floor, list: &ListName) -> Range {
        Range::byte(floor.begin(), list)
    }

    /// All doors there are.
    pub const fn all_doors() -> Range {
        Range {
            start: DOORS,
            length: BYTES,
        }
    }

    /// This floor of all lists.
    pub const fn whole(floor: Floor) -> Range {
        Range {
            start: floor.begin(),
            length: BYTES,
        }
    }

    /// Whether they have a byte in common.
    pub const fn overlaps(self, other: Range) -> bool {
        self.start < other.start + other.length && other.start < self.start + self.length
    }

    fn byte(region: u64, list: &ListName) -> Range {
        Range {
            start: region + fnv_1a(list.as_str().as_bytes()) % BYTES,
            length: 1,
        }
    }
}

/// FNV-1a with 64 bits: the same on every machine, for ever, and no secret: whoever finds two
/// names with one byte makes their moves wait for one another.
///
/// Source: draft-eastlake-fnv, section 2; its parameters of 64 bits.
const fn fnv_1a(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
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

/// The right to hand one message or request to the tree that parity.toml names *now*: it was
/// read after this was had, and no move ends before it is given up.
#[derive(Debug)]
pub struct Pass {
    file: File,
}

impl AsFd for Pass {
    /// The one descriptor that the next program must keep.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Comes in for `list`: waits at its door for at most `wait`, then holds its floor.
///
/// # Errors
/// [`DoorError`]; nothing is held then.
pub fn enter(path: &Path, list: &ListName, floor: Floor, wait: Span) -> Result<Pass, DoorError> {
    let (door, floor) = (Range::door(list), Range::floor(floor, list));
    let waiting = Waiting::for_at_most(wait);
    for _ in 0..ATTEMPTS {
        let lock = LockFile::open(path)?;
        waiting.until(|| lock.try_share(door))?;
        // A move lets go of doors and floors one by one.
        waiting.until(|| lock.try_share(floor))?;
        lock.release(door)?;
        // WHICH FILE. One that was replaced keeps nobody out: a move locks what is at the path.
        if lock.is_at_its_path() {
            return Ok(Pass { file: lock.file });
        }
    }
    Err(DoorError::Swapped(path.to_owned()))
}

/// The lock file, open and on a file system whose locks can be relied on.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
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

/// A wait with an end, for what can only be tried again.
#[derive(Debug)]
pub struct Waiting {
    span: Span,
    since: Instant,
}

impl Waiting {
    /// Begins now.
    pub fn for_at_most(span: Span) -> Waiting {
        Waiting {
            span,
            since: Instant::now(),
        }
    }

    /// What is left of it; nothing once it is over.
    pub fn left(&self) -> Duration {
        self.span.duration().saturating_sub(self.since.elapsed())
    }

    /// Tries until it is done or the time is over; at least once.
    ///
    /// # Errors
    /// That of `attempt`; `Closed` when the time is over.
    pub fn until(
        &self,
        mut attempt: impl FnMut() -> Result<bool, DoorError>,
    ) -> Result<(), DoorError> {
        let mut nap = FIRST_NAP;
        while !attempt()? {
            let left = self.left();
            if left.is_zero() {
                return Err(DoorError::Closed(self.span));
            }
            std::thread::sleep(nap.min(left));
            nap = (nap * 2).min(LAST_NAP);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// Source: draft-eastlake-fnv, appendix with test vectors (from FNV's own test_fnv.c).
    #[test]
    fn the_hash_is_the_one_that_is_published() {
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("b", 0xaf63_df4c_8601_f1a5),
            ("foo", 0xdcb2_7518_fed9_d577),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(fnv_1a(text.as_bytes()), hash, "{text:?}");
        }
    }

    #[test]
    fn a_name_has_one_door_however_it_is_spelt() {
        let list = |name: &str| ListName::parse(name).unwrap();
        assert_eq!(Range::door(&list("FooBar")), Range::door(&list("foobar")));
        let byte = 0x8594_4171_f739_67e8_u64 % (1 << 31);
        assert_eq!(Range::door(&list("foobar")).start, byte);
        let floors = Floor::ALL.map(|floor| Range::floor(floor, &list("foobar")).start);
        assert_eq!(floors, [(1 << 32) + byte, (1 << 33) + byte]);
    }

    #[test]
    fn the_regions_do_not_touch() {
        let doors = Range::all_doors();
        let [mail, web] = Floor::ALL.map(Range::whole);
        assert!(doors.start + doors.length <= mail.start);
        assert!(mail.start + mail.length <= web.start);
    }

    #[test]
    fn a_wait_ends() {
        let mut tries = 0;
        let waited = Waiting::for_at_most("20ms".parse().unwrap()).until(|| {
            tries += 1;
            assert!(tries < 100, "no end");
            Ok(false)
        });
        assert!(matches!(waited, Err(DoorError::Closed(_))));
        assert!(tries > 1);
        // Without any time it is tried all the same.
        let waited = Waiting::for_at_most(Span::seconds(0)).until(|| Ok(true));
        assert!(waited.is_ok());
    }

    #[test]
    fn network_file_systems_are_known_by_number() {
        assert_eq!(name_of(0x6969), Some("nfs"));
        assert_eq!(name_of(0xff53_4d42), Some("cifs"));
        assert_eq!(name_of(0xef53), None); // ext4
        assert_eq!(name_of(0x0102_1994), None); // tmpfs
    }
}
