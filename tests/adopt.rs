//! `mm-aliases adopt` and `unadopt`: entries that pipe straight into a tree are turned, and
//! come back as they were.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

/// What adopted.jsonl remembers.
mod records;

/// Real alias text of every era and list manager.
mod managers;

/// Random mixtures of all of these come back byte for byte.
mod identity;

/// What cannot be served is left and named.
mod left;

/// What is no mm-deliver, or is not safe, is not written into aliases.
mod program;

/// A name that stands with a domain, under Sendmail.
mod qualified;

/// What Postfix would deliver again is named.
mod repeated;

use crate::stage::{LISTS, Stage};

/// A site whose parity was written by hand: every list on the current tree, a.
fn stage() -> Stage {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage
}

fn bytes(stage: &Stage) -> Vec<u8> {
    std::fs::read(stage.path("aliases")).unwrap()
}

/// What leads to us in a stage.
fn ours(stage: &Stage, verb: &str, list: &str) -> String {
    let (program, site) = (stage.path("bin/mm-deliver"), stage.path("site.toml"));
    format!(
        "\"|{} --site {} {verb} {list}\"",
        program.display(),
        site.display()
    )
}

#[test]
fn adopt_turns_every_direct_entry_and_nothing_else() {
    let stage = stage();
    let before = stage.read("aliases");
    stage
        .aliases(&["adopt"])
        .expect(0)
        .says(&["30 entries changed", "the way back: mm-aliases --site"]);
    let mut wanted = before;
    for list in LISTS {
        let direct = stage.direct_block("a", list);
        let turned: String = direct
            .lines()
            .map(|line| {
                let verb = line.split(' ').nth(2).unwrap();
                format!(
                    "{}: {}\n",
                    line.split(':').next().unwrap(),
                    ours(&stage, verb, list)
                )
            })
            .collect();
        wanted = wanted.replace(&direct, &turned);
    }
    assert_eq!(stage.read("aliases"), wanted);
    stage.aliases(&["check"]).expect(0);
    stage.aliases(&["diff"]).expect(0);
}

#[test]
fn adopt_then_unadopt_is_the_identity_on_awkward_files() {
    let stage = stage();
    let a = stage.path("a/mail/mailman").display().to_string();
    let wrapper = stage.path("a/mail/wrapper").display().to_string();
    let one = |text: &str| {
        text.replace("{a}", &a)
            .replace("{w}", &wrapper)
            .into_bytes()
    };
    let files: Vec<Vec<u8>> = vec![
        one("toylist: \"|{a} post toylist\""),
        one("toylist:\"|{a} post toylist\"\r\ntoylist-owner:  \"|{a}  owner toylist\" \r\n"),
        one("# c\ntoylist: alice,\n# inside\n  \"|{a} post toylist\",\n\tbob\n\n# end"),
        one(
            "Toylist-Request: \"|{w} mailcmd toylist\"\ntoylist-owner: toylist-admin\n\
             toylist-admin: \"|{w} mailowner toylist\"\nowner-toylist: toylist-admin\n",
        ),
        one("toylist: |\"{w} post toylist\"\n\"toylist-join\": \"|{a} join toylist\"\n"),
        one("\n\n  \ntoylist   :   \"|{a}\tpost\ttoylist\"\n   # indented\n\nx: y"),
        [
            b"# caf\xe9\n\xe9: x\n".to_vec(),
            one("toylist: \"|{a} post toylist\"\n"),
            b"#\xff".to_vec(),
        ]
        .concat(),
        one("nick: \"|{a} post ToyList\"\n"),
    ];
    for file in files {
        stage.write("aliases", &file, 0o644);
        stage.aliases(&["adopt"]).expect(0);
        let turned = bytes(&stage);
        assert_ne!(
            turned,
            file,
            "nothing was turned in {:?}",
            String::from_utf8_lossy(&file)
        );
        assert!(
            !String::from_utf8_lossy(&turned).contains(&a),
            "{:?}",
            String::from_utf8_lossy(&turned)
        );
        stage.aliases(&["unadopt"]).expect(0);
        assert_eq!(
            String::from_utf8_lossy(&bytes(&stage)),
            String::from_utf8_lossy(&file),
        );
        assert_eq!(bytes(&stage), file);
    }
}

