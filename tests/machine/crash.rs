//! A writer is killed at every system call of a change, and every call is made to fail:
//! afterwards each file is the old or the new one, mail is delivered or deferred, no name is
//! missing, and the same command again finishes the job.
//!
//! A clean run is recorded first. Counted are the calls of our program alone, from its
//! writer lock on; the MTA's tools that it starts run on undisturbed, as they would after a
//! `kill -9`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::{Agent, Exim, Machine, OpenSmtpd, Postfix, Sendmail};

const LISTS: [&str; 2] = ["reallist1", "toylist"];
const TRACE: &str = "/tmp/trace";
const STATE: &str = "/var/lib/mm-deliver";
/// Where text and map may stand, and whatever is written beside them.
const PLACES: [&str; 2] = ["/etc", "/etc/mail"];
/// Looked up one by one where the whole map cannot be dumped: ours, and one of the admin's.
const SAMPLE: [&str; 4] = ["postmaster", "reallist1-owner", "toylist", "toylist-leave"];

const HASH: &Postfix = &Postfix { kind: "hash" };

/// A change that is disturbed, and how the site comes to the point where it is made.
struct Act {
    name: &'static str,
    agent: &'static dyn Agent,
    before: &'static [&'static str],
    command: &'static str,
    prepare: fn(&Machine),
}

const ACTS: [Act; 6] = [
    Act {
        name: "upgrade",
        agent: HASH,
        before: &["mm-parity init --current a", "mm-aliases adopt"],
        command: "mm-parity upgrade toylist",
        prepare: |_| {},
    },
    Act {
        name: "upgrade of a list that is not adopted",
        agent: HASH,
        before: &["mm-parity init --current a"],
        command: "mm-parity upgrade toylist",
        prepare: |_| {},
    },
    Act {
        name: "commit",
        agent: HASH,
        before: &[
            "mm-parity init --current a",
            "mm-aliases adopt",
            "mm-parity upgrade --all",
        ],
        command: "mm-parity commit",
        prepare: smaller_future,
    },
    Act {
        name: "adopt",
        agent: HASH,
        before: &["mm-parity init --current a"],
        command: "mm-aliases adopt",
        prepare: |_| {},
    },
    Act {
        name: "sync",
        agent: HASH,
        before: &["mm-parity init --current a", "mm-aliases adopt"],
        command: "mm-aliases sync",
        prepare: a_new_list,
    },
    Act {
        name: "unadopt",
        agent: HASH,
        before: &["mm-parity init --current a", "mm-aliases adopt"],
        command: "mm-aliases unadopt",
        prepare: |_| {},
    },
];

/// An adopt under another MTA or map.
fn adopt_under(agent: &'static dyn Agent) -> Act {
    Act {
        name: "adopt",
        agent,
        before: &["mm-parity init --current a"],
        command: "mm-aliases adopt",
        prepare: |_| {},
    }
}

