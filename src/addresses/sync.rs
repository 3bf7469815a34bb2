//! Adding the addresses that lists lack, and removing what no list has any more.
//!
//! A missing address comes after the last entry of its list, in the profile's order; at the
//! end of the first file if the list has none. A name that is a local user's, or that every
//! host has, is not added unless it is claimed.
//!
//! **Invariants.** Decides; writes nothing. What is taken, direct or double is reported and
//! never touched.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::compare::{Row, Stale, State};
use super::edits::{Change, Edits};
use super::found::{Found, Means, Place};
use super::hindered;
use super::pipe::Trees;
use super::refusal::is_meant_for_us;
use super::turning::ours;
use super::typed::typed;
use crate::list::ListName;

/// Adds what is missing of `rows`; `claimed` names are taken whoever has them.
pub(super) fn add_missing(
    trees: &Trees<'_>,
    rows: &[Row],
    claimed: &BTreeSet<String>,
    edits: &mut Edits<'_>,
) {
    let last = last_entries(trees, edits.found, rows);
    for row in rows {
        let State::Missing(holder) = &row.state else {
            continue;
        };
        let name = &row.wanted.name;
        if let Some(holder) = holder
            && !claimed.contains(name)
        {
            edits.left.push(format!(
                "{name}: wanted by list {}, and not added: {holder} (--claim {name} takes it)",
                row.wanted.list
            ));
            continue;
        }
        // A profile has at least one verb for each address.
        let Some(&verb) = row.wanted.verbs.first() else {
            continue;
        };
        match trees.command(verb, &row.wanted.list) {
            Ok(command) => edits.push(Change::Add {
                name,
                command: &command,
                after: last.get(&row.wanted.list).copied(),
            }),
            Err(why) => edits.left.push(format!("{name}: cannot be added: {why}")),
        }
    }
}

/// Turns entries of ours for another verb or list to what their names say: where the name is
/// claimed, or the entry is `stale`. What is turned is taken out of `rows` and `stale`.
///
/// What is somebody else's entry is his, claimed or not.
pub(super) fn hand_on(
    trees: &Trees<'_>,
    rows: &mut Vec<Row>,
    stale: &mut Vec<Stale>,
    claimed: &BTreeSet<String>,
    edits: &mut Edits<'_>,
) {
    let free: HashSet<Place> = stale.iter().map(|one| one.place).collect();
    let mut turned = HashSet::new();
    for row in rows.iter() {
        let Some(place) = row.place.filter(|_| row.state.can_be_claimed()) else {
            continue;
        };
        if (claimed.contains(&row.wanted.name) || free.contains(&place))
            && turn(trees, row, place, edits)
        {
            turned.insert(place);
        }
    }
    rows.retain(|row| row.place.is_none_or(|place| !turned.contains(&place)));
    stale.retain(|one| !turned.contains(&one.place));
}

/// Turns the first destination that leads to us; whether it could be.
fn turn(trees: &Trees<'_>, row: &Row, place: Place, edits: &mut Edits<'_>) -> bool {
    let is_ours = |means: &Means| match means {
        Means::Pipe(command) => is_meant_for_us(&trees.leads(command)),
        _ => false,
    };
    let n = edits.found.destinations(place).iter().position(is_ours);
    let (Some(n), Some(&verb)) = (n, row.wanted.verbs.first()) else {
        return false;
    };
    match trees.command(verb, &row.wanted.list) {
        Ok(command) => edits.push(Change::Pipe {
            place,
            n,
            command: &command,
        }),
        Err(why) => {
            edits.leave(place, &why);
            return false;
        }
    }
    true
}

/// The last entry of each list that lacks something.
pub(super) fn last_entries(
    trees: &Trees<'_>,
    found: &Found,
    rows: &[Row],
) -> BTreeMap<ListName, Place> {
    let mut last: BTreeMap<ListName, Place> = BTreeMap::new();
    for row in rows {
        if let Some(place) = row.place {
            let at = last.entry(row.wanted.list.clone()).or_insert(place);
            *at = place.max(*at);
        }
    }
    let lacking: BTreeSet<&ListName> = rows
        .iter()
        .filter(|row| matches!(row.state, State::Missing(_)))
        .map(|row| &row.wanted.list)
        .collect();
    if lacking.is_empty() {
        return last;
    }
    for place in found.all() {
        if let Some((_, list)) = ours(trees, found, place)
            && lacking.contains(&list)
        {
            let at = last.entry(list).or_insert(place);
            *at = place.max(*at);
        }
    }
    last
}

/// Removes entries of ours that should not be there.
pub(super) fn remove_stale(stale: &[Stale], edits: &mut Edits<'_>) {
    for stale in stale {
        if edits.found.destinations(stale.place).len() == 1 {
            edits.note(stale.place, &stale.why.to_string());
            edits.push(Change::Remove { place: stale.place });
        } else {
            edits.leave(
                stale.place,
                &format!("{}, and others are served by it", stale.why),
            );
        }
    }
}

/// Says what stands in the way and is left alone.
pub(super) fn report(trees: &Trees<'_>, rows: &[Row], stale: &[Stale], edits: &mut Edits<'_>) {
    let site = trees.site;
    for row in rows {
        match (&row.state, row.place) {
            (State::Taken(taken), Some(place)) if row.state.can_be_claimed() => edits.leave(
                place,
                &format!(
                    "{taken} ({} turns it)",
                    typed(site, &format!("sync --claim {}", row.wanted.name))
                ),
            ),
            (State::Taken(taken), Some(place)) => edits.leave(place, taken),
            (State::Direct(None), Some(place)) => edits.leave(
                place,
                &format!(
                    "it pipes straight into a tree ({} turns it)",
                    typed(site, "adopt")
                ),
            ),
            (State::Direct(Some(why)), Some(place)) => {
                edits.leave(place, &format!("it pipes straight into a tree, and {why}"));
            }
            (State::Undeliverable(problem), Some(place)) => {
                edits.leave(
                    place,
                    &hindered::told(trees, edits.found, row, place, problem),
                );
            }
            (State::Double(places), _) => {
                let all: Vec<String> = places.iter().map(|&p| edits.found.shown(p)).collect();
                edits.left.push(format!(
                    "{}: the name stands more than once, and MTAs differ in who wins: {}",
                    row.wanted.name,
                    all.join(", ")
                ));
            }
            _ => {}
        }
    }
    for stale in stale {
        edits.leave(
            stale.place,
            &format!("{} (sync --remove removes it)", stale.why),
        );
    }
}

/// Says of each claim that claims nothing why it does not.
pub(super) fn idle_claims(rows: &[Row], claimed: &BTreeSet<String>, edits: &mut Edits<'_>) {
    for name in claimed {
        match rows.iter().find(|row| row.wanted.name == *name) {
            None => {
                let name = name.escape_debug();
                edits
                    .left
                    .push(format!("--claim {name}: no list wants this name"));
            }
            Some(row) => {
                if let Some(place) = row.place
                    && !row.state.can_be_claimed()
                {
                    let shown = edits.found.shown(place);
                    edits.left.push(format!(
                        "--claim {name}: {shown} has this name, and an entry that stands is not taken"
                    ));
                }
            }
        }
    }
}
