//! The system calls of a recorded run of ours, as strace wrote them down.
//!
//! Counted are those of our program alone, from a call on, such as that for its writer lock: the MTA's tools that it
//! starts run on undisturbed, as they would after a `kill -9`.

use std::collections::BTreeMap;

/// A system call of the recorded run: its name and which one of that name it is, from 1.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) number: usize,
}

impl Call {
    pub(crate) fn is_fsync(&self) -> bool {
        self.name.ends_with("sync")
    }

    /// Whether a disk, or another program, can tell whether it was made.
    pub(crate) fn changes(&self) -> bool {
        const NAMES: [&str; 22] = [
            "write",
            "pwrite64",
            "link",
            "linkat",
            "unlink",
            "unlinkat",
            "ftruncate",
            "fallocate",
            "copy_file_range",
            "mkdir",
            "mkdirat",
            "rmdir",
            "symlink",
            "symlinkat",
            "utimensat",
            "mount",
            "unshare",
            "vfork",
            "clone3",
            "execve",
            "wait4",
            "exit_group",
        ];
        self.is_fsync() || self.is_rename() || NAMES.contains(&self.name.as_str())
    }

    pub(crate) fn is_rename(&self) -> bool {
        self.name.starts_with("rename")
    }

    /// The errors that the kernel gives for such a call when a disk or its space ends, or a
    /// signal comes.
    pub(crate) fn errors(&self) -> &'static [&'static str] {
        match self.name.as_str() {
            "write" | "pwrite64" => &["EIO", "ENOSPC", "EINTR"],
            "openat" | "creat" => &["EIO", "ENOSPC", "EINTR"],
            "read" | "pread64" => &["EIO", "EINTR"],
            "fsync" | "fdatasync" => &["EIO", "ENOSPC"],
            "fallocate" => &["EOPNOTSUPP", "ENOSPC", "EINTR"],
            "rename" | "renameat" | "renameat2" | "mkdir" | "mkdirat" | "link" | "linkat"
            | "symlink" | "symlinkat" => &["EIO", "ENOSPC"],
            "unlink" | "unlinkat" | "rmdir" | "ftruncate" | "chmod" | "fchmod" | "fchmodat"
            | "fchown" | "fchownat" | "utimensat" | "statx" | "newfstatat" | "fstat" | "lstat"
            | "stat" | "getdents64" | "readlink" | "readlinkat" | "flistxattr" | "fgetxattr"
            | "fsetxattr" | "lseek" => &["EIO"],
            "openat2" => &["EIO", "ENOSPC"],
            "copy_file_range" => &["EIO", "ENOSPC", "EXDEV"],
            "mount" | "unshare" => &["EPERM"],
            "vfork" | "clone" | "clone3" | "pipe2" => &["EAGAIN"],
            _ => &[],
        }
    }
}

/// The calls after the one that took the writer's lock.
pub(crate) fn calls_after_the_lock(trace: &str) -> Vec<Call> {
    calls_after(trace, "LOCK_EX")
}

/// The calls after the first one whose line has `begins` in it.
pub(crate) fn calls_after(trace: &str, begins: &str) -> Vec<Call> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut calls = None;
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        if !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            continue;
        }
        let number = counts.entry(name.to_owned()).or_default();
        *number += 1;
        if let Some(calls) = &mut calls {
            let calls: &mut Vec<Call> = calls;
            calls.push(Call {
                name: name.to_owned(),
                number: *number,
            });
        } else if line.contains(begins) {
            calls = Some(Vec::new());
        }
    }
    let calls = calls.unwrap_or_else(|| panic!("there was no {begins:?}"));
    assert!(calls.len() > 20, "too few calls: {calls:?}");
    calls
}
