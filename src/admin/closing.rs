//! Doors closed and floors drained while lists change trees.
//!
//! All doors first, so that nobody new comes in; then all floors, which those inside hold until
//! they are gone. Both are held while parity.toml is replaced, and let go of with what `close`
//! returned. Lists that go ahead stay where they are if somebody is still inside when the time
//! is over; lists that go back do so all the same, and who was left running is named.
//!
//! **Invariants.** No parity and no aliases here. Taking back is never refused: whatever is
//! wrong with the locks is a note then. Whoever closes doors and dies has opened them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::admin::inside::{self, Inside};
use crate::admin::outcome::{Refused, few, names, typed};
use crate::admin::request::{Mode, Patience, Request};
use crate::doors::{DoorError, Floor, LockFile, Range, Waiting};
use crate::list::ListName;
use crate::screen::Progress;
use crate::site::Site;
use crate::span::Span;

/// More lists than this have all doors closed, their own and others', and their floors only
/// looked at: the kernel walks all locks of a file for each one more.
const MOST_BYTES: usize = 1_000;
/// How long those who were told to end may take for it.
const GRACE: Span = Span::seconds(5);
/// How many of those inside are named.
const MOST_NAMED: usize = 10;

/// Lists that change trees by a step, and in which direction.
#[derive(Debug)]
pub enum Moves {
    /// To the future tree: nobody may be left inside.
    Ahead(BTreeSet<ListName>),
    /// To the current tree: nobody can hold them up.
    Back(BTreeSet<ListName>),
    /// Nowhere: their tree is guarded from here on, and its programs are about to be replaced.
    Guarded(BTreeSet<ListName>),
    /// They stay, and their data are changed: nobody may be left inside.
    Still(BTreeSet<ListName>),
}

impl Moves {
    /// What is said of those who are left inside, where that is no reason to stop.
    fn left(&self) -> &'static str {
        match self {
            Moves::Guarded(_) => {
                "what they hold is handled by programs that are about to be replaced, and may bounce"
            }
            _ => "what they hold is handled on the tree that the lists left",
        }
    }
}

/// Doors that are closed. Dropped, they open.
#[derive(Debug)]
pub struct Closed {
    /// The locks are its; there is none where lists go back in spite of what is wrong with it.
    lock: Option<LockFile>,
    /// Who was left inside, for the admin.
    pub notes: Vec<String>,
}

/// Closes the doors of `moves` and waits until nobody is inside, or it `is_over`.
///
/// # Errors
/// Only where lists go ahead: why the doors cannot be closed, or who is still inside.
pub fn close(
    site: &Site,
    request: &Request,
    moves: &Moves,
    is_over: &dyn Fn() -> bool,
) -> Result<Closed, Refused> {
    let patience = request.patience;
    match moves {
        Moves::Ahead(lists) | Moves::Still(lists) => {
            let drain = Drain::begin(site, lists, Patiently::until(patience.closed, is_over))
                .map_err(|error| refuse(site, request, &error))?;
            match drain.is_done() {
                true => Ok(drain.closed()),
                false => Err(drain.refuse(request)),
            }
        }
        Moves::Back(lists) | Moves::Guarded(lists) => {
            Ok(
                Drain::begin(site, lists, Patiently::until(patience.drain, is_over)).map_or_else(
                    |error| Closed {
                        lock: None,
                        notes: vec![format!("note: nobody was waited for: {error}")],
                    },
                    |drain| drain.move_anyway(patience, moves.left()),
                ),
            )
        }
    }
}

/// Whether the doors of lists that go ahead are closed yet: who replaces the lock file opens
/// them all.
///
/// # Errors
/// Another file stands at its path.
pub fn still_closed(site: &Site, request: &Request, closed: &Closed) -> Result<(), Refused> {
    match &closed.lock {
        Some(lock) if lock.is_at_its_path() => Ok(()),
        _ => Err(refuse(
            site,
            request,
            &DoorError::Swapped(site.config.lock_file()),
        )),
    }
}

/// Whether the doors could be closed at all, before anything is touched. A trial asks for no
/// right that it does not need: anybody may make one.
///
/// # Errors
/// What is wrong with the lock file.
pub fn could_close(site: &Site, request: &Request) -> Result<(), Refused> {
    let path = site.config.lock_file();
    let lock = match request.mode {
        Mode::Real => LockFile::open_to_close_doors(&path),
        Mode::Trial => LockFile::open(&path),
    };
    lock.map(drop)
        .map_err(|error| refuse(site, request, &error))
}

fn refuse(site: &Site, request: &Request, error: &DoorError) -> Refused {
    let refused = Refused::new(request.act, error);
    match error {
        DoorError::Missing(_) => refused.hint(typed(site, "init")),
        _ => refused,
    }
}

/// A wait for at most a span, that something may end before.
struct Patiently<'a> {
    span: Span,
    waiting: Waiting,
    is_over: &'a dyn Fn() -> bool,
    progress: RefCell<Progress>,
}

