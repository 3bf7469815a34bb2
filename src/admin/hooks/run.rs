//! One run of a hook: whether it may be run, what it is told, and what it said.
//!
//! **Invariants.** What others could have changed is not run: hooks have the rights of who runs
//! mm-parity, so not even site.toml's `owner` and `group` may. What it says is shown as it ends,
//! and never raw.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::turn::Turn;
use crate::admin::request::Request;
use crate::admin::terminal;
use crate::list::ListName;
use crate::ownership::Trusted;
use crate::running::{End, Program};
use crate::settings::{Each, Hook};
use crate::site::Site;
use crate::store::Ran;

/// How much of what a hook printed is kept, in bytes.
const KEPT: usize = 1024;

/// Why the program of a hook is not to be run: a sentence.
pub(crate) fn fault(site: &Site, program: &str) -> Option<String> {
    let trusted = Trusted {
        owner: None,
        group: None,
        ..site.trusted()
    };
    match trusted.check(Path::new(program), None) {
        Err(fault) => Some(fault.to_string()),
        Ok(checked) if checked.file.mode() & 0o111 == 0 => Some("it is not executable".to_owned()),
        Ok(_) => None,
    }
}

/// A hook as messages name it, with its line.
pub(crate) fn named(site: &Site, argv: &[String], line: usize) -> String {
    let program = argv.first().map_or("", String::as_str);
    let file = site.path.display();
    format!(
        "hook {program:?} ({})",
        format!("{file}:{line}").escape_debug()
    )
}

/// One run that is to be.
pub(super) struct Run<'a> {
    pub(super) site: &'a Site,
    pub(super) request: &'a Request,
    pub(super) turn: &'a Turn<'a>,
    pub(super) hook: &'a Hook,
    /// `prepare`, `undo` or `after`.
    pub(super) step: &'static str,
    pub(super) argv: &'a [String],
    /// None: once for all lists of the turn.
    pub(super) list: Option<&'a ListName>,
    pub(super) generation: u64,
}

impl<'a> Run<'a> {
    /// What it runs for: each list of the turn, or all at once.
    pub(super) fn targets(turn: &'a Turn<'a>, hook: &Hook) -> Vec<Option<&'a ListName>> {
        match hook.each {
            Each::List => turn.lists.iter().map(Some).collect(),
            Each::Command => vec![None],
        }
    }

    /// The lists that it runs for.
    pub(super) fn lists(&self) -> Vec<String> {
        match self.list {
            Some(list) => vec![list.as_str().to_owned()],
            None => self.turn.lists.iter().map(ListName::to_string).collect(),
        }
    }

    /// Runs it, shows what it said, and returns that for the history; `Err` with why it failed.
    pub(super) fn run(
        &self,
        limit: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> (Ran, Result<(), Failed>) {
        let begin = Instant::now();
        let (end, output) = self.ended(limit, is_over);
        let text = String::from_utf8_lossy(&output);
        self.show(&text);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        let last = crate::syslog::printable(last.unwrap_or_default().trim());
        let well = matches!(end, Ok(End::Exited(0)));
        let end = end.map_or_else(|error| error, |end| end.to_string());
        let failed = Failed {
            what: match last.is_empty() {
                true => format!("{}: {end}", self.name()),
                false => format!("{}: {end}: {last}", self.name()),
            },
        };
        let ran = Ran {
            format: 1,
            generation: self.generation,
            on: self.turn.on.word().to_owned(),
            step: self.step.to_owned(),
            program: self.argv.to_vec(),
            list: self.list.map(ListName::to_string),
            well,
            end,
            milliseconds: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
            output: text.into_owned(),
        };
        (ran, if well { Ok(()) } else { Err(failed) })
    }

    fn ended(&self, limit: Duration, is_over: &dyn Fn() -> bool) -> (Result<End, String>, Vec<u8>) {
        let program = self.argv.first().map_or("", String::as_str);
        if let Some(fault) = fault(self.site, program) {
            return (Err(fault), Vec::new());
        }
        match self.program(limit).run_until(is_over) {
            Err(error) => (Err(error.to_string()), Vec::new()),
            Ok(ended) => {
                let from = ended.tail.len().saturating_sub(KEPT);
                (Ok(ended.end), ended.tail[from..].to_vec())
            }
        }
    }

    fn program(&self, limit: Duration) -> Program {
        let mut program = Program::new(self.argv, limit);
        program.environment.extend(self.environment());
        if self.list.is_none() {
            let lines = self.turn.lists.iter().map(|list| format!("{list}\n"));
            program.input = lines.collect::<String>().into_bytes();
        }
        program
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let (turn, step) = (self.turn, self.step);
        turn.environment(self.site, self.request, step, self.list, self.generation)
    }

    /// Which hook for what, as messages begin.
    pub(super) fn name(&self) -> String {
        let hook = named(self.site, self.argv, self.hook.line);
        match self.list {
            Some(list) => format!("{} {hook} for {list}", self.step),
            None => format!("{} {hook}", self.step),
        }
    }

    fn show(&self, said: &str) {
        let program = self.argv.first().map_or("", String::as_str);
        let mut text = match self.list {
            Some(list) => format!("{list}: {} {program:?}\n", self.step),
            None => format!("{} {program:?}\n", self.step),
        };
        for line in said.lines() {
            text += &format!("  {line}\n");
        }
        // Nobody's change ends because nobody reads.
        let _ = terminal::out(&text);
    }

    /// The line by which it is run again.
    pub(super) fn typed(&self) -> String {
        let own = self.environment().into_iter();
        let own =
            own.map(|(name, value)| [name, value].map(|it| it.to_string_lossy().into_owned()));
        let words = own
            .map(|[name, value]| format!("{name}={}", quoted(&value)))
            .chain(self.argv.iter().map(|word| quoted(word)));
        let line = format!("env {}", words.collect::<Vec<_>>().join(" "));
        match self.list {
            Some(_) => line,
            None => format!("{line}, with the lists' names on its standard input"),
        }
    }
}

/// Why a run failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// Hook, list, end and last words.
    pub(super) what: String,
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(&b);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
