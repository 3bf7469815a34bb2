//! What was mistyped, or typed where it cannot work: what one is told then, and to type.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::stage::Stage;

#[test]
fn a_site_that_is_not_there_says_how_to_begin() {
    let stage = Stage::new();
    let site = stage.path("it's none.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mm-parity"));
    command.args(["status", "--site"]).arg(&site);
    let shown = site.to_string_lossy().replace('\'', r"'\''");
    stage.run(command, b"").expect(1).complains(&[
        "cannot open the site: cannot read",
        "hint: a site is in another file? say so: --site FILE",
        &format!("--site '{shown}' init --from DIRECTORY --dry-run"),
    ]);
}

#[test]
fn a_word_of_site_toml_that_was_mistyped_has_near_ones() {
    let stage = Stage::new();
    let text = stage.read("site.toml");
    stage.write(
        "site.toml",
        text.replace("\n[deliver]", "\n[delivr]"),
        0o644,
    );
    stage.parity(&["status"]).expect(1).complains(&[
        "unknown field `delivr`",
        "hint: near delivr: deliver",
        "the mail of all lists waits",
    ]);
}

#[test]
fn a_site_that_others_may_write_says_what_mends_it() {
    let stage = Stage::new();
    let site = stage.path("site.toml");
    fs::set_permissions(&site, fs::Permissions::from_mode(0o666)).unwrap();
    stage.parity(&["status"]).expect(1).complains(&[
        "everybody may write it",
        &format!("chmod o-w {}", site.display()),
        "the mail of all lists waits",
    ]);
    // What the hint says is enough.
    fs::set_permissions(&site, fs::Permissions::from_mode(0o664)).unwrap();
    fs::set_permissions(&site, fs::Permissions::from_mode(0o644)).unwrap();
    stage.parity(&["status"]).expect(0);
}

#[test]
fn one_cause_is_told_once() {
    let stage = Stage::new();
    let text = stage.read("site.toml");
    assert!(text.contains("profile"), "{text}");
    stage.write(
        "site.toml",
        text.replace("\"mailman2\"", "\"mailmn2\""),
        0o644,
    );
    let done = stage.parity(&["upgrade", "toylist"]).expect(1);
    let mut lines: Vec<&str> = done.stderr.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "{}", done.stderr);
}

#[test]
fn lists_or_all_are_asked_for() {
    let stage = Stage::new();
    for act in ["upgrade", "downgrade", "pause", "resume", "pin", "drain"] {
        let done = stage.parity(&[act]).expect(2);
        assert!(
            done.stderr.contains("LIST") && done.stderr.contains("--all"),
            "{act}: {}",
            done.stderr
        );
        stage.parity(&[act, "--all", "toylist"]).expect(2);
    }
}

#[test]
fn help_is_a_command_of_both() {
    let stage = Stage::new();
    for (program, act) in [("mm-parity", "upgrade"), ("mm-aliases", "adopt")] {
        let words = ["help", act];
        let help = stage.run(stage.command(program, &words), b"").expect(0);
        let words = [act, "--help"];
        let same = stage.run(stage.command(program, &words), b"").expect(0);
        assert_eq!(help.stdout, same.stdout);
    }
}

#[test]
fn the_site_may_stand_behind_the_command() {
    let stage = Stage::new();
    let site = stage.path("site.toml");
    for (program, words) in [
        (env!("CARGO_BIN_EXE_mm-parity"), ["status", "--all"]),
        (env!("CARGO_BIN_EXE_mm-aliases"), ["adopt", "--dry-run"]),
    ] {
        let mut command = Command::new(program);
        command.args(words).arg("--site").arg(&site);
        stage.run(command, b"").expect(0);
    }
    // But what follows a program's name is the program's.
    stage.put_commands("a");
    let done = stage.parity(&["run", "--dry-run", "toylist", "list_members", "--site", "x"]);
    assert!(!done.stderr.contains("cannot open"), "{}", done.stderr);
}

#[test]
fn what_is_so_already_is_named() {
    let stage = Stage::new();
    stage
        .parity(&["resume", "--all"])
        .expect(0)
        .says(&["nothing to do: no list is paused"]);
    stage
        .parity(&["unpin", "toylist"])
        .expect(0)
        .says(&["nothing to do: not pinned: toylist"]);
    stage.parity(&["pause", "toylist"]).expect(0);
    let again = stage.parity(&["pause", "toylist"]).expect(0);
    again.says(&["nothing to do: paused already: toylist"]);
}

