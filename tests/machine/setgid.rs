//! A real set-group-ID program under mm-guard, as Mailman's wrapper is: what it may do, who may
//! end it, and what the kernel takes from the guard.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{HOST, Machine, account, put, sender, source};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: &str = "/srv/mailman/b/mail/mailman";
const SPOOL: &str = "/srv/mailman/b/spool";
/// Whom Postfix runs a pipe as, and the group that may write lists' data.
const AS_NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";
const LIST: u32 = 38;

/// Who ran, and what it got.
struct Ran {
    pid: u32,
    guard: u32,
    /// Real and effective user, real and effective group.
    ids: [u32; 4],
    stdin: Vec<u8>,
}

/// toylist on the guarded tree b, whose program has this mode and is root:list.
fn guarded(mode: u32) -> Machine {
    let machine = Machine::new(&["toylist"]);
    assert_eq!(account(&machine.path("/"), "list").1, LIST);
    let program = machine.path(PROGRAM);
    let status = Command::new("gcc")
        .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
        .arg(&program)
        .arg(format!("-DSPOOL=\"{SPOOL}\""))
        .arg(source("setgid.c"))
        .status();
    assert!(status.unwrap().success(), "gcc failed");
    chown(&program, Some(0), Some(LIST)).unwrap();
    // The mode comes last: a change of owner takes the bit away.
    put(&program, &fs::read(&program).unwrap(), mode);
    machine.expect(&format!("stat -c %A,%U:%G {PROGRAM}"));
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-parity upgrade toylist");
    machine
}

fn message(ends: &str) -> Vec<u8> {
    let from = sender();
    format!(
        "From: {from}\nTo: toylist@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{ends}@client.example>\nSubject: {ends}\nX-Ends: {ends}\n\nhello\n"
    )
    .into_bytes()
}

/// Waits for the file of the one program that ran, and takes it.
#[track_caller]
fn ran(machine: &Machine) -> Ran {
    let whole = || {
        let files = fs::read_dir(machine.path(SPOOL)).unwrap().flatten();
        let mut files = files.filter(|file| !file.file_name().as_encoded_bytes().starts_with(b"."));
        files.next().map(|file| file.path())
    };
    let start = Instant::now();
    let path = loop {
        match whole() {
            Some(path) => break path,
            None => assert!(start.elapsed() < PATIENCE, "the program did not run"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    let end = bytes.iter().position(|&b| b == b'\n').unwrap();
    let first = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let words: Vec<u32> = first.split(' ').map(|word| word.parse().unwrap()).collect();
    let [pid, guard, uid, gid, euid, egid] = words.try_into().unwrap();
    println!("| pid {pid}, uid {uid} {euid}, gid {gid} {egid}");
    Ran {
        pid,
        guard,
        ids: [uid, euid, gid, egid],
        stdin: bytes[end + 1..].to_vec(),
    }
}

/// A delivery as Postfix makes it, by nobody and in a process group of its own, that does not end.
fn begin(machine: &Machine) -> (Child, Ran) {
    let line = format!("{AS_NOBODY} setsid mm-deliver post toylist");
    let mut command = machine.command(&line);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&message("never")).unwrap();
    drop(stdin);
    let ran = ran(machine);
    (child, ran)
}

/// Whether a process of the machine runs.
fn runs(machine: &Machine, pid: u32) -> bool {
    let stat = fs::read_to_string(machine.inside(&format!("/proc/{pid}/stat"))).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[track_caller]
fn wait_for_end(machine: &Machine, pid: u32) {
    let start = Instant::now();
    while runs(machine, pid) {
        assert!(start.elapsed() < PATIENCE, "{pid} runs on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A signal from nobody, who has no right but that over his own processes.
fn kill(machine: &Machine, signal: &str, to: &str) {
    let line = format!("kill -s {signal} -- {to}");
    println!("| nobody: {line}");
    let mut command = machine.command(&format!("{AS_NOBODY} sh -c"));
    assert!(command.arg(line).status().unwrap().success());
}

fn log(machine: &Machine) -> String {
    fs::read_to_string(machine.path("/var/lib/mm-deliver/probation/65534.log")).unwrap()
}

#[test]
fn postfix_runs_a_set_group_id_program_under_guard() {
    let machine = guarded(0o2755);
    let id = machine.send("toylist", &message("s0"));
    machine.wait_until_delivered(&id);
    let first = ran(&machine);
    // The MTA's user, and the list manager's group besides the MTA's.
    assert_eq!(first.ids, [65534, 65534, 65534, LIST]);
    let told = String::from_utf8(first.stdin).unwrap();
    assert!(
        told.ends_with("Subject: s0\nX-Ends: s0\n\nhello\n"),
        "{told}"
    );
    for status in ["s1", "s67"] {
        let id = machine.send("toylist", &message(status));
        println!("| {}", machine.wait_until_deferred(&id));
        assert_eq!(ran(&machine).ids[3], LIST);
    }
    let log = log(&machine);
    for end in ["\t0\tstatus 0\t", "\t75\tstatus 1\t", "\t75\tstatus 67\t"] {
        assert!(log.contains(end), "{end:?} is not in:\n{log}");
    }
    machine.expect_no_bounce();
}

#[test]
fn postfix_guard_ends_a_set_group_id_program() {
    let machine = guarded(0o2755);
    let (mut delivery, its) = begin(&machine);
    assert_eq!(its.ids, [65534, 65534, 65534, LIST]);
    // The guard's user is the program's real and saved one: that is all the kernel asks.
    kill(&machine, "TERM", &its.guard.to_string());
    assert_eq!(delivery.wait().unwrap().code(), Some(75));
    assert!(!runs(&machine, its.pid), "it runs beside the message");
    let log = log(&machine);
    assert!(log.contains("\t75\tstopped 15\t"), "{log}");
    // What an MTA does at its limit: the whole group, by a signal that nobody can mind.
    let (mut delivery, its) = begin(&machine);
    kill(&machine, "KILL", &format!("-{}", its.guard));
    delivery.wait().unwrap();
    wait_for_end(&machine, its.pid);
}

/// The kernel forgets PR_SET_PDEATHSIG when such a program begins, so that nobody can send it a
/// signal that way: README names it among the limits. The floor's lock is not forgotten.
#[test]
fn postfix_guard_killed_by_itself_leaves_a_set_group_id_program() {
    for (mode, is_left) in [(0o755, false), (0o2755, true)] {
        let machine = guarded(mode);
        let (mut delivery, its) = begin(&machine);
        kill(&machine, "KILL", &its.guard.to_string());
        delivery.wait().unwrap();
        if !is_left {
            wait_for_end(&machine, its.pid);
            continue;
        }
        // The guard has been waited for, and death comes at once or never.
        machine.expect("sleep 1");
        assert!(runs(&machine, its.pid), "the kernel does not forget");
        let held = machine.run("mm-parity drain toylist");
        let told = String::from_utf8_lossy(&held.stdout).into_owned();
        assert!(told.contains(&its.pid.to_string()), "{told}");
        kill(&machine, "KILL", &its.pid.to_string());
        wait_for_end(&machine, its.pid);
    }
}
