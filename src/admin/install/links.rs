//! Where the links in lists' data lead: archives on another disk, a list's directory beside the
//! others, locks in /run.
//!
//! Looked at are the data's own directory, and each one down to where the profile has something of
//! every list. A list manager's data may also have links to its programs (Debian's do): what leads into
//! the tree that is open for a command is that tree's, unless it is where lists' data are.
//!
//! **Invariants.** Looks only. The data's owner makes these links, so none of them can say that the
//! whole system is lists' data.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::admin::install::extent::holds_system;
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// The places outside of a tree's data, without links in their paths. `own`: what the tree that is
/// open has for itself alone.
pub fn out_of(site: &Site, tree: &Tree, own: &[PathBuf]) -> BTreeSet<PathBuf> {
    let Ok(data) = fs::canonicalize(&tree.data) else {
        return BTreeSet::new();
    };
    let profile = Profile::of(site, tree).ok();
    let holders = profile.map_or_else(BTreeSet::new, |profile| profile.holders(tree));
    let mut looked = BTreeSet::from([tree.data.as_path()]);
    for holder in &holders {
        let above = holder.ancestors();
        looked.extend(above.take_while(|path| path.starts_with(&tree.data)));
    }
    let mut found = BTreeSet::new();
    for directory in looked {
        for link in links(directory) {
            let Ok(place) = fs::canonicalize(&link) else {
                continue;
            };
            let is_lists =
                holders.contains(directory) || holders.iter().any(|path| path.starts_with(&link));
            let is_own = || {
                let mut own = own.iter();
                own.any(|own| place.starts_with(own) || own.starts_with(&place))
            };
            if !place.starts_with(&data) && !holds_system(&place) && (is_lists || !is_own()) {
                found.insert(place);
            }
        }
    }
    found
}

fn links(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.map(|entry| entry.path())
}
