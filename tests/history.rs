//! What is recorded, and what undo makes of it; edits by hand.

use crate::stage::Stage;

fn entries(stage: &Stage) -> Vec<serde_json::Value> {
    let done = stage.parity(&["history", "--format", "json"]).expect(0);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    assert_eq!(value["format"], 1);
    value["changes"].as_array().cloned().unwrap_or_default()
}

#[test]
fn every_change_is_recorded_with_who_what_and_why() {
    let stage = Stage::new();
    stage
        .parity(&["upgrade", "toylist", "--reason", "it's \u{1b}[31mred"])
        .expect(0);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(0)
        .says(&["nothing to do"]);
    let entries = entries(&stage);
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!(entries[0]["command"], "init");
    assert_eq!(entries[1]["command"], "upgrade toylist");
    assert_eq!(entries[1]["reason"], "it's \u{1b}[31mred");
    assert_eq!(entries[1]["after"]["on_future"][0], "toylist");
    let text = stage
        .parity(&["history"])
        .expect(0)
        .says(&["upgrade toylist", "red"])
        .stdout;
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn undo_goes_one_change_further_back_each_time() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["pin", "reallist1"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    let on_future = || stage.read("state/parity.toml").contains("\n\"toylist\",");
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["\"downgrade toylist\"", "upgraded 1 list"]);
    assert!(on_future());
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["\"pin reallist1\"", "unpinned: reallist1"]);
    stage.parity(&["undo"]).expect(0).says(&[
        "\"upgrade toylist\"",
        "downgraded 1 list",
        "deferred mail waits in the MTA",
    ]);
    assert!(!on_future());
    stage
        .parity(&["undo"])
        .expect(1)
        .complains(&["no change is left to take back"]);
    let undoes: Vec<_> = entries(&stage)
        .iter()
        .filter_map(|row| row["undoes"].as_u64())
        .collect();
    assert_eq!(undoes, [4, 3, 2]);
}

#[test]
fn undo_of_a_downgrade_has_the_checks_of_an_upgrade() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    stage.remove_program("b");
    let before = stage.read("state/parity.toml");
    stage
        .parity(&["undo"])
        .expect(1)
        .complains(&["cannot undo", "b/mail/mailman"]);
    assert_eq!(stage.read("state/parity.toml"), before);
}

#[test]
fn an_edit_by_hand_is_told_recorded_and_can_be_undone() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let text = stage.read("state/parity.toml");
    stage.write(
        "state/parity.toml",
        text.replace("\"toylist\",\n", "\"toylist\",\n\"reallist1\",\n"),
        0o644,
    );
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["edited by hand", "reallist1"]);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: parity", "edited by hand"]);
    stage.parity(&["pause", "reallist2"]).expect(0).says(&[
        "note: ",
        "edited by hand",
        "mm-aliases",
    ]);
    let commands: Vec<_> = entries(&stage)
        .iter()
        .map(|row| row["command"].to_string())
        .collect();
    assert_eq!(
        commands[1..],
        ["\"upgrade toylist\"", "\"by hand\"", "\"pause reallist2\""]
    );
    stage.parity(&["undo"]).expect(0);
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["\"by hand\"", "downgraded 1 list: reallist1"]);
    let text = stage.read("state/parity.toml");
    assert!(text.starts_with("# sealed "), "{text}");
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["2 on current, 1 on future"]);
}

#[test]
fn undo_of_a_downgrade_does_not_depend_on_the_enumeration() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    let (lists, away) = (stage.path("var/lists"), stage.path("var/away"));
    assert!(std::fs::rename(lists, away).is_ok());
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["upgraded 1 list: toylist"]);
}
