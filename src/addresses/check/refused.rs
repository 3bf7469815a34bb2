//! Entries that run our own program with words by which it delivers nothing.
//!
//! **Invariants.** Judges; changes nothing.

use std::collections::BTreeMap;

use super::group::{Group, spot};
use crate::addresses::found::Means;
use crate::addresses::leads::Leads;
use crate::addresses::refusal::Refusal;
use crate::addresses::typed::{quoted, typed};
use crate::addresses::view::View;
use crate::finding::{Kind, Mend, Severity, Spot};

/// Whatever their names are: nobody writes such a line on purpose.
pub(super) fn look(view: &View<'_>, groups: &mut BTreeMap<Group, Vec<Spot>>) {
    for place in view.unsettled() {
        for means in view.found.destinations(place) {
            let Means::Pipe(command) = means else {
                continue;
            };
            if let Leads::Refused(refusal) = view.trees.leads(&command) {
                let spot = spot(view, place, &view.found.folded(place));
                groups.entry(group(view, &refusal)).or_default().push(spot);
            }
        }
    }
}

fn group(view: &View<'_>, refusal: &Refusal) -> Group {
    let site = view.trees.site;
    let claim = typed(site, "sync --claim NAME");
    Group {
        kind: Kind::Refused,
        severity: Severity::Critical,
        what: format!("refused by mm-deliver: {refusal}"),
        effect: refusal.effect().to_owned(),
        mend: Mend::Do(match refusal {
            Refusal::NoSite(path, _) => format!(
                "for each: {claim}; or let them find it: ln -s {} {}",
                quoted(&site.path.to_string_lossy()),
                quoted(&path.to_string_lossy()),
            ),
            _ => {
                format!("for each that a list wants: {claim}; correct or remove any other by hand")
            }
        }),
    }
}
