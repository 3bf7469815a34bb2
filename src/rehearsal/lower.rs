//! What is below of a room's data: a copy of one list's, and of what its programs need besides.
//!
//! The live data are in use, and what is below a layer must not change: so they are copied, first as
//! they are, then again and again what changed meanwhile, until a round finds nothing. No door is closed
//! for it: no mail waits for a rehearsal.
//!
//! **Invariants.** Of the live data only files of this list, and those that the profile names, are read.
//! Nothing is written but below `to`, a directory of ours. What only grows and what is on its way is
//! left out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::copying::{self, Cause, Copy, CopyError, Known, Rules};
use crate::list::ListName;
use crate::profiles::{ListData, Place, Profile, Rehearsal};
use crate::queues::Queues;
use crate::tree::Tree;

/// So often what changed meanwhile is copied again.
const ROUNDS: usize = 8;

/// Why there is no copy.
#[derive(Debug)]
pub enum LowerError {
    /// Something cannot be copied.
    Copy(CopyError),
    /// Something cannot be made in the copy.
    Make(PathBuf, io::Error),
    /// The data are never quiet for long enough.
    Busy(PathBuf),
    /// The database is no file.
    NoDatabase(PathBuf),
    /// The profile does not say what is one list's.
    NoData,
}

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LowerError::Copy(error) => error.fmt(f),
            LowerError::Make(path, error) => write!(f, "cannot make {path:?}: {error}"),
            LowerError::Busy(path) => write!(
                f,
                "{path:?} changes faster than it can be copied: try again when the list is quiet"
            ),
            LowerError::NoDatabase(path) => write!(
                f,
                "{path:?} is not there: the lists are in a database that is no file, and cannot be \
                 copied with it"
            ),
            LowerError::NoData => {
                f.write_str("its profile does not say what of the data is one list's")
            }
        }
    }
}

impl std::error::Error for LowerError {}

/// What of a tree's data a rehearsal of one list has.
pub struct Lower<'a> {
    tree: &'a Tree,
    data: ListData,
    words: &'a Rehearsal,
    list: &'a ListName,
    profile: &'a Profile,
    queues: Option<PathBuf>,
}

