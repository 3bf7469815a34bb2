//! What a list manager must be told by the MTA, and whether this site's MTA tells it.
//!
//! A program in an alias learns of the envelope what the MTA puts into its environment. Sendmail
//! puts nothing there (measured, 8.17): a list manager that goes by the envelope sender would
//! drop or refuse every message.
//!
//! **Invariants.** Judges by site.toml and profiles alone; no I/O, nothing is changed.

use std::collections::BTreeSet;
use std::fmt;

use super::pipe::Trees;
use crate::config::Mta;
use crate::list::ListName;
use crate::parity::Parity;
use crate::profiles::{Need, Profile};
use crate::site::Site;
use crate::tree::Tree;

/// A tree whose list manager is not told what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The tree's name in site.toml.
    pub tree: String,
    /// Its list manager, for people.
    about: String,
    need: Need,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need::Sender = self.need;
        write!(
            f,
            "tree {}: {} needs the envelope sender, and Sendmail tells programs none",
            self.tree,
            self.about.escape_debug()
        )
    }
}

/// What becomes of mail that goes into such a tree.
pub(super) const EFFECT: &str = "the list manager drops or refuses every message to a list";
/// What an admin can do.
pub(super) const MEND: &str = "let another MTA serve these lists, or, if yours tells the sender \
                               in another way, do without `needs` in a profile of your own";

/// What `tree` needs of this site's MTA and is not told.
pub(super) fn untold(site: &Site, tree: &Tree, profile: &Profile) -> Option<Untold> {
    let untold = |need: &&Need| match need {
        Need::Sender => site.config.mta == Mta::Sendmail,
    };
    profile.needs.iter().find(untold).map(|&need| Untold {
        tree: tree.name.clone(),
        about: profile.about.clone(),
        need,
    })
}

/// The same of every tree that serves one of `lists`, as `parity` has them.
pub(super) fn untold_of(site: &Site, parity: &Parity, lists: &BTreeSet<ListName>) -> Vec<Untold> {
    let trees = Trees::open(site);
    let serves = |tree: &Tree| {
        let mut lists = lists.iter();
        lists.any(|list| {
            let its = trees.of(parity, list);
            its.is_some_and(|(its, _)| its.name == tree.name)
        })
    };
    trees
        .all()
        .filter(|(tree, _)| serves(tree))
        .filter_map(|(tree, profile)| untold(site, tree, profile))
        .collect()
}
