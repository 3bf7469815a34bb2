//! A release on probation: guarded from its install until `trust`, its deliveries counted, its
//! deferrals told, and no commit past them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use mm_deliver::accounts;
use mm_deliver::clock::Timestamp;
use mm_deliver::list::{ListName, Verb};
use mm_deliver::probation::{End, Record};
use serde_json::Value;

use crate::stage::Stage;

/// A site whose deliveries are counted; toylist is ahead.
fn counted() -> Stage {
    let stage = Stage::counted();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage
}

fn log(_: &Stage) -> String {
    format!("state/probation/{}.log", accounts::runner())
}

fn record(list: &str, answer: u8, when: i64) -> Record {
    Record {
        when: Timestamp(when),
        list: ListName::parse(list).unwrap(),
        verb: Verb::parse(b"post").unwrap(),
        tree: "b".to_owned(),
        release: "2.1.40".to_owned(),
        answer,
        end: End::Exited(u8::from(answer != 0)),
        milliseconds: 1,
        said: String::new(),
    }
}

fn add(stage: &Stage, record: &Record) {
    record.append(&stage.path(&log(stage))).unwrap();
}

fn status(stage: &Stage) -> Value {
    let done = stage.parity(&["status", "--format", "json"]).expect(0);
    serde_json::from_str(&done.stdout).unwrap()
}

/// The list's row in `status`.
fn row(stage: &Stage, list: &str) -> Value {
    let all = status(stage);
    let rows = all["lists"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == list);
    row.cloned().unwrap_or(Value::Null)
}

fn counts(stage: &Stage, list: &str) -> (Option<u64>, Option<u64>) {
    let row = row(stage, list);
    (row["delivered"].as_u64(), row["deferred"].as_u64())
}

#[test]
fn a_new_release_is_guarded_until_somebody_trusts_it() {
    let stage = counted();
    assert_eq!(status(&stage)["future"]["guarded"], true);
    assert_eq!(status(&stage)["current"]["guarded"], false);
    stage
        .parity(&["trust", "b", "--dry-run"])
        .expect(0)
        .says(&["would trust tree b 2.1.40", "nothing was changed"]);
    stage.write("status", "1", 0o644);
    stage.deliver(&["post", "toylist"], b"m").expect(75);
    stage.parity(&["trust", "b"]).expect(0).says(&[
        "trusted: tree b 2.1.40",
        "note: the last post for toylist",
        "undo",
    ]);
    stage.deliver(&["post", "toylist"], b"m").expect(1);
    stage
        .parity(&["trust", "b"])
        .expect(0)
        .says(&["nothing to do: tree b is not guarded"]);
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["tree b is guarded again"]);
    stage.deliver(&["post", "toylist"], b"m").expect(75);
    stage
        .parity(&["trust", "c"])
        .expect(1)
        .complains(&["no tree \"c\"", "hint: trees: a, b"]);
}

#[test]
fn what_verify_finds_is_guarded_and_what_was_trusted_is_not_guarded_again() {
    let stage = Stage::new();
    stage.parity(&["trust", "b"]).expect(0);
    stage.parity(&["verify"]).expect(0).says(&["nothing to do"]);
    // Another release of the current tree is no reason either.
    stage.write("a/Mailman/Version.py", "VERSION = \"2.1.39-1\"\n", 0o644);
    stage.parity(&["verify"]).expect(0);
    assert_eq!(status(&stage)["future"]["guarded"], false);
    stage.write("b/Mailman/Version.py", "VERSION = \"2.1.41\"\n", 0o644);
    stage
        .parity(&["verify"])
        .expect(0)
        .says(&["verified tree b 2.1.41", "trust b"]);
    assert_eq!(status(&stage)["future"]["guarded"], true);
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["tree b is not guarded any more"]);
}

#[test]
fn a_committed_tree_stays_guarded() {
    let stage = counted();
    stage
        .parity(&["commit", "--all"])
        .expect(0)
        .says(&["trust b"]);
    assert_eq!(status(&stage)["current"]["guarded"], true);
    stage.write("status", "1", 0o644);
    stage.deliver(&["post", "reallist1"], b"m").expect(75);
    stage.parity(&["status"]).expect(0).says(&[
        "reallist1  current",
        "deferred 1, last trouble",
        "also: ",
        "trust b",
    ]);
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: probation: ", "commit --revert"]);
    stage.parity(&["trust", "b"]).expect(0);
    stage.deliver(&["post", "reallist1"], b"m").expect(1);
}

