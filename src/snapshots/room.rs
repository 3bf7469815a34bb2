//! Whether the disk has room for what is to be kept.
//!
//! **Invariants.** What a file system saves by sharing blocks is not counted on. Some room is left
//! for others: the MTA's queue may be on that disk.

use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, statvfs};

/// The most that is left for others, in bytes; on a small disk a twentieth of it.
const MOST_LEFT: u64 = 256 * 1024 * 1024;
/// As many files are left for others.
const FILES_LEFT: u64 = 1_000;

/// What is needed on a disk, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// A directory on it.
    pub at: PathBuf,
    /// Bytes that are needed.
    pub needed: u64,
    /// Files that are needed.
    pub files: u64,
    /// Bytes that may be had.
    pub there: u64,
    /// Files that may be had.
    pub files_there: u64,
    /// Bytes that are left for others.
    pub left: u64,
}

impl Room {
    /// Whether there is enough of it.
    pub fn is_enough(&self) -> bool {
        let files = self.files.saturating_add(FILES_LEFT);
        self.needed.saturating_add(self.left) <= self.there && files <= self.files_there
    }
}

/// Looks at the disk of `at`, or of what it is to be made in; `None` if it cannot be told.
pub fn room(at: &Path, needed: u64, files: u64) -> Option<Room> {
    let there = |at: &Path| statvfs(at).ok().map(|disk| of(at, &disk, needed, files));
    there(at).or_else(|| there(at.parent()?))
}

fn of(at: &Path, disk: &StatVfs, needed: u64, files: u64) -> Room {
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Room {
        at: at.to_owned(),
        needed,
        files,
        there: bytes(disk.f_bavail),
        // Some file systems make room for files as they go, and say 0.
        files_there: match disk.f_files {
            0 => u64::MAX,
            _ => disk.f_favail,
        },
        left: (bytes(disk.f_blocks) / 20).min(MOST_LEFT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_room_is_left_for_others() {
        let room = Room {
            at: PathBuf::new(),
            needed: 100,
            files: 5,
            there: 150,
            files_there: 5 + FILES_LEFT,
            left: 50,
        };
        assert!(room.is_enough());
        for short in [
            Room {
                needed: 101,
                ..room.clone()
            },
            Room {
                files: 6,
                ..room.clone()
            },
            Room {
                needed: u64::MAX,
                ..room.clone()
            },
        ] {
            assert!(!short.is_enough(), "{short:?}");
        }
    }
}
