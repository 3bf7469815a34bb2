//! A program of somebody else's that stands in the place of ours: on our terminal, with our input
//! and output, and what it ends with is what we end with.
//!
//! Order of events: signals are blocked, and asked for; the program is started, as somebody else
//! where that is asked, and gets a session of its own; what it is to hold is then held by it alone;
//! signals that we are sent are passed on to all of it, until it ends.
//!
//! A SESSION OF ITS OWN. The program reads data that its user may write, and our terminal may be
//! root's shell's: a process may push characters into the terminal of its own session (TIOCSTI), and
//! into no other. So it has none. It reads and writes ours as ever; what a terminal does for its own
//! session (Ctrl-C, Ctrl-Z, its size) we pass on.
//!
//! **Invariants.** No shell. The environment is what is given here and nothing else. Of our groups,
//! when we are root, none is left to the program. It is never left stopped where we go on.

#![expect(
    unsafe_code,
    reason = "std has no signal sets, no sessions and no groups"
)]

use std::ffi::{OsString, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::accounts::{User, runner};

/// What is passed on to the program. Those that are about our own children are asked for, too.
const PASSED: [c_int; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];
/// Those of them after which nothing else should be begun.
const ENDING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// As whom a program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user, with the primary group.
    pub user: User,
    /// The other groups.
    pub groups: Vec<u32>,
}

/// A program, and how it is run.
#[derive(Debug)]
pub struct Attached {
    /// The program's path, and its arguments.
    pub argv: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its working directory; `None`: ours.
    pub directory: Option<PathBuf>,
    /// Whether it gets our standard input; else an empty one.
    pub reads: bool,
    /// As whom.
    pub identity: Identity,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Its status; for one that a signal ended, 128 and the signal's number, as shells have it.
    pub status: u8,
    /// A signal by which somebody wanted us to end meanwhile.
    pub told: Option<c_int>,
}

impl Identity {
    /// `user` with the groups that /etc/group has him in, and `group`.
    ///
    /// # Errors
    /// /etc/group cannot be read.
    pub fn of(user: User, group: Option<u32>) -> io::Result<Identity> {
        let mut groups = user.groups()?;
        groups.extend(group);
        groups.retain(|&gid| gid != user.gid);
        groups.sort_unstable();
        groups.dedup();
        Ok(Identity { user, groups })
    }

    /// Becomes it, in a child that is about to become a program.
    fn assume(&self) -> io::Result<()> {
        // SAFETY: three system calls; the groups outlive theirs.
        let done = unsafe {
            libc::setgroups(self.groups.len(), self.groups.as_ptr()) == 0
                && libc::setgid(self.user.gid) == 0
                && libc::setuid(self.user.uid) == 0
        };
        done.then_some(()).ok_or_else(io::Error::last_os_error)
    }
}

impl Attached {
    /// Runs it to its end; it alone holds `held` meanwhile, and what it leaves in the background.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run(self, held: Option<impl AsFd>) -> io::Result<Over> {
        let (name, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| io::Error::other("no program is named"))?;
        let mut command = Command::new(name);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(match self.reads {
                true => Stdio::inherit(),
                false => Stdio::null(),
            });
        let kept = held.as_ref().map(|held| held.as_fd().as_raw_fd());
        let other = (self.identity.user.uid != runner()).then_some(self.identity);
        let directory = self.directory.map(|path| path.into_os_string());
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        let signals = Signals::keep();
        let before = signals.before;
        // SAFETY: system calls alone, without memory but what was made before.
        unsafe {
            command.pre_exec(move || {
                // std hands on what we blocked.
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
                if libc::setsid() == -1 {
                    return Err(io::Error::last_os_error());
                }
                if let Some(kept) = kept
                    && libc::fcntl(kept, libc::F_SETFD, 0) == -1
                {
                    return Err(io::Error::last_os_error());
                }
                other.as_ref().map_or(Ok(()), Identity::assume)
            });
        }
        let child = command.spawn()?;
        drop(held);
        signals.pass_on_to(child)
    }
}

/// Signals that are blocked, and asked for. Dropped, they do again what they did before.
struct Signals {
    asked: libc::sigset_t,
    before: libc::sigset_t,
}

