//! What `check` finds: each kind of finding says what, where, what happens to mail because of it,
//! and what mends it; and the command that mends does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use mm_deliver::accounts::Account;
use mm_deliver::finding::Kind;
use serde_json::Value;

use crate::stage::{Done, LISTS, Stage};

/// How a sound site gets a finding of this kind, and the line at which it is, if it has one.
struct Case {
    kind: Kind,
    severity: &'static str,
    spoil: fn(&Stage),
    /// What stands in the file at the line that is given; empty: no line is given.
    line_holds: &'static str,
}

fn case(kind: Kind, severity: &'static str, line_holds: &'static str, spoil: fn(&Stage)) -> Case {
    Case {
        kind,
        severity,
        spoil,
        line_holds,
    }
}

/// Replaces text of a file, which must have it.
fn swap(stage: &Stage, file: &str, from: &str, to: &str) {
    let text = stage.read(file);
    assert!(text.contains(from), "{file} lacks {from:?}");
    stage.write(file, text.replace(from, to), 0o644);
}

fn without(stage: &Stage, name: &str) {
    let text = stage.read("aliases");
    let lines = text.split_inclusive('\n');
    let kept: String = lines
        .filter(|line| !line.starts_with(&format!("{name}:")))
        .collect();
    assert_ne!(kept, text);
    stage.write("aliases", kept, 0o644);
}

fn add_line(stage: &Stage, line: &str) {
    let text = format!("{}{line}\n", stage.read("aliases"));
    stage.write("aliases", text, 0o644);
}

/// The site of another MTA.
fn of_mta(stage: &Stage, mta: &str) {
    let mta = format!("mta = {mta:?}");
    swap(stage, "site.toml", "mta = \"none\"", &mta);
}

/// The log of the user who delivers on a stage.
fn log(stage: &Stage) -> String {
    let mut logs = fs::read_dir(stage.path("state/probation")).unwrap();
    let name = logs.next().unwrap().unwrap().file_name();
    format!("state/probation/{}", name.to_str().unwrap())
}

/// toylist is on the guarded tree, and its deliveries were answered so.
fn deferred(stage: &Stage, answers: &[u8]) {
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let now = mm_deliver::clock::Timestamp::now();
    let lines = answers.iter().map(|answer| {
        format!("{now}\ttoylist\tpost\tb\t2.1.40\t{answer}\tstatus 1\t7\tKeyError: 'x'\n")
    });
    stage.write(&log(stage), lines.collect::<String>(), 0o644);
}

/// The list manager's programs serve root and the owner of a list's directory, `user` is who
/// delivers, and all these directories but those of so many lists are his.
fn owned_by(stage: &Stage, user: &str, strange: usize) {
    let own = include_str!("../src/profiles/mailman2.toml");
    let owner = "[owner]\nof = \"{data}/lists/{list}\"\n\n[release]";
    stage.make_dir("profiles");
    let own = own.replacen("[release]", owner, 1);
    stage.write("profiles/mailman2.toml", own, 0o644);
    let site = stage.read("site.toml");
    let (before, _) = site.split_once("users = ").unwrap();
    stage.write(
        "site.toml",
        format!("{before}users = [\"{user}\"]\n"),
        0o644,
    );
    let uid = Account::new(user).uid().unwrap();
    for list in LISTS.iter().skip(strange) {
        // Who is not root tests with strangers alone.
        let _ = chown(stage.path(&format!("var/lists/{list}")), Some(uid), None);
    }
}

