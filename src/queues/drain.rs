//! What is left in a tree's queues, of whatever list: its programs may not stop before that is gone.
//!
//! **Invariants.** By names alone. A queue that was never made is empty; one that cannot be looked
//! at is told, never "empty".

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::directory::Directory;
use super::{Place, QueueError, Queues};
use crate::list::ListName;

/// A queue that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// Where.
    pub directory: PathBuf,
    /// How many entries.
    pub count: usize,
}

/// The queues that are not empty, and those that cannot be looked at. Queues that are one list's alone
/// are looked at for `lists`.
pub fn remaining(
    queues: Queues<'_>,
    lists: &BTreeSet<ListName>,
) -> (Vec<Remaining>, Vec<QueueError>) {
    let (mut left, mut unknown) = (Vec::new(), Vec::new());
    for place in queues.places(&queues.words.drain, lists) {
        match count(queues, &place) {
            Ok(0) => {}
            Ok(count) => left.push(Remaining {
                directory: place.path,
                count,
            }),
            Err(error) => unknown.push(error),
        }
    }
    (left, unknown)
}

fn count(queues: Queues<'_>, place: &Place) -> Result<usize, QueueError> {
    let Some(directory) = Directory::open(place)? else {
        return Ok(0);
    };
    let names = directory.names()?;
    let entries = names
        .iter()
        .filter(|name| queues.base(name.as_bytes()).is_some());
    Ok(entries.count())
}
