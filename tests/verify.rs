//! mm-parity verify: a release that was installed by hand is looked at, and recorded.

use crate::stage::Stage;

/// The future tree's state and release, and the current one's release.
fn trees(stage: &Stage) -> String {
    let done = stage.parity(&["status", "--format", "json"]).expect(0);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    let word = |part: &str, key: &str| value[part][key].as_str().unwrap_or("?").to_owned();
    format!(
        "{} {}, current {}",
        word("future", "state"),
        word("future", "release"),
        word("current", "release")
    )
}

/// Puts another release into a tree.
fn install(stage: &Stage, tree: &str, release: &str) {
    let text = format!("VERSION = \"{release}\"\n");
    stage.write(&format!("{tree}/Mailman/Version.py"), text, 0o644);
}

/// Current tree a, and nothing in tree b.
fn empty() -> Stage {
    let stage = Stage::bare();
    stage.remove_program("b");
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage
}

#[test]
fn an_empty_tree_takes_lists_once_its_release_is_verified() {
    let stage = empty();
    let before = stage.snapshot("state");
    stage.parity(&["status"]).expect(0).says(&[
        "next: ",
        "install COMMAND, which installs a release in tree b",
    ]);
    stage
        .parity(&["verify"])
        .expect(1)
        .complains(&["cannot verify: tree b: ", "b/mail/mailman"]);
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "tree b is empty as far as parity.toml knows",
        "install COMMAND, which installs the release to move to in tree b; or, once it is installed there: ",
        "verify",
    ]);
    stage.put_program("b");
    stage
        .parity(&["verify", "--dry-run"])
        .expect(0)
        .says(&["would verify tree b 2.1.40", "nothing was changed"]);
    let parity = |files: &[(std::path::PathBuf, Vec<u8>, i64, i64)]| {
        let mut files = files.to_vec();
        let own = ["writer", "underway", "command"];
        files.retain(|(path, ..)| !own.iter().any(|name| path.ends_with(name)));
        files
    };
    assert_eq!(parity(&stage.snapshot("state")), parity(&before));
    stage
        .parity(&["verify"])
        .expect(0)
        .says(&["verified tree b 2.1.40", "upgrade LIST", "undo"]);
    assert_eq!(trees(&stage), "ready 2.1.40, current 2.1.39");
    stage
        .parity(&["verify"])
        .expect(0)
        .says(&["nothing to do: tree b 2.1.40 is ready"]);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["undo"]).expect(0);
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["the future tree is empty again"]);
    assert_eq!(trees(&stage), "empty , current 2.1.39");
}

#[test]
fn a_tree_that_lists_are_on_is_not_verified() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    install(&stage, "b", "2.1.41");
    stage.parity(&["verify"]).expect(1).complains(&[
        "1 list on it: toylist",
        "hint: ",
        "downgrade --all",
    ]);
    // The current tree's release may be recorded all the same.
    install(&stage, "a", "2.1.39-1");
    stage.parity(&["verify"]).expect(0).says(&[
        "note: tree b is not looked at",
        "tree a has release 2.1.39-1",
    ]);
    assert_eq!(trees(&stage), "ready 2.1.40, current 2.1.39-1");
    stage.parity(&["downgrade", "--all"]).expect(0);
    stage.parity(&["verify"]).expect(0);
    assert_eq!(trees(&stage), "ready 2.1.41, current 2.1.39-1");
}

#[test]
fn a_retired_tree_takes_lists_again_only_with_another_release() {
    let stage = Stage::new();
    stage.parity(&["commit", "--all"]).expect(0);
    stage.parity(&["verify"]).expect(1).complains(&[
        "nothing was installed since the commit",
        "hint: ",
        "commit --revert",
    ]);
    install(&stage, "a", "2.1.41");
    stage
        .parity(&["verify"])
        .expect(0)
        .says(&["verified tree a 2.1.41", "taken back by undo alone"]);
    stage.parity(&["commit", "--revert"]).expect(1);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["undo"]).expect(0);
    stage.parity(&["undo"]).expect(0).says(&[
        "the future tree is retired again",
        "no commit can be taken back to it: tree a has release \"2.1.41\"",
        "install \"2.1.39\" again, or: ",
        "verify",
    ]);
    stage.parity(&["undo"]).expect(1).complains(&["2.1.41"]);
    install(&stage, "a", "2.1.39");
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["tree a 2.1.39 is current again"]);
}

