//! Entries of ours by which Postfix delivers one message more than once while it waits.
//!
//! **Invariants.** Judges text. An entry that is one pipe and nothing else is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::addresses::found::Means;
use crate::addresses::leads::Leads;
use crate::addresses::repeated::{Beside, beside};
use crate::addresses::turning::ours;
use crate::addresses::view::View;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::list::Verb;

pub(super) fn look(view: &View<'_>, findings: &mut Vec<Finding>) {
    let (trees, found) = (&view.trees, view.found);
    let mut all: BTreeMap<(Verb, Beside), Vec<(String, Spot)>> = BTreeMap::new();
    let others = |place: &_| found.plain_pipe(*place).is_none();
    for place in view.unsettled().filter(others) {
        let Some((verb, _)) = ours(trees, found, place) else {
            continue;
        };
        let is_ours = |means: &Means| {
            matches!(means, Means::Pipe(command)
                if matches!(trees.leads(command), Leads::Us(..)))
        };
        let Some(n) = found.destinations(place).iter().position(is_ours) else {
            continue;
        };
        let name = found.folded(place);
        let others = beside(trees.site, found, place, n).into_iter();
        for beside in others.collect::<BTreeSet<Beside>>() {
            let spot = Spot::line(found.path(place), found.line(place)).named(&name);
            all.entry((verb, beside))
                .or_default()
                .push((name.clone(), spot));
        }
    }
    findings.extend(all.into_iter().filter_map(finding));
}

fn finding(((verb, beside), entries): ((Verb, Beside), Vec<(String, Spot)>)) -> Option<Finding> {
    let counted = match entries.len() {
        1 => "1 address goes".to_owned(),
        n => format!("{n} addresses go"),
    };
    let name = match &entries[..] {
        [(name, _)] => name.clone(),
        _ => "NAME".to_owned(),
    };
    let mut spots = entries.into_iter().map(|(_, spot)| spot);
    let what = format!("{counted} to mm-deliver and to {}", beside.shown());
    let mend = Mend::Do(beside.advice(&name, verb));
    let kind = (Kind::Repeated, Severity::Warning);
    Some(Finding::new(kind, what, spots.next()?, beside.effect(), mend).also(spots))
}
