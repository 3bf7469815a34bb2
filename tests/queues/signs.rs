//! Whether a tree lives and handles what it takes: what status and check say, and who is refused.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{base, in_order, is_old, put};
use crate::stage::{Stage, spawn};

/// Programs of a tree that do nothing: they run, by their command lines, until this is dropped.
pub(super) struct Running(Vec<Child>);

impl Running {
    pub(super) fn start(stage: &Stage, tree: &str, runners: &[&str]) -> Running {
        let program = stage.path(tree).join("bin/qrunner");
        let start = |runner: &&str| {
            let mut command = Command::new("/bin/sh");
            // It waits for a line that never comes.
            command
                .args(["-c", "read line"])
                .stdin(Stdio::piped())
                .arg(&program);
            spawn(command.arg(format!("--runner={runner}:0:1")).arg("-s"))
        };
        Running(runners.iter().map(start).collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// All that a tree of Mailman 2.1 needs to run.
pub(super) const RUNNERS: [&str; 3] = ["IncomingRunner", "BounceRunner", "CommandRunner"];

/// A stage whose tree `tree` needs its programs to run.
pub(super) fn with_runners(tree: &str) -> Stage {
    let stage = in_order();
    let site = stage.read("site.toml");
    let (before, after) = site.split_once(&format!("[trees.{tree}]")).unwrap();
    let after = after.replacen("runners = \"none\"", "runners = \"profile\"", 1);
    stage.write("site.toml", format!("{before}[trees.{tree}]{after}"), 0o644);
    stage
}

#[test]
fn no_list_moves_to_a_tree_whose_runner_does_not_run() {
    let stage = with_runners("b");
    let before = stage.read("state/parity.toml");
    let _some = Running::start(&stage, "b", &RUNNERS[..2]);
    // A runner of the other tree is none of this one.
    let _others = Running::start(&stage, "a", &RUNNERS);
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "cannot upgrade: tree b is not running: no process",
        "b/bin/qrunner --runner=CommandRunner:",
        "hint: start the programs of tree b; if it needs none, `runners = \"none\"`",
    ]);
    assert_eq!(stage.read("state/parity.toml"), before);
    stage.parity(&["status"]).expect(0).says(&[
        "2.1.40  ready, guarded, not running",
        "trouble: tree b is not running: no process",
    ]);
    let json = stage.parity(&["status", "--format", "json"]).expect(0);
    json.says(&[
        "\"alive\": null",
        "\"alive\": false",
        "\"kind\": \"runners\"",
    ]);
    let check = stage.parity(&["check"]).expect(1);
    check.says(&[
        "WARNING: runners: tree b is not running",
        "none could move there",
    ]);
    let _last = Running::start(&stage, "b", &RUNNERS[2..]);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["ready, guarded, running"]);
    stage
        .parity(&["status", "--format", "json"])
        .expect(0)
        .says(&["\"alive\": true"]);
    stage.parity(&["check"]).expect(0);
}

#[test]
fn a_runner_that_ends_under_its_lists_is_critical_and_keeps_none_there() {
    let stage = with_runners("b");
    let running = Running::start(&stage, "b", &RUNNERS);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    drop(running);
    stage.parity(&["check"]).expect(2).says(&[
        "CRITICAL: runners: tree b is not running",
        "mail: the tree takes it (0), and it waits there",
        "downgrade --all",
    ]);
    stage.parity(&["upgrade", "reallist1"]).expect(1);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    // Taking that back is an upgrade.
    stage
        .parity(&["undo"])
        .expect(1)
        .complains(&["tree b is not running"]);
}

#[test]
fn the_current_trees_runners_hold_no_list_back() {
    let stage = with_runners("a");
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: runners: tree a is not running"]);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
}

