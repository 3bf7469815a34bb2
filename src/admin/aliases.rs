//! The one door from the admin's acts to the alias entries (`addresses`).
//!
//! **Invariants.** Decides nothing about parity; no alias grammar.

use std::collections::{BTreeMap, BTreeSet};

pub use crate::addresses::{
    AddressError, Applied, Depth, Known, Plan, check_all_read, known, plan_commit, plan_move,
    plan_revert,
};

use crate::addresses;
use crate::admin::outcome::Refused;
use crate::finding::Finding;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::Site;

/// What is known of the lists though something that would say more is broken.
#[derive(Debug)]
pub struct AtLeast {
    /// Every list that anything names.
    pub lists: BTreeSet<ListName>,
    /// Whether these are all: why the current tree does not say which there are.
    pub enumerated: Result<(), String>,
}

/// As [`known`], for what is never refused: a broken profile or alias file hides only what
/// it would have said.
pub fn known_at_least(site: &Site, parity: &Parity) -> AtLeast {
    if let Ok(known) = known(site, parity) {
        return AtLeast {
            lists: known.lists,
            enumerated: known
                .enumerated
                .map(drop)
                .map_err(|error| error.to_string()),
        };
    }
    let mut lists: BTreeSet<ListName> = parity.names().into_iter().cloned().collect();
    let enumerated = enumerate(site, &parity.roles.current);
    lists.extend(enumerated.iter().flatten().cloned());
    AtLeast {
        lists,
        enumerated: enumerated.map(drop),
    }
}

/// The lists whose data the tree of this name has.
///
/// # Errors
/// Its profile cannot be used, or the enumeration failed or found nothing.
pub fn enumerate(site: &Site, tree: &str) -> Result<BTreeSet<ListName>, String> {
    let tree = site
        .config
        .tree(tree)
        .ok_or_else(|| format!("site.toml has no tree {tree:?}"))?;
    addresses::enumerate(site, tree)
}

/// A refusal of `act` because of the aliases.
pub fn refusal(act: &'static str, error: &AddressError) -> Refused {
    Refused {
        act,
        reasons: vec![error.to_string()],
        hints: error.hints(),
        status: error.status(),
    }
}

/// What a plan does, a line each for the first ten changes, and what it leaves as it is.
pub fn lines(plan: &Plan<'_>) -> Vec<String> {
    const MOST: usize = 10;
    let first = plan.lines().take(MOST);
    let mut lines: Vec<String> = first.map(|line| format!("aliases: {line}")).collect();
    let more = plan.told().saturating_sub(MOST);
    if more > 0 {
        lines.push(format!("aliases: and {more} more"));
    }
    lines.extend(left(plan));
    lines
}

/// What a plan would do, as a diff, and what it would leave as it is.
pub fn shown(plan: &Plan<'_>) -> String {
    let mut text = plan.diff();
    for line in left(plan) {
        text += &line;
        text.push('\n');
    }
    text
}

/// What came up while a plan was carried out.
pub fn notes(applied: &Applied<'_>) -> Vec<String> {
    let notes = applied.notes().iter();
    notes.map(|note| format!("aliases: {note}")).collect()
}

fn left(plan: &Plan<'_>) -> impl Iterator<Item = String> {
    plan.left()
        .iter()
        .map(|line| format!("aliases: left: {line}"))
}

/// One word for the entries of each list; none where they cannot be read.
pub fn states(
    site: &Site,
    parity: &Parity,
    lists: &BTreeSet<ListName>,
) -> BTreeMap<ListName, &'static str> {
    addresses::states(site, parity, lists).unwrap_or_default()
}

/// Those of `lists` of which an address pipes straight into a tree.
///
/// # Errors
/// The alias files or a profile cannot be read.
pub fn direct(
    site: &Site,
    parity: &Parity,
    lists: &BTreeSet<ListName>,
) -> Result<Vec<ListName>, AddressError> {
    let states = addresses::states(site, parity, lists)?.into_iter();
    Ok(states
        .filter(|&(_, state)| state == "direct")
        .map(|(list, _)| list)
        .collect())
}

/// What `check` has to say about the entries, the lists and the MTA's database; and the lists
/// that anything knows, where that can be told.
pub fn survey(site: &Site, parity: &Parity, depth: Depth) -> (Vec<Finding>, Option<Known>) {
    match addresses::survey(site, parity, depth) {
        Ok((findings, known)) => (findings, Some(known)),
        Err(error) => (vec![addresses::unreadable(&error, site)], None),
    }
}
