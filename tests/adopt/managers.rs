//! The alias text of every era and list manager, as those write it: turned, and put back byte for
//! byte.

use crate::stage::Stage;

/// A site whose two trees have this profile, with `more` lines in each tree of site.toml, and
/// whose current tree has `programs`.
pub(super) fn site_of(profile: &str, more: &str, programs: &[&str]) -> Stage {
    let stage = Stage::bare();
    let more = more.replace("{dir}", &stage.dir.display().to_string());
    let site = stage.read("site.toml").replace(
        "profile = \"mailman2\"\n",
        &format!("profile = \"{profile}\"\n{more}"),
    );
    stage.write("site.toml", site, 0o644);
    let program = stage.read("a/mail/mailman");
    for tree in ["a", "b"] {
        for name in programs {
            let path = format!("{tree}/{name}");
            stage.make_dir(path.rsplit_once('/').unwrap().0);
            stage.write(&path, &program, 0o755);
        }
    }
    stage.hand_parity(&[], &[]);
    stage
}

/// `text` with `{a}` as the current tree's root and `{dir}` as the stage's directory.
pub(super) fn filled(stage: &Stage, text: &str) -> String {
    text.replace("{a}", &stage.path("a").display().to_string())
        .replace("{b}", &stage.path("b").display().to_string())
        .replace("{dir}", &stage.dir.display().to_string())
}

/// Adopts `text`; every line of `turned` (`name verb list`) must then lead to us, all else stand
/// as before; unadopt must give `text` back.
#[track_caller]
fn check(stage: &Stage, text: &str, turned: &[&str]) {
    let text = filled(stage, text);
    stage.write("aliases", &text, 0o644);
    let entries = match turned.len() {
        1 => "1 entry changed".to_owned(),
        n => format!("{n} entries changed"),
    };
    stage.aliases(&["adopt"]).expect(0).says(&[&entries]);
    let after = stage.read("aliases");
    assert!(
        !after.contains(&stage.path("a").display().to_string()),
        "{after}"
    );
    assert_eq!(after.lines().count(), text.lines().count());
    for line in turned {
        let [name, verb, list] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?}");
        };
        let ours = super::ours(stage, verb, list);
        let stands = after.lines().any(|line| {
            line.split_once(':')
                .is_some_and(|(left, right)| left.trim() == name && right.contains(&ours))
        });
        assert!(stands, "{name} is not {ours}: {after}");
    }
    stage.aliases(&["unadopt"]).expect(0);
    assert_eq!(stage.read("aliases"), text);
}

#[test]
fn june_1998_with_the_bar_outside_the_quotes() {
    let stage = site_of("mailman1", "", &["mail/wrapper"]);
    check(
        &stage,
        "## toylist mailing list\n## created: 04-Jun-1998 klm\n\
         toylist:         |\"{a}/mail/wrapper post toylist\"\n\
         toylist-admin:   |\"{a}/mail/wrapper mailowner toylist\"\n\
         toylist-request: |\"{a}/mail/wrapper mailcmd toylist\"\n\
         # I think we don't want this one...\n\
         owner-toylist:   toylist-admin\ntoylist-owner:   toylist-admin\n",
        &[
            "toylist post toylist",
            "toylist-admin admin toylist",
            "toylist-request request toylist",
        ],
    );
}

#[test]
fn the_wrapper_of_1_0_to_2_0() {
    let stage = site_of("mailman1", "", &["mail/wrapper"]);
    check(
        &stage,
        "## toylist mailing list\n## created: 23-Oct-2000 root\n\
         toylist:               \"|{a}/mail/wrapper post toylist\"\n\
         toylist-admin:         \"|{a}/mail/wrapper mailowner toylist\"\n\
         toylist-request:       \"|{a}/mail/wrapper mailcmd toylist\"\n\
         toylist-owner:         toylist-admin\n",
        &[
            "toylist post toylist",
            "toylist-admin admin toylist",
            "toylist-request request toylist",
        ],
    );
}

/// The ten lines of Mailman 2.1, names padded as it does.
fn ten(program: &str, list: &str) -> String {
    let mut text = format!("{:<27}\"|{program} post {list}\"\n", format!("{list}:"));
    for tail in crate::stage::TAILS {
        text += &format!(
            "{:<27}\"|{program} {tail} {list}\"\n",
            format!("{list}-{tail}:")
        );
    }
    text
}

fn ten_turned(list: &str) -> Vec<String> {
    let mut turned = vec![format!("{list} post {list}")];
    turned.extend(
        crate::stage::TAILS
            .iter()
            .map(|tail| format!("{list}-{tail} {tail} {list}")),
    );
    turned
}

