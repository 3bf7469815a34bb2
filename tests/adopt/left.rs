//! What adopt cannot serve is left as it is and named: where, why, and what to type.

use super::managers::{filled, site_of};
use crate::stage::Stage;

/// Adopts `text`: nothing may change, and each of `told` must be said.
#[track_caller]
fn check(stage: &Stage, text: &str, told: &[&str]) {
    let text = filled(stage, text);
    stage.write("aliases", &text, 0o644);
    let told: Vec<String> = told.iter().map(|told| filled(stage, told)).collect();
    let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
    told.push("nothing to change");
    let done = stage.aliases(&["adopt"]).expect(0).says(&told);
    assert_eq!(
        done.stdout.matches("left: ").count(),
        told.len() - 1,
        "{done:#?}"
    );
    assert_eq!(stage.read("aliases"), text);
}

#[test]
fn a_name_that_is_escaped_from_the_shell() {
    check(
        &super::stage(),
        "a;b: \"|{a}/mail/mailman post a\\;b\"\n\"toy&list-owner\": \"|{a}/mail/mailman owner toy\\\\&list\"\n",
        &[
            "aliases, line 1: a;b: \"a;b\" is no list name: \";\" is not allowed; it stays on tree a",
            "line 2: toy&list-owner: \"toy&list\" is no list name: \"&\" is not allowed",
        ],
    );
}

#[test]
fn another_program_around_the_trees() {
    check(
        &super::stage(),
        "toylist: \"|exec {a}/mail/mailman post toylist\"\n\
         toylist-owner: \"|/usr/bin/nice {a}/mail/mailman owner toylist\"\n\
         toylist-join: \"|{a}/mail/mailman join toylist || exit 75\"\n\
         toylist-leave: \"|{a}/mail/mailman leave toylist # bye\"\n",
        &[
            "line 1: toylist: its command has quotes, shell characters or another program around \
             the tree's; write the program and its words alone, then mm-aliases",
            "line 2: toylist-owner: its command has",
            "line 3: toylist-join: its command has",
            "line 4: toylist-leave: its command has",
        ],
    );
}

#[test]
fn words_that_no_profile_knows() {
    let stage = super::stage();
    check(
        &stage,
        "toylist: \"|{a}/mail/mailman post toylist --fast\"\nx: \"|{a}/mail/mailman archive toylist\"\n",
        &[
            "line 1: toylist: the words behind the program are none that its profile knows; write \
             toylist: \"|{a}/mail/mailman post toylist\", then mm-aliases",
            "line 2: x: the words behind the program are none that its profile knows; write it as \
             \"|{a}/mail/mailman post list\", or teach tree a's profile that form ([[direct]]), then",
        ],
    );
    // A move would leave the list's posts behind, and is refused.
    stage.parity(&["verify"]).expect(0);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["posts would stay", "none that its profile knows"]);
}

#[test]
fn a_second_program_wherever_it_stands() {
    check(
        &super::stage(),
        "toylist: alice,\n\t\"|{a}/mail/mailman post toylist\",\n\t\"|/usr/bin/archive toylist\"\n\
         reallist1: \"|/usr/bin/archive x\", bob, |\"{a}/mail/mailman post reallist1\"\n\
         both: \"|{a}/mail/mailman post toylist\", \"|{a}/mail/mailman post reallist1\"\n",
        &[
            "line 1: toylist: it runs a second program, which Postfix would run again whenever \
             mm-deliver asks it to try again; give the other program an alias of its own",
            "line 4: reallist1: it runs a second program",
            "line 5: both: it runs a second program",
        ],
    );
}

#[test]
fn a_tree_that_is_none_of_this_site() {
    let stage = super::stage();
    check(
        &stage,
        "toylist: \"|/opt/mm/mail/mailman post toylist\"\n\
         old: |\"/usr/local/mailman/mail/wrapper post old\", alice\n",
        &[
            "line 1: toylist: it pipes into \"/opt/mm\", which is no tree of this site; if it is \
             this site's, name that root in site.toml",
            "line 2: old: it pipes into \"/usr/local/mailman\"",
        ],
    );
    stage
        .aliases(&["adopt", "old"])
        .expect(1)
        .complains(&["no such list: old"]);
}

