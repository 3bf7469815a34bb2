//! A machine at the point before a change, which is made again and again, each time disturbed.
//!
//! **Invariants**: each disturbance finds what the one before it found; what a reader sees is
//! asked of the MTA itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Act, LISTS, SAMPLED, TRACE, is_of_this_run};
use crate::calls::{Call, calls_after_the_lock};
use crate::rig::Machine;

const STATE: &str = "/var/lib/mm-deliver";
/// Where text and map may stand, and whatever is written beside them.
const PLACES: [&str; 2] = ["/etc", "/etc/mail"];
/// What a change may replace.
const TEXTS: [&str; 2] = ["/etc/aliases", "/etc/virtual-lists"];
/// Nothing for the text, and what its maps have behind its name.
const SUFFIXES: [&str; 4] = ["", ".db", ".lmdb", ".cdb"];
/// Looked up one by one where the whole map cannot be dumped: ours, and one of the admin's.
const SAMPLE: [&str; 4] = ["postmaster", "reallist1-owner", "toylist", "toylist-leave"];

/// A machine at the point before a change, with what is old and what is new.
pub(super) struct Scene {
    machine: Machine,
    kept: PathBuf,
    pub(super) calls: Vec<Call>,
    old: Shown,
    new: Shown,
    /// The names that must be found whatever happens.
    names: BTreeSet<String>,
}

/// What a reader can see of the state and the aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    parity: String,
    texts: BTreeMap<&'static str, String>,
    map: BTreeMap<String, String>,
}

impl Scene {
    pub(super) fn new(act: &Act) -> Scene {
        let machine = Machine::with(act.agent, &LISTS);
        (act.prepare)(&machine);
        for line in act.before {
            machine.expect(line);
        }
        if act.name == "sync" {
            // An admin lost an entry, and the map is of before that.
            let path = machine.path("/etc/aliases");
            let text = fs::read_to_string(&path).unwrap();
            let text: String = text
                .lines()
                .filter(|line| !line.starts_with("toylist-leave:"))
                .map(|line| format!("{line}\n"))
                .collect();
            fs::write(&path, text).unwrap();
        }
        let kept = machine.path("/tmp/kept");
        keep(&machine, &kept);
        let old = shown(&machine);
        let trace = machine
            .command(&format!("strace -o {TRACE} {}", act.command))
            .output()
            .unwrap();
        assert!(trace.status.success(), "{trace:?}");
        let calls = calls_after_the_lock(&fs::read_to_string(machine.path(TRACE)).unwrap());
        let new = shown(&machine);
        assert_ne!(old, new, "{}: nothing changed", act.name);
        let names = old
            .map
            .keys()
            .filter(|name| new.map.contains_key(*name))
            .cloned()
            .collect();
        Scene {
            machine,
            kept,
            calls,
            old,
            new,
            names,
        }
    }

    /// Leaves the calls that change something, and a part of the others.
    pub(super) fn sample(&mut self) {
        if std::env::var_os("MM_CRASH_ALL").is_some() {
            return;
        }
        let mut number = 0;
        self.calls.retain(|call| {
            number += 1;
            call.changes() || number % SAMPLED == 0
        });
        self.halve();
    }

    /// Leaves the calls of this run.
    pub(super) fn halve(&mut self) {
        let mut index = 0;
        self.calls.retain(|call| {
            index += 1;
            is_of_this_run(index, call)
        });
    }

