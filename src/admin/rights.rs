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
    rights.untried = untried(site);
    rights
}

/// As [`check`], for a tree whose programs run, or are to run, under mm-guard.
pub fn check_guarded(site: &Site, tree: &Tree, list: &ListName) -> Rights {
    let mut rights = check(site, tree, list);
    let denied = rights::guard_denied(site);
    let denied = denied.iter().map(|denied| format!("mm-guard: {denied}"));
    rights.problems.extend(denied);
    rights
}

/// Users as whom nothing can be tried, since we are not root.
fn untried(site: &Site) -> Vec<String> {
    let us = accounts::runner();
    let others = site.config.users.iter();
    let others = others.filter(|user| us != 0 && user.uid().is_ok_and(|uid| uid != us));
    others
        .map(|user| user.to_string().escape_debug().to_string())
        .collect()
}
