//! The bytes that a file is to have, in slices: a file of a million lines is written from where its
//! lines stand, without being put together in memory first.
//!
//! **Invariants**: no I/O; asked twice, the slices are the same.

/// Bytes that can be written slice by slice.
pub trait Contents {
    /// The slices in order; joined, they are the bytes.
    fn slices(&self) -> impl Iterator<Item = &[u8]>;

    /// How many bytes there are.
    fn size(&self) -> usize {
        self.slices().map(<[u8]>::len).sum()
    }

    /// Whether these are the bytes.
    fn equals(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        self.slices().all(|slice| {
            let stripped = rest.strip_prefix(slice);
            rest = stripped.unwrap_or(rest);
            stripped.is_some()
        }) && rest.is_empty()
    }
}

impl Contents for [u8] {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self)
    }
}

impl<const N: usize> Contents for [u8; N] {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.as_slice())
    }
}

impl Contents for Vec<u8> {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.as_slice())
    }
}
