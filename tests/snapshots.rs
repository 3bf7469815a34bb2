//! The data fence: what an upgrade keeps, what a way back asks, and what it puts back.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use crate::stage::{Done, Stage};

/// A stage whose list toylist has data in every place.
fn stage() -> Stage {
    let stage = Stage::new();
    for name in [
        "var/data",
        "var/archives/private/toylist",
        "var/archives/private/toylist.mbox",
    ] {
        stage.make_dir(name);
    }
    stage.add_list("toylist-2");
    stage.write("var/data/heldmsg-toylist-1.pck", "held", 0o640);
    stage.write(
        "var/data/heldmsg-toylist-2-1.pck",
        "held by toylist-2",
        0o640,
    );
    stage.write(
        "var/archives/private/toylist/index.html",
        "old index",
        0o644,
    );
    stage.write(MBOX, "From a\n\nFrom here\n", 0o644);
    stage
}

const MBOX: &str = "var/archives/private/toylist.mbox/toylist.mbox";
const CONFIG: &str = "var/lists/toylist/config.pck";

/// As much of the list's data as says which version they have.
fn config(version: u8, more: &str) -> Vec<u8> {
    let mut text = b"}q\x01(U\x0cdata_versionq\x02K".to_vec();
    text.push(version);
    text.extend(more.as_bytes());
    text
}

/// What a new release does that converts the list, and what happens on it.
fn convert(stage: &Stage, version: u8) {
    stage.write(CONFIG, config(version, "new"), 0o644);
    stage.write("var/lists/toylist/extra", "of the new release", 0o644);
    stage.write(MBOX, "From a\n\nFrom here\nFrom b\n\nFrom c\n", 0o644);
    stage.write("var/data/heldmsg-toylist-7.pck", "held since", 0o640);
    fs::remove_file(stage.path("var/data/heldmsg-toylist-1.pck")).unwrap();
}

/// All of toylist's data, as a list of files.
fn data(stage: &Stage) -> Vec<(String, Vec<u8>)> {
    let base = stage.path("var");
    let files = stage.snapshot("var").into_iter();
    files
        .map(|(path, bytes, ..)| {
            (
                path.strip_prefix(&base).unwrap().display().to_string(),
                bytes,
            )
        })
        .collect()
}

fn aside(stage: &Stage, id: &str, name: &str) -> Option<Vec<u8>> {
    fs::read(stage.path(&format!("state/snapshots/{id}/toylist/data/{name}"))).ok()
}

fn leftovers(stage: &Stage) -> Vec<String> {
    let mut found = Vec::new();
    for directory in [
        "var/lists",
        "var/data",
        "var/archives/private",
        "state/snapshots",
    ] {
        for entry in fs::read_dir(stage.path(directory)).into_iter().flatten() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name.starts_with("restoring") {
                found.push(name);
            }
        }
    }
    found
}

fn upgraded(stage: &Stage) -> Done {
    stage.parity(&["upgrade", "toylist"]).expect(0)
}

#[test]
fn an_upgrade_keeps_each_place_of_a_lists_data_and_nothing_of_another_list() {
    let stage = stage();
    upgraded(&stage).says(&["kept: the data of 1 list (", "snapshots"]);
    assert_eq!(
        aside(&stage, "2", "0/toylist/config.pck"),
        Some(config(112, "U"))
    );
    assert_eq!(
        aside(&stage, "2", "1/toylist/index.html").unwrap(),
        b"old index"
    );
    assert_eq!(
        aside(&stage, "2", "2/toylist.mbox/toylist.mbox").unwrap(),
        b"From a\n\nFrom here\n"
    );
    assert_eq!(
        aside(&stage, "2", "3/heldmsg-toylist-1.pck").unwrap(),
        b"held"
    );
    assert_eq!(aside(&stage, "2", "3/heldmsg-toylist-2-1.pck"), None);
    let mode = |name: &str| fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("state/snapshots"), 0o700);
    assert_eq!(
        mode("state/snapshots/2/toylist/data/3/heldmsg-toylist-1.pck"),
        0o640
    );
    assert_eq!(leftovers(&stage), Vec::<String>::new());
    stage.parity(&["snapshots"]).expect(0).says(&[
        "2  toylist  2",
        "a 2.1.39  data 112",
        "before a move (upgrade toylist)",
    ]);
    let json = stage
        .parity(&["snapshots", "toy*", "--format", "json"])
        .expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["snapshots"][0]["data_version"], 112);
    assert_eq!(json["snapshots"][0]["why"], "move");
    stage
        .parity(&["snapshots", "reallist1"])
        .expect(0)
        .says(&["no snapshots"]);
}

