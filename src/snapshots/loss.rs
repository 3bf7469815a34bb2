//! What would be lost if a snapshot were put back today, as far as it can be told from files alone.
//!
//! **Invariants.** Only reads, as the copy would be read: beneath open directories.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{OfList, Snapshot, SnapshotError, Store};
use crate::copying::{self, Place, Rules};
use crate::profiles::{self, ListData};

/// What is in today's data and not in the snapshot's.
#[derive(Debug, Default)]
pub struct Loss {
    /// Posts in mailboxes that grew since; `None` where no mailbox tells.
    pub posts: Option<u64>,
    /// Messages that wait for a moderator since.
    pub held: Vec<String>,
    /// Files that are others than they were, or gone, or new.
    pub files: Vec<PathBuf>,
}

/// Compares `snapshot` with what stands in its places today.
///
/// # Errors
/// The snapshot cannot be read.
pub fn loss(store: &Store, snapshot: &Snapshot, data: &ListData) -> Result<Loss, SnapshotError> {
    let mut loss = Loss::default();
    let of = OfList { data };
    let rules = Rules {
        grows: &|path| of.grows(path),
        without: &|path| of.is_left_out(path),
        ends: None,
        is_closed: false,
        is_over: &|| false,
    };
    let inside = store.data(snapshot)?;
    for (n, kept) in snapshot.places.iter().enumerate() {
        let failed = |error| store.file(&snapshot.id, error);
        let then = copying::open_own_directory(&inside, n.to_string().as_ref()).map_err(failed)?;
        let mut names = kept.there.clone();
        names.extend(today(&profiles::Place::of(
            &kept.directory.join(&kept.name).to_string_lossy(),
        )));
        for name in names {
            let path = kept.directory.join(&name);
            let Ok(now) = Place::find(&path).and_then(Place::real) else {
                continue;
            };
            let was = Place {
                directory: then
                    .try_clone()
                    .map_err(|error| store.file(&snapshot.id, error))?,
                name: name.into(),
                path,
            };
            for path in copying::differences(&was, &now, &rules)? {
                loss.add(&path, &was, &now, data)?;
            }
        }
    }
    if !data.posts.is_empty() {
        loss.posts.get_or_insert(0);
    }
    Ok(loss)
}

/// The names at a place today.
fn today(place: &profiles::Place) -> BTreeSet<String> {
    if let Some(name) = place.name() {
        return BTreeSet::from([name.to_owned()]);
    }
    let names = copying::open_directory(&place.directory)
        .ok()
        .and_then(|directory| copying::open_own_directory(directory, ".".as_ref()).ok())
        .and_then(|directory| copying::read_names(directory).ok());
    let its = names.into_iter().flatten();
    its.filter(|name| place.is_name(name))
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

impl Loss {
    fn add(
        &mut self,
        path: &Path,
        was: &Place,
        now: &Place,
        data: &ListData,
    ) -> Result<(), SnapshotError> {
        let is = |places: &[profiles::Place]| places.iter().any(|place| place.is(path));
        let below = path.strip_prefix(&now.path).unwrap_or(Path::new(""));
        if is(&data.posts) {
            let begin = copying::size(was, below)?.unwrap_or(0);
            let posts = copying::count_lines(now, below, begin, b"From ")?;
            *self.posts.get_or_insert(0) += posts;
        } else if is(&data.held) && copying::size(was, below)?.is_none() {
            let name = path.file_name().unwrap_or_default();
            self.held.push(name.to_string_lossy().into_owned());
        } else {
            self.files.push(path.to_owned());
        }
        Ok(())
    }
}
