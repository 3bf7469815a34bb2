//! Moves and the deliveries in flight: who is waited for, who is named, and what is left as it
//! was when somebody stays inside.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mm_deliver::doors::Range;

use crate::doors::{close, delivery, door, inside, mover, put_slow_program, set_wait, until};
use crate::stage::{Stage, spawn};

/// A command of mm-parity that goes on by itself.
pub(crate) fn begin(stage: &Stage, words: &[&str]) -> Child {
    let mut command = stage.command("mm-parity", words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    spawn(&mut command)
}

#[track_caller]
pub(crate) fn still_waits(child: &mut Child) {
    thread::sleep(Duration::from_millis(400));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
}

#[track_caller]
pub(crate) fn ends_well(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// A stage with one slow program inside `tree`, for toylist.
pub(crate) fn with_one_inside(tree: &str) -> (Stage, Child) {
    let stage = Stage::new();
    if tree == "b" {
        stage.parity(&["upgrade", "toylist"]).expect(0);
    }
    put_slow_program(&stage, tree);
    let running = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, tree) == 1);
    (stage, running)
}

/// Whether nobody new comes in for the list.
pub(crate) fn is_closed(stage: &Stage, list: &str) -> bool {
    !mover(stage).try_share(door(list)).unwrap()
}

pub(crate) fn let_go(stage: &Stage, mut running: Child) {
    stage.write("go", "", 0o644);
    until("its end", || running.try_wait().unwrap().is_some());
}

