//! Lists that move, are paused, pinned and forgotten; who is refused, and what that changes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;

use crate::stage::{LISTS, Stage, spawn};

/// The lists on the future tree, as `status` tells them.
fn ahead(stage: &Stage) -> Vec<String> {
    let done = stage.parity(&["status", "--format", "json"]).expect(0);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let rows = value["lists"].as_array().unwrap().iter();
    rows.filter(|row| row["parity"] == "future")
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Runs WORDS, which must be refused with these words, and change no byte of the state.
#[track_caller]
fn refused(stage: &Stage, words: &[&str], complaint: &[&str]) {
    let before = (
        ahead(stage),
        stage.read("state/parity.toml"),
        stage.read("state/history.jsonl"),
    );
    stage.parity(words).expect(1).complains(complaint);
    let after = (
        ahead(stage),
        stage.read("state/parity.toml"),
        stage.read("state/history.jsonl"),
    );
    assert_eq!(before, after, "{words:?} was refused and changed something");
}

#[test]
fn a_list_moves_and_the_others_stay() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0).says(&[
        "upgraded 1 list: toylist",
        "a 2.1.39 to tree b 2.1.40",
        "downgrade toylist",
        "undo",
    ]);
    assert_eq!(ahead(&stage), ["toylist"]);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    stage.deliver(&["post", "reallist1"], b"x").expect(0);
    let mut trees: Vec<String> = stage.ran().into_iter().map(|ran| ran.tree).collect();
    trees.sort();
    assert_eq!(trees, ["a", "b"]);
    stage
        .parity(&["upgrade", "TOYLIST"])
        .expect(0)
        .says(&["nothing to do"]);
    stage
        .parity(&["downgrade", "toylist"])
        .expect(0)
        .says(&["downgraded 1 list", "deferred mail waits in the MTA"]);
    assert_eq!(ahead(&stage), [""; 0]);
    stage
        .parity(&["downgrade", "toylist"])
        .expect(0)
        .says(&["nothing to do"]);
}

#[test]
fn one_bad_name_holds_all_back_and_every_one_is_named() {
    let stage = Stage::new();
    refused(
        &stage,
        &["upgrade", "toylist", "toylsit", "../x", "zz*", "reallist1"],
        &[
            "there is no list toylsit",
            "not a list name: \"../x\"",
            "no list matches \"zz*\"",
            "hint: near toylsit: toylist",
        ],
    );
    stage.parity(&["upgrade", "toylist"]).expect(0);
    refused(
        &stage,
        &["downgrade", "toylist", "nosuch"],
        &["there is no list nosuch"],
    );
    refused(
        &stage,
        &["pause", "toylist", "nosuch"],
        &["there is no list nosuch"],
    );
    refused(&stage, &["pin", "nosuch"], &["there is no list nosuch"]);
}

#[test]
fn a_glob_is_matched_against_the_lists() {
    let stage = Stage::new();
    stage
        .parity(&["upgrade", "real*"])
        .expect(0)
        .says(&["reallist1, reallist2"]);
    assert_eq!(ahead(&stage), ["reallist1", "reallist2"]);
    stage.parity(&["downgrade", "*[!2]"]).expect(0);
    assert_eq!(ahead(&stage), ["reallist2"]);
    stage.parity(&["upgrade", "--all"]).expect(0);
    assert_eq!(ahead(&stage), LISTS);
    stage.parity(&["downgrade", "?oy*"]).expect(0);
    assert_eq!(ahead(&stage), ["reallist1", "reallist2"]);
    stage
        .parity(&["downgrade", "toy*"])
        .expect(0)
        .says(&["nothing to do"]);
}