#[test]
fn no_release_is_taken_without_a_guard_that_runs() {
    let stage = Stage::bare();
    let guard = fs::read(stage.path("bin/mm-guard")).unwrap();
    for (bytes, mode, why) in [
        (
            &b"#!/bin/sh\necho something else\n"[..],
            0o755,
            "is not mm-guard",
        ),
        (&guard, 0o757, "everybody may write it"),
        (&guard, 0o4755, "set-user-id"),
        (&guard, 0o644, "Permission denied"),
        (b"#!/bin/sh\nexit 1\n", 0o755, "it said nothing"),
    ] {
        stage.write("bin/mm-guard", bytes, mode);
        let done = stage.parity(&["init", "--current", "a"]).expect(0);
        done.says(&["the future tree b is empty", why]);
        stage.parity(&["verify"]).expect(1).complains(&[why]);
        fs::remove_dir_all(stage.path("state")).unwrap();
        stage.make_dir("state");
    }
    stage.write("bin/mm-guard", &guard, 0o755);
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.aliases(&["adopt"]).expect(0);
    assert_eq!(stage.parity(&["check"]).expect(0).stdout, "");
    fs::remove_file(stage.path("bin/mm-guard")).unwrap();
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["bin/mm-guard"]);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: program: ", "bin/mm-guard"]);
}

#[test]
fn each_delivering_user_has_a_log_that_he_alone_may_write() {
    let stage = Stage::new();
    let logs: Vec<_> = fs::read_dir(stage.path("state/probation"))
        .unwrap()
        .collect();
    assert_eq!(logs.len(), 1);
    let meta = logs[0].as_ref().unwrap().metadata().unwrap();
    let user = match accounts::runner() {
        0 => accounts::Account::new("nobody").uid().unwrap(),
        own => own,
    };
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (user, 0o640));
    let directory = fs::metadata(stage.path("state/probation")).unwrap();
    assert_eq!(
        (directory.uid(), directory.mode() & 0o7777),
        (accounts::runner(), 0o755)
    );
}

#[test]
fn a_log_that_is_missing_is_told_and_made_by_the_next_change() {
    let stage = counted();
    fs::remove_file(stage.path(&log(&stage))).unwrap();
    stage.parity(&["check"]).expect(1).says(&[
        "WARNING: probation-log: ",
        "is missing",
        "pin LIST",
    ]);
    stage.deliver(&["post", "toylist"], b"m").expect(0);
    assert_eq!(counts(&stage, "toylist"), (Some(0), Some(0)));
    stage.parity(&["pin", "reallist1"]).expect(0);
    stage.deliver(&["post", "toylist"], b"m").expect(0);
    assert_eq!(counts(&stage, "toylist"), (Some(1), Some(0)));
}

#[test]
fn status_counts_what_became_of_a_lists_mail() {
    let stage = counted();
    for _ in 0..3 {
        stage.deliver(&["post", "toylist"], b"m").expect(0);
    }
    // Mail of an unguarded tree is nobody's to count.
    stage.deliver(&["post", "reallist1"], b"m").expect(0);
    assert_eq!(counts(&stage, "toylist"), (Some(3), Some(0)));
    assert_eq!(row(&stage, "toylist")["last_trouble"], Value::Null);
    stage.write("status", "70", 0o644);
    stage.deliver(&["request", "toylist"], b"m").expect(75);
    fs::remove_file(stage.path("status")).unwrap();
    assert_eq!(counts(&stage, "toylist"), (Some(3), Some(1)));
    let trouble = &row(&stage, "toylist")["last_trouble"];
    assert_eq!(trouble["verb"], "request");
    assert_eq!(trouble["reason"], "ended with status 70");
    stage.parity(&["status"]).expect(0).says(&[
        "delivered 3, deferred 1, last trouble ",
        ": request ended with status 70",
    ]);
    // Another release has its own record.
    stage.parity(&["downgrade", "toylist"]).expect(0);
    assert_eq!(counts(&stage, "toylist"), (None, None));
}

#[test]
fn a_verdict_that_is_let_through_is_refused_and_not_delivered() {
    let stage = counted();
    let site = stage.read("site.toml") + "[probation]\npermanent = [67]\n";
    stage.write("site.toml", site, 0o644);
    stage.deliver(&["post", "toylist"], b"m").expect(0);
    stage.write("status", "67", 0o644);
    stage.deliver(&["post", "toylist"], b"m").expect(67);
    stage.deliver(&["owner", "toylist"], b"m").expect(67);
    assert_eq!(counts(&stage, "toylist"), (Some(1), Some(0)));
    assert_eq!(row(&stage, "toylist")["refused"], 2);
    assert_eq!(row(&stage, "toylist")["last_trouble"], Value::Null);
    let told = stage.parity(&["status"]).expect(0).stdout;
    assert!(
        told.contains("delivered 1, deferred 0, refused 2\n"),
        "{told}"
    );
    // The admin asked for it: neither `check` nor a commit minds.
    assert_eq!(stage.parity(&["check"]).expect(0).stdout, "");
    stage.parity(&["commit", "--all", "--dry-run"]).expect(0);
}