#[test]
fn who_delivers_owns_what_the_list_manager_wants_him_to() {
    let owner = |user: &str, strange: usize| {
        let stage = sound();
        owned_by(&stage, user, strange);
        let done = stage.parity(&["check"]);
        let lines = done.stdout.lines().map(str::to_owned);
        lines
            .filter(|line| line.contains("CRITICAL: list-owner: "))
            .collect::<Vec<_>>()
    };
    let told = owner("nobody", 2);
    assert_eq!(told.len(), 1, "{told:?}");
    let words = "tree a: user nobody delivers, and its programs run as root or as the owner of ";
    assert!(told[0].contains(words), "{told:?}");
    if mm_deliver::accounts::runner() == 0 {
        let words = "alone; so for reallist1, reallist2";
        assert!(told[0].contains(words) && !told[0].contains("toylist"));
        assert_eq!(owner("nobody", 0), [""; 0]);
    }
    // Root may be anybody.
    assert_eq!(owner("root", 3), [""; 0]);
}

/// Every kind but those of [`ELSEWHERE`].
fn cases() -> Vec<Case> {
    use Kind::*;
    vec![
        case(Site, "CRITICAL", "bogus", |s| {
            swap(s, "site.toml", "[aliases]", "bogus = 1\n[aliases]");
        }),
        case(Account, "WARNING", "no-such-owner", |s| {
            let site = format!("owner = \"no-such-owner\"\n{}", s.read("site.toml"));
            s.write("site.toml", site, 0o644);
        }),
        case(Needs, "CRITICAL", "mta = ", |s| {
            let needs = "case = \"lower\"\nneeds = [\"sender\"]\n";
            let own = include_str!("../src/profiles/mailman2.toml");
            s.make_dir("profiles");
            let own = own.replace("case = \"lower\"\n", needs);
            s.write("profiles/mailman2.toml", own, 0o644);
            of_mta(s, "sendmail");
        }),
        case(Lock, "CRITICAL", "", |s| {
            fs::remove_file(s.path("state/lock")).unwrap();
        }),
        case(Lock, "CRITICAL", "", |s| {
            s.write("state/lock", "", 0o600);
        }),
        case(Lock, "WARNING", "", |s| s.write("state/lock", "", 0o666)),
        case(Parity, "CRITICAL", "", |s| {
            fs::remove_file(s.path("state/parity.toml")).unwrap();
        }),
        case(Parity, "CRITICAL", "on_future", |s| {
            swap(s, "state/parity.toml", "on_future = []", "on_future = [7]");
        }),
        case(ByHand, "WARNING", "", |s| {
            swap(s, "state/parity.toml", "pinned = []", "pinned = [ ]");
        }),
        case(History, "WARNING", "{\"x\"", |s| {
            let text = format!("{{\"x\":1}}\n{}", s.read("state/history.jsonl"));
            s.write("state/history.jsonl", text, 0o644);
        }),
        case(Spare, "WARNING", "", |s| {
            fs::remove_file(s.path("state/parity.toml.spare")).unwrap();
        }),
        case(NoList, "WARNING", "reallist1", |s| {
            s.parity(&["pin", "reallist1"]).expect(0);
            fs::remove_dir_all(s.path("var/lists/reallist1")).unwrap();
        }),
        case(Beyond, "WARNING", "", |s| {
            for list in ["toylist", "newlist"] {
                s.make_dir(&format!("own/lists/{list}"));
                let pickle = fs::read(s.path("var/lists/toylist/config.pck")).unwrap();
                s.write(&format!("own/lists/{list}/config.pck"), pickle, 0o644);
            }
            let data = format!("[trees.b]\ndata = \"{}\"", s.path("own").display());
            swap(s, "site.toml", "[trees.b]", &data);
        }),
        case(Name, "WARNING", "", |s| {
            s.make_dir("var/lists/r&d");
            s.write("var/lists/r&d/config.pck", "", 0o644);
        }),
        case(Data, "WARNING", "", |s| {
            s.write("var/lists/toylist/config.pck", "damaged", 0o644);
        }),
        case(Snapshot, "WARNING", "", |s| {
            s.make_dir("state/snapshots/.partial-1");
        }),
        case(Snapshot, "WARNING", "", |s| {
            s.make_dir("state/snapshots/1/toylist");
            s.write("state/snapshots/1/toylist/snapshot.json", "{}", 0o600);
        }),
        case(Snapshot, "WARNING", "", |s| {
            s.parity(&["upgrade", "toylist"]).expect(0);
            let json = "state/snapshots/2/toylist/snapshot.json";
            swap(s, json, "\"bytes\": ", "\"bytes\": 1000000000000000");
        }),
        case(Snapshot, "CRITICAL", "", |s| {
            s.make_dir("state/snapshots");
            s.write("state/snapshots/restoring.json", "", 0o600);
        }),
        case(Snapshot, "UNKNOWN", "", |s| {
            s.write("state/snapshots", "", 0o600);
        }),
        case(Owner, "CRITICAL", "", |s| {
            owned_by(s, "nobody", 1);
        }),
        case(Paused, "WARNING", "toylist", |s| {
            s.parity(&["pause", "toylist"]).expect(0);
        }),
        case(Paused, "CRITICAL", "2026-01-02", |s| {
            s.parity(&["pause", "toylist"]).expect(0);
            let text = s.read("state/parity.toml");
            let row = text.lines().find(|line| line.contains("toylist")).unwrap();
            swap(
                s,
                "state/parity.toml",
                row,
                "[\"toylist\", 2026-01-02T03:04:05Z],",
            );
        }),
        case(Tree, "CRITICAL", "", |s| {
            s.parity(&["upgrade", "toylist"]).expect(0);
            swap(s, "state/parity.toml", "\"ready\"", "\"broken\"");
        }),
        case(Profile, "WARNING", "no-such", |s| {
            let site = s.read("site.toml");
            let at = site.rfind("\"mailman2\"").unwrap();
            let site = format!("{}\"no-such\"{}", &site[..at], &site[at + 10..]);
            s.write("site.toml", site, 0o644);
        }),
        case(Profile, "CRITICAL", "bogus", |s| {
            let at = s.path("profiles/own.toml");
            swap(s, "site.toml", "\"mailman2\"", "\"own\"");
            s.make_dir("profiles");
            fs::write(at, "bogus = 1\n").unwrap();
        }),
        case(Life, "CRITICAL", "root = ", |s| {
            swap(s, "site.toml", "runners = \"none\"", "");
        }),
        case(Queue, "UNKNOWN", "", |s| {
            fs::remove_dir(s.path("a/qfiles")).unwrap();
        }),
        case(Queue, "WARNING", "root = ", |s| {
            swap(s, "site.toml", "b/qfiles", "a/qfiles");
        }),
        case(Shunted, "WARNING", "", |s| {
            s.make_dir("a/qfiles/shunt");
            s.write("a/qfiles/shunt/x.pck", "", 0o644);
        }),
        case(Release, "WARNING", "", |s| {
            s.write("b/Mailman/Version.py", "VERSION = \"2.1.99\"\n", 0o644);
        }),
        case(Release, "WARNING", "", |s| {
            fs::remove_file(s.path("a/Mailman/Version.py")).unwrap();
        }),
        case(Files, "WARNING", "", |s| {
            s.parity(&["verify"]).expect(0);
            s.write("a/bin/new", "#!/bin/sh\n", 0o755);
        }),
        case(Files, "UNKNOWN", "", |s| {
            s.parity(&["verify"]).expect(0);
            s.write("state/manifests/a.jsonl", "{", 0o644);
        }),
        case(Program, "CRITICAL", "", |s| s.remove_program("a")),
        case(Program, "WARNING", "", |s| s.remove_program("b")),
        case(Enumeration, "WARNING", "", |s| {
            fs::rename(s.path("var/lists"), s.path("var/away")).unwrap();
        }),
        case(Aliases, "CRITICAL", "", |s| {
            s.write("aliases", "# none\n", 0o644)
        }),
        case(Aliases, "UNKNOWN", "", |s| {
            fs::remove_file(s.path("aliases")).unwrap();
        }),
        // Exim and OpenSMTPD know no comment behind a destination, and Exim takes the first line.
        case(Undeliverable, "CRITICAL", "toylist:", |s| {
            of_mta(s, "exim");
            swap(s, "aliases", " post toylist\"", " post toylist\" # toys");
        }),
        case(Undeliverable, "CRITICAL", "toylist:", |s| {
            of_mta(s, "opensmtpd");
            swap(
                s,
                "aliases",
                " post toylist\"",
                " post toylist\", u1 (toys)",
            );
        }),
        case(Undeliverable, "CRITICAL", "toylist-join:", |s| {
            of_mta(s, "exim");
            let text = format!("toylist-join: alice bob\n{}", s.read("aliases"));
            s.write("aliases", text, 0o644);
        }),
        // Behind the last entry of the list.
        case(Missing, "CRITICAL", "toylist-unsubscribe:", |s| {
            without(s, "toylist")
        }),
        case(Missing, "WARNING", "toylist-unsubscribe:", |s| {
            without(s, "toylist-join")
        }),
        case(Missing, "CRITICAL", "", |s| s.add_list("newlist")),
        case(Direct, "WARNING", "toylist:", |s| {
            s.aliases(&["unadopt", "toylist"]).expect(0);
        }),
        case(Direct, "CRITICAL", "toylist:", |s| {
            s.parity(&["upgrade", "toylist"]).expect(0);
            let line = s.direct_block("a", "toylist");
            without(s, "toylist");
            add_line(s, line.lines().next().unwrap());
        }),
        case(Direct, "WARNING", "toylist:", |s| {
            without(s, "toylist");
            let line = s.direct_block("a", "toylist");
            add_line(
                s,
                &format!("{}, \"|/usr/bin/archive\"", line.lines().next().unwrap()),
            );
        }),
        case(Taken, "WARNING", "toylist-owner:", |s| {
            without(s, "toylist-owner");
            add_line(s, "toylist-owner: \"|/opt/mm/mail/mailman owner toylist\"");
        }),
        case(Taken, "WARNING", "toylist-owner:", |s| {
            s.add_list("toylist-owner")
        }),
        case(Refused, "CRITICAL", "toylist-owner:", |s| {
            swap(s, "aliases", " owner toylist\"", " owners toylist\"");
        }),
        case(Refused, "CRITICAL", "sales:", |s| {
            let program = s.path("bin/mm-deliver");
            add_line(s, &format!("sales: \"|{} --help\"", program.display()));
        }),
        case(Double, "WARNING", "toylist:", |s| {
            add_line(s, "ToyList: alice")
        }),
        case(Stale, "WARNING", "toylist:", |s| {
            fs::remove_dir_all(s.path("var/lists/toylist")).unwrap();
        }),
        case(Stale, "WARNING", "toylist:", |s| {
            fs::remove_dir_all(s.path("var/lists/toylist")).unwrap();
            fs::remove_file(s.path("var/.mm-deliver-data")).unwrap();
        }),
        case(Included, "WARNING", "toylist-join:", |s| {
            // Into the tree that the list is not on.
            let line = s.direct_block("b", "toylist");
            let line = line.lines().find(|line| line.contains(" join ")).unwrap();
            let pipe = line.split_once(": ").unwrap().1;
            s.write("included", format!("{pipe}\n"), 0o644);
            without(s, "toylist-join");
            add_line(
                s,
                &format!("toylist-join: :include:{}", s.path("included").display()),
            );
        }),
        case(SiteWide, "WARNING", "mailman-loop:", |s| {
            add_line(
                s,
                &format!("mailman-loop: {}", s.path("b/data/bounces.mbox").display()),
            );
        }),
        case(Adopted, "UNKNOWN", "damaged", |s| {
            let text = format!("damaged\n{}", s.read("state/adopted.jsonl"));
            s.write("state/adopted.jsonl", text, 0o644);
        }),
        case(Adopted, "WARNING", "{\"format\":1,\"wh", |s| {
            let text = format!("{}{{\"format\":1,\"wh", s.read("state/adopted.jsonl"));
            s.write("state/adopted.jsonl", text, 0o644);
        }),
        case(Former, "WARNING", "\"name\"", |s| s.remove_program("a")),
        case(Probation, "CRITICAL", "", |s| deferred(s, &[75])),
        case(Probation, "WARNING", "", |s| deferred(s, &[75, 0])),
        case(ProbationLog, "WARNING", "", |s| {
            s.write(&log(s), "no line\n", 0o644);
        }),
        case(ProbationLog, "WARNING", "", |s| {
            fs::remove_file(s.path(&log(s))).unwrap();
        }),
    ]
}

