//! Whether a tree still has the release that was looked at and recorded.
//!
//! The record says what is guarded, what was tried, and what the history tells: none of it is
//! true of a release that was installed since.
//!
//! **Invariants.** Asked by what moves lists ahead or commits to them, never by what takes back.
//! What cannot be read is not the same release.

use std::path::PathBuf;

use crate::admin::change::Change;
use crate::admin::outcome::{Refused, typed};
use crate::parity::{FutureState, Parity};
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// A tree that does not have the release that is recorded for it.
#[derive(Debug)]
pub struct Other {
    /// One line, with the tree's name.
    pub what: String,
    /// Where to look.
    pub file: PathBuf,
    /// Whether it has another one; else it cannot be told which it has.
    pub is_known: bool,
}

/// Looks at `tree`; `None` if it has the release `recorded`.
pub fn other(profile: &Profile, tree: &Tree, recorded: &str) -> Option<Other> {
    match profile.release(tree) {
        Ok(release) if release == recorded => None,
        Ok(release) => Some(Other {
            what: format!(
                "tree {} has release {release:?}, and {recorded:?} is recorded",
                tree.name
            ),
            file: tree.root.clone(),
            is_known: true,
        }),
        Err(error) => Some(Other {
            what: format!("tree {}: no release: {error}", tree.name),
            file: error.path().unwrap_or(&tree.root).to_owned(),
            is_known: false,
        }),
    }
}

/// Why no list may go ahead to the `future` tree, as far as its release goes, and what helps.
pub fn refuse(site: &Site, parity: &Parity, future: &Tree, refused: &mut Refused) {
    let recorded = &parity.roles.future_release;
    // A profile that cannot be used is told with what else keeps the lists where they are.
    let Ok(profile) = Profile::of(site, future) else {
        return;
    };
    let Some(other) = other(&profile, future, recorded) else {
        return;
    };
    refused.reasons.push(match other.is_known {
        true => format!("{}: nobody has looked at what is there now", other.what),
        false => other.what,
    });
    let name = &future.name;
    refused
        .hints
        .push(match (other.is_known, parity.on_future.is_empty()) {
            (false, _) => format!("install the release {recorded:?} whole in tree {name}"),
            (true, true) => typed(site, "verify"),
            (true, false) => format!(
                "install {recorded:?} in tree {name} again; or: {}, then {}",
                typed(site, "downgrade --all"),
                typed(site, "verify")
            ),
        });
}

/// The same for a commit; `again` is what to type to make it all the same.
///
/// # Errors
/// The future tree does not have the release that is recorded.
pub fn refuse_commit(change: &Change<'_>, again: &str) -> Result<(), Refused> {
    let (_, future) = change.trees()?;
    let mut refused = Refused::empty(change.request.act);
    if change.parity().roles.future_state == FutureState::Ready {
        refuse(change.site, change.parity(), future, &mut refused);
    }
    if !refused.reasons.is_empty() {
        refused.hints.push(typed(change.site, again));
    }
    refused.if_any()
}
