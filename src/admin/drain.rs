//! `drain LIST`: who is inside, or closes the doors.
//!
//! **Invariants.** Takes no lock and changes nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::accounts;
use crate::admin::inside::{self, Inside};
use crate::admin::outcome::{Done, Outcome, Refused, typed};
use crate::doors::{DoorError, Floor, LockFile, Range};
use crate::list::ListName;
use crate::site::Site;

const ACT: &str = "drain";

/// Tells who holds the doors and floors of these lists.
///
/// # Errors
/// A word is no list's name, or the lock file cannot be looked at.
pub fn drain(site: &Site, words: &[OsString]) -> Outcome {
    let lists = lists(site, words)?;
    let failed = |error: DoorError| {
        let refused = Refused::new(ACT, &error);
        match error {
            DoorError::Missing(_) => refused.hint(typed(site, "init")),
            _ => refused,
        }
    };
    let lock = LockFile::open(&site.config.lock_file()).map_err(failed)?;
    let mut text = String::new();
    let mut unseen = false;
    let ranges: Vec<Range> = lists
        .iter()
        .flat_map(places)
        .map(|(_, range)| range)
        .collect();
    let found = inside::look(&lock, &ranges).map_err(failed)?;
    for list in &lists {
        let told = told(list, &found);
        let held = places(list)
            .into_iter()
            .map(|(_, range)| lock.is_held(range));
        let is_held = held.collect::<Result<Vec<bool>, _>>().map_err(failed)?;
        match (told.is_empty(), is_held.contains(&true)) {
            (false, _) => text += &told,
            (true, false) => text += &format!("{list}: nobody is inside\n"),
            (true, true) => {
                unseen = true;
                text += &format!("{list}: somebody is inside\n");
            }
        }
    }
    if unseen && accounts::runner() != 0 {
        text += "note: only root sees the processes of other users\n";
    }
    Ok(Done::saying(text))
}

fn lists(site: &Site, words: &[OsString]) -> Result<BTreeSet<ListName>, Refused> {
    let mut refused = Refused::empty(ACT);
    let mut lists = BTreeSet::new();
    for word in words {
        match site.list(word.as_bytes()) {
            Ok(list) => drop(lists.insert(list)),
            Err(bad) => refused
                .reasons
                .push(format!("not a list name: {word:?}: {bad}")),
        }
    }
    refused.if_any().map(|()| lists)
}

/// A list's bytes, and what those who hold them do there.
fn places(list: &ListName) -> [(&'static str, Range); 3] {
    [
        ("mail", Range::floor(Floor::Mail, list)),
        ("web", Range::floor(Floor::Web, list)),
        ("door", Range::door(list)),
    ]
}

fn told(list: &ListName, found: &[Inside]) -> String {
    let mut text = String::new();
    for inside in found {
        let at: Vec<&str> = places(list)
            .into_iter()
            .filter_map(|(place, range)| inside.holds(range).then_some(place))
            .collect();
        if !at.is_empty() {
            text += &format!("{list}, {}: {inside}\n", at.join(" and "));
        }
    }
    text
}