#[test]
fn a_program_in_an_included_file() {
    let stage = super::stage();
    let list = "alice\n# x\n\"|{a}/mail/mailman post toylist\"\n:include:{dir}/more\n";
    stage.write("members", filled(&stage, list), 0o644);
    let more = "bob\n\"|/opt/mm/mail/mailman post reallist1\"\n|/usr/bin/vacation bob\n";
    stage.write("more", more, 0o644);
    let before = stage.snapshot("members");
    check(
        &stage,
        "toylist: :include:{dir}/members\nfriends: :include:/none, carol\n",
        &[
            "line 1: toylist: it includes \"{dir}/members\", and {dir}/members, line 3, pipes to a list",
            "line 1: toylist: it includes \"{dir}/members\", and {dir}/more, line 2, pipes to a list",
        ],
    );
    assert_eq!(stage.snapshot("members"), before);
}

#[test]
fn a_name_that_stands_in_two_files() {
    let stage = super::stage();
    let site = stage.read("site.toml");
    let files = format!("aliases\", \"{}\"]", stage.path("second").display());
    stage.write("site.toml", site.replace("aliases\"]", &files), 0o644);
    let second = "ToyList: \"|{a}/mail/mailman post toylist\"\n\
                  toylist-owner: bob,\n  \"|{a}/mail/mailman owner toylist\"\n";
    stage.write("second", filled(&stage, second), 0o644);
    let first = "toylist: \"|{a}/mail/mailman post toylist\"\n\
                 toylist-join: \"|{a}/mail/mailman join toylist\"";
    stage.write("aliases", filled(&stage, first), 0o644);
    stage.aliases(&["adopt"]).expect(0).says(&[
        "/aliases, line 1: toylist: the name stands more than once; leave one of them",
        "/second, line 1: toylist: the name stands more than once",
        "2 entries changed",
    ]);
    // Of several destinations the pipe alone is replaced, in its file.
    let owner = super::ours(&stage, "owner", "toylist");
    assert!(
        stage
            .read("second")
            .ends_with(&format!("toylist-owner: bob,\n  {owner}\n"))
    );
    stage.aliases(&["unadopt"]).expect(0);
    assert_eq!(stage.read("aliases"), filled(&stage, first));
    assert_eq!(stage.read("second"), filled(&stage, second));
}

#[test]
fn sympas_own_addresses_and_lists_of_other_domains() {
    let more = "domain = \"lists.example.org\"\n";
    let stage = site_of("sympa", more, &["bin/queue", "bin/bouncequeue"]);
    check(
        &stage,
        "sympa: \"| {a}/bin/queue sympa@lists.example.org\"\n\
         listmaster: \"| {a}/bin/queue listmaster@lists.example.org\"\n\
         bounce+*: \"| {a}/bin/bouncequeue sympa@lists.example.org\"\n\
         sympa-request: postmaster\n\
         other.org-toys: \"| {a}/bin/queue toys@other.org\"\n",
        &[
            "line 1: sympa: \"sympa\" belongs to the list manager as a whole, and is no list; it stays",
            "line 2: listmaster: \"listmaster\" belongs",
            "line 3: bounce+*: \"sympa\" belongs",
            "line 5: other.org-toys: list \"toys@other.org\" is of a domain that is not the tree's; \
             it stays on tree a; for that domain's lists write a second site.toml, with a `state` of \
             its own and domain = \"other.org\", then mm-parity --site THAT init and mm-aliases \
             --site THAT adopt",
        ],
    );
    // As it says.
    let (mine, other) = (stage.read("site.toml"), stage.path("other.toml"));
    let text = mine
        .replace("/state\"", "/other-state\"")
        .replace("lists.example.org", "other.org");
    stage.write("other.toml", text, 0o644);
    let run = |program: &str, words: &[&str]| {
        let mut command = std::process::Command::new(stage.path("bin").join(program));
        command.arg("--site").arg(&other).args(words);
        stage.run(command, b"")
    };
    stage.make_dir("other-state");
    stage.write(
        "other-state/parity.toml",
        stage.read("state/parity.toml"),
        0o644,
    );
    stage.write("other-state/lock", "", 0o644);
    run("mm-aliases", &["adopt"]).expect(0);
    let ours = super::ours(&stage, "post", "toys").replace("site.toml", "other.toml");
    let text = stage.read("aliases");
    assert!(
        text.contains(&format!("other.org-toys: {ours}\n")),
        "{text}"
    );
}

