//! Hooks: what runs with a change, what is taken back where one fails, what a kill leaves.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::closing::{begin, let_go, with_one_inside};
use crate::deliver::send;
use crate::doors::until;
use crate::stage::{Stage, spawn};

/// What the hook of a stage does: it writes down what it was told, and prepares a file for each
/// list. `hang-LIST`, `fail-STEP`, `fail-STEP-LIST` and their like beside it make it misbehave.
const HOOK: &str = r#"#!/bin/sh
cd DIR || exit 1
echo "$MM_STEP $MM_ACT ${MM_LIST:-$(paste -sd, -)} $*" >> told
env > "env-$MM_STEP"
for trouble in "hang-$MM_LIST" "hang-$MM_STEP" "hang-$MM_STEP-$MM_LIST"; do
    [ ! -e "$trouble" ] || { : > hanging; exec sleep 600; }
done
[ ! -e "fail-$MM_STEP-$MM_LIST" ] && [ ! -e "fail-$MM_STEP" ] || { printf 'it is \033[31mbroken\n'; exit 3; }
case $MM_STEP in
    prepare) : > "made-${MM_LIST:-all}"; echo "made ${MM_LIST:-all}" ;;
    undo) rm -f "made-${MM_LIST:-all}" ;;
esac
"#;

/// A stage with hooks; `rows` follow site.toml, HOOK in them is the hook's path.
fn stage(rows: &str) -> Stage {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    hooked(&stage, rows);
    stage
}

fn hooked(stage: &Stage, rows: &str) {
    let dir = stage.dir.display().to_string();
    stage.write("hook", HOOK.replace("DIR", &dir), 0o755);
    let rows = rows.replace("HOOK", &format!("{dir}/hook"));
    stage.write("site.toml", stage.read("site.toml") + &rows, 0o644);
}

const UPGRADE: &str = r#"
[[hooks]]
on = "upgrade"
prepare = ["HOOK", "a b"]
undo = ["HOOK", "u"]
after = ["HOOK"]
"#;

/// What the hook was told so far, each step, act, lists and words; forgotten then.
fn told(stage: &Stage) -> Vec<String> {
    let text = std::fs::read_to_string(stage.path("told")).unwrap_or_default();
    let _ = std::fs::remove_file(stage.path("told"));
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn on_future(stage: &Stage, list: &str) -> bool {
    let text = stage.read("state/parity.toml");
    let rows = text.rsplit("on_future = ").next().unwrap();
    rows.contains(&format!("\"{list}\""))
}

fn history(stage: &Stage) -> Vec<Value> {
    let done = stage.parity(&["history", "--format", "json"]).expect(0);
    let value: Value = serde_json::from_str(&done.stdout).unwrap();
    value["changes"].as_array().unwrap().clone()
}

/// Starts a command and waits until its hook hangs.
fn hanging(stage: &Stage, words: &[&str]) -> Child {
    let child = begin(stage, words);
    until("a hook that hangs", || stage.path("hanging").exists());
    std::fs::remove_file(stage.path("hanging")).unwrap();
    child
}

fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn hooks_come_before_and_after_a_move_and_the_history_has_what_they_said() {
    let stage = stage(UPGRADE);
    stage
        .parity(&["upgrade", "toylist", "reallist1", "--reason", "why not"])
        .expect(0)
        .says(&[
            "reallist1: prepare \"",
            "  made toylist\n",
            "toylist: after \"",
            "upgraded 2 lists",
        ]);
    let both = [
        "prepare upgrade reallist1 a b",
        "prepare upgrade toylist a b",
        "after upgrade reallist1",
        "after upgrade toylist",
    ];
    assert_eq!(told(&stage), both);
    let environment = stage.read("env-prepare");
    let dir = stage.dir.display().to_string();
    for variable in [
        "MM_ACT=upgrade",
        "MM_STEP=prepare",
        "MM_LIST=toylist",
        "MM_LOCAL=toylist",
        "MM_FROM=a",
        "MM_TO=b",
        &format!("MM_FROM_ROOT={dir}/a"),
        &format!("MM_TO_ROOT={dir}/b"),
        &format!("MM_FROM_DATA={dir}/var"),
        "MM_TO_PROFILE=mailman2",
        "MM_FROM_RELEASE=2.1.39",
        "MM_RELEASE=2.1.40",
        &format!("MM_SITE={dir}/site.toml"),
        "MM_GENERATION=2",
        "MM_REASON=why not",
        "MM_COUNT=1",
    ] {
        let mut lines = environment.lines();
        assert!(
            lines.any(|line| line == variable),
            "{variable}: {environment}"
        );
    }
    assert!(!environment.contains("CARGO"), "{environment}");
    let last = history(&stage).pop().unwrap();
    let hooks = last["hooks"].as_array().unwrap();
    assert_eq!(hooks.len(), 4, "{last}");
    assert_eq!(hooks[1]["step"], "prepare");
    assert_eq!(hooks[1]["list"], "toylist");
    assert_eq!(hooks[1]["program"][1], "a b");
    assert_eq!(hooks[1]["output"], "made toylist\n");
    assert_eq!(hooks[1]["end"], "ended with status 0");
    assert!(hooks[1]["milliseconds"].is_u64());
    stage
        .parity(&["history"])
        .expect(0)
        .says(&["hooks: 4 ran\n"]);
    assert!(!stage.path("state/prepared.jsonl").exists());
    let mode = stage.path("state/hooks.jsonl").metadata().unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    // Lists that do not move have no hooks, nor has what moves none.
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["pause", "toylist"]).expect(0);
    assert!(told(&stage).is_empty());
}

