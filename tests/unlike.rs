//! Two trees with different list managers: verbs are translated, addresses come with an upgrade
//! and go with a commit, and what a list's tree has not is no address.

use crate::stage::{LISTS, Stage};

/// What only the list manager of the current tree has, and what only that of the future one.
const OLD: [&str; 1] = ["owner-{}"];
const NEW: [&str; 6] = [
    "{}-bounces",
    "{}-confirm",
    "{}-join",
    "{}-leave",
    "{}-subscribe",
    "{}-unsubscribe",
];

/// A site that goes from Mailman 1 to Mailman 2.1, adopted.
fn stage() -> Stage {
    let stage = Stage::bare();
    let site = stage.read("site.toml");
    let site = site.replacen("\"mailman2\"", "\"mailman1\"", 1);
    stage.write("site.toml", site, 0o644);
    stage.write("a/mail/wrapper", stage.read("a/mail/mailman"), 0o755);
    let mut aliases = "root: alice\n".to_owned();
    for list in LISTS {
        stage.write(&format!("var/lists/{list}/config.db"), "", 0o644);
        let wrapper = stage.path("a/mail/wrapper").display().to_string();
        aliases += &format!(
            "{list}: \"|{wrapper} post {list}\"\n{list}-admin: \"|{wrapper} mailowner {list}\"\n\
             {list}-request: \"|{wrapper} mailcmd {list}\"\n\
             owner-{list}: \"|{wrapper} mailowner {list}\"\n\
             {list}-owner: \"|{wrapper} mailowner {list}\"\n"
        );
    }
    stage.write("aliases", aliases, 0o644);
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.aliases(&["adopt"]).expect(0);
    stage
}

/// Whether each of these addresses of a list is in the alias file.
#[track_caller]
fn has(stage: &Stage, list: &str, names: &[&str], wanted: bool) {
    let text = stage.read("aliases");
    for name in names {
        let name = name.replace("{}", list);
        let stands = text
            .lines()
            .any(|line| line.starts_with(&format!("{name}: ")));
        assert_eq!(stands, wanted, "{name} in {text}");
    }
}

/// What the one program that ran was told.
#[track_caller]
fn told(stage: &Stage) -> String {
    let ran = stage.ran();
    assert_eq!(ran.len(), 1, "{ran:?}");
    let program = ran[0].argv[0].rsplit('/').next().unwrap_or_default();
    format!("{} {program} {}", ran[0].tree, ran[0].argv[1..].join(" "))
}

#[test]
fn a_verb_is_what_the_lists_tree_calls_it() {
    let stage = stage();
    let check = |verb: &str, argv: &str| {
        stage.deliver(&[verb, "toylist"], b"x").expect(0);
        assert_eq!(told(&stage), argv);
    };
    for (verb, old) in [
        ("post", "a wrapper post toylist"),
        ("request", "a wrapper mailcmd toylist"),
        ("admin", "a wrapper mailowner toylist"),
        ("owner", "a wrapper mailowner toylist"),
    ] {
        check(verb, old);
    }
    stage.parity(&["upgrade", "toylist"]).expect(0);
    for verb in ["post", "request", "admin", "owner", "join"] {
        check(verb, &format!("b mailman {verb} toylist"));
    }
    // The others are where they were.
    stage.deliver(&["request", "reallist1"], b"x").expect(0);
    assert_eq!(told(&stage), "a wrapper mailcmd reallist1");
}

#[test]
fn addresses_come_with_the_upgrade_and_go_with_the_commit() {
    let stage = stage();
    has(&stage, "toylist", &NEW, false);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    has(&stage, "toylist", &NEW, true);
    has(&stage, "toylist", &OLD, true);
    has(&stage, "reallist1", &NEW, false);
    stage.parity(&["upgrade", "--all"]).expect(0);
    let before = stage.read("aliases");
    stage.parity(&["commit"]).expect(0);
    for list in LISTS {
        has(&stage, list, &NEW, true);
        has(&stage, list, &OLD, false);
    }
    stage.aliases(&["check"]).expect(0);
    stage.parity(&["commit", "--revert"]).expect(0);
    assert_eq!(stage.read("aliases"), before);
    stage.aliases(&["check"]).expect(0);
}

#[test]
fn what_a_lists_tree_has_not_is_no_address_and_what_no_tree_has_is_a_broken_alias() {
    let stage = stage();
    let check = |verb: &str, status: i32, said: &str| {
        let done = stage.deliver(&[verb, "toylist"], b"x").expect(status);
        done.complains(&[said]);
        assert!(stage.ran().is_empty(), "{verb}");
    };
    check("join", 67, "5.1.1 mm-deliver: no such address");
    check("editor", 75, "4.3.0 mm-deliver: ");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    check("editor", 75, "4.3.0 mm-deliver: ");
    stage
        .parity(&["downgrade", "toylist", "--keep-data"])
        .expect(0);
    // The address stays in the file, for the next upgrade.
    has(&stage, "toylist", &NEW, true);
    check("join", 67, "5.1.1 mm-deliver: no such address");
    // Nobody can say what the other tree has: that is no reason to bounce.
    stage.make_dir("profiles");
    stage.write("profiles/mailman2.toml", "nonsense", 0o644);
    check("join", 75, "4.3.0 mm-deliver: ");
}
