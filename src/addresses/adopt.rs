//! Turning entries that pipe straight into a tree to mm-deliver, and back.
//!
//! Only the destination is replaced, in place. Back means: the recorded bytes where ours are
//! unchanged and the recorded ones lead to the list's present tree, else that tree's own form.
//!
//! **Invariants.** Decides; writes nothing. An entry that cannot be served is left and named,
//! never half turned.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;

use super::edits::{Change, Edits};
use super::found::{Found, Means, Place};
use super::leads::Leads;
use super::pipe::Trees;
use super::record::{Records, trimmed};
use super::repeated;
use super::turning::{Turning, ours, turning};
use super::{include, source};
use crate::list::{ListName, Verb};
use crate::parity::Parity;

/// How a destination begins that is read from a file, in any case.
const INCLUDE: &[u8] = b":include:";

/// Turns what pipes straight into a tree: everything, or the entries of `lists`.
pub(super) fn adopt(trees: &Trees<'_>, lists: Option<&BTreeSet<ListName>>, edits: &mut Edits<'_>) {
    let found = edits.found;
    let asked = |list: &ListName| lists.is_none_or(|lists| lists.contains(list));
    for place in found.about(lists) {
        match turning(trees, found, place) {
            Turning::Turn {
                n,
                verb,
                list,
                command,
            } if asked(&list) => {
                edits.push(Change::Pipe {
                    place,
                    n,
                    command: &command,
                });
                // A list's entries mostly stand together.
                if edits.turned.last() != Some(&list) {
                    edits.turned.insert(list);
                }
                for beside in repeated::beside(trees.site, found, place, n) {
                    edits.note(place, &beside.told(&found.folded(place), verb));
                }
            }
            Turning::Left { list, why } if list.as_ref().map_or(lists.is_none(), asked) => {
                edits.leave_of(list, place, &why.told(trees, found, place));
            }
            _ => {}
        }
        included(trees, &asked, place, edits);
    }
}

/// Names what stands in a file that the entry includes, and would be turned in the entry itself.
fn included(
    trees: &Trees<'_>,
    asked: &impl Fn(&ListName) -> bool,
    place: Place,
    edits: &mut Edits<'_>,
) {
    // Most entries of a large file are not even looked at twice.
    if edits.found.plain_pipe(place).is_some() {
        return;
    }
    let mut windows = edits.found.raw(place).windows(INCLUDE.len());
    if !windows.any(|bytes| bytes.eq_ignore_ascii_case(INCLUDE)) {
        return;
    }
    for means in edits.found.destinations(place) {
        let Means::Include(path) = &means else {
            continue;
        };
        let programs = include::programs(path, source::dialect(trees.site)).unwrap_or_default();
        for program in programs {
            if let Leads::Tree(_, _, list) | Leads::Shell(_, list) | Leads::Third(_, list) =
                trees.leads(&program.command)
                && asked(&list)
            {
                edits.leave(place, &include::into_a_tree(trees.site, path, &program));
            }
        }
    }
}

/// Puts back what leads to us: everything, or the entries of `lists`.
pub(super) fn unadopt(
    trees: &Trees<'_>,
    parity: &Parity,
    lists: Option<&BTreeSet<ListName>>,
    records: &Records,
    edits: &mut Edits<'_>,
) {
    let found = edits.found;
    let memory = Memory::of(records);
    for place in found.about(lists) {
        let Some((verb, list)) = ours(trees, found, place) else {
            continue;
        };
        if lists.is_some_and(|lists| !lists.contains(&list)) {
            continue;
        }
        let why = match memory.recorded(found, place) {
            Some(before) if leads_there(trees, parity, &list, found, before) => {
                edits.push(Change::Replace { place, raw: before });
                continue;
            }
            Some(_) => "what stood there leads elsewhere than its tree",
            None => "no bytes of its own are recorded",
        };
        put_direct(trees, parity, verb, &list, (place, why), edits);
    }
}

/// The records by what they wrote: an unadopt of a whole site asks for each of its entries.
struct Memory<'r> {
    newest: HashMap<(&'r OsStr, &'r [u8]), &'r [u8]>,
}

impl<'r> Memory<'r> {
    fn of(records: &'r Records) -> Memory<'r> {
        let mut newest = HashMap::new();
        for record in &records.all {
            if let (Some(before), Some(written)) = (&record.before, &record.written) {
                let key = (record.file(), trimmed(&written.0));
                newest.insert(key, before.0.as_ref());
            }
        }
        Memory { newest }
    }

    /// The bytes that stood at `place` before ours, if ours are unchanged.
    fn recorded(&self, found: &Found, place: Place) -> Option<&'r [u8]> {
        let key = (found.path(place).as_os_str(), trimmed(found.raw(place)));
        self.newest.get(&key).copied()
    }
}

/// Whether an entry's bytes lead to the tree that serves the list now.
fn leads_there(
    trees: &Trees<'_>,
    parity: &Parity,
    list: &ListName,
    found: &Found,
    raw: &[u8],
) -> bool {
    let Some((tree, _)) = trees.of(parity, list) else {
        return false;
    };
    found.means_of(raw).into_iter().any(|means| {
        matches!(means, Means::Pipe(command)
            if matches!(trees.leads(&command), Leads::Tree(name, _, _) if name == tree.name))
    })
}

/// Writes the tree's own form, or removes an entry for which the tree has no address.
fn put_direct(
    trees: &Trees<'_>,
    parity: &Parity,
    verb: Verb,
    list: &ListName,
    (place, why): (Place, &str),
    edits: &mut Edits<'_>,
) {
    let found = edits.found;
    let command = trees
        .of(parity, list)
        .and_then(|(tree, profile)| Some((tree, profile.direct_command(tree, verb, list)?)));
    let n = found.destinations(place).iter().position(|means| {
        matches!(means, Means::Pipe(command) if matches!(trees.leads(command), Leads::Us(..)))
    });
    match (command, n) {
        (Some((tree, command)), Some(n)) => {
            let form = format!("{why}: the tree's form is written, for tree {}", tree.name);
            edits.note(place, &form);
            let command = command.join(" ");
            edits.push(Change::Pipe {
                place,
                n,
                command: &command,
            });
        }
        _ if found.destinations(place).len() == 1 => {
            edits.note(place, "the tree has no such address: removed");
            edits.push(Change::Remove { place });
        }
        _ => edits.note(
            place,
            "the tree has no such address, and others are served by it: left",
        ),
    }
}