#[test]
fn a_trial_says_what_would_run_and_runs_nothing() {
    let stage = stage(UPGRADE);
    let done = stage.parity(&["upgrade", "--all", "--dry-run"]).expect(0);
    let program = stage.path("hook");
    let line = format!("would run the prepare hook {program:?} \"a b\" for each of 3 lists\n");
    done.says(&[&line, "would run the after hook"]);
    assert!(told(&stage).is_empty());
    let none = ["upgrade", "--all", "--no-hooks"];
    stage
        .parity(&none)
        .expect(0)
        .says(&["its upgrade hooks were not run (--no-hooks)"]);
    assert!(told(&stage).is_empty());
}

#[test]
fn a_failure_takes_back_what_was_prepared_in_reverse_order_and_nothing_has_moved() {
    let stage = stage(UPGRADE);
    stage.write("fail-prepare-reallist2", "", 0o644);
    let parts = ["state/parity.toml", "state/history.jsonl", "aliases"];
    let before = parts.map(|part| stage.read(part));
    let line = stage
        .read("site.toml")
        .lines()
        .position(|line| line.contains("on = \"up"));
    let line = format!("site.toml:{})", line.unwrap() + 1);
    let done = stage.parity(&["upgrade", "--all"]).expect(1).complains(&[
        "cannot upgrade: prepare hook \"",
        &line,
        "for reallist2: ended with status 3: it is ?[31mbroken",
        "hint: taken back by its undo hook: ",
        "for reallist1, reallist2\n",
    ]);
    assert!(!done.stderr.contains('\u{1b}'), "{done:?}");
    let undone = [
        "prepare upgrade reallist1 a b",
        "prepare upgrade reallist2 a b",
        "undo upgrade reallist2 u",
        "undo upgrade reallist1 u",
    ];
    assert_eq!(told(&stage), undone);
    assert!(!stage.path("made-reallist1").exists());
    assert_eq!(parts.map(|part| stage.read(part)), before);
    assert!(!stage.path("state/prepared.jsonl").exists());
}

#[test]
fn a_move_that_fails_after_its_hooks_has_them_taken_back() {
    let (stage, running) = with_one_inside("a");
    hooked(&stage, UPGRADE);
    stage
        .parity(&["upgrade", "toylist", "--closed", "100ms"])
        .expect(1)
        .complains(&["still inside", "taken back by its undo hook"]);
    assert!(!stage.path("made-toylist").exists());
    assert_eq!(told(&stage).len(), 2);
    let_go(&stage, running);
}

#[test]
fn an_undo_that_fails_is_named_stops_no_other_and_can_be_typed_again() {
    let stage = stage(UPGRADE);
    stage.write("fail-prepare-toylist", "", 0o644);
    stage.write("fail-undo-reallist2", "", 0o644);
    stage.parity(&["upgrade", "--all"]).expect(3).complains(&[
        "for toylist: ended with status 3",
        "undo hook ",
        "for reallist2: ended with status 3: it is",
        "for reallist1, toylist",
        "undo --prepared",
    ]);
    assert!(stage.path("made-reallist2").exists() && !stage.path("made-reallist1").exists());
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: hook-left: hooks were left behind for reallist2 by \"upgrade --all\""]);
    // What takes lists back only says so, and is not held up.
    told(&stage);
    stage
        .parity(&["pause", "toylist"])
        .expect(0)
        .says(&["note: hooks were left behind for reallist2"]);
    assert!(told(&stage).is_empty());
    let again = ["undo", "--prepared"];
    stage.parity(&again).expect(1).complains(&["for reallist2"]);
    std::fs::remove_file(stage.path("fail-undo-reallist2")).unwrap();
    let trial = ["undo", "--prepared", "--dry-run"];
    stage.parity(&trial).expect(0).says(&["would take back"]);
    stage
        .parity(&again)
        .expect(0)
        .says(&["taken back by its undo hook"]);
    assert!(!stage.path("made-reallist2").exists());
    stage.parity(&again).expect(0).says(&["nothing to do"]);
}

