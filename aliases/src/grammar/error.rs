//! What is wrong with a line, and why an edit is refused.
//!
//! **Invariants**: a problem never stops the reading of the file, and none of these knows an exit
//! status or a path: the caller adds both.

use std::error::Error;
use std::fmt;
use std::ops::Range;

/// Something in the file that the MTA does not read the way it was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) span: Range<usize>,
    pub(crate) kind: ProblemKind,
    pub(crate) effect: Effect,
}

impl Problem {
    /// The line where the problem is, counted from 1, in the file as it was parsed.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of the problem's first byte, in bytes, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The bytes of the whole logical line (with its continuation lines) in the file as parsed.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What is wrong.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// What the MTA does with the line.
    pub fn effect(&self) -> Effect {
        self.effect
    }
}

impl fmt::Display for Problem {
    /// `line N: what is wrong: what the MTA does`, one line, nothing of the file's own bytes in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.kind, self.effect())
    }
}

/// The kinds of [`Problem`]. The text of each is its `Display`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The line begins with white space, and no entry stands above that it could continue.
    LeadingBlank,
    /// Not `name: destination`: no colon, nothing before it, or nothing after it.
    NotAnEntry,
    /// A comma before the colon: one entry cannot have two names.
    TwoNames,
    /// `@` or `%` before the colon: the name must be a local one.
    NotLocal,
    /// The line is not UTF-8.
    NotUtf8,
    /// A NUL byte: what stands after it is lost.
    Nul,
    /// A quote, bracket or parenthesis that is not closed before the end of the entry.
    OpenQuote,
    /// The file begins with a byte order mark, which becomes part of the first name.
    ByteOrderMark,
    /// There is a colon, but no destination that mail could go to.
    NoDestination,
    /// What stands there is nothing that mail could go to.
    NotADestination,
    /// No address can have this name.
    NameNotAddressable,
    /// The line, or a part of it, is longer than the MTA takes.
    TooLong,
    /// makemap takes the right side, and the daemon, which reads it once more, does not.
    ReadTwoWays,
    /// A NUL byte: the rest of its line is lost, and the next line is read as its end.
    NulJoins,
    /// A destination is longer than the MTA takes, quotes included.
    DestinationTooLong,
    /// The line has a blank where the MTA's buffer ends, which it never gets past.
    EndlessLine,
    /// An indented line below a comment, which belongs to the comment.
    BelowComment,
    /// A NUL byte, which hides the end of the line: the line below is lost with it.
    NulAndNextLine,
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeadingBlank => "begins with white space, but there is no entry to continue",
            Self::NotAnEntry => "expected \"name: destination\"",
            Self::TwoNames => "a comma in the name",
            Self::NotLocal => "the name is not local",
            Self::NotUtf8 => "not UTF-8",
            Self::Nul => "a NUL byte, and what stands after it is lost",
            Self::OpenQuote => "a quote, bracket or parenthesis without its end",
            Self::ByteOrderMark => "a byte order mark, which becomes part of the name",
            Self::NoDestination => "no destination",
            Self::NotADestination => "not a destination",
            Self::NameNotAddressable => "no address can have this name",
            Self::TooLong => "longer than the mail system takes",
            Self::ReadTwoWays => "makemap takes it, and the daemon cannot read it",
            Self::NulJoins => {
                "a NUL byte: the rest of its line is lost, and the next line joined to it"
            }
            Self::DestinationTooLong => "a destination longer than the mail system takes",
            Self::EndlessLine => "a blank where the mail system's buffer ends, read for ever",
            Self::BelowComment => {
                "begins with white space, so that it belongs to the comment above"
            }
            Self::NulAndNextLine => "a NUL byte, and the next line is lost with this one",
        })
    }
}

/// What the MTA does with a line that has a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// It passes over the line, with a warning.
    Skipped,
    /// It passes over the line without a word.
    Lost,
    /// It takes the line, without a warning, as something else than was probably meant.
    ReadOtherwise,
    /// It takes the line, and mail to the name stays in the queue.
    Deferred,
    /// It takes the line, and mail to the name bounces.
    Bounced,
    /// It takes the line, and mail to the name is handled as if there were no alias.
    NoAlias,
    /// It takes the line, and no mail can ever be for its name.
    Unreachable,
    /// It refuses the whole file.
    FileRefused,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Skipped => "the mail system skips it",
            Self::Lost => "the mail system skips it without a warning",
            Self::ReadOtherwise => "the mail system reads it without a warning",
            Self::Deferred => "mail to it is deferred",
            Self::Bounced => "mail to it bounces",
            Self::NoAlias => "mail to it goes to the user of that name, or bounces",
            Self::Unreachable => "no mail can reach it",
            Self::FileRefused => "the mail system refuses the whole file",
        })
    }
}

/// Why an edit was refused. The document is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditError {
    /// The entry was removed, or never was in this document.
    NoSuchEntry,
    /// The entry has no destination of this number.
    NoSuchDestination,
    /// The bytes would not be read as the one destination asked for, beside the ones there are.
    NotOneDestination,
    /// The bytes would not be read as exactly one entry (of this name and destination).
    NotOneEntry,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchEntry => "the entry is not in the file",
            Self::NoSuchDestination => "the entry has no such destination",
            Self::NotOneDestination => "the text would not be read as this one destination",
            Self::NotOneEntry => "the text would not be read as this one entry",
        })
    }
}

impl Error for EditError {}