impl<'a> Patiently<'a> {
    fn until(span: Span, is_over: &'a dyn Fn() -> bool) -> Patiently<'a> {
        Patiently {
            span,
            waiting: Waiting::for_at_most(span),
            is_over,
            progress: RefCell::new(Progress::of("waiting for deliveries in flight")),
        }
    }

    /// As [`Waiting::until`].
    fn wait(&self, mut attempt: impl FnMut() -> Result<bool, DoorError>) -> Result<(), DoorError> {
        self.waiting.until(|| match attempt()? {
            true => Ok(true),
            false if (self.is_over)() => Err(DoorError::Closed(self.span)),
            false => {
                self.progress.borrow_mut().waits(self.span.duration());
                Ok(false)
            }
        })
    }

    fn is_over(&self) -> bool {
        self.waiting.left().is_zero() || (self.is_over)()
    }
}

/// Doors that are being closed.
struct Drain<'a> {
    site: &'a Site,
    lists: &'a BTreeSet<ListName>,
    patience: Span,
    lock: LockFile,
    /// What could not be had: somebody is there.
    held: Vec<Range>,
}

impl<'a> Drain<'a> {
    /// Takes all doors, then all floors, for at most `patience` in all.
    fn begin(
        site: &'a Site,
        lists: &'a BTreeSet<ListName>,
        waiting: Patiently<'_>,
    ) -> Result<Drain<'a>, DoorError> {
        let path = site.config.lock_file();
        loop {
            let lock = LockFile::open_to_close_doors(&path)?;
            // Nobody comes in any more by a file that was replaced, but may be inside by it.
            let all = ranges(lists);
            let is_gone = || Ok(inside::left_behind(&lock, &all)?.is_empty());
            let behind = match waiting.wait(is_gone) {
                Err(DoorError::Closed(_)) => all,
                other => other.map(|()| Vec::new())?,
            };
            let mut held = empty(&lock, lists, &waiting)?;
            held.extend(behind);
            if lock.is_at_its_path() {
                return Ok(Drain {
                    site,
                    lists,
                    patience: waiting.span,
                    lock,
                    held,
                });
            }
            if waiting.is_over() {
                return Err(DoorError::Swapped(path));
            }
        }
    }

    fn is_done(&self) -> bool {
        self.held.is_empty()
    }

    fn closed(self) -> Closed {
        Closed {
            lock: Some(self.lock),
            notes: Vec::new(),
        }
    }

    /// Who is inside, each with the lists that it holds.
    fn inside(&self) -> Vec<String> {
        let found = inside::look(&self.lock, &self.held).unwrap_or_default();
        if found.is_empty() {
            return vec![format!(
                "{}: who is inside cannot be seen from here; root could",
                self.names(None)
            )];
        }
        let mut told: Vec<String> = found
            .iter()
            .take(MOST_NAMED)
            .map(|inside| format!("{}: {inside}", self.names(Some(inside))))
            .collect();
        if found.len() > MOST_NAMED {
            told.push(format!("and {} more", found.len() - MOST_NAMED));
        }
        told
    }

    /// The lists whose bytes this process holds, or of nobody in particular all that are held.
    fn names(&self, by: Option<&Inside>) -> String {
        match self.concerned(by) {
            // All doors are one range, and somebody stands in that of a list that stays.
            none if none.is_empty() => "a list that does not move".to_owned(),
            lists => names(lists),
        }
    }

    fn concerned(&self, by: Option<&Inside>) -> Vec<&ListName> {
        let is_held = |range: Range| {
            by.is_none_or(|inside| inside.holds(range))
                && self.held.iter().any(|held| held.overlaps(range))
        };
        let lists = self.lists.iter();
        lists
            .filter(|list| own_ranges(list).into_iter().any(is_held))
            .collect()
    }

    fn refuse(self, request: &Request) -> Refused {
        let mut refused = Refused::empty(request.act);
        refused.reasons = self
            .inside()
            .into_iter()
            .map(|who| format!("after {} still inside: {who}", self.patience))
            .collect();
        let held: BTreeSet<ListName> = self.concerned(None).into_iter().cloned().collect();
        let names = few(self.lists).or_else(|| few(&held));
        let names = names.unwrap_or_else(|| "--all".to_owned());
        let look = typed(self.site, &format!("drain {names}"));
        refused.hints.push(format!("who is inside: {look}"));
        refused.hint("no list has moved; --closed 5m would wait longer")
    }

    /// For lists that go back: whoever is still inside stays there, or is ended.
    fn move_anyway(mut self, patience: Patience, told: &str) -> Closed {
        let mut notes = Vec::new();
        if !self.is_done() && patience.kill {
            let ended = self.end_guarded();
            if !ended.is_empty() {
                let waiting = Patiently::until(GRACE, &|| false);
                let held = vacate(&self.lock, self.held, &waiting);
                self.held = held.unwrap_or_default();
            }
            let left = inside::look(&self.lock, &self.held).unwrap_or_default();
            let is_gone = |pid: u32| left.iter().all(|inside| inside.pid != pid);
            let gone = ended.into_iter().filter(|(pid, _)| is_gone(*pid));
            notes.extend(gone.map(|(_, who)| format!("ended: {who}")));
        }
        if !self.is_done() {
            let left = self.inside();
            notes.extend(left.iter().map(|who| format!("left running: {who}")));
            notes.push(told.to_owned());
        }
        Closed {
            lock: Some(self.lock),
            notes,
        }
    }

    /// Tells every mm-guard inside to end its program; it then answers 75, and the message
    /// comes again. Returns who was told, by number.
    fn end_guarded(&self) -> Vec<(u32, String)> {
        let guard = guard(self.site);
        let found = inside::look(&self.lock, &self.held).unwrap_or_default();
        let guarded = found.iter().filter(|inside| inside.runs(&guard));
        guarded
            .filter(|inside| end(inside, &guard))
            .map(|inside| {
                let who = format!("{}: {inside}", self.names(Some(inside)));
                (inside.pid, who)
            })
            .collect()
    }
}

