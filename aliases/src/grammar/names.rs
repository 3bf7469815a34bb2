//! Which entries a name leads to, without asking every entry each time.
//!
//! The upper bits of a name's hash and the lower ones of its entry's number in one word, sorted:
//! entries of one name stand side by side, in the order of their numbers.
//!
//! **Invariants**: an answer is a guess that the caller checks against the entry's own name, so that
//! two names with the same hash cost time and never correctness. Nothing here is ever written to a
//! file.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// Entries by the hash of their names. An entry is known by its number.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    seeds: (u64, u64),
    /// The bits of an entry's number.
    mask: u64,
    sorted: Vec<u64>,
    /// Where in `sorted` the hashes begin that have these upper bits.
    buckets: Vec<usize>,
    /// How far a hash is shifted for its bucket.
    shift: u32,
    /// Entries that came later.
    later: HashMap<u64, Vec<usize>>,
}

impl Names {
    /// For entries whose numbers are below `numbers`; `fill` hands each entry's number and name to
    /// what it is given, and ends with [`Names::sort`].
    pub(crate) fn of(numbers: usize, fill: impl FnOnce(&mut dyn FnMut(usize, &[u8]))) -> Self {
        let seed = RandomState::new();
        // At least one bit, and a bucket for about four entries.
        let bits = (usize::BITS - numbers.leading_zeros()).max(1);
        let mut names = Self {
            seeds: (seed.hash_one(0), seed.hash_one(1) | 1),
            mask: (1 << bits) - 1,
            sorted: Vec::with_capacity(numbers),
            buckets: Vec::new(),
            shift: (u64::BITS - bits.saturating_sub(2)).min(u64::BITS - 1),
            later: HashMap::new(),
        };
        fill(&mut |number, name| {
            let key = names.hash(name) | number as u64;
            names.sorted.push(key);
        });
        names.sort();
        names
    }

    fn sort(&mut self) {
        self.sorted.sort_unstable();
        let count = (u64::MAX >> self.shift) + 2;
        let mut at = 0;
        for bucket in 0..count {
            while self
                .sorted
                .get(at)
                .is_some_and(|key| key >> self.shift < bucket)
            {
                at += 1;
            }
            self.buckets.push(at);
        }
    }

    /// Adds an entry whose number is not one that `of` was told of.
    pub(crate) fn add(&mut self, number: usize, name: &[u8]) {
        let hash = self.hash(name);
        self.later.entry(hash).or_default().push(number);
    }

    /// The entries whose names have the hash of this one.
    pub(crate) fn candidates(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        let hash = self.hash(name);
        let bucket = usize::try_from(hash >> self.shift).unwrap_or(0);
        let (start, end) = (self.buckets[bucket], self.buckets[bucket + 1]);
        let same = self.sorted[start..end]
            .iter()
            .filter(move |key| *key & !self.mask == hash);
        let later = self.later.get(&hash).into_iter().flatten().copied();
        same.map(|key| self.number(*key)).chain(later)
    }

    /// Entries side by side that have one hash: two or more, in the order of their numbers. Those
    /// that came later are not in it.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Vec<usize>> {
        let same = |a: &u64, b: &u64| a & !self.mask == b & !self.mask;
        self.sorted
            .chunk_by(same)
            .filter(|run| run.len() > 1)
            .map(|run| run.iter().map(|key| self.number(*key)).collect())
    }

    /// Whether entries came later.
    pub(crate) fn has_later(&self) -> bool {
        !self.later.is_empty()
    }

    fn number(&self, key: u64) -> usize {
        usize::try_from(key & self.mask).unwrap_or(usize::MAX)
    }

    /// A hash without the bits of a number. Upper and lower case of an ASCII letter are one.
    fn hash(&self, name: &[u8]) -> u64 {
        let (words, rest) = name.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let mut hash = self.seeds.0 ^ (name.len() as u64);
        for word in words.iter().chain(std::iter::once(&last)) {
            // The bit that tells the case, and that mixes up a few others, which does no harm.
            let word = u64::from_le_bytes(*word) | 0x2020_2020_2020_2020;
            hash = fold(hash ^ word, self.seeds.1);
        }
        fold(hash, 0x9e37_79b9_7f4a_7c15) & !self.mask
    }
}

/// Both halves of the product.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are taken apart"
)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[&str]) -> Names {
        Names::of(all.len(), |take| {
            for (number, name) in all.iter().enumerate() {
                take(number, name.as_bytes());
            }
        })
    }

    #[test]
    fn every_entry_of_a_name_is_a_candidate() {
        for count in [1, 2, 3, 5, 100, 5000] {
            let all: Vec<String> = (0..count)
                .map(|n| format!("name-of-list-{}", n / 2))
                .collect();
            let names = of(&all.iter().map(String::as_str).collect::<Vec<_>>());
            for (number, name) in all.iter().enumerate() {
                let found: Vec<usize> = names.candidates(name.as_bytes()).collect();
                assert!(found.contains(&number), "{name} of {count}");
                assert!(found.is_sorted());
                // By chance there may be a few strangers, never a crowd.
                assert!(found.len() < 5, "{found:?}");
            }
            let twice = all.len() / 2;
            assert!(names.runs().count() >= twice, "{twice} of {count}");
        }
        assert_eq!(of(&[]).candidates(b"x").count(), 0);
    }

    #[test]
    fn names_of_every_length_differ_in_any_byte() {
        let longest = [b'x'; 40];
        for length in 1..longest.len() {
            for at in 0..length {
                let mut other = longest;
                other[at] = b'y';
                let names = of(&["a"]);
                assert_ne!(names.hash(&longest[..length]), names.hash(&other[..length]));
                assert_ne!(
                    names.hash(&longest[..length]),
                    names.hash(&longest[..=length])
                );
            }
        }
    }
}
