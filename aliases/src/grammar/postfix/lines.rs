//! A file as logical lines and what stands between them.
//!
//! **Invariants**: the pieces of a file, joined, are the file.

use crate::grammar::error::ProblemKind;
use crate::grammar::reading::{Piece, PieceKind, line_end};

/// White space at a line's beginning: ASCII only, with vertical tab and form feed.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// White space between words.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The bytes without the white space around them that stands between words.
pub(super) fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// A line that is empty, white space only, or whose first other byte is `#`.
pub(super) fn is_trivia(line: &[u8]) -> bool {
    match line.iter().find(|byte| !is_blank(**byte)) {
        None | Some(b'#') => true,
        Some(_) => false,
    }
}

/// Cuts a file into pieces, in order, and hands each to `take`.
pub(crate) fn pieces(bytes: &[u8], mut take: impl FnMut(Piece)) {
    // What is open: a logical line (or an orphan) from `open`'s start up to the last line of its
    // own, and behind that lines that belong to it only if a continuation follows.
    let mut open: Option<Piece> = None;
    let mut between = nothing_at(0, 1);
    let mut start = 0;
    let mut line = 1;
    while start < bytes.len() {
        let end = line_end(bytes, start);
        if is_trivia(&bytes[start..end]) {
            between.span.end = end;
        } else {
            let indented = is_blank(bytes[start]);
            match &mut open {
                Some(piece) if indented => piece.span.end = end,
                _ => {
                    flush(open.take(), &between, &mut take);
                    let kind = if indented {
                        PieceKind::Unread(ProblemKind::LeadingBlank)
                    } else {
                        PieceKind::Logical
                    };
                    open = Some(Piece {
                        kind,
                        span: start..end,
                        line,
                    });
                }
            }
            between = nothing_at(end, line + 1);
        }
        start = end;
        line += 1;
    }
    flush(open, &between, &mut take);
}

fn nothing_at(offset: usize, line: usize) -> Piece {
    Piece {
        kind: PieceKind::Between,
        span: offset..offset,
        line,
    }
}

fn flush(open: Option<Piece>, between: &Piece, take: &mut impl FnMut(Piece)) {
    if let Some(piece) = open {
        take(piece);
    }
    if !between.span.is_empty() {
        take(between.clone());
    }
}
