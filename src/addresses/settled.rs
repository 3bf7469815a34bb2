//! Entries of which it is known that there is nothing to say.
//!
//! **Invariants.** One bit an entry; decides nothing.

use super::found::Place;

/// A set of entries of one reading of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Settled {
    /// The bits of each file; as many words as the last entry that was added asked for.
    files: Vec<Vec<u64>>,
}

impl Settled {
    pub(super) fn add(&mut self, place: Place) {
        let (file, word, bit) = at(place);
        *room(room(&mut self.files, file), word) |= bit;
    }

    pub(super) fn has(&self, place: Place) -> bool {
        let (file, word, bit) = at(place);
        let word = self.files.get(file).and_then(|words| words.get(word));
        word.is_some_and(|word| word & bit != 0)
    }

    /// Those of `other` as well.
    pub(super) fn join(&mut self, other: &Settled) {
        for (file, words) in other.files.iter().enumerate() {
            let all = room(&mut self.files, file);
            for (n, more) in words.iter().enumerate() {
                *room(all, n) |= more;
            }
        }
    }
}

/// The item of this number, with as many empty ones before it as it takes.
fn room<T: Clone + Default>(items: &mut Vec<T>, n: usize) -> &mut T {
    if n >= items.len() {
        items.resize(n + 1, T::default());
    }
    &mut items[n]
}

fn at(place: Place) -> (usize, usize, u64) {
    let (file, number) = place.numbers();
    (file, number / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::found::Found;

    #[test]
    fn it_has_what_was_added_to_any_part_of_it_and_nothing_else() {
        let text: String = (0..300).map(|n| format!("name{n}: alice\n")).collect();
        let found = Found::of_text(&text);
        let places: Vec<Place> = found.all().collect();
        let mut parts = [Settled::default(), Settled::default()];
        for (n, &place) in places.iter().enumerate().filter(|(n, _)| n % 7 == 0) {
            parts[n % 2].add(place);
        }
        let [mut all, other] = parts;
        all.join(&other);
        for (n, &place) in places.iter().enumerate() {
            assert_eq!(all.has(place), n % 7 == 0, "{n}");
        }
    }
}
