//! What a profile says of a list manager's programs that no MTA runs: those for people (`[bin]`)
//! and those for cron (`[cron]`).
//!
//! Of each: its argv, which lists it loads, and what of the words that somebody types is an
//! option, so that the list stands where the program looks for it.
//!
//! **Invariants.** No I/O. What is wrong is told with its place in the text. A word that was typed
//! never stands where a program looks for its list.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use serde::Deserialize;
use toml::Spanned;

use crate::list::ListName;
use crate::profile::{BadProfile, Case};
use crate::tree::Tree;

/// A program of a tree.
#[derive(Debug, Clone)]
pub struct Program {
    /// Texts with `{tree}`, `{list}` and their like, and [`Typed`] ones.
    argv: Vec<String>,
    /// Which lists it loads.
    pub loads: Loads,
    /// Options that take the next word.
    values: Vec<String>,
    /// Options by which it would load other lists, or all.
    refused: Vec<String>,
}

/// Which lists a program loads: a newer release converts those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loads {
    /// The one that its argv names.
    List,
    /// Every list.
    All,
    /// None.
    None,
}

/// Programs by the name that one types.
pub type Programs = BTreeMap<String, Program>;

/// All words that were typed, as they are.
const ARGS: &str = "{args}";
/// Those before the first word that is no option.
const OPTIONS: &str = "{options}";
/// That word, and all behind it.
const OPERANDS: &str = "{operands}";
const TYPED: [&str; 3] = [ARGS, OPTIONS, OPERANDS];

/// Why words cannot be passed to a program.
#[derive(Debug, PartialEq, Eq)]
pub enum BadWords {
    /// By this option it would load other lists.
    Option(String),
    /// It has no place for this word.
    Word(OsString),
}

impl fmt::Display for BadWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadWords::Option(name) => write!(f, "by {name} it loads other lists than this one"),
            BadWords::Word(word) => write!(f, "it takes options only, and no {word:?}"),
        }
    }
}

impl Program {
    /// The program itself, with `{tree}`.
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// What is run in `tree` for `list`, if it is one list's, with `typed` where the profile has it.
    ///
    /// # Errors
    /// A word that the program would take for a list, or has no place for.
    pub fn words(
        &self,
        tree: &Tree,
        list: Option<(&ListName, Case)>,
        typed: &[OsString],
    ) -> Result<Vec<OsString>, BadWords> {
        let has = |place: &str| self.argv.iter().any(|word| word == place);
        let split = self.split(typed, has(ARGS))?;
        if let Some(word) = split
            .operands
            .first()
            .filter(|_| !has(ARGS) && !has(OPERANDS))
        {
            return Err(BadWords::Word((*word).to_owned()));
        }
        if let Some(word) = typed
            .first()
            .filter(|_| !TYPED.iter().any(|place| has(place)))
        {
            return Err(BadWords::Word(word.clone()));
        }
        let owned = |words: &[&OsStr]| -> Vec<OsString> {
            words.iter().map(|&word| word.to_owned()).collect()
        };
        let words = self.argv.iter().flat_map(|word| match word.as_str() {
            ARGS => typed.to_vec(),
            OPTIONS => owned(&split.options),
            OPERANDS => owned(&split.operands),
            text => vec![tree.expand(text, list).into()],
        });
        Ok(words.collect())
    }

    /// The words as getopt(3) takes them. With `all` it looks for options behind the first operand,
    /// too.
    fn split<'t>(&self, typed: &'t [OsString], all: bool) -> Result<Split<'t>, BadWords> {
        let mut split = Split::default();
        let mut rest = typed.iter().map(OsString::as_os_str);
        let mut are_operands = false;
        while let Some(word) = rest.next() {
            let bytes = word.as_bytes();
            if are_operands || bytes == b"-" || !bytes.starts_with(b"-") {
                are_operands |= !all;
                split.operands.push(word);
                continue;
            }
            if bytes == b"--" {
                are_operands = true;
                continue;
            }
            split.options.push(word);
            if self.takes_next(&word.to_string_lossy())? {
                split.options.extend(rest.next());
            }
        }
        Ok(split)
    }

    /// Whether the value of the option in `word`, or of the last one in it, is the next word.
    fn takes_next(&self, word: &str) -> Result<bool, BadWords> {
        let refuse = |name: &String| Err(BadWords::Option(name.clone()));
        if word.starts_with("--") {
            // Long ones may be cut short.
            let name = word.split('=').next().unwrap_or(word);
            let is_it = |known: &&String| known.starts_with(name);
            return match self.refused.iter().find(is_it) {
                Some(name) => refuse(name),
                None => Ok(!word.contains('=') && self.values.iter().any(|one| is_it(&one))),
            };
        }
        let letters = word.strip_prefix('-').unwrap_or_default();
        for (at, letter) in letters.char_indices() {
            let option = format!("-{letter}");
            if let Some(name) = self.refused.iter().find(|name| **name == option) {
                return refuse(name);
            }
            if self.values.contains(&option) {
                return Ok(at + letter.len_utf8() == letters.len());
            }
        }
        Ok(false)
    }
}

/// What was typed, as the program will take it.
#[derive(Debug, Default)]
struct Split<'t> {
    options: Vec<&'t OsStr>,
    operands: Vec<&'t OsStr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProgram {
    argv: Spanned<Vec<String>>,
    loads: Loads,
    #[serde(default)]
    values: Vec<Spanned<String>>,
    #[serde(default)]
    refused: Vec<Spanned<String>>,
}

/// By whom a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    People,
    Cron,
}

