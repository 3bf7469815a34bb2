//! aliases(5) files, read as the MTA reads them and edited without changing anything else.
//!
//! A [`Document`] is the whole file, losslessly: what is parsed and printed is the same, byte for
//! byte, whatever the bytes are. Its entries have names and destinations as the MTA of the
//! [`Dialect`] sees them; an edit changes the bytes that were asked for and no other.
//! [`Original`] reads such a file from disk, [`replace`] puts new bytes in its place in one instant;
//! [`Mta`] does that and keeps the MTA's own database in step.
//!
//! ```
//! use aliases::{Dialect, DestinationKind, Document};
//!
//! let file = b"# the lists\ntoylist: \"|/old/wrapper post toylist\"\n".to_vec();
//! let mut document = Document::parse(file, Dialect::Postfix);
//! let id = document.lookup(b"ToyList").ok_or("no such entry")?;
//! let entry = document.entry(id).ok_or("no such entry")?;
//! assert_eq!(entry.line(), 2);
//! assert_eq!(
//!     entry.destinations()[0].kind(),
//!     &DestinationKind::Pipe(b"/old/wrapper post toylist".to_vec()),
//! );
//! document.set_destination(id, 0, b"\"|/new/wrapper post toylist\"")?;
//! document.insert_after(Some(id), b"toylist-owner", b"admin")?;
//! assert_eq!(
//!     document.to_bytes(),
//!     b"# the lists\ntoylist: \"|/new/wrapper post toylist\"\ntoylist-owner: admin\n",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Invariants**: nothing here knows a mailing list, a tree, or who uses this crate. The grammar
//! half (`lexer`, `entry`, `document`, `names`) does no I/O; the disk half knows no grammar.

mod build;
mod document;
mod edit;
mod entry;
mod error;
mod exchange;
mod expected;
mod file;
mod file_error;
mod leftover;
mod lexer;
mod looks;
mod mta;
mod mta_error;
mod names;
mod postfix;

pub use document::{Document, Double};
pub use entry::{Destination, DestinationKind, Entry, EntryId};
pub use error::{EditError, Effect, Problem, ProblemKind};
pub use exchange::{Exchanged, Method, Prepared, Replaced};
pub use expected::Expected;
pub use file::{Original, replace};
pub use file_error::{FileError, Stands};
pub use lexer::Dialect;
pub use mta::{MapState, MapTrouble, Mta, Published};
pub use mta_error::{Cause, MtaError, PublishError};
pub use postfix::Postfix;
