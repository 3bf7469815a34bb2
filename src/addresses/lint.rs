//! `mm-aliases lint`: what the MTAs read differently in an aliases file, and what they pass over.
//!
//! Order of events: the file is read in every dialect, two at a time. Told are the problems that
//! the MTA in question has with it, those that another one has, entries that another one has not
//! or reads otherwise, and names that stand twice. What several MTAs do alike is one finding.
//!
//! **Invariants.** Changes nothing. A file that all MTAs read alike gives no finding.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aliases::{Dialect, Document, Effect, Entry, Winner};
use serde_json::{Value, json};

use super::cli::{Format, How};
use super::error::AddressError;
use super::input::{self, shown};
use super::show::seen;
use crate::site::Site;

/// Tells on `out` what is found in the files, those of the site if none is named, and returns
/// whether anything was.
///
/// # Errors
/// A file cannot be read, or `out` not be written; or nothing says which MTA is meant.
pub(super) fn lint(
    files: &[PathBuf],
    how: How,
    site: &Path,
    out: &mut impl Write,
) -> Result<bool, AddressError> {
    let of_site = match files {
        [] => Site::open(site)?.config.alias_files,
        _ => Vec::new(),
    };
    let dialect = input::dialect(how.dialect, site)?;
    let mut found = Vec::new();
    for file in files.iter().chain(&of_site) {
        found.push((file, findings(&input::read(file)?, dialect)));
    }
    let told = match how.format {
        Format::Text => text(&found, out),
        Format::Json => {
            let rows = found.iter().flat_map(|(file, found)| rows(file, found));
            let rows: Vec<Value> = rows.collect();
            let dialect = dialect.name();
            let object = json!({ "format": 1, "dialect": dialect, "findings": rows });
            writeln!(out, "{object}")
        }
    };
    input::written(told.and_then(|()| out.flush()))?;
    Ok(found.iter().any(|(_, found)| !found.is_empty()))
}

fn text(found: &[(&PathBuf, Vec<Finding>)], out: &mut impl Write) -> io::Result<()> {
    for (file, findings) in found {
        let file = shown(file.as_os_str().as_encoded_bytes());
        for finding in findings {
            let (line, column) = (finding.line, finding.column);
            writeln!(out, "{file}:{line}:{column}: {}", finding.said())?;
        }
    }
    Ok(())
}

fn rows(file: &Path, found: &[Finding]) -> Vec<Value> {
    let row = |finding: &Finding| {
        let who: Vec<&str> = finding.who.iter().map(|one| one.name()).collect();
        json!({
            "file": file.to_string_lossy(),
            "line": finding.line,
            "column": finding.column,
            "dialects": who,
            "what": finding.what,
        })
    };
    found.iter().map(row).collect()
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// The line, from 1.
    line: usize,
    /// The column in bytes, from 1.
    column: usize,
    /// Who does it, in the order of [`Dialect::ALL`].
    who: Vec<Dialect>,
    /// What they do, without line breaks, with text of the file escaped.
    what: String,
}

impl Finding {
    /// Who and what, in words.
    fn said(&self) -> String {
        format!("{}: {}", names(&self.who), self.what)
    }
}

/// What is to be told at each place: line, column, what; and who does it.
type Told = BTreeMap<(usize, usize, String), BTreeSet<usize>>;

/// All findings in the order of the file; `home` is the dialect of the MTA that reads it.
fn findings(file: &[u8], home: Dialect) -> Vec<Finding> {
    let mut told = Told::new();
    let ours = Document::parse(file, home);
    problems(&ours, &mut told);
    doubles(&ours, &mut told);
    for dialect in Dialect::ALL.into_iter().filter(|other| *other != home) {
        let theirs = Document::parse(file, dialect);
        problems(&theirs, &mut told);
        doubles(&theirs, &mut told);
        // Who refuses the file reads none of it: where, is told.
        if theirs.refused().is_none() && ours.refused().is_none() {
            differences(file, &ours, &theirs, &mut told);
        }
    }
    let found = told.into_iter().map(|((line, column, what), who)| Finding {
        line,
        column,
        who: who.into_iter().map(|n| Dialect::ALL[n]).collect(),
        what,
    });
    found.collect()
}

fn note(told: &mut Told, at: (usize, usize), what: String, dialect: Dialect) {
    let number = Dialect::ALL.iter().position(|one| *one == dialect);
    let who = told.entry((at.0, at.1, what)).or_default();
    who.extend(number);
}

fn problems(document: &Document, told: &mut Told) {
    for problem in document.problems() {
        let what = format!("{}: {}", problem.kind(), problem.effect());
        let at = (problem.line(), problem.column());
        note(told, at, what, document.dialect());
    }
}

