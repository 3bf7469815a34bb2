//! What edits made of the chunks of a file: of each the piece that is new, and how much of the
//! chunk's bytes in the file it keeps before and behind that.
//!
//! A change of every line of a large file differs from it in little, and in the same little: an edit
//! whose piece is that of the edit before it shares its bytes.
//!
//! **Invariants**: what was added stays as it is, and never goes. Which chunk a splice belongs to is
//! not known here; it means nothing beside the bytes of another one.

/// Numbers that never fall, in four bytes each.
/// Numbers that never fall, in four bytes each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rising {
    low: Vec<u32>,
    /// The indexes at which the upper half rises by one.
    carries: Vec<usize>,
}

impl Rising {
    /// None yet; what is not used of this room costs no memory.
    pub(crate) fn with_capacity(room: usize) -> Self {
        Self {
            low: Vec::with_capacity(room),
            carries: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.low.len()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half is in `carries`"
    )]
    pub(crate) fn push(&mut self, number: usize) {
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
    pub(crate) fn get(&self, index: usize) -> Option<usize> {
        let upper = self.carries.partition_point(|carry| *carry <= index) as u64;
        let low = u64::from(*self.low.get(index)?);
        Some((upper << 32 | low) as usize)
    }
}

/// A new piece between what is kept of a chunk's bytes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Splice {
    before: u32,
    behind: u32,
    piece: usize,
}

impl Splice {
    /// Whether nothing of the chunk's bytes in the file is kept.
    pub(crate) fn is_whole(self) -> bool {
        self.kept() == (0, 0)
    }

    /// How many bytes are kept before the new piece, and behind it.
    pub(crate) fn kept(self) -> (usize, usize) {
        (self.before as usize, self.behind as usize)
    }
}

/// All splices, by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    splices: Vec<Splice>,
    /// The new pieces, one behind the other, and where each begins.
    bytes: Vec<u8>,
    pieces: Rising,
}

impl Written {
    /// Adds what makes `text` of the bytes `old`, and returns its number.
    pub(crate) fn add(&mut self, old: &[u8], text: &[u8]) -> usize {
        let before = same_beginning(old, text);
        let (old, rest) = (&old[before as usize..], &text[before as usize..]);
        let behind = same_end(old, rest);
        let piece = &rest[..rest.len() - behind as usize];
        let last = self.pieces.len().checked_sub(1);
        let shared = last.filter(|last| self.piece_of(*last) == piece);
        let piece = shared.unwrap_or_else(|| {
            self.pieces.push(self.bytes.len());
            self.bytes.extend_from_slice(piece);
            self.pieces.len() - 1
        });
        self.splices.push(Splice {
            before,
            behind,
            piece,
        });
        self.splices.len() - 1
    }

    pub(crate) fn splice(&self, number: usize) -> Option<Splice> {
        self.splices.get(number).copied()
    }

    /// The new piece of a splice.
    pub(crate) fn piece(&self, splice: Splice) -> &[u8] {
        self.piece_of(splice.piece)
    }

    /// A splice's text, in parts: `old` being what it was added for.
    pub(crate) fn parts<'a>(&'a self, splice: Splice, old: &'a [u8]) -> [&'a [u8]; 3] {
        let (before, behind) = splice.kept();
        [
            &old[..before],
            self.piece(splice),
            &old[old.len() - behind..],
        ]
    }

    fn piece_of(&self, piece: usize) -> &[u8] {
        let end = self.bytes.len();
        let start = self.pieces.get(piece).unwrap_or(end);
        &self.bytes[start..self.pieces.get(piece + 1).unwrap_or(end)]
    }
}

/// How many bytes are the same from the beginning on, or 4 GiB of them, if it is more.
fn same_beginning(a: &[u8], b: &[u8]) -> u32 {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let words = 8 * words.take_while(|(a, b)| a == b).count();
    let bytes = a[words..].iter().zip(&b[words..]);
    let same = words + bytes.take_while(|(a, b)| a == b).count();
    u32::try_from(same).unwrap_or(u32::MAX)
}

/// The same from the end on.
fn same_end(a: &[u8], b: &[u8]) -> u32 {
    let words = a.as_rchunks::<8>().1.iter().rev();
    let words = words.zip(b.as_rchunks::<8>().1.iter().rev());
    let words = 8 * words.take_while(|(a, b)| a == b).count();
    let bytes = a[..a.len() - words].iter().rev();
    let bytes = bytes.zip(b[..b.len() - words].iter().rev());
    let same = words + bytes.take_while(|(a, b)| a == b).count();
    u32::try_from(same).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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

    #[test]
    fn a_splice_is_the_text_that_was_added() {
        let texts: [&[u8]; 9] = [
            b"", b"a", b"aa", b"aaa", b"aba", b"abba", b"xaba", b"abax", b"b",
        ];
        let mut written = Written::default();
        for old in texts {
            for text in texts {
                let number = written.add(old, text);
                let splice = written.splice(number).unwrap();
                assert_eq!(written.parts(splice, old).concat(), text, "{old:?}");
                let (before, behind) = splice.kept();
                assert!(before + behind <= old.len().min(text.len()));
            }
        }
    }

    #[test]
    fn equal_pieces_in_a_row_are_kept_once() {
        let mut written = Written::default();
        for number in 0..100 {
            let (old, new) = (format!("{number}: old x"), format!("{number}: new x"));
            assert_eq!(written.add(old.as_bytes(), new.as_bytes()), number);
        }
        assert_eq!(written.bytes, b"new");
    }
}
