//! One guarded delivery: `mm-guard … -- PROGRAM ARGS`, run by mm-deliver for a guarded tree.
//!
//! Read the command line and the site; run the program with the MTA's standard input; wait, but
//! not longer than the deadline; judge how it ended; read what it left of the message; write a
//! line into the log; pass on what it printed.
//!
//! **Invariants.** 0 only if the program ended with 0 by itself; then nothing that happens later
//! changes it. Nobody whom the program started lives on beside a message that the MTA keeps.
//! Whatever is not in `[probation] permanent` is [`sysexits::TEMPFAIL`]. On a
//! deferral the first words that the MTA reads are ours. No privileges.

use std::ffi::{OsString, c_int};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::accounts;
use crate::child::{self, Child};
use crate::clock::Timestamp;
use crate::descendants;
use crate::guarded::{BadLine, Call, Delivery, USAGE};
use crate::output::{KEPT_HEAD, Output};
use crate::probation::{self, End, Record};
use crate::site::{Site, SiteError};
use crate::{stdio, sysexits, syslog};

/// How long the MTA may take to read what is passed on.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long we stay for what the program left running, where the MTA still writes: an MTA waits
/// for us, and one of them takes an end before the message's for a failure.
const STAY: Duration = Duration::from_secs(30);
/// How often it is looked whether there is still something to stay for.
const LOOK: Duration = Duration::from_millis(50);

/// Why no program was run.
#[derive(Debug)]
enum Failure {
    /// This standard descriptor is closed.
    Closed(c_int),
    Line(BadLine),
    /// The lock's descriptor is not open.
    NoLock(c_int),
    Site(SiteError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Closed(fd) => write!(f, "descriptor {fd} is closed"),
            Failure::Line(bad) => write!(f, "{bad}; see mm-guard --help"),
            Failure::NoLock(fd) => write!(f, "--lock: descriptor {fd} is closed"),
            Failure::Site(error) => error.fmt(f),
        }
    }
}

/// Runs the program; returns the status.
pub fn main(arguments: impl Iterator<Item = OsString>) -> c_int {
    sysexits::keep_mail_on_any_fault();
    match Call::parse(arguments).map_err(Failure::Line).and_then(run) {
        Ok(status) => status,
        Err(failure) => {
            syslog::warn("mm-guard", &failure);
            sysexits::say(
                "4.3.0 mm-guard: the list manager cannot be run at the moment, message kept by \
                 the mail system\n",
            );
            sysexits::TEMPFAIL
        }
    }
}

fn run(call: Call) -> Result<c_int, Failure> {
    let told = match call {
        Call::Guard(delivery) => return guard(&delivery),
        Call::Help => USAGE,
        Call::Version => concat!("mm-guard ", env!("CARGO_PKG_VERSION"), "\n"),
    };
    use std::io::Write;
    Ok(match io::stdout().write_all(told.as_bytes()) {
        Ok(()) => sysexits::OK,
        Err(_) => sysexits::TEMPFAIL,
    })
}

/// One delivery from its beginning to its status.
fn guard(delivery: &Delivery) -> Result<c_int, Failure> {
    let since = Instant::now();
    // Before any file is opened: it would take the place of the one that is closed.
    if let Some(fd) = sysexits::closed_standard_descriptor() {
        return Err(Failure::Closed(fd));
    }
    let lock = delivery.lock;
    if !stdio::is_open(lock) {
        return Err(Failure::NoLock(lock));
    }
    child::block_signals();
    // SAFETY: it is open, and is closed by nobody before this process ends.
    #[expect(unsafe_code, reason = "the descriptor came by its number")]
    sysexits::close_others(Some(unsafe { BorrowedFd::borrow_raw(lock) }));
    let site = Site::open(&delivery.site).map_err(Failure::Site)?;
    let span = site.config.deadline.duration();
    let deadline = since + span;
    let child = Child::start(&delivery.program, &delivery.arguments);
    let end = match &child {
        Ok(child) => child.wait(deadline),
        Err(error) => {
            syslog::warn("mm-guard", &format!("{:?}: {error}", delivery.program));
            End::NotRun
        }
    };
    let answer = verdict(end, &site.config.permanent);
    if answer == KEEP
        && let Ok(child) = &child
    {
        child.end_all(span);
    }
    let output = child.as_ref().ok().map(Child::output);
    if end == End::Exited(0) {
        read_the_rest(deadline, output);
    }
    note(delivery, &site, since, end, answer, output);
    pass_on(end, answer, output);
    if let Ok(child) = child {
        child.leave();
    }
    Ok(answer.into())
}

