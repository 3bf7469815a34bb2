//! init, status and check: what an admin sees of a site, sound or broken.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

use serde_json::{Value, json};

use crate::stage::{Stage, spawn};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn init_makes_a_site_on_the_tree_that_is_named() {
    let stage = Stage::bare();
    fs::remove_dir(stage.path("state")).unwrap();
    stage.parity(&["init"]).expect(1).complains(&[
        "which of the two trees is current?",
        "init --current a",
        "init --current b",
    ]);
    stage
        .parity(&["init", "--current", "c"])
        .expect(1)
        .complains(&["no tree \"c\"", "trees: a, b"]);
    assert!(!stage.path("state").exists());
    stage.parity(&["init", "--current", "b"]).expect(0).says(&[
        "tree b 2.1.40 is current",
        "3 lists",
        "tree a 2.1.39 is ready",
    ]);
    let mode = |name: &str| fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("state"), mode("state/parity.toml")), (0o755, 0o644));
    let before = stage.snapshot("state");
    stage
        .parity(&["init", "--current", "a"])
        .expect(1)
        .complains(&["is there already", "status"]);
    assert_eq!(stage.snapshot("state"), before);
}

#[test]
fn init_is_refused_where_mail_would_wait_and_leaves_nothing() {
    type Break = fn(&Stage);
    let cases: [(Break, &str); 5] = [
        (|stage| stage.remove_program("a"), "a/mail/mailman"),
        (
            |stage| fs::remove_dir_all(stage.path("var/lists")).unwrap(),
            "var/lists",
        ),
        (
            |stage| fs::remove_file(stage.path("a/Mailman/Version.py")).unwrap(),
            "Version.py",
        ),
        (
            |stage| fs::remove_file(stage.path("bin/mm-deliver")).unwrap(),
            "bin/mm-deliver",
        ),
        (
            |stage| stage.write_site("owner = \"no-such-user\""),
            "owner \"no-such-user\"",
        ),
    ];
    for (spoil, complaint) in cases {
        let stage = Stage::bare();
        spoil(&stage);
        stage
            .parity(&["init", "--current", "a"])
            .expect(1)
            .complains(&["cannot init", complaint]);
        assert_eq!(stage.snapshot("state"), []);
    }
}

#[test]
fn a_second_tree_that_cannot_be_run_is_empty() {
    let stage = Stage::bare();
    stage.remove_program("b");
    stage.parity(&["init"]).expect(0).says(&[
        "tree a 2.1.39 is current",
        "is empty",
        "b/mail/mailman",
    ]);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["tree b is empty as far as parity.toml knows", "verify"]);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["check"]).expect(0);
}

#[test]
fn status_shows_the_system_first_and_then_who_is_not_plainly_on_current() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["pause", "reallist2"]).expect(0);
    let text = stage
        .parity(&["status"])
        .expect(0)
        .says(&[
            "next: ",
            "upgrade LIST",
            "back: ",
            "downgrade LIST",
            "2 on current, 1 on future",
        ])
        .stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("system") && lines[0].contains("2.1.39"),
        "{text}"
    );
    assert!(
        lines[1].contains("future") && lines[1].contains("ready"),
        "{text}"
    );
    assert!(
        text.contains("reallist2") && text.contains("toylist"),
        "{text}"
    );
    assert!(!text.contains("reallist1"), "{text}");
    stage
        .parity(&["status", "reallist1"])
        .expect(0)
        .says(&["reallist1"]);
    stage
        .parity(&["status", "--all"])
        .expect(0)
        .says(&["reallist1", "reallist2", "toylist"]);
    stage.parity(&["status", "reallist"]).expect(1).complains(&[
        "there is no list reallist",
        "near reallist: reallist1, reallist2",
    ]);
}