#[test]
fn a_star_that_the_shell_expanded_is_recognised() {
    let stage = Stage::new();
    let files: Vec<String> = fs::read_dir(&stage.dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut words = vec!["upgrade"];
    words.extend(files.iter().map(String::as_str));
    refused(
        &stage,
        &words,
        &[
            "the shell put them where * was typed",
            "'*' in quotes, or --all",
        ],
    );
}

#[test]
fn a_pinned_list_is_passed_over_unless_it_is_named() {
    let stage = Stage::new();
    stage.parity(&["pin", "toylist"]).expect(0);
    refused(
        &stage,
        &["upgrade", "toylist", "reallist1"],
        &["toylist is pinned", "unpin toylist"],
    );
    stage
        .parity(&["upgrade", "--all"])
        .expect(0)
        .says(&["passed over, since pinned: toylist"]);
    assert_eq!(ahead(&stage), ["reallist1", "reallist2"]);
    stage.parity(&["pin", "reallist1"]).expect(0);
    stage
        .parity(&["downgrade", "*"])
        .expect(0)
        .says(&["passed over", "reallist1"]);
    assert_eq!(ahead(&stage), ["reallist1"]);
    // Taking back is never refused: a pin does not hold a list on a tree that is broken.
    stage.parity(&["downgrade", "reallist1"]).expect(0);
    assert_eq!(ahead(&stage), [""; 0]);
}

#[test]
fn a_tree_whose_programs_cannot_be_run_takes_no_list() {
    let stage = Stage::new();
    stage.remove_program("b");
    refused(
        &stage,
        &["upgrade", "toylist"],
        &["cannot upgrade", "b/mail/mailman", "No such file"],
    );
    stage.put_program("b");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    // Back from a tree that is gone, without a word of the lists there are.
    stage.remove_program("b");
    fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    stage.parity(&["downgrade", "--all"]).expect(0);
    assert_eq!(
        fs::read_to_string(stage.path("state/parity.toml"))
            .unwrap()
            .matches("toylist")
            .count(),
        0
    );
}

#[test]
fn a_tree_that_the_delivering_users_cannot_run_takes_no_list() {
    let stage = Stage::new();
    // Root may run what its owner may; the user whom the MTA takes may not.
    let root = fs::metadata(&stage.dir).unwrap().uid() == 0;
    let mode = if root { 0o700 } else { 0o600 };
    let program = stage.path("b/mail/mailman");
    fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
    refused(
        &stage,
        &["upgrade", "toylist"],
        &["tree b: ", "b/mail/mailman", "Permission denied"],
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn lists_that_cannot_be_told_are_not_no_lists() {
    let stage = Stage::new();
    fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    for words in [
        ["upgrade", "--all"],
        ["upgrade", "toy*"],
        ["pause", "--all"],
        ["forget", "--all"],
    ] {
        stage
            .parity(&words)
            .expect(1)
            .complains(&["cannot say which lists there are", "var/lists"]);
    }
    stage.make_dir("var/lists");
    stage
        .parity(&["upgrade", "--all"])
        .expect(1)
        .complains(&["holds no list"]);
    stage
        .parity(&["upgrade", "nosuch"])
        .expect(1)
        .complains(&["cannot say whether there is a list nosuch"]);
}

#[test]
fn a_paused_list_defers_moves_and_stays_paused() {
    let stage = Stage::new();
    stage
        .parity(&["pause", "toylist"])
        .expect(0)
        .says(&["paused 1 list: toylist", "resume toylist"]);
    stage.deliver(&["post", "toylist"], b"x").expect(75);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(0)
        .says(&["still paused: toylist"]);
    stage.deliver(&["post", "toylist"], b"x").expect(75);
    stage
        .parity(&["resume", "--all"])
        .expect(0)
        .says(&["resumed 1 list"]);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    assert_eq!(stage.ran()[0].tree, "b");
    stage
        .parity(&["resume", "toylist"])
        .expect(0)
        .says(&["nothing to do"]);
}

#[test]
fn only_a_list_that_is_gone_is_forgotten() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    refused(
        &stage,
        &["forget", "toylist"],
        &["these lists exist: toylist"],
    );
    fs::remove_dir_all(stage.path("var/lists/toylist")).unwrap();
    stage.parity(&["forget", "toylist"]).expect(0);
    assert_eq!(ahead(&stage), [""; 0]);
    stage
        .parity(&["forget", "nosuch"])
        .expect(1)
        .complains(&["there is no list nosuch"]);
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let stage = Stage::new();
    stage.parity(&["pause", "reallist1"]).expect(0);
    stage.parity(&["upgrade", "reallist2"]).expect(0);
    let before = (stage.snapshot("state"), stage.snapshot("aliases"));
    for (words, says) in [
        (&["upgrade", "toylist"][..], "would upgrade 1 list: toylist"),
        (&["upgrade", "--all"], "would upgrade 2 lists"),
        (&["downgrade", "--all"], "would downgrade 1 list: reallist2"),
        (&["commit", "--all"], "would commit"),
        (&["undo"], "would take back"),
        (&["pause", "toylist"], "would pause"),
        (&["resume", "reallist1"], "would resume"),
        (&["pin", "toylist"], "would pin"),
    ] {
        let words: Vec<&str> = words.iter().copied().chain(["--dry-run"]).collect();
        stage
            .parity(&words)
            .expect(0)
            .says(&[says, "nothing was changed (--dry-run)"]);
        assert_eq!(
            (stage.snapshot("state"), stage.snapshot("aliases")),
            before,
            "{words:?}"
        );
    }
    stage.parity(&["upgrade", "nosuch", "--dry-run"]).expect(1);
}

#[test]
fn who_changes_something_holds_others_up_and_is_named() {
    let stage = Stage::new();
    let held = File::open(stage.path("state/writer")).unwrap();
    held.lock().unwrap();
    // What a dead one left in the file is not said of the living one.
    let done = stage.parity(&["upgrade", "toylist"]).expect(1);
    assert!(!done.stderr.contains("init"), "{done:?}");
    let own = std::process::id();
    let holder = format!(
        "{{\"user\":\"root\",\"pid\":{own},\"command\":\"upgrade --all\",\"since\":\"x\"}}"
    );
    std::fs::write(stage.path("state/writer"), holder).unwrap();
    refused(
        &stage,
        &["upgrade", "toylist"],
        &["is changing something", "running \"upgrade --all\""],
    );
    stage.parity(&["status"]).expect(0);
    stage.parity(&["upgrade", "toylist", "--dry-run"]).expect(0);
    held.unlock().unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn of_many_writers_at_once_each_is_done_or_refused() {
    let stage = Stage::new();
    let names: Vec<String> = (0..12).map(|n| format!("many{n:02}")).collect();
    for name in &names {
        stage.add_list(name);
    }
    let children: Vec<_> = names
        .iter()
        .map(|name| {
            let mut command = stage.command("mm-parity", &["upgrade", name]);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            (name, spawn(&mut command))
        })
        .collect();
    let mut moved = Vec::new();
    for (name, mut child) in children {
        match child.wait().unwrap().code() {
            Some(0) => moved.push(name.clone()),
            code => assert_eq!(code, Some(1)),
        }
    }
    assert!(!moved.is_empty());
    assert_eq!(ahead(&stage), moved);
    let lines = stage.read("state/history.jsonl").lines().count();
    assert_eq!(lines, 1 + moved.len());
}

#[test]
fn ken_and_barry_type_what_they_wrote() {
    let stage = Stage::new();
    for name in ["mmmigrate", "upgrade", "downgrade", "commit-parity"] {
        symlink("mm-parity", stage.path("bin").join(name)).unwrap();
    }
    let run = |program: &str, words: &[&str]| stage.run(stage.command(program, words), b"");
    run("mmmigrate", &["toylist"]).expect(0);
    assert_eq!(ahead(&stage), ["toylist"]);
    run("mmmigrate", &["--back", "toylist"]).expect(0);
    run("mmmigrate", &["-forward", "reallist1"]).expect(0);
    assert_eq!(ahead(&stage), ["reallist1"]);
    run("mmmigrate", &["-all"]).expect(0);
    assert_eq!(ahead(&stage), LISTS);
    run("mmmigrate", &["-back", "-all"]).expect(0);
    assert_eq!(ahead(&stage), [""; 0]);
    run("mmmigrate", &["-commit"])
        .expect(1)
        .complains(&["mmmigrate: cannot commit: 3 lists still on tree a"]);
    run("mmmigrate", &["-sideways"])
        .expect(2)
        .complains(&["mmmigrate: unknown option"]);
    run("commit-parity", &[])
        .expect(1)
        .complains(&["commit-parity: cannot commit"]);
    run("upgrade", &["*"]).expect(0);
    run("downgrade", &["toylist"]).expect(0);
    assert_eq!(ahead(&stage), ["reallist1", "reallist2"]);
    run("upgrade", &["toylist"]).expect(0);
    run("commit-parity", &[])
        .expect(0)
        .says(&["committed: tree b"]);
}

#[test]
fn a_list_is_paused_by_its_name_even_where_no_list_can_be_told() {
    let stage = Stage::new();
    fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    refused(
        &stage,
        &["pause", "--all"],
        &["cannot say which lists there are", "hint: ", "pause LIST"],
    );
    refused(&stage, &["pause", "toy*"], &["pause LIST"]);
    refused(&stage, &["pause", "../x"], &["not a list name"]);
    stage.parity(&["pause", "toylist"]).expect(0).says(&[
        "note: which lists there are cannot be told",
        "known from nothing else: toylist",
        "paused 1 list: toylist",
    ]);
    stage.deliver(&["post", "toylist"], b"x").expect(75);
    stage.parity(&["resume", "toylist"]).expect(0);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    refused(
        &stage,
        &["pin", "toylist"],
        &["cannot say which lists there are"],
    );
}

#[test]
fn a_broken_profile_of_the_future_tree_blocks_no_way_back() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist", "reallist1"]).expect(0);
    stage.parity(&["pause", "reallist2"]).expect(0);
    let site = stage.read("site.toml");
    let (before, after) = site.split_once("[trees.b]").unwrap();
    let after = after.replacen("\"mailman2\"", "\"no-such-profile\"", 1);
    stage.write("site.toml", format!("{before}[trees.b]{after}"), 0o644);
    refused(&stage, &["pause", "nosuch"], &["there is no list nosuch"]);
    for words in [
        &["pause", "toylist"][..],
        &["pause", "--all"],
        &["undo"],
        &["resume", "--all"],
        &["downgrade", "reallist1"],
        &["undo", "--dry-run"],
    ] {
        let done = stage.parity(words);
        let expected = if words == ["undo", "--dry-run"] { 1 } else { 0 };
        assert_eq!(done.status, Some(expected), "{words:?}: {done:#?}");
    }
    assert_eq!(ahead(&stage), ["toylist"]);
    stage.parity(&["downgrade", "--all"]).expect(0);
    assert!(ahead(&stage).is_empty());
}

#[test]
fn a_forgotten_name_comes_back_without_aliases() {
    let stage = Stage::new();
    stage.add_list("ghost");
    stage.parity(&["upgrade", "ghost"]).expect(0);
    fs::remove_dir_all(stage.path("var/lists/ghost")).unwrap();
    stage.aliases(&["sync", "--remove"]).expect(0);
    let aliases = stage.read("aliases");
    let aliases: String = aliases
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("ghost"))
        .collect();
    stage.write("aliases", &aliases, 0o644);
    stage.parity(&["forget", "ghost"]).expect(0);
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["no such list any more, and no aliases are made: ghost"]);
    assert_eq!(ahead(&stage), ["ghost"]);
    assert_eq!(stage.read("aliases"), aliases);
}

