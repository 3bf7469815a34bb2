//! The bytes of a file: shared with the copy where the file system can, else copied with its holes.
//!
//! **Invariants.** No more is read than the size that was seen: a file that grows meanwhile is not
//! followed for ever.

use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, copy_file_range, ftruncate, ioctl_ficlone, seek};
use rustix::io::{Errno, pread, pwrite};

use super::ENDS;

/// So much is read at once where the kernel does not copy by itself.
const CHUNK: usize = 128 * 1024;
/// After so much it is asked whether it is over.
const STRETCH: u64 = 16 * 1024 * 1024;

/// Copies the first `size` bytes into an empty file; `false` if it was over before that.
pub(super) fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    size: u64,
    is_over: &dyn Fn() -> bool,
) -> Result<bool, Errno> {
    match ioctl_ficlone(to, from) {
        Ok(()) => {
            // It may have grown since it was looked at, or shrunk: then that is noticed.
            ftruncate(to, size)?;
            return Ok(true);
        }
        // Another file system, one that cannot, or a file of odd kind.
        Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOTTY | Errno::NOSYS) => {}
        Err(Errno::PERM | Errno::ACCESS | Errno::TXTBSY) => {}
        Err(error) => return Err(error),
    }
    // First the size: what is not written afterwards is a hole.
    ftruncate(to, size)?;
    let mut at = 0;
    while at < size {
        let Some(begin) = data(from, at)?.filter(|&begin| begin < size) else {
            break;
        };
        let end = seek(from, SeekFrom::Hole(begin)).unwrap_or(size).min(size);
        let mut done = begin;
        while done < end {
            if is_over() {
                return Ok(false);
            }
            let stretch = (end - done).min(STRETCH);
            let copied = range(from, to, done, stretch)?;
            if copied == 0 {
                return Ok(true);
            }
            done += copied;
        }
        at = end;
    }
    Ok(true)
}

/// Copies the first and the last bytes of those `size`; between them the copy has a hole.
pub(super) fn copy_ends(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    ftruncate(to, size)?;
    for begin in [0, size.saturating_sub(ENDS)] {
        let mut at = begin;
        let end = (begin + ENDS).min(size);
        while at < end {
            match range(from, to, at, end - at)? {
                0 => return Ok(()),
                copied => at += copied,
            }
        }
    }
    Ok(())
}

/// Where the next byte that is no hole stands, from `at` on.
fn data(from: BorrowedFd<'_>, at: u64) -> Result<Option<u64>, Errno> {
    match seek(from, SeekFrom::Data(at)) {
        Ok(begin) => Ok(Some(begin)),
        Err(Errno::NXIO) => Ok(None),
        // A file system that does not know of holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at)),
        Err(error) => Err(error),
    }
}

/// Copies up to `length` bytes from `at`; 0 at the end of the file.
fn range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, at: u64, length: u64) -> Result<u64, Errno> {
    let (mut read, mut written) = (at, at);
    let whole = usize::try_from(length).unwrap_or(usize::MAX);
    match copy_file_range(from, Some(&mut read), to, Some(&mut written), whole) {
        // Some file systems answer 0 where they mean that they cannot.
        Ok(0) => {}
        Ok(copied) => return Ok(u64::try_from(copied).unwrap_or_default()),
        Err(Errno::INTR) => {}
        Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let mut buffer = vec![0; whole.min(CHUNK)];
    let got = pread(from, &mut buffer, at)?;
    let mut done = 0;
    while done < got {
        done += pwrite(
            to,
            &buffer[done..got],
            at + u64::try_from(done).unwrap_or_default(),
        )?;
    }
    Ok(u64::try_from(got).unwrap_or_default())
}

/// Whether two files have the same bytes at both ends of the first `size`.
pub(super) fn same_ends(
    one: BorrowedFd<'_>,
    other: BorrowedFd<'_>,
    size: u64,
) -> Result<bool, Errno> {
    for begin in [0, size.saturating_sub(ENDS)] {
        let length = usize::try_from(ENDS.min(size - begin)).unwrap_or_default();
        if bytes(one, begin, length)? != bytes(other, begin, length)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn bytes(file: BorrowedFd<'_>, begin: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; length];
    let mut have = 0;
    while have < length {
        let at = begin + u64::try_from(have).unwrap_or_default();
        match pread(file, &mut buffer[have..], at)? {
            0 => break,
            got => have += got,
        }
    }
    buffer.truncate(have);
    Ok(buffer)
}
