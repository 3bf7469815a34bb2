//! The doors as a delivery meets them: who waits, who comes in, and what the tree's program
//! holds until it and its children are gone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mm_deliver::doors::{Floor, LockFile, Range};
use mm_deliver::list::ListName;

use crate::stage::{Stage, spawn};

/// Longer than anything here takes: a test that waits so long has failed.
const LONGEST: Duration = Duration::from_secs(60);

fn list(name: &str) -> ListName {
    ListName::parse(name).unwrap()
}

pub(crate) fn door(name: &str) -> Range {
    Range::door(&list(name))
}

pub(crate) fn floor(name: &str) -> Range {
    Range::floor(Floor::Mail, &list(name))
}

/// The lock file, as one who moves lists has it.
pub(crate) fn mover(stage: &Stage) -> LockFile {
    LockFile::open_to_close_doors(&stage.path("state/lock")).unwrap()
}

/// Closes what must be open.
#[track_caller]
pub(crate) fn close(lock: &LockFile, range: Range) {
    assert!(lock.try_exclude(range).unwrap(), "{range:?} is held");
}

/// `[deliver] wait` of the stage.
pub(crate) fn set_wait(stage: &Stage, wait: &str) {
    stage.write_site("");
    let site = stage.read("site.toml") + &format!("wait = \"{wait}\"\n");
    stage.write("site.toml", site, 0o644);
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONGEST, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A delivery that goes on by itself.
pub(crate) fn delivery(stage: &Stage, list: &str) -> Child {
    let mut command = stage.command("mm-deliver", &["post", list]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    spawn(&mut command)
}

/// Lets `tree`'s program say that it runs, in NAME.PID, and go on once there is a file `go`, or
/// the stage is gone.
pub(crate) fn put_slow_program(stage: &Stage, tree: &str) {
    stage.make_dir("inside");
    fs::set_permissions(stage.path("inside"), fs::Permissions::from_mode(0o1777)).unwrap();
    let dir = stage.dir.display();
    let script = format!(
        "#!/bin/sh\necho \"$$\" > '{dir}/inside/{tree}.'$$\n\
         while [ -d '{dir}/inside' ] && [ ! -e '{dir}/go' ]; do sleep 0.02; done\nrm '{dir}/inside/{tree}.'$$\n"
    );
    stage.write(&format!("{tree}/mail/mailman"), script, 0o755);
}

/// How many of the slow programs of `tree` run.
pub(crate) fn inside(stage: &Stage, tree: &str) -> usize {
    let names = fs::read_dir(stage.path("inside")).unwrap();
    let of_tree = |name: &str| name.starts_with(&format!("{tree}."));
    names
        .filter(|entry| of_tree(entry.as_ref().unwrap().file_name().to_str().unwrap()))
        .count()
}

/// Whether a process stays alive for a while: long enough to notice one that does not wait.
#[track_caller]
fn still_waits(child: &mut Child) {
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
}

#[track_caller]
fn ends_with(mut child: Child, status: i32) {
    until("the end of a program", || {
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(status));
}

#[test]
fn a_delivery_waits_at_a_closed_door_and_then_reads_parity() {
    let stage = Stage::new();
    set_wait(&stage, "1m");
    let lock = mover(&stage);
    close(&lock, door("toylist"));
    let mut waiting = delivery(&stage, "ToyList");
    still_waits(&mut waiting);
    // Another list's door is open.
    stage.deliver(&["post", "reallist1"], b"x").expect(0);
    assert_eq!(stage.ran()[0].tree, "a");
    // THE ORDER. What stands when the door opens counts, not what stood before.
    stage.hand_parity(&["toylist"], &[]);
    lock.release(door("toylist")).unwrap();
    ends_with(waiting, 0);
    assert_eq!(stage.ran()[0].tree, "b");
}

#[test]
fn a_door_that_stays_closed_defers_the_message() {
    let stage = Stage::new();
    set_wait(&stage, "100ms");
    let lock = mover(&stage);
    for range in [door("toylist"), floor("toylist")] {
        close(&lock, range);
        let done = stage.deliver(&["post", "toylist"], b"x").expect(75);
        assert_eq!(
            done.stderr,
            "4.3.0 mm-deliver: the list is being moved, message kept by the mail system\n"
        );
        lock.release(range).unwrap();
    }
    close(&lock, Range::all_doors());
    stage.deliver(&["post", "reallist2"], b"x").expect(75);
    lock.release(Range::all_doors()).unwrap();
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    assert_eq!(stage.ran().len(), 1);
}

#[test]
fn the_program_holds_the_floor_and_not_the_door() {
    let stage = Stage::new();
    put_slow_program(&stage, "a");
    let lock = mover(&stage);
    let running = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, "a") == 1);
    close(&lock, door("toylist"));
    assert!(!lock.try_exclude(floor("toylist")).unwrap());
    assert!(!lock.try_exclude(Range::whole(Floor::Mail)).unwrap());
    close(&lock, floor("reallist1"));
    close(&lock, Range::whole(Floor::Web));
    stage.write("go", "", 0o644);
    ends_with(running, 0);
    close(&lock, floor("toylist"));
}

#[test]
fn a_child_that_keeps_the_descriptor_holds_the_floor_after_the_program() {
    let stage = Stage::new();
    let go = stage.path("go");
    let script = format!(
        "#!/bin/sh\n( while [ ! -e '{}' ]; do sleep 0.02; done ) </dev/null >/dev/null 2>&1 &\n",
        go.display()
    );
    stage.write("a/mail/mailman", script, 0o755);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
    let lock = mover(&stage);
    assert!(!lock.try_exclude(floor("toylist")).unwrap());
    stage.write("go", "", 0o644);
    until("the child's end", || {
        lock.try_exclude(floor("toylist")).unwrap()
    });
}

#[test]
fn a_program_that_uses_descriptors_of_its_own_holds_the_floor() {
    let stage = Stage::new();
    put_slow_program(&stage, "a");
    let log = stage.path("inside/log").display().to_string();
    let used: String = (3..10).map(|fd| format!(" {fd}>>'{log}'")).collect();
    let script = stage.read("a/mail/mailman");
    let script = script.replacen('\n', &format!("\nexec{used}\n"), 1);
    stage.write("a/mail/mailman", script, 0o755);
    let lock = mover(&stage);
    let running = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, "a") == 1);
    assert!(!lock.try_exclude(floor("toylist")).unwrap());
    stage.write("go", "", 0o644);
    ends_with(running, 0);
    close(&lock, floor("toylist"));
}

