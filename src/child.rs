//! The guarded program as our child: it is started, waited for, and if need be ended.
//!
//! It stays in our process group: an MTA at its limit kills that, and must reach both of us.
//! Whatever it started can be ended with it (`descendants`). Our own signals are blocked from
//! before it begins, and asked for: nothing comes between two steps.
//!
//! **Invariants.** The child gets the message, the lock and an output; every signal but SIGXFSZ
//! has its default there, and none is blocked. Nobody is ended here who was not asked to: what works
//! on in the background works on.

#![expect(unsafe_code, reason = "std has no signal sets")]

use std::ffi::{OsStr, OsString, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::descendants;
use crate::output::Output;
use crate::probation::End;
use crate::sysexits;

/// How often a program that runs on is looked after.
const TICK: Duration = Duration::from_millis(100);
/// How long a program may take to end once it is asked to; less, if its deadline was shorter.
const GRACE: Duration = Duration::from_secs(10);
/// How long the kernel may take to end one that is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Signals that end a program unless it minds them: whoever sends us one wants the delivery to end.
const ENDING: &[c_int] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
];
/// Real-time signals are of that kind, too.
const REAL_TIME: std::ops::RangeInclusive<c_int> = 34..=64;
/// Signals that are blocked and mean nothing to us.
const IDLE: &[c_int] = &[
    libc::SIGCHLD,
    libc::SIGPIPE,
    libc::SIGXFSZ,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// A program that runs, or has ended.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    output: Output,
}

/// Blocks every signal that is asked for later, also those that whoever started us ignores.
///
/// Faults of our own (SIGSEGV and the like) stay with `sysexits`.
pub fn block_signals() {
    let signals = IDLE.iter().chain(ENDING).copied().chain(REAL_TIME);
    // SAFETY: the set is made empty before it is used; the handlers are the default ones.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
        // An ignored signal would be dropped, not kept for us; SIGCHLD would take the status along.
        for signal in IDLE.iter().chain(ENDING).copied().chain(REAL_TIME) {
            if signal != libc::SIGXFSZ {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

impl Child {
    /// Starts `program` with our standard input, our environment and the descriptors that are
    /// not closed at exec.
    ///
    /// # Errors
    /// The kernel's; nothing runs then.
    pub fn start(program: &OsStr, arguments: &[OsString]) -> io::Result<Child> {
        let output = Output::new()?;
        descendants::adopt_orphans()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::inherit())
            .stdout(output.copy()?)
            .stderr(output.copy()?);
        let guard = std::process::id();
        // SAFETY: only calls that are allowed between fork and exec (signal-safety(7)).
        unsafe { command.pre_exec(move || become_plain(guard)) };
        let child = command.spawn()?;
        let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
        sysexits::end_with_us(pid);
        Ok(Child { pid, output })
    }

    /// Waits until it ends by itself, but not beyond `deadline`, nor when a signal tells us to
    /// end: then it runs on.
    pub fn wait(&self, deadline: Instant) -> End {
        loop {
            if let Some(end) = self.ended() {
                return end;
            }
            self.output.trim();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return End::Late;
            }
            match next_signal(left.min(TICK)) {
                Some(signal) if !IDLE.contains(&signal) => {
                    // It may have ended by itself in this very moment.
                    let stopped = End::Stopped(u8::try_from(signal).unwrap_or(u8::MAX));
                    return self.ended().unwrap_or(stopped);
                }
                _ => {}
            }
        }
    }

    /// Ends it, if it runs, and whatever it started: nobody may take a message that the MTA
    /// keeps. `span` was its time.
    pub fn end_all(&self, span: Duration) {
        let mut asked = Vec::new();
        let ask = |pid| {
            if !asked.contains(&pid) {
                asked.push(pid);
                descendants::tell(pid, libc::SIGTERM);
                descendants::tell(pid, libc::SIGCONT);
            }
        };
        if !self.are_gone_within(GRACE.min(span), ask) {
            self.are_gone_within(PATIENCE, |pid| descendants::tell(pid, libc::SIGKILL));
        }
    }

    /// Does `act` for each of our children until there are none, within `time`.
    fn are_gone_within(&self, time: Duration, mut act: impl FnMut(libc::pid_t)) -> bool {
        let end = Instant::now() + time;
        while descendants::somebody_lives() {
            descendants::children(self.pid, &mut act);
            self.output.trim();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            next_signal(left.min(TICK));
        }
        true
    }

    /// What it printed.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Lets it be: who works on may print on ([`Output::trim_on`]).
    pub fn leave(self) {
        if descendants::somebody_lives() {
            self.output.trim_on();
        }
    }

    /// How it ended, if it has.
    fn ended(&self) -> Option<End> {
        let mut status = 0;
        // SAFETY: the kernel fills one integer.
        let found = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) };
        if found != self.pid {
            return None;
        }
        let byte = |number: c_int| u8::try_from(number).unwrap_or(u8::MAX);
        if !libc::WIFEXITED(status) {
            return Some(End::Killed(byte(libc::WTERMSIG(status))));
        }
        if libc::WEXITSTATUS(status) == 0 {
            sysexits::is_delivered();
        }
        Some(End::Exited(byte(libc::WEXITSTATUS(status))))
    }
}

/// Whether within `time` a signal comes that tells us to end; any other ends the wait, too.
pub fn is_told_to_end(time: Duration) -> bool {
    next_signal(time).is_some_and(|signal| !IDLE.contains(&signal))
}

/// The next blocked signal that comes within `time`.
fn next_signal(time: Duration) -> Option<c_int> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(1),
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    };
    // SAFETY: both structs outlive the call; which signals are blocked is asked first.
    let signal = unsafe {
        let mut blocked = MaybeUninit::uninit();
        libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), blocked.as_mut_ptr());
        libc::sigtimedwait(blocked.as_ptr(), std::ptr::null_mut(), &raw const timeout)
    };
    (signal > 0).then_some(signal)
}

/// In the child, before its exec: every signal at its default and none blocked, as no MTA has
/// it (they ignore up to four), and death with the guard, which alone knows the deadline. (The
/// kernel forgets that for a set-group-ID program; the MTA's own kill reaches it, by its group.)
fn become_plain(guard: u32) -> io::Result<()> {
    // SAFETY: plain system calls; the set is made empty before it is used.
    unsafe {
        for signal in (1..=31).chain(REAL_TIME) {
            // What is printed is a file here, of a size that the MTA may have limited: whoever
            // ignores the signal does not die of it.
            if signal != libc::SIGXFSZ {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // It may have died before that call.
        if u32::try_from(libc::getppid()) != Ok(guard) {
            sysexits::exit(sysexits::TEMPFAIL);
        }
    }
    Ok(())
}
