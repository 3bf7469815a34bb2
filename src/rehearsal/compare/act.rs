//! What a release did besides sending: how the delivery ended, whether the message is held, which of the
//! list's data changed, how long it took.
//!
//! **Invariants.** What the current release does not do alike twice is no difference.

use std::collections::BTreeSet;
use std::time::Duration;

use super::judge::{Difference, Rules};
use super::tokens::general;
use super::turns::Turns;
use super::verdict::Verdict;
use crate::rehearsal::outcome::{Change, Ending, Happened, Outcome};

/// By less than this nothing is slower.
const NOTHING: Duration = Duration::from_millis(500);

/// How something ended, in words.
pub(super) fn ended(ending: Ending) -> String {
    match ending {
        Ending::Exited(0) => "took it".to_owned(),
        Ending::Exited(status) => format!("ended with status {status}"),
        Ending::Killed(signal) => format!("was killed by signal {signal}"),
        Ending::Replied(code) => format!("answered {code}"),
        Ending::NotRun => "could not be started".to_owned(),
        Ending::TimeUp => "was not done at the time limit".to_owned(),
        Ending::OverLimit => "wanted more memory, processes or room than it is given".to_owned(),
    }
}

/// How it ended: failed only where the current release did not, or where it crashed or never ended.
pub(super) fn ending(one: &Outcome, future: &Outcome, found: &mut Vec<Difference>) {
    if one.ending == future.ending || one.ending.took_it() && future.ending.took_it() {
        return;
    }
    let said = |outcome: &Outcome| {
        let text = String::from_utf8_lossy(&outcome.printed);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        match last {
            Some(last) => format!("{}: {}", ended(outcome.ending), last.trim()),
            None => ended(outcome.ending),
        }
    };
    let is_broken = |ending| {
        matches!(
            ending,
            Ending::Killed(_) | Ending::NotRun | Ending::TimeUp | Ending::OverLimit
        )
    };
    let verdict = match one.ending.took_it() || is_broken(future.ending) {
        true => Verdict::Failed,
        false => Verdict::HeldDifferently,
    };
    found.push(Difference::of(
        verdict,
        "the delivery",
        said(one),
        said(future),
    ));
}

/// Whether it waits for a moderator.
pub(super) fn held(one: &Outcome, future: &Outcome, found: &mut Vec<Difference>) {
    if let (Some(old), Some(new)) = (one.held, future.held)
        && old != new
    {
        let told = |count| match count {
            0 => "goes through".to_owned(),
            count => format!("{count} held for a moderator"),
        };
        found.push(Difference::of(
            Verdict::HeldDifferently,
            "moderation",
            told(old),
            told(new),
        ));
    }
}

/// Which files changed, by what their names are in general.
pub(super) fn data(
    runs: [&Outcome; 2],
    future: &Outcome,
    turns: &mut Turns,
    found: &mut Vec<Difference>,
) {
    let all = |outcome: &Outcome| -> BTreeSet<(String, Happened)> {
        let changes = outcome.changes.iter();
        changes
            .map(|Change { path, happened }| (general(path), *happened))
            .collect()
    };
    let [one, other] = runs.map(all);
    let now = all(future);
    let line = |(path, happened): &(String, Happened)| {
        let word = match happened {
            Happened::Made => "made",
            Happened::Changed => "changed",
            Happened::Gone => "gone",
        };
        format!("{word}: {path}")
    };
    let either: BTreeSet<_> = one.union(&other).chain(&now).collect();
    for change in either {
        let is_in = |changes: &BTreeSet<_>| changes.contains(change);
        turns.count(&line(change), [is_in(&one), is_in(&other)], is_in(&now));
    }
    let told = |changes: BTreeSet<&(String, Happened)>| {
        let lines = changes.into_iter().map(line);
        lines.collect::<Vec<_>>().join("\n")
    };
    let steady: BTreeSet<_> = one.intersection(&other).collect();
    let noise: BTreeSet<_> = one.symmetric_difference(&other).collect();
    let gone: BTreeSet<_> = steady
        .into_iter()
        .filter(|change| !now.contains(*change))
        .collect();
    let come: BTreeSet<_> = now
        .iter()
        .filter(|change| !one.contains(*change) && !noise.contains(*change))
        .collect();
    if !gone.is_empty() || !come.is_empty() {
        let (old, new) = (told(gone), told(come));
        let about = "the list's data";
        found.push(Difference::of(Verdict::DataDiffer, about, old, new));
    }
}

/// Whether it takes longer by far than both runs did.
pub(super) fn slower(
    runs: [&Outcome; 2],
    future: &Outcome,
    rules: &Rules,
    found: &mut Vec<Difference>,
) {
    let longest = runs[0].took.max(runs[1].took);
    if future.took > longest * rules.slower && future.took > longest + NOTHING {
        let told = |took: Duration| format!("{:.1} s", took.as_secs_f64());
        found.push(Difference::of(
            Verdict::Slower,
            "time",
            told(longest),
            told(future.took),
        ));
    }
}
