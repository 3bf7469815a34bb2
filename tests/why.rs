//! mm-parity why and history LIST: where a list is, how it came there, what its mail meets.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use serde_json::Value;

use crate::stage::Stage;

/// The value of a row of `why`.
#[track_caller]
fn row(stage: &Stage, list: &str, key: &str) -> String {
    let text = stage.parity(&["why", list]).expect(0).stdout;
    let found = text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim_start().to_owned())
    });
    found.unwrap_or_else(|| panic!("no {key}: {text}"))
}

fn json(stage: &Stage, words: &[&str]) -> Value {
    let words = [words, &["--format", "json"]].concat();
    serde_json::from_str(&stage.parity(&words).expect(0).stdout).unwrap()
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?}: {text}");
    }
}

#[test]
fn a_list_is_told_with_its_rule_and_the_change_by_which_it_came() {
    let stage = Stage::new();
    let why = |key| row(&stage, "toylist", key);
    assert_eq!(why("tree"), "a (current)");
    has(
        &why("rule"),
        &["it is not in on_future", "generation 1, sealed"],
    );
    has(
        &why("since"),
        &["change 1: \"init\" by ", "; nobody moved it since"],
    );
    stage
        .parity(&["upgrade", "toylist", "--reason", "a try"])
        .expect(0);
    assert_eq!(why("tree"), "b (future)");
    assert_eq!(why("release"), "2.1.40");
    has(
        &why("rule"),
        &["it is in on_future", "generation 2, sealed"],
    );
    has(
        &why("since"),
        &["change 2: \"upgrade toylist\" by ", " (a try)"],
    );
    has(&why("guarded"), &["bin/mm-guard\" runs the programs"]);
    stage.parity(&["undo"]).expect(0);
    assert_eq!(why("tree"), "a (current)");
    has(
        &why("since"),
        &["change 3: \"undo\" by ", ", which took 2 back"],
    );
    // The others were not moved, and this is not about them.
    has(&row(&stage, "reallist1", "since"), &["change 1: "]);
}

#[test]
fn a_commit_gives_the_tree_its_part_and_moves_no_list() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["commit", "--all"]).expect(0);
    let why = |key| row(&stage, "toylist", key);
    assert_eq!(why("tree"), "b (current)");
    has(&why("since"), &["change 2: \"upgrade toylist\""]);
    has(
        &why("rule"),
        &[
            "it is not in on_future; the system was committed",
            "; tree b is current since change 4 (commit --all)",
        ],
    );
    stage.parity(&["commit", "--revert"]).expect(0);
    assert_eq!(why("tree"), "b (future)");
    has(&why("since"), &["change 2: \"upgrade toylist\""]);
}

#[test]
fn what_mail_meets_is_what_mm_deliver_explains() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let told = json(&stage, &["why", "toylist"]);
    let verbs = told["verbs"].as_array().unwrap();
    assert_eq!(verbs.len(), 10);
    for verb in verbs {
        let name = verb["verb"].as_str().unwrap();
        let explained = stage
            .deliver(&["--explain", name, "toylist"], b"")
            .expect(0);
        let argv: Vec<String> = verb["argv"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| format!("{:?}", word.as_str().unwrap()))
            .collect();
        let line = format!("argv         {}", argv.join(" "));
        assert!(explained.stdout.contains(&line), "{line}: {explained:?}");
        assert_eq!(verb["status"], Value::Null);
    }
    let one = json(&stage, &["why", "toylist", "--verb", "post"]);
    assert_eq!(one["verbs"].as_array().unwrap().len(), 1);
    // A verb that no tree knows, and a program that nobody can run.
    let none = json(&stage, &["why", "toylist", "--verb", "sendkey"]);
    assert_eq!(none["verbs"][0]["status"], 75);
    stage.remove_program("b");
    let gone = json(&stage, &["why", "toylist", "--verb", "post"]);
    assert_eq!(gone["verbs"][0]["status"], 75);
    has(
        &row(&stage, "toylist", "post"),
        &["; but mail waits (75): "],
    );
    has(
        &row(&stage, "reallist1", "post"),
        &["a/mail/mailman\" \"post\" \"reallist1\""],
    );
}

#[test]
fn an_address_that_only_the_other_tree_has_is_refused_there() {
    let stage = Stage::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/src/profiles/mailman2.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let (before, after) = text.split_once("[verbs.admin]").unwrap();
    let (_, after) = after.split_once("[verbs.bounces]").unwrap();
    stage.make_dir("profiles");
    stage.write(
        "profiles/own.toml",
        format!("{before}[verbs.bounces]{after}"),
        0o644,
    );
    let site = stage.read("site.toml");
    let (before, after) = site.split_once("[trees.b]").unwrap();
    let after = after.replacen("\"mailman2\"", "\"own\"", 1);
    stage.write("site.toml", format!("{before}[trees.b]{after}"), 0o644);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    has(
        &row(&stage, "toylist", "admin"),
        &["refused (67): the tree of toylist has no address"],
    );
    has(
        &row(&stage, "reallist1", "admin"),
        &["\"admin\" \"reallist1\""],
    );
}