/// Kinds that this stage cannot have: who proves them instead.
const ELSEWHERE: [(Kind, &str); 13] = [
    (
        Kind::Rcpt,
        "check_says_which_lists_are_not_found_by_address",
    ),
    (Kind::Inside, "check_finds_what_of_the_lists_is_in_a_tree"),
    (Kind::Shared, "check_finds_what_two_trees_must_not_share"),
    (
        Kind::Regenerated,
        "check_finds_an_alias_file_that_the_list_manager_writes_itself",
    ),
    (Kind::Pointing, "tests/machine/pointing.rs"),
    (
        Kind::Hook,
        "a_hook_that_others_could_have_changed_refuses_and_is_told_with_its_line",
    ),
    (
        Kind::HookLeft,
        "a_kill_while_hooks_run_is_found_out_and_taken_back_when_it_is_typed",
    ),
    (
        Kind::Virtual,
        "check_compares_the_map_that_site_toml_names_and_sync_mends_it",
    ),
    (
        Kind::Repeated,
        "check_warns_of_entries_that_are_turned_already",
    ),
    (
        Kind::Web,
        "programs_are_tried_as_the_web_servers_user_before_anything_changes",
    ),
    (
        Kind::Untried,
        "an_ordinary_user_is_told_what_only_root_can_try",
    ),
    (Kind::Smrsh, "src/admin/check/smrsh.rs"),
    (Kind::Database, "a_database_that_cannot_be_asked_is_unknown"),
];