/// Where mm-guard stands: beside mm-deliver.
fn guard(site: &Site) -> PathBuf {
    let program = &site.config.program;
    let real = fs::canonicalize(program).unwrap_or_else(|_| program.clone());
    real.with_file_name("mm-guard")
}

/// Sends SIGTERM to the process if it still is the one that was seen: its number may have come
/// to somebody else.
fn end(inside: &Inside, guard: &PathBuf) -> bool {
    let pid = i32::try_from(inside.pid).ok().and_then(Pid::from_raw);
    let Some(process) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return false;
    };
    let runs = inside::program(inside.pid);
    runs.as_ref() == Some(guard) && pidfd_send_signal(&process, Signal::TERM).is_ok()
}

/// Closes the doors, then waits for the floors; returns what is still held when time is over.
fn empty(
    lock: &LockFile,
    lists: &BTreeSet<ListName>,
    waiting: &Patiently<'_>,
) -> Result<Vec<Range>, DoorError> {
    if lists.len() <= MOST_BYTES {
        return exclude(lock, &ranges(lists), waiting);
    }
    let held = exclude(lock, &[Range::all_doors()], waiting)?;
    match held.is_empty() {
        true => vacate(lock, floors(lists), waiting),
        false => Ok(held),
    }
}

/// Doors, then floors; each in the order of their bytes.
fn ranges(lists: &BTreeSet<ListName>) -> Vec<Range> {
    // The regions lie in that order, too.
    let all: BTreeSet<Range> = lists.iter().flat_map(own_ranges).collect();
    all.into_iter().collect()
}

fn floors(lists: &BTreeSet<ListName>) -> Vec<Range> {
    let of = |list| Floor::ALL.map(|floor| Range::floor(floor, list));
    lists.iter().flat_map(of).collect()
}

fn own_ranges(list: &ListName) -> [Range; 3] {
    let [mail, web] = Floor::ALL;
    [
        Range::door(list),
        Range::floor(mail, list),
        Range::floor(web, list),
    ]
}

/// Waits until nobody is in these ranges, whose doors are closed; returns those where somebody
/// is when time is over. A range that was empty once stays so, and is looked at no more.
fn vacate(
    lock: &LockFile,
    mut ranges: Vec<Range>,
    waiting: &Patiently<'_>,
) -> Result<Vec<Range>, DoorError> {
    let done = waiting.wait(|| {
        let mut held = Vec::new();
        for &range in &ranges {
            if lock.is_held(range)? {
                held.push(range);
            }
        }
        ranges = held;
        Ok(ranges.is_empty())
    });
    match done {
        Ok(()) | Err(DoorError::Closed(_)) => Ok(ranges),
        Err(error) => Err(error),
    }
}

/// Takes exclusive locks one after the other; returns those that could not be had in time.
fn exclude(
    lock: &LockFile,
    ranges: &[Range],
    waiting: &Patiently<'_>,
) -> Result<Vec<Range>, DoorError> {
    let mut held = Vec::new();
    for &range in ranges {
        match waiting.wait(|| lock.try_exclude(range)) {
            Ok(()) => {}
            Err(DoorError::Closed(_)) => held.push(range),
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn lists(count: usize) -> BTreeSet<ListName> {
        (0..count)
            .map(|n| ListName::parse(format!("list{n}")).unwrap())
            .collect()
    }

    #[test]
    fn doors_are_closed_before_floors_are_waited_for() {
        for count in [1, 2, MOST_BYTES] {
            let ranges = ranges(&lists(count));
            assert!(ranges.is_sorted(), "{count}");
            assert_eq!(ranges.len(), 3 * count);
            let whole = Range::all_doors();
            let doors = ranges.iter().filter(|range| range.overlaps(whole)).count();
            assert_eq!(doors, count);
            assert!(ranges[..doors].iter().all(|range| range.overlaps(whole)));
        }
    }
}
