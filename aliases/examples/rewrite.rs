//! One change of an aliases file, from the reading to the last sync: what tests/bench/aliases
//! measures of this crate alone.
//!
//! usage: rewrite parse FILE; rewrite one FILE LIST PROGRAM; rewrite all FILE PROGRAM
//!
//! `one` turns the pipes of one list to PROGRAM, `all` those of every list; both look for names
//! that stand twice first. `parse` changes nothing.
//!
//! **Invariants**: the file is replaced whole, by the crate's own way.

use std::error::Error;

use aliases::{DestinationKind, Dialect, Document, EntryId, Original};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["parse", path] => {
            let original = Original::read(path)?;
            let document = Document::parse_shared(original.shared(), Dialect::Postfix);
            say(&format!("{} doubles\n", document.doubles().len()));
            Ok(())
        }
        ["one", path, list, program] => change(path, Some(list), program),
        ["all", path, program] => change(path, None, program),
        _ => Err("usage: rewrite parse FILE | one FILE LIST PROGRAM | all FILE PROGRAM".into()),
    }
}

fn change(path: &str, list: Option<&str>, program: &str) -> Result<(), Box<dyn Error>> {
    let original = Original::read(path)?;
    let mut document = Document::parse_shared(original.shared(), Dialect::Postfix);
    let doubles = document.doubles().len();
    let ids: Vec<EntryId> = match list {
        Some(list) => TAILS
            .iter()
            .filter_map(|tail| document.lookup(format!("{list}{tail}").as_bytes()))
            .collect(),
        None => document.entries().map(|entry| entry.id()).collect(),
    };
    for id in &ids {
        if let Some(text) = turned(&document, *id, program) {
            document.set_destination(*id, 0, &text)?;
        }
    }
    aliases::replace(&original, &document)?;
    say(&format!("{} entries, {doubles} doubles\n", ids.len()));
    Ok(())
}

/// The addresses of a list of Mailman 2.1, without the list's own name.
const TAILS: [&str; 10] = [
    "",
    "-admin",
    "-bounces",
    "-confirm",
    "-join",
    "-leave",
    "-owner",
    "-request",
    "-subscribe",
    "-unsubscribe",
];

/// The pipe of an entry, with `program` in its first word's place.
fn turned(document: &Document, id: EntryId, program: &str) -> Option<Vec<u8>> {
    let entry = document.entry(id)?;
    let mut destinations = Vec::new();
    let command = match entry.plain_pipe() {
        Some(command) => command,
        None => {
            destinations.extend(entry.destinations());
            match destinations.first()?.kind() {
                DestinationKind::Pipe(command) => command,
                _ => return None,
            }
        }
    };
    let end = command.iter().position(|byte| *byte == b' ')?;
    Some([b"\"|", program.as_bytes(), &command[end..], b"\""].concat())
}

fn say(text: &str) {
    use std::io::Write as _;
    // A closed pipe changes nothing about the status.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
