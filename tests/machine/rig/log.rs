//! The MTA's log: waiting for what it says, counting it, showing it.

use std::fs;
use std::time::{Duration, Instant};

use super::{Machine, PATIENCE};

impl Machine {
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.path("/var/log/mail.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits for a line of the log that has both; returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, one: &str, other: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log
                .lines()
                .find(|line| line.contains(one) && line.contains(other))
            {
                return line.to_owned();
            }
            if start.elapsed() > PATIENCE {
                print!("{log}");
                panic!("no line with {one:?} and {other:?} in the log");
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
