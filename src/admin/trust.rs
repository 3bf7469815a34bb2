//! The end of a release's probation.
//!
//! **Invariants.** No list moves, and nothing is asked of the tree: from the next message on its
//! programs run as they did before anybody guarded them.

use crate::admin::change::{Change, Mode, Request, Step};
use crate::admin::outcome::{Outcome, names, typed};
use crate::admin::probation;
use crate::site::Site;
use crate::tree::Tree;

/// `trust TREE`.
///
/// # Errors
/// There is no such tree.
pub fn trust(site: &Site, name: &str, request: &Request) -> Outcome {
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
    lines
}
