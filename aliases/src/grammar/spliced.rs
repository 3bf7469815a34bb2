//! Text put together from stretches of raw bytes, each byte still knowing where it came from.
//!
//! **Invariants**: the raw offsets rise with the offsets in the text.

use std::ops::Range;

/// The text, and where it came from.
#[derive(Debug, Default)]
pub(crate) struct Spliced {
    text: Vec<u8>,
    /// Where each stretch of `text` begins: in `text`, and in the raw bytes.
    stretches: Vec<(usize, usize)>,
}

impl Spliced {
    /// Appends these raw bytes.
    pub(crate) fn push(&mut self, raw: &[u8], range: Range<usize>) {
        if !range.is_empty() {
            self.stretches.push((self.text.len(), range.start));
            self.text.extend_from_slice(&raw[range]);
        }
    }

    /// Appends a byte that stands for the raw one at `raw_at`.
    pub(crate) fn push_byte(&mut self, byte: u8, raw_at: usize) {
        self.stretches.push((self.text.len(), raw_at));
        self.text.push(byte);
    }

    /// What stands from `offset` on.
    pub(crate) fn behind(&self, offset: usize) -> Self {
        let first = (0, self.raw_at(offset));
        let later = self.stretches.iter().filter(|(start, _)| *start > offset);
        let later = later.map(|(start, raw_at)| (start - offset, *raw_at));
        Self {
            text: self.text[offset..].to_vec(),
            stretches: std::iter::once(first).chain(later).collect(),
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where the byte at `offset` of the text stands in the raw bytes; for the end of the text,
    /// behind its last byte.
    pub(crate) fn raw_at(&self, offset: usize) -> usize {
        let behind = self
            .stretches
            .partition_point(|(start, _)| *start <= offset);
        match behind.checked_sub(1).map(|index| self.stretches[index]) {
            Some((in_text, in_raw)) => in_raw + (offset - in_text),
            None => 0,
        }
    }

    /// The raw bytes of a range of the text.
    pub(crate) fn raw_range(&self, range: Range<usize>) -> Range<usize> {
        let start = self.raw_at(range.start);
        if range.is_empty() {
            return start..start;
        }
        start..self.raw_at(range.end - 1) + 1
    }
}

/// A blank in the C library's sense: what both MTAs that are read with this call white space.
pub(crate) fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

/// The bytes of `range` without the white space at both ends.
pub(crate) fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    while start < end && is_space(text[start]) {
        start += 1;
    }
    while end > start && is_space(text[end - 1]) {
        end -= 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::Spliced;

    #[test]
    fn every_byte_knows_where_it_came_from() {
        let raw = b"abc\\\n  def";
        let mut spliced = Spliced::default();
        spliced.push(raw, 1..3);
        spliced.push_byte(b' ', 6);
        spliced.push(raw, 7..10);
        assert_eq!(spliced.text(), b"bc def");
        assert_eq!(spliced.raw_range(0..2), 1..3);
        assert_eq!(spliced.raw_range(1..4), 2..8);
        assert_eq!(spliced.raw_range(3..3), 7..7);
        assert_eq!(spliced.raw_at(6), 10);
        let behind = spliced.behind(1);
        assert_eq!(behind.text(), b"c def");
        assert_eq!(behind.raw_range(0..5), 2..10);
    }
}