#[test]
fn a_hook_that_hangs_is_ended_at_its_limit() {
    let stage = stage(&format!("{UPGRADE}limit = \"300ms\"\n"));
    stage.write("hang-toylist", "", 0o644);
    stage.parity(&["upgrade", "toylist"]).expect(3).complains(&[
        "prepare hook",
        "was still running at its time limit",
        // The undo hangs as well.
        "undo hook",
    ]);
    assert!(!on_future(&stage, "toylist"));
}

#[test]
fn a_signal_while_hooks_run_is_a_failure() {
    let stage = stage(UPGRADE);
    stage.write("hang-toylist", "", 0o644);
    let upgrade = hanging(&stage, &["upgrade", "reallist1", "toylist"]);
    std::fs::remove_file(stage.path("hang-toylist")).unwrap();
    send(libc::SIGINT, upgrade.id());
    let (status, said) = end(upgrade);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("told to end (SIGINT) while its hooks ran"),
        "{said}"
    );
    assert!(said.contains("taken back by its undo hook"), "{said}");
    assert_eq!(
        told(&stage)[2..],
        ["undo upgrade toylist u", "undo upgrade reallist1 u"]
    );
    assert!(!on_future(&stage, "reallist1"));
}

#[test]
fn what_goes_first_is_not_held_up_by_hooks_nor_by_their_undo() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "reallist2"]).expect(0);
    hooked(&stage, UPGRADE);
    stage.write("hang-toylist", "", 0o644);
    let upgrade = hanging(&stage, &["upgrade", "reallist1", "toylist"]);
    // Its prepare is ended; its undo, which would hang, waits until the lock is free.
    stage
        .parity(&["downgrade", "reallist2"])
        .expect(0)
        .says(&["waited, and was told to give way"]);
    assert!(!on_future(&stage, "reallist2"));
    until("the undo", || stage.path("hanging").exists());
    stage.parity(&["pause", "reallist2"]).expect(0);
    let (status, said) = end(upgrade);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("is taken back by: "), "{said}");
    std::fs::remove_file(stage.path("hang-toylist")).unwrap();
    assert!(stage.path("made-reallist1").exists());
    stage.parity(&["undo", "--prepared"]).expect(0);
    assert!(!stage.path("made-reallist1").exists());
}

#[test]
fn a_kill_while_hooks_run_is_found_out_and_taken_back_when_it_is_typed() {
    let stage = stage(UPGRADE);
    stage.write("hang-toylist", "", 0o644);
    let mut upgrade = hanging(&stage, &["upgrade", "reallist1", "toylist"]);
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    std::fs::remove_file(stage.path("hang-toylist")).unwrap();
    assert!(stage.path("made-reallist1").exists());
    let left = "hooks were left behind for reallist1, toylist by \"upgrade reallist1 toylist\"";
    stage.parity(&["check"]).expect(1).says(&[left]);
    // The same again prepares it again; of what it does not move, nothing is taken for granted.
    stage
        .parity(&["upgrade", "toylist"])
        .expect(0)
        .says(&[left]);
    told(&stage);
    stage
        .parity(&["undo", "--prepared"])
        .expect(0)
        .says(&["taken back by its undo hook: ", "for reallist1\n"]);
    assert_eq!(told(&stage), ["undo upgrade reallist1 u"]);
    assert!(stage.path("made-toylist").exists() && !stage.path("made-reallist1").exists());
    stage.parity(&["check"]).expect(0);
}

#[test]
fn what_a_list_is_served_by_is_never_taken_back() {
    let stage = stage(UPGRADE);
    stage.write("hang-toylist", "", 0o644);
    let mut upgrade = hanging(&stage, &["upgrade", "toylist"]);
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    stage.write("made-toylist", "", 0o644);
    stage
        .parity(&["upgrade", "toylist", "--no-hooks"])
        .expect(0);
    told(&stage);
    stage
        .parity(&["undo", "--prepared"])
        .expect(0)
        .says(&["the change stands"]);
    assert!(told(&stage).is_empty());
    assert!(!stage.path("state/prepared.jsonl").exists());
}

