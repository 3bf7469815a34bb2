//! The file as text: what the MTA reads in it, and edits that change nothing else.
//!
//! `dialect` picks whose reading it is; a directory or file of that name has it.
//!
//! **Invariants**: no I/O, and nothing here knows a path, a tool or a database.

pub(crate) mod chunks;
pub(crate) mod dialect;
pub(crate) mod document;
mod edit;
pub(crate) mod entry;
pub(crate) mod error;
mod judge;
mod names;
mod neighbours;
pub(crate) mod qualified;
pub(crate) mod reading;
mod spliced;
pub(crate) mod table;
mod written;

mod exim;
mod opensmtpd;
mod postfix;
mod sendmail;
