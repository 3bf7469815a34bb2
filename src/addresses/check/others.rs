//! The entries beside the wanted addresses that pipe into a tree of this site: no row of
//! `compare` is about them, and no move turns most of them.
//!
//! **Invariants.** Judges; changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, spot};
use super::includes;
use crate::addresses::compare::{Row, State};
use crate::addresses::found::Place;
use crate::addresses::leads::Odd;
use crate::addresses::past;
use crate::addresses::turning::{Turning, turning};
use crate::addresses::typed::typed;
use crate::addresses::view::View;
use crate::finding::{Kind, Mend, Severity, Spot};
use crate::list::ListName;

/// Entries that pipe into a tree of this site under a name that is no list's, or for something
/// that is no list of ours.
pub(super) fn look(view: &View<'_>, rows: &[Row], groups: &mut BTreeMap<Group, Vec<Spot>>) {
    let judged: BTreeSet<Place> = rows.iter().flat_map(judged).collect();
    let wanted: BTreeSet<Place> = rows.iter().filter_map(|row| row.place).collect();
    let living = view.living();
    let is_list = |list: &ListName| living.contains(list);
    for place in view.unsettled() {
        if view.found.may_include(Some(place)) && !wanted.contains(&place) {
            includes::look(view, place, None, groups);
        }
        let Some(into) = past::into_tree(&view.trees, view.found, place, &is_list) else {
            continue;
        };
        if judged.contains(&place) {
            continue;
        }
        if let Some(group) = judge_other(view, &into, place, &living) {
            let name = view.found.folded(place);
            groups
                .entry(group)
                .or_default()
                .push(spot(view, place, &name));
        }
    }
}

/// The entries of a row that say already that they pipe into a tree.
fn judged(row: &Row) -> Vec<Place> {
    match &row.state {
        State::Double(places) => places.clone(),
        State::Direct(_) | State::Undeliverable(_) => row.place.into_iter().collect(),
        State::Ok | State::Taken(_) | State::Missing(_) => Vec::new(),
    }
}

fn judge_other(
    view: &View<'_>,
    into: &past::Into,
    place: Place,
    living: &BTreeSet<ListName>,
) -> Option<Group> {
    let astray = into.astray(view);
    // It is where it must be, and there is no better line.
    if astray.is_none() && matches!(into.odd, Some(Odd::SiteWide(_))) {
        return None;
    }
    let what = match &into.odd {
        Some(odd) => format!("straight into tree {}: {odd}", into.tree),
        None => format!("of no list's own, straight into tree {}", into.tree),
    };
    let turns = matches!(turning(&view.trees, view.found, place), Turning::Turn { list, .. }
        if living.contains(&list));
    Some(Group {
        kind: Kind::Direct,
        severity: match astray {
            Some(_) => Severity::Critical,
            None => Severity::Warning,
        },
        what,
        effect: astray.unwrap_or_else(|| {
            "it goes into that tree whatever mm-parity says: it will not follow a move".to_owned()
        }),
        mend: match turns {
            true => Mend::Type(typed(view.trees.site, "adopt")),
            false => Mend::Do(into.by_hand(view, place)),
        },
    })
}
