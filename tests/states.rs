//! The six states that an address of a list can be in, for every verb of the list manager: what
//! `sync` does with it, what it leaves, and the word that `status` has for it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::stage::{Stage, TAILS};

/// One situation that all addresses of toylist are in.
struct Situation {
    /// The state's word.
    word: &'static str,
    /// The lines of the address with this name and verb; empty: there is none.
    lines: fn(&Stage, &str, &str) -> String,
    /// What `sync` makes of them; `None`: they stay.
    after: Option<fn(&Stage, &str, &str) -> String>,
    /// What `sync` says of the name when it leaves the lines.
    left: Option<&'static str>,
}

fn ours(stage: &Stage, name: &str, verb: &str, list: &str) -> String {
    format!(
        "{name}: \"|{} --site {} {verb} {list}\"\n",
        stage.path("bin/mm-deliver").display(),
        stage.path("site.toml").display()
    )
}

fn right(stage: &Stage, name: &str, verb: &str) -> String {
    ours(stage, name, verb, "toylist")
}

fn stays(word: &'static str, lines: fn(&Stage, &str, &str) -> String) -> Situation {
    Situation {
        word,
        lines,
        after: None,
        left: None,
    }
}

fn left(
    word: &'static str,
    says: &'static str,
    lines: fn(&Stage, &str, &str) -> String,
) -> Situation {
    Situation {
        left: Some(says),
        ..stays(word, lines)
    }
}

/// Each state, for each way of getting into it.
fn situations() -> Vec<Situation> {
    vec![
        stays("ok", right),
        // Upper case in the name, in the list, and both: one list, one address.
        stays("ok", |s, name, verb| {
            ours(s, &name.to_uppercase(), verb, "toylist")
        }),
        stays("ok", |s, name, verb| ours(s, name, verb, "ToyList")),
        stays("ok", |s, name, verb| {
            ours(s, &name.replace("toylist", "ToyList"), verb, "TOYLIST")
        }),
        // Somebody else gets a copy; the list gets its mail.
        stays("ok", |s, name, verb| {
            right(s, name, verb).replace(": ", ": archive@example.org, ")
        }),
        Situation {
            after: Some(right),
            ..stays("missing", |_, _, _| String::new())
        },
        // A comment is nobody's entry.
        Situation {
            after: Some(|s, name, verb| format!("#{name}: \"|x\"\n{}", right(s, name, verb))),
            ..stays("missing", |_, name, _| format!("#{name}: \"|x\"\n"))
        },
        left("direct", "pipes straight into a tree", |s, name, verb| {
            let wrapper = s.path("a/mail/mailman");
            format!("{name}: \"|{} {verb} toylist\"\n", wrapper.display())
        }),
        // With a program beside it that would run again at each of our 75.
        left(
            "direct",
            "pipes straight into a tree, and",
            |s, name, verb| {
                let wrapper = s.path("a/mail/mailman");
                format!(
                    "{name}: \"|{} {verb} toylist\", \"|/usr/bin/archive\"\n",
                    wrapper.display()
                )
            },
        ),
        left("taken", "it leads elsewhere", |_, name, _| {
            format!("{name}: alice\n")
        }),
        left("taken", "it leads elsewhere", |_, name, _| {
            format!("{name}: /var/mail/archive\n")
        }),
        left("taken", "it leads elsewhere", |_, name, verb| {
            format!("{name}: \"|/usr/bin/vacation {verb}\"\n")
        }),
        left("taken", "with another verb or list", |s, name, verb| {
            ours(s, name, verb, "reallist1")
        }),
        left("taken", "with another verb or list", |s, name, verb| {
            let other = if verb == "leave" { "join" } else { "leave" };
            right(s, name, other)
        }),
        // A word that is no verb, one word more, an option of another form, no such site.toml.
        left(
            "refused",
            "refuses it: \"send\" is no verb",
            |s, name, _| right(s, name, "send"),
        ),
        left("refused", "no word less or more", |s, name, verb| {
            ours(s, name, verb, "toylist now")
        }),
        left(
            "refused",
            "refuses it: it takes no option",
            |s, name, verb| right(s, name, verb).replace("--site ", "--site="),
        ),
        left("refused", "refuses it: there is no ", |s, name, verb| {
            right(s, name, verb).replace("site.toml", "gone.toml")
        }),
        left("refused", "it only says something", |s, name, verb| {
            right(s, name, &format!("--explain {verb}"))
        }),
        // It is there, and may be another site's; what is this one by another name is ours.
        left("taken", "on another site, that of", |s, name, verb| {
            s.write("other.toml", s.read("site.toml"), 0o644);
            right(s, name, verb).replace("site.toml", "other.toml")
        }),
        stays("ok", |s, name, verb| {
            let _ = std::os::unix::fs::symlink(s.path("site.toml"), s.path("link.toml"));
            right(s, name, verb).replace("site.toml", "link.toml")
        }),
        left("taken", "which is no tree of this site", |_, name, verb| {
            format!("{name}: \"|/opt/mm/mail/mailman {verb} toylist\"\n")
        }),
        left("double", "stands more than once", |s, name, verb| {
            right(s, name, verb).repeat(2)
        }),
        left("double", "stands more than once", |s, name, verb| {
            format!("{}{}: alice\n", right(s, name, verb), name.to_uppercase())
        }),
    ]
}

