//! The entries that stand in the alias files, by name.
//!
//! **Invariants.** Reads every file once; all that is decided is decided on that reading. The
//! bytes on disk are the crate `aliases`' matter.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use aliases::{DestinationKind, Dialect, Document, Entry, EntryId};

use super::disk::{self, Original};
use super::error::AddressError;
use crate::site::Site;

/// Where an entry stands; in the order of the files, and within a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) file: usize,
    entry: usize,
}

/// What the MTA does with a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Means {
    /// Runs this command, given without the bar.
    Pipe(Vec<u8>),
    /// Sends on to this address or local name.
    Address(Vec<u8>),
    /// Appends to this file.
    File(Vec<u8>),
    /// Reads destinations from this file.
    Include(Vec<u8>),
}

/// One alias file as it was read.
#[derive(Debug)]
pub(super) struct AliasFile {
    pub(super) path: PathBuf,
    pub(super) original: Original,
    pub(super) document: Document,
    /// In the file's order, with the name as the MTA looks it up.
    entries: Vec<(EntryId, String)>,
}

/// Every alias file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: Vec<AliasFile>,
    dialect: Dialect,
    names: HashMap<String, Vec<Place>>,
}

impl Found {
    /// Reads the alias files of the site.
    ///
    /// # Errors
    /// One cannot be read.
    pub(super) fn read(site: &Site) -> Result<Found, AddressError> {
        let mut read = Vec::new();
        for path in &site.config.alias_files {
            read.push((path.clone(), disk::read(path)?));
        }
        Ok(Found::of(read, disk::dialect(site)))
    }

    fn of(originals: Vec<(PathBuf, Original)>, dialect: Dialect) -> Found {
        let mut names: HashMap<String, Vec<Place>> = HashMap::new();
        let mut files = Vec::new();
        for (file, (path, original)) in originals.into_iter().enumerate() {
            let document = Document::parse(original.bytes(), dialect);
            let entries: Vec<(EntryId, String)> = document
                .entries()
                .map(|entry| {
                    (
                        entry.id(),
                        String::from_utf8_lossy(&entry.name()).into_owned(),
                    )
                })
                .collect();
            for (entry, (_, name)) in entries.iter().enumerate() {
                names
                    .entry(name.clone())
                    .or_default()
                    .push(Place { file, entry });
            }
            files.push(AliasFile {
                path,
                original,
                document,
                entries,
            });
        }
        Found {
            files,
            dialect,
            names,
        }
    }

    /// The permission bits that every file has.
    pub(super) fn readable(&self) -> u32 {
        let modes = self.files.iter().map(|file| file.original.owner_and_mode());
        modes.fold(0o7777, |all, (_, _, mode)| all & mode)
    }

    /// Every entry, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = Place> + '_ {
        self.files.iter().enumerate().flat_map(|(file, found)| {
            (0..found.entries.len()).map(move |entry| Place { file, entry })
        })
    }

    /// The entries of this name, which is in lower case.
    pub(super) fn places(&self, name: &str) -> &[Place] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// The file of an entry.
    pub(super) fn path(&self, place: Place) -> &Path {
        &self.files[place.file].path
    }

    /// The handle of an entry in its document.
    pub(super) fn id(&self, place: Place) -> EntryId {
        self.files[place.file].entries[place.entry].0
    }

    /// The name of an entry, as the MTA looks it up.
    pub(super) fn folded(&self, place: Place) -> &str {
        &self.files[place.file].entries[place.entry].1
    }

    /// The name of the entry before this one in its file.
    pub(super) fn name_before(&self, place: Place) -> Option<&str> {
        let entry = place.entry.checked_sub(1)?;
        Some(&self.files[place.file].entries[entry].1)
    }

    fn entry(&self, place: Place) -> Option<Entry<'_>> {
        self.files[place.file].document.entry(self.id(place))
    }

    /// All bytes of an entry.
    pub(super) fn raw(&self, place: Place) -> &[u8] {
        self.entry(place).map_or(&[], |entry| entry.raw())
    }

    /// The line of an entry's name, from 1.
    pub(super) fn line(&self, place: Place) -> usize {
        self.entry(place).map_or(0, |entry| entry.line())
    }

    /// `/etc/aliases, line 12`.
    pub(super) fn shown(&self, place: Place) -> String {
        format!("{}, line {}", self.path(place).display(), self.line(place))
    }

    /// The destinations of an entry, in the order of the file.
    pub(super) fn destinations(&self, place: Place) -> Vec<Means> {
        self.entry(place)
            .map_or_else(Vec::new, |entry| means(&entry))
    }

    /// The destinations of the one entry that `raw` holds.
    pub(super) fn means_of(&self, raw: &[u8]) -> Vec<Means> {
        means_of(raw, self.dialect)
    }

    /// One file that holds `text`, for tests.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Found {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("mm-found-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a temporary file");
        let original = disk::read(&path).expect("the file just written");
        std::fs::remove_file(&path).expect("the file just written");
        Found::of(vec![(path, original)], Dialect::Postfix)
    }
}

/// The destinations of the one entry that `raw` holds.
pub(super) fn means_of(raw: &[u8], dialect: Dialect) -> Vec<Means> {
    let document = Document::parse(raw, dialect);
    let entry = document.entries().next();
    entry.map_or_else(Vec::new, |entry| means(&entry))
}

fn means(entry: &Entry<'_>) -> Vec<Means> {
    let destinations = entry.destinations();
    destinations
        .iter()
        .map(|destination| match destination.kind() {
            DestinationKind::Pipe(command) => Means::Pipe(command.clone()),
            // What the MTA says itself is nobody's to turn either.
            DestinationKind::Address(text) | DestinationKind::Verdict(text) => {
                Means::Address(text.clone())
            }
            DestinationKind::File(path) => Means::File(path.clone()),
            DestinationKind::Include(path) => Means::Include(path.clone()),
        })
        .collect()
}