#[test]
fn an_upgrade_waits_for_who_is_inside_and_new_ones_wait_for_it() {
    let (stage, running) = with_one_inside("a");
    set_wait(&stage, "1m");
    let mut upgrade = begin(&stage, &["upgrade", "toylist"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    let mut new = delivery(&stage, "toylist");
    still_waits(&mut new);
    // Who is not concerned goes on.
    let other = delivery(&stage, "reallist1");
    until("another list's program", || inside(&stage, "a") == 2);
    assert!(upgrade.try_wait().unwrap().is_none());
    let_go(&stage, running);
    ends_well(upgrade);
    assert!(new.wait().unwrap().success());
    let ran = stage.ran();
    assert_eq!(ran.len(), 1, "{ran:?}");
    assert_eq!(ran[0].tree, "b");
    let_go(&stage, other);
}

#[test]
fn an_upgrade_that_is_held_up_leaves_everything_as_it_was() {
    let (stage, running) = with_one_inside("a");
    let parts = ["state/parity.toml", "state/history.jsonl", "aliases"];
    let before = parts.map(|part| stage.read(part));
    let pid = running.id().to_string();
    let words = ["upgrade", "toylist", "reallist1", "--closed", "200ms"];
    stage.parity(&words).expect(1).complains(&[
        "cannot upgrade: after 200ms still inside: toylist: process ",
        &pid,
        " of user ",
        "a/mail/mailman post toylist",
        "drain reallist1 toylist",
        "the aliases are as they were before",
    ]);
    assert_eq!(parts.map(|part| stage.read(part)), before);
    // The doors are open again.
    close(&mover(&stage), Range::all_doors());
    let_go(&stage, running);
    stage.parity(&words).expect(0);
}

/// A stage with one inside tree a, whose programs run under mm-guard.
fn with_one_guarded_inside() -> (Stage, Child) {
    let stage = Stage::new();
    let text = stage.read("state/parity.toml");
    let text = text.replace("guarded = [\"b\"]", "guarded = [\"a\", \"b\"]");
    stage.write("state/parity.toml", text, 0o644);
    // It records the edit.
    stage.parity(&["pin", "reallist1"]).expect(0);
    put_slow_program(&stage, "a");
    let running = delivery(&stage, "toylist");
    until("a guarded program inside", || inside(&stage, "a") == 1);
    (stage, running)
}

#[test]
fn of_an_upgrade_that_is_held_up_only_what_somebody_edited_meanwhile_stays() {
    let (stage, running) = with_one_guarded_inside();
    let before = stage.read("aliases");
    let parity = stage.read("state/parity.toml");
    let entry = |text: &str, name: &str| -> String {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(&format!("{name}:")));
        line.unwrap().to_owned() + "\n"
    };
    let upgrade = begin(&stage, &["upgrade", "toylist", "--closed", "3s"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    let turned = stage.read("aliases");
    let owner = entry(&turned, "toylist-owner").replace('\n', ", archive@example.org\n");
    let by_hand = |text: &str, was: &str| {
        text.replace(&entry(was, "toylist-owner"), &owner)
            .replace(&entry(was, "toylist-leave"), "")
            + "somebody: else\n"
    };
    // And one entry is as it was before.
    let text = by_hand(&turned, &turned);
    let join = |text: &str| entry(text, "toylist-join");
    stage.write("aliases", text.replace(&join(&text), &join(&before)), 0o644);
    let output = upgrade.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let after = stage.read("aliases");
    assert_eq!(after, by_hand(&before, &before));
    let line = after.lines().position(|line| line == owner.trim_end());
    let path = stage.path("aliases");
    let told = String::from_utf8_lossy(&output.stderr);
    for words in [
        "still inside: toylist: process ",
        "no list has moved",
        "what somebody edited meanwhile stays as it was edited: ",
        &format!("{}:{}:1: toylist-owner", path.display(), line.unwrap() + 1),
        &format!("{}: toylist-leave, which is gone", path.display()),
        "all other aliases are as they were before",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("toylist-join"), "{told}");
    assert_eq!(stage.read("state/parity.toml"), parity);
    let_go(&stage, running);
    // The records are no hindrance: the next one goes on with what stands.
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn a_child_that_keeps_the_descriptor_is_waited_for() {
    let stage = Stage::new();
    let script = format!(
        "#!/bin/sh\n( while [ ! -e '{}' ]; do sleep 0.02; done ) </dev/null >/dev/null 2>&1 &\n",
        stage.path("go").display()
    );
    stage.write("a/mail/mailman", script, 0o755);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    stage
        .parity(&["upgrade", "toylist", "--closed", "200ms"])
        .expect(1)
        .complains(&["still inside: toylist: process "]);
    let mut upgrade = begin(&stage, &["upgrade", "toylist"]);
    still_waits(&mut upgrade);
    stage.write("go", "", 0o644);
    ends_well(upgrade);
}

#[test]
fn overlapping_deliveries_do_not_starve_a_move() {
    let stage = Stage::new();
    set_wait(&stage, "1m");
    for tree in ["a", "b"] {
        let log = stage.path(&format!("ran/{tree}"));
        let script = format!("#!/bin/sh\nsleep 0.1\necho >> '{}'\n", log.display());
        stage.write(&format!("{tree}/mail/mailman"), script, 0o755);
        stage.write(&format!("ran/{tree}"), "", 0o666);
    }
    let stop = AtomicBool::new(false);
    let (started, in_old) = thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut started = 0;
                    while !stop.load(Ordering::Relaxed) {
                        assert!(delivery(&stage, "toylist").wait().unwrap().success());
                        started += 1;
                    }
                    started
                })
            })
            .collect();
        until("traffic", || stage.read("ran/a").len() > 8);
        let upgrade = begin(&stage, &["upgrade", "toylist"]).wait_with_output();
        let in_old = stage.read("ran/a").len();
        // Traffic goes on in the new tree.
        until("traffic", || stage.read("ran/b").len() > 8);
        stop.store(true, Ordering::Relaxed);
        let upgrade = upgrade.unwrap();
        assert!(upgrade.status.success(), "{upgrade:?}");
        let started: usize = senders.into_iter().map(|it| it.join().unwrap()).sum();
        (started, in_old)
    });
    let handled = ["a", "b"].map(|tree| stage.read(&format!("ran/{tree}")).len());
    assert_eq!(handled[0], in_old, "the old tree worked after the upgrade");
    assert_eq!(handled[0] + handled[1], started);
}

