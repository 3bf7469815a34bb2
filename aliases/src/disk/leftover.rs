//! Temporary names beside a file, and what a killed run left under them.
//!
//! A name is `.BASE.PID.OWN-ORIGINAL.aliases-new`: the process, the inode of the temporary file (0
//! while it is being written) and that of the file it is to replace. Before the exchange the first
//! inode is under that name, after it the second. Any other one is somebody else's file, exchanged
//! in the instant before a kill: it is set aside, never deleted.
//!
//! **Invariants**: only regular files of this very shape of name are touched, and none of a process
//! that lives (but for our own number: one process never prepares one file twice at a time).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, RenameFlags};
use rustix::process::{Pid, test_kill_process};

use crate::disk::held::is_held;

const END: &str = "aliases-new";
/// So much of a long base name is used, so that the name stays below 255 bytes.
const BASE_MAX: usize = 128;

/// A temporary name; dropped, what stands under it is removed.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    owned: bool,
}

impl Leftover {
    pub(crate) fn new(directory: OwnedFd, name: OsString) -> Self {
        Self {
            directory,
            name,
            owned: true,
        }
    }

    /// Renames the file; the new name is now the one that is removed.
    pub(crate) fn rename(&mut self, name: OsString) -> io::Result<()> {
        rustix::fs::renameat(&self.directory, &self.name, &self.directory, &name)?;
        self.name = name;
        Ok(())
    }

    pub(crate) fn remove(&mut self) -> io::Result<()> {
        self.owned = false;
        Ok(rustix::fs::unlinkat(
            &self.directory,
            &self.name,
            AtFlags::empty(),
        )?)
    }

    /// Leaves what stands under the name alone.
    pub(crate) fn leave(&mut self) {
        self.owned = false;
    }

    /// Gives somebody else's file a name of its own, beside the one it had.
    pub(crate) fn set_aside(&mut self, base: &OsStr) {
        self.owned = false;
        if let Some(kept) = set_aside(&self.directory, &self.name, base) {
            self.name = kept;
        }
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        if self.owned {
            // Nobody to tell; the next run sweeps it.
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// The temporary name for a file `base` of inode `original`, by this process.
pub(crate) fn name(base: &OsStr, own: u64, original: u64) -> OsString {
    let mut name = prefix(base);
    name.push(format!("{}.{own}-{original}.{END}", std::process::id()));
    name
}

fn prefix(base: &OsStr) -> OsString {
    let base = base.as_bytes();
    let base = &base[..base.len().min(BASE_MAX)];
    OsString::from_vec([b".", base, b"."].concat())
}

/// What a temporary name says.
struct Parsed {
    process: i32,
    own: u64,
    original: u64,
}

fn parse(name: &OsStr, base: &OsStr) -> Option<Parsed> {
    let rest = name.as_bytes().strip_prefix(prefix(base).as_bytes())?;
    let mut parts = std::str::from_utf8(rest).ok()?.split('.');
    let process = parts.next()?.parse().ok()?;
    let (own, original) = parts.next()?.split_once('-')?;
    if parts.next() != Some(END) || parts.next().is_some() {
        return None;
    }
    Some(Parsed {
        process,
        own: own.parse().ok()?,
        original: original.parse().ok()?,
    })
}

/// Removes what killed runs left beside `base`. Failing is not worth a word: it is tried again.
pub(crate) fn sweep(directory: &OwnedFd, path: &Path, base: &OsStr) {
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(parsed) = parse(&name, base) else {
            continue;
        };
        let Ok(metadata) = entry.path().symlink_metadata() else {
            continue;
        };
        if !metadata.is_file() || lives(parsed.process) {
            continue;
        }
        let is_ours = parsed.own == 0 || parsed.own == metadata.ino();
        if is_ours || parsed.original == metadata.ino() && !is_written(&entry.path()) {
            let _ = rustix::fs::unlinkat(directory, &name, AtFlags::empty());
        } else {
            set_aside(directory, &name, base);
        }
    }
}

/// Whether somebody writes in the file, which he opened when it stood in its place.
fn is_written(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|file| is_held(&file))
}

/// Returns the name that the file has now, if that could be given.
fn set_aside(directory: &OwnedFd, name: &OsStr, base: &OsStr) -> Option<OsString> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let mut kept = base.to_owned();
    kept.push(format!(".kept-{}", stat.st_ino));
    let flags = RenameFlags::NOREPLACE;
    rustix::fs::renameat_with(directory, name, directory, &kept, flags).ok()?;
    Some(kept)
}

/// Whether a process of this number lives that is not this one.
pub(crate) fn lives(process: i32) -> bool {
    match Pid::from_raw(process) {
        Some(pid) if pid != rustix::process::getpid() => {
            !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
        }
        _ => false,
    }
}