#[test]
fn a_way_back_within_what_the_old_release_reads_asks_nothing() {
    let stage = stage();
    upgraded(&stage);
    convert(&stage, 112);
    stage
        .parity(&["downgrade", "toylist"])
        .expect(0)
        .says(&["downgraded 1 list"]);
    assert_eq!(fs::read(stage.path(CONFIG)).unwrap(), config(112, "new"));
}

#[test]
fn a_way_back_beyond_it_asks_and_each_answer_is_taken() {
    let stage = stage();
    upgraded(&stage);
    convert(&stage, 113);
    for line in [&["downgrade", "--all"][..], &["undo"]] {
        stage.parity(line).expect(1).complains(&[
            "toylist: data version 113; release \"2.1.39\" in tree a is known to read up to 112",
            "--restore",
            "--keep-data",
        ]);
    }
    // Data that cannot be read are not taken for readable.
    stage.write(CONFIG, "no version", 0o644);
    stage
        .parity(&["downgrade", "toylist"])
        .expect(1)
        .complains(&["data version unknown", "--keep-data"]);
    stage.write(CONFIG, config(113, "new"), 0o644);
    stage
        .parity(&["undo", "--keep-data"])
        .expect(0)
        .says(&["downgraded 1 list"]);
    assert_eq!(fs::read(stage.path(CONFIG)).unwrap(), config(113, "new"));
}

#[test]
fn what_a_way_back_would_lose_is_told_and_nothing_else_happens_in_a_trial() {
    let stage = stage();
    upgraded(&stage);
    convert(&stage, 113);
    let before = data(&stage);
    stage
        .parity(&["downgrade", "toylist", "--restore", "--dry-run"])
        .expect(0)
        .says(&[
            "would be lost of toylist, since snapshot 2 of 2",
            "2 posts in its archive",
            "1 message that waits for a moderator",
            "config.pck\"",
            "extra\"",
        ]);
    assert_eq!(data(&stage), before);
    assert_eq!(leftovers(&stage), Vec::<String>::new());
}

#[test]
fn a_way_back_with_its_data_sets_todays_aside_and_undo_takes_both_back() {
    let stage = stage();
    let old = data(&stage);
    let time = |name: &str| fs::metadata(stage.path(name)).unwrap().mtime_nsec();
    let then = time(CONFIG);
    upgraded(&stage);
    convert(&stage, 113);
    let new = data(&stage);
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(0)
        .says(&[
            "lost of toylist",
            "2 posts",
            "downgraded 1 list",
            "today's data are set aside",
        ]);
    assert_eq!(data(&stage), old);
    assert_eq!(time(CONFIG), then);
    assert_eq!(
        aside(&stage, "3", "0/toylist/config.pck"),
        Some(config(113, "new"))
    );
    assert_eq!(
        aside(&stage, "3", "3/heldmsg-toylist-7.pck").unwrap(),
        b"held since"
    );
    assert_eq!(leftovers(&stage), Vec::<String>::new());
    stage.parity(&["undo"]).expect(0).says(&["upgraded 1 list"]);
    assert_eq!(data(&stage), new);
    // What stood there was set aside in its turn, and is what a second way back puts back.
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(0);
    assert_eq!(data(&stage), old);
}

