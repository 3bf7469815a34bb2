//! mm-parity run and cron: which tree's program runs for a list, as whom, and who waits for whom.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Child, Stdio};

use mm_deliver::doors::{Floor, Range};

use crate::closing::begin;
use crate::doors::{close, door, floor, mover, set_wait, until};
use crate::stage::{Done, LISTS, Stage, spawn};

/// Whom nothing else in a stage belongs to.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// As whom programs run in a stage.
fn servant() -> u32 {
    match fs::metadata("/proc/self").unwrap().uid() {
        0 => NOBODY,
        own => own,
    }
}

/// Gives a list's data to somebody, where we may.
fn give(stage: &Stage, list: &str, uid: u32) {
    if is_root() {
        chown(stage.path(&format!("var/lists/{list}")), Some(uid), None).unwrap();
    }
}

/// A stage whose trees have programs, and whose lists belong to the list manager's user.
fn stage() -> Stage {
    let stage = Stage::bare();
    for tree in ["a", "b"] {
        for program in [
            "bin/list_members",
            "bin/remove_members",
            "bin/list_lists",
            "bin/version",
            "bin/withlist",
            "cron/senddigests",
            "cron/checkdbs",
            "cron/cull_bad_shunt",
        ] {
            put_program(&stage, tree, program);
        }
    }
    for list in LISTS {
        give(&stage, list, NOBODY);
    }
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage
}

/// A program that says which one it is and what it was given, and then does what stands in `act`.
fn put_program(stage: &Stage, tree: &str, program: &str) {
    let dir = stage.dir.display();
    stage.make_dir(&format!("{tree}/{}", program.split_once('/').unwrap().0));
    let script =
        format!("#!/bin/sh\necho {tree} {program} \"$@\"\n[ ! -e '{dir}/act' ] || . '{dir}/act'\n");
    stage.write(&format!("{tree}/{program}"), script, 0o755);
}

fn act(stage: &Stage, text: &str) {
    stage.write("act", format!("{text}\n"), 0o644);
}

fn own_profile(stage: &Stage, tree: &str, more: &str) {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/src/profiles/mailman2.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let (kept, _) = text.split_once("[cron.bumpdigests]").unwrap();
    stage.make_dir("profiles");
    stage.write("profiles/own.toml", format!("{kept}{more}"), 0o644);
    let site = stage.read("site.toml");
    let (before, after) = site.split_once(&format!("[trees.{tree}]")).unwrap();
    let after = after.replacen("\"mailman2\"", "\"own\"", 1);
    stage.write("site.toml", format!("{before}[trees.{tree}]{after}"), 0o644);
}

fn add_to_site(stage: &Stage, text: &str) {
    let site = stage.read("site.toml") + text;
    stage.write("site.toml", site, 0o644);
}

#[track_caller]
fn says(done: Done, stdout: &str) {
    assert_eq!(done.expect(0).stdout, stdout);
}

#[test]
fn a_program_runs_in_the_tree_that_its_list_is_on() {
    let stage = stage();
    let run = ["run", "toylist", "list_members", "--regular"];
    says(stage.parity(&run), "a bin/list_members --regular toylist\n");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    says(stage.parity(&run), "b bin/list_members --regular toylist\n");
    says(
        stage.parity(&[
            "run",
            "reallist1",
            "remove_members",
            "-nf",
            "-",
            "u@x",
            "-f",
        ]),
        "a bin/remove_members -nf - reallist1 u@x -f\n",
    );
    // Its own --help, not ours.
    says(
        stage.parity(&["run", "ToyList", "list_members", "--help"]),
        "b bin/list_members --help toylist\n",
    );
    says(
        stage.parity(&["run", "toylist", "version"]),
        "b bin/version\n",
    );
    assert_eq!(
        stage.parity(&["history"]).expect(0).stdout.lines().count(),
        2
    );
}

#[test]
fn input_output_and_status_are_the_programs() {
    let stage = stage();
    act(&stage, "cat; echo problem >&2; exit 7");
    let command = stage.command("mm-parity", &["run", "toylist", "withlist"]);
    let done = stage.run(command, b"from the terminal\n");
    assert_eq!(done.status, Some(7), "{done:?}");
    assert_eq!(done.stdout, "a bin/withlist toylist\nfrom the terminal\n");
    assert_eq!(done.stderr, "problem\n");
    act(&stage, "kill -TERM $$");
    stage.parity(&["run", "toylist", "withlist"]).expect(143);
}

