//! A command of the admin's that changes a tree: on his terminal, behind a fence.
//!
//! Order: signals are kept, the fence is made, the command runs, and ends. Ctrl-C is the terminal's,
//! and reaches the command by itself; what somebody sends to mm-parity alone is passed on. mm-parity
//! lives on until the command has ended, to record what came of it; if mm-parity is killed, the
//! command is told to end. It holds a lock for as long as anything that it started lives
//! (`store::Hold`): what it leaves behind is no end.
//!
//! **Invariants.** Not run as anybody but who typed it, and never without the fence and the lock.

#![expect(unsafe_code, reason = "std cannot tie a child's life to ours")]

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::admin::inside::{self, Inside};
use crate::admin::install::fence::{Fence, NoFence, working_directory};
use crate::admin::interrupts::Interrupts;
use crate::admin::outcome::Refused;
use crate::running::{End, unblock_signals};
use crate::store::Hold;
use crate::tree::Tree;

/// How often it is looked after.
const TICK: Duration = Duration::from_millis(20);
/// How long what it started may take to end after it.
const GRACE: Duration = Duration::from_secs(2);
/// How many of those are named.
const MOST: usize = 5;

/// Why it could not be run at all.
#[derive(Debug)]
pub enum NotRun {
    /// What it must not touch cannot be kept from it.
    Fence(NoFence),
    /// It cannot be started.
    Start(OsString, io::Error),
    /// It answered that all is well, and was told to end by this signal.
    Told(OsString, &'static str),
    /// It ended, and what it started has not.
    Left(OsString, End, Vec<Inside>),
    /// What says that it runs cannot be locked.
    Hold(PathBuf, io::Error),
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRun::Fence(error) => error.fmt(f),
            NotRun::Start(program, error) => write!(f, "cannot run {program:?}: {error}"),
            NotRun::Told(program, signal) => {
                write!(
                    f,
                    "{program:?} was told to end ({signal}), and may have done the half of it"
                )
            }
            NotRun::Left(program, end, left) => {
                if *end != End::Exited(0) {
                    write!(f, "{program:?} {end}; ")?;
                }
                f.write_str(&told(left))
            }
            NotRun::Hold(path, error) => write!(f, "cannot lock {path:?}: {error}"),
        }
    }
}

/// What a command left behind, and what is to be done about it.
pub fn told(left: &[Inside]) -> String {
    let named: Vec<String> = left.iter().take(MOST).map(Inside::to_string).collect();
    let more = match left.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "{}{more}: started by the command, and sees the lists' data read-only for ever: stop it, and \
         start it anew if it is needed",
        named.join("; ")
    )
}

/// Refuses a command whose program is not there, before anything is marked for it: a name that was
/// mistyped makes no tree a broken one.
///
/// # Errors
/// There is no such program.
pub fn there(argv: &[OsString], act: &'static str) -> Result<(), Refused> {
    let name = argv.first().map_or(OsStr::new(""), OsString::as_os_str);
    let is_there = match Path::new(name).components().count() {
        // As execvp does, a name alone is looked for along PATH.
        1 if !name.as_encoded_bytes().contains(&b'/') => env::var_os("PATH")
            .is_none_or(|path| env::split_paths(&path).any(|at| at.join(name).exists())),
        _ => Path::new(name).exists(),
    };
    match is_there {
        true => Ok(()),
        false => Err(Refused::new(act, format!("there is no program {name:?}"))),
    }
}

/// Runs `argv` in `tree` behind `fence`, with MM_TREE in its environment, to its end.
///
/// # Errors
/// It was not run.
pub fn run(argv: &[OsString], tree: &Tree, fence: &Fence) -> Result<End, NotRun> {
    // In this thread as well: a signal to the process goes to any that takes it.
    let _kept = Interrupts::keep();
    let directory = working_directory();
    let mark = fence.mark();
    let hold = Hold::take(mark).map_err(|error| NotRun::Hold(mark.to_owned(), error))?;
    let done = fence.within(|| {
        let mut child = start(argv, tree, &directory, &hold)?;
        wait(&mut child, &Interrupts::keep())
    });
    drop(hold);
    let name = argv.first().cloned().unwrap_or_default();
    match done.map_err(NotRun::Fence)? {
        Ok((End::Exited(0), Some(signal))) => Err(NotRun::Told(name, signal)),
        Ok((end, _)) => match left_by(mark) {
            left if left.is_empty() => Ok(end),
            left => Err(NotRun::Left(name, end, left)),
        },
        Err(error) => Err(NotRun::Start(name, error)),
    }
}

/// What has not ended with the command, after a moment in which what is about to end may do so.
fn left_by(mark: &Path) -> Vec<Inside> {
    let until = Instant::now() + GRACE;
    loop {
        let left = inside::started_by_command(mark);
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        thread::sleep(TICK * 5);
    }
}

fn start(argv: &[OsString], tree: &Tree, directory: &Path, hold: &Hold) -> io::Result<Child> {
    let (name, arguments) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("no program is named"))?;
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env("MM_TREE", &tree.root)
        .current_dir(directory);
    let held = hold.as_fd().as_raw_fd();
    // SAFETY: three system calls, no memory; the descriptor is open until the command has ended.
    unsafe {
        command.pre_exec(move || {
            fcntl_setfd(BorrowedFd::borrow_raw(held), FdFlags::empty())?;
            unblock_signals()?;
            set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)
        });
    }
    command.spawn()
}

/// Waits for its end; and which signal it was told to end by, if it was.
fn wait(child: &mut Child, interrupts: &Interrupts) -> io::Result<(End, Option<&'static str>)> {
    let mut is_told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            let end = match (status.code(), status.signal()) {
                (Some(code), _) => End::Exited(code),
                (None, signal) => End::Killed(signal.unwrap_or_default()),
            };
            return Ok((end, interrupts.came().map(|came| came.signal)));
        }
        // The terminal's own signals went to the command, too.
        let came = interrupts.came().filter(|came| came.from.is_some());
        if let Some(came) = came.filter(|_| !is_told) {
            let signal = match came.signal {
                "SIGHUP" => Signal::HUP,
                "SIGINT" => Signal::INT,
                _ => Signal::TERM,
            };
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            is_told = pid.is_some_and(|pid| kill_process(pid, signal).is_ok());
        }
        thread::sleep(TICK);
    }
}
