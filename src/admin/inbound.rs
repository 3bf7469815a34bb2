//! What the old tree took for the lists that move, and has not handled: it runs out before they
//! go.
//!
//! A message that waits in an inbound queue is on no tree's list yet. Handled after the move, it
//! would be handled by the old release, with data that the new one may have converted.
//!
//! **Invariants.** Only for lists that go ahead: taking back waits for no queue. Called once the
//! doors are closed and the floors are empty; else more could come.

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime};

use crate::admin::outcome::Refused;
use crate::admin::signs;
use crate::list::ListName;
use crate::profiles::Profile;
use crate::queues::{self, Left, Life, Queues};
use crate::site::Site;
use crate::tree::Tree;

/// So many entries are named; the others are counted.
const NAMED: usize = 5;

/// Waits until the inbound queues of `tree` have run out for `moving`, at most until `deadline`.
///
/// # Errors
/// What is left, named; or a queue cannot be looked at.
pub fn run_out(
    site: &Site,
    act: &'static str,
    tree: &Tree,
    moving: &BTreeSet<ListName>,
    deadline: Instant,
) -> Result<(), Refused> {
    let profile = Profile::of(site, tree).map_err(|error| Refused::new(act, error))?;
    let Some(queues) = Queues::of(&profile, tree) else {
        return Ok(());
    };
    let left = queues::wait(queues, moving, deadline).map_err(|error| {
        Refused::new(
            act,
            format!("cannot tell what tree {} has to handle: {error}", tree.name),
        )
        .hint("ask as root; where its queues are elsewhere, `queues` in site.toml says so")
    })?;
    if left.is_empty() {
        return Ok(());
    }
    let mut refused = Refused::new(act, told(tree, &left));
    if let Life::Down(programs) = queues::life(&profile, tree) {
        let programs = programs.iter();
        let reasons = programs.map(|what| format!("tree {} is not running: {what}", tree.name));
        refused.reasons.extend(reasons);
    }
    Err(refused.hint("no list has moved; --closed 5m would wait longer"))
}

fn told(tree: &Tree, left: &[Left]) -> String {
    let now = SystemTime::now();
    let named = left.iter().take(NAMED).map(|entry| {
        let age = entry
            .written
            .map(|at| now.duration_since(at).unwrap_or_default());
        let age = age.map_or_else(String::new, |age| format!(", {} old", signs::span(age)));
        let whose = match entry.is_told {
            true => "",
            false => ", for a list that it does not tell",
        };
        format!("{:?}{age}{whose}", entry.path)
    });
    let more = match left.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "tree {} took {} and has not handled {}: {}{more}",
        tree.name,
        match left.len() {
            1 => "1 message".to_owned(),
            n => format!("{n} messages"),
        },
        match left.len() {
            1 => "it",
            _ => "them",
        },
        named.collect::<Vec<_>>().join("; "),
    )
}
