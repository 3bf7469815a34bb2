//! What the commands of each tree look like, and where their paths lead: looked up once for all
//! entries.
//!
//! **Invariants.** Knows shapes and links; judges no command.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::profiles::{Form, Profile};
use crate::site::SiteError;
use crate::tree::Tree;

/// The forms of commands that pipe straight into a tree: the tree's number, and what one profile
/// knows. A tree's directory may hold what either profile knows: that of the release before.
#[derive(Debug, Default)]
pub(super) struct Forms {
    groups: Vec<(usize, Vec<Form>)>,
}

impl Forms {
    pub(super) fn of(trees: &[Tree], profiles: &[Result<Profile, SiteError>]) -> Forms {
        let mut groups = Vec::new();
        for (n, tree) in trees.iter().enumerate() {
            let own = profiles.iter().skip(n).take(1);
            let others = profiles.iter().enumerate();
            let others = others.filter(|(other, _)| *other != n).map(|(_, one)| one);
            let known = own.chain(others).flatten();
            groups.extend(known.map(|profile| (n, profile.forms(tree))));
        }
        Forms { groups }
    }

    /// What is known of a tree, with its number: of each tree its own profile first.
    pub(super) fn groups(&self) -> impl Iterator<Item = &(usize, Vec<Form>)> {
        self.groups.iter()
    }

    /// Every form, with its tree's number.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Form)> {
        let groups = self.groups.iter();
        groups.flat_map(|(n, forms)| forms.iter().map(move |form| (*n, form)))
    }
}

/// Where paths lead, each looked at once.
#[derive(Debug, Default)]
pub(super) struct Places {
    real: Mutex<HashMap<PathBuf, Option<PathBuf>>>,
}

impl Places {
    /// The path without links; `None` where nothing is.
    pub(super) fn real(&self, path: &Path) -> Option<PathBuf> {
        // Nothing is left half done where a thread may have panicked.
        let mut known = self.real.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(real) = known.get(path) {
            return real.clone();
        }
        let real = fs::canonicalize(path).ok();
        known.insert(path.to_owned(), real.clone());
        real
    }

    /// Whether two paths are one place.
    pub(super) fn same(&self, one: &Path, other: &Path) -> bool {
        one == other
            || self
                .real(one)
                .is_some_and(|real| Some(real) == self.real(other))
    }
}