#[test]
fn a_failure_after_the_change_is_named_with_what_to_type_and_the_change_stands() {
    let stage = stage(UPGRADE);
    stage.write("fail-after-reallist1", "", 0o644);
    let done = stage.parity(&["upgrade", "reallist1", "toylist"]).expect(3);
    let done = done.says(&["upgraded 2 lists"]).complains(&[
        "the change is made, but: after hook",
        "for reallist1: ended with status 3",
        "hint: again: env MM_ACT=upgrade MM_STEP=after ",
    ]);
    assert!(on_future(&stage, "reallist1"));
    let line = done
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("hint: again: "));
    std::fs::remove_file(stage.path("fail-after-reallist1")).unwrap();
    told(&stage);
    let mut again = std::process::Command::new("/bin/sh");
    let status = spawn(again.args(["-c", line.unwrap()]).stdout(Stdio::null())).wait();
    assert!(status.unwrap().success());
    assert_eq!(told(&stage), ["after upgrade reallist1"]);
    stage
        .parity(&["history"])
        .expect(0)
        .says(&["hooks: 4 ran, 1 failed"]);
}

#[test]
fn a_kill_while_an_after_hook_runs_is_told_and_takes_nothing_back() {
    let stage = stage(UPGRADE);
    stage.write("hang-after", "", 0o644);
    let mut upgrade = hanging(&stage, &["upgrade", "toylist"]);
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    assert!(on_future(&stage, "toylist"));
    told(&stage);
    stage.parity(&["check"]).expect(1).says(&["hook-left"]);
    stage
        .parity(&["undo", "--prepared"])
        .expect(0)
        .says(&["its after hook did not end, and is not run again"]);
    assert!(told(&stage).is_empty());
    stage.parity(&["check"]).expect(0);
}

#[test]
fn nothing_that_goes_back_is_refused_or_held_up_by_its_hooks() {
    let stage = stage(&UPGRADE.replace("upgrade", "downgrade"));
    stage.parity(&["upgrade", "--all"]).expect(0);
    assert!(told(&stage).is_empty());
    stage.write("hang-prepare-reallist1", "", 0o644);
    let words = ["downgrade", "--all", "--drain", "300ms"];
    stage.parity(&words).expect(3).complains(&[
        "the change is made, but: prepare hook",
        "for reallist1: was still running at its time limit",
        "for toylist: not run: it would have held the change up",
    ]);
    assert!(!on_future(&stage, "reallist1"));
    let told = told(&stage);
    assert!(
        !told.iter().any(|line| line.starts_with("undo")),
        "{told:?}"
    );
    std::fs::remove_file(stage.path("hang-prepare-reallist1")).unwrap();
    // Rows that cannot be read, and programs that are gone.
    for text in [
        "\n[[hooks]]\non = 1\n",
        "\n[[hooks]]\non = \"downgrade\"\nprepare = [\"/gone\"]\n",
    ] {
        stage.parity(&["upgrade", "toylist"]).expect(0);
        let before = stage.read("site.toml");
        stage.write("site.toml", before.clone() + text, 0o644);
        stage.parity(&["downgrade", "toylist"]).expect(3);
        assert!(!on_future(&stage, "toylist"));
        stage.write("site.toml", before, 0o644);
    }
    stage.parity(&["undo"]).expect(0);
    stage
        .parity(&["downgrade", "toylist", "--no-hooks"])
        .expect(0);
}

#[test]
fn undo_runs_the_hooks_of_the_way_that_lists_go() {
    let downgrade = UPGRADE.replace("upgrade", "downgrade");
    let stage = stage(&format!("{UPGRADE}{downgrade}"));
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    told(&stage);
    stage.parity(&["undo"]).expect(0);
    assert_eq!(
        told(&stage),
        ["prepare upgrade toylist a b", "after upgrade toylist"]
    );
    stage.parity(&["undo"]).expect(0);
    assert_eq!(told(&stage)[0], "prepare downgrade toylist a b");
}

