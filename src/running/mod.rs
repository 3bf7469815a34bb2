//! A program of somebody else's that mm-parity runs: as whom, for how long, and what it said.
//!
//! It gets a process group of its own and a file, not a pipe, for its output: what it leaves
//! behind in the background holds nobody up. At its limit, or where somebody wants an end of it,
//! the whole group is ended. If mm-parity dies, so does the program.
//!
//! `attached` runs one on our own terminal instead.
//!
//! **Invariants.** No shell. The environment is what is given here and nothing else. What is
//! kept of its output is bounded, and is not yet fit for a terminal.

#![expect(unsafe_code, reason = "std cannot tie a child's life to ours")]

mod attached;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use crate::accounts::User;
use crate::output::{KEPT_HEAD, Output};

pub use attached::{Attached, Identity, Over, is_ignored};

/// Where programs that it starts are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often a program that runs on is looked after; most are over at once.
const FIRST: Duration = Duration::from_millis(1);
const TICK: Duration = Duration::from_millis(20);
/// How long it may take to end once it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// A program, and how it is run.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program's path, and its arguments.
    pub argv: Vec<OsString>,
    /// Its working directory.
    pub directory: PathBuf,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What it finds on its standard input.
    pub input: Vec<u8>,
    /// As whom; `None`: as ourselves. Supplementary groups are dropped.
    pub user: Option<User>,
    /// How long it may run.
    pub limit: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was ended at its limit.
    TimeUp,
    /// It was ended because somebody wanted an end of it.
    Broken,
}

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How.
    pub end: End,
    /// The beginning of what it printed on standard output and standard error: 16 KiB at most.
    pub output: Vec<u8>,
    /// The end of it: 4 KiB at most.
    pub tail: Vec<u8>,
}

impl Program {
    /// A program with nothing but a PATH in its environment, run in `/` as ourselves.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>, limit: Duration) -> Program {
        Program {
            argv: argv.into_iter().map(Into::into).collect(),
            directory: Path::new("/").to_owned(),
            environment: vec![("PATH".into(), PATH.into())],
            input: Vec::new(),
            user: None,
            limit,
        }
    }

    /// Runs it to its end, or to its limit.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run(&self) -> io::Result<Ended> {
        self.run_until(&|| false)
    }

    /// The same; where it `is_over` before, the program is ended.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_until(&self, is_over: &dyn Fn() -> bool) -> io::Result<Ended> {
        let output = Output::new()?;
        let (name, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| io::Error::other("no program is named"))?;
        let mut command = Command::new(name);
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(self.stdin()?)
            .stdout(output.copy()?)
            .stderr(output.copy()?)
            .process_group(0);
        if let Some(user) = &self.user {
            command.uid(user.uid).gid(user.gid);
        }
        // SAFETY: two system calls, no memory; they come after the change of user, which would
        // take the second one back.
        unsafe {
            command.pre_exec(|| {
                unblock_signals()?;
                set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)
            });
        }
        let mut child = command.spawn()?;
        let mut over = false;
        let end = wait(&mut child, self.limit, &mut || {
            // What prints for ever must not fill the machine's memory.
            output.trim();
            over = over || is_over();
            over
        })?;
        Ok(Ended {
            end: match end {
                End::TimeUp if over => End::Broken,
                end => end,
            },
            output: output.head(KEPT_HEAD),
            tail: output.tail(),
        })
    }

    /// A file, not a pipe: nobody need stay to fill it.
    fn stdin(&self) -> io::Result<Stdio> {
        if self.input.is_empty() {
            return Ok(Stdio::null());
        }
        let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
        file.write_all(&self.input)?;
        file.rewind()?;
        Ok(file.into())
    }
}

impl Ended {
    /// Whether it ended with 0.
    pub fn is_success(&self) -> bool {
        self.end == End::Exited(0)
    }

    /// The last line that it printed, fit for a terminal; empty if it said nothing.
    pub fn last_words(&self) -> String {
        let text = String::from_utf8_lossy(&self.tail);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        crate::syslog::printable(last.unwrap_or_default().trim())
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Exited(status) => write!(f, "ended with status {status}"),
            End::Killed(signal) => write!(f, "was killed by signal {signal}"),
            End::TimeUp => f.write_str("was still running at its time limit, and was ended"),
            End::Broken => f.write_str("was ended, since mm-parity was told to end"),
        }
    }
}