#[test]
fn an_entry_of_the_first_era_becomes_the_form_that_all_mtas_read() {
    let stage = stage();
    let wrapper = stage.path("a/mail/wrapper").display().to_string();
    stage.write(
        "aliases",
        format!("toylist: |\"{wrapper} post ToyList\"\ntoylist-admin: \"|{wrapper} mailowner toylist\"\n"),
        0o644,
    );
    stage.aliases(&["adopt"]).expect(0);
    assert_eq!(
        stage.read("aliases"),
        format!(
            "toylist: {}\ntoylist-admin: {}\n",
            ours(&stage, "post", "ToyList"),
            ours(&stage, "admin", "toylist")
        )
    );
}

#[test]
fn an_entry_that_cannot_be_served_is_left_and_named() {
    let stage = stage();
    let a = stage.path("a/mail/mailman").display().to_string();
    let text = format!(
        "toylist: \"|{a} post toylist\", \"|/usr/bin/archive toylist\"\n\
         toylist-owner: \"|{a} owner 'toylist'\"\n\
         toylist-join: \"|{a} join toylist\"\ntoylist-join: \"|{a} join toylist\"\n\
         other: \"|/usr/bin/vacation x\"\nreallist1: \"|/opt/mm/mail/mailman post reallist1\"\n"
    );
    stage.write("aliases", &text, 0o644);
    stage.aliases(&["adopt"]).expect(0).says(&[
        "line 1: toylist: it runs a second program",
        "line 2: toylist-owner: its command has quotes",
        "line 3: toylist-join: the name stands more than once",
        "nothing to change",
    ]);
    assert_eq!(stage.read("aliases"), text);
}

#[test]
fn adopt_of_one_list_leaves_the_others() {
    let stage = stage();
    stage
        .aliases(&["adopt", "toylist"])
        .expect(0)
        .says(&["10 entries", "unadopt toylist"]);
    assert!(
        stage
            .read("aliases")
            .contains(&stage.direct_block("a", "reallist1"))
    );
    assert!(
        !stage
            .read("aliases")
            .contains(&stage.direct_block("a", "toylist"))
    );
    stage
        .aliases(&["adopt", "toylits"])
        .expect(1)
        .complains(&["no such list", "near toylits: toylist"]);
}

#[test]
fn nothing_is_touched_when_nothing_differs() {
    let stage = stage();
    stage.aliases(&["adopt"]).expect(0);
    let before = (
        stage.snapshot("aliases"),
        stage.snapshot("state/adopted.jsonl"),
    );
    stage
        .aliases(&["adopt"])
        .expect(0)
        .says(&["nothing to change"]);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["nothing to change"]);
    assert_eq!(
        (
            stage.snapshot("aliases"),
            stage.snapshot("state/adopted.jsonl")
        ),
        before
    );
}

#[test]
fn a_dry_run_shows_and_changes_nothing() {
    let stage = stage();
    let before = stage.snapshot("");
    stage
        .aliases(&["adopt", "--dry-run", "--diff"])
        .expect(0)
        .says(&[
            "-toylist: \"|",
            "+toylist: \"|",
            "--site",
            "nothing was changed",
        ]);
    assert_eq!(stage.snapshot(""), before);
}

#[test]
fn unadopt_is_refused_while_lists_are_ahead() {
    let stage = stage();
    stage.aliases(&["adopt"]).expect(0);
    stage.hand_parity(&["toylist"], &[]);
    let before = stage.snapshot("aliases");
    stage
        .aliases(&["unadopt"])
        .expect(1)
        .complains(&["on the future tree: toylist", "hint:"]);
    assert_eq!(stage.snapshot("aliases"), before);
    stage.aliases(&["unadopt", "reallist1"]).expect(0);
    assert!(
        stage
            .read("aliases")
            .contains(&stage.direct_block("a", "reallist1"))
    );
}

