//! The text of virtual aliases on disk and its maps: the crate `aliases` puts them in place, as it
//! does with alias files, and finds out itself which maps Postfix makes of the file.
//!
//! | killed | on disk | what Postfix looks up | the next run |
//! |---|---|---|---|
//! | while maps are built beside | an empty text if there was none, and files beside | as before | sweeps them |
//! | after the text was replaced | new text, old maps | as before | finds the maps out of line, builds them |
//! | after a map was moved in | new text, a new map | each key as before or as wanted | the same |
//!
//! **Invariants.** Only with the writer's lock. A file that somebody else wrote is not replaced.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aliases::{
    Cause, DestinationKind, Expected, MapState, Mta, MtaError, Original, Postfix, PublishError,
    Published,
};

use super::domains::{HEADER, Map};
use super::error::AddressError;
use super::{disk, source};
use crate::config;
use crate::site::Site;
use crate::store::Writer;

/// So often the file is read anew because somebody else wrote it meanwhile.
const ATTEMPTS: usize = 5;

/// What was done.
#[derive(Debug)]
pub(super) enum Done {
    /// Text and maps were as wanted.
    Nothing,
    /// Text or maps were replaced.
    Written {
        /// The files of the maps that were built; none where Postfix makes none of this text.
        maps: Vec<PathBuf>,
        /// What the admin should know, a sentence each.
        notes: Vec<String>,
    },
}

/// Brings the text at `path` and its maps in line with `map`.
///
/// # Errors
/// `File` if it is somebody else's or cannot be written; `Database` if a tool fails; `Half` if
/// something is left to be looked at. Else nothing has changed.
pub(super) fn publish(
    site: &Site,
    path: &Path,
    map: &Map,
    _writer: &Writer,
) -> Result<Done, AddressError> {
    let mta = mta(site)?;
    let is_new = make(path)?;
    let attempt = || match publish_made(&mta, path, map) {
        Err(AddressError::Raced(_)) => None,
        done => Some(done),
    };
    let done = (0..ATTEMPTS).find_map(|_| attempt());
    let done = done.unwrap_or_else(|| Err(AddressError::Raced(path.to_owned())));
    if is_new && done.is_err() && fs::read(path).is_ok_and(|text| text.is_empty()) {
        let _ = fs::remove_file(path);
    }
    done
}

/// What Postfix has otherwise than `map`, which is what the text at `path` has.
///
/// # Errors
/// `NoMap`; the tools cannot be asked.
pub(super) fn wrong(site: &Site, path: &Path, map: &Map) -> Result<Option<String>, AddressError> {
    let original = source::read(path)?;
    match mta(site)?.verify(&original, &expected(map)) {
        Err(error) if is_unread(&error) => Err(AddressError::NoMap(path.to_owned())),
        Err(error) => Err(AddressError::Database(error.to_string())),
        Ok(states) => Ok(states.into_iter().find_map(|it| disk::trouble(path, it))),
    }
}

/// That of this site, for virtual aliases: where it is not Postfix, the text is all there is.
fn mta(site: &Site) -> Result<Mta, AddressError> {
    match site.config.mta {
        config::Mta::Postfix => Postfix::find_virtual()
            .map(Mta::Postfix)
            .map_err(|error| AddressError::Database(error.to_string())),
        _ => Ok(Mta::None),
    }
}

fn publish_made(mta: &Mta, path: &Path, map: &Map) -> Result<Done, AddressError> {
    let original = source::read(path)?;
    let before = original.bytes();
    if !before.is_empty() && !before.starts_with(HEADER.as_bytes()) {
        let what = format!("{path:?} was not made by mm-aliases virtual");
        let hint = "name another file, and add it to virtual_alias_maps";
        return Err(AddressError::File(what, Some(hint)));
    }
    mta.sweep(&original);
    match before == map.text().as_bytes() {
        true => mend(mta, &original, map),
        false => replace(mta, &original, map),
    }
}

fn replace(mta: &Mta, original: &Original, map: &Map) -> Result<Done, AddressError> {
    let text = map.text().into_bytes();
    let published = match mta.publish(original, &text, &expected(map)) {
        Err(PublishError::Refused(Cause::Mta(error))) if is_unread(&error) => {
            Mta::None.publish(original, &text, &[])
        }
        published => published,
    };
    written(original, published)
}

/// Builds the maps of a text that is as wanted, if they are not.
fn mend(mta: &Mta, original: &Original, map: &Map) -> Result<Done, AddressError> {
    let expected = expected(map);
    let is_well = |states: Vec<MapState>| states.iter().all(|state| state.trouble.is_none());
    match mta.verify(original, &expected).map(is_well) {
        Ok(true) => Ok(Done::Nothing),
        Err(error) if is_unread(&error) => Ok(Done::Nothing),
        Ok(false) => written(original, mta.rebuild(original, &expected)),
        Err(error) => Err(AddressError::Database(error.to_string())),
    }
}

fn written(
    original: &Original,
    published: Result<Published, PublishError>,
) -> Result<Done, AddressError> {
    let path = original.path();
    let published = published.map_err(|error| disk::unpublished(path, None, &error))?;
    Ok(Done::Written {
        notes: disk::notes(path, &published),
        maps: published.maps,
    })
}

/// Whether no map at all is made of the file.
fn is_unread(error: &MtaError) -> bool {
    matches!(error, MtaError::NoMap { others, .. } if others.is_empty())
}

fn expected(map: &Map) -> Vec<Expected> {
    let line = |(key, value): &(String, String)| Expected {
        name: key.as_bytes().to_vec(),
        destinations: Some(vec![DestinationKind::Address(value.as_bytes().to_vec())]),
    };
    map.lines.iter().map(line).collect()
}

/// Makes an empty file where there is none; whether it did.
fn make(path: &Path) -> Result<bool, AddressError> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o644).open(path) {
        Ok(file) => {
            // A umask may have cut it.
            let mode = fs::Permissions::from_mode(0o644);
            let done = file.set_permissions(mode);
            done.map_err(|error| AddressError::Io("write", path.to_owned(), error))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(AddressError::Io("make", path.to_owned(), error)),
    }
}
