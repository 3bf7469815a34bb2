//! Mail that goes past mm-deliver: entries that pipe into a tree under another name or in words
//! that nobody knows, posting addresses that are somebody else's, programs in included files, and
//! lists whose names are refused. `check` names each; a move and a commit say what stays.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::stage::{Done, Stage};

/// Adopted, with nothing to be found.
fn sound() -> Stage {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.aliases(&["check"]).expect(0);
    stage
}

fn add(stage: &Stage, line: &str) {
    let text = format!("{}{line}\n", stage.read("aliases"));
    stage.write("aliases", text, 0o644);
}

fn wrapper(stage: &Stage, tree: &str) -> String {
    stage
        .path(&format!("{tree}/mail/mailman"))
        .display()
        .to_string()
}

fn rows(done: &Done) -> Vec<Value> {
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    report["findings"].as_array().unwrap().clone()
}

/// The findings about this name.
fn about(stage: &Stage, name: &str) -> Vec<Value> {
    let mut all = rows(&stage.aliases(&["check", "--format", "json"]));
    let is_it = |spot: &Value| spot["name"] == name;
    all.retain(|row| row["where"].as_array().unwrap().iter().any(is_it));
    all
}

fn severities(stage: &Stage, name: &str) -> Vec<String> {
    let word = |row: &Value| row["severity"].as_str().unwrap().to_owned();
    about(stage, name).iter().map(word).collect()
}

#[test]
fn every_entry_into_a_tree_is_found_whatever_it_is_called() {
    for (name, words) in [
        ("sales", "post toylist"),
        ("odd", "nonsense toylist"),
        ("renamed", "post r&d"),
        ("gone", "post gone"),
    ] {
        let stage = sound();
        let program = wrapper(&stage, "a");
        add(&stage, &format!("{name}: \"|{program} {words}\""));
        assert_eq!(severities(&stage, name), ["WARNING"], "{name}");
        let program = wrapper(&stage, "b");
        let text = stage
            .read("aliases")
            .replace(&wrapper(&stage, "a"), &program);
        stage.write("aliases", text, 0o644);
        assert_eq!(severities(&stage, name), ["CRITICAL"], "{name}");
    }
    let stage = sound();
    let program = wrapper(&stage, "a");
    add(&stage, &format!("exec: \"|exec {program} post toylist\""));
    add(
        &stage,
        &format!("two: alice, \"|{program} post toylist\", \"|/bin/cat\""),
    );
    assert_eq!(severities(&stage, "exec"), ["WARNING"]);
    assert_eq!(severities(&stage, "two"), ["WARNING"]);
    stage.aliases(&["adopt"]).expect(0);
    assert_eq!(severities(&stage, "exec"), ["WARNING"]);
}

#[test]
fn what_adopt_turns_is_no_finding_afterwards() {
    let stage = sound();
    add(
        &stage,
        &format!("sales: \"|{} post toylist\"", wrapper(&stage, "a")),
    );
    assert_eq!(about(&stage, "sales")[0]["is_command"], true);
    stage.aliases(&["adopt"]).expect(0);
    assert_eq!(about(&stage, "sales"), [] as [Value; 0]);
    stage.aliases(&["check"]).expect(0);
}

#[test]
fn an_entry_whose_list_moved_goes_into_the_wrong_tree() {
    let stage = sound();
    let program = wrapper(&stage, "a");
    add(&stage, &format!("odd: \"|{program} nonsense toylist\""));
    let said = stage.parity(&["upgrade", "toylist"]).expect(0).stdout;
    assert!(said.contains("odd: it stays on tree a"), "{said}");
    assert_eq!(severities(&stage, "odd"), ["CRITICAL"]);
    let said = stage.parity(&["upgrade", "reallist1"]).expect(0).stdout;
    assert!(!said.contains("odd:"), "{said}");
}

