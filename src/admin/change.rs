//! One change of parity, from the look at what stands to the commit point, with the alias
//! entries before or after it.
//!
//! Order: aliases that the change needs, the old tree's queues read (`inbound`), doors closed and floors drained where lists change
//! trees (`closing`), the old tree's queues run out (`inbound`), commit point, doors open, aliases that it makes superfluous. If the doors
//! cannot be closed or the commit point fails, the first go back; if the last fail, the change
//! stands and the status is 3.
//!
//! **Invariants.** A trial (`--dry-run`) takes no lock and writes no byte.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::admin::aliases::{self, AddressError, Applied, Known, Plan};
use crate::admin::closing::{self, Closed, Moves};
use crate::admin::inbound::Taken;
use crate::admin::inside;
use crate::admin::interrupts::Interrupts;
use crate::admin::outcome::{AFTER, Done, Refused, names, typed, typed_aliases};
use crate::admin::probation;
use crate::admin::request::{Mode, Request};
use crate::parity::Parity;
use crate::site::Site;
use crate::store::{self, StoreError, Writer};
use crate::tree::Tree;

/// What the history calls an edit by hand.
const BY_HAND: &str = "by hand";

/// A change under way.
#[derive(Debug)]
pub struct Change<'a> {
    /// The site.
    pub site: &'a Site,
    /// What was asked.
    pub request: &'a Request,
    hold: Hold,
    done: Done,
}

#[derive(Debug)]
enum Hold {
    Trial(Parity),
    Real(Box<Writer>),
}

/// One commit point with what goes before and after it.
#[derive(Debug)]
pub struct Step<'a> {
    /// What is to stand.
    pub after: Parity,
    /// Aliases that must be there first.
    pub first: Option<Plan<'a>>,
    /// The lists that change trees.
    pub moves: Option<Moves>,
    /// Aliases that may go then.
    pub last: Option<Plan<'a>>,
    /// The generation that is taken back, for undo.
    pub undoes: Option<u64>,
}

impl Step<'_> {
    /// A step that needs no aliases and moves no list.
    pub fn to(after: Parity) -> Self {
        Step {
            after,
            first: None,
            moves: None,
            last: None,
            undoes: None,
        }
    }
}

