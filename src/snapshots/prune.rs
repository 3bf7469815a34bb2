//! Old snapshots removed.
//!
//! **The rule.** Of each list the newest `keep` stay, and at least one. Whatever `keep` says, these
//! stay too: the newest one that was set aside, and the newest that was cut short, since what is in
//! them may be nowhere else; and if the list is on the future tree, the newest one that was taken
//! before a move, which is its way back.
//!
//! **Invariants.** A snapshot is first given the name of one that is being made: a kill leaves no half
//! one under its own name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use rustix::fs::renameat;

use super::{PARTIAL, Snapshot, SnapshotError, Store, Why};
use crate::copying::{make_directory, open_own_directory, remove};

/// What was removed.
#[derive(Debug, Default)]
pub struct Pruned {
    /// How many snapshots.
    pub count: usize,
    /// How many bytes they took.
    pub bytes: u64,
}

/// Which of `all`, oldest first, may go. `is_ahead` says of a list whether it is on the future tree.
pub fn surplus<'a>(
    all: &'a [Snapshot],
    keep: usize,
    is_ahead: &dyn Fn(&str) -> bool,
) -> Vec<&'a Snapshot> {
    let mut by_list: BTreeMap<&str, Vec<&Snapshot>> = BTreeMap::new();
    for snapshot in all {
        by_list.entry(&snapshot.list).or_default().push(snapshot);
    }
    let mut surplus = Vec::new();
    for (list, mut its) in by_list {
        its.reverse();
        // With keep = 0 nothing new is taken, and what was set aside still has its day.
        let keep = keep.max(1);
        let newest = |why: &dyn Fn(Why) -> bool| its.iter().position(|one| why(one.why));
        let mut stay: BTreeSet<usize> = (0..keep.min(its.len())).collect();
        stay.extend(newest(&|why| why == Why::Restore));
        stay.extend(newest(&|why| why == Why::CutShort));
        if is_ahead(list) {
            stay.extend(newest(&|why| why == Why::Move));
        }
        let going = its.iter().enumerate().filter(|(n, _)| !stay.contains(n));
        surplus.extend(going.map(|(_, &one)| one));
    }
    surplus
}

/// Removes these.
///
/// # Errors
/// One cannot be removed; those before it are gone.
pub fn prune(store: &Store, going: &[&Snapshot]) -> Result<Pruned, SnapshotError> {
    let mut pruned = Pruned::default();
    let Some(all) = store.open()? else {
        return Ok(pruned);
    };
    let name = format!("{PARTIAL}{}", std::process::id());
    for one in going {
        let failed = |error| store.file(&one.id, error);
        let inside = open_own_directory(&all, OsStr::new(&one.id)).map_err(failed)?;
        remove(&all, OsStr::new(&name)).map_err(failed)?;
        let into = make_directory(&all, OsStr::new(&name)).map_err(failed)?;
        renameat(&inside, one.list.as_str(), &into, one.list.as_str()).map_err(failed)?;
        remove(&all, OsStr::new(&name)).map_err(failed)?;
        // The last one of its change takes the directory along.
        let _ = rustix::fs::unlinkat(&all, one.id.as_str(), rustix::fs::AtFlags::REMOVEDIR);
        pruned.count += 1;
        pruned.bytes += one.bytes;
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, list: &str, why: Why) -> Snapshot {
        Snapshot {
            format: 1,
            list: list.to_owned(),
            id: id.to_owned(),
            generation: 0,
            when: String::new(),
            why,
            command: String::new(),
            tree: "a".to_owned(),
            release: String::new(),
            data_version: None,
            files: 0,
            bytes: 0,
            places: Vec::new(),
        }
    }

    #[track_caller]
    fn check(all: &[Snapshot], keep: usize, ahead: bool, expected: &[&str]) {
        let mut going: Vec<&str> = surplus(all, keep, &|_| ahead)
            .into_iter()
            .map(|one| one.id.as_str())
            .collect();
        going.sort_unstable();
        assert_eq!(going, expected);
    }

    #[test]
    fn the_newest_of_a_list_stay_and_what_is_the_only_copy() {
        let moves: Vec<Snapshot> = ["1", "2", "3"].map(|id| one(id, "toy", Why::Move)).into();
        check(&moves, 5, true, &[]);
        check(&moves, 2, true, &["1"]);
        check(&moves, 0, false, &["1", "2"]);
        let others = [
            one("1", "toy", Why::Move),
            one("2", "toy", Why::Restore),
            one("3", "toy", Why::Restore),
            one("4", "toy", Why::Restore),
            one("5", "real", Why::Move),
        ];
        // The list is ahead, and its way back is older than what was set aside.
        check(&others, 1, true, &["2", "3"]);
        check(&others, 1, false, &["1", "2", "3"]);
    }

    #[test]
    fn what_was_set_aside_stays_though_younger_ones_are_there() {
        let all = [
            one("1", "toy", Why::Restore),
            one("2", "toy", Why::Move),
            one("3", "toy", Why::Move),
        ];
        check(&all, 2, false, &[]);
        check(&all, 1, false, &["2"]);
    }
}