    /// Makes the change with one disturbance, looks at what stands, makes it again and looks
    /// once more. Returns "old", "new", or "between" where aliases are new and parity is old,
    /// or the other way round.
    pub(super) fn disturb(&self, act: &Act, inject: &str) -> &'static str {
        put_back(&self.machine, &self.kept);
        let line = format!("strace -o {TRACE} -e {inject} {}", act.command);
        let disturbed = self.machine.command(&line).output().unwrap();
        let what = format!("{}, {inject}: {disturbed:?}", act.name);
        let after = shown(&self.machine);
        assert!(
            [&self.old.parity, &self.new.parity].contains(&&after.parity),
            "{what}: parity.toml is neither old nor new:\n{}",
            after.parity
        );
        for (path, text) in &after.texts {
            assert!(
                [&self.old, &self.new]
                    .map(|shown| &shown.texts[path])
                    .contains(&text),
                "{what}: {path} is neither old nor new:\n{text}"
            );
        }
        for name in &self.names {
            let found = after
                .map
                .get(name)
                .unwrap_or_else(|| panic!("{what}: {name} is gone from the map"));
            let known = [&self.old, &self.new].map(|shown| &shown.map[name]);
            assert!(known.contains(&found), "{what}: {name} leads to {found}");
        }
        self.mail_is_safe(&what);
        // Whoever was told that it failed must find that nothing changed.
        if disturbed.status.code() == Some(1) {
            assert_eq!(
                after.parity, self.old.parity,
                "{what}: refused, and yet it is done"
            );
            assert_eq!(
                after.texts, self.old.texts,
                "{what}: refused, and yet a text is new"
            );
        }
        let again = self.machine.command(act.command).output().unwrap();
        assert!(
            again.status.success(),
            "{what}: the same command again: {again:?}"
        );
        let finished = shown(&self.machine);
        let what = format!("{what}: after the same command again: {again:?}");
        assert_eq!(finished.parity, self.new.parity, "{what}");
        assert_eq!(finished.texts, self.new.texts, "{what}");
        assert_eq!(finished.map, self.new.map, "{what}");
        self.mail_is_safe(&what);
        self.nothing_is_left(&what);
        match &after {
            after if *after == self.new => "new",
            after if *after == self.old => "old",
            _ => "between",
        }
    }

    fn mail_is_safe(&self, what: &str) {
        for list in LISTS {
            let done = self
                .machine
                .command(&format!("mm-deliver post {list}"))
                .output()
                .unwrap();
            assert!(
                matches!(done.status.code(), Some(0 | 75)),
                "{what}: {list}: {done:?}"
            );
        }
        self.machine.take();
    }

    /// No temporary file, and a history without a gap or a double.
    fn nothing_is_left(&self, what: &str) {
        let there = |path: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(self.machine.path(path)).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        let known = known_names(&self.kept);
        let left = || {
            names_in_places(&self.machine)
                .difference(&known)
                .cloned()
                .collect::<Vec<_>>()
        };
        if !left().is_empty() {
            // Where the same command finds nothing to do, the next sync sweeps.
            let sync = self.machine.command("mm-aliases sync").output().unwrap();
            assert!(sync.status.success(), "{what}: {sync:?}");
        }
        assert!(left().is_empty(), "{what}: left behind: {:?}", left());
        let state = there(STATE);
        let odd: Vec<_> = state.iter().filter(|name| name.starts_with('.')).collect();
        assert!(odd.is_empty(), "{what}: left in {STATE}: {odd:?}");
        let history =
            fs::read_to_string(self.machine.path(&format!("{STATE}/history.jsonl"))).unwrap();
        let generations: Vec<&str> = history
            .lines()
            .map(|line| line.split(',').nth(1).unwrap())
            .collect();
        let expected: Vec<String> = (1..=generations.len())
            .map(|n| format!("\"generation\":{n}"))
            .collect();
        assert_eq!(generations, expected, "{what}: the history");
    }
}

/// What stands now. The time in parity.toml's seal is another in each run.
fn shown(machine: &Machine) -> Shown {
    let parity = machine.path(&format!("{STATE}/parity.toml"));
    let text = fs::read_to_string(&parity).unwrap();
    let (seal, rest) = text.split_once('\n').unwrap();
    let time = seal.split(' ').nth(2).unwrap().to_owned();
    let meta = fs::metadata(&parity).unwrap();
    assert_eq!(
        (meta.mtime_nsec(), meta.mode() & 0o7777),
        (0, 0o644),
        "{text}"
    );
    let map = map(machine);
    Shown {
        parity: format!("{}\n{rest}", seal.replace(&time, "TIME")),
        texts: texts(machine),
        map,
    }
}