impl<'a> Change<'a> {
    /// Takes the writer's lock, or for a trial only looks.
    ///
    /// # Errors
    /// Somebody else holds the lock, or the state cannot be read.
    pub fn begin(site: &'a Site, request: &'a Request) -> Result<Change<'a>, Refused> {
        let refused = |error: StoreError| no_state(request.act, site, &error);
        let mut done = Done::default();
        let hold = match request.mode {
            Mode::Trial => {
                let loaded = store::load(site).map_err(refused)?;
                if loaded.by_hand {
                    done.text +=
                        "note: parity.toml was edited by hand; the next change records that\n";
                }
                Hold::Trial(loaded.parity)
            }
            Mode::Real => {
                let writer = match request.goes_first {
                    true => Writer::take_first(site, &request.line),
                    false => Writer::take(site, &request.line),
                };
                let writer = writer.map_err(refused)?;
                for note in writer.notes() {
                    done.text += &format!("note: {note}\n");
                }
                done.text += &edited(site, writer.parity());
                Hold::Real(Box::new(writer))
            }
        };
        Ok(Change {
            site,
            request,
            hold,
            done,
        })
    }

    /// What stands, or in a trial what would stand by now.
    pub fn parity(&self) -> &Parity {
        match &self.hold {
            Hold::Trial(parity) => parity,
            Hold::Real(writer) => writer.parity(),
        }
    }

    /// A refusal of this change.
    pub fn refuse(&self, reason: impl ToString) -> Refused {
        Refused::new(self.request.act, reason)
    }

    /// All known lists.
    ///
    /// # Errors
    /// The alias files or a profile cannot be read.
    pub fn known(&self) -> Result<Known, Refused> {
        aliases::known(self.site, self.parity()).map_err(|error| self.refuse_aliases(&error))
    }

    /// A refusal of this change because of the aliases.
    pub fn refuse_aliases(&self, error: &AddressError) -> Refused {
        aliases::refusal(self.request.act, error)
    }

    /// The current tree and the other one.
    ///
    /// # Errors
    /// site.toml has one tree.
    pub fn trees(&self) -> Result<(&'a Tree, &'a Tree), Refused> {
        let current = &self.parity().roles.current;
        match (
            self.site.config.tree(current),
            self.site.config.other_tree(current),
        ) {
            (Some(current), Some(other)) => Ok((current, other)),
            _ => Err(self.refuse(format!(
                "{:?} names one tree only: there is no future tree",
                self.site.path
            ))),
        }
    }

    /// Adds to what is said at the end.
    pub fn say(&mut self, line: impl AsRef<str>) {
        self.done.text += line.as_ref();
        self.done.text.push('\n');
    }

    /// Notes that the rest of a command of several changes failed.
    pub fn fail(&mut self, refused: Refused) {
        self.done.failed.extend(refused.reasons);
        self.done.hints.extend(refused.hints);
    }

    /// Carries one step out, and says afterwards what `told` has to say.
    ///
    /// # Errors
    /// Nothing changed: the aliases are as they were, or it says why not.
    pub fn carry_out(&mut self, step: Step<'_>, told: &[String]) -> Result<(), Refused> {
        let plans = || [&step.first, &step.last].into_iter().flatten();
        match &mut self.hold {
            Hold::Trial(parity) => {
                let shown: String = plans().map(aliases::shown).collect();
                *parity = step.after;
                self.say_all(told);
                self.done.text += &shown;
            }
            Hold::Real(writer) => {
                // The logs first: the next delivery may be a guarded one.
                let notes = probation::prepare(self.site, &step.after);
                let after = make(self.site, self.request, writer, step)?;
                self.say_all(told);
                self.after(after);
                let notes = notes.iter().map(|note| format!("note: {note}"));
                self.say_all(&notes.collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    /// Makes alias entries follow what stands already.
    pub fn tidy(&mut self, plan: Plan<'_>) {
        let (lines, shown) = (aliases::lines(&plan), aliases::shown(&plan));
        match &self.hold {
            Hold::Trial(_) => self.done.text += &shown,
            Hold::Real(writer) => match plan.apply(writer) {
                Ok(applied) => {
                    self.say_all(&lines);
                    self.say_all(&aliases::notes(&applied));
                }
                Err(error) => self.after(After::failed(self.site, &error)),
            },
        }
    }

    fn after(&mut self, after: After) {
        self.say_all(&after.notes);
        self.done.failed.extend(after.failed);
        self.done.hints.extend(after.hints);
    }

    fn say_all(&mut self, lines: &[String]) {
        for line in lines {
            self.say(line);
        }
    }

    /// The end: what was said, and in a trial that nothing happened.
    pub fn end(mut self) -> Done {
        if self.request.mode == Mode::Trial {
            self.say("nothing was changed (--dry-run)");
        }
        self.done
    }

    /// The words for a thing that is or would be done.
    pub fn verb(&self, done: &'static str, would: &'static str) -> &'static str {
        match self.request.mode {
            Mode::Real => done,
            Mode::Trial => would,
        }
    }
}

/// Which aliases to look after, if the last change was an edit by hand.
fn edited(site: &Site, parity: &Parity) -> String {
    let entries = store::history(site).unwrap_or_default();
    let Some(entry) = entries
        .last()
        .filter(|entry| entry.command == BY_HAND && entry.generation == parity.roles.generation)
    else {
        return String::new();
    };
    let lists: BTreeSet<&String> = entry
        .before
        .on_future
        .union(&entry.after.on_future)
        .collect();
    if lists.is_empty() {
        return String::new();
    }
    format!(
        "note: by that {} changed trees; to bring their aliases in line: {} and {}\n",
        names(lists),
        typed_aliases(site, "adopt"),
        typed_aliases(site, "sync")
    )
}

/// What became of the aliases, and what failed after the commit point.
#[derive(Debug, Default)]
struct After {
    notes: Vec<String>,
    failed: Vec<String>,
    hints: Vec<String>,
}

impl After {
    /// Entries that may go could not be removed: mail is not held up by them.
    fn failed(site: &Site, error: &AddressError) -> After {
        let mut hints = error.hints();
        hints.push(typed_aliases(site, "sync --remove"));
        After {
            notes: Vec::new(),
            failed: vec![error.to_string()],
            hints,
        }
    }
}

fn make(
    site: &Site,
    request: &Request,
    writer: &mut Writer,
    step: Step<'_>,
) -> Result<After, Refused> {
    let mut after = After::default();
    // Lists that go back have turned nothing: whoever stops that stops it at once.
    let ahead = matches!(step.moves, Some(Moves::Ahead(_)));
    let interrupts = ahead.then(Interrupts::keep);
    // Even where no file differs: the MTA's database may be out of line with it.
    let applied = match step.first {
        None => None,
        Some(plan) => {
            after.notes.extend(aliases::lines(&plan));
            let applied = plan.apply(writer);
            let applied = applied.map_err(|error| aliases::refusal(request.act, &error))?;
            after.notes.extend(aliases::notes(&applied));
            Some(applied)
        }
    };
    let closed = match &step.moves {
        None => None,
        Some(moves) => {
            writer.gives_way(matches!(moves, Moves::Ahead(_)));
            let is_over = || interrupts.as_ref().is_some_and(|it| it.came().is_some());
            let current = writer.parity().roles.current.clone();
            let closed = close(site, request, &current, moves, &is_over);
            writer.gives_way(false);
            // Also of one that came a moment too late: nothing has moved yet.
            let came = interrupts.as_ref().and_then(Interrupts::came);
            match came.map_or(closed, |signal| Err(told_to_end(request, signal))) {
                Ok(closed) => Some(closed),
                Err(refused) => return Err(taken_back(site, refused, applied, writer)),
            }
        }
    };
    match writer.commit(step.after, request.reason.as_deref(), step.undoes) {
        Ok(()) => {}
        // THE CHANGE STANDS: every delivery sees it; only its line in the history waits.
        Err(error @ StoreError::Unrecorded(..)) => after.failed.push(error.to_string()),
        Err(error) => {
            // Mail need not wait while the aliases go back.
            drop(closed);
            let refused = no_state(request.act, site, &error);
            return Err(taken_back(site, refused, applied, writer));
        }
    }
    after
        .notes
        .extend(closed.into_iter().flat_map(|closed| closed.notes));
    if let Some(plan) = step.last {
        let lines = aliases::lines(&plan);
        match plan.apply(writer) {
            Ok(applied) => {
                after.notes.extend(lines);
                after.notes.extend(aliases::notes(&applied));
            }
            Err(error) => {
                let failed = After::failed(site, &error);
                after.failed.extend(failed.failed);
                after.hints.extend(failed.hints);
            }
        }
    }
    Ok(after)
}

/// Closes the doors of `moves`, and for lists that leave the `current` tree waits until that has
/// handled what it took; all within `--closed`.
fn close(
    site: &Site,
    request: &Request,
    current: &str,
    moves: &Moves,
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
    if matches!(moves, Moves::Ahead(_)) {
        closing::still_closed(site, request, &closed)?;
    }
    Ok(closed)
}

/// Somebody wants an end of it, or goes first.
fn told_to_end(request: &Request, signal: &str) -> Refused {
    let reason = format!("told to end ({signal}) while it waited for those inside");
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
        refused.reasons.push(format!(
            "no list has moved, but the aliases could not be put back: {error}"
        ));
        refused.hints.extend(error.hints());
    }
    refused.hints.extend(back.notes);
    if !back.edited.is_empty() {
        refused.hints.push(format!(
            "no list has moved; what somebody edited meanwhile stays as it was edited: {}",
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
pub fn no_state(act: &'static str, site: &Site, error: &StoreError) -> Refused {
    let refused = Refused::new(act, error);
    match error {
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
        _ => refused,
    }
}
