//! restoring.json: what is being put back, so that whoever comes after a kill can bring it to an end
//! (the table in `restore`).
//!
//! **Invariants.** It is replaced whole, and synced, before what it tells of is begun; it goes when all
//! is done.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::row::{Row, WHOLE};
use super::{ASIDE, Kept, LARGEST, Snapshot, SnapshotError, Store, Why, open_or_make, take};
use crate::copying::{self, Place, read_names};

/// Its name.
pub(super) const JOURNAL: &str = "restoring.json";

/// restoring.json.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) format: u32,
    /// The change that is the commit point.
    pub(super) generation: u64,
    pub(super) command: String,
    pub(super) when: String,
    /// What was found to be so by the first who looked: whether the commit point was reached.
    pub(super) decided: Option<bool>,
    pub(super) places: Vec<Row>,
    /// What is known of today's data, by list.
    pub(super) today: BTreeMap<String, Today>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Today {
    pub(super) tree: String,
    pub(super) release: String,
    pub(super) data_version: Option<u64>,
}

/// What became of what a killed one left.
#[derive(Debug, Default)]
pub struct Mended {
    /// Sentences for the admin.
    pub notes: Vec<String>,
}

/// Whether a killed one left something half done.
pub fn is_cut_short(store: &Store) -> bool {
    store.path.join(JOURNAL).symlink_metadata().is_ok()
}

impl Journal {
    pub(super) fn read(store: &Store) -> Result<Option<Journal>, SnapshotError> {
        let path = store.path.join(JOURNAL);
        let failed = |error| SnapshotError::File(path.clone(), error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        file.take(LARGEST)
            .read_to_string(&mut text)
            .map_err(failed)?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| SnapshotError::Metadata(path.clone(), error.to_string()))
    }

    /// Replaces the file, synced.
    pub(super) fn write(&self, store: &Store) -> Result<(), SnapshotError> {
        let all = store.make()?;
        let new = format!("{JOURNAL}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let done = openat(&all, &new, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
            .map_err(std::io::Error::from)
            .and_then(|file| {
                let mut file = File::from(file);
                file.write_all(&serde_json::to_vec(self)?)?;
                file.sync_all()?;
                renameat(&all, &new, &all, JOURNAL)?;
                fsync(&all)?;
                Ok(())
            });
        done.map_err(|error| store.file(JOURNAL, error))
    }

    pub(super) fn remove(store: &Store) -> Result<(), SnapshotError> {
        let Some(all) = store.open()? else {
            return Ok(());
        };
        match unlinkat(&all, JOURNAL, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => fsync(&all).map_err(|error| store.file("", error)),
            Err(error) => Err(store.file(JOURNAL, error)),
        }
    }

    /// Moves what the directories beside the places hold to a snapshot of each list, and removes
    /// them.
    pub(super) fn set_aside(&self, store: &Store, why: Why) -> Result<(), SnapshotError> {
        let all = store.make()?;
        // KILLED AS IT CLEANED UP. What is kept already has left its directory: what is there now is
        // empty, and no snapshot.
        let kept = super::kept_by(store, self.generation, |one| {
            (one.why, &one.when, &one.command) == (why, &self.when, &self.command)
        })?;
        let name = format!("{ASIDE}{}", self.generation);
        let aside = open_or_make(&all, &name).map_err(|error| store.file(&name, error))?;
        let failed = |error: Errno| store.file(&name, error);
        let mut lists: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.places.iter().filter(|row| !kept.contains(&row.list)) {
            lists.entry(&row.list).or_default().push(row);
        }
        let is_empty = lists.is_empty();
        let mut sum = 0;
        for (list, rows) in lists {
            let own = open_or_make(&aside, list).map_err(failed)?;
            let data = open_or_make(&own, "data").map_err(failed)?;
            let (mut places, mut files, mut bytes) = (Vec::new(), 0, 0);
            for (n, row) in rows.iter().enumerate() {
                let into = open_or_make(&data, &n.to_string()).map_err(failed)?;
                row.empty_into(&into, why)?;
                let mut kept = Kept {
                    directory: row.directory.clone(),
                    name: row.name.clone(),
                    there: BTreeSet::new(),
                    ends: BTreeSet::new(),
                };
                for name in read_names(&into).map_err(failed)? {
                    let place = Place {
                        directory: into
                            .try_clone()
                            .map_err(|error| store.file(&name.to_string_lossy(), error))?,
                        path: row.directory.join(&name),
                        name: name.clone(),
                    };
                    let told = copying::measure(&place, &WHOLE);
                    (files, bytes) = (files + told.files, bytes + told.bytes);
                    kept.there.insert(name.to_string_lossy().into_owned());
                }
                places.push(kept);
            }
            sum += files;
            let today = self.today.get(list);
            let text = |of: fn(&Today) -> &String| today.map(of).cloned().unwrap_or_default();
            let snapshot = Snapshot {
                format: 1,
                list: list.to_owned(),
                id: String::new(),
                generation: self.generation,
                when: self.when.clone(),
                why,
                command: self.command.clone(),
                tree: text(|today| &today.tree),
                release: text(|today| &today.release),
                data_version: today.and_then(|today| today.data_version),
                files,
                bytes,
                places,
            };
            let written = snapshot.write(&own);
            written.map_err(|error| store.file(&name, error))?;
        }
        match is_empty {
            true => copying::remove(&all, OsStr::new(&name)).map_err(failed)?,
            false => {
                take::to_disk(&aside, sum).map_err(failed)?;
                store.keep(&aside, &name, self.generation)?;
            }
        }
        for row in &self.places {
            row.remove_holder()?;
        }
        Journal::remove(store)
    }
}

/// Finishes what a killed writer left: removes what it was making, and brings what it was putting
/// back to an end. `generation` is the last change that stands.
///
/// # Errors
/// What could not be done; the next writer tries again.
pub fn mend(store: &Store, generation: u64) -> Result<Mended, SnapshotError> {
    let mut mended = Mended::default();
    if let Some(mut journal) = Journal::read(store)? {
        let is_done = journal.decided.unwrap_or(generation >= journal.generation);
        if journal.decided.is_none() {
            journal.decided = Some(is_done);
            journal.write(store)?;
        }
        let lists: Vec<&str> = journal.today.keys().map(String::as_str).collect();
        let lists = lists.join(", ");
        if is_done {
            journal.set_aside(store, Why::Restore)?;
            mended.notes.push(format!(
                "a command that was killed had put data of {lists} back; what stood there is set aside"
            ));
        } else {
            let mut stood = false;
            for row in &journal.places {
                stood |= row.swap_back()?;
            }
            if stood {
                journal.set_aside(store, Why::CutShort)?;
                mended.notes.push(format!(
                    "a command was killed as it put data of {lists} back: all is as it was before, and \
                     what stood there meanwhile is kept"
                ));
            } else {
                for row in &journal.places {
                    row.remove_holder()?;
                }
                Journal::remove(store)?;
                mended.notes.push(format!(
                    "a command was killed before it put data of {lists} back: nothing was changed"
                ));
            }
        }
    }
    match take::tidy(store)? {
        0 => {}
        count => mended.notes.push(format!(
            "removed {count} snapshot that a killed command was taking"
        )),
    }
    Ok(mended)
}
