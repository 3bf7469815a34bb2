//! What an admin asked for: which change, whether in earnest, and how long others are waited for.
//!
//! **Invariants.** Words only; nothing happens here.

use std::collections::BTreeSet;

use crate::list::ListName;
use crate::span::Span;

/// Whether to make a change or to say what it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Make it.
    Real,
    /// `--dry-run`.
    Trial,
}

/// What becomes of the data of lists that go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DataChoice {
    /// Nobody said: asked for where the current release is not known to read them.
    #[default]
    Ask,
    /// `--restore`: as they were before the move.
    Restore,
    /// `--keep-data`: as they are.
    Keep,
}

/// A command that changes something, as it was typed.
#[derive(Debug, Clone)]
pub struct Request {
    /// What a refusal says we cannot do: `upgrade`.
    pub act: &'static str,
    /// The line for the history: `upgrade toylist`.
    pub line: String,
    /// Make it, or say what it would be.
    pub mode: Mode,
    /// `--reason`.
    pub reason: Option<String>,
    /// How long those inside are waited for.
    pub patience: Patience,
    /// Whether its hooks are run; not with `--no-hooks`.
    pub hooks: bool,
    /// What becomes of the data of lists that go back.
    pub data: DataChoice,
    /// Whether a change that only waits gives way: nobody holds up what takes lists back, or stops
    /// their mail.
    pub goes_first: bool,
    /// What was rehearsed: nothing else may move.
    pub rehearsed: Option<Rehearsed>,
}

/// What a rehearsal was of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// The lists.
    pub lists: BTreeSet<ListName>,
    /// The current tree and the future one, their releases, and what their files were.
    pub trees: [Played; 2],
}

/// A tree as it was rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Its name.
    pub name: String,
    /// The release in it.
    pub release: String,
    /// What its files were: the same, if nothing was written.
    pub stamp: u64,
}

/// How long those inside are waited for, and what happens to them then.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// `--closed`: for lists that go ahead; then nothing moves.
    pub closed: Span,
    /// `--drain`: for lists that go back; then they move all the same.
    pub drain: Span,
    /// `--kill`: what runs under mm-guard is ended then.
    pub kill: bool,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            closed: Span::seconds(30),
            drain: Span::seconds(10),
            kill: false,
        }
    }
}
