//! Changing a document: one destination, one line more, one entry less, and back.
//!
//! Each edit first makes the bytes that would stand, reads them as the MTA would, and only then puts
//! them in. Text is spliced, never rewritten: what was not asked for keeps its bytes.
//!
//! **Invariants**: a refused edit leaves the document as it was. A new line never stands where a
//! continuation line behind it would come to belong to it: it is placed behind a complete entry,
//! with all its continuation lines, or at the end of the file.

use std::ops::Range;
use std::sync::OnceLock;

use memchr::{memchr, memrchr};

use crate::grammar::chunks::Kind;
use crate::grammar::dialect::{fold, pieces, read};
use crate::grammar::document::Document;
use crate::grammar::entry::{EntryId, name_of, name_read, plain_pipe};
use crate::grammar::error::EditError;
use crate::grammar::judge::judge;
use crate::grammar::reading::{DestinationKind, PieceKind, newlines};

/// A destination, and where it stands.
type Placed = (Range<usize>, DestinationKind);

impl Document {
    /// Replaces destination `n` (from 0) of an entry; every other byte stays.
    ///
    /// `text`: one destination as it is to stand in the file, with its quotes, without a newline.
    ///
    /// # Errors
    /// `NoSuchEntry`, `NoSuchDestination`; `NotOneDestination` if the entry would then not be read
    /// as before with `text` as its destination `n`. The document is then as it was.
    pub fn set_destination(&mut self, id: EntryId, n: usize, text: &[u8]) -> Result<(), EditError> {
        if n == 0 && self.set_plain_pipe(id, text) {
            return Ok(());
        }
        let raw = self.raw(id).ok_or(EditError::NoSuchEntry)?;
        let before = read(raw, self.dialect);
        let (range, _) = before
            .destinations
            .get(n)
            .ok_or(EditError::NoSuchDestination)?;
        let edited = [&raw[..range.start], text, &raw[range.end..]].concat();
        let after = read(&edited, self.dialect);
        let same_kind = |new: &Placed, old: &Placed| {
            edited[new.0.clone()] == raw[old.0.clone()] && new.1 == old.1
        };
        let mut pairs = (0..).zip(after.destinations.iter().zip(&before.destinations));
        let stands = memchr(b'\n', text).is_none()
            && !after.skipped
            && self.is_one_line(&edited)
            && self.is_apart(b"", &edited, self.chunks.next(id.0))
            // Sendmail takes part of an odd line's right side into the name.
            && name_read(&edited, &after) == name_read(raw, &before)
            && after.destinations.len() == before.destinations.len()
            && pairs.all(|(index, (new, old))| {
                if index == n {
                    &edited[new.0.clone()] == text
                } else {
                    same_kind(new, old)
                }
            });
        if !stands {
            return Err(EditError::NotOneDestination);
        }
        self.set_text(id.0, &edited);
        Ok(())
    }

    /// Adds the one line `name: destination` behind the entry `after`, all of it, or at the end of
    /// the file.
    ///
    /// The new line always ends with a newline, CRLF where the line above has that; a last line
    /// that had none gets one. `name`, `destination`: as they are to stand there.
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
            && one.name == *fold(name, self.dialect)
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
    /// `NoSuchEntry` if it is not there; `NotOneEntry` if what stands behind it would come to belong
    /// to what stands above it.
    pub fn remove(&mut self, id: EntryId) -> Result<Vec<u8>, EditError> {
        let raw = self.raw(id).ok_or(EditError::NoSuchEntry)?.to_vec();
        if !self.parts_without(id.0) {
            return Err(EditError::NotOneEntry);
        }
        self.chunks.set_kind(id.0, Kind::Removed);
        self.set_text(id.0, &[]);
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
            None => self.chunks.last(),
        };
        let next = match above {
            Some(index) => self.chunks.next(index),
            None => self.chunks.first(),
        };
        let raw = self.ended(raw, next);
        let line_above = self.text_above(self.last_written(above));
        let ending: &[u8] = match line_above {
            [] | [.., b'\n'] => b"",
            text => self.missing_ending(text),
        };
        let ended = [line_above, ending].concat();
        // An open quote in a name takes the blanks at the file's end in, and a newline ends them.
        let renamed = name_of(&ended, self.dialect) != name_of(line_above, self.dialect);
        if renamed || !self.stays_apart(&ended, &raw, next) {
            return Err(EditError::NotOneEntry);
        }
        self.end_line_above(above);
        let index = self.chunks.insert(above, &raw);
        self.lines_shifted = true;
        self.lines = OnceLock::new();
        let name = self.name(EntryId(index));
        if let Some(names) = self.names.get_mut() {
            names.add(index, &name);
        }
        Ok(EntryId(index))
    }

    /// Replaces all of an entry's bytes; used to put its former bytes back.
    ///
    /// # Errors
    /// `NoSuchEntry`; `NotOneEntry` if `raw` is not exactly one entry.
    pub fn replace_raw(&mut self, id: EntryId, raw: &[u8]) -> Result<(), EditError> {
        self.raw(id).ok_or(EditError::NoSuchEntry)?;
        self.check_one_entry(raw)?;
        let raw = self.ended(raw, self.chunks.next(id.0));
        if !self.fits(id.0, &raw) {
            return Err(EditError::NotOneEntry);
        }
        if name_of(&raw, self.dialect) != self.name(id) {
            self.names = OnceLock::new();
        }
        self.set_text(id.0, &raw);
        Ok(())
    }
}

