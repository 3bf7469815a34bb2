//! A security fix into a tree that is in use, while lists may be split.
//!
//! Order: the right to run a command in a tree; the tree guarded, its doors closed meanwhile and the
//! deliveries in flight waited for; the command, behind a fence; everything that an install's end
//! asks; the release recorded, with the files.
//!
//! GUARDED FIRST. Programs are replaced while mail comes in: one that is half there fails, and
//! unguarded it would bounce. So nobody runs the tree's programs unguarded when the command begins, but
//! for those who did not end within `--drain`, and they are named.
//!
//! | killed | parity.toml says | what goes on |
//! |---|---|---|
//! | before the first change | what it said | `patch` again |
//! | after it | the tree is guarded | `patch` again; mail goes on, guarded; check tells what changed |
//! | after the second | the release that is there | nothing to do |
//!
//! **Invariants.** No list changes trees. The tree is never left unguarded by what went wrong.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::accounts;
use crate::admin::aliases;
use crate::admin::change::Change;
use crate::admin::closing::Moves;
use crate::admin::install::fence::Fence;
use crate::admin::install::judge::{Judged, judge};
use crate::admin::install::{command, manifest, shown, underway, versions};
use crate::admin::moving;
use crate::admin::outcome::{AFTER, Outcome, Refused, guarded_until, lists, names, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::rights;
use crate::admin::step::{Step, no_state};
use crate::admin::terminal;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Role};
use crate::profiles::Profile;
use crate::queues::{self, Life};
use crate::running::End;
use crate::site::Site;
use crate::store;
use crate::tree::Tree;

/// `patch TREE COMMAND`.
///
/// # Errors
/// Why not; or what is wrong with the tree now, which is guarded.
pub fn patch(site: &Site, name: &str, argv: &[OsString], request: &Request) -> Outcome {
    command::there(argv, request.act)?;
    if accounts::runner() != 0 && request.mode == Mode::Real {
        return Err(Refused::new(
            request.act,
            "only root can keep the lists' data and the other tree read-only for a command",
        ));
    }
    let loaded = store::load(site).map_err(|error| no_state(request.act, site, &error))?;
    let tree = in_use(site, &loaded.parity, name, request.act)?;
    let _underway = underway::take(site, tree, request)?;
    let current = site
        .config
        .tree(&loaded.parity.roles.current)
        .unwrap_or(tree);
    let before = versions::read(site, current);
    let guarded = guard(site, tree, request)?;
    if request.mode == Mode::Trial {
        return Ok(guarded.end());
    }
    let said = guarded.end();
    // Before the command says anything; it has the terminal from here on.
    let _ = terminal::out(&said.text);
    let trouble = match command::run(argv, tree, &Fence::but(site, tree)) {
        Ok(End::Exited(0)) => None,
        Ok(end) => Some(format!("{:?} {end}", shown(argv))),
        Err(error) => Some(error.to_string()),
    };
    let mut outcome = end(site, tree, request, (trouble, &before, current));
    if let Ok(done) = &mut outcome {
        done.failed.extend(said.failed);
        done.hints.extend(said.hints);
    }
    outcome
}

/// The tree of this name, if a fix may go there: the current one, or one that lists are, or may be, on.
fn in_use<'s>(
    site: &'s Site,
    parity: &Parity,
    name: &str,
    act: &'static str,
) -> Result<&'s Tree, Refused> {
    let Some(tree) = site.config.tree(name) else {
        let known = site.config.trees.iter().map(|tree| &tree.name);
        let hint = format!("trees: {}", names(known));
        return Err(Refused::new(act, format!("no tree {name:?} in {:?}", site.path)).hint(hint));
    };
    let state = parity.roles.future_state;
    if tree.name == parity.roles.current || state == FutureState::Ready {
        return Ok(tree);
    }
    Err(
        Refused::new(act, format!("tree {name} is {state}: it is not in use"))
            .hint(typed(site, "install COMMAND")),
    )
}

/// The lists whose deliveries run the tree's programs.
fn on(site: &Site, parity: &Parity, tree: &Tree) -> BTreeSet<ListName> {
    let role = match tree.name == parity.roles.current {
        true => Role::Current,
        false => Role::Future,
    };
    let mut lists = aliases::known_at_least(site, parity).lists;
    lists.retain(|list| parity.of(list) == role);
    lists
}

/// Guards the tree, and waits for those who came in before.
fn guard<'s>(site: &'s Site, tree: &Tree, request: &'s Request) -> Result<Change<'s>, Refused> {
    let mut change = Change::begin(site, request)?;
    let parity = change.parity().clone();
    in_use(site, &parity, &tree.name, request.act)?;
    let lists_on_it = on(site, &parity, tree);
    change.say(format!(
        "{} tree {} {}, with {} on it; the lists' data, the other tree and the state are read-only for \
         the command",
        change.verb("patching", "would patch"),
        tree.name,
        parity.roles.release_of(&tree.name).escape_debug(),
        lists(lists_on_it.len())
    ));
    if parity.roles.guarded.contains(&tree.name) {
        return Ok(change);
    }
    // All its mail goes by mm-guard from here on.
    if let Some(list) = lists_on_it.iter().next() {
        let problems = rights::check_guarded(site, tree, list).problems;
        let mut refused = Refused::empty(request.act);
        refused.reasons = problems;
        refused.if_any()?;
    }
    let step = Step {
        moves: Some(Moves::Guarded(lists_on_it)),
        // Until its end says otherwise.
        judged: Some(judged_as(tree, false)),
        ..Step::to(parity.guard(&tree.name))
    };
    let told = guarded_until(site, tree);
    change.carry_out(step, &[told])?;
    Ok(change)
}

