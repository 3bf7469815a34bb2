//! What descends from us: all that a guarded program started, in whatever group or session.
//!
//! Orphans among them come to us, so who ends our children again and again ends them all.
//!
//! **Invariants.** Only children that we have not buried are told anything: their numbers cannot
//! be another's. Nothing allocates or locks but [`children`]'s caller: a fault may be answered
//! from here.

#![expect(
    unsafe_code,
    reason = "std cannot adopt orphans, nor wait for whichever child"
)]

use std::ffi::c_int;
use std::io;

/// Our children, by number (proc(5)); the guard has one thread.
const CHILDREN: &std::ffi::CStr = c"/proc/thread-self/children";
/// How often a fault kills what is left, with a pause of so many milliseconds.
const ROUNDS: u32 = 100;
const PAUSE: c_int = 10;

/// From here on what outlives its parent, and descends from us, is our child.
///
/// # Errors
/// The kernel's.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: sets one flag of this process.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Buries who is dead; whether anybody lives.
pub fn somebody_lives() -> bool {
    loop {
        // SAFETY: no status is asked for.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return true,
            pid if pid > 0 => {}
            _ => return false,
        }
    }
}

/// Does `act` for each of our children; for `program` alone where there is no /proc.
pub fn children(program: libc::pid_t, mut act: impl FnMut(libc::pid_t)) {
    let mut room = [0u8; 4096];
    // SAFETY: the path ends with NUL, and `room` is valid for its length.
    let length = unsafe {
        let file = libc::open(CHILDREN.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let length = libc::read(file, room.as_mut_ptr().cast(), room.len());
        libc::close(file);
        length
    };
    let Ok(length) = usize::try_from(length) else {
        return act(program);
    };
    // Each number has a blank behind it; one that is cut comes with the next look.
    let mut pid: libc::pid_t = 0;
    for byte in room.iter().take(length) {
        match byte {
            b'0'..=b'9' => {
                pid = pid
                    .saturating_mul(10)
                    .saturating_add(libc::pid_t::from(byte - b'0'));
            }
            _ => {
                if pid > 1 {
                    act(pid);
                }
                pid = 0;
            }
        }
    }
}

/// Sends `signal` to one of them.
pub fn tell(pid: libc::pid_t, signal: c_int) {
    // SAFETY: touches no memory.
    unsafe { libc::kill(pid, signal) };
}

/// Kills them all, for a process that ends now.
pub fn kill_all(program: libc::pid_t) {
    for _ in 0..ROUNDS {
        children(program, |pid| tell(pid, libc::SIGKILL));
        if !somebody_lives() {
            return;
        }
        // SAFETY: no descriptor is looked at.
        unsafe { libc::poll(std::ptr::null_mut(), 0, PAUSE) };
    }
}
