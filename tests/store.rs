//! The state on disk: who can read it, and who writes it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use crate::stage::Stage;

#[test]
fn the_state_is_readable_by_the_mta_under_any_umask() {
    for umask in ["000", "002", "022", "077", "777"] {
        // Under 777 an ordinary user cannot enter the directories that it makes on the way.
        if umask == "777" && fs::metadata("/proc/self").unwrap().uid() != 0 {
            continue;
        }
        let stage = Stage::bare();
        let mut shell = Command::new("/bin/sh");
        let site = stage.path("site.toml");
        shell.args(["-c", &format!("umask {umask}; \"$0\" --site \"$1\" init --current a && \"$0\" --site \"$1\" upgrade toylist")]);
        shell.arg(stage.path("bin/mm-parity")).arg(site);
        stage.run(shell, b"").expect(0);
        let mode =
            |name: &str| fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o7777;
        for (name, wanted) in [
            ("state", 0o755),
            ("state/parity.toml", 0o644),
            ("state/parity.toml.spare", 0o600),
            ("state/history.jsonl", 0o644),
            ("state/writer", 0o600),
            ("state/adopted.jsonl", 0o644),
        ] {
            assert_eq!(mode(name), wanted, "umask {umask}: {name}");
        }
    }
}

#[test]
fn an_older_parity_put_back_from_a_backup_is_an_edit_by_hand() {
    let stage = Stage::new();
    let backup = fs::read(stage.path("state/parity.toml")).unwrap();
    let time = fs::metadata(stage.path("state/parity.toml"))
        .unwrap()
        .modified()
        .unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    // With its old mtime, so the seal of that day stands.
    stage.write("state/parity.toml", backup, 0o644);
    let file = fs::File::options()
        .write(true)
        .open(stage.path("state/parity.toml"))
        .unwrap();
    file.set_times(fs::FileTimes::new().set_modified(time))
        .unwrap();
    stage
        .parity(&["pause", "reallist1"])
        .expect(0)
        .says(&["edited by hand"]);
    let generations: Vec<String> = stage
        .read("state/history.jsonl")
        .lines()
        .map(|line| line.split(',').nth(1).unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (1..=4).map(|n| format!("\"generation\":{n}")).collect();
    assert_eq!(generations, expected, "a generation never repeats");
}

#[test]
fn a_damaged_history_holds_no_way_back_up() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let damaged = stage
        .read("state/history.jsonl")
        .replacen("generation", "genera\ntion", 1);
    stage.write("state/history.jsonl", &damaged, 0o644);
    stage
        .parity(&["downgrade", "toylist"])
        .expect(0)
        .says(&["downgraded 1 list", "the history is damaged"]);
    let aside = fs::read_dir(stage.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("history.jsonl.damaged-"))
        .unwrap();
    assert_eq!(
        fs::read_to_string(aside).unwrap(),
        damaged,
        "the only copy is gone"
    );
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["undo"]).expect(0);
}

#[test]
fn a_pipe_in_the_place_of_the_history_is_not_waited_for() {
    let stage = Stage::new();
    fs::remove_file(stage.path("state/history.jsonl")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(stage.path("state/history.jsonl"))
            .status()
            .unwrap()
            .success()
    );
    stage.parity(&["status"]);
    stage.parity(&["downgrade", "toylist"]);
}

