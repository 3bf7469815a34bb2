//! `mm-parity try`: the story as a newcomer sees it, and what it leaves alone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::symlink;

use crate::stage::Stage;

#[test]
fn try_plays_the_whole_story_and_leaves_a_site_that_works() {
    let stage = Stage::bare();
    stage.parity(&["try"]).expect(0).says(&[
        "tree a, release 2.1.39: post for toylist, subject: hello",
        "tree b, release 2.1.40: post for toylist, subject: hello",
        "upgraded 1 list: toylist",
        "downgraded 1 list: toylist",
        "committed: tree b 2.1.40 is current",
        "status 75: kept and tried again",
        "./mm-parity undo",
    ]);
    let inbox = stage.read("mm-try/inbox");
    let trees: Vec<&str> = inbox.lines().map(|line| &line[5..6]).collect();
    assert_eq!(trees, ["a", "b", "a", "a", "b", "b"], "{inbox}");
    for line in [
        "./mm-parity status --all",
        "./mm-parity history",
        "./mm-parity undo",
        "./mm-parity check",
        "./mm-aliases trace toylist-request",
    ] {
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", line]).current_dir(stage.path("mm-try"));
        stage.run(shell, b"").expect(0);
    }
}

#[test]
fn try_replaces_its_own_site_and_refuses_anything_else() {
    let stage = Stage::bare();
    stage.parity(&["try", "toy"]).expect(0);
    stage.write("toy/note", "mine", 0o644);
    stage.parity(&["try", "toy"]).expect(0);
    assert!(!stage.path("toy/note").exists());

    stage.make_dir("other");
    stage.write("other/note", "mine", 0o644);
    stage.write("file", "mine", 0o644);
    symlink("toy", stage.path("link")).unwrap();
    for there in ["other", "file", "link"] {
        stage
            .parity(&["try", there])
            .expect(1)
            .complains(&["mm-parity try did not make it"]);
    }
    assert_eq!(fs::read(stage.path("other/note")).unwrap(), b"mine");
    assert!(
        stage.path("toy/site.toml").exists(),
        "what the link led to is gone"
    );
}

#[test]
fn try_removes_nothing_that_a_forged_mark_names() {
    let stage = Stage::bare();
    stage.make_dir("victim");
    symlink("../elsewhere", stage.path("victim/site")).unwrap();
    stage.make_dir("toy");
    stage.write(
        "toy/.made-by-mm-parity-try",
        stage.path("victim").display().to_string(),
        0o644,
    );
    stage.parity(&["try", "toy"]).expect(0);
    assert!(
        fs::symlink_metadata(stage.path("victim/site")).is_ok(),
        "a link of somebody else is gone"
    );
    stage.make_dir("evil");
    stage.write("evil/.made-by-mm-parity-try", "", 0o644);
    // Only root can make a directory somebody else's.
    if std::os::unix::fs::lchown(stage.path("evil"), Some(4_000), None).is_ok() {
        stage
            .parity(&["try", "evil"])
            .expect(1)
            .complains(&["mm-parity try did not make it"]);
    }
}

#[test]
fn try_reaches_a_path_that_no_alias_can_hold_through_a_link() {
    let stage = Stage::bare();
    stage.make_dir("a b");
    let told = stage
        .parity(&["try", "a b/toy"])
        .expect(0)
        .says(&["it is reached through"]);
    let link = told
        .stdout
        .split("it is reached through \"")
        .nth(1)
        .unwrap();
    let link = std::path::PathBuf::from(link.split('"').next().unwrap());
    assert_eq!(
        fs::canonicalize(&link).unwrap(),
        fs::canonicalize(stage.path("a b/toy")).unwrap()
    );
    // The next one makes a new link and removes the old.
    stage.parity(&["try", "a b/toy"]).expect(0);
    assert!(!link.parent().unwrap().exists(), "{link:?} was left behind");
    let mark = stage.read("a b/toy/.made-by-mm-parity-try");
    fs::remove_dir_all(mark).unwrap();
}
