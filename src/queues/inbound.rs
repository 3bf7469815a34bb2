//! Waiting until what stood in a tree's inbound queues for some lists has run out.
//!
//! Order: one look at all queues while the doors are open, which reads what stands; with the doors
//! closed two looks, one right after the other, say what stands then; then all are looked at again
//! and again, until two looks in a row saw nothing of the lists, or the time is up. Which list an
//! entry is for is read once (`standing`).
//!
//! DOORS ARE NOT CLOSED FOR THE BULK. A queue may hold 100,000 entries of other lists, and to read
//! them takes as long as mail waits at the doors. What the first look read is right as long as the
//! files are those that it read: the first look with closed doors compares what the file system
//! says of each (no file is opened for that), and reads what is new, what is another file or has
//! changed, and what did not say for which list it is: it may have been half written. What decides
//! are the looks with closed doors alone; the one before only spares them the reading.
//!
//! **Invariants.** What comes later and names one of the lists is waited for, too: their doors are
//! closed, so it is what stood there and went on, as a post does that its list manager takes from
//! one queue into the next. An entry whose list cannot be told is waited for, whichever lists move,
//! but only if it stood there when the doors were closed: the mail of other lists goes on.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use super::directory::{Directory, Text};
use super::standing::{Came, Seen, Standing, Whose};
use super::{Place, QueueError, Queues};
use crate::list::ListName;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// So many entries are read though the time be up: to say whose they are.
const LEAST: usize = 100;

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

/// The inbound queues of a tree, as they were seen so far.
#[derive(Debug)]
pub struct Inbound {
    /// How the lists are named in an entry.
    wanted: HashSet<Vec<u8>>,
    all: Vec<Queue>,
    /// How many entries were asked whose they are.
    asked: usize,
}

/// How the doors of the lists were before a look at what stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doors {
    /// Open: all may change yet.
    Open,
    /// They were closed since the last look.
    JustClosed,
    /// They have been for longer.
    Closed,
}

impl Inbound {
    /// Those for `lists`; nothing is looked at yet.
    pub fn of(queues: Queues<'_>, lists: &BTreeSet<ListName>) -> Inbound {
        let places = queues.places(&queues.words.inbound, lists);
        Inbound {
            wanted: spellings(queues, lists),
            all: places.into_iter().map(Queue::new).collect(),
            asked: 0,
        }
    }

    /// Reads what stands there while the doors are still open, so that this need not be done once
    /// they are closed; what is not read when it `is_over` is read then.
    ///
    /// # Errors
    /// A queue cannot be looked at.
    pub fn read_ahead(
        &mut self,
        queues: Queues<'_>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), QueueError> {
        self.look(queues, Doors::Open, Came::Before, is_over)
            .map(drop)
    }

    /// Waits until what stands there is gone, and returns what is left when it `is_over`: nothing,
    /// if all ran out. The doors of these lists must be closed.
    ///
    /// # Errors
    /// A queue cannot be looked at.
    pub fn run_out(
        mut self,
        queues: Queues<'_>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<Left>, QueueError> {
        self.look(queues, Doors::JustClosed, Came::Before, is_over)?;
        let mut left = self.look(queues, Doors::Closed, Came::Before, is_over)?;
        while !left.is_empty() && !is_over() {
            thread::sleep(PAUSE);
            left = self.look(queues, Doors::Closed, Came::Later, is_over)?;
        }
        Ok(left)
    }

    fn look(
        &mut self,
        queues: Queues<'_>,
        doors: Doors,
        came: Came,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<Left>, QueueError> {
        let mut left = Vec::new();
        for queue in &mut self.all {
            if queue.directory.is_none() {
                queue.directory = Directory::open(&queue.place)?;
            }
            let Some(directory) = &queue.directory else {
                continue;
            };
            let entries = &mut queue.entries;
            entries.look(seen(queues, directory)?, came);
            match doors {
                Doors::Open => entries.note(|names| directory.mark(names)),
                Doors::JustClosed => entries.doubt(|names| directory.mark(names)),
                Doors::Closed => {}
            }
            entries.read(|name| {
                self.asked += 1;
                match self.asked > LEAST && is_over() {
                    true => Whose::Unread,
                    false => whose(queues, directory, name, &self.wanted),
                }
            });
            // What stands while the doors are open is no answer to anything.
            if doors != Doors::Open {
                left.extend(all_left(entries, directory));
            }
        }
        Ok(left)
    }
}

fn all_left<'q>(
    entries: &'q Standing,
    directory: &'q Directory,
) -> impl Iterator<Item = Left> + 'q {
    entries.waited_for().flat_map(|entry| {
        entry.names.iter().map(|name| Left {
            path: directory.path_of(name),
            written: directory.written(name),
            is_told: entry.whose == Whose::Ours,
        })
    })
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

fn seen(queues: Queues<'_>, directory: &Directory) -> Result<Seen, QueueError> {
    let mut seen = Seen::new();
    for name in directory.names()? {
        if let Some(base) = queues.base(name.as_bytes()) {
            seen.entry(base.to_vec()).or_default().push(name);
        }
    }
    Ok(seen)
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
