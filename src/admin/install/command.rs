//! A command of the admin's that changes a tree: on his terminal, behind a fence.
//!
//! Order: signals are kept, the fence is made, the command runs, and ends. Ctrl-C is the terminal's,
//! and reaches the command by itself; what somebody sends to mm-parity alone is passed on. mm-parity
//! lives on until the command has ended, to record what came of it; if mm-parity is killed, the
//! command is told to end.
//!
//! **Invariants.** Not run as anybody but who typed it, and never without the fence.

#![expect(unsafe_code, reason = "std cannot tie a child's life to ours")]

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::admin::install::fence::{Fence, NoFence, working_directory};
use crate::admin::interrupts::Interrupts;
use crate::running::{End, unblock_signals};
use crate::tree::Tree;

/// How often it is looked after.
const TICK: Duration = Duration::from_millis(20);

/// Why it could not be run at all.
#[derive(Debug)]
pub enum NotRun {
    /// What it must not touch cannot be kept from it.
    Fence(NoFence),
    /// It cannot be started.
    Start(OsString, io::Error),
    /// It answered that all is well, and was told to end by this signal.
    Told(OsString, &'static str),
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
        }
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
    let done = fence.within(|| {
        let mut child = start(argv, tree, &directory)?;
        wait(&mut child, &Interrupts::keep())
    });
    let name = argv.first().cloned().unwrap_or_default();
    match done.map_err(NotRun::Fence)? {
        Ok((End::Exited(0), Some(signal))) => Err(NotRun::Told(name, signal)),
        Ok((end, _)) => Ok(end),
        Err(error) => Err(NotRun::Start(name, error)),
    }
}

fn start(argv: &[OsString], tree: &Tree, directory: &Path) -> io::Result<Child> {
    let (name, arguments) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("no program is named"))?;
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env("MM_TREE", &tree.root)
        .current_dir(directory);
    // SAFETY: two system calls, no memory.
    unsafe {
        command.pre_exec(|| {
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
