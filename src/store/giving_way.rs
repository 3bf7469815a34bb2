//! Has a change that only waits give way to one that must not be held up.
//!
//! An `upgrade` holds the writer's lock while it waits for those inside, for minutes perhaps. Who takes
//! lists back tells it to end (SIGTERM); it then puts back what it turned, and lets go.
//!
//! **Invariants.** Nobody is told who does not have the lock's file open at that moment: a number that
//! a dead process left in that file may be anybody's.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Tells the process to end, if it has `file` open: whether it was told.
pub(super) fn ask(pid: u32, file: &File) -> bool {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Its number first: what is seen of it then is seen of this very process.
    let Some(process) = number.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    // Also of one that somebody stopped (Ctrl-Z): it goes on, and ends.
    let tell = |signal| pidfd_send_signal(&process, signal).is_ok();
    has_open(pid, file) && tell(Signal::TERM) && tell(Signal::CONT)
}

fn has_open(pid: u32, file: &File) -> bool {
    let Ok(wanted) = file.metadata() else {
        return false;
    };
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    open.any(|entry| {
        let meta = fs::metadata(entry.path());
        meta.is_ok_and(|meta| (meta.dev(), meta.ino()) == (wanted.dev(), wanted.ino()))
    })
}
