//! One commit point, with the alias entries before or after it.
//!
//! Order: lists' data copied for the first time, aliases that the change needs, the old tree's queues read (`inbound`), doors closed and
//! floors drained where lists change trees (`closing`), the old tree's queues run out, what changed of
//! the data copied again, or other data put in their place, commit point, doors open, aliases that it
//! makes superfluous. If the doors cannot be closed, the commit point
//! fails or somebody wants an end, the first go back; if the last fail, the change stands and the
//! status is 3.
//!
//! **Invariants.** What is refused has left everything as it was, or says what it has not.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::accounts;
use crate::admin::aliases::{self, AddressError, Applied, Plan};
use crate::admin::closing::{self, Closed, Moves};
use crate::admin::data::Data;
use crate::admin::inbound::Taken;
use crate::admin::inside;
use crate::admin::interrupts::{Came, Interrupts};
use crate::admin::outcome::{AFTER, Refused, names, typed, typed_aliases};
use crate::admin::request::Request;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::Site;
use crate::snapshots::{Restoring, Shot};
use crate::store::{self, About, Judged, StoreError, Writer};

/// How a refusal begins to say that everything is where it was.
const UNMOVED: &str = "no list has moved";

/// One commit point with what goes before and after it.
#[derive(Debug)]
pub struct Step<'a> {
    /// What is to stand.
    pub after: Parity,
    /// Aliases that must be there first.
    pub first: Option<Plan<'a>>,
    /// The lists that change trees.
    pub moves: Option<Moves>,
    /// What is kept of the data of lists that go ahead.
    pub fence: Option<Shot>,
    /// Data that are put back.
    pub restore: Option<Restoring>,
    /// Aliases that may go then.
    pub last: Option<Plan<'a>>,
    /// Names among the lists that move without a list behind them: no hook runs for those.
    pub gone: BTreeSet<ListName>,
    /// The generation that is taken back, for undo.
    pub undoes: Option<u64>,
    /// What is known of a tree's files then.
    pub judged: Option<Judged>,
}

impl Step<'_> {
    /// A step that needs no aliases and moves no list.
    pub fn to(after: Parity) -> Self {
        Step {
            after,
            first: None,
            moves: None,
            fence: None,
            restore: None,
            last: None,
            gone: BTreeSet::new(),
            undoes: None,
            judged: None,
        }
    }
}

/// What became of the aliases, and what failed after the commit point.
#[derive(Debug, Default)]
pub(in crate::admin) struct After {
    /// Sentences for the admin.
    pub(in crate::admin) notes: Vec<String>,
    /// What failed; the change stands.
    pub(in crate::admin) failed: Vec<String>,
    /// What to type next.
    pub(in crate::admin) hints: Vec<String>,
}

impl After {
    /// Entries that may go could not be removed: mail is not held up by them.
    pub(super) fn failed(&mut self, site: &Site, error: &AddressError) {
        self.failed.push(error.to_string());
        self.hints.extend(error.hints());
        self.hints.push(typed_aliases(site, "sync --remove"));
    }

    fn told(&mut self, lines: Vec<String>, applied: &Applied<'_>) {
        self.notes.extend(lines);
        self.notes.extend(aliases::notes(applied));
    }
}

/// Carries a step out.
///
/// # Errors
/// Nothing changed: the aliases are as they were, or it says why not.
pub(super) fn make(
    site: &Site,
    request: &Request,
    writer: &mut Writer,
    step: Step<'_>,
) -> Result<After, Refused> {
    let mut after = After::default();
    // Whoever waits can be told to end, and then says what stands.
    let interrupts = step.moves.as_ref().map(|_| Interrupts::keep());
    let mut data = Data {
        fence: step.fence,
        restore: step.restore,
    };
    data.begin(site, request, writer, interrupts.as_ref())?;
    // Even where no file differs: the MTA's database may be out of line with it.
    let applied = match step.first {
        None => None,
        Some(plan) => {
            let lines = aliases::lines(&plan);
            let applied = plan.apply(writer);
            let applied =
                applied.map_err(|error| data.undone(aliases::refusal(request.act, &error)))?;
            after.told(lines, &applied);
            Some(applied)
        }
    };
    let closed = match &step.moves {
        None => None,
        Some(moves) => match wait(site, request, writer, moves, interrupts.as_ref(), &mut data) {
            Ok(closed) => Some(closed),
            Err(refused) => {
                let refused = data.undone(refused);
                return Err(taken_back(site, refused, applied, writer));
            }
        },
    };
    if let Err(refused) = data.change(site, request, &step.after) {
        // Mail need not wait while the aliases go back.
        let refused = data.undone(refused);
        drop(closed);
        return Err(taken_back(site, refused, applied, writer));
    }
    let about = About {
        reason: request.reason.as_deref(),
        undoes: step.undoes,
        restored: data.restored(),
        judged: step.judged,
    };
    match writer.commit(step.after, about) {
        Ok(()) => {}
        // THE CHANGE STANDS: every delivery sees it; only its line in the history waits.
        Err(error @ StoreError::Unrecorded(..)) => after.failed.push(error.to_string()),
        Err(error) => {
            let refused = data.undone(no_state(request.act, site, &error));
            drop(closed);
            return Err(taken_back(site, refused, applied, writer));
        }
    }
    after
        .notes
        .extend(closed.into_iter().flat_map(|closed| closed.notes));
    data.end(site, writer.parity(), &mut after);
    if let Some(plan) = step.last {
        let lines = aliases::lines(&plan);
        match plan.apply(writer) {
            Ok(applied) => after.told(lines, &applied),
            Err(error) => after.failed(site, &error),
        }
    }
    Ok(after)
}

