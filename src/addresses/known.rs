//! Which lists there are, as far as anything says so.
//!
//! **Invariants.** Changes nothing. An enumeration that failed or found nothing is kept as the
//! error that it is, never as "there are no lists".

use std::collections::BTreeSet;

use super::error::AddressError;
use super::found::Found;
use super::pipe::Trees;
use super::turning;
use crate::list::ListName;
use crate::parity::Parity;
use crate::profiles::{ProbeError, Profile};
use crate::site::{Site, SiteError};
use crate::tree::Tree;

/// The lists that anything knows.
#[derive(Debug)]
pub struct Known {
    /// All of them.
    pub lists: BTreeSet<ListName>,
    /// Those whose data the current tree has.
    pub enumerated: Result<BTreeSet<ListName>, ProbeError>,
    /// Those that entries of ours lead to.
    pub in_aliases: BTreeSet<ListName>,
}

/// What the current tree enumerates, the lists in entries of ours, and the names in
/// parity.toml.
///
/// # Errors
/// An alias file cannot be read.
pub fn known(site: &Site, parity: &Parity) -> Result<Known, AddressError> {
    let trees = Trees::open(site);
    let found = Found::read(site)?;
    check_current(&trees, parity)?;
    let enumerated = enumerated(&trees, parity, &found);
    let in_aliases = in_aliases(&trees, &found);
    Ok(Known {
        lists: all(&enumerated, &in_aliases, parity),
        enumerated,
        in_aliases,
    })
}

/// The lists that `tree` has: as its profile enumerates them, or where that says that only the
/// alias files do, those that they name.
///
/// # Errors
/// Its profile or an alias file cannot be read, or the enumeration failed or found nothing.
pub fn enumerate(site: &Site, tree: &Tree) -> Result<BTreeSet<ListName>, String> {
    let profile = Profile::of(site, tree).map_err(|error| error.to_string())?;
    let there = if profile.lists_are_in_aliases() {
        let found = Found::read(site).map_err(|error| error.to_string())?;
        named(&Trees::open(site), &found)
    } else {
        profile.enumerate(tree)
    };
    there.map_err(|error| error.to_string())
}

/// The lists that entries lead to: ours, and those that pipe straight into a tree.
fn named(trees: &Trees<'_>, found: &Found) -> Result<BTreeSet<ListName>, ProbeError> {
    let mut lists = turning::direct_lists(trees, found);
    lists.extend(in_aliases(trees, found));
    match lists.is_empty() {
        true => Err(ProbeError::InAliases),
        false => Ok(lists),
    }
}

/// The lists that anything knows.
pub(super) fn all(
    enumerated: &Result<BTreeSet<ListName>, ProbeError>,
    in_aliases: &BTreeSet<ListName>,
    parity: &Parity,
) -> BTreeSet<ListName> {
    // What is there first: its spelling is the one that the list manager knows.
    let mut lists: BTreeSet<ListName> = enumerated.iter().flatten().cloned().collect();
    lists.extend(in_aliases.iter().cloned());
    lists.extend(parity.names().into_iter().cloned());
    lists
}

/// # Errors
/// parity.toml names a current tree that the site has not.
pub(super) fn check_current(trees: &Trees<'_>, parity: &Parity) -> Result<(), SiteError> {
    let config = &trees.site.config;
    match config.tree(&parity.roles.current) {
        Some(_) => Ok(()),
        None => Err(SiteError::UnknownTree(
            config.parity_file(),
            parity.roles.current.clone(),
        )),
    }
}

/// The lists whose data the current tree has.
///
/// # Errors
/// They cannot be told, or there are none.
pub(super) fn enumerated(
    trees: &Trees<'_>,
    parity: &Parity,
    found: &Found,
) -> Result<BTreeSet<ListName>, ProbeError> {
    match trees.current(parity) {
        Some((_, profile)) if profile.lists_are_in_aliases() => named(trees, found),
        Some((tree, profile)) => profile.enumerate(tree),
        None => Err(ProbeError::NoProfile(parity.roles.current.clone())),
    }
}

/// The lists that entries of ours lead to.
pub(super) fn in_aliases(trees: &Trees<'_>, found: &Found) -> BTreeSet<ListName> {
    let mut lists = BTreeSet::new();
    // A list's entries mostly stand together: its name is judged once.
    let mut last: &[u8] = b"";
    for place in found.all() {
        let pipe = found.plain_pipe(place);
        let written = pipe.and_then(|command| trees.as_written(command));
        if written.is_some_and(|(_, name)| name == last) {
            continue;
        }
        last = written.map_or(b"", |(_, name)| name);
        lists.extend(turning::ours(trees, found, place).map(|(_, list)| list));
    }
    lists
}
