//! Postfix' tools: which maps belong to a file, and what a map says.
//!
//! **Invariants**: map types are found out, never assumed: of one file there may be several. A map of
//! this file that cannot be built here is a refusal, since it would go on saying what the old text said.
//!
//! Source: postconf(1), postalias(1), and Postfix 3.7 as measured: `postalias -q -` takes a key a line
//! and answers `key:<tab>value` for each that it has, in their order; status 1 is none found; `postalias -s`
//! lists `name:<tab>value` of all but a cdb, with names of its own for NIS.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::file::Original;
use crate::grammar::dialect::Dialect;
use crate::grammar::document::Document;
use crate::grammar::entry::{Entry, right_side};
use crate::mta::error::MtaError;
use crate::mta::expected::{Astray, Expected};
use crate::mta::maps::{Image, Map, Maps, distinct, names};
use crate::mta::tools::{Tools, printable, renamed};
use crate::mta::whole::{Listed, leads};

/// Where Postfix' tools may be.
const DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// How `postalias -s` lists a map.
const LISTED: Listed = Listed {
    separator: b":\t",
    own: &[b"@", b"YP_LAST_MODIFIED", b"YP_MASTER_NAME"],
};

/// Postfix, by its tools.
#[derive(Debug, Clone)]
pub struct Postfix {
    tools: Tools,
}

impl Postfix {
    /// Finds Postfix' tools in the directories where they are installed.
    ///
    /// # Errors
    /// `NoTools` if postconf or postalias is in none of them.
    pub fn find() -> Result<Self, MtaError> {
        let tools = Tools::at(DIRECTORIES);
        tools.check(&["postconf", "postalias"])?;
        Ok(Self { tools })
    }

    /// Takes the tools from this directory.
    pub fn with_tools(directory: impl Into<PathBuf>) -> Self {
        let tools = Tools::at([directory.into()]);
        Self { tools }
    }

    /// How long a tool may run; 10 minutes otherwise.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        let tools = self.tools.within(limit);
        Self { tools }
    }

    /// What a map has for each name, in their order.
    fn ask(&self, map: &OsStr, names: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, MtaError> {
        // A name with a newline cannot be asked for, and cannot stand in a file either.
        let can_be_asked =
            |name: &&[u8]| !name.is_empty() && !name.contains(&b'\n') && !name.contains(&0);
        let mut keys = Vec::new();
        for name in names.iter().copied().filter(can_be_asked) {
            keys.extend_from_slice(name);
            keys.push(b'\n');
        }
        let arguments = [OsStr::new("-q"), OsStr::new("-"), map];
        let output = self.tools.run("postalias", arguments, &keys)?;
        // The same status means a map that cannot be opened, but then it is said.
        let none_found =
            output.status.code() == Some(1) && !printable(&output.stderr).contains("fatal: ");
        if !output.status.success() && !none_found {
            return Err(self.tools.failed("postalias", &output));
        }
        let mut lines = output.stdout.split(|byte| *byte == b'\n').peekable();
        let mut answer = |name: &[u8]| {
            let value = lines.peek()?.strip_prefix(name)?.strip_prefix(b":\t")?;
            lines.next();
            Some(value.to_vec())
        };
        let answer = |name: &&[u8]| can_be_asked(name).then(|| answer(name)).flatten();
        Ok(names.iter().map(answer).collect())
    }
}

impl Maps for Postfix {
    fn of(&self, original: &Original) -> Result<Vec<Map>, MtaError> {
        let parameters = [
            "-xh",
            "default_database_type",
            "alias_maps",
            "alias_database",
        ];
        let output = self.tools.succeed("postconf", parameters, b"")?;
        let printed = printable(&output.stdout);
        let mut lines = printed.lines();
        let default = lines.next().unwrap_or_default().trim();
        let mut maps: Vec<Map> = Vec::new();
        let mut others = Vec::new();
        for word in lines.flat_map(|line| line.split([',', ' ', '\t', '{', '}'])) {
            let Some((kind, source)) = map_of(word, default, original) else {
                continue;
            };
            let Some(image) = image_of(kind, &source) else {
                others.push(word.to_owned());
                continue;
            };
            maps.push(Map {
                kind: kind.to_owned(),
                source,
                image: Some(image),
                is_held: false,
            });
        }
        if maps.is_empty() || !others.is_empty() {
            return Err(MtaError::NoMap {
                path: original.path().to_owned(),
                others,
                where_told: "alias_maps and alias_database, as postconf prints them",
            });
        }
        distinct(maps)
    }