#[test]
fn a_list_without_a_snapshot_goes_back_with_its_data_as_they_are() {
    let stage = stage();
    upgraded(&stage);
    convert(&stage, 113);
    fs::remove_dir_all(stage.path("state/snapshots")).unwrap();
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(1)
        .complains(&["toylist has no snapshot", "--keep-data"]);
    stage
        .parity(&["downgrade", "toylist", "--keep-data"])
        .expect(0);
}

#[test]
fn a_way_back_never_takes_data_from_before_an_earlier_move() {
    let stage = stage();
    upgraded(&stage);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    let site = stage.read("site.toml");
    stage.write("site.toml", format!("{site}[snapshots]\nkeep = 0\n"), 0o644);
    upgraded(&stage);
    convert(&stage, 113);
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(1)
        .complains(&[
            "toylist has no snapshot of its last move; the newest is 2",
            "--keep-data",
        ]);
}

#[test]
fn data_that_are_put_back_by_hand_come_back_by_undo() {
    let stage = stage();
    let old = data(&stage);
    upgraded(&stage);
    convert(&stage, 113);
    let new = data(&stage);
    stage
        .parity(&["snapshots", "restore", "toylist", "--at", "9"])
        .expect(1)
        .complains(&["toylist has no snapshot \"9\"", "snapshots toylist"]);
    stage
        .parity(&["snapshots", "restore", "toylist", "--at", "2"])
        .expect(0)
        .says(&[
            "put back: the data of toylist as in snapshot 2",
            "it stays on tree b",
        ]);
    assert_eq!(data(&stage), old);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["toylist  future"]);
    stage.parity(&["undo"]).expect(0);
    assert_eq!(data(&stage), new);
}

#[test]
fn without_a_name_the_newest_of_the_lists_own_tree_is_put_back_and_none_that_it_cannot_read() {
    let stage = stage();
    let old = data(&stage);
    upgraded(&stage);
    convert(&stage, 113);
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(0)
        .says(&["today's data are set aside as 3"]);
    stage.write(CONFIG, config(112, "edited since"), 0o644);
    // 3 is newer, and is of tree b.
    stage
        .parity(&["snapshots", "restore", "toylist"])
        .expect(0)
        .says(&["as in snapshot 2"]);
    assert_eq!(data(&stage), old);
    // By its name: the release of tree a is not known to read that.
    stage
        .parity(&["snapshots", "restore", "toylist", "--at", "3"])
        .expect(1)
        .complains(&[
            "snapshot 3 of toylist has data version 113",
            "--at 3 --force",
        ]);
    assert_eq!(data(&stage), old);
    stage
        .parity(&["snapshots", "restore", "toylist", "--at", "3", "--force"])
        .expect(0);
    assert_eq!(stage.read(CONFIG).as_bytes(), config(113, "new"));
    stage.parity(&["undo"]).expect(0);
    assert_eq!(data(&stage), old);
}

