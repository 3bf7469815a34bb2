//! Generated aliases files, as Sendmail reads them and as we do.
//!
//! Order of events: each batch of files is built by `sendmail -bi -d38.12`, which tells what it
//! stores, several in one start; then every value that was not asked about before becomes an alias
//! of its own, and `sendmail -bv -d26.1` says to which mailer, host and user each of its
//! destinations goes.
//!
//! **Invariants**: no map of the machine's own is touched, and no mail is sent.

/// What Sendmail's programs say.
mod oracle;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use aliases::{DestinationKind, Dialect, Document, Effect, Entry, ProblemKind};

use self::oracle::{Built, Oracle, Recipient};
use crate::differential::{Bounds, search};

/// How many files are asked about. Of the 28,800 that five minutes allow eight are read otherwise,
/// none of them like anything that was ever in a file: `!!a:`, `a@[127 1]a:`, a path of `:include:`
/// that is one quote, `<>:[]`, and a name of 255 bytes that ends in a quote and a CR.
const MOST: usize = 7_000;
/// How long `tests/run` spends on this.
const USUAL: Duration = Duration::from_secs(120);
/// Files of one batch: enough that starting programs does not count.
const BATCH: usize = 240;

#[test]
fn differential_sendmail_reads_generated_files_as_we_do() {
    let bounds = Bounds::from_environment(MOST, USUAL);
    let mut oracle = Oracle::new();
    let outcome = search(bounds, BATCH, |files| compare(&mut oracle, files));
    println!("| sendmail: {}", outcome.summary());
    println!("| sendmail: {} different right sides", oracle.values());
    outcome.expect_none();
}