#[test]
fn paused_and_pinned_lists_are_told_so() {
    let stage = Stage::new();
    stage.parity(&["pause", "toylist"]).expect(0);
    stage.parity(&["pin", "toylist"]).expect(0);
    has(
        &row(&stage, "toylist", "paused"),
        &["since 20", ": mail waits (75)"],
    );
    row(&stage, "toylist", "pinned");
    let told = json(&stage, &["why", "toylist"]);
    assert_eq!(told["pinned"], true);
    assert_eq!(told["verbs"][0]["status"], 75);
    assert_eq!(told["since"]["generation"], 1);
    assert_eq!(told["since"]["moved"], false);
    assert_eq!(told["tree"], "a");
}

#[test]
fn a_tree_that_cannot_serve_is_the_answer_and_no_refusal() {
    let stage = Stage::new();
    stage.hand_parity(&["toylist"], &[]);
    let text = stage.read("state/parity.toml").replace("ready", "broken");
    stage.write("state/parity.toml", text, 0o644);
    has(
        &row(&stage, "toylist", "mail"),
        &["waits (75): ", "which is broken"],
    );
}

#[test]
fn names_that_are_no_lists_are_refused_with_those_that_are_near() {
    let stage = Stage::new();
    for words in [["why", "toylsit"], ["history", "toylsit"]] {
        stage
            .parity(&words)
            .expect(1)
            .complains(&["there is no list toylsit", "hint: near toylsit: toylist"]);
    }
    stage
        .parity(&["why", "x/y"])
        .expect(1)
        .complains(&["not a list name"]);
    stage
        .parity(&["why", "toylist", "--verb", "x"])
        .expect(1)
        .complains(&["not a verb: \"x\""]);
    stage
        .parity(&["history", "no*"])
        .expect(1)
        .complains(&["no list matches"]);
}

#[test]
fn a_list_that_is_gone_is_told_so_whatever_would_be_run() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["pause", "toylist"]).expect(0);
    for list in ["toylist", "reallist2"] {
        assert_eq!(json(&stage, &["why", list])["gone"], Value::Null);
        fs::remove_dir_all(stage.path(&format!("var/lists/{list}"))).unwrap();
    }
    has(
        &row(&stage, "toylist", "gone"),
        &[
            "no tree has such a list; its name in parity.toml: ",
            "forget toylist; ",
            "sync --remove",
        ],
    );
    let told = row(&stage, "reallist2", "gone");
    has(
        &told,
        &[
            "no tree has such a list; entries that lead there: ",
            "sync --remove",
        ],
    );
    assert!(!told.contains("forget"), "{told}");
    assert_eq!(
        json(&stage, &["why", "reallist2"])["gone"],
        "no tree has such a list"
    );
    // What is typed then leaves no name of it, and why says where to look.
    stage.parity(&["forget", "toylist"]).expect(0);
    stage.aliases(&["sync", "--remove"]).expect(0);
    stage.parity(&["why", "toylist"]).expect(1).complains(&[
        "there is no list toylist",
        "hint: there was one: ",
        "history toylist",
    ]);
    stage
        .parity(&["history", "toylist"])
        .expect(0)
        .says(&["forget toylist"]);
    stage
        .parity(&["why", "elsewhere"])
        .expect(1)
        .complains(&["hint: the lists there are: ", "status --all"]);
}

/// The commands of a history.
fn commands(stage: &Stage, words: &[&str]) -> Vec<String> {
    let told = json(stage, words);
    let rows = told["changes"].as_array().unwrap();
    rows.iter()
        .map(|row| row["command"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_history_of_a_list_is_what_concerned_it() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    for words in [
        &["upgrade", "toylist"][..],
        &["pause", "reallist1"],
        &["pin", "toylist"],
        &["upgrade", "--all"],
        &["downgrade", "reallist2"],
        &["unpin", "toylist"],
        &["upgrade", "reallist2"],
        &["commit"],
    ] {
        stage.parity(words).expect(0);
    }
    let of = |list: &str| commands(&stage, &["history", list]);
    assert_eq!(
        of("toylist"),
        [
            "init",
            "upgrade toylist",
            "pin toylist",
            "unpin toylist",
            "commit"
        ]
    );
    assert_eq!(
        of("reallist1"),
        ["init", "pause reallist1", "upgrade --all", "commit"]
    );
    assert_eq!(of("real*").len(), 6);
    assert_eq!(commands(&stage, &["history"]).len(), 9);
    // The rows are those of the whole.
    let all = json(&stage, &["history"]);
    let one = json(&stage, &["history", "toylist"]);
    assert_eq!(one["format"], all["format"]);
    assert_eq!(one["changes"][4], all["changes"][8]);
    let text = stage.parity(&["history", "toylist"]).expect(0).stdout;
    assert_eq!(text.lines().count(), 5, "{text}");
    // A list that is gone has a history still.
    stage.parity(&["history", "reallist2"]).expect(0);
    fs::remove_dir_all(stage.path("var/lists/reallist2")).unwrap();
    stage
        .parity(&["history", "reallist2"])
        .expect(0)
        .says(&["downgrade reallist2"]);
}
