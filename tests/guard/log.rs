//! The line of a guarded delivery, and logs that cannot be written.

use std::fs;
use std::os::unix::fs::symlink;

use mm_deliver::probation::{End, Record};

use super::Guarded;

fn lines(guarded: &Guarded) -> Vec<Record> {
    let text = fs::read(guarded.path(&guarded.log())).unwrap();
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Record::parse(line).unwrap()).collect()
}

#[test]
fn each_delivery_is_one_line() {
    let guarded = Guarded::new(
        "printf 'Traceback:\\n  File \"x\"\\nImportError: \\033[31mno\\tmodule\\n\\n'; exit $1",
    );
    guarded.run_after("", &["0"], b"m").expect(0);
    guarded.run_after("", &["1"], b"m").expect_kept();
    let lines = lines(&guarded);
    assert_eq!(lines.len(), 2);
    let (good, bad) = (&lines[0], &lines[1]);
    assert_eq!(
        (good.answer, good.end, good.said.as_str()),
        (0, End::Exited(0), "")
    );
    assert_eq!((bad.answer, bad.end), (75, End::Exited(1)));
    assert_eq!(bad.said, "ImportError: ?[31mno?module");
    assert_eq!((bad.tree.as_str(), bad.release.as_str()), ("b", "2.1.40"));
    assert_eq!((bad.list.as_str(), bad.verb.as_str()), ("toylist", "post"));
    assert!(bad.when >= good.when && bad.milliseconds < 60_000);
}

#[test]
fn a_torn_line_does_not_swallow_the_next_one() {
    let guarded = Guarded::new("exit 1");
    let torn = "2026-11-22T10:02:11Z\ttoylist\tpo";
    guarded.stage.write(&guarded.log(), torn, 0o644);
    guarded.run(b"m").expect_kept();
    guarded.run(b"m").expect_kept();
    let text = guarded.stage.read(&guarded.log());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], torn);
    assert!(
        lines[1..]
            .iter()
            .all(|line| Record::parse(line.as_bytes()).is_some())
    );
}

#[test]
fn deliveries_at_once_write_whole_lines() {
    let guarded = Guarded::new("exit 0");
    let mut all: Vec<_> = (0..40).map(|_| guarded.begin("")).collect();
    for child in &mut all {
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(lines(&guarded).len(), 40);
}

#[test]
fn a_log_that_cannot_be_written_changes_nothing() {
    let guarded = Guarded::new("exit $1");
    let log = guarded.path(&guarded.log());
    let both = || {
        guarded.run_after("", &["0"], b"m").expect(0);
        guarded.run_after("", &["1"], b"m").expect_kept();
    };
    fs::remove_file(&log).unwrap();
    both();
    assert!(!log.exists(), "the guard made a log");
    let target = guarded.path("target");
    fs::write(&target, "").unwrap();
    symlink(&target, &log).unwrap();
    both();
    assert_eq!(
        fs::read_to_string(&target).unwrap(),
        "",
        "a link was followed"
    );
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    both();
    fs::remove_dir(&log).unwrap();
    // A pipe without a reader, and then one with: nothing blocks, nothing is written.
    let done = std::process::Command::new("mkfifo").arg(&log).status();
    assert!(done.unwrap().success());
    both();
    fs::remove_file(&log).unwrap();
    fs::remove_dir(guarded.path("state/probation")).unwrap();
    both();
}
