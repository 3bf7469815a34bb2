//! The system's own move, and every way back from it.

use crate::stage::{LISTS, Stage};

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
    stage.aliases(&["adopt"]).expect(0);
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

/// A list manager with three addresses a list, one of which Mailman 2.1 has not.
const SMALL: &str = r#"format = 1
about = "small"
case = "lower"
[verbs.post]
addresses = ["{list}"]
argv = ["{tree}/mail/mailman", "post", "{list}"]
[verbs.owner]
addresses = ["{list}-owner"]
argv = ["{tree}/mail/mailman", "owner", "{list}"]
[verbs.editor]
addresses = ["{list}-editor"]
argv = ["{tree}/mail/mailman", "editor", "{list}"]
[lists]
directory = "{data}/lists"
holds = ["config.pck"]
[release]
file = "{tree}/Mailman/Version.py"
regex = 'VERSION = "([^"]+)"'
"#;

/// A site whose future tree has another list manager than its current one.
fn unlike() -> Stage {
    let stage = Stage::bare();
    stage.make_dir("profiles");
    stage.write("profiles/small.toml", SMALL, 0o644);
    let site = stage.read("site.toml");
    let Some(at) = site.rfind("\"mailman2\"") else {
        panic!("{site}")
    };
    let site = format!("{}\"small\"{}", &site[..at], &site[at + 10..]);
    stage.write("site.toml", site, 0o644);
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage
}

#[test]
fn a_move_brings_the_lists_own_aliases_in_line_first() {
    let stage = unlike();
    let before = stage.read("aliases");
    stage
        .parity(&["upgrade", "toylist", "--dry-run"])
        .expect(0)
        .says(&["+toylist-editor: ", "-toylist: "]);
    assert_eq!(stage.read("aliases"), before);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(0)
        .says(&["aliases: "]);
    let after = stage.read("aliases");
    assert!(after.contains("\ntoylist-editor: \"|"), "{after}");
    assert!(!after.contains("a/mail/mailman post toylist"), "{after}");
    // Nobody else's.
    assert!(
        after.contains(&stage.direct_block("a", "reallist1")),
        "{after}"
    );
    // On the way back they stay: what the current tree has not is no address there.
    stage.parity(&["downgrade", "toylist"]).expect(0);
    assert_eq!(stage.read("aliases"), after);
    stage.deliver(&["editor", "toylist"], b"x").expect(67);
}

#[test]
fn a_commit_removes_what_no_tree_in_use_has_and_a_revert_puts_it_back() {
    let stage = unlike();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let before = stage.read("aliases");
    stage
        .parity(&["commit"])
        .expect(0)
        .says(&["committed: tree b", "aliases: "]);
    let after = stage.read("aliases");
    for list in LISTS {
        for (tail, stays) in [
            ("", true),
            ("-owner", true),
            ("-editor", true),
            ("-join", false),
        ] {
            let name = format!("\n{list}{tail}: ");
            assert!(before.contains(&name), "{name} in {before}");
            assert_eq!(after.contains(&name), stays, "{name} in {after}");
        }
    }
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["reverted the commit", "aliases: "]);
    assert_eq!(stage.read("aliases"), before);
    stage.parity(&["undo"]).expect(0);
    stage.parity(&["check"]).expect(0);
    assert_eq!(stage.read("aliases"), before);
}

#[test]
fn a_commit_whose_aliases_could_not_follow_is_refused() {
    let stage = unlike();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let before = stage.read("state/parity.toml");
    // A second name for the file: replacing it would part the two.
    let (file, other) = (stage.path("aliases"), stage.path("aliases.other"));
    assert!(std::fs::hard_link(&file, &other).is_ok());
    stage
        .parity(&["commit"])
        .expect(1)
        .complains(&["cannot commit", "hard link", "hint: "]);
    assert_eq!(stage.read("state/parity.toml"), before);
    assert!(std::fs::remove_file(&other).is_ok());
    stage.parity(&["commit"]).expect(0);
}

