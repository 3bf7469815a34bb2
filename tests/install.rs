//! mm-parity install, its two halves, and may-install: what may be installed when, what is tested,
//! and what is left when it is taken back. What runs a command needs root and is in `machine`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::stage::{Stage, spawn};

/// The future tree's state, its release, and whether it is guarded.
fn future(stage: &Stage) -> String {
    let done = stage.parity(&["status", "--format", "json"]).expect(0);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let future = &value["future"];
    let guarded = if future["guarded"] == true {
        ", guarded"
    } else {
        ""
    };
    let word = |key: &str| future[key].as_str().unwrap().to_owned();
    format!("{} {}{guarded}", word("state"), word("release"))
}

fn put_release(stage: &Stage, tree: &str, release: &str) {
    let text = format!("VERSION = \"{release}\"\n");
    stage.write(&format!("{tree}/Mailman/Version.py"), text, 0o644);
}

#[test]
fn a_begun_install_takes_no_lists_and_its_end_makes_the_tree_ready_and_guarded() {
    let stage = Stage::new();
    stage.parity(&["trust", "b"]).expect(0);
    stage.parity(&["install", "--end"]).expect(1).complains(&[
        "cannot install: no install is under way",
        "the future tree is ready",
    ]);
    stage
        .parity(&["install", "--begin", "--dry-run"])
        .expect(0)
        .says(&["tree b would be marked installing", "nothing was changed"]);
    assert_eq!(future(&stage), "ready 2.1.40");
    stage
        .parity(&["install", "--begin", "--reason", "the spring release"])
        .expect(0)
        .says(&[
            "tree b is marked installing: it takes no lists",
            "install --end",
            "nothing is read-only",
            "the way back: ",
            "undo",
        ]);
    assert_eq!(future(&stage), "installing 2.1.40");
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["tree b is installing"]);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["install COMMAND again", "install --end", "back: "]);
    put_release(&stage, "b", "2.1.41");
    stage.parity(&["install", "--end"]).expect(0).says(&[
        "installed 2.1.41 in tree b: lists may move there",
        "tree b is guarded",
        "next: ",
        "upgrade LIST",
        "the way back: ",
    ]);
    assert_eq!(future(&stage), "ready 2.1.41, guarded");
    assert!(!stage.path("state/installing.json").exists());
    stage
        .parity(&["history"])
        .expect(0)
        .says(&["install --begin  (the spring release)\n", "install --end\n"]);
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn a_tree_that_fails_its_tests_is_broken_until_it_is_mended() {
    let stage = Stage::new();
    stage.parity(&["install", "--begin"]).expect(0);
    put_release(&stage, "b", "2.1.41");
    // The group is not the MTA's; an older release's program is left; a program is missing.
    let wrapper = stage.read("b/mail/mailman");
    stage.write(
        "b/mail/mailman",
        "#!/bin/sh\necho 'Group mismatch error.' >&2\nexit 2\n",
        0o755,
    );
    stage.write(
        "b/bin/version",
        "#!/bin/sh\necho Using Mailman version: 2.1.40\n",
        0o755,
    );
    fs::remove_file(stage.path("b/bin/qrunner")).unwrap();
    stage.parity(&["install", "--end"]).expect(3).complains(&[
        "b/bin/qrunner",
        "\"post\"",
        "ended with status 2, not with 1; it said \"Group mismatch error.\"",
        "the wrapper takes the MTA's group",
        "it does not say what matches \"2\\\\.1\\\\.41",
        "tree b is broken: it takes no lists; all lists and their mail are where they were",
        "hint: mend it, then: ",
        "verify; or install again: ",
    ]);
    assert_eq!(future(&stage), "broken 2.1.41, guarded");
    stage.parity(&["upgrade", "toylist"]).expect(1);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["next: mend tree b, then ", "verify"]);
    // The very tests again: nothing changes as long as they fail.
    stage.parity(&["verify"]).expect(1).complains(&["qrunner"]);
    stage.put_program("b");
    assert_eq!(stage.read("b/mail/mailman"), wrapper);
    stage
        .parity(&["verify"])
        .expect(0)
        .says(&["verified tree b 2.1.41"]);
    assert_eq!(future(&stage), "ready 2.1.41, guarded");
}

