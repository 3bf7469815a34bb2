//! Postfix' tools: which maps belong to a file, and what a map says.
//!
//! Aliases and virtual aliases differ in data alone ([`Table`]): who builds their maps, which parameters
//! name them, how a text and a listing of them look.
//!
//! **Invariants**: map types are found out, never assumed: of one file there may be several, and a
//! service of master.cf may have others than main.cf names. A map of
//! this file that cannot be built here is a refusal, since it would go on saying what the old text said.
//!
//! Source: postconf(1), postalias(1), postmap(1), and Postfix 3.7 as measured: `postalias -q -` takes a
//! key a line and answers `key:<tab>value` for each that it has, in their order; status 1 is none found;
//! `postalias -s` lists `name:<tab>value` of all but a cdb, with names of its own for NIS. postmap does
//! the same without the colon and without names of its own.

pub(crate) mod order;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::file::Original;
use crate::grammar::dialect::Dialect;
use crate::grammar::document::Document;
use crate::grammar::entry::right_side;
use crate::grammar::table;
use crate::mta::error::MtaError;
use crate::mta::expected::{Astray, Expected};
use crate::mta::maps::{Image, Map, Maps, distinct, names};
use crate::mta::master::{Override, overrides};
use crate::mta::tools::{Tools, printable, renamed};
use crate::mta::whole::{Comparison, Listed, leads};

/// Where Postfix' tools may be.
const DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// What Postfix looks up in one kind of text.
#[derive(Debug)]
struct Table {
    /// The tool that builds, asks and lists its maps.
    tool: &'static str,
    /// What of the configuration names them: first what mail goes by, then what is only built.
    parameters: &'static [&'static str],
    where_told: &'static str,
    listed: Listed,
    is_aliases: bool,
}

static ALIASES: Table = Table {
    tool: "postalias",
    parameters: &["alias_maps", "alias_database"],
    where_told: "alias_maps and alias_database, as postconf prints them",
    listed: Listed {
        separator: b":\t",
        own: &[b"@", b"YP_LAST_MODIFIED", b"YP_MASTER_NAME"],
    },
    is_aliases: true,
};

static VIRTUAL: Table = Table {
    tool: "postmap",
    parameters: &["virtual_alias_maps"],
    where_told: "virtual_alias_maps, as postconf prints it",
    listed: Listed {
        separator: b"\t",
        own: &[],
    },
    is_aliases: false,
};

/// Postfix, by its tools.
#[derive(Debug, Clone)]
pub struct Postfix {
    tools: Tools,
    table: &'static Table,
}

impl Postfix {
    /// Finds Postfix' tools in the directories where they are installed.
    ///
    /// # Errors
    /// `NoTools` if postconf or postalias is in none of them.
    pub fn find() -> Result<Self, MtaError> {
        Self::of_table(&ALIASES)
    }

    /// The same for files of virtual_alias_maps, as virtual(5) has them, instead of aliases(5).
    ///
    /// # Errors
    /// `NoTools` if postconf or postmap is in none of them.
    pub fn find_virtual() -> Result<Self, MtaError> {
        Self::of_table(&VIRTUAL)
    }

    fn of_table(table: &'static Table) -> Result<Self, MtaError> {
        let tools = Tools::at(DIRECTORIES);
        tools.check(&["postconf", table.tool])?;
        Ok(Self { tools, table })
    }

    /// Takes the tools from this directory.
    pub fn with_tools(directory: impl Into<PathBuf>) -> Self {
        let tools = Tools::at([directory.into()]);
        let table = &ALIASES;
        Self { tools, table }
    }

    /// The same tools, for files of virtual_alias_maps.
    #[must_use]
    pub fn of_virtual(self) -> Self {
        let table = &VIRTUAL;
        Self { table, ..self }
    }

