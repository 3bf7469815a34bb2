//! What adopted.jsonl says about mail that is still queued, and its own state.
//!
//! **Invariants.** Reads nothing but whether a program is there.

use std::collections::BTreeMap;
use std::path::Path;

use crate::addresses::found::Means;
use crate::addresses::leads::{Leads, words};
use crate::addresses::needed::QUEUED;
use crate::addresses::record::{self, Record, Records};
use crate::addresses::typed::typed;
use crate::addresses::view::View;
use crate::clock::Timestamp;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};

pub(super) fn look(view: &View<'_>, records: &Records, findings: &mut Vec<Finding>) {
    let path = record::path(view.trees.site);
    former(view, records, &path, findings);
    if records.torn {
        findings.push(Finding::new(
            (Kind::Adopted, Severity::Warning),
            "it ends in half a line, left by a kill",
            Spot::line(&path, records.all.len() + 1),
            "none: what that line was to record was not done",
            Mend::Do(format!(
                "remove it, or leave it to the next change: {} cuts it off",
                typed(view.trees.site, "adopt")
            )),
        ));
    }
}

/// Mail that is queued with its command expanded still runs what stood there before.
fn former(view: &View<'_>, records: &Records, path: &Path, findings: &mut Vec<Finding>) {
    let since = Timestamp::now().0 - QUEUED;
    let mut gone: BTreeMap<String, (Vec<Spot>, i64)> = BTreeMap::new();
    for (n, record) in records.all.iter().enumerate() {
        let when = Timestamp::parse(&record.when);
        if when.is_some_and(|when| when.0 < since) {
            continue;
        }
        for program in missing(view, record) {
            let name = String::from_utf8_lossy(record.name()).into_owned();
            let (spots, last) = gone.entry(program).or_default();
            spots.push(Spot::line(path, n + 1).named(name));
            *last = when.map_or(*last, |when| when.0.max(*last));
        }
    }
    for (program, (spots, last)) in gone {
        let mut spots = spots.into_iter();
        let Some(first) = spots.next() else { continue };
        let until = Timestamp(last + QUEUED);
        findings.push(
            Finding::new(
                (Kind::Former, Severity::Warning),
                format!("{program:?} is gone, and mail that was queued in the last days may still run it"),
                first,
                format!("such mail bounces, or waits in vain; it may be there until {until}"),
                Mend::Do("put the program back until the MTA's queue has no mail of before".to_owned()),
            )
            .also(spots),
        );
    }
}

/// Programs that the entry ran before, and that are not there.
fn missing(view: &View<'_>, record: &Record<'_>) -> Vec<String> {
    let Some(before) = &record.before else {
        return Vec::new();
    };
    let programs = view
        .found
        .means_of(&before.0)
        .into_iter()
        .filter_map(|means| {
            let Means::Pipe(command) = means else {
                return None;
            };
            let is_a_list_managers = matches!(
                view.trees.leads(&command),
                Leads::Tree(..) | Leads::Third(..)
            );
            let words = words(&command).unwrap_or_default();
            let program = words.first().filter(|_| is_a_list_managers)?;
            (!Path::new(program).exists()).then(|| (*program).to_owned())
        });
    programs.collect()
}