/// A site on which all is well.
fn sound() -> Stage {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    assert_eq!(stage.parity(&["check"]).expect(0).stdout, "");
    stage
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:#?}"))
}

fn of_kind<'a>(report: &'a Value, case: &Case) -> Vec<&'a Value> {
    let rows = report["findings"].as_array().unwrap();
    rows.iter()
        .filter(|row| row["kind"] == case.kind.word() && row["severity"] == case.severity)
        .collect()
}

/// What every finding must say, whatever it is.
fn check_row(row: &Value, context: &str) {
    let keys: BTreeSet<&str> = row
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let all = [
        "effect",
        "is_command",
        "kind",
        "mend",
        "severity",
        "what",
        "where",
    ];
    assert_eq!(keys, BTreeSet::from(all), "{context}");
    for part in ["what", "effect", "mend"] {
        let text = row[part].as_str().unwrap();
        assert!(
            text.len() > 3 && !text.contains('\n'),
            "{context}: {part}: {row:#}"
        );
    }
    let spots = row["where"].as_array().unwrap();
    assert!(!spots.is_empty(), "{context}: nowhere");
    for spot in spots {
        assert!(
            spot["file"].as_str().unwrap().starts_with('/'),
            "{context}: {row:#}"
        );
        assert!(
            spot["line"].is_null() || spot["line"].as_u64().unwrap() > 0,
            "{context}"
        );
    }
}

