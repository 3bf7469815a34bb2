//! The chunks of a file in few bytes each: nine while nothing is changed, whatever they hold.
//!
//! The chunks of the file as it was parsed follow each other, so that each needs its beginning
//! alone. What an edit writes stands in one buffer beside the file; the tables that say which chunk
//! has such text, and which one an inserted chunk follows, are made by the first edit that needs them.
//!
//! **Invariants**: an index stays good for ever: chunks are never moved, and never go. Those of the
//! file come first, in its order; inserted ones have the indexes behind them.

use std::sync::Arc;

/// What a chunk is.
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

/// Numbers that never fall, in four bytes each.
#[derive(Debug, Clone, Default)]
struct Rising {
    low: Vec<u32>,
    /// The indexes at which the upper half rises by one.
    carries: Vec<usize>,
}

impl Rising {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half is in `carries`"
    )]
    fn push(&mut self, number: usize) {
        let number = number as u64;
        while (self.carries.len() as u64) < number >> 32 {
            self.carries.push(self.low.len());
        }
        self.low.push(number as u32);
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "it was a usize when it was pushed"
    )]
    fn get(&self, index: usize) -> Option<usize> {
        let upper = self.carries.partition_point(|carry| *carry <= index) as u64;
        let low = u64::from(*self.low.get(index)?);
        Some((upper << 32 | low) as usize)
    }
}

/// A file as chunks, and what edits made of them.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    file: Arc<Vec<u8>>,
    kinds: Vec<Kind>,
    /// Where each chunk of the file begins in it, and its line, from 1.
    starts: Rising,
    lines: Rising,
    /// All that edits wrote, one text behind the other, and where each begins.
    written: Vec<u8>,
    texts: Rising,
    /// By chunk: one more than the number of its text in `texts`; 0: it has its bytes of the file.
    text_of: Vec<usize>,
    /// By chunk: one more than the chunk that follows; 0: the next one of the file, if there is one.
    next_of: Vec<usize>,
    last: Option<usize>,
}

impl Chunks {
    /// No chunk of this file yet.
    pub(crate) fn of(file: Arc<Vec<u8>>) -> Self {
        // Room for a chunk every 32 bytes; what is not used of it costs no memory.
        let room = file.len() / 32 + 4;
        let numbers = || Rising {
            low: Vec::with_capacity(room),
            carries: Vec::new(),
        };
        Self {
            file,
            kinds: Vec::with_capacity(room),
            starts: numbers(),
            lines: numbers(),
            written: Vec::new(),
            texts: Rising::default(),
            text_of: Vec::new(),
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
        index < self.starts.low.len()
    }

    /// Whether something was inserted: the order is then not that of the indexes.
    pub(crate) fn has_insertions(&self) -> bool {
        self.starts.low.len() < self.kinds.len()
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
        match self.text_of.get(index) {
            None | Some(0) => self.text_in_file(index),
            Some(text) => {
                let start = self.texts.get(text - 1).unwrap_or(self.written.len());
                let end = self.texts.get(*text).unwrap_or(self.written.len());
                &self.written[start..end]
            }
        }
    }

    fn text_in_file(&self, index: usize) -> &[u8] {
        let Some(start) = self.starts.get(index) else {
            return &[];
        };
        let end = self.starts.get(index + 1).unwrap_or(self.file.len());
        &self.file[start..end]
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
        std::iter::from_fn(move || {
            let first = at?;
            let mut last = first;
            at = self.next(first);
            if !self.has_own_text(first) {
                while let Some(index) = at
                    && index == last + 1
                    && !self.has_own_text(index)
                {
                    last = index;
                    at = self.next(index);
                }
                let start = self.starts.get(first)?;
                let end = self.starts.get(last + 1).unwrap_or(self.file.len());
                return Some(&self.file[start..end]);
            }
            Some(self.text(first))
        })
    }

    fn has_own_text(&self, index: usize) -> bool {
        self.text_of.get(index).is_some_and(|text| *text != 0)
    }
}

/// Changing them.
impl Chunks {
    /// Gives a chunk other bytes: these pieces, joined.
    pub(crate) fn set_text(&mut self, index: usize, pieces: &[&[u8]]) {
        if self.text_of.len() < self.kinds.len() {
            self.text_of.resize(self.kinds.len(), 0);
        }
        self.texts.push(self.written.len());
        self.text_of[index] = self.texts.low.len();
        pieces
            .iter()
            .for_each(|piece| self.written.extend_from_slice(piece));
    }

    pub(crate) fn set_kind(&mut self, index: usize, kind: Kind) {
        self.kinds[index] = kind;
    }

    /// Adds an entry behind the chunk `above`, which is the last one where there is none.
    pub(crate) fn insert(&mut self, above: Option<usize>, text: &[u8]) -> usize {
        let index = self.kinds.len();
        self.kinds.push(Kind::Entry);
        self.set_text(index, &[text]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn numbers_beyond_four_bytes_are_kept() {
        let numbers: [usize; 7] = [
            0,
            7,
            7,
            0xffff_ffff,
            0x1_0000_0000,
            0x1_0000_0001,
            0x4_0000_0000,
        ];
        let mut rising = Rising::default();
        numbers.iter().for_each(|number| rising.push(*number));
        for (index, number) in numbers.iter().enumerate() {
            assert_eq!(rising.get(index), Some(*number), "{index}");
        }
        assert_eq!(rising.get(numbers.len()), None);
    }
}
