//! init --from and its undo, killed at each call that changes something: at every moment the list
//! manager finds its files, and afterwards the same command, or the undo, ends what was begun; the
//! installation is then what it was, byte for byte.
//!
//! Needs strace, and no MTA.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::calls::Call;
use crate::installation::{self, LISTS, differences, listing};
use crate::stage::{Done, Stage};

/// One in so many of the calls is disturbed; each with `MM_CRASH_ALL=1`.
const SAMPLED: usize = 8;
/// What changes a disk besides what `calls` knows of.
const MORE: [&str; 10] = [
    "mkdir",
    "mkdirat",
    "symlinkat",
    "fchmod",
    "fchown",
    "chmod",
    "fchownat",
    "utimensat",
    "rmdir",
    "lchown",
];

fn host() -> Stage {
    let stage = Stage::empty();
    installation::make(&stage.path("mailman"));
    let aliases: String = LISTS
        .iter()
        .map(|list| stage.direct_block("mailman", list))
        .collect();
    stage.write("aliases", aliases, 0o644);
    stage
}

fn init(stage: &Stage) -> Vec<String> {
    let path = |name: &str| stage.path(name).display().to_string();
    let mut words: Vec<String> = vec!["init".to_owned(), "--from".to_owned(), path("mailman")];
    for (option, value) in [
        ("--state", path("state")),
        ("--aliases", path("aliases")),
        ("--program", path("bin/mm-deliver")),
        ("--user", stage.user()),
        ("--mta", "none".to_owned()),
    ] {
        words.extend([option.to_owned(), value]);
    }
    words
}

fn undo() -> Vec<String> {
    vec!["init".to_owned(), "--undo".to_owned()]
}

fn run(stage: &Stage, words: &[String]) -> Done {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    stage.parity(&words)
}

/// Runs a command under strace with these words of its own.
fn traced(stage: &Stage, words: &[String], strace: &[&str]) -> Done {
    let ours: Vec<&str> = words.iter().map(String::as_str).collect();
    let plain = stage.command("mm-parity", &ours);
    let mut command = Command::new("strace");
    command.arg("-o").arg(stage.path("trace")).args(strace);
    command.arg(plain.get_program()).args(plain.get_args());
    command.current_dir(&stage.dir);
    stage.run(command, b"")
}

/// The calls of a run that change something, by name and number.
fn calls(stage: &Stage) -> Vec<Call> {
    let mut counts = BTreeMap::<String, usize>::new();
    let mut calls = Vec::new();
    for line in stage.read("trace").lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        let number = counts.entry(name.to_owned()).or_default();
        *number += 1;
        let call = Call {
            name: name.to_owned(),
            number: *number,
        };
        if call.changes() || MORE.contains(&name) {
            calls.push(call);
        }
    }
    fs::remove_file(stage.path("trace")).unwrap();
    assert!(calls.len() > 60, "{}", calls.len());
    calls
}

fn sampled(calls: Vec<Call>) -> Vec<Call> {
    let all = std::env::var_os("MM_CRASH_ALL").is_some();
    let numbered = calls.into_iter().enumerate();
    let kept = numbered.filter(|(number, call)| {
        // The exchanges are what it is about.
        all || call.is_rename() || number % SAMPLED == 0
    });
    kept.map(|(_, call)| call).collect()
}

/// The list manager finds everything by the paths that it always used.
#[track_caller]
fn works(prefix: &Path, what: &str) {
    for list in LISTS {
        for file in [
            format!("lists/{list}/config.pck"),
            format!("archives/public/{list}/index.html"),
            "data/adm.pw".to_owned(),
            "locks/toylist.lock".to_owned(),
            "templates/site/en/listinfo.html".to_owned(),
        ] {
            assert!(prefix.join(&file).is_file(), "{what}: {file} is not found");
        }
    }
}

#[track_caller]
fn is_as_before(stage: &Stage, before: &Listing, what: &str) {
    let different = differences(before, &listing(&stage.path("mailman")));
    assert!(different.is_empty(), "{what}: {different:#?}");
    for name in [
        "mailman-data",
        "mailman-b",
        "state",
        "site.toml",
        "site.init.jsonl",
    ] {
        assert!(!stage.path(name).exists(), "{what}: {name} is left");
    }
}

type Listing = BTreeMap<std::path::PathBuf, String>;