/// The line that the first spot names.
fn line_at(spot: &Value) -> String {
    let Some(line) = spot["line"].as_u64() else {
        return String::new();
    };
    let text = fs::read(spot["file"].as_str().unwrap()).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().nth(usize::try_from(line).unwrap() - 1);
    line.unwrap_or_else(|| panic!("no such line: {spot}"))
        .to_owned()
}

/// Runs a line as an admin would type it, with the stage's own programs.
fn type_in(stage: &Stage, line: &str) -> Done {
    let mut command = Command::new("/bin/sh");
    let path = format!("{}:/usr/bin:/bin", stage.path("bin").display());
    command.arg("-c").arg(line).env_clear().env("PATH", path);
    stage.run(command, b"")
}

#[test]
fn every_kind_of_finding_is_shown_here_or_elsewhere() {
    let mut shown: BTreeSet<Kind> = cases().iter().map(|case| case.kind).collect();
    shown.extend(ELSEWHERE.map(|(kind, _)| kind));
    let all: BTreeSet<Kind> = Kind::ALL.iter().copied().collect();
    assert_eq!(shown, all);
}

#[test]
fn each_kind_says_what_where_what_happens_to_mail_and_what_mends_it() {
    for (n, case) in cases().iter().enumerate() {
        let stage = sound();
        (case.spoil)(&stage);
        let done = stage.parity(&["check", "--format", "json"]);
        let report = json(&done);
        let context = format!("case {n}, {:?}: {report:#}", case.kind);
        for row in report["findings"].as_array().unwrap() {
            check_row(row, &context);
        }
        let rows = of_kind(&report, case);
        let [row, ..] = rows[..] else {
            panic!("not found: {context}");
        };
        let line = line_at(&row["where"][0]);
        assert_eq!(line.is_empty(), case.line_holds.is_empty(), "{context}");
        assert!(line.contains(case.line_holds), "{line:?}: {context}");
        // The worst comes first, and the status is its own.
        let first = report["findings"][0]["severity"].as_str().unwrap();
        assert_eq!(report["status"], first, "{context}");
        let status = ["", "WARNING", "CRITICAL", "UNKNOWN"];
        let status = status.iter().position(|&word| word == first).unwrap();
        assert_eq!(
            done.status,
            Some(i32::try_from(status).unwrap()),
            "{context}"
        );
    }
}

