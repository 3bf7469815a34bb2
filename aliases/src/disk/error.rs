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

use crate::disk::held::Holder;

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
    /// Somebody has it open for writing, and does not close it: what stands in it may be half of a
    /// text. `by`: who, as far as that can be told.
    Held { path: PathBuf, by: Vec<Holder> },
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
    /// The new file stands, and somebody who had the old one open before wrote on in that: it was
    /// not removed, and is at `other`.
    WroteOn { path: PathBuf, other: PathBuf },
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
            Self::NotDurable { .. } | Self::WroteOn { .. } | Self::Stuck { .. } => Stands::New,
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
            Self::Held { path, by } => write!(
                f,
                "cannot read: {path:?}: it is open for writing, so half of it may be missing: {}; \
                 nothing has changed",
                listed(by)
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
            Self::WroteOn { path, other } => write!(
                f,
                "replaced, but somebody who had {path:?} open before wrote on in the old file: \
                 that is {other:?}"
            ),
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

fn listed(by: &[Holder]) -> String {
    match by {
        [] => "/proc does not tell which process has it".to_owned(),
        by => by
            .iter()
            .map(Holder::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::NotDurable { source, .. }
            | Self::Stuck { source, .. } => Some(source),
            Self::NotRegular { .. }
            | Self::HardLinked { .. }
            | Self::Held { .. }
            | Self::WroteOn { .. }
            | Self::Changed { .. } => None,
        }
    }
}
