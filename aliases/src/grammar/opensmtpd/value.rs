//! The right side of an entry as the daemon reads it when mail comes: words between commas.
//!
//! **Invariants**: one word that cannot be read makes the whole right side unreadable.

use std::ops::Range;

use super::target::target;
use crate::grammar::reading::Destinations;
use crate::grammar::spliced::{Spliced, is_space};

/// The longest right side, in bytes.
const LONGEST: usize = 2047;

/// Why a right side cannot be read. Mail to the name is then deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A quote, double or single, or a backslash, with nothing to end it.
    Open,
    /// More bytes than the daemon takes.
    Long,
    /// A word that is none of the things a destination can be.
    Target,
}

/// The destinations of a right side, each with its place in the raw bytes; or what is wrong with
/// it, and where in the raw bytes.
pub(super) fn destinations(value: &Spliced) -> Result<Destinations, (Trouble, usize)> {
    let text = value.text();
    if text.len() > LONGEST {
        return Err((Trouble::Long, value.raw_at(LONGEST)));
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let word = word(text, at).map_err(|at| (Trouble::Open, value.raw_at(at)))?;
        at = word.next;
        let Some(range) = word.range else { continue };
        let kind =
            target(&word.meaning).ok_or_else(|| (Trouble::Target, value.raw_at(range.start)))?;
        found.push((value.raw_range(range), kind));
    }
    Ok(found)
}

/// A word up to its comma.
struct Word {
    /// Without the backslashes that quote, and without blanks at the ends.
    meaning: Vec<u8>,
    /// Where it stands in the text; none if it is empty.
    range: Option<Range<usize>>,
    /// Behind the comma, or the end of the text.
    next: usize,
}

/// Reads the word that begins at `start`; the error says where the quote is that does not end.
fn word(text: &[u8], start: usize) -> Result<Word, usize> {
    // Each byte of the meaning, with the range of the text that it came from.
    let mut bytes: Vec<(u8, Range<usize>)> = Vec::new();
    let mut quote: Option<(u8, usize)> = None;
    let mut at = start;
    let mut next = text.len();
    while let Some(&byte) = text.get(at) {
        if byte == b'\\' {
            let quoted = *text.get(at + 1).ok_or(at)?;
            bytes.push((quoted, at..at + 2));
            at += 2;
            continue;
        }
        if byte == b',' && quote.is_none() {
            next = at + 1;
            break;
        }
        bytes.push((byte, at..at + 1));
        quote = match quote {
            None if matches!(byte, b'"' | b'\'') => Some((byte, at)),
            Some((open, _)) if open == byte => None,
            unchanged => unchanged,
        };
        at += 1;
    }
    if let Some((_, at)) = quote {
        return Err(at);
    }
    let is_blank = |byte: &(u8, Range<usize>)| is_space(byte.0);
    let first = bytes.iter().position(|byte| !is_blank(byte));
    let last = bytes.iter().rposition(|byte| !is_blank(byte));
    let Some((first, last)) = first.zip(last) else {
        return Ok(Word {
            meaning: Vec::new(),
            range: None,
            next,
        });
    };
    Ok(Word {
        meaning: bytes[first..=last].iter().map(|(byte, _)| *byte).collect(),
        range: Some(bytes[first].1.start..bytes[last].1.end),
        next,
    })
}
