//! The chunks of a file in few bytes each: nine while nothing is changed, whatever they hold.
//!
//! The chunks of the file as it was parsed follow each other, so that each needs its beginning
//! alone. What an edit changed of a chunk stands beside the file (`written`); the tables that say
//! which chunk has such text, and which one an inserted chunk follows, are made by the first edit
//! that needs them. Changed text is put together only for those who read it, a few chunks at a time:
//! to write a file of which every line was changed, nobody must.
//!
//! **Invariants**: an index stays good for ever: chunks are never moved, and never go. Those of the
//! file come first, in its order; inserted ones have the indexes behind them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::grammar::written::{Rising, Splice, Written};

/// How many chunks are put together at a time, if one of them is asked for.
const TOGETHER: usize = 16;

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry,
    /// An entry of which is known that it is an ordinary line (`dialect::is_plain`).
    Plain,
    /// A logical line that the MTA skips.
    Skipped,
    /// Comments and blank lines.
    Between,
    /// Was an entry. Empty, but still a place that things can be put back to.
    Removed,
}

/// A file as chunks, and what edits made of them.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    file: Arc<Vec<u8>>,
    kinds: Vec<Kind>,
    /// Where each chunk of the file begins in it, and its line, from 1.
    starts: Rising,
    lines: Rising,
    /// What edits made of chunks.
    written: Written,
    /// By chunk: one more than the number of its splice in `written`; 0: it has its bytes of the file.
    splice_of: Vec<usize>,
    /// The spliced chunks of every `TOGETHER` in a row, one text behind the other, for readers.
    together: Vec<OnceLock<Box<[u8]>>>,
    /// By chunk: one more than the chunk that follows; 0: the next one of the file, if there is one.
    next_of: Vec<usize>,
    last: Option<usize>,
}

impl Chunks {
    /// No chunk of this file yet.
    pub(crate) fn of(file: Arc<Vec<u8>>) -> Self {
        // Room for a chunk every 32 bytes; what is not used of it costs no memory.
        let room = file.len() / 32 + 4;
        Self {
            file,
            kinds: Vec::with_capacity(room),
            starts: Rising::with_capacity(room),
            lines: Rising::with_capacity(room),
            written: Written::default(),
            splice_of: Vec::new(),
            together: Vec::new(),
            next_of: Vec::new(),
            last: None,
        }
    }

    /// Adds the next chunk of the file, which begins at byte `start`.
    pub(crate) fn push(&mut self, kind: Kind, start: usize, line: usize) {
        self.last = Some(self.kinds.len());
        self.kinds.push(kind);
        self.starts.push(start);
        self.lines.push(line);
    }

    /// The file as it was parsed.
    pub(crate) fn file(&self) -> &[u8] {
        &self.file
    }

    /// How many chunks there are, removed ones with them.
    pub(crate) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether a chunk is one of the file: its index says where it stands.
    pub(crate) fn is_of_the_file(&self, index: usize) -> bool {
        index < self.starts.len()
    }

    /// Whether something was inserted: the order is then not that of the indexes.
    pub(crate) fn has_insertions(&self) -> bool {
        self.starts.len() < self.kinds.len()
    }

    pub(crate) fn kind(&self, index: usize) -> Option<Kind> {
        self.kinds.get(index).copied()
    }

    /// The line of its first byte in the file as it was parsed, from 1; 0 for an inserted one.
    pub(crate) fn line(&self, index: usize) -> usize {
        self.lines.get(index).unwrap_or(0)
    }

    /// The bytes of a chunk as it is now.
    pub(crate) fn text(&self, index: usize) -> &[u8] {
        match self.splice(index) {
            None => self.text_in_file(index),
            Some(splice) if splice.is_whole() => self.written.piece(splice),
            Some(_) => self.text_put_together(index),
        }
    }

