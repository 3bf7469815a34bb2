//! Sendmail: which maps its configuration names, its own builder, and makemap's listing of a map.
//!
//! **Invariants**: no map is assumed: what sendmail.cf names as `AliasFile` is followed, and a type that
//! cannot be built here is a refusal. `newaliases` is never run: it builds in place, every look-up waits
//! for it (7 s for 200,000 entries), and killed half way it leaves a map that all local mail hangs on.
//!
//! Source: Sendmail 8.17 as measured: `-bi -oACLASS:PATH` builds `PATH.db` of the text `PATH`; a line that
//! it cannot read is left out, named, and makes the status 64 or 70 with a map that is whole otherwise;
//! `makemap -u TYPE PATH` lists `key<tab>value`, and a key `@` of Sendmail's own.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::file::Original;
use crate::grammar::dialect::Dialect;
use crate::grammar::document::Document;
use crate::grammar::entry::right_side;
use crate::mta::error::MtaError;
use crate::mta::expected::{Astray, Expected};
use crate::mta::maps::{Image, Map, Maps, distinct, names};
use crate::mta::tools::{Tools, printable, renamed};
use crate::mta::whole::Listed;

/// Where Sendmail's programs may be; `/usr/sbin/sendmail` is anybody's.
const DIRECTORIES: [&str; 4] = ["/usr/libexec/sendmail", "/usr/sbin", "/usr/lib", "/usr/bin"];
/// Where its configuration may be.
const CONFIGURATIONS: [&str; 2] = ["/etc/mail/sendmail.cf", "/etc/sendmail.cf"];
/// How many maps may lead to each other (`sequence`).
const DEEPEST: usize = 8;

/// How `makemap -u` lists a map.
const LISTED: Listed = Listed {
    separator: b"\t",
    own: &[b"@"],
};

/// Sendmail, by its programs and its configuration.
#[derive(Debug, Clone)]
pub struct Sendmail {
    tools: Tools,
    configurations: Vec<PathBuf>,
}

impl Sendmail {
    /// Finds Sendmail's programs in the directories where they are installed.
    ///
    /// # Errors
    /// `NoTools` if sendmail or makemap is in none of them.
    pub fn find() -> Result<Self, MtaError> {
        let tools = Tools::at(DIRECTORIES);
        tools.check(&["sendmail", "makemap"])?;
        Ok(Self {
            tools,
            configurations: CONFIGURATIONS.map(PathBuf::from).to_vec(),
        })
    }

    /// Takes the programs from this directory, and this file as sendmail.cf.
    pub fn with_tools(directory: impl Into<PathBuf>, configuration: impl Into<PathBuf>) -> Self {
        Self {
            tools: Tools::at([directory.into()]),
            configurations: vec![configuration.into()],
        }
    }

    /// How long a program may run; 10 minutes otherwise.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        let tools = self.tools.within(limit);
        Self { tools, ..self }
    }

    /// Everything that the map of the text at `text` has.
    fn list(&self, map: &Map, text: &Path) -> Result<Vec<u8>, MtaError> {
        let kind = if map.kind == "btree" { "btree" } else { "hash" };
        let path = map.image_of(text).with_extension("");
        let arguments = ["-u".as_ref(), kind.as_ref(), path.as_os_str()];
        Ok(self.tools.succeed("makemap", arguments, b"")?.stdout)
    }

    fn configuration(&self) -> Result<String, MtaError> {
        for path in &self.configurations {
            match fs::read(path) {
                Ok(bytes) => return Ok(printable(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(MtaError::File {
                        path: path.clone(),
                        doing: "read",
                        source,
                    });
                }
            }
        }
        Err(MtaError::NoConfiguration {
            paths: self.configurations.clone(),
        })
    }
}

