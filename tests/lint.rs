//! `mm-aliases lint`: what MTAs read differently, or pass over.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::stage::{Done, Stage};

/// `lint -` for this MTA, of this file.
fn lint(dialect: &str, file: &[u8]) -> Done {
    let stage = Stage::bare();
    let words = ["lint", "-", "--dialect", dialect];
    stage.run(stage.command("mm-aliases", &words), file)
}

#[track_caller]
fn check(dialect: &str, file: &[u8], expected: &[&str]) {
    let done = lint(dialect, file).expect(1);
    let lines: Vec<&str> = done.stdout.lines().collect();
    for line in expected {
        assert!(lines.contains(line), "no {line:?} in\n{}", done.stdout);
    }
}

/// Debian's own file, and what Mailman 2.1's newlist says to add.
const DEBIAN: &str = include_str!("debian.aliases");

#[test]
fn what_all_mtas_read_alike_is_silent() {
    for dialect in ["postfix", "sendmail", "exim", "opensmtpd", "opensmtpd-db"] {
        let done = lint(dialect, DEBIAN.as_bytes()).expect(0);
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
        lint(dialect, b"").expect(0);
    }
}

#[test]
fn the_files_of_the_site_are_looked_at_if_none_is_named() {
    let stage = Stage::bare();
    stage.aliases(&["lint"]).expect(0);
    let text = stage.read("aliases") + "a: u1\na b: u2\n";
    let line = text.lines().count();
    stage.write("aliases", text, 0o644);
    stage.aliases(&["lint"]).expect(1).says(&[
        &format!("aliases:{line}:3: Exim, OpenSMTPD: "),
        "mail to it is deferred",
    ]);
    let aliases = stage.path("aliases").display().to_string();
    stage
        .aliases(&["lint", &aliases, "--format", "json"])
        .expect(1)
        .says(&[
            "\"format\":1",
            "\"dialect\":\"postfix\"",
            &format!("\"line\":{line},"),
        ]);
}

#[test]
fn what_cannot_be_read_is_said_and_is_not_the_same_as_a_finding() {
    let stage = Stage::bare();
    stage
        .aliases(&["lint", "/nonexistent"])
        .expect(2)
        .complains(&["cannot lint: cannot read \"/nonexistent\""]);
    std::fs::remove_file(stage.path("site.toml")).unwrap();
    stage.aliases(&["lint"]).expect(2).complains(&["site.toml"]);
}

#[test]
fn a_name_that_stands_twice_is_told_with_the_line_of_each_mta() {
    check(
        "postfix",
        b"a: u1\nb: u2\nA: u3\n",
        &[
            "-:3:1: Postfix, Exim: the name \"a\" stands more than once: mail goes by line 1",
            "-:3:1: Sendmail, OpenSMTPD: the name \"a\" stands more than once: mail goes by line 3",
            "-:3:1: OpenSMTPD (db): the name \"a\" stands more than once: the mail system refuses \
             the whole file",
        ],
    );
}

#[test]
fn a_name_stands_twice_only_for_an_mta_that_reads_it_so() {
    for (home, file, who) in [
        // The name of the first is another one for each of the others.
        ("sendmail", "a@localhost: u1\na: u2\n", &["Sendmail"][..]),
        (
            "opensmtpd",
            "\"a\": u1\na: u2\n",
            &["Postfix, Exim", "Sendmail"],
        ),
        ("exim", "a b: u1\na: u2\n", &["Exim", "OpenSMTPD"]),
        ("postfix", "caf\u{e9}: u1\nCAF\u{c9}: u2\n", &["Postfix"]),
    ] {
        let done = lint(home, file.as_bytes()).expect(1);
        let told: Vec<&str> = done.stdout.lines().collect();
        let doubles = told.iter().filter(|line| line.contains("more than once"));
        let whose: Vec<&str> = doubles.filter_map(|line| line.split(": ").next()).collect();
        let whose: Vec<&str> = whose
            .iter()
            .filter_map(|at| at.strip_prefix("-:2:1"))
            .collect();
        assert_eq!(whose.len(), who.len(), "{file:?}: {}", done.stdout);
        for one in who {
            let start = format!("-:2:1: {one}: the name ");
            assert!(
                told.iter().any(|line| line.starts_with(&start)),
                "{file:?}: {one}: {}",
                done.stdout
            );
        }
    }
    // Programs are told whose reading it is, too.
    let stage = Stage::bare();
    let words = ["lint", "-", "--dialect", "exim", "--format", "json"];
    let done = stage.run(stage.command("mm-aliases", &words), b"a: u1\na: u2\n");
    done.expect(1).says(&[
        "\"dialects\":[\"postfix\",\"exim\"]",
        "\"dialects\":[\"opensmtpd-db\"]",
    ]);
}

