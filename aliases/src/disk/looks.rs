//! Makes one open file look like another: extended attributes, and with them ACL and label.
//!
//! **Invariants**: bytes are never touched; owner and mode are set before, by the caller, since
//! setting an ACL changes the mode to what it was on the other file.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

/// Gives `to` exactly the extended attributes of `from`.
///
/// A directory's default ACL may have given `to` one that `from` has not: it goes.
///
/// # Errors
/// Any of the kernel's, if an attribute that differs cannot be set.
pub(crate) fn copy_attributes(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let wanted = names(&from)?;
    for name in names(&to)?.iter().filter(|name| !wanted.contains(name)) {
        fremovexattr(&to, name.as_c_str())?;
    }
    for name in &wanted {
        let value = get(&from, name)?;
        if get(&to, name).ok().as_ref() != Some(&value) {
            fsetxattr(&to, name.as_c_str(), &value, XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// The names of a file's attributes, without those by which the kernel seals a file's bytes.
fn names(file: &impl AsFd) -> io::Result<Vec<CString>> {
    let list = match filled(|buffer| flistxattr(file, buffer)) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        list => list?,
    };
    let names = list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let names = names.filter(|name| !matches!(*name, b"security.ima" | b"security.evm"));
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

fn get(file: &impl AsFd, name: &CString) -> io::Result<Vec<u8>> {
    Ok(filled(|buffer| fgetxattr(file, name.as_c_str(), buffer))?)
}

/// The kernel's bound for one value and for a list of names, in bytes.
const LIMIT: usize = 65536;

fn filled(read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; LIMIT];
    let size = read(&mut buffer)?;
    buffer.truncate(size);
    Ok(buffer)
}