#[test]
fn check_tells_of_a_tree_that_refuses_all_mail() {
    let stage = counted();
    let now = Timestamp::now().0;
    let refused = Record {
        end: End::Exited(67),
        ..record("toylist", 67, now)
    };
    add(&stage, &refused);
    stage.parity(&["check"]).expect(1).says(&[
        "WARNING: probation: tree b 2.1.40: mail of 1 list was refused, and none taken: toylist",
        "ended with status 67",
        "mail: it bounced",
        "permanent",
    ]);
    // What was deferred before is not said to be taken since.
    add(&stage, &record("toylist", 75, now));
    add(&stage, &refused);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["was deferred", "taken, or refused and bounced"]);
    add(&stage, &record("toylist", 0, now));
    let told = stage.parity(&["check"]).expect(1);
    assert!(!told.stdout.contains("refused"), "{told:?}");
}

#[test]
fn check_tells_of_mail_that_waits_and_of_mail_that_waited() {
    let stage = counted();
    stage.write("status", "1", 0o644);
    stage.deliver(&["post", "toylist"], b"m").expect(75);
    stage.deliver(&["owner", "toylist"], b"m").expect(75);
    stage.parity(&["check"]).expect(2).says(&[
        "CRITICAL: probation: tree b 2.1.40: mail of 1 list was deferred: toylist",
        "ended with status 1",
        "downgrade toylist",
    ]);
    fs::remove_file(stage.path("status")).unwrap();
    stage.deliver(&["post", "toylist"], b"m").expect(0);
    stage.parity(&["check"]).expect(2);
    stage.deliver(&["owner", "toylist"], b"m").expect(0);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: probation: tree b 2.1.40"]);
    // What is over for a day is over.
    let stage = counted();
    let now = Timestamp::now().0;
    add(&stage, &record("toylist", 75, now - 90_000));
    add(&stage, &record("toylist", 0, now - 80_000));
    assert_eq!(stage.parity(&["check"]).expect(0).stdout, "");
}

#[test]
fn no_commit_goes_past_mail_that_waits_unless_it_is_forced() {
    let stage = counted();
    stage.write("status", "1", 0o644);
    stage.deliver(&["post", "toylist"], b"m").expect(75);
    for (words, hint) in [
        (&["commit", "--all"][..], "commit --all --force\n"),
        (&["commit"], "commit --force\n"),
        (&["commit", "--all", "--dry-run"], "commit --all --force\n"),
    ] {
        stage.parity(words).expect(1).complains(&[
            "the last post for toylist",
            "ended with status 1",
            "hint: ",
            hint,
        ]);
    }
    // Each hint leads on, never back to what was refused.
    stage
        .parity(&["commit", "--force"])
        .expect(1)
        .complains(&["commit --all --force\n"]);
    // Nothing moved.
    assert_eq!(status(&stage)["lists"].as_array().unwrap().len(), 1);
    fs::remove_file(stage.path("status")).unwrap();
    // Another verb's success does not heal it.
    stage.deliver(&["owner", "toylist"], b"m").expect(0);
    stage.parity(&["commit", "--all"]).expect(1);
    stage.deliver(&["post", "toylist"], b"m").expect(0);
    stage.parity(&["commit", "--all"]).expect(0);
    let stage = counted();
    stage.write("status", "1", 0o644);
    stage.deliver(&["post", "toylist"], b"m").expect(75);
    stage.parity(&["commit", "--all", "--force"]).expect(0);
    stage
        .parity(&["history"])
        .expect(0)
        .says(&["commit --all --force"]);
}

#[test]
fn logs_that_cannot_be_read_are_no_sign_of_health() {
    let stage = counted();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let path = stage.path(&log(&stage));
    fs::remove_file(&path).unwrap();
    stage.parity(&["commit"]).expect(1).complains(&[
        "is missing: what became of deliveries as ",
        "hint: ",
        "commit --force",
    ]);
    stage
        .parity(&["trust", "b", "--dry-run"])
        .expect(0)
        .says(&["note: ", "is missing"]);
    symlink(stage.path("aliases"), &path).unwrap();
    stage
        .parity(&["commit"])
        .expect(1)
        .complains(&["what became of deliveries is not known", " check\n"]);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["check, then commit"]);
    stage.parity(&["commit", "--force"]).expect(0);
}

