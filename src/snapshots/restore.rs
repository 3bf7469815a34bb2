//! Snapshots put back, and today's data set aside.
//!
//! Beside each place a directory is made that only we can enter, `.mm-deliver-…`: in its `new` the
//! snapshot's files are made ready, and change names with today's when the doors are closed. What
//! stood there today goes below STATE/snapshots, by rename, or as a copy where that is another file
//! system.
//!
//! | a kill after | lists' data | the other ones | the next writer |
//! |---|---|---|---|
//! | 1. restoring.json says which directories will be made | today's | the snapshot's, whole in STATE/snapshots, as all the time | removes those directories |
//! | 2. the snapshot's files are ready in them | today's | the same | the same |
//! | 3. restoring.json knows their inodes, all synced | today's | the same | the same |
//! | 4. some names have changed places | of each place today's or the snapshot's | today's in `new` and `old` there | changes them back; what stood there meanwhile is kept as `cut short` |
//! | 5. all have | the snapshot's | today's in `new` and `old` | the same as after 4 |
//! | 6. parity.toml: the commit point | the snapshot's | the same | goes on with 7 |
//! | 7. some of today's are in `.aside-N` | the snapshot's | today's, in both places together | goes on |
//! | 8. it has metadata, and the name N/LIST | the snapshot's | today's, set aside | removes what is empty |
//!
//! Whether the commit point was reached is told by the generation in parity.toml; the first look at
//! it is written down before anything is done about it.
//!
//! **Invariants.** Nothing is removed that stands nowhere else, but for what was made ready and never
//! stood in a list's place. Each place changes by one rename.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::journal::{Journal, Today};
use super::row::Row;
#[cfg(test)]
use super::{ASIDE, open_or_make};
use super::{Snapshot, SnapshotError, Store, Why, take};
use crate::clock::Timestamp;
use crate::copying::open_own_directory;
use crate::parts;
use crate::profiles::ListData;

/// A list whose data are to be put back.
#[derive(Debug, Clone)]
pub struct Back {
    /// From what.
    pub snapshot: Snapshot,
    /// What its data are today.
    pub data: ListData,
    /// The tree on which it is today, and the release in it.
    pub tree: (String, String),
    /// The version of today's data.
    pub data_version: Option<u64>,
}

/// Snapshots that are being put back.
#[derive(Debug)]
pub struct Restoring {
    store: Store,
    journal: Journal,
    backs: Vec<Back>,
    /// What the admin should know of it.
    pub notes: Vec<String>,
    is_begun: bool,
}

impl Restoring {
    /// `backs` are to be put back by change `generation`; nothing is touched yet.
    pub fn new(store: Store, command: &str, generation: u64, backs: Vec<Back>) -> Restoring {
        let mut places = Vec::new();
        let mut today = BTreeMap::new();
        for back in &backs {
            let list = &back.snapshot.list;
            for kept in &back.snapshot.places {
                places.push(Row {
                    list: list.clone(),
                    directory: kept.directory.clone(),
                    name: kept.name.clone(),
                    holder: format!(
                        ".mm-deliver-{generation}-{}-{}",
                        std::process::id(),
                        places.len()
                    ),
                    ready: BTreeMap::new(),
                });
            }
            let (tree, release) = back.tree.clone();
            let data_version = back.data_version;
            today.insert(
                list.clone(),
                Today {
                    tree,
                    release,
                    data_version,
                },
            );
        }
        Restoring {
            store,
            journal: Journal {
                format: 1,
                generation,
                command: command.to_owned(),
                when: Timestamp::now().to_string(),
                decided: None,
                places,
                today,
            },
            backs,
            notes: Vec::new(),
            is_begun: false,
        }
    }