    /// As [`text`](Self::text), without keeping what must be put together for it.
    pub(crate) fn bytes(&self, index: usize) -> Cow<'_, [u8]> {
        match self.splice(index) {
            Some(splice) if !splice.is_whole() => {
                let parts = self.written.parts(splice, self.text_in_file(index));
                Cow::Owned(parts.concat())
            }
            _ => Cow::Borrowed(self.text(index)),
        }
    }

    /// Whether a chunk has other bytes than in the file as it was parsed.
    pub(crate) fn is_changed(&self, index: usize) -> bool {
        self.splice(index).is_some_and(|splice| {
            let (before, behind) = splice.kept();
            let is_all_kept = before + behind == self.range_in_file(index).len();
            !is_all_kept || !self.written.piece(splice).is_empty()
        })
    }

    fn text_in_file(&self, index: usize) -> &[u8] {
        &self.file[self.range_in_file(index)]
    }

    /// Empty for an inserted chunk.
    fn range_in_file(&self, index: usize) -> Range<usize> {
        let end = self.file.len();
        let start = self.starts.get(index).unwrap_or(end);
        start..self.starts.get(index + 1).unwrap_or(end)
    }

    fn splice(&self, index: usize) -> Option<Splice> {
        let number = self.splice_of.get(index)?.checked_sub(1)?;
        self.written.splice(number)
    }

    fn text_put_together(&self, index: usize) -> &[u8] {
        let group = index / TOGETHER;
        let parts = |upto: usize| {
            (group * TOGETHER..upto).filter_map(|index| {
                let splice = self.splice(index).filter(|splice| !splice.is_whole())?;
                Some(self.written.parts(splice, self.text_in_file(index)))
            })
        };
        let Some(together) = self.together.get(group) else {
            return &[];
        };
        let together = together.get_or_init(|| {
            let upto = self.kinds.len().min((group + 1) * TOGETHER);
            parts(upto).flatten().collect::<Vec<_>>().concat().into()
        });
        let size = |parts: [&[u8]; 3]| parts.iter().map(|part| part.len()).sum::<usize>();
        let start = parts(index).map(size).sum();
        let end = parts(index + 1).map(size).sum();
        &together[start..end]
    }

    pub(crate) fn first(&self) -> Option<usize> {
        (!self.kinds.is_empty()).then_some(0)
    }

    pub(crate) fn last(&self) -> Option<usize> {
        self.last
    }

    /// The chunk that follows in the order of the file.
    pub(crate) fn next(&self, index: usize) -> Option<usize> {
        match self.next_of.get(index) {
            None | Some(0) => Some(index + 1).filter(|next| self.is_of_the_file(*next)),
            Some(next) => Some(next - 1),
        }
    }

    /// All chunks from this one on, in the order of the file.
    pub(crate) fn from(&self, first: Option<usize>) -> impl Iterator<Item = usize> {
        std::iter::successors(first, |index| self.next(*index))
    }

    /// The whole file as it is now, in as few slices as that needs.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = self.first();
        // Bytes of the file that follow, and what stands behind those.
        let mut rest = 0..0;
        let mut piece: Option<&[u8]> = None;
        std::iter::from_fn(move || {
            if let Some(piece) = piece.take() {
                return Some(piece);
            }
            while let Some(index) = at {
                let range = self.range_in_file(index);
                let splice = self.splice(index);
                let (before, behind) = splice.map_or((range.len(), 0), Splice::kept);
                if rest.is_empty() {
                    rest = range.start..range.start;
                }
                if rest.end != range.start {
                    // Something was inserted above, or an inserted chunk has no place in the file.
                    return Some(&self.file[std::mem::take(&mut rest)]);
                }
                at = self.next(index);
                rest.end += before;
                let Some(splice) = splice else { continue };
                let kept = std::mem::replace(&mut rest, range.end - behind..range.end);
                piece = Some(self.written.piece(splice));
                return Some(&self.file[kept]);
            }
            (!rest.is_empty()).then(|| &self.file[std::mem::take(&mut rest)])
        })
        .filter(|slice| !slice.is_empty())
    }
}

/// Changing them.
impl Chunks {
    /// Gives a chunk other bytes.
    pub(crate) fn set_text(&mut self, index: usize, text: &[u8]) {
        if self.splice_of.is_empty() {
            // Untouched zeros cost no memory.
            self.splice_of = vec![0; self.kinds.len()];
        }
        if self.splice_of.len() < self.kinds.len() {
            self.splice_of.resize(self.kinds.len(), 0);
        }
        let groups = self.kinds.len().div_ceil(TOGETHER);
        if self.together.len() < groups {
            self.together.resize_with(groups, OnceLock::new);
        }
        let range = self.range_in_file(index);
        self.splice_of[index] = self.written.add(&self.file[range], text) + 1;
        self.together[index / TOGETHER] = OnceLock::new();
    }

    pub(crate) fn set_kind(&mut self, index: usize, kind: Kind) {
        self.kinds[index] = kind;
    }

    /// Adds an entry behind the chunk `above`, which is the last one where there is none.
    pub(crate) fn insert(&mut self, above: Option<usize>, text: &[u8]) -> usize {
        let index = self.kinds.len();
        self.kinds.push(Kind::Entry);
        self.set_text(index, text);
        if let Some(above) = above {
            let next = self.next(above);
            if self.next_of.len() < self.kinds.len() {
                self.next_of.resize(self.kinds.len(), 0);
            }
            self.next_of[index] = next.map_or(0, |next| next + 1);
            self.next_of[above] = index + 1;
        }
        if above == self.last {
            self.last = Some(index);
        }
        index
    }
}