#[test]
fn a_commit_is_not_taken_back_to_a_release_that_was_installed_since() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["commit", "--all"]).expect(0);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["back: ", "commit --revert"]);
    install(&stage, "a", "2.1.41");
    let before = (stage.read("aliases"), stage.read("state/parity.toml"));
    for words in [
        ["commit", "--revert"].as_slice(),
        &["commit", "--revert", "--dry-run"],
        &["undo"],
        &["undo", "--dry-run"],
    ] {
        stage.parity(words).expect(1).complains(&[
            "tree a has release \"2.1.41\", and \"2.1.39\" is recorded",
            "something was installed there since the commit",
            "hint: install \"2.1.39\" in tree a again; or: ",
            "verify, then ",
            "upgrade LIST",
        ]);
    }
    let told = stage.parity(&["status"]).expect(0);
    assert!(!told.stdout.contains("--revert"), "{told:?}");
    told.says(&["next: ", "verify\n"]);
    // What cannot be read is not the one recorded either.
    stage.write("a/Mailman/Version.py", "", 0o644);
    stage.parity(&["commit", "--revert"]).expect(1).complains(&[
        "tree a: no release: ",
        "hint: install the release \"2.1.39\" whole",
    ]);
    let after = (stage.read("aliases"), stage.read("state/parity.toml"));
    assert_eq!(after, before);
    // The hint leads to where the revert would have: the lists on tree a.
    install(&stage, "a", "2.1.41");
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["downgrade", "--all"]).expect(0);
}

#[test]
fn what_an_undo_leaves_recorded_is_said_with_what_to_type() {
    let stage = empty();
    stage.put_program("b");
    install(&stage, "a", "2.1.39-1");
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["undo"]).expect(0).says(&[
        "recorded for tree a: 2.1.39",
        "tree a has release \"2.1.39-1\", and \"2.1.39\" is recorded; to record it: ",
        "the future tree is empty again",
        "no list can move there until: ",
        "verify\n",
    ]);
    stage.parity(&["upgrade", "toylist"]).expect(1);
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn check_names_verify_where_a_release_is_not_the_one_recorded() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    install(&stage, "a", "2.1.99");
    stage.parity(&["check"]).expect(1).says(&["verify"]);
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["check"]).expect(0);
}

#[test]
fn no_list_moves_to_a_release_that_is_not_the_one_recorded() {
    let stage = Stage::new();
    stage.parity(&["trust", "b"]).expect(0);
    install(&stage, "b", "2.1.41");
    let before = (stage.read("aliases"), stage.read("state/parity.toml"));
    let other = "tree b has release \"2.1.41\", and \"2.1.40\" is recorded";
    for words in [
        ["upgrade", "toylist"].as_slice(),
        &["upgrade", "--all", "--dry-run"],
        &["commit", "--all"],
        &["commit", "--all", "--force"],
    ] {
        let done = stage.parity(words).expect(1);
        done.complains(&[other, "nobody has looked at", "hint: ", "verify"]);
    }
    // What cannot be read is not the one recorded either.
    stage.write("b/Mailman/Version.py", "", 0o644);
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "tree b: no release: ",
        "hint: install the release \"2.1.40\"",
    ]);
    let after = (stage.read("aliases"), stage.read("state/parity.toml"));
    assert_eq!(after, before);
    install(&stage, "b", "2.1.41");
    stage.parity(&["verify"]).expect(0).says(&["is guarded"]);
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn a_release_that_was_put_under_its_lists_takes_no_more_and_lets_them_go() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    install(&stage, "b", "2.1.41");
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "hint: install \"2.1.40\" in tree b again; or: ",
        "downgrade --all, then ",
    ]);
    // Taking a downgrade back is an upgrade.
    stage.parity(&["undo"]).expect(1).complains(&["2.1.41"]);
    install(&stage, "b", "2.1.40");
    stage.parity(&["undo"]).expect(0);
    install(&stage, "b", "2.1.41");
    stage
        .parity(&["commit"])
        .expect(1)
        .complains(&["2.1.41", "commit --force"]);
    stage.parity(&["commit", "--force"]).expect(0);
    stage.parity(&["commit", "--revert"]).expect(0);
    stage.parity(&["undo"]).expect(1).complains(&["2.1.41"]);
    stage.parity(&["downgrade", "--all"]).expect(0);
}

#[test]
fn undo_of_verify_says_that_the_files_are_not_put_back() {
    let stage = Stage::new();
    install(&stage, "b", "2.1.41");
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["undo"]).expect(0).says(&[
        "the future tree is ready again, with \"2.1.40\" recorded",
        "no list can move there: tree b has release \"2.1.41\"",
        "install \"2.1.40\" again, or: ",
        "verify\n",
    ]);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["next: ", "verify\n"]);
    assert_eq!(trees(&stage), "ready 2.1.40, current 2.1.39");
    stage.parity(&["upgrade", "toylist"]).expect(1);
    install(&stage, "b", "2.1.40");
    stage.parity(&["upgrade", "toylist"]).expect(0);
}