#[test]
fn only_what_is_guarded_and_there_speaks_against_a_commit() {
    let stage = counted();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let now = Timestamp::now().0;
    // A list that nobody knows, such as one that was removed.
    add(&stage, &record("gone", 75, now));
    stage.parity(&["commit", "--dry-run"]).expect(0);
    add(&stage, &record("toylist", 75, now));
    stage.parity(&["commit", "--dry-run"]).expect(1);
    stage.parity(&["trust", "b"]).expect(0);
    stage.parity(&["commit"]).expect(0);
}

#[test]
fn deferrals_of_an_earlier_stay_or_on_demand_are_no_trouble() {
    let stage = counted();
    let now = Timestamp::now().0;
    add(&stage, &record("toylist", 75, now - 60));
    let stopped = Record {
        end: End::Stopped(15),
        ..record("toylist", 75, now)
    };
    add(&stage, &stopped);
    assert_eq!(stage.parity(&["check"]).expect(0).stdout, "");
    // It went back to the queue all the same.
    assert_eq!(counts(&stage, "toylist"), (Some(0), Some(1)));
    stage.parity(&["commit", "--all", "--dry-run"]).expect(0);
    // No other signal is ours.
    let killed = Record {
        end: End::Killed(15),
        ..stopped
    };
    add(&stage, &killed);
    stage.parity(&["check"]).expect(2);
}

#[test]
fn lines_that_are_torn_or_forged_are_counted_and_not_believed() {
    let stage = counted();
    let now = Timestamp::now().0;
    add(&stage, &record("toylist", 0, now));
    let mut bytes = fs::read(stage.path(&log(&stage))).unwrap();
    let line = |record: &Record| format!("{record}\n").into_bytes();
    let future = record("toylist", 75, now + 100_000_000);
    let unknown = Record {
        tree: "\u{202e}c".to_owned(),
        ..record("toylist", 75, now)
    };
    bytes.extend([line(&future), line(&unknown)].concat());
    bytes.extend(b"\x1b[2J\n\xff\xfe\n\n");
    bytes.extend([b'x'; 100_000]);
    bytes.extend(b"\n2026-11-22T10:02:11Z\ttoylist\tpost\tb\t2.1.40\t75\tsta");
    fs::write(stage.path(&log(&stage)), &bytes).unwrap();
    assert_eq!(counts(&stage, "toylist"), (Some(1), Some(0)));
    let check = stage.parity(&["check"]).expect(1);
    assert!(!check.stdout.contains('\u{1b}'), "{check:?}");
    check.says(&["WARNING: probation-log: ", "5 lines are none of mm-guard's"]);
}

#[test]
fn a_log_that_is_no_plain_file_is_told_and_not_followed() {
    let stage = counted();
    let path = stage.path(&log(&stage));
    fs::remove_file(&path).unwrap();
    symlink(stage.path("aliases"), &path).unwrap();
    assert_eq!(counts(&stage, "toylist"), (None, None));
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["note: ", "not counted"]);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: probation-log: "]);
    stage
        .parity(&["pin", "reallist1"])
        .expect(0)
        .says(&["note: ", "it is not a plain file"]);
    fs::remove_file(&path).unwrap();
    let done = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(done.unwrap().success());
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["not a plain file"]);
}

#[test]
fn a_large_log_is_turned_over_and_no_line_is_lost() {
    const WRITERS: u64 = 4;
    const LINES: u64 = 3_000;
    let stage = counted();
    let path = stage.path(&log(&stage));
    let now = Timestamp::now().0;
    let line = format!("{}\n", record("reallist1", 0, now));
    fs::write(&path, line.repeat(17 * 1024 * 1024 / line.len())).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..LINES {
                    record("toylist", 0, now).append(&path).unwrap();
                }
            });
        }
        for n in 0..3 {
            let act = ["pin", "unpin"][n % 2];
            stage.parity(&[act, "reallist1"]).expect(0);
        }
    });
    assert!(fs::metadata(&path).unwrap().len() < 17 * 1024 * 1024);
    assert!(path.with_extension("log.1").exists());
    assert_eq!(counts(&stage, "toylist"), (Some(WRITERS * LINES), Some(0)));
    let names = fs::read_dir(stage.path("state/probation")).unwrap().count();
    assert_eq!(names, 2, "something was left behind");
}
