//! mm-deliver --rcpt: which list an address is of, and what happens to mail where that cannot be
//! told.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use crate::stage::{Done, Ran, Stage, TAILS};

const MESSAGE: &[u8] = b"From: a@example.org\nSubject: x\n\nbody\n";

/// A stage whose MTA tells addresses; toylist is on the future tree, reallist2 is paused.
fn stage() -> Stage {
    let stage = Stage::bare();
    serve(&stage);
    stage.hand_parity(&["toylist"], &["reallist2"]);
    stage
}

fn serve(stage: &Stage) {
    swap(
        stage,
        "site.toml",
        "[deliver]\n",
        "[deliver]\nrcpt = true\n",
    );
}

fn swap(stage: &Stage, file: &str, from: &str, to: &str) {
    let text = stage.read(file);
    assert!(text.contains(from), "{file}: {text}");
    stage.write(file, text.replace(from, to), 0o644);
}

fn deliver(stage: &Stage, address: &str) -> Done {
    stage.deliver(&["--rcpt", address], MESSAGE)
}

/// The one run of a tree's program.
#[track_caller]
fn ran(stage: &Stage, address: &str) -> Ran {
    deliver(stage, address).expect(0);
    let mut ran = stage.ran();
    assert_eq!(ran.len(), 1, "{address}");
    ran.remove(0)
}

#[track_caller]
fn ends(stage: &Stage, address: &str, status: i32, words: &str) {
    let done = deliver(stage, address);
    assert_eq!(done.status, Some(status), "{address:?}: {done:#?}");
    let code = if status == 67 { "5.1.1" } else { "4.3.0" };
    let begin = format!("{code} mm-deliver: {words}");
    assert!(done.stderr.starts_with(&begin), "{address:?}: {done:#?}");
    assert!(!done.stderr.contains('/'), "{address:?}: {done:#?}");
    assert!(stage.ran().is_empty(), "{address:?}: a program ran");
}

#[test]
fn an_address_goes_where_its_alias_would() {
    let stage = stage();
    for (list, tree) in [("toylist", "b"), ("reallist1", "a")] {
        for verb in TAILS.into_iter().chain(["post"]) {
            let tail = if verb == "post" { "" } else { verb };
            let local = format!("{list}-{tail}");
            let local = local.trim_end_matches('-');
            for address in [
                local.to_owned(),
                format!("{}@Lists.Example.org", local.to_uppercase()),
            ] {
                let by_address = ran(&stage, &address);
                stage.deliver(&[verb, list], MESSAGE).expect(0);
                let by_alias = stage.ran().remove(0);
                assert_eq!(by_address.tree, tree, "{address}");
                assert_eq!(by_address.argv, by_alias.argv, "{address}");
                assert!(by_address.stdin == MESSAGE);
            }
        }
    }
    ends(&stage, "reallist2-request", 75, "the list is paused");
}

#[test]
fn a_lists_own_name_wins_over_anothers_address() {
    let stage = stage();
    assert_eq!(ran(&stage, "toylist-admin").argv[1..], ["admin", "toylist"]);
    stage.add_list("toylist-admin");
    let got = ran(&stage, "toylist-admin");
    // It is another list, which nobody moved.
    assert_eq!(
        (got.tree.as_str(), &got.argv[1..]),
        ("a", &["post", "toylist-admin"].map(str::to_owned)[..])
    );
    assert_eq!(
        ran(&stage, "toylist-admin-owner").argv[1..],
        ["owner", "toylist-admin"]
    );
    assert_eq!(ran(&stage, "toylist-owner").argv[1..], ["owner", "toylist"]);
}

#[test]
fn verp_and_confirmations_are_told_as_an_mta_tells_them() {
    let stage = stage();
    let environment = |address: &str| ran(&stage, address).environment;
    let has = |environment: &[String], line: &str| environment.iter().any(|one| one == line);
    let got = environment("toylist-bounces+Al=example.org@x.org");
    assert!(has(&got, "EXTENSION=Al=example.org"), "{got:?}");
    assert!(
        has(&got, "RECIPIENT=toylist-bounces+Al=example.org@x.org"),
        "{got:?}"
    );
    let got = ran(&stage, "toylist-confirm+0123abcd");
    assert_eq!(got.argv[1..], ["confirm", "toylist"]);
    ends(&stage, "toylist+x", 67, "no such address");
    let words = ["--sender", "--help", "--rcpt", "toylist"];
    stage.deliver(&words, MESSAGE).expect(0);
    let got = stage.ran().remove(0).environment;
    assert!(has(&got, "SENDER=--help"), "{got:?}");
}

