//! The system's own move: the future tree becomes the current one, and back.
//!
//! No list changes trees by a commit: each was on the future tree already, and that tree
//! only changes its part.
//!
//! **Invariants.** parity.toml first, then the removal of entries that no tree in use has;
//! a revert puts them back first. No commit to a tree that could not say which lists there
//! are. A revert asks nothing of the tree that is current: what cannot be found out is a note.

use std::collections::BTreeSet;

use crate::admin::aliases::{self, AddressError};
use crate::admin::change::Change;
use crate::admin::hooks;
use crate::admin::moving::{not_ready_hints, refusal_text, tell_of_mail, upgrade_in};
use crate::admin::outcome::guarded_until;
use crate::admin::outcome::{Outcome, Refused, few, lists, names, typed, typed_aliases};
use crate::admin::releases::{refuse_commit, refuse_revert};
use crate::admin::request::{Mode, Request};
use crate::admin::retired;
use crate::admin::selection::Which;
use crate::admin::signs::{self, Signs};
use crate::admin::step::Step;
use crate::admin::trust::refuse_trouble;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Refusal, Role};
use crate::settings::On;
use crate::site::Site;
use crate::store;
use crate::tree::Tree;

/// What a commit does with lists that are still on the current tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// They refuse it.
    Refuse,
    /// `--all`: they are moved first, as a change of their own.
    MoveFirst,
}

/// What a commit does where the last delivery to a list was deferred, or another release is
/// installed than the one that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It refuses.
    Refuse,
    /// `--force`: it says nothing of it.
    Pass,
}

/// `commit`: swaps the parts of the trees.
///
/// # Errors
/// Lists are still on the current tree; with `MoveFirst`, why they cannot move.
pub fn commit(site: &Site, behind: Behind, trouble: Trouble, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    if change.parity().roles.future_state == FutureState::Retired {
        finish(&mut change)?;
        return Ok(change.end());
    }
    if trouble == Trouble::Refuse {
        let forced = match behind {
            Behind::Refuse => "commit --force",
            Behind::MoveFirst => "commit --all --force",
        };
        refuse_trouble(&change, forced)?;
        refuse_commit(&change, forced)?;
    }
    let before = change.parity().roles.generation;
    if behind == Behind::MoveFirst {
        // Pinned lists stay, and would refuse the commit after the others had moved.
        refuse_pinned(&change)?;
        refuse_blind(&change)?;
        refuse_direct(&change)?;
        upgrade_in(&mut change, &Which::All)?;
    }
    let with_all = match trouble {
        Trouble::Refuse => "commit --all",
        Trouble::Pass => "commit --all --force",
    };
    let made = step(&change, with_all).and_then(|step| {
        // What a trial would move first has not had its aliases turned.
        if behind == Behind::Refuse || request.mode == Mode::Real {
            refuse_direct(&change)?;
        }
        carry_out(&mut change, step)
    });
    if let Err(refused) = made {
        // THE LISTS HAVE MOVED: that stands, and is no refusal any more.
        let moved = request.mode == Mode::Real && change.parity().roles.generation > before;
        if !moved {
            return Err(refused);
        }
        change.fail(refused);
    }
    Ok(change.end())
}

/// A commit that stands: removes the entries that a killed one left behind.
fn finish(change: &mut Change<'_>) -> Result<(), Refused> {
    let site = change.site;
    let current = &change.parity().roles.current;
    let told = format!(
        "nothing to do: tree {current} is current already, and nothing was installed since"
    );
    let known = change.known()?;
    if let Err(error) = &known.enumerated {
        return Err(change.refuse(format!("cannot say which lists there are: {error}")));
    }
    let left = aliases::plan_commit(site, change.parity(), &known.lists)
        .map_err(|error| change.refuse_aliases(&error))?;
    change.say(told);
    change.tidy(left);
    Ok(())
}

/// `commit --revert`: takes a commit back.
///
/// # Errors
/// There is none to take back.
pub fn revert(site: &Site, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let step = step_back(&mut change)?;
    carry_out_back(&mut change, step)?;
    Ok(change.end())
}