    fn build(&self, map: &Map, text: &Path) -> Result<Vec<String>, MtaError> {
        let output = self.tools.succeed("postalias", [query(map, text)], b"")?;
        let said = printable(&output.stderr);
        let warnings = said.lines().filter_map(|line| line.split_once("warning: "));
        Ok(warnings
            .map(|(_, warning)| renamed(warning, text, &map.source))
            .collect())
    }

    fn wrong(
        &self,
        map: &Map,
        text: &Path,
        expected: &[Expected],
    ) -> Result<Vec<Astray>, MtaError> {
        let map = query(map, text);
        if expected.is_empty() {
            // The tool opens a map at the first key: any key tells whether it can.
            self.ask(&map, &[b"postmaster"])?;
            return Ok(Vec::new());
        }
        let names: Vec<&[u8]> = expected
            .iter()
            .map(|expected| expected.name.as_slice())
            .collect();
        let answers = self.ask(&map, &names)?;
        let astray = |(expected, answer): (&Expected, Option<Vec<u8>>)| {
            let answer = answer.as_deref();
            expected.astray(answer.map(|value| right_side(value, Dialect::Postfix)))
        };
        Ok(expected.iter().zip(answers).filter_map(astray).collect())
    }

    fn not_as_text(
        &self,
        map: &Map,
        original: &Original,
        expected: &[Expected],
    ) -> Result<Vec<Vec<u8>>, MtaError> {
        let wrong = self.wrong(map, &map.source, expected)?;
        if !wrong.is_empty() {
            return Ok(names(wrong));
        }
        let document = Document::parse_shared(original.shared(), Dialect::Postfix);
        let of = query(map, &map.source);
        if map.kind != "cdb" {
            let arguments = [OsStr::new("-s"), &of];
            let listing = self.tools.succeed("postalias", arguments, b"")?;
            return Ok(LISTED.not_as_text(&listing.stdout, &document));
        }
        // postalias lists no cdb: what it has more than the text stays unseen.
        let can_be_asked = |(name, _): &(Vec<u8>, _)| !name.is_empty();
        let entries: Vec<_> = LISTED.comparable(&document).filter(can_be_asked).collect();
        let names: Vec<&[u8]> = entries.iter().map(|(name, _)| name.as_slice()).collect();
        let answers = self.ask(&of, &names)?;
        let is_wrong = |((_, entry), answer): &(&(Vec<u8>, Entry<'_>), Option<Vec<u8>>)| {
            !answer.as_deref().is_some_and(|value| leads(entry, value))
        };
        let wrong = entries.iter().zip(answers).filter(is_wrong);
        Ok(wrong.map(|((name, _), _)| name.clone()).collect())
    }
}

/// `TYPE:PATH` for a text at `text`.
fn query(map: &Map, text: &Path) -> OsString {
    OsString::from_vec([map.kind.as_bytes(), b":", text.as_os_str().as_bytes()].concat())
}

/// The image of a map of this type; none if the type is not one that postalias writes into one file.
fn image_of(kind: &str, source: &Path) -> Option<Image> {
    let suffix = match kind {
        "hash" | "btree" => ".db",
        "lmdb" => ".lmdb",
        "cdb" => ".cdb",
        _ => return None,
    };
    let mut file = source.as_os_str().to_owned();
    file.push(suffix);
    Some(Image {
        file: file.into(),
        suffix,
        is_owned: false,
    })
}

/// Type and text of a map of the configuration, if it is one of this file.
fn map_of<'w>(word: &'w str, default: &'w str, original: &Original) -> Option<(&'w str, PathBuf)> {
    let word = word.strip_prefix("proxy:").unwrap_or(word);
    let (kind, path) = word.split_once(':').unwrap_or((default, word));
    let source = PathBuf::from(path);
    let is_it = source.is_absolute()
        && (source == original.path()
            || fs::canonicalize(&source).is_ok_and(|real| real == original.real_path()));
    is_it.then_some((kind, source))
}
