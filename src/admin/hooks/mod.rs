//! The admin's own programs that go with a change: `[[hooks]]` of site.toml.
//!
//! Order: all are looked at (`look`) before anything is done. `prepare` comes before anything else
//! of the change, doors open; each is written down before it is begun, so that a kill is found
//! out. If one fails, or the change is not made after them, what was begun is taken back in
//! reverse order by the `undo` hooks (`left`), once the writer's lock is free: what goes first is
//! not held up by that. `after` comes when the change stands.
//!
//! An install is two changes, days apart perhaps: `prepare` comes before the first, and stays on record
//! until the second; `after` comes after that, where the tree is ready, and `undo` where it is not.
//!
//! What they did is in the history (`store`), but for a change that was not made.
//!
//! **Invariants.** What takes lists back is never refused by a hook, and its `prepare` hooks have
//! no more time than `--drain` in all. A trial runs none. Whoever goes first ends a hook that runs.

mod left;
mod run;
mod turn;

use std::time::{Duration, Instant};

pub(crate) use left::{note, taken_back, undo_prepared};
pub(crate) use run::{fault, named};

use run::{Failed, Run};
use turn::{Part, Turn};

use crate::admin::interrupts::{Came, Interrupts};
use crate::admin::outcome::{Refused, lists};
use crate::admin::request::{Mode, Request};
use crate::admin::step::{After, Step};
use crate::list::ListName;
use crate::parity::Parity;
use crate::settings::{Each, Hook, On, Settings};
use crate::site::Site;
use crate::store::{self, Begun, Prepared, Ran, StoreError, Writer};

/// How much of what all hooks of a change printed is kept, in bytes.
const KEPT: usize = 16 * 1024;
/// How many that failed after the change are shown as they are typed again.
const MOST_TYPED: usize = 3;

/// The hooks of a change under way.
#[derive(Debug)]
pub struct Hooks<'a> {
    site: &'a Site,
    request: &'a Request,
    /// The generation that the change makes.
    generation: u64,
    part: Part,
    turns: Vec<(Turn<'a>, Vec<Hook>)>,
    ran: Vec<Ran>,
    kept: usize,
    begun: Vec<Prepared>,
    after: After,
}

