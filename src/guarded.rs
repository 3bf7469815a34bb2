//! The line by which mm-deliver runs mm-guard, as mm-guard reads it.
//!
//! **Invariants.** No I/O. A [`Delivery`] exists only if all its words were judged here.

use std::ffi::{OsStr, OsString, c_int};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::list::{ListName, Verb};

/// What `--help` says.
pub const USAGE: &str = "\
usage: mm-guard --site FILE --tree TREE --release RELEASE --list LIST
                --verb VERB --lock FD -- PROGRAM ARGUMENTS
       mm-guard --help | --version

Runs PROGRAM, a list manager's, as that of a release on probation. While nobody
knows whether the release is sound, what says \"this message is bad\" may mean
\"this software is broken\". So 0 passes, and everything else is 75: the MTA keeps
the message and tries again, until the release is mended or the list is taken
back (mm-parity downgrade LIST).

mm-deliver runs it for the trees that parity.toml names in `guarded`, from their
install until mm-parity trust TREE. Nobody else needs to.

  --site FILE    the site
  --tree TREE, --release RELEASE, --list LIST, --verb VERB
                 what the line in the log says
  --lock FD      the open descriptor by which a move waits for this delivery;
                 PROGRAM and what it starts get it, too

PROGRAM has mm-guard's standard input, environment and process group, and every
signal at its default. What it prints goes to a file without a name. When it
has ended with 0, what it left running in the background is left alone, and
keeps message, output and lock; mm-guard stays up to 30 seconds for it, if the
MTA still writes. Where nothing runs on, mm-guard reads the rest of the message,
since some MTAs ask for that. It passes on at most 16 KiB of what PROGRAM
printed. Where what runs on may print on, mm-guard leaves a process of its own
behind, which keeps that from filling memory, and ends with it.

site.toml:
  [deliver] deadline
                 when PROGRAM has not ended within it, it and all it started get
                 SIGTERM, and soon after SIGKILL (default: 15m; 55m with Exim
                 and Sendmail, 270s with OpenSMTPD)
  [probation] permanent
                 statuses that pass as they are, such as [67]; default: none

Files:
  STATE/probation/UID.log
                 one line a delivery, words between tabs: when, list, verb,
                 tree, release, status for the MTA, how PROGRAM ended,
                 milliseconds and, if it was deferred, its last words.
                 mm-parity makes the file, and tells of it in status and check;
                 no delivery depends on it.

Exit status: 0 if PROGRAM ended with 0; what `permanent` names; else 75. A
signal to mm-guard ends PROGRAM, and is 75. Before 75 all that PROGRAM started
is ended. With 75 the first line on standard error begins with
\"4.3.0 mm-guard: \", so that Postfix defers whatever follows.
";

/// What was typed.
#[derive(Debug)]
pub enum Call {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// One delivery.
    Guard(Delivery),
}

/// One delivery, its words judged.
#[derive(Debug)]
pub struct Delivery {
    /// The path of site.toml.
    pub site: PathBuf,
    /// The tree's name.
    pub tree: String,
    /// The release in it.
    pub release: String,
    /// The list, as it is folded.
    pub list: ListName,
    /// What the message is to the list.
    pub verb: Verb,
    /// The open descriptor that holds the floor; above 2.
    pub lock: c_int,
    /// The tree's program: an absolute path, and argv[0].
    pub program: OsString,
    /// argv[1] and on.
    pub arguments: Vec<OsString>,
}

/// What is wrong with the line.
#[derive(Debug)]
pub struct BadLine(String);

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadLine {}

impl Call {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Call, BadLine> {
        let usage = |what: &str| BadLine(what.to_owned());
        let first = words.next().ok_or_else(|| usage("nothing to do"))?;
        let mut alone = |call| match words.next() {
            None => Ok(call),
            Some(_) => Err(usage("--help and --version stand alone")),
        };
        match first.as_bytes() {
            b"--help" => return alone(Call::Help),
            b"--version" => return alone(Call::Version),
            b"--site" => {}
            _ => return Err(usage("--site is expected first")),
        }
        let site = words
            .next()
            .ok_or_else(|| usage("--site lacks its value"))?;
        // ONE ORDER. Nobody but mm-deliver types this: another order is another program's line.
        let mut value = |name: &str| match (words.next(), words.next()) {
            (Some(word), Some(value)) if word == name => Ok(value),
            _ => Err(usage(&format!("{name} and its value are expected"))),
        };
        let tree = text(&value("--tree")?).ok_or_else(|| usage("not a tree"))?;
        let release = text(&value("--release")?).ok_or_else(|| usage("not a release"))?;
        let list = ListName::parse(value("--list")?.as_bytes())
            .map_err(|bad| BadLine(format!("not a list name: {bad}")))?;
        let verb = Verb::parse(value("--verb")?.as_bytes()).ok_or_else(|| usage("not a verb"))?;
        let lock = text(&value("--lock")?).and_then(|text| text.parse().ok());
        let lock = lock
            .filter(|&fd| fd > 2)
            .ok_or_else(|| usage("not a descriptor"))?;
        let program = value("--")?;
        if !Path::new(&program).is_absolute() {
            return Err(usage("PROGRAM does not begin with /"));
        }
        Ok(Call::Guard(Delivery {
            site: site.into(),
            tree,
            release,
            list,
            verb,
            lock,
            program,
            arguments: words.collect(),
        }))
    }
}

fn text(word: &OsStr) -> Option<String> {
    word.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Call, BadLine> {
        Call::parse(line.split_whitespace().map(OsString::from))
    }

    const SOUND: &str = "--site /s --tree b --release 2.1.40 --list toylist --verb post --lock 3 \
                         -- /b/mail/mailman post toylist";

    #[test]
    fn the_line_that_mm_deliver_types_is_understood() {
        let Ok(Call::Guard(delivery)) = read(SOUND) else {
            panic!("not understood")
        };
        assert_eq!(delivery.program, "/b/mail/mailman");
        assert_eq!(delivery.arguments, ["post", "toylist"]);
        assert_eq!(delivery.lock, 3);
    }

    #[test]
    fn any_other_line_is_refused() {
        for (from, to) in [
            (SOUND, ""),
            ("--site /s ", ""),
            ("--tree b ", ""),
            ("--tree b --release 2.1.40", "--release 2.1.40 --tree b"),
            ("toylist --verb", "../x --verb"),
            ("--verb post", "--verb sell"),
            ("--lock 3", "--lock 2"),
            ("--lock 3", "--lock -1"),
            ("--lock 3", "--lock x"),
            ("-- /b", "/b"),
            ("-- /b", "-- b"),
            ("-- /b/mail/mailman post toylist", "--"),
            ("--site /s", "--help --site /s"),
        ] {
            let line = SOUND.replace(from, to);
            assert_ne!(line, SOUND);
            assert!(read(&line).is_err(), "{line:?}");
        }
    }
}
