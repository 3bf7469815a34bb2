//! Lines `name@domain: …` by which Sendmail may take a list's mail straight into a tree.
//!
//! **Invariants.** Judges; changes nothing.

use std::collections::BTreeMap;

use super::group::Group;
use crate::addresses::qualified::past;
use crate::addresses::typed::typed;
use crate::addresses::view::View;
use crate::finding::{Kind, Mend, Severity, Spot};

pub(super) fn look(view: &View<'_>, groups: &mut BTreeMap<Group, Vec<Spot>>) {
    for past in past(view) {
        let (severity, effect) = match past.is_astray(view) {
            true => (
                Severity::Critical,
                format!(
                    "if that domain is Sendmail's own, it goes into tree {}, where its list is not",
                    past.tree
                ),
            ),
            false => (
                Severity::Warning,
                format!(
                    "if that domain is Sendmail's own, it goes into tree {} whatever mm-parity says: \
                     it will not follow a move",
                    past.tree
                ),
            ),
        };
        let group = Group {
            kind: Kind::Direct,
            severity,
            what: "with a domain in the name, straight into a tree, not to be turned".to_owned(),
            effect,
            mend: Mend::Do(format!(
                "write the name without the domain, or remove the line, then {}",
                typed(view.trees.site, "adopt")
            )),
        };
        groups.entry(group).or_default().push(past.spot(view));
    }
}
