//! Entries that pipe into a tree of this site past mm-deliver, whatever they are called.
//!
//! A wanted address is judged by `compare`. Beside those stand names that an admin thought of
//! (`sales: "|…/mailman post toylist"`), words that the profile does not know, lists whose name
//! or domain is refused, and the list manager's own. No move turns what those last ones run.
//!
//! **Invariants.** Judges entries, changes none, reads no file.

use super::edits::Edits;
use super::found::{Found, Means, Place};
use super::leads::{Leads, Odd};
use super::pipe::Trees;
use super::turning::{Turning, turning};
use super::typed::typed;
use super::view::View;
use crate::list::ListName;
use crate::parity::FutureState;

/// Where an entry leads to past mm-deliver.
#[derive(Debug)]
pub(super) struct Into {
    /// The tree's name.
    pub(super) tree: String,
    /// The list, where that can be told.
    pub(super) list: Option<ListName>,
    /// Why it is for no list of ours.
    pub(super) odd: Option<Odd>,
}

/// Where the first destination of an entry leads that pipes into a tree past mm-deliver; words
/// that no profile knows are some list's if one of them `is_list`.
pub(super) fn into_tree(
    trees: &Trees<'_>,
    found: &Found,
    place: Place,
    is_list: &dyn Fn(&ListName) -> bool,
) -> Option<Into> {
    let plain = found.plain_pipe(place);
    if plain.is_some_and(|command| trees.as_written(command).is_some()) {
        return None;
    }
    let leads = |command: &[u8]| match trees.leads(command) {
        Leads::Tree(tree, _, list) | Leads::Shell(tree, list) => Some(Into {
            tree,
            list: Some(list),
            odd: None,
        }),
        Leads::Odd(tree, odd) => Some(Into {
            list: (odd == Odd::Words)
                .then(|| named(trees, command, is_list))
                .flatten(),
            tree,
            odd: Some(odd),
        }),
        Leads::Us(..)
        | Leads::Refused(_)
        | Leads::OtherSite(_)
        | Leads::Third(..)
        | Leads::Elsewhere => None,
    };
    if let Some(command) = plain {
        return leads(command);
    }
    let destinations = found.destinations(place);
    destinations.iter().find_map(|means| match means {
        Means::Pipe(command) => leads(command),
        _ => None,
    })
}

/// The list that one word behind the program names, as a shell or an option has it
/// (`--queue=general`).
fn named(
    trees: &Trees<'_>,
    command: &[u8],
    is_list: &dyn Fn(&ListName) -> bool,
) -> Option<ListName> {
    let text = String::from_utf8_lossy(command);
    let is_end = |c: char| c.is_ascii_whitespace() || "'\"\\;&|<>()=".contains(c);
    let mut words = text.split(is_end).skip(1).filter(|word| !word.is_empty());
    words.find_map(|word| trees.site.list(word.as_bytes()).ok().filter(is_list))
}

impl Into {
    /// Why the mail goes where its list, or the system, is not; `None` while it does not.
    pub(super) fn astray(&self, view: &View<'_>) -> Option<String> {
        let roles = &view.parity.roles;
        let tree = &self.tree;
        if *tree != roles.current && roles.future_state == FutureState::Retired {
            return Some(format!("it goes into tree {tree}, which is retired"));
        }
        let (whose, home) = match &self.list {
            Some(list) => (
                "its list",
                view.trees.home(view.parity, list)?.name.as_str(),
            ),
            None => ("the system", roles.current.as_str()),
        };
        (tree != home).then(|| format!("it goes into tree {tree}, and {whose} is on tree {home}"))
    }

    /// What the admin may do about it by hand.
    pub(super) fn by_hand(&self, view: &View<'_>, place: Place) -> String {
        let adopt = typed(view.trees.site, "adopt");
        match (&self.odd, turning(&view.trees, view.found, place)) {
            (Some(Odd::Name(..) | Odd::SiteWide(_)), _) => format!(
                "no move turns it: once what it is for is on another tree than {}, let the line \
                 run that tree's program",
                self.tree
            ),
            (_, Turning::Left { why, .. }) => {
                why.advice(&view.trees, view.found, place).unwrap_or(adopt)
            }
            _ => format!("remove the line if the list is gone for good; else {adopt}"),
        }
    }
}

/// Says of words that no profile knows, for one of the lists that move, that they stay.
pub(super) fn leave_odd(
    view: &View<'_>,
    lists: &std::collections::BTreeSet<ListName>,
    edits: &mut Edits<'_>,
) {
    let is_moved = |list: &ListName| lists.contains(list);
    for place in view.found.about(Some(lists)) {
        let Some(into) = into_tree(&view.trees, view.found, place, &is_moved) else {
            continue;
        };
        if let (Some(odd), Some(list)) = (&into.odd, &into.list) {
            let stays = format!(
                "it stays on tree {}: {odd}; {}",
                into.tree,
                into.by_hand(view, place)
            );
            edits.leave_of(Some(list.clone()), place, &stays);
        }
    }
}

/// Says of each entry into a tree that is not current what becomes of it once that is retired.
pub(super) fn leave_retiring(view: &View<'_>, edits: &mut Edits<'_>) {
    let known = view.known();
    let is_list = |list: &ListName| known.contains(list);
    for place in view.found.all() {
        let into = into_tree(&view.trees, view.found, place, &is_list);
        let Some(into) = into.filter(|into| into.tree != view.parity.roles.current) else {
            continue;
        };
        let why = into.odd.as_ref().map(|odd| format!(": {odd}"));
        let stays = format!(
            "it still pipes straight into tree {}, which is retired by this{}; {}",
            into.tree,
            why.unwrap_or_default(),
            into.by_hand(view, place)
        );
        edits.leave(place, &stays);
    }
}