#[test]
fn a_list_whose_posts_would_stay_in_the_old_tree_does_not_move() {
    let stage = Stage::new();
    let text = stage.read("aliases");
    let wrapper = stage.path("a/mail/mailman").display().to_string();
    let post = format!("toylist: \"|{wrapper} post toylist\"\n");
    for (aliases, why) in [
        (
            format!("{text}toylist: bob\n"),
            "the name stands more than once",
        ),
        (
            text.replace(&post, "toylist: \"|/opt/mm/mail/mailman post toylist\"\n"),
            "no tree of this site",
        ),
        (
            text.replace(
                &post,
                &format!("toylist: \"|cat | {wrapper} post toylist\"\n"),
            ),
            "shell characters",
        ),
        (
            text.replace(
                &post,
                &format!("toylist: \"|{wrapper} post toylist\", \"|/bin/x\"\n"),
            ),
            "second program",
        ),
    ] {
        assert_ne!(aliases, text, "{why}");
        stage.write("aliases", &aliases, 0o644);
        let before = stage.read("state/parity.toml");
        let command = stage.path("bin/mm-deliver").display().to_string();
        stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
            "posts would stay where they go now: ",
            "aliases, line ",
            why,
            &format!("toylist: \"|{command} --site "),
        ]);
        assert_eq!(stage.read("aliases"), aliases, "{why}");
        assert_eq!(stage.read("state/parity.toml"), before, "{why}");
        stage.parity(&["upgrade", "reallist1"]).expect(0);
        stage.parity(&["downgrade", "reallist1"]).expect(0);
    }
}

