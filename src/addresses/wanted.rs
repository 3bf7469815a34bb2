//! Which addresses a list should have: those of its tree and those of the current tree.
//!
//! **Invariants.** No I/O; says what should be, never what is.

use std::collections::{BTreeSet, HashSet};

use super::pipe::Trees;
use crate::list::{ListName, Verb};
use crate::parity::Parity;
use crate::profiles::Profile;

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
///
/// `before` says which other list has a name that was not asked for here, and comes before the
/// one that wants it: of two lists that want one name, the first has it.
pub(super) fn wanted(
    trees: &Trees<'_>,
    parity: &Parity,
    living: &BTreeSet<ListName>,
    lists: &BTreeSet<ListName>,
    before: &dyn Fn(&ListName, &str) -> Option<ListName>,
) -> Vec<Wanted> {
    if lists.is_empty() {
        return Vec::new();
    }
    let postings: HashSet<&str> = living.iter().map(ListName::local_part).collect();
    let may_have =
        |list: &ListName, name: &str| name == list.local_part() || !postings.contains(name);
    let mut all: Vec<Wanted> = Vec::new();
    let mut taken: HashSet<String> = HashSet::new();
    for list in lists {
        let list = living.get(list).unwrap_or(list);
        let start = all.len();
        let its = [trees.of(parity, list), trees.current(parity)];
        for (_, profile) in its.into_iter().flatten() {
            for (name, verb) in profile.addresses(list) {
                if !may_have(list, &name) {
                    continue;
                }
                match all[start..].iter_mut().find(|row| row.name == name) {
                    Some(row) if row.verbs.contains(&verb) => {}
                    Some(row) => row.verbs.push(verb),
                    None if before(list, &name).is_some_and(|other| may_have(&other, &name)) => {}
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
    let has = |profile: &Profile| profile.verbs_of(list, name).next().is_some();
    let in_use = trees.in_use(parity).any(|(_, profile)| has(profile));
    !in_use && trees.all().any(|(_, profile)| has(profile))
}

/// Whether `name` is an address that the tree of `list` or the current one has for it.
pub(super) fn has(trees: &Trees<'_>, parity: &Parity, list: &ListName, name: &str) -> bool {
    let its = [trees.of(parity, list), trees.current(parity)];
    let mut its = its.into_iter().flatten();
    its.any(|(_, profile)| profile.verbs_of(list, name).next().is_some())
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
        .flat_map(|(_, profile)| profile.verbs_of(list, name))
        .find(|verb| verbs.contains(verb));
    addressed.or_else(|| verbs.first().copied())
}
