//! Exim: the routers that read a file, and Exim's own look-up in it.
//!
//! **Invariants**: which router reads the file is found out from `exim -bP routers`, never assumed.
//! A pipe is never published to a router that has no `pipe_transport`: Exim would defer all its mail.
//!
//! Exim reads the text at every look-up: there is nothing to build, and a look-up in a copy beside says
//! what the text will say. Every look-up reads the file from its beginning, so their number is bounded.
//!
//! Source: Exim 4.96 as measured: `exim -be` evaluates a line of input each and answers with `> ` and
//! the result; a look-up that fails to open its file answers `Failed: ` and the reason.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::file::Original;
use crate::grammar::dialect::Dialect;
use crate::grammar::document::Document;
use crate::grammar::entry::right_side;
use crate::grammar::reading::DestinationKind;
use crate::mta::error::MtaError;
use crate::mta::expected::{Astray, Expected};
use crate::mta::maps::{Map, Maps};
use crate::mta::tools::{Tools, printable};

/// Where Exim may be.
const DIRECTORIES: [&str; 4] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/exim/bin",
    "/usr/local/exim/bin",
];
/// How many bytes Exim may have to read for one round of look-ups.
const READS: usize = 512 * 1024 * 1024;
/// So many names are looked up whatever the file's size.
const FEWEST: usize = 20;

/// Exim, by its one program.
#[derive(Debug, Clone)]
pub struct Exim {
    tools: Tools,
}

/// A redirect router that reads the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Router {
    name: String,
    source: PathBuf,
}

impl Exim {
    /// Finds Exim in the directories where it is installed.
    ///
    /// # Errors
    /// `NoTools` if it is in none of them.
    pub fn find() -> Result<Self, MtaError> {
        let tools = Tools::at(DIRECTORIES);
        tools.check(&["exim"])?;
        Ok(Self { tools })
    }

    /// Takes the program from this directory.
    pub fn with_tools(directory: impl Into<PathBuf>) -> Self {
        let tools = Tools::at([directory.into()]);
        Self { tools }
    }

    /// How long it may run; 10 minutes otherwise.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        let tools = self.tools.within(limit);
        Self { tools }
    }

    fn routers(&self) -> Result<String, MtaError> {
        let output = self.tools.succeed("exim", ["-bP", "routers"], b"")?;
        Ok(printable(&output.stdout))
    }

    /// What the file has for each name, in their order.
    fn ask(&self, text: &Path, names: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, MtaError> {
        let path = coded(text.as_os_str().as_bytes());
        let mut lines = String::new();
        for name in names {
            let name = coded(name);
            let _ = writeln!(
                lines,
                "${{lookup{{{name}}}lsearch{{{path}}}{{+$value}}{{-}}}}"
            );
        }
        let output = self.tools.succeed("exim", ["-be"], lines.as_bytes())?;
        let mut answers = Vec::new();
        for line in output.stdout.split(|byte| *byte == b'\n') {
            let Some(answer) = line.strip_prefix(b"> ") else {
                continue;
            };
            match answer {
                [b'+', value @ ..] => answers.push(Some(value.to_vec())),
                [b'-'] => answers.push(None),
                [] => {}
                _ => return Err(self.tools.failed("exim", &output)),
            }
        }
        if answers.len() != names.len() {
            return Err(self.tools.failed("exim", &output));
        }
        Ok(answers)
    }
}

impl Maps for Exim {
    fn of(&self, original: &Original) -> Result<Vec<Map>, MtaError> {
        let (routers, others) = routers_of(&self.routers()?, original);
        if routers.is_empty() || !others.is_empty() {
            return Err(MtaError::NoMap {
                path: original.path().to_owned(),
                others,
                where_told: "the redirect routers, as exim -bP routers prints them",
            });
        }
        let map = |router: Router| Map {
            kind: router.name,
            source: router.source,
            image: None,
            is_held: false,
        };
        Ok(routers.into_iter().map(map).collect())
    }

    fn build(&self, _: &Map, _: &Path) -> Result<Vec<String>, MtaError> {
        Ok(Vec::new())
    }

    fn wrong(
        &self,
        map: &Map,
        text: &Path,
        expected: &[Expected],
    ) -> Result<Vec<Astray>, MtaError> {
        if let Some(pipe) = expected.iter().find(|expected| has_pipe(expected))
            && !can_pipe(&self.routers()?, &map.kind)
        {
            return Err(MtaError::NoPipes {
                router: map.kind.clone(),
                name: pipe.name.clone(),
            });
        }
        let names: Vec<&[u8]> = expected.iter().map(|it| it.name.as_slice()).collect();
        let answers = self.ask(text, &names)?;
        let astray = |(expected, answer): (&Expected, Option<Vec<u8>>)| {
            let answer = answer.as_deref();
            expected.astray(answer.map(|value| right_side(value, Dialect::Exim)))
        };
        Ok(expected.iter().zip(answers).filter_map(astray).collect())
    }

