//! The end of a release's probation, and what speaks against it.
//!
//! **Invariants.** No list moves, and nothing is asked of the tree: from the next message on its
//! programs run as they did before anybody guarded them.

use std::path::PathBuf;

use crate::admin::change::Change;
use crate::admin::outcome::{Outcome, Refused, names, typed};
use crate::admin::probation::{self, Seen};
use crate::admin::request::{Mode, Request};
use crate::admin::step::Step;
use crate::probation::log_file;
use crate::site::Site;
use crate::store;
use crate::tree::Tree;

/// `trust TREE`.
///
/// # Errors
/// There is no such tree; or its files are not sound, as far as is known, and nobody said `force`.
pub fn trust(site: &Site, name: &str, force: bool, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let Some(tree) = site.config.tree(name) else {
        let known = site.config.trees.iter().map(|tree| &tree.name);
        let hint = format!("trees: {}", names(known));
        let text = format!("no tree {name:?} in {:?}", site.path);
        return Err(change.refuse(text).hint(hint));
    };
    if !change.parity().roles.guarded.contains(&tree.name) {
        change.say(format!("nothing to do: tree {name} is not guarded"));
        return Ok(change.end());
    }
    if !force {
        refuse_unsound(&change, tree)?;
    }
    let troubled = troubled(&change, tree);
    let told = [format!(
        "{} tree {} {}: its programs run without mm-guard, and what they end with is what the \
         MTA gets",
        change.verb("trusted:", "would trust"),
        tree.name,
        change.parity().roles.release_of(&tree.name).escape_debug()
    )];
    let after = change.parity().trust(&tree.name);
    change.carry_out(Step::to(after), &told)?;
    for line in troubled {
        change.say(line);
    }
    if request.mode == Mode::Real {
        change.say(format!("the way back: {}", typed(site, "undo")));
    }
    Ok(change.end())
}

/// What was done to its files last did not end well: unguarded, its programs would bounce mail.
fn refuse_unsound(change: &Change<'_>, tree: &Tree) -> Result<(), Refused> {
    let (site, name) = (change.site, &tree.name);
    let entries = change.history()?;
    let Some(entry) = store::unsound(&entries, name) else {
        return Ok(());
    };
    let why = format!(
        "tree {name} is not sound as far as is known: change {} ({}) did not end well, or was killed",
        entry.generation,
        entry.command.escape_debug()
    );
    let again = typed(site, &format!("patch {name} --reason TEXT COMMAND"));
    let anyway = typed(site, &format!("trust {name} --force"));
    Err(change
        .refuse(why)
        .hint(format!(
            "mend its files, or put them back: {again} (COMMAND is true where that is done)"
        ))
        .hint(format!("to do it anyway: {anyway}")))
}

/// Deliveries that were deferred, and by the programs' own statuses may bounce from now on.
fn troubled(change: &Change<'_>, tree: &Tree) -> Vec<String> {
    let release = change.parity().roles.release_of(&tree.name).to_owned();
    let seen = probation::read(change.site);
    let mut lines = Vec::new();
    for (_, tally) in seen.of_tree(&tree.name, &release) {
        for line in tally.troubled() {
            lines.push(format!(
                "note: {line}; from now on the MTA takes that as it is"
            ));
        }
    }
    let unknown = unknown(change.site, &seen);
    lines.extend(unknown.iter().map(|line| format!("note: {line}")));
    lines
}

/// The release that is to serve all lists did not take its last mail for some, or nobody can
/// say whether it did. `forced` is what to type to pass that.
///
/// # Errors
/// With the lists or logs, and why.
pub fn refuse_trouble(change: &Change<'_>, forced: &str) -> Result<(), Refused> {
    const MOST: usize = 10;
    let (site, parity) = (change.site, change.parity());
    let (_, future) = change.trees()?;
    // What nobody guards is nobody's to count: its statuses are the MTA's.
    if !parity.roles.guarded.contains(&future.name) {
        return Ok(());
    }
    let known = change.known()?.lists;
    let seen = probation::read(site);
    let of_tree = seen.of_tree(&future.name, &parity.roles.future_release);
    let troubled: Vec<String> = of_tree
        .filter(|(list, _)| parity.on_future.contains(*list) && known.contains(*list))
        .flat_map(|(_, tally)| tally.troubled())
        .map(|line| format!("tree {}: {line}", future.name))
        .collect();
    let mut refused = Refused::empty(change.request.act);
    refused.reasons.extend(troubled.iter().take(MOST).cloned());
    if let Some(more @ 1..) = troubled.len().checked_sub(MOST) {
        refused.reasons.push(format!("{more} more of the kind"));
    }
    if !troubled.is_empty() {
        let hint = "once they are mended and mail has come through, commit as before";
        refused.hints.push(hint.to_owned());
    }
    let unknown = unknown(site, &seen);
    if !unknown.is_empty() {
        refused.reasons.extend(unknown);
        refused.hints.push(typed(site, "check"));
    }
    refused.hint(typed(site, forced)).if_any()
}

/// Logs of configured users that do not say what became of the mail.
pub fn unknown(site: &Site, seen: &Seen) -> Vec<String> {
    let directory = site.config.probation();
    let users = site.config.users.iter().filter_map(|user| user.uid().ok());
    let own: Vec<PathBuf> = users.map(|uid| log_file(&directory, uid)).collect();
    let unread = seen.unread.iter();
    let unread = unread.filter(|(log, _)| *log == directory || own.contains(log));
    let missing = probation::missing(site).into_iter();
    missing
        .map(|(user, log)| {
            format!("{log:?} is missing: what became of deliveries as {user} is not known")
        })
        .chain(
            unread.map(|(log, why)| {
                format!("{log:?}: {why}; what became of deliveries is not known")
            }),
        )
        .collect()
}