#[test]
fn an_address_may_stand_in_the_environment() {
    let stage = stage();
    let deliver = |address: Option<&str>| {
        let mut command = stage.command("mm-deliver", &["--rcpt-env"]);
        if let Some(address) = address {
            command
                .env("RECIPIENT", address)
                .env("LOCAL_PART_SUFFIX", "-owner");
        }
        stage.run(command, MESSAGE)
    };
    deliver(Some("ToyList-owner@x.org")).expect(0);
    let got = stage.ran().remove(0);
    assert_eq!(got.argv[1..], ["owner", "toylist"]);
    let lines = &got.environment;
    assert!(
        !lines.iter().any(|line| line.starts_with("LOCAL_PART")),
        "{lines:?}"
    );
    assert_eq!(deliver(Some("--explain")).status, Some(67));
    // What the transport has not filled in is its fault, and bounces nothing.
    assert_eq!(deliver(None).status, Some(75));
    assert_eq!(deliver(Some("")).status, Some(75));
    let done = stage.deliver(&["--rcpt", ""], MESSAGE);
    assert_eq!(done.status, Some(75), "{done:#?}");
    assert!(stage.ran().is_empty());
}

#[test]
fn an_address_of_no_list_is_unknown_and_never_a_path() {
    let stage = stage();
    // What a path of the wrong bytes would lead to.
    stage.write("var/config.pck", "", 0o644);
    stage.write("var/lists/config.pck", "", 0o644);
    let long = "x".repeat(10_000);
    for address in [
        "nosuchlist",
        "nosuchlist-owner@x.org",
        "toylist-nosuch",
        "@",
        "..",
        ".",
        "../lists/toylist",
        "toylist/",
        "/toylist",
        "toylist/../toylist",
        "a\nb",
        "toylist\n",
        "\u{e9}",
        "toylist@x\ny",
        &long,
        "--help",
        "--version",
        "--explain",
        "--rcpt",
        "-",
        "a b",
        "$(id)",
        "toylist-bounces+\x1b[2J",
    ] {
        ends(&stage, address, 67, "no such address");
    }
    let mut command = stage.command("mm-deliver", &["--rcpt"]);
    command.arg(OsStr::from_bytes(b"toylist\xff"));
    assert_eq!(stage.run(command, MESSAGE).status, Some(67));
    // Several recipients at once, of which a later one looks like an option.
    for more in ["--explain", "--help", "reallist1"] {
        let done = stage.deliver(&["--rcpt", "toylist", more], MESSAGE);
        assert_eq!(done.status, Some(75), "{more}: {done:#?}");
        assert!(stage.ran().is_empty());
    }
}

#[test]
fn nothing_bounces_while_it_cannot_be_told_whether_there_is_a_list() {
    let stage = stage();
    // The file system of the data is not mounted.
    fs::rename(stage.path("var"), stage.path("away")).unwrap();
    for mounted in [false, true] {
        if mounted {
            stage.make_dir("var/lists");
        }
        ends(&stage, "reallist1", 75, "the site's files cannot be used");
        ends(&stage, "toylist", 75, "the site's files cannot be used");
        ends(&stage, "nosuchlist", 75, "the site's files cannot be used");
    }
    fs::remove_dir_all(stage.path("var")).unwrap();
    fs::rename(stage.path("away"), stage.path("var")).unwrap();
    // A list that was moved is known, and that its data are gone is no answer.
    fs::rename(stage.path("var/lists/toylist"), stage.path("away")).unwrap();
    ends(&stage, "toylist", 75, "the site's files cannot be used");
    ends(
        &stage,
        "toylist-owner",
        75,
        "the site's files cannot be used",
    );
    fs::rename(stage.path("away"), stage.path("var/lists/toylist")).unwrap();
    // A look that fails otherwise: too many links on the way.
    std::os::unix::fs::symlink("loop", stage.path("var/lists/loop")).unwrap();
    ends(&stage, "loop", 75, "the site's files cannot be used");
    assert_eq!(ran(&stage, "toylist").tree, "b");
}