/// Gives tree b a list manager without the address `-admin`, so that a commit removes it.
fn smaller_future(machine: &Machine) {
    let profile = machine.path("/etc/mm-deliver/profiles/smaller.toml");
    let text = include_str!("../../src/profiles/mailman2.toml");
    let cut = text.find("[verbs.admin]").unwrap()..text.find("[verbs.bounces]").unwrap();
    fs::create_dir_all(profile.parent().unwrap()).unwrap();
    fs::write(&profile, [&text[..cut.start], &text[cut.end..]].concat()).unwrap();
    let site = machine.path("/etc/mm-deliver/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    let (a, b) = text.split_once("[trees.b]").unwrap();
    let b = b.replacen("mailman2", "smaller", 1);
    fs::write(&site, [a, "[trees.b]", &b].concat()).unwrap();
}

fn a_new_list(machine: &Machine) {
    let list = machine.path("/srv/mailman/var/lists/newlist");
    fs::create_dir_all(&list).unwrap();
    fs::write(list.join("config.pck"), "U\u{c}data_versionK\u{70}").unwrap();
}

#[test]
fn crash_a_killed_upgrade_is_old_or_new() {
    killed(&ACTS[0]);
    killed(&ACTS[1]);
}

#[test]
fn crash_a_killed_commit_is_old_or_new() {
    killed(&ACTS[2]);
}

#[test]
fn crash_a_killed_adopt_is_old_or_new() {
    killed(&ACTS[3]);
}

#[test]
fn crash_a_killed_sync_is_old_or_new() {
    killed(&ACTS[4]);
}

#[test]
fn crash_a_killed_unadopt_is_old_or_new() {
    killed(&ACTS[5]);
}

#[test]
fn crash_a_killed_adopt_with_lmdb_is_old_or_new() {
    killed(&adopt_under(&Postfix { kind: "lmdb" }));
}

#[test]
fn crash_a_killed_adopt_under_sendmail_is_old_or_new() {
    killed(&adopt_under(&Sendmail));
}

#[test]
fn crash_a_killed_adopt_under_exim_is_old_or_new() {
    killed(&adopt_under(&Exim));
}

#[test]
fn crash_a_killed_adopt_under_opensmtpd_is_old_or_new() {
    killed(&adopt_under(&OpenSmtpd { table: "file" }));
    killed(&adopt_under(&OpenSmtpd { table: "db" }));
}

#[test]
fn crash_an_upgrade_with_a_failing_call_is_old_or_new() {
    failing(&ACTS[0]);
    failing(&ACTS[1]);
}

#[test]
fn crash_a_commit_with_a_failing_call_is_old_or_new() {
    failing(&ACTS[2]);
}

#[test]
fn crash_an_adopt_with_a_failing_call_is_old_or_new() {
    failing(&ACTS[3]);
}

#[test]
fn crash_a_sync_with_a_failing_call_is_old_or_new() {
    failing(&ACTS[4]);
}

fn killed(act: &Act) {
    let scene = Scene::new(act);
    println!(
        "| ==== {} ({:?}): {} calls, killed at each",
        act.name,
        act.agent,
        scene.calls.len()
    );
    let mut outcomes = BTreeMap::<&str, usize>::new();
    let mut marks = Vec::new();
    for (index, call) in scene.calls.iter().enumerate() {
        let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
        let outcome = scene.disturb(act, &inject);
        *outcomes.entry(outcome).or_default() += 1;
        // A kill comes before its call is made: the next one's is after this one.
        let before = |call: &Call| call.is_fsync() || call.is_rename();
        if before(call) || index > 0 && before(&scene.calls[index - 1]) {
            marks.push(format!("{}#{}={outcome}", call.name, call.number));
        }
    }
    report(&scene.calls, &outcomes);
    println!(
        "| before and after each fsync and rename: {}",
        marks.join(" ")
    );
    // Both sides of the commit point were seen, or the kills came to nothing.
    assert!(
        outcomes.contains_key("old") && outcomes.contains_key("new"),
        "{outcomes:?}"
    );
}

fn failing(act: &Act) {
    let scene = Scene::new(act);
    let mut outcomes = BTreeMap::<&str, usize>::new();
    let mut pairs = 0;
    for call in &scene.calls {
        for error in call.errors() {
            let inject = format!("inject={}:error={error}:when={}", call.name, call.number);
            *outcomes.entry(scene.disturb(act, &inject)).or_default() += 1;
            pairs += 1;
        }
    }
    println!("| ==== {} ({:?}): {pairs} failures", act.name, act.agent);
    report(&scene.calls, &outcomes);
    assert!(
        outcomes.contains_key("old"),
        "no failure mattered: {outcomes:?}"
    );
}

fn report(calls: &[Call], outcomes: &BTreeMap<&str, usize>) {
    let mut numbers = BTreeMap::<&str, Vec<String>>::new();
    for call in calls {
        numbers
            .entry(&call.name)
            .or_default()
            .push(call.number.to_string());
    }
    for (name, numbers) in numbers {
        println!("|   {name}: {}", numbers.join(" "));
    }
    println!("| what stood afterwards: {outcomes:?}");
}

/// A system call of the recorded run: its name and which one of that name it is, from 1.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) number: usize,
}

impl Call {
    fn is_fsync(&self) -> bool {
        self.name.ends_with("sync")
    }

    fn is_rename(&self) -> bool {
        self.name.starts_with("rename")
    }

    /// The errors that the kernel gives for such a call when a disk or its space ends, or a
    /// signal comes.
    fn errors(&self) -> &'static [&'static str] {
        match self.name.as_str() {
            "write" | "pwrite64" => &["EIO", "ENOSPC", "EINTR"],
            "openat" | "creat" => &["EIO", "ENOSPC", "EINTR"],
            "read" | "pread64" => &["EIO", "EINTR"],
            "fsync" | "fdatasync" => &["EIO", "ENOSPC"],
            "rename" | "renameat" | "renameat2" | "mkdir" | "mkdirat" | "link" | "linkat"
            | "symlink" => &["EIO", "ENOSPC"],
            "unlink" | "unlinkat" | "rmdir" | "ftruncate" | "chmod" | "fchmod" | "fchmodat"
            | "fchown" | "fchownat" | "utimensat" | "statx" | "newfstatat" | "fstat" | "lstat"
            | "stat" | "getdents64" | "readlink" | "readlinkat" | "flistxattr" | "fgetxattr"
            | "fsetxattr" | "lseek" => &["EIO"],
            "vfork" | "clone" | "clone3" | "pipe2" => &["EAGAIN"],
            _ => &[],
        }
    }
}

/// A machine at the point before a change, with what is old and what is new.
struct Scene {
    machine: Machine,
    kept: PathBuf,
    calls: Vec<Call>,
    old: Shown,
    new: Shown,
    /// The names that must be found whatever happens.
    names: BTreeSet<String>,
}

/// What a reader can see of the state and the aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    parity: String,
    aliases: Vec<u8>,
    map: BTreeMap<String, String>,
}

