//! Could the users who deliver run a tree's programs?
//!
//! **Invariants.** Asks mm-deliver itself (`addresses::rights`), for each program that
//! deliveries run in the tree; no list manager's program is run.

use crate::accounts;
use crate::addresses::rights;
use crate::list::ListName;
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// What a try of all programs as all users showed.
#[derive(Debug, Default)]
pub struct Rights {
    /// One line for each user and program that would make mail wait.
    pub problems: Vec<String>,
    /// Users as whom nothing could be tried, since we are not root.
    pub untried: Vec<String>,
}

/// Tries every program of `tree` for `list`, as every delivering user.
///
/// parity.toml must be there. The list's own standing does not matter.
pub fn check(site: &Site, tree: &Tree, list: &ListName) -> Rights {
    let mut rights = Rights::default();
    let programs = match Profile::of(site, tree) {
        Ok(profile) => profile.programs(site, tree),
        Err(error) => {
            rights.problems.push(error.to_string());
            return rights;
        }
    };
    for (verb, _) in programs {
        let denied = rights::denied(site, tree, verb, list);
        rights.problems.extend(
            denied
                .iter()
                .map(|denied| format!("tree {}: {denied}", tree.name)),
        );
    }
    rights.problems.dedup();
    let us = accounts::runner();
    if us != 0 {
        let others = site.config.users.iter();
        rights.untried = others
            .filter(|user| user.uid().is_ok_and(|uid| uid != us))
            .map(|user| user.to_string().escape_debug().to_string())
            .collect();
    }
    rights
}
