//! `mm-aliases sync`, `diff` and `check`: what lists lack is added; what is somebody else's is
//! reported and left.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::stage::Stage;

/// A site whose lists are all adopted, on the current tree a.
fn stage() -> Stage {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    stage
}

fn without_line(stage: &Stage, name: &str) {
    let text = stage.read("aliases");
    let kept: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(&format!("{name}:")))
        .collect();
    assert_ne!(kept, text, "no entry {name}");
    stage.write("aliases", kept, 0o644);
}

#[test]
fn what_is_missing_comes_after_the_lists_last_entry() {
    let stage = stage();
    let before = stage.read("aliases");
    without_line(&stage, "reallist1-join");
    stage.aliases(&["check"]).expect(1).says(&[
        "WARNING: address-missing: 1 address missing\n",
        ": reallist1-join\n",
        "  mend: mm-aliases --site ",
    ]);
    stage
        .aliases(&["diff"])
        .expect(1)
        .says(&["+reallist1-join: \"|"]);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["1 entry changed"]);
    let line = before
        .lines()
        .find(|line| line.starts_with("reallist1-join:"))
        .unwrap();
    let last = before
        .lines()
        .find(|line| line.starts_with("reallist1-unsubscribe:"))
        .unwrap();
    assert!(stage.read("aliases").contains(&format!("{last}\n{line}\n")));
    stage.aliases(&["diff"]).expect(0);
    stage.aliases(&["check"]).expect(0);
}

#[test]
fn a_new_list_comes_at_the_end_of_the_first_file() {
    let stage = stage();
    let before = stage.read("aliases");
    stage.add_list("newlist");
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["10 entries changed"]);
    let after = stage.read("aliases");
    assert!(after.starts_with(&before) && after[before.len()..].starts_with("newlist: \"|"));
    assert!(
        after[before.len()..]
            .lines()
            .all(|line| line.starts_with("newlist"))
    );
}

#[test]
fn a_users_name_or_a_well_known_one_is_never_taken_unasked() {
    let stage = stage();
    stage.write(
        "aliases",
        stage.read("aliases").replace("postmaster: root\n", ""),
        0o644,
    );
    // alice is in LDAP alone: root's mail goes to her.
    for list in ["daemon", "postmaster", "info", "alice"] {
        stage.add_list(list);
    }
    stage.aliases(&["sync"]).expect(0).says(&[
        "alice: wanted by list alice, and not added: another alias sends its mail to this name",
        "daemon: wanted by list daemon, and not added: a local user has this name",
        "postmaster: wanted by list postmaster, and not added: every host has this address",
        "--claim info",
    ]);
    let names = |stage: &Stage| -> Vec<String> {
        stage
            .read("aliases")
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
            .collect()
    };
    for name in ["daemon", "postmaster", "info", "alice"] {
        assert!(
            !names(&stage).contains(&name.to_owned()),
            "{name} was taken"
        );
        assert!(names(&stage).contains(&format!("{name}-owner")));
    }
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["held back", "sync --claim alice"]);
    stage
        .aliases(&["sync", "--claim", "info"])
        .expect(0)
        .says(&["1 entry changed"]);
    assert!(names(&stage).contains(&"info".to_owned()));
    assert!(!names(&stage).contains(&"postmaster".to_owned()));
}

#[test]
fn an_address_of_a_list_that_an_alias_names_is_held_back_and_told() {
    let stage = stage();
    let with = stage.read("aliases");
    let lines = with
        .lines()
        .filter(|line| !line.starts_with("toylist-owner:"));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    assert_ne!(without, with);
    let webmaster = format!("{without}webmaster: toylist-owner\n");
    stage.write("aliases", &webmaster, 0o644);
    stage.aliases(&["sync"]).expect(0);
    assert_eq!(stage.read("aliases"), webmaster);
    stage.aliases(&["check"]).expect(1).says(&[
        "held back: another alias sends its mail to this name",
        "sync --claim toylist-owner",
    ]);
    let claim = ["sync", "--claim", "toylist-owner"];
    stage.aliases(&claim).expect(0).says(&["1 entry changed"]);
    stage.aliases(&["check"]).expect(0);
}

#[test]
fn addresses_that_lead_in_a_circle_are_told() {
    let stage = stage();
    let with = stage.read("aliases");
    let is_of = |line: &str, name: &str| line.starts_with(&format!("toylist-{name}:"));
    let lines = with.lines().map(|line| match line {
        _ if is_of(line, "owner") => "toylist-owner: Toylist-Admin\n".to_owned(),
        _ if is_of(line, "admin") => "toylist-admin: toylist-owner, toylist-leave\n".to_owned(),
        _ => format!("{line}\n"),
    });
    let text: String = lines.collect();
    stage.write("aliases", &text, 0o644);
    // One way out is enough.
    stage.aliases(&["check"]).expect(0);
    let circle = text.replace("toylist-owner, toylist-leave", "toylist-owner");
    stage.write("aliases", &circle, 0o644);
    stage.aliases(&["check"]).expect(1).says(&[
        "2 addresses taken: it leads in a circle",
        "mail to it goes round",
        "remove the line, then ",
    ]);
    stage.aliases(&["sync"]).expect(0);
    assert_eq!(stage.read("aliases"), circle);
}