/// Every address of toylist with its verb.
fn addresses() -> Vec<(String, &'static str)> {
    let tails = TAILS.iter().map(|tail| (format!("toylist-{tail}"), *tail));
    std::iter::once(("toylist".to_owned(), "post"))
        .chain(tails)
        .collect()
}

/// The alias file without the lines of `list`, all of which are adopted.
fn without(stage: &Stage, list: &str) -> String {
    let text = stage.read("aliases");
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !line.starts_with(list)).collect()
}

fn word_of(stage: &Stage, list: &str) -> String {
    let done = stage
        .parity(&["status", list, "--format", "json"])
        .expect(0);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    value["lists"][0]["aliases"].as_str().unwrap().to_owned()
}

#[test]
fn each_address_in_each_state_is_added_left_alone_or_reported() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    let others = without(&stage, "toylist");
    for (n, situation) in situations().iter().enumerate() {
        let lines = |make: fn(&Stage, &str, &str) -> String| -> String {
            let all = addresses();
            all.iter()
                .map(|(name, verb)| make(&stage, name, verb))
                .collect()
        };
        stage.write(
            "aliases",
            format!("{others}{}", lines(situation.lines)),
            0o644,
        );
        let context = format!("situation {n}: {}", situation.word);
        assert_eq!(word_of(&stage, "toylist"), situation.word, "{context}");
        let done = stage.aliases(&["sync"]).expect(0);
        for (name, _) in addresses() {
            let told = done.stdout.lines().any(|line| {
                line.starts_with("left: ")
                    && line.contains(&format!("{name}: "))
                    && situation.left.is_some_and(|says| line.contains(says))
            });
            assert_eq!(
                told,
                situation.left.is_some(),
                "{context}: {name}: {done:#?}"
            );
        }
        let mut expected: Vec<String> = lines(situation.after.unwrap_or(situation.lines))
            .lines()
            .map(str::to_owned)
            .collect();
        let after = stage.read("aliases");
        assert!(after.starts_with(&others), "{context}: {after}");
        let mut stands: Vec<String> = after[others.len()..].lines().map(str::to_owned).collect();
        if situation.after.is_some() {
            // Added in one block: the order is another test's.
            expected.sort();
            stands.sort();
        }
        assert_eq!(stands, expected, "{context}");
        stage
            .aliases(&["sync"])
            .expect(0)
            .says(&["nothing to change"]);
    }
}

