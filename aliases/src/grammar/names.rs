//! Which entry a name leads to, without asking every entry each time.
//!
//! **Invariants**: an answer is always checked against the entry's own name, so that two names
//! with the same hash cost time and never correctness. Nothing here is ever written to a file.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};

use crate::grammar::entry::EntryId;

/// One entry of each name, by the name's hash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    hasher: RandomState,
    known: HashMap<u64, EntryId, BuildHasherDefault<Same>>,
}

/// Takes a hash for its own hash.
#[derive(Debug, Clone, Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Names {
    /// For about so many names.
    pub(crate) fn with_capacity(names: usize) -> Self {
        let mut empty = Self::default();
        empty.known.reserve(names);
        empty
    }

    /// Notes an entry, unless one with this hash is there, which is then the answer: the earlier.
    pub(crate) fn note(&mut self, name: &[u8], id: EntryId) -> Option<EntryId> {
        let hash = self.hasher.hash_one(name);
        match self.known.get(&hash) {
            Some(earlier) => Some(*earlier),
            None => {
                self.known.insert(hash, id);
                None
            }
        }
    }

    /// Notes an entry in place of an earlier one with this hash, which is returned.
    pub(crate) fn replace(&mut self, name: &[u8], id: EntryId) -> Option<EntryId> {
        self.known.insert(self.hasher.hash_one(name), id)
    }

    /// The entry noted for the hash of this name.
    pub(crate) fn candidate(&self, name: &[u8]) -> Option<EntryId> {
        self.known.get(&self.hasher.hash_one(name)).copied()
    }
}
