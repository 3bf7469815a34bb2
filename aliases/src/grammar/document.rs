//! A file as entries and what stands between them, whose bytes, joined, *are* the file.
//!
//! Parsing cuts the file into chunks: entries, lines the MTA skips, comments and blank lines. A
//! chunk is a range of the file's one buffer until an edit gives it bytes of its own. Chunks are
//! never moved: an inserted one is linked in behind another, so that a handle stays good and a
//! hundred thousand insertions cost no more than that.
//!
//! **Invariants**: parse then print is the identity on every byte string. An edit changes the bytes
//! that were asked for, is read back before it stands, and leaves the document as it was if it
//! would be read as anything else. No disk, no list manager's words.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use memchr::memrchr;

use crate::grammar::dialect::{Dialect, Winner, effect, fold, is_plain, pieces, read};
use crate::grammar::entry::{Entry, EntryId, name_of};
use crate::grammar::error::{Effect, Problem, ProblemKind};
use crate::grammar::names::Names;
use crate::grammar::reading::{Piece, PieceKind, newlines};

/// A name that stands more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Double {
    /// The name, as the MTA looks it up.
    pub name: Vec<u8>,
    /// Its entries in the order of the file, two or more.
    pub entries: Vec<EntryId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry,
    /// A logical line that the MTA skips.
    Skipped,
    /// Comments and blank lines.
    Between,
    /// Was an entry. Empty, but still a place that things can be put back to.
    Removed,
}

#[derive(Debug, Clone)]
pub(crate) enum Text {
    /// A range of the file as it was parsed.
    Original(Range<usize>),
    Edited(Box<[u8]>),
}

#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) kind: Kind,
    pub(crate) text: Text,
    /// The line of its first byte, from 1, as long as no edit has changed the number of lines.
    pub(crate) line: usize,
    pub(crate) next: Option<usize>,
}

/// An aliases file.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) dialect: Dialect,
    pub(crate) original: Vec<u8>,
    /// In the order of making; the order of the file is that of the links, from `first`.
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) first: Option<usize>,
    pub(crate) last: Option<usize>,
    problems: Vec<Problem>,
    pub(crate) names: OnceLock<Names>,
    pub(crate) lines_shifted: bool,
}

impl Document {
    /// Reads a file. This never fails: what cannot be read is kept, and told by
    /// [`problems`](Self::problems).
    pub fn parse(file: impl Into<Vec<u8>>, dialect: Dialect) -> Self {
        let original: Vec<u8> = file.into();
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut problems = Vec::new();
        pieces(&original, dialect, |piece| {
            let kind = judge(&original, &piece, dialect, &mut problems);
            let next = Some(chunks.len() + 1);
            chunks.push(Chunk {
                kind,
                text: Text::Original(piece.span),
                line: piece.line,
                next,
            });
        });
        if let Some(last) = chunks.last_mut() {
            last.next = None;
        }
        Self {
            dialect,
            first: (!chunks.is_empty()).then_some(0),
            last: chunks.len().checked_sub(1),
            original,
            chunks,
            problems,
            names: OnceLock::new(),
            lines_shifted: false,
        }
    }