impl Maps for Sendmail {
    fn of(&self, original: &Original) -> Result<Vec<Map>, MtaError> {
        let configuration = self.configuration()?;
        let mut maps = Vec::new();
        let mut others = Vec::new();
        for spec in alias_files(&configuration) {
            let source = PathBuf::from(spec.path);
            let is_it = source.is_absolute()
                && (source == original.path()
                    || fs::canonicalize(&source).is_ok_and(|real| real == original.real_path()));
            if !is_it {
                continue;
            }
            if !matches!(spec.class, "implicit" | "hash" | "btree") {
                others.push(format!("{}:{}", spec.class, spec.path));
                continue;
            }
            let mut file = source.as_os_str().to_owned();
            file.push(".db");
            maps.push(Map {
                kind: spec.class.to_owned(),
                source,
                image: Some(Image {
                    file: file.into(),
                    suffix: ".db",
                    is_owned: true,
                }),
                is_held: false,
            });
        }
        if maps.is_empty() || !others.is_empty() {
            return Err(MtaError::NoMap {
                path: original.path().to_owned(),
                others,
                where_told: "O AliasFile in sendmail.cf",
            });
        }
        distinct(maps)
    }

    fn build(&self, map: &Map, text: &Path) -> Result<Vec<String>, MtaError> {
        let option = format!("-oA{}:{}", map.kind, text.display());
        let output = self.tools.run("sendmail", ["-bi", &option], b"")?;
        let said = printable(&[&output.stdout[..], &output.stderr[..]].concat());
        // 64 and 70 say that there are lines it cannot read, and nothing about the map.
        let is_done = matches!(output.status.code(), Some(0 | 64 | 70));
        let Some(count) = count(&said).filter(|_| is_done) else {
            return Err(self.tools.failed("sendmail", &output));
        };
        let listing = self.list(map, text)?;
        let found = listing.iter().filter(|&&byte| byte == b'\n').count();
        // One more is Sendmail's own.
        if found < count + 1 {
            return Err(MtaError::Short {
                map: map.file().to_owned(),
                found: found.saturating_sub(1),
                count,
            });
        }
        let prefix = format!("{}: line ", text.display());
        Ok(said
            .lines()
            .filter(|line| line.starts_with(&prefix))
            .map(|line| renamed(line, text, &map.source))
            .collect())
    }

    fn wrong(
        &self,
        map: &Map,
        text: &Path,
        expected: &[Expected],
    ) -> Result<Vec<Astray>, MtaError> {
        let listing = self.list(map, text)?;
        Ok(not_as_listed(&listing, expected, Dialect::Sendmail))
    }

    fn not_as_text(
        &self,
        map: &Map,
        original: &Original,
        expected: &[Expected],
    ) -> Result<Vec<Vec<u8>>, MtaError> {
        let listing = self.list(map, &map.source)?;
        let wrong = not_as_listed(&listing, expected, Dialect::Sendmail);
        if !wrong.is_empty() {
            return Ok(names(wrong));
        }
        let document = Document::parse_shared(original.shared(), Dialect::Sendmail);
        let mut wrong = LISTED.not_as_text(&listing, &document);
        // It has these or not, by what domains are its own: no map of the text has them otherwise.
        let unsure: HashSet<Vec<u8>> = document.qualified().map(|one| one.name).collect();
        wrong.retain(|name| !unsure.contains(name));
        Ok(wrong)
    }
}

/// The expected names that do not lead where they should by a listing of `key<tab>value` lines.
pub(crate) fn not_as_listed(
    listing: &[u8],
    expected: &[Expected],
    dialect: Dialect,
) -> Vec<Astray> {
    let mut found: HashMap<&[u8], Option<&[u8]>> = expected
        .iter()
        .map(|expected| (expected.name.as_slice(), None))
        .collect();
    for line in listing.split(|byte| *byte == b'\n') {
        if let Some(tab) = memchr::memchr(b'\t', line)
            && let Some(value) = found.get_mut(&line[..tab])
        {
            *value = Some(&line[tab + 1..]);
        }
    }
    let astray = |expected: &Expected| {
        let value = found.get(expected.name.as_slice()).copied().flatten();
        expected.astray(value.map(|value| right_side(value, dialect)))
    };
    expected.iter().filter_map(astray).collect()
}