#[test]
fn nothing_is_written_through_a_link_in_the_state_directory() {
    let stage = Stage::new();
    stage.write("victim", "", 0o600);
    fs::remove_file(stage.path("state/history.jsonl")).unwrap();
    symlink("../victim", stage.path("state/history.jsonl")).unwrap();
    stage.parity(&["upgrade", "toylist"]);
    assert_eq!(stage.read("victim"), "");
    assert_eq!(
        fs::metadata(stage.path("victim"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn a_linked_parity_stays_a_link() {
    let stage = Stage::new();
    stage.make_dir("real");
    fs::rename(
        stage.path("state/parity.toml"),
        stage.path("real/parity.toml"),
    )
    .unwrap();
    symlink("../real/parity.toml", stage.path("state/parity.toml")).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    assert!(
        fs::symlink_metadata(stage.path("state/parity.toml"))
            .unwrap()
            .is_symlink()
    );
    assert!(stage.read("real/parity.toml").contains("\"toylist\""));
    stage
        .deliver(&["--explain", "post", "toylist"], b"")
        .expect(0)
        .says(&["(future)", "sealed"]);
}

#[test]
fn rows_in_another_shape_are_read_once() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist", "reallist1"]).expect(0);
    let text = stage.read("state/parity.toml").replace(
        "\"reallist1\",\n\"toylist\",",
        "\"reallist1\",\n\"toylist\", 'reallist2',",
    );
    stage.write("state/parity.toml", &text, 0o644);
    stage.parity(&["status"]).expect(0).says(&["3 on future"]);
    let twice = text.replace("'reallist2'", "\"reallist2\",\n\"reallist2\"");
    stage.write("state/parity.toml", &twice, 0o644);
    let line = twice
        .lines()
        .position(|line| line == "\"reallist2\",")
        .unwrap()
        + 1;
    stage.parity(&["status"]).expect(1).complains(&[&format!(
        "parity.toml:{line}:1: \"reallist2\" stands twice in on_future"
    )]);
}

#[test]
fn a_lost_parity_is_not_begun_anew_against_the_history() {
    let stage = Stage::new();
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage
        .parity(&["init", "--current", "b"])
        .expect(1)
        .complains(&["tells that tree \"a\" was current"]);
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage
        .parity(&["init", "--current", "a"])
        .expect(1)
        .complains(&["1 lists on future"]);
}

#[test]
fn a_list_that_was_moved_under_its_whole_name_is_found_by_the_domain_named_later() {
    let stage = Stage::bare();
    stage.hand_parity(&["toylist@lists.example.org"], &[]);
    // Sealed by the next change.
    stage.parity(&["pause", "reallist2"]).expect(0);
    let site = stage
        .read("site.toml")
        .replace("[trees.b]\n", "[trees.b]\ndomain = \"lists.example.org\"\n");
    stage.write("site.toml", site, 0o644);
    for name in ["toylist", "toylist@lists.example.org"] {
        stage
            .deliver(&["--explain", "post", name], b"")
            .expect(0)
            .says(&["(future)", "sealed"]);
    }
}

#[test]
fn a_generation_that_cannot_be_counted_on_is_an_error() {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    let text = stage
        .read("state/parity.toml")
        .replace("generation = 7", "generation = 9223372036854775807");
    stage.write("state/parity.toml", text, 0o644);
    stage
        .parity(&["pause", "toylist"])
        .expect(1)
        .complains(&["parity.toml:2:14: generation is too large"]);
}

#[test]
fn whoever_has_the_old_file_open_reads_the_old_one_to_its_end() {
    let stage = Stage::new();
    let files = ["state/parity.toml", "aliases"];
    let open: Vec<(fs::File, String)> = files
        .map(|name| (fs::File::open(stage.path(name)).unwrap(), stage.read(name)))
        .into();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    for (name, (mut file, before)) in files.iter().zip(open) {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text, before, "{name} was written in place");
        assert_ne!(stage.read(name), before, "{name} did not change");
    }
}

#[test]
fn a_history_that_cannot_be_written_holds_no_way_back_up_and_gets_its_lines_later() {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist", "reallist1"]).expect(0);
    let (history, elsewhere) = (stage.path("state/history.jsonl"), stage.path("elsewhere"));
    let whole = stage.read("state/history.jsonl");
    // It is read through the link, and not written.
    fs::rename(&history, &elsewhere).unwrap();
    symlink(&elsewhere, &history).unwrap();
    for words in [
        &["pause", "reallist2"][..],
        &["downgrade", "toylist"],
        &["undo"],
        &["downgrade", "--all"],
    ] {
        let done = stage.parity(words).expect(3);
        assert!(done.stderr.contains("history.jsonl\" not yet"), "{done:#?}");
        if words == ["undo"] {
            assert!(done.stdout.contains("\"downgrade toylist\""), "{done:#?}");
        }
    }
    assert_eq!(stage.read("elsewhere"), whole);
    fs::remove_file(&history).unwrap();
    fs::rename(&elsewhere, &history).unwrap();
    stage
        .parity(&["undo"])
        .expect(0)
        .says(&["the history has it now", "\"downgrade --all\""]);
    let text = stage.read("state/history.jsonl");
    let generations = text.lines().map(|line| line.split(',').nth(1).unwrap());
    let expected: Vec<String> = (1..=7).map(|n| format!("\"generation\":{n}")).collect();
    assert_eq!(generations.collect::<Vec<_>>(), expected, "{text}");
}
