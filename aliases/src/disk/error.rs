//! Why an aliases file could not be read or replaced, and what stands after that.
//!
//! **Invariants**: every message has the path; none of them knows an exit status.

#![expect(
    missing_docs,
    reason = "the fields are what their names say: a path, a cause"
)]

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What stands at the path after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// What was read, or what another editor has saved since; nothing of ours.
    Old,
    /// The new bytes.
    New,
}

/// Why a file could not be read or replaced.
#[derive(Debug)]
pub enum FileError {
    /// It could not be read.
    Read { path: PathBuf, source: io::Error },
    /// It is not a regular file.
    NotRegular { path: PathBuf },
    /// It has more than one name.
    HardLinked { path: PathBuf },
    /// Another editor was faster, and what it wrote stands. Start over.
    Changed { path: PathBuf },
    /// Something failed before the exchange; nothing has changed.
    Write {
        path: PathBuf,
        doing: &'static str,
        source: io::Error,
    },
    /// The new file stands, but the directory could not be synced or the old file not removed.
    NotDurable { path: PathBuf, source: io::Error },
    /// The new file stands although it should not, and what stood before is at `other`.
    Stuck {
        path: PathBuf,
        other: PathBuf,
        source: io::Error,
    },
}

impl FileError {
    /// What stands at the path.
    pub fn stands(&self) -> Stands {
        match self {
            Self::NotDurable { .. } | Self::Stuck { .. } => Stands::New,
            _ => Stands::Old,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "cannot read: {path:?}: {source}"),
            Self::NotRegular { path } => write!(f, "cannot edit: {path:?}: not a regular file"),
            Self::HardLinked { path } => write!(
                f,
                "cannot edit: {path:?}: it has more than one name (hard link)"
            ),
            Self::Changed { path } => {
                write!(f, "cannot replace: {path:?}: another editor was faster")
            }
            Self::Write {
                path,
                doing,
                source,
            } => write!(
                f,
                "cannot replace: {path:?}: cannot {doing}: {source}; nothing has changed"
            ),
            Self::NotDurable { path, source } => {
                write!(f, "replaced, but not safely on disk: {path:?}: {source}")
            }
            Self::Stuck {
                path,
                other,
                source,
            } => {
                write!(
                    f,
                    "cannot put back: {path:?}: {source}; what stood there is {other:?}"
                )
            }
        }
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::NotDurable { source, .. }
            | Self::Stuck { source, .. } => Some(source),
            Self::NotRegular { .. } | Self::HardLinked { .. } | Self::Changed { .. } => None,
        }
    }
}