/// Whatever the address is called: such mail waits for days, and then bounces.
#[test]
fn what_mm_deliver_refuses_is_critical_traced_and_turned_where_it_is_claimed() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    let sound = stage.read("aliases");
    let broken = sound.replace(" bounces toylist", " bounce toylist");
    assert_ne!(broken, sound);
    let sales = right(&stage, "sales", "pots");
    stage.write("aliases", format!("{broken}{sales}"), 0o644);
    let check = stage.aliases(&["check"]).expect(2);
    let check = check.says(&[
        "CRITICAL: address-refused: 1 address refused by mm-deliver: \"bounce\" is no verb",
        ": toylist-bounces",
        "1 address refused by mm-deliver: \"pots\" is no verb",
        ": sales",
        "mail to it waits (75), and bounces once the MTA gives up, after days",
        "sync --claim NAME",
    ]);
    assert_eq!(check.stdout.matches("mail: ").count(), 2, "{check:#?}");
    stage.deliver(&["bounce", "toylist"], b"x\n").expect(75);
    let why = "mm-deliver refuses these words: \"bounce\" is no verb: mail waits (75)";
    let trace = stage.aliases(&["trace", "toylist-bounces"]).expect(0);
    trace.says(&[why]);
    let says = "toylist-bounces: it leads to mm-deliver, which refuses it: \"bounce\" is no verb";
    stage.aliases(&["diff"]).expect(0).says(&[says]);
    assert_eq!(word_of(&stage, "toylist"), "refused");
    stage
        .aliases(&["sync", "--claim", "toylist-bounces"])
        .expect(0)
        .says(&["1 entry changed"]);
    assert_eq!(stage.read("aliases"), format!("{sound}{sales}"));
}

#[test]
fn each_stale_address_is_reported_and_removed_only_when_asked() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    let sound = stage.read("aliases");
    let ghost: String = addresses()
        .iter()
        .map(|(name, verb)| {
            let name = name.replace("toylist", "ghost");
            ours(&stage, &name, verb, "ghost")
        })
        .collect();
    // No tree has such an address, though mm-deliver knows the verb.
    let unused = ours(&stage, "toylist-editor", "editor", "toylist");
    let shared = format!(
        "ghosts: {}",
        ours(&stage, "x", "post", "ghost").replace("x: ", "alice, ")
    );
    stage.write("aliases", format!("{sound}{ghost}{unused}{shared}"), 0o644);
    assert_eq!(word_of(&stage, "toylist"), "stale");
    let done = stage.aliases(&["sync"]).expect(0).says(&[
        "toylist-editor: no tree in use has such an address",
        "nothing to change",
    ]);
    for (name, _) in addresses() {
        let name = name.replace("toylist", "ghost");
        assert!(
            done.stdout.contains(&format!("{name}: the list is gone")),
            "{done:#?}"
        );
    }
    stage.aliases(&["sync", "--remove"]).expect(0).says(&[
        "ghosts: the list is gone, and others are served by it",
        "11 entries changed",
    ]);
    assert_eq!(stage.read("aliases"), format!("{sound}{shared}"));
}

#[test]
fn lists_are_gone_only_where_the_sentinel_says_that_their_data_are_there() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    let before = stage.read("aliases");
    std::fs::remove_dir_all(stage.path("var/lists/toylist")).unwrap();
    let sentinel = stage.path("var/.mm-deliver-data");
    std::fs::remove_file(&sentinel).unwrap();
    // Neither nothing nor a name that leads to another place is a sentinel.
    for linked in [false, true] {
        if linked {
            std::os::unix::fs::symlink("/dev/null", &sentinel).unwrap();
        }
        for words in [
            &["sync", "--remove"][..],
            &["sync", "--remove", "--dry-run"],
        ] {
            stage.aliases(words).expect(1).complains(&[
                "lists seem to be gone, and ",
                ".mm-deliver-data",
                "are the lists' data mounted?",
                &format!("touch {}", sentinel.display()),
            ]);
        }
        assert_eq!(stage.read("aliases"), before);
    }
    std::fs::remove_file(&sentinel).unwrap();
    // What is added, and what no tree has any more, needs no list to be gone.
    stage.add_list("toylist");
    let unused = ours(&stage, "toylist-editor", "editor", "toylist");
    stage.write("aliases", format!("{before}{unused}"), 0o644);
    stage.aliases(&["sync", "--remove"]).expect(0);
    assert_eq!(stage.read("aliases"), before);
    std::fs::remove_dir_all(stage.path("var/lists/toylist")).unwrap();
    std::fs::write(&sentinel, "").unwrap();
    stage
        .aliases(&["sync", "--remove"])
        .expect(0)
        .says(&["10 entries changed"]);
    assert_eq!(stage.read("aliases"), {
        let lines = before.split_inclusive('\n');
        lines
            .filter(|line| !line.starts_with("toylist"))
            .collect::<String>()
    });
}