impl<'a> Hooks<'a> {
    /// Those that go with `step`.
    ///
    /// # Errors
    /// The rows of site.toml cannot be read, where the change takes nothing back.
    pub(super) fn of_step(
        site: &'a Site,
        request: &'a Request,
        before: &Parity,
        step: &Step<'_>,
    ) -> Result<Hooks<'a>, Refused> {
        let turns = Turn::of_step(site, before, step);
        let part = Part::of(&before.roles, &step.after.roles);
        let mut hooks = Hooks {
            site,
            request,
            generation: step.after.roles.generation,
            part,
            turns: Vec::new(),
            ran: Vec::new(),
            kept: 0,
            begun: Vec::new(),
            after: After::default(),
        };
        if turns.is_empty() {
            return Ok(hooks);
        }
        let rows = match Settings::of(site) {
            Ok(settings) => settings.hooks,
            Err(_) if !request.hooks => Vec::new(),
            // What is installed is judged by its tests alone.
            Err(error) if part == Part::Ready || turns.iter().all(|turn| turn.on.is_back()) => {
                let what = format!("no hook was run: {error}");
                hooks.after.failed.push(what);
                Vec::new()
            }
            Err(error) => return Err(Refused::new(request.act, error)),
        };
        for turn in turns {
            let rows: Vec<Hook> = rows
                .iter()
                .filter(|row| row.on == turn.on)
                .cloned()
                .collect();
            match request.hooks {
                true => hooks.turns.push((turn, rows)),
                false if rows.is_empty() => {}
                false => hooks.after.notes.push(format!(
                    "its {} hooks were not run (--no-hooks)",
                    turn.on.word()
                )),
            }
        }
        Ok(hooks)
    }

    /// What would run, for a trial.
    pub fn shown(&self) -> Vec<String> {
        let mut told = self.after.notes.clone();
        if self.part == Part::Back && self.request.hooks {
            told.extend(left::would_take_back(self.site));
        }
        let steps: &[&str] = match self.part {
            Part::Ready => &["after"],
            _ => &["prepare", "after"],
        };
        for (turn, rows) in &self.turns {
            for step in steps {
                let of_row = |row| shown(turn, row, step);
                told.extend(rows.iter().filter_map(of_row));
            }
        }
        told
    }

    /// Runs what is to be prepared.
    ///
    /// # Errors
    /// One failed, or somebody wants an end, where the change takes nothing back. What was begun
    /// is written down, to be taken back once the lock is free.
    pub fn prepare(&mut self, writer: &mut Writer) -> Result<(), Refused> {
        if self.part == Part::Ready {
            return Ok(());
        }
        let turns = std::mem::take(&mut self.turns);
        let done = turns
            .iter()
            .try_for_each(|(turn, rows)| match turn.on.is_back() {
                true => {
                    self.prepare_back(writer, turn, rows);
                    Ok(())
                }
                false => self.prepare_ahead(writer, turn, rows),
            });
        self.turns = turns;
        done
    }

    fn prepare_ahead(
        &mut self,
        writer: &mut Writer,
        turn: &Turn<'_>,
        rows: &[Hook],
    ) -> Result<(), Refused> {
        if rows.iter().all(|row| row.prepare.is_none()) {
            return Ok(());
        }
        // What cannot be read cannot be told from what is begun now.
        store::prepared(self.site).map_err(|error| Refused::new(self.request.act, error))?;
        let interrupts = Interrupts::keep();
        writer.gives_way(true);
        let done = self.each(turn, rows, "prepare", |hooks, run| {
            hooks.begin(writer, run).map_err(|error| Failed {
                what: error.to_string(),
            })?;
            hooks.run(run, run.hook.limit.duration(), &|| {
                interrupts.came().is_some()
            })
        });
        writer.gives_way(false);
        // Also of one that came a moment too late: nothing has moved yet.
        match (interrupts.came(), done) {
            (Some(came), _) => Err(self.told_to_end(came)),
            (None, Err(failed)) => {
                let refused = Refused::new(self.request.act, failed.what);
                Err(refused.hint("nothing was changed: hooks come before anything else"))
            }
            (None, Ok(())) => Ok(()),
        }
    }

    fn told_to_end(&self, came: Came) -> Refused {
        let reason = format!("told to end ({}) while its hooks ran", came.signal);
        Refused::new(self.request.act, reason)
            .hint("nothing was changed; what was typed may be typed again")
    }

    /// TAKING BACK IS NOT HELD UP. What fails is named, and what has no time is not run.
    fn prepare_back(&mut self, writer: &mut Writer, turn: &Turn<'_>, rows: &[Hook]) {
        let end = Instant::now() + self.request.patience.drain.duration();
        let _ = self.each(turn, rows, "prepare", |hooks, run| {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = format!("{}: not run: it would have held the change up", run.name());
                hooks.after.failed.push(what);
                return Ok(());
            }
            // Not written down, it is not taken back after a kill; that refuses nothing.
            let _ = hooks.begin(writer, run);
            if let Err(failed) = hooks.run(run, left.min(run.hook.limit.duration()), &|| false) {
                hooks.after.failed.push(failed.what);
            }
            Ok(())
        });
    }

    /// Each run of a step, up to the first that fails.
    fn each(
        &mut self,
        turn: &Turn<'_>,
        rows: &[Hook],
        step: &'static str,
        mut with: impl FnMut(&mut Self, &Run<'_>) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let (site, request, generation) = (self.site, self.request, self.generation);
        for hook in rows {
            let Some((_, argv)) = hook.programs().find(|(its, _)| *its == step) else {
                continue;
            };
            for list in Run::targets(turn, hook) {
                let run = Run {
                    site,
                    request,
                    turn,
                    hook,
                    step,
                    argv,
                    list,
                    generation,
                };
                with(self, &run)?;
            }
        }
        Ok(())
    }

    /// Writes down that a hook with an `undo` is begun.
    fn begin(&mut self, writer: &mut Writer, run: &Run<'_>) -> Result<(), StoreError> {
        if run.hook.undo.is_none() {
            return Ok(());
        }
        let begun = begun(run.turn, run.step, run.argv, run.lists());
        self.begun.push(writer.preparing(begun, self.generation)?);
        Ok(())
    }

    fn run(
        &mut self,
        run: &Run<'_>,
        limit: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), Failed> {
        let (mut ran, done) = run.run(limit, is_over);
        // Of the last ones that fail most is to be learned; but they come last.
        let most = match ran.well {
            true => KEPT / 2,
            false => KEPT,
        };
        if self.kept + ran.output.len() > most {
            ran.output = "(too much was printed by the hooks of this change)".to_owned();
        } else {
            self.kept += ran.output.len();
        }
        self.ran.push(ran);
        done
    }

    /// The change stands: nothing that was prepared is to be taken back any more, but for an
    /// install that only begins. Runs what comes after it, and says what failed.
    pub(super) fn after(mut self, writer: &mut Writer) -> After {
        let settled = match self.part {
            Part::Whole => writer.settle(self.site, &self.begun),
            Part::Begin | Part::Back => Ok(()),
            Part::Ready => {
                let lines = left::of_install(self.site);
                lines.and_then(|lines| writer.settle(self.site, &lines))
            }
        };
        self.note(settled.map_err(|error| error.to_string()));
        let turns = match self.part {
            Part::Begin => Vec::new(),
            _ => std::mem::take(&mut self.turns),
        };
        let is_after =
            |(_, rows): &(Turn<'_>, Vec<Hook>)| rows.iter().any(|row| row.after.is_some());
        if turns.iter().any(is_after) {
            let interrupts = Interrupts::keep();
            writer.gives_way(true);
            for (turn, rows) in &turns {
                self.run_after(writer, turn, rows, &interrupts);
            }
            writer.gives_way(false);
        }
        let recorded = writer.hooks_ran(self.site, &self.ran);
        self.note(recorded.map_err(|error| format!("what hooks did is not recorded: {error}")));
        self.after
    }

    fn run_after(
        &mut self,
        writer: &mut Writer,
        turn: &Turn<'_>,
        rows: &[Hook],
        interrupts: &Interrupts,
    ) {
        for row in rows {
            let Some(argv) = &row.after else { continue };
            // So that a kill is found out.
            let all = turn.lists.iter().map(ListName::to_string).collect();
            let line = writer.preparing(begun(turn, "after", argv, all), self.generation);
            let is_over = || interrupts.came().is_some();
            let row = std::slice::from_ref(row);
            let _ = self.each(turn, row, "after", |hooks, run| {
                let failed = match is_over() {
                    true => Some(format!("{}: not run: told to end", run.name())),
                    false => hooks
                        .run(run, run.hook.limit.duration(), &is_over)
                        .err()
                        .map(|failed| failed.what),
                };
                if let Some(failed) = failed {
                    hooks.after.failed.push(failed);
                    if hooks.after.hints.len() < MOST_TYPED {
                        hooks.after.hints.push(format!("again: {}", run.typed()));
                    }
                }
                Ok(())
            });
            if let Ok(line) = line {
                let settled = writer.settle(self.site, &[line]);
                self.note(settled.map_err(|error| error.to_string()));
            }
        }
    }

    fn note(&mut self, done: Result<(), String>) {
        self.after
            .notes
            .extend(done.err().map(|error| format!("note: {error}")));
    }
}

/// That a hook would run for the lists of a turn, if the row has one for this step.
fn shown(turn: &Turn<'_>, row: &Hook, step: &str) -> Option<String> {
    let (_, argv) = row.programs().find(|(its, _)| *its == step)?;
    let times = match row.each {
        Each::List => format!("for each of {}", lists(turn.lists.len())),
        Each::Command => "once".to_owned(),
    };
    let words: Vec<String> = argv.iter().map(|word| format!("{word:?}")).collect();
    Some(format!(
        "would run the {step} hook {} {times}",
        words.join(" ")
    ))
}

fn begun(turn: &Turn<'_>, step: &str, argv: &[String], lists: Vec<String>) -> Begun {
    Begun {
        on: turn.on.word().to_owned(),
        step: step.to_owned(),
        program: argv.to_vec(),
        from: turn.from.name.clone(),
        to: turn.to.name.clone(),
        lists,
    }
}

/// What is wrong with the hooks of a change that could be refused for it, before anything is done.
///
/// # Errors
/// Every program that could not be run, or that the rows cannot be read.
pub fn look(site: &Site, request: &Request, on: On) -> Result<(), Refused> {
    if !request.hooks {
        return Ok(());
    }
    let mut refused = Refused::empty(request.act);
    let settings = Settings::of(site).map_err(|error| Refused::new(request.act, error))?;
    for row in settings.hooks.iter().filter(|row| row.on == on) {
        for (_, argv) in row.programs() {
            let program = argv.first().map_or("", String::as_str);
            if let Some(fault) = fault(site, program) {
                let reason = format!("{}: {fault}", named(site, argv, row.line));
                if !refused.reasons.contains(&reason) {
                    refused.reasons.push(reason);
                }
            }
        }
    }
    if !refused.reasons.is_empty() && request.mode == Mode::Real {
        refused
            .hints
            .push("--no-hooks makes the change without them".to_owned());
    }
    refused.if_any()
}