#[test]
fn a_commit_names_what_still_leads_into_the_tree_that_retires() {
    let stage = sound();
    let program = wrapper(&stage, "a");
    add(&stage, &format!("odd: \"|{program} nonsense\""));
    add(&stage, &format!("renamed: \"|{program} post r&d\""));
    stage.parity(&["upgrade", "--all"]).expect(0);
    let said = stage.parity(&["commit"]).expect(0).stdout;
    for name in ["odd", "renamed"] {
        let line = format!("{name}: it still pipes straight into tree a");
        assert!(said.contains(&line), "{said}");
        assert_eq!(severities(&stage, name), ["CRITICAL"]);
    }
    assert!(
        about(&stage, "odd")[0]["effect"]
            .as_str()
            .unwrap()
            .contains("retired")
    );
}

#[test]
fn a_posting_address_that_is_somebody_elses_is_found_and_no_other_is() {
    let stage = sound();
    let text = stage.read("aliases");
    let kept = text.split_inclusive('\n');
    let kept: String = kept
        .filter(|line| !line.starts_with("toylist:") && !line.starts_with("toylist-owner:"))
        .collect();
    stage.write(
        "aliases",
        format!("{kept}toylist: carl\ntoylist-owner: carl\n"),
        0o644,
    );
    let [row] = &about(&stage, "toylist")[..] else {
        panic!("not one finding")
    };
    assert_eq!(
        (&row["kind"], &row["severity"]),
        (&"address-taken".into(), &"WARNING".into())
    );
    assert_eq!(
        row["where"][0]["line"],
        stage.read("aliases").lines().count() - 1
    );
    assert_eq!(about(&stage, "toylist-owner"), [] as [Value; 0]);
}

#[test]
fn a_posting_address_that_is_held_back_is_found_and_claimed_as_it_says() {
    let stage = sound();
    stage.add_list("nobody");
    stage.add_list("security");
    stage.aliases(&["sync"]).expect(0);
    for name in ["nobody", "security"] {
        let [row] = &about(&stage, name)[..] else {
            panic!("{name}: not one finding")
        };
        assert_eq!(row["severity"], "WARNING");
        let claim = format!(" sync --claim {name}");
        assert!(row["mend"].as_str().unwrap().ends_with(&claim), "{row:#}");
        stage.aliases(&["sync", "--claim", name]).expect(0);
        assert_eq!(about(&stage, name), [] as [Value; 0]);
    }
    stage.add_list("root");
    stage.add_list("daemon");
    let user = &about(&stage, "daemon")[0]["where"][0];
    assert_eq!(user["file"], "/etc/passwd");
    let line = usize::try_from(user["line"].as_u64().unwrap()).unwrap();
    let users = fs::read_to_string("/etc/passwd").unwrap();
    assert!(users.lines().nth(line - 1).unwrap().starts_with("daemon:"));
}

#[test]
fn a_program_from_an_included_file_is_found_wherever_it_leads() {
    let ours = |stage: &Stage| {
        let text = stage.read("aliases");
        let mut lines = text.lines();
        lines
            .find(|line| line.starts_with("toylist:"))
            .unwrap()
            .to_owned()
    };
    for (mta, severity) in [("none", "WARNING"), ("postfix", "CRITICAL")] {
        for direct in [true, false] {
            let stage = sound();
            let first = ours(&stage);
            let (name, pipe) = first.split_once(": ").unwrap();
            let (name, mut pipe) = (name.to_owned(), pipe.to_owned());
            if direct {
                pipe = format!("\"|{} post {name}\"", wrapper(&stage, "a"));
            }
            let included = stage.path("included");
            stage.write("included", format!("{pipe}\n"), 0o644);
            let entry = format!("{name}: :include:{}", included.display());
            let text = stage.read("aliases").replacen(&first, &entry, 1);
            stage.write("aliases", text, 0o644);
            let site = stage.read("site.toml");
            let site = site.replace("mta = \"none\"", &format!("mta = \"{mta}\""));
            stage.write("site.toml", site, 0o644);
            let ask = || stage.aliases(&["check", "--no-database", "--format", "json"]);
            let found = rows(&ask());
            let [row] = &found[..] else {
                panic!("{mta} {direct}: {found:#?}")
            };
            assert_eq!(row["kind"], "address-included");
            assert_eq!(row["severity"], severity, "{mta} {direct}");
            let says_postfix = row["what"].as_str().unwrap().contains("Postfix bounces");
            assert_eq!(says_postfix, mta == "postfix", "{row:#}");
            fs::remove_file(&included).unwrap();
            let found = rows(&ask());
            assert_eq!(found.len(), 1, "{found:#?}");
            assert_eq!(found[0]["severity"], "WARNING");
            assert!(
                found[0]["what"]
                    .as_str()
                    .unwrap()
                    .contains("cannot be read")
            );
        }
    }
}