#[test]
fn an_undo_whose_data_are_gone_says_so_and_does_nothing() {
    let gone: [fn(&Stage); 3] = [
        |stage| fs::remove_dir_all(stage.path("state/snapshots/3")).unwrap(),
        |stage| stage.write("state/snapshots/3/toylist/snapshot.json", "{", 0o600),
        |stage| fs::remove_dir_all(stage.path("state/snapshots/3/toylist/data")).unwrap(),
    ];
    for words in [
        &["downgrade", "toylist", "--restore"][..],
        &["snapshots", "restore", "toylist", "--at", "2"],
    ] {
        for lose in gone {
            let stage = stage();
            upgraded(&stage);
            convert(&stage, 113);
            stage.parity(words).expect(0);
            lose(&stage);
            let before = (data(&stage), stage.read("state/parity.toml"));
            stage
                .parity(&["undo"])
                .expect(1)
                .complains(&["undo --keep-data"]);
            stage.parity(&["undo", "--dry-run"]).expect(1);
            assert_eq!((data(&stage), stage.read("state/parity.toml")), before);
            stage
                .parity(&["undo", "--keep-data"])
                .expect(0)
                .says(&["the data stay as that change has put them back"]);
            assert_eq!(data(&stage), before.0);
            assert!(stage.read("state/parity.toml").contains("toylist"));
        }
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_is_named_wherever_it_is_wanted() {
    let stage = stage();
    upgraded(&stage);
    convert(&stage, 113);
    stage.write("state/snapshots/2/toylist/snapshot.json", "{", 0o600);
    let shown = stage.parity(&["snapshots"]).expect(0);
    shown.says(&["no snapshots", "note: cannot be read: "]);
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(1)
        .complains(&[
            "toylist has no snapshot",
            "cannot be read: ",
            "snapshots/2/toylist",
            "--keep-data",
        ]);
    stage
        .parity(&["snapshots", "restore", "toylist"])
        .expect(1)
        .complains(&[
            "toylist has no snapshot of its data on tree b",
            "cannot be read: ",
        ]);
    assert_eq!(leftovers(&stage), Vec::<String>::new());
}

#[test]
fn what_two_lists_share_by_their_names_is_no_snapshots() {
    let stage = stage();
    stage.add_list("toylist.mbox");
    for list in ["toylist", "toylist.mbox"] {
        stage
            .parity(&["upgrade", list])
            .expect(0)
            .says(&["toylist.mbox\" is of toylist", "it is not kept"]);
    }
    // The archive's mailbox of the one, as it is on the day; the other's restore leaves it alone.
    let grown = "From a\n\nFrom here\nFrom b\n\nof today\n";
    stage.write(MBOX, grown, 0o644);
    for list in ["toylist.mbox", "toylist"] {
        stage.parity(&["downgrade", list, "--restore"]).expect(0);
        assert_eq!(stage.read(MBOX), grown, "{list}");
    }
}

#[test]
fn a_pipe_in_the_place_of_a_lists_settings_holds_up_no_way_back() {
    let ways: [&[&str]; 5] = [
        &["downgrade", "toylist", "--keep-data"],
        &["downgrade", "toylist", "--restore"],
        &["downgrade", "--all", "--now", "--keep-data"],
        &["undo", "--keep-data"],
        &["pause", "toylist"],
    ];
    for words in ways {
        let stage = stage();
        upgraded(&stage);
        fs::remove_file(stage.path(CONFIG)).unwrap();
        let made = Command::new("mkfifo").arg(stage.path(CONFIG)).status();
        assert!(made.unwrap().success());
        let site = stage.path("site.toml");
        let program = stage.path("bin/mm-parity");
        let mut command = Command::new("timeout");
        command
            .arg("60")
            .arg(program)
            .arg("--site")
            .arg(site)
            .args(words);
        let done = stage.run(command, b"");
        assert_eq!(done.status, Some(0), "{words:?}: {done:?}");
    }
}

#[test]
fn what_was_set_aside_is_removed_by_nobody_who_was_not_asked_to() {
    let stage = stage();
    let site = stage.read("site.toml");
    stage.write("site.toml", format!("{site}[snapshots]\nkeep = 1\n"), 0o644);
    upgraded(&stage);
    for n in [113, 114, 115] {
        convert(&stage, n);
        stage
            .parity(&["snapshots", "restore", "toylist", "--at", "2"])
            .expect(0);
    }
    let mut kept = stage.parity(&["snapshots", "toylist"]).expect(0).stdout;
    for version in ["113", "114", "115"] {
        assert!(kept.contains(version), "{version} is not in {kept}");
    }
    stage.parity(&["snapshots", "prune"]).expect(0);
    kept = stage.parity(&["snapshots", "toylist"]).expect(0).stdout;
    assert!(!kept.contains("113"), "{kept}");
}

#[test]
fn a_list_does_not_move_while_its_data_cannot_be_kept() {
    let stage = stage();
    let before = data(&stage);
    // A link that somebody else made is not followed; root's own is the admin's word.
    fs::rename(
        stage.path("var/archives/private/toylist"),
        stage.path("elsewhere"),
    )
    .unwrap();
    symlink(
        stage.path("elsewhere"),
        stage.path("var/archives/private/toylist"),
    )
    .unwrap();
    if fs::metadata(&stage.dir).unwrap().uid() == 0 {
        std::os::unix::fs::lchown(
            stage.path("var/archives/private/toylist"),
            Some(65534),
            None,
        )
        .unwrap();
        stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
            "the data of toylist",
            "it is not followed",
            "no list has moved",
        ]);
        assert_eq!(leftovers(&stage), Vec::<String>::new());
        std::os::unix::fs::lchown(stage.path("var/archives/private/toylist"), Some(0), None)
            .unwrap();
    }
    upgraded(&stage);
    assert_eq!(
        aside(&stage, "2", "1/toylist/index.html").unwrap(),
        b"old index"
    );
    // And it is put back to where the link leads.
    stage.write("elsewhere/index.html", "new index", 0o644);
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(0);
    assert_eq!(stage.read("elsewhere/index.html"), "old index");
    assert!(stage.path("var/archives/private/toylist").is_symlink());
    let _ = before;
}