#[test]
fn a_claim_that_claims_nothing_says_so() {
    let stage = stage();
    stage
        .aliases(&["sync", "--claim", "nosuch", "--claim", "toylist"])
        .expect(0)
        .says(&[
            "--claim nosuch: no list wants this name",
            "--claim toylist: ",
            "has this name",
            "nothing to change",
        ]);
}

#[test]
fn what_to_type_names_the_site() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    let typed = format!(
        "mm-aliases --site {} adopt",
        stage.path("site.toml").display()
    );
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&[&format!("  mend: {typed}\n")]);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&[&format!("({typed} turns it)")]);
    stage.hand_parity(&["toylist"], &[]);
    stage
        .aliases(&["unadopt"])
        .expect(1)
        .complains(&["hint: mm-parity --site /"]);
}

#[test]
fn stale_entries_go_only_when_asked_and_when_the_lists_can_be_told() {
    let stage = stage();
    let before = stage.read("aliases");
    std::fs::remove_dir_all(stage.path("var/lists/reallist2")).unwrap();
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["10 addresses stale: the list is gone", "sync --remove"]);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["nothing to change", "the list is gone"]);
    assert_eq!(stage.read("aliases"), before);

    std::fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    stage
        .aliases(&["sync", "--remove"])
        .expect(1)
        .complains(&["which lists there are cannot be told"]);
    stage.make_dir("var/lists");
    stage
        .aliases(&["sync", "--remove"])
        .expect(1)
        .complains(&["holds no list"]);
    assert_eq!(stage.read("aliases"), before);
    std::fs::remove_dir(stage.path("var/lists")).unwrap();
    std::fs::rename(stage.path("var/away"), stage.path("var/lists")).unwrap();

    stage
        .aliases(&["sync", "--remove"])
        .expect(0)
        .says(&["10 entries changed"]);
    assert!(!stage.read("aliases").contains("\nreallist2"));
    assert!(stage.read("aliases").contains("\ntoylist"));
}

#[test]
fn what_is_somebody_elses_or_stands_twice_is_reported_and_not_touched() {
    let stage = stage();
    without_line(&stage, "toylist-owner");
    without_line(&stage, "toylist-admin");
    let text = stage.read("aliases");
    let join = text
        .lines()
        .find(|line| line.starts_with("toylist-join:"))
        .unwrap()
        .to_owned();
    let text = format!(
        "{text}toylist-owner: alice\ntoylist-admin: \"|/opt/mm/mail/mailman admin toylist\"\n{join}\n"
    );
    stage.write("aliases", &text, 0o644);
    stage.aliases(&["sync"]).expect(0).says(&[
        "toylist-owner: it leads elsewhere",
        "toylist-admin: it pipes into \"/opt/mm\", which is no tree",
        "toylist-join: the name stands more than once",
        "nothing to change",
    ]);
    assert_eq!(stage.read("aliases"), text);
    stage.aliases(&["check"]).expect(1).says(&[
        "which is no tree of this site\n",
        ": toylist-admin\n",
        "2 addresses in lines of the same name",
        ": toylist-join, ",
    ]);
}

#[test]
fn a_nickname_for_a_list_is_the_admins_and_stays() {
    let stage = stage();
    let text = stage.read("aliases");
    let post = text
        .lines()
        .find(|line| line.starts_with("toylist:"))
        .unwrap();
    let text = format!("{text}{}\n", post.replace("toylist:", "toys:"));
    stage.write("aliases", &text, 0o644);
    stage.aliases(&["check"]).expect(0);
    stage
        .aliases(&["sync", "--remove"])
        .expect(0)
        .says(&["nothing to change"]);
    assert_eq!(stage.read("aliases"), text);
}

#[test]
fn a_list_whose_name_is_anothers_sub_address_wins_it() {
    let stage = stage();
    stage.add_list("toylist-owner");
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["toylist-owner: it leads to mm-deliver with another"]);
    let without = stage
        .read("aliases")
        .lines()
        .filter(|line| !line.starts_with("toylist-owner:"))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    stage.write("aliases", without, 0o644);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["post toylist-owner"]);
    stage.aliases(&["check"]).expect(0);
}

