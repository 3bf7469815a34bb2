//! The manifests of trees: what check tells of files that changed since they were looked at.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::stage::Stage;

/// A site on which all is well, with a manifest of each tree.
fn sound() -> Stage {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["check"]).expect(0);
    stage
}

#[test]
fn check_tells_how_many_files_of_a_tree_changed_and_what_to_type() {
    let stage = sound();
    // As long as it was, and of the same time.
    let path = stage.path("b/bin/version");
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    let text = stage.read("b/bin/version").replacen("Using", "using", 1);
    fs::write(&path, text).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(times).unwrap();
    drop(file);
    stage.write("b/bin/new", "#!/bin/sh\n", 0o755);
    fs::remove_file(stage.path("b/cgi-bin/admin")).unwrap();
    symlink("listinfo", stage.path("b/cgi-bin/admin")).unwrap();
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(stage.path("b/cron"), mode).unwrap();
    fs::remove_file(stage.path("b/bin/mailmanctl")).unwrap();
    stage.parity(&["check"]).expect(1).says(&[
        "tree b changed since 20",
        ": 5 files, newest at 20",
        "bin/mailmanctl, bin/new, bin/version, cgi-bin/admin, cron",
        "if it was meant: ",
        "verify; else install \"2.1.40\" in tree b again",
    ]);
    fs::remove_file(stage.path("b/cgi-bin/admin")).unwrap();
    stage.put_program("b");
    fs::set_permissions(stage.path("b/cron"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(stage.path("b/bin/new")).unwrap();
    stage.parity(&["trust", "b"]).expect(0);
    // What was looked at before is trusted no more.
    stage.write("b/bin/more", "", 0o644);
    stage.parity(&["verify"]).expect(0).says(&[
        "changed in it since it was looked at last: 1 file, newest at 20",
        "tree b is guarded",
    ]);
    stage.parity(&["check"]).expect(0);
}

#[test]
fn what_a_tree_writes_by_itself_and_what_is_the_same_again_is_not_told() {
    let stage = sound();
    stage.make_dir("a/Mailman/__pycache__");
    stage.write("a/Mailman/__pycache__/Utils.cpython-311.pyc", "x", 0o644);
    stage.write("a/Mailman/Version.pyc", "x", 0o644);
    stage.make_dir("a/qfiles/in");
    stage.write("a/qfiles/in/entry.pck", "x", 0o644);
    stage.make_dir("a/logs");
    stage.write("a/logs/error", "x", 0o644);
    // Copied back from elsewhere: another inode and time, and the same bytes.
    let text = stage.read("a/bin/version");
    fs::remove_file(stage.path("a/bin/version")).unwrap();
    stage.write("a/bin/version", text, 0o755);
    stage.parity(&["check"]).expect(0);
    // Of a tree that serves lists nobody says so by verify.
    stage.write("a/bin/version", "#!/bin/sh\n", 0o755);
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["check"]).expect(1).says(&[
        "tree a changed since 20",
        ": 1 file, newest at 20",
        "patch a --reason TEXT true",
    ]);
}

#[test]
fn an_install_records_the_files_and_a_manifest_that_is_damaged_says_nothing() {
    let stage = sound();
    stage.parity(&["install", "--begin"]).expect(0);
    stage.write("b/bin/new", "#!/bin/sh\n", 0o755);
    // A tree that takes no lists is not asked.
    stage.parity(&["check"]).expect(0);
    stage.parity(&["install", "--end"]).expect(0);
    stage.parity(&["check"]).expect(0);
    let manifest = stage.read("state/manifests/b.jsonl");
    assert!(manifest.contains("\"path\":\"bin/new\""), "{manifest}");
    stage.write(
        "state/manifests/b.jsonl",
        &manifest[..manifest.len() - 9],
        0o644,
    );
    stage
        .parity(&["check"])
        .expect(3)
        .says(&["manifests/b.jsonl", "verify"]);
    stage.parity(&["verify"]).expect(0);
    stage.parity(&["check"]).expect(0);
}

#[test]
fn a_new_site_knows_its_trees_files_at_once() {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["check"]).expect(0);
    stage.write("a/bin/version", "#!/bin/sh\n", 0o755);
    stage.write("b/bin/new", "#!/bin/sh\n", 0o755);
    stage.parity(&["check"]).expect(1).says(&[
        "tree a changed since 20",
        ": 1 file, newest at 20",
        "tree b changed since 20",
        "bin/new",
    ]);
}

#[test]
fn an_init_whose_tree_cannot_be_read_says_so_and_is_made() {
    let stage = Stage::bare();
    // Nothing but a directory may be where manifests go.
    stage.make_dir("state");
    stage.write("state/manifests", "", 0o644);
    stage
        .parity(&["init", "--current", "a"])
        .expect(0)
        .says(&["note: files are not recorded", "verify"]);
    stage.parity(&["status"]).expect(0);
}
