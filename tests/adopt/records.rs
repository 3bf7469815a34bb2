//! adopted.jsonl: what it remembers, what it forgets, and what it is when it is no plain file.

use super::stage;

/// Lines of adopted.jsonl.
fn lines(stage: &crate::stage::Stage) -> usize {
    stage.read("state/adopted.jsonl").lines().count()
}

/// Makes every record one of long ago, so that no mail is queued any more for what stood there.
fn make_old(stage: &crate::stage::Stage) {
    let records = stage.read("state/adopted.jsonl");
    let mut parts = records.split("\"when\":\"");
    let first = parts.next().unwrap().to_owned();
    let old = parts.fold(first, |text, part| text + "\"when\":\"1998" + &part[4..]);
    stage.write("state/adopted.jsonl", old, 0o644);
}

#[test]
fn turning_to_and_fro_for_ever_does_not_grow_the_records() {
    let stage = stage();
    let before = stage.read("aliases");
    let mut most = 0;
    for round in 0..6 {
        stage.aliases(&["adopt"]).expect(0);
        stage.aliases(&["unadopt"]).expect(0);
        assert_eq!(stage.read("aliases"), before);
        most = most.max(lines(&stage));
        assert!(most <= 120, "{most} lines after round {round}");
    }
    assert!(most >= 60, "both ways are recorded: {most}");
}

#[test]
fn what_is_still_needed_outlives_what_is_not() {
    let stage = stage();
    stage.aliases(&["adopt", "toylist"]).expect(0);
    stage.aliases(&["adopt", "reallist1"]).expect(0);
    stage.aliases(&["unadopt", "reallist1"]).expect(0);
    stage.aliases(&["adopt", "reallist2"]).expect(0);
    stage.aliases(&["unadopt", "reallist2"]).expect(0);
    assert_eq!(lines(&stage), 50);
    make_old(&stage);
    stage
        .aliases(&["adopt"])
        .expect(0)
        .says(&["20 entries changed"]);
    // Ten of toylist, and the twenty new ones.
    assert_eq!(lines(&stage), 30);
    let toylist = stage.direct_block("a", "toylist");
    stage.aliases(&["unadopt"]).expect(0);
    assert!(stage.read("aliases").contains(&toylist));
    assert!(stage.path("state").read_dir().unwrap().all(|entry| {
        !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".atomic")
    }));
}

#[test]
fn what_a_commit_removed_can_be_put_back_and_unadopted_after_the_records_were_tidied() {
    let stage = super::stage_with_an_older_future();
    let spaced = stage
        .read("aliases")
        .replace("toylist-join: ", "toylist-join:\t\t");
    stage.write("aliases", &spaced, 0o644);
    stage.aliases(&["adopt"]).expect(0);
    // Half of the records, and more, are of entries that were turned and put back.
    for _ in 0..3 {
        stage.aliases(&["unadopt", "reallist1"]).expect(0);
        stage.aliases(&["adopt", "reallist1"]).expect(0);
    }
    stage.parity(&["upgrade", "--all"]).expect(0);
    stage.parity(&["commit"]).expect(0);
    make_old(&stage);
    stage.aliases(&["unadopt", "reallist2"]).expect(0);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["commit", "--revert"]).expect(0);
    assert!(stage.read("aliases").contains("\ntoylist-join:\t\t\"|"));
    stage.parity(&["downgrade", "--all"]).expect(0);
    stage.aliases(&["unadopt"]).expect(0);
    let a = stage.path("a/mail/mailman");
    let wanted = format!("\ntoylist-join:\t\t\"|{} join toylist\"\n", a.display());
    assert!(
        stage.read("aliases").contains(&wanted),
        "{}",
        stage.read("aliases")
    );
}

#[test]
fn records_that_are_no_plain_file_stop_the_command_and_nothing_waits() {
    let stage = stage();
    let fifo = stage.path("state/adopted.jsonl");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    let before = stage.snapshot("aliases");
    for words in [&["adopt"][..], &["unadopt"], &["adopt", "toylist"]] {
        stage
            .aliases(words)
            .expect(1)
            .complains(&["adopted.jsonl\": not a plain file"]);
    }
    stage
        .aliases(&["check"])
        .expect(3)
        .says(&["not a plain file"]);
    // Named as what it is: the kernel speaks of too many links.
    std::fs::remove_file(&fifo).unwrap();
    std::os::unix::fs::symlink(stage.path("elsewhere"), &fifo).unwrap();
    stage
        .aliases(&["adopt"])
        .expect(1)
        .complains(&["adopted.jsonl\": a symbolic link, and must be a plain file"]);
    assert_eq!(stage.snapshot("aliases"), before);
}
