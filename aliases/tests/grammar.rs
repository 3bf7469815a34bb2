//! What the MTA makes of a file, and that we make the same of it.
//!
//! `grammar/DIALECT.cases` say what the real ones did; the head of `postfix.cases` explains the form.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use aliases::{DestinationKind, Dialect, Document, Effect, ProblemKind, Winner};

/// Our reading, in the form of the case file.
fn reading(text: &[u8], dialect: Dialect) -> String {
    let document = Document::parse(text, dialect);
    let mut told = String::new();
    if let Some(line) = document.refused() {
        writeln!(told, "refused {line}").unwrap();
    }
    let line_of = |offset: usize| 1 + text[..offset].iter().filter(|byte| **byte == b'\n').count();
    for problem in document.problems() {
        writeln!(
            told,
            "problem {} {:?}",
            line_of(problem.span().start),
            problem.kind()
        )
        .unwrap();
    }
    for entry in document.entries() {
        writeln!(told, "entry {} {}", entry.line(), escape(&entry.name())).unwrap();
        for destination in entry.destinations() {
            let (kind, meaning) = match destination.kind() {
                DestinationKind::Pipe(meaning) => ("pipe", meaning),
                DestinationKind::File(meaning) => ("file", meaning),
                DestinationKind::Include(meaning) => ("include", meaning),
                DestinationKind::Address(meaning) => ("address", meaning),
                DestinationKind::Verdict(meaning) => ("verdict", meaning),
            };
            writeln!(told, "to {kind} {}", escape(meaning)).unwrap();
        }
    }
    for double in document.doubles() {
        write!(told, "double {}", escape(&double.name)).unwrap();
        for id in &double.entries {
            write!(told, " {}", document.entry(*id).unwrap().line()).unwrap();
        }
        told.push('\n');
        let wins = match dialect.winner() {
            Winner::Last => double.entries.last(),
            _ => double.entries.first(),
        };
        assert_eq!(document.lookup(&double.name), wins.copied());
    }
    told
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    bytes
}

#[test]
fn postfix_cases_are_read_as_postfix_reads_them() {
    check_cases(include_str!("grammar/postfix.cases"), Dialect::Postfix, 130);
}

#[test]
fn exim_cases_are_read_as_exim_reads_them() {
    check_cases(include_str!("grammar/exim.cases"), Dialect::Exim, 120);
}

#[test]
fn opensmtpd_cases_are_read_as_its_daemon_reads_them() {
    let cases = include_str!("grammar/opensmtpd.cases");
    check_cases(cases, Dialect::OpenSmtpd, 120);
}

#[test]
fn opensmtpd_db_cases_are_read_as_makemap_reads_them() {
    let cases = include_str!("grammar/opensmtpd-db.cases");
    check_cases(cases, Dialect::OpenSmtpdDb, 120);
}

#[test]
fn sendmail_cases_are_read_as_sendmail_reads_them() {
    check_cases(
        include_str!("grammar/sendmail.cases"),
        Dialect::Sendmail,
        140,
    );
}