#[test]
fn an_alias_that_would_be_too_long_for_an_mta_is_refused_with_its_length() {
    let stage = stage();
    let far = format!("{}/{}", "d".repeat(100), "e".repeat(100));
    stage.make_dir(&far);
    stage.write(&format!("{far}/site.toml"), stage.read("site.toml"), 0o644);
    let mut command = std::process::Command::new(stage.path("bin/mm-aliases"));
    command
        .arg("--site")
        .arg(stage.path(&far).join("site.toml"))
        .arg("sync");
    stage.write("aliases", "", 0o644);
    stage.run(command, b"").expect(0).says(&[
        "bytes, and not every MTA takes more than 252",
        "link",
        "nothing to change",
    ]);
    assert_eq!(stage.read("aliases"), "");
}

#[test]
fn a_direct_entry_of_a_list_that_is_ahead_is_critical() {
    let stage = Stage::bare();
    stage.hand_parity(&["toylist"], &[]);
    stage
        .aliases(&["check"])
        .expect(2)
        .says(&["CRITICAL: address-direct: 10 addresses straight into a tree\n"]);
}

#[test]
fn a_direct_entry_into_the_tree_that_serves_no_list_any_more_is_critical() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["WARNING: address-direct: 30 addresses straight into a tree\n"]);
    // As after a commit: the other tree is the current one.
    let committed = stage
        .read("state/parity.toml")
        .replace("current = \"a\"", "current = \"b\"")
        .replace("\"ready\"", "\"retired\"");
    stage.write("state/parity.toml", committed, 0o644);
    stage
        .aliases(&["check"])
        .expect(2)
        .says(&["CRITICAL: address-direct: 30 addresses straight into a tree\n"]);
}

#[test]
fn a_look_that_fails_hides_no_other_finding() {
    let stage = stage();
    without_line(&stage, "reallist1-join");
    without_line(&stage, "toylist");
    let records = stage.read("state/adopted.jsonl");
    stage.write("state/adopted.jsonl", format!("damaged\n{records}"), 0o644);
    stage.aliases(&["check"]).expect(2).says(&[
        "CRITICAL: address-missing: 1 address missing, to which people post\n",
        "what is posted there bounces",
        "WARNING: address-missing: 1 address missing\n",
        "UNKNOWN: adopted: what was adopted cannot be told",
        "adopted.jsonl:1:1",
    ]);
    stage.write("aliases", "# nothing\n", 0o644);
    stage.aliases(&["check"]).expect(2).says(&[
        "CRITICAL: aliases: the alias files hold no entry",
        "UNKNOWN",
    ]);
    std::fs::remove_file(stage.path("state/adopted.jsonl")).unwrap();
    std::fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    stage
        .aliases(&["check"])
        .expect(2)
        .says(&["CRITICAL: enumeration: which lists there are cannot be told"]);
}

#[test]
fn a_check_that_cannot_be_made_says_so_as_a_finding() {
    let stage = Stage::bare();
    stage
        .aliases(&["check"])
        .expect(2)
        .says(&["CRITICAL: parity: ", "parity.toml", " init"]);
    stage.aliases(&["diff"]).expect(2);
    stage.aliases(&["check", "--no-such"]).expect(3);
    stage.aliases(&["sync", "--no-such"]).expect(2);
    stage.aliases(&["--help"]).expect(0).says(&["Exit status"]);
    stage
        .aliases(&["--version"])
        .expect(0)
        .says(&["mm-aliases"]);
}

#[test]
fn a_former_program_that_is_gone_while_mail_may_be_queued_is_reported() {
    let stage = stage();
    stage.aliases(&["check"]).expect(0);
    stage.remove_program("a");
    stage
        .aliases(&["check"])
        .expect(1)
        .says(&["is gone, and mail that was queued"]);
}

/// Sendmail takes `name@domain:` for `name` where the domain is its own, and of two the last.
#[test]
fn a_name_that_stands_with_a_domain_is_held_back_from_sendmail() {
    let stage = Stage::new();
    let site = stage.read("site.toml");
    stage.write(
        "site.toml",
        site.replace("mta = \"none\"", "mta = \"sendmail\""),
        0o644,
    );
    let aliases = stage.read("aliases");
    let aliases: String = aliases
        .lines()
        .map(|line| match line.strip_prefix("toylist-owner:") {
            Some(_) => "ToyList-Owner@mx.example.org: alice\n".to_owned(),
            None => format!("{line}\n"),
        })
        .filter(|line| !line.starts_with("toylist-leave:"))
        .collect();
    stage.write("aliases", &aliases, 0o644);
    let done = stage.aliases(&["sync", "--dry-run"]).expect(0).says(&[
        "added toylist-leave",
        "toylist-owner: wanted by list toylist, and not added: a line has it with a domain",
    ]);
    assert!(!done.stdout.contains("added toylist-owner"), "{done:?}");
}
