//! What was prepared for a change that was not made: taken back by the `undo` hooks.
//!
//! After a refusal that is done at once, in reverse order. After a kill nobody does it unasked:
//! the next commands, and `check`, name it, and `undo --prepared` does it; the same move typed
//! again prepares it again instead.
//!
//! **Invariants.** Never for a list that is where it was to go: there the change stands. What goes
//! first ends this too, and what is left then stays written down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::run::{Failed, Run};
use super::turn::Turn;
use crate::admin::interrupts::Interrupts;
use crate::admin::outcome::{AFTER, Done, Outcome, Refused, names, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::step::no_state;
use crate::list::ListName;
use crate::parity::{FutureState, Parity};
use crate::settings::{Hook, On, Settings};
use crate::site::Site;
use crate::store::{self, Begun, Prepared, StoreError, Writer};
use crate::syslog::printable;

/// How long who goes first is waited for, before what is left is left to the admin.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long who told us to end has to take the lock.
const AFTER_YOU: Duration = Duration::from_millis(200);

/// What became of what was prepared.
#[derive(Debug, Default)]
struct Back {
    /// What is settled, how, and for which lists.
    settled: BTreeMap<(Settled, String), BTreeSet<String>>,
    /// What failed; it stays written down.
    failed: Vec<String>,
    /// How much is left.
    left: usize,
}

/// How a line that was left behind is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Settled {
    /// Its `undo` hook ended well.
    Taken,
    /// The change stands.
    InUse,
    /// It has no `undo` any more.
    Stays,
    /// It is an `after` hook.
    After,
}

impl Back {
    /// Sentences for the admin.
    fn notes(&self) -> impl Iterator<Item = String> {
        self.settled.iter().map(|((how, program), lists)| {
            let lists = match lists.is_empty() {
                true => String::new(),
                false => format!(" for {}", names(lists)),
            };
            match how {
                Settled::Taken => format!("taken back by its undo hook: {program:?}{lists}"),
                Settled::InUse => format!("the change stands, and so does {program:?}{lists}"),
                Settled::Stays => format!(
                    "site.toml has no undo for {program:?} any more: what it prepared{lists} stays"
                ),
                Settled::After => format!(
                    "the change stands; its after hook did not end, and is not run again: \
                     {program:?}{lists}"
                ),
            }
        })
    }
}

/// Takes back what a change that was refused had prepared, and adds to what it ends with.
pub(crate) fn taken_back(site: &Site, request: &Request, outcome: Outcome) -> Outcome {
    let own = |line: &Prepared| line.pid == std::process::id() && line.hook.step == "prepare";
    let is_ours = || store::prepared(site).is_ok_and(|left| left.iter().any(own));
    if request.mode == Mode::Trial || !is_ours() {
        return outcome;
    }
    std::thread::sleep(AFTER_YOU);
    let back = undo(site, request, &own).unwrap_or_else(|error| Back {
        failed: vec![error.to_string()],
        left: 1,
        ..Back::default()
    });
    let left = (back.left > 0).then(|| {
        let line = typed(site, "undo --prepared");
        format!("what is left of what its hooks prepared is taken back by: {line}")
    });
    let notes: Vec<String> = back.notes().collect();
    match outcome {
        Err(mut refused) => {
            if !back.failed.is_empty() {
                refused.status = AFTER;
            }
            refused.reasons.extend(back.failed);
            refused.hints.extend(notes);
            refused.hints.extend(left);
            Err(refused)
        }
        Ok(mut done) => {
            done.failed.extend(back.failed);
            done.hints.extend(notes);
            done.hints.extend(left);
            Ok(done)
        }
    }
}

/// `undo --prepared`.
///
/// # Errors
/// The state cannot be read, or an `undo` hook failed.
pub(crate) fn undo_prepared(site: &Site, request: &Request) -> Outcome {
    let refused = |error: &StoreError| no_state(request.act, site, error);
    let left = store::prepared(site).map_err(|error| refused(&error))?;
    if left.is_empty() {
        return Ok(Done::saying("nothing to do: no hook was left behind\n"));
    }
    if request.mode == Mode::Trial {
        let text: String = left.iter().rev().map(|line| told(line) + "\n").collect();
        return Ok(Done::saying(text + "nothing was changed (--dry-run)\n"));
    }
    let back = undo(site, request, &|_| true).map_err(|error| refused(&error))?;
    if !back.failed.is_empty() {
        let mut refused = Refused::empty(request.act);
        refused.hints = back.notes().collect();
        refused.reasons = back.failed;
        refused.hints.push(format!(
            "mend what is named, then again: {}; without its row in site.toml a hook is forgotten",
            typed(site, "undo --prepared")
        ));
        return Err(refused);
    }
    let text: String = back.notes().map(|note| note + "\n").collect();
    Ok(Done::saying(text))
}