#[test]
fn what_one_mta_skips_and_another_reads_is_told_with_what_it_reads() {
    check(
        "postfix",
        b"b: u1\nkey u2\n",
        &[
            "-:2:1: Postfix, Sendmail: expected \"name: destination\": the mail system skips it",
            "-:2:1: Exim, OpenSMTPD, OpenSMTPD (db): an entry \"key\": \"u2\"",
        ],
    );
    // The comment ends the entry for one, and stands inside it for the other.
    check(
        "postfix",
        b"a: u1,\n# c\n u2\n",
        &["-:1:1: Sendmail, Exim: mail goes to \"u1\", not to \"u1\", \"u2\""],
    );
}

#[test]
fn each_kind_of_problem_is_told_with_what_becomes_of_mail() {
    let users: Vec<String> = (0..400).map(|n| format!("user{n:03}")).collect();
    let long = format!("a: {}\n", users.join(", "));
    for (dialect, file, expected) in [
        (
            "postfix",
            &b" u1\na: u2\n"[..],
            "begins with white space, but there is no entry to continue",
        ),
        (
            "postfix",
            b"bad\n",
            "Postfix, Sendmail: expected \"name: destination\": the mail system skips it",
        ),
        (
            "postfix",
            b"a,b: u1\n",
            "a comma in the name: the mail system skips it",
        ),
        (
            "postfix",
            b"a@b: u1\n",
            "the name is not local: the mail system skips it",
        ),
        (
            "postfix",
            b"a: u\xe9\n",
            "not UTF-8: the mail system skips it",
        ),
        (
            "postfix",
            b"a: u1\0b\n",
            "a NUL byte, and what stands after it is lost",
        ),
        (
            "postfix",
            b"a: \"|/bin/p\n",
            "a quote, bracket or parenthesis without its end",
        ),
        ("postfix", b"\xef\xbb\xbfa: u1\n", "a byte order mark"),
        ("postfix", b"a: ,\n", "no destination"),
        (
            "exim",
            b"a: u1 u2\n",
            "not a destination: mail to it is deferred",
        ),
        ("opensmtpd", b"\"a\": u1\n", "no address can have this name"),
        (
            "opensmtpd",
            long.as_bytes(),
            "-:1:2051: OpenSMTPD, OpenSMTPD (db): longer than the mail system takes: mail to it",
        ),
        (
            "opensmtpd-db",
            b"a: /x\"y\n",
            "makemap takes it, and the daemon cannot read it: mail to it is deferred",
        ),
        (
            "exim",
            b"a: u1\0\nb: u2\n",
            "a NUL byte: the rest of its line is lost",
        ),
    ] {
        let done = lint(dialect, file).expect(1);
        assert!(
            done.stdout.contains(expected),
            "{:?}: {expected:?}\n{}",
            file.escape_ascii(),
            done.stdout
        );
        assert!(done.stdout.lines().all(|line| line.starts_with("-:")));
    }
}

#[test]
fn text_of_the_file_is_told_without_its_control_characters() {
    let done = lint("postfix", b"a\x1b: \"x\x07 y\"\na\x1b: u2\n").expect(1);
    assert!(done.stdout.contains("\\u{1b}"), "{:?}", done.stdout);
    assert!(done.stdout.chars().all(|c| c == '\n' || !c.is_control()));
}
