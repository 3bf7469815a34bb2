//! Signals that end a wait, and nothing else.
//!
//! A move that has turned aliases and waits for those inside is told to end by HUP (its terminal is
//! gone), INT (Ctrl-C) or TERM (somebody takes lists back, and goes first): the wait is over then as if
//! its time were, and the aliases go back. Without this it would just die there.
//!
//! **Invariants.** No handler runs: the signals are blocked, and asked for. What a move starts meanwhile
//! gets them as ever, since whoever starts it unblocks them there (`running`). A signal that comes when
//! there is nothing to wait for any more ends nothing: what was typed is done by then.

#![expect(unsafe_code, reason = "std has no signal sets")]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use libc::{c_int, siginfo_t, sigset_t, timespec};

use crate::running::is_ignored;

/// What ends a wait, and its name.
const ENDING: [(c_int, &str); 3] = [
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGTERM, "SIGTERM"),
];

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) struct Came {
    /// Its name.
    pub(in crate::admin) signal: &'static str,
    /// The process that sent it; none where the kernel did, as for Ctrl-C.
    pub(in crate::admin) from: Option<u32>,
}

/// These signals, kept for who asks. Dropped, they do again what they did before.
pub(in crate::admin) struct Interrupts {
    /// Those of them that are not ignored: who started us may have meant that (nohup).
    kept: sigset_t,
    before: sigset_t,
    came: Cell<Option<Came>>,
}

impl Interrupts {
    /// From now on they are kept.
    pub(in crate::admin) fn keep() -> Interrupts {
        let mut before = MaybeUninit::uninit();
        let kept = heeded();
        // SAFETY: both sets outlive the call, which fills `before` whatever it was.
        let before = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const kept, before.as_mut_ptr());
            before.assume_init()
        };
        Interrupts {
            kept,
            before,
            came: Cell::new(None),
        }
    }

    /// The one that came first, if any has.
    pub(in crate::admin) fn came(&self) -> Option<Came> {
        if self.came.get().is_none() {
            self.came.set(self.next());
        }
        self.came.get()
    }

    /// Takes one that waits for us, without waiting for it.
    fn next(&self) -> Option<Came> {
        let no_time = timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut told = MaybeUninit::<siginfo_t>::zeroed();
        // SAFETY: all three outlive the call.
        let signal = unsafe {
            libc::sigtimedwait(&raw const self.kept, told.as_mut_ptr(), &raw const no_time)
        };
        let (_, signal) = ENDING.iter().find(|(number, _)| *number == signal)?;
        // SAFETY: zeroes are a sound value, and the call filled it in.
        let told = unsafe { told.assume_init() };
        // SAFETY: what a process sends has a sender (sigaction(2), si_code).
        let from = (told.si_code <= 0).then(|| unsafe { told.si_pid() });
        Some(Came {
            signal,
            from: from.and_then(|pid| u32::try_from(pid).ok()),
        })
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        while self.next().is_some() {}
        // SAFETY: the set is the one that was had from the kernel.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, null_mut()) };
    }
}

/// Blocked, an ignored signal would be kept as well: the kernel cannot know what is made of it.
fn heeded() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is emptied before it is used, and outlives the calls.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for (signal, _) in ENDING
            .into_iter()
            .filter(|(signal, _)| !is_ignored(*signal))
        {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To this thread alone: the others of this process go on.
    fn raise(signal: c_int) {
        // SAFETY: no memory is involved.
        unsafe { libc::pthread_kill(libc::pthread_self(), signal) };
    }

    #[test]
    fn a_signal_is_kept_until_it_is_asked_for_and_nobody_dies_of_one_that_was_not() {
        let interrupts = Interrupts::keep();
        assert_eq!(interrupts.came(), None);
        raise(libc::SIGTERM);
        let came = Some(Came {
            signal: "SIGTERM",
            from: Some(std::process::id()),
        });
        assert_eq!(interrupts.came(), came);
        raise(libc::SIGINT);
        assert_eq!(interrupts.came(), came, "the first");
        drop(interrupts);
        let again = Interrupts::keep();
        assert_eq!(again.came(), None, "the second is gone");
    }
}