#[track_caller]
fn check_cases(file: &str, dialect: Dialect, least: usize) {
    let cases: Vec<&str> = file.split("\ncase ").skip(1).collect();
    assert!(cases.len() > least, "the case file is cut: {}", cases.len());
    let mut wrong = String::new();
    for case in cases {
        let (name, rest) = case.split_once("\ntext ").unwrap();
        let (text, expected) = rest.split_once('\n').unwrap();
        let found = reading(&unescape(text), dialect);
        if found.trim_end() != expected.trim_end() {
            writeln!(
                wrong,
                "{name}: {text}\n--- {dialect:?}\n{expected}\n--- we\n{found}"
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn postfix_takes_entries_of_any_length() {
    let one = |text: String| {
        let document = Document::parse(text, Dialect::Postfix);
        assert_eq!(document.problems(), []);
        let entries: Vec<_> = document
            .entries()
            .map(|entry| (entry.name(), entry.destinations().len()))
            .collect();
        assert_eq!(entries.len(), 1);
        entries.into_iter().next().unwrap()
    };
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("r{n:04}@e.x"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(
        one(format!("a: \"|/bin/prog {}\"\n", "x".repeat(2000))),
        (b"a".to_vec(), 1)
    );
    assert_eq!(one(format!("a: {}\n", many(900))), (b"a".to_vec(), 900));
    assert_eq!(one(format!("a: {}\n", many(6400))), (b"a".to_vec(), 6400));
    for length in [300, 3000] {
        assert_eq!(
            one(format!("{}: u1\n", "k".repeat(length))),
            ("k".repeat(length).into_bytes(), 1)
        );
    }
}

#[track_caller]
fn check_problem(text: &[u8], expected: (usize, usize, ProblemKind, &str)) {
    let document = Document::parse(text, Dialect::Postfix);
    let [problem] = document.problems() else {
        unreachable!("{:?}", document.problems())
    };
    let said = problem.to_string();
    let span = &text[problem.span()];
    assert_eq!(
        (
            problem.line(),
            problem.column(),
            problem.kind(),
            span.escape_ascii().to_string().as_str()
        ),
        expected,
        "{said}",
    );
    assert!(
        said.starts_with(&format!("line {}: ", expected.0)),
        "{said}"
    );
}

#[test]
fn a_problem_says_where_it_is() {
    check_problem(
        b"a: u1\nb: \"|x\n",
        (2, 4, ProblemKind::OpenQuote, r#"b: \"|x\n"#),
    );
    check_problem(
        b"# c\n\nbad\n more\na: u1\n",
        (3, 1, ProblemKind::NotAnEntry, r"bad\n more\n"),
    );
    check_problem(b"a,b: u1\n", (1, 2, ProblemKind::TwoNames, r"a,b: u1\n"));
    check_problem(
        b"a:\n u1,\n# c\n\tu2 (x\n",
        (4, 5, ProblemKind::OpenQuote, r"a:\n u1,\n# c\n\tu2 (x\n"),
    );
    check_problem(b"a@b: u1", (1, 2, ProblemKind::NotLocal, "a@b: u1"));
    check_problem(b"a: u\xe9\n", (1, 1, ProblemKind::NotUtf8, r"a: u\xe9\n"));
    check_problem(
        b"a: u1\n b\0c\n",
        (2, 3, ProblemKind::Nul, r"a: u1\n b\x00c\n"),
    );
    check_problem(
        b"\xef\xbb\xbfa: u1\n",
        (1, 1, ProblemKind::ByteOrderMark, r"\xef\xbb\xbfa: u1\n"),
    );
}

#[test]
fn a_skipped_line_is_said_to_be_skipped() {
    let document = Document::parse(&b"bad\na: \"x\n"[..], Dialect::Postfix);
    let effects: Vec<Effect> = document
        .problems()
        .iter()
        .map(aliases::Problem::effect)
        .collect();
    assert_eq!(effects, [Effect::Skipped, Effect::ReadOtherwise]);
}

#[test]
fn names_are_looked_up_in_any_case_and_the_first_entry_wins() {
    let document = Document::parse(&b"a: u1\nA: u2\n\"x Y\": u3\n"[..], Dialect::Postfix);
    let line = |name: &[u8]| {
        document
            .lookup(name)
            .and_then(|id| document.entry(id))
            .map(|entry| entry.line())
    };
    assert_eq!(line(b"A"), Some(1));
    assert_eq!(line(b"X y"), Some(3));
    assert_eq!(line(b"b"), None);
}

#[test]
fn sendmail_takes_lines_up_to_its_buffer_and_destinations_up_to_an_address() {
    let kinds = |text: String| {
        let document = Document::parse(text, Dialect::Sendmail);
        let kinds: Vec<_> = document
            .problems()
            .iter()
            .map(aliases::Problem::kind)
            .collect();
        (document.effective().count(), kinds)
    };
    let line = |length: usize| format!("a: {}", "u,".repeat(length).split_at(length - 3).0);
    assert_eq!(kinds(line(8190) + "\nb: u2\n"), (2, vec![]));
    assert_eq!(
        kinds(line(8191) + "\nb: u2\n"),
        (1, vec![ProblemKind::TooLong])
    );
    assert_eq!(kinds(line(8191)), (1, vec![]));
    assert_eq!(kinds(line(8192)), (0, vec![ProblemKind::TooLong]));
    // What is flushed goes on like any line.
    assert_eq!(
        kinds(line(9000) + "\n u1\nb: u2\n"),
        (1, vec![ProblemKind::TooLong])
    );
    assert_eq!(
        kinds(line(9000) + "\\\nc: u1\nb: u2\n"),
        (1, vec![ProblemKind::TooLong])
    );
    // Its byte 8,192 is a blank: newaliases never ends, and nothing is read.
    assert_eq!(
        kinds(line(8191) + " u2\nb: u2\n"),
        (0, vec![ProblemKind::EndlessLine])
    );
    assert_eq!(
        kinds(line(8190) + "\n  u2\nb: u2\n"),
        (0, vec![ProblemKind::EndlessLine])
    );

    let command = |length: usize| kinds(format!("a: \"|{}\"\n", "x".repeat(length - 1)));
    assert_eq!(command(253), (1, vec![]));
    let too_long = vec![ProblemKind::DestinationTooLong, ProblemKind::NoDestination];
    assert_eq!(command(254), (1, too_long.clone()));
    // Of what is far too long it reads the rest as more destinations.
    assert_eq!(command(2000).1[..2], [too_long[0], too_long[0]]);
    let name = |length: usize| kinds(format!("{}: u1\n", "k".repeat(length)));
    assert_eq!(name(255), (1, vec![]));
    assert_eq!(name(256), (0, vec![ProblemKind::TooLong]));
}

/// What becomes of a line, MTA by MTA, as they were seen to do it.
#[test]
fn what_becomes_of_a_line_is_what_was_measured() {
    let cases = [
        (
            Dialect::Postfix,
            "bad\n",
            (ProblemKind::NotAnEntry, Effect::Skipped),
        ),
        (
            Dialect::Sendmail,
            "bad\n",
            (ProblemKind::NotAnEntry, Effect::Skipped),
        ),
        (
            Dialect::OpenSmtpdDb,
            "bad\n",
            (ProblemKind::NotAnEntry, Effect::FileRefused),
        ),
        (
            Dialect::Exim,
            "a:\n",
            (ProblemKind::NoDestination, Effect::NoAlias),
        ),
        (
            Dialect::OpenSmtpd,
            "a: ,\n",
            (ProblemKind::NoDestination, Effect::NoAlias),
        ),
        (
            Dialect::Exim,
            "a: u1 u2\n",
            (ProblemKind::NotADestination, Effect::Deferred),
        ),
        (
            Dialect::OpenSmtpd,
            "a: u1 u2\n",
            (ProblemKind::NotADestination, Effect::Deferred),
        ),
        (
            Dialect::OpenSmtpdDb,
            "a: u1 u2\n",
            (ProblemKind::NotADestination, Effect::FileRefused),
        ),
    ];
    for (dialect, text, expected) in cases {
        let document = Document::parse(text, dialect);
        let found: Vec<_> = document
            .problems()
            .iter()
            .map(|problem| (problem.kind(), problem.effect()))
            .collect();
        assert_eq!(found, [expected], "{dialect:?}: {text:?}");
    }
}

/// Of two equal names, as the real ones answered.
#[test]
fn of_two_entries_of_a_name_the_one_that_the_mta_goes_by_is_found() {
    let text = &b"a: u1\nb: u3\nA: u2\n"[..];
    for (dialect, line) in [
        (Dialect::Postfix, Some(1)),
        (Dialect::Sendmail, Some(3)),
        (Dialect::Exim, Some(1)),
        (Dialect::OpenSmtpd, Some(3)),
        (Dialect::OpenSmtpdDb, None),
    ] {
        let document = Document::parse(text, dialect);
        let found = document.effective().find(|entry| entry.name() == b"a");
        assert_eq!(found.map(|entry| entry.line()), line, "{dialect:?}");
        assert_eq!(
            document.refused(),
            line.is_none().then_some(3),
            "{dialect:?}"
        );
    }
}

/// How long a command may be, its closing quote not counted, before something is said of it.
#[test]
fn the_longest_command_is_the_one_that_was_measured() {
    for (dialect, longest) in [
        (Dialect::Postfix, None),
        (Dialect::Sendmail, Some(252)),
        (Dialect::OpenSmtpd, Some(1022)),
    ] {
        let is_fine = |length: usize| {
            let text = format!("a: \"|{}\"\n", "x".repeat(length));
            Document::parse(text, dialect).problems().is_empty()
        };
        let found = (1..3000)
            .find(|length| !is_fine(*length))
            .map(|length| length - 1);
        assert_eq!(found, longest, "{dialect:?}");
    }
}