#[test]
fn no_list_goes_to_a_release_that_is_known_not_to_read_its_data() {
    let stage = Stage::bare();
    stage.write("b/Mailman/Version.py", "VERSION = \"2.2.0\"\n", 0o644);
    stage.write(CONFIG, config(98, ""), 0o644);
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "data version 98 of toylist: release \"2.2.0\" in tree b is known to read 112",
    ]);
    stage.parity(&["upgrade", "reallist1"]).expect(0);
}

#[test]
fn the_newest_are_kept_and_none_where_none_are_wanted() {
    let stage = stage();
    let site = stage.read("site.toml");
    let with = |keep: u32| format!("{site}[snapshots]\nkeep = {keep}\n");
    stage.write("site.toml", with(2), 0o644);
    for _ in 0..4 {
        upgraded(&stage);
        stage.parity(&["downgrade", "toylist"]).expect(0);
    }
    let ids = || {
        let entries = fs::read_dir(stage.path("state/snapshots")).unwrap();
        let mut ids: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(), ["6", "8"]);
    stage
        .parity(&["snapshots", "prune", "--keep", "1", "--dry-run"])
        .expect(0)
        .says(&["would remove 6 of toylist"]);
    stage
        .parity(&["snapshots", "prune", "--keep", "1"])
        .expect(0)
        .says(&["removed 6"]);
    assert_eq!(ids(), ["8"]);
    stage.write("site.toml", with(0), 0o644);
    upgraded(&stage).says(&["no data are kept (`keep = 0`"]);
    assert_eq!(ids(), ["8"]);
}

#[test]
fn a_snapshot_that_a_killed_command_was_taking_is_removed_by_the_next_one() {
    let stage = stage();
    stage.make_dir("state/snapshots/.partial-1/toylist");
    stage.write("state/snapshots/.partial-1/toylist/file", "half", 0o600);
    stage
        .parity(&["pin", "toylist"])
        .expect(0)
        .says(&["removed 1 snapshot that a killed command was taking"]);
    assert_eq!(leftovers(&stage), Vec::<String>::new());
}

#[test]
fn pipes_and_sockets_are_made_again_and_hold_nobody_up() {
    let stage = stage();
    let made = Command::new("mkfifo")
        .arg(stage.path("var/lists/toylist/pipe"))
        .status();
    assert!(made.unwrap().success());
    upgraded(&stage);
    stage
        .parity(&["downgrade", "toylist", "--restore"])
        .expect(0);
    assert!(fs::symlink_metadata(stage.path("var/lists/toylist/pipe")).is_ok());
}
