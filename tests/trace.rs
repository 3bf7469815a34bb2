//! `mm-aliases trace` and `deliver`: the way of one address, told and gone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::stage::{Done, Stage};

const MESSAGE: &[u8] =
    b"Return-Path: <sender@example.org>\nSubject: x\n\nbody\nFrom here\n\x00\xe9";

fn stage(on_future: &[&str]) -> Stage {
    let stage = Stage::bare();
    stage.hand_parity(&[], &[]);
    stage.aliases(&["adopt"]).expect(0);
    stage.hand_parity(on_future, &[]);
    stage
}

fn deliver(stage: &Stage, words: &[&str]) -> Done {
    let words = [&["deliver"], words].concat();
    stage.run(stage.command("mm-aliases", &words), MESSAGE)
}

#[test]
fn trace_tells_the_whole_way_and_why() {
    let stage = stage(&["toylist"]);
    let b = stage.path("b/mail/mailman").display().to_string();
    stage
        .aliases(&["trace", "ToyList-Bounces+x=y@example.org"])
        .expect(0)
        .says(&[
            "aliases, line ",
            "toylist-bounces  (found without +x=y)",
            "verb     bounces",
            "tree     b (future)",
            "release  2.1.40",
            "is in on_future of",
            "generation 7",
            &format!("argv     \"{b}\" \"bounces\" \"toylist\""),
        ]);
    stage
        .aliases(&["trace", "reallist1"])
        .expect(0)
        .says(&["tree     a (current)", "is not in on_future"]);
    stage
        .aliases(&["trace", "--format", "json", "reallist1"])
        .expect(0)
        .says(&[
            "\"format\":1",
            "\"release\":\"2.1.39\"",
            "\"verb\":\"post\"",
        ]);
}

#[test]
fn trace_follows_plain_aliases_and_ends_in_a_loop() {
    let stage = stage(&[]);
    let text = stage.read("aliases")
        + "staff: toylist-owner, bob@example.net, nobody\nping: pong\npong: ping\n";
    stage.write("aliases", text, 0o644);
    stage.aliases(&["trace", "staff"]).expect(0).says(&[
        "the alias \"toylist-owner\", below",
        "the address \"bob@example.net\"",
        "\"nobody\", which no alias has",
        "verb     owner",
    ]);
    stage
        .aliases(&["trace", "ping"])
        .expect(0)
        .says(&["\"ping\" again"]);
}

#[test]
fn what_the_mta_does_itself_is_no_mailbox() {
    let stage = stage(&[]);
    let site = stage.read("site.toml");
    for (mta, words, why) in [
        ("exim", ":fail: gone", "the mail bounces, with this text"),
        ("exim", ":defer: later", "the mail waits"),
        ("exim", ":blackhole:", "the mail is thrown away"),
        ("opensmtpd", "error:550 gone", "the mail is refused, with"),
        (
            "opensmtpd",
            "error:450 later",
            "the mail is refused for now",
        ),
    ] {
        let mta = format!("mta = {mta:?}");
        stage.write("site.toml", site.replace("mta = \"none\"", &mta), 0o644);
        stage.write("aliases", format!("old: {words}\n"), 0o644);
        let done = stage.aliases(&["trace", "old"]).expect(0).says(&[
            &format!("what the MTA does itself: {words:?}"),
            &format!("why      {why}"),
        ]);
        assert!(!done.stdout.contains("mailbox"), "{done:#?}");
    }
}

#[test]
fn trace_of_an_unknown_address_says_what_is_near() {
    let stage = stage(&[]);
    stage
        .aliases(&["trace", "toylst-owner"])
        .expect(1)
        .says(&["no such alias: \"toylst-owner\"", "near it: toylist-owner"]);
}

#[test]
fn trace_says_that_the_trees_program_cannot_be_run() {
    let stage = stage(&["toylist"]);
    stage.write("b/mail/mailman", "#!/bin/sh\n", 0o644);
    stage
        .aliases(&["trace", "toylist"])
        .expect(0)
        .says(&["but      ", "is not executable: mail waits"]);
    stage.remove_program("b");
    stage.aliases(&["trace", "toylist"]).expect(0).says(&[
        "but      ",
        "No such file",
        "mail waits",
    ]);
    let told = stage.aliases(&["trace", "reallist1"]).expect(0);
    assert!(!told.stdout.contains("but "), "{told:?}");
}