#[test]
fn what_is_said_to_mend_a_finding_does() {
    let mut mended = 0;
    for (n, case) in cases().iter().enumerate() {
        let stage = sound();
        (case.spoil)(&stage);
        let report = json(&stage.parity(&["check", "--format", "json"]));
        for row in of_kind(&report, case) {
            if row["is_command"] != true {
                continue;
            }
            let line = row["mend"].as_str().unwrap();
            let context = format!("case {n}, {:?}: {line}", case.kind);
            // init asks which tree is current before it does anything.
            let line = match line.ends_with(" init") {
                true => format!("{line} --current a"),
                false => line.to_owned(),
            };
            let typed = type_in(&stage, &line);
            assert_eq!(typed.status, Some(0), "{context}: {typed:#?}");
            let after = json(&stage.parity(&["check", "--format", "json"]));
            assert_eq!(
                of_kind(&after, case).len(),
                0,
                "{context}: {typed:#?} {after:#}"
            );
            mended += 1;
            break;
        }
    }
    assert!(
        mended >= 12,
        "only {mended} findings had a command that mends"
    );
}

#[test]
fn a_line_by_which_the_mta_delivers_nothing_is_told_with_the_line_as_it_should_stand() {
    let stage = sound();
    of_mta(&stage, "exim");
    swap(
        &stage,
        "aliases",
        " post toylist\"",
        " post toylist\" # toys",
    );
    let told =
        |stage: &Stage| json(&stage.aliases(&["check", "--no-database", "--format", "json"]));
    let report = told(&stage);
    let row = &report["findings"][0];
    assert_eq!(row["kind"], "address-undeliverable", "{report:#}");
    assert_eq!(row["effect"], "mail to it is deferred");
    let mend = row["mend"].as_str().unwrap();
    let (_, line) = mend.split_once("let the line be ").unwrap();
    let (line, _) = line.split_once(", or what was meant").unwrap();
    without(&stage, "toylist");
    add_line(&stage, line);
    assert_eq!(told(&stage)["findings"].as_array().unwrap().len(), 0);
    // Where the entry that counts is sound, the other is a double and no more.
    add_line(&stage, "toylist: alice bob");
    assert_eq!(told(&stage)["findings"][0]["kind"], "address-double");
}

