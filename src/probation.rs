//! What probation writes down: one line for each guarded delivery, in a log of the user who
//! delivers.
//!
//! A line is nine words between tabs: when, list, verb, tree, release, what the MTA was told,
//! how the program ended, milliseconds, and after a deferral the last words of the program.
//!
//! **Invariants.** No log is made here: the guard has no right to (`mm-parity` makes them). What
//! a line says is not believed: whoever delivers can write his own log. One write a line, so
//! that lines of several deliveries do not mix.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;
use crate::list::{ListName, Verb};
use crate::sysexits;

/// No line has so many bytes: a write of less is not torn by others that append.
const LONGEST: usize = 4096;
/// So much is kept of a release and of a program's last words, in bytes.
const LONGEST_WORD: usize = 200;

/// How a guarded program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Exited(u8),
    /// By this signal.
    Killed(u8),
    /// Not within the deadline: it was ended.
    Late,
    /// Not before the guard itself was told to end by this signal: it was ended.
    Stopped(u8),
    /// It never began.
    NotRun,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the program ended.
    pub when: Timestamp,
    /// For which list.
    pub list: ListName,
    /// For which verb.
    pub verb: Verb,
    /// In which tree.
    pub tree: String,
    /// The release in it.
    pub release: String,
    /// The status that the MTA got.
    pub answer: u8,
    /// How the program ended.
    pub end: End,
    /// How long it took.
    pub milliseconds: u64,
    /// The last line that it printed, after a deferral.
    pub said: String,
}

/// The log of the user with this id, below the state's directory.
pub fn log_file(directory: &Path, uid: u32) -> PathBuf {
    directory.join(format!("{uid}.log"))
}

impl Record {
    /// Whether the message went back to the MTA's queue.
    pub fn is_deferral(&self) -> bool {
        i32::from(self.answer) == sysexits::TEMPFAIL
    }

    /// Whether the MTA got a verdict that `[probation] permanent` lets through, by which it
    /// bounces.
    pub fn is_refusal(&self) -> bool {
        i32::from(self.answer) != sysexits::OK && !self.is_deferral()
    }

    /// Whether that was the admin's or the machine's doing: the guard was told to end, as by
    /// `downgrade --kill`, and the release is not at fault.
    pub fn is_stopped(&self) -> bool {
        matches!(self.end, End::Stopped(signal) if i32::from(signal) == libc::SIGTERM)
    }

    /// Reads one line, without its end. `None` if it is none of ours, or torn.
    pub fn parse(line: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(line).ok()?;
        let words: Vec<&str> = text.split('\t').collect();
        let [when, list, verb, tree, release, answer, end, time, said] =
            <[&str; 9]>::try_from(words).ok()?;
        let is_sound = |word: &str| {
            word.len() <= LONGEST_WORD && !word.chars().any(|c| c.is_control() || c == '\u{fffd}')
        };
        if ![tree, release, said].into_iter().all(is_sound) {
            return None;
        }
        Some(Record {
            when: Timestamp::parse(when)?,
            list: ListName::parse(list).ok()?,
            verb: Verb::parse(verb.as_bytes())?,
            tree: tree.to_owned(),
            release: release.to_owned(),
            answer: answer.parse().ok()?,
            end: End::parse(end)?,
            milliseconds: time.parse().ok()?,
            said: said.to_owned(),
        })
    }

    /// Adds the line to a log that is there.
    ///
    /// # Errors
    /// It is not, it is no plain file, or it cannot be written; no delivery depends on it.
    pub fn append(&self, log: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(log)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a plain file"));
        }
        // A disk that was full tore the line before this one: it must not take this one along.
        let mut last = [b'\n'];
        let _ = file.read_at(&mut last, meta.len().saturating_sub(1));
        let begin = if last == [b'\n'] { "" } else { "\n" };
        let line = format!("{begin}{self}\n");
        if line.len() >= LONGEST {
            return Err(io::Error::other("the line is too long"));
        }
        match file.write(line.as_bytes())? {
            n if n == line.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            self.when,
            self.list,
            self.verb,
            word(&self.tree),
            word(&self.release),
            self.answer,
            self.end.word(),
            self.milliseconds,
            word(&self.said)
        )
    }
}

