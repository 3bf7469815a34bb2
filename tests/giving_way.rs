//! What ends a move that waits: a signal, or a change that nobody holds up.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Child, Output};

use mm_deliver::doors::Range;

use crate::closing::{begin, is_closed, let_go, with_one_inside};
use crate::deliver::send;
use crate::doors::{close, delivery, inside, mover, put_slow_program, until};
use crate::stage::Stage;

const PARTS: [&str; 3] = ["state/parity.toml", "state/history.jsonl", "aliases"];

fn upgrade(stage: &Stage) -> Child {
    let upgrade = begin(stage, &["upgrade", "toylist", "--closed", "5m"]);
    until("a closed door", || is_closed(stage, "toylist"));
    upgrade
}

#[track_caller]
fn gave_up(upgrade: Child, signal: &str) {
    let Output { status, stderr, .. } = upgrade.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{told}");
    let reason = format!("cannot upgrade: told to end ({signal}) while it waited");
    for words in [&reason, "no list has moved", "the aliases are as they were"] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_signal_ends_the_wait_and_leaves_everything_as_it_was() {
    let (stage, running) = with_one_inside("a");
    let before = PARTS.map(|part| stage.read(part));
    for (signal, name) in [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGTERM, "SIGTERM"),
    ] {
        let upgrade = upgrade(&stage);
        assert_ne!(stage.read("aliases"), before[2], "turned before the wait");
        send(signal, upgrade.id());
        gave_up(upgrade, name);
        assert_eq!(PARTS.map(|part| stage.read(part)), before, "{name}");
        close(&mover(&stage), Range::all_doors());
    }
    let_go(&stage, running);
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn nobody_holds_up_what_takes_lists_back_or_stops_their_mail() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "reallist1"]).expect(0);
    put_slow_program(&stage, "a");
    let running = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, "a") == 1);
    let aliases = stage.read("aliases");
    for words in [
        ["pause", "reallist1"],
        ["downgrade", "reallist1"],
        ["pause", "toylist"],
    ] {
        let upgrade = upgrade(&stage);
        let told = format!("process {}, running \"upgrade toylist\"", upgrade.id());
        stage.parity(&words).expect(0).says(&[
            "note: user ",
            &told,
            "waited, and was told to give way",
        ]);
        gave_up(upgrade, "SIGTERM");
        assert_eq!(stage.read("aliases"), aliases);
        stage.parity(&["resume", "--all"]);
    }
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["3 lists: 3 on current, 0 on future"]);
    let_go(&stage, running);
}

#[test]
fn one_that_was_stopped_as_it_waited_holds_nobody_up() {
    let (stage, running) = with_one_inside("a");
    let upgrade = upgrade(&stage);
    send(libc::SIGSTOP, upgrade.id());
    stage.parity(&["downgrade", "--all"]).expect(0);
    gave_up(upgrade, "SIGTERM");
    let_go(&stage, running);
}

#[test]
fn other_changes_wait_for_their_turn() {
    let (stage, running) = with_one_inside("a");
    let mut upgrade = upgrade(&stage);
    for words in [["upgrade", "reallist1"], ["pin", "reallist1"]] {
        let told = stage.parity(&words).expect(1);
        told.complains(&["running \"upgrade toylist\""]);
    }
    assert!(upgrade.try_wait().unwrap().is_none());
    let_go(&stage, running);
    assert!(upgrade.wait().unwrap().success());
}