impl<'a> Lower<'a> {
    /// For this list.
    ///
    /// # Errors
    /// `NoDatabase`, `NoData`.
    pub fn of(
        profile: &'a Profile,
        words: &'a Rehearsal,
        tree: &'a Tree,
        list: &'a ListName,
    ) -> Result<Lower<'a>, LowerError> {
        let data = profile.data(tree, list);
        let mut lower = Lower {
            tree,
            data: ListData::default(),
            words,
            list,
            profile,
            queues: Queues::of(profile, tree).and_then(|queues| queues.root()),
        };
        match (data, &words.database) {
            (Some(data), None) => lower.data = data,
            (data, Some(database)) => {
                let path = PathBuf::from(lower.expand(database));
                if !path.is_file() {
                    return Err(LowerError::NoDatabase(path));
                }
                lower.data = data.unwrap_or_default();
                lower.data.of.push(Place::of(&path.to_string_lossy()));
            }
            (None, None) => return Err(LowerError::NoData),
        }
        let with: Vec<Place> = words
            .with
            .iter()
            .map(|text| Place::of(&lower.expand(text)))
            .collect();
        lower.data.of.extend(with);
        Ok(lower)
    }

    fn expand(&self, text: &str) -> String {
        let case = self.profile.routing.case;
        let text = self.tree.expand(text, Some((self.list, case)));
        match &self.queues {
            Some(queues) => text.replace("{queues}", &queues.to_string_lossy()),
            None => text,
        }
    }

    /// Directories that are there and empty.
    fn empty(&self) -> Vec<PathBuf> {
        let said = self.words.empty.iter();
        let said = said.map(|text| PathBuf::from(self.expand(text)));
        let without = self.data.without.iter().filter_map(path_of);
        said.chain(without).collect()
    }

    /// What of the data is the list's, and not only needed by its programs: what changes there is told.
    pub fn own(&self) -> Vec<Place> {
        self.data.of.clone()
    }

    /// The layers that this makes, each with its directory below `to`: the data, and the queues where
    /// they are somewhere else.
    pub fn layers(&self, to: &Path) -> Vec<(PathBuf, PathBuf)> {
        let mut layers = vec![(self.tree.data.clone(), to.join("data"))];
        if let Some(queues) = &self.queues
            && !queues.starts_with(&self.tree.data)
        {
            layers.push((queues.clone(), to.join("queues")));
        }
        layers
    }

    /// Makes the copy below `to`.
    ///
    /// # Errors
    /// [`LowerError`]; what was made stays.
    pub fn make(&self, to: &Path, is_over: &(dyn Fn() -> bool + Sync)) -> Result<(), LowerError> {
        let layers = self.layers(to);
        for (at, below) in &layers {
            directory(below, fs::metadata(at).ok().as_ref())?;
        }
        let mut known = BTreeMap::new();
        let mut busy = None;
        for round in 0..ROUNDS {
            match self.round(&layers, &mut known, round > 0, is_over) {
                Ok(()) if round > 0 => {
                    busy = None;
                    break;
                }
                Ok(()) => {}
                Err(LowerError::Copy(error)) if matches!(error.cause, Cause::Changing) => {
                    busy = Some(error.path);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(path) = busy {
            return Err(LowerError::Busy(path));
        }
        for path in self.empty() {
            if let Ok(meta) = fs::metadata(&path)
                && meta.is_dir()
                && let Some((_, below)) = layer_of(&layers, &path)
            {
                directories(&layers, &path)?;
                directory(&below, Some(&meta))?;
            }
        }
        Ok(())
    }

    /// Brings all of it in line once.
    fn round(
        &self,
        layers: &[(PathBuf, PathBuf)],
        known: &mut BTreeMap<PathBuf, Known>,
        is_closed: bool,
        is_over: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), LowerError> {
        let empty = self.empty();
        let is_left_out = |path: &Path| {
            let mut grows = self.data.grows.iter().chain(&self.data.without);
            empty.iter().any(|empty| empty == path) || grows.any(|place| place.is(path))
        };
        let rules = Rules {
            grows: &|_| false,
            without: &is_left_out,
            ends: None,
            is_closed,
            is_over,
        };
        for place in &self.data.of {
            for name in names(place) {
                let path = place.directory.join(&name);
                let Some((_, below)) = layer_of(layers, &path) else {
                    continue;
                };
                let from = copying::Place::find(&path).and_then(copying::Place::real);
                let from = match from {
                    Err(error) if error.is_missing() => continue,
                    other => other.map_err(LowerError::Copy)?,
                };
                directories(layers, &path)?;
                let parent = below.parent().unwrap_or(&below);
                let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
                let to = openat(CWD, parent, flags, Mode::empty())
                    .map_err(|error| LowerError::Make(parent.to_owned(), error.into()))?;
                let known = known.entry(path.clone()).or_default();
                Copy::bring(&from, &to, &name, known, &rules).map_err(LowerError::Copy)?;
            }
        }
        Ok(())
    }
}

fn path_of(place: &Place) -> Option<PathBuf> {
    Some(place.directory.join(place.name()?))
}

/// The names that a place has now.
fn names(place: &Place) -> Vec<OsString> {
    if let Some(name) = place.name() {
        return vec![name.into()];
    }
    let entries = fs::read_dir(&place.directory)
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|entry| entry.file_name());
    names.filter(|name| place.is_name(name)).collect()
}

/// In which layer a path is, and where it is below that.
fn layer_of<'l>(layers: &'l [(PathBuf, PathBuf)], path: &Path) -> Option<(&'l Path, PathBuf)> {
    layers.iter().find_map(|(at, below)| {
        let rest = path.strip_prefix(at).ok()?;
        Some((at.as_path(), below.join(rest)))
    })
}

/// The directories above `path` in its layer, each as the original is.
fn directories(layers: &[(PathBuf, PathBuf)], path: &Path) -> Result<(), LowerError> {
    let Some((top, _)) = layer_of(layers, path) else {
        return Ok(());
    };
    let above: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|above| *above != top)
        .collect();
    for above in above.into_iter().rev() {
        if let Some((_, below)) = layer_of(layers, above) {
            directory(&below, fs::metadata(above).ok().as_ref())?;
        }
    }
    Ok(())
}

/// A directory with the owner and mode of another.
fn directory(path: &Path, like: Option<&Metadata>) -> Result<(), LowerError> {
    let failed = |error| LowerError::Make(path.to_owned(), error);
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(failed)?;
    if let Some(like) = like {
        chown(path, Some(like.uid()), Some(like.gid())).map_err(failed)?;
        fs::set_permissions(path, like.permissions()).map_err(failed)?;
    }
    Ok(())
}
