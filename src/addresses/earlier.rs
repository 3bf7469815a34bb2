//! Maps in which Postfix looks a name up before it does so in an alias file of site.toml: the first
//! that has the name wins, and no line of ours says so.
//!
//! **Invariants.** Changes nothing. That the MTA's tools cannot be asked is another look's finding.

use std::collections::{BTreeMap, BTreeSet};

use aliases::{Astray, Expected, Postfix};

use super::disk;
use super::error::some_of;
use super::found::Found;
use crate::config::Mta;
use crate::site::Site;

/// One such map.
#[derive(Debug)]
pub(super) struct Earlier {
    /// As alias_maps has it.
    pub(super) map: String,
    /// The first file of site.toml before which it stands, by its number.
    pub(super) before: usize,
    pub(super) has: Has,
}

/// What an earlier map has of the names that were looked for.
#[derive(Debug)]
pub(super) enum Has {
    /// These, which lead elsewhere than in our files.
    Names(Vec<Astray>),
    /// Nobody knows: it is of a type that is not asked.
    Unasked,
    /// Nobody knows: why it could not be asked.
    Failed(String),
}

/// The maps that stand before a file of site.toml, but for those that have none of the names;
/// `names` are looked for by the file that has them, and put together only where there is such a map.
pub(super) fn maps(
    site: &Site,
    found: &Found,
    names: impl FnOnce() -> BTreeMap<usize, BTreeSet<String>>,
) -> Vec<Earlier> {
    if site.config.mta != Mta::Postfix {
        return Vec::new();
    }
    let originals: Vec<_> = found.files.iter().map(|file| &file.original).collect();
    let Ok(postfix) = Postfix::find() else {
        return Vec::new();
    };
    let earlier = postfix.earlier(&originals).unwrap_or_default();
    if earlier.is_empty() {
        return Vec::new();
    }
    let names = names();
    let one = |earlier: aliases::Earlier| {
        let here = names
            .iter()
            .filter(|(file, _)| earlier.before.contains(file));
        let expected = here.flat_map(|(&n, names)| disk::expected(&found.files[n].document, names));
        let expected: Vec<Expected> = expected.collect();
        let has = match postfix.led_by(&earlier, &expected) {
            Ok(Some(astray)) if astray.is_empty() => return None,
            Ok(Some(astray)) => Has::Names(astray),
            Ok(None) => Has::Unasked,
            Err(error) => Has::Failed(error.to_string()),
        };
        Some(Earlier {
            before: earlier.before.first().copied()?,
            map: earlier.map,
            has,
        })
    };
    earlier.into_iter().filter_map(one).collect()
}

impl Earlier {
    /// A sentence without its end: where the map stands, and what it has; printable.
    pub(super) fn told(&self, found: &Found) -> String {
        let path = found.files[self.before].path.display();
        let map = self.map.escape_debug();
        match &self.has {
            Has::Names(names) => {
                let led: Vec<String> = names.iter().map(Astray::led).collect();
                format!(
                    "{map}, which alias_maps has before {path}: {}",
                    some_of(&led)
                )
            }
            Has::Unasked => format!(
                "{map}, which alias_maps has before {path}, is of a type that is not looked at"
            ),
            Has::Failed(why) => {
                format!("{map}, which alias_maps has before {path}, cannot be asked: {why}")
            }
        }
    }
}