#[test]
fn a_commit_that_was_killed_before_its_aliases_is_finished_by_the_next() {
    let stage = unlike();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let before = stage.read("aliases");
    stage.parity(&["commit"]).expect(0);
    let after = stage.read("aliases");
    stage.write("aliases", &before, 0o644);
    stage
        .parity(&["commit"])
        .expect(0)
        .says(&["nothing to do: tree b is current already", "aliases: "]);
    assert_eq!(stage.read("aliases"), after);
}

#[test]
fn a_list_whose_aliases_cannot_be_turned_does_not_move() {
    let stage = unlike();
    let before = stage.read("state/parity.toml");
    assert!(std::fs::hard_link(stage.path("aliases"), stage.path("aliases.other")).is_ok());
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["cannot upgrade", "aliases"]);
    assert_eq!(stage.read("state/parity.toml"), before);
}

#[test]
fn a_commit_whose_aliases_fail_at_the_last_moment_stands_and_says_so() {
    let stage = unlike();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let before = stage.read("aliases");
    // What an edit replaces is written down first, and here that cannot be.
    let record = stage.path("state/adopted.jsonl");
    let kept = stage.path("adopted.jsonl");
    assert!(std::fs::rename(&record, &kept).is_ok());
    assert!(std::os::unix::fs::symlink("/nonexistent/x", &record).is_ok());
    let done = stage
        .parity(&["commit"])
        .expect(3)
        .says(&["committed: tree b"])
        .complains(&[
            "the change is made, but: ",
            "adopted.jsonl",
            "sync --remove",
        ]);
    assert_eq!(current(&stage), "b 2.1.40 retired 2.1.39");
    assert_eq!(stage.read("aliases"), before);
    assert!(!done.stdout.contains("aliases: "), "{done:?}");
    assert!(std::fs::rename(&kept, &record).is_ok());
    stage
        .parity(&["commit"])
        .expect(0)
        .says(&["nothing to do", "aliases: "]);
    assert!(!stage.read("aliases").contains("toylist-join"));
}

/// Gives tree `tree` a profile of its own that looks for its lists in `directory`.
fn with_lists_in(stage: &Stage, tree: &str, directory: &str) {
    stage.make_dir("profiles");
    let profile = SMALL.replace("{data}/lists", directory);
    stage.write(&format!("profiles/own-{tree}.toml"), profile, 0o644);
    let site = stage.read("site.toml");
    let head = format!("[trees.{tree}]");
    let Some((before, after)) = site.split_once(&head) else {
        panic!("{site}")
    };
    let after = after.replacen("\"mailman2\"", &format!("\"own-{tree}\""), 1);
    stage.write("site.toml", format!("{before}{head}{after}"), 0o644);
}

#[test]
fn a_tree_that_cannot_say_which_lists_there_are_does_not_become_current() {
    let stage = Stage::bare();
    with_lists_in(&stage, "b", "{data}/nowhere");
    stage.parity(&["init", "--current", "a"]).expect(0);
    let blind = "tree b cannot say which lists there are";
    stage
        .parity(&["commit", "--all"])
        .expect(1)
        .complains(&[blind]);
    stage.parity(&["upgrade", "--all"]).expect(0);
    let before = stage.read("state/parity.toml");
    stage.parity(&["commit"]).expect(1).complains(&[
        "cannot commit: tree b cannot say which lists there are",
        "nowhere",
    ]);
    assert_eq!(stage.read("state/parity.toml"), before);
}

