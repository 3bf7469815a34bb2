//! What stands in one queue's directory, from look to look.
//!
//! An entry is known by what of its name stays the same while it is handled, since a runner
//! renames it. Whose it is is asked once, unless its files are others than those that were read.
//!
//! **Invariants.** No disk. Gone is what two looks in a row did not see: a directory that is read
//! while a file in it is renamed may show neither of its names.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// So many looks must miss an entry before it is gone.
const MISSED: u8 = 2;

/// The entries in a directory: what stays of a name, and the names of which it stays. Where that
/// is the time at which the message came in, two messages may share it.
pub(super) type Seen = BTreeMap<Vec<u8>, Vec<OsString>>;

/// Whose an entry is; of two that cannot be told apart the later one here counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// It says that it is for other lists.
    Others,
    /// It was not read, or was renamed before it could be.
    Unread,
    /// It does not say.
    Untold,
    /// It says that it is for one of the lists that move.
    Ours,
}

/// What stands in one directory, by what stays of an entry's name.
#[derive(Debug, Default)]
pub(super) struct Standing {
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// When an entry was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// When what stands was looked for.
    Before,
    /// While it was waited for.
    Later,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) names: Vec<OsString>,
    pub(super) whose: Whose,
    came: Came,
    missed: u8,
    /// What the files were when they were asked; nothing where that cannot matter any more.
    mark: Option<u64>,
}

impl Entry {
    fn is_waited_for(&self) -> bool {
        match self.whose {
            Whose::Others => false,
            Whose::Untold => self.came == Came::Before,
            Whose::Unread | Whose::Ours => true,
        }
    }
}

impl Standing {
    /// Takes in what a look saw.
    pub(super) fn look(&mut self, mut seen: Seen, came: Came) {
        for (base, entry) in &mut self.entries {
            match seen.remove(base) {
                Some(names) => {
                    // Another one of the same time may be among them.
                    if names != entry.names && entry.whose != Whose::Ours {
                        entry.whose = Whose::Unread;
                    }
                    entry.names = names;
                    entry.missed = 0;
                }
                None => entry.missed += 1,
            }
        }
        self.entries.retain(|_, entry| entry.missed < MISSED);
        let new = seen.into_iter().map(|(base, names)| {
            let entry = Entry {
                names,
                whose: Whose::Unread,
                came,
                missed: 0,
                mark: None,
            };
            (base, entry)
        });
        self.entries.extend(new);
    }

    /// Asks whose those are of which it is not known.
    pub(super) fn read(&mut self, mut whose: impl FnMut(&OsStr) -> Whose) {
        for entry in self.unread() {
            let all = entry.names.iter().map(|name| whose(name));
            entry.whose = all.max().unwrap_or(Whose::Unread);
        }
    }

    /// Notes, of those that are read next, what their files are: see [`Standing::doubt`].
    pub(super) fn note(&mut self, mark: impl Fn(&[OsString]) -> u64) {
        for entry in self.unread() {
            entry.mark = Some(mark(&entry.names));
        }
    }

    /// What was asked before counts no more where the files are others than those that were
    /// noted, or where they did not say.
    pub(super) fn doubt(&mut self, mark: impl Fn(&[OsString]) -> u64) {
        for entry in self.entries.values_mut() {
            let noted = entry.mark.take();
            let is_the_same = match entry.whose {
                Whose::Others | Whose::Ours => noted == Some(mark(&entry.names)),
                Whose::Untold | Whose::Unread => false,
            };
            if !is_the_same {
                entry.whose = Whose::Unread;
            }
        }
    }

    fn unread(&mut self) -> impl Iterator<Item = &mut Entry> {
        let unread = |entry: &&mut Entry| entry.whose == Whose::Unread;
        self.entries.values_mut().filter(unread)
    }

    /// Those that must run out.
    pub(super) fn waited_for(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.is_waited_for())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(entries: &[(&str, &[&str])]) -> Seen {
        let entry = |&(base, names): &(&str, &[&str])| {
            let names = names.iter().map(OsString::from).collect();
            (base.as_bytes().to_vec(), names)
        };
        entries.iter().map(entry).collect()
    }

    fn bases(standing: &Standing) -> Vec<&[u8]> {
        standing.entries.keys().map(Vec::as_slice).collect()
    }

    #[test]
    fn what_comes_later_is_waited_for_only_if_it_names_one_of_the_lists() {
        for (whose, before, later) in [
            (Whose::Ours, 1, 1),
            (Whose::Unread, 1, 1),
            (Whose::Untold, 1, 0),
            (Whose::Others, 0, 0),
        ] {
            for (came, count) in [(Came::Before, before), (Came::Later, later)] {
                let mut standing = Standing::default();
                standing.look(seen(&[("1", &["1.pck"])]), came);
                standing.read(|_| whose);
                assert_eq!(standing.waited_for().count(), count, "{whose:?} {came:?}");
            }
        }
    }

    #[test]
    fn one_look_that_misses_an_entry_does_not_make_it_gone() {
        let mut standing = Standing::default();
        // Renamed while the directory was read.
        standing.look(seen(&[("1", &["1.pck"])]), Came::Before);
        standing.look(seen(&[("2", &["2.pck"])]), Came::Before);
        assert_eq!(bases(&standing), [b"1", b"2"]);
        standing.look(seen(&[("1", &["1.bak"])]), Came::Later);
        assert_eq!(bases(&standing), [b"1", b"2"]);
        assert_eq!(standing.entries[b"1".as_slice()].names, ["1.bak"]);
        for _ in 0..MISSED {
            standing.look(seen(&[("2", &["2.bak"])]), Came::Later);
        }
        assert_eq!(bases(&standing), [b"2"]);
        assert_eq!(standing.entries[b"2".as_slice()].came, Came::Before);
    }

    #[test]
    fn what_was_asked_before_counts_only_of_the_same_files() {
        for (whose, changed, is_asked) in [
            (Whose::Others, false, false),
            (Whose::Others, true, true),
            // It may have been half a file.
            (Whose::Untold, false, true),
            (Whose::Ours, false, false),
            (Whose::Ours, true, true),
        ] {
            let mut standing = Standing::default();
            standing.look(seen(&[("1", &["1.pck"])]), Came::Before);
            standing.note(|_| 7);
            standing.read(|_| whose);
            standing.look(seen(&[("1", &["1.pck"])]), Came::Before);
            standing.doubt(|_| if changed { 8 } else { 7 });
            let mut asked = false;
            standing.read(|_| {
                asked = true;
                whose
            });
            assert_eq!(asked, is_asked, "{whose:?} {changed}");
        }
    }

    #[test]
    fn of_two_entries_with_one_time_the_one_that_is_ours_counts() {
        let is_ours = |name: &OsStr| match name.to_str() {
            Some("1+x") => Whose::Others,
            Some("1+y") => Whose::Ours,
            _ => Whose::Unread,
        };
        for (names, left) in [
            (["1+x", "1+y"], 1),
            (["1+x", "1+x"], 0),
            (["1+x", "gone"], 1),
        ] {
            let mut standing = Standing::default();
            standing.look(seen(&[("1", &names)]), Came::Before);
            standing.read(is_ours);
            assert_eq!(standing.waited_for().count(), left, "{names:?}");
        }
        // Also where it comes when the other one is known.
        let mut standing = Standing::default();
        for names in [["1+x"].as_slice(), &["1+x", "1+y"]] {
            standing.look(seen(&[("1", names)]), Came::Later);
            standing.read(is_ours);
            assert_eq!(standing.waited_for().count(), names.len() - 1);
        }
    }
}