/// The commit from what stands. `with_all`: what to type where lists are still behind.
///
/// # Errors
/// Why it may not be.
pub fn step<'a>(change: &Change<'a>, with_all: &str) -> Result<Step<'a>, Refused> {
    let site = change.site;
    let (_, future) = change.trees()?;
    let known = change.known()?;
    if let Err(error) = &known.enumerated {
        return Err(change.refuse(format!("cannot say which lists there are: {error}")));
    }
    let parity = change.parity();
    let after = parity
        .commit(&future.name, &known.lists)
        .map_err(|refusal| {
            let mut refused = change.refuse(refusal_text(parity, future, &refusal));
            refused.hints = hints(site, parity, future, &refusal, with_all);
            refused
        })?;
    refuse_blind(change)?;
    hooks::look(site, change.request, On::Commit)?;
    let last = aliases::plan_commit(site, &after, &known.lists)
        .map_err(|error| change.refuse_aliases(&error))?;
    Ok(Step {
        last: Some(last),
        ..Step::to(after)
    })
}

/// Makes the commit and tells of it.
///
/// # Errors
/// Nothing changed.
pub fn carry_out(change: &mut Change<'_>, step: Step<'_>) -> Result<(), Refused> {
    let site = change.site;
    let roles = &step.after.roles;
    let told = vec![
        format!(
            "{}: tree {} {} is current, tree {} {} is retired",
            change.verb("committed", "would commit"),
            roles.current,
            roles.current_release.escape_debug(),
            change.parity().roles.current,
            roles.future_release.escape_debug()
        ),
        "no list changes trees by this".to_owned(),
    ];
    let ways = ways(site, "commit --revert", &step);
    let tree = site.config.tree(&roles.current);
    let guarded = tree.filter(|tree| roles.guarded.contains(&tree.name));
    let (_, future) = change.trees()?;
    let signs = signs::look(site, change.parity(), Role::Future, future);
    let left = site.config.other_tree(&roles.current);
    change.carry_out(step, &told)?;
    let retired = left.and_then(|left| retired::of_tree(site, left));
    // NO REASON TO REFUSE. All lists are there already, and stay.
    for sign in signs.iter().flat_map(Signs::all) {
        change.say(format!("note: tree {} {}", future.name, sign.what));
    }
    if let Some(tree) = guarded {
        change.say(guarded_until(site, tree));
    }
    if change.request.mode == Mode::Real {
        change.say(format!(
            "the way back, until something is installed: {ways}"
        ));
        for line in retired.map_or_else(Vec::new, |retired| retired.lines()) {
            change.say(line);
        }
    }
    Ok(())
}

/// The revert from what stands.
///
/// # Errors
/// Why it may not be.
pub fn step_back<'a>(change: &mut Change<'a>) -> Result<Step<'a>, Refused> {
    let site = change.site;
    let (_, retired) = change.trees()?;
    let parity = change.parity().clone();
    if parity.roles.future_state != FutureState::Retired {
        let text = refusal_text(&parity, retired, &Refusal::NothingToRevert);
        return Err(change.refuse(text).hint(typed(site, "history")));
    }
    refuse_revert(change, retired)?;
    let ahead = ahead_again(change, &retired.name);
    let after = parity
        .revert(&retired.name, ahead)
        .map_err(|refusal| change.refuse(refusal_text(&parity, retired, &refusal)))?;
    let first = match aliases::plan_revert(site, &after) {
        Ok(first) => Some(first),
        // A profile that cannot be used must not keep the lists in its tree.
        Err(error @ AddressError::Site(_)) => {
            let mut refused = change.refuse_aliases(&error);
            refused.reasons = vec![format!(
                "the entries that the commit removed are not put back: {error}"
            )];
            refused.hints.push(typed_aliases(site, "sync"));
            match change.request.mode {
                Mode::Real => change.fail(refused),
                Mode::Trial => change.say(format!("note: {}", refused.reasons[0])),
            }
            None
        }
        Err(error) => return Err(change.refuse_aliases(&error)),
    };
    Ok(Step {
        first,
        ..Step::to(after)
    })
}

/// The lists that a revert leaves where they are, ahead on the tree that is current now: all
/// that anything knows, and where a tree does not say, those that were ahead at the commit.
fn ahead_again(change: &mut Change<'_>, retired: &str) -> BTreeSet<ListName> {
    let site = change.site;
    let parity = change.parity().clone();
    let known = aliases::known_at_least(site, &parity);
    let mut lists = known.lists;
    let there = aliases::enumerate(site, retired);
    if known.enumerated.is_err() || there.is_err() {
        lists.extend(before_the_commit(site, &parity));
    }
    lists.extend(there.unwrap_or_default());
    if let Err(cause) = known.enumerated {
        change.say(format!(
            "note: tree {} cannot say which lists there are: {cause}; a list that no alias, \
             parity.toml, the history nor tree {retired} names goes to tree {retired}",
            parity.roles.current
        ));
    }
    lists
}