#[test]
fn few_descriptors_are_enough_for_a_delivery() {
    let stage = Stage::new();
    let program = stage.path("bin/mm-deliver").display().to_string();
    let site = stage.path("site.toml").display().to_string();
    let line = format!("ulimit -n 20; exec '{program}' --site '{site}' post toylist");
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &line]);
    stage.run(command, b"x").expect(0);
    assert_eq!(stage.ran().len(), 1);
}

#[test]
fn whoever_is_killed_leaves_no_lock() {
    let stage = Stage::new();
    set_wait(&stage, "1m");
    put_slow_program(&stage, "a");
    let lock = mover(&stage);
    // Inside, as the tree's program.
    let mut running = delivery(&stage, "toylist");
    until("a program inside", || inside(&stage, "a") == 1);
    running.kill().unwrap();
    running.wait().unwrap();
    // The sleep that it had started may live a moment longer.
    until("an empty floor", || {
        lock.try_exclude(floor("toylist")).unwrap()
    });
    lock.release(floor("toylist")).unwrap();
    // At the door, as mm-deliver.
    let mut waiting = delivery(&stage, "toylist");
    still_waits(&mut waiting);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    close(&lock, door("toylist"));
}

#[test]
fn a_lock_file_that_is_replaced_keeps_nobody_inside() {
    let stage = Stage::new();
    set_wait(&stage, "1m");
    put_slow_program(&stage, "a");
    let old = mover(&stage);
    close(&old, door("toylist"));
    let mut waiting = delivery(&stage, "toylist");
    still_waits(&mut waiting);
    stage.write("state/lock.new", "", 0o644);
    fs::rename(stage.path("state/lock.new"), stage.path("state/lock")).unwrap();
    old.release(door("toylist")).unwrap();
    until("a program inside", || inside(&stage, "a") == 1);
    let new = mover(&stage);
    assert!(!new.try_exclude(floor("toylist")).unwrap());
    close(&old, floor("toylist"));
    stage.write("go", "", 0o644);
    ends_with(waiting, 0);
}