#[test]
fn a_program_runs_as_who_owns_the_lists_data_and_with_nothing_of_our_environment() {
    let stage = stage();
    add_to_site(&stage, "[jobs.environment.a]\nCONFIGURATION = \"of a\"\n");
    act(&stage, "id -u; id -G; env | sort");
    let mut command = stage.command("mm-parity", &["run", "toylist", "withlist"]);
    command
        .env("LD_BIND_NOW", "1")
        .env("PYTHONPATH", "/tmp")
        .env("HOME", "/root")
        .env("LC_ALL", "C");
    let done = stage.run(command, b"").expect(0);
    let mut lines = done.stdout.lines().skip(1);
    assert_eq!(
        lines.next(),
        Some(servant().to_string().as_str()),
        "{done:?}"
    );
    let groups = lines.next().unwrap();
    if is_root() {
        assert_eq!(groups, "65534", "root's groups are gone: {done:?}");
    }
    let names: Vec<&str> = lines
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let shells_own = ["PWD", "OLDPWD", "SHLVL", "_"];
    let names: Vec<&str> = names
        .into_iter()
        .filter(|name| !shells_own.contains(name))
        .collect();
    assert_eq!(
        names,
        [
            "CONFIGURATION",
            "HOME",
            "LC_ALL",
            "LOGNAME",
            "PATH",
            "SHELL",
            "USER"
        ],
        "{done:?}"
    );
    assert!(!done.stdout.contains("HOME=/root"), "{done:?}");
}

#[test]
fn nothing_of_a_list_manager_runs_as_root() {
    let stage = stage();
    add_to_site(&stage, "[jobs]\nuser = \"root\"\n");
    let run = ["run", "toylist", "list_members"];
    stage.parity(&run).expect(1).complains(&[
        "cannot run: [jobs] user is root",
        "hint: name the list manager's own user: [jobs] user in",
    ]);
    if !is_root() {
        return;
    }
    stage.write_site("");
    give(&stage, "toylist", 0);
    stage.parity(&run).expect(1).complains(&[
        "lists/toylist\" belongs to root, and nothing of a list manager's runs as root",
        "hint: name the list manager's own user: [jobs] user in",
    ]);
    act(&stage, "id -u");
    stage.write_site("owner = \"daemon\"");
    says(stage.parity(&run), "a bin/list_members toylist\n1\n");
    add_to_site(&stage, "[jobs]\nuser = \"bin\"\n");
    says(stage.parity(&run), "a bin/list_members toylist\n2\n");
}

#[test]
fn who_may_write_where_lists_are_does_not_choose_as_whom_programs_run() {
    let stage = stage();
    let run = ["run", "toylist", "list_members"];
    let lists = stage.path("var/lists");
    fs::set_permissions(&lists, fs::Permissions::from_mode(0o1777)).unwrap();
    stage.parity(&run).expect(1).complains(&[
        "cannot tell by",
        "everybody may write it",
        "[jobs] user",
    ]);
    fs::set_permissions(&lists, fs::Permissions::from_mode(0o755)).unwrap();
    stage.parity(&run).expect(0);
    if is_root() {
        // Somebody else than who owns the list can put another directory there.
        chown(&lists, Some(1), None).unwrap();
        stage
            .parity(&run)
            .expect(1)
            .complains(&["var/lists\": it belongs to user 1"]);
    }
}

#[test]
fn only_root_runs_programs_as_somebody_else() {
    if is_root() {
        return;
    }
    let stage = stage();
    add_to_site(&stage, "[jobs]\nuser = \"daemon\"\n");
    stage
        .parity(&["run", "toylist", "list_members"])
        .expect(1)
        .complains(&[
            "its programs run as user daemon, and only root can become that",
            "hint: type it as root",
        ]);
}

#[test]
fn what_is_not_named_is_not_run_and_what_is_near_is_told() {
    let stage = stage();
    let refused = |words: &[&str], what: &[&str]| {
        stage.parity(words).expect(1).complains(what);
    };
    refused(
        &["run", "toylist", "list_member"],
        &[
            "cannot run: \"list_member\" is no program that the profile \"mailman2\" of tree a names",
            "hint: near list_member: list_members",
            "hint: what it does to lists is not guessed",
        ],
    );
    refused(
        &["run", "toylsit", "list_members"],
        &[
            "cannot run: there is no list toylsit",
            "hint: near toylsit: toylist",
        ],
    );
    refused(
        &["run", "../x", "list_members"],
        &["cannot run: not a list name"],
    );
    refused(
        &["run", "toylist", "list_members", "reallist1"],
        &["it takes options only, and no \"reallist1\""],
    );
    refused(
        &["run", "toylist", "withlist", "--all"],
        &["by --all it loads other lists than this one"],
    );
    refused(
        &["cron", "senddigest"],
        &[
            "no tree of this site has a job \"senddigest\"",
            "near senddigest: senddigests",
        ],
    );
    refused(
        &["cron", "senddigests", "toylsit"],
        &["there is no list toylsit"],
    );
    refused(
        &["cron", "checkdbs", "toylist"],
        &["\"checkdbs\" takes no list"],
    );
    // Somebody could have put it there.
    let program = stage.path("a/bin/list_members");
    fs::set_permissions(program, fs::Permissions::from_mode(0o777)).unwrap();
    refused(
        &["run", "toylist", "list_members"],
        &["cannot run: cannot run", "everybody may write it"],
    );
}

