//! One logical line of several physical ones, each byte still knowing where it came from.
//!
//! **Invariants**: nothing of the text is changed but that newlines, and comments between
//! continuation lines, are not in it.

use std::ops::Range;

use memchr::memchr;

use super::lines::is_trivia;
use crate::grammar::reading::line_end;

/// A logical line as the MTA sees it: one line, up to the first NUL.
pub(crate) struct Joined {
    text: Vec<u8>,
    /// Where each stretch of `text` begins: in `text`, and in the raw bytes.
    stretches: Vec<(usize, usize)>,
    /// Where the NUL stands in the raw bytes.
    pub(crate) nul: Option<usize>,
    /// Whether the MTA takes the line for UTF-8.
    pub(crate) utf8: bool,
}

impl Joined {
    /// Joins the physical lines of `raw`, one whole logical line.
    pub(crate) fn new(raw: &[u8]) -> Self {
        let mut text = Vec::with_capacity(raw.len());
        let mut stretches = Vec::new();
        let mut start = 0;
        while start < raw.len() {
            let end = line_end(raw, start);
            if !is_trivia(&raw[start..end]) {
                stretches.push((text.len(), start));
                text.extend_from_slice(
                    raw[start..end]
                        .strip_suffix(b"\n")
                        .unwrap_or(&raw[start..end]),
                );
            }
            start = end;
        }
        let cut = memchr(0, &text);
        // The MTA asks "some ASCII?" of what it sees, and "UTF-8?" of the whole.
        let seen = &text[..cut.unwrap_or(text.len())];
        let utf8 = (!seen.is_empty() && seen.is_ascii()) || std::str::from_utf8(&text).is_ok();
        let mut joined = Self {
            text,
            stretches,
            nul: None,
            utf8,
        };
        if let Some(at) = cut {
            joined.nul = Some(joined.raw_offset(at));
            joined.text.truncate(at);
        }
        joined
    }

    /// The text, without newlines.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where the byte at `offset` of the text stands in the raw bytes.
    fn raw_offset(&self, offset: usize) -> usize {
        let stretch = self
            .stretches
            .partition_point(|(start, _)| *start <= offset);
        match stretch
            .checked_sub(1)
            .and_then(|index| self.stretches.get(index))
        {
            Some((in_text, in_raw)) => in_raw + (offset - in_text),
            None => offset,
        }
    }

    /// The raw bytes of a non-empty range of the text.
    pub(crate) fn raw_range(&self, range: Range<usize>) -> Range<usize> {
        let start = self.raw_offset(range.start);
        if range.is_empty() {
            return start..start;
        }
        start..self.raw_offset(range.end - 1) + 1
    }
}