#[test]
fn mm_aliases_finds_what_mm_parity_finds_of_the_entries() {
    let stage = sound();
    without(&stage, "toylist");
    let ours = json(&stage.aliases(&["check", "--format", "json"]).expect(2));
    let all = json(&stage.parity(&["check", "--format", "json"]).expect(2));
    assert_eq!(ours["findings"], all["findings"]);
    assert_eq!(
        (&ours["format"], &ours["program"]),
        (&1.into(), &"mm-aliases".into())
    );
    let text = stage.aliases(&["check"]).expect(2).stdout;
    assert_eq!(
        text,
        stage.parity(&["check", "--no-database"]).expect(2).stdout
    );
    let place = format!("  where: {}:", stage.path("aliases").display());
    assert!(text.contains(&place), "{text}");
}

#[test]
fn what_can_be_told_of_time_and_site_stands_in_each_form() {
    let stage = sound();
    let report = json(&stage.parity(&["check", "--format", "json"]).expect(0));
    assert_eq!(report["status"], "OK");
    assert_eq!(report["site"], stage.path("site.toml").to_str().unwrap());
    assert!(
        report["time"].as_str().unwrap().ends_with('Z'),
        "{report:#}"
    );
    let page = stage
        .parity(&["check", "--format", "prometheus"])
        .expect(0)
        .stdout;
    let time = sample(&page, "mm_deliver_check_time_seconds");
    assert!(time > 1_700_000_000.0, "{page}");
    assert!(
        (sample(&page, "mm_deliver_check_status")).abs() < 0.5,
        "{page}"
    );
}

/// The value of the only sample of a family; the page must be what Prometheus reads.
fn sample(page: &str, name: &str) -> f64 {
    let head = format!("# TYPE {name} gauge\n");
    let (_, rest) = page.split_once(&head).unwrap();
    let line = rest.lines().next().unwrap();
    let (labels, value) = line.rsplit_once(' ').unwrap();
    assert!(
        labels.starts_with(&format!("{name}{{")) && labels.ends_with('}'),
        "{line}"
    );
    value.parse().unwrap()
}

#[test]
fn a_database_that_cannot_be_asked_is_unknown_unless_it_is_passed_over() {
    let stage = sound();
    swap(&stage, "site.toml", "mta = \"none\"", "mta = \"postfix\"");
    // No tool of Postfix is found here.
    let ask = |words: &[&str]| {
        let mut command = stage.command("mm-aliases", words);
        command.env("PATH", stage.path("bin"));
        stage.run(command, b"")
    };
    if fs::metadata("/usr/sbin/postconf").is_err() {
        let report = json(&ask(&["check", "--format", "json"]).expect(3));
        let row = &report["findings"][0];
        assert_eq!(
            (&row["kind"], &row["severity"]),
            (&"database".into(), &"UNKNOWN".into())
        );
        check_row(row, "database");
    }
    assert_eq!(ask(&["check", "--no-database"]).expect(0).stdout, "");
}

#[test]
fn an_ordinary_user_is_told_what_only_root_can_try() {
    let stage = sound();
    let mut command = stage.command("mm-parity", &["check", "--format", "json"]);
    if fs::metadata(&stage.dir).unwrap().uid() == 0 {
        command.uid(65_533).gid(65_533);
    } else {
        swap(&stage, "site.toml", "users = [\"", "users = [\"0\", \"");
    }
    let done = stage.run(command, b"");
    let report = json(&done);
    let rows = report["findings"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["kind"] == "program-untried")
        .unwrap();
    check_row(row, "untried");
    assert_eq!(row["severity"], "UNKNOWN");
}
