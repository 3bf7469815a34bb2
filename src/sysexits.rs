//! How our programs end: the statuses, and the net below them.
//!
//! A mail program that dies of a panic (101), of a signal, or for want of memory makes
//! three of four MTAs bounce the message. [`keep_mail_on_any_fault`] turns all of these
//! into [`TEMPFAIL`], the one status that every MTA retries. A web server would show a bare 500
//! for the same: [`answer_any_fault`] has it get a page that says "try again".
//!
//! **Invariants.** Nothing here allocates, locks or panics: it runs when those fail.

#![expect(
    unsafe_code,
    reason = "signal handlers and _exit have no safe form in std; each block argues its case"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_int;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::{descendants, notice};

/// Done.
pub const OK: c_int = 0;
/// No such address: the only permanent answer of mm-deliver's own (sysexits.h EX_NOUSER).
pub const NOUSER: c_int = 67;
/// The list manager refuses the message for good (EX_UNAVAILABLE); mm-lmtp alone says it.
pub const UNAVAILABLE: c_int = 69;
/// Try again later: every failure of ours (sysexits.h EX_TEMPFAIL).
pub const TEMPFAIL: c_int = 75;

/// What a stranger may read of a fault inside us. Postfix takes a leading `4.3.0` before the
/// exit status, so the message is deferred even where a shell in between loses the 75.
const FAULT: &[u8] = b"4.3.0 mm-deliver: internal error, message kept by the mail system\n";
const NO_MEMORY: &[u8] = b"4.3.0 mm-deliver: out of memory, message kept by the mail system\n";

/// What the web server's log has of such a fault.
const WEB_FAULT: &[u8] = b"mm-cgi: internal error, answered with 503\n";
const WEB_NO_MEMORY: &[u8] = b"mm-cgi: out of memory, answered with 503\n";

/// The signals whose default is death, and which a program can catch.
const FATAL: &[c_int] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGUSR1,
    libc::SIGSEGV,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSYS,
];

/// The real-time signals, whose default is death too; the C library keeps the first two.
const REAL_TIME: std::ops::RangeInclusive<c_int> = 34..=64;

/// The handlers' own stack: a stack that overflowed cannot carry one.
const STACK_BYTES: usize = 32 * 1024;
static mut STACK: [u8; STACK_BYTES] = [0; STACK_BYTES];

/// From here on a panic or a fatal signal ends the process with [`TEMPFAIL`].
///
/// Signals that whoever started us ignores stay ignored, and a caught signal falls back to
/// its default at exec: the tree's program finds the dispositions that the MTA gave to us.
pub fn keep_mail_on_any_fault() {
    std::panic::set_hook(Box::new(|_| end(FAULT)));
    // SAFETY: STACK lives as long as the process and nothing else touches it; the structs
    // are plain data for which all zeroes is a valid value.
    unsafe {
        let stack = libc::stack_t {
            ss_sp: ptr::addr_of_mut!(STACK).cast(),
            ss_flags: 0,
            ss_size: STACK_BYTES,
        };
        libc::sigaltstack(&raw const stack, ptr::null_mut());
        for signal in FATAL.iter().copied().chain(REAL_TIME) {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK;
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, &raw const action, &raw mut before);
            if before.sa_sigaction != libc::SIG_DFL {
                libc::sigaction(signal, &raw const before, ptr::null_mut());
            }
        }
    }
}

extern "C" fn on_signal(_signal: c_int) {
    end(FAULT)
}

/// What a fault of ours has to do with a message that a program of ours has: the program's
/// number, or one of these.
static PROGRAM: AtomicI32 = AtomicI32::new(NONE);
const NONE: c_int = 0;
const DELIVERED: c_int = -1;

/// From here on a fault of ours kills our child `program` with all that descends from us, too:
/// nobody must take the message that we keep.
pub fn end_with_us(program: libc::pid_t) {
    PROGRAM.store(program, Ordering::Relaxed);
}

/// The program took the message: from here on a fault of ours ends with [`OK`], for
/// [`TEMPFAIL`] would bring the message again.
pub fn is_delivered() {
    PROGRAM.store(DELIVERED, Ordering::Relaxed);
}

