//! What the trees' files are, so that one sees whether they were others meanwhile: what is below of a
//! room's layer must not change, and a list must not move to what nobody has rehearsed.
//!
//! **Invariants.** Looks only, and reads no file: its number, size and times tell.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::admin::install::extent::extent;
use crate::admin::request::Played;
use crate::parity::Parity;
use crate::profiles::{Files, Profile};
use crate::site::Site;
use crate::tree::Tree;

/// Both trees as they are now.
///
/// # Errors
/// One line: a tree cannot be looked at.
pub(super) fn look(site: &Site, parity: &Parity, trees: [&Tree; 2]) -> Result<[Played; 2], String> {
    let one = |tree: &Tree| {
        Ok::<_, String>(Played {
            name: tree.name.clone(),
            release: parity.roles.release_of(&tree.name).to_owned(),
            stamp: stamp(site, tree)?,
        })
    };
    Ok([one(trees[0])?, one(trees[1])?])
}

fn stamp(site: &Site, tree: &Tree) -> Result<u64, String> {
    let profile = Profile::of(site, tree).map_err(|error| error.to_string())?;
    let mut hasher = DefaultHasher::new();
    for top in extent(&profile, tree)? {
        let below = top.strip_prefix(&tree.root).unwrap_or(Path::new(""));
        walk(&top, below, profile.files(), &mut hasher)
            .map_err(|error| format!("tree {}: {top:?}: {error}", tree.name))?;
    }
    Ok(hasher.finish())
}

fn walk(
    path: &Path,
    below: &Path,
    files: &Files,
    hasher: &mut DefaultHasher,
) -> std::io::Result<()> {
    // What changes by itself, such as modules that are compiled, says nothing.
    if files.changes(below) {
        return Ok(());
    }
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        let times = (
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        );
        (below, meta.ino(), meta.len(), meta.mode(), times).hash(hasher);
        return Ok(());
    }
    let mut names: Vec<_> = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    for name in names {
        walk(&path.join(&name), &below.join(&name), files, hasher)?;
    }
    Ok(())
}
