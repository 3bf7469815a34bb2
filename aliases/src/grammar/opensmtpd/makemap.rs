//! makemap(8) `-t aliases`, which builds the `db:` table: backslashes join lines, `#` ends one.
//!
//! What makemap stores is read once more by the daemon when mail comes, by its own rules: makemap
//! knows no quotes, so that a comma in a quoted command refuses the file, and a single quote that
//! it does not see makes the daemon give up.
//!
//! **Invariants**: one line that cannot be read refuses the whole file, as does a name that stands twice.

use memchr::{memchr, memchr_iter};

use super::target::target;
use super::value::{self, Trouble};
use super::{fold, name_problem, split_key};
use crate::grammar::error::{Effect, ProblemKind};
use crate::grammar::reading::{Piece, PieceKind, Reading, line_end, newlines};
use crate::grammar::spliced::{Spliced, is_space, trimmed};

/// Cuts a file into pieces, in order, and hands each to `take`.
pub(crate) fn pieces(bytes: &[u8], mut take: impl FnMut(Piece)) {
    let mut between: Option<Piece> = None;
    let (mut start, mut line) = (0, 1);
    while start < bytes.len() {
        let (end, kind) = record(bytes, start);
        let piece = Piece {
            kind,
            span: start..end,
            line,
        };
        line += newlines(&bytes[start..end]);
        match &mut between {
            Some(open) if kind == PieceKind::Between => open.span.end = end,
            _ => {
                between.take().into_iter().for_each(&mut take);
                if kind == PieceKind::Between {
                    between = Some(piece);
                } else {
                    take(piece);
                }
            }
        }
        start = end;
    }
    between.into_iter().for_each(&mut take);
}

/// Where the record that begins at `start` ends, and what it is.
fn record(bytes: &[u8], start: usize) -> (usize, PieceKind) {
    let mut end = start;
    let mut kind = PieceKind::Between;
    while end < bytes.len() {
        let line_start = end;
        end = line_end(bytes, line_start);
        let (seen, goes_on) = seen(&bytes[line_start..end]);
        let first = bytes[line_start..line_start + seen]
            .iter()
            .find(|byte| !is_space(**byte));
        kind = match (kind, first) {
            (PieceKind::Between, Some(0)) => PieceKind::Unread(ProblemKind::Nul),
            (PieceKind::Between, Some(_)) => PieceKind::Logical,
            (known, _) => known,
        };
        if !goes_on {
            break;
        }
    }
    (end, kind)
}

/// How much of a physical line is read, and whether the next line belongs to it.
fn seen(line: &[u8]) -> (usize, bool) {
    let is_quoted = |at: usize| {
        let before = line[..at].iter().rev();
        before.take_while(|byte| **byte == b'\\').count() % 2 == 1
    };
    let comment = memchr_iter(b'#', line).find(|at| !is_quoted(*at));
    let whole = line.strip_suffix(b"\n").unwrap_or(line).len();
    let end = comment.unwrap_or(whole);
    match end.checked_sub(1) {
        Some(last) if line[last] == b'\\' && !is_quoted(last) => (last, true),
        _ => (end, false),
    }
}

/// The record as one line: joined, cut at a NUL, `\#` as `#`, without a lone backslash at its end.
fn joined(raw: &[u8]) -> (Spliced, Option<usize>) {
    let mut whole = Spliced::default();
    let mut start = 0;
    while start < raw.len() {
        let end = line_end(raw, start);
        whole.push(raw, start..start + seen(&raw[start..end]).0);
        start = end;
    }
    let nul = memchr(0, whole.text());
    let text = &whole.text()[..nul.unwrap_or(whole.text().len())];
    let mut line = Spliced::default();
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'\\' {
            match text.get(at + 1) {
                None => break,
                Some(b'#') => {}
                Some(_) => line.push_byte(b'\\', whole.raw_at(at)),
            }
            at += 1;
        }
        line.push_byte(text[at], whole.raw_at(at));
        at += 1;
    }
    (line, nul.map(|at| whole.raw_at(at)))
}

/// Reads one record.
pub(crate) fn read(raw: &[u8]) -> Reading {
    let mut reading = Reading::default();
    let (line, nul) = joined(raw);
    let text = line.text();
    let key_at = trimmed(text, 0..text.len()).start;
    reading
        .problems
        .extend(nul.map(|at| (ProblemKind::Nul, at)));
    reading.name_at = line.raw_at(key_at);
    if key_at == text.len() {
        reading.skipped = true;
        return reading;
    }
    let (key, rest) = split_key(&text[key_at..]);
    reading.name = fold(key);
    let is_between = |byte: &u8| *byte == b':' || is_space(*byte);
    let value_at = rest.map_or(text.len(), |at| {
        let start = key_at + at;
        start
            + text[start..]
                .iter()
                .take_while(|byte| is_between(byte))
                .count()
    });
    let flaw = if value_at == text.len() {
        Some((ProblemKind::NotAnEntry, reading.name_at))
    } else {
        refused(&text[value_at..])
            .map(|at| (ProblemKind::NotADestination, line.raw_at(value_at + at)))
    };
    if let Some(flaw) = flaw {
        reading.problems.push(flaw);
        reading.skipped = true;
        return reading;
    }
    let problem = name_problem(key).map(|kind| (kind, reading.name_at));
    reading.problems.extend(problem);
    match value::destinations(&line.behind(value_at)) {
        Ok(destinations) => reading.destinations = destinations,
        Err((Trouble::Long, at)) => reading.problems.push((ProblemKind::TooLong, at)),
        Err((_, at)) => reading.problems.push((ProblemKind::ReadTwoWays, at)),
    }
    reading
}

/// Where makemap finds no destination between two commas; it knows no quotes here.
fn refused(value: &[u8]) -> Option<usize> {
    let mut start = 0;
    for word in value.split(|byte| *byte == b',') {
        let end = start + word.len();
        let range = trimmed(value, start..end);
        if range.is_empty() || target(&value[range.clone()]).is_none() {
            return Some(range.start);
        }
        start = end + 1;
    }
    None
}

/// What becomes of a line with this problem.
pub(crate) fn effect(kind: ProblemKind) -> Effect {
    match kind {
        ProblemKind::NotAnEntry | ProblemKind::NotADestination => Effect::FileRefused,
        ProblemKind::ReadTwoWays | ProblemKind::TooLong => Effect::Deferred,
        ProblemKind::NameNotAddressable | ProblemKind::ByteOrderMark => Effect::Unreachable,
        _ => Effect::ReadOtherwise,
    }
}
