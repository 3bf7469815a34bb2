//! Trees on probation: mail that they did not take, and logs that would not say so.
//!
//! **Invariants.** One finding a tree, however many lists: a broken release breaks them all.

use std::collections::BTreeSet;

use crate::admin::outcome::few;
use crate::admin::outcome::{lists, names, typed};
use crate::admin::probation::{self, Line, Seen, Tally};
use crate::clock::Timestamp;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::list::ListName;
use crate::parity::{FutureState, Parity};
use crate::site::Site;

const DAY: i64 = 86_400;
/// After so many days no MTA has the message any more.
///
/// Source: measured defaults; MTAs give up after 4 to 5 days.
const GIVEN_UP: i64 = 5;

pub(super) fn look(site: &Site, parity: &Parity, findings: &mut Vec<Finding>) {
    if parity.roles.guarded.is_empty() {
        return;
    }
    let seen = probation::read(site);
    for tree in &parity.roles.guarded {
        findings.extend(tree_in_trouble(site, parity, tree, &seen));
        findings.extend(tree_that_refuses(site, parity, tree, &seen));
    }
    logs(site, &seen, findings);
}

/// The deferrals of a guarded tree: of lists whose newest mail waits, else those of the last day.
fn tree_in_trouble(site: &Site, parity: &Parity, tree: &str, seen: &Seen) -> Option<Finding> {
    let roles = &parity.roles;
    let release = roles.release_of(tree);
    let is_on = |list: &ListName| parity.on_future.contains(list) != (tree == roles.current);
    let now = Timestamp::now().0;
    let (mut waiting, mut past): (Vec<&Line>, Vec<&Line>) = (Vec::new(), Vec::new());
    for (_, tally) in seen.of_tree(tree, release).filter(|(list, _)| is_on(list)) {
        let before = waiting.len();
        let queued = |line: &&Line| now - line.record.when.0 < GIVEN_UP * DAY;
        waiting.extend(tally.troubled().filter(queued));
        let last = tally.last_trouble.iter();
        let recent = last.filter(|line| now - line.record.when.0 < DAY);
        past.extend(recent.filter(|_| waiting.len() == before));
    }
    let later = match later_is_refused(&past, seen, tree, release) {
        false => "it waited, and mail that came later was taken",
        true => "it waited, and mail that came later was taken, or refused and bounced",
    };
    let (severity, lines, effect) = match waiting.is_empty() {
        false => (
            Severity::Critical,
            waiting,
            "it waits in the MTA's queue and is tried again; MTAs give up after 4 to 5 days, and bounce",
        ),
        true => (Severity::Warning, past, later),
    };
    let newest = lines.iter().max_by_key(|line| line.record.when)?;
    let of: BTreeSet<ListName> = lines.iter().map(|line| line.record.list.clone()).collect();
    let what = format!(
        "tree {tree} {}: mail of {} was deferred: {}; {newest}",
        release.escape_debug(),
        lists(of.len()),
        names(&of)
    );
    let spots: BTreeSet<_> = lines.iter().map(|line| &line.log).collect();
    let mut spots = spots.into_iter().map(Spot::file);
    let finding = Finding::new(
        (Kind::Probation, severity),
        what,
        spots.next()?,
        effect,
        mend(site, parity, tree, &of, severity),
    );
    Some(finding.also(spots))
}

/// Whether after one of these deferrals the newest answer of its verb was a refusal.
fn later_is_refused(past: &[&Line], seen: &Seen, tree: &str, release: &str) -> bool {
    past.iter().any(|line| {
        let record = &line.record;
        let tally = seen.tally(&record.list, tree, release);
        let mut refusals = tally.into_iter().flat_map(Tally::refusals);
        refusals.any(|newest| newest.record.verb == record.verb)
    })
}

/// Lists of a guarded tree whose mail bounced in the last day, and none was ever taken. One verdict
/// that is let through is what the admin asked for; a release that has no other is broken, such as
/// by a wrong domain, and nothing waits for its mend.
fn tree_that_refuses(site: &Site, parity: &Parity, tree: &str, seen: &Seen) -> Option<Finding> {
    let roles = &parity.roles;
    let release = roles.release_of(tree);
    let is_on = |list: &ListName| parity.on_future.contains(list) != (tree == roles.current);
    let now = Timestamp::now().0;
    let only_refused = seen
        .of_tree(tree, release)
        .filter(|(list, tally)| is_on(list) && tally.refused > 0 && tally.delivered == 0);
    let lines: Vec<&Line> = only_refused
        .flat_map(|(_, tally)| tally.refusals())
        .filter(|line| now - line.record.when.0 < DAY)
        .collect();
    let newest = lines.iter().max_by_key(|line| line.record.when)?;
    let of: BTreeSet<ListName> = lines.iter().map(|line| line.record.list.clone()).collect();
    let what = format!(
        "tree {tree} {}: mail of {} was refused, and none taken: {}; {newest}",
        release.escape_debug(),
        lists(of.len()),
        names(&of)
    );
    let spots: BTreeSet<_> = lines.iter().map(|line| &line.log).collect();
    let mut spots = spots.into_iter().map(Spot::file);
    let finding = Finding::new(
        (Kind::Probation, Severity::Warning),
        what,
        spots.next()?,
        "it bounced, since `[probation] permanent` lets that status through",
        Mend::Do(format!(
            "if it should have been taken: remove the status from {:?}, and see what the list \
             manager has against these addresses",
            site.path
        )),
    );
    Some(finding.also(spots))
}

fn mend(
    site: &Site,
    parity: &Parity,
    tree: &str,
    of: &BTreeSet<ListName>,
    severity: Severity,
) -> Mend {
    let roles = &parity.roles;
    let watch = || Mend::Do("see what the list manager's own log says of that time".to_owned());
    match (severity, tree == roles.current) {
        (Severity::Critical, false) => {
            let names = few(of).unwrap_or_else(|| "--all".to_owned());
            Mend::Type(typed(site, &format!("downgrade {names}")))
        }
        (Severity::Critical, true) if roles.future_state == FutureState::Retired => {
            Mend::Type(typed(site, "commit --revert"))
        }
        _ => watch(),
    }
}

/// Logs that are not there, cannot be read, or hold what is no line.
fn logs(site: &Site, seen: &Seen, findings: &mut Vec<Finding>) {
    const NONE: &str =
        "none waits for it; `status`, `check` and `commit` may not know of deferrals";
    let mut find = |what: String, spot, mend| {
        let kind = (Kind::ProbationLog, Severity::Warning);
        findings.push(Finding::new(kind, what, spot, NONE, mend));
    };
    for (user, log) in probation::missing(site) {
        find(
            format!("{log:?} is missing: guarded deliveries as {user} are not counted"),
            Spot::file(&log),
            Mend::Do(format!(
                "the next change by mm-parity makes it, such as {}",
                typed(site, "pin LIST")
            )),
        );
    }
    for (log, why) in &seen.unread {
        let mend = Mend::Do("as root, or its owner; move away what is no plain file".to_owned());
        find(format!("{log:?}: {why}"), Spot::file(log), mend);
    }
    for (log, count) in &seen.damaged {
        let what = match count {
            1 => format!("{log:?}: 1 line is none of mm-guard's, or was torn"),
            n => format!("{log:?}: {n} lines are none of mm-guard's, or were torn"),
        };
        let mend = Mend::Do("remove them; who wrote them is a delivering user".to_owned());
        find(what, Spot::file(log), mend);
    }
}