#[test]
fn a_mover_that_is_killed_leaves_no_door_closed() {
    let (stage, running) = with_one_inside("a");
    let before = stage.read("state/parity.toml");
    let mut upgrade = begin(&stage, &["upgrade", "toylist"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    close(&mover(&stage), Range::all_doors());
    let new = delivery(&stage, "toylist");
    until("a second program", || inside(&stage, "a") == 2);
    assert_eq!(stage.read("state/parity.toml"), before);
    let_go(&stage, running);
    let_go(&stage, new);
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

/// So many more lists that no move locks their bytes one by one.
fn add_a_thousand(stage: &Stage) {
    for n in 0..1_000 {
        stage.add_list(&format!("list{n}"));
    }
}

#[test]
fn more_than_a_thousand_lists_wait_for_those_inside_them_alone() {
    let (stage, running) = with_one_inside("a");
    add_a_thousand(&stage);
    // A list that stays where it is, such as a pinned one, is in nobody's way.
    let other = delivery(&stage, "reallist1");
    until("a second program", || inside(&stage, "a") == 2);
    let pid = other.id().to_string();
    stage.parity(&["pin", "reallist1"]).expect(0);
    let words = ["upgrade", "--all", "--closed", "200ms"];
    let done = stage.parity(&words).expect(1);
    let done = done.complains(&["still inside: toylist: process ", "drain toylist"]);
    assert!(
        !done.stderr.contains(&format!("process {pid} ")),
        "{done:?}"
    );
    stage
        .parity(&["upgrade", "list*", "--closed", "200ms"])
        .expect(0);
    assert_eq!(inside(&stage, "a"), 2);
    let_go(&stage, running);
    let_go(&stage, other);
    stage.parity(&words).expect(0);
}

#[test]
fn what_runs_for_a_list_that_stays_is_not_ended() {
    let stage = Stage::new();
    add_a_thousand(&stage);
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["pin", "toylist"]).expect(0);
    put_slow_program(&stage, "b");
    let stays = delivery(&stage, "toylist");
    let mut moves = delivery(&stage, "list7");
    until("two programs", || inside(&stage, "b") == 2);
    let (one, other) = (moves.id(), stays.id());
    let done = stage.parity(&["downgrade", "--all", "--now", "--kill"]);
    let done = done
        .expect(0)
        .says(&[&format!("ended: list7: process {one} ")]);
    assert!(
        !done.stdout.contains(&format!("process {other} ")),
        "{done:?}"
    );
    assert_eq!(moves.wait().unwrap().code(), Some(75));
    stage.write("go", "", 0o644);
    assert!(stays.wait_with_output().unwrap().status.success());
}

#[test]
fn a_guard_whose_file_was_replaced_is_still_known() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    put_slow_program(&stage, "b");
    let mut guarded = delivery(&stage, "toylist");
    until("a guarded one", || inside(&stage, "b") == 1);
    let bytes = fs::read(stage.path("bin/mm-guard")).unwrap();
    stage.write("bin/new", bytes, 0o755);
    fs::rename(stage.path("bin/new"), stage.path("bin/mm-guard")).unwrap();
    stage
        .parity(&["downgrade", "toylist", "--now", "--kill"])
        .expect(0)
        .says(&[&format!("ended: toylist: process {} ", guarded.id())]);
    assert_eq!(guarded.wait().unwrap().code(), Some(75));
}

#[test]
fn an_edit_by_hand_during_the_wait_is_not_overwritten() {
    let (stage, running) = with_one_inside("a");
    let aliases = stage.read("aliases");
    let upgrade = begin(&stage, &["upgrade", "toylist"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    let edited = stage.read("state/parity.toml");
    let edited = edited.replace("pinned = []", "pinned = [\n\"reallist1\",\n]");
    stage.write("state/parity.toml", &edited, 0o644);
    let_go(&stage, running);
    let output = upgrade.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("was edited meanwhile"), "{told}");
    assert_eq!(stage.read("state/parity.toml"), edited);
    assert_eq!(stage.read("aliases"), aliases);
    // The edit counts as any other does.
    stage
        .parity(&["upgrade", "toylist"])
        .expect(0)
        .says(&["edited by hand"]);
    assert!(stage.read("state/parity.toml").contains("\"reallist1\""));
}

#[test]
fn a_downgrade_names_who_it_left_running() {
    let (stage, running) = with_one_inside("b");
    let pid = running.id().to_string();
    let told = [
        "left running: toylist: process ",
        &pid,
        "b/mail/mailman post toylist",
    ];
    stage
        .parity(&["downgrade", "toylist", "--drain", "200ms"])
        .expect(0)
        .says(&told);
    // It still runs, and the next message goes to the tree that the list is on.
    assert_eq!(inside(&stage, "b"), 1);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    assert_eq!(stage.ran()[0].tree, "a");
    stage.parity(&["upgrade", "reallist1"]).expect(0);
    stage.parity(&["downgrade", "--all", "--now"]).expect(0);
    let_go(&stage, running);
}

#[test]
fn a_downgrade_ends_by_kill_what_runs_guarded_and_nothing_else() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["trust", "b"]).expect(0);
    put_slow_program(&stage, "b");
    let unguarded = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, "b") == 1);
    let text = stage.read("state/parity.toml");
    let text = text.replace("guarded = []", "guarded = [\"b\"]");
    stage.write("state/parity.toml", text, 0o644);
    let mut guarded = delivery(&stage, "toylist");
    until("a guarded one", || inside(&stage, "b") == 2);
    let (one, other) = (guarded.id(), unguarded.id());
    stage
        .parity(&["downgrade", "toylist", "--now", "--kill"])
        .expect(0)
        .says(&[
            &format!("ended: toylist: process {one} "),
            &format!("left running: toylist: process {other} "),
        ]);
    assert_eq!(guarded.wait().unwrap().code(), Some(75));
    let_go(&stage, unguarded);
}

