//! What the history tells of some lists: which changes concern them, and how each came to its tree.
//!
//! **Invariants.** Text in, text out: reads no file. What the history does not tell is not guessed.

use std::collections::BTreeSet;

use crate::list::ListName;
use crate::site::Site;
use crate::store::Entry;

/// How a list came to the tree that it is on.
#[derive(Debug)]
pub struct Way<'e> {
    /// The change by which it came there; for a list that nobody moved, the one since which that
    /// tree is there for it. `None` if the history does not tell.
    pub came: Option<&'e Entry>,
    /// Whether that change moved the list itself.
    pub is_moved: bool,
    /// The commit, or the revert of one, that gave the tree its part.
    pub swap: Option<&'e Entry>,
}

/// Whether a name in the history is one of these lists.
fn are(
    site: &Site,
    names: impl IntoIterator<Item = impl AsRef<str>>,
    lists: &BTreeSet<ListName>,
) -> bool {
    let mut names = names.into_iter();
    names.any(|name| {
        site.list(name.as_ref())
            .is_ok_and(|list| lists.contains(&list))
    })
}

/// The names in either side of a change.
pub fn names(entry: &Entry) -> impl Iterator<Item = &str> {
    let sides = [&entry.before, &entry.after];
    sides.into_iter().flat_map(|delta| {
        let rows = delta.on_future.iter().chain(&delta.pinned);
        rows.chain(delta.paused.keys()).map(String::as_str)
    })
}

/// The changes that concern any of `lists`: those that moved, paused or pinned it, those that swapped
/// the trees' parts, and those that recorded another release for the tree that it was on.
pub fn concerning<'e>(
    site: &Site,
    entries: &'e [Entry],
    lists: &BTreeSet<ListName>,
) -> Vec<&'e Entry> {
    let mut ahead: BTreeSet<ListName> = BTreeSet::new();
    let mut found = Vec::new();
    for entry in entries {
        let (before, after) = (&entry.before, &entry.after);
        let is_release_of = |release: &Option<String>, on_it: bool| release.is_some() && on_it;
        let concerns = are(site, names(entry), lists)
            || after.current.is_some()
            || is_release_of(&after.current_release, ahead.len() < lists.len())
            || is_release_of(&after.future_release, !ahead.is_empty());
        if concerns {
            found.push(entry);
        }
        for list in lists {
            let one = BTreeSet::from([list.clone()]);
            if are(site, &before.on_future, &one) {
                ahead.remove(list);
            }
            if are(site, &after.on_future, &one) {
                ahead.insert(list.clone());
            }
        }
    }
    found
}

/// How `list` came to where it is.
pub fn way<'e>(site: &Site, entries: &'e [Entry], list: &ListName) -> Way<'e> {
    let one = BTreeSet::from([list.clone()]);
    let (mut current, mut is_ahead) = (None::<&str>, false);
    let mut tree: Option<&str> = None;
    let mut way = Way {
        came: None,
        is_moved: false,
        swap: None,
    };
    for entry in entries {
        if let Some(swapped) = &entry.after.current {
            current = Some(swapped);
            // The first line is the site's beginning.
            if entry
                .before
                .current
                .as_deref()
                .is_some_and(|was| !was.is_empty())
            {
                way.swap = Some(entry);
            }
        }
        let comes = are(site, &entry.after.on_future, &one);
        let goes = are(site, &entry.before.on_future, &one);
        is_ahead = comes || is_ahead && !goes;
        let now = match is_ahead {
            true => current.and_then(|current| site.config.other_tree(current)),
            false => current.and_then(|current| site.config.tree(current)),
        };
        let now = now.map(|tree| tree.name.as_str());
        if now != tree {
            tree = now;
            way.came = Some(entry);
            way.is_moved = comes || goes;
        }
    }
    way
}
