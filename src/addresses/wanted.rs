//! Which addresses a list should have: those of its tree and those of the current tree.
//!
//! **Invariants.** No I/O; says what should be, never what is.

use std::collections::{BTreeSet, HashSet};

use super::pipe::Trees;
use crate::list::{ListName, Verb};
use crate::parity::Parity;

/// One address that a list should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The local part, lower case.
    pub(super) name: String,
    /// The list.
    pub(super) list: ListName,
    /// What the address may ask for; the first is what is written where it is missing.
    pub(super) verbs: Vec<Verb>,
}

/// The addresses of `lists`, list by list, each in its profile's order.
///
/// `living` are all lists that there are: a list whose posting address is another list's
/// sub-address wins it, and each is spelled as it is there.
pub(super) fn wanted(
    trees: &Trees<'_>,
    parity: &Parity,
    living: &BTreeSet<ListName>,
    lists: &BTreeSet<ListName>,
) -> Vec<Wanted> {
    let postings: HashSet<&str> = living.iter().map(ListName::local_part).collect();
    let mut all: Vec<Wanted> = Vec::new();
    let mut taken: HashSet<String> = HashSet::new();
    for list in lists {
        let list = living.get(list).unwrap_or(list);
        let start = all.len();
        let its = [trees.of(parity, list), trees.current(parity)];
        for (_, profile) in its.into_iter().flatten() {
            for (name, verb) in profile.addresses(list) {
                let is_posting = name == list.local_part();
                if !is_posting && postings.contains(name.as_str()) {
                    continue;
                }
                match all[start..].iter_mut().find(|row| row.name == name) {
                    Some(row) if row.verbs.contains(&verb) => {}
                    Some(row) => row.verbs.push(verb),
                    None if taken.insert(name.clone()) => all.push(Wanted {
                        name,
                        list: list.clone(),
                        verbs: vec![verb],
                    }),
                    None => {}
                }
            }
        }
    }
    all
}

/// Whether some tree has `name` as an address of `list`, but none of those in use.
pub(super) fn is_out_of_use(
    trees: &Trees<'_>,
    parity: &Parity,
    list: &ListName,
    name: &str,
) -> bool {
    let has = |rows: Vec<(String, Verb)>| rows.iter().any(|(address, _)| address == name);
    let anywhere = trees.all().any(|(_, profile)| has(profile.addresses(list)));
    anywhere
        && !trees
            .in_use(parity)
            .any(|(_, profile)| has(profile.addresses(list)))
}

/// The verb that a command of several meanings has in an alias of this name: the one whose
/// address it is, else the first.
pub(super) fn verb_for(
    trees: &Trees<'_>,
    list: &ListName,
    name: &str,
    verbs: &[Verb],
) -> Option<Verb> {
    let addressed = trees
        .all()
        .flat_map(|(_, profile)| profile.addresses(list))
        .find(|(address, verb)| address == name && verbs.contains(verb));
    addressed
        .map(|(_, verb)| verb)
        .or_else(|| verbs.first().copied())
}