#[test]
fn undo_waits_as_the_move_that_it_is() {
    // Of an upgrade: as a downgrade.
    let (stage, running) = with_one_inside("b");
    stage
        .parity(&["undo", "--now"])
        .expect(0)
        .says(&["left running: toylist: process "]);
    let_go(&stage, running);
    fs::remove_file(stage.path("go")).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    // Of a downgrade: as an upgrade.
    put_slow_program(&stage, "a");
    let running = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, "a") == 1);
    stage
        .parity(&["undo", "--closed", "200ms"])
        .expect(1)
        .complains(&["cannot undo: after 200ms still inside: toylist: process "]);
    // No list changes trees by a mark or a dry run: nobody is waited for.
    stage.parity(&["pause", "toylist"]).expect(0);
    stage.parity(&["upgrade", "toylist", "--dry-run"]).expect(0);
    let_go(&stage, running);
}

#[test]
fn a_commit_waits_for_nobody() {
    let (stage, running) = with_one_inside("b");
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["commit"]).expect(0);
    stage.parity(&["commit", "--revert"]).expect(0);
    assert_eq!(inside(&stage, "b"), 1);
    let_go(&stage, running);
}

#[test]
fn a_move_that_was_stopped_is_found_and_goes_on() {
    let (stage, running) = with_one_inside("a");
    let mut upgrade = begin(&stage, &["upgrade", "toylist", "--closed", "5m"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    let kill = |signal: &str| {
        let pid = upgrade.id().to_string();
        let done = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(done.unwrap().success());
    };
    kill("-STOP");
    let stat = format!("/proc/{}/stat", upgrade.id());
    let is_stopped = || fs::read_to_string(&stat).unwrap().contains(") T ");
    until("its stop", is_stopped);
    let who = format!("process {} of user ", upgrade.id());
    let mend = format!("kill -CONT {}", upgrade.id());
    let known = [
        "upgrade toylist",
        "keeps doors closed and is stopped",
        &who,
        &mend,
    ];
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: lock: "])
        .says(&known);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["trouble: "])
        .says(&known);
    stage
        .parity(&["upgrade", "reallist1"])
        .expect(1)
        .complains(&["is changing something", "it is stopped", &mend]);
    kill("-CONT");
    // One that goes on, and not for long, is nobody's concern.
    until("its going on", || !is_stopped());
    let done = stage.parity(&["check"]);
    assert!(!done.stdout.contains("lock"), "{done:#?}");
    let_go(&stage, running);
    until("its end", || upgrade.try_wait().unwrap().is_some());
    assert!(upgrade.wait().unwrap().success());
}

#[test]
fn who_came_in_by_a_lock_file_that_was_replaced_is_waited_for_and_named() {
    let (stage, running) = with_one_inside("a");
    stage.write("state/other", "", 0o644);
    fs::rename(stage.path("state/other"), stage.path("state/lock")).unwrap();
    let who = format!("toylist, mail: process {} of user ", running.id());
    stage.parity(&["drain", "toylist"]).expect(0).says(&[&who]);
    let who = format!("still inside: toylist: process {} of user ", running.id());
    let words = ["upgrade", "toylist", "--closed", "200ms"];
    stage.parity(&words).expect(1).complains(&[&who]);
    // A list that nobody is inside for is not held up.
    let other = ["upgrade", "reallist1", "--closed", "200ms"];
    stage.parity(&other).expect(0);
    let_go(&stage, running);
    stage.parity(&words).expect(0);
}

#[test]
fn a_lock_file_that_users_cannot_open_is_to_blame_alone() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let mode = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(stage.path("state/lock"), mode).unwrap();
    };
    for bits in [0o600, 0o000] {
        mode(bits);
        let done = stage.parity(&["check"]).expect(2);
        let done = done.says(&["CRITICAL: lock: ", "chmod 644 it"]);
        assert_eq!(done.stdout.matches("CRITICAL").count(), 1, "{done:#?}");
        assert!(!done.stdout.contains("downgrade"), "{done:#?}");
        let status = stage.parity(&["status"]).expect(0);
        status.says(&["trouble: ", "cannot open it", "chmod 644 it"]);
    }
    mode(0o644);
    assert!(!stage.parity(&["check"]).stdout.contains("lock"));
}