/// The lists that were ahead when the present current tree became it, as the history has it.
fn before_the_commit(site: &Site, parity: &Parity) -> BTreeSet<ListName> {
    let entries = store::history(site).unwrap_or_default();
    let current = Some(parity.roles.current.as_str());
    let commit = entries
        .iter()
        .rev()
        .find(|entry| entry.after.current.as_deref() == current);
    let names = commit.into_iter().flat_map(|entry| &entry.before.on_future);
    names.filter_map(|name| site.list(name).ok()).collect()
}

/// Makes the revert and tells of it.
///
/// # Errors
/// Nothing changed.
pub fn carry_out_back(change: &mut Change<'_>, step: Step<'_>) -> Result<(), Refused> {
    let site = change.site;
    let roles = &step.after.roles;
    let told = vec![
        format!(
            "{}: tree {} {} is current again, tree {} {} is the future one",
            change.verb("reverted the commit", "would revert the commit"),
            roles.current,
            roles.current_release.escape_debug(),
            change.parity().roles.current,
            roles.future_release.escape_debug()
        ),
        format!(
            "all lists stay where they are: on the future tree ({})",
            step.after.on_future.len()
        ),
    ];
    let ways = ways(site, "commit", &step);
    change.carry_out(step, &told)?;
    if change.request.mode == Mode::Real {
        change.say(format!(
            "lists go back by: {}",
            typed(site, "downgrade --all")
        ));
        change.say(format!("the way back: {ways}"));
    }
    tell_of_mail(change);
    Ok(())
}

/// What takes `step` back: `words`, or undo, unless this is one: that goes further back.
fn ways(site: &Site, words: &str, step: &Step<'_>) -> String {
    match step.undoes {
        None => format!("{}, or undo", typed(site, words)),
        Some(_) => typed(site, words),
    }
}

/// NO ONE-WAY DOOR. From the commit on the future tree is the one that says which lists there
/// are, and every command asks it.
fn refuse_blind(change: &Change<'_>) -> Result<(), Refused> {
    let (_, future) = change.trees()?;
    match aliases::enumerate(change.site, &future.name) {
        Ok(_) => Ok(()),
        Err(cause) => Err(change.refuse(format!(
            "tree {} cannot say which lists there are: {cause}",
            future.name
        ))),
    }
}

/// The commit would leave these entries behind: the tree that they pipe into is the next one to
/// be replaced.
///
/// # Errors
/// With the lists.
pub fn refuse_direct(change: &Change<'_>) -> Result<(), Refused> {
    let (site, parity) = (change.site, change.parity());
    let direct = aliases::direct(site, parity, &parity.on_future)
        .map_err(|error| change.refuse_aliases(&error))?;
    if direct.is_empty() {
        return Ok(());
    }
    Err(change
        .refuse(format!(
            "{} with aliases that pipe straight into a tree, past mm-deliver: {}",
            lists(direct.len()),
            names(&direct)
        ))
        .hint(format!(
            "{}; with --dry-run it says which it cannot turn, and why",
            typed_aliases(site, "adopt")
        )))
}

fn refuse_pinned(change: &Change<'_>) -> Result<(), Refused> {
    let parity = change.parity();
    let known = change.known()?;
    let held: Vec<&ListName> = parity
        .pinned
        .iter()
        .filter(|list| known.lists.contains(*list) && !parity.on_future.contains(*list))
        .collect();
    if held.is_empty() {
        return Ok(());
    }
    Err(change
        .refuse(format!(
            "pinned and still on tree {}: {}",
            parity.roles.current,
            names(held.iter().copied())
        ))
        .hint(unpin(change.site, &held)))
}

fn hints(
    site: &Site,
    parity: &Parity,
    future: &Tree,
    refusal: &Refusal,
    with_all: &str,
) -> Vec<String> {
    match refusal {
        Refusal::StillOnCurrent(behind) => {
            let mut hints = vec![typed(site, with_all)];
            let held: Vec<&ListName> = behind
                .iter()
                .filter(|list| parity.pinned.contains(*list))
                .collect();
            if !held.is_empty() {
                hints.insert(0, unpin(site, &held));
            }
            hints
        }
        Refusal::NotReady(_) => not_ready_hints(site, future, refusal),
        Refusal::NothingToRevert => Vec::new(),
    }
}

fn unpin(site: &Site, held: &[&ListName]) -> String {
    let held = held.iter().map(|&list| list.clone()).collect();
    typed(
        site,
        &format!("unpin {}", few(&held).unwrap_or_else(|| "LIST".to_owned())),
    )
}
