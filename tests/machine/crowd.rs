//! Twenty overlapping deliveries on each of a thousand lists while all of them move at once.
//!
//! Needs a C compiler, and no root. A line that starts with `|` is a figure; no test hangs on
//! one.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::stage::{Stage, spawn};

const LISTS: usize = 1_000;
const EACH: usize = 20;
/// So many at once: more would be a test of the machine's memory.
const AT_ONCE: usize = 600;

fn tree(stage: &Stage, tree: &str) {
    stage.write(&format!("ran/{tree}"), "", 0o666);
    let done = Command::new("gcc")
        .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
        .arg(stage.path(&format!("{tree}/mail/mailman")))
        .arg(format!(
            "-DLOG=\"{}\"",
            stage.path(&format!("ran/{tree}")).display()
        ))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/machine/crowd.c"
        ))
        .status();
    assert!(done.unwrap().success());
}

fn delivery(stage: &Stage, list: usize, number: usize) -> Child {
    let mut command = stage.command("mm-deliver", &["post", &format!("list{list}")]);
    command
        .env("EXTENSION", number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    spawn(&mut command)
}

fn lines(stage: &Stage, tree: &str) -> Vec<String> {
    let text = fs::read_to_string(stage.path(&format!("ran/{tree}"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn crowd_twenty_deliveries_on_each_of_a_thousand_lists_while_all_move() {
    let stage = Stage::new();
    for n in 0..LISTS {
        stage.add_list(&format!("list{n}"));
    }
    let site = stage.read("site.toml") + "wait = \"10m\"\n";
    stage.write("site.toml", site, 0o644);
    for name in ["a", "b"] {
        tree(&stage, name);
    }
    let mut inside = VecDeque::new();
    let mut mover = None;
    for list in 0..LISTS {
        // In the midst of the traffic.
        if list == LISTS / 2 {
            mover = Some(begin_to_move(&stage));
        }
        for number in 0..EACH {
            inside.push_back(delivery(&stage, list, number));
        }
        while inside.len() > AT_ONCE {
            ends_well(inside.pop_front().unwrap());
        }
    }
    inside.into_iter().for_each(ends_well);
    let (in_old, took) = mover.unwrap().join().unwrap();
    judge(&stage, in_old, took);
}

fn ends_well(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

/// Returns what the old tree had handled when the move was done, and how long that took.
fn begin_to_move(stage: &Stage) -> thread::JoinHandle<(usize, Duration)> {
    let mut command = stage.command("mm-parity", &["upgrade", "--all", "--closed", "10m"]);
    command.stdout(Stdio::null());
    let begin = Instant::now();
    let mut child = spawn(&mut command);
    let old = stage.path("ran/a");
    thread::spawn(move || {
        assert!(child.wait().unwrap().success());
        let text = fs::read_to_string(old).unwrap();
        (text.lines().count(), begin.elapsed())
    })
}

fn judge(stage: &Stage, in_old: usize, took: Duration) {
    let (old, new) = (lines(stage, "a"), lines(stage, "b"));
    let handled: HashSet<&String> = old.iter().chain(&new).collect();
    println!(
        "| {} messages on the old tree, {} on the new one; upgrade --all of {LISTS} lists took {:.1} s",
        old.len(),
        new.len(),
        took.as_secs_f64()
    );
    assert_eq!(old.len(), in_old, "the old tree worked after the upgrade");
    assert_eq!(old.len() + new.len(), LISTS * EACH, "lost or doubled");
    assert_eq!(handled.len(), LISTS * EACH, "lost and doubled");
    assert!(!old.is_empty() && !new.is_empty(), "all at one time");
}
