//! A file as entries, as a look-up scans it: in stretches of at most 4,095 bytes, up to a newline.
//!
//! A stretch with a NUL ends there, newline and all, so that the next line is read as the rest of
//! its line. A blank line or a comment between continuation lines ends the entry: what is indented
//! behind it is lost.
//!
//! **Invariants**: nothing here knows what a right side means.

use std::ops::Range;

use memchr::memchr;

use crate::grammar::error::ProblemKind;
use crate::grammar::reading::{Piece, PieceKind, newlines};
use crate::grammar::spliced::{Spliced, is_space};

/// How many bytes are read at a time.
const STRETCH: usize = 4095;

/// A part of a physical line, as it is read.
struct Stretch {
    /// What is seen of it, in the raw bytes: up to a NUL, and without white space at the line's end.
    seen: Range<usize>,
    /// Where the next one begins.
    end: usize,
    /// Whether the line ends with it.
    ends_line: bool,
    /// Where the NUL stands.
    nul: Option<usize>,
}

fn stretch(bytes: &[u8], start: usize) -> Stretch {
    let longest = &bytes[start..bytes.len().min(start + STRETCH)];
    let end = memchr(b'\n', longest).map_or(start + longest.len(), |at| start + at + 1);
    let nul = memchr(0, &bytes[start..end]).map(|at| start + at);
    let ends_line = nul.is_none() && bytes[end - 1] == b'\n';
    let mut seen = start..nul.unwrap_or(end);
    while ends_line && seen.end > start && is_space(bytes[seen.end - 1]) {
        seen.end -= 1;
    }
    Stretch {
        seen,
        end,
        ends_line,
        nul,
    }
}

/// A line of the file as the scan takes it, from one that ended to where the next one begins.
struct Line {
    kind: PieceKind,
    /// Its first byte is a blank: it continues an entry, if one is open.
    indented: bool,
    end: usize,
}

fn line(bytes: &[u8], start: usize) -> Line {
    let first = stretch(bytes, start);
    let seen = &bytes[first.seen.clone()];
    let mut end = first.end;
    let mut nul = first.nul.is_some();
    let mut ends_line = first.ends_line;
    while !ends_line && end < bytes.len() {
        let next = stretch(bytes, end);
        (end, ends_line) = (next.end, next.ends_line);
        nul |= next.nul.is_some();
    }
    let kind = match seen.first() {
        // A comment with a NUL takes the next line along, and so may a NUL that begins a line.
        None | Some(b'#') if nul && newlines(&bytes[start..end]) > 0 => {
            PieceKind::Unread(ProblemKind::Nul)
        }
        None | Some(b'#') => PieceKind::Between,
        Some(byte) if is_space(*byte) => PieceKind::Unread(ProblemKind::LeadingBlank),
        Some(_) => PieceKind::Logical,
    };
    Line {
        kind,
        indented: seen.first().copied().is_some_and(is_space),
        end,
    }
}

/// Cuts a file into pieces, in order, and hands each to `take`.
pub(crate) fn pieces(bytes: &[u8], mut take: impl FnMut(Piece)) {
    // What is open: an entry, or a run of lines of one kind.
    let mut open: Option<Piece> = None;
    let (mut start, mut number) = (0, 1);
    while start < bytes.len() {
        let line = line(bytes, start);
        match &mut open {
            Some(piece) if joins(&piece.kind, &line) => piece.span.end = line.end,
            _ => {
                let piece = Piece {
                    kind: line.kind,
                    span: start..line.end,
                    line: number,
                };
                open.replace(piece).into_iter().for_each(&mut take);
            }
        }
        number += newlines(&bytes[start..line.end]);
        start = line.end;
    }
    open.into_iter().for_each(&mut take);
}

fn joins(open: &PieceKind, line: &Line) -> bool {
    match open {
        PieceKind::Logical | PieceKind::Unread(ProblemKind::LeadingBlank) => line.indented,
        PieceKind::Between => line.kind == PieceKind::Between,
        PieceKind::Unread(_) => false,
    }
}

/// An entry's name, as it is written but without its quotes, and its right side.
pub(super) struct Split {
    pub(super) key: Vec<u8>,
    pub(super) value: Spliced,
    /// The first NUL.
    pub(super) nul: Option<usize>,
}

/// Takes the lines of an entry apart.
pub(super) fn split(raw: &[u8]) -> Split {
    let mut split = Split {
        key: Vec::new(),
        value: Spliced::default(),
        nul: None,
    };
    let mut start = 0;
    let mut begins_line = true;
    while start < raw.len() {
        let part = stretch(raw, start);
        let seen = part.seen.clone();
        let from = if start == 0 {
            let (key, behind) = key(&raw[seen.clone()]);
            split.key = key;
            behind
        } else if begins_line {
            // The blanks at the beginning are one, in the place of their last.
            let blanks = raw[seen.clone()].iter().take_while(|byte| is_space(**byte));
            let behind = seen.start + blanks.count();
            split.value.push_byte(b' ', behind - 1);
            behind
        } else {
            seen.start
        };
        split.value.push(raw, from..seen.end);
        split.nul = split.nul.or(part.nul);
        (start, begins_line) = (part.end, part.ends_line);
    }
    split
}

/// The name at the beginning of a line, and where the right side begins.
fn key(line: &[u8]) -> (Vec<u8>, usize) {
    let (key, mut at) = match line.first() {
        Some(b'"') => quoted(line),
        _ => {
            let ends = |byte: &u8| *byte == b':' || is_space(*byte);
            let end = line.iter().position(ends).unwrap_or(line.len());
            (line[..end].to_vec(), end)
        }
    };
    let skip = |at: usize| {
        at + line[at..]
            .iter()
            .take_while(|byte| is_space(**byte))
            .count()
    };
    at = skip(at);
    if line.get(at) == Some(&b':') {
        at = skip(at + 1);
    }
    (key, at)
}

/// A name in quotes, and where what stands behind them begins.
fn quoted(line: &[u8]) -> (Vec<u8>, usize) {
    let mut key = Vec::new();
    let mut at = 1;
    while let Some(&byte) = line.get(at) {
        at += 1;
        match byte {
            b'"' => return (key, at),
            b'\\' => {
                let (byte, length) = escape(&line[at..]);
                key.push(byte);
                at += length;
            }
            _ => key.push(byte),
        }
    }
    (key, at)
}

/// What stands for itself behind a backslash, or for a byte by its letter or number; and how many
/// bytes that takes. A backslash at the very end is one.
fn escape(rest: &[u8]) -> (u8, usize) {
    let number = |digits: &[u8], base: u32| {
        let digits = digits
            .iter()
            .filter_map(|byte| char::from(*byte).to_digit(base));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "as the MTA does, modulo 256"
        )]
        let number = digits.fold(0, |sum, digit| sum * base + digit) as u8;
        number
    };
    let run = |from: usize, most: usize, base: u32| {
        let digits = rest[from..].iter().take(most);
        digits
            .take_while(|byte| char::from(**byte).is_digit(base))
            .count()
    };
    match rest.first() {
        None => (b'\\', 0),
        Some(b'0'..=b'7') => {
            let length = run(0, 3, 8);
            (number(&rest[..length], 8), length)
        }
        Some(b'x') => {
            let length = run(1, 2, 16);
            (number(&rest[1..=length], 16), 1 + length)
        }
        Some(letter) => {
            let byte = match letter {
                b'b' => b'\x08',
                b'f' => b'\x0c',
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => b'\x0b',
                other => *other,
            };
            (byte, 1)
        }
    }
}