#[test]
fn what_loads_every_list_runs_in_the_new_tree_only_when_all_are_there() {
    let stage = stage();
    add_to_site(&stage, &jobs_user());
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["run", "toylist", "list_lists"]).expect(1).complains(&[
        "list_lists loads every list, and tree b 2.1.40 would convert those that are not there: \
         reallist1, reallist2",
        "hint: list_lists belongs to tree a until all lists are on tree b: name a list that is \
         there, such as reallist1",
    ]);
    says(
        stage.parity(&["run", "reallist1", "list_lists", "-b"]),
        "a bin/list_lists -b\n",
    );
    says(stage.parity(&["cron", "checkdbs"]), "a cron/checkdbs\n");
    stage.parity(&["upgrade", "--all"]).expect(0);
    says(
        stage.parity(&["run", "toylist", "list_lists"]),
        "b bin/list_lists\n",
    );
    says(stage.parity(&["cron", "checkdbs"]), "b cron/checkdbs\n");
    stage.parity(&["commit"]).expect(0);
    says(stage.parity(&["cron", "checkdbs"]), "b cron/checkdbs\n");
    // The old tree has something to tidy up still.
    says(
        stage.parity(&["cron", "cull_bad_shunt"]),
        "b cron/cull_bad_shunt\na cron/cull_bad_shunt\n",
    );
}

/// For programs of no list: the directory of lists is root's where root runs the tests.
fn jobs_user() -> String {
    format!("[jobs]\nuser = \"{}\"\n", servant())
}

#[test]
fn a_job_runs_for_each_list_in_its_own_tree() {
    let stage = stage();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let all = "a cron/senddigests -l reallist1\na cron/senddigests -l reallist2\n\
               b cron/senddigests -l toylist\n";
    says(stage.parity(&["cron", "senddigests"]), all);
    says(
        stage.parity(&["cron", "senddigests", "toy*", "reallist2"]),
        "a cron/senddigests -l reallist2\nb cron/senddigests -l toylist\n",
    );
    let mut expected = String::new();
    for (tree, list) in [("a", "reallist1"), ("a", "reallist2"), ("b", "toylist")] {
        expected += &format!(
            "would run in tree {tree} as user {}: \"{}\" \"-l\" \"{list}\"\n",
            mm_deliver::accounts::Account::Number(servant())
                .user()
                .unwrap()
                .name,
            stage.path(&format!("{tree}/cron/senddigests")).display(),
        );
    }
    says(
        stage.parity(&["cron", "--dry-run", "senddigests"]),
        &expected,
    );
}

#[test]
fn one_list_that_fails_keeps_none_of_the_others_and_the_first_status_is_told() {
    let stage = stage();
    act(
        &stage,
        "case $2 in reallist1) exit 4;; reallist2) exit 5;; esac",
    );
    let done = stage.parity(&["cron", "senddigests"]).expect(4);
    assert_eq!(done.stdout.lines().count(), 3, "{done:?}");
    // An alias may name a list whose data are gone.
    fs::remove_dir_all(stage.path("var/lists/reallist1")).unwrap();
    let done = stage.parity(&["cron", "senddigests"]).expect(5);
    assert_eq!(done.stdout.lines().count(), 2, "{done:?}");
    // Which lists there are must be known: none is not "none".
    fs::rename(stage.path("var/lists"), stage.path("var/away")).unwrap();
    stage
        .parity(&["cron", "senddigests"])
        .expect(1)
        .complains(&["cannot run the job: cannot say which lists there are"]);
}

#[test]
fn a_list_whose_tree_has_no_such_job_is_passed_over() {
    let stage = stage();
    let own =
        "[cron.digests]\nargv = [\"{tree}/cron/senddigests\", \"{list}\"]\nloads = \"list\"\n";
    own_profile(&stage, "b", own);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    says(
        stage.parity(&["cron", "senddigests"]),
        "a cron/senddigests -l reallist1\na cron/senddigests -l reallist2\n",
    );
    says(
        stage.parity(&["cron", "digests"]),
        "b cron/senddigests toylist\n",
    );
}

