//! The right to run a command in a tree, or to judge one, and who still has it.
//!
//! Two things are asked: the locks (`store::Underway`), which every user sees, and the processes behind a
//! command's fence, which root sees: one may have closed the descriptor that the lock goes by.
//!
//! **Invariants.** Ends no process.

use crate::admin::inside::{self, Inside};
use crate::admin::install::command;
use crate::admin::install::extent::resolved;
use crate::admin::outcome::Refused;
use crate::admin::request::{Mode, Request};
use crate::admin::step::no_state;
use crate::site::Site;
use crate::store::{Held, Hold, Underway};
use crate::tree::Tree;

/// The right to run a command in `tree`; a trial only looks.
///
/// # Errors
/// Somebody has it, or something that a command started still runs.
pub fn take(site: &Site, tree: &Tree, request: &Request) -> Result<Option<Underway>, Refused> {
    let held = match request.mode {
        Mode::Real => Underway::take(site, &tree.name, &request.line).map(Some),
        Mode::Trial => match Underway::by(site) {
            Some(running) => Err(Held::By(Some(running))),
            None => Ok(None),
        },
    };
    let refused = match held {
        Err(Held::Unknown(error)) => return Err(no_state(request.act, site, &error)),
        Err(Held::By(Some(running))) if running.is_left => Refused::new(request.act, running),
        Err(held) => {
            return Err(Refused::new(request.act, held)
                .hint("wait until it has ended; what it was started with goes with its process"));
        }
        Ok(underway) => {
            let left = still_running(site);
            if left.is_empty() {
                return Ok(underway);
            }
            return Err(left_running(Refused::empty(request.act), &left));
        }
    };
    let left = still_running(site);
    Err(match left.is_empty() {
        true => refused.hint("wait until it has ended; root is told which processes these are"),
        false => left_running(refused, &left),
    })
}

/// What the last command in a tree started, as far as this user sees.
pub fn still_running(site: &Site) -> Vec<Inside> {
    inside::started_by_command(&resolved(&Hold::path(site)))
}

/// What a command that ended, or whose mm-parity was killed, left running.
fn left_running(mut refused: Refused, left: &[Inside]) -> Refused {
    refused.reasons.push(command::told(left));
    refused.hint("wait until it has ended, or stop it by its process id, then type this again")
}
