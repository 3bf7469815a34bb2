//! Postfix' tools: which maps belong to a file, and what a map says.
//!
//! **Invariants**: map types are found out, never assumed. The tools are run from a fixed directory,
//! without a shell, with an environment of our own: MAIL_CONFIG, say, could point them elsewhere.
//! Nothing here writes a file of ours.
//!
//! Source: postconf(1), postalias(1), and Postfix 3.7 as measured: `postalias -q -` takes a key a line
//! and answers `key:<tab>value` for each that it has, in their order; status 1 is none found.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::disk::file::Original;
use crate::grammar::dialect::Dialect;
use crate::grammar::entry::right_side;
use crate::mta::error::MtaError;
use crate::mta::expected::Expected;

/// Where Postfix' tools may be.
const DIRECTORIES: &[&str] = &["/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// Postfix, by its tools.
#[derive(Debug, Clone)]
pub struct Postfix {
    tools: PathBuf,
}

/// A map that postalias builds, `TYPE:PATH` in Postfix' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) kind: String,
    /// The text's path, as Postfix knows it.
    pub(crate) source: PathBuf,
}

impl Map {
    /// What the type puts behind the text's path to name the map's file; none if the type is not
    /// one that postalias writes into one file.
    fn suffix_of(kind: &str) -> Option<&'static str> {
        match kind {
            "hash" | "btree" => Some(".db"),
            "lmdb" => Some(".lmdb"),
            "cdb" => Some(".cdb"),
            _ => None,
        }
    }

    pub(crate) fn suffix(&self) -> &'static str {
        Self::suffix_of(&self.kind).unwrap_or_default()
    }

    /// The map's file.
    pub(crate) fn file(&self) -> PathBuf {
        let mut file = self.source.clone().into_os_string();
        file.push(self.suffix());
        file.into()
    }

    /// `TYPE:PATH` for a text at `path`.
    pub(crate) fn at(&self, path: &Path) -> OsString {
        OsString::from_vec([self.kind.as_bytes(), b":", path.as_os_str().as_bytes()].concat())
    }

    /// `TYPE:PATH` of the map that stands.
    pub(crate) fn query(&self) -> OsString {
        self.at(&self.source)
    }
}

impl Postfix {
    /// Finds Postfix' tools in the directories where they are installed.
    ///
    /// # Errors
    /// `NoTools` if postconf and postalias are in none of them.
    pub fn find() -> Result<Self, MtaError> {
        let has_tools = |directory: &&&str| {
            ["postconf", "postalias"]
                .iter()
                .all(|tool| Path::new(directory).join(tool).is_file())
        };
        match DIRECTORIES.iter().find(has_tools) {
            Some(directory) => Ok(Self::with_tools(*directory)),
            None => Err(MtaError::NoTools {
                directories: DIRECTORIES,
            }),
        }
    }

    /// Takes the tools from this directory.
    pub fn with_tools(directory: impl Into<PathBuf>) -> Self {
        Self {
            tools: directory.into(),
        }
    }

    /// The maps of this file that Postfix reads or that `newaliases` builds.
    pub(crate) fn maps_of(&self, original: &Original) -> Result<Vec<Map>, MtaError> {
        let parameters = [
            "-xh",
            "default_database_type",
            "alias_maps",
            "alias_database",
        ];
        let output = self.run("postconf", parameters, b"")?;
        if !output.status.success() {
            return Err(self.failed("postconf", &output));
        }
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = printed.lines();
        let default = lines.next().unwrap_or_default().trim();
        let mut maps: Vec<Map> = Vec::new();
        let mut others = Vec::new();
        for word in lines.flat_map(|line| line.split([',', ' ', '\t'])) {
            let Some(map) = map_of(word, default, original) else {
                continue;
            };
            if Map::suffix_of(&map.kind).is_none() {
                others.push(word.to_owned());
            } else if !maps.contains(&map) {
                maps.push(map);
            }
        }
        if maps.is_empty() {
            return Err(MtaError::NoMap {
                path: original.path().to_owned(),
                others,
            });
        }
        Ok(maps)
    }