/// The next release may not read what this one is about to send, or tries again.
#[test]
fn an_install_is_refused_while_a_message_goes_out_or_is_tried_again() {
    let stage = Stage::new();
    for queue in ["out", "retry", "archive"] {
        let entry = format!("b/qfiles/{queue}/1795867331.5+{}.pck", "0".repeat(40));
        stage.make_dir(&format!("b/qfiles/{queue}"));
        stage.write(&entry, "(dp0\n.", 0o644);
        stage
            .parity(&["install", "--begin", "--dry-run"])
            .expect(1)
            .complains(&["tree b took 1 message and has not handled it: ", &entry]);
        std::fs::remove_file(stage.path(&entry)).unwrap();
    }
    // What it put aside waits for a person.
    stage.make_dir("b/qfiles/shunt");
    let entry = format!("b/qfiles/shunt/1795867331.5+{}.pck", "0".repeat(40));
    stage.write(&entry, "(dp0\n.", 0o644);
    stage.parity(&["install", "--begin", "--dry-run"]).expect(0);
}

#[test]
fn an_install_is_refused_with_every_reason() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.make_dir("b/qfiles/in");
    let entry = format!("b/qfiles/in/1795867331.5+{}.pck", "0".repeat(40));
    stage.write(&entry, "(dp0\nS'listname'\np1\nS'reallist1'\n", 0o644);
    let mut sleeper = Command::new("sleep");
    sleeper.arg("600").current_dir(stage.path("b/bin"));
    let mut sleeper = spawn(&mut sleeper);
    let before = stage.read("state/parity.toml");
    let refused = stage.parity(&["install", "--begin"]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    refused.expect(1).complains(&[
        "1 list on tree b, in which it would be installed: toylist",
        "1 process in tree b: process ",
        "\"sleep 600\"",
        "tree b took 1 message and has not handled it: ",
        "hint: ",
        "downgrade --all",
        "hint: stop what runs in tree b",
    ]);
    assert_eq!(stage.read("state/parity.toml"), before);
    fs::remove_file(stage.path(&entry)).unwrap();
    stage.parity(&["downgrade", "--all"]).expect(0);
    stage.parity(&["install", "--begin"]).expect(0);
}

#[test]
fn a_list_that_an_install_converts_makes_the_tree_broken() {
    let stage = Stage::new();
    stage.parity(&["install", "--begin"]).expect(0);
    let converted = b"}q\x01(U\x0cdata_versionq\x02K\x71U";
    stage.write("var/lists/toylist/config.pck", converted, 0o644);
    // What was before the first beginning counts.
    stage
        .parity(&["install", "--begin"])
        .expect(0)
        .says(&["an install that had no end goes on"]);
    stage.parity(&["install", "--end"]).expect(3).complains(&[
        "the data of 1 list changed their version: toylist (112 to 113)",
        "tree b is broken",
    ]);
    assert_eq!(future(&stage), "broken 2.1.40, guarded");
}

#[test]
fn an_install_that_is_taken_back_leaves_no_tree_that_lists_could_move_to() {
    let stage = Stage::new();
    stage.parity(&["install", "--begin"]).expect(0);
    stage.parity(&["pause", "toylist"]).expect(0);
    put_release(&stage, "b", "2.1.41");
    stage.parity(&["install", "--end"]).expect(0);
    stage.parity(&["undo"]).expect(0).says(&[
        "the files of tree b are as the install left them",
        "the release before, \"2.1.40\", must be installed there again: ",
        "one change further back (\"pause toylist\")",
    ]);
    assert_eq!(future(&stage), "empty ");
    stage.parity(&["upgrade", "toylist"]).expect(1);
    // The beginning went with the end.
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["resumed: toylist"]);
    stage
        .parity(&["undo"])
        .expect(1)
        .complains(&["no change is left"]);
    // A beginning alone, too; and what ends then ends nothing.
    stage.parity(&["install", "--begin"]).expect(0);
    stage.parity(&["undo"]).expect(0);
    assert_eq!(future(&stage), "empty ");
    stage
        .parity(&["install", "--end"])
        .expect(1)
        .complains(&["or it was taken back"]);
    stage.parity(&["verify"]).expect(0);
    assert_eq!(future(&stage), "ready 2.1.41, guarded");
}