#[test]
fn a_closed_door_is_waited_for_and_then_told() {
    let stage = stage();
    set_wait(&stage, "10ms");
    let lock = mover(&stage);
    close(&lock, door("reallist1"));
    let moved = "the list is being moved, for more than 10ms by now";
    stage
        .parity(&["run", "reallist1", "list_members"])
        .expect(75)
        .complains(&[&format!("cannot run: {moved}")]);
    let done = stage.parity(&["cron", "senddigests"]);
    assert_eq!(done.status, Some(75), "{done:?}");
    assert_eq!(
        done.stdout,
        "a cron/senddigests -l reallist2\na cron/senddigests -l toylist\n"
    );
    assert_eq!(
        done.stderr,
        format!("mm-parity: reallist1 is passed over by senddigests: {moved}\n")
    );
    // What loads them all waits for each.
    add_to_site(&stage, &jobs_user());
    stage
        .parity(&["cron", "checkdbs"])
        .expect(75)
        .complains(&[moved]);
    stage.parity(&["run", "toylist", "list_lists"]).expect(75);
    stage.parity(&["run", "toylist", "list_members"]).expect(0);
    lock.release(door("reallist1")).unwrap();
    stage.parity(&["cron", "checkdbs"]).expect(0);
}

/// A program that runs until a line comes.
fn waiting(stage: &Stage, words: &[&str]) -> Child {
    act(
        stage,
        "echo ready > \"$(dirname \"$0\")/../../ran/ready\"; read line",
    );
    let mut command = stage.command("mm-parity", words);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let child = spawn(&mut command);
    until("a program", || stage.path("ran/ready").exists());
    child
}

fn end(mut child: Child) {
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_move_waits_for_a_program_of_its_list_and_for_no_other() {
    let stage = stage();
    let running = waiting(&stage, &["run", "toylist", "withlist"]);
    let lock = mover(&stage);
    assert!(lock.is_held(floor("toylist")).unwrap());
    assert!(!lock.is_held(door("toylist")).unwrap());
    stage
        .parity(&["upgrade", "reallist1", "--closed", "0s"])
        .expect(0);
    stage
        .parity(&["upgrade", "toylist", "--closed", "100ms"])
        .expect(1)
        .complains(&["a/bin/withlist toylist"]);
    // It holds it alone: ours would be there as well, and be named.
    let told = stage.parity(&["drain", "toylist"]).expect(0).stdout;
    assert!(!told.contains("mm-parity"), "{told}");
    end(running);
    stage
        .parity(&["upgrade", "toylist", "--closed", "0s"])
        .expect(0);
}

#[test]
fn every_move_waits_for_what_loads_every_list() {
    let stage = stage();
    add_to_site(&stage, &jobs_user());
    let running = waiting(&stage, &["run", "toylist", "list_lists"]);
    let lock = mover(&stage);
    for list in LISTS {
        assert!(lock.is_held(floor(list)).unwrap());
    }
    assert!(!lock.is_held(Range::all_doors()).unwrap());
    stage
        .parity(&["upgrade", "reallist1", "--closed", "100ms"])
        .expect(1)
        .complains(&["a/bin/list_lists"]);
    end(running);
    assert!(!lock.is_held(Range::whole(Floor::Mail)).unwrap());
    let running = {
        fs::remove_file(stage.path("ran/ready")).unwrap();
        waiting(&stage, &["run", "toylist", "version"])
    };
    assert!(!lock.is_held(Range::whole(Floor::Mail)).unwrap());
    end(running);
}

#[test]
fn a_list_that_moves_while_a_job_goes_round_is_served_by_its_new_tree() {
    let stage = stage();
    // The first list's program waits until the last one has moved.
    let dir = stage.dir.display();
    act(
        &stage,
        &format!(
            "if [ $2 = reallist1 ]; then echo > '{dir}/ran/ready'; \
             while [ -d '{dir}/ran' ] && [ ! -e '{dir}/go' ]; do sleep 0.02; done; fi"
        ),
    );
    let round = begin(&stage, &["cron", "senddigests"]);
    until("the first program", || stage.path("ran/ready").exists());
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.write("go", "", 0o644);
    let output = round.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.ends_with("b cron/senddigests -l toylist\n"),
        "{stdout}"
    );
}

#[test]
fn a_signal_reaches_the_program_and_ends_a_round() {
    let stage = stage();
    let dir = stage.dir.display();
    act(
        &stage,
        &format!(
            "trap 'echo told; exit 9' TERM; echo > '{dir}/ran/ready'; \
             while [ -d '{dir}/ran' ]; do sleep 0.02; done"
        ),
    );
    for words in [
        &["run", "toylist", "withlist"][..],
        &["cron", "senddigests"],
    ] {
        let _ = fs::remove_file(stage.path("ran/ready"));
        let running = begin(&stage, words);
        until("a program", || stage.path("ran/ready").exists());
        let pid = running.id().to_string();
        let mut kill = std::process::Command::new("/bin/kill");
        assert!(spawn(kill.args(["-TERM", &pid])).wait().unwrap().success());
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            stdout.lines().count(),
            2,
            "one program, which was told: {stdout}"
        );
        assert!(stdout.ends_with("told\n"), "{stdout}");
    }
}
