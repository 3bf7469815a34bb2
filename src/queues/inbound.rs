//! Waiting until what stood in a tree's inbound queues for some lists has run out.
//!
//! Order: two looks at all queues, one right after the other, say what stands; then all are looked
//! at again and again, until two looks in a row saw nothing of the lists, or the time is up. An
//! entry is known by what of its name stays the same while it is handled, since a runner renames
//! it. Which list it is for is read once.
//!
//! **Invariants.** What comes later and names one of the lists is waited for, too: their doors are
//! closed, so it is what stood there and went on, as a post does that its list manager takes from
//! one queue into the next. An entry whose list cannot be told is waited for, whichever lists move,
//! but only if it stood there: the mail of other lists goes on. Gone is what two looks in a row did
//! not see: a directory that is read while a file in it is renamed may show neither of its names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use super::directory::{Directory, Text};
use super::{Place, QueueError, Queues};
use crate::list::ListName;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// So many entries are read though the time be up: to say whose they are.
const LEAST: usize = 100;
/// So many looks must miss an entry before it is gone.
const MISSED: u8 = 2;

/// An entry that stood there, and still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Its file, by the name that was seen last.
    pub path: PathBuf,
    /// When it was written, if that can be told.
    pub written: Option<SystemTime>,
    /// Whether it says that it is for one of the lists; else it does not say for which it is.
    pub is_told: bool,
}

/// Waits until what stands in the inbound queues for `lists` is gone, and returns what is left at
/// `deadline`: nothing, if all ran out. The doors of these lists must be closed.
///
/// # Errors
/// A queue cannot be looked at.
pub fn wait(
    queues: Queues<'_>,
    lists: &BTreeSet<ListName>,
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Left>, QueueError> {
    let wanted = spellings(queues, lists);
    let places = queues.places(&queues.words.inbound, lists);
    let mut all: Vec<Queue> = places.into_iter().map(Queue::new).collect();
    let mut count = 0_usize;
    let mut look = |came: Came| {
        let mut left = Vec::new();
        for queue in &mut all {
            if queue.directory.is_none() {
                queue.directory = Directory::open(&queue.place)?;
            }
            let Some(directory) = &queue.directory else {
                continue;
            };
            let entries = &mut queue.entries;
            entries.look(seen(queues, directory)?, came);
            entries.read(|name| {
                count += 1;
                match count > LEAST && is_over() {
                    true => Whose::Unread,
                    false => whose(queues, directory, name, &wanted),
                }
            });
            left.extend(entries.left(directory));
        }
        Ok(left)
    };
    look(Came::Before)?;
    let mut left = look(Came::Before)?;
    while !left.is_empty() && !is_over() {
        thread::sleep(PAUSE);
        left = look(Came::Later)?;
    }
    Ok(left)
}

/// How the lists are named in an entry, in lower case; of a queue that is one list's alone none
/// is asked.
fn spellings(queues: Queues<'_>, lists: &BTreeSet<ListName>) -> HashSet<Vec<u8>> {
    let spelled = |list| {
        queues
            .expand(&queues.words.spelled, Some(list))
            .to_ascii_lowercase()
    };
    lists
        .iter()
        .map(|list| spelled(list).into_bytes())
        .collect()
}

/// The entries in a directory: what stays of a name, and the names of which it stays. Where that
/// is the time at which the message came in, two messages may share it.
type Seen = BTreeMap<Vec<u8>, Vec<OsString>>;

fn seen(queues: Queues<'_>, directory: &Directory) -> Result<Seen, QueueError> {
    let mut seen = Seen::new();
    for name in directory.names()? {
        if let Some(base) = queues.base(name.as_bytes()) {
            seen.entry(base.to_vec()).or_default().push(name);
        }
    }
    Ok(seen)
}

/// Whose an entry is; of two that cannot be told apart the later one here counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// It says that it is for other lists.
    Others,
    /// It was not read, or was renamed before it could be.
    Unread,
    /// It does not say.
    Untold,
    /// It says that it is for one of the lists that move.
    Ours,
}

fn whose(
    queues: Queues<'_>,
    directory: &Directory,
    name: &OsStr,
    wanted: &HashSet<Vec<u8>>,
) -> Whose {
    if queues.words.list.is_none() {
        return Whose::Ours;
    }
    for text in [Directory::tail, Directory::whole] {
        let bytes = match text(directory, name) {
            Text::Bytes(bytes) => bytes,
            Text::Gone => return Whose::Unread,
            Text::Refused => return Whose::Untold,
        };
        let names = queues.words.names(&bytes);
        // ANY OF THEM. A message can hold bytes that look like another list's name: then it is
        // waited for without need, never passed over.
        if names
            .iter()
            .any(|name| wanted.contains(&name.to_ascii_lowercase()))
        {
            return Whose::Ours;
        }
        if !names.is_empty() {
            return Whose::Others;
        }
    }
    Whose::Untold
}

/// One queue that is looked at again and again.
#[derive(Debug)]
struct Queue {
    place: Place,
    /// Held open once it is there: a list manager may make it when it first needs it.
    directory: Option<Directory>,
    entries: Standing,
}

impl Queue {
    fn new(place: Place) -> Queue {
        Queue {
            place,
            directory: None,
            entries: Standing::default(),
        }
    }
}

/// What stands in one directory, by what stays of an entry's name.
#[derive(Debug, Default)]
struct Standing {
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// When an entry was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// When what stands was looked for.
    Before,
    /// While it was waited for.
    Later,
}

#[derive(Debug)]
struct Entry {
    names: Vec<OsString>,
    whose: Whose,
    came: Came,
    missed: u8,
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
    fn look(&mut self, mut seen: Seen, came: Came) {
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
            };
            (base, entry)
        });
        self.entries.extend(new);
    }

    /// Asks whose those are of which it is not known.
    fn read(&mut self, mut whose: impl FnMut(&OsStr) -> Whose) {
        let unread = |entry: &&mut Entry| entry.whose == Whose::Unread;
        for entry in self.entries.values_mut().filter(unread) {
            let all = entry.names.iter().map(|name| whose(name));
            entry.whose = all.max().unwrap_or(Whose::Unread);
        }
    }

    fn waited_for(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.is_waited_for())
    }

    fn left<'s>(&'s self, directory: &'s Directory) -> impl Iterator<Item = Left> + 's {
        self.waited_for().flat_map(move |entry| {
            entry.names.iter().map(move |name| Left {
                path: directory.path_of(name),
                written: directory.written(name),
                is_told: entry.whose == Whose::Ours,
            })
        })
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