#[test]
fn other_options_and_another_server_of_request_tracker() {
    let stage = site_of(
        "rt",
        "url = \"http://rt.example.org/\"\n",
        &["bin/rt-mailgate"],
    );
    let gate = "{a}/bin/rt-mailgate --queue";
    check(
        &stage,
        &format!(
            "one: \"|{gate} General --action take-comment --url http://rt.example.org/\"\n\
             two: \"|{gate} General --action correspond --url http://other.example.org/\"\n\
             three: \"|{gate} 'Customer Service' --action correspond --url http://rt.example.org/\"\n\
             four: \"|{gate} General --url http://rt.example.org/ --debug\"\n"
        ),
        &[
            "line 1: one: the words behind the program",
            "line 2: two: the words behind the program",
            "line 3: three: the words behind the program",
            "line 4: four: the words behind the program are none that its profile knows; write it as \
             \"|{a}/bin/rt-mailgate --queue LIST --action correspond --url http://rt.example.org/\", or",
        ],
    );
    check(
        &stage,
        &format!(
            "five: \"|{gate} General --debug --url http://rt.example.org/ --action comment\"\n"
        ),
        &[
            "line 1: five: the words behind the program are none that its profile knows; write five: \
             \"|{a}/bin/rt-mailgate --queue General --action comment --url http://rt.example.org/\", then",
        ],
    );
}

#[test]
fn what_smrsh_would_not_run() {
    let stage = super::stage();
    stage.make_dir("smrsh");
    std::os::unix::fs::symlink(stage.path("a/mail/mailman"), stage.path("smrsh/wrapper")).unwrap();
    let text = "toylist: \"|{dir}/smrsh/wrapper post toylist\"\n";
    check(
        &stage,
        text,
        &[
            "line 1: toylist: smrsh would run it, and \"{dir}/smrsh/mm-deliver\" does not lead to \
             mm-deliver: mail would bounce; ln -s {dir}/bin/mm-deliver {dir}/smrsh/mm-deliver, then",
        ],
    );
    let link = stage.path("smrsh/mm-deliver");
    std::os::unix::fs::symlink(stage.path("bin/mm-deliver"), link).unwrap();
    stage
        .aliases(&["adopt"])
        .expect(0)
        .says(&["1 entry changed"]);
}

#[test]
fn a_tree_without_what_its_profile_asks_for() {
    for (profile, program, key) in [
        ("sympa", "bin/queue", "domain"),
        ("rt", "bin/rt-mailgate", "url"),
    ] {
        let stage = site_of(profile, "", &[program]);
        let told = format!("tree \"a\" has no `{key}`, and its profile asks for it");
        stage.aliases(&["adopt"]).expect(1).complains(&[&told]);
        stage.deliver(&["post", "toylist"], b"x").expect(75);
        let explained = stage.deliver(&["--explain", "post", "toylist"], b"");
        explained.expect(75).complains(&[&told]);
        assert!(stage.ran().is_empty());
    }
}

#[test]
fn a_line_by_which_the_mta_delivers_nothing() {
    let stage = super::stage();
    let site = stage.read("site.toml");
    let line = "\"|{a}/mail/mailman post toylist\"";
    let ours = filled(&stage, line);
    for (mta, behind) in [("exim", " # the toys"), ("opensmtpd", ", u1 (the toys)")] {
        let site = site.replace("mta = \"none\"", &format!("mta = {mta:?}"));
        stage.write("site.toml", site, 0o644);
        stage.write("aliases", format!("\ntoylist: {ours}{behind}\n"), 0o644);
        let told = format!(
            "aliases, line 2: toylist: not a destination: mail to it is deferred; let the line be \
             toylist: {ours} and no more, then mm-aliases"
        );
        for words in [
            &["adopt", "--dry-run"][..],
            &["adopt", "toylist", "--dry-run"],
            &["sync", "--dry-run"],
        ] {
            let done = stage.aliases(words).expect(0).says(&[&told]);
            assert_eq!(done.stdout.matches(&told).count(), 1, "{done:#?}");
        }
        // A list that no tree has yet is known from this line alone.
        let other = ours.replace("toylist", "unheard");
        stage.write("aliases", format!("unheard: {other}{behind}\n"), 0o644);
        stage
            .aliases(&["adopt", "--dry-run"])
            .expect(0)
            .says(&["aliases, line 1: unheard: not a destination: mail to it is deferred"]);
    }
}