#[test]
fn deliver_hands_the_message_to_the_tree_of_its_list() {
    let stage = stage(&["toylist"]);
    deliver(&stage, &["toylist"])
        .expect(0)
        .says(&["status 0: delivered"]);
    deliver(&stage, &["reallist1-bounces+x=y@example.org"]).expect(0);
    let mut ran = stage.ran();
    ran.sort_by(|a, b| a.tree.cmp(&b.tree));
    assert_eq!(ran.len(), 2);
    assert_eq!(
        (ran[0].tree.as_str(), &ran[0].argv[1..]),
        ("a", &["bounces".to_owned(), "reallist1".to_owned()][..])
    );
    assert_eq!(
        (ran[1].tree.as_str(), &ran[1].argv[1..]),
        ("b", &["post".to_owned(), "toylist".to_owned()][..])
    );
    for run in &ran {
        assert!(
            run.stdin.starts_with(b"From sender@example.org  "),
            "{run:?}"
        );
        assert!(run.stdin.ends_with(MESSAGE), "{run:?}");
        assert!(
            run.environment
                .contains(&"SENDER=sender@example.org".to_owned()),
            "{run:?}"
        );
    }
    for wanted in [
        "EXTENSION=x=y",
        "RECIPIENT=reallist1-bounces+x=y@example.org",
        "DOMAIN=example.org",
    ] {
        assert!(
            ran[0].environment.contains(&wanted.to_owned()),
            "{wanted}: {ran:?}"
        );
    }
}

#[test]
fn deliver_ends_as_the_mta_would_see_it() {
    let stage = stage(&[]);
    deliver(&stage, &["nosuchlist"])
        .expect(67)
        .says(&["no such alias"]);
    stage.write("status", "1", 0o644);
    deliver(&stage, &["toylist"])
        .expect(1)
        .says(&["status 1: bounced"]);
    stage.write("status", "75", 0o644);
    deliver(&stage, &["toylist"])
        .expect(75)
        .says(&["kept and tried again"]);
    std::fs::remove_file(stage.path("status")).unwrap();
    stage.remove_program("a");
    deliver(&stage, &["toylist"])
        .expect(75)
        .says(&["kept and tried again (4.3.0 mm-deliver: "]);
}

#[test]
fn deliver_sends_nothing_elsewhere_and_runs_no_shell() {
    let stage = stage(&[]);
    let text = stage.read("aliases")
        + "both: toylist, bob@example.net\nshell: \"|touch /tmp/x; echo\"\ngone: \"|/no/such/program\"\n";
    stage.write("aliases", text, 0o644);
    deliver(&stage, &["both"])
        .expect(0)
        .says(&["\"bob@example.net\": not sent", "delivered"]);
    deliver(&stage, &["shell"])
        .expect(75)
        .says(&["needs a shell"]);
    deliver(&stage, &["gone"])
        .expect(75)
        .says(&["No such file"]);
    assert_eq!(stage.ran().len(), 1);
}

#[test]
fn a_sender_may_be_named_or_empty() {
    let stage = stage(&[]);
    deliver(&stage, &["toylist", "--sender", ""]).expect(0);
    let ran = stage.ran();
    assert!(
        ran[0].environment.contains(&"SENDER=".to_owned()),
        "{ran:?}"
    );
    assert!(ran[0].stdin.starts_with(b"From MAILER-DAEMON "));
}

#[test]
fn what_is_assumed_of_a_domain_that_is_none_of_this_site_is_said() {
    let stage = stage(&[]);
    let told = "assumed: the MTA takes \"gmail.example\" as its own";
    let foreign = ["trace", "toylist@Gmail.example"];
    stage.aliases(&foreign).expect(0).says(&[told]);
    let json = [&foreign[..], &["--format", "json"]].concat();
    stage
        .aliases(&json)
        .expect(0)
        .says(&["\"assumed\"", "as its own"]);
    let site = stage.read("site.toml");
    let site = site.replace("[trees.b]\n", "[trees.b]\ndomain = \"lists.example\"\n");
    stage.write("site.toml", site, 0o644);
    for known in ["toylist", "toylist@Lists.Example"] {
        let done = stage.aliases(&["trace", known]).expect(0);
        assert!(!done.stdout.contains("assumed"), "{done:#?}");
    }
}