#[test]
fn a_commit_and_its_revert_have_hooks_and_those_of_a_command_get_the_lists_to_read() {
    let rows = "\n[[hooks]]\non = \"commit\"\nprepare = [\"HOOK\"]\nundo = [\"HOOK\"]\n\
                [[hooks]]\non = \"revert\"\nafter = [\"HOOK\"]\n\
                [[hooks]]\non = \"upgrade\"\neach = \"command\"\nprepare = [\"HOOK\"]\nundo = [\"HOOK\"]\n";
    let stage = stage(rows);
    stage.write("fail-prepare", "", 0o644);
    stage.parity(&["upgrade", "--all"]).expect(1);
    let all = "reallist1,reallist2,toylist";
    assert_eq!(
        told(&stage),
        [
            format!("prepare upgrade {all}"),
            format!("undo upgrade {all}")
        ]
    );
    std::fs::remove_file(stage.path("fail-prepare")).unwrap();
    stage.parity(&["upgrade", "--all"]).expect(0);
    told(&stage);
    stage.write("fail-prepare", "", 0o644);
    stage.parity(&["commit"]).expect(1);
    assert_eq!(told(&stage), ["prepare commit", "undo commit"]);
    std::fs::remove_file(stage.path("fail-prepare")).unwrap();
    stage.parity(&["commit"]).expect(0);
    assert_eq!(told(&stage), ["prepare commit"]);
    stage.parity(&["commit", "--revert"]).expect(0);
    assert_eq!(told(&stage), ["after revert"]);
}

#[test]
fn a_hook_that_others_could_have_changed_refuses_and_is_told_with_its_line() {
    let stage = stage(UPGRADE);
    let line = stage
        .read("site.toml")
        .lines()
        .position(|line| line.contains("on = \"up"));
    let line = line.unwrap() + 1;
    for (mode, what) in [
        (0o777, "everybody may write it"),
        (0o775, "may write it"),
        (0o644, "it is not executable"),
    ] {
        std::fs::set_permissions(stage.path("hook"), std::fs::Permissions::from_mode(mode))
            .unwrap();
        stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
            "cannot upgrade: hook \"",
            what,
            "--no-hooks",
        ]);
        stage.parity(&["check"]).expect(1).says(&[
            "WARNING: hook: prepare hook",
            what,
            &format!("site.toml:{line}: "),
        ]);
    }
    std::fs::remove_file(stage.path("hook")).unwrap();
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["No such file"]);
    assert!(told(&stage).is_empty());
    assert!(!on_future(&stage, "toylist"));
}

#[test]
fn no_mail_waits_for_what_is_wrong_with_a_hook() {
    let stage = stage("\n[[hooks]]\non = \"upgrade\"\nafter = \"no list\"\n");
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    assert_eq!(stage.ran().len(), 1);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: hook: "]);
    let upgrade = ["upgrade", "toylist"];
    stage
        .parity(&upgrade)
        .expect(1)
        .complains(&["site.toml:", "cannot upgrade"]);
}

#[test]
fn what_hooks_print_is_kept_to_an_end() {
    let stage = stage(UPGRADE);
    let text = "#!/bin/sh\nyes line | head -n 100000\necho \"end of $MM_LIST\"\n";
    stage.write("hook", text, 0o755);
    for n in 0..20 {
        stage.add_list(&format!("list{n}"));
    }
    stage.parity(&["upgrade", "--all"]).expect(0);
    let last = history(&stage).pop().unwrap();
    let hooks = last["hooks"].as_array().unwrap();
    let outputs: Vec<&str> = hooks
        .iter()
        .map(|ran| ran["output"].as_str().unwrap())
        .collect();
    assert!(outputs.iter().all(|output| output.len() <= 1024));
    assert!(outputs[0].ends_with("end of list0\n"), "{outputs:?}");
    let kept = outputs.iter().filter(|output| output.contains("line\n"));
    assert_eq!(kept.count(), 8);
}

const INSTALL: &str = r#"
[[hooks]]
on = "install"
prepare = ["HOOK"]
undo = ["HOOK", "u"]
after = ["HOOK"]
"#;

fn is_future(stage: &Stage, state: &str) -> bool {
    let word = format!("state = \"{state}\"");
    stage.read("state/parity.toml").contains(&word)
}