#[test]
fn status_as_json_has_the_documented_keys_and_no_others() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let mut value = json_of(
        &stage
            .parity(&["status", "--format", "json"])
            .expect(0)
            .stdout,
    );
    let since = value["lists"][0]["since"].take();
    assert!(since.as_str().unwrap().ends_with('Z'), "{since}");
    assert_eq!(
        value,
        json!({
            "format": 1,
            "generation": 2,
            "current": {
                "tree": "a", "release": "2.1.39", "alive": null, "guarded": false, "trouble": [],
            },
            "future": {
                "tree": "b", "release": "2.1.40", "state": "ready", "alive": null,
                "guarded": true, "trouble": [],
            },
            "retired": null,
            "lists": [{
                "name": "toylist", "parity": "future", "tree": "b", "release": "2.1.40",
                "data_version": 112, "since": null, "delivered": 0, "deferred": 0,
                "refused": 0, "last_trouble": null, "paused": false, "pinned": false, "aliases": "ok",
            }],
        })
    );
}

#[test]
fn check_is_silent_when_all_is_well_and_names_the_worst_first() {
    let stage = Stage::new();
    stage.parity(&["check"]).expect(1).says(&[
        "WARNING: address-direct: 30 addresses straight into a tree",
        "adopt",
    ]);
    stage.aliases(&["adopt"]).expect(0);
    assert_eq!(stage.parity(&["check"]).expect(0).stdout, "");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["pause", "reallist1"]).expect(0);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: paused: reallist1"]);
    stage.remove_program("b");
    fs::remove_dir_all(stage.path("var/lists/reallist1")).unwrap();
    let text = stage
        .parity(&["check"])
        .expect(2)
        .says(&[
            "CRITICAL: program: ",
            "WARNING: list-gone: reallist1 is named in parity.toml, and is no list",
            "forget",
        ])
        .stdout;
    assert!(text.starts_with("CRITICAL"), "{text}");
    let value = json_of(
        &stage
            .parity(&["check", "--format", "json"])
            .expect(2)
            .stdout,
    );
    assert_eq!(
        (&value["format"], &value["status"]),
        (&json!(1), &json!("CRITICAL"))
    );
    assert_eq!(value["findings"][0]["severity"], "CRITICAL");
    stage
        .parity(&["check", "--format", "prometheus"])
        .expect(2)
        .says(&[
            "mm_deliver_check_status{program=\"mm-parity\",site=\"/",
            "\"} 2\n",
            "severity=\"critical\"} ",
        ]);
}

#[test]
fn check_sees_a_release_that_is_not_the_one_recorded() {
    let stage = Stage::new();
    stage.write("a/Mailman/Version.py", "VERSION = \"2.1.99\"\n", 0o644);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["tree a has release \"2.1.99\", and \"2.1.39\" is recorded"]);
}

#[test]
fn a_broken_site_is_critical_and_a_broken_line_unknown() {
    let stage = Stage::new();
    stage.parity(&["check", "--bogus"]).expect(3);
    stage.write("state/parity.toml", "format = 1\n", 0o644);
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: parity: "]);
    stage
        .parity(&["status"])
        .expect(1)
        .complains(&["cannot tell the status", "parity.toml"]);
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["No such file", "hint: ", "init"]);
    fs::remove_file(stage.path("site.toml")).unwrap();
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: site: "]);
    stage
        .parity(&["status"])
        .expect(1)
        .complains(&["cannot open the site", "site.toml"]);
}

#[test]
fn help_and_version_need_no_site_and_usage_errors_are_2() {
    let stage = Stage::bare();
    fs::remove_file(stage.path("site.toml")).unwrap();
    stage
        .parity(&["--help"])
        .expect(0)
        .says(&["upgrade", "downgrade", "commit"]);
    stage
        .parity(&["upgrade", "--help"])
        .expect(0)
        .says(&["--dry-run"]);
    stage.parity(&["--version"]).expect(0).says(&["mm-parity "]);
    for words in [
        &[][..],
        &["frobnicate"],
        &["upgrade"],
        &["upgrade", "--all", "x"],
        &["commit", "--all", "--revert"],
    ] {
        stage.parity(words).expect(2);
    }
}

#[test]
fn status_needs_no_privilege() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let before = stage.snapshot("state");
    let mut command = stage.command("mm-parity", &["status", "--all"]);
    if fs::metadata(&stage.dir).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    stage
        .run(command, b"")
        .expect(0)
        .says(&["toylist", "2 on current, 1 on future", "since"]);
    assert_eq!(stage.snapshot("state"), before);
}