/// How many names the builder says to have written: `PATH: 5 aliases, longest 38 bytes, ...`, where a
/// name that stands twice counts twice.
fn count(said: &str) -> Option<usize> {
    let (before, _) = said.split_once(" aliases, longest ")?;
    let count: usize = before.rsplit(' ').next()?.parse().ok()?;
    Some(count.saturating_sub(said.matches("Warning: duplicate alias name").count()))
}

/// A map as sendmail.cf specifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spec<'c> {
    class: &'c str,
    path: &'c str,
}

/// The alias maps of a configuration, in order; what `sequence` names is followed.
fn alias_files(configuration: &str) -> Vec<Spec<'_>> {
    let mut specs = Vec::new();
    for line in configuration.lines() {
        let value = match line.strip_prefix("O AliasFile") {
            Some(rest) => rest.trim_start().strip_prefix('='),
            None => line.strip_prefix("OA"),
        };
        for item in value.into_iter().flat_map(|value| value.split(',')) {
            let item = item.trim();
            // A colon behind a slash or a blank belongs to the path.
            let end = item.find([' ', '/', ':']).unwrap_or(item.len());
            let (class, rest) = match item[end..].strip_prefix(':') {
                Some(rest) => (&item[..end], rest),
                None => ("implicit", item),
            };
            add(configuration, class, rest, DEEPEST, &mut specs);
        }
    }
    specs
}

fn add<'c>(
    configuration: &'c str,
    class: &'c str,
    arguments: &'c str,
    deeper: usize,
    specs: &mut Vec<Spec<'c>>,
) {
    let mut words = arguments.split_whitespace();
    if class != "sequence" {
        if let Some(path) = words.find(|word| !word.starts_with('-')) {
            specs.push(Spec { class, path });
        }
        return;
    }
    for name in words.filter(|_| deeper > 0) {
        let named = |line: &'c str| {
            let mut words = line.strip_prefix('K')?.trim_start().splitn(3, [' ', '\t']);
            (words.next()? == name).then_some(())?;
            Some((words.next()?, words.next().unwrap_or_default()))
        };
        if let Some((class, arguments)) = configuration.lines().find_map(named) {
            add(configuration, class, arguments, deeper - 1, specs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(configuration: &str, expected: &[(&str, &str)]) {
        let found: Vec<(&str, &str)> = alias_files(configuration)
            .iter()
            .map(|spec| (spec.class, spec.path))
            .collect();
        assert_eq!(found, expected, "{configuration}");
    }

    #[test]
    fn every_form_of_an_alias_file_is_found() {
        let one = |class, path| vec![(class, path)];
        check(
            "O AliasFile=/etc/mail/aliases",
            &one("implicit", "/etc/mail/aliases"),
        );
        check("OA/etc/aliases", &one("implicit", "/etc/aliases"));
        check("#O AliasFile=/etc/mail/aliases\nO AliasWait=10\n", &[]);
        check(
            "O AliasFile = hash:-o /etc/a, btree:/etc/b,nis:-o mail.aliases, /etc/c:d",
            &[
                ("hash", "/etc/a"),
                ("btree", "/etc/b"),
                ("nis", "mail.aliases"),
                ("implicit", "/etc/c:d"),
            ],
        );
    }

    #[test]
    fn a_sequence_is_followed_but_not_for_ever() {
        check(
            "Kone hash -o /etc/a\nKtwo\tnis mail.aliases\nO AliasFile=sequence:one two three\n",
            &[("hash", "/etc/a"), ("nis", "mail.aliases")],
        );
        check("Kone sequence one\nO AliasFile=sequence:one\n", &[]);
    }
}
