//! A writer is killed at every system call of a change, and every call is made to fail:
//! afterwards each file is the old or the new one, mail is delivered or deferred, no name is
//! missing, and the same command again finishes the job.
//!
//! A clean run is recorded first. Counted are the calls of our program alone, from its
//! writer lock on; the MTA's tools that it starts run on undisturbed, as they would after a
//! `kill -9`.

mod acts;
mod scene;
mod whole;

use std::collections::BTreeMap;
use std::fs;

use self::scene::Scene;
use crate::calls::Call;
use crate::rig::{Agent, Exim, Machine, OpenSmtpd, Postfix, Sendmail};

const LISTS: [&str; 2] = ["reallist1", "toylist"];
const TRACE: &str = "/tmp/trace";

/// Of the calls that only look, one in so many: what stands when one of them is killed is what
/// the change before it has left. All of them with `MM_CRASH_ALL=1`.
const SAMPLED: usize = 7;

/// Whether a call is disturbed this time: `MM_CRASH_HALF`, 0 or 1, leaves every second one to another
/// run, but none that makes something durable or seen.
fn is_of_this_run(index: usize, call: &Call) -> bool {
    let half = std::env::var("MM_CRASH_HALF").ok();
    half.is_none_or(|half| call.is_fsync() || call.is_rename() || (index % 2).to_string() == half)
}

const HASH: &Postfix = &Postfix { kind: "hash" };

/// A change that is disturbed, and how the site comes to the point where it is made.
struct Act {
    name: &'static str,
    agent: &'static dyn Agent,
    /// Whether of the calls that change nothing only a part is made to fail.
    is_sampled: bool,
    before: &'static [&'static str],
    command: &'static str,
    prepare: fn(&Machine),
}

const ACTS: [Act; 7] = [
    Act {
        name: "upgrade",
        agent: HASH,
        is_sampled: false,
        before: &["mm-parity init --current a", "mm-aliases adopt"],
        command: "mm-parity upgrade toylist",
        prepare: |_| {},
    },
    Act {
        name: "upgrade of a list that is not adopted",
        agent: HASH,
        // What it does besides an upgrade, adopt does.
        is_sampled: true,
        before: &["mm-parity init --current a"],
        command: "mm-parity upgrade toylist",
        prepare: |_| {},
    },
    Act {
        name: "commit",
        agent: HASH,
        // What it looks at, an upgrade and adopt look at too.
        is_sampled: true,
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
        is_sampled: false,
        before: &["mm-parity init --current a"],
        command: "mm-aliases adopt",
        prepare: |_| {},
    },
    Act {
        name: "sync",
        agent: HASH,
        // What it looks at, an upgrade and adopt look at too.
        is_sampled: true,
        before: &["mm-parity init --current a", "mm-aliases adopt"],
        command: "mm-aliases sync",
        prepare: a_new_list,
    },
    Act {
        name: "unadopt",
        agent: HASH,
        is_sampled: true,
        before: &["mm-parity init --current a", "mm-aliases adopt"],
        command: "mm-aliases unadopt",
        prepare: |_| {},
    },
    Act {
        name: "virtual",
        agent: HASH,
        is_sampled: true,
        before: &[
            "mm-parity init --current a",
            "mm-aliases adopt",
            "postconf virtual_alias_maps=hash:/etc/virtual-lists,lmdb:/etc/virtual-lists",
            "mm-aliases virtual --output /etc/virtual-lists",
            "cp -a /srv/mailman/var/lists/toylist /srv/mailman/var/lists/newlist",
            "mm-aliases sync",
        ],
        command: "mm-aliases virtual --output /etc/virtual-lists",
        prepare: a_domain,
    },
];

/// An adopt under another MTA or map.
fn adopt_under(agent: &'static dyn Agent) -> Act {
    Act {
        name: "adopt",
        agent,
        is_sampled: true,
        before: &["mm-parity init --current a"],
        command: "mm-aliases adopt",
        prepare: |_| {},
    }
}

/// Gives tree b a list manager without the address `-admin`, so that a commit removes it.
pub(crate) fn smaller_future(machine: &Machine) {
    let profile = machine.path("/etc/mm-deliver/profiles/smaller.toml");
    let text = include_str!("../../../src/profiles/mailman2.toml");
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

fn a_domain(machine: &Machine) {
    let site = machine.path("/etc/mm-deliver/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    let domain = "[trees.b]\ndomain = \"lists.far.example\"\n";
    fs::write(&site, text.replace("[trees.b]\n", domain)).unwrap();
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
fn crash_a_killed_virtual_is_old_or_new() {
    killed(&ACTS[6]);
}

#[test]
fn crash_a_virtual_with_a_failing_call_is_old_or_new() {
    failing(&ACTS[6]);
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
}

#[test]
fn crash_an_adopting_upgrade_with_a_failing_call_is_old_or_new() {
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
    let mut scene = Scene::new(act);
    scene.sample();
    println!(
        "| ==== {} ({:?}): killed at each of {} calls",
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
    let mut scene = Scene::new(act);
    match act.is_sampled {
        true => scene.sample(),
        false => scene.halve(),
    }
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
