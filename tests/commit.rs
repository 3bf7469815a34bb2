//! The system's own move, and every way back from it.

use crate::stage::Stage;

fn current(stage: &Stage) -> String {
    let done = stage.parity(&["status", "--format", "json"]).expect(0);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    format!(
        "{} {} {} {}",
        value["current"]["tree"],
        value["current"]["release"],
        value["future"]["state"],
        value["future"]["release"]
    )
    .replace('"', "")
}

#[test]
fn a_commit_is_refused_while_a_list_is_behind_and_names_it() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["commit"]).expect(1).complains(&[
        "2 lists still on tree a: reallist1, reallist2",
        "commit --all",
    ]);
    assert_eq!(current(&stage), "a 2.1.39 ready 2.1.40");
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["commit"]).expect(0).says(&[
        "tree b 2.1.40 is current",
        "commit --revert",
        "undo",
    ]);
    assert_eq!(current(&stage), "b 2.1.40 retired 2.1.39");
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    assert_eq!(stage.ran()[0].tree, "b");
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["tree a is retired", "commit --revert"]);
}

#[test]
fn commit_all_is_two_changes_and_nothing_where_a_pin_holds() {
    let stage = Stage::new();
    stage.parity(&["pin", "reallist2"]).expect(0);
    let before = stage.read("state/parity.toml");
    stage
        .parity(&["commit", "--all"])
        .expect(1)
        .complains(&["pinned and still on tree a: reallist2", "unpin reallist2"]);
    assert_eq!(stage.read("state/parity.toml"), before);
    stage.parity(&["unpin", "reallist2"]).expect(0);
    stage
        .parity(&["commit", "--all"])
        .expect(0)
        .says(&["upgraded 3 lists", "committed"]);
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["reverted the commit"]);
    assert_eq!(current(&stage), "a 2.1.39 ready 2.1.40");
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["downgraded 3 lists"]);
}

#[test]
fn a_revert_puts_every_list_where_it_was_and_is_refused_without_a_commit() {
    let stage = Stage::new();
    stage
        .parity(&["commit", "--revert"])
        .expect(1)
        .complains(&["the last commit cannot be taken back"]);
    stage.parity(&["commit", "--all"]).expect(0);
    // A list made since stands on the tree that is current now, and stays there.
    stage.add_list("newlist");
    stage
        .parity(&["commit", "--revert"])
        .expect(0)
        .says(&["tree a 2.1.39 is current again"]);
    assert_eq!(current(&stage), "a 2.1.39 ready 2.1.40");
    for list in ["toylist", "newlist"] {
        stage.deliver(&["post", list], b"x").expect(0);
        assert_eq!(stage.ran()[0].tree, "b", "{list}");
    }
    stage.parity(&["commit", "--revert"]).expect(1);
    // Taking the revert back is the commit again.
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["committed: tree b"]);
    assert_eq!(current(&stage), "b 2.1.40 retired 2.1.39");
}

#[test]
fn a_site_with_one_tree_has_nothing_to_move_to() {
    let stage = Stage::bare();
    let site = stage.read("site.toml");
    let (start, end) = (site.find("[trees.b]"), site.find("[data]"));
    let (Some(start), Some(end)) = (start, end) else {
        panic!("{site}")
    };
    stage.write(
        "site.toml",
        format!("{}{}", &site[..start], &site[end..]),
        0o644,
    );
    stage
        .parity(&["init"])
        .expect(0)
        .says(&["tree a 2.1.39 is current", "no future tree yet"]);
    stage.parity(&["status"]).expect(0).says(&["none", "empty"]);
    for words in [
        &["upgrade", "toylist"][..],
        &["commit"],
        &["commit", "--all"],
        &["commit", "--revert"],
    ] {
        stage.parity(words).expect(1).complains(&["one tree only"]);
    }
    stage.parity(&["check"]).expect(0);
}

#[test]
fn a_commit_that_stands_is_not_made_again() {
    let stage = Stage::new();
    stage.parity(&["commit", "--all"]).expect(0);
    let before = stage.read("state/parity.toml");
    for words in [&["commit"][..], &["commit", "--all"]] {
        stage
            .parity(words)
            .expect(0)
            .says(&["nothing to do: tree b is current already"]);
    }
    assert_eq!(stage.read("state/parity.toml"), before);
}
