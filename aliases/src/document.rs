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

use memchr::{memchr, memchr_iter, memrchr};

use crate::entry::{Destination, Entry, fold, read};
use crate::error::{EditError, Problem, ProblemKind};
use crate::lexer::{Dialect, Piece, PieceKind, pieces};
use crate::names::Names;

/// The handle of an entry. It stays good through all edits of its document, and means nothing in
/// another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId(usize);

/// A name that stands more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Double {
    /// The name, as the MTA looks it up.
    pub name: Vec<u8>,
    /// Its entries in the order of the file, two or more.
    pub entries: Vec<EntryId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entry,
    /// A logical line that the MTA skips.
    Skipped,
    /// Comments and blank lines.
    Between,
    /// Was an entry. Empty, but still a place that things can be put back to.
    Removed,
}

#[derive(Debug, Clone)]
enum Text {
    /// A range of the file as it was parsed.
    Original(Range<usize>),
    Edited(Box<[u8]>),
}

#[derive(Debug, Clone)]
struct Chunk {
    kind: Kind,
    text: Text,
    /// The line of its first byte, from 1, as long as no edit has changed the number of lines.
    line: usize,
    next: Option<usize>,
}

/// An aliases file.
#[derive(Debug, Clone)]
pub struct Document {
    dialect: Dialect,
    original: Vec<u8>,
    /// In the order of making; the order of the file is that of the links, from `first`.
    chunks: Vec<Chunk>,
    first: Option<usize>,
    last: Option<usize>,
    problems: Vec<Problem>,
    names: OnceLock<Names>,
    lines_shifted: bool,
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

    /// The entry that mail for `name` (in any case, unquoted) goes to. Of doubles this is the one
    /// that wins: Postfix takes the first.
    pub fn lookup(&self, name: &[u8]) -> Option<EntryId> {
        let name = fold(name);
        let candidate = self.names.get_or_init(|| self.index()).candidate(&name)?;
        if self.name(candidate) == name {
            return Some(candidate);
        }
        // Two names with one hash.
        self.entries()
            .find(|entry| entry.name() == name)
            .map(|entry| entry.id())
    }

