//! Turning entries that pipe straight into a tree to mm-deliver, and back.
//!
//! Only the destination is replaced, in place. Back means: the recorded bytes where ours are
//! unchanged and the recorded ones lead to the list's present tree, else that tree's own form.
//!
//! **Invariants.** Decides; writes nothing. An entry that cannot be served is left and named,
//! never half turned.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fmt;

use super::compare::ours;
use super::edits::{Change, Edits};
use super::found::{Found, Means, Place};
use super::pipe::{Leads, Trees, Unwritable};
use super::record::{Records, trimmed};
use super::wanted::verb_for;
use crate::list::{ListName, Verb};
use crate::parity::Parity;

/// What is to become of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turning {
    /// It does not pipe straight into a tree.
    No,
    /// Its destination `n` is to lead to us.
    Turn {
        n: usize,
        verb: Verb,
        list: ListName,
    },
    /// It pipes into a tree and cannot be turned.
    Left { list: ListName, why: Why },
}

/// Why an entry that pipes into a tree is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// A quote or a shell character: it is more than a program and its words.
    Shell,
    /// A second program stands beside it.
    SecondProgram,
    /// The name stands more than once.
    Double,
    /// Our command would not pass every MTA.
    Unwritable(Unwritable),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Shell => f.write_str("its command has quotes or shell characters"),
            Why::SecondProgram => f.write_str(
                "it runs a second program, which Postfix would run again whenever mm-deliver \
                 asks it to try again",
            ),
            Why::Double => f.write_str("the name stands more than once"),
            Why::Unwritable(why) => why.fmt(f),
        }
    }
}

/// What adopting makes of the entry at `place`.
pub(super) fn turning(trees: &Trees<'_>, found: &Found, place: Place) -> Turning {
    let destinations = found.destinations(place);
    let mut programs = 0;
    let mut direct = None;
    for (n, means) in destinations.iter().enumerate() {
        let Means::Pipe(command) = means else {
            continue;
        };
        programs += 1;
        match trees.leads(command) {
            Leads::Tree(_, verbs, list) => {
                if let Some(verb) = verb_for(trees, &list, &found.folded(place), &verbs) {
                    direct.get_or_insert((n, Some(verb), list));
                }
            }
            Leads::Shell(_, list) => {
                direct.get_or_insert((n, None, list));
            }
            _ => {}
        }
    }
    let Some((n, verb, list)) = direct else {
        return Turning::No;
    };
    let left = |list, why| Turning::Left { list, why };
    match verb {
        _ if programs > 1 => left(list, Why::SecondProgram),
        _ if found.is_double(place) => left(list, Why::Double),
        None => left(list, Why::Shell),
        Some(verb) => match trees.command(verb, &list) {
            Ok(_) => Turning::Turn { n, verb, list },
            Err(why) => left(list, Why::Unwritable(why)),
        },
    }
}

/// The lists that some entry pipes straight into a tree for.
pub(super) fn direct_lists(trees: &Trees<'_>, found: &Found) -> BTreeSet<ListName> {
    let list = |place| match turning(trees, found, place) {
        Turning::Turn { list, .. } | Turning::Left { list, .. } => Some(list),
        Turning::No => None,
    };
    found.all().filter_map(list).collect()
}

/// Turns what pipes straight into a tree: everything, or the entries of `lists`.
pub(super) fn adopt(trees: &Trees<'_>, lists: Option<&BTreeSet<ListName>>, edits: &mut Edits<'_>) {
    let found = edits.found;
    let asked = |list: &ListName| lists.is_none_or(|lists| lists.contains(list));
    for place in found.all() {
        match turning(trees, found, place) {
            Turning::Turn { n, verb, list } if asked(&list) => match trees.command(verb, &list) {
                Ok(command) => edits.push(Change::pipe(place, n, &command)),
                Err(why) => edits.leave(place, &why),
            },
            Turning::Left { list, why } if asked(&list) => edits.leave(place, &why),
            _ => {}
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
    for place in found.all() {
        let Some((verb, list)) = ours(trees, found, place) else {
            continue;
        };
        if lists.is_some_and(|lists| !lists.contains(&list)) {
            continue;
        }
        match memory.recorded(trees, parity, &list, found, place) {
            Some(before) => edits.push(Change::Replace { place, raw: before }),
            None => put_direct(trees, parity, verb, &list, place, edits),
        }
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
                newest.insert(key, before.0.as_slice());
            }
        }
        Memory { newest }
    }

    /// The bytes that stood at `place` before ours, if ours are unchanged and they lead to the
    /// list's tree.
    fn recorded(
        &self,
        trees: &Trees<'_>,
        parity: &Parity,
        list: &ListName,
        found: &Found,
        place: Place,
    ) -> Option<Vec<u8>> {
        let (tree, _) = trees.of(parity, list)?;
        let key = (found.path(place).as_os_str(), trimmed(found.raw(place)));
        let before = *self.newest.get(&key)?;
        let leads_there = found.means_of(before).into_iter().any(|means| {
            matches!(means, Means::Pipe(command)
                if matches!(trees.leads(&command), Leads::Tree(name, _, _) if name == tree.name))
        });
        leads_there.then(|| before.to_vec())
    }
}

/// Writes the tree's own form, or removes an entry for which the tree has no address.
fn put_direct(
    trees: &Trees<'_>,
    parity: &Parity,
    verb: Verb,
    list: &ListName,
    place: Place,
    edits: &mut Edits<'_>,
) {
    let found = edits.found;
    let command = trees
        .of(parity, list)
        .and_then(|(tree, profile)| profile.direct_command(tree, verb, list));
    let n = found.destinations(place).iter().position(|means| {
        matches!(means, Means::Pipe(command) if matches!(trees.leads(command), Leads::Us(..)))
    });
    match (command, n) {
        (Some(command), Some(n)) => {
            edits.note(
                place,
                "no bytes of its own are recorded: the tree's form is written",
            );
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
