//! Entries that the MTA takes and delivers no mail by: what it does instead, and what to type.
//!
//! Such an entry has no destination that could be turned, or has one that is never reached: a
//! comment behind the pipe, which Exim and OpenSMTPD do not know, makes mail wait in the queue.
//!
//! **Invariants.** Changes nothing. Words that stand in such a line are looked at only to say what
//! it may have been meant to be; nothing is decided by them.

use std::collections::{BTreeSet, HashSet};

use aliases::Problem;

use super::compare::{Row, State};
use super::edits::Edits;
use super::found::{Found, Place};
use super::leads::Leads;
use super::pipe::Trees;
use super::typed::typed;
use super::view::View;
use crate::list::ListName;

/// Names the entries of `lists`, or of all, that cannot be turned because they deliver nothing.
pub(super) fn leave(view: &View<'_>, lists: Option<&BTreeSet<ListName>>, edits: &mut Edits<'_>) {
    let hindered: Vec<Place> = view.found.hindered().collect();
    if hindered.is_empty() {
        return;
    }
    let rows = match lists {
        Some(lists) => view.rows(lists),
        None => view.all_rows(|_| false),
    };
    let mut told = HashSet::new();
    for row in &rows {
        if let (State::Undeliverable(problem), Some(place)) = (&row.state, row.place) {
            told.insert(place);
            let why = self::told(&view.trees, view.found, row, place, problem);
            edits.leave_of(Some(row.wanted.list.clone()), place, &why);
        }
    }
    // Of lists that nothing but their direct entries tells of.
    for place in hindered {
        let Some((list, _)) = meant(&view.trees, view.found, place) else {
            continue;
        };
        let asked = lists.is_none_or(|lists| lists.contains(&list));
        if asked
            && !told.contains(&place)
            && let Some(problem) = view.found.hindrance(place)
        {
            let why = format!("{}: {}", problem.kind(), problem.effect());
            edits.leave_of(Some(list), place, &why);
        }
    }
}

/// What is wrong with the entry of a wanted address, what the MTA does, and what mends it.
pub(super) fn told(
    trees: &Trees<'_>,
    found: &Found,
    row: &Row,
    place: Place,
    problem: &Problem,
) -> String {
    let (what, effect) = (problem.kind(), problem.effect());
    format!("{what}: {effect}; {}", mend(trees, found, row, place))
}

/// What mends it: the line as it should stand, to be turned by `adopt` if it is a tree's.
pub(super) fn mend(trees: &Trees<'_>, found: &Found, row: &Row, place: Place) -> String {
    let name = &row.wanted.name;
    if let Some(command) = trees_command(trees, found, row, place) {
        let adopt = typed(trees.site, "adopt");
        return format!("let the line be {name}: \"|{command}\" and no more, then {adopt}");
    }
    let verb = row.wanted.verbs.first();
    let ours = verb.and_then(|&verb| trees.command(verb, &row.wanted.list).ok());
    match ours {
        Some(command) => format!("let the line be {name}: \"|{command}\", or what was meant"),
        None => "write what was meant".to_owned(),
    }
}

/// Whether the line was probably meant to pipe into a tree, for the list that wants the address.
pub(super) fn is_trees(trees: &Trees<'_>, found: &Found, row: &Row, place: Place) -> bool {
    trees_command(trees, found, row, place).is_some()
}

fn trees_command(trees: &Trees<'_>, found: &Found, row: &Row, place: Place) -> Option<String> {
    let (list, command) = meant(trees, found, place)?;
    (list == row.wanted.list).then_some(command)
}

/// The list and the command of the first pipe in quotes, if that is one of a tree.
fn meant(trees: &Trees<'_>, found: &Found, place: Place) -> Option<(ListName, String)> {
    let text = str::from_utf8(found.raw(place)).ok()?;
    // The bar may stand before the quote.
    let (head, behind) = text.split_once('|')?;
    let command = match behind.strip_prefix('"') {
        Some(command) => command,
        None => head.ends_with('"').then_some(behind)?,
    };
    let (command, _) = command.split_once('"')?;
    match trees.leads(command.as_bytes()) {
        Leads::Tree(_, _, list) => Some((list, command.to_owned())),
        _ => None,
    }
}
