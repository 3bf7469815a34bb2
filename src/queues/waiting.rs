//! What a tree has still to handle at this moment, whichever list it is for: what came in, what goes
//! out, and what is tried again. The release that is there put it there, and the next one may not read it.
//!
//! **Invariants.** Looks once and waits for nothing. A queue that another tree has as well is not
//! this one's: who handles what is in there cannot be told.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::{QueueError, Queues};
use crate::list::ListName;

/// The entries in the queues, without those of queues that `other` has, too.
///
/// # Errors
/// A queue cannot be looked at.
pub fn waiting(
    queues: Queues<'_>,
    other: Option<Queues<'_>>,
    lists: &BTreeSet<ListName>,
) -> Result<Vec<PathBuf>, QueueError> {
    let all = |queues: Queues<'_>| queues.places(&queues.words.to_handle(), lists);
    let others = other.map_or_else(Vec::new, all);
    let mut waiting = Vec::new();
    for place in all(queues) {
        if others.iter().any(|other| are_one(&other.path, &place.path)) {
            continue;
        }
        // Where nothing was ever put into it, not even the directory around it need be there: a
        // tree in which nothing is installed has no queue.
        if !place.within.exists() && !place.path.exists() {
            continue;
        }
        let Some(directory) = Directory::open(&place)? else {
            continue;
        };
        let names = directory.names()?;
        let entries = names
            .iter()
            .filter(|name| queues.base(name.as_bytes()).is_some());
        waiting.extend(entries.map(|name| directory.path_of(name)));
    }
    Ok(waiting)
}

fn are_one(one: &Path, other: &Path) -> bool {
    let place = |path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    one == other || place(one).is_some() && place(one) == place(other)
}