    /// The names that stand more than once, in the order of their first entries.
    pub fn doubles(&self) -> Vec<Double> {
        let mut firsts = Names::default();
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

    /// Replaces destination `n` (from 0) of an entry; every other byte stays.
    ///
    /// `text`: one destination as it is to stand in the file, with its quotes, without a newline.
    ///
    /// # Errors
    /// `NoSuchEntry`, `NoSuchDestination`; `NotOneDestination` if the entry would then not be read
    /// as before with `text` as its destination `n`. The document is then as it was.
    pub fn set_destination(&mut self, id: EntryId, n: usize, text: &[u8]) -> Result<(), EditError> {
        let entry = self.entry(id).ok_or(EditError::NoSuchEntry)?;
        let before = entry.destinations();
        let range = before.get(n).ok_or(EditError::NoSuchDestination)?.range();
        let raw = entry.raw();
        let edited = [&raw[..range.start], text, &raw[range.end..]].concat();
        let read_back = Entry {
            raw: &edited,
            ..entry.clone()
        };
        let same_kind =
            |a: &Destination<'_>, b: &Destination<'_>| a.text() == b.text() && a.kind() == b.kind();
        let after = read_back.destinations();
        let stands = memchr(b'\n', text).is_none()
            && read_back.name() == entry.name()
            && after.len() == before.len()
            && after
                .iter()
                .zip(&before)
                .enumerate()
                .all(|(index, (new, old))| {
                    if index == n {
                        new.text() == text
                    } else {
                        same_kind(new, old)
                    }
                });
        if !stands {
            return Err(EditError::NotOneDestination);
        }
        self.set_text(id.0, edited);
        Ok(())
    }

    /// Adds the one line `name: destination` behind the entry `after`, all of it, or at the end of
    /// the file.
    ///
    /// The new line always ends with a newline, CRLF where the line above has that; the last line
    /// of the file gets one if it had none. `name`, `destination`: as they are to stand there.
    ///
    /// # Errors
    /// `NoSuchEntry` if `after` never was an entry; `NotOneEntry` if the line would not be read as
    /// that name with that one destination.
    pub fn insert_after(
        &mut self,
        after: Option<EntryId>,
        name: &[u8],
        destination: &[u8],
    ) -> Result<EntryId, EditError> {
        let ending = self.line_ending(after);
        let line = [name, b": ", destination, ending].concat();
        let one = read(&line, self.dialect);
        let fits = one.problems.is_empty()
            && one.name == fold(name)
            && matches!(one.destinations.as_slice(), [(range, _)] if &line[range.clone()] == destination);
        if !fits {
            return Err(EditError::NotOneEntry);
        }
        self.insert_raw_after(after, &line)
    }

    /// Takes an entry out, with its continuation lines and the comments between those, and returns
    /// these bytes. The handle stays good as a place to insert behind.
    ///
    /// # Errors
    /// `NoSuchEntry` if it is not there.
    pub fn remove(&mut self, id: EntryId) -> Result<Vec<u8>, EditError> {
        let raw = self.entry(id).ok_or(EditError::NoSuchEntry)?.raw().to_vec();
        self.chunks[id.0].kind = Kind::Removed;
        self.set_text(id.0, Vec::new());
        self.names = OnceLock::new();
        Ok(raw)
    }

    /// Puts an entry's bytes in behind the entry `after` (or where it was, if it was removed), or
    /// at the end of the file. Used to put back what [`remove`](Self::remove) returned.
    ///
    /// A newline is added only where the bytes would otherwise run into a neighbour's.
    ///
    /// # Errors
    /// `NoSuchEntry` if `after` never was an entry; `NotOneEntry` if `raw` is not exactly one entry.
    pub fn insert_raw_after(
        &mut self,
        after: Option<EntryId>,
        raw: &[u8],
    ) -> Result<EntryId, EditError> {
        self.check_one_entry(raw)?;
        let above = match after {
            Some(id) => Some(self.place(id)?),
            None => self.last,
        };
        self.end_line_above(above);
        let next = match above {
            Some(index) => self.chunks[index].next,
            None => self.first,
        };
        let raw = self.ended(raw, next);
        let index = self.chunks.len();
        self.chunks.push(Chunk {
            kind: Kind::Entry,
            text: Text::Edited(raw.into()),
            line: 0,
            next,
        });
        match above {
            Some(above) => self.chunks[above].next = Some(index),
            None => self.first = Some(index),
        }
        if next.is_none() {
            self.last = Some(index);
        }
        self.lines_shifted = true;
        self.note_name(EntryId(index));
        Ok(EntryId(index))
    }

    /// Replaces all of an entry's bytes; used to put its former bytes back.
    ///
    /// # Errors
    /// `NoSuchEntry`; `NotOneEntry` if `raw` is not exactly one entry.
    pub fn replace_raw(&mut self, id: EntryId, raw: &[u8]) -> Result<(), EditError> {
        self.entry(id).ok_or(EditError::NoSuchEntry)?;
        self.check_one_entry(raw)?;
        let raw = self.ended(raw, self.chunks[id.0].next);
        self.set_text(id.0, raw);
        self.names = OnceLock::new();
        Ok(())
    }
}

/// The inner half: chunks and their order.
impl Document {
    fn order(&self) -> impl Iterator<Item = usize> {
        std::iter::successors(self.first, |index| self.chunks[*index].next)
    }

    fn text(&self, index: usize) -> &[u8] {
        match &self.chunks[index].text {
            Text::Original(range) => &self.original[range.clone()],
            Text::Edited(bytes) => bytes,
        }
    }

    fn set_text(&mut self, index: usize, bytes: Vec<u8>) {
        self.lines_shifted |= newlines(self.text(index)) != newlines(&bytes);
        self.chunks[index].text = Text::Edited(bytes.into());
    }

    fn view(&self, index: usize, line: usize) -> Entry<'_> {
        Entry {
            id: EntryId(index),
            line,
            raw: self.text(index),
            dialect: self.dialect,
        }
    }

    fn name(&self, id: EntryId) -> Vec<u8> {
        self.view(id.0, 0).name()
    }

    fn line_now(&self, wanted: usize) -> usize {
        let above = self.order().take_while(|index| *index != wanted);
        1 + above.map(|index| newlines(self.text(index))).sum::<usize>()
    }

    fn index(&self) -> Names {
        let mut names = Names::default();
        for entry in self.entries() {
            names.note(&entry.name(), entry.id());
        }
        names
    }

    /// Keeps the index of names up to date with a new entry; a double makes it start over.
    fn note_name(&mut self, id: EntryId) {
        let name = self.name(id);
        if let Some(names) = self.names.get_mut()
            && names.note(&name, id).is_some()
        {
            self.names = OnceLock::new();
        }
    }

    /// A chunk that is or was an entry.
    fn place(&self, id: EntryId) -> Result<usize, EditError> {
        match self.chunks.get(id.0).map(|chunk| chunk.kind) {
            Some(Kind::Entry | Kind::Removed) => Ok(id.0),
            _ => Err(EditError::NoSuchEntry),
        }
    }

