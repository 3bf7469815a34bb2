//! Whether a tree still has the release that was looked at and recorded.
//!
//! The record says what is guarded, what was tried, and what the history tells: none of it is
//! true of a release that was installed since.
//!
//! **Invariants.** Asked of a tree that is about to be chosen: by what moves lists ahead, commits
//! to them, or takes a commit back to the tree from before; never of the one that is left.
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

/// Looks at a tree of `site` as [`other`] does; a profile that cannot be used is told elsewhere.
pub fn other_in(site: &Site, tree: &Tree, recorded: &str) -> Option<Other> {
    let profile = Profile::of(site, tree).ok()?;
    other(&profile, tree, recorded)
}

/// A commit is taken back only as long as nothing was installed in the `retired` tree since.
///
/// # Errors
/// It does not have the release that is recorded.
pub fn refuse_revert(change: &Change<'_>, retired: &Tree) -> Result<(), Refused> {
    let (site, recorded) = (change.site, &change.parity().roles.future_release);
    let Some(other) = other_in(site, retired, recorded) else {
        return Ok(());
    };
    let name = &retired.name;
    Err(match other.is_known {
        true => change
            .refuse(format!(
                "{}: something was installed there since the commit",
                other.what
            ))
            .hint(format!(
                "install {recorded:?} in tree {name} again; or: {}, then {}",
                typed(site, "verify"),
                typed(site, "upgrade LIST")
            )),
        false => change.refuse(other.what).hint(format!(
            "install the release {recorded:?} whole in tree {name}"
        )),
    })
}

/// Why no list may go ahead to the `future` tree, as far as its release goes, and what helps.
pub fn refuse(site: &Site, parity: &Parity, future: &Tree, refused: &mut Refused) {
    let recorded = &parity.roles.future_release;
    let Some(other) = other_in(site, future, recorded) else {
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