    /// Those that change, and of the others so many that Exim reads no more than it should.
    fn choose<'e>(&self, original: &Original, expected: &'e [Expected]) -> Cow<'e, [Expected]> {
        let most = (READS / original.bytes().len().max(1)).max(FEWEST);
        if expected.len() <= most {
            return Cow::Borrowed(expected);
        }
        let before = Document::parse(original.bytes(), Dialect::Exim);
        let changes = |expected: &&Expected| {
            let found = before.lookup(&expected.name);
            let entry = found.and_then(|id| before.entry(id));
            entry.map(|entry| Expected::entry(&entry).destinations)
                != expected.destinations.clone().map(Some)
        };
        let (mut chosen, rest): (Vec<&Expected>, Vec<&Expected>) =
            expected.iter().partition(changes);
        chosen.truncate(most);
        let step = rest.len() / (most - chosen.len() + 1) + 1;
        chosen.extend(rest.into_iter().step_by(step));
        Cow::Owned(chosen.into_iter().cloned().collect())
    }
}

fn has_pipe(expected: &Expected) -> bool {
    let mut destinations = expected.destinations.iter().flatten();
    destinations.any(|kind| matches!(kind, DestinationKind::Pipe(_)))
}

/// A string that Exim's expansion takes as these very bytes.
fn coded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The options of each router, by its name.
fn options(printed: &str) -> Vec<(&str, Vec<&str>)> {
    let mut routers: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in printed.lines() {
        if let Some(name) = line.strip_suffix(" router:") {
            routers.push((name, Vec::new()));
        } else if let Some((_, options)) = routers.last_mut() {
            options.push(line);
        }
    }
    routers
}

/// The value of an option; none if it is empty or not there.
fn option<'p>(options: &[&'p str], name: &str) -> Option<&'p str> {
    let value = |line: &&'p str| line.strip_prefix(name)?.strip_prefix(" = ");
    options
        .iter()
        .find_map(value)
        .filter(|value| !value.is_empty())
}

fn can_pipe(printed: &str, router: &str) -> bool {
    let routers = options(printed);
    let found = routers.iter().find(|(name, _)| *name == router);
    found.is_some_and(|(_, options)| {
        option(options, "pipe_transport").is_some() && !options.contains(&"forbid_pipe")
    })
}

/// The routers that read this file line by line, and what reads it otherwise.
fn routers_of(printed: &str, original: &Original) -> (Vec<Router>, Vec<String>) {
    let mut routers: Vec<Router> = Vec::new();
    let mut others = Vec::new();
    for (name, options) in options(printed) {
        if option(&options, "driver") != Some("redirect") {
            continue;
        }
        for (kind, path) in lookups(option(&options, "data").unwrap_or_default()) {
            let source = PathBuf::from(path);
            let is_it = source.is_absolute()
                && (source == original.path()
                    || fs::canonicalize(&source).is_ok_and(|real| real == original.real_path()));
            if !is_it {
                continue;
            }
            if !matches!(kind, "lsearch" | "lsearch*" | "lsearch*@") {
                others.push(format!("{kind} of router {name}"));
            } else if !routers.iter().any(|router| router.name == name) {
                routers.push(Router {
                    name: name.to_owned(),
                    source,
                });
            }
        }
    }
    (routers, others)
}

/// Type and file of each look-up in an expansion: what stands before a brace and in it.
fn lookups(data: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (at, _) in data.match_indices('{') {
        let rest = &data[at + 1..];
        let Some(end) = rest.find('}') else { continue };
        let before = data[..at].trim_end();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "*@,=_-".contains(c);
        let start = before.trim_end_matches(is_part).len();
        let path = rest[..end].trim();
        if path.starts_with('/') && start < before.len() {
            found.push((&before[start..], path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_are_found_in_an_expansion() {
        let check = |data: &str, expected: &[(&str, &str)]| assert_eq!(lookups(data), expected);
        check(
            "${lookup{$local_part}lsearch{/etc/aliases}}",
            &[("lsearch", "/etc/aliases")],
        );
        check(
            "${if exists{/etc/low}{${lookup {$local_part} lsearch* {/etc/low}{$value}{:fail: no}}}}",
            &[("exists", "/etc/low"), ("lsearch*", "/etc/low")],
        );
        check("/var/mail/mail", &[]);
    }

    #[test]
    fn a_router_pipes_only_with_a_transport() {
        let printed = |pipe: &str| format!("a router:\ndriver = redirect\n{pipe}\n\nb router:\n");
        assert!(can_pipe(
            &printed("no_forbid_pipe\npipe_transport = address_pipe"),
            "a"
        ));
        assert!(!can_pipe(&printed("pipe_transport = "), "a"));
        assert!(!can_pipe(
            &printed("forbid_pipe\npipe_transport = address_pipe"),
            "a"
        ));
        assert!(!can_pipe(&printed("pipe_transport = address_pipe"), "b"));
    }

    #[test]
    fn what_is_looked_up_is_never_expanded() {
        assert_eq!(coded(b"a-b.c/d_1"), "a-b.c/d_1");
        assert_eq!(coded(b"$x}\\\n\xff"), "\\x24x\\x7d\\x5c\\x0a\\xff");
    }
}
