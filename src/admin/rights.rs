//! Could the users who deliver, and those who serve the web, run a tree's programs?
//!
//! **Invariants.** Asks mm-deliver and mm-cgi themselves (`addresses::rights`), for each program
//! that deliveries and requests run in the tree; no list manager's program is run.

use crate::accounts::{self, Account};
use crate::addresses::rights;
use crate::list::ListName;
use crate::profiles::Profile;
use crate::settings::Settings;
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

/// Tries every CGI program of `tree` for `list`, as every user of the web server: one line for each
/// reason why a request would be answered with 503. None where site.toml names no such user.
pub fn check_web(site: &Site, tree: &Tree, list: &ListName) -> Vec<String> {
    let denied = rights::web_denied(site, tree, list);
    let denied = denied.iter();
    denied
        .map(|denied| format!("web of tree {}: {denied}", tree.name))
        .collect()
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
    let web = Settings::of(site).map_or_else(|_| Vec::new(), |settings| settings.web.users);
    let web: Vec<Account> = web.iter().map(|user| Account::new(user)).collect();
    let others = site.config.users.iter().chain(&web);
    let others = others.filter(|user| us != 0 && user.uid().is_ok_and(|uid| uid != us));
    others
        .map(|user| user.to_string().escape_debug().to_string())
        .collect()
}