#[test]
fn nobody_is_inside_of_a_list_that_was_mistyped() {
    let stage = Stage::new();
    let done = stage.parity(&["drain", "toylst"]).expect(0);
    done.says(&[
        "toylst: nobody is inside",
        "note: there is no list toylst; near it: toylist",
    ]);
    let done = stage.parity(&["drain", "toylist"]).expect(0);
    assert_eq!(done.stdout, "toylist: nobody is inside\n");
}

#[test]
fn an_undo_of_many_says_the_way_back_too() {
    let stage = Stage::new();
    let more: Vec<String> = (1..=12).map(|n| format!("many{n}")).collect();
    for list in &more {
        stage.add_list(list);
    }
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["downgrade", "--all"]).expect(0);
    let undone = stage.parity(&["undo"]).expect(0);
    assert!(
        undone.stdout.contains("downgrade --all\n"),
        "{}",
        undone.stdout
    );
    // Those that were ahead before are not among them.
    stage.parity(&["downgrade", "many1"]).expect(0);
    stage.parity(&["undo"]).expect(0);
    stage.parity(&["downgrade", "many*"]).expect(0);
    let undone = stage.parity(&["undo"]).expect(0);
    let words = undone
        .stdout
        .lines()
        .find(|line| line.starts_with("the way back"));
    let words = words.unwrap().split(" downgrade ").nth(1).unwrap();
    let words: Vec<&str> = words.split(' ').collect();
    assert_eq!(words.len(), more.len(), "{words:?}");
}

#[test]
fn a_command_of_many_lists_is_cut_in_tables_alone() {
    let stage = Stage::new();
    let more: Vec<String> = (1..=20).map(|n| format!("many{n}")).collect();
    for list in &more {
        stage.add_list(list);
    }
    let mut words = vec!["upgrade"];
    words.extend(more.iter().map(String::as_str));
    stage.parity(&words).expect(0);
    for table in ["history", "snapshots"] {
        let done = stage.parity(&[table]).expect(0);
        assert!(
            done.stdout.contains("many10 and 10 more"),
            "{}",
            done.stdout
        );
        assert!(
            !done.stdout.contains("many9 many10 many11"),
            "{}",
            done.stdout
        );
        let whole = stage.parity(&[table, "--format", "json"]).expect(0);
        assert!(whole.stdout.contains("many19 many20"), "{}", whole.stdout);
    }
}

#[test]
fn a_program_that_is_not_there_breaks_no_tree() {
    let stage = Stage::new();
    let before = stage.read("state/parity.toml");
    for name in ["mkae", "/nonexistent/make"] {
        for words in [
            &["install", name, "doinstall"][..],
            &["patch", "a", "--reason", "x", name],
        ] {
            let complaint = format!("there is no program \"{name}\"");
            stage.parity(words).expect(1).complains(&[&complaint]);
        }
    }
    assert_eq!(stage.read("state/parity.toml"), before);
}

#[test]
fn what_would_be_refused_is_not_what_to_type_next() {
    let stage = Stage::new();
    let history = stage.read("state/history.jsonl");
    let parity = stage.read("state/parity.toml");
    assert!(parity.contains("guarded = ["), "{parity}");
    let mut line: serde_json::Value =
        serde_json::from_str(history.lines().last().unwrap()).unwrap();
    line["judged"] = serde_json::json!({"tree": "a", "sound": false});
    let mut lines: Vec<String> = history.lines().map(str::to_owned).collect();
    *lines.last_mut().unwrap() = line.to_string();
    stage.write("state/history.jsonl", lines.join("\n") + "\n", 0o644);
    let guarded = parity
        .lines()
        .map(|line| match line.starts_with("guarded = ") {
            true => "guarded = [\"a\"]\n".to_owned(),
            false => format!("{line}\n"),
        });
    stage.write("state/parity.toml", guarded.collect::<String>(), 0o644);
    let done = stage.parity(&["status"]).expect(0);
    assert!(
        done.stdout
            .contains("patch a --reason TEXT COMMAND, since change"),
        "{}",
        done.stdout
    );
    assert!(!done.stdout.contains("trust a"), "{}", done.stdout);
}
