//! The other names of mm-parity's executable, each with its own grammar.
//!
//! `mmmigrate` speaks as Ken Manheimer wrote it in June 1998, with one dash or two;
//! `upgrade`, `downgrade` and `commit-parity` are Barry Warsaw's words. All are turned
//! into mm-parity's own line, so there is one set of rules.
//!
//! **Invariants.** Words only: no I/O, no lists.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What `mmmigrate --help` says.
const KEN: &str = "\
usage: mmmigrate [--site FILE] [-forward | -back] LIST... | -all
       mmmigrate [--site FILE] -commit

Moves lists to the future tree (-back: to the current one); -commit makes the
future tree the current one. One dash or two. -dry-run, -reason TEXT,
-closed TIME, -drain TIME, -now and -kill are mm-parity's. All else: mm-parity --help.
";

/// A command line after the executable's name was heeded.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// mm-parity's own words, the executable's name first.
    Ours(Vec<OsString>),
    /// Help in another grammar.
    Help(&'static str),
    /// A line that the other grammar does not have.
    Usage(String),
}

/// The name under which the executable was run, if it is one of ours.
pub fn name(program: Option<&OsStr>) -> &'static str {
    let name = Path::new(program.unwrap_or_default()).file_name();
    ["mmmigrate", "upgrade", "downgrade", "commit-parity"]
        .into_iter()
        .find(|&ours| name == Some(OsStr::new(ours)))
        .unwrap_or("mm-parity")
}

/// Reads a command line, the executable's path first.
pub fn read(mut arguments: impl Iterator<Item = OsString>) -> Line {
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_owned();
    let mut rest: Vec<OsString> = arguments.collect();
    let mut line = vec![OsString::from("mm-parity")];
    let act = match name.as_bytes() {
        b"mmmigrate" => return kens(line, rest),
        b"upgrade" => "upgrade",
        b"downgrade" => "downgrade",
        b"commit-parity" => "commit",
        _ => {
            line.append(&mut rest);
            return Line::Ours(line);
        }
    };
    line.extend(take_site(&mut rest));
    line.push(act.into());
    line.append(&mut rest);
    Line::Ours(line)
}

/// `--site FILE` at the beginning of `words`, taken away from there.
fn take_site(words: &mut Vec<OsString>) -> Vec<OsString> {
    let first = words.first().map(|word| word.as_bytes());
    let count = match first {
        Some(b"--site") => 2,
        Some(word) if word.starts_with(b"--site=") => 1,
        _ => 0,
    };
    words.drain(..count.min(words.len())).collect()
}

fn kens(mut line: Vec<OsString>, mut words: Vec<OsString>) -> Line {
    line.extend(take_site(&mut words));
    let (mut forward, mut back, mut commit) = (false, false, false);
    let mut all = false;
    let mut kept: Vec<OsString> = Vec::new();
    let mut words = words.into_iter();
    let mut named = 0;
    while let Some(word) = words.next() {
        let Some(option) = option(&word) else {
            named += 1;
            kept.push(word);
            continue;
        };
        match option {
            b"help" | b"h" => return Line::Help(KEN),
            b"version" => return Line::Ours(vec!["mm-parity".into(), "--version".into()]),
            b"forward" => forward = true,
            b"back" => back = true,
            b"commit" => commit = true,
            b"all" => {
                all = true;
                kept.push("--all".into());
            }
            b"dry-run" | b"now" | b"kill" => kept.push(two_dashes(option)),
            b"reason" | b"closed" | b"drain" => {
                kept.push(two_dashes(option));
                kept.extend(words.next());
            }
            _ => return Line::Usage(format!("unknown option {word:?}; see mmmigrate -help")),
        }
    }
    let usage = |text: &str| Line::Usage(format!("{text}; see mmmigrate -help"));
    if usize::from(forward) + usize::from(back) + usize::from(commit) > 1 {
        return usage("-forward, -back and -commit exclude each other");
    }
    if commit && named > 0 {
        return usage("-commit takes no lists");
    }
    if !commit && named == 0 && !all {
        return usage("lists or -all are expected");
    }
    line.push(
        if commit {
            "commit"
        } else if back {
            "downgrade"
        } else {
            "upgrade"
        }
        .into(),
    );
    line.append(&mut kept);
    Line::Ours(line)
}

/// An option as mm-parity takes it.
fn two_dashes(option: &[u8]) -> OsString {
    format!("--{}", String::from_utf8_lossy(option)).into()
}

/// The name of an option with one dash or two; no list's name begins with a dash.
fn option(word: &OsStr) -> Option<&[u8]> {
    let word = word.as_bytes().strip_prefix(b"-")?;
    Some(word.strip_prefix(b"-").unwrap_or(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(line: &str) -> String {
        match read(line.split(' ').map(OsString::from)) {
            Line::Ours(words) => words.join(OsStr::new(" ")).to_string_lossy().into_owned(),
            Line::Help(_) => "help".to_owned(),
            Line::Usage(what) => format!("usage: {what}"),
        }
    }

    #[test]
    fn kens_words_mean_what_he_wrote() {
        for (his, mine) in [
            ("mmmigrate toylist", "mm-parity upgrade toylist"),
            (
                "/usr/sbin/mmmigrate -forward toylist",
                "mm-parity upgrade toylist",
            ),
            ("mmmigrate --forward toylist", "mm-parity upgrade toylist"),
            ("mmmigrate -all", "mm-parity upgrade --all"),
            ("mmmigrate -back -all", "mm-parity downgrade --all"),
            ("mmmigrate --all --back", "mm-parity downgrade --all"),
            ("mmmigrate -back reallistx", "mm-parity downgrade reallistx"),
            ("mmmigrate -commit", "mm-parity commit"),
            ("mmmigrate -commit -all", "mm-parity commit --all"),
            (
                "mmmigrate -commit -reason why",
                "mm-parity commit --reason why",
            ),
            (
                "mmmigrate --site /s -all",
                "mm-parity --site /s upgrade --all",
            ),
            ("mmmigrate -dry-run x", "mm-parity upgrade --dry-run x"),
            ("mmmigrate -closed 5m x", "mm-parity upgrade --closed 5m x"),
            (
                "mmmigrate -back -now -kill x",
                "mm-parity downgrade --now --kill x",
            ),
            ("mmmigrate -help", "help"),
            ("mmmigrate --version", "mm-parity --version"),
        ] {
            assert_eq!(ours(his), mine, "{his}");
        }
    }

    #[test]
    fn what_ken_did_not_write_is_a_usage_error() {
        for bad in [
            "mmmigrate",
            "mmmigrate -forward",
            "mmmigrate -forward -back x",
            "mmmigrate -commit x",
            "mmmigrate -sideways x",
        ] {
            assert!(ours(bad).starts_with("usage: "), "{bad}: {}", ours(bad));
        }
    }

    #[test]
    fn barrys_words_are_commands_of_their_own() {
        for (his, mine) in [
            ("upgrade toylist", "mm-parity upgrade toylist"),
            (
                "/x/downgrade --site=/s *",
                "mm-parity --site=/s downgrade *",
            ),
            ("commit-parity", "mm-parity commit"),
            ("mm-parity status", "mm-parity status"),
            ("renamed status", "mm-parity status"),
        ] {
            assert_eq!(ours(his), mine, "{his}");
        }
    }
}