#[test]
fn differential_sendmail_says_what_our_case_file_says() {
    let cases = include_str!("../../aliases/tests/grammar/sendmail.cases");
    let texts = cases.lines().filter_map(|line| line.strip_prefix("text "));
    let files: Vec<Vec<u8>> = texts.map(unescape).collect();
    println!("| sendmail: {} cases", files.len());
    assert!(files.len() > 140);
    let mut oracle = Oracle::new();
    let mut wrong = String::new();
    for (file, what) in files.iter().zip(compare(&mut oracle, &files)) {
        if let Some(what) = what {
            writeln!(wrong, "file: {}\n{what}", file.escape_ascii()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The bytes that a line of the case file stands for; its head says how.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (letter, behind) = rest.split_first().unwrap();
        rest = behind;
        bytes.push(match letter {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let (digits, behind) = rest.split_at(2);
                rest = behind;
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            other => *other,
        });
    }
    bytes
}

/// What is read otherwise, for each file.
fn compare(oracle: &mut Oracle, files: &[Vec<u8>]) -> Vec<Option<String>> {
    let documents: Vec<Document> = files
        .iter()
        .map(|file| Document::parse(&file[..], Dialect::Sendmail))
        .collect();
    let built = oracle.build(files, |n, name| {
        documents[n].lookup(name).is_some_and(|id| {
            let entry = documents[n].entry(id);
            entry.is_some_and(|entry| entry.name() == name)
        })
    });
    let values = built.iter().flat_map(|built| built.entries.values());
    oracle.expand(values);
    documents
        .iter()
        .zip(&built)
        .map(|(document, built)| difference(document, built, oracle))
        .collect()
}

fn difference(document: &Document, built: &Built, oracle: &Oracle) -> Option<String> {
    let mut text = String::new();
    let ours: BTreeSet<Vec<u8>> = document.effective().map(|entry| entry.name()).collect();
    let theirs: BTreeSet<Vec<u8>> = built.entries.keys().cloned().collect();
    for name in ours.symmetric_difference(&theirs) {
        let who = if ours.contains(name) {
            "we"
        } else {
            "sendmail"
        };
        writeln!(text, "only {who}: {}", name.escape_ascii()).unwrap();
    }
    let skipped = document.problems().iter();
    // Of lines that begin with a blank, one after the other, it complains once.
    let skipped = skipped.filter(|problem| {
        problem.effect() == Effect::Skipped && problem.kind() != ProblemKind::LeadingBlank
    });
    if skipped.count() != built.skipped && !built.is_mute {
        let ours: Vec<_> = document
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        writeln!(
            text,
            "skipped: {} by sendmail, by us {ours:?}",
            built.skipped
        )
        .unwrap();
    }
    let problems = &mut document.problems().iter();
    if problems.any(|problem| problem.kind() == ProblemKind::LeadingBlank) != built.blank_first {
        writeln!(text, "a blank first: {} for sendmail", built.blank_first).unwrap();
    }
    for entry in document.effective() {
        if let Some(value) = built.entries.get(&entry.name()) {
            let recipients = oracle.recipients(value);
            if !goes_to(&entry, recipients) {
                let ours: Vec<_> = entry
                    .destinations()
                    .iter()
                    .map(|one| shown(one.kind()))
                    .collect();
                writeln!(
                    text,
                    "{}: {}\n  sendmail: {recipients:?}\n  we: {ours:?}",
                    entry.name().escape_ascii(),
                    value.escape_ascii(),
                )
                .unwrap();
            }
        }
    }
    if text.is_empty() {
        None
    } else {
        Some(text + &built.said)
    }
}

fn shown(kind: &DestinationKind) -> String {
    match kind {
        DestinationKind::Pipe(text) => format!("pipe {}", text.escape_ascii()),
        DestinationKind::File(text) => format!("file {}", text.escape_ascii()),
        DestinationKind::Include(text) => format!("include {}", text.escape_ascii()),
        DestinationKind::Address(text) => format!("address {}", text.escape_ascii()),
        DestinationKind::Verdict(text) => format!("verdict {}", text.escape_ascii()),
    }
}

/// Whether the destinations of an entry are these recipients, in this order.
fn goes_to(entry: &Entry<'_>, recipients: &[Recipient]) -> bool {
    let destinations = entry.destinations();
    destinations.len() == recipients.len()
        && destinations
            .iter()
            .zip(recipients)
            .all(|(destination, recipient)| is_same(destination.kind(), recipient))
}

fn is_same(kind: &DestinationKind, recipient: &Recipient) -> bool {
    let user = unquoted(&recipient.user);
    match (kind, recipient.mailer.as_str()) {
        (DestinationKind::Pipe(command), "prog") => user == [b"|", &command[..]].concat(),
        (DestinationKind::File(path), "*file*") => user == *path,
        (DestinationKind::Include(path), "*include*") => recipient.user == *path,
        // Sendmail looks local users up in lower case.
        (DestinationKind::Address(name), "local") => user == name.to_ascii_lowercase(),
        (DestinationKind::Address(name), "esmtp") => is_at(name, &user, &recipient.host),
        _ => false,
    }
}

/// Whether an address leads to this host: it is what Sendmail will say there, or names the host
/// with `%` or `!`.
fn is_at(address: &[u8], user: &[u8], host: &[u8]) -> bool {
    let host = unquoted(host.strip_suffix(b".uucp.").unwrap_or(host));
    let lower = address.to_ascii_lowercase();
    let bare = |text: &[u8]| {
        let end = text.iter().rposition(|byte| *byte != b'.');
        text[..end.map_or(0, |end| end + 1)].to_vec()
    };
    // The rule that keeps `:include:` has it in lower case.
    let is_include = address.starts_with(b":");
    bare(address) == bare(user)
        || (is_include && bare(&lower) == bare(&user.to_ascii_lowercase()))
        || (address.iter().any(|byte| matches!(byte, b'%' | b'!'))
            && (host.is_empty() || lower.windows(host.len()).any(|part| part == host)))
}

/// As Sendmail hands it over: without quotes, and without backslashes but for the bytes behind them.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => bytes.extend(rest.next()),
            b'"' => {}
            _ => bytes.push(byte),
        }
    }
    bytes
}
