//! Goes through the steps of a plan, in both directions, with the journal.
//!
//! **Invariants.** No step without its line on disk. The times of the directories in which a step
//! changes names are those from before it when it has ended; also where a kill came between.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Timespec, Timestamps, statat, utimensat};
use rustix::io::Errno;

use super::journal::{Journal, JournalError, Line, Times};
use super::steps::{Back, Step, directory};

/// Why a step could not be made or taken back.
#[derive(Debug)]
pub enum Fault {
    /// The journal cannot be written.
    Journal(JournalError),
    /// The step, as it is told to people, and the kernel's reason.
    Step(String, io::Error),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Journal(error) => error.fmt(f),
            Fault::Step(step, error) => write!(f, "cannot {step}: {error}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Fault {
        Fault::Journal(error)
    }
}

/// Makes every step that is not made yet.
///
/// # Errors
/// The first step that failed; those before it are made.
pub fn carry_out(journal: &mut Journal) -> Result<(), Fault> {
    for (number, step) in journal.plan.steps.clone().iter().enumerate() {
        if journal.lines.contains(&Line::End(number)) {
            continue;
        }
        let failed = |error| Fault::Step(step.to_string(), error);
        let times = match begun(&journal.lines, number) {
            Some(times) => times,
            None => {
                let times = times(step).map_err(failed)?;
                journal.add(Line::Begin(number, times.clone()))?;
                times
            }
        };
        let made = step.make();
        put_back(&times).map_err(failed)?;
        made.map_err(failed)?;
        journal.add(Line::End(number))?;
    }
    Ok(())
}

/// Takes every step back that was made, the last one first; what is left there of somebody
/// else's.
///
/// # Errors
/// The first step that could not be taken back; those behind it are.
pub fn take_back(journal: &mut Journal) -> Result<Vec<String>, Fault> {
    let mut left = Vec::new();
    for (number, step) in journal.plan.steps.clone().iter().enumerate().rev() {
        let Some(begun) = begun(&journal.lines, number) else {
            continue;
        };
        if journal.lines.contains(&Line::Gone(number)) {
            continue;
        }
        let failed = |error| Fault::Step(format!("take back: {step}"), error);
        let ended = journal.lines.contains(&Line::End(number));
        let times = match (going(&journal.lines, number), ended) {
            (Some(times), _) => times,
            // Killed as it was made: the times of now are those of that.
            (None, false) => begun,
            (None, true) => times(step).map_err(failed)?,
        };
        journal.add(Line::Back(number, times.clone()))?;
        let back = step.take_back();
        put_back(&times).map_err(failed)?;
        if let Back::Left(what) = back.map_err(failed)? {
            left.push(what);
        }
        journal.add(Line::Gone(number))?;
    }
    Ok(left)
}

/// The times with which this step began, if it did.
fn begun(lines: &[Line], number: usize) -> Option<Vec<Times>> {
    lines.iter().find_map(|line| match line {
        Line::Begin(n, times) if *n == number => Some(times.clone()),
        _ => None,
    })
}

/// The same of its being taken back.
fn going(lines: &[Line], number: usize) -> Option<Vec<Times>> {
    lines.iter().find_map(|line| match line {
        Line::Back(n, times) if *n == number => Some(times.clone()),
        _ => None,
    })
}

/// The times of what a step touches, as far as it is there: where names change, and what moves.
fn times(step: &Step) -> io::Result<Vec<Times>> {
    let mut all = Vec::new();
    for path in step.holders() {
        all.extend(times_of(&path)?);
    }
    Ok(all)
}

/// The times of a directory; `None` where there is none.
pub fn times_of(path: &Path) -> io::Result<Option<Times>> {
    let opened = match directory(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let stat = statat(opened, "", AtFlags::EMPTY_PATH)?;
    let nanoseconds = |nanoseconds| i64::try_from(nanoseconds).unwrap_or_default();
    Ok(Some(Times {
        path: path.to_owned(),
        read: (stat.st_atime, nanoseconds(stat.st_atime_nsec)),
        changed: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
    }))
}

/// Puts the times of directories back, as far as they are there.
pub fn put_back(times: &[Times]) -> io::Result<()> {
    for Times {
        path,
        read,
        changed,
    } in times
    {
        let opened = match directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let time = |(seconds, nanoseconds): &(i64, i64)| Timespec {
            tv_sec: *seconds,
            tv_nsec: *nanoseconds,
        };
        let stamps = Timestamps {
            last_access: time(read),
            last_modification: time(changed),
        };
        match utimensat(opened, ".", &stamps, AtFlags::empty()) {
            // A directory of somebody else's that we may change: its time cannot be put back.
            Err(Errno::PERM | Errno::ACCESS) => {}
            done => done?,
        }
    }
    Ok(())
}