#[test]
fn a_site_that_does_not_say_so_serves_no_addresses() {
    let stage = stage();
    swap(&stage, "site.toml", "rcpt = true", "rcpt = false");
    ends(&stage, "toylist", 75, "the site's files cannot be used");
    swap(&stage, "site.toml", "rcpt = false", "rcpt = true");
    // Nor one whose profile does not say how a list is seen.
    let own = include_str!("../src/profiles/mailman2.toml");
    let (before, rest) = own.split_once("exists = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    stage.make_dir("profiles");
    stage.write("profiles/mailman2.toml", format!("{before}{after}"), 0o644);
    for address in ["toylist", "nosuchlist", "../x"] {
        ends(&stage, address, 75, "the site's files cannot be used");
    }
    // By an alias it is served as ever.
    stage.deliver(&["post", "toylist"], MESSAGE).expect(0);
}

#[test]
fn a_list_that_moves_is_waited_for_also_where_it_could_be_anothers_address() {
    let stage = stage();
    swap(
        &stage,
        "site.toml",
        "rcpt = true",
        "rcpt = true\nwait = \"10ms\"",
    );
    let mover = crate::doors::mover(&stage);
    crate::doors::close(&mover, crate::doors::door("toylist-admin"));
    ends(&stage, "toylist-admin", 75, "the list is being moved");
    assert_eq!(ran(&stage, "toylist-owner").tree, "b");
}

#[test]
fn a_guarded_tree_is_guarded_by_address_as_well() {
    let stage = stage();
    swap(
        &stage,
        "state/parity.toml",
        "guarded = []",
        "guarded = [\"b\"]",
    );
    stage.write("status", "70", 0o644);
    let done = deliver(&stage, "toylist-request@x.org");
    assert_eq!(done.status, Some(75), "{done:#?}");
    assert_eq!(stage.ran()[0].argv[1..], ["request", "toylist"]);
    let done = deliver(&stage, "reallist1@x.org");
    assert_eq!(done.status, Some(70), "{done:#?}");
}

#[test]
fn the_package_stays_while_a_transport_may_run_it() {
    let stage = stage();
    let words = ["`rcpt = true`", "take that transport out"];
    stage.parity(&["may-remove"]).expect(1).complains(&words);
    stage.write("aliases", "postmaster: root\n", 0o644);
    swap(&stage, "site.toml", "rcpt = true", "rcpt = false");
    stage.parity(&["may-remove"]).expect(0);
}

/// Two list managers: the addresses of a list mean what its own tree's profile says.
#[test]
fn the_tree_that_a_list_is_on_says_what_its_addresses_mean() {
    let stage = stage();
    let own = include_str!("../src/profiles/mailman2.toml")
        .replace("[\"{list}-owner\"]", "[\"{list}-chief\"]")
        .replace("[\"{list}-bounces\"]", "[\"{list}-owner\"]");
    let (before, rest) = own.split_once("[verbs.admin]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    stage.make_dir("profiles");
    stage.write("profiles/other.toml", format!("{before}{after}"), 0o644);
    let site = stage.read("site.toml");
    let (a, b) = site.split_once("[trees.b]").unwrap();
    let b = b.replacen("\"mailman2\"", "\"other\"", 1);
    stage.write("site.toml", format!("{a}[trees.b]{b}"), 0o644);

    for (address, verb, list, tree) in [
        ("toylist-owner", "bounces", "toylist", "b"),
        ("toylist-chief", "owner", "toylist", "b"),
        ("reallist1-owner", "owner", "reallist1", "a"),
        ("reallist1-admin", "admin", "reallist1", "a"),
    ] {
        let got = ran(&stage, address);
        assert_eq!(
            (got.tree.as_str(), &got.argv[1..]),
            (tree, &[verb, list].map(str::to_owned)[..])
        );
    }
    // An alias that only the other tree has gives the same.
    ends(&stage, "toylist-admin", 67, "no such address");
    ends(&stage, "nosuchlist-chief", 67, "no such address");
}

#[test]
fn explain_tells_the_list_and_the_verb_of_an_address() {
    let stage = stage();
    let explain = |address: &str| stage.deliver(&["--explain", "--rcpt", address], b"");
    explain("toylist-owner@x.org").expect(0).says(&[
        "tree         b (future)",
        "list         toylist\n",
        "verb         owner\n",
        "\"owner\" \"toylist\"",
    ]);
    let words = ["would end with 67", "no list has this address"];
    explain("nosuchlist").expect(67).complains(&words);
    fs::remove_file(stage.path("var/.mm-deliver-data")).unwrap();
    let words = ["would end with 75", ".mm-deliver-data"];
    explain("nosuchlist").expect(75).complains(&words);
    assert!(stage.ran().is_empty());
}

#[test]
fn check_says_which_lists_are_not_found_by_address() {
    let stage = Stage::bare();
    serve(&stage);
    // Nobody misses the aliases.
    stage.write("aliases", "postmaster: root\n", 0o644);
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["check"]).expect(0).says(&[]);
    stage.aliases(&["sync"]).expect(0);
    assert_eq!(stage.read("aliases"), "postmaster: root\n");
    let status = stage.parity(&["status", "--all", "--format", "json"]);
    status.expect(0).says(&["\"aliases\": \"ok\""]);
    let trace = stage.aliases(&["trace", "toylist"]);
    trace.says(&["no such alias", "mm-deliver --explain --rcpt ADDRESS"]);

    fs::remove_file(stage.path("var/.mm-deliver-data")).unwrap();
    let words = [
        "WARNING: rcpt: ",
        ".mm-deliver-data",
        "for no list waits (75)",
        "touch",
    ];
    stage.parity(&["check"]).expect(1).says(&words);
    stage.write("var/.mm-deliver-data", "", 0o644);

    // Whoever delivers may not look.
    let closed = fs::Permissions::from_mode(0o700);
    fs::set_permissions(stage.path("var/lists"), closed).unwrap();
    if stage.user() == "nobody" {
        let words = [
            "CRITICAL: rcpt: ",
            "is not found by its address",
            "Permission denied",
        ];
        stage.parity(&["check"]).expect(2).says(&words);
    }
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(stage.path("var/lists"), open).unwrap();

    let own = include_str!("../src/profiles/mailman2.toml");
    stage.make_dir("profiles");
    let other = own.replace(
        "exists = [",
        "exists = [\n    \"{data}/elsewhere/{list}\",\n]\n# [",
    );
    let (before, rest) = other.split_once("# [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    stage.write("profiles/mailman2.toml", format!("{before}{after}"), 0o644);
    let words = [
        "CRITICAL: rcpt: ",
        "finds no data of",
        "reallist1",
        "toylist",
    ];
    stage.parity(&["check"]).expect(2).says(&words);
    let none = before.replace("exists = [\n    \"{data}/elsewhere/{list}\",\n]\n", "");
    stage.write("profiles/mailman2.toml", format!("{none}{after}"), 0o644);
    let words = ["CRITICAL: rcpt: ", "has no `exists`", "waits (75)"];
    stage.parity(&["check"]).expect(2).says(&words);
}

#[test]
fn a_site_whose_lists_have_no_aliases_needs_none() {
    for files in ["[]", "[\"DIR/aliases\"]"] {
        let stage = Stage::bare();
        let named = format!("[\"{}/aliases\"]", stage.dir.display());
        let site = stage.read("site.toml");
        assert!(site.contains(&format!("files = {named}")));
        let files = files.replace("DIR", &stage.dir.to_string_lossy());
        let site = site.replace(&format!("files = {named}"), &format!("files = {files}"));
        stage.write("site.toml", site, 0o644);
        stage.write("aliases", "postmaster: root\nroot: alice\n", 0o644);
        if files == "[]" {
            let done = stage.parity(&["check"]);
            done.expect(2)
                .says(&["no alias file is named", "rcpt = true"]);
        }
        serve(&stage);
        stage.parity(&["init", "--current", "a"]).expect(0);
        let done = stage.parity(&["check"]);
        assert_eq!(
            (done.status, done.stdout.as_str()),
            (Some(0), ""),
            "{files}: {done:#?}"
        );
        stage.parity(&["upgrade", "toylist"]).expect(0);
        let done = stage.parity(&["check"]);
        assert_eq!(
            (done.status, done.stdout.as_str()),
            (Some(0), ""),
            "{files}: {done:#?}"
        );
        let status = stage.parity(&["status", "--all"]).expect(0).stdout;
        assert!(!status.contains("aliases"), "{files}: {status}");
        assert_eq!(ran(&stage, "toylist@lists.example").tree, "b");
        stage.parity(&["downgrade", "--all"]).expect(0);
        stage.parity(&["commit", "--all"]).expect(0);
        stage.parity(&["commit", "--revert"]).expect(0);
        stage.aliases(&["check"]).expect(0);
    }
}
