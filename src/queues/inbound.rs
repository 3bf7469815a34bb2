//! Waiting until what stood in a tree's inbound queues for some lists has run out.
//!
//! Order: two looks at each queue, one right after the other, say what stands; then each queue
//! that holds some of it is looked at again and again, until none is left or the time is up. An
//! entry is known by what of its name stays the same while it is handled, since a runner renames
//! it. Which list it is for is read once.
//!
//! **Invariants.** What comes later is not waited for. An entry whose list cannot be told is waited
//! for, whichever lists move. Gone is what two looks in a row did not see: a directory that is read
//! while a file in it is renamed may show neither of its names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::directory::{Directory, Text};
use super::{QueueError, Queues};
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
    deadline: Instant,
) -> Result<Vec<Left>, QueueError> {
    let wanted = spellings(queues, lists);
    let mut standing: Vec<(Directory, Standing)> = Vec::new();
    for place in queues.places(&queues.words.inbound, lists) {
        let Some(directory) = Directory::open(&place)? else {
            continue;
        };
        let mut entries = Standing::default();
        for _ in 0..2 {
            entries.add(seen(queues, &directory)?);
        }
        standing.push((directory, entries));
    }
    let mut count = 0_usize;
    loop {
        for (directory, entries) in &mut standing {
            entries.read(|name| {
                count += 1;
                match count > LEAST && Instant::now() >= deadline {
                    true => Whose::Unread,
                    false => whose(queues, directory, name, &wanted),
                }
            });
        }
        standing.retain(|(_, entries)| !entries.entries.is_empty());
        if standing.is_empty() || Instant::now() >= deadline {
            let left = standing.iter();
            return Ok(left
                .flat_map(|(directory, entries)| entries.left(directory))
                .collect());
        }
        thread::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now())));
        for (directory, entries) in &mut standing {
            entries.look(seen(queues, directory)?);
        }
    }
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

/// What stands in one directory, by what stays of an entry's name.
#[derive(Debug, Default)]
struct Standing {
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Debug)]
struct Entry {
    names: Vec<OsString>,
    whose: Whose,
    missed: u8,
}

impl Standing {
    /// What is seen before the waiting begins.
    fn add(&mut self, seen: Seen) {
        for (base, names) in seen {
            let entry = Entry {
                names,
                whose: Whose::Unread,
                missed: 0,
            };
            self.entries.insert(base, entry);
        }
    }

    /// What is seen later: what is new is none of ours.
    fn look(&mut self, mut seen: Seen) {
        for (base, entry) in &mut self.entries {
            match seen.remove(base) {
                Some(names) => {
                    entry.names = names;
                    entry.missed = 0;
                }
                None => entry.missed += 1,
            }
        }
        self.entries.retain(|_, entry| entry.missed < MISSED);
    }

    /// Asks whose those are of which it is not known; those of others are forgotten.
    fn read(&mut self, mut whose: impl FnMut(&OsStr) -> Whose) {
        let unread = |entry: &&mut Entry| entry.whose == Whose::Unread;
        for entry in self.entries.values_mut().filter(unread) {
            let all = entry.names.iter().map(|name| whose(name));
            entry.whose = all.max().unwrap_or(Whose::Unread);
        }
        self.entries.retain(|_, entry| entry.whose != Whose::Others);
    }

    fn left<'s>(&'s self, directory: &'s Directory) -> impl Iterator<Item = Left> + 's {
        self.entries.values().flat_map(move |entry| {
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
    fn what_is_seen_later_did_not_stand_there() {
        let mut standing = Standing::default();
        standing.add(seen(&[("1", &["1.pck"])]));
        standing.look(seen(&[("1", &["1.bak"]), ("2", &["2.pck"])]));
        assert_eq!(bases(&standing), [b"1"]);
        for _ in 0..MISSED {
            standing.look(seen(&[("2", &["2.pck"])]));
        }
        assert!(bases(&standing).is_empty());
    }

    #[test]
    fn one_look_that_misses_an_entry_does_not_make_it_gone() {
        let mut standing = Standing::default();
        // Renamed while the directory was read.
        standing.add(seen(&[("1", &["1.pck"])]));
        standing.add(seen(&[("2", &["2.pck"])]));
        assert_eq!(bases(&standing), [b"1", b"2"]);
        standing.look(seen(&[("1", &["1.bak"])]));
        standing.look(seen(&[("2", &["2.bak"])]));
        assert_eq!(bases(&standing), [b"1", b"2"]);
        assert_eq!(standing.entries[b"2".as_slice()].names, ["2.bak"]);
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
            standing.add(seen(&[("1", &names)]));
            standing.read(is_ours);
            assert_eq!(standing.entries.len(), left, "{names:?}");
        }
    }
}