#[test]
fn no_door_is_closed_for_a_tree_that_does_not_run_and_has_something_to_handle() {
    let stage = with_runners("a");
    put(&stage, "a", "in", 1, "toylist");
    for words in [
        ["upgrade", "toylist", "--closed", "10m"].as_slice(),
        &["upgrade", "--all", "--dry-run"],
    ] {
        let done = stage.parity(words).expect(1).complains(&[
            "cannot upgrade: tree a took 1 message and has not handled it",
            "tree a is not running: no process",
            "hint: start the programs of tree a; if it needs none, `runners = \"none\"`",
        ]);
        assert!(!done.stderr.contains("--closed"), "{}", done.stderr);
    }
    // Lists that it has nothing for may go.
    stage.parity(&["upgrade", "reallist1"]).expect(0);
    // It runs, and will be waited for.
    let _running = Running::start(&stage, "a", &RUNNERS);
    stage
        .parity(&["upgrade", "toylist", "--dry-run"])
        .expect(0)
        .says(&[
            "note: tree a took 1 message and has not handled it",
            "upgrade would wait for that",
        ]);
}

#[test]
fn no_list_moves_to_a_tree_that_took_a_message_and_shunted_it() {
    let stage = in_order();
    // From before any list was there: from a rehearsal, perhaps.
    is_old(&put(&stage, "b", "shunt", 1, "toylist"), 60);
    stage.parity(&["check"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["check"]).expect(0);
    let shunted = put(&stage, "b", "shunt", 2, "toylist");
    stage
        .parity(&["upgrade", "reallist1"])
        .expect(1)
        .complains(&[
            "cannot upgrade: tree b could not handle 1 message since 20",
            "qfiles/shunt",
            &base(2),
            "hint: see what the logs of tree b say",
        ]);
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["trouble: tree b could not handle 1 message"]);
    stage
        .parity(&["status", "--format", "json"])
        .expect(0)
        .says(&["\"kind\": \"shunted\""]);
    let check = stage.parity(&["check"]).expect(2);
    check.says(&[
        "CRITICAL: shunted: tree b could not handle",
        "nobody gets them",
    ]);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    // It is there still, and so is the fault, as far as anybody knows.
    stage.parity(&["upgrade", "toylist"]).expect(1);
    fs::remove_file(shunted).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

/// No list moves there, and both the refusal and `status` say why.
#[track_caller]
fn is_refused_and_told(stage: &Stage, words: &[&str]) {
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(words);
    stage.parity(&["status"]).expect(0).says(words);
}

#[test]
fn no_list_moves_to_a_tree_whose_queue_only_grows() {
    let stage = in_order();
    let stuck = put(&stage, "b", "in", 1, "toylist");
    is_old(&stuck, 29);
    stage.parity(&["check"]).expect(0);
    is_old(&stuck, 41);
    put(&stage, "b", "in", 2, "toylist");
    let words = [
        "tree b does not handle what it takes: 1 message in",
        "the oldest for 41 minutes",
    ];
    is_refused_and_told(&stage, &words);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: queue: tree b does not handle"]);
    fs::remove_file(stuck).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    // Of the tree that the lists are on it is critical.
    is_old(&put(&stage, "a", "commands", 3, "reallist1"), 200);
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: queue: tree a", "the oldest for 3 hours"]);
}

#[test]
fn a_commit_tells_of_trouble_and_is_made() {
    let stage = in_order();
    stage.parity(&["upgrade", "--all"]).expect(0);
    put(&stage, "b", "shunt", 1, "toylist");
    stage
        .parity(&["commit"])
        .expect(0)
        .says(&["note: tree b could not handle 1 message"]);
    stage.parity(&["commit", "--revert"]).expect(0);
    stage.parity(&["downgrade", "--all"]).expect(0);
}

#[test]
fn what_cannot_be_looked_at_is_unknown_and_moves_no_list_there() {
    let stage = in_order();
    fs::remove_dir(stage.path("b/qfiles")).unwrap();
    let words = [
        "tree b may hold messages that nobody handles: cannot read",
        "b/qfiles",
    ];
    is_refused_and_told(&stage, &words);
    stage.parity(&["upgrade", "toylist"]).complains(&[
        "make that directory, as the programs of tree b do when they start; or say where its \
         queues are: `queues` in [trees.b] of site.toml",
    ]);
    stage
        .parity(&["check"])
        .expect(3)
        .says(&["UNKNOWN: queue: tree b may hold messages"]);
}

#[test]
fn two_trees_on_one_queue_are_told() {
    let stage = in_order();
    let site = stage.read("site.toml").replace("b/qfiles", "a/qfiles");
    stage.write("site.toml", site, 0o644);
    stage.parity(&["check"]).expect(1).says(&[
        "WARNING: queue: trees a and b have the same queues",
        "by the tree whose runner comes first",
    ]);
    // Which of them handles a list's message would be left to chance.
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "cannot upgrade: trees a and b have the same queues",
        "hint: give tree b queues of its own",
    ]);
    stage.hand_parity(&["toylist"], &[]);
    stage
        .parity(&["check"])
        .expect(2)
        .says(&["CRITICAL: queue: trees a and b have the same queues"]);
    stage.parity(&["downgrade", "toylist"]).expect(0);
}