fn wait(child: &mut Child, limit: Duration, is_over: &mut dyn FnMut() -> bool) -> io::Result<End> {
    let begin = Instant::now();
    let mut pause = FIRST;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(end_of(status));
        }
        if begin.elapsed() >= limit || is_over() {
            break;
        }
        std::thread::sleep(pause.min(limit));
        pause = TICK.min(pause * 2);
    }
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let group = group.ok_or_else(|| io::Error::other("no process id"))?;
    let _ = kill_process_group(group, Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE && child.try_wait()?.is_none() {
        std::thread::sleep(TICK);
    }
    // Also those of the group that outlived its first one.
    let _ = kill_process_group(group, Signal::KILL);
    child.wait()?;
    Ok(End::TimeUp)
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    }
}

/// Blocks no signal: what std starts has those blocked that we have, and a move that waits has some.
/// For the moment between fork and exec.
///
/// # Errors
/// The kernel's.
pub fn unblock_signals() -> io::Result<()> {
    let mut none = std::mem::MaybeUninit::uninit();
    // SAFETY: the set is emptied before it is used; no memory is asked for.
    let failed = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    };
    match failed {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// A variable of an environment.
pub fn variable(name: &str, value: impl AsRef<OsStr>) -> (OsString, OsString) {
    (name.into(), value.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn shell(text: &str, limit: Duration) -> Ended {
        Program::new(["/bin/sh", "-c", text], limit).run().unwrap()
    }

    #[test]
    fn a_program_is_told_by_its_end_and_its_last_words() {
        let ended = shell(
            "echo one; printf 'two\\a\\n' >&2; exit 3",
            Duration::from_secs(20),
        );
        assert_eq!(ended.end, End::Exited(3));
        assert!(!ended.is_success());
        assert!(ended.last_words().starts_with("two"), "{ended:?}");
        assert!(!ended.last_words().contains('\u{7}'), "{ended:?}");
        let ended = shell("kill -KILL $$", Duration::from_secs(20));
        assert_eq!(ended.end, End::Killed(9));
    }

    #[test]
    fn a_program_and_all_it_started_end_at_the_limit() {
        let ended = shell(
            "trap '' TERM; (trap '' TERM; sleep 600) & echo $!; sleep 600",
            Duration::from_millis(200),
        );
        assert_eq!(ended.end, End::TimeUp);
        let pid: i32 = ended.last_words().parse().unwrap();
        let is_there = || {
            Path::new("/proc")
                .join(pid.to_string())
                .join("cwd")
                .exists()
        };
        let begin = Instant::now();
        while is_there() && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(TICK);
        }
        assert!(!is_there());
    }

    #[test]
    fn somebody_may_want_an_end_of_it_and_what_it_printed_last_is_kept() {
        let mut program = Program::new(
            [
                "/bin/sh",
                "-c",
                "cat; yes | head -c 100000; echo last; sleep 600",
            ],
            Duration::from_secs(60),
        );
        program.input = b"from a file\n".to_vec();
        let begin = Instant::now();
        let is_over = || begin.elapsed() > Duration::from_millis(500);
        let ended = program.run_until(&is_over).unwrap();
        assert_eq!(ended.end, End::Broken);
        assert_eq!(ended.last_words(), "last");
        assert!(ended.output.starts_with(b"from a file\ny\n"));
        assert!(ended.output.len() + ended.tail.len() < 100_000);
    }

    #[test]
    fn a_program_begins_with_no_signal_blocked_whatever_we_have_blocked() {
        let mut term = std::mem::MaybeUninit::uninit();
        // SAFETY: of this thread alone, which ends with the test; the set is emptied first.
        unsafe {
            libc::sigemptyset(term.as_mut_ptr());
            libc::sigaddset(term.as_mut_ptr(), libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_BLOCK, term.as_ptr(), std::ptr::null_mut());
        }
        let ended = shell("grep SigBlk /proc/self/status", Duration::from_secs(20));
        let words = ended.last_words();
        assert!(words.ends_with("0000000000000000"), "{words}");
    }

    #[test]
    fn what_is_left_in_the_background_holds_nobody_up_and_the_environment_is_ours() {
        let begin = Instant::now();
        let ended = shell("sleep 3 & env", Duration::from_secs(20));
        assert!(begin.elapsed() < Duration::from_secs(3));
        let text = String::from_utf8(ended.output).unwrap();
        assert!(text.lines().all(|line| {
            ["PATH=", "PWD=", "SHLVL=", "_="]
                .iter()
                .any(|name| line.starts_with(name))
        }));
    }
}