#[test]
fn unadopt_writes_the_trees_own_form_where_nothing_fitting_is_recorded() {
    let stage = stage();
    stage.write("aliases", "# none\n", 0o644);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["30 entries changed"]);
    stage
        .aliases(&["unadopt", "toylist"])
        .expect(0)
        .says(&["the tree's form is written"]);
    assert!(
        stage
            .read("aliases")
            .contains(&stage.direct_block("a", "toylist"))
    );
}

#[test]
fn a_last_entry_without_newline_comes_back_even_after_another_was_added() {
    let stage = stage();
    let a = stage.path("a/mail/mailman").display().to_string();
    let text = format!("toylist:   \"|{a} post toylist\"");
    stage.write("aliases", &text, 0o644);
    stage.aliases(&["adopt"]).expect(0);
    stage.aliases(&["sync"]).expect(0);
    stage.aliases(&["unadopt", "toylist"]).expect(0);
    assert!(
        stage
            .read("aliases")
            .starts_with(&format!("{text}\ntoylist-admin: \"|{a} admin toylist\"\n"))
    );
}

#[test]
fn an_entry_that_was_edited_after_adopt_keeps_the_edit() {
    let stage = stage();
    stage.aliases(&["adopt"]).expect(0);
    let turned = ours(&stage, "owner", "toylist");
    let edited = stage
        .read("aliases")
        .replace(&turned, &format!("{turned}, alice"));
    stage.write("aliases", &edited, 0o644);
    stage.aliases(&["unadopt"]).expect(0);
    let a = stage.path("a/mail/mailman").display().to_string();
    assert!(
        stage
            .read("aliases")
            .contains(&format!("toylist-owner: \"|{a} owner toylist\", alice\n"))
    );
}

#[test]
fn half_a_last_record_does_not_stop_unadopt() {
    let stage = stage();
    let before = stage.read("aliases");
    stage.aliases(&["adopt"]).expect(0);
    let records = stage.read("state/adopted.jsonl");
    stage.write(
        "state/adopted.jsonl",
        format!("{records}{{\"format\":1,\"wh"),
        0o644,
    );
    stage.aliases(&["check"]).expect(1).says(&["half a line"]);
    stage
        .aliases(&["unadopt"])
        .expect(0)
        .says(&["half a last line"]);
    assert_eq!(stage.read("aliases"), before);
    assert!(
        stage
            .read("state/adopted.jsonl")
            .lines()
            .all(|line| line.ends_with('}'))
    );
}

#[test]
fn adopt_is_refused_where_the_delivering_users_could_not_deliver() {
    let stage = stage();
    stage.remove_program("a");
    let before = stage.snapshot("aliases");
    stage
        .aliases(&["adopt"])
        .expect(1)
        .complains(&["could not run the tree's programs", "hint:"]);
    assert_eq!(stage.snapshot("aliases"), before);
}

#[test]
fn the_alias_file_keeps_its_mode() {
    use std::os::unix::fs::MetadataExt;
    let stage = stage();
    stage.write("aliases", stage.read("aliases"), 0o640);
    stage.aliases(&["adopt"]).expect(0);
    assert_eq!(
        std::fs::metadata(stage.path("aliases")).unwrap().mode() & 0o7777,
        0o640
    );
}

/// A stage whose future tree is of the first era, with four addresses a list.
fn stage_with_an_older_future() -> Stage {
    let stage = Stage::bare();
    let site = stage.read("site.toml");
    let (first, second) = site.split_once("[trees.b]").unwrap();
    let second = second.replacen("mailman2", "mailman1", 1);
    stage.write("site.toml", format!("{first}[trees.b]{second}"), 0o644);
    let program = stage.read("b/mail/mailman");
    stage.write("b/mail/wrapper", program, 0o755);
    for list in LISTS {
        stage.write(&format!("var/lists/{list}/config.db"), "x", 0o644);
    }
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage
}

