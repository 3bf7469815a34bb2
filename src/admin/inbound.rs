//! What the old tree took for the lists that move, and has not handled: it runs out before they
//! go.
//!
//! A message that waits in an inbound queue is on no tree's list yet. Handled after the move, it
//! would be handled by the old release, with data that the new one may have converted.
//!
//! **Invariants.** Only for lists that go ahead: taking back waits for no queue. Waited for once the
//! doors are closed and the floors are empty; else more could come. Read before that as far as it goes:
//! no door is closed for longer because a queue is long. No door is closed for a tree
//! of which it can be seen before that nothing would come of it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use crate::admin::outcome::Refused;
use crate::admin::request::{Mode, Request};
use crate::admin::signs;
use crate::list::ListName;
use crate::profiles::Profile;
use crate::queues::{self, Inbound, Left, Life, QueueError, Queues};
use crate::site::Site;
use crate::tree::Tree;

/// So many entries are named; the others are counted.
const NAMED: usize = 5;
/// The look before the doors are closed takes no longer.
const GLANCE: Duration = Duration::from_secs(1);

/// Looks before anything is touched: a tree that is not running will not handle what waits in it,
/// however long the doors are closed. A trial is told of what waits, as a note.
///
/// # Errors
/// What waits, and that the tree is not running; or a queue cannot be looked at.
pub fn glance(
    site: &Site,
    request: &Request,
    tree: &Tree,
    moving: &BTreeSet<ListName>,
) -> Result<Option<String>, Refused> {
    let act = request.act;
    let profile = Profile::of(site, tree).map_err(|error| Refused::new(act, error))?;
    let Some(queues) = Queues::of(&profile, tree) else {
        return Ok(None);
    };
    let down = not_running(&profile, tree);
    if request.mode == Mode::Real && down.is_empty() {
        return Ok(None);
    }
    let end = Instant::now() + GLANCE;
    let left = Inbound::of(queues, moving).run_out(queues, &|| Instant::now() >= end);
    let left = match left.map_err(|error| unseen(act, tree, &error)) {
        Ok(left) => left,
        // Anybody may make a trial; the change itself asks again.
        Err(refused) if request.mode == Mode::Trial => {
            return Ok(Some(format!("note: {}", refused.reasons.join("; "))));
        }
        Err(refused) => return Err(refused),
    };
    match (left.is_empty(), down.is_empty()) {
        (true, _) => Ok(None),
        (false, true) => Ok(Some(format!(
            "note: {}; upgrade would wait for that",
            told(tree, &left)
        ))),
        (false, false) => {
            let mut refused = Refused::new(act, told(tree, &left));
            refused.reasons.extend(down);
            add_dead(
                &mut refused,
                queues,
                tree,
                &dead(queues, &left, SystemTime::now()),
            );
            Err(refused.hint(signs::start(&tree.name)))
        }
    }
}

/// What a tree took for the lists that move, as it was read before their doors are closed.
#[derive(Debug)]
pub struct Taken<'t> {
    act: &'static str,
    tree: &'t Tree,
    profile: Profile,
    inbound: Option<Inbound>,
}

impl<'t> Taken<'t> {
    /// Reads it, until it `is_over`.
    ///
    /// # Errors
    /// A queue cannot be looked at.
    pub fn read_ahead(
        site: &Site,
        act: &'static str,
        tree: &'t Tree,
        moving: &BTreeSet<ListName>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Taken<'t>, Refused> {
        let profile = Profile::of(site, tree).map_err(|error| Refused::new(act, error))?;
        let mut inbound = None;
        if let Some(queues) = Queues::of(&profile, tree) {
            let inbound = inbound.insert(Inbound::of(queues, moving));
            let read = inbound.read_ahead(queues, is_over);
            read.map_err(|error| unseen(act, tree, &error))?;
        }
        Ok(Taken {
            act,
            tree,
            profile,
            inbound,
        })
    }