    /// The last chunk with bytes, up to and with `upto`.
    fn last_written(&self, upto: Option<usize>) -> Option<usize> {
        let upto = upto?;
        if !self.text(upto).is_empty() {
            return Some(upto);
        }
        let above = self.order().take_while(|index| *index != upto);
        above.filter(|index| !self.text(*index).is_empty()).last()
    }

    /// Ends the line above a place where something is to be inserted, if it has no newline.
    fn end_line_above(&mut self, above: Option<usize>) {
        let Some(index) = self.last_written(above) else {
            return;
        };
        let text = self.text(index);
        if text.ends_with(b"\n") {
            return;
        }
        let ended = [text, self.usual_ending()].concat();
        self.set_text(index, ended);
    }

    /// `raw`, with a newline behind it if it has none and something follows.
    fn ended(&self, raw: &[u8], next: Option<usize>) -> Vec<u8> {
        let followed = std::iter::successors(next, |index| self.chunks[*index].next)
            .any(|index| !self.text(index).is_empty());
        let missing = followed && !raw.ends_with(b"\n");
        [raw, if missing { self.usual_ending() } else { b"" }].concat()
    }

    /// The ending of the line above a new one; the file's usual one if that has none.
    fn line_ending(&self, after: Option<EntryId>) -> &'static [u8] {
        let above = after
            .map(|id| id.0)
            .filter(|index| *index < self.chunks.len())
            .or(self.last);
        match self.last_written(above).map(|index| self.text(index)) {
            Some(text) if text.ends_with(b"\r\n") => b"\r\n",
            Some(text) if text.ends_with(b"\n") => b"\n",
            _ => self.usual_ending(),
        }
    }

    /// The ending of the file's last complete line.
    fn usual_ending(&self) -> &'static [u8] {
        match memrchr(b'\n', &self.original) {
            Some(at) if self.original[..at].ends_with(b"\r") => b"\r\n",
            _ => b"\n",
        }
    }

    fn check_one_entry(&self, raw: &[u8]) -> Result<(), EditError> {
        let mut chunks = 0;
        let mut kind = Kind::Between;
        pieces(raw, self.dialect, |piece| {
            chunks += 1;
            kind = judge(raw, &piece, self.dialect, &mut Vec::new());
        });
        if (chunks, kind) == (1, Kind::Entry) {
            Ok(())
        } else {
            Err(EditError::NotOneEntry)
        }
    }
}

fn newlines(bytes: &[u8]) -> usize {
    memchr_iter(b'\n', bytes).count()
}

/// Says what a piece is to the MTA, and notes what is wrong with it.
fn judge(file: &[u8], piece: &Piece, dialect: Dialect, problems: &mut Vec<Problem>) -> Kind {
    let raw = &file[piece.span.clone()];
    let mut note = |kind, at| problems.push(problem(raw, piece, kind, at));
    match piece.kind {
        PieceKind::Between => return Kind::Between,
        PieceKind::Orphan => {
            note(ProblemKind::LeadingBlank, 0);
            return Kind::Skipped;
        }
        PieceKind::Logical => {}
    }
    if piece.span.start == 0 && raw.starts_with(b"\xef\xbb\xbf") {
        note(ProblemKind::ByteOrderMark, 0);
    }
    if is_plain(raw) {
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
fn problem(raw: &[u8], piece: &Piece, kind: ProblemKind, at: usize) -> Problem {
    let line_start = memrchr(b'\n', &raw[..at]).map_or(0, |newline| newline + 1);
    Problem {
        line: piece.line + newlines(&raw[..line_start]),
        column: at - line_start + 1,
        span: piece.span.clone(),
        kind,
    }
}

/// Whether a line is so ordinary that [`read`] would find an entry and nothing wrong: this is what
/// makes a file of a million lines quick.
fn is_plain(raw: &[u8]) -> bool {
    let Some(colon) = memchr(b':', raw) else {
        return false;
    };
    let (name, rest) = raw.split_at(colon);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+');
    if name.is_empty() || !name.iter().all(is_name) {
        return false;
    }
    let value = rest[1..]
        .strip_suffix(b"\n")
        .unwrap_or(&rest[1..])
        .trim_ascii();
    match value {
        [b'"', quoted @ .., b'"'] => {
            !quoted.is_empty() && quoted.iter().all(|byte| is_plain_byte(*byte))
        }
        [first, ..] => {
            (first.is_ascii_alphanumeric() || *first == b'|')
                && value.iter().all(|byte| is_plain_byte(*byte))
        }
        [] => false,
    }
}

/// A byte that means the same inside and outside quotes, apart from separating words.
fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b' ' | b'/' | b'-' | b'_' | b'.' | b'|' | b'+' | b'=' | b'@' | b','
        )
}
