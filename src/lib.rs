//! mm-deliver: two trees of a mailing-list manager side by side, and each list's mail
//! handed to the one that it is on.
//!
//! The modules, from the ground up. A file in `src/` may be linked by the programs that run
//! once a message or a request; a folder may not, and stands behind the feature `admin`.

// Floor 1: words and numbers from outside.
pub mod accounts;
pub mod clock;
pub mod descendants;
pub mod endpoint;
pub mod envelope;
pub mod list;
pub mod notice;
pub mod output;
pub mod ownership;
pub mod parity;
pub mod position;
pub mod smtp_text;
pub mod socket;
pub mod span;
pub mod stdio;
pub mod sysexits;
pub mod syslog;

// Floor 2: what stands in the files.
pub mod config;
pub mod guarded;
mod lock;
pub mod probation;
pub mod profile;
mod row;
mod search;
pub mod state;
mod stream;
pub mod tree;
pub mod web;

// Floor 3: the site as a whole, the way in and the ways out.
pub mod child;
pub mod decision;
pub mod dialogue;
pub mod doors;
pub mod handover;
pub mod incoming;
pub mod rcpt;
pub mod serving;
pub mod site;

// Floor 4: the stories.
pub mod cgi;
pub mod deliver;
pub mod guard;
pub mod lmtp;

// Behind the wall: the admin's side.
#[cfg(feature = "admin")]
pub mod addresses;
#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "admin")]
pub mod completion;
#[cfg(feature = "admin")]
pub mod copying;
#[cfg(feature = "admin")]
pub mod finding;
#[cfg(feature = "admin")]
pub mod layout;
#[cfg(feature = "admin")]
pub mod metrics;
#[cfg(feature = "admin")]
pub mod page;
#[cfg(feature = "admin")]
mod parts;
#[cfg(feature = "admin")]
pub mod pointing;
#[cfg(feature = "admin")]
pub mod profiles;
#[cfg(feature = "admin")]
pub mod queues;
#[cfg(feature = "admin")]
pub mod rehearsal;
#[cfg(feature = "admin")]
pub mod running;
#[cfg(feature = "admin")]
pub mod screen;
#[cfg(feature = "admin")]
pub mod settings;
#[cfg(feature = "admin")]
pub mod snapshots;
#[cfg(feature = "admin")]
pub mod store;
