//! Owner, mode, times and extended attributes (and with them ACLs) of a copy.
//!
//! **Invariants.** The owner comes before the mode, which the kernel changes with it, and the times
//! come last. What the file system of the copy cannot hold is told, never passed over.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod,
    fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, statat, utimensat,
};
use rustix::io::Errno;

use crate::accounts;

/// What a copy could not take over, in words for the admin.
pub(super) type Lost = BTreeSet<&'static str>;

const LOST_OWNER: &str = "the owners of some files are not kept: only root can give files away";
const LOST_EXTENDED: &str =
    "extended attributes of some files are not kept: the file system of the copy has none";

/// Gives an open copy the attributes of what it was copied from.
pub(super) fn give(
    from: BorrowedFd<'_>,
    was: &Stat,
    to: BorrowedFd<'_>,
    is_plain: bool,
    lost: &mut Lost,
) -> Result<(), Errno> {
    let now = fstat(to)?;
    if (now.st_uid, now.st_gid) != (was.st_uid, was.st_gid) {
        let (uid, gid) = (Uid::from_raw(was.st_uid), Gid::from_raw(was.st_gid));
        may_fail(fchown(to, Some(uid), Some(gid)), lost)?;
    }
    fchmod(to, mode(was, is_plain))?;
    extended(from, to, lost)?;
    futimens(to, &times(was))
}

/// The same for what is not opened: a link, a pipe, a socket, a device.
pub(super) fn give_at(
    was: &Stat,
    directory: BorrowedFd<'_>,
    name: &OsStr,
    is_link: bool,
    lost: &mut Lost,
) -> Result<(), Errno> {
    let now = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (now.st_uid, now.st_gid) != (was.st_uid, was.st_gid) {
        let (uid, gid) = (Uid::from_raw(was.st_uid), Gid::from_raw(was.st_gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        may_fail(chownat(directory, name, Some(uid), Some(gid), flags), lost)?;
    }
    if !is_link {
        // The directory is ours alone: nobody puts a link there.
        chmodat(directory, name, mode(was, false), AtFlags::empty())?;
    }
    utimensat(directory, name, &times(was), AtFlags::SYMLINK_NOFOLLOW)
}

fn may_fail(done: Result<(), Errno>, lost: &mut Lost) -> Result<(), Errno> {
    match done {
        Err(Errno::PERM) if accounts::runner() != 0 => {
            lost.insert(LOST_OWNER);
            Ok(())
        }
        other => other,
    }
}

/// NOBODY'S PROGRAM. Of a plain file no set-id bit is copied: whoever may write the data may have
/// linked one there, to have it kept when it is replaced.
fn mode(was: &Stat, is_plain: bool) -> Mode {
    let mode = Mode::from_raw_mode(was.st_mode & 0o7777);
    match is_plain {
        true => mode - (Mode::SUID | Mode::SGID),
        false => mode,
    }
}

fn times(was: &Stat) -> Timestamps {
    let nanos = |nanos| i64::try_from(nanos).unwrap_or_default();
    Timestamps {
        last_access: Timespec {
            tv_sec: was.st_atime,
            tv_nsec: nanos(was.st_atime_nsec),
        },
        last_modification: Timespec {
            tv_sec: was.st_mtime,
            tv_nsec: nanos(was.st_mtime_nsec),
        },
    }
}

fn extended(from: BorrowedFd<'_>, to: BorrowedFd<'_>, lost: &mut Lost) -> Result<(), Errno> {
    let mut names = vec![0; 0];
    match all(|buffer| flistxattr(from, buffer)) {
        Ok(listed) => names.extend(listed),
        // The file system has none.
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error),
    }
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let is_always = name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_");
        let is_of_root = !name.starts_with(b"security.capability") && accounts::runner() == 0;
        if !is_always && !is_of_root {
            continue;
        }
        let value = match all(|buffer| fgetxattr(from, name, buffer)) {
            // Taken away meanwhile.
            Err(Errno::NODATA) => continue,
            other => other?,
        };
        match fsetxattr(to, name, &value, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => drop(lost.insert(LOST_EXTENDED)),
            // What a security module keeps for itself.
            Err(_) if !is_always => {}
            other => other?,
        }
    }
    Ok(())
}

/// What `read` fills a buffer with, whatever its length.
fn all(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1024 * 1024 => buffer = vec![0; buffer.len() * 4],
            Err(error) => return Err(error),
        }
    }
}