#[test]
fn a_hostile_name_reaches_no_terminal() {
    let stage = in_order();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.make_dir("b/qfiles/shunt");
    stage.write("b/qfiles/shunt/\u{1b}[2J\nOK", "", 0o644);
    for words in [vec!["status"], vec!["check"], vec!["upgrade", "reallist1"]] {
        let done = stage.parity(&words);
        let text = done.stdout.clone() + &done.stderr;
        assert!(text.contains(r"\u{1b}[2J\nOK"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

/// A stage whose tree b has this in the place of its signs of life.
fn with_life(life: &str) -> Stage {
    let stage = with_runners("b");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/profiles/mailman2.toml");
    let shipped = fs::read_to_string(shipped).unwrap();
    let at = shipped.find("[[life]]\n").unwrap();
    let rest = shipped[at..]
        .find("\n[[direct]]")
        .map_or("", |end| &shipped[at + end..]);
    stage.make_dir("profiles");
    let text = format!("{}[[life]]\n{life}\n{rest}", &shipped[..at]);
    stage.write("profiles/own.toml", text, 0o644);
    let site = stage.read("site.toml");
    let (before, after) = site.split_once("[trees.b]").unwrap();
    let after = after.replacen("\"mailman2\"", "\"own\"", 1);
    stage.write("site.toml", format!("{before}[trees.b]{after}"), 0o644);
    stage
}

#[test]
fn a_port_that_is_closed_is_a_tree_that_is_not_running() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stage = with_life(&format!("listens = \"{address}\""));
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["ready, guarded, running"]);
    drop(listener);
    let words = format!("tree b is not running: nobody answers at {address}");
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&[&words]);
}

#[test]
fn a_socket_that_nobody_listens_at_is_a_tree_that_is_not_running() {
    let stage = with_life("listens = \"/nowhere/lmtp.sock\"");
    let path = stage.path("b/lmtp.sock");
    let own = stage
        .read("profiles/own.toml")
        .replace("/nowhere/lmtp.sock", path.to_str().unwrap());
    stage.write("profiles/own.toml", own, 0o644);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["nobody answers at", "lmtp.sock"]);
    let _listener = UnixListener::bind(path).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
}

#[test]
fn a_pid_file_counts_by_the_command_of_its_process() {
    let stage = with_life("pid = \"{tree}/master.pid\"\ncommand = \"{tree}/bin/qrunner\"");
    let refused = |words: &str| {
        stage
            .parity(&["upgrade", "toylist"])
            .expect(1)
            .complains(&["tree b is not running", words]);
    };
    refused("b/master.pid\" is not there");
    for text in ["", "x\n", "0\n", "-1\n", "99999999999\n", "4194304\n"] {
        stage.write("b/master.pid", text, 0o644);
        refused("names no process");
    }
    // A process that has that number by chance.
    stage.write("b/master.pid", format!("{}\n", std::process::id()), 0o644);
    refused("names no process");
    let running = Running::start(&stage, "b", &RUNNERS[..1]);
    let pid = running.0[0].id();
    stage.write("b/master.pid", format!("{pid}\n"), 0o644);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    drop(running);
    refused("names no process");
    // It is the list manager's user's, who could lead us anywhere.
    fs::rename(stage.path("b/master.pid"), stage.path("b/elsewhere")).unwrap();
    symlink(stage.path("b/elsewhere"), stage.path("b/master.pid")).unwrap();
    stage
        .parity(&["status"])
        .expect(0)
        .says(&["running or not is unknown", "tree b may not be running"]);
    stage.parity(&["check"]).expect(3);
}