#[test]
fn crash_a_killed_init_from_an_installation_is_finished_or_taken_back() {
    let stage = host();
    let prefix = stage.path("mailman");
    let before = listing(&prefix);
    traced(&stage, &init(&stage), &[]).expect(0);
    let calls = sampled(calls(&stage));
    run(&stage, &undo()).expect(0);
    is_as_before(&stage, &before, "a clean run");
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for (number, call) in calls.iter().enumerate() {
        let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
        let killed = traced(&stage, &init(&stage), &["-e", &inject]);
        let what = format!("killed at {call:?}: {killed:?}");
        works(&prefix, &what);
        let outcome = match number % 2 {
            0 => {
                let again = run(&stage, &init(&stage));
                let was_done = again.stderr.contains("was taken to two trees already");
                assert!(again.status == Some(0) || was_done, "{what}\n{again:?}");
                works(&prefix, &what);
                assert!(fs::read_link(prefix.join("lists")).is_ok(), "{what}");
                assert!(stage.path("state/parity.toml").exists(), "{what}");
                run(&stage, &undo()).expect(0);
                "finished, then taken back"
            }
            _ => {
                let back = run(&stage, &undo());
                let was_none = back.stderr.contains("site.init.jsonl\" is not there");
                assert!(back.status == Some(0) || was_none, "{what}\n{back:?}");
                "taken back"
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
        let _ = fs::remove_file(stage.path("trace"));
        is_as_before(&stage, &before, &what);
    }
    println!(
        "| ==== init --from: killed at {} calls: {outcomes:?}",
        calls.len()
    );
}

#[test]
fn crash_a_killed_undo_of_an_init_is_ended_by_the_next() {
    let stage = host();
    let prefix = stage.path("mailman");
    let before = listing(&prefix);
    run(&stage, &init(&stage)).expect(0);
    traced(&stage, &undo(), &[]).expect(0);
    let calls = sampled(calls(&stage));
    for call in &calls {
        run(&stage, &init(&stage)).expect(0);
        let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
        let killed = traced(&stage, &undo(), &["-e", &inject]);
        let what = format!("killed at {call:?}: {killed:?}");
        works(&prefix, &what);
        let back = run(&stage, &undo());
        let was_done = back.stderr.contains("site.init.jsonl\" is not there");
        assert!(back.status == Some(0) || was_done, "{what}\n{back:?}");
        let _ = fs::remove_file(stage.path("trace"));
        is_as_before(&stage, &before, &what);
    }
    println!("| ==== init --undo: killed at {} calls", calls.len());
}

#[test]
fn crash_an_init_with_a_failing_call_takes_all_back() {
    let stage = host();
    let before = listing(&stage.path("mailman"));
    traced(&stage, &init(&stage), &[]).expect(0);
    let mut calls = calls(&stage);
    run(&stage, &undo()).expect(0);
    calls.retain(|call| {
        ["mkdirat", "symlinkat", "renameat2", "fsync"].contains(&call.name.as_str())
    });
    let mut refused = 0;
    for call in sampled(calls) {
        let inject = format!("inject={}:error=EIO:when={}", call.name, call.number);
        let failed = traced(&stage, &init(&stage), &["-e", &inject]);
        let what = format!("{call:?} fails: {failed:?}");
        works(&stage.path("mailman"), &what);
        match failed.status {
            Some(0) => {
                run(&stage, &undo()).expect(0);
            }
            status => {
                assert_eq!(status, Some(1), "{what}");
                refused += 1;
                // Where even the journal's line could not be synced the undo is typed.
                let _ = run(&stage, &undo());
            }
        }
        let _ = fs::remove_file(stage.path("trace"));
        is_as_before(&stage, &before, &what);
    }
    assert!(refused > 10, "{refused}");
    println!("| ==== init --from with a failing call: refused and taken back {refused} times");
}

/// What `init --from` says of an installation that is mounted, and of archives that are, can be done,
/// and then it goes.
#[test]
fn install_of_a_layout_on_file_systems_of_its_own_goes_by_its_hints() {
    let stage = host();
    let words = init(&stage).join(" ");
    let script = format!(
        "set -e; cd {dir}; parity=\"{program} --site {dir}/site.toml\"\n\
         refused() {{ ! $parity $1 --dry-run >said 2>&1; cat said; }}\n\
         done_and_undone() {{ $parity $1; $parity init --undo; }}\n\
         cp -a mailman kept; echo '== the archives are mounted'\n\
         mkdir old; mv mailman/archives old/; mkdir mailman/archives; mount -t tmpfs none mailman/archives\n\
         refused \"{words}\"; umount mailman/archives; rmdir mailman/archives\n\
         echo '== as the hint says'; mkdir -p mailman-data/archives; mount -t tmpfs none mailman-data/archives\n\
         cp -a old/archives/. mailman-data/archives; ln -s {dir}/mailman-data/archives mailman/archives\n\
         done_and_undone \"{words}\"; umount mailman-data/archives\n\
         rm -r mailman mailman-data; mv kept mailman; echo '== all of it is mounted'\n\
         mv mailman away; mkdir mailman; mount -t tmpfs none mailman; cp -a away/. mailman\n\
         refused \"{words}\"; umount mailman; rmdir mailman\n\
         echo '== as the hint says'; mkdir disk; mount -t tmpfs none disk; cp -a away disk/files\n\
         ln -s {dir}/disk/files mailman; done_and_undone \"{words}\"; umount disk; echo == end\n",
        dir = stage.dir.display(),
        program = stage.path("bin/mm-parity").display(),
    );
    let done = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    println!("| {}", said.replace('\n', "\n| "));
    assert!(done.status.success(), "{said}");
    let parts: Vec<&str> = said.split("== ").collect();
    assert_eq!(parts.len(), 6, "{said}");
    let hints = |part: &str| part.matches("hint: ").count();
    assert!(
        parts[1].contains("mount it at") && hints(parts[1]) == 1,
        "{said}"
    );
    assert!(
        parts[3].contains("mount that file system elsewhere") && hints(parts[3]) == 1,
        "{said}"
    );
    for part in [parts[2], parts[4]] {
        assert!(part.contains("is what it was before the init"), "{said}");
    }
}
