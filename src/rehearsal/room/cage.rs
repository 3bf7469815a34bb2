//! Processes of a room: a process-id namespace of their own, its keeper, and what runs in it.
//!
//! ```text
//! mm-parity's thread ── keeper (pid 1 in there: waits for orphans, nothing else)
//!                    └─ a program (pid 2 …), in the room's root, without capabilities
//! ```
//!
//! The keeper is a fork of ours that never runs another program and allocates no memory. When it is
//! killed, the kernel kills all that is in there, however many they are and whatever they do.
//!
//! `filter` closes the system calls that know no namespace.
//!
//! **Invariants.** What runs in there cannot see, signal or trace anything outside. It is root in name at
//! most: what a capability allows beyond files and users is taken from it for good, also from set-user-id
//! programs. If our thread ends, so does all of it.

#![expect(unsafe_code, reason = "std has no namespaces, and no fork")]

use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::filter;
use super::group::Group;
use crate::accounts::User;
use crate::output::Output;
use crate::running::unblock_signals;

/// What root keeps in there (capabilities(7)): chown, dac_override, fowner, fsetid, kill, setgid,
/// setuid, net_bind_service.
const KEPT: [u32; 8] = [0, 1, 3, 4, 5, 6, 7, 10];
/// No limit of processes is higher than this.
pub(super) const TOO_MANY: usize = 4096;
/// There are fewer capabilities than this.
const CAPABILITIES: u32 = 64;
/// What of /proc would reach beyond the room is not writable in it, or empty.
const PROC_READ_ONLY: [&std::ffi::CStr; 4] =
    [c"/proc/sys", c"/proc/irq", c"/proc/bus", c"/proc/fs"];
const PROC_EMPTY: [&std::ffi::CStr; 3] = [c"/proc/sysrq-trigger", c"/proc/kcore", c"/proc/keys"];

/// What one process may have at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Memory, in bytes.
    pub(super) memory: u64,
    /// A file's size, in bytes.
    pub(super) file: u64,
    /// Processes and threads of one user, besides those that he has outside.
    pub(super) processes: u64,
}

/// A process-id namespace, until it is dropped.
pub(super) struct Cage {
    keeper: libc::pid_t,
    /// Where the thread's children went before, and go again afterwards.
    outside: File,
    root: PathBuf,
}

/// What is run in one.
pub(super) struct Run<'a> {
    /// Program and arguments.
    pub(super) argv: &'a [OsString],
    /// All of its environment.
    pub(super) environment: &'a [(OsString, OsString)],
    /// As whom; also the groups that /etc/group has him in.
    pub(super) user: &'a User,
    /// What it finds on its standard input.
    pub(super) input: Stdio,
    /// Where what it prints goes.
    pub(super) output: &'a Output,
    /// What it may have.
    pub(super) limits: Limits,
    /// In which it is counted.
    pub(super) group: &'a Group,
}

