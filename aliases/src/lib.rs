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
//! half (`grammar`) does no I/O, `disk` knows no grammar, and `mta`, which knows both, is known by neither.

mod contents;
mod disk;
mod grammar;
mod mta;

pub use contents::Contents;
pub use disk::error::{FileError, Stands};
pub use disk::exchange::{Exchanged, Method, Replaced, replace};
pub use disk::file::Original;
pub use disk::held::Holder;
pub use disk::prepare::Prepared;
pub use grammar::dialect::{Dialect, Winner};
pub use grammar::document::{Document, Double};
pub use grammar::entry::{Destination, Entry, EntryId};
pub use grammar::error::{EditError, Effect, Problem, ProblemKind};
pub use grammar::qualified::Qualified;
pub use grammar::reading::DestinationKind;
pub use mta::error::{Cause, MtaError, PublishError};
pub use mta::exim::Exim;
pub use mta::expected::{Astray, Expected};
pub use mta::left::Left;
pub use mta::master::Override;
pub use mta::opensmtpd::OpenSmtpd;
pub use mta::postfix::Postfix;
pub use mta::postfix::order::Earlier;
pub use mta::sendmail::Sendmail;
pub use mta::{MapState, MapTrouble, Mta, Published};
