//! What changes a whole installation, or lists' data, is killed at its calls, and its calls fail:
//! afterwards the site takes mail, each file of the lists is the old or the new one, and either the
//! same command again finishes the job or its undo takes it back.
//!
//! Of calls that stand in a row for each file of each list, and of those that only look, a part is
//! disturbed; all of them with `MM_CRASH_ALL=1`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{LISTS, SAMPLED, TRACE, is_of_this_run, report};
use crate::calls::{Call, calls_after};
use crate::listing::Listing;
use crate::rig::Machine;

const STATE: &str = "/var/lib/mm-deliver";
/// Calls of one name that are disturbed one by one; of those behind them one in [`FURTHER`].
const FIRST: usize = 4;
const FURTHER: usize = 9;
/// Of the pairs of a call and an error one in so many.
const FAILED: usize = 4;
/// As the MTA runs pipes.
const MTA: &str = "setpriv --reuid nobody --regid nogroup --clear-groups";

/// A change that is disturbed.
pub(super) struct Whole {
    pub(super) name: &'static str,
    pub(super) machine: fn() -> Machine,
    pub(super) before: &'static [&'static str],
    pub(super) command: &'static str,
    /// What takes it back, where that must give every byte back.
    pub(super) undo: Option<&'static str>,
    /// The line of the trace after which calls count.
    pub(super) begins: &'static str,
    /// All that it may change; put back before each disturbance.
    pub(super) places: &'static [&'static str],
    /// What of that must be the old or the new, file by file, at each moment.
    pub(super) data: &'static [&'static str],
    /// What of that changes by itself, or bears a time or a number.
    pub(super) apart: &'static [&'static str],
    /// What the MTA runs, without verb and list; where it is not there yet, nothing.
    pub(super) mail: &'static [&'static str],
    /// What must be said of the site when the command is done.
    pub(super) done: fn(&Machine),
}

/// A machine at the point before a change.
struct Scene<'a> {
    act: &'a Whole,
    machine: Machine,
    calls: Vec<Call>,
    old: Listing,
    new: Listing,
    /// What parity.toml says, its seal and its number apart.
    parity: [Option<String>; 2],
}

pub(super) fn killed(act: &Whole) {
    let scene = Scene::new(act);
    let mut outcomes = BTreeMap::<&str, usize>::new();
    let mut number = 0;
    for call in &scene.calls {
        let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
        number += 1;
        *outcomes.entry(scene.disturb(&inject, number)).or_default() += 1;
    }
    println!("| ==== {}: killed at {number} calls", act.name);
    report(&scene.calls, &outcomes);
    assert!(
        outcomes.len() > 1,
        "the kills came to nothing: {outcomes:?}"
    );
}

pub(super) fn failing(act: &Whole) {
    let scene = Scene::new(act);
    let mut outcomes = BTreeMap::<&str, usize>::new();
    let pairs = scene
        .calls
        .iter()
        .flat_map(|call| call.errors().iter().map(move |error| (call, error)));
    let every = if is_all() { 1 } else { FAILED };
    let mut number = 0;
    for (call, error) in pairs.step_by(every) {
        let inject = format!("inject={}:error={error}:when={}", call.name, call.number);
        number += 1;
        *outcomes.entry(scene.disturb(&inject, number)).or_default() += 1;
    }
    println!("| ==== {}: {number} failures", act.name);
    report(&scene.calls, &outcomes);
    assert!(
        outcomes.contains_key("old"),
        "no failure mattered: {outcomes:?}"
    );
}

fn is_all() -> bool {
    std::env::var_os("MM_CRASH_ALL").is_some()
}

/// The calls that are disturbed.
fn sample(calls: Vec<Call>) -> Vec<Call> {
    if is_all() {
        return calls;
    }
    let mut seen = BTreeMap::<String, usize>::new();
    let sampled = calls.into_iter().filter(|call| {
        let number = seen.entry(call.name.clone()).or_default();
        *number += 1;
        match call.changes() {
            true => *number <= FIRST || number.is_multiple_of(FURTHER),
            false => number.is_multiple_of(SAMPLED * 6),
        }
    });
    let this = |(index, call): (usize, Call)| is_of_this_run(index, &call).then_some(call);
    sampled.enumerate().filter_map(this).collect()
}

