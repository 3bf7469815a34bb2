//! A file or a tree of files copied as it stands: contents, holes, links among them, owners, modes,
//! times and attributes.
//!
//! Root does this in directories that others may write. So nothing is reached by a path: each
//! directory is opened beneath the one before (`place`), names are one part long, and no link is
//! followed but one that root, or whoever runs us, made on the way to the first of them.
//!
//! Order for what is in use: `Copy::bring` once while it is in use, and once more when it is not:
//! the second time only what changed in between is copied (`tree`).
//!
//! **Invariants.** Knows no lists and no parity. Nothing that is copied is changed, but for the
//! time of its last reading. A pipe, a socket or a device is made again, never opened. Set-user-id
//! and set-group-id bits of plain files, and capabilities, are not copied: somebody may have linked
//! a program there.

mod attributes;
mod compare;
mod contents;
mod place;
mod remove;
mod tree;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use compare::{count_lines, differences, size};
pub use place::{Place, is_there, make_directory, open_directory, open_own_directory, read_names};
pub use remove::{bring_to_disk, remove};
pub use tree::{Copy, Known, Rules, Stamp, Told, measure};

/// Of a file that only grows this much is kept from its beginning, and as much before its end, in
/// bytes.
pub const ENDS: u64 = 64 * 1024;
/// A file that only grows is copied whole below this size, in bytes.
pub const WHOLE: u64 = 1024 * 1024;

/// Why something could not be copied.
#[derive(Debug)]
pub struct CopyError {
    /// What it is about.
    pub path: PathBuf,
    /// Why.
    pub cause: Cause,
}

/// The reasons.
#[derive(Debug)]
pub enum Cause {
    /// The kernel says no.
    Kernel(io::Error),
    /// A link stands on the way that neither root nor we made.
    Link,
    /// Something else stands there than a moment ago, again and again.
    Changing,
    /// The time for it was over, or somebody wanted an end.
    Over,
}

impl CopyError {
    /// What the kernel said of `path`.
    pub fn kernel(path: &Path, error: impl Into<io::Error>) -> CopyError {
        CopyError {
            path: path.to_owned(),
            cause: Cause::Kernel(error.into()),
        }
    }

    fn of(path: &Path, cause: Cause) -> CopyError {
        CopyError {
            path: path.to_owned(),
            cause,
        }
    }

    /// Whether there was no room for it.
    pub fn is_no_room(&self) -> bool {
        matches!(&self.cause, Cause::Kernel(error) if matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }

    /// Whether nothing stands there.
    pub fn is_missing(&self) -> bool {
        matches!(&self.cause, Cause::Kernel(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.cause {
            Cause::Kernel(error) => write!(f, "{path:?}: {error}"),
            Cause::Link => write!(
                f,
                "{path:?}: a link that neither root nor who runs this made: it is not followed"
            ),
            Cause::Changing => write!(f, "{path:?}: somebody goes on changing it"),
            Cause::Over => write!(f, "{path:?}: it could not be copied in time"),
        }
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Kernel(error) => Some(error),
            Cause::Link | Cause::Changing | Cause::Over => None,
        }
    }
}

#[cfg(test)]
mod tests;