/// `text` without control characters, cut.
fn word(text: &str) -> String {
    let mut word = String::new();
    for c in text.trim().chars() {
        if word.len() + c.len_utf8() > LONGEST_WORD {
            break;
        }
        let is_plain = !c.is_control() && c != '\u{fffd}';
        word.push(if is_plain { c } else { '?' });
    }
    word
}

impl End {
    /// Its word in the log.
    fn word(self) -> String {
        match self {
            End::Exited(status) => format!("status {status}"),
            End::Killed(signal) => format!("signal {signal}"),
            End::Late => "deadline".to_owned(),
            End::Stopped(signal) => format!("stopped {signal}"),
            End::NotRun => "not-run".to_owned(),
        }
    }

    fn parse(word: &str) -> Option<End> {
        let number = |text: &str| text.parse().ok();
        Some(match word.split_once(' ') {
            Some(("status", n)) => End::Exited(number(n)?),
            Some(("signal", n)) => End::Killed(number(n)?),
            Some(("stopped", n)) => End::Stopped(number(n)?),
            None if word == "deadline" => End::Late,
            None if word == "not-run" => End::NotRun,
            _ => return None,
        })
    }
}

/// For people: `it ended with status 1`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(status) => write!(f, "ended with status {status}"),
            End::Killed(signal) => write!(f, "was killed by signal {signal}"),
            End::Late => f.write_str("did not end in time"),
            End::Stopped(signal) => write!(f, "was stopped by signal {signal} to mm-guard"),
            End::NotRun => f.write_str("could not be run"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn record(end: End, said: &str) -> Record {
        Record {
            when: Timestamp(1_795_341_731),
            list: ListName::parse("toylist").unwrap(),
            verb: Verb::parse(b"post").unwrap(),
            tree: "b".to_owned(),
            release: "2.1.40".to_owned(),
            answer: 75,
            end,
            milliseconds: 132,
            said: said.to_owned(),
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for end in [
            End::Exited(0),
            End::Exited(255),
            End::Killed(9),
            End::Late,
            End::Stopped(15),
            End::NotRun,
        ] {
            let record = record(end, "ImportError: no module");
            assert_eq!(Record::parse(record.to_string().as_bytes()), Some(record));
        }
        let line = record(End::Exited(1), "").to_string();
        assert_eq!(
            line,
            "2026-11-22T10:02:11Z\ttoylist\tpost\tb\t2.1.40\t75\tstatus 1\t132\t"
        );
    }

    #[test]
    fn an_answer_is_a_delivery_a_deferral_or_a_refusal() {
        for answer in 0..=u8::MAX {
            let record = Record {
                answer,
                ..record(End::Exited(answer), "")
            };
            let told = (record.is_deferral(), record.is_refusal());
            let expected = (answer == 75, answer != 75 && answer != 0);
            assert_eq!(told, expected, "{answer}");
        }
    }

    #[test]
    fn what_a_program_says_stays_one_word_of_one_short_line() {
        let said = "\u{1b}[31m\ta\nb\r\u{85}\u{fffd}é".to_owned() + &"x".repeat(10_000);
        let line = record(End::Exited(1), &said).to_string();
        assert!(line.len() < LONGEST && line.lines().count() == 1, "{line}");
        assert!(!line.contains('\u{1b}'));
        assert!(Record::parse(line.as_bytes()).is_some(), "{line}");
    }

    #[test]
    fn a_line_that_is_torn_or_forged_is_no_line() {
        let sound = record(End::Exited(1), "x").to_string();
        for at in 0..sound.len() - 1 {
            assert_eq!(
                Record::parse(&sound.as_bytes()[..at]).filter(|_| at < sound.len() - 2),
                None,
                "{at}"
            );
        }
        for (from, to) in [
            ("toylist", "../toylist"),
            ("post", "p\u{1b}"),
            ("\tb\t", "\tb\u{1b}\t"),
            ("2.1.40", "2.1\u{7}"),
            ("\t75\t", "\t-1\t"),
            ("status 1", "status 256"),
            ("status 1", "status"),
            ("132", "1 32"),
            ("\tx", "\tx\ty"),
            ("2026-11-22", "2026-02-30"),
        ] {
            let forged = sound.replace(from, to);
            assert_ne!(forged, sound);
            assert_eq!(Record::parse(forged.as_bytes()), None, "{forged:?}");
        }
        assert_eq!(Record::parse(b"\xff\xfe"), None);
    }
}
