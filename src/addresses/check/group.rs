//! One finding for many addresses of which the same is to be said, and where an entry stands.
//!
//! **Invariants.** Words and places only; judges nothing.

use crate::addresses::found::Place;
use crate::addresses::view::View;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};

/// What addresses that are one finding have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) severity: Severity,
    /// Follows "1 address" or "7 addresses".
    pub(super) what: String,
    pub(super) effect: String,
    pub(super) mend: Mend,
}

pub(super) fn finding(group: Group, spots: Vec<Spot>) -> Option<Finding> {
    let counted = match spots.len() {
        1 => "1 address".to_owned(),
        n => format!("{n} addresses"),
    };
    let mut spots = spots.into_iter();
    let first = spots.next()?;
    let what = format!("{counted} {}", group.what);
    let kind = (group.kind, group.severity);
    Some(Finding::new(kind, what, first, group.effect, group.mend).also(spots))
}

pub(super) fn spot(view: &View<'_>, place: Place, name: &str) -> Spot {
    Spot::line(view.found.path(place), view.found.line(place)).named(name)
}
