//! Lines `name@domain: …` that pipe straight into a tree, in the files of a Sendmail.
//!
//! Sendmail takes such a line for `name` where the domain is its own, and else skips it: mail may go
//! by it, past mm-deliver, though it is no entry.
//!
//! **Invariants.** Such a line is named, never changed: which domains are Sendmail's own it alone
//! knows.

use std::collections::BTreeSet;

use aliases::DestinationKind;

use super::compare::{Row, State};
use super::edits::Edits;
use super::leads::Leads;
use super::reserved::Holder;
use super::typed::typed;
use super::view::View;
use crate::finding::Spot;
use crate::list::ListName;

/// Such a line.
#[derive(Debug)]
pub(super) struct Past {
    /// The name without its domain.
    pub(super) name: String,
    /// The list whose mail it takes, and the tree where that goes.
    pub(super) list: ListName,
    pub(super) tree: String,
    /// The number of its file in `Found`, and its line there, from 1.
    file: usize,
    line: usize,
}

/// All of them, in order.
pub(super) fn past(view: &View<'_>) -> Vec<Past> {
    let mut all = Vec::new();
    for (file, found) in view.found.files.iter().enumerate() {
        for line in found.document.qualified() {
            let into = line.destinations.iter().find_map(|means| match means {
                DestinationKind::Pipe(command) => match view.trees.leads(command) {
                    Leads::Tree(tree, _, list) | Leads::Shell(tree, list) => Some((tree, list)),
                    _ => None,
                },
                _ => None,
            });
            all.extend(into.map(|(tree, list)| Past {
                name: String::from_utf8_lossy(&line.name).into_owned(),
                list,
                tree,
                file,
                line: line.line,
            }));
        }
    }
    all
}

impl Past {
    /// The line of a wanted address that has no entry, if it is one of these.
    pub(super) fn of<'p>(all: &'p [Past], row: &Row) -> Option<&'p Past> {
        let is_held = row.state == State::Missing(Some(Holder::Domain));
        let mut its = all.iter().filter(|_| is_held);
        its.find(|past| past.name == row.wanted.name && past.list == row.wanted.list)
    }

    /// Whether its list is, or goes, to another tree.
    pub(super) fn is_astray(&self, view: &View<'_>) -> bool {
        let goes = view.trees.of(view.parity, &self.list);
        goes.is_none_or(|(tree, _)| tree.name != self.tree)
    }

    pub(super) fn spot(&self, view: &View<'_>) -> Spot {
        Spot::line(&view.found.files[self.file].path, self.line).named(&self.name)
    }

    /// Where it stands, what is wrong with it, and what to type.
    pub(super) fn told(&self, view: &View<'_>) -> String {
        let adopt = typed(view.trees.site, "adopt");
        format!(
            "{}, line {}: {}: its name has a domain: if that is Sendmail's own, the mail goes straight \
             into tree {}, and else Sendmail skips the line; write the name without the domain, or \
             remove the line, then {adopt}",
            view.found.files[self.file].path.display(),
            self.line,
            self.name.escape_debug(),
            self.tree
        )
    }
}

/// Names those of `lists`, or of all.
pub(super) fn leave(view: &View<'_>, lists: Option<&BTreeSet<ListName>>, edits: &mut Edits<'_>) {
    for past in past(view) {
        if lists.is_none_or(|lists| lists.contains(&past.list)) {
            let told = past.told(view);
            edits.leave_line(past.list, told);
        }
    }
}
