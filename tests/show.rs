//! `mm-aliases show`: what one MTA reads in an aliases file.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};

use crate::stage::{Done, Stage};

/// `show -` with these words, of this file.
fn show(stage: &Stage, words: &[&str], file: &[u8]) -> Done {
    let words = [&["show", "-"], words].concat();
    stage.run(stage.command("mm-aliases", &words), file)
}

fn json_of(dialect: &str, file: &[u8]) -> Value {
    let words = ["--format", "json", "--dialect", dialect];
    let done = show(&Stage::bare(), &words, file).expect(0);
    serde_json::from_str(&done.stdout).unwrap()
}

#[test]
fn show_tells_entries_what_mail_goes_by_and_problems() {
    let file = b"# c\nList: \"|/bin/p post x\", u1\nbad\nLIST: u2\nb:\n :include:/etc/l, /var/f\n";
    let expected = json!({
        "format": 1,
        "file": "-",
        "dialect": "postfix",
        "text_encoding": "latin-1",
        "entries": [
            { "name": "list", "destinations": ["|/bin/p post x", "u1"], "line": 2 },
            { "name": "list", "destinations": ["u2"], "line": 4 },
            { "name": "b", "destinations": [":include:/etc/l", "/var/f"], "line": 5 },
        ],
        "effective": {
            "list": ["|/bin/p post x", "u1"],
            "b": [":include:/etc/l", "/var/f"],
        },
        "problems": [{
            "line": 3,
            "column": 1,
            "what": "expected \"name: destination\"",
            "effect": "the mail system skips it",
        }, {
            "line": 4,
            "column": 1,
            "what": "the name stands more than once",
            "effect": "mail goes by line 2",
        }],
    });
    assert_eq!(json_of("postfix", file), expected);
    // Who takes the last of two names, who the first, and who neither.
    let of = |dialect| json_of(dialect, b"a: u1\nA: u2\n")["effective"]["a"].clone();
    assert_eq!(of("exim"), json!(["u1"]));
    assert_eq!(of("opensmtpd"), json!(["u2"]));
    assert_eq!(of("opensmtpd-db"), Value::Null);
}

#[test]
fn a_name_that_stands_twice_is_a_problem_where_mail_does_not_go_by_it() {
    let of = |dialect| {
        let told = json_of(dialect, b"a: u1\nb: u2\nA: u3\n");
        let rows = told["problems"].as_array().unwrap().clone();
        assert_eq!(rows.len(), 1, "{told:#}");
        (rows[0]["line"].clone(), rows[0]["effect"].clone())
    };
    for first in ["postfix", "exim"] {
        assert_eq!(of(first), (json!(3), json!("mail goes by line 1")));
    }
    for last in ["sendmail", "opensmtpd"] {
        assert_eq!(of(last), (json!(1), json!("mail goes by line 3")));
    }
    // Where nothing is read, the reason is told.
    let refused = json!("the mail system refuses the whole file");
    assert_eq!(of("opensmtpd-db"), (json!(3), refused));
    let words = ["--dialect", "opensmtpd-db"];
    show(&Stage::bare(), &words, b"a: u1\nA: u2\n")
        .expect(0)
        .says(&[
            "-:1: a (not read: line 2)\n",
            "-:2:1: the name stands more than once: the mail system refuses the whole file\n",
        ]);
}

#[test]
fn each_character_in_json_is_a_byte_of_the_file() {
    let name: Vec<u8> = (0x80..=0xff).collect();
    let file = [&name[..], b": \"|/bin/p \x01\xc3\xa9 \xe9\"\n"].concat();
    let told = json_of("opensmtpd", &file);
    let bytes = |value: &Value| -> Vec<u8> {
        let text = value.as_str().unwrap().chars();
        text.map(|one| u8::try_from(u32::from(one)).unwrap())
            .collect()
    };
    let entry = &told["entries"][0];
    assert_eq!(bytes(&entry["name"]), name);
    assert_eq!(
        bytes(&entry["destinations"][0]),
        b"|/bin/p \x01\xc3\xa9 \xe9"
    );
}

#[test]
fn text_has_no_control_characters_of_the_file_in_it() {
    let file = b"a\x1b[31m\xe9: \"|/bin/p \x07\xc3\xa9\"\na\x1b[31m\xe9: u2\n";
    let words = ["--dialect", "exim"];
    let done = show(&Stage::bare(), &words, file).expect(0).says(&[
        "-:1: a\\u{1b}[31m\\xe9\n    |/bin/p \\u{7}é\n",
        "-:2: a\\u{1b}[31m\\xe9 (mail goes by line 1)\n",
    ]);
    let is_harmless = |c: char| c == '\n' || !c.is_control();
    assert!(done.stdout.chars().all(is_harmless), "{:?}", done.stdout);
}

#[test]
fn show_reads_as_the_mta_of_the_site_and_needs_no_site_when_told_the_dialect() {
    let stage = Stage::bare();
    stage.write("some", "a: u1\n", 0o644);
    let some = stage.path("some").display().to_string();
    let postfix = ["\"dialect\":\"postfix\"", "\"name\":\"a\""];
    stage
        .aliases(&["show", &some, "--format", "json"])
        .expect(0)
        .says(&postfix);
    std::fs::remove_file(stage.path("site.toml")).unwrap();
    stage.aliases(&["show", &some]).expect(1).complains(&[
        "site.toml",
        "hint: give --dialect postfix, sendmail, exim, opensmtpd",
    ]);
    stage
        .aliases(&["show", &some, "--dialect", "postfix"])
        .expect(0)
        .says(&["some:1: a\n    u1\n"]);
    for unsound in [&["show"][..], &["show", &some, "--dialect", "qmail"]] {
        assert_eq!(stage.aliases(unsound).status, Some(2));
    }
}

#[test]
fn what_is_no_plain_file_is_not_read() {
    let stage = Stage::bare();
    let directory = stage.dir.display().to_string();
    for (path, why) in [
        ("/dev/zero", "not a plain file"),
        (directory.as_str(), "not a plain file"),
        ("/nonexistent", "No such file"),
    ] {
        stage
            .aliases(&["show", path, "--dialect", "exim"])
            .expect(1)
            .complains(&[&format!("cannot show: cannot read {path:?}: {why}")]);
    }
    let mut full = stage.command("mm-aliases", &["show", "-", "--dialect", "exim"]);
    full.stdout(
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap(),
    );
    full.stdin(std::process::Stdio::null());
    // Nothing to tell is told; the next one is not.
    assert!(full.status().unwrap().success());
    let some = stage.path("aliases").display().to_string();
    let mut full = stage.command("mm-aliases", &["show", &some, "--dialect", "exim"]);
    full.stdout(
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap(),
    );
    let output = full.stderr(std::process::Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"));
}