    /// Waits until it has run out, or it `is_over`. The doors must be closed.
    ///
    /// # Errors
    /// What is left, named; or a queue cannot be looked at.
    pub fn run_out(self, is_over: &dyn Fn() -> bool) -> Result<(), Refused> {
        let (act, tree) = (self.act, self.tree);
        let queues = Queues::of(&self.profile, tree);
        let Some((inbound, queues)) = self.inbound.zip(queues) else {
            return Ok(());
        };
        let left = inbound.run_out(queues, is_over);
        let left = left.map_err(|error| unseen(act, tree, &error))?;
        if left.is_empty() {
            return Ok(());
        }
        let mut refused = Refused::new(act, told(tree, &left));
        refused.reasons.extend(not_running(&self.profile, tree));
        let dead = dead(queues, &left, SystemTime::now());
        let all_are_dead = dead.len() == left.len();
        add_dead(&mut refused, queues, tree, &dead);
        Err(refused.hint(match all_are_dead {
            true => "no list has moved",
            false => "no list has moved; --closed 5m would wait longer",
        }))
    }
}

fn unseen(act: &'static str, tree: &Tree, error: &QueueError) -> Refused {
    let what = format!("cannot tell what tree {} has to handle: {error}", tree.name);
    Refused::new(act, what).hint(signs::unread(&tree.name, error))
}

/// Those of which nobody can believe that they are being handled, each with how long it has
/// stood there; oldest first.
fn dead<'l>(queues: Queues<'_>, left: &'l [Left], now: SystemTime) -> Vec<(Duration, &'l Left)> {
    let aged = left.iter().filter_map(|entry| {
        // Of the future: a clock was set. It waits no time yet.
        let age = now.duration_since(entry.written?).unwrap_or_default();
        (age > queues.stuck().duration()).then_some((age, entry))
    });
    let mut dead: Vec<_> = aged.collect();
    dead.sort_by_key(|&(age, entry)| (Reverse(age), &entry.path));
    dead
}

/// Says of those that to wait longer is in vain, and what helps instead.
fn add_dead(refused: &mut Refused, queues: Queues<'_>, tree: &Tree, dead: &[(Duration, &Left)]) {
    let Some((age, oldest)) = dead.first() else {
        return;
    };
    let more = match dead.len() - 1 {
        0 => String::new(),
        more => format!(", nor {more} more that are older than {}", queues.stuck()),
    };
    refused.reasons.push(format!(
        "nobody handles {:?}, which has stood there for {}{more}",
        oldest.path,
        signs::span(*age)
    ));
    refused.hints.push(format!(
        "to wait longer is in vain: see whether the programs of tree {} run, and what its logs say \
         of it; what none of them takes up again, hand in anew as mail, and move it out of that \
         directory",
        tree.name
    ));
}

/// Which of the tree's programs do not run; none where that cannot be told.
fn not_running(profile: &Profile, tree: &Tree) -> Vec<String> {
    let Life::Down(programs) = queues::life(profile, tree) else {
        return Vec::new();
    };
    let told = |what| format!("tree {} is not running: {what}", tree.name);
    programs.into_iter().map(told).collect()
}

fn told(tree: &Tree, left: &[Left]) -> String {
    let now = SystemTime::now();
    let named = left.iter().take(NAMED).map(|entry| {
        let age = entry
            .written
            .map(|at| now.duration_since(at).unwrap_or_default());
        let age = age.map_or_else(String::new, |age| format!(", {} old", signs::span(age)));
        let whose = match entry.is_told {
            true => "",
            false => ", for a list that it does not tell",
        };
        format!("{:?}{age}{whose}", entry.path)
    });
    let more = match left.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "tree {} took {} and has not handled {}: {}{more}",
        tree.name,
        match left.len() {
            1 => "1 message".to_owned(),
            n => format!("{n} messages"),
        },
        match left.len() {
            1 => "it",
            _ => "them",
        },
        named.collect::<Vec<_>>().join("; "),
    )
}
