//! What stands in a file that an alias includes (`:include:/path`).
//!
//! The MTA reads it when mail comes, and it is no alias file of ours: it is looked at to say what
//! happens, never edited.
//!
//! **Invariants.** Reads, and no more than a bounded number of bytes of a plain file.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use super::found::{Found, Means};

/// How much of such a file is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// The pipes that stand in the file, in its order.
///
/// # Errors
/// It cannot be read, or is no plain file.
pub(super) fn pipes(path: &[u8]) -> io::Result<Vec<Means>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(OsStr::from_bytes(path))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    let lines = bytes.split(|&b| b == b'\n');
    let entries = lines
        .filter(|line| line.contains(&b'|') && !line.starts_with(b"#"))
        .map(|line| [b"x: ", line].concat());
    Ok(entries
        .flat_map(|entry| Found::means_of(&entry))
        .filter(|means| matches!(means, Means::Pipe(_)))
        .collect())
}
