//! The tree that a commit left: when its programs may stop, and what it has left.

use std::fs;

use serde_json::Value;

use super::put;
use super::signs::{RUNNERS, Running, with_runners};

#[test]
fn the_old_trees_programs_may_stop_when_all_its_queues_are_empty() {
    let stage = with_runners("a");
    let running = Running::start(&stage, "a", &RUNNERS);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "--all"]).expect(0);
    let out = put(&stage, "a", "out", 1, "toylist");
    let has = "tree a still has 1 message in its queues (1 in ";
    stage.parity(&["commit"]).expect(0).says(&[
        has,
        "a/qfiles/out\"): let its programs run until they are gone",
        "what still starts or runs programs of tree a: process ",
        "bin/qrunner",
    ]);
    let status = || stage.parity(&["status"]).expect(0);
    let json = || -> Value {
        let done = stage.parity(&["status", "--format", "json"]).expect(0);
        serde_json::from_str(&done.stdout).unwrap()
    };
    status().says(&["note: ", has]);
    let retired = &json()["retired"];
    assert_eq!(retired["may_stop"], false);
    assert_eq!(retired["queues"][0]["count"], 1);
    assert_eq!(retired["pointing"].as_array().unwrap().len(), 3);
    assert_eq!(retired["pointing"][0]["kind"], "process");
    let again = put(&stage, "a", "retry", 2, "toylist");
    status().says(&["tree a still has 2 messages", "a/qfiles/retry\")"]);
    for left in [out, again] {
        fs::remove_file(left).unwrap();
    }
    status().says(&["note: tree a has nothing left in its queues: its programs may stop"]);
    assert_eq!(json()["retired"]["may_stop"], true);
    stage.parity(&["check"]).expect(0);
    drop(running);
    let quiet = status().stdout;
    assert!(!quiet.contains("note: "), "{quiet}");
    // Too early: nobody handles these any more.
    put(&stage, "a", "virgin", 3, "toylist");
    status().says(&["and its programs do not run: start them until these are gone"]);
    stage.parity(&["check"]).expect(2).says(&[
        "CRITICAL: queue: tree a is retired, its programs do not run, and it has 1 message",
        "these messages wait there",
    ]);
    // A tree in use is told of elsewhere.
    stage.parity(&["commit", "--revert"]).expect(0);
    assert_eq!(json()["retired"], Value::Null);
}

#[test]
fn a_queue_that_cannot_be_looked_at_is_no_empty_one() {
    let stage = with_runners("a");
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["commit"]).expect(0);
    std::os::unix::fs::symlink("/nowhere", stage.path("a/qfiles/out")).unwrap();
    stage.parity(&["status"]).expect(0).says(&[
        "whether the programs of tree a may stop cannot be told",
        "is a link",
    ]);
    let done = stage.parity(&["status", "--format", "json"]).expect(0);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(told["retired"]["may_stop"], Value::Null);
}