impl Cage {
    /// A new one for what this thread starts from now on, with the root directory `root` in this
    /// thread's mount namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn open(root: &Path) -> io::Result<Cage> {
        let outside = File::open("/proc/thread-self/ns/pid")?;
        // SAFETY: no memory; only where this thread's children go changes.
        cvt(unsafe { libc::unshare(libc::CLONE_NEWPID) })?;
        let keeper = fork_keeper(root).inspect_err(|_| go_back(&outside))?;
        Ok(Cage {
            keeper,
            outside,
            root: root.to_owned(),
        })
    }

    /// How many processes are in there, besides the keeper, and how much memory they have, in bytes.
    /// Beyond `most` processes nobody is looked at: there must be an end of it soon.
    pub(super) fn count(&self, most: u64) -> (u64, u64) {
        let mut sum = (0, 0);
        let Ok(entries) = fs::read_dir(self.root.join("proc")) else {
            return sum;
        };
        let is_other =
            |name: &OsString| name.as_bytes().iter().all(u8::is_ascii_digit) && name != "1";
        let names = entries.flatten().map(|entry| entry.file_name());
        // Also those who are dead: nobody makes so many in good faith.
        let names: Vec<OsString> = names.filter(is_other).take(4 * TOO_MANY).collect();
        if names.len() as u64 > most.saturating_mul(4).min(4 * TOO_MANY as u64 - 1) {
            return (names.len() as u64, 0);
        }
        for name in names {
            let path = self.root.join("proc").join(name).join("statm");
            // What is dead and not yet waited for has none, and is nobody.
            let statm = fs::read_to_string(path).unwrap_or_default();
            let mut pages = statm.split(' ').filter_map(|word| word.parse::<u64>().ok());
            let (Some(all), Some(resident)) = (pages.next(), pages.next()) else {
                continue;
            };
            if all > 0 {
                sum = (sum.0 + 1, sum.1 + resident * 4096);
            }
        }
        sum
    }

    /// Starts a program in there.
    ///
    /// # Errors
    /// The kernel's; the program is not there, for one.
    pub(super) fn start(&self, run: Run<'_>) -> io::Result<Child> {
        let (program, arguments) = run
            .argv
            .split_first()
            .ok_or_else(|| io::Error::other("no program is named"))?;
        let root = c_path(&self.root)?;
        let groups: Vec<libc::gid_t> = run.user.groups().unwrap_or_default();
        let (uid, gid, limits) = (run.user.uid, run.user.gid, run.limits);
        let theirs = processes_of(uid);
        let doors = run.group.doors();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(run.environment.iter().map(|(name, value)| (name, value)))
            .stdin(run.input)
            .stdout(run.output.copy()?)
            .stderr(run.output.copy()?);
        // SAFETY: system calls alone, on memory that was made before; the keeper is the one who ends
        // all of it when this thread ends.
        unsafe {
            command.pre_exec(move || {
                unblock_signals()?;
                cvt(libc::setsid())?;
                for door in &doors {
                    // "0": who writes it.
                    libc::write(door.as_raw_fd(), c"0".as_ptr().cast(), 1);
                }
                // Who watches goes first.
                libc::setpriority(libc::PRIO_PROCESS, 0, 10);
                cvt(libc::chroot(root.as_ptr()))?;
                cvt(libc::chdir(c"/".as_ptr()))?;
                libc::umask(0o022);
                limit(libc::RLIMIT_AS, limits.memory)?;
                limit(libc::RLIMIT_FSIZE, limits.file)?;
                limit(libc::RLIMIT_NPROC, limits.processes + theirs)?;
                limit(libc::RLIMIT_CORE, 0)?;
                limit(libc::RLIMIT_NOFILE, 1024)?;
                drop_capabilities();
                filter::close_ways()?;
                cvt(libc::setgroups(groups.len(), groups.as_ptr()))?;
                cvt(libc::setresgid(gid, gid, gid))?;
                cvt(libc::setresuid(uid, uid, uid))?;
                Ok(())
            });
        }
        command.spawn()
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // SAFETY: the keeper is our child and not yet waited for, so the number is its own. The wait
        // ends when all in there are gone.
        unsafe {
            libc::kill(self.keeper, libc::SIGKILL);
            while libc::waitpid(self.keeper, std::ptr::null_mut(), 0) == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }
        go_back(&self.outside);
        if let Ok(proc) = c_path(&self.root.join("proc")) {
            // SAFETY: a path. It lists those who are gone.
            unsafe { libc::umount2(proc.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

/// What this thread starts is where it was before, again.
fn go_back(outside: &File) {
    // SAFETY: a descriptor of this thread's own namespace.
    unsafe { libc::setns(outside.as_raw_fd(), libc::CLONE_NEWPID) };
}

fn fork_keeper(root: &Path) -> io::Result<libc::pid_t> {
    let root = c_path(root)?;
    let (mut reading, writing) = pipe()?;
    // SAFETY: the child makes system calls alone, on memory that was made before, and never returns.
    let keeper = unsafe { libc::fork() };
    if keeper == 0 {
        // SAFETY: as above.
        unsafe { keep(&root, writing.as_raw_fd()) }
    }
    cvt(keeper)?;
    drop(writing);
    let mut failed = [0_u8; 4];
    match reading.read_exact(&mut failed) {
        // It closed its end without a word: all is made.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(keeper),
        other => {
            // SAFETY: as in `drop`.
            unsafe {
                libc::kill(keeper, libc::SIGKILL);
                libc::waitpid(keeper, std::ptr::null_mut(), 0);
            }
            other?;
            Err(io::Error::from_raw_os_error(i32::from_ne_bytes(failed)))
        }
    }
}

/// The keeper: makes /proc, says so by closing `told`, and waits for orphans until it is killed.
///
/// # Safety
/// In a forked child alone. Allocates nothing, never returns.
unsafe fn keep(root: &CString, told: libc::c_int) -> ! {
    // SAFETY: constants and what the caller gives, all NUL-terminated.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if !make_proc(root) {
            let error = (*libc::__errno_location()).to_ne_bytes();
            libc::write(told, error.as_ptr().cast(), error.len());
            libc::_exit(1);
        }
        drop_capabilities();
        libc::setsid();
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        loop {
            if libc::waitpid(-1, std::ptr::null_mut(), 0) == -1 {
                // Nobody is there.
                let pause = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 2_000_000,
                };
                libc::nanosleep(&raw const pause, std::ptr::null_mut());
            }
        }
    }
}

/// # Safety
/// As [`keep`].
unsafe fn make_proc(root: &CString) -> bool {
    let safe = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let null: *const libc::c_char = std::ptr::null();
    // SAFETY: NUL-terminated constants.
    unsafe {
        let proc = c"proc".as_ptr();
        if libc::chroot(root.as_ptr()) != 0
            || libc::chdir(c"/".as_ptr()) != 0
            || libc::mount(proc, c"/proc".as_ptr(), proc, safe, null.cast()) != 0
        {
            return false;
        }
        for path in PROC_READ_ONLY.map(std::ffi::CStr::as_ptr) {
            let again = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY | safe;
            let done = libc::mount(path, path, null, libc::MS_BIND, null.cast()) == 0
                && libc::mount(null, path, null, again, null.cast()) == 0;
            if !done && *libc::__errno_location() != libc::ENOENT {
                return false;
            }
        }
        for path in PROC_EMPTY.map(std::ffi::CStr::as_ptr) {
            let from = c"/dev/null".as_ptr();
            let done = libc::mount(from, path, null, libc::MS_BIND, null.cast()) == 0;
            if !done && *libc::__errno_location() != libc::ENOENT {
                return false;
            }
        }
        true
    }
}

/// # Safety
/// None: no memory is touched. For a forked child, whose own this is.
unsafe fn drop_capabilities() {
    for capability in (0..CAPABILITIES).filter(|capability| !KEPT.contains(capability)) {
        // SAFETY: plain numbers. What the kernel does not know, nobody has.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

fn limit(what: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let both = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: it outlives the call.
    cvt(unsafe { libc::setrlimit(what, &raw const both) }).map(drop)
}

/// How many processes this user has now: the kernel's limit counts them, too.
fn processes_of(uid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let theirs = entries.flatten().filter(|entry| {
        entry.file_name().as_bytes()[0].is_ascii_digit()
            && entry.metadata().is_ok_and(|meta| meta.uid() == uid)
    });
    theirs
        .map(|entry| {
            fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64)
        })
        .sum()
}

fn pipe() -> io::Result<(File, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for both; they are new and nobody else's.
    unsafe {
        cvt(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((File::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// The error, where a call says that there is one.
pub(super) fn cvt(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}