#[test]
fn drain_shows_who_is_inside() {
    let (stage, running) = with_one_inside("a");
    let pid = format!("process {} of user ", running.id());
    let done = stage.parity(&["drain", "ToyList", "reallist1"]).expect(0);
    done.says(&[
        "reallist1: nobody is inside\n",
        &format!("toylist, mail: {pid}"),
        "a/mail/mailman post toylist\"\n",
    ]);
    let lock = mover(&stage);
    close(&lock, Range::all_doors());
    stage
        .parity(&["drain", "reallist1"])
        .expect(0)
        .says(&[&format!(
            "reallist1, door: process {} of user ",
            std::process::id()
        )]);
    stage
        .parity(&["drain", "a/b"])
        .expect(1)
        .complains(&["not a list name: \"a/b\""]);
    let_go(&stage, running);
}

#[test]
fn drain_all_shows_who_is_inside_of_any_list() {
    let (stage, running) = with_one_inside("a");
    // Of one that nothing knows: the tree's program says whether it is.
    let unknown = delivery(&stage, "nosuchlist");
    until("two programs", || inside(&stage, "a") == 2);
    let lines = |command: &str| {
        let done = stage.parity(&["drain", "--all"]).expect(0);
        let lines = done.stdout.lines().filter(|line| line.contains(command));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for (list, delivery, command) in [
        ("toylist", &running, "mailman post toylist\""),
        ("a list that is not known", &unknown, "mailman post nosuch"),
    ] {
        let begin = format!("{list}, mail: process {} of user ", delivery.id());
        let told = lines(command);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&begin), "{told:?}");
        assert!(told[0].contains(", for "), "{told:?}");
    }
    // A move is told of, whether it closes the doors of some lists or of all.
    let lock = mover(&stage);
    for (range, list) in [
        (door("reallist1"), "reallist1"),
        (Range::all_doors(), "all lists"),
    ] {
        close(&lock, range);
        let own = format!("{list}, door: process {} of user ", std::process::id());
        let told = lines(&own);
        assert_eq!(told.len(), 1, "{list}");
        lock.release(range).unwrap();
    }
    drop(lock);
    let_go(&stage, running);
    let_go(&stage, unknown);
    let done = stage.parity(&["drain", "--all"]).expect(0);
    assert_eq!(done.stdout, "nobody is inside\n");
    for words in [&["drain"][..], &["drain", "--all", "toylist"]] {
        stage.parity(words).expect(2);
    }
}

