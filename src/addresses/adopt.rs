//! Turning entries that pipe straight into a tree to mm-deliver, and back.
//!
//! Only the destination is replaced, in place. Back means: the recorded bytes where ours are
//! unchanged and the recorded ones lead to the list's present tree, else that tree's own form.
//!
//! **Invariants.** Decides; writes nothing. An entry that cannot be served is left and named,
//! never half turned.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;

use super::compare::ours;
use super::edits::{Change, Edits};
use super::found::{Found, Means, Place};
use super::leads::Leads;
use super::pipe::Trees;
use super::record::{Records, trimmed};
use super::repeated::{self, Beside};
use super::wanted::verb_for;
use super::why::Why;
use super::{disk, include, stays};
use crate::list::{ListName, Verb};
use crate::parity::Parity;

/// How a destination begins that is read from a file, in any case.
const INCLUDE: &[u8] = b":include:";

/// What is to become of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turning {
    /// It pipes into no list manager.
    No,
    /// Its destination `n` is to lead to us.
    Turn {
        n: usize,
        verb: Verb,
        list: ListName,
    },
    /// It pipes into a list manager and cannot be turned; the list, where that can be told.
    Left { list: Option<ListName>, why: Why },
}

/// What adopting makes of the entry at `place`.
pub(super) fn turning(trees: &Trees<'_>, found: &Found, place: Place) -> Turning {
    let destinations = found.destinations(place);
    let commands = || {
        destinations
            .iter()
            .enumerate()
            .filter_map(|(n, means)| match means {
                Means::Pipe(command) => Some((n, command)),
                _ => None,
            })
    };
    let one = commands()
        .find_map(|(n, command)| Some((n, command, one_pipe(trees, found, place, command)?)));
    let Some((n, command, (list, done))) = one else {
        return Turning::No;
    };
    let why = match done {
        Err(why @ Why::Third(_)) => why,
        _ if commands().count() > 1 => Why::SecondProgram,
        _ if found.is_double(place) => Why::Double,
        Err(why) => why,
        Ok((verb, list)) => match can_be_ours(trees, command, verb, &list) {
            Ok(()) => match program_behind(trees, found, place, n) {
                Some(name) => Why::Behind(name),
                None => return Turning::Turn { n, verb, list },
            },
            Err(why) => why,
        },
    };
    Turning::Left { list, why }
}

/// The name in an entry by which Postfix would run a second program.
fn program_behind(trees: &Trees<'_>, found: &Found, place: Place, n: usize) -> Option<String> {
    let beside = repeated::beside(trees.site, found, place, n);
    beside.into_iter().find_map(|beside| match beside {
        Beside::Program(name) => Some(name),
        Beside::Name(_) | Beside::File(_) => None,
    })
}

/// What one command of an entry is for: the list where that can be told, and what it would be
/// with us. `None`: it has nothing to do with a list manager that we know.
type Judged = (Option<ListName>, Result<(Verb, ListName), Why>);

fn one_pipe(trees: &Trees<'_>, found: &Found, place: Place, command: &[u8]) -> Option<Judged> {
    Some(match trees.leads(command) {
        Leads::Tree(_, verbs, list) => {
            let verb = verb_for(trees, &list, &found.folded(place), &verbs)?;
            (Some(list.clone()), Ok((verb, list)))
        }
        Leads::Shell(_, list) => (Some(list), Err(Why::Shell)),
        Leads::Odd(tree, odd) => (None, Err(Why::Odd(tree, odd))),
        Leads::Third(root, list) => (Some(list), Err(Why::Third(root))),
        Leads::Us(..) | Leads::Elsewhere => return None,
    })
}

/// Whether the MTA would run our command in the place of this one.
fn can_be_ours(trees: &Trees<'_>, command: &[u8], verb: Verb, list: &ListName) -> Result<(), Why> {
    trees.command(verb, list).map_err(Why::Unwritable)?;
    match trees.smrsh_link(command) {
        Some(link) if !trees.places.same(&link, &trees.site.config.program) => {
            Err(Why::Smrsh(link))
        }
        _ => Ok(()),
    }
}

/// The lists that some entry pipes straight into a tree for.
pub(super) fn direct_lists(trees: &Trees<'_>, found: &Found) -> BTreeSet<ListName> {
    let list = |place| match turning(trees, found, place) {
        Turning::Turn { list, .. } => Some(list),
        Turning::Left {
            why: Why::Third(_), ..
        } => None,
        Turning::Left { list, .. } => list,
        Turning::No => None,
    };
    found.all().filter_map(list).collect()
}

/// Those of `lists` that some entry is for, whether it pipes straight into a tree or to us.
pub(super) fn lists_of(
    trees: &Trees<'_>,
    found: &Found,
    lists: &BTreeSet<ListName>,
) -> BTreeSet<ListName> {
    let list = |place| match turning(trees, found, place) {
        Turning::Turn { list, .. } => Some(list),
        Turning::Left {
            why: Why::Third(_), ..
        } => None,
        Turning::Left { list, .. } => list,
        Turning::No => Some(ours(trees, found, place)?.1),
    };
    let its = found.about(Some(lists)).filter_map(list);
    its.filter(|list| lists.contains(list)).collect()
}

/// Turns what pipes straight into a tree: everything, or the entries of `lists`.
pub(super) fn adopt(trees: &Trees<'_>, lists: Option<&BTreeSet<ListName>>, edits: &mut Edits<'_>) {
    let found = edits.found;
    let asked = |list: &ListName| lists.is_none_or(|lists| lists.contains(list));
    for place in found.about(lists) {
        match turning(trees, found, place) {
            Turning::Turn { n, verb, list } if asked(&list) => match trees.command(verb, &list) {
                Ok(command) => {
                    edits.push(Change::pipe(place, n, &command));
                    edits.turned.insert(list);
                    for beside in repeated::beside(trees.site, found, place, n) {
                        edits.note(place, &beside.told(&found.folded(place), verb));
                    }
                }
                Err(why) => edits.leave(place, &why),
            },
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
        let programs = include::programs(path, disk::dialect(trees.site)).unwrap_or_default();
        for program in programs {
            if let Leads::Tree(_, _, list) | Leads::Shell(_, list) | Leads::Third(_, list) =
                trees.leads(&program.command)
                && asked(&list)
            {
                edits.leave(place, &stays::into_a_tree(trees.site, path, &program));
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
                let raw = before.to_vec();
                edits.push(Change::Replace { place, raw });
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
            edits.push(Change::pipe(place, n, &command.join(" ")));
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
