//! The tables that smtpd.conf makes, and which of them have aliases.
//!
//! **Invariants**: reads `table NAME BACKEND:PATH`, `include`, macros, and which tables `alias <NAME>`
//! names; what else stands there is passed over. Nothing is written.
//!
//! Source: smtpd.conf(5), and its lexer as measured: words are quoted or not, `#` begins a comment, a
//! backslash before a newline joins lines.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::mta::error::MtaError;
use crate::mta::tools::printable;

/// How many files may include each other.
const DEEPEST: usize = 16;

/// A table that has a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// `file`, `db`, or another.
    pub(super) backend: String,
    pub(super) path: PathBuf,
    /// Whether an action looks aliases up in it.
    pub(super) is_for_aliases: bool,
}

impl Table {
    /// The text that it is made of: makemap(8) puts `.db` behind its name.
    pub(super) fn text(&self) -> PathBuf {
        match self.path.extension() {
            Some(extension) if self.backend == "db" && extension == "db" => {
                self.path.with_extension("")
            }
            _ => self.path.clone(),
        }
    }
}

/// The tables of a configuration file, in order.
///
/// # Errors
/// `File` if it, or a file that it includes, cannot be read.
pub(super) fn tables(path: &Path) -> Result<Vec<Table>, MtaError> {
    let mut reader = Reader::default();
    reader.read(path, DEEPEST)?;
    let Reader {
        mut tables,
        aliases,
        ..
    } = reader;
    for table in &mut tables {
        table.is_for_aliases = aliases.contains(&table.name);
    }
    Ok(tables)
}

/// A word as smtpd.conf quotes it.
pub(super) fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[derive(Default)]
struct Reader {
    tables: Vec<Table>,
    aliases: HashSet<String>,
    macros: HashMap<String, String>,
}

impl Reader {
    fn read(&mut self, path: &Path, deeper: usize) -> Result<(), MtaError> {
        let bytes = fs::read(path).map_err(|source| MtaError::File {
            path: path.to_owned(),
            doing: "read",
            source,
        })?;
        self.take(&printable(&bytes), deeper)
    }

    fn take(&mut self, text: &str, deeper: usize) -> Result<(), MtaError> {
        let words = words(text);
        let mut rest = &words[..];
        while let [first, others @ ..] = rest {
            rest = match (first.as_str(), others) {
                ("table", [name, spec, after @ ..]) => {
                    let (name, spec) = (self.expanded(name), self.expanded(spec));
                    self.add(name, &spec);
                    after
                }
                ("alias", [open, name, close, after @ ..]) if open == "<" && close == ">" => {
                    let name = self.expanded(name);
                    self.aliases.insert(name);
                    after
                }
                ("include", [path, after @ ..]) if deeper > 0 => {
                    let path = PathBuf::from(self.expanded(path));
                    self.read(&path, deeper - 1)?;
                    after
                }
                (_, [equals, value, after @ ..]) if equals == "=" => {
                    let value = self.expanded(value);
                    self.macros.insert(first.clone(), value);
                    after
                }
                (_, after) => after,
            };
        }
        Ok(())
    }

    fn add(&mut self, name: String, spec: &str) {
        let (backend, path) = match spec.split_once(':') {
            Some(parts) if !spec.starts_with('/') => parts,
            _ => ("file", spec),
        };
        if path.starts_with('/') {
            self.tables.push(Table {
                name,
                backend: backend.to_owned(),
                path: path.into(),
                is_for_aliases: false,
            });
        }
    }

    fn expanded(&self, word: &str) -> String {
        let value = word
            .strip_prefix('$')
            .and_then(|name| self.macros.get(name));
        value.map_or_else(|| word.to_owned(), Clone::clone)
    }
}

/// The words and signs of a text.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '#' => while letters.next_if(|&c| c != '\n').is_some() {},
            '"' | '\'' => words.push(quoted_word(letter, &mut letters)),
            '(' | ')' | '{' | '}' | '<' | '>' | '!' | '=' | ',' => words.push(letter.to_string()),
            '\\' => {}
            blank if blank.is_whitespace() => {}
            first => {
                let mut word = String::from(first);
                let is_part = |c: &char| !c.is_whitespace() && !"(){}<>!=#,\"'\\".contains(*c);
                while let Some(letter) = letters.next_if(is_part) {
                    word.push(letter);
                }
                words.push(word);
            }
        }
    }
    words
}

fn quoted_word(quote: char, letters: &mut impl Iterator<Item = char>) -> String {
    let mut word = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter == quote => break,
            '\\' => word.extend(letters.next()),
            letter => word.push(letter),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, &str, bool)]) {
        let mut reader = Reader::default();
        reader.take(text, 0).expect("nothing is included");
        let found: Vec<_> = reader
            .tables
            .iter()
            .map(|table| {
                let path = table.path.to_str().unwrap_or_default();
                let used = reader.aliases.contains(&table.name);
                (table.name.as_str(), table.backend.as_str(), path, used)
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_form_of_a_table_is_found() {
        let one = [("a", "file", "/etc/aliases", true)];
        let used = "action \"local\" maildir alias <a>\n";
        for table in [
            "table a file:/etc/aliases\n",
            "table a /etc/aliases\n",
            "table \"a\" \"file:/etc/aliases\" # why\n",
            "table a \\\n\tfile:/etc/aliases\n",
            "f = \"file:/etc/aliases\"\ntable a $f\n",
            "#table a db:/etc/x.db\ntable a file:/etc/aliases\n",
        ] {
            check(&format!("{table}{used}"), &one);
        }
    }

    #[test]
    fn a_table_that_no_action_looks_aliases_up_in_is_told_apart() {
        check(
            "table v file:/etc/virtual\ntable d db:/etc/aliases.db\ntable l { a, b }\n\
             action x mbox virtual <v>\naction y mbox alias <d>\n",
            &[
                ("v", "file", "/etc/virtual", false),
                ("d", "db", "/etc/aliases.db", true),
            ],
        );
    }
}