impl Document {
    /// One ordinary pipe for another, which needs no reading; false if it is more than that, and
    /// nothing was done.
    fn set_plain_pipe(&mut self, id: EntryId, text: &[u8]) -> bool {
        if !self.stands(id.0) {
            return false;
        }
        let mut draft = std::mem::take(&mut self.draft);
        draft.clear();
        let raw = self.text(id.0);
        let stands = plain_pipe(raw, self.dialect).is_some_and(|range| {
            draft.extend_from_slice(&raw[..range.start]);
            draft.extend_from_slice(text);
            let end = draft.len();
            draft.extend_from_slice(&raw[range.end..]);
            plain_pipe(&draft, self.dialect) == Some(range.start..end)
        });
        if stands {
            self.chunks.set_text(id.0, &draft);
        }
        self.draft = draft;
        stands
    }

    fn set_text(&mut self, index: usize, bytes: &[u8]) {
        self.lines_shifted |= newlines(self.text(index)) != newlines(bytes);
        self.lines = OnceLock::new();
        if self.chunks.kind(index) == Some(Kind::Plain) {
            self.chunks.set_kind(index, Kind::Entry);
        }
        self.chunks.set_text(index, bytes);
    }

    /// A chunk that is or was an entry.
    fn place(&self, id: EntryId) -> Result<usize, EditError> {
        match self.chunks.kind(id.0) {
            Some(Kind::Entry | Kind::Plain | Kind::Removed) => Ok(id.0),
            _ => Err(EditError::NoSuchEntry),
        }
    }

    /// Whether these bytes stay one entry in the place of an entry: what stands above it did not
    /// run into that one, and will not run into another.
    fn fits(&self, index: usize, edited: &[u8]) -> bool {
        self.stays_apart(b"", edited, self.chunks.next(index))
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
        let ended = [text, self.missing_ending(text)].concat();
        self.set_text(index, &ended);
    }

    /// `raw`, with a newline behind it if it has none and something follows.
    fn ended(&self, raw: &[u8], next: Option<usize>) -> Vec<u8> {
        let followed = self
            .chunks
            .from(next)
            .any(|index| !self.text(index).is_empty());
        let missing = followed && !raw.ends_with(b"\n");
        let ending = if missing {
            self.missing_ending(raw)
        } else {
            b""
        };
        [raw, ending].concat()
    }

    /// The ending for a last line that has none: the usual one, unless the line would then be read
    /// otherwise, since a quote that is open takes the CR in.
    fn missing_ending(&self, raw: &[u8]) -> &'static [u8] {
        let usual = self.usual_ending();
        let ended = [raw, usual].concat();
        let (ended, before) = (read(&ended, self.dialect), read(raw, self.dialect));
        if ended.destinations == before.destinations && ended.name == before.name {
            usual
        } else {
            b"\n"
        }
    }

    /// The ending of the line above a new one; the file's usual one if that has none.
    fn line_ending(&self, after: Option<EntryId>) -> &'static [u8] {
        let above = after
            .map(|id| id.0)
            .filter(|index| *index < self.chunks.len())
            .or(self.chunks.last());
        match self.last_written(above).map(|index| self.text(index)) {
            Some(text) if text.ends_with(b"\r\n") => b"\r\n",
            Some(text) if text.ends_with(b"\n") => b"\n",
            _ => self.usual_ending(),
        }
    }

    /// The ending of the file's last complete line.
    fn usual_ending(&self) -> &'static [u8] {
        match memrchr(b'\n', self.chunks.file()) {
            Some(at) if self.chunks.file()[..at].ends_with(b"\r") => b"\r\n",
            _ => b"\n",
        }
    }

    /// Whether these bytes are one logical line.
    fn is_one_line(&self, raw: &[u8]) -> bool {
        let mut kinds = (0, PieceKind::Between);
        pieces(raw, self.dialect, |piece| kinds = (kinds.0 + 1, piece.kind));
        kinds == (1, PieceKind::Logical)
    }

    fn check_one_entry(&self, raw: &[u8]) -> Result<(), EditError> {
        let mut chunks = 0;
        let mut kind = Kind::Between;
        pieces(raw, self.dialect, |piece| {
            chunks += 1;
            kind = judge(raw, &piece, self.dialect, &mut Vec::new());
        });
        if chunks == 1 && matches!(kind, Kind::Entry | Kind::Plain) {
            Ok(())
        } else {
            Err(EditError::NotOneEntry)
        }
    }
}
