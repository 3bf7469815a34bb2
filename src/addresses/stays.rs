//! Entries whose mail would stay where it is although their list moves.
//!
//! A move changes what mm-deliver does. An entry that does not lead to mm-deliver is not moved by
//! it: where that is the address that people post to, the list would be said to have moved, and
//! its posts would go into the old tree.
//!
//! **Invariants.** Judges entries, changes none. Of other files it only reads what an alias
//! includes.

use super::compare::{Row, State, Taken};
use super::edits::Edits;
use super::error::AddressError;
use super::found::{Means, Place};
use super::leads::Leads;
use super::qualified::{Past, past};
use super::view::View;
use super::why::Why;
use super::{include, source};

/// Refuses a move that the posts of a list would not follow; what stays of its other addresses
/// is reported.
///
/// # Errors
/// `Stays` with each posting address that is not to be turned.
pub(super) fn check(
    view: &View<'_>,
    rows: &[Row],
    edits: &mut Edits<'_>,
) -> Result<(), AddressError> {
    let mut posts = Vec::new();
    let mut lines = Vec::new();
    let qualified = past(view);
    for row in rows {
        let is_posting = row.wanted.name == row.wanted.list.local_part();
        if let Some(past) = Past::of(&qualified, row).filter(|_| is_posting)
            && past.is_astray(view)
        {
            posts.push(past.told(view));
            lines.extend(line(view, row));
        }
        if let Some((place, why)) = stays(view, row) {
            if is_posting {
                let shown = view.found.shown(place);
                posts.push(format!("{shown}: {}: {why}", row.wanted.name));
                lines.extend(line(view, row));
            } else if matches!(
                row.state,
                State::Taken(_) | State::Direct(Some(Why::Odd(..)))
            ) {
                // The others are reported by the look for what can be turned.
                edits.leave(place, &why);
            }
        }
        if let Some((place, why)) = included(view, row) {
            edits.leave(place, &why);
        }
    }
    // Where no address is wanted, every entry of the list may be the one that people post to.
    for (list, told) in &edits.left_of {
        if !rows.iter().any(|row| row.wanted.list == *list) {
            posts.push(told.clone());
        }
    }
    match posts.is_empty() {
        true => Ok(()),
        false => Err(AddressError::Stays(posts, lines)),
    }
}

/// Where mail for an address goes into a tree, or a place like one, past mm-deliver, and why
/// that is not turned. The first of several entries is the one that Postfix takes.
fn stays(view: &View<'_>, row: &Row) -> Option<(Place, String)> {
    let (place, why) = match &row.state {
        State::Double(places) => {
            let why = "the name stands more than once, and this entry, the first, pipes past \
                       mm-deliver";
            (*places.first()?, why.to_owned())
        }
        State::Direct(Some(why)) => {
            let why = format!("it pipes straight into a tree, and {why}");
            (row.place?, why)
        }
        State::Taken(taken @ Taken::Third(_)) => (row.place?, taken.to_string()),
        _ => return None,
    };
    let means = view.found.destinations(place);
    let mut commands = means.iter().filter_map(|means| match means {
        Means::Pipe(command) => Some(command),
        _ => None,
    });
    commands
        .any(|command| is_past_us(view, row, command))
        .then_some((place, why))
}

/// Whether a command takes the list's mail elsewhere than into the tree that it moves to.
fn is_past_us(view: &View<'_>, row: &Row, command: &[u8]) -> bool {
    let list = &row.wanted.list;
    match view.trees.leads(command) {
        Leads::Tree(tree, _, its) | Leads::Shell(tree, its) => {
            let goes = view.trees.of(view.parity, list);
            its == *list && goes.is_none_or(|(goes, _)| goes.name != tree)
        }
        Leads::Odd(tree, _) => {
            let goes = view.trees.of(view.parity, list);
            goes.is_none_or(|(goes, _)| goes.name != tree)
        }
        Leads::Third(_, its) => its == *list,
        _ => false,
    }
}

/// Programs of the list in a file that its entry includes.
///
/// NO PROGRAM FROM AN INCLUDE. Postfix bounces mail to such a pipe ("mail to command is
/// restricted"; allow_mail_to_commands = alias, forward), with or without a move. So it refuses
/// none: it is named here and in `check`.
fn included(view: &View<'_>, row: &Row) -> Option<(Place, String)> {
    let place = row.place?;
    for means in view.found.destinations(place) {
        let Means::Include(path) = &means else {
            continue;
        };
        let dialect = source::dialect(view.trees.site);
        let programs = include::programs(path, dialect).unwrap_or_default();
        let mut past = programs.iter();
        if let Some(program) = past.find(|program| is_past_us(view, row, &program.command)) {
            return Some((place, include::into_a_tree(view.trees.site, path, program)));
        }
    }
    None
}

/// The line that stands in the right place.
fn line(view: &View<'_>, row: &Row) -> Option<String> {
    let &verb = row.wanted.verbs.first()?;
    let command = view.trees.command(verb, &row.wanted.list).ok()?;
    Some(format!("{}: \"|{command}\"", row.wanted.name))
}
