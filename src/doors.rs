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
//! **Invariants.** No parity here. One list may wait for another that has its byte: never wrong, only
//! slower.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::list::ListName;
pub use crate::lock::{DoorError, LockFile, Range};
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
pub(crate) const fn fnv_1a(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

/// The right to hand one message or request to the tree that parity.toml names *now*: it was
/// read after this was had, and no move ends before it is given up.
#[derive(Debug)]
pub struct Pass {
    lock: LockFile,
}

impl AsFd for Pass {
    /// The one descriptor that the next program must keep.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

/// Comes in for `list`: waits at its door for at most `wait`, then holds its floor.
///
/// # Errors
/// [`DoorError`]; nothing is held then.
pub fn enter(path: &Path, list: &ListName, floor: Floor, wait: Span) -> Result<Pass, DoorError> {
    enter_by(path, Range::door(list), Range::floor(floor, list), wait)
}

/// Comes in for every list there is: no move of any ends before the pass is given up.
///
/// # Errors
/// [`DoorError`]; nothing is held then.
pub fn enter_all(path: &Path, floor: Floor, wait: Span) -> Result<Pass, DoorError> {
    enter_by(path, Range::all_doors(), Range::whole(floor), wait)
}

fn enter_by(path: &Path, door: Range, floor: Range, wait: Span) -> Result<Pass, DoorError> {
    let waiting = Waiting::for_at_most(wait);
    for _ in 0..ATTEMPTS {
        let lock = LockFile::open(path)?;
        waiting.until(|| lock.try_share(door))?;
        // A move lets go of doors and floors one by one.
        waiting.until(|| lock.try_share(floor))?;
        lock.release(door)?;
        // WHICH FILE. One that was replaced keeps nobody out: a move locks what is at the path.
        if lock.is_at_its_path() {
            let lock = lock.out_of_the_way();
            return Ok(Pass { lock });
        }
    }
    Err(DoorError::Swapped(path.to_owned()))
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
}
