//! A tree of files removed, or brought to the disk, beneath an open directory.
//!
//! **Invariants.** Only what stands beneath the name is removed, never through a link.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, fsync, unlinkat};
use rustix::io::Errno;

use super::place::{is_there, open_beneath, open_own_directory, read_names};

/// Removes what stands at `name`, with all that is in it; nothing there is no error.
///
/// # Errors
/// The first thing that could not be removed.
pub fn remove(directory: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    let Some(stat) = is_there(&directory, name)? else {
        return Ok(());
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return unlinkat(&directory, name, AtFlags::empty());
    }
    let inside = open_own_directory(&directory, name)?;
    // A copy has the modes of what was copied; only its owner needs this.
    let _ = fchmod(&inside, Mode::RWXU);
    for name in read_names(&inside)? {
        remove(&inside, &name)?;
    }
    unlinkat(&directory, name, AtFlags::REMOVEDIR)
}

/// Brings a tree that is ours to the disk, file by file: the whole file system may have much else to
/// write.
///
/// # Errors
/// The kernel's.
pub fn bring_to_disk(directory: impl AsFd) -> Result<(), Errno> {
    for name in read_names(&directory)? {
        let Some(stat) = is_there(&directory, &name)? else {
            continue;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => bring_to_disk(open_own_directory(&directory, &name)?)?,
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK;
                match open_beneath(&directory, &name, flags, Mode::empty()) {
                    Ok(file) => fsync(file)?,
                    // A mode that even its owner cannot read by; its directory is synced.
                    Err(Errno::ACCESS) => {}
                    Err(error) => return Err(error),
                }
            }
            _ => {}
        }
    }
    fsync(&directory)
}
