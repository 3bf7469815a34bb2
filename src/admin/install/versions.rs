//! The versions of the lists' data before something is installed, kept until it is judged.
//!
//! A list manager's own install converts every list that it sees. Whether one did is told by these
//! numbers, also where nothing was read-only for it (`install --begin`), and after a kill.
//!
//! | on disk | means |
//! |---|---|
//! | no file | no install is under way, or nobody knows what was before it |
//! | a file | what was when the install was marked; one that goes on keeps it |
//!
//! **Invariants.** Nothing of the list manager's is run. A list whose version cannot be read before is
//! not judged; one whose version cannot be read after has changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::admin::aliases;
use crate::admin::outcome::{lists, names};
use crate::list::ListName;
use crate::parts::in_parts;
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// What each list's data had, by the list's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    format: u32,
    versions: BTreeMap<String, u64>,
}

/// Reads what the lists of the current tree have now.
pub fn read(site: &Site, current: &Tree) -> Versions {
    let lists = aliases::enumerate(site, &current.name).unwrap_or_default();
    let mut versions = BTreeMap::new();
    if let Ok(profile) = Profile::of(site, current) {
        let lists: Vec<ListName> = lists.into_iter().collect();
        let of = |list: &ListName| {
            let version = profile.data_version(current, list).ok().flatten()?;
            Some((list.as_str().to_owned(), version))
        };
        let all = in_parts(&lists, |part| {
            part.iter().filter_map(of).collect::<Vec<_>>()
        });
        versions.extend(all.into_iter().flatten());
    }
    Versions {
        format: 1,
        versions,
    }
}

impl Versions {
    /// Those that were kept when the install began.
    pub fn kept(site: &Site) -> Option<Versions> {
        let text = fs::read(path(site)).ok()?;
        let versions: Versions = serde_json::from_slice(&text).ok()?;
        (versions.format == 1).then_some(versions)
    }

    /// The bytes that are kept of it.
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// One line if a list has another one in `now`.
    pub fn changed(&self, now: &Versions) -> Option<String> {
        let changed: Vec<String> = self
            .versions
            .iter()
            .filter_map(|(list, before)| match now.versions.get(list) {
                Some(after) if after == before => None,
                Some(after) => Some(format!("{list} ({before} to {after})")),
                None => Some(format!("{list} ({before} to nothing that can be read)")),
            })
            .collect();
        (!changed.is_empty()).then(|| {
            format!(
                "the data of {} changed their version: {}",
                lists(changed.len()),
                names(&changed)
            )
        })
    }
}

/// Where they are kept.
pub fn path(site: &Site) -> PathBuf {
    site.config.state.join("installing.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(of: &[(&str, u64)]) -> Versions {
        let of = of.iter().map(|&(list, version)| (list.to_owned(), version));
        Versions {
            format: 1,
            versions: of.collect(),
        }
    }

    #[test]
    fn a_list_that_was_converted_or_lost_is_named_and_a_new_one_is_not() {
        let before = versions(&[("a", 98), ("b", 112), ("c", 112)]);
        assert_eq!(before.changed(&before), None);
        let after = versions(&[("a", 112), ("b", 112), ("new", 112)]);
        let told = before.changed(&after).unwrap_or_default();
        assert!(told.starts_with("the data of 2 lists"), "{told}");
        assert!(told.contains("a (98 to 112), c (112 to nothing"), "{told}");
        let text = before.text();
        assert_eq!(serde_json::from_slice::<Versions>(&text).ok(), Some(before));
    }
}
