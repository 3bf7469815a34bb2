//! Standard descriptors whose other end is the MTA's: every wait for it has an end.
//!
//! **Invariants.** Never blocks longer than it was told, whether the descriptor is blocking or
//! not; a failure is the answer "no", for nothing here may change a delivery.

#![expect(
    unsafe_code,
    reason = "std has neither poll nor a look at an open descriptor's kind"
)]

use std::ffi::c_int;
use std::time::{Duration, Instant};

/// So many bytes a pipe that is ready takes without waiting (PIPE_BUF; pipe(7)).
const AT_ONCE: usize = 4096;

/// Whether the descriptor is open.
pub fn is_open(fd: c_int) -> bool {
    // SAFETY: F_GETFD touches no memory.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Waits for at most `time` until something can be read, be it the end.
pub fn is_readable(fd: c_int, time: Duration) -> bool {
    is_ready(fd, libc::POLLIN, time)
}

/// Whether all that will ever come has been written, read or not: whoever writes a pipe or a
/// socket has closed it; nobody writes anything else.
pub fn is_written(fd: c_int) -> bool {
    // SAFETY: plain data, for which all zeroes is a valid value, and which the kernel fills.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is the one that the call takes.
    let known = unsafe { libc::fstat(fd, &raw mut found) } == 0;
    if !known || !matches!(found.st_mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFSOCK) {
        return true;
    }
    polled(fd, libc::POLLRDHUP, Duration::ZERO) & (libc::POLLHUP | libc::POLLRDHUP) != 0
}

/// Writes as much of `bytes` as is taken within `time`.
pub fn write_within(fd: c_int, bytes: &[u8], time: Duration) {
    let end = Instant::now() + time;
    let mut rest = bytes;
    while !rest.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if !is_ready(fd, libc::POLLOUT, left) {
            return;
        }
        let part = &rest[..rest.len().min(AT_ONCE)];
        // SAFETY: `part` is valid for its length.
        let written = unsafe { libc::write(fd, part.as_ptr().cast(), part.len()) };
        match usize::try_from(written) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(_) if is_momentary() && !left.is_zero() => {}
            Err(_) => return,
        }
    }
}

fn is_momentary() -> bool {
    let kind = std::io::Error::last_os_error().kind();
    matches!(
        kind,
        std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock
    )
}

fn is_ready(fd: c_int, events: libc::c_short, time: Duration) -> bool {
    polled(fd, events, time) != 0
}

/// What poll(2) says of it within `time`; nothing is 0.
fn polled(fd: c_int, events: libc::c_short, time: Duration) -> libc::c_short {
    let mut wanted = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // Rounded up: a wait of nought over and over would burn the processor.
    let milliseconds = time.as_nanos().div_ceil(1_000_000);
    let milliseconds = c_int::try_from(milliseconds).unwrap_or(c_int::MAX);
    // SAFETY: one pollfd is handed over.
    match unsafe { libc::poll(&raw mut wanted, 1, milliseconds) } {
        1 => wanted.revents,
        _ => 0,
    }
}
