//! What a tree took and has not handled: upgrade waits for it, and a tree that takes messages and
//! does not handle them is seen by status and check, and refused.
//!
//! Entries have the bytes that Python's pickle writes for them, with names as Mailman's own.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use mm_deliver::list::ListName;
use mm_deliver::profiles::Profile;
use mm_deliver::queues::{Inbound, Left, Queues};
use mm_deliver::site::Site;

use crate::stage::{Stage, spawn};
use signs::with_runners;

mod bulk;
mod retired;
mod signs;

/// Longer than any of these tests waits, unless it waits for the end of the time.
const LONG: Duration = Duration::from_secs(60);

/// An entry as the mail wrapper's program writes it: pickle's protocol 0 of the text, then of what
/// was noted.
fn taken(list: &str, text: &str) -> Vec<u8> {
    let text = text.escape_debug();
    format!(
        "S'{text}'\np1\n.(dp1\nS'listname'\np2\nS'{list}'\np3\nsS'_parsemsg'\np4\nI01\nsS'tolist'\np5\n\
         I1\nsS'received_time'\np6\nF1795454025.873009\nsS'version'\np7\nI3\ns."
    )
    .into_bytes()
}

/// The same as a runner puts it back: protocol 1, as Python 2 writes it.
fn put_back(list: &str, message: &[u8]) -> Vec<u8> {
    let length = u8::try_from(list.len()).unwrap();
    [
        b"U",
        &[u8::try_from(message.len()).unwrap()],
        message,
        b"q\x01.}q\x01(U\x08listnameq\x02U",
        &[length],
        list.as_bytes(),
        b"q\x03U\x09_parsemsgq\x04I00\nU\x06tolistq\x05K\x01u.",
    ]
    .concat()
}

/// The name of the `n`th entry, without its ending.
fn base(n: usize) -> String {
    format!("1795454025.87{n:04}+{n:040x}")
}

/// Puts the `n`th entry into a queue of a tree.
pub(crate) fn put(stage: &Stage, tree: &str, queue: &str, n: usize, list: &str) -> PathBuf {
    stage.make_dir(&format!("{tree}/qfiles/{queue}"));
    let name = format!("{tree}/qfiles/{queue}/{}.pck", base(n));
    stage.write(&name, taken(list, "From: a@b\n\nhi\n"), 0o660);
    stage.path(&name)
}

fn is_old(path: &Path, minutes: u64) {
    let then = SystemTime::now() - Duration::from_secs(minutes * 60);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(then)
        .unwrap();
}

fn names(lists: &[&str]) -> BTreeSet<ListName> {
    lists
        .iter()
        .map(|list| ListName::parse(list).unwrap())
        .collect()
}

/// What is left of tree a's inbound queues for these lists after so long.
fn left(stage: &Stage, lists: &[&str], time: Duration) -> Result<Vec<Left>, String> {
    let site = Site::open(&stage.path("site.toml")).unwrap();
    let tree = site.config.tree("a").unwrap();
    let profile = Profile::of(&site, tree).unwrap();
    let queues = Queues::of(&profile, tree).unwrap();
    let end = Instant::now() + time;
    Inbound::of(queues, &names(lists))
        .run_out(queues, &|| Instant::now() >= end)
        .map_err(|error| error.to_string())
}