/// Whether a web server waits for an answer, and whether that has begun.
static ANSWER: AtomicI32 = AtomicI32::new(NONE);
const DUE: c_int = 1;
const BEGUN: c_int = 2;

/// As [`keep_mail_on_any_fault`], for a program of a web server's: a fault is answered with
/// [`notice::FAULT`], and the process ends with [`OK`], since that answer is whole.
pub fn answer_any_fault() {
    ANSWER.store(DUE, Ordering::Relaxed);
    keep_mail_on_any_fault();
}

/// Writes an answer to a web server, and reads off what the request has besides. From here on a
/// fault adds nothing to it.
pub fn answer(text: &[u8]) {
    ANSWER.store(BEGUN, Ordering::Relaxed);
    let mut rest = text;
    while !rest.is_empty() {
        // SAFETY: write reads `rest` for its length.
        let done = unsafe { libc::write(1, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(done) {
            Ok(0) => break,
            Ok(written) => rest = &rest[written..],
            Err(_) if Error::last_os_error().kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    read_off();
}

/// How long the next bytes of a request may take, in milliseconds, and all of them, in seconds.
const NEXT: c_int = 5_000;
const ALL: libc::time_t = 60;

/// Reads standard input to its end, which a visitor may delay: not for ever.
///
/// WHO DOES NOT READ. fcgiwrap hands the whole body on before it looks for an answer, and makes a
/// 502 of an answer whose program has gone meanwhile.
fn read_off() {
    let mut block = [0_u8; 8_192];
    let begun = seconds();
    while seconds() - begun < ALL {
        let mut stdin = libc::pollfd {
            fd: 0,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: poll and read are async-signal-safe; one pollfd is handed over, and `block` is
        // as long as is said.
        let got = unsafe {
            if libc::poll(&raw mut stdin, 1, NEXT) != 1 {
                return;
            }
            libc::read(0, block.as_mut_ptr().cast(), block.len())
        };
        if got <= 0 {
            return;
        }
    }
}

/// Of a clock that nobody sets.
fn seconds() -> libc::time_t {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime is async-signal-safe and fills the struct.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec
}

/// Writes one line to stderr, whatever becomes of it, and ends the process with [`TEMPFAIL`],
/// or with [`OK`] if the message is delivered.
fn end(line: &[u8]) -> ! {
    let order = Ordering::Relaxed;
    match ANSWER.compare_exchange(DUE, BEGUN, order, order) {
        Ok(_) => answer_with_fault(line == NO_MEMORY),
        // Nothing can be added: most often the visitor is gone.
        Err(BEGUN) => exit(OK),
        Err(_) => {}
    }
    match PROGRAM.load(Ordering::Relaxed) {
        DELIVERED => exit(OK),
        NONE => {}
        program => descendants::kill_all(program),
    }
    write(line);
    exit(TEMPFAIL)
}

/// Writes the page of a fault, and what the web server's log has of it; ends the process.
fn answer_with_fault(is_memory: bool) -> ! {
    // The standard output is a pipe that nothing was written to: it takes a page at once.
    // SAFETY: write is async-signal-safe, and the page lives for ever.
    unsafe { libc::write(1, notice::FAULT.as_ptr().cast(), notice::FAULT.len()) };
    write(match is_memory {
        true => WEB_NO_MEMORY,
        false => WEB_FAULT,
    });
    read_off();
    exit(OK)
}

/// Writes to stderr if that takes it at once: nobody may read a pipe that is full.
fn write(line: &[u8]) {
    let mut stderr = libc::pollfd {
        fd: 2,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: poll and write are async-signal-safe; one pollfd is handed over, and `line` is
    // valid for its length. A pipe that is ready takes PIPE_BUF bytes without waiting.
    unsafe {
        if libc::poll(&raw mut stderr, 1, 0) == 1 {
            libc::write(2, line.as_ptr().cast(), line.len());
        }
    }
}

/// Ends the process at once, without destructors and without flushing anything.
pub fn exit(status: c_int) -> ! {
    // SAFETY: _exit takes any status and does not return.
    unsafe { libc::_exit(status) }
}

/// Writes `line` to stderr; a closed or full stderr changes nothing.
pub fn say(line: &str) {
    write(line.as_bytes());
}

/// Whether descriptors 0, 1 and 2 are open: the first that is not, if any.
///
/// The first file that a program opens would else become its standard input.
pub fn closed_standard_descriptor() -> Option<c_int> {
    // SAFETY: F_GETFD touches no memory.
    (0..3).find(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1)
}

/// Closes every descriptor above 2 but `kept`, if there is one, which the next program gets.
///
/// Where the kernel knows no `close_range`, or a filter forbids it, one by one.
pub fn close_others(kept: Option<BorrowedFd<'_>>) {
    // Without one, all that is above standard error.
    let kept = kept.map_or(2, |kept| kept.as_raw_fd());
    // SAFETY: closing descriptors touches no memory; std holds none at this point whose
    // owner is used afterwards, since exec or exit follows. getrlimit fills the struct.
    unsafe {
        if kept > 2 {
            libc::fcntl(kept, libc::F_SETFD, 0);
        }
        // A range that begins behind its end is refused: then there is nothing to close.
        let below = kept <= 3 || libc::syscall(libc::SYS_close_range, 3, kept - 1, 0) == 0;
        if below && libc::syscall(libc::SYS_close_range, kept + 1, u32::MAX, 0) == 0 {
            return;
        }
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        for fd in 3..c_int::try_from(limit.rlim_cur)
            .unwrap_or(MOST_DESCRIPTORS)
            .min(MOST_DESCRIPTORS)
        {
            if fd != kept {
                libc::close(fd);
            }
        }
    }
}

/// More than any MTA hands on.
const MOST_DESCRIPTORS: c_int = 65_536;

/// The system's allocator, which ends the process with [`TEMPFAIL`] where memory is exhausted;
/// the standard answer would be SIGABRT.
#[derive(Debug)]
pub struct KeepMail;

// SAFETY: every call goes to the system's allocator unchanged; null is never returned.
unsafe impl GlobalAlloc for KeepMail {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        sound(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        sound(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        sound(unsafe { System.realloc(place, layout, size) })
    }
}

fn sound(place: *mut u8) -> *mut u8 {
    if place.is_null() {
        end(NO_MEMORY)
    } else {
        place
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::process::Command;

    use super::*;

    /// Runs the test `name` again in a process of its own, where it commits its fault.
    fn committing_its_fault(name: &str) -> bool {
        const IN_CHILD: &str = "MM_TEST_FAULT";
        if std::env::var_os(IN_CHILD).is_some() {
            return true;
        }
        let done = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &format!("sysexits::tests::{name}"),
                "--nocapture",
            ])
            .env(IN_CHILD, "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(TEMPFAIL), "{name}: {stderr}");
        assert!(
            stderr.starts_with("4.3.0 mm-deliver: internal error"),
            "{stderr}"
        );
        false
    }

    #[test]
    fn a_panic_keeps_the_message() {
        if committing_its_fault("a_panic_keeps_the_message") {
            keep_mail_on_any_fault();
            panic!("on purpose");
        }
    }

    #[test]
    fn an_abort_keeps_the_message() {
        if committing_its_fault("an_abort_keeps_the_message") {
            // The harness's own handlers would keep ours from being set.
            reset_fatal_signals();
            keep_mail_on_any_fault();
            std::process::abort();
        }
    }

    #[test]
    fn a_stack_that_overflows_keeps_the_message() {
        if committing_its_fault("a_stack_that_overflows_keeps_the_message") {
            reset_fatal_signals();
            // The alternate stack is this thread's alone, and so is the overflow.
            keep_mail_on_any_fault();
            assert!(deeper(1) > 0);
        }
    }

    fn reset_fatal_signals() {
        for &signal in FATAL {
            // SAFETY: resets a disposition, touches no memory.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }

    #[expect(unconditional_recursion, reason = "the fault that is asked for")]
    fn deeper(depth: u64) -> u64 {
        let room = std::hint::black_box([depth; 64]);
        room[7] + deeper(std::hint::black_box(depth + 1))
    }
}