#[test]
fn a_commit_is_taken_back_whatever_is_broken_in_the_tree_that_is_current_now() {
    type Break = fn(&Stage);
    let cases: [(Break, i32); 3] = [
        (
            |stage| {
                let (from, to) = (stage.path("var/lists"), stage.path("var/away"));
                assert!(std::fs::rename(from, to).is_ok());
            },
            0,
        ),
        (
            |stage| stage.write("profiles/own-b.toml", "format = 1\n", 0o644),
            3,
        ),
        (
            |stage| {
                let file = stage.path("profiles/own-b.toml");
                assert!(std::fs::remove_file(file).is_ok());
            },
            3,
        ),
    ];
    for (spoil, status) in cases {
        for words in [&["commit", "--revert"][..], &["undo"]] {
            let stage = Stage::bare();
            with_lists_in(&stage, "b", "{data}/lists");
            stage.parity(&["init", "--current", "a"]).expect(0);
            stage.parity(&["commit", "--all"]).expect(0);
            stage.write("aliases", "postmaster: root\n", 0o644);
            spoil(&stage);
            let done = stage.parity(&[words, &["--dry-run"]].concat());
            assert_eq!(done.status, Some(0), "{words:?}: {done:#?}");
            let done = stage.parity(words);
            // 3 where the entries that the commit removed could not be looked at.
            assert!(
                done.status == Some(status) || done.status == Some(0),
                "{words:?}: {done:#?}"
            );
            done.says(&[
                "tree a 2.1.39 is current again",
                "on the future tree (3)",
                "note: tree b cannot say which lists there are",
            ]);
            assert_eq!(current(&stage), "a 2.1.39 ready 2.1.40");
            stage.parity(&["downgrade", "--all"]).expect(0);
            stage.deliver(&["post", "toylist"], b"x").expect(0);
            assert_eq!(stage.ran()[0].tree, "a");
        }
    }
}

#[test]
fn a_refusal_of_a_revert_does_not_speak_of_a_commit_that_was_asked_for() {
    let stage = Stage::new();
    stage
        .parity(&["commit", "--revert"])
        .expect(1)
        .complains(&["cannot revert the commit: "]);
}

#[test]
fn a_commit_leaves_no_list_behind_whose_aliases_pipe_straight_into_a_tree() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "--all"]).expect(0);
    let aliases = stage.read("aliases");
    let ours = format!("\"|{}", stage.path("bin/mm-deliver").display());
    let Some(at) = aliases.find("\ntoylist: ") else {
        panic!("{aliases}")
    };
    // As a restored backup, or an editor, would have it.
    let end = aliases[at + 1..]
        .find('\n')
        .map_or(aliases.len(), |n| at + 1 + n);
    let direct = format!(
        "\ntoylist: \"|{} post toylist\"",
        stage.path("a/mail/mailman").display()
    );
    assert!(aliases[at..end].contains(&ours), "{aliases}");
    let edited = format!("{}{direct}{}", &aliases[..at], &aliases[end..]);
    stage.write("aliases", &edited, 0o644);
    let before = stage.read("state/parity.toml");
    for words in [&["commit"][..], &["commit", "--all"]] {
        stage.parity(words).expect(1).complains(&[
            "1 list with aliases that pipe straight into a tree",
            "toylist",
            "hint: mm-aliases --site",
            "adopt",
        ]);
    }
    assert_eq!(stage.read("state/parity.toml"), before);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["commit"]).expect(0);
}

#[test]
fn what_writes_no_alias_needs_no_tools_of_the_mta() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    // Its tools are not there, as in the middle of a package's upgrade; or they know no map of
    // this file.
    let site = stage.read("site.toml");
    let postfix = site.replace("mta = \"none\"", "mta = \"postfix\"");
    stage.write("site.toml", postfix, 0o644);
    let note = "its database was not looked at";
    stage
        .parity(&["upgrade", "--all"])
        .expect(0)
        .says(&[note, "site.toml sync looks again"]);
    stage.parity(&["commit"]).expect(0).says(&[note]);
    stage
        .parity(&["commit", "--revert"])
        .expect(0)
        .says(&[note]);
    stage.parity(&["downgrade", "--all"]).expect(0);
    stage.aliases(&["sync"]).expect(1);
    // What must be written cannot be, and then nothing is.
    let before = stage.read("aliases");
    stage.aliases(&["unadopt"]).expect(1);
    assert_eq!(stage.read("aliases"), before);
}