fn texts(machine: &Machine) -> BTreeMap<&'static str, String> {
    let text = |path: &&'static str| {
        let bytes = fs::read(machine.path(path)).ok()?;
        Some((*path, String::from_utf8(bytes).unwrap()))
    };
    TEXTS.iter().filter_map(text).collect()
}

/// What the MTA's database says: all of it, or a sample of names as the MTA itself finds them.
fn map(machine: &Machine) -> BTreeMap<String, String> {
    if machine.agent.name() != "postfix" {
        let asked = |name: &&str| ((*name).to_owned(), format!("{:?}", machine.look_up(name)));
        return SAMPLE.iter().map(asked).collect();
    }
    let mut map = BTreeMap::new();
    for (parameter, tool) in [
        ("alias_maps", "postalias"),
        ("virtual_alias_maps", "postmap"),
    ] {
        let found = silent(machine, &format!("postconf -xh {parameter}"));
        for of in found.trim().split(',').filter(|of| !of.is_empty()) {
            let dump = silent(machine, &format!("{tool} -s {of}"));
            let lines = dump.lines().filter_map(|line| line.split_once('\t'));
            // When and where the map was made.
            let lines = lines.filter(|(name, _)| !name.starts_with("YP_"));
            map.extend(lines.map(|(name, value)| (format!("{of} {name}"), value.to_owned())));
        }
    }
    map
}

/// What a command says that must succeed, and is no evidence.
fn silent(machine: &Machine, line: &str) -> String {
    let output = machine.command(line).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The paths of the files where text and map stand.
fn names_in_places(machine: &Machine) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for place in PLACES {
        let Ok(entries) = fs::read_dir(machine.path(place)) else {
            continue;
        };
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            names.insert(format!("{place}/{name}"));
        }
    }
    names
}

fn known_names(kept: &Path) -> BTreeSet<String> {
    let names = fs::read_to_string(kept.join("names")).unwrap();
    names.lines().map(str::to_owned).collect()
}

/// The text and the maps, of those that may stand in one of the places.
fn files(machine: &Machine) -> Vec<String> {
    let mut found = Vec::new();
    for place in PLACES {
        for (text, suffix) in TEXTS.iter().flat_map(|text| SUFFIXES.map(|it| (text, it))) {
            let name = text.trim_start_matches("/etc/");
            let path = format!("{place}/{name}{suffix}");
            let kept = fs::symlink_metadata(machine.path(&path));
            if kept.is_ok_and(|meta| meta.is_file()) {
                found.push(path);
            }
        }
    }
    found
}

/// Keeps what a change may touch, times and owners too.
fn keep(machine: &Machine, kept: &Path) {
    fs::create_dir(kept).unwrap();
    copy(&machine.path(STATE), kept);
    for path in files(machine) {
        let to = kept.join(&path[1..]);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy(&machine.path(&path), &to);
    }
    let names: Vec<String> = names_in_places(machine).into_iter().collect();
    fs::write(kept.join("names"), names.join("\n")).unwrap();
}

/// Puts that back, and removes whatever else has come.
fn put_back(machine: &Machine, kept: &Path) {
    for path in names_in_places(machine).difference(&known_names(kept)) {
        let _ = fs::remove_file(machine.path(path));
    }
    let _ = fs::remove_dir_all(machine.path(STATE));
    copy(
        &kept.join("mm-deliver"),
        machine.path(STATE).parent().unwrap(),
    );
    for path in known_names(kept) {
        let from = kept.join(&path[1..]);
        if from.is_file() {
            copy(&from, &machine.path(&path));
        }
    }
    if machine.agent.name() == "opensmtpd" {
        // It keeps what it read.
        let line = "smtpctl update table aliases";
        let told = machine.command(line).output().unwrap();
        assert!(told.status.success(), "{told:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .args(["-a", "--remove-destination"])
        .args([from, to])
        .status();
    assert!(done.unwrap().success(), "cannot copy {from:?} to {to:?}");
}