#[test]
fn an_install_is_prepared_before_its_mark_and_what_comes_after_waits_until_it_is_ready() {
    let stage = stage(INSTALL);
    let trial = ["install", "--begin", "--dry-run"];
    stage
        .parity(&trial)
        .expect(0)
        .says(&["would run the prepare hook ", "would run the after hook "]);
    assert!(told(&stage).is_empty());
    stage.write("fail-prepare", "", 0o644);
    let before = stage.read("state/parity.toml");
    stage.parity(&["install", "--begin"]).expect(1).complains(&[
        "cannot install: prepare hook \"",
        "ended with status 3",
        "nothing was changed",
        "taken back by its undo hook",
    ]);
    assert_eq!(told(&stage), ["prepare install", "undo install  u"]);
    assert_eq!(stage.read("state/parity.toml"), before);
    assert!(!stage.path("state/installing.json").exists());
    std::fs::remove_file(stage.path("fail-prepare")).unwrap();
    stage.parity(&["install", "--begin"]).expect(0);
    assert_eq!(told(&stage), ["prepare install"]);
    assert!(stage.read("env-prepare").contains("MM_TO=b\n"));
    // An install that goes on is prepared, and nobody complains of it.
    stage.parity(&["install", "--begin"]).expect(0);
    stage.parity(&["check"]).expect(0);
    let paused = stage.parity(&["pause", "toylist"]).expect(0);
    assert!(!paused.stdout.contains("left behind"), "{paused:?}");
    stage
        .parity(&["undo", "--prepared"])
        .expect(0)
        .says(&["nothing to do", "install that is under way stays"]);
    assert!(told(&stage).is_empty() && stage.path("made-all").exists());
    let text = "VERSION = \"2.1.41\"\n";
    stage.write("b/Mailman/Version.py", text, 0o644);
    stage.write("fail-after", "", 0o644);
    stage
        .parity(&["install", "--end"])
        .expect(3)
        .says(&["installed 2.1.41 in tree b"])
        .complains(&["the change is made, but: after hook", "hint: again: env "]);
    assert_eq!(told(&stage), ["after install"]);
    assert!(stage.read("env-after").contains("MM_RELEASE=2.1.41\n"));
    assert!(is_future(&stage, "ready") && stage.path("made-all").exists());
    assert!(!stage.path("state/prepared.jsonl").exists());
    // What was installed was served by it.
    stage.parity(&["undo"]).expect(0);
    assert!(told(&stage).is_empty());
}

#[test]
fn an_install_that_breaks_or_is_taken_back_takes_back_what_was_prepared() {
    let stage = stage(INSTALL);
    stage.parity(&["install", "--begin"]).expect(0);
    told(&stage);
    stage
        .parity(&["undo", "--dry-run"])
        .expect(0)
        .says(&["would take back: prepare hook "]);
    assert!(told(&stage).is_empty());
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["taken back by its undo hook"]);
    assert_eq!(told(&stage), ["undo install  u"]);
    assert!(!stage.path("made-all").exists());
    stage.parity(&["install", "--begin"]).expect(0);
    stage.remove_program("b");
    stage
        .parity(&["install", "--end"])
        .expect(3)
        .complains(&["tree b is broken", "taken back by its undo hook"]);
    assert_eq!(told(&stage), ["prepare install", "undo install  u"]);
    assert!(!stage.path("state/prepared.jsonl").exists());
    // None is run where none is wanted; what stays is named.
    stage.put_program("b");
    stage.parity(&["install", "--begin"]).expect(0);
    stage
        .parity(&["undo", "--no-hooks"])
        .expect(0)
        .says(&["undo --prepared"]);
    assert_eq!(told(&stage), ["prepare install"]);
    stage.parity(&["check"]).expect(1).says(&["hook-left"]);
    stage.parity(&["undo", "--prepared"]).expect(0);
    assert_eq!(told(&stage), ["undo install  u"]);
    stage
        .parity(&["install", "--begin", "--no-hooks"])
        .expect(0)
        .says(&["its install hooks were not run (--no-hooks)"]);
    assert!(told(&stage).is_empty());
}

#[test]
fn an_install_that_was_killed_before_its_mark_is_not_taken_for_one_that_stands() {
    let stage = stage(INSTALL);
    stage.write("hang-prepare", "", 0o644);
    let mut install = hanging(&stage, &["install", "--begin"]);
    install.kill().unwrap();
    install.wait().unwrap();
    // The tree is as ready as it was, and the number of the change is another one's.
    assert!(is_future(&stage, "ready"));
    stage
        .parity(&["pause", "toylist"])
        .expect(0)
        .says(&["note: hooks were left behind by \"install --begin\""]);
    told(&stage);
    stage
        .parity(&["undo", "--prepared"])
        .expect(0)
        .says(&["taken back by its undo hook"]);
    assert_eq!(told(&stage), ["undo install  u"]);
}
