//! `mm-aliases show`: what one MTA reads in an aliases file, entry by entry.
//!
//! **Invariants.** Changes nothing. Nothing of the file reaches a terminal unescaped; in JSON each
//! character stands for one byte of the file, so that nothing is lost, whatever its encoding.

use std::io::{self, Write};
use std::path::Path;

use aliases::{Destination, DestinationKind, Document, Effect, Entry, EntryId, Problem, Winner};
use serde_json::{Value, json};

use super::cli::{Format, How};
use super::error::AddressError;
use super::input::{self, shown};

/// Tells on `out` what is read in the file; `site` says whose MTA's reading is meant if nothing else does.
///
/// # Errors
/// The file cannot be read, or `out` not be written; or nothing says whose reading is meant.
pub(super) fn show(
    file: &Path,
    how: How,
    site: &Path,
    out: &mut impl Write,
) -> Result<(), AddressError> {
    let dialect = input::dialect(how.dialect, site)?;
    let document = Document::parse(input::read(file)?, dialect);
    let told = match how.format {
        Format::Text => text(file, &document, out),
        Format::Json => json(file, &document, out),
    };
    input::written(told.and_then(|()| out.flush()))
}

/// A destination as the MTA sees it, without the file's quotes: a pipe begins with `|`, a file to
/// include with `:include:`.
pub(super) fn seen(destination: &Destination<'_>) -> Vec<u8> {
    match destination.kind() {
        DestinationKind::Pipe(command) => [b"|", &command[..]].concat(),
        DestinationKind::Include(path) => [b":include:", &path[..]].concat(),
        DestinationKind::File(bytes)
        | DestinationKind::Address(bytes)
        | DestinationKind::Verdict(bytes) => bytes.clone(),
    }
}

/// For people: a line an entry, its destinations below it; then what is wrong.
fn text(file: &Path, document: &Document, out: &mut impl Write) -> io::Result<()> {
    let file = shown(file.as_os_str().as_encoded_bytes());
    for entry in document.entries() {
        let name = entry.name();
        let note = overruled(document, entry.id(), &name);
        writeln!(out, "{file}:{}: {}{note}", entry.line(), shown(&name))?;
        for destination in entry.destinations() {
            writeln!(out, "    {}", shown(&seen(&destination)))?;
        }
    }
    for Row {
        at: (line, column),
        what,
        effect,
    } in problems(document)
    {
        writeln!(out, "{file}:{line}:{column}: {what}: {effect}")?;
    }
    Ok(())
}

/// What is wrong at a place.
struct Row {
    /// Line and column in bytes, from 1.
    at: (usize, usize),
    what: String,
    effect: String,
}

/// What is wrong in the order of the file: lines, and names that stand more than once, each at
/// the entries that mail does not go by; where they are refused, at all but the first.
fn problems(document: &Document) -> Vec<Row> {
    let of_line = |problem: &Problem| Row {
        at: (problem.line(), problem.column()),
        what: problem.kind().to_string(),
        effect: problem.effect().to_string(),
    };
    let mut rows: Vec<Row> = document.problems().iter().map(of_line).collect();
    for double in document.doubles() {
        let winner = document.lookup(&double.name);
        let line = winner.and_then(|id| Some(document.entry(id)?.line()));
        let effect = match (document.dialect().winner(), line) {
            (Winner::First | Winner::Last, Some(line)) => format!("mail goes by line {line}"),
            _ => Effect::FileRefused.to_string(),
        };
        let others = double.entries.iter().filter(|id| Some(**id) != winner);
        rows.extend(
            others
                .filter_map(|id| document.entry(*id))
                .map(|entry| Row {
                    at: (entry.line(), entry.column()),
                    what: "the name stands more than once".to_owned(),
                    effect: effect.clone(),
                }),
        );
    }
    rows.sort_by_key(|row| row.at);
    rows
}

/// Why mail does not go by this entry, if it does not.
fn overruled(document: &Document, id: EntryId, name: &[u8]) -> String {
    if let Some(line) = document.refused() {
        return format!(" (not read: line {line})");
    }
    match document.lookup(name) {
        Some(winner) if winner != id => match document.entry(winner) {
            Some(winner) => format!(" (mail goes by line {})", winner.line()),
            None => String::new(),
        },
        _ => String::new(),
    }
}

/// For programs; see the help of `show`. Written as it is read, since a file may be large.
fn json(file: &Path, document: &Document, out: &mut impl Write) -> io::Result<()> {
    let file = json!(file.to_string_lossy());
    let dialect = json!(document.dialect().name());
    write!(
        out,
        r#"{{"format":1,"file":{file},"dialect":{dialect},"text_encoding":"latin-1","#
    )?;
    write!(out, r#""entries":["#)?;
    separated(out, document.entries(), |out, entry| {
        let row = json!({
            "name": latin1(&entry.name()),
            "destinations": destinations(&entry),
            "line": entry.line(),
        });
        write!(out, "{row}")
    })?;
    write!(out, r#"],"effective":{{"#)?;
    separated(out, document.effective(), |out, entry| {
        let name = json!(latin1(&entry.name()));
        write!(out, "{name}:{}", destinations(&entry))
    })?;
    write!(out, r#"}},"problems":["#)?;
    separated(out, problems(document).into_iter(), |out, problem| {
        let row = json!({
            "line": problem.at.0,
            "column": problem.at.1,
            "what": problem.what,
            "effect": problem.effect,
        });
        write!(out, "{row}")
    })?;
    writeln!(out, "]}}")
}

fn separated<T, W: Write>(
    out: &mut W,
    all: impl Iterator<Item = T>,
    mut tell: impl FnMut(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    for (n, one) in all.enumerate() {
        if n > 0 {
            write!(out, ",")?;
        }
        tell(out, one)?;
    }
    Ok(())
}

fn destinations(entry: &Entry<'_>) -> Value {
    let all = entry.destinations();
    all.iter().map(|one| latin1(&seen(one))).collect()
}

/// Each byte as the character of its number: what a file is written in, it does not say, and of
/// all encodings this alone has a character for every byte.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