impl<'a> Scene<'a> {
    fn new(act: &'a Whole) -> Scene<'a> {
        let machine = (act.machine)();
        for line in act.before {
            machine.expect(line);
        }
        keep(&machine, act.places);
        let old = Listing::of(&machine, act.places).part(act.apart, false);
        let before = parity(&machine);
        let line = format!("strace -o {TRACE} {}", act.command);
        let output = machine.run(&line);
        assert!(output.status.success(), "{output:?}");
        let trace = fs::read_to_string(machine.path(TRACE)).unwrap();
        let calls = calls_after(&trace, act.begins);
        let all = calls.len();
        let calls = sample(calls);
        println!("| {}: {} of {all} calls", act.name, calls.len());
        (act.done)(&machine);
        let new = Listing::of(&machine, act.places).part(act.apart, false);
        assert!(
            old != new || before != parity(&machine),
            "{}: nothing changed",
            act.name
        );
        Scene {
            act,
            calls,
            old,
            new,
            parity: [before, parity(&machine)],
            machine,
        }
    }

    /// Makes the change with one disturbance, and looks at what stands. Then it is made again, or,
    /// every other time where there is one, its undo. Returns "old", "new" or "between".
    fn disturb(&self, inject: &str, number: usize) -> &'static str {
        let Scene { act, machine, .. } = self;
        put_back(machine, act.places);
        let line = format!("strace -o {TRACE} -e {inject} {}", act.command);
        let disturbed = machine.command(&line).output().unwrap();
        let what = format!("{}, {inject}: {disturbed:?}", act.name);
        let stands = Listing::of(machine, act.places).part(act.apart, false);
        let odd = stands.part(act.data, true).neither(
            &self.old.part(act.data, true),
            &self.new.part(act.data, true),
        );
        assert!(
            odd.is_empty(),
            "{what}: neither old nor new:\n{}",
            odd.join("\n")
        );
        let now = parity(machine);
        let is_like = |listing: &Listing| {
            let [stands, listing] = [&stands, listing].map(|all| all.part(act.data, true));
            stands.neither(&listing, &listing).is_empty()
        };
        let is_old = now == self.parity[0] && is_like(&self.old);
        let is_new = now == self.parity[1] && is_like(&self.new);
        // Whoever was told that it failed must find that nothing changed.
        if disturbed.status.code() == Some(1) {
            assert!(is_old, "{what}: refused, and yet something is new");
        }
        self.mail_is_safe(&what);
        match act.undo.filter(|_| number.is_multiple_of(2)) {
            Some(undo) => self.is_taken_back(undo, &what),
            None => self.is_finished(&what),
        }
        match (is_old, is_new) {
            (true, _) => "old",
            (_, true) => "new",
            _ => "between",
        }
    }

    fn is_finished(&self, what: &str) {
        let again = self.machine.command(self.act.command).output().unwrap();
        let what = format!("{what}: the same command again: {again:?}");
        let is_refused = match again.status.code() {
            Some(0) => false,
            // There was nothing left to be done.
            Some(1) => true,
            _ => panic!("{what}"),
        };
        assert_eq!(parity(&self.machine), self.parity[1], "{what}");
        let finished = Listing::of(&self.machine, self.act.places).part(self.act.apart, false);
        let data = [&self.new, &finished].map(|listing| listing.part(self.act.data, true));
        let odd = data[1].neither(&data[0], &data[0]);
        assert!(odd.is_empty(), "{what}: not the new:\n{}", odd.join("\n"));
        if is_refused {
            return self.mail_is_safe(&what);
        }
        let more: Vec<_> = finished
            .0
            .keys()
            .filter(|path| !self.new.0.contains_key(*path))
            .collect();
        assert!(more.is_empty(), "{what}: left behind: {more:?}");
        (self.act.done)(&self.machine);
        self.mail_is_safe(&what);
    }

    fn is_taken_back(&self, undo: &str, what: &str) {
        let back = self.machine.command(undo).output().unwrap();
        let what = format!("{what}: {undo}: {back:?}");
        // Where nothing was done yet there is nothing to take back, and the data are as they were.
        let all = match back.status.code() {
            Some(0) => self.act.places,
            Some(1) => self.act.data,
            _ => panic!("{what}"),
        };
        let stands = Listing::of(&self.machine, self.act.places).part(self.act.apart, false);
        let [old, stands] = [&self.old, &stands].map(|listing| listing.part(all, true));
        let odd = old.differences(&stands);
        assert!(odd.is_empty(), "{what}: not as it was:\n{}", odd.join("\n"));
        self.mail_is_safe(&what);
    }

    fn mail_is_safe(&self, what: &str) {
        for program in self.act.mail {
            if !self.machine.path(program).exists() {
                continue;
            }
            for list in LISTS {
                let line = format!("{MTA} {program} post {list}");
                let done = self.machine.command(&line).output().unwrap();
                let code = done.status.code();
                assert!(matches!(code, Some(0 | 75)), "{what}: {line}: {done:?}");
            }
        }
    }
}

/// What parity.toml says but for its seal and its generation, if there is one.
fn parity(machine: &Machine) -> Option<String> {
    let text = fs::read_to_string(machine.path(&format!("{STATE}/parity.toml"))).ok()?;
    let rest = text.split_once('\n').unwrap().1;
    let rows = rest.lines().filter(|line| !line.starts_with("generation"));
    Some(rows.collect::<Vec<_>>().join("\n"))
}

fn kept(machine: &Machine, place: &str) -> PathBuf {
    machine.path(&format!("/tmp/kept{place}"))
}

/// Keeps what stands in these places.
fn keep(machine: &Machine, places: &[&str]) {
    for place in places {
        let to = kept(machine, place);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if machine.path(place).exists() {
            copy("-a", &machine.path(place), &to);
        }
    }
}

/// Puts that back, and nothing else stays there. The place itself stays, since something may be
/// mounted there.
fn put_back(machine: &Machine, places: &[&str]) {
    for place in places {
        let (from, to) = (kept(machine, place), machine.path(place));
        if let Ok(entries) = fs::read_dir(&to) {
            for entry in entries {
                let path = entry.unwrap().path();
                match path.is_dir() && !path.is_symlink() {
                    true => fs::remove_dir_all(&path).unwrap(),
                    false => fs::remove_file(&path).unwrap(),
                }
            }
        }
        if from.exists() {
            fs::create_dir_all(&to).unwrap();
            copy("-aT", &from, &to);
        } else if to.exists() {
            fs::remove_dir(&to).unwrap();
        }
    }
}

fn copy(how: &str, from: &Path, to: &Path) {
    let done = Command::new("cp")
        .arg(how)
        .args([from, to])
        .status()
        .unwrap();
    assert!(done.success(), "cannot copy {from:?} to {to:?}");
}