    /// The lists.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.backs.iter().map(|back| back.snapshot.list.as_str())
    }

    /// The change that puts them back: what it sets aside is called so.
    pub fn generation(&self) -> u64 {
        self.journal.generation
    }

    /// Makes all ready beside the places, doors open.
    ///
    /// # Errors
    /// What could not be copied; then [`Restoring::undo`] removes what was made.
    pub fn ready(&mut self, is_over: &dyn Fn() -> bool) -> Result<(), SnapshotError> {
        let this = [Mutex::new(self)];
        let done = parts::each("copying what is put back", &this, is_over, |this, over| {
            let mut this = this.lock().unwrap_or_else(PoisonError::into_inner);
            this.make_ready(&|| over.load(Ordering::Relaxed))
        });
        done.into_iter().collect()
    }

    fn make_ready(&mut self, is_over: &(dyn Fn() -> bool + Sync)) -> Result<(), SnapshotError> {
        // ONE AT A TIME. Of an earlier one that could not be finished, the journal alone says where
        // today's data are.
        if !self.is_begun && Journal::read(&self.store)?.is_some() {
            let path = self.store.path.join(super::journal::JOURNAL);
            let what = "data that were put back earlier are not set aside yet";
            return Err(SnapshotError::Metadata(path, what.to_owned()));
        }
        // 1. One that fails may have left it there all the same.
        self.is_begun = true;
        self.journal.write(&self.store)?;
        let mut rows = self.journal.places.iter_mut();
        for back in &self.backs {
            let data = self.store.data(&back.snapshot)?;
            for (n, kept) in back.snapshot.places.iter().enumerate() {
                let Some(row) = rows.next() else { break };
                let n = n.to_string();
                let from = open_own_directory(&data, OsStr::new(&n))
                    .map_err(|error| self.store.file(&back.snapshot.id, error))?;
                row.make_ready(kept, &from, &mut self.notes, is_over)?;
            }
        }
        // 3. What is ready, on the disk.
        let files = self.backs.iter().map(|back| back.snapshot.files).sum();
        for row in &self.journal.places {
            if let Some((_, holder)) = row.holder()? {
                take::to_disk(&holder, files).map_err(row.failed())?;
            }
        }
        self.journal.write(&self.store)
    }

    /// Changes the places, doors closed.
    ///
    /// # Errors
    /// One could not be changed; then [`Restoring::undo`] changes the others back.
    pub fn swap(&mut self) -> Result<(), SnapshotError> {
        let mut rows = self.journal.places.iter();
        for back in &self.backs {
            for _ in &back.snapshot.places {
                let Some(row) = rows.next() else { break };
                row.bring_along(&back.data)?;
            }
        }
        for row in &self.journal.places {
            row.swap()?;
        }
        Ok(())
    }

    /// Changes back what was changed, and removes what was made ready.
    ///
    /// # Errors
    /// Something could not be changed back; the next writer tries again.
    pub fn undo(&mut self) -> Result<(), SnapshotError> {
        if !self.is_begun {
            return Ok(());
        }
        for row in &self.journal.places {
            row.swap_back()?;
        }
        for row in &self.journal.places {
            row.remove_holder()?;
        }
        self.is_begun = false;
        Journal::remove(&self.store)
    }

    /// Sets today's data aside, after the commit point.
    ///
    /// # Errors
    /// They are where they are, whole; the next writer tries again.
    pub fn set_aside(&mut self) -> Result<(), SnapshotError> {
        self.is_begun = false;
        self.journal.set_aside(&self.store, Why::Restore)
    }
}

/// Goes on for `steps` steps, then stops as if killed. Returns whether the commit point was reached,
/// and whether all is done.
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
pub(super) fn stop_after(mut it: Restoring, steps: usize) -> (bool, bool) {
    let mut left = steps;
    let mut step = move || {
        left = left.wrapping_sub(1);
        left == usize::MAX
    };
    if step() {
        return (false, false);
    }
    it.journal.write(&it.store).unwrap();
    let mut rows = it.journal.places.iter_mut();
    for back in &it.backs {
        let data = it.store.data(&back.snapshot).unwrap();
        for (n, kept) in back.snapshot.places.iter().enumerate() {
            if step() {
                return (false, false);
            }
            let from = open_own_directory(&data, OsStr::new(&n.to_string())).unwrap();
            let row = rows.next().unwrap();
            row.make_ready(kept, &from, &mut Vec::new(), &|| false)
                .unwrap();
        }
    }
    if step() {
        return (false, false);
    }
    it.journal.write(&it.store).unwrap();
    for row in &it.journal.places {
        if step() {
            return (false, false);
        }
        row.swap().unwrap();
    }
    // The commit point is parity.toml's.
    if step() {
        return (false, false);
    }
    if step() {
        return (true, false);
    }
    // What is set aside, place by place.
    let all = it.store.make().unwrap();
    let aside = open_or_make(&all, &format!("{ASIDE}{}", it.journal.generation)).unwrap();
    for (n, row) in it.journal.places.iter().enumerate() {
        let data = open_or_make(&aside, &row.list).unwrap();
        let data = open_or_make(&data, "data").unwrap();
        let own: Vec<_> = it
            .journal
            .places
            .iter()
            .filter(|one| one.list == row.list)
            .collect();
        let number = own.iter().position(|one| one.holder == row.holder).unwrap();
        let into = open_or_make(&data, &number.to_string()).unwrap();
        row.empty_into(&into, Why::Restore).unwrap();
        if step() {
            return (true, false);
        }
        if n == 0 {
            // The holder of an emptied place may be gone already.
            row.remove_holder().unwrap();
        }
    }
    it.set_aside().unwrap();
    (true, true)
}