#[test]
fn mailman_2_1_as_newlist_prints_it() {
    let stage = super::stage();
    let text = format!(
        "## toylist mailing list\n{}\n",
        ten("{a}/mail/mailman", "toylist")
    );
    let turned = ten_turned("toylist");
    check(
        &stage,
        &text,
        &turned.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn mailman_2_1_as_it_writes_for_postfix() {
    let stage = super::stage();
    let stanza = |list: &str| {
        format!(
            "# STANZA START: {list}\n# CREATED: Sun Nov 22 10:02:11 2026\n{}# STANZA END: {list}\n\n",
            ten("{a}/mail/mailman", list)
        )
    };
    let text = format!(
        "# This file is generated by Mailman, and is kept in sync with the\n# binary hash file \
         aliases.db.\n\n# The ultimate loop stopper address\nmailman-loop: {{dir}}/var/data/owner-bounces.mbox\n\n\
         {}{}",
        stanza("toylist"),
        stanza("reallist1")
    );
    let turned = [ten_turned("toylist"), ten_turned("reallist1")].concat();
    check(
        &stage,
        &text,
        &turned.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn sympa_with_a_blank_behind_the_bar() {
    let stage = site_of(
        "sympa",
        "domain = \"lists.example.org\"\n",
        &["bin/queue", "bin/bouncequeue"],
    );
    stage.make_dir("var/toylist");
    stage.write("var/toylist/config", "subject x\n", 0o644);
    check(
        &stage,
        "#------------------------------ toylist: list alias created 22 Nov 2026\n\
         toylist: \"| {a}/bin/queue toylist@lists.example.org\"\n\
         toylist-request: \"| {a}/bin/queue toylist-request@lists.example.org\"\n\
         toylist-editor: \"| {a}/bin/queue toylist-editor@lists.example.org\"\n\
         #toylist-subscribe: \"| {b}/bin/queue toylist-subscribe@lists.example.org\"\n\
         toylist-unsubscribe: \"| {a}/bin/queue toylist-unsubscribe@lists.example.org\"\n\
         toylist-owner: \"| {a}/bin/bouncequeue toylist@lists.example.org\"\n",
        &[
            "toylist post toylist",
            "toylist-request request toylist",
            "toylist-editor editor toylist",
            "toylist-unsubscribe unsubscribe toylist",
            "toylist-owner bounces toylist",
        ],
    );
    stage.aliases(&["adopt"]).expect(0);
    stage.aliases(&["check"]).expect(0);
    for (verb, argv) in [
        ("post", ["bin/queue", "toylist@lists.example.org"]),
        (
            "request",
            ["bin/queue", "toylist-request@lists.example.org"],
        ),
        ("bounces", ["bin/bouncequeue", "toylist@lists.example.org"]),
    ] {
        stage.deliver(&[verb, "toylist"], b"x").expect(0);
        let ran = stage.ran();
        assert_eq!(ran.len(), 1);
        let program = stage.path("a").join(argv[0]).display().to_string();
        assert_eq!(ran[0].argv, [program.as_str(), argv[1]]);
    }
}

#[test]
fn schleuder_with_the_address_as_its_argument() {
    let more = "domain = \"lists.example.org\"\n";
    let stage = site_of("schleuder", more, &["bin/schleuder"]);
    stage.make_dir("var/lists.example.org/toylist");
    stage.write("var/lists.example.org/toylist/pubring.kbx", "", 0o644);
    check(
        &stage,
        "toylist: \"|{a}/bin/schleuder work toylist@lists.example.org\"\n\
         toylist-request: \"|{a}/bin/schleuder work toylist-request@lists.example.org\"\n\
         toylist-owner: \"|{a}/bin/schleuder work toylist-owner@lists.example.org\"\n\
         toylist-bounce: \"|{a}/bin/schleuder work toylist-bounce@lists.example.org\"\n\
         toylist-sendkey: \"|{a}/bin/schleuder work toylist-sendkey@lists.example.org\"\n",
        &[
            "toylist post toylist",
            "toylist-request request toylist",
            "toylist-owner owner toylist",
            "toylist-bounce bounces toylist",
            "toylist-sendkey sendkey toylist",
        ],
    );
    stage.aliases(&["adopt"]).expect(0);
    stage.aliases(&["check"]).expect(0);
    stage.deliver(&["sendkey", "toylist"], b"x").expect(0);
    assert_eq!(
        stage.ran()[0].argv[1..],
        ["work", "toylist-sendkey@lists.example.org"]
    );
}

#[test]
fn the_mail_gateway_of_request_tracker() {
    let stage = site_of(
        "rt",
        "url = \"http://rt.example.org/\"\n",
        &["bin/rt-mailgate"],
    );
    check(
        &stage,
        "support:         \"|{a}/bin/rt-mailgate --queue General --action correspond --url http://rt.example.org/\"\n\
         support-comment: \"|{a}/bin/rt-mailgate --queue General --action comment --url http://rt.example.org/\"\n\
         sales: \"|{a}/bin/rt-mailgate --url http://rt.example.org/ --queue Sales\"\n",
        &[
            "support post General",
            "support-comment comment General",
            "sales post Sales",
        ],
    );
    // The queues are those that the aliases name, and no address is made up for them.
    stage.aliases(&["adopt"]).expect(0);
    stage
        .aliases(&["sync"])
        .expect(0)
        .says(&["nothing to change"]);
    stage.aliases(&["check"]).expect(0);
    stage.deliver(&["comment", "General"], b"x").expect(0);
    let ran = stage.ran();
    let wanted = "--queue General --action comment --url http://rt.example.org/";
    assert_eq!(ran[0].argv[1..].join(" "), wanted);
}

#[test]
fn mlmmj_with_and_without_a_last_slash() {
    let stage = site_of("mlmmj", "", &["bin/mlmmj-receive"]);
    for list in ["toylist", "reallist1", "reallist2"] {
        stage.make_dir(&format!("var/{list}/control"));
        stage.write(&format!("var/{list}/control/listaddress"), "x", 0o644);
    }
    check(
        &stage,
        "toylist:     \"|{a}/bin/mlmmj-receive -L {dir}/var/toylist/\"\n\
         reallist1: \"|{a}/bin/mlmmj-receive -L {dir}/var/reallist1\"\n\
         reallist2: \"|{a}/bin/mlmmj-receive -F -L {dir}/var/reallist2/\"\n",
        &[
            "toylist post toylist",
            "reallist1 post reallist1",
            "reallist2 post reallist2",
        ],
    );
    stage.aliases(&["adopt"]).expect(0);
    stage.aliases(&["check"]).expect(0);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    let spool = stage.path("var/toylist").display().to_string();
    assert_eq!(stage.ran()[0].argv[1..], ["-L", spool.as_str()]);
}

#[test]
fn a_tree_that_is_reached_by_another_path() {
    let stage = super::stage();
    std::os::unix::fs::symlink(stage.path("a"), stage.path("mailman")).unwrap();
    check(
        &stage,
        "toylist: \"|{dir}/mailman/mail/mailman post toylist\"\n\
         toylist-owner: |\"{dir}//mailman/mail/mailman owner toylist\"\n",
        &["toylist post toylist", "toylist-owner owner toylist"],
    );
}

#[test]
fn a_spool_that_is_reached_by_another_path() {
    let stage = site_of("mlmmj", "", &["bin/mlmmj-receive"]);
    stage.make_dir("var/toylist/control");
    stage.write("var/toylist/control/listaddress", "x", 0o644);
    std::os::unix::fs::symlink(stage.path("var"), stage.path("spool")).unwrap();
    check(
        &stage,
        "toylist: \"|{a}/bin/mlmmj-receive -L {dir}/spool/toylist/\"\n",
        &["toylist post toylist"],
    );
}

#[test]
fn sendmails_restricted_shell_by_its_links() {
    let stage = super::stage();
    stage.make_dir("smrsh");
    for (link, to) in [
        ("mailman", "a/mail/mailman"),
        ("mm-deliver", "bin/mm-deliver"),
    ] {
        std::os::unix::fs::symlink(stage.path(to), stage.path("smrsh").join(link)).unwrap();
    }
    let by_path = "toylist: \"|{dir}/smrsh/mailman post toylist\"\n";
    check(&stage, by_path, &["toylist post toylist"]);
    // A bare name, or a directory that is gone, mean something to smrsh alone.
    let bare = "toylist: \"|mailman post toylist\"\n\
                reallist1: \"|/gone/mailman post reallist1\"\n";
    stage.write("aliases", filled(&stage, bare), 0o644);
    stage
        .aliases(&["adopt"])
        .expect(0)
        .says(&["nothing to change"]);
    let site = stage.read("site.toml");
    let key = format!("[aliases]\nsmrsh = \"{}/smrsh\"\n", stage.dir.display());
    stage.write("site.toml", site.replace("[aliases]\n", &key), 0o644);
    check(
        &stage,
        bare,
        &["toylist post toylist", "reallist1 post reallist1"],
    );
}

#[test]
fn a_list_that_moves_takes_its_direct_entries_of_any_form_along() {
    let stage = site_of(
        "sympa",
        "domain = \"lists.example.org\"\n",
        &["bin/queue", "bin/bouncequeue"],
    );
    for tree in ["a", "b"] {
        stage.make_dir(&format!("{tree}/bin/Sympa"));
        let text = "use constant VERSION => '6.2.70';\n";
        stage.write(&format!("{tree}/bin/Sympa/Constants.pm"), text, 0o644);
    }
    for list in ["toylist", "other"] {
        stage.make_dir(&format!("var/{list}"));
        stage.write(&format!("var/{list}/config"), "x", 0o644);
    }
    let text = filled(
        &stage,
        "toylist: \"| {a}/bin/queue toylist@lists.example.org\"\n\
         other: \"| {a}/bin/queue other@lists.example.org\"\n",
    );
    stage.write("aliases", &text, 0o644);
    std::fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let after = stage.read("aliases");
    for (name, verb) in [("toylist", "post"), ("toylist-owner", "bounces")] {
        let line = format!("{name}: {}\n", super::ours(&stage, verb, "toylist"));
        assert!(after.contains(&line), "{after}");
    }
    assert!(after.contains(text.lines().nth(1).unwrap()));
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    let program = stage.path("b/bin/queue").display().to_string();
    assert_eq!(stage.ran()[0].argv[0], program);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    stage.aliases(&["unadopt"]).expect(0);
    assert!(stage.read("aliases").contains(text.lines().next().unwrap()));
}

#[test]
fn after_a_commit_unadopt_writes_the_present_trees_form_and_says_so() {
    let more = "domain = \"lists.example.org\"\n";
    let stage = site_of("schleuder", more, &["bin/schleuder"]);
    for tree in ["a", "b"] {
        stage.make_dir(&format!("{tree}/lib/schleuder"));
        let text = "module Schleuder\n  VERSION = '4.0.3'\nend\n";
        stage.write(&format!("{tree}/lib/schleuder/version.rb"), text, 0o644);
    }
    stage.make_dir("var/lists.example.org/toylist");
    stage.write("var/lists.example.org/toylist/pubring.kbx", "", 0o644);
    let text = "toylist:    \"|{a}/bin/schleuder work toylist@lists.example.org\", alice\n";
    stage.write("aliases", filled(&stage, text), 0o644);
    std::fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["commit"]).expect(0);
    stage.aliases(&["unadopt"]).expect(0).says(&[
        "line 1: toylist: what stood there leads elsewhere than its tree: the tree's form is \
         written, for tree b",
        "toylist-owner: no bytes of its own are recorded: the tree's form is written, for tree b",
    ]);
    let after = stage.read("aliases");
    let first = filled(&stage, &text.replace("{a}", "{b}"));
    assert!(after.starts_with(&first), "{after}");
    let owner = "toylist-owner: \"|{b}/bin/schleuder work toylist-owner@lists.example.org\"\n";
    assert!(after.contains(&filled(&stage, owner)), "{after}");
}

/// mlmmj goes by the envelope sender, which Sendmail tells nobody: it would drop every message.
#[test]
fn mlmmj_under_sendmail_is_left_alone() {
    let stage = site_of("mlmmj", "", &["bin/mlmmj-receive"]);
    // The release as its own program tells it.
    let program = stage.read("b/bin/mlmmj-receive") + "\n# %s version 2.1.40\n";
    stage.write("b/bin/mlmmj-receive", program, 0o755);
    stage.make_dir("var/toylist/control");
    stage.write("var/toylist/control/listaddress", "toylist@x\n", 0o644);
    let text = filled(
        &stage,
        "toylist: \"|{a}/bin/mlmmj-receive -L {dir}/var/toylist/\"\n",
    );
    stage.write("aliases", &text, 0o644);
    let site = stage.read("site.toml");
    let sendmail = site.replace("mta = \"none\"", "mta = \"sendmail\"");
    stage.write("site.toml", sendmail, 0o644);
    for (program, words, tree) in [
        ("mm-aliases", &["adopt"][..], "tree a"),
        ("mm-aliases", &["adopt", "toylist"], "tree a"),
        ("mm-parity", &["upgrade", "toylist"], "tree b"),
    ] {
        let done = stage.run(stage.command(program, words), b"").expect(1);
        let needs = format!("{tree}: mlmmj needs the envelope sender, and Sendmail tells");
        done.complains(&[&needs, "hint: let another MTA serve these lists"]);
        assert_eq!(stage.read("aliases"), text);
    }
    stage.write("site.toml", site, 0o644);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
}
