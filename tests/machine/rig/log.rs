//! The MTA's log: waiting for what it says, counting it, showing it.

use std::fs;
use std::time::{Duration, Instant};

use super::{Machine, PATIENCE, text};

impl Machine {
    pub(crate) fn log(&self) -> String {
        text(&fs::read(self.path(self.agent.log())).unwrap_or_default())
    }

    /// Waits for a line of the log that has both; returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, one: &str, other: &str) -> String {
        self.wait_for_line(&format!("with {one:?} and {other:?}"), |line| {
            (line.contains(one) && line.contains(other)).then(|| line.to_owned())
        })
    }

    /// Waits for a line of the log of which `look` makes something; returns that.
    #[track_caller]
    pub(super) fn wait_for_line<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let log = self.log();
            if let Some(found) = log.lines().find_map(&look) {
                return found;
            }
            if start.elapsed() > PATIENCE {
                print!("{log}");
                panic!("no line {what} in the log");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Prints the lines of the log that have this in them.
    pub(crate) fn show_log(&self, word: &str) {
        for line in self.log().lines().filter(|line| line.contains(word)) {
            println!("| {line}");
        }
    }

    /// How many lines of the log have this in them.
    pub(crate) fn count_log(&self, word: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(word))
            .count()
    }
}
