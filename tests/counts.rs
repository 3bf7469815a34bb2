//! What a delivery, and a web request, cost until they become the tree's program, in counts that no
//! busy machine changes: system calls, page faults and instructions. Times are `tests/bench/deliver`'s.
//!
//! The limits are what was counted, and a little: who goes over them says why.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unsafe_code, reason = "ptrace has no safe form in std")]

use std::collections::BTreeMap;
use std::ffi::{c_int, c_long, c_void};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::stage::{Stage, spawn};

/// Further than any delivery comes: a test that steps so far has failed.
const LONGEST: u64 = 50_000_000;

/// As shipped, on x86-64: 98 calls (and one look at each part of each path), 61 to 64 faults
/// and 177,578 instructions were counted for a guarded tree, most of them the C library's before
/// `main`; 156,287 before its program had to be judged beside mm-guard and a tree had more keys.
/// Three calls more put the lock where no script is in its way.
const MOST_CALLS: u32 = 103;
const MOST_FAULTS: u64 = 75;
const MOST_INSTRUCTIONS: u64 = 190_000;

/// The same by an address that two lists could have: the first one's door, floor and row, and the looks
/// for its data, come before the list's own. 122 calls and 268,774 instructions were counted.
const MOST_CALLS_BY_ADDRESS: u32 = 126;
const MOST_FAULTS_BY_ADDRESS: u64 = 80;
const MOST_INSTRUCTIONS_BY_ADDRESS: u64 = 280_000;

/// The same of a request: 102 calls, 64 faults and 164,557 instructions were counted.
const MOST_CALLS_OF_WEB: u32 = 104;
const MOST_FAULTS_OF_WEB: u64 = 75;
const MOST_INSTRUCTIONS_OF_WEB: u64 = 180_000;

/// Calls by number, those of fcntl by command besides, and the page faults that needed no disk.
struct Counted {
    calls: BTreeMap<c_long, u32>,
    fcntl: BTreeMap<c_int, u32>,
    faults: u64,
}

impl Counted {
    fn of(&self, call: c_long) -> u32 {
        self.calls.get(&call).copied().unwrap_or(0)
    }
}

/// A delivery that stands still, to be led on by this thread; dropped, it is ended.
struct Standing(Child);

impl Drop for Standing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A delivery to toylist.
fn delivery(stage: &Stage) -> Command {
    stage.command("mm-deliver", &["post", "toylist"])
}

/// The same by an address, which a list toylist-bounces would win.
fn delivery_by_address(stage: &Stage) -> Command {
    stage.command("mm-deliver", &["--rcpt", "toylist-bounces+a=b@example.org"])
}

/// A request about toylist.
fn request(stage: &Stage) -> Command {
    let mut command = Command::new(stage.path("bin/mm-cgi"));
    command
        .arg0("listinfo")
        .env_clear()
        .env("MM_SITE", stage.path("site.toml"))
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("REQUEST_METHOD", "POST")
        .env("PATH_INFO", "/toylist");
    command
}

/// One before its first instruction.
fn standing(mut command: Command) -> Standing {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: one system call, and nothing allocated.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let child = Standing(spawn(&mut command));
    stopped(&child);
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    trace(libc::PTRACE_SETOPTIONS, &child, options as usize);
    child
}

fn pid(child: &Standing) -> libc::pid_t {
    libc::pid_t::try_from(child.0.id()).unwrap()
}

#[track_caller]
fn trace(request: libc::c_uint, child: &Standing, data: usize) {
    // SAFETY: none of the requests here lets the kernel write into our memory.
    let done = unsafe { libc::ptrace(request, pid(child), 0, data as *mut c_void) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Waits until it stops; returns what it stopped for.
#[track_caller]
fn stopped(child: &Standing) -> c_int {
    let mut status = 0;
    // SAFETY: the kernel writes one int.
    let got = unsafe { libc::waitpid(pid(child), &raw mut status, libc::__WALL) };
    assert_eq!(got, pid(child));
    assert!(libc::WIFSTOPPED(status), "it ended: {status:#x}");
    status >> 8
}

/// The call at whose beginning it stands, with its second argument; `None` at the end of one.
fn call(child: &Standing) -> Option<(c_long, u64)> {
    // SAFETY: plain data, for which all zeroes is a valid value.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    let place = (&raw mut info).cast::<c_void>();
    // SAFETY: the kernel writes no more than `size` bytes to `place`.
    let got = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid(child), size, place) };
    assert!(got > 0, "{}", std::io::Error::last_os_error());
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: `op` says that this is the part of the union which the kernel wrote.
    let entry = unsafe { info.u.entry };
    Some((entry.nr as c_long, entry.args[1]))
}

