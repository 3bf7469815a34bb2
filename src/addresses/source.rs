//! An alias file as it stands on disk, and whose reading of it counts here.
//!
//! **Invariants.** Reads; writes nothing.

use std::path::Path;

pub(super) use aliases::Original;
use aliases::{Dialect, FileError, OpenSmtpd, Stands};

use super::error::AddressError;
use crate::config;
use crate::site::Site;

/// Whose reading of an alias file is meant on this site: that of its MTA. The one place where
/// that is decided.
pub(super) fn dialect(site: &Site) -> Dialect {
    match site.config.mta {
        config::Mta::Postfix | config::Mta::None => Dialect::Postfix,
        config::Mta::Sendmail => Dialect::Sendmail,
        config::Mta::Exim => Dialect::Exim,
        config::Mta::OpenSmtpd => OpenSmtpd::dialect(&site.config.alias_files),
    }
}

/// Reads an alias file.
///
/// # Errors
/// It cannot be read, or is no plain file.
pub(super) fn read(path: &Path) -> Result<Original, AddressError> {
    Original::read(path).map_err(|error| said(path, &error))
}

/// Why the crate could not do something with a file, in our words.
pub(super) fn said(path: &Path, error: &FileError) -> AddressError {
    match error {
        FileError::Changed { .. } => AddressError::Raced(path.to_owned()),
        error if error.stands() == Stands::New => {
            AddressError::Half(vec![path.to_owned()], error.to_string())
        }
        error => AddressError::File(error.to_string(), hint(error)),
    }
}

fn hint(error: &FileError) -> Option<&'static str> {
    match error {
        FileError::Held { .. } => Some(
            "save and close it there, or end that process (its half is in the file then: look at it); \
             then type the command again",
        ),
        FileError::WroteOn { .. } => Some(
            "take over what was written there, then remove that file, and run the MTA's newaliases",
        ),
        FileError::HardLinked { .. } => {
            Some("make it one file with one name; a symbolic link to it is followed")
        }
        FileError::Write { source, .. } => match source.raw_os_error()? {
            libc::ENOSPC | libc::EDQUOT => {
                Some("the new file is written beside the old one: make room for both")
            }
            libc::EROFS => Some("the file system is mounted read-only: remount it with rw"),
            libc::EPERM => {
                Some("lsattr shows whether chattr made the file or its directory immutable")
            }
            libc::EACCES => Some("it takes a user who may write in that directory, such as root"),
            _ => None,
        },
        _ => None,
    }
}
