//! What shows that a list manager takes messages and does not handle them.
//!
//! **Invariants.** By names and times alone: no entry is read. What could not be looked at is told
//! with the rest.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::directory::Directory;
use super::{Place, QueueError, Queues};
use crate::list::ListName;

/// One sign of trouble.
#[derive(Debug)]
pub enum Trouble {
    /// Messages that the list manager could not handle and put aside.
    Shunted {
        /// Where.
        directory: PathBuf,
        /// How many since the time that was asked for.
        count: usize,
        /// One of them.
        example: PathBuf,
    },
    /// Messages that wait in an inbound queue for so long that nobody seems to handle them.
    Stuck {
        /// Where.
        directory: PathBuf,
        /// How many.
        count: usize,
        /// The oldest one.
        oldest: PathBuf,
        /// How long that has waited.
        age: Duration,
    },
    /// Nobody knows.
    Unknown(QueueError),
}

/// What shows that in a tree: messages shunted since `since` (none are looked for without), and
/// inbound ones that at `now` are older than the profile has it. Queues that are one list's alone
/// are looked at for `lists`.
pub fn trouble(
    queues: Queues<'_>,
    lists: &BTreeSet<ListName>,
    since: Option<SystemTime>,
    now: SystemTime,
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if let Some(since) = since {
        for place in queues.places(&queues.words.shunted, lists) {
            troubles.extend(found(shunted(&place, since)));
        }
    }
    for place in queues.places(&queues.words.inbound, lists) {
        troubles.extend(found(stuck(queues, &place, now)));
    }
    troubles
}

fn found(looked: Result<Option<Trouble>, QueueError>) -> Option<Trouble> {
    looked.unwrap_or_else(|error| Some(Trouble::Unknown(error)))
}

fn shunted(place: &Place, since: SystemTime) -> Result<Option<Trouble>, QueueError> {
    let Some(directory) = Directory::open(place)? else {
        return Ok(None);
    };
    let mut names = directory.names()?;
    // The time of a file is read in whole seconds, as is the one of a change.
    names.retain(|name| {
        directory
            .written(name)
            .is_some_and(|written| written >= since)
    });
    Ok(names.iter().min().map(|first| Trouble::Shunted {
        count: names.len(),
        example: directory.path_of(first),
        directory: place.path.clone(),
    }))
}

fn stuck(
    queues: Queues<'_>,
    place: &Place,
    now: SystemTime,
) -> Result<Option<Trouble>, QueueError> {
    use std::os::unix::ffi::OsStrExt;

    let Some(directory) = Directory::open(place)? else {
        return Ok(None);
    };
    let names = directory.names()?;
    let entries = names
        .iter()
        .filter(|name| queues.base(name.as_bytes()).is_some());
    let waits = entries.filter_map(|name| {
        // Of the future: a clock was set. It waits no time yet.
        let age = now
            .duration_since(directory.written(name)?)
            .unwrap_or_default();
        (age > queues.words.stuck.duration()).then_some((age, name))
    });
    let waits: Vec<_> = waits.collect();
    let oldest = waits
        .iter()
        .max_by_key(|&&(age, name)| (age, std::cmp::Reverse(name)));
    Ok(oldest.map(|&(age, name)| Trouble::Stuck {
        count: waits.len(),
        oldest: directory.path_of(name),
        age,
        directory: place.path.clone(),
    }))
}
