//! The alias files and the MTA's database on disk: the crate `aliases` does it, this says it in
//! our words.
//!
//! **Invariants.** No file is written but through the crate, which replaces it whole or not at
//! all. An editor who was faster is `Raced`, and never overwritten.

use std::collections::BTreeSet;
use std::path::Path;

pub(super) use aliases::Original;
use aliases::{FileError, Method, Stands};

use super::error::AddressError;
use super::found::Found;
use crate::config::Mta;
use crate::site::Site;

/// Reads an alias file.
///
/// # Errors
/// It cannot be read, is no plain file, or has a second name.
pub(super) fn read(path: &Path) -> Result<Original, AddressError> {
    Original::read(path).map_err(|error| said(path, &error))
}

/// Replaces what was read by `bytes`; returns what the admin should know.
///
/// # Errors
/// `Raced` if somebody else was faster; else why, and nothing has changed, unless it says so.
pub(super) fn replace(
    original: &Original,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<String>, AddressError> {
    let replaced = aliases::replace(original, bytes).map_err(|error| said(path, &error))?;
    Ok(match replaced.method() {
        Method::Exchanged => Vec::new(),
        Method::Renamed => vec![format!(
            "{path:?}: its file system cannot exchange files; it was renamed into place"
        )],
    })
}

fn said(path: &Path, error: &FileError) -> AddressError {
    match error {
        FileError::Changed { .. } => AddressError::Raced(path.to_owned()),
        error if error.stands() == Stands::New => {
            AddressError::Half(vec![path.to_owned()], error.to_string())
        }
        error => AddressError::File(path.to_owned(), error.to_string(), hint(error)),
    }
}

fn hint(error: &FileError) -> Vec<String> {
    match error {
        FileError::HardLinked { .. } => {
            vec!["make it one file with one name; a symbolic link to it is followed".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// What the MTA's database has otherwise than the text, of these names: one sentence each.
///
/// # Errors
/// The MTA's tools cannot be asked.
pub(super) fn verify(
    site: &Site,
    _found: &Found,
    _names: &BTreeSet<String>,
) -> Result<Vec<String>, AddressError> {
    match site.config.mta {
        Mta::None => Ok(Vec::new()),
        Mta::Postfix => Err(AddressError::Database(
            Mta::Postfix,
            "it cannot be asked yet".into(),
        )),
    }
}

/// Builds the MTA's database from the text as it stands, and reads these names back.
///
/// # Errors
/// It could not be built, or says something else; what was before stands again.
pub(super) fn publish(
    site: &Site,
    found: &Found,
    names: &BTreeSet<String>,
) -> Result<Vec<String>, AddressError> {
    verify(site, found, names)
}
