//! A release that was installed by hand is looked at, and recorded.
//!
//! Order: why it may not be now, the current tree's release, the future tree as `init` looks
//! at one, one change in the history.
//!
//! **Invariants.** Runs no list manager's program. What fails is named whole, and nothing is
//! changed. A tree that lists are on is not judged anew.

use crate::admin::aliases;
use crate::admin::change::Change;
use crate::admin::init;
use crate::admin::outcome::{Outcome, Refused, guarded_until, lists, names, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::rights;
use crate::admin::step::Step;
use crate::parity::FutureState;
use crate::site::Site;
use crate::tree::Tree;

/// `verify`.
///
/// # Errors
/// Every reason why the future tree takes no lists.
pub fn verify(site: &Site, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let (current, future) = change.trees()?;
    let roles = change.parity().roles.clone();
    let mut refused = Refused::empty(request.act);
    let here = init::runs(site, current).unwrap_or_else(|reason| {
        change.say(format!("note: {reason}"));
        roles.current_release.clone()
    });
    let ahead = change.parity().on_future.clone();
    let there = if ahead.is_empty() {
        look(&mut change, current, future, &mut refused)
    } else {
        let text = format!(
            "tree {} is not looked at: {} on it: {}",
            future.name,
            lists(ahead.len()),
            names(&ahead)
        );
        if here == roles.current_release {
            refused.reasons.push(text);
            refused.hints.push(typed(site, "downgrade --all"));
        } else {
            change.say(format!("note: {text}"));
        }
        None
    };
    refused.if_any()?;
    let mut told = Vec::new();
    if here != roles.current_release {
        told.push(format!(
            "tree {} has release {}, not {} any more",
            current.name,
            here.escape_debug(),
            roles.current_release.escape_debug()
        ));
    }
    let is_new = |release: &String| {
        *release != roles.future_release || roles.future_state != FutureState::Ready
    };
    if let Some(release) = there.as_ref().filter(|&release| is_new(release)) {
        told.push(format!(
            "{} tree {} {}: lists may move there",
            change.verb("verified", "would verify"),
            future.name,
            release.escape_debug()
        ));
        if roles.future_state == FutureState::Retired {
            told.push("the commit is now taken back by undo alone, after this change".to_owned());
        }
    }
    if told.is_empty() {
        change.say(format!(
            "nothing to do: tree {} {} is ready",
            future.name,
            roles.future_release.escape_debug()
        ));
        return Ok(change.end());
    }
    let verified = there.filter(is_new).map(|new| (future.name.as_str(), new));
    let is_guarded = verified.is_some();
    let after = change.parity().verified(here, verified);
    change.carry_out(Step::to(after), &told)?;
    if is_guarded {
        change.say(guarded_until(site, future));
    }
    if request.mode == Mode::Real {
        if ahead.is_empty() {
            change.say(format!("next: {}", typed(site, "upgrade LIST")));
        }
        change.say(format!("the way back: {}", typed(site, "undo")));
    }
    Ok(change.end())
}

/// The release of the future tree, if lists could move there; why not goes to `refused`.
fn look(
    change: &mut Change<'_>,
    current: &Tree,
    future: &Tree,
    refused: &mut Refused,
) -> Option<String> {
    let site = change.site;
    let roles = change.parity().roles.clone();
    refused.reasons.extend(init::accounts(site));
    let release = match init::runs(site, future) {
        Ok(release) => release,
        Err(reason) => {
            refused.reasons.push(reason);
            return None;
        }
    };
    // NOTHING NEW. To move lists into it would be a downgrade by another name.
    if roles.future_state == FutureState::Retired && release == roles.future_release {
        refused.reasons.push(format!(
            "tree {} is retired and still has release {}: nothing was installed since the commit",
            future.name,
            release.escape_debug()
        ));
        refused.hints.push(typed(site, "commit --revert"));
        return None;
    }
    let known = aliases::known_at_least(site, change.parity());
    let Some(list) = known.lists.iter().next() else {
        let cause = known.enumerated.err().unwrap_or_default();
        refused.reasons.push(format!(
            "tree {} cannot say which lists there are: {cause}",
            current.name
        ));
        return None;
    };
    let rights = rights::check_guarded(site, future, list);
    refused.reasons.extend(rights.problems);
    if !rights.untried.is_empty() {
        change.say(format!(
            "note: only root can try the programs as {}",
            names(&rights.untried)
        ));
    }
    Some(release)
}