#[test]
fn a_list_wins_another_ones_sub_address_while_it_lives() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    let before = stage.read("aliases");
    stage.add_list("toylist-owner");
    stage.aliases(&["sync"]).expect(0).says(&[
        "toylist-owner: it leads to mm-deliver with another verb or list",
        "sync --claim toylist-owner turns it",
    ]);
    let its = ours(&stage, "toylist-owner", "post", "toylist-owner");
    let toys = right(&stage, "toylist-owner", "owner");
    assert!(stage.read("aliases").contains(&toys));
    stage
        .aliases(&["sync", "--claim", "toylist-owner"])
        .expect(0);
    let claimed = stage.read("aliases");
    assert!(
        claimed.contains(&its) && !claimed.contains(&toys),
        "{claimed}"
    );
    stage.aliases(&["diff"]).expect(0);
    // Gone, it leaves the address to the list that it belonged to.
    std::fs::remove_dir_all(stage.path("var/lists/toylist-owner")).unwrap();
    stage.aliases(&["sync", "--remove"]).expect(0);
    assert_eq!(stage.read("aliases"), before);
}

#[test]
fn an_address_of_the_list_manager_as_a_whole_is_no_lists() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    let bounces = stage.path("a/data/owner-bounces.mbox");
    let text = format!(
        "{}mailman-loop: {}\n",
        stage.read("aliases"),
        bounces.display()
    );
    stage.write("aliases", &text, 0o644);
    stage.add_list("mailman");
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["10 entries changed"]);
    let with_mailman = stage.read("aliases");
    assert!(with_mailman.contains(&ours(&stage, "mailman", "post", "mailman")));
    assert!(with_mailman.starts_with(&text));
    // A list of that name has its other addresses, never this one.
    stage.add_list("mailman-loop");
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["mailman-loop: it leads elsewhere", "9 entries changed"]);
    let all = stage.read("aliases");
    stage.write("aliases", &all[text.len()..], 0o644);
    stage.aliases(&["sync"]).expect(0).says(&[
        "mailman-loop: wanted by list mailman-loop, and not added: it is an address of the list \
         manager as a whole",
    ]);
    let stands = stage.read("aliases");
    assert!(
        !stands.lines().any(|line| line.starts_with("mailman-loop:")),
        "{stands}"
    );
}

#[test]
fn what_is_posted_is_not_served_by_an_entry_to_the_lists_owner() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    let others = without(&stage, "toylist:");
    // In June 1998 L-owner led to L-admin: that is in order.
    let others = others.replace(
        &right(&stage, "toylist-owner", "owner"),
        "toylist-owner: TOYLIST-admin\n",
    );
    stage.write(
        "aliases",
        format!("{others}toylist: toylist-owner\n"),
        0o644,
    );
    assert_eq!(word_of(&stage, "toylist"), "taken");
    let done = stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["toylist: it leads elsewhere", "nothing to change"]);
    assert!(!done.stdout.contains("toylist-owner:"), "{done:#?}");
}

#[test]
fn a_list_is_spelled_as_its_list_manager_has_it() {
    let stage = Stage::bare();
    let profile = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/profiles/mailman2.toml"
    ))
    .unwrap()
    .replace("\"lower\"", "\"as-written\"");
    stage.make_dir("profiles");
    stage.write("profiles/own.toml", profile, 0o644);
    let site = stage.read("site.toml").replace("\"mailman2\"", "\"own\"");
    stage.write("site.toml", site, 0o644);
    stage.add_list("ToyList2");
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["10 entries changed"]);
    let line = ours(&stage, "toylist2", "post", "ToyList2");
    assert!(
        stage.read("aliases").contains(&line),
        "{}",
        stage.read("aliases")
    );
    // A move that has to add one spells it so too, however the list was typed.
    let rest = without(&stage, "toylist2");
    stage.write("aliases", rest, 0o644);
    stage.parity(&["upgrade", "TOYLIST2"]).expect(0);
    assert!(
        stage.read("aliases").contains(&line),
        "{}",
        stage.read("aliases")
    );
}