#[test]
fn mm_aliases_check_tells_a_finding_of_what_it_cannot_look_at() {
    type Spoil = (&'static str, &'static str, fn(&Stage));
    let spoils: [Spoil; 3] = [
        ("aliases", "UNKNOWN", |s| {
            fs::remove_file(s.path("aliases")).unwrap()
        }),
        ("parity", "CRITICAL", |s| {
            fs::remove_file(s.path("state/parity.toml")).unwrap()
        }),
        ("site", "CRITICAL", |s| {
            s.write("site.toml", "bogus = 1\n", 0o644)
        }),
    ];
    for (kind, severity, spoil) in spoils {
        let stage = sound();
        spoil(&stage);
        let status = if severity == "UNKNOWN" { 3 } else { 2 };
        let done = stage.aliases(&["check", "--format", "json"]).expect(status);
        let found = rows(&done);
        assert_eq!(found[0]["kind"], kind);
        assert_eq!(found[0]["severity"], severity);
        let mend = found[0]["mend"].as_str().unwrap();
        assert!(
            mend.contains("mm-parity") || mend.contains("mm-aliases"),
            "{mend}"
        );
        for format in ["text", "prometheus"] {
            let done = stage.aliases(&["check", "--format", format]).expect(status);
            assert_ne!(done.stdout, "", "{kind} {format}");
        }
    }
}

#[test]
fn what_a_broken_record_stops_is_said_as_it_is() {
    let stage = sound();
    let record = stage.path("state/adopted.jsonl");
    let refused = "but no alias is written";
    fs::rename(&record, stage.path("state/elsewhere")).unwrap();
    symlink(stage.path("state/elsewhere"), &record).unwrap();
    let text = stage.aliases(&["check"]).stdout;
    assert!(
        text.contains("plain file") && !text.contains("that line"),
        "{text}"
    );
    assert!(text.contains(refused), "{text}");
    stage.add_list("newlist");
    stage.aliases(&["sync"]).expect(1);
    let aside = format!("mv {} {}.aside", record.display(), record.display());
    assert!(text.contains(&aside), "{text}");
    fs::remove_file(&record).unwrap();
    // A damaged line stops less.
    stage.write("state/adopted.jsonl", "damaged\n", 0o644);
    let text = stage.aliases(&["check"]).stdout;
    assert!(
        text.contains("that line") && !text.contains(refused),
        "{text}"
    );
    stage.aliases(&["sync"]).expect(0);
    stage.aliases(&["unadopt"]).expect(1);
}

#[test]
fn lists_whose_names_are_refused_are_named_once() {
    let stage = Stage::bare();
    for name in ["a b", "+plus", "r&d", "x\u{1b}y"] {
        stage.make_dir(&format!("var/lists/{name}"));
        stage.write(&format!("var/lists/{name}/config.pck"), "", 0o644);
    }
    stage.make_dir("var/lists/not a list");
    let said = stage.parity(&["init", "--current", "a"]).expect(0).stdout;
    assert!(
        said.contains("4 lists have names that are refused"),
        "{said}"
    );
    stage.aliases(&["adopt"]).expect(0);
    let all = rows(&stage.parity(&["check", "--format", "json"]).expect(1));
    let named: Vec<&Value> = all
        .iter()
        .filter(|row| row["kind"] == "list-name")
        .collect();
    let [row] = named[..] else { panic!("{all:#?}") };
    let what = row["what"].as_str().unwrap();
    assert!(
        what.contains("\"+plus\", \"a b\", \"r&d\" and 1 more"),
        "{what}"
    );
    assert!(
        stage
            .parity(&["status"])
            .expect(0)
            .stdout
            .contains("refused")
    );
}
