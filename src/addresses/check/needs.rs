//! Trees whose list manager is not told by the MTA what it needs.
//!
//! **Invariants.** Judges by site.toml and profiles alone.

use crate::addresses::needs::{EFFECT, MEND, untold};
use crate::addresses::pipe::serves;
use crate::addresses::view::View;
use crate::finding::{Finding, Kind, Mend, Quoted, Severity};

pub(super) fn look(view: &View<'_>, findings: &mut Vec<Finding>) {
    let site = view.trees.site;
    for (tree, profile) in view.trees.all() {
        let Some(untold) = untold(site, tree, profile) else {
            continue;
        };
        let (severity, effect) = match serves(tree, view.parity) {
            true => (Severity::Critical, EFFECT),
            false => (Severity::Warning, "none is lost: no list could move there"),
        };
        findings.push(Finding::new(
            (Kind::Needs, severity),
            untold.to_string(),
            Quoted::read(&site.path).spot("sendmail"),
            effect,
            Mend::Do(MEND.to_owned()),
        ));
    }
}