    /// Runs postalias to build a map of the text at `path`, and returns its warnings, in which
    /// `path` is given as the text's own.
    pub(crate) fn build(&self, map: &Map, path: &Path) -> Result<Vec<String>, MtaError> {
        let output = self.run("postalias", [map.at(path)], b"")?;
        if !output.status.success() {
            return Err(self.failed("postalias", &output));
        }
        let temporary = path.to_string_lossy();
        let source = map.source.to_string_lossy();
        let said = printable(&output.stderr);
        let warnings = said.lines().filter_map(|line| line.split_once("warning: "));
        Ok(warnings
            .map(|(_, warning)| warning.replace(&*temporary, &source))
            .collect())
    }

    /// The expected names that do not lead where they should in the map `TYPE:PATH`.
    pub(crate) fn wrong(
        &self,
        map: &OsStr,
        expected: &[Expected],
    ) -> Result<Vec<Vec<u8>>, MtaError> {
        if expected.is_empty() {
            // The tool opens a map at the first key: any key tells whether it can.
            self.ask(map, &[b"postmaster"])?;
            return Ok(Vec::new());
        }
        let names: Vec<&[u8]> = expected
            .iter()
            .map(|expected| expected.name.as_slice())
            .collect();
        let answers = self.ask(map, &names)?;
        let is_wrong = |(expected, answer): &(&Expected, Option<Vec<u8>>)| {
            let found = answer
                .as_deref()
                .map(|value| right_side(value, Dialect::Postfix));
            found != expected.destinations
        };
        let wrong = expected.iter().zip(answers).filter(is_wrong);
        Ok(wrong.map(|(expected, _)| expected.name.clone()).collect())
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
        let output = self.run("postalias", [OsStr::new("-q"), OsStr::new("-"), map], &keys)?;
        // The same status means a map that cannot be opened, but then it is said.
        let none_found =
            output.status.code() == Some(1) && !printable(&output.stderr).contains("fatal: ");
        if !output.status.success() && !none_found {
            return Err(self.failed("postalias", &output));
        }
        let mut lines = output.stdout.split(|byte| *byte == b'\n').peekable();
        let mut answer = |name: &[u8]| {
            let value = lines.peek()?.strip_prefix(name)?.strip_prefix(b":\t")?;
            lines.next();
            Some(value.to_vec())
        };
        Ok(names
            .iter()
            .map(|name| {
                if can_be_asked(name) {
                    answer(name)
                } else {
                    None
                }
            })
            .collect())
    }

    fn run<I>(&self, program: &'static str, arguments: I, input: &[u8]) -> Result<Output, MtaError>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let path = self.tools.join(program);
        let failed = |source| MtaError::Start {
            program: path.clone(),
            source,
        };
        let mut child = Command::new(&path)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            // Beside the reading: keys and answers of many names fill both pipes. A tool that
            // does not read them all says why by its status.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        })
        .map_err(failed)
    }

    fn failed(&self, program: &str, output: &Output) -> MtaError {
        let said = printable(&output.stderr).trim().replace('\n', "; ");
        MtaError::Tool {
            program: self.tools.join(program),
            status: output.status,
            said,
        }
    }
}

/// A map of the configuration, if it is one of this file.
fn map_of(word: &str, default: &str, original: &Original) -> Option<Map> {
    let word = word.strip_prefix("proxy:").unwrap_or(word);
    let (kind, path) = match word.split_once(':') {
        Some(parts) => parts,
        None => (default, word),
    };
    let source = PathBuf::from(path);
    let is_it = source.is_absolute()
        && (source == original.path()
            || fs::canonicalize(&source).is_ok_and(|real| real == original.real_path()));
    is_it.then(|| Map {
        kind: kind.to_owned(),
        source,
    })
}

/// Bytes of a tool as text for a person: lines of printable characters.
fn printable(bytes: &[u8]) -> String {
    let clean = |letter: char| {
        if letter.is_control() && letter != '\n' {
            '?'
        } else {
            letter
        }
    };
    String::from_utf8_lossy(bytes).chars().map(clean).collect()
}
