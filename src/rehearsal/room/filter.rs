//! System calls that reach past every namespace, or past every limit: not there for what runs in a room.
//!
//! Keys are the kernel's own, by user (keyrings(7)); memory without a file or owner is counted for
//! nobody (memfd_create(2), shmget(2)); the rest is attack surface that no list manager needs. Programs see
//! what an older kernel would say: ENOSYS.
//!
//! **Invariants.** For a forked child: allocates nothing. Also programs of another architecture get it.

#![expect(unsafe_code, reason = "std knows no seccomp")]

use std::io;

use super::cage::cvt;

/// What `seccomp_data` says this processor's own calls are (linux/audit.h); 0: not known here.
const OWN: u32 = match () {
    () if cfg!(target_arch = "x86_64") => 0xC000_003E,
    () if cfg!(target_arch = "aarch64") => 0xC000_00B7,
    () if cfg!(target_arch = "riscv64") => 0xC000_00F3,
    () if cfg!(target_arch = "s390x") => 0x8000_0016,
    () if cfg!(all(target_arch = "powerpc64", target_endian = "little")) => 0xC000_0015,
    () => 0,
};
/// memfd_secret(2): the same number everywhere.
const MEMFD_SECRET: libc::c_long = 447;

const CLOSED: [libc::c_long; 10] = [
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_memfd_create,
    libc::SYS_perf_event_open,
    libc::SYS_request_key,
    libc::SYS_shmget,
    libc::SYS_userfaultfd,
    MEMFD_SECRET,
];
const FIRST: usize = 5;
const LENGTH: usize = FIRST + CLOSED.len() + 2;
const PROGRAM: [libc::sock_filter; LENGTH] = program();

const LOAD: u16 = 0x20;
const EQUALS: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7FFF_0000;
const NO_SUCH_CALL: u32 = 0x0005_0000 | 38;

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of system calls are small"
)]
const fn program() -> [libc::sock_filter; LENGTH] {
    let mut all = [step(RETURN, 0, 0, NO_SUCH_CALL); LENGTH];
    // The architecture, then the call's number; what is of x32 has a bit of its own.
    all[0] = step(LOAD, 0, 0, 4);
    all[1] = step(EQUALS, 1, 0, OWN);
    all[3] = step(LOAD, 0, 0, 0);
    all[4] = step(AT_LEAST, (CLOSED.len() + 1) as u8, 0, 0x4000_0000);
    let mut n = 0;
    while n < CLOSED.len() {
        all[FIRST + n] = step(EQUALS, (CLOSED.len() - n) as u8, 0, CLOSED[n] as u32);
        n += 1;
    }
    all[FIRST + CLOSED.len()] = step(RETURN, 0, 0, ALLOW);
    all
}

/// Whether there is a filter for this processor.
pub(super) const fn is_known() -> bool {
    OWN != 0
}

/// Closes them for this process, for good, and leaves the session's keys.
///
/// # Errors
/// The kernel's.
pub(super) fn close_ways() -> io::Result<()> {
    /// KEYCTL_JOIN_SESSION_KEYRING of linux/keyctl.h: a new one, without a name.
    const JOIN: libc::c_long = 1;
    // SAFETY: no memory of ours. A kernel without keys has none to leave.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN, std::ptr::null::<u8>()) };
    if joined == -1 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ENOSYS) {
            return Err(error);
        }
    }
    let filter = libc::sock_fprog {
        len: LENGTH as libc::c_ushort,
        filter: PROGRAM.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads the constant program, and copies it.
    cvt(unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    })
    .map(drop)
}
