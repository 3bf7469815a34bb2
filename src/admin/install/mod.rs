//! A release is installed in the future tree, and looked at before any list goes there.
//!
//! Order: the right to run a command in a tree (`store::Underway`), every reason why not
//! (`refusals`), the lists' data versions kept (`versions`), the `prepare` hooks, the tree marked
//! `installing`, the writer's lock let go of; the command, behind a fence (`command`, `fence`); what was
//! installed judged (`judge`, with the profile's tests, `fresh`); the tree marked `ready` and guarded, and
//! the `after` hooks, or `broken`, and the `undo` hooks; its files recorded (`manifest`).
//!
//! | killed | parity.toml says | what goes on |
//! |---|---|---|
//! | before the mark | what it said | `install` again, or `undo --prepared` for its hooks |
//! | from the mark on | installing | `install` again, `install --end`, or `undo` |
//! | after the end | ready or broken | nothing to do |
//!
//! **Invariants.** Nobody's way back waits for a command or a test: the writer's lock is held for the two
//! marks alone, and hooks give way. Whoever took the install back meanwhile has done so: its end says so, and marks
//! nothing.

pub mod cli;
pub mod command;
pub mod extent;
pub mod fence;
pub mod fresh;
pub mod idle;
pub mod judge;
pub mod links;
pub mod manifest;
pub mod may;
pub mod patch;
pub mod refusals;
pub mod underway;
pub mod versions;

use std::ffi::OsString;

use crate::accounts;
use crate::admin::aliases;
use crate::admin::change::Change;
use crate::admin::hooks;
use crate::admin::install::fence::Fence;
use crate::admin::install::versions::Versions;
use crate::admin::moving;
use crate::admin::outcome::{AFTER, Outcome, Refused, guarded_until, shell_word, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::step::{Step, no_state};
use crate::admin::terminal;
use crate::parity::{FutureState, Parity};
use crate::running::End;
use crate::settings::On;
use crate::site::Site;
use crate::store;
use crate::tree::Tree;

/// `install COMMAND`.
///
/// # Errors
/// Every reason why not; or what is wrong with what was installed, and the tree is `broken`.
pub fn install(site: &Site, command: &[OsString], request: &Request) -> Outcome {
    command::there(command, request.act)?;
    if accounts::runner() != 0 && request.mode == Mode::Real {
        return Err(only_root(site, request.act));
    }
    let (_, future) = trees(site, request.act)?;
    let _underway = underway::take(site, future, request)?;
    let begun = mark(site, request, true)?;
    if request.mode == Mode::Trial {
        return Ok(begun.end());
    }
    let text = begun.end();
    // Before the command says anything; it has the terminal from here on.
    let _ = terminal::out(&text.text);
    let ended = command::run(command, future, &Fence::but(site, future));
    let trouble = match ended {
        Ok(End::Exited(0)) => None,
        Ok(end) => Some(format!("{:?} {end}", shown(command))),
        Err(error) => Some(error.to_string()),
    };
    let mut outcome = end(site, request, trouble).map_err(|refused| left(site, refused));
    if let Ok(done) = &mut outcome {
        done.failed.extend(text.failed);
        done.hints.extend(text.hints);
    }
    outcome
}

/// What came of the command could not be recorded. The mark stands and the tree was changed: not the
/// status of a refusal, after which all is as it was.
fn left(site: &Site, mut refused: Refused) -> Refused {
    if refused.status != AFTER {
        refused.status = AFTER;
        let is_marked = store::load(site)
            .is_ok_and(|loaded| loaded.parity.roles.future_state == FutureState::Installing);
        if is_marked {
            refused = refused.hint(format!(
                "the future tree is left installing; once that is mended: {}, or {}",
                typed(site, "install --end"),
                typed(site, "undo")
            ));
        }
    }
    refused
}

/// `install --begin`.
///
/// # Errors
/// Every reason why not.
pub fn begin(site: &Site, request: &Request) -> Outcome {
    let (_, future) = trees(site, request.act)?;
    let _underway = underway::take(site, future, request)?;
    let mut begun = mark(site, request, false)?;
    if request.mode == Mode::Real {
        begun.say(format!(
            "install the release in {:?}, then: {}",
            future.root,
            typed(site, "install --end")
        ));
        begun.say("nothing is read-only for what installs: no install of a list manager may touch the lists' data");
        begun.say(format!("the way back: {}", typed(site, "undo")));
    }
    Ok(begun.end())
}

/// `install --end`.
///
/// # Errors
/// No install is under way; or what is wrong with what was installed, and the tree is `broken`.
pub fn end_by_hand(site: &Site, request: &Request) -> Outcome {
    let (_, future) = trees(site, request.act)?;
    let _underway = underway::take(site, future, request)?;
    end(site, request, None)
}

/// The trees as they stand, without a lock.
fn trees<'s>(site: &'s Site, act: &'static str) -> Result<(&'s Tree, &'s Tree), Refused> {
    let loaded = store::load(site).map_err(|error| no_state(act, site, &error))?;
    let current = &loaded.parity.roles.current;
    match (site.config.tree(current), site.config.other_tree(current)) {
        (Some(current), Some(future)) => Ok((current, future)),
        _ => Err(Refused::new(
            act,
            format!(
                "{:?} names one tree only: there is no future tree",
                site.path
            ),
        )
        .hint(format!(
            "give {:?} a second tree, [trees.NAME], where the next release is to be",
            site.path
        ))),
    }
}