#[test]
fn a_retired_tree_is_retired_again_and_the_commit_can_be_taken_back_once_its_release_is_there() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["commit", "--all"]).expect(0);
    stage.parity(&["install", "--begin"]).expect(0);
    stage.parity(&["commit", "--revert"]).expect(1);
    put_release(&stage, "a", "2.1.41");
    stage.parity(&["install", "--end"]).expect(0);
    assert_eq!(future(&stage), "ready 2.1.41, guarded");
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["the release before, \"2.1.39\", must be installed"]);
    assert_eq!(future(&stage), "retired 2.1.39");
    stage
        .parity(&["commit", "--revert"])
        .expect(1)
        .complains(&["something was installed there since"]);
    stage.parity(&["install", "--begin"]).expect(0);
    put_release(&stage, "a", "2.1.39");
    stage.parity(&["install", "--end"]).expect(0).says(&[
        "tree a has again the release 2.1.39 that was retired: it stays retired",
        "commit --revert",
    ]);
    assert_eq!(future(&stage), "retired 2.1.39");
    stage.parity(&["commit", "--revert"]).expect(0);
    stage.parity(&["downgrade", "--all"]).expect(0);
}

#[test]
fn who_runs_a_command_in_a_tree_is_named_and_a_dead_one_is_taken_over() {
    let stage = Stage::new();
    let line = r#"{"tree":"b","user":"alice","pid":4711,"command":"install make","since":"2026-11-22T10:02:11Z"}"#;
    stage.write("state/underway", line, 0o600);
    let file = File::open(stage.path("state/underway")).unwrap();
    file.lock().unwrap();
    let told =
        "user alice, process 4711, runs \"install make\" in tree b since 2026-11-22T10:02:11Z";
    for words in [
        ["install", "--begin"],
        ["install", "--end"],
        ["verify", "--reason=x"],
    ] {
        stage.parity(&words).expect(1).complains(&[told]);
    }
    stage.parity(&["pause", "toylist"]).expect(0);
    let b = stage.path("b").display().to_string();
    stage
        .parity(&["may-install", &b])
        .expect(1)
        .complains(&[told]);
    // Not by closing it alone: what another test starts at this moment has a copy until its exec.
    file.unlock().unwrap();
    stage.parity(&["may-install", &b]).expect(0);
    stage.parity(&["install", "--begin"]).expect(0);
}

#[test]
fn may_install_answers_by_status_and_one_line() {
    let stage = Stage::new();
    let at = |name: &str| stage.path(name).display().to_string();
    let no = |root: &str, why: &str| {
        let done = stage.parity(&["may-install", &at(root)]).expect(1);
        let done = done.complains(&[why]);
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
        assert_eq!(done.stdout, "");
    };
    symlink(stage.path("b"), stage.path("link")).unwrap();
    for root in ["b", "b/", "link", "a/../b"] {
        let done = stage.parity(&["may-install", &at(root)]).expect(0);
        assert_eq!(done.stdout, "", "{root}");
    }
    no("a", "tree a is the current one, and serves lists");
    no("var", "is no tree of");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    no("b", "1 list on tree b");
    stage.parity(&["downgrade", "toylist"]).expect(0);
    stage.parity(&["install", "--begin"]).expect(0);
    stage.parity(&["may-install", &at("b")]).expect(0);
    // A tree in which nothing ever was.
    stage.parity(&["undo"]).expect(0);
    fs::remove_dir_all(stage.path("b")).unwrap();
    stage.parity(&["may-install", &at("b")]).expect(0);
    // What cannot be read is no permission.
    fs::rename(stage.path("state"), stage.path("gone")).unwrap();
    no("b", "parity.toml");
    stage.write("site.toml", "no site", 0o644);
    no("b", "site.toml");
    // Where there is no site, nobody is served by it.
    fs::remove_file(stage.path("site.toml")).unwrap();
    stage.parity(&["may-install", &at("b")]).expect(0);
}

#[test]
fn without_root_no_command_is_run_and_the_two_halves_are_named() {
    let stage = Stage::new();
    let install = |more: &[&str]| {
        let words = [&["install"], more, &["touch", "b/made"]].concat();
        let mut command = stage.command("mm-parity", &words);
        if fs::metadata(&stage.dir).unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        command.stdin(Stdio::null());
        stage.run(command, b"")
    };
    install(&["--dry-run"])
        .expect(0)
        .says(&["would be marked installing", "read-only"]);
    install(&[]).expect(1).complains(&[
        "only root can keep the lists' data and the current tree read-only",
        "install --begin",
        "install --end",
    ]);
    assert!(!stage.path("b/made").exists());
    assert_eq!(future(&stage), "ready 2.1.40, guarded");
}
