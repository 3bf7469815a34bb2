//! `may-install`: an answer for a package's preinst, by status alone.
//!
//! What a maintainer script wants to know is whether its files may be replaced at this moment. Where
//! there is no site, mm-deliver serves nobody, and a package may do as it likes; a site that cannot
//! be read is another thing, and so is a directory that no site knows: whoever asks takes it for a
//! tree.
//!
//! **Invariants.** Looks only. Nothing is asked of the list manager.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::admin::inside;
use crate::admin::install::command::told;
use crate::admin::install::extent::resolved;
use crate::admin::install::refusals;
use crate::admin::install::underway::still_running;
use crate::admin::outcome::{Done, Outcome, Refused, typed};
use crate::admin::step::no_state;
use crate::parity::FutureState;
use crate::site::{Site, SiteError};
use crate::store::{self, Underway};

const ACT: &str = "allow an install";

/// `may-install ROOT`, on a site that could be opened or not.
///
/// # Errors
/// Why not, in one line.
pub fn may_install(root: &Path, site: Result<Site, SiteError>, path: &Path) -> Outcome {
    let site = match site {
        // A link that leads nowhere is a site that cannot be read: its disk may not be mounted.
        Err(SiteError::Read(at, error))
            if at == path
                && error.kind() == ErrorKind::NotFound
                && fs::symlink_metadata(path).is_err() =>
        {
            return Ok(Done::default());
        }
        site => site.map_err(|error| Refused::new(ACT, error))?,
    };
    let mut answer = asked(&site, root);
    if let Err(refused) = &mut answer {
        refused.reasons = vec![refused.reasons.join("; ")];
        refused.hints.clear();
    }
    answer.map(|()| Done::default())
}

fn asked(site: &Site, root: &Path) -> Result<(), Refused> {
    let no = |reason: String| Refused::new(ACT, reason);
    let root = resolved(root);
    let mut trees = site.config.trees.iter();
    let Some(tree) = trees.find(|tree| resolved(&tree.root) == root) else {
        return Err(no(format!("{root:?} is no tree of {:?}", site.path)));
    };
    let loaded = store::load(site).map_err(|error| no_state(ACT, site, &error))?;
    let parity = loaded.parity;
    if let Some(running) = Underway::by(site) {
        // Its own package manager asks.
        return match running.tree == tree.name && inside::descends(std::process::id(), running.pid)
        {
            true => Ok(()),
            false => Err(no(running.to_string())),
        };
    }
    let left = still_running(site);
    if !left.is_empty() {
        return Err(no(told(&left)));
    }
    let current = site.config.tree(&parity.roles.current);
    let other = site.config.other_tree(&parity.roles.current);
    let (Some(current), Some(future)) = (current, other) else {
        return Err(no(format!("tree {} is the only one", tree.name)));
    };
    if tree.name == current.name {
        return Err(no(format!(
            "tree {} is the current one, and serves lists; a fix within its line of releases goes \
             there by: {}",
            tree.name,
            typed(site, &format!("patch {} --reason TEXT COMMAND", tree.name))
        )));
    }
    if parity.roles.future_state == FutureState::Installing {
        return Ok(());
    }
    if store::is_busy(site) {
        return Err(no("somebody is changing something".to_owned()));
    }
    refusals::look(site, &parity, ACT, (current, future)).if_any()
}
