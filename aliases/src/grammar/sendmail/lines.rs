//! A file as logical lines and what stands between them, as sendmail's reader cuts it.
//!
//! A line goes on where it ends with a backslash, or where the next one begins with a blank; that
//! holds for comments and empty lines too, so that an indented line below a comment belongs to the
//! comment. All of it must fit into one buffer, whose text ends at the first NUL.
//!
//! **Invariants**: the pieces of a file, joined, are the file.

use std::ops::Range;

use memchr::memchr;

use crate::grammar::error::ProblemKind;
use crate::grammar::reading::{Piece, PieceKind, line_end, newlines};

/// The reader's buffer in bytes, with a byte for its end. Measured.
const BUFFER: usize = 8192;

/// One logical line.
#[derive(Debug)]
pub(super) struct Logical {
    /// Behind its last byte in the file.
    pub(super) end: usize,
    /// What of the file is in it, in order: no newlines, no backslashes before those.
    pub(super) kept: Vec<Range<usize>>,
    /// The first NUL that cut something off.
    pub(super) nul: Option<usize>,
    /// Why the reader never comes to understand it.
    pub(super) lost: Option<ProblemKind>,
}

impl Logical {
    fn first(&self, bytes: &[u8]) -> Option<u8> {
        let kept = self.kept.iter().find(|range| !range.is_empty())?;
        Some(bytes[kept.start])
    }
}

/// A blank at the beginning of a line, which makes it a continuation.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn continues(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).copied().is_some_and(is_blank)
}

/// Reads the logical line that begins at `start`.
pub(super) fn logical(bytes: &[u8], start: usize) -> Logical {
    let mut line = Logical {
        end: start,
        kept: Vec::new(),
        nul: None,
        lost: None,
    };
    let mut length = 0;
    loop {
        let room = BUFFER - 1 - length;
        if room == 0 {
            // The reader asks for more, gets nothing, and asks again.
            line.lost = Some(ProblemKind::EndlessLine);
            line.end = bytes.len();
            return line;
        }
        let read = line.end..line_end(bytes, line.end).min(line.end + room);
        let text = &bytes[read.clone()];
        let nul = memchr(0, text);
        let ended = nul.is_none() && text.ends_with(b"\n");
        let kept = read.start..nul.map_or(read.end - usize::from(ended), |at| read.start + at);
        line.end = read.end;
        line.nul = line.nul.or(nul.map(|at| read.start + at));
        length += kept.len();
        line.kept.push(kept);
        let joined = ended && length > 0 && line.drop_backslash(bytes);
        length -= usize::from(joined);
        if joined && line.end < bytes.len() {
            continue;
        }
        if continues(bytes, line.end) {
            continue;
        }
        if !ended && line.end < bytes.len() {
            line.pass_over(bytes);
        }
        return line;
    }
}

impl Logical {
    /// Drops a backslash that is the last byte before a newline.
    fn drop_backslash(&mut self, bytes: &[u8]) -> bool {
        let last = self
            .kept
            .iter_mut()
            .rev()
            .find(|range| range.start < range.end);
        match last {
            Some(range) if bytes[range.end - 1] == b'\\' => {
                range.end -= 1;
                true
            }
            _ => false,
        }
    }

    /// Passes over the rest of a line that is too long or, where a NUL hid its newline, over the
    /// whole line behind it.
    fn pass_over(&mut self, bytes: &[u8]) {
        self.lost = Some(match self.nul {
            Some(_) => ProblemKind::NulAndNextLine,
            None => ProblemKind::TooLong,
        });
        let mut backslash = false;
        loop {
            let end = line_end(bytes, self.end);
            let rest = &bytes[self.end..end];
            let text = rest.strip_suffix(b"\n").unwrap_or(rest);
            backslash = text.last().map_or(backslash, |last| *last == b'\\');
            self.end = end;
            let joined = backslash && rest.ends_with(b"\n");
            if end >= bytes.len() || !(joined || continues(bytes, end)) {
                return;
            }
        }
    }
}

/// Cuts a file into pieces, in order, and hands each to `take`.
pub(crate) fn pieces(bytes: &[u8], mut take: impl FnMut(Piece)) {
    let mut between = 0..0;
    let mut between_line = 1;
    let mut start = 0;
    let mut line = 1;
    while start < bytes.len() {
        let found = logical(bytes, start);
        let (kind, from) = judge(bytes, start, &found);
        let unread_line = line + newlines(&bytes[start..from]);
        line += newlines(&bytes[start..found.end]);
        if kind == PieceKind::Between {
            between.end = found.end;
        } else {
            if between.start < from {
                let span = between.start..from;
                take(piece(PieceKind::Between, span, between_line));
            }
            take(piece(kind, from..found.end, unread_line));
            between = found.end..found.end;
            between_line = line;
        }
        start = found.end;
    }
    if !between.is_empty() {
        take(piece(PieceKind::Between, between, between_line));
    }
}

fn piece(kind: PieceKind, span: Range<usize>, line: usize) -> Piece {
    Piece { kind, span, line }
}

/// What a logical line is, and where that begins: the lines above it are only between.
fn judge(bytes: &[u8], start: usize, found: &Logical) -> (PieceKind, usize) {
    if let Some(kind) = found.lost {
        return (PieceKind::Unread(kind), start);
    }
    match found.first(bytes) {
        None => (PieceKind::Between, start),
        Some(b'#') => match swallowed(bytes, start, found.end) {
            Some(at) => (PieceKind::Unread(ProblemKind::BelowComment), at),
            None => (PieceKind::Between, start),
        },
        Some(byte) if is_blank(byte) => {
            let first = found.kept.iter().find(|range| !range.is_empty());
            let at = first.map_or(start, |range| range.start);
            (PieceKind::Unread(ProblemKind::LeadingBlank), at)
        }
        Some(_) => (PieceKind::Logical, start),
    }
}

/// The first line below a comment's first that looks as if it were meant, and belongs to the comment.
fn swallowed(bytes: &[u8], start: usize, end: usize) -> Option<usize> {
    let mut at = line_end(bytes, start);
    while at < end {
        let next = line_end(bytes, at);
        match bytes[at..next].trim_ascii_start().first() {
            None | Some(b'#') => at = next,
            Some(_) => return Some(at),
        }
    }
    None
}