/// What the MTA is told.
fn verdict(end: End, permanent: &[u8]) -> u8 {
    match end {
        End::Exited(0) => 0,
        End::Exited(status) if permanent.contains(&status) => status,
        _ => KEEP,
    }
}

/// [`sysexits::TEMPFAIL`] as a process ends with it.
const KEEP: u8 = sysexits::TEMPFAIL as u8;

/// Reads what is left of the message: OpenSMTPD delivers again what nobody read to its end.
///
/// THE MESSAGE IS NEVER OURS. While anything that the program started lives, in whatever group
/// or session, it may be about to read, and nothing is taken: it keeps the descriptor when we end,
/// as it would without a guard.
fn read_the_rest(deadline: Instant, output: Option<&Output>) {
    let stay = deadline.min(Instant::now() + STAY);
    while descendants::somebody_lives() {
        if stdio::is_written(0) || Instant::now() >= stay || child::is_told_to_end(LOOK) {
            return;
        }
        if let Some(output) = output {
            output.trim();
        }
    }
    let mut stdin = io::stdin().lock();
    let mut room = vec![0; 64 * 1024];
    while Instant::now() < deadline && !child::is_told_to_end(Duration::ZERO) {
        if !stdio::is_readable(0, LOOK) {
            continue;
        }
        match stdin.read(&mut room) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The line in the log; for a deferral one in the system's log, too. What fails here is no
/// delivery's business.
fn note(
    delivery: &Delivery,
    site: &Site,
    since: Instant,
    end: End,
    answer: u8,
    output: Option<&Output>,
) {
    let said = match answer {
        0 => String::new(),
        _ => output.map(Output::last_line).unwrap_or_default(),
    };
    let record = Record {
        when: Timestamp::now(),
        list: delivery.list.clone(),
        verb: delivery.verb,
        tree: delivery.tree.clone(),
        release: delivery.release.clone(),
        answer,
        end,
        milliseconds: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        said,
    };
    let log = probation::log_file(&site.config.probation(), accounts::runner());
    if let Err(error) = record.append(&log) {
        syslog::warn("mm-guard", &format!("cannot write {log:?}: {error}"));
    }
    if record.is_deferral() {
        let (list, verb) = (&delivery.list, delivery.verb);
        let told = format!(
            "{list}: {verb}: {:?} of tree {} {:?} {end}: {}",
            delivery.program, delivery.tree, delivery.release, record.said
        );
        syslog::warn("mm-guard", &told);
    }
}

/// Passes on what the program printed, never more than Exim bears (20 KiB).
///
/// On a deferral our own line comes first: Postfix reads a first line `5.7.1 …` as the verdict,
/// whatever the status (pipe_command.c); at status 0 it reads none.
fn pass_on(end: End, answer: u8, output: Option<&Output>) {
    let (to, mut bytes) = match answer {
        KEEP => {
            let line = format!(
                "4.3.0 mm-guard: the list manager's program {end}, message kept by the mail system\n"
            );
            (2, line.into_bytes())
        }
        _ => (1, Vec::new()),
    };
    let room = KEPT_HEAD.saturating_sub(bytes.len() as u64);
    bytes.extend(output.map(|output| output.head(room)).unwrap_or_default());
    stdio::write_within(to, &bytes, PATIENCE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nought_passes_and_what_is_named() {
        for status in 0..=u8::MAX {
            let expected = if status == 0 { 0 } else { KEEP };
            assert_eq!(verdict(End::Exited(status), &[]), expected);
            let named = if status == 67 { 67 } else { expected };
            assert_eq!(verdict(End::Exited(status), &[67]), named);
            assert_eq!(verdict(End::Killed(status), &[67, 9]), KEEP);
        }
        for end in [End::Late, End::NotRun, End::Stopped(15)] {
            assert_eq!(verdict(end, &[67]), KEEP);
        }
    }
}
