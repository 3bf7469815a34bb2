//! The daemon's `file:` table: one line, one entry, whatever blanks it begins with.
//!
//! **Invariants**: no line goes on in the next one. A line without a value refuses the file; what
//! is wrong with a value is only met when mail comes.

use memchr::memchr;

use super::value::{self, Trouble};
use super::{fold, name_problem, split_key};
use crate::grammar::error::{Effect, ProblemKind};
use crate::grammar::reading::{Piece, PieceKind, Reading, line_end};
use crate::grammar::spliced::{Spliced, is_space, trimmed};

/// Cuts a file into pieces, in order, and hands each to `take`.
pub(crate) fn pieces(bytes: &[u8], mut take: impl FnMut(Piece)) {
    let mut between: Option<Piece> = None;
    let (mut start, mut line) = (0, 1);
    while start < bytes.len() {
        let end = line_end(bytes, start);
        let piece = Piece {
            kind: kind(&bytes[start..end]),
            span: start..end,
            line,
        };
        match &mut between {
            Some(open) if piece.kind == PieceKind::Between => open.span.end = end,
            _ => {
                between.take().into_iter().for_each(&mut take);
                if piece.kind == PieceKind::Between {
                    between = Some(piece);
                } else {
                    take(piece);
                }
            }
        }
        start = end;
        line += 1;
    }
    between.into_iter().for_each(&mut take);
}

fn kind(line: &[u8]) -> PieceKind {
    match line.iter().find(|byte| !is_space(**byte)) {
        None | Some(b'#') => PieceKind::Between,
        Some(0) => PieceKind::Unread(ProblemKind::Nul),
        Some(_) => PieceKind::Logical,
    }
}

/// Reads one line.
pub(crate) fn read(raw: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let seen = trimmed(raw, 0..raw.len());
    let nul = memchr(0, &raw[seen.clone()]).map(|at| seen.start + at);
    let end = nul.unwrap_or(seen.end);
    let line = &raw[..end];
    reading.name_at = seen.start;
    let (key, rest) = split_key(&line[seen.start..]);
    reading.name = fold(key);
    let value_at = rest.map_or(end, |at| skip_colons(line, seen.start + at));
    reading
        .problems
        .extend(nul.map(|at| (ProblemKind::Nul, at)));
    if value_at == end {
        reading.problems.push((ProblemKind::NotAnEntry, seen.start));
        reading.skipped = true;
        return reading;
    }
    let problem = name_problem(key).map(|kind| (kind, seen.start));
    reading.problems.extend(problem);
    let mut value = Spliced::default();
    value.push(raw, value_at..end);
    match value::destinations(&value) {
        Ok(destinations) => reading.destinations = destinations,
        Err((trouble, at)) => reading.problems.push((of_trouble(trouble), at)),
    }
    if reading.destinations.is_empty() && reading.problems.is_empty() {
        reading
            .problems
            .push((ProblemKind::NoDestination, value_at));
    }
    reading
}

/// Passes over white space, and colons with white space behind them.
fn skip_colons(line: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = line.get(at) {
        let spaced = line.get(at + 1).copied().is_some_and(is_space);
        if !(is_space(byte) || byte == b':' && spaced) {
            break;
        }
        at += 1;
    }
    at
}

fn of_trouble(trouble: Trouble) -> ProblemKind {
    match trouble {
        Trouble::Open => ProblemKind::OpenQuote,
        Trouble::Long => ProblemKind::TooLong,
        Trouble::Target => ProblemKind::NotADestination,
    }
}

/// What becomes of a line with this problem.
pub(crate) fn effect(kind: ProblemKind) -> Effect {
    match kind {
        ProblemKind::NotAnEntry => Effect::FileRefused,
        ProblemKind::NotADestination | ProblemKind::OpenQuote | ProblemKind::TooLong => {
            Effect::Deferred
        }
        ProblemKind::NoDestination => Effect::NoAlias,
        ProblemKind::NameNotAddressable | ProblemKind::ByteOrderMark => Effect::Unreachable,
        _ => Effect::ReadOtherwise,
    }
}