/// What the admin is told of what was left behind, if anything was.
pub(crate) fn note(site: &Site) -> Option<String> {
    let left = store::prepared(site).ok()?;
    let first = left.first()?;
    let lists: BTreeSet<&String> = left.iter().flat_map(|line| &line.hook.lists).collect();
    let for_lists = match lists.is_empty() {
        true => String::new(),
        false => format!(" for {}", names(lists)),
    };
    Some(format!(
        "hooks were left behind{for_lists} by {}; they are taken back by: {}",
        printable(&first.by),
        typed(site, "undo --prepared")
    ))
}

fn told(line: &Prepared) -> String {
    let program = line.hook.program.first().map_or("", String::as_str);
    format!(
        "would take back: {} hook {program:?} for {}, of {}",
        line.hook.step,
        names(&line.hook.lists),
        printable(&line.by)
    )
}

/// Takes back, the last first, what of the lines left behind is `wanted`.
fn undo(
    site: &Site,
    request: &Request,
    wanted: &dyn Fn(&Prepared) -> bool,
) -> Result<Back, StoreError> {
    let interrupts = Interrupts::keep();
    let is_over = || interrupts.came().is_some();
    let mut writer = take(site, request, &is_over)?;
    // With the lock: somebody else may have come in between.
    let mut lines = store::prepared(site)?;
    lines.retain(|line| wanted(line));
    let rows = Settings::of(site)?.hooks;
    let parity = writer.parity().clone();
    writer.gives_way(true);
    let mut back = Back::default();
    let mut settled = Vec::new();
    for (n, line) in lines.iter().rev().enumerate() {
        if is_over() {
            back.left += lines.len() - n;
            break;
        }
        match one(site, request, &parity, &rows, line, &is_over) {
            Ok(how) => {
                let program = line.hook.program.first().cloned().unwrap_or_default();
                let lists = back.settled.entry((how, program)).or_default();
                lists.extend(line.hook.lists.iter().cloned());
                settled.push(line.clone());
            }
            // Who wants an end leaves the rest as it is, and this one too.
            Err(_) if is_over() => {
                back.left += lines.len() - n;
                break;
            }
            Err(failed) => {
                back.left += 1;
                back.failed.push(failed.what);
            }
        }
    }
    writer.gives_way(false);
    writer.settle(site, &settled)?;
    Ok(back)
}

/// Takes the lock; who goes first is waited for.
fn take(site: &Site, request: &Request, is_over: &dyn Fn() -> bool) -> Result<Writer, StoreError> {
    let begin = Instant::now();
    loop {
        match Writer::take(site, &request.line) {
            Err(StoreError::Busy(..)) if begin.elapsed() < PATIENCE && !is_over() => {}
            other => return other,
        }
    }
}

/// Takes one hook back.
fn one(
    site: &Site,
    request: &Request,
    parity: &Parity,
    rows: &[Hook],
    line: &Prepared,
    is_over: &dyn Fn() -> bool,
) -> Result<Settled, Failed> {
    let Begun {
        on, program, lists, ..
    } = &line.hook;
    if line.hook.step == "after" {
        return Ok(Settled::After);
    }
    if stands(parity, line) {
        return Ok(Settled::InUse);
    }
    let row = rows.iter().find(|row| {
        row.on.word() == on && row.prepare.as_deref() == Some(program) && row.undo.is_some()
    });
    let names: Vec<ListName> = lists
        .iter()
        .filter_map(|list| site.list(list).ok())
        .collect();
    let turn = row.and_then(|row| {
        let trees = (line.hook.from.as_str(), line.hook.to.as_str());
        Turn::new(site, row.on, trees, &parity.roles, names)
    });
    let (Some(hook), Some(turn)) = (row, turn) else {
        return Ok(Settled::Stays);
    };
    let argv = hook.undo.as_deref().unwrap_or_default();
    let mut runs = Run::targets(&turn, hook).into_iter();
    runs.try_for_each(|list| {
        let run = Run {
            site,
            request,
            turn: &turn,
            hook,
            step: "undo",
            argv,
            list,
            generation: line.generation,
        };
        run.run(hook.limit.duration(), is_over).1
    })?;
    Ok(Settled::Taken)
}

/// Whether the change that it was prepared for stands.
fn stands(parity: &Parity, line: &Prepared) -> bool {
    let roles = &parity.roles;
    let is_current = roles.current == line.hook.to;
    let on = &line.hook.on;
    if *on == On::Install.word() {
        return roles.generation >= line.generation && roles.future_state == FutureState::Ready;
    }
    if *on == On::Commit.word() || *on == On::Revert.word() {
        return is_current;
    }
    let is_there = |list: &ListName| parity.on_future.contains(list) != is_current;
    let lists = line.hook.lists.iter();
    let mut lists = lists.filter_map(|list| ListName::parse(list).ok());
    lists.any(|list| is_there(&list))
}
