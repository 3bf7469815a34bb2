//! What ends a move that waits: a signal, or a change that nobody holds up.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use mm_deliver::doors::Range;

use crate::closing::{begin, ends_well, is_closed, let_go, still_waits, with_one_inside};
use crate::deliver::send;
use crate::doors::{close, delivery, inside, mover, put_slow_program, until};
use crate::stage::{Stage, spawn};

const PARTS: [&str; 3] = ["state/parity.toml", "state/history.jsonl", "aliases"];

/// Starts with these signals ignored, as nohup does.
#[expect(unsafe_code, reason = "std ignores no signal")]
fn ignoring<'c>(command: &'c mut Command, signals: &'static [i32]) -> &'c mut Command {
    // SAFETY: signal(2) is allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            for &signal in signals {
                libc::signal(signal, libc::SIG_IGN);
            }
            Ok(())
        })
    }
}

fn upgrade(stage: &Stage) -> Child {
    let upgrade = begin(stage, &["upgrade", "toylist", "--closed", "1m"]);
    until("a closed door", || is_closed(stage, "toylist"));
    upgrade
}

#[track_caller]
fn gave_up(upgrade: Child, signal: &str) -> String {
    let Output { status, stderr, .. } = upgrade.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{told}");
    let reason = format!("cannot upgrade: told to end ({signal}) while it waited");
    for words in [&reason, "no list has moved", "the aliases are as they were"] {
        assert!(told.contains(words), "{told}");
    }
    told.into_owned()
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
        let said = gave_up(upgrade, "SIGTERM");
        let by = "while it waited for those inside, by process ";
        assert!(
            said.contains(by) && said.contains(&words.join(" ")),
            "{said}"
        );
        assert_eq!(stage.read("aliases"), aliases);
        stage.parity(&["resume", "--all"]);
    }
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["3 lists: 3 on current, 0 on future"]);
    // Of a pause: what was typed wrong is taken back as fast.
    stage.parity(&["pause", "reallist1"]).expect(0);
    let upgrade = upgrade(&stage);
    stage.parity(&["undo"]).expect(0);
    gave_up(upgrade, "SIGTERM");
    let_go(&stage, running);
}

#[test]
fn what_is_ignored_ends_no_wait() {
    let (stage, running) = with_one_inside("a");
    let mut command = stage.command("mm-parity", &["upgrade", "toylist", "--closed", "1m"]);
    let command = ignoring(&mut command, &[libc::SIGHUP, libc::SIGINT]);
    let mut upgrade = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    until("a closed door", || is_closed(&stage, "toylist"));
    send(libc::SIGHUP, upgrade.id());
    send(libc::SIGINT, upgrade.id());
    still_waits(&mut upgrade);
    let_go(&stage, running);
    ends_well(upgrade);
}

#[test]
fn what_is_refused_anyway_ends_nobodys_wait() {
    let (stage, running) = with_one_inside("a");
    let mut upgrade = upgrade(&stage);
    stage
        .parity(&["downgrade", "toylits"])
        .expect(1)
        .complains(&["toylits"]);
    stage.parity(&["pause", "nosuchlist"]).expect(1);
    stage.parity(&["commit", "--revert"]).expect(1);
    stage
        .parity(&["downgrade", "toylist", "--dry-run"])
        .expect(0);
    still_waits(&mut upgrade);
    let_go(&stage, running);
    ends_well(upgrade);
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
fn one_that_comes_by_the_lock_in_between_gives_way_as_well() {
    let (stage, running) = with_one_inside("a");
    let first = upgrade(&stage);
    // Each of these gets the lock, if it gets it, by the end of another one.
    let words = ["upgrade", "toylist", "--closed", "1m"];
    let others: Vec<Child> = (0..6).map(|_| begin(&stage, &words)).collect();
    stage.parity(&["downgrade", "toylist"]).expect(0);
    for mut upgrade in others {
        // One may have come by it since, and waits for who is inside.
        let _ = upgrade.kill();
        let _ = upgrade.wait();
    }
    gave_up(first, "SIGTERM");
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

#[test]
fn who_stops_a_downgrade_that_waits_is_told_what_stands() {
    let (stage, running) = with_one_inside("b");
    let before = PARTS.map(|part| stage.read(part));
    for (signal, name) in [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM")] {
        let downgrade = begin(&stage, &["downgrade", "toylist", "--drain", "1m"]);
        until("a closed door", || is_closed(&stage, "toylist"));
        send(signal, downgrade.id());
        let Output { status, stderr, .. } = downgrade.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{told}");
        let reason = format!("cannot downgrade: told to end ({name}) while it waited");
        for words in [&reason, "no list has moved", "may be typed again"] {
            assert!(told.contains(words), "{told}");
        }
        assert_eq!(PARTS.map(|part| stage.read(part)), before, "{name}");
        close(&mover(&stage), Range::all_doors());
    }
    let_go(&stage, running);
    stage.parity(&["downgrade", "toylist"]).expect(0);
}
