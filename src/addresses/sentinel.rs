//! The sentinel of the lists' data: a file that says "these are the data, all of them".
//!
//! Where the file system with the lists is not mounted, the directory below may still hold the
//! few lists that stood there before it was. They enumerate well, and every other list seems to
//! be gone. So entries go only where the sentinel is; an admin makes it once, on that very file
//! system.
//!
//! **Invariants.** Looks at one file; never makes it: that would be to answer one's own question.

use super::error::AddressError;
use crate::tree::Tree;
use std::fs;

/// Asks for the sentinel.
///
/// # Errors
/// `NoSentinel`: it is not there, or is no plain file.
pub(super) fn check(tree: &Tree) -> Result<(), AddressError> {
    let path = tree.sentinel();
    match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_file() => Ok(()),
        _ => Err(AddressError::NoSentinel(path)),
    }
}