#[test]
fn a_commit_removes_what_no_tree_in_use_has_and_a_revert_puts_it_back_byte_for_byte() {
    let stage = stage_with_an_older_future();
    stage.aliases(&["adopt"]).expect(0);
    let turned = stage
        .read("aliases")
        .replace("toylist-join: ", "Toylist-JOIN:\t");
    stage.write("aliases", &turned, 0o644);
    stage.parity(&["upgrade", "--all"]).expect(0);
    let moved = stage.read("aliases");
    // The older release has owner-LIST besides.
    assert!(moved.contains("\nowner-toylist: \"|"));
    assert!(moved.contains("\nToylist-JOIN:\t\"|"));

    stage.parity(&["commit"]).expect(0);
    let committed = stage.read("aliases");
    assert!(!committed.contains("JOIN") && !committed.contains("toylist-bounces"));
    assert!(committed.contains("\ntoylist-admin: \"|") && committed.contains("\nroot: alice\n"));

    stage.parity(&["commit", "--revert"]).expect(0);
    assert_eq!(stage.read("aliases"), moved);
    stage.aliases(&["check"]).expect(0);
}

#[test]
fn the_records_are_no_more_readable_than_the_alias_files() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, wanted) in [(0o640, 0o640), (0o600, 0o600), (0o664, 0o644)] {
        let stage = Stage::bare();
        stage.hand_parity(&[], &[]);
        stage.write("aliases", stage.read("aliases"), mode);
        // As an older release left it.
        stage.write("state/adopted.jsonl", "", 0o644);
        stage.aliases(&["adopt"]).expect(0);
        let records = std::fs::metadata(stage.path("state/adopted.jsonl")).unwrap();
        assert_eq!(records.permissions().mode() & 0o777, wanted, "{mode:o}");
    }
}

#[test]
fn a_file_with_two_names_is_read_and_never_edited() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    let before = stage.read("aliases");
    std::fs::hard_link(stage.path("aliases"), stage.path("second")).unwrap();
    stage.aliases(&["trace", "toylist"]).expect(0);
    stage.aliases(&["check"]).expect(0);
    stage.aliases(&["diff"]).expect(0);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["nothing to change"]);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    for words in [
        &["unadopt", "--dry-run"][..],
        &["unadopt"],
        &["unadopt", "toylist"],
    ] {
        stage
            .aliases(words)
            .expect(1)
            .complains(&["more than one name", "hint: make it one file"]);
    }
    assert_eq!(stage.read("aliases"), before);
    assert_eq!(stage.read("second"), before);
}

#[test]
fn a_broken_profile_of_a_tree_that_serves_no_list_stops_nothing() {
    let stage = Stage::new();
    let sound = stage.read("site.toml");
    let (before, after) = sound.split_once("[trees.b]").unwrap();
    let after = after.replacen("\"mailman2\"", "\"broken\"", 1);
    let broken = format!("{before}[trees.b]{after}");
    stage.write("site.toml", &broken, 0o644);
    let note = "the profile of tree b, which serves no list: no profile \"broken\"";
    stage.aliases(&["adopt"]).expect(0).says(&[note]);
    stage
        .aliases(&["sync", "--remove"])
        .expect(0)
        .says(&[note, "nothing to change"]);
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["WARNING: profile: tree b: no profile"]);
    stage.aliases(&["trace", "toylist"]).expect(0);
    stage.aliases(&["unadopt"]).expect(0);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(1);
    // A list is on it: what its addresses are cannot be told any more.
    stage.write("site.toml", &sound, 0o644);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.write("site.toml", &broken, 0o644);
    for words in [&["adopt"][..], &["sync"], &["sync", "--remove"]] {
        stage
            .aliases(words)
            .expect(1)
            .complains(&["no profile \"broken\""]);
    }
    stage
        .aliases(&["check"])
        .expect(2)
        .says(&["CRITICAL: profile: tree b: no profile"]);
    stage
        .aliases(&["trace", "toylist"])
        .expect(0)
        .says(&["the profile of tree b cannot be used: mail waits"]);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    // Reverting a commit brings a tree back whose profile broke since.
    stage.write("site.toml", &sound, 0o644);
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["commit"]).expect(0);
    let sound_b = sound.replacen("\"mailman2\"", "\"broken\"", 1);
    stage.write("site.toml", &sound_b, 0o644);
    stage.parity(&["commit", "--revert"]).expect(0);
}