fn only_root(site: &Site, act: &'static str) -> Refused {
    let reason = "only root can keep the lists' data and the current tree read-only for a command";
    Refused::new(act, reason).hint(format!(
        "as root; or: {}, install the release, {}",
        typed(site, "install --begin"),
        typed(site, "install --end")
    ))
}

/// Marks the future tree as one in which something is being installed.
fn mark<'s>(site: &'s Site, request: &'s Request, fenced: bool) -> Result<Change<'s>, Refused> {
    // Before the lock: there may be many lists.
    let (current, future) = trees(site, request.act)?;
    let before = versions::read(site, current);
    let mut change = Change::begin(site, request)?;
    if change.trees()?.1.name != future.name {
        return Err(changed_meanwhile(request.act));
    }
    let mut refused = refusals::look(site, change.parity(), request.act, (current, future));
    if let Err(unsound) = hooks::look(site, request, On::Install) {
        refused.reasons.extend(unsound.reasons);
        refused.hints.extend(unsound.hints);
    }
    refused.if_any()?;
    if !idle::sees_all() {
        change.say("note: only root sees whether processes of others run in the tree");
    }
    let goes_on = change.parity().roles.future_state == FutureState::Installing;
    if !(goes_on && Versions::kept(site).is_some()) {
        change
            .keep_beside(&versions::path(site), &before.text())
            .map_err(|error| no_state(request.act, site, &error))?;
    }
    let would = match fenced {
        true => "; the lists' data, the current tree and the state are read-only for the command",
        false => "",
    };
    if goes_on {
        change.say(format!(
            "tree {}: an install that had no end goes on{would}",
            future.name
        ));
        // What was prepared before the mark is on record, and is not prepared again.
        return Ok(change);
    }
    let told = format!(
        "tree {} {} installing: it takes no lists{would}",
        future.name,
        change.verb("is marked", "would be marked")
    );
    let after = change.parity().installing();
    if let Err(refused) = change.carry_out(Step::to(after), &[told]) {
        // Nothing is under way that it could be held against.
        change.forget_beside(&versions::path(site));
        return Err(refused);
    }
    Ok(change)
}

fn changed_meanwhile(act: &'static str) -> Refused {
    Refused::new(act, "the trees' parts were changed meanwhile")
        .hint("what was typed may be typed again")
}

/// Judges what is installed, and marks the tree by that. `trouble`: what went wrong before.
fn end(site: &Site, request: &Request, trouble: Option<String>) -> Outcome {
    let loaded = store::load(site).map_err(|error| no_state(request.act, site, &error))?;
    still_installing(site, request.act, &loaded.parity)?;
    let (current, future) = trees(site, request.act)?;
    let mut judged = judge::Judged::default();
    match trouble {
        Some(trouble) => judged.reasons.push(trouble),
        None => judged = judge::judge(site, &loaded.parity, future),
    }
    match Versions::kept(site) {
        Some(before) => judged
            .reasons
            .extend(before.changed(&versions::read(site, current))),
        None => judged.notes.push(
            "whether lists' data were converted is not known: nothing was noted before".to_owned(),
        ),
    }
    // Without the lock, as all that takes its time.
    let release = judged.release.clone().unwrap_or_default();
    let manifest = judged
        .reasons
        .is_empty()
        .then(|| manifest::of(site, future, &release));
    let mut change = Change::begin(site, request)?;
    still_installing(site, request.act, change.parity())?;
    for note in &judged.notes {
        change.say(format!("note: {note}"));
    }
    match manifest {
        Some(manifest) => {
            let is_old = sound(&mut change, future, release)?;
            manifest::keep(&mut change, manifest, future);
            let parity = change.parity().clone();
            // The lock is given up with it: what follows asks more of the tree.
            let mut done = change.end();
            if request.mode == Mode::Real {
                done.text += &next(site, &parity, is_old);
            }
            Ok(done)
        }
        None => broken(&mut change, future, judged).map(|()| change.end()),
    }
}

