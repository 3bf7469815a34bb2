//! What a piece of the file is to the MTA, and what is wrong with it.
//!
//! **Invariants**: goes by the dialect's own reading; decides nothing that a dialect decides.

use memchr::memrchr;

use crate::grammar::chunks::Kind;
use crate::grammar::dialect::{Dialect, effect, is_plain, read};
use crate::grammar::error::{Effect, Problem, ProblemKind};
use crate::grammar::reading::{Piece, PieceKind, newlines};

/// Says what a piece is to the MTA, and notes what is wrong with it.
pub(crate) fn judge(
    file: &[u8],
    piece: &Piece,
    dialect: Dialect,
    problems: &mut Vec<Problem>,
) -> Kind {
    let raw = &file[piece.span.clone()];
    let mut note = |kind, at| problems.push(problem(raw, piece, (kind, effect(kind, dialect)), at));
    match piece.kind {
        PieceKind::Between => return Kind::Between,
        PieceKind::Unread(kind) => {
            note(kind, 0);
            return Kind::Skipped;
        }
        PieceKind::Logical => {}
    }
    if piece.span.start == 0 && raw.starts_with(b"\xef\xbb\xbf") {
        note(ProblemKind::ByteOrderMark, 0);
    }
    if is_plain(raw, dialect) {
        return Kind::Plain;
    }
    let reading = read(raw, dialect);
    for (kind, at) in &reading.problems {
        note(*kind, *at);
    }
    if reading.skipped {
        Kind::Skipped
    } else {
        Kind::Entry
    }
}

/// Finds the line and column of a problem at byte `at` of a piece.
fn problem(raw: &[u8], piece: &Piece, (kind, effect): (ProblemKind, Effect), at: usize) -> Problem {
    let line_start = memrchr(b'\n', &raw[..at]).map_or(0, |newline| newline + 1);
    Problem {
        line: piece.line + newlines(&raw[..line_start]),
        column: at - line_start + 1,
        span: piece.span.clone(),
        kind,
        effect,
    }
}
