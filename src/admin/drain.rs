//! `drain LIST`, `drain --all`: who is inside, or closes the doors.
//!
//! **Invariants.** Takes no lock and changes nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::accounts;
use crate::admin::aliases::known_at_least;
use crate::admin::inside::{self, Inside};
use crate::admin::outcome::{Done, Outcome, Refused, names, typed};
use crate::admin::selection::near;
use crate::doors::{DoorError, Floor, LockFile, Range};
use crate::list::ListName;
use crate::site::Site;
use crate::store;

const ACT: &str = "drain";

/// Tells who holds the doors and floors of these lists.
///
/// # Errors
/// A word is no list's name, or the lock file cannot be looked at.
pub fn drain(site: &Site, words: &[OsString]) -> Outcome {
    let lists = lists(site, words)?;
    let lock = open(site)?;
    let all = lists.iter().flat_map(places);
    let ranges: Vec<Range> = all.map(|(_, range)| range).collect();
    let found = inside::look(&lock, &ranges).map_err(|error| failed(site, &error))?;
    let mut text = String::new();
    let mut unseen = false;
    for list in &lists {
        let told = told(list, &found);
        let held = places(list).map(|(_, range)| range);
        let is_held = is_held(&lock, &held).map_err(|error| failed(site, &error))?;
        match (told.is_empty(), is_held) {
            (false, _) => text += &told,
            (true, false) => text += &format!("{list}: nobody is inside\n"),
            (true, true) => {
                unseen = true;
                text += &format!("{list}: somebody is inside\n");
            }
        }
    }
    Ok(Done::saying(text + note(unseen) + &mistyped(site, &lists)))
}

/// Of lists that nothing knows, those that were perhaps meant. Who is inside is told all the same: a
/// delivery asks nobody whether there is such a list.
fn mistyped(site: &Site, lists: &BTreeSet<ListName>) -> String {
    let Ok(loaded) = store::load(site) else {
        return String::new();
    };
    let known = known_at_least(site, &loaded.parity);
    if known.enumerated.is_err() {
        return String::new();
    }
    let unknown = lists.difference(&known.lists);
    unknown
        .map(|list| match near(list, &known.lists) {
            near if near.is_empty() => format!("note: there is no list {list}\n"),
            near => format!(
                "note: there is no list {list}; near it: {}\n",
                near.join(", ")
            ),
        })
        .collect()
}

/// Tells who holds a door or floor of any list: a line a process.
///
/// # Errors
/// The lock file cannot be looked at.
pub fn drain_all(site: &Site) -> Outcome {
    let lock = open(site)?;
    let ranges = regions().map(|(_, range)| range);
    let found = inside::look(&lock, &ranges).map_err(|error| failed(site, &error))?;
    let is_held = is_held(&lock, &ranges).map_err(|error| failed(site, &error))?;
    let (lists, mut text) = match store::load(site) {
        _ if found.is_empty() => (BTreeSet::new(), String::new()),
        Ok(loaded) => (known_at_least(site, &loaded.parity).lists, String::new()),
        Err(error) => (
            BTreeSet::new(),
            format!("note: which lists there are cannot be told: {error}\n"),
        ),
    };
    for inside in &found {
        let at = regions()
            .into_iter()
            .filter(|&(_, range)| inside.holds(range));
        let at: Vec<&str> = at.map(|(place, _)| place).collect();
        text += &format!(
            "{}, {}: {inside}\n",
            of_lists(&lists, inside),
            at.join(" and ")
        );
    }
    if found.is_empty() {
        text += match is_held {
            true => "somebody is inside\n",
            false => "nobody is inside\n",
        };
    }
    // Of those inside some may be seen and others not.
    Ok(Done::saying(text + note(is_held)))
}

/// The lists that a process is inside of, by their names as far as they are known.
fn of_lists(lists: &BTreeSet<ListName>, inside: &Inside) -> String {
    if regions()
        .into_iter()
        .any(|(_, range)| inside.holds_all(range))
    {
        return "all lists".to_owned();
    }
    let held = |list: &&ListName| places(list).iter().any(|&(_, range)| inside.holds(range));
    let mut lists = lists.iter().filter(held).peekable();
    match lists.peek() {
        None => "a list that is not known".to_owned(),
        Some(_) => names(lists),
    }
}

fn open(site: &Site) -> Result<LockFile, Refused> {
    LockFile::open(&site.config.lock_file()).map_err(|error| failed(site, &error))
}

fn failed(site: &Site, error: &DoorError) -> Refused {
    let refused = Refused::new(ACT, error);
    match error {
        DoorError::Missing(_) => refused.hint(typed(site, "init")),
        _ => refused,
    }
}

fn is_held(lock: &LockFile, ranges: &[Range]) -> Result<bool, DoorError> {
    for &range in ranges {
        if lock.is_held(range)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is to be said where somebody may be inside who cannot be seen.
fn note(may_be: bool) -> &'static str {
    match may_be && accounts::runner() != 0 {
        true => "note: only root sees the processes of other users\n",
        false => "",
    }
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

/// As [`places`], of all lists.
fn regions() -> [(&'static str, Range); 3] {
    [
        ("mail", Range::whole(Floor::Mail)),
        ("web", Range::whole(Floor::Web)),
        ("door", Range::all_doors()),
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
