//! Entries whose destinations stand in a file that they include.
//!
//! NO PROGRAM FROM AN INCLUDE. Postfix bounces mail to such a pipe ("mail to command is
//! restricted"; allow_mail_to_commands = alias, forward), wherever it leads: into a tree, or to
//! mm-deliver.
//!
//! **Invariants.** Reads the files that entries include, and writes none.

use std::collections::BTreeMap;

use super::group::{Group, spot};
use crate::addresses::compare::Row;
use crate::addresses::found::{Means, Place};
use crate::addresses::leads::Leads;
use crate::addresses::typed::typed;
use crate::addresses::view::View;
use crate::addresses::{include, source};
use crate::config::Mta;
use crate::finding::{Kind, Mend, Severity, Spot};

/// What is not well with the files that an entry includes; one that cannot be read matters
/// where the entry is a list's address, of which `row` tells. Returns whether something is not.
pub(super) fn look(
    view: &View<'_>,
    place: Place,
    row: Option<&Row>,
    groups: &mut BTreeMap<Group, Vec<Spot>>,
) -> bool {
    if !view.found.may_include(Some(place)) {
        return false;
    }
    let mut any = false;
    let dialect = source::dialect(view.trees.site);
    for means in view.found.destinations(place) {
        let Means::Include(path) = means else {
            continue;
        };
        let group = match include::programs(&path, dialect) {
            Ok(programs) => programs
                .iter()
                .find(|program| is_a_lists(view, &program.command))
                .map(|program| bounces(view, &path, program)),
            Err(error) => row.map(|_| unread(view, &path, &error)),
        };
        if let Some(group) = group {
            any = true;
            let name = view.found.folded(place);
            groups
                .entry(group)
                .or_default()
                .push(spot(view, place, &name));
        }
    }
    any
}

fn is_a_lists(view: &View<'_>, command: &[u8]) -> bool {
    !matches!(view.trees.leads(command), Leads::Elsewhere)
}

fn bounces(view: &View<'_>, path: &[u8], program: &include::Program) -> Group {
    let site = view.trees.site;
    let (severity, effect) = match site.config.mta {
        Mta::Postfix => (
            Severity::Critical,
            "it bounces: Postfix runs no program from such a file",
        ),
        Mta::Sendmail | Mta::Exim | Mta::OpenSmtpd | Mta::None => (
            Severity::Warning,
            "the MTA may refuse to run it from there; and what stands in such a file is never \
             turned, and follows no move",
        ),
    };
    Group {
        kind: Kind::Included,
        severity,
        what: format!(
            "to be looked at: {}",
            include::into_a_tree(site, path, program)
        ),
        effect: effect.to_owned(),
        mend: Mend::Do(format!(
            "write the program into the alias itself, then {}",
            typed(site, "adopt")
        )),
    }
}

fn unread(view: &View<'_>, path: &[u8], error: &std::io::Error) -> Group {
    Group {
        kind: Kind::Included,
        severity: Severity::Warning,
        what: format!(
            "to be looked at: it includes {:?}, which cannot be read: {error}",
            String::from_utf8_lossy(path)
        ),
        effect: "the MTA may defer it, or leave out whoever is named there".to_owned(),
        mend: Mend::Do(format!(
            "put that file back, or remove the line, then {}",
            typed(view.trees.site, "sync")
        )),
    }
}
