//! Wanted addresses that stand in the text, and by whose entry the MTA delivers no mail.
//!
//! **Invariants.** Tells what the crate `aliases` read; judges nothing itself. What is wrong alike
//! in many lines is one finding with many places.

use std::collections::BTreeMap;

use aliases::Problem;

use super::group::spot;
use crate::addresses::compare::Row;
use crate::addresses::found::Place;
use crate::addresses::hindered;
use crate::addresses::view::View;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};

/// Such addresses by what is wrong, what happens to mail, and whether a tree's program stands in
/// the line; with what mends the first of them.
#[derive(Debug, Default)]
pub(super) struct Undeliverable {
    alike: BTreeMap<(String, String, bool), (String, Vec<Spot>)>,
}

impl Undeliverable {
    pub(super) fn add(&mut self, view: &View<'_>, row: &Row, place: Place, problem: &Problem) {
        let is_trees = hindered::is_trees(&view.trees, view.found, row, place);
        let (what, effect) = (problem.kind().to_string(), problem.effect().to_string());
        let alike = (what, effect, is_trees);
        let (_, spots) = self.alike.entry(alike).or_insert_with(|| {
            (
                hindered::mend(&view.trees, view.found, row, place),
                Vec::new(),
            )
        });
        spots.push(spot(view, place, &row.wanted.name));
    }

    pub(super) fn tell(self, findings: &mut Vec<Finding>) {
        for ((what, effect, _), (mend, spots)) in self.alike {
            let (counted, mend) = match spots.len() {
                1 => ("1 address".to_owned(), mend),
                n => (format!("{n} addresses"), format!("{mend}; so each of them")),
            };
            let mut spots = spots.into_iter();
            let Some(first) = spots.next() else { continue };
            let what = format!("{counted} by whose line the MTA delivers no mail: {what}");
            let kind = (Kind::Undeliverable, Severity::Critical);
            findings.push(Finding::new(kind, what, first, effect, Mend::Do(mend)).also(spots));
        }
    }
}