/// Minor faults so far: field 10 of /proc/PID/stat.
fn faults(child: &Standing) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.0.id())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// Counts up to the exec of the tree's program.
fn count(command: Command) -> Counted {
    let child = standing(command);
    let (mut calls, mut fcntl) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..10_000 {
        trace(libc::PTRACE_SYSCALL, &child, 0);
        stopped(&child);
        let Some((number, second)) = call(&child) else {
            continue;
        };
        if number == libc::SYS_fcntl {
            *fcntl.entry(c_int::try_from(second).unwrap()).or_insert(0) += 1;
        }
        *calls.entry(number).or_insert(0) += 1;
        if number == libc::SYS_execve {
            return Counted {
                faults: faults(&child),
                calls,
                fcntl,
            };
        }
    }
    panic!("no exec: {calls:?}");
}

/// Instructions up to the exec, one by one.
fn instructions(command: Command) -> u64 {
    let child = standing(command);
    for step in 1..LONGEST {
        trace(libc::PTRACE_SINGLESTEP, &child, 0);
        if stopped(&child) == libc::SIGTRAP | (libc::PTRACE_EVENT_EXEC << 8) {
            return step;
        }
    }
    panic!("no exec");
}

/// Two trees, toylist on the second, the file sealed. site.toml has what it must have: each key
/// more costs a few thousand instructions.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    let site = stage.read("site.toml");
    let site = site.replace("[deliver]\n", "[deliver]\nrcpt = true\n");
    let needed = |line: &&str| !line.starts_with("queues") && !line.starts_with("runners");
    let lines: Vec<&str> = site.lines().filter(needed).collect();
    stage.write("site.toml", lines.join("\n"), 0o644);
    stage
}

#[test]
fn a_delivery_takes_three_locks_and_starts_nothing() {
    takes_three_locks_and_starts_nothing(&count(delivery(&stage())));
}

#[test]
fn a_delivery_by_address_takes_three_locks_a_list_and_starts_nothing() {
    let stage = stage();
    let counted = count(delivery_by_address(&stage));
    // Lists toylist-bounces+a=b, toylist-bounces (no verb has an extension there) and toylist.
    assert_eq!(counted.fcntl.get(&libc::F_OFD_SETLK), Some(&6));
    starts_and_writes_nothing(&counted);
}

#[test]
fn a_request_takes_three_locks_and_starts_nothing() {
    let stage = stage();
    furnish_web(&stage);
    let counted = count(request(&stage));
    takes_three_locks_and_starts_nothing(&counted);
    // The program's own directory.
    assert_eq!(counted.of(libc::SYS_chdir), 1);
}

fn furnish_web(stage: &Stage) {
    stage.put_hot("mm-cgi");
    stage.make_dir("b/cgi-bin");
    stage.write("b/cgi-bin/listinfo", "#!/bin/sh\n", 0o755);
}

fn takes_three_locks_and_starts_nothing(counted: &Counted) {
    // Door, floor, door again; and that the descriptor is to be kept.
    assert_eq!(counted.fcntl.get(&libc::F_OFD_SETLK), Some(&3));
    assert_eq!(counted.fcntl.get(&libc::F_SETFD), Some(&1));
    assert_eq!(counted.of(libc::SYS_fstatfs), 1);
    starts_and_writes_nothing(counted);
}

fn starts_and_writes_nothing(counted: &Counted) {
    for never in [
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_vfork,
        libc::SYS_write,
        libc::SYS_socket,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
    ] {
        assert_eq!(counted.of(never), 0, "call {never}");
    }
}

/// The most of system calls, page faults and instructions.
type Most = (u32, u64, u64);

#[test]
fn a_delivery_costs_no_more_than_it_did() {
    let most = (MOST_CALLS, MOST_FAULTS, MOST_INSTRUCTIONS);
    costs_at_most(most, delivery);
}

#[test]
fn a_delivery_by_address_costs_no_more_than_it_did() {
    let most = (
        MOST_CALLS_BY_ADDRESS,
        MOST_FAULTS_BY_ADDRESS,
        MOST_INSTRUCTIONS_BY_ADDRESS,
    );
    costs_at_most(most, delivery_by_address);
}

#[test]
fn a_request_costs_no_more_than_it_did() {
    let most = (
        MOST_CALLS_OF_WEB,
        MOST_FAULTS_OF_WEB,
        MOST_INSTRUCTIONS_OF_WEB,
    );
    costs_at_most(most, request);
}

fn costs_at_most(
    (most_calls, most_faults, most_instructions): Most,
    command: fn(&Stage) -> Command,
) {
    if std::env::var_os("MM_HOT_DIR").is_none() || !cfg!(target_arch = "x86_64") {
        // Only what is shipped has such limits; tests/run sees to it.
        return;
    }
    let stage = stage();
    furnish_web(&stage);
    let counted = count(command(&stage));
    // How many looks there are hangs on where the stage stands.
    let calls = counted.calls.values().sum::<u32>() - counted.of(libc::SYS_statx);
    let instructions = instructions(command(&stage));
    let all = &counted.calls;
    assert!(calls <= most_calls, "{calls} system calls: {all:?}");
    let faults = counted.faults;
    assert!(faults <= most_faults, "{faults} page faults");
    assert!(
        instructions <= most_instructions,
        "{instructions} instructions"
    );
}
