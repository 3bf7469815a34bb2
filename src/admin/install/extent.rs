//! Which files are a tree's: all below its root, or, where that is a directory of the whole system
//! such as /usr, those that its profile names.
//!
//! **Invariants.** Looks only. Where it cannot be told what is the tree's own, that is said.

use std::fs;
use std::path::{Path, PathBuf};

use crate::profiles::Profile;
use crate::tree::Tree;

/// A file of every system that is no tree's: a root that holds it is shared.
const SYSTEM: &str = "/bin/sh";

/// Where a tree's files are: the highest paths, without links in them.
///
/// # Errors
/// One line: the root is not there, or nothing says what of it is the tree's.
pub fn extent(profile: &Profile, tree: &Tree) -> Result<Vec<PathBuf>, String> {
    let root = fs::canonicalize(&tree.root)
        .map_err(|error| format!("tree {}: {:?}: {error}", tree.name, tree.root))?;
    if !holds_system(&root) {
        return Ok(vec![root]);
    }
    let own = profile.files().shared(tree);
    let own: Vec<PathBuf> = own.iter().flat_map(|path| meant(path)).collect();
    match own.is_empty() {
        false => Ok(own),
        true => Err(format!(
            "tree {}: {root:?} holds the whole system, and the profile {:?} does not say what in it \
             is the list manager's ([tree] shared)",
            tree.name, tree.profile
        )),
    }
}

/// Whether a path without links holds files of every system.
pub fn holds_system(path: &Path) -> bool {
    let system = fs::canonicalize(SYSTEM).unwrap_or_default();
    system.starts_with(path)
}

/// What is there of a path with a `*` in some of its parts.
fn meant(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in path.iter() {
        let Some((before, after)) = part.to_str().and_then(|part| part.split_once('*')) else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let is_like = |name: &str| {
            let rest = name.strip_prefix(before);
            rest.is_some_and(|rest| rest.ends_with(after))
        };
        let mut next = Vec::new();
        for holder in &found {
            let entries = fs::read_dir(holder).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            next.extend(
                names
                    .filter(|name| is_like(name))
                    .map(|name| holder.join(name)),
            );
        }
        next.sort();
        found = next;
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found
}

/// `path` without links, as far as it leads; the rest as it stands.
pub fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (fs::canonicalize(above), path.strip_prefix(above)) {
            return if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            };
        }
    }
    path
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_star_stands_for_a_part_and_what_is_missing_is_not_meant() {
        let dir = std::env::temp_dir().join(format!("mm-extent-{}", std::process::id()));
        for path in [
            "lib/python3.11/mailman",
            "lib/python3.12/mailman",
            "lib/other",
        ] {
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        let found = meant(&dir.join("lib/python3*/mailman"));
        let there = ["lib/python3.11/mailman", "lib/python3.12/mailman"];
        assert_eq!(found, there.map(|path| dir.join(path)));
        assert_eq!(meant(&dir.join("lib/python3*/none")), Vec::<PathBuf>::new());
        assert_eq!(meant(&dir.join("lib/other")), [dir.join("lib/other")]);
        assert_eq!(meant(&dir.join("none")), Vec::<PathBuf>::new());
        std::os::unix::fs::symlink(dir.join("lib"), dir.join("link")).unwrap();
        let real = fs::canonicalize(&dir).unwrap();
        assert_eq!(resolved(&dir.join("link/new/x")), real.join("lib/new/x"));
        fs::remove_dir_all(dir).unwrap();
    }
}