    /// The file as it is now.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.original.len() + self.original.len() / 8);
        for index in self.order() {
            bytes.extend_from_slice(self.text(index));
        }
        bytes
    }

    /// What was wrong with the file as it was parsed, in its order. Names that stand twice are not
    /// here but in [`doubles`](Self::doubles).
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whose reading this is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The entries in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut lines = 1;
        self.order().filter_map(move |index| {
            let line = if self.lines_shifted {
                lines
            } else {
                self.chunks[index].line
            };
            if self.lines_shifted {
                lines += newlines(self.text(index));
            }
            (self.chunks[index].kind == Kind::Entry).then(|| self.view(index, line))
        })
    }

    /// One entry; none if it was removed. Costs the same in any file, unless an edit has changed
    /// the number of lines, which are then counted again.
    pub fn entry(&self, id: EntryId) -> Option<Entry<'_>> {
        let chunk = self
            .chunks
            .get(id.0)
            .filter(|chunk| chunk.kind == Kind::Entry)?;
        let line = if self.lines_shifted {
            self.line_now(id.0)
        } else {
            chunk.line
        };
        Some(self.view(id.0, line))
    }

    /// The entry that mail for `name` (in any case, unquoted) goes to: of doubles the one that
    /// [wins](Dialect::winner); where the MTA refuses doubles, the first.
    pub fn lookup(&self, name: &[u8]) -> Option<EntryId> {
        let name = fold(name, self.dialect);
        let candidate = self.names.get_or_init(|| self.index()).candidate(&name)?;
        let stands = self.chunks[candidate.0].kind == Kind::Entry;
        if stands && self.name(candidate) == name {
            return Some(candidate);
        }
        // It was removed (another one of the name may stand), or two names have one hash.
        let mut standing = self.entries().filter(|entry| entry.name() == name);
        let wins = match self.dialect.winner() {
            Winner::First | Winner::Refused => standing.next(),
            Winner::Last => standing.last(),
        };
        wins.map(|entry| entry.id())
    }

    /// The entries that mail goes by, in the order of the file: one for each name, none if the MTA
    /// [refuses](Self::refused) the file.
    pub fn effective(&self) -> impl Iterator<Item = Entry<'_>> {
        let refused = self.refused().is_some();
        self.entries()
            .filter(move |entry| !refused && self.lookup(&entry.name()) == Some(entry.id()))
    }

    /// The line, from 1, for which the MTA refuses the whole file, in the file as it was parsed.
    pub fn refused(&self) -> Option<usize> {
        let problem = self
            .problems
            .iter()
            .find(|problem| problem.effect == Effect::FileRefused);
        problem.map(Problem::line).or_else(|| {
            if self.dialect.winner() != Winner::Refused {
                return None;
            }
            let double = self.doubles().into_iter().next()?;
            Some(self.entry(*double.entries.get(1)?)?.line())
        })
    }

    /// The names that stand more than once, in the order of their first entries.
    pub fn doubles(&self) -> Vec<Double> {
        let mut firsts = Names::with_capacity(self.chunks.len());
        let mut later: HashMap<Vec<u8>, Vec<EntryId>> = HashMap::new();
        let mut found = Vec::new();
        for entry in self.entries() {
            let name = entry.name();
            let Some(earlier) = firsts.note(&name, entry.id()) else {
                continue;
            };
            let entries = later.entry(name.clone()).or_insert_with(|| {
                found.push((earlier, name.clone()));
                if self.name(earlier) == name {
                    vec![earlier]
                } else {
                    Vec::new()
                }
            });
            entries.push(entry.id());
        }
        found
            .into_iter()
            .filter_map(|(_, name)| {
                Some(Double {
                    entries: later.remove(&name)?,
                    name,
                })
            })
            .filter(|double| double.entries.len() > 1)
            .collect()
    }
}

/// The inner half: chunks and their order.
impl Document {
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> {
        std::iter::successors(self.first, |index| self.chunks[*index].next)
    }

    pub(crate) fn text(&self, index: usize) -> &[u8] {
        match &self.chunks[index].text {
            Text::Original(range) => &self.original[range.clone()],
            Text::Edited(bytes) => bytes,
        }
    }

    fn view(&self, index: usize, line: usize) -> Entry<'_> {
        Entry {
            id: EntryId(index),
            line,
            raw: self.text(index),
            dialect: self.dialect,
        }
    }

    pub(crate) fn name(&self, id: EntryId) -> Vec<u8> {
        name_of(self.text(id.0), self.dialect)
    }

    fn line_now(&self, wanted: usize) -> usize {
        let above = self.order().take_while(|index| *index != wanted);
        1 + above.map(|index| newlines(self.text(index))).sum::<usize>()
    }

    fn index(&self) -> Names {
        let mut names = Names::with_capacity(self.chunks.len());
        for entry in self.entries() {
            match self.dialect.winner() {
                Winner::First | Winner::Refused => names.note(&entry.name(), entry.id()),
                Winner::Last => names.replace(&entry.name(), entry.id()),
            };
        }
        names
    }
}

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
        return Kind::Entry;
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
