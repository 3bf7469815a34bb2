//! What reading gives, whoever's reading it is: pieces of a file, and what a logical line says.
//!
//! **Invariants**: shapes only; no dialect is known here.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::grammar::error::ProblemKind;

/// What a piece of a file is, as far as its line beginnings tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Blank lines and comments, whole lines.
    Between,
    /// A logical line, with continuation lines and what stands between those.
    Logical,
    /// What the MTA passes over, and why, as its beginning or its surroundings alone tell.
    Unread(ProblemKind),
}

/// A run of whole physical lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: PieceKind,
    pub(crate) span: Range<usize>,
    /// The line number of its first line, from 1.
    pub(crate) line: usize,
}

/// Where each destination stands in the raw bytes, and what it is.
pub(crate) type Destinations = Vec<(Range<usize>, DestinationKind)>;

/// A logical line, read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Empty if the line is skipped (or its name is `""`).
    pub(crate) name: Vec<u8>,
    /// Where the name begins in the raw bytes.
    pub(crate) name_at: usize,
    /// Where each destination stands in the raw bytes, and what it is.
    pub(crate) destinations: Destinations,
    /// Whether the MTA passes over the line.
    pub(crate) skipped: bool,
    /// What is wrong, and the offset in the raw bytes where it is.
    pub(crate) problems: Vec<(ProblemKind, usize)>,
}

/// What the MTA does with a destination. All bytes are without quotes and backslashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationKind {
    /// Runs this command, given without the bar, otherwise as the MTA gets it (blanks included).
    Pipe(Vec<u8>),
    /// Appends to this file (`/…`, or `~/…`, which Postfix refuses in an aliases file).
    File(Vec<u8>),
    /// Reads more destinations from this file.
    Include(Vec<u8>),
    /// Sends on to this address, or this local name.
    Address(Vec<u8>),
    /// What the MTA itself does with the mail, in its own words, such as Exim's `:fail: no such list`.
    Verdict(Vec<u8>),
}

impl DestinationKind {
    /// What these bytes, unquoted, are by their beginning: `|`, `/` or `~`, `:include:`.
    pub(crate) fn of(meaning: Vec<u8>) -> Self {
        const INCLUDE: &[u8] = b":include:";
        match meaning.first() {
            Some(b'|') => DestinationKind::Pipe(meaning[1..].to_vec()),
            Some(b'/' | b'~') => DestinationKind::File(meaning),
            _ => match meaning.split_at_checked(INCLUDE.len()) {
                Some((start, path)) if start.eq_ignore_ascii_case(INCLUDE) => {
                    DestinationKind::Include(path.to_vec())
                }
                _ => DestinationKind::Address(meaning),
            },
        }
    }
}

/// The end of the physical line that begins at `start`: behind its newline, or the end of `bytes`.
pub(crate) fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |newline| start + newline + 1)
}

/// How many newlines there are.
pub(crate) fn newlines(bytes: &[u8]) -> usize {
    memchr_iter(b'\n', bytes).count()
}

/// Whether these bytes before a colon are a name as they stand, in every dialect.
pub(crate) fn is_plain_name(name: &[u8]) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase()
            | byte.is_ascii_uppercase()
            | byte.is_ascii_digit()
            | (byte == b'-')
            | (byte == b'_')
            | (byte == b'+')
            | (byte == b'.')
    };
    !name.is_empty() && all(name, is_plain)
}

/// Whether every byte means the same inside and outside quotes, apart from separating words:
/// letters, digits, blanks and `/ - _ . | + = @ ,`.
pub(crate) fn is_plain_text(text: &[u8]) -> bool {
    all(text, |byte| {
        (b'+'..=b'9').contains(&byte)
            | (b'@'..=b'Z').contains(&byte)
            | byte.is_ascii_lowercase()
            | (byte == b' ')
            | (byte == b'=')
            | (byte == b'_')
            | (byte == b'|')
    })
}

/// Looks at every byte, whatever the first ones say: sixteen or eight in one step, some of them
/// twice, which is what makes a file of a million lines quick.
#[inline]
fn all(bytes: &[u8], is_good: impl Fn(u8) -> bool) -> bool {
    let good = |block: &[u8]| block.iter().fold(true, |all, byte| all & is_good(*byte));
    if let Some(last) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        return blocks
            .iter()
            .fold(good(last), |all, block| all & good(block));
    }
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => good(first) & good(last),
        _ => bytes.iter().all(|byte| is_good(*byte)),
    }
}
