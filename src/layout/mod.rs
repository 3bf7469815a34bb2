//! From one installation of a list manager to the layout of two trees, and back.
//!
//! `look` says what an installation is like (check asks it, too), `host` what its host is like,
//! `plan` which steps lead to the layout, `site_file` the text of site.toml; `steps` makes a step
//! and takes it back, `journal` has the plan on disk before the first one, and `carry` goes through
//! them, in both directions.
//!
//! | a kill | on disk | the list manager, mail | the next `init --from` | `init --undo` |
//! |---|---|---|---|---|
//! | before the journal is whole | a part of one | as ever | begins anew | nothing to do |
//! | between two steps | some steps made | each of its paths leads where it led | makes the others | takes those back |
//! | within a step | the step made, or not; a link or a file besides that nobody reads; a directory's time | the same | makes it, puts the time back | takes it back, puts the time back |
//! | within the undo | some steps taken back | the same | is refused: an undo is under way | takes the others back |
//! | before the journal is removed | all taken back | as ever | is refused | removes it |
//!
//! **Invariants.** A directory moves by one exchange of names, with a link that leads to where it
//! goes: at each moment its old path leads to it, and a program that has it open keeps it. Nothing
//! is copied, nothing is overwritten, and nothing is removed but what a step made. A time that a
//! step changed is put back; what somebody else changed in the same directory between a kill and
//! the end of that step is not told by the directory's time.

pub mod carry;
pub mod host;
pub mod journal;
pub mod look;
pub mod package;
pub mod plan;
pub mod running;
pub mod site_file;
pub mod state;
pub mod steps;

pub use carry::{carry_out, take_back};
pub use journal::{Journal, JournalError};
pub use look::Installation;
pub use plan::{Ask, Plan};
pub use steps::Step;