/// Entries that another MTA has not, or reads otherwise, unless its problem there was told.
fn differences(file: &[u8], ours: &Document, theirs: &Document, told: &mut Told) {
    let troubled = troubled(file, theirs);
    let dialect = theirs.dialect();
    let mut tell = |entry: &Entry<'_>, what: String| {
        if !troubled.contains(&entry.line()) {
            note(told, (entry.line(), entry.column()), what, dialect);
        }
    };
    let (mut left, mut right) = (ours.entries().peekable(), theirs.entries().peekable());
    loop {
        let lines = |entry: Option<&Entry<'_>>| entry.map_or(usize::MAX, Entry::line);
        let (here, there) = (lines(left.peek()), lines(right.peek()));
        let mine = if here <= there { left.next() } else { None };
        let other = if there <= here { right.next() } else { None };
        match (mine, other) {
            (Some(mine), Some(other)) => {
                if let Some(what) = otherwise(&mine, &other) {
                    tell(&mine, what);
                }
            }
            (Some(mine), None) => {
                tell(&mine, format!("no entry {}", quoted(&mine.name())));
            }
            (None, Some(other)) => {
                let (name, means) = (quoted(&other.name()), destinations(&other));
                tell(&other, format!("an entry {name}: {}", list(&means)));
            }
            (None, None) => return,
        }
    }
}

/// How another MTA reads an entry, if not as the first one does. The order of destinations is
/// nobody's promise.
fn otherwise(mine: &Entry<'_>, other: &Entry<'_>) -> Option<String> {
    if mine.name() != other.name() {
        let (mine, other) = (quoted(&mine.name()), quoted(&other.name()));
        return Some(format!("the name is {other}, not {mine}"));
    }
    let (mine, other) = (destinations(mine), destinations(other));
    (mine != other).then(|| format!("mail goes to {}, not to {}", list(&other), list(&mine)))
}

fn destinations(entry: &Entry<'_>) -> BTreeSet<Vec<u8>> {
    entry.destinations().iter().map(seen).collect()
}

/// How much of a destination or a name is told, in bytes.
const LONGEST: usize = 80;

/// Text of the file in quotes; its beginning, if it is long.
fn quoted(text: &[u8]) -> String {
    match text.get(..LONGEST) {
        Some(start) if text.len() > LONGEST => format!("\"{}…\"", shown(start)),
        _ => format!("\"{}\"", shown(text)),
    }
}

/// `"a", "b" and 3 more`.
fn list(destinations: &BTreeSet<Vec<u8>>) -> String {
    let some: Vec<String> = destinations.iter().take(3).map(|one| quoted(one)).collect();
    match destinations.len() {
        0 => "nothing".to_owned(),
        1..=3 => some.join(", "),
        n => format!("{} and {} more", some.join(", "), n - 3),
    }
}

/// The lines of the entries that an MTA has a problem with.
fn troubled(file: &[u8], document: &Document) -> BTreeSet<usize> {
    let newlines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    let mut lines = BTreeSet::new();
    // Problems stand in the order of the file: each byte is counted once.
    let (mut at, mut line) = (0, 1);
    for problem in document.problems() {
        let span = problem.span();
        line += newlines(file.get(at..span.start).unwrap_or_default());
        at = at.max(span.start);
        lines.extend(line..=line + newlines(&file[span]));
    }
    lines
}

/// A name that stands twice for an MTA, and which of its entries that MTA goes by. Who refuses the
/// file for something else goes by none.
fn doubles(document: &Document, told: &mut Told) {
    let mut problems = document.problems().iter();
    if problems.any(|problem| problem.effect() == Effect::FileRefused) {
        return;
    }
    for double in document.doubles() {
        let entries: Vec<Entry<'_>> = double
            .entries
            .iter()
            .filter_map(|id| document.entry(*id))
            .collect();
        let [first, .., last] = &entries[..] else {
            continue;
        };
        let effect = match document.dialect().winner() {
            Winner::First => format!("mail goes by line {}", first.line()),
            Winner::Last => format!("mail goes by line {}", last.line()),
            Winner::Refused => Effect::FileRefused.to_string(),
        };
        let name = quoted(&double.name);
        let what = format!("the name {name} stands more than once: {effect}");
        note(told, (last.line(), last.column()), what, document.dialect());
    }
}

/// The MTAs as they call themselves.
fn names(dialects: &[Dialect]) -> String {
    let name = |dialect: &Dialect| match dialect {
        Dialect::Postfix => "Postfix",
        Dialect::Sendmail => "Sendmail",
        Dialect::Exim => "Exim",
        Dialect::OpenSmtpd => "OpenSMTPD",
        Dialect::OpenSmtpdDb => "OpenSMTPD (db)",
        other => other.name(),
    };
    dialects.iter().map(name).collect::<Vec<_>>().join(", ")
}
