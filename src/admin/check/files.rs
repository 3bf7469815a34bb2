//! Whether the trees' files are those that were looked at when the release was installed, verified or
//! patched.
//!
//! A tree without a manifest is passed over: nobody has looked at it since mm-parity makes them, and
//! its release is told by `trees`.
//!
//! **Invariants.** Changes nothing. A file that looks as it did is not opened.

use crate::accounts;
use crate::admin::install::manifest;
use crate::admin::outcome::typed;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::parity::{FutureState, Parity};
use crate::site::Site;
use crate::store::Manifest;
use crate::tree::Tree;

pub(super) fn look(site: &Site, parity: &Parity, findings: &mut Vec<Finding>) {
    let roles = &parity.roles;
    let takes_lists =
        |tree: &&Tree| tree.name == roles.current || roles.future_state == FutureState::Ready;
    for tree in site.config.trees.iter().filter(takes_lists) {
        findings.extend(one(site, parity, tree));
    }
}

fn one(site: &Site, parity: &Parity, tree: &Tree) -> Option<Finding> {
    let path = Manifest::path(site, &tree.name);
    let unknown = |cause: String, spot: Spot, mend: Mend| {
        Finding::new(
            (Kind::Files, Severity::Unknown),
            format!(
                "whether files of tree {} changed cannot be told: {cause}",
                tree.name
            ),
            spot,
            "it goes into what is there",
            mend,
        )
    };
    let as_root = || match accounts::runner() {
        0 => Mend::Do("mend what is named here".to_owned()),
        _ => Mend::Do(format!("as root: {}", typed(site, "check"))),
    };
    let manifest = match Manifest::read(site, &tree.name) {
        Ok(manifest) => manifest?,
        Err(error) => {
            let cause = format!("{path:?}: {error}");
            let mend = Mend::Do(format!("remove {path:?}, then: {}", typed(site, "verify")));
            return Some(unknown(cause, Spot::file(path), mend));
        }
    };
    let changes = match manifest::changes(site, tree, &manifest) {
        Ok(changes) => changes,
        Err(cause) => return Some(unknown(cause, Spot::file(&tree.root), as_root())),
    };
    if changes.paths.is_empty() {
        let first = changes.unread.first()?;
        let cause = format!("{first} and what else may not be read");
        return Some(unknown(cause, Spot::file(&tree.root), as_root()));
    }
    let is_idle = tree.name != parity.roles.current && parity.on_future.is_empty();
    let meant = match is_idle {
        true => typed(site, "verify"),
        false => typed(site, &format!("patch {} --reason TEXT true", tree.name)),
    };
    Some(Finding::new(
        (Kind::Files, Severity::Warning),
        format!(
            "tree {} changed since {}: {}",
            tree.name,
            manifest.head.when.escape_debug(),
            changes.told()
        ),
        Spot::file(&tree.root),
        "it goes on into what is there now, which nobody has looked at",
        Mend::Do(format!(
            "if it was meant: {meant}; else install {:?} in tree {} again",
            manifest.head.release, tree.name
        )),
    ))
}
