//! Whether a tree can serve with what is installed in it: everything that is asked before lists go
//! there.
//!
//! **Invariants.** Changes nothing, and holds no lock: a test may take a minute, and nobody's way back
//! waits for that.

use crate::admin::aliases;
use crate::admin::init;
use crate::admin::install::fresh;
use crate::admin::outcome::names;
use crate::admin::rights;
use crate::parity::Parity;
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// What was found.
#[derive(Debug, Default)]
pub struct Judged {
    /// The release, if it can be told.
    pub release: Option<String>,
    /// Why the tree cannot serve, a line each.
    pub reasons: Vec<String>,
    /// What could not be tried.
    pub notes: Vec<String>,
}

/// Looks at `tree` and tests it.
pub fn judge(site: &Site, parity: &Parity, tree: &Tree) -> Judged {
    let mut judged = Judged {
        reasons: init::accounts(site),
        ..Judged::default()
    };
    let release = match init::runs(site, tree) {
        Ok(release) => release,
        Err(reason) => {
            judged.reasons.push(reason);
            return judged;
        }
    };
    judged.release = Some(release.clone());
    let known = aliases::known_at_least(site, parity);
    let Some(list) = known.lists.iter().next() else {
        let cause = known.enumerated.err().unwrap_or_default();
        judged.reasons.push(format!(
            "tree {} cannot say which lists there are: {cause}",
            parity.roles.current
        ));
        return judged;
    };
    let rights = rights::check_guarded(site, tree, list);
    judged.reasons.extend(rights.problems);
    judged.reasons.extend(rights::check_web(site, tree, list));
    if !rights.untried.is_empty() {
        judged.notes.push(format!(
            "only root can try the programs as {}",
            names(&rights.untried)
        ));
    }
    match Profile::of(site, tree) {
        Ok(profile) => {
            let tested = fresh::test(site, tree, &profile, &release);
            judged.reasons.extend(tested.problems);
            judged.notes.extend(tested.notes);
        }
        Err(error) => judged.reasons.push(error.to_string()),
    }
    judged
}
