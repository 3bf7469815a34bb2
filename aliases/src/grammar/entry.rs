//! One entry: its name, its destinations, and where in its bytes they stand.
//!
//! [`Entry`] and [`Destination`] are views for callers; they borrow the document's bytes and own only
//! what quoting made different.
//!
//! **Invariants**: reading changes nothing; a name or a destination is what the MTA looks up and
//! delivers to, never what it looks like.

use std::ops::Range;

use memchr::memchr;

use crate::grammar::dialect::{Dialect, is_plain, read};
use crate::grammar::error::Problem;
use crate::grammar::judge::judge;
use crate::grammar::reading::{DestinationKind, Piece, PieceKind, Reading, is_plain_name};

/// The handle of an entry. It stays good through all edits of its document, and means nothing in
/// another one. Of entries of the file as it was parsed, the first in the file is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(crate) usize);

impl EntryId {
    /// A number that no other entry of its document has, below the count of the file's pieces and
    /// of what was added since.
    #[must_use]
    pub fn number(self) -> usize {
        self.0
    }
}

/// One alias, still wearing the bytes it has in the file.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub(crate) id: EntryId,
    pub(crate) line: usize,
    pub(crate) raw: &'a [u8],
    pub(crate) dialect: Dialect,
    /// Whether it is known to be an ordinary line; if not, it may be one all the same.
    pub(crate) is_plain: bool,
}

impl<'a> Entry<'a> {
    /// Its handle, for edits; the entry's own for as long as it stands in the document.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// The line of its name, counted from 1, in the document as it is now.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of its name in bytes, counted from 1: not 1 where the dialect knows indented entries.
    pub fn column(&self) -> usize {
        match self.raw.first() {
            Some(b' ' | b'\t' | 0x0b | 0x0c | b'\r') => read(self.raw, self.dialect).name_at + 1,
            _ => 1,
        }
    }

    /// All of its bytes: continuation lines, comments between them, the last line's newline.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The name as the MTA looks it up: without quotes and backslashes, in lower case.
    pub fn name(&self) -> Vec<u8> {
        name_of(self.raw, self.dialect)
    }

    /// The same where it stands so in the file, as most names do: without quotes, in lower case. None
    /// for every other entry; ask [`name`](Self::name), which this only saves.
    pub fn plain_name(&self) -> Option<&'a [u8]> {
        let name = &self.raw[..memchr(b':', self.raw)?];
        let is_it = is_plain_name(name) && !name.iter().any(u8::is_ascii_uppercase);
        is_it.then_some(name)
    }

    /// What mail for the name goes to, in the order of the file.
    pub fn destinations(&self) -> Vec<Destination<'a>> {
        if let Some(range) = self.plain_range() {
            let text = &self.raw[range.clone()];
            let kind = DestinationKind::Pipe(text[2..text.len() - 1].to_vec());
            return vec![Destination { text, range, kind }];
        }
        let destinations = read(self.raw, self.dialect).destinations;
        destinations
            .into_iter()
            .map(|(range, kind)| Destination {
                text: &self.raw[range.clone()],
                range,
                kind,
            })
            .collect()
    }

    /// What is wrong with it, read by itself: lines as [`line`](Self::line) counts them, and each
    /// [`span`](Problem::span) in its [`raw`](Self::raw) bytes.
    pub fn problems(&self) -> Vec<Problem> {
        let piece = Piece {
            kind: PieceKind::Logical,
            span: 0..self.raw.len(),
            line: self.line,
        };
        let mut problems = Vec::new();
        judge(self.raw, &piece, self.dialect, &mut problems);
        problems
    }

    /// The command, without the bar, of an entry that has this one destination, quoted, on one line
    /// of plain bytes: what most entries of lists are. None for every other entry; ask
    /// [`destinations`](Self::destinations), which this only saves.
    pub fn plain_pipe(&self) -> Option<&'a [u8]> {
        let range = self.plain_range()?;
        Some(&self.raw[range.start + 2..range.end - 1])
    }

    fn plain_range(&self) -> Option<Range<usize>> {
        match self.is_plain {
            true => quoted_pipe(self.raw),
            false => plain_pipe(self.raw, self.dialect),
        }
    }
}

/// One destination of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination<'a> {
    text: &'a [u8],
    range: Range<usize>,
    kind: DestinationKind,
}

impl<'a> Destination<'a> {
    /// Its bytes in the file, quotes included.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where [`text`](Self::text) stands in the entry's [`raw`](Entry::raw) bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// What it is.
    pub fn kind(&self) -> &DestinationKind {
        &self.kind
    }
}

/// Where the one destination of an ordinary line stands, if that is a quoted pipe of plain bytes.
pub(crate) fn plain_pipe(raw: &[u8], dialect: Dialect) -> Option<Range<usize>> {
    // That its bytes are plain is a part of the line's being so.
    quoted_pipe(raw).filter(|_| is_plain(raw, dialect))
}

/// As [`plain_pipe`], of a line that is known to be an ordinary one.
fn quoted_pipe(raw: &[u8]) -> Option<Range<usize>> {
    let value = memchr(b':', raw)? + 1;
    let text = raw[value..].trim_ascii_start();
    let start = raw.len() - text.len();
    let text = text.trim_ascii_end();
    let command = text.strip_prefix(b"\"|")?.strip_suffix(b"\"")?;
    (!command.is_empty()).then(|| start..start + text.len())
}

/// Hands the name of an entry to `take`; an ordinary one in the case that it has in the file.
pub(crate) fn with_name(raw: &[u8], dialect: Dialect, take: impl FnOnce(&[u8])) {
    match memchr(b':', raw).map(|colon| &raw[..colon]) {
        Some(name) if is_plain_name(name) => take(name),
        _ => take(&read(raw, dialect).name),
    }
}

/// The name of an entry, without reading what is right of the colon if it is an ordinary one.
pub(crate) fn name_of(raw: &[u8], dialect: Dialect) -> Vec<u8> {
    match memchr(b':', raw).map(|colon| &raw[..colon]) {
        Some(name) if is_plain_name(name) => name.to_ascii_lowercase(),
        _ => read(raw, dialect).name,
    }
}

/// As [`name_of`], of an entry that was read already.
pub(crate) fn name_read(raw: &[u8], reading: &Reading) -> Vec<u8> {
    match memchr(b':', raw).map(|colon| &raw[..colon]) {
        Some(name) if is_plain_name(name) => name.to_ascii_lowercase(),
        _ => reading.name.clone(),
    }
}

/// Whether this is the name of an entry, as [`name_of`] would give it.
pub(crate) fn is_named(raw: &[u8], name: &[u8], dialect: Dialect) -> bool {
    match memchr(b':', raw).map(|colon| &raw[..colon]) {
        Some(its) if is_plain_name(its) => {
            its.len() == name.len()
                && its
                    .iter()
                    .zip(name)
                    .all(|(its, byte)| its.to_ascii_lowercase() == *byte)
        }
        _ => read(raw, dialect).name == name,
    }
}

/// The destinations of a right side as the MTA stores it.
pub(crate) fn right_side(value: &[u8], dialect: Dialect) -> Vec<DestinationKind> {
    let destinations = read(&[b"x: ", value].concat(), dialect).destinations;
    destinations.into_iter().map(|(_, kind)| kind).collect()
}
