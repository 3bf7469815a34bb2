//! What an entry is to us: ours, one that pipes straight into a tree and can be turned to
//! mm-deliver, one that cannot, or nothing.
//!
//! **Invariants.** Judges entries, changes none.

use std::collections::BTreeSet;

use super::found::{Found, Means, Place};
use super::leads::Leads;
use super::pipe::Trees;
use super::repeated::{self, Beside};
use super::wanted::verb_for;
use super::why::Why;
use crate::list::{ListName, Verb};

/// What is to become of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turning {
    /// It pipes into no list manager.
    No,
    /// Its destination `n` is to lead to us, by this command.
    Turn {
        n: usize,
        verb: Verb,
        list: ListName,
        command: String,
    },
    /// It pipes into a list manager and cannot be turned; the list, where that can be told.
    Left { list: Option<ListName>, why: Why },
}

/// What adopting makes of the entry at `place`.
pub(super) fn turning(trees: &Trees<'_>, found: &Found, place: Place) -> Turning {
    if let Some(command) = found.plain_pipe(place) {
        return turning_of(trees, found, place, &[(0, command)]);
    }
    let destinations = found.destinations(place);
    let commands = destinations.iter().enumerate();
    let commands = commands.filter_map(|(n, means)| match means {
        Means::Pipe(command) => Some((n, command.as_slice())),
        _ => None,
    });
    let commands: Vec<(usize, &[u8])> = commands.collect();
    turning_of(trees, found, place, &commands)
}

/// The same, of an entry that runs these commands, each with the number of its destination.
fn turning_of(
    trees: &Trees<'_>,
    found: &Found,
    place: Place,
    commands: &[(usize, &[u8])],
) -> Turning {
    let mut commands_of_trees = commands
        .iter()
        .filter_map(|&(n, command)| Some((n, command, one_pipe(trees, found, place, command)?)));
    let Some((n, command, judged)) = commands_of_trees.next() else {
        return Turning::No;
    };
    let entry_is = match &judged {
        Err((_, Why::Third(_))) => None,
        _ if commands.len() > 1 => Some(Why::SecondProgram),
        _ => found.is_double(place).then_some(Why::Double),
    };
    let (list, why) = match (judged, entry_is) {
        (Ok((verb, list)), None) => match can_be_ours(trees, command, verb, &list) {
            Ok(command) => match program_behind(trees, found, place, n) {
                Some(name) => (Some(list), Why::Behind(name)),
                None => {
                    return Turning::Turn {
                        n,
                        verb,
                        list,
                        command,
                    };
                }
            },
            Err(why) => (Some(list), why),
        },
        (Ok((_, list)), Some(why)) => (Some(list), why),
        (Err((list, why)), entry_is) => (list, entry_is.unwrap_or(why)),
    };
    Turning::Left { list, why }
}

/// The name in an entry by which Postfix would run a second program.
fn program_behind(trees: &Trees<'_>, found: &Found, place: Place, n: usize) -> Option<String> {
    let beside = repeated::beside(trees.site, found, place, n);
    beside.into_iter().find_map(|beside| match beside {
        Beside::Program(name) => Some(name),
        // Programs of the entry itself were counted before.
        Beside::Pipe(_) | Beside::Name(_) | Beside::File(_) => None,
    })
}

/// What one command of an entry would be with us, or why it cannot be, with its list where that
/// can be told.
type Judged = Result<(Verb, ListName), (Option<ListName>, Why)>;

/// `None`: it has nothing to do with a list manager that we know.
fn one_pipe(trees: &Trees<'_>, found: &Found, place: Place, command: &[u8]) -> Option<Judged> {
    Some(match trees.leads(command) {
        Leads::Tree(_, verbs, list) => {
            let verb = verb_for(trees, &list, &found.name(place), &verbs)?;
            Ok((verb, list))
        }
        Leads::Shell(_, list) => Err((Some(list), Why::Shell)),
        Leads::Odd(tree, odd) => Err((None, Why::Odd(tree, odd))),
        Leads::Third(root, list) => Err((Some(list), Why::Third(root))),
        Leads::Us(..) | Leads::Refused(_) | Leads::OtherSite(_) | Leads::Elsewhere => return None,
    })
}

/// The command of ours that the MTA would run in the place of this one.
fn can_be_ours(
    trees: &Trees<'_>,
    command: &[u8],
    verb: Verb,
    list: &ListName,
) -> Result<String, Why> {
    let ours = trees.command(verb, list).map_err(Why::Unwritable)?;
    match trees.smrsh_link(command) {
        Some(link) if !trees.places.same(&link, &trees.site.config.program) => {
            Err(Why::Smrsh(link))
        }
        _ => Ok(ours),
    }
}

/// The lists that some entry pipes straight into a tree for.
pub(super) fn direct_lists(trees: &Trees<'_>, found: &Found) -> BTreeSet<ListName> {
    let list = |place| turning(trees, found, place).list();
    found.all().filter_map(list).collect()
}

/// Those of `lists` that some entry is for, whether it pipes straight into a tree or to us.
pub(super) fn lists_of(
    trees: &Trees<'_>,
    found: &Found,
    lists: &BTreeSet<ListName>,
) -> BTreeSet<ListName> {
    let list = |place| match turning(trees, found, place) {
        Turning::No => Some(ours(trees, found, place)?.1),
        turning => turning.list(),
    };
    let its = found.about(Some(lists)).filter_map(list);
    its.filter(|list| lists.contains(list)).collect()
}

impl Turning {
    /// The list whose entry pipes straight into one of our trees.
    fn list(self) -> Option<ListName> {
        match self {
            Turning::Turn { list, .. } => Some(list),
            Turning::Left {
                why: Why::Third(_), ..
            }
            | Turning::No => None,
            Turning::Left { list, .. } => list,
        }
    }
}

/// The verb and the list of an entry of ours: of its first destination that leads to us.
pub(super) fn ours(trees: &Trees<'_>, found: &Found, place: Place) -> Option<(Verb, ListName)> {
    let us = |command: &[u8]| match trees.leads(command) {
        Leads::Us(verb, list) => Some((verb, list)),
        _ => None,
    };
    if let Some(command) = found.plain_pipe(place) {
        return us(command);
    }
    let destinations = found.destinations(place);
    destinations.iter().find_map(|means| match means {
        Means::Pipe(command) => us(command),
        _ => None,
    })
}