#[test]
fn a_reader_who_has_gone_away_is_no_failure() {
    let stage = Stage::new();
    for words in [&["status"][..], &["history"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = stage.command("mm-parity", words);
        let mut child = spawn(command.stdout(writer));
        assert_eq!(child.wait().unwrap().code(), Some(0), "{words:?}");
    }
}

/// Names a profile for tree b that there is not.
fn without_profile(stage: &Stage) {
    let site = stage.read("site.toml");
    let (before, after) = site.split_once("[trees.b]").unwrap();
    let after = after.replacen("\"mailman2\"", "\"no-such\"", 1);
    stage.write("site.toml", format!("{before}[trees.b]{after}"), 0o644);
}

#[test]
fn what_makes_mail_wait_now_is_critical_with_the_way_out() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "--all"]).expect(0);
    without_profile(&stage);
    stage.deliver(&["post", "toylist"], b"x").expect(75);
    stage.parity(&["check"]).expect(2).says(&[
        "CRITICAL: profile: tree b: ",
        "no-such",
        "downgrade --all",
    ]);
    stage.parity(&["downgrade", "--all"]).expect(0);
    // Nobody's mail waits for a tree that no list is on.
    let text = stage.parity(&["check"]).stdout;
    assert!(text.contains("WARNING: profile: tree b: "), "{text}");
    assert!(!text.contains("CRITICAL"), "{text}");
}

#[test]
fn a_broken_tree_that_is_current_since_a_commit_has_the_revert_as_way_out() {
    let stage = Stage::new();
    stage.parity(&["commit", "--all"]).expect(0);
    without_profile(&stage);
    stage.parity(&["pause", "toylist"]);
    stage.parity(&["check"]).expect(2).says(&[
        "CRITICAL: profile: tree b: ",
        "commit --revert",
        "paused: toylist is paused",
    ]);
    let stage = Stage::new();
    stage.parity(&["commit", "--all"]).expect(0);
    stage.remove_program("b");
    fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: program: tree b: ", "commit --revert"]);
}

#[test]
fn check_names_every_account_that_is_missing_even_without_a_parity() {
    let stage = Stage::new();
    let site = stage.read("site.toml");
    let broken = format!("owner = \"no-such-owner\"\ngroup = \"no-such-group\"\n{site}");
    let at = broken.find("users = [").unwrap();
    let broken = format!("{}users = [\"no-such-user\"]\n", &broken[..at]);
    stage.write("site.toml", &broken, 0o644);
    let missing = [
        "account: owner \"no-such-owner\"",
        "account: group \"no-such-group\"",
        "account: [deliver] users \"no-such-user\"",
    ];
    let text = stage.parity(&["check"]).says(&missing).stdout;
    assert_ne!(text, "");
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage
        .parity(&["check"])
        .expect(2)
        .says(&missing)
        .says(&["CRITICAL: parity: ", "init"]);
}

#[test]
fn before_init_every_change_names_it() {
    let stage = Stage::bare();
    fs::remove_dir(stage.path("state")).unwrap();
    for words in [
        &["upgrade", "toylist"][..],
        &["pause", "toylist"],
        &["downgrade", "toylist"],
        &["verify"],
        &["undo"],
        &["status"],
    ] {
        stage.parity(words).expect(1).complains(&[
            "No such file",
            "hint: mm-parity --site",
            " init",
        ]);
    }
}

#[test]
fn check_names_lists_that_only_the_future_tree_has() {
    let stage = Stage::new();
    stage.make_dir("own/lists/newlist");
    stage.write("own/lists/newlist/config.pck", "x", 0o644);
    stage.make_dir("own/lists/toylist");
    stage.write("own/lists/toylist/config.pck", "x", 0o644);
    let data = format!("[trees.b]\ndata = \"{}\"\n", stage.path("own").display());
    let site = stage.read("site.toml").replace("[trees.b]\n", &data);
    stage.write("site.toml", site, 0o644);
    let check = stage.parity(&["check"]);
    check.says(&[
        "list-beyond: tree b alone has list newlist",
        "upgrade newlist",
    ]);
}