/// The names of the files that are left, in their order.
fn files(left: &[Left]) -> Vec<String> {
    let name = |left: &Left| {
        left.path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    left.iter().map(name).collect()
}

/// A runner of tree a: until it is dropped it takes each entry of `in`, renames it as Mailman does,
/// and removes it, or puts it into `shunt`.
struct Runner(Child);

impl Runner {
    fn start(stage: &Stage, end: &str) -> Runner {
        // Bounded, should nobody end it.
        let script = format!(
            "cd '{}' || exit 1\nfor n in $(seq 1200); do\n  for f in in/*.pck; do\n    \
             [ -e \"$f\" ] || continue\n    b=${{f%.pck}}.bak; mv \"$f\" \"$b\"; sleep 0.1; {end}\n  done\n  \
             sleep 0.05\ndone\n",
            stage.path("a/qfiles").display()
        );
        stage.write("runner", script, 0o755);
        let mut command = Command::new("/bin/sh");
        command.arg(stage.path("runner")).stdin(Stdio::null());
        Runner(spawn(&mut command))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_stands_for_a_list_is_waited_for_until_its_runner_is_done() {
    let stage = Stage::new();
    for n in 0..5 {
        put(&stage, "a", "in", n, "toylist");
    }
    let _runner = Runner::start(&stage, "rm \"$b\"");
    assert_eq!(left(&stage, &["toylist"], LONG), Ok(Vec::new()));
    assert_eq!(fs::read_dir(stage.path("a/qfiles/in")).unwrap().count(), 0);
}

#[test]
fn what_goes_on_into_another_queue_is_waited_for() {
    let stage = Stage::new();
    put(&stage, "a", "in", 1, "toylist");
    // Another entry, in a directory that the list manager makes when it needs it.
    let next = format!("commands/{}.pck", base(2));
    let script = format!("mkdir -p commands; mv \"$b\" {next}; sleep 1; rm {next}");
    let _runner = Runner::start(&stage, &script);
    assert_eq!(left(&stage, &["toylist"], LONG), Ok(Vec::new()));
    let gone = !stage.path(&format!("a/qfiles/{next}")).exists();
    assert!(gone && stage.path("a/qfiles/commands").exists());
}

#[test]
fn what_is_not_handled_in_time_is_named() {
    let stage = Stage::new();
    let first = put(&stage, "a", "in", 1, "toylist");
    let second = put(&stage, "a", "bounces", 2, "toylist");
    let left = left(&stage, &["toylist"], Duration::ZERO).unwrap();
    assert_eq!(
        left.iter().map(|left| &left.path).collect::<Vec<_>>(),
        [&first, &second]
    );
    assert!(
        left.iter()
            .all(|left| left.is_told && left.written.is_some())
    );
}

#[test]
fn what_is_for_other_lists_is_not_waited_for() {
    let stage = Stage::new();
    put(&stage, "a", "in", 1, "reallist1");
    put(&stage, "a", "in", 2, "toylist2");
    put(&stage, "a", "in", 3, "toylis");
    assert_eq!(left(&stage, &["toylist"], LONG), Ok(Vec::new()));
    let both = left(&stage, &["reallist1", "reallist2"], Duration::ZERO).unwrap();
    assert_eq!(files(&both), [format!("{}.pck", base(1))]);
}

#[test]
fn an_entry_that_was_renamed_is_still_the_same() {
    let stage = Stage::new();
    let entry = put(&stage, "a", "in", 1, "toylist");
    fs::rename(&entry, entry.with_extension("bak")).unwrap();
    let renamed = left(&stage, &["toylist"], Duration::ZERO).unwrap();
    assert_eq!(files(&renamed), [format!("{}.bak", base(1))]);
    // Put back because the list is locked: a new digest, the time at which it came in.
    let again = format!("1795454025.870001+{:040x}.pck", 77);
    let script =
        format!("mv \"$b\" \"in/{again}\"; while [ ! -e ../enough ]; do sleep 0.05; done; rm in/*");
    fs::rename(entry.with_extension("bak"), &entry).unwrap();
    let _runner = Runner::start(&stage, &script);
    while !stage.path(&format!("a/qfiles/in/{again}")).exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let waited = left(&stage, &["toylist"], Duration::ZERO).unwrap();
    assert_eq!(files(&waited), [again]);
    stage.write("a/enough", "", 0o644);
    assert_eq!(left(&stage, &["toylist"], LONG), Ok(Vec::new()));
}

#[test]
fn a_list_is_told_by_what_was_noted_and_not_by_the_message() {
    let stage = Stage::new();
    stage.make_dir("a/qfiles/in");
    let forged = "S'listname'\np2\nS'toylist'\np3\n";
    for (n, bytes, is_toylists) in [
        (1, taken("toylist", forged), true),
        (2, taken("reallist1", forged), false),
        (3, put_back("toylist", b"x"), true),
        (4, put_back("toylistqqU", b"x"), false),
        // It may be toylist's: waited for without need, never passed over.
        (
            5,
            put_back("reallist1", b"U\x08listnameq\x01U\x07toylistq\x02"),
            true,
        ),
        (6, put_back("reallist1", b"U\x08listnameq\x01U\xff"), false),
        (7, put_back("TOYLIST", b"x"), true),
        // Whose it is is said further from the end than is looked at first.
        (
            8,
            [taken("toylist", "x"), vec![b' '; 200_000]].concat(),
            true,
        ),
        (
            9,
            [taken("reallist1", "x"), vec![b' '; 200_000]].concat(),
            false,
        ),
    ] {
        let name = format!("a/qfiles/in/{}.pck", base(n));
        stage.write(&name, bytes, 0o660);
        let left = left(&stage, &["toylist"], Duration::ZERO).unwrap();
        assert_eq!(!left.is_empty(), is_toylists, "{n}");
        assert!(left.iter().all(|left| left.is_told), "{n}");
        fs::remove_file(stage.path(&name)).unwrap();
    }
}

#[test]
fn an_entry_that_does_not_tell_its_list_is_waited_for() {
    let stage = Stage::new();
    stage.make_dir("a/qfiles/in");
    stage.write(&format!("a/qfiles/in/{}.pck", base(1)), b"", 0o660);
    stage.write(
        &format!("a/qfiles/in/{}.pck", base(2)),
        b"\x80\x02}q\x01.",
        0o660,
    );
    let left = left(&stage, &["toylist"], Duration::ZERO).unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|left| !left.is_told));
}

#[test]
fn a_file_that_is_no_entry_is_no_message() {
    let stage = Stage::new();
    stage.make_dir("a/qfiles/in");
    for name in ["1.0+ab.pck", "x\n\u{1b}[2J.pck", ".x", "core"] {
        stage.write(&format!("a/qfiles/in/{name}"), taken("toylist", "x"), 0o660);
    }
    stage.write(
        &format!("a/qfiles/in/{}.pck.tmp", base(1)),
        taken("toylist", "x"),
        0o660,
    );
    assert_eq!(left(&stage, &["toylist"], LONG), Ok(Vec::new()));
}

#[test]
fn what_stands_in_the_place_of_an_entry_is_not_followed() {
    let stage = Stage::new();
    stage.make_dir("a/qfiles/in");
    stage.write("elsewhere", taken("reallist1", "x"), 0o660);
    let entry = |n| stage.path(&format!("a/qfiles/in/{}.pck", base(n)));
    symlink(stage.path("elsewhere"), entry(1)).unwrap();
    // A FIFO that nobody writes to holds nobody up.
    let status = Command::new("mkfifo").arg(entry(2)).status().unwrap();
    assert!(status.success());
    fs::create_dir(entry(3)).unwrap();
    let left = left(&stage, &["toylist"], Duration::ZERO).unwrap();
    assert_eq!(left.len(), 3);
    assert!(
        left.iter()
            .all(|left| !left.is_told && left.written.is_none())
    );
}

#[test]
fn a_queue_that_cannot_be_looked_at_is_not_empty() {
    let stage = Stage::new();
    let queue = stage.path("a/qfiles/in");
    let error = |what: &str| {
        let error = left(&stage, &["toylist"], LONG).unwrap_err();
        assert!(error.contains(what), "{error}");
        assert!(error.contains("qfiles"), "{error}");
    };
    stage.write("a/qfiles/in", "", 0o644);
    error("Not a directory");
    fs::remove_file(&queue).unwrap();
    stage.make_dir("elsewhere");
    symlink(stage.path("elsewhere"), &queue).unwrap();
    error("is a link");
    fs::remove_file(&queue).unwrap();
    fs::remove_dir(stage.path("a/qfiles")).unwrap();
    error("No such file or directory");
    // Mailman makes each of them when it needs it.
    stage.make_dir("a/qfiles");
    assert_eq!(left(&stage, &["toylist"], LONG), Ok(Vec::new()));
}

/// Puts a program into a tree that takes a message as Mailman's does: it ends with 0, and the
/// message waits in the queue `in`.
fn put_taking_program(stage: &Stage, tree: &str) {
    stage.make_dir(&format!("{tree}/qfiles/in"));
    // The MTA's user may be any.
    let queue = stage.path(&format!("{tree}/qfiles/in"));
    fs::set_permissions(&queue, Permissions::from_mode(0o1777)).unwrap();
    let script = r#"#!/bin/sh
cd 'QUEUE' || exit 1
message=$(mktemp XXXXXX.tmp) || exit 1
{
    printf "S'"; tr '\n' ' '
    printf "'\\np1\\n.(dp1\\nS'listname'\\np2\\nS'%s'\\np3\\ns." "$2"
} >"$message"
mv "$message" "1795454025.$$+$(printf %040x $$).pck"
"#;
    let script = script.replace("QUEUE", &queue.display().to_string());
    stage.write(&format!("{tree}/mail/mailman"), script, 0o755);
}

#[test]
fn upgrade_waits_until_the_old_tree_has_handled_what_it_took() {
    let stage = in_order();
    put_taking_program(&stage, "a");
    for _ in 0..3 {
        stage
            .deliver(&["post", "toylist"], b"From: a@b\n\nhi\n")
            .expect(0);
    }
    assert_eq!(fs::read_dir(stage.path("a/qfiles/in")).unwrap().count(), 3);
    let _runner = Runner::start(&stage, "rm \"$b\"");
    stage
        .parity(&["upgrade", "toylist", "--closed", "60s"])
        .expect(0);
    // Not one was left to the old release.
    assert_eq!(fs::read_dir(stage.path("a/qfiles/in")).unwrap().count(), 0);
}

#[test]
fn what_the_old_tree_does_not_handle_in_time_keeps_its_list_there() {
    let stage = Stage::new();
    put_taking_program(&stage, "a");
    stage
        .deliver(&["post", "toylist"], b"From: a@b\n\nhi\n")
        .expect(0);
    let before = (stage.read("aliases"), stage.read("state/parity.toml"));
    stage
        .parity(&["upgrade", "--all", "--closed", "0s"])
        .expect(1)
        .complains(&[
            "cannot upgrade: tree a took 1 message and has not handled it:",
            "a/qfiles/in/1795454025.",
            "hint: no list has moved; --closed 5m would wait longer",
        ]);
    let after = (stage.read("aliases"), stage.read("state/parity.toml"));
    assert_eq!(after, before);
    // The doors are open again, and other lists go.
    stage
        .deliver(&["post", "toylist"], b"From: a@b\n\nhi\n")
        .expect(0);
    stage
        .parity(&["upgrade", "reallist1", "--closed", "0s"])
        .expect(0);
    assert_eq!(fs::read_dir(stage.path("a/qfiles/in")).unwrap().count(), 2);
}

#[test]
fn who_does_not_handle_it_is_named_when_it_does_not_run() {
    let stage = with_runners("a");
    put(&stage, "a", "in", 1, "toylist");
    stage
        .parity(&["upgrade", "toylist", "--closed", "0s"])
        .expect(1)
        .complains(&[
            "tree a took 1 message and has not handled it",
            "tree a is not running: no process",
        ]);
}

#[test]
fn what_nobody_handles_is_named_with_what_helps() {
    let stage = in_order();
    let dead = put(&stage, "a", "in", 1, "toylist");
    is_old(&dead, 180);
    let words = ["upgrade", "toylist", "--closed", "0s"];
    let told = [
        &format!("nobody handles {dead:?}, which has stood there for 3 hours\n"),
        "see whether the programs of tree a run",
        "hand in anew as mail, and move it out of that directory",
        "hint: no list has moved\n",
    ];
    let done = stage.parity(&words).expect(1).complains(&told);
    assert!(!done.stderr.contains("--closed 5m"), "{done:#?}");
    // What is younger may be handled yet.
    let young = put(&stage, "a", "in", 2, "toylist");
    is_old(&young, 29);
    let words_of_young = ["no list has moved; --closed 5m would wait longer"];
    let done = stage.parity(&words).expect(1).complains(&told[..3]);
    let done = done.complains(&words_of_young);
    assert_eq!(done.stderr.matches("nobody handles").count(), 1);
    is_old(&young, 31);
    let done = stage.parity(&words).expect(1);
    done.complains(&["for 3 hours, nor 1 more that are older than 30m\n"]);
    fs::remove_file(dead).unwrap();
    fs::remove_file(young).unwrap();
    stage.parity(&words).expect(0);
}

#[test]
fn only_so_many_are_named_and_the_others_counted() {
    let stage = in_order();
    for n in 0..12 {
        put(&stage, "a", "commands", n, "toylist");
    }
    let done = stage
        .parity(&["upgrade", "toylist", "--closed", "0s"])
        .expect(1);
    let done = done.complains(&["tree a took 12 messages", " and 7 more"]);
    assert_eq!(done.stderr.matches(".pck").count(), 5);
}

#[test]
fn what_does_not_come_in_or_was_put_aside_holds_no_list_back() {
    let stage = in_order();
    for (n, queue) in ["out", "retry", "shunt", "bad", "virgin", "archive", "news"]
        .iter()
        .enumerate()
    {
        put(&stage, "a", queue, n, "toylist");
    }
    stage
        .parity(&["upgrade", "toylist", "--closed", "0s"])
        .expect(0);
}

#[test]
fn taking_back_waits_for_no_queue() {
    let stage = in_order();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    put(&stage, "b", "in", 1, "toylist");
    put(&stage, "a", "in", 2, "toylist");
    stage.parity(&["downgrade", "toylist"]).expect(0);
    // Nor where nothing can be seen at all.
    fs::remove_file(stage.path(&format!("a/qfiles/in/{}.pck", base(2)))).unwrap();
    fs::remove_dir_all(stage.path("b/qfiles")).unwrap();
    stage.make_dir("b/qfiles");
    stage.parity(&["upgrade", "toylist"]).expect(0);
    for tree in ["a", "b"] {
        fs::remove_dir_all(stage.path(tree).join("qfiles")).unwrap();
    }
    stage.parity(&["undo"]).expect(0);
}

#[test]
fn what_cannot_be_looked_at_keeps_the_list_there() {
    let stage = in_order();
    fs::remove_dir(stage.path("a/qfiles")).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(1).complains(&[
        "cannot upgrade: cannot tell what tree a has to handle: cannot read",
        "a/qfiles",
        "hint: make that directory, as the programs of tree a do when they start",
    ]);
}

/// As `Stage::new`, with the aliases turned: `check` has nothing to say.
fn in_order() -> Stage {
    let stage = Stage::new();
    stage.aliases(&["adopt"]).expect(0);
    stage
}