impl Scene {
    fn new(act: &Act) -> Scene {
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

    /// Makes the change with one disturbance, looks at what stands, makes it again and looks
    /// once more. Returns "old", "new", or "between" where aliases are new and parity is old,
    /// or the other way round.
    fn disturb(&self, act: &Act, inject: &str) -> &'static str {
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
        assert!(
            after.aliases == self.old.aliases || after.aliases == self.new.aliases,
            "{what}: the alias file is neither old nor new:\n{}",
            String::from_utf8_lossy(&after.aliases)
        );
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
                after.aliases, self.old.aliases,
                "{what}: refused, and yet aliases are new"
            );
        }
        let again = self.machine.command(act.command).output().unwrap();
        assert!(
            again.status.success(),
            "{what}: the same command again: {again:?}"
        );
        let finished = shown(&self.machine);
        let text = |shown: &Shown| String::from_utf8_lossy(&shown.aliases).into_owned();
        let what = format!("{what}: after the same command again: {again:?}");
        assert_eq!(finished.parity, self.new.parity, "{what}");
        assert_eq!(text(&finished), text(&self.new), "{what}");
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

/// The calls after the one that took the writer's lock.
pub(crate) fn calls_after_the_lock(trace: &str) -> Vec<Call> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut calls = None;
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        if !name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            continue;
        }
        let number = counts.entry(name.to_owned()).or_default();
        *number += 1;
        if let Some(calls) = &mut calls {
            let calls: &mut Vec<Call> = calls;
            calls.push(Call {
                name: name.to_owned(),
                number: *number,
            });
        } else if name == "flock" && line.contains("LOCK_EX") {
            calls = Some(Vec::new());
        }
    }
    let calls = calls.expect("the writer's lock was never taken");
    assert!(calls.len() > 20, "too few calls: {calls:?}");
    calls
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
        aliases: fs::read(machine.path("/etc/aliases")).unwrap(),
        map,
    }
}

/// What the MTA's database says: all of it, or a sample of names as the MTA itself finds them.
fn map(machine: &Machine) -> BTreeMap<String, String> {
    if machine.agent.name() != "postfix" {
        let asked = |name: &&str| ((*name).to_owned(), format!("{:?}", machine.look_up(name)));
        return SAMPLE.iter().map(asked).collect();
    }
    let found = machine.command("postconf -h alias_maps").output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let dump = machine
        .command("postalias -s")
        .arg(found.trim())
        .output()
        .unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let dump = String::from_utf8(dump.stdout).unwrap();
    dump.lines()
        .filter_map(|line| line.split_once(':'))
        // When and where the map was made.
        .filter(|(name, _)| !name.starts_with("YP_"))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
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
    let names = ["aliases", "aliases.db", "aliases.lmdb", "aliases.cdb"];
    let mut found = Vec::new();
    for place in PLACES {
        for name in names {
            let path = format!("{place}/{name}");
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

#[test]
fn crash_an_adopt_under_sendmail_with_a_failing_call_is_old_or_new() {
    failing(&adopt_under(&Sendmail));
}

#[test]
fn crash_an_adopt_under_opensmtpd_with_a_failing_call_is_old_or_new() {
    failing(&adopt_under(&OpenSmtpd { table: "file" }));
    failing(&adopt_under(&OpenSmtpd { table: "db" }));
}

/// What must be on disk before what: the calls of an upgrade that also turns aliases, in
/// this order, with others between them. `writer` holds the line that the history gets.
const IN_ORDER: [&[&str]; 14] = [
    &["fsync(", "/adopted.jsonl>"],
    &["fsync(", "/etc/.aliases.", ".aliases-new>"],
    &["fsync(", "/etc/.aliases.db."],
    &["renameat2(", "\"aliases\"", "RENAME_EXCHANGE"],
    &["renameat2(", "\"aliases.db\"", "RENAME_EXCHANGE"],
    // One for the text, one for the map.
    &["fsync(", "</etc>"],
    &["fsync(", "</etc>"],
    &["fsync(", "/mm-deliver/writer>"],
    &["fsync(", "/tmpfile.tmp>"],
    &["rename", "\"parity.toml\""],
    &["fsync(", "/var/lib/mm-deliver>"],
    &["fsync(", "/history.jsonl>"],
    &["fsync(", "/mm-deliver/writer>"],
    &["exit_group(0)"],
];

#[test]
fn crash_what_is_to_stand_is_on_disk_before_it_stands() {
    let machine = Machine::new(&LISTS);
    machine.expect("mm-parity init --current a");
    let line =
        format!("strace -y -e trace=%desc,%file,exit_group -o {TRACE} mm-parity upgrade toylist");
    assert!(machine.command(&line).status().unwrap().success());
    let trace = fs::read_to_string(machine.path(TRACE)).unwrap();
    let calls: Vec<&str> = trace
        .lines()
        .filter(|call| !call.contains("= -1"))
        .collect();
    for call in calls
        .iter()
        .filter(|call| call.contains("sync(") || call.starts_with("rename"))
    {
        println!("| {call}");
    }
    let mut rest = calls.iter();
    for wanted in IN_ORDER {
        let found = rest.any(|call| wanted.iter().all(|word| call.contains(word)));
        assert!(
            found,
            "after what came before it there is no {wanted:?}\n{trace}"
        );
    }
}
