//! Whether bytes put in between two chunks stay apart from both.
//!
//! A backslash at the end of the line above joins lines for some MTAs, and a line below that
//! continues nothing where it stands may come to continue what is put in above it.
//!
//! **Invariants**: looks at the two neighbours and no further, so that an edit of a large file
//! costs no more than one of a small file; changes nothing.

use memchr::memrchr;

use crate::grammar::chunks::Kind;
use crate::grammar::dialect::{is_plain, pieces, read};
use crate::grammar::document::Document;
use crate::grammar::reading::{PieceKind, line_end};

impl Document {
    /// Whether `entry` between what stands above (`above` being its text, with its newline) and
    /// what stands from the chunk `next` on is read as one entry, and they as before.
    pub(super) fn stays_apart(&self, above: &[u8], entry: &[u8], next: Option<usize>) -> bool {
        self.is_apart(above, entry, next)
            && (is_plain(entry, self.dialect) || !read(entry, self.dialect).skipped)
    }

    /// Whether `entry` would be a logical line by itself there, whatever it says.
    pub(super) fn is_apart(&self, above: &[u8], entry: &[u8], next: Option<usize>) -> bool {
        let below = self.first_line(next);
        let joined = [above, entry, below].concat();
        let (start, end) = (above.len(), above.len() + entry.len());
        let mut found = false;
        pieces(&joined, self.dialect, |piece| {
            found |= piece.span == (start..end) && piece.kind == PieceKind::Logical;
        });
        found
    }

    /// Whether what stands below an entry stays apart from what stands above it, without it.
    ///
    /// An entry or a comment below begins by itself; only of what the MTA passes over can the
    /// beginning hang on what stands above.
    pub(super) fn parts_without(&self, index: usize) -> bool {
        let below = self
            .chunks
            .from(self.chunks.next(index))
            .find(|below| !self.text(*below).is_empty());
        if below.is_none_or(|below| self.chunks.kind(below) != Some(Kind::Skipped)) {
            return true;
        }
        let above = self.order().take_while(|above| *above != index);
        let above = above.filter(|above| !self.text(*above).is_empty()).last();
        let above = self.text_above(above);
        // All of it: of several lines joined, or of one whose end a NUL hides, the first tells little.
        let below = below.map_or(&b""[..], |below| self.text(below));
        let joined = [above, below].concat();
        let mut found = false;
        pieces(&joined, self.dialect, |piece| {
            found |= piece.span.start == above.len();
        });
        found
    }

    /// The text above a place: of comments and blank lines the last line, else the whole chunk.
    pub(super) fn text_above(&self, chunk: Option<usize>) -> &[u8] {
        let Some(chunk) = chunk else { return b"" };
        let text = self.text(chunk);
        if self.chunks.kind(chunk) != Some(Kind::Between) {
            return text;
        }
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        &text[memrchr(b'\n', body).map_or(0, |newline| newline + 1)..]
    }

    /// The first line that stands from a chunk on.
    fn first_line(&self, chunk: Option<usize>) -> &[u8] {
        let mut texts = self.chunks.from(chunk).map(|index| self.text(index));
        let text = texts.find(|text| !text.is_empty()).unwrap_or_default();
        &text[..line_end(text, 0)]
    }
}
