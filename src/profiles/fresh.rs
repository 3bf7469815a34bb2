//! What a profile says of a tree as an installed thing: the tests of a fresh one, which of its files
//! change by themselves, and what counts as the same line of releases.
//!
//! **Invariants.** No I/O: `admin/install` runs the tests and looks at the files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use serde::Deserialize;
use toml::Spanned;

use crate::profile::BadProfile;
use crate::span::{BadSpan, Span};
use crate::tree::Tree;

/// What stands in `says` in the place of the release that was read.
const RELEASE: &str = "{release}";
/// How long a test may take, if the profile does not say.
const LIMIT: Span = Span::seconds(60);

/// `[[fresh]]`: one test of a tree in which a release was just installed.
#[derive(Debug, Clone)]
pub enum Fresh {
    /// These programs are there, and can be executed.
    Programs(Vec<String>),
    /// A program is run as a user who delivers.
    Run(Run),
}

/// A program that tells whether a fresh tree works.
#[derive(Debug, Clone)]
pub struct Run {
    /// What it shows, for people: `the wrapper takes the MTA's group`.
    pub shows: String,
    argv: Vec<String>,
    /// The status with which it must end.
    pub status: i32,
    says: Option<String>,
    never_says: Option<Regex>,
    /// How long it may take.
    pub limit: Span,
}

/// `[tree]`: a tree's files.
#[derive(Debug, Default)]
pub struct Files {
    /// What its running programs write in it: names, or paths below it.
    changes: Vec<String>,
    /// What of a directory that it shares with others is its own: paths below it.
    shared: Vec<String>,
    line: Option<Regex>,
}

impl Run {
    /// The program and its arguments.
    pub fn argv(&self, tree: &Tree) -> Vec<String> {
        let words = self.argv.iter();
        words.map(|word| tree.expand(word, None)).collect()
    }

    /// What is wrong with what it said, where `release` is installed; `None` if nothing is.
    pub fn objection(&self, release: &str, output: &[u8]) -> Option<String> {
        if let Some(never) = &self.never_says
            && never.is_match(output)
        {
            return Some(format!("it says what matches {:?}", never.as_str()));
        }
        let says = self.says.as_ref()?;
        let pattern = says.replace(RELEASE, &regex::escape(release));
        // Compiled before, with another release in it.
        let found = Regex::new(&pattern).is_ok_and(|regex| regex.is_match(output));
        (!found).then(|| format!("it does not say what matches {pattern:?}"))
    }
}

impl Files {
    /// Whether the file at `path`, below the tree's root, changes by itself.
    pub fn changes(&self, path: &Path) -> bool {
        let is_it = |pattern: &String| match pattern.contains('/') {
            true => path.starts_with(pattern.trim_matches('/')),
            false => path.iter().any(|name| is_like(pattern, name)),
        };
        self.changes.iter().any(is_it)
    }

    /// What of a root that holds other things as well is the tree's own; none where the profile
    /// does not say. One part of a path may have a `*` in it.
    pub fn shared(&self, tree: &Tree) -> Vec<PathBuf> {
        let below = self.shared.iter().map(|path| tree.root.join(path));
        below.collect()
    }

    /// The line of releases that `release` is of: itself, where the profile knows no lines.
    pub fn line<'r>(&self, release: &'r str) -> &'r str {
        let found = self
            .line
            .as_ref()
            .and_then(|line| line.captures(release.as_bytes()))
            .and_then(|captures| captures.get(1));
        found
            .and_then(|group| release.get(group.range()))
            .unwrap_or(release)
    }
}