#[test]
fn what_a_process_calls_itself_cannot_reach_the_terminal() {
    let stage = Stage::new();
    put_slow_program(&stage, "a");
    let program = stage.read("a/mail/mailman");
    stage.write("slow", program, 0o755);
    let script = format!(
        "#!/bin/sh\nexec '{}' \"$(printf '\\033[31m\\nred')\"\n",
        stage.path("slow").display()
    );
    stage.write("a/mail/mailman", script, 0o755);
    let running = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, "a") == 1);
    let done = stage.parity(&["drain", "toylist"]).expect(0);
    let done = done.says(&["\\u{1b}[31m\\nred\"\n"]);
    // The program, and the sleep that it starts.
    let of_list = |line: &str| line.starts_with("toylist, mail: process ");
    assert!(done.stdout.lines().all(of_list), "{done:#?}");
    let_go(&stage, running);
}

#[test]
fn without_a_lock_file_nothing_goes_ahead_and_everything_back() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "reallist1"]).expect(0);
    fs::remove_file(stage.path("state/lock")).unwrap();
    let before = (stage.read("state/parity.toml"), stage.read("aliases"));
    for words in [
        &["upgrade", "toylist"][..],
        &["upgrade", "toylist", "--dry-run"],
    ] {
        stage
            .parity(words)
            .expect(1)
            .complains(&["state/lock\" is missing", "hint: ", " init"]);
    }
    assert_eq!(
        (stage.read("state/parity.toml"), stage.read("aliases")),
        before
    );
    stage
        .parity(&["downgrade", "--all"])
        .expect(0)
        .says(&["nobody was waited for", "state/lock\" is missing"]);
    let done = stage.parity(&["check"]).expect(2);
    let done = done.says(&["CRITICAL: lock: ", "mend: mm-parity ", " init"]);
    assert!(done.stdout.contains("the mail of all lists waits (75)"));
    stage.parity(&["init"]).expect(0);
    stage.write("state/lock", "", 0o666);
    stage.parity(&["check"]).expect(1).says(&[
        "WARNING: lock: ",
        "everybody may write it",
        "chmod 644 ",
    ]);
}

#[test]
fn a_dry_run_needs_no_right_to_close_doors() {
    let stage = Stage::new();
    let lock = stage.path("state/lock");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o444)).unwrap();
    let mut command = stage.command("mm-parity", &["upgrade", "toylist", "--dry-run"]);
    // Root may write what nobody may.
    if fs::metadata(&lock).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let done = stage.run(command, b"").expect(0);
    done.says(&["would upgrade 1 list: toylist"]);
}

#[test]
fn times_are_written_with_their_unit() {
    let stage = Stage::new();
    for words in [
        &["upgrade", "toylist", "--closed", "30"][..],
        &["downgrade", "toylist", "--drain", "-1s"],
        &["downgrade", "toylist", "--now", "--drain", "1s"],
    ] {
        stage.parity(words).expect(2);
    }
}

#[test]
fn a_lock_file_that_is_replaced_during_the_wait_opens_the_doors() {
    let stage = Stage::new();
    let entry = crate::queues::put(&stage, "a", "in", 1, "toylist");
    let upgrade = begin(&stage, &["upgrade", "toylist"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    // The wait for the queue begins once the doors are known to be those at this path.
    thread::sleep(Duration::from_millis(300));
    stage.write("state/new", "", 0o644);
    fs::rename(stage.path("state/new"), stage.path("state/lock")).unwrap();
    fs::remove_file(entry).unwrap();
    let output = upgrade.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("it is being replaced"), "{told}");
    stage.parity(&["upgrade", "toylist"]).expect(0);
}
