//! Why nothing may be installed in the future tree now: every reason.
//!
//! **Invariants.** Looks only.

use std::collections::BTreeSet;

use crate::admin::aliases;
use crate::admin::install::extent::resolved;
use crate::admin::install::idle;
use crate::admin::outcome::{Refused, lists, names, typed};
use crate::parity::{FutureState, Parity};
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// Every reason, and what helps.
pub fn look(
    site: &Site,
    parity: &Parity,
    act: &'static str,
    (current, future): (&Tree, &Tree),
) -> Refused {
    let mut refused = Refused::empty(act);
    let ahead = &parity.on_future;
    if !ahead.is_empty() {
        refused.reasons.push(format!(
            "{} on tree {}, in which it would be installed: {}",
            lists(ahead.len()),
            future.name,
            names(ahead)
        ));
        refused.hints.push(typed(site, "downgrade --all"));
        if parity.roles.future_state == FutureState::Ready {
            refused.hints.push(typed(site, "commit --all"));
        }
    }
    if resolved(&current.root) == resolved(&future.root) {
        refused.reasons.push(format!(
            "trees {} and {} are one directory: {:?}",
            current.name,
            future.name,
            resolved(&future.root)
        ));
    }
    let busy = busy(site, parity, current, future);
    if !busy.is_empty() {
        refused.hints.push(format!(
            "stop what runs in tree {}, and let its queues run out; its files are about to change",
            future.name
        ));
    }
    refused.reasons.extend(busy);
    refused
}

fn busy(site: &Site, parity: &Parity, current: &Tree, future: &Tree) -> Vec<String> {
    let profile = match Profile::of(site, future) {
        Ok(profile) => profile,
        Err(error) => return vec![error.to_string()],
    };
    let other = Profile::of(site, current).ok();
    let other = other.as_ref().map(|profile| (profile, current));
    let mut known: BTreeSet<_> = aliases::known_at_least(site, parity).lists;
    known.extend(aliases::enumerate(site, &future.name).unwrap_or_default());
    idle::reasons((&profile, future), other, &known)
}
