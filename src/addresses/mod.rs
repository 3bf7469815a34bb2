//! mm-aliases: keeps the alias files of the MTA in line with the lists; and the same for a move
//! of lists (`plan_move`, `plan_commit`, `plan_revert`).
//!
//! In order: `found` reads the files, `turning` says what an entry is to us, `wanted` what should
//! be there, `compare` holds one against the other, `view` has all that for who decides or looks,
//! `decide` (with `adopt` and `sync`) says what changes, `edits` makes it in memory, and `plan`
//! makes it on disk, with `record` remembering what stood there and `back` taking it back. `use` goes that way alone.
//!
//! **Invariants.** Nothing of the alias files is written without the writer's lock. Nothing but
//! `acts` prints.

mod acts;
mod adopt;
mod agent;
mod back;
mod check;
mod cli;
mod compare;
mod decide;
mod deliver;
mod disk;
mod domains;
mod earlier;
mod edits;
mod emptied;
mod error;
mod expansion;
mod forms;
mod found;
mod hindered;
mod include;
mod input;
mod known;
mod leads;
mod lint;
mod needed;
mod needs;
mod past;
mod pipe;
mod plan;
mod postmap;
mod qualified;
mod record;
mod refusal;
mod repeated;
mod reserved;
pub mod rights;
mod sentinel;
mod settled;
mod show;
pub mod smrsh;
mod source;
mod stays;
mod sync;
mod trace;
mod transports;
mod turning;
mod typed;
mod view;
mod virtual_map;
mod wanted;
mod well;
mod why;

pub use acts::{command, main};
pub use check::{Depth, states, survey, unreadable};
pub use disk::check_all_read;
pub use error::AddressError;
pub use known::{Known, enumerate, known};
pub use leads::{Leads, Odd};
pub use pipe::{Trees, Unwritable};
pub use plan::{Applied, Plan, plan_commit, plan_move, plan_revert};
pub use refusal::Refusal;