#[test]
fn an_address_that_stays_is_named_and_holds_no_list_back() {
    let stage = Stage::new();
    let text = stage.read("aliases");
    let wrapper = stage.path("a/mail/mailman").display().to_string();
    let line = |name: &str| format!("toylist-{name}: \"|{wrapper} {name} toylist\"\n");
    let included = stage.path("included");
    stage.write(
        "included",
        format!("# x\nbob\n\"|{wrapper} join toylist\"\n"),
        0o644,
    );
    let text = text
        .replace(
            &line("owner"),
            "toylist-owner: \"|/opt/mm/mail/mailman owner toylist\"\n",
        )
        .replace(
            &line("join"),
            &format!("toylist-join: :include:{}\n", included.display()),
        );
    stage.write("aliases", &text, 0o644);
    stage.parity(&["upgrade", "toylist"]).expect(0).says(&[
        "left: ",
        "toylist-owner: it pipes into \"/opt/mm\", which is no tree",
        "toylist-join: it includes ",
        "Postfix would bounce that",
    ]);
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["it includes ", ": toylist-join\n"]);
    stage.aliases(&["trace", "toylist-join"]).expect(0).says(&[
        "what stands in the file ",
        &format!("programs \"{wrapper} join toylist\""),
        "Postfix runs no program",
    ]);
}
