//! For programs.
//!
//! ```text
//! {"format": 1, "when": …, "command": …, "status": 0 | 10 | 11, "lists": [
//!   {"list": …, "current": {"tree", "release"}, "future": {"tree", "release"},
//!    "status", "played", "own", "not_judged", "verdicts": {"same": 12, …},
//!    "groups": [{"verdict", "about", "count", "examples": [{"message", "about", "verb", "old", "new"}]}],
//!    "more_differences", "unjudged": [{"reason", "count", "messages"}], "doubts": […],
//!    "seconds": {"current": {"mean", "longest"}, "future": …}, "sent": {"current", "future"},
//!    "data_versions": {"current": […], "future": […]}, "notes": […]}]}
//! ```

use serde_json::{Value, json};

use super::{Played, Report};
use crate::rehearsal::compare::{Example, Group, Times};
use crate::rehearsal::outcome::Letter;

/// The report.
pub fn json(report: &Report) -> Value {
    json!({
        "format": 1,
        "when": report.when.to_string(),
        "command": report.command,
        "status": report.status(),
        "lists": report.lists.iter().map(list).collect::<Vec<_>>(),
    })
}

fn list(played: &Played) -> Value {
    let findings = &played.findings;
    let tree = |(name, release): &(String, String)| json!({"tree": name, "release": release});
    let verdicts = findings.worst.iter();
    let verdicts: serde_json::Map<String, Value> = verdicts
        .map(|(verdict, count)| (verdict.to_string(), json!(count)))
        .collect();
    let unjudged = findings.unjudged.iter().map(|(reason, (count, letters))| {
        let names: Vec<&str> = letters.iter().map(|letter| letter.name.as_str()).collect();
        json!({"reason": reason, "count": count, "messages": names})
    });
    json!({
        "list": played.list,
        "current": tree(&played.trees[0]),
        "future": tree(&played.trees[1]),
        "status": findings.status(),
        "played": findings.played(),
        "own": findings.own,
        "not_judged": findings.not_judged(),
        "verdicts": verdicts,
        "groups": findings.groups.iter().map(group).collect::<Vec<_>>(),
        "more_differences": findings.more,
        "unjudged": unjudged.collect::<Vec<_>>(),
        "doubts": findings.doubts,
        "seconds": {"current": time(&findings.times[0]), "future": time(&findings.times[1])},
        "sent": {"current": findings.sent[0], "future": findings.sent[1]},
        "data_versions": {"current": findings.data_versions[0], "future": findings.data_versions[1]},
        "notes": played.notes,
    })
}

fn group(group: &Group) -> Value {
    json!({
        "verdict": group.verdict,
        "about": group.about,
        "count": group.count,
        "examples": group.examples.iter().map(example).collect::<Vec<_>>(),
    })
}

fn example(example: &Example) -> Value {
    let Letter { name, about, verb } = &example.letter;
    json!({"message": name, "about": about, "verb": verb, "old": example.old, "new": example.new})
}

fn time(times: &Times) -> Value {
    json!({"mean": times.mean().as_secs_f64(), "longest": times.longest.as_secs_f64()})
}