/// Whether a name is one of those that `pattern` means: with one `*`, or as it stands.
fn is_like(pattern: &str, name: &OsStr) -> bool {
    let (name, pattern) = (name.as_bytes(), pattern.as_bytes());
    let Some(star) = pattern.iter().position(|&byte| byte == b'*') else {
        return name == pattern;
    };
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let rest = name.strip_prefix(before);
    rest.is_some_and(|rest| rest.ends_with(after))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFresh {
    programs: Option<Vec<Spanned<String>>>,
    shows: Option<String>,
    run: Option<Vec<Spanned<String>>>,
    status: Option<i32>,
    says: Option<Spanned<String>>,
    never_says: Option<Spanned<String>>,
    limit: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFiles {
    changes: Vec<Spanned<String>>,
    shared: Vec<Spanned<String>>,
    line: Option<Spanned<String>>,
}

pub(super) fn fresh(raw: Spanned<RawFresh>) -> Result<Fresh, BadProfile> {
    let at = raw.span().start;
    match raw.into_inner() {
        RawFresh {
            programs: Some(programs),
            shows: None,
            run: None,
            status: None,
            says: None,
            never_says: None,
            limit: None,
        } => {
            for program in &programs {
                in_tree(program)?;
            }
            Ok(Fresh::Programs(plain(programs)))
        }
        RawFresh {
            programs: None,
            shows: Some(shows),
            run: Some(argv),
            status,
            says,
            never_says,
            limit,
        } => {
            match argv.first() {
                Some(program) => in_tree(program)?,
                None => return Err(bad_at(at, "`run` names no program")),
            }
            if let Some(says) = &says {
                let tried = says.get_ref().replace(RELEASE, "1");
                Regex::new(&tried).map_err(|error| bad(says, &error.to_string()))?;
            }
            let limit = limit.as_ref().map(|text| {
                let read = text.get_ref().parse();
                read.map_err(|error: BadSpan| bad(text, &error.to_string()))
            });
            Ok(Fresh::Run(Run {
                shows,
                argv: plain(argv),
                status: status.unwrap_or(0),
                says: says.map(Spanned::into_inner),
                never_says: never_says.as_ref().map(regex).transpose()?,
                limit: limit.transpose()?.unwrap_or(LIMIT),
            }))
        }
        _ => Err(bad_at(
            at,
            "[[fresh]] has `programs` alone, or `run` with `shows`, and `status`, `says`, \
             `never_says`, `limit` where needed",
        )),
    }
}

pub(super) fn files(raw: RawFiles) -> Result<Files, BadProfile> {
    for text in raw.changes.iter().chain(&raw.shared) {
        let parts = text.get_ref().trim_matches('/').split('/');
        let is_sound = |part: &str| !["", ".", ".."].contains(&part);
        if !parts.clone().all(is_sound) {
            return Err(bad(text, "this is a name, or a path below the tree"));
        }
        if parts.clone().any(|part| part.matches('*').count() > 1) {
            return Err(bad(text, "one * in a name is all that is known here"));
        }
    }
    if let Some(text) = raw.changes.iter().find(|text| {
        let text = text.get_ref();
        text.contains('/') && text.contains('*')
    }) {
        return Err(bad(text, "a path has no * in it, only a name may"));
    }
    let line = raw.line.as_ref().map(|text| {
        let line = regex(text)?;
        match line.captures_len() {
            2 => Ok(line),
            _ => Err(bad(text, "the regex has exactly one group: the line")),
        }
    });
    Ok(Files {
        changes: plain(raw.changes),
        shared: plain(raw.shared),
        line: line.transpose()?,
    })
}

fn in_tree(program: &Spanned<String>) -> Result<(), BadProfile> {
    match program.get_ref().starts_with("{tree}/") {
        true => Ok(()),
        false => Err(bad(program, "a program is one of the tree: {tree}/…")),
    }
}

fn plain(texts: Vec<Spanned<String>>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

fn regex(text: &Spanned<String>) -> Result<Regex, BadProfile> {
    Regex::new(text.get_ref()).map_err(|error| bad(text, &error.to_string()))
}

fn bad(at: &Spanned<String>, what: &str) -> BadProfile {
    bad_at(at.span().start, what)
}

fn bad_at(at: usize, what: &str) -> BadProfile {
    BadProfile {
        at: Some(at),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[derive(Deserialize)]
    struct Text {
        fresh: Vec<Spanned<RawFresh>>,
    }

    fn one(text: &str) -> Result<Fresh, BadProfile> {
        let mut text: Text = toml::from_str(&format!("[[fresh]]\n{text}\n")).unwrap();
        fresh(text.fresh.remove(0))
    }

    fn of_tree(text: &str) -> Result<Files, BadProfile> {
        files(toml::from_str(text).unwrap())
    }

    #[test]
    fn a_program_is_judged_by_what_it_says_of_this_release() {
        let Ok(Fresh::Run(run)) = one("shows = \"x\"\nrun = [\"{tree}/bin/version\"]\n\
                                       says = 'version: {release}\\n'\nnever_says = 'Traceback'")
        else {
            panic!("it is a program");
        };
        assert_eq!(run.objection("2.1.40", b"Using version: 2.1.40\n"), None);
        for (release, said) in [
            ("2.1.40", "version: 2.1.39\n"),
            // A dot is a dot.
            ("2.1.40", "version: 2x1.40\n"),
            ("2.1.40", ""),
            (
                "2.1.40",
                "version: 2.1.40\nTraceback (most recent call last):\n",
            ),
        ] {
            assert!(run.objection(release, said.as_bytes()).is_some(), "{said}");
        }
    }

    #[test]
    fn what_is_half_said_of_a_test_is_refused_with_its_place() {
        for text in [
            "",
            "shows = \"x\"",
            "run = [\"{tree}/p\"]",
            "shows = \"x\"\nrun = []",
            "shows = \"x\"\nrun = [\"/bin/sh\"]",
            "programs = [\"bin/p\"]",
            "programs = [\"{tree}/p\"]\nstatus = 1",
            "shows = \"x\"\nrun = [\"{tree}/p\"]\nsays = '('",
            "shows = \"x\"\nrun = [\"{tree}/p\"]\nlimit = \"soon\"",
        ] {
            assert!(one(text).unwrap_err().at.is_some(), "{text}");
        }
    }

    #[test]
    fn a_name_is_meant_anywhere_and_a_path_in_one_place() {
        let files = of_tree("changes = [\"*.pyc\", \"__pycache__\", \"data/locks\"]").unwrap();
        for (path, is_its) in [
            ("Mailman/Utils.pyc", true),
            ("bin/__pycache__/paths.cpython-311.pyc", true),
            ("bin/__pycache__/x", true),
            ("data/locks/x", true),
            ("data/locks", true),
            ("data/locksmith", false),
            ("more/data/locks", false),
            ("Mailman/Utils.py", false),
        ] {
            assert_eq!(files.changes(Path::new(path)), is_its, "{path}");
        }
        for text in [
            "changes = [\"../x\"]",
            "changes = [\"\"]",
            "changes = [\"a/*\"]",
            "shared = [\"a**\"]",
            "line = '[0-9]'",
        ] {
            assert!(of_tree(text).is_err(), "{text}");
        }
    }

    #[test]
    fn releases_of_one_line_differ_in_what_stands_behind_it() {
        let files = of_tree("line = '^([0-9]+\\.[0-9]+)'").unwrap();
        assert_eq!(files.line("2.1.39"), files.line("2.1.40rc1"));
        assert_ne!(files.line("2.1.39"), files.line("2.2.0"));
        let none = of_tree("").unwrap();
        assert_ne!(none.line("2.1.39"), none.line("2.1.40"));
    }
}
