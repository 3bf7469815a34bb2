//! One logical line of several physical ones, each byte still knowing where it came from.
//!
//! **Invariants**: nothing of the text is changed but what the reader leaves out: newlines, the
//! backslashes before them, and what stands behind a NUL.

use std::ops::Range;

use super::lines::{Logical, logical};

/// A logical line as the MTA sees it.
pub(super) struct Joined {
    text: Vec<u8>,
    /// Where each stretch of `text` begins: in `text`, and in the raw bytes.
    stretches: Vec<(usize, usize)>,
    /// Where the NUL stands in the raw bytes.
    pub(super) nul: Option<usize>,
}

impl Joined {
    /// Joins the physical lines of `raw`, one whole logical line.
    pub(super) fn new(raw: &[u8]) -> Self {
        let Logical { kept, nul, .. } = logical(raw, 0);
        let mut text = Vec::with_capacity(raw.len());
        let mut stretches = Vec::new();
        for range in kept.into_iter().filter(|range| !range.is_empty()) {
            stretches.push((text.len(), range.start));
            text.extend_from_slice(&raw[range]);
        }
        Self {
            text,
            stretches,
            nul,
        }
    }

    /// The text, without newlines.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where the byte at `offset` of the text stands in the raw bytes.
    pub(super) fn raw_offset(&self, offset: usize) -> usize {
        let behind = self
            .stretches
            .partition_point(|(in_text, _)| *in_text <= offset);
        match behind.checked_sub(1).map(|index| self.stretches[index]) {
            Some((in_text, in_raw)) => in_raw + (offset - in_text),
            None => offset,
        }
    }

    /// The raw bytes of a non-empty range of the text.
    pub(super) fn raw_range(&self, range: Range<usize>) -> Range<usize> {
        let start = self.raw_offset(range.start);
        if range.is_empty() {
            return start..start;
        }
        start..self.raw_offset(range.end - 1) + 1
    }
}