impl Signals {
    fn keep() -> Signals {
        let others = [libc::SIGCHLD, libc::SIGTSTP, libc::SIGCONT];
        let mut asked = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: the set is emptied before it is used; both outlive the calls, which fill `before`.
        // Were SIGCHLD ignored, the kernel would take the status along.
        unsafe {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            libc::sigemptyset(asked.as_mut_ptr());
            // Who started us may have meant that a signal is ignored (nohup): blocked, it would be
            // kept all the same.
            let passed = PASSED.into_iter().filter(|&signal| !is_ignored(signal));
            for signal in passed.chain(others) {
                libc::sigaddset(asked.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, asked.as_ptr(), before.as_mut_ptr());
            Signals {
                asked: asked.assume_init(),
                before: before.assume_init(),
            }
        }
    }

    fn pass_on_to(self, mut child: Child) -> io::Result<Over> {
        let group = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
        // SAFETY: no memory is involved; the session's first process is not waited for yet, so its
        // number is nobody else's.
        let send = |signal: c_int| unsafe { libc::kill(-group, signal) };
        let mut told = None;
        loop {
            if let Some(status) = child.try_wait()? {
                let status = status_of(status);
                return Ok(Over { status, told });
            }
            match self.next() {
                libc::SIGTSTP => {
                    send(libc::SIGSTOP);
                    // SAFETY: stops this process; it goes on behind this line.
                    unsafe { libc::raise(libc::SIGSTOP) };
                    send(libc::SIGCONT);
                }
                libc::SIGCONT => {
                    send(libc::SIGCONT);
                }
                signal if PASSED.contains(&signal) => {
                    send(signal);
                    if ENDING.contains(&signal) {
                        told = told.or(Some(signal));
                    }
                }
                _ => {}
            }
        }
    }

    /// Waits for one of them, or for a moment: another thread could have got the one that says
    /// that the program has ended.
    fn next(&self) -> c_int {
        let moment = libc::timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        // SAFETY: both outlive the call; nothing is told of the signal but its number.
        unsafe {
            libc::sigtimedwait(
                &raw const self.asked,
                std::ptr::null_mut(),
                &raw const moment,
            )
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was had from the kernel.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.before,
                std::ptr::null_mut(),
            )
        };
    }
}

/// Whether this process ignores a signal.
pub fn is_ignored(signal: c_int) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed; what is read was filled by the call that succeeded.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn status_of(status: ExitStatus) -> u8 {
    let number = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    number
        .and_then(|number| u8::try_from(number).ok())
        .unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::accounts::Account;

    fn shell(text: &str) -> Attached {
        let user = Account::Number(runner()).user().unwrap();
        Attached {
            argv: ["/bin/sh", "-c", text].map(OsString::from).to_vec(),
            environment: Vec::new(),
            directory: Some("/".into()),
            reads: false,
            identity: Identity::of(user, None).unwrap(),
        }
    }

    #[test]
    fn the_status_is_the_programs_and_a_signals_is_the_shells() {
        let over = |text| shell(text).run(None::<std::fs::File>).unwrap();
        assert_eq!(over("exit 7").status, 7);
        assert_eq!(over("kill -KILL $$").status, 137);
        assert_eq!(over("kill -TERM $$").status, 143, "none is blocked");
        assert_eq!(over("read line; [ $? = 1 ]").status, 0, "an empty input");
        assert_eq!(over("exit 0").told, None);
    }

    #[test]
    fn the_program_has_a_session_of_its_own() {
        // Field 6 of /proc/PID/stat; its first process is this one.
        let text = "read -r _ _ _ _ _ session _ < /proc/$$/stat; [ \"$session\" = $$ ]";
        assert_eq!(shell(text).run(None::<std::fs::File>).unwrap().status, 0);
    }

    #[test]
    fn what_is_held_is_the_programs_alone() {
        let held = std::fs::File::open("/dev/null").unwrap();
        let number = held.as_raw_fd();
        let text = format!("[ -e /proc/self/fd/{number} ]");
        assert_eq!(shell(&text).run(Some(held)).unwrap().status, 0);
    }
}
