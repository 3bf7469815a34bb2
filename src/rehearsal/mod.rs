//! A list's own mail through the current and the future release, in a copy of the site.
//!
//! `outcome` has what one release did with one message.

pub mod compare;
pub mod letters;
pub mod lower;
pub mod outcome;
pub mod report;
pub mod room;
mod sink;
pub mod stage;