/// What to type next, and the way back.
fn next(site: &Site, parity: &Parity, is_old: bool) -> String {
    let next = match is_old {
        true => typed(site, "commit --revert"),
        false => next_upgrade(site, parity),
    };
    format!("next: {next}\nthe way back: {}\n", typed(site, "undo"))
}

/// The first move to a tree that is ready, and what would be against it now.
pub fn next_upgrade(site: &Site, parity: &Parity) -> String {
    let upgrade = typed(site, "upgrade LIST");
    let lists = aliases::known_at_least(site, parity).lists;
    match moving::not_ahead(site, parity, &lists) {
        Ok(()) => upgrade,
        Err(reasons) => format!(
            "{upgrade}, which would be refused now: {}",
            reasons.join("; ")
        ),
    }
}

fn still_installing(site: &Site, act: &'static str, parity: &Parity) -> Result<(), Refused> {
    match parity.roles.future_state {
        FutureState::Installing => Ok(()),
        state => Err(Refused::new(
            act,
            format!("no install is under way, or it was taken back: the future tree is {state}"),
        )
        .hint(typed(site, "history"))
        .hint(format!(
            "to look at what is there now: {}",
            typed(site, "verify")
        ))),
    }
}

/// The tree takes lists, unless it has what was retired; whether it has.
fn sound(change: &mut Change<'_>, future: &Tree, release: String) -> Result<bool, Refused> {
    let site = change.site;
    let parity = change.parity().clone();
    let is_old = was_retired(change, &parity) && release == parity.roles.future_release;
    let shown = release.escape_debug().to_string();
    let (after, told) = match is_old {
        // NOTHING NEW. To move lists into it would be a downgrade by another name.
        true => (
            parity.retired_again(),
            format!(
                "tree {} {} again the release {shown} that was retired: it stays retired",
                future.name,
                change.verb("has", "would have")
            ),
        ),
        false => (
            parity.verified(
                parity.roles.current_release.clone(),
                Some((&future.name, release)),
            ),
            format!(
                "{} {shown} in tree {}: lists may move there",
                change.verb("installed", "would be installed:"),
                future.name
            ),
        ),
    };
    let step = Step {
        judged: Some(patch::judged_as(future, true)),
        ..Step::to(after)
    };
    change.carry_out(step, &[told])?;
    change.forget_beside(&versions::path(site));
    if !is_old {
        change.say(guarded_until(site, future));
    }
    Ok(is_old)
}

/// Whether the tree was retired when the install began.
fn was_retired(change: &Change<'_>, parity: &Parity) -> bool {
    let entries = change.history().unwrap_or_default();
    let mark = store::install_mark(&entries, parity.roles.generation + 1);
    let before = mark.and_then(|mark| mark.before.future_state.clone());
    before.as_deref() == Some(FutureState::Retired.as_str())
}

/// The tree takes no lists: all that is wrong is a refusal, and the mark stands.
fn broken(change: &mut Change<'_>, future: &Tree, judged: judge::Judged) -> Result<(), Refused> {
    let site = change.site;
    let mut refused = Refused::empty(change.request.act);
    refused.reasons = judged.reasons;
    if change.request.mode == Mode::Trial {
        return Err(refused);
    }
    let after = change.parity().broken(judged.release);
    change.carry_out(Step::to(after), &[])?;
    change.forget_beside(&versions::path(site));
    refused.status = AFTER;
    refused.reasons.push(format!(
        "tree {} is broken: it takes no lists; all lists and their mail are where they were",
        future.name
    ));
    refused.hints.push(format!(
        "mend it, then: {}; or install again: {}",
        typed(site, "verify"),
        typed(site, "install COMMAND")
    ));
    refused
        .hints
        .push(format!("the way back: {}", typed(site, "undo")));
    Err(refused)
}

/// A command as one would type it, cut to what a line can show.
pub fn shown(command: &[OsString]) -> String {
    const LONGEST: usize = 200;
    let words: Vec<_> = command
        .iter()
        .map(|word| shell_word(&word.to_string_lossy()))
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