type Before<'b> = (Option<String>, &'b versions::Versions, &'b Tree);

/// Judges what is there now, and records it if it is sound; it serves lists whatever it is.
fn end(site: &Site, tree: &Tree, request: &Request, before: Before<'_>) -> Outcome {
    let (trouble, versions_before, current) = before;
    let loaded = store::load(site).map_err(|error| no_state(request.act, site, &error))?;
    let recorded = loaded.parity.roles.release_of(&tree.name).to_owned();
    let mut judged = judge(site, &loaded.parity, tree);
    let mut reasons: Vec<String> = trouble.into_iter().collect();
    reasons.append(&mut judged.reasons);
    reasons.extend(versions_before.changed(&versions::read(site, current)));
    reasons.extend(other_line(site, tree, &recorded, &judged));
    // WHAT IS NOT SOUND IS NOT WHAT IT SHOULD BE. `check` tells of it until a patch ends well.
    let (release, manifest) = match reasons.is_empty() {
        true => {
            let release = judged.release.unwrap_or(recorded);
            let manifest = manifest::of(site, tree, &release);
            (release, Some(manifest))
        }
        false => (recorded, None),
    };
    let mut change = Change::begin(site, request)?;
    for note in &judged.notes {
        change.say(format!("note: {note}"));
    }
    let shown = release.escape_debug().to_string();
    let told = match manifest.is_some() {
        true => format!("patched tree {}: {shown} is recorded", tree.name),
        false => format!("tree {}: what is recorded stays {shown}", tree.name),
    };
    let after = change.parity().patched(&tree.name, release);
    let told = told + "; no list moved, and it is guarded";
    let step = Step {
        judged: Some(judged_as(tree, reasons.is_empty())),
        ..Step::to(after)
    };
    change.carry_out(step, &[told])?;
    if let Some(manifest) = manifest {
        manifest::keep(&mut change, manifest, tree);
    }
    change.say(format!(
        "when mail has come through: {}",
        typed(site, &format!("trust {}", tree.name))
    ));
    if let Ok(profile) = Profile::of(site, tree)
        && queues::life(&profile, tree) == Life::Alive
    {
        change.say(format!(
            "note: what runs in tree {} all the time began before this: start it anew",
            tree.name
        ));
    }
    if reasons.is_empty() {
        return Ok(change.end());
    }
    // Nobody waits for what is asked of the other tree.
    let parity = change.parity().clone();
    drop(change);
    Err(failed(site, &parity, tree, request.act, reasons))
}

/// What the history keeps of a tree's files.
pub fn judged_as(tree: &Tree, sound: bool) -> store::Judged {
    store::Judged {
        tree: tree.name.clone(),
        sound,
    }
}

/// The release is of another line: no fix, but an upgrade of all lists on the tree at once.
fn other_line(site: &Site, tree: &Tree, recorded: &str, judged: &Judged) -> Option<String> {
    let release = judged.release.as_ref()?;
    let profile = Profile::of(site, tree).ok()?;
    let files = profile.files();
    (files.line(recorded) != files.line(release)).then(|| {
        format!(
            "tree {} has release {release:?} now, of another line than {recorded:?}: that is no fix, but an \
             upgrade of all its lists at once",
            tree.name
        )
    })
}

/// What is wrong, what it does to mail, and every way out.
fn failed(
    site: &Site,
    parity: &Parity,
    tree: &Tree,
    act: &'static str,
    reasons: Vec<String>,
) -> Refused {
    let mut refused = Refused::empty(act);
    let lists_on_it = on(site, parity, tree);
    refused.status = AFTER;
    refused.reasons = reasons;
    refused.reasons.push(format!(
        "tree {} serves {} and is not sound: it is guarded, so mail that its programs fail on waits",
        tree.name,
        lists(lists_on_it.len())
    ));
    let is_current = tree.name == parity.roles.current;
    match (is_current, parity.roles.future_state) {
        _ if lists_on_it.is_empty() => {}
        (false, _) => refused.hints.push(typed(site, "downgrade --all")),
        (true, FutureState::Retired) => refused.hints.push(format!(
            "{}, then {}",
            typed(site, "commit --revert"),
            typed(site, "downgrade --all")
        )),
        (true, FutureState::Ready) => match moving::not_ahead(site, parity, &lists_on_it) {
            Ok(()) => refused.hints.push(typed(site, "upgrade --all")),
            Err(reasons) => refused.hints.push(format!(
                "no list can move to the other tree now: {}",
                reasons.join("; ")
            )),
        },
        (true, _) => {}
    }
    let again = format!("patch {} --reason TEXT COMMAND", tree.name);
    let or = if refused.hints.is_empty() { "" } else { "or " };
    refused.hints.push(format!(
        "{or}put its files back, or mend them: {}",
        typed(site, &again)
    ));
    refused.hints.push("undo puts no file back".to_owned());
    refused
}