/// Closes the doors, and waits as long as nobody wants an end of it, or goes first.
fn wait(
    site: &Site,
    request: &Request,
    writer: &mut Writer,
    moves: &Moves,
    interrupts: Option<&Interrupts>,
    data: &mut Data,
) -> Result<Closed, Refused> {
    let came = || interrupts.and_then(Interrupts::came);
    let current = writer.parity().roles.current.clone();
    // Lists that go back go first.
    let gives_way = matches!(moves, Moves::Ahead(_) | Moves::Still(_));
    writer.gives_way(gives_way);
    let closed = close(site, request, &current, moves, data, &|| came().is_some());
    writer.gives_way(false);
    // Also of one that came a moment too late: nothing has moved yet.
    match came() {
        Some(came) => Err(told_to_end(request, came)),
        None => closed,
    }
}

/// Closes the doors of `moves`, and for lists that leave the `current` tree waits until that has
/// handled what it took; all within `--closed`.
fn close(
    site: &Site,
    request: &Request,
    current: &str,
    moves: &Moves,
    data: &mut Data,
    is_over: &dyn Fn() -> bool,
) -> Result<Closed, Refused> {
    let taken = match (moves, site.config.tree(current)) {
        (Moves::Ahead(lists), Some(tree)) => {
            Some(Taken::read_ahead(site, request.act, tree, lists, is_over)?)
        }
        _ => None,
    };
    let end = Instant::now() + request.patience.closed.duration();
    let closed = closing::close(site, request, moves, is_over)?;
    if let Some(taken) = taken {
        taken.run_out(&|| is_over() || Instant::now() >= end)?;
    }
    data.copy_again(request, &|| is_over() || Instant::now() >= end)?;
    if matches!(moves, Moves::Ahead(_) | Moves::Still(_)) {
        closing::still_closed(site, request, &closed)?;
    }
    Ok(closed)
}

/// Somebody wants an end of it, or goes first.
pub(super) fn told_to_end(request: &Request, came: Came) -> Refused {
    // A terminal is nobody.
    let sender = came.from.and_then(inside::of);
    let by = sender.map_or(String::new(), |sender| format!(", by {sender}"));
    let reason = format!(
        "told to end ({}) while it waited for those inside{by}",
        came.signal
    );
    Refused::new(request.act, reason).hint("no list has moved; what was typed may be typed again")
}

/// The commit point was not reached: the aliases go back, and the refusal says so. What somebody
/// edited meanwhile is his, and no change of ours that is left.
fn taken_back(
    site: &Site,
    mut refused: Refused,
    applied: Option<Applied<'_>>,
    writer: &Writer,
) -> Refused {
    let Some(back) = applied.map(|applied| applied.take_back(writer)) else {
        return refused;
    };
    for error in &back.failed {
        refused.status = AFTER;
        refused
            .reasons
            .push(format!("the aliases could not be put back: {error}"));
        refused.hints.extend(error.hints());
    }
    refused.hints.extend(back.notes);
    if !refused.hints.iter().any(|hint| hint.starts_with(UNMOVED)) {
        refused.hints.push(UNMOVED.to_owned());
    }
    if !back.edited.is_empty() {
        refused.hints.push(format!(
            "what somebody edited meanwhile stays as it was edited: {}",
            names(&back.edited)
        ));
    }
    match (back.failed.is_empty(), back.edited.is_empty()) {
        (true, true) => refused
            .hints
            .push("the aliases are as they were before".to_owned()),
        (true, false) => refused
            .hints
            .push("all other aliases are as they were before".to_owned()),
        (false, _) => refused.hints.push(typed_aliases(site, "diff")),
    }
    refused
}

/// A refusal because the state cannot be read or written, with what helps.
pub(super) fn no_state(act: &'static str, site: &Site, error: &StoreError) -> Refused {
    let refused = Refused::new(act, error);
    match error {
        StoreError::File(_, cause)
            if cause.kind() == std::io::ErrorKind::PermissionDenied && accounts::runner() != 0 =>
        {
            refused.hint("type it as root")
        }
        StoreError::Site(crate::site::SiteError::Read(path, cause))
            if *path == site.config.parity_file()
                && cause.kind() == std::io::ErrorKind::NotFound =>
        {
            refused.hint(typed(site, "init"))
        }
        // No state directory: init makes it.
        StoreError::File(path, cause)
            if path.parent() == Some(&*site.config.state)
                && cause.kind() == std::io::ErrorKind::NotFound =>
        {
            refused.hint(typed(site, "init"))
        }
        StoreError::Edited(_) => {
            refused.hint("it stays as it was edited; what was typed may be typed again")
        }
        StoreError::Busy(_, Some(holder)) if inside::is_stopped(holder.pid) => refused
            .hint(format!(
                "it is stopped; it goes on by: kill -CONT {}",
                holder.pid
            ))
            .hint("to end it is safe: what it has not finished, it has not begun"),
        StoreError::Busy(..) => {
            refused.hint("wait until it is done; the lock goes with its process")
        }
        StoreError::Elsewhere(_) => refused.hint(typed(site, "history")),
        _ if store::is_no_room(error) => refused.hint(
            "nothing was changed; make room on that disk, or in its owner's quota, and type it again",
        ),
        _ => refused,
    }
}
