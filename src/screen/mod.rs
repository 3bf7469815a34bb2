//! What only a person at a terminal gets: colours for the words that lines begin with, and a line
//! that says how far something is, which is gone when it is done.
//!
//! **Invariants.** Nothing of this reaches a pipe or a file, and no colour where NO_COLOR is set
//! (no-color.org). What a line says, it says without colours: no meaning is in them alone.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How long something takes before one is told how far it is.
const SILENCE: Duration = Duration::from_secs(1);
/// How often that is told anew.
const PAUSE: Duration = Duration::from_millis(100);
/// How wide the bar is, in columns.
const WIDTH: usize = 24;

const RED: &str = "1;31";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const BOLD: &str = "1";

/// What lines begin with, and how it looks.
const BEGINNINGS: [(&str, &str); 15] = [
    ("CRITICAL:", RED),
    ("UNKNOWN:", RED),
    ("mm-parity:", RED),
    ("mm-aliases:", RED),
    ("WARNING:", YELLOW),
    ("note:", YELLOW),
    ("OK:", GREEN),
    ("the way back:", GREEN),
    ("back:", GREEN),
    ("hint:", BOLD),
    ("next:", BOLD),
    ("also:", BOLD),
    ("where:", BOLD),
    ("mail:", BOLD),
    ("mend:", BOLD),
];

/// `text` as `stream` gets it: with colours where it is a terminal that has them.
pub fn painted(text: String, stream: &impl IsTerminal) -> String {
    match stream.is_terminal() && has_colours(|name| env::var(name).ok()) {
        true => paint(&text),
        false => text,
    }
}

fn has_colours(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && is_capable(variable)
}

/// Whether the terminal obeys more than line ends.
fn is_capable(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

fn paint(text: &str) -> String {
    text.split_inclusive('\n').map(paint_line).collect()
}

fn paint_line(line: &str) -> String {
    let words = line.trim_start_matches(' ');
    let (indent, _) = line.split_at(line.len() - words.len());
    let beginning = BEGINNINGS
        .iter()
        .find(|(beginning, _)| words.starts_with(beginning));
    match beginning {
        Some((beginning, colour)) => {
            let rest = words.strip_prefix(beginning).unwrap_or_default();
            format!("{indent}\x1b[{colour}m{beginning}\x1b[0m{rest}")
        }
        None => line.to_owned(),
    }
}

/// How far something is, on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Progress {
    what: String,
    begun: Instant,
    /// When it was last told, if it was.
    told: Option<Instant>,
    has_terminal: bool,
}

impl Progress {
    /// Of `what`, which begins now: `copying the data of lists`.
    pub fn of(what: impl Into<String>) -> Progress {
        let stderr = io::stderr();
        Progress {
            what: what.into(),
            begun: Instant::now(),
            told: None,
            has_terminal: stderr.is_terminal() && is_capable(|name| env::var(name).ok()),
        }
    }

    /// Tells that `done` of `all` are done.
    pub fn at(&mut self, done: usize, all: usize) {
        self.tell(|what| bar(what, done, all));
    }

    /// Tells that `done` are done, of nobody knows how many.
    pub fn counts(&mut self, done: usize) {
        self.tell(|what| format!("{what}: {done}"));
    }

    /// Tells that it has gone on for some seconds, and will for at most `all`.
    pub fn waits(&mut self, all: Duration) {
        let begun = self.begun;
        self.tell(|what| {
            let done = begun.elapsed().as_secs();
            format!("{what}: {done} s of at most {} s", all.as_secs())
        });
    }

    fn tell(&mut self, line: impl FnOnce(&str) -> String) {
        let is_due = match self.told {
            None => self.begun.elapsed() >= SILENCE,
            Some(last) => last.elapsed() >= PAUSE,
        };
        if self.has_terminal && is_due {
            self.told = Some(Instant::now());
            write(&line(&self.what));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.told.is_some() {
            write("");
        }
    }
}

/// In place of what stood in the line; the cursor goes back to its beginning.
fn write(line: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(format!("\r{line}\x1b[K").as_bytes());
    let _ = stderr.flush();
}

fn bar(what: &str, done: usize, all: usize) -> String {
    let done = done.min(all);
    let full = WIDTH * done / all.max(1);
    format!(
        "{what} [{}{}] {done} of {all}",
        "#".repeat(full),
        ".".repeat(WIDTH - full)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_a_line_has_a_colour_and_nothing_else_changes() {
        let text =
            "mm-parity: cannot upgrade: there is no list x\nhint: near x: y\n  mend: z\nplain: w\n";
        let seen = paint(text);
        assert!(
            seen.starts_with("\x1b[1;31mmm-parity:\x1b[0m cannot"),
            "{seen:?}"
        );
        assert!(
            seen.contains("\n  \x1b[1mmend:\x1b[0m z\nplain: w\n"),
            "{seen:?}"
        );
        let mut plain = seen;
        for code in [RED, YELLOW, GREEN, BOLD, "0"] {
            plain = plain.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(plain, text);
    }

    #[test]
    fn no_colours_where_they_are_not_wanted_or_not_understood() {
        let with = |set: &'static [(&str, &str)]| {
            has_colours(|name| {
                let mut found = set.iter().filter(|(known, _)| *known == name);
                found.next().map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[("TERM", "xterm")]));
        assert!(with(&[("TERM", "xterm"), ("NO_COLOR", "")]));
        assert!(!with(&[("TERM", "xterm"), ("NO_COLOR", "1")]));
        assert!(!with(&[("TERM", "dumb")]));
        assert!(!with(&[]));
    }

    #[test]
    fn a_bar_is_never_longer_than_it_is_wide() {
        assert_eq!(bar("x", 0, 4), format!("x [{}] 0 of 4", ".".repeat(WIDTH)));
        assert_eq!(bar("x", 9, 4), format!("x [{}] 4 of 4", "#".repeat(WIDTH)));
        assert_eq!(bar("x", 0, 0), format!("x [{}] 0 of 0", ".".repeat(WIDTH)));
    }
}
