//! What was prepared for a change that was not made: taken back by the `undo` hooks.
//!
//! After a refusal that is done at once, in reverse order. After a kill nobody does it unasked:
//! the next commands, and `check`, name it, and `undo --prepared` does it; the same move typed
//! again prepares it again instead.
//!
//! What was prepared for an install stays on record while its tree is `installing`, whoever began it,
//! and is nothing left behind; whoever ends that install otherwise than well takes it back.
//!
//! **Invariants.** Never for a list that is where it was to go: there the change stands. What goes
//! first ends this too, and what is left then stays written down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::run::{Failed, Run};
use super::turn::Turn;
use crate::admin::interrupts::Interrupts;
use crate::admin::outcome::{AFTER, Done, Outcome, Refused, UNCHANGED, names, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::step::no_state;
use crate::list::ListName;
use crate::parity::{FutureState, Parity};
use crate::settings::{Hook, On, Settings};
use crate::site::Site;
use crate::store::{self, Begun, Entry, Prepared, StoreError, Writer};
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
    fn add(&mut self, how: Settled, line: &Prepared) {
        let program = line.hook.program.first().cloned().unwrap_or_default();
        let lists = self.settled.entry((how, program)).or_default();
        lists.extend(line.hook.lists.iter().cloned());
    }

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

fn is_of_install(line: &Prepared) -> bool {
    line.hook.on == On::Install.word() && line.hook.step == "prepare"
}

/// What was prepared for an install that is under way is in use.
fn is_in_use(parity: &Parity, line: &Prepared) -> bool {
    is_of_install(line) && parity.roles.future_state == FutureState::Installing
}

/// What was prepared for an install, and is not settled.
pub(super) fn of_install(site: &Site) -> Result<Vec<Prepared>, StoreError> {
    let mut lines = store::prepared(site)?;
    lines.retain(is_of_install);
    Ok(lines)
}

/// Whether something is prepared for an install that is under way.
fn is_install_prepared(site: &Site) -> bool {
    of_install(site).is_ok_and(|lines| !lines.is_empty())
        && store::load(site).is_ok_and(|loaded| {
            let state = loaded.parity.roles.future_state;
            state == FutureState::Installing
        })
}

/// What nobody is at work with any more.
fn left_behind(site: &Site) -> Result<Vec<Prepared>, StoreError> {
    let mut lines = store::prepared(site)?;
    if lines.iter().any(is_of_install) {
        let parity = store::load(site)?.parity;
        lines.retain(|line| !is_in_use(&parity, line));
    }
    Ok(lines)
}

/// Makes a change; takes back what it had prepared where it is refused, and what was prepared for
/// an install where it ends that without a tree that is ready; adds that to what it ends with.
pub(crate) fn taken_back(
    site: &Site,
    request: &Request,
    run: impl FnOnce(&Request) -> Outcome,
) -> Outcome {
    let was_prepared = is_install_prepared(site);
    let outcome = run(request);
    let wanted = |line: &Prepared| {
        let is_own = line.pid == std::process::id() && line.hook.step == "prepare";
        is_own || was_prepared && is_of_install(line)
    };
    let is_left = || left_behind(site).is_ok_and(|left| left.iter().any(wanted));
    if request.mode == Mode::Trial || !is_left() {
        return outcome;
    }
    let back = match request.hooks {
        true => {
            std::thread::sleep(AFTER_YOU);
            undo(site, request, &wanted).unwrap_or_else(|error| Back {
                failed: vec![error.to_string()],
                left: 1,
                ..Back::default()
            })
        }
        // --no-hooks: it stays for whoever wants it back.
        false => Back {
            left: 1,
            ..Back::default()
        },
    };
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
            // It is made as it was meant: no trouble that is complained of, unless an undo failed.
            done.failed.extend(back.failed);
            let lines = notes.into_iter().chain(left);
            done.text.extend(lines.map(|line| line + "\n"));
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
    let left = left_behind(site).map_err(|error| refused(&error))?;
    if left.is_empty() {
        let mut text = "nothing to do: no hook was left behind\n".to_owned();
        if is_install_prepared(site) {
            let (end, undo) = (typed(site, "install --end"), typed(site, "undo"));
            text += &format!(
                "note: what was prepared for the install that is under way stays until: {end}, \
                 or: {undo}\n"
            );
        }
        return Ok(Done::saying(text));
    }
    if request.mode == Mode::Trial {
        let text: String = left.iter().rev().map(|line| told(line) + "\n").collect();
        return Ok(Done::saying(text + UNCHANGED));
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
    let left = left_behind(site).ok()?;
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

/// What an install that is ended otherwise than well would take back, for a trial.
pub(super) fn would_take_back(site: &Site) -> Vec<String> {
    let lines = of_install(site).unwrap_or_default();
    lines.iter().rev().map(told).collect()
}

fn told(line: &Prepared) -> String {
    let program = line.hook.program.first().map_or("", String::as_str);
    let lists = match line.hook.lists.is_empty() {
        true => String::new(),
        false => format!(" for {}", names(&line.hook.lists)),
    };
    format!(
        "would take back: {} hook {program:?}{lists}, of {}",
        line.hook.step,
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
    let parity = writer.parity().clone();
    lines.retain(|line| wanted(line) && !is_in_use(&parity, line));
    let rows = Settings::of(site)?.hooks;
    let mut entries = store::history(site)?;
    entries.extend(writer.waiting().iter().cloned());
    writer.gives_way(true);
    let mut back = Back::default();
    let mut settled = Vec::new();
    for (n, line) in lines.iter().rev().enumerate() {
        if is_over() {
            back.left += lines.len() - n;
            break;
        }
        if stands(&parity, &entries, line) {
            back.add(Settled::InUse, line);
            settled.push(line.clone());
            continue;
        }
        match one(site, request, &parity, &rows, line, &is_over) {
            Ok(how) => {
                back.add(how, line);
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
fn stands(parity: &Parity, entries: &[Entry], line: &Prepared) -> bool {
    // That one stands of which an `after` hook was begun: `one` says so.
    if line.hook.step == "after" {
        return false;
    }
    let roles = &parity.roles;
    let is_current = roles.current == line.hook.to;
    let on = &line.hook.on;
    if *on == On::Install.word() {
        return install_stands(entries, line.generation);
    }
    if *on == On::Commit.word() || *on == On::Revert.word() {
        return is_current;
    }
    let is_there = |list: &ListName| parity.on_future.contains(list) != is_current;
    let lists = line.hook.lists.iter();
    let mut lists = lists.filter_map(|list| ListName::parse(list).ok());
    lists.any(|list| is_there(&list))
}

/// Whether the install that was marked by this generation ended with a tree that was ready, and
/// nobody took that back. What the tree is now does not tell: it may have been ready before.
fn install_stands(entries: &[Entry], generation: u64) -> bool {
    let mut since = entries
        .iter()
        .skip_while(|entry| entry.generation < generation);
    let is_marked = since
        .next()
        .is_some_and(|entry| entry.generation == generation && entry.marks_install());
    let end = since.find(|entry| entry.ends_install());
    is_marked
        && end.is_some_and(|end| {
            let is_ready = end.after.future_state.as_deref() == Some(FutureState::Ready.as_str());
            is_ready && since.all(|entry| entry.undoes != Some(end.generation))
        })
}
