//! What cron runs of the trees' programs past mm-parity, and what a retired tree has left.
//!
//! A crontab that came with the list manager runs its jobs for all lists, in one tree. That is right
//! as long as all lists are there.
//!
//! **Invariants.** Only looks. What only root can read is UNKNOWN to root alone: who is not root is
//! told nothing by other checks of that kind either.

use std::path::Path;

use crate::accounts;
use crate::admin::outcome::typed;
use crate::admin::retired::{self, ROOT, Retired};
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::parity::{FutureState, Parity};
use crate::pointing::{self, Found, Target};
use crate::profiles::Profile;
use crate::queues::Life;
use crate::site::Site;
use crate::tree::Tree;

pub(super) fn look(site: &Site, parity: &Parity, findings: &mut Vec<Finding>) {
    if let Some(retired) = retired::look(site, parity) {
        findings.extend(stranded(&retired));
        let tree = site.config.tree(&retired.tree);
        findings.extend(tree.and_then(|tree| jobs(site, tree, &retired.found, RETIRED)));
        findings.extend(unread(&retired.found));
        return;
    }
    if parity.roles.future_state != FutureState::Ready || parity.on_future.is_empty() {
        return;
    }
    for tree in &site.config.trees {
        let Ok(profile) = Profile::of(site, tree) else {
            continue;
        };
        let found = pointing::cron(Path::new(ROOT), &Target::of(site, tree, &profile));
        findings.extend(jobs(site, tree, &found, SPLIT));
        if tree.name == parity.roles.current {
            findings.extend(unread(&found));
        }
    }
}

const RETIRED: &str =
    "no list is on it: its jobs load lists by the old release, and are done twice";
const SPLIT: &str = "lists are on both trees: its jobs load those of the other one, too";

/// Messages that nobody handles any more.
fn stranded(retired: &Retired) -> Option<Finding> {
    let (tree, queue) = (&retired.tree, retired.waiting.first()?);
    let Life::Down(_) = retired.life else {
        return None;
    };
    Some(Finding::new(
        (Kind::Queue, Severity::Critical),
        format!(
            "tree {tree} is retired, its programs do not run, and it has {}",
            retired.in_words()
        ),
        Spot::file(&queue.directory),
        "these messages wait there: no MTA tells the sender",
        Mend::Do(format!(
            "start the programs of tree {tree}, until its queues are empty"
        )),
    ))
}

/// Jobs that cron runs in a tree that not all lists are on.
fn jobs(site: &Site, tree: &Tree, found: &Found, why: &str) -> Option<Finding> {
    let mut spots = found
        .of(pointing::Kind::Cron)
        .map(|pointer| Spot::line(&pointer.file, pointer.line.unwrap_or(0)));
    let first = spots.next()?;
    let finding = Finding::new(
        (Kind::Pointing, Severity::Warning),
        format!("cron runs programs of tree {} itself: {why}", tree.name),
        first,
        "none waits for it; but lists may be converted, digests sent twice, and changes lost",
        Mend::Do(format!(
            "take these lines away; in their place: {}",
            typed(site, "cron JOB")
        )),
    );
    Some(finding.also(spots))
}

fn unread(found: &Found) -> Option<Finding> {
    let what = retired::unread(&found.unread).filter(|_| accounts::runner() == 0)?;
    let (path, _) = found.unread.first()?;
    Some(Finding::new(
        (Kind::Pointing, Severity::Unknown),
        what,
        Spot::file(path),
        "whether cron runs programs of a tree for lists that are not there cannot be told",
        Mend::Do("let root be able to read it".to_owned()),
    ))
}
