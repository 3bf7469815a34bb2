//! Whether somebody has a file open for writing, and who.
//!
//! The kernel is asked for a read lease (fcntl(2), F_SETLEASE): it gives one exactly while the file is
//! open for writing nowhere, in no process and under no name. The lease is given back at once.
//!
//! **Invariants**: asks, and changes nothing; who only reads is not seen. A descriptor of our own
//! counts like anybody's, so whoever asks has none that can write. Where the kernel gives no leases
//! (another's file, and no right to lease it; a file system without them) nobody is seen.

#![expect(unsafe_code, reason = "rustix has no leases")]

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// So much of a command is told, in characters.
const COMMAND: usize = 100;

/// File systems that refuse a lease for reasons of their own, in the words that mean a writer.
///
/// Source: linux/magic.h; nfs4proc.c and cifsfs.c give EAGAIN where the server delegated nothing.
const REMOTE: [u32; 4] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42];

/// fcntl(2): names the signal that is sent instead of SIGIO. Source: asm-generic/fcntl.h.
const F_SETSIG: libc::c_int = 10;

/// A process that has a file open for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub process: u32,
    /// Its user: the name by /etc/passwd, else the number.
    pub user: String,
    /// Its command, or as much as is told of it, escaped.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            process,
            user,
            command,
        } = self;
        write!(f, "process {process} of {user} (\"{command}\")")
    }
}

/// Whether somebody has this file, which we have open for reading, open for writing as well.
pub(crate) fn is_held(file: &File) -> bool {
    let descriptor = file.as_raw_fd();
    // SAFETY: calls on a descriptor that is open for as long as `file` is borrowed; no memory is
    // passed. Who opens the file while the lease is ours makes the kernel signal us: with SIGIO,
    // which kills, so another is named first, which does nothing where nobody wants it.
    let leased = unsafe {
        if libc::fcntl(descriptor, F_SETSIG, libc::SIGURG) == -1 {
            return false;
        }
        libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_RDLCK) != -1
    };
    if !leased {
        let refused = io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
        return refused && !is_remote(file);
    }
    // SAFETY: as above.
    unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK) };
    false
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a magic number has 32 bits, whatever type the platform keeps it in"
)]
fn is_remote(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|of| REMOTE.contains(&(of.f_type as u32)))
}

/// The processes that have the file at `real`, a path without links, open for writing, as far as
/// /proc tells us.
pub(crate) fn holders(real: &Path) -> Vec<Holder> {
    let Ok(wanted) = fs::metadata(real) else {
        return Vec::new();
    };
    let base = real.file_name().unwrap_or_default();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holder = |entry: fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let at = entry.path();
        has_open(&at, base, &wanted).then(|| told(process, &at))
    };
    processes.filter_map(holder).collect()
}

/// Whether the process at `at` in /proc has the file open for writing.
fn has_open(at: &Path, base: &OsStr, wanted: &fs::Metadata) -> bool {
    let descriptors = fs::read_dir(at.join("fd")).into_iter().flatten().flatten();
    let is_it = |entry: &fs::DirEntry| {
        let link = entry.path();
        // By name first: to look at a file of a server that does not answer would take for ever.
        let named = fs::read_link(&link).is_ok_and(|to| to.file_name() == Some(base));
        named
            && fs::metadata(&link)
                .is_ok_and(|it| (it.dev(), it.ino()) == (wanted.dev(), wanted.ino()))
    };
    let can_write = |entry: &fs::DirEntry| {
        let told = fs::read_to_string(at.join("fdinfo").join(entry.file_name()));
        let told = told.unwrap_or_default();
        let flags = told.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
        flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
    };
    descriptors
        .into_iter()
        .any(|entry| is_it(&entry) && can_write(&entry))
}

fn told(process: u32, at: &Path) -> Holder {
    let user = fs::metadata(at).map_or_else(|_| "?".to_owned(), |it| name_of(it.uid()));
    let words = fs::read(at.join("cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    let line = words.join(&b' ');
    let line = line.trim_ascii().escape_ascii().to_string();
    let command = match line.is_empty() {
        true => "?".to_owned(),
        false => line.chars().take(COMMAND).collect(),
    };
    Holder {
        process,
        user,
        command,
    }
}

fn name_of(user: u32) -> String {
    let number = user.to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&number)).then(|| name.escape_debug().to_string())
    });
    name.unwrap_or(number)
}
