//! Maps that Postfix asks before the alias files of site.toml, and what they take from our lists.
//!
//! **Invariants.** Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::addresses::earlier::{self, Earlier, Has};
use crate::addresses::found::Means;
use crate::addresses::leads::Leads;
use crate::addresses::view::View;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};

pub(super) fn look(view: &View<'_>, findings: &mut Vec<Finding>) {
    let maps = earlier::maps(view.trees.site, view.found, || names(view));
    findings.extend(maps.iter().map(|earlier| finding(view, earlier)));
}

/// The names of entries that lead to us or into a tree, by the first file that has them.
fn names(view: &View<'_>) -> BTreeMap<usize, BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    let mut names: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let is_lists = |means: &Means| {
        matches!(means, Means::Pipe(command)
            if !matches!(view.trees.leads(command), Leads::Elsewhere))
    };
    for place in view.found.all() {
        let name = view.found.folded(place);
        if view.found.destinations(place).iter().any(is_lists) && seen.insert(name.clone()) {
            names.entry(place.file).or_default().insert(name);
        }
    }
    names
}

fn finding(view: &View<'_>, earlier: &Earlier) -> Finding {
    let path = &view.found.files[earlier.before].path;
    let told = earlier.told(view.found);
    let first = format!(
        "let {} stand before it in alias_maps, then postfix reload",
        path.display()
    );
    let (kind, what, effect, mend) = match &earlier.has {
        Has::Names(names) => (
            (Kind::Taken, Severity::Warning),
            match names.len() {
                1 => format!("1 address is taken by {told}"),
                n => format!("{n} addresses are taken by {told}"),
            },
            "it goes where that map says, and follows no move: Postfix takes the first map that \
             has a name",
            format!("take these names out of that map, or {first}"),
        ),
        Has::Unasked => (
            (Kind::Aliases, Severity::Warning),
            told,
            "if it has the name of a list, that list's mail goes where it says, and follows no move",
            first,
        ),
        Has::Failed(_) => (
            (Kind::Aliases, Severity::Unknown),
            told,
            "if Postfix cannot read it either, mail to every alias waits (alias database unavailable)",
            format!("mend that map, or take it out of alias_maps; or {first}"),
        ),
    };
    let spots = spots(view, earlier);
    let mut spots = spots.into_iter();
    let place = spots.next().unwrap_or_else(|| Spot::file(path));
    Finding::new(kind, what, place, effect, Mend::Do(mend)).also(spots)
}

/// The entries of ours that are not reached.
fn spots(view: &View<'_>, earlier: &Earlier) -> Vec<Spot> {
    let Has::Names(names) = &earlier.has else {
        return Vec::new();
    };
    let spot = |astray: &aliases::Astray| {
        let name = String::from_utf8_lossy(&astray.expected.name).to_ascii_lowercase();
        let place = *view.found.places(&name).first()?;
        let (path, line) = (view.found.path(place), view.found.line(place));
        Some(Spot::line(path, line).named(&name))
    };
    names.iter().filter_map(spot).collect()
}