pub(super) fn programs(
    raw: BTreeMap<Spanned<String>, RawProgram>,
    by: By,
) -> Result<Programs, BadProfile> {
    let mut programs = Programs::new();
    for (name, program) in raw {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !name.get_ref().bytes().all(is_plain) || !name.get_ref().starts_with(|c| c != '-') {
            let what = "a program's name has letters, digits and . _ - only, and begins with no -";
            return Err(bad(name.span().start, what));
        }
        programs.insert(name.into_inner(), program.cook(by)?);
    }
    Ok(programs)
}

impl RawProgram {
    fn cook(self, by: By) -> Result<Program, BadProfile> {
        let at = self.argv.span().start;
        let argv = self.argv.into_inner();
        let program = argv.first().and_then(|word| word.strip_prefix("{tree}/"));
        if program.is_none_or(|tail| tail.is_empty() || tail.contains('{')) {
            return Err(bad(
                at,
                "argv does not begin with \"{tree}/\" and a program",
            ));
        }
        let count = |place: &str| argv.iter().filter(|word| word.contains(place)).count();
        let alone = |place: &str| argv.iter().filter(|word| *word == place).count();
        if let Some(place) = TYPED
            .iter()
            .find(|place| count(place) > 1 || count(place) != alone(place))
        {
            return Err(bad(at, &format!("{place} is a word of its own, and one")));
        }
        if count(ARGS) > 0 && count(OPTIONS) + count(OPERANDS) > 0 {
            return Err(bad(at, "{args} is all that was typed: nothing is left"));
        }
        if by == By::Cron && TYPED.iter().any(|place| count(place) > 0) {
            return Err(bad(at, "nothing is typed for cron"));
        }
        let is_named = argv.iter().any(|word| super::is_per_list(word));
        if is_named != (self.loads == Loads::List) {
            let what =
                "what loads one list has {list} or {local} in its argv, and nothing else has";
            return Err(bad(at, what));
        }
        for option in self.values.iter().chain(&self.refused) {
            if !option.get_ref().starts_with('-') {
                return Err(bad(option.span().start, "an option begins with -"));
            }
        }
        let texts = |texts: Vec<Spanned<String>>| -> Vec<String> {
            texts.into_iter().map(Spanned::into_inner).collect()
        };
        Ok(Program {
            argv,
            loads: self.loads,
            values: texts(self.values),
            refused: texts(self.refused),
        })
    }
}

fn bad(at: usize, what: &str) -> BadProfile {
    BadProfile {
        at: Some(at),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::tree::Runners;

    fn tree() -> Tree {
        Tree {
            name: "a".into(),
            root: "/a".into(),
            profile: "x".into(),
            data: "/var".into(),
            domain: Some("example.org".into()),
            url: None,
            web: None,
            lmtp: None,
            queues: None,
            runners: Runners::Profile,
        }
    }

    fn program(argv: &[&str]) -> Program {
        let text = |word: &&str| (*word).to_owned();
        Program {
            argv: argv.iter().map(text).collect(),
            loads: Loads::List,
            values: ["-f", "--file"].iter().map(text).collect(),
            refused: ["-a", "--all"].iter().map(text).collect(),
        }
    }

    #[track_caller]
    fn check(argv: &[&str], typed: &str, expected: Result<&str, BadWords>) {
        let list = ListName::parse("toylist").unwrap();
        let typed: Vec<OsString> = typed.split_whitespace().map(OsString::from).collect();
        let words = program(argv).words(&tree(), Some((&list, Case::Lower)), &typed);
        let words = words.map(|words| {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        });
        assert_eq!(words, expected.map(str::to_owned), "{typed:?}");
    }

    const BETWEEN: [&str; 4] = ["{tree}/x", "{options}", "{list}", "{operands}"];

    #[test]
    fn the_list_stands_between_options_and_operands_whatever_was_typed() {
        check(&BETWEEN, "", Ok("/a/x toylist"));
        check(&BETWEEN, "-n u@x -f g", Ok("/a/x -n toylist u@x -f g"));
        check(&BETWEEN, "-f other u@x", Ok("/a/x -f other toylist u@x"));
        check(&BETWEEN, "-nf - u@x", Ok("/a/x -nf - toylist u@x"));
        check(&BETWEEN, "-fother u@x", Ok("/a/x -fother toylist u@x"));
        check(&BETWEEN, "--fil o u@x", Ok("/a/x --fil o toylist u@x"));
        check(&BETWEEN, "--file=o u@x", Ok("/a/x --file=o toylist u@x"));
        check(&BETWEEN, "-n -- -f", Ok("/a/x -n toylist -f"));
        check(&BETWEEN, "- -f", Ok("/a/x toylist - -f"));
    }

    #[test]
    fn what_would_be_taken_for_another_list_is_refused() {
        let last = ["{tree}/x", "{options}", "{list}"];
        let word = |word: &str| Err(BadWords::Word(word.into()));
        check(&last, "-n reallist", word("reallist"));
        check(&last, "-f file", Ok("/a/x -f file toylist"));
        check(&["{tree}/x", "{list}"], "-n", word("-n"));
        let option = |name: &str| Err(BadWords::Option(name.to_owned()));
        for typed in ["-a", "-na", "--al", "--all"] {
            let name = if typed.starts_with("--") {
                "--all"
            } else {
                "-a"
            };
            check(&BETWEEN, typed, option(name));
        }
        // A value is none.
        check(&BETWEEN, "-f -a", Ok("/a/x -f -a toylist"));
        check(&BETWEEN, "-fa", Ok("/a/x -fa toylist"));
        let all = ["{tree}/x", "-L", "{data}/{list}", "{args}"];
        check(&all, "u@x -n --", Ok("/a/x -L /var/toylist u@x -n --"));
        check(&all, "u@x -a", option("-a"));
    }
}