    /// How long a tool may run; 10 minutes otherwise.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        let tools = self.tools.within(limit);
        Self { tools, ..self }
    }

    /// The services that have maps of their own by master.cf, none of this file among them.
    ///
    /// # Errors
    /// `Tool` if postconf cannot say.
    pub fn overrides(&self, original: &Original) -> Result<Vec<Override>, MtaError> {
        let default = self.configured(&["default_database_type"])?;
        let mut overrides = self.of_services()?;
        overrides.retain(|of| {
            let mut words = words(&of.value);
            of.parameter == self.table.parameters[0]
                && !words.any(|word| map_of(word, default.trim(), original).is_some())
        });
        Ok(overrides)
    }

    fn of_services(&self) -> Result<Vec<Override>, MtaError> {
        let output = self.tools.succeed("postconf", ["-Px"], b"")?;
        Ok(overrides(&printable(&output.stdout), self.table.parameters))
    }

    /// The values of these parameters of main.cf, a line each.
    fn configured(&self, parameters: &[&str]) -> Result<String, MtaError> {
        let words = ["-xh"].iter().chain(parameters);
        let output = self.tools.succeed("postconf", words, b"")?;
        Ok(printable(&output.stdout))
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
        let output = self.tools.run(self.table.tool, arguments, &keys)?;
        // The same status means a map that cannot be opened, but then it is said.
        let none_found =
            output.status.code() == Some(1) && !printable(&output.stderr).contains("fatal: ");
        if !output.status.success() && !none_found {
            return Err(self.tools.failed(self.table.tool, &output));
        }
        let mut lines = output.stdout.split(|byte| *byte == b'\n').peekable();
        let mut answer = |name: &[u8]| {
            let value = lines.peek()?.strip_prefix(name)?;
            let value = value.strip_prefix(self.table.listed.separator)?;
            lines.next();
            Some(value.to_vec())
        };
        let answer = |name: &&[u8]| can_be_asked(name).then(|| answer(name)).flatten();
        Ok(names.iter().map(answer).collect())
    }

    /// Hands on the listing of a map that stands.
    fn list(&self, map: &Map, take: impl FnMut(&[u8])) -> Result<(), MtaError> {
        let of = query(map, &map.source);
        let arguments = [OsStr::new("-s"), &of];
        self.tools.stream(self.table.tool, arguments, take)
    }

    /// The names for which a map that is not listed has something else than `entries`, which are its
    /// text's; what it has more than the text stays unseen.
    fn asked_not_as<E>(
        &self,
        map: &Map,
        entries: &[(Vec<u8>, E)],
        leads: impl Fn(&E, &[u8]) -> bool,
    ) -> Result<Vec<Vec<u8>>, MtaError> {
        let can_be_asked = |(name, _): &&(Vec<u8>, E)| !name.is_empty();
        let entries: Vec<_> = entries.iter().filter(can_be_asked).collect();
        let names: Vec<&[u8]> = entries.iter().map(|(name, _)| name.as_slice()).collect();
        let answers = self.ask(&query(map, &map.source), &names)?;
        let is_wrong = |((_, entry), answer): &(&(Vec<u8>, E), Option<Vec<u8>>)| {
            !answer.as_deref().is_some_and(|value| leads(entry, value))
        };
        let wrong = entries.into_iter().zip(answers).filter(is_wrong);
        Ok(wrong.map(|((name, _), _)| name.clone()).collect())
    }

    /// The names for which a map of aliases has something else than its text.
    fn not_as_aliases(&self, map: &Map, original: &Original) -> Result<Vec<Vec<u8>>, MtaError> {
        let listed = self.table.listed;
        let document = || Document::parse_shared(original.shared(), Dialect::Postfix);
        if !is_listed(map) {
            let document = document();
            let entries: Vec<_> = listed.comparable(&document).collect();
            return self.asked_not_as(map, &entries, leads);
        }
        // The text is read while the tool lists, and its lines are looked at as they come.
        let mut comparison = None;
        let begin = || Comparison::of(listed, document());
        self.list(map, |bytes| {
            comparison.get_or_insert_with(begin).take(bytes);
        })?;
        Ok(comparison.unwrap_or_else(begin).end())
    }

    /// The same of virtual aliases.
    fn not_as_table(&self, map: &Map, original: &Original) -> Result<Vec<Vec<u8>>, MtaError> {
        let listed = self.table.listed;
        let mut entries = table::entries(original.bytes());
        entries.retain(|(key, _)| listed.is_comparable(key));
        let leads = |value: &Vec<u8>, found: &[u8]| value == found;
        if !is_listed(map) {
            return self.asked_not_as(map, &entries, leads);
        }
        let mut listing = Vec::new();
        self.list(map, |bytes| listing.extend_from_slice(bytes))?;
        Ok(listed.not_as(&listing, &entries, leads))
    }
}

impl Maps for Postfix {
    fn of(&self, original: &Original) -> Result<Vec<Map>, MtaError> {
        let parameters = [&["default_database_type"], self.table.parameters].concat();
        let printed = self.configured(&parameters)?;
        let mut lines = printed.lines();
        let default = lines.next().unwrap_or_default().trim();
        let of_services = self.of_services()?;
        let lines = lines.chain(of_services.iter().map(|of| of.value.as_str()));
        let mut maps: Vec<Map> = Vec::new();
        let mut others = Vec::new();
        for word in lines.flat_map(words) {
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
                where_told: self.table.where_told,
            });
        }
        distinct(maps)
    }

    fn build(&self, map: &Map, text: &Path) -> Result<Vec<String>, MtaError> {
        let output = self
            .tools
            .succeed(self.table.tool, [query(map, text)], b"")?;
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
        // What is listed must be found as well, since the MTA looks up and does not list; and of a
        // map that cannot be read, the tool says so only where it is asked.
        let asked = self.wrong(map, &map.source, expected)?;
        let wrong = match self.table.is_aliases {
            true => self.not_as_aliases(map, original)?,
            false => self.not_as_table(map, original)?,
        };
        Ok(match wrong.is_empty() {
            true => names(asked),
            false => wrong,
        })
    }
}

/// Whether the tool can list such a map.
fn is_listed(map: &Map) -> bool {
    map.kind != "cdb"
}

/// `TYPE:PATH` for a text at `text`.
fn query(map: &Map, text: &Path) -> OsString {
    OsString::from_vec([map.kind.as_bytes(), b":", text.as_os_str().as_bytes()].concat())
}

/// The image of a map of this type; none if the type is not one that the tools write into one file.
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

/// The maps that a parameter names, and whatever stands around them.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ' ', '\t', '{', '}'])
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