#[test]
fn the_program_gets_one_descriptor_more_and_that_is_the_lock() {
    let stage = Stage::new();
    let out = stage.path("ran/descriptors");
    let script = format!(
        "#!/bin/sh\nexec ls -l /proc/self/fd > '{}'\n",
        out.display()
    );
    stage.write("a/mail/mailman", script, 0o755);
    // Descriptors of the MTA's on both sides of ours.
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args([
            "-c",
            "exec 3</dev/zero 4</dev/zero 9</dev/zero; exec \"$@\"",
            "sh",
        ])
        .arg(stage.path("bin/mm-deliver"))
        .arg("--site")
        .arg(stage.path("site.toml"))
        .args(["post", "toylist"]);
    stage.run(command, b"x").expect(0);
    let listing = fs::read_to_string(out).unwrap();
    let links = listing.lines().filter_map(|line| line.split_once(" -> "));
    let above: Vec<(&str, &str)> = links
        .map(|(before, to)| (before.rsplit(' ').next().unwrap(), to))
        .filter(|(number, _)| number.parse::<u32>().unwrap() > 2)
        .collect();
    let lock = stage.path("state/lock");
    // ls has /proc/self/fd itself open.
    let (own, kept): (Vec<_>, Vec<_>) = above.into_iter().partition(|(_, to)| to.ends_with("/fd"));
    assert_eq!((own.len(), kept.len()), (1, 1), "{listing}");
    assert_eq!(Path::new(kept[0].1), lock.canonicalize().unwrap());
}

#[test]
fn without_a_sound_lock_file_mail_waits() {
    let stage = Stage::new();
    let lock = stage.path("state/lock");
    let kept = stage.path("state/kept");
    let deferred = |stage: &Stage, what: &str| {
        let done = stage.deliver(&["post", "toylist"], b"x").expect(75);
        assert!(
            done.stderr
                .starts_with("4.3.0 mm-deliver: the site's files")
        );
        let done = stage
            .deliver(&["--explain", "post", "toylist"], b"")
            .expect(75);
        done.complains(&["state/lock", what, "would end with 75"]);
    };
    fs::rename(&lock, &kept).unwrap();
    deferred(&stage, "is missing: mm-parity init makes it");
    symlink(&kept, &lock).unwrap();
    deferred(&stage, "symbolic link");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    deferred(&stage, "not a plain file");
    fs::remove_dir(&lock).unwrap();
    assert_eq!(stage.ran().len(), 0);
}

#[test]
fn init_makes_the_lock_file_also_on_a_site_that_had_none() {
    let stage = Stage::new();
    let lock = stage.path("state/lock");
    let meta = fs::metadata(&lock).unwrap();
    let state = fs::metadata(stage.path("state")).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o644);
    assert_eq!((meta.uid(), meta.len()), (state.uid(), 0));
    stage
        .parity(&["init"])
        .expect(1)
        .complains(&["is there already"]);
    assert_eq!(fs::metadata(&lock).unwrap().ino(), meta.ino());
    // Its maker was killed before he opened it to all.
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
    stage
        .parity(&["init"])
        .expect(0)
        .says(&["state/lock\" is made"]);
    assert_eq!(fs::metadata(&lock).unwrap().ino(), meta.ino());
    assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o7777, 0o644);
    fs::remove_file(&lock).unwrap();
    stage.deliver(&["post", "toylist"], b"x").expect(75);
    let before = stage.read("state/parity.toml");
    stage
        .parity(&["init"])
        .expect(0)
        .says(&["state/lock\" is made"]);
    assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(stage.read("state/parity.toml"), before);
    stage.deliver(&["post", "toylist"], b"x").expect(0);
}
