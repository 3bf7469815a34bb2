//! Who is inside, and who changes something: the processes that hold a lock on doors or floors,
//! or on the file `writer`, from /proc. And what a command in a tree started.
//!
//! The kernel names no holder of such a lock, since an open file has no process; but each
//! process's fdinfo shows the locks of its descriptors. Only root sees those of others.
//!
//! A lock file that somebody replaced still holds those who came in by it: they are inside as
//! well, and known by the name under which their descriptor was opened.
//!
//! **Invariants.** Takes no lock, and so is in nobody's way. What is shown of a process comes
//! from strangers: it is escaped and cut.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accounts::Account;
use crate::doors::{DoorError, LockFile, Range};
use crate::site::Site;

/// As much of a command line as a message shows, in characters.
const LONGEST: usize = 160;
/// The clock ticks of /proc/PID/stat: 100 a second on every machine that Linux runs on today
/// (USER_HZ, proc(5)).
const TICKS: u64 = 100;

/// A process that holds locks on the lock file.
#[derive(Debug)]
pub struct Inside {
    /// Its id.
    pub pid: u32,
    user: String,
    age: Option<Duration>,
    command: String,
    program: Option<PathBuf>,
    is_stopped: bool,
    held: Vec<Lock>,
}

/// A lock as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lock {
    /// The bytes; `None` of a lock by flock(2), which is in no range's way.
    range: Option<Range>,
    is_exclusive: bool,
}

impl Lock {
    fn is_on(self, range: Range) -> bool {
        self.range.is_some_and(|own| own.overlaps(range))
    }
}

impl Inside {
    /// Whether one of its locks is on a byte of `range`.
    pub fn holds(&self, range: Range) -> bool {
        self.held.iter().any(|held| held.is_on(range))
    }

    /// Whether one of its locks is on every byte of `range`.
    pub fn holds_all(&self, range: Range) -> bool {
        let mut held = self.held.iter().filter_map(|held| held.range);
        held.any(|own| own.covers(range))
    }

    /// Whether it keeps doors closed: no delivery does.
    pub fn closes_doors(&self) -> bool {
        let doors = Range::all_doors();
        let mut held = self.held.iter();
        held.any(|held| held.is_exclusive && held.is_on(doors))
    }

    /// Whether a signal or a debugger stopped it: it does not go on by itself.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Whether it began longer ago; not, if that cannot be told.
    pub fn is_older_than(&self, age: Duration) -> bool {
        self.age.is_some_and(|own| own > age)
    }

    /// Whether it runs this program.
    pub fn runs(&self, program: &Path) -> bool {
        self.program.as_deref() == Some(program)
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of user {}", self.pid, self.user)?;
        if let Some(age) = self.age {
            write!(f, ", for {}", rough(age))?;
        }
        write!(f, ", running {:?}", self.command)
    }
}

/// A process, whatever it holds; `None` if it has ended.
pub fn of(pid: u32) -> Option<Inside> {
    let is_there = Path::new(&format!("/proc/{pid}")).exists();
    is_there.then(|| describe(pid, Vec::new()))
}

/// The processes that hold a lock on any of `ranges`, but this one; oldest first.
///
/// # Errors
/// The lock file cannot be looked at.
pub fn look(lock: &LockFile, ranges: &[Range]) -> Result<Vec<Inside>, DoorError> {
    let place = lock.place()?;
    let name = name_of(lock);
    let is_it = |descriptor: &Path| {
        place_of(descriptor) == Some(place) || name.is_some() && replaced(descriptor) == name
    };
    let concerned = |held: &Lock| ranges.iter().any(|&range| held.is_on(range));
    Ok(holders(&is_it, &concerned))
}

/// The processes that hold a lock on any of `ranges` of a file that this one took the place of:
/// no lock on this one waits for them.
///
/// # Errors
/// The lock file cannot be looked at.
pub fn left_behind(lock: &LockFile, ranges: &[Range]) -> Result<Vec<Inside>, DoorError> {
    let place = lock.place()?;
    let Some(name) = name_of(lock) else {
        return Ok(Vec::new());
    };
    let is_it = |descriptor: &Path| {
        replaced(descriptor).as_ref() == Some(&name) && place_of(descriptor) != Some(place)
    };
    let concerned = |held: &Lock| ranges.iter().any(|&range| held.is_on(range));
    Ok(holders(&is_it, &concerned))
}

/// The processes that change something, or hold up who would: those that lock the file `writer`
/// or keep doors closed.
pub fn changing(site: &Site) -> Vec<Inside> {
    let files = [site.config.lock_file(), site.config.state.join("writer")];
    let places: Vec<_> = files.iter().filter_map(|file| place_of(file)).collect();
    let is_it = |descriptor: &Path| place_of(descriptor).is_some_and(|at| places.contains(&at));
    holders(&is_it, &|held| held.is_exclusive)
}

/// The processes that a command in a tree started, it among them: they hold the lock on the file at
/// `mark`, or see the mount on it that is made behind a command's fence. Who closed the descriptor
/// still sees the mount.
pub fn started_by_command(mark: &Path) -> Vec<Inside> {
    let Some(place) = place_of(mark) else {
        return Vec::new();
    };
    let is_it = |descriptor: &Path| place_of(descriptor) == Some(place);
    let mut seen: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let mut found: Vec<Inside> = others()
        .filter_map(|pid| {
            let held = held_by(pid, &is_it);
            let mut is_behind = || {
                let space = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
                let has_mark = || has_mount(pid, mark);
                Some(*seen.entry(space).or_insert_with(has_mark))
            };
            let is_holder = held.iter().any(|held| held.is_exclusive);
            (is_holder || is_behind().unwrap_or(false)).then(|| describe(pid, held))
        })
        .collect();
    found.sort_by_key(|inside| (std::cmp::Reverse(inside.age), inside.pid));
    found
}

/// Whether something is mounted on this very path, as the process sees it.
fn has_mount(pid: u32, path: &Path) -> bool {
    let mounts = fs::read(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let wanted = mounted(path);
    let mut lines = mounts.split(|&byte| byte == b'\n');
    lines.any(|line| line.split(|&byte| byte == b' ').nth(4) == Some(&wanted))
}

/// A path as mountinfo has it: blanks, line ends and backslashes in octal (proc(5)).
fn mounted(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => text.extend(format!("\\{byte:03o}").bytes()),
            byte => text.push(byte),
        }
    }
    text
}

/// Every process but this one.
fn others() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(move |&pid| pid != own)
}

/// The processes with a lock that is `concerned`, on a file that a descriptor of theirs is;
/// oldest first, without this one.
fn holders(is_it: &dyn Fn(&Path) -> bool, concerned: &dyn Fn(&Lock) -> bool) -> Vec<Inside> {
    let mut found: Vec<Inside> = others()
        .filter_map(|pid| {
            let held = held_by(pid, is_it);
            held.iter().any(concerned).then(|| describe(pid, held))
        })
        .collect();
    found.sort_by_key(|inside| (std::cmp::Reverse(inside.age), inside.pid));
    found
}

fn place_of(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// The path of the lock file as the kernel has it, without links; `None` if it was removed.
fn name_of(lock: &LockFile) -> Option<PathBuf> {
    let descriptor = format!("/proc/self/fd/{}", lock.as_fd().as_raw_fd());
    fs::read_link(descriptor)
        .ok()
        .filter(|_| lock.is_at_its_path())
}

/// The path of a file that a descriptor is and that stands there no more (proc(5)).
fn replaced(descriptor: &Path) -> Option<PathBuf> {
    let name = fs::read_link(descriptor).ok()?;
    let name = name.as_os_str().as_bytes().strip_suffix(b" (deleted)")?;
    Some(PathBuf::from(OsStr::from_bytes(name)))
}

/// The locks that a process has through its descriptors of such a file.
fn held_by(pid: u32, is_it: &dyn Fn(&Path) -> bool) -> Vec<Lock> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut held = Vec::new();
    for entry in descriptors.into_iter().flatten().flatten() {
        if !is_it(&entry.path()) {
            continue;
        }
        let name = entry.file_name();
        let info = fs::read_to_string(Path::new(&format!("/proc/{pid}/fdinfo")).join(name));
        held.extend(info.unwrap_or_default().lines().filter_map(lock_of));
    }
    held
}

/// `lock:  1: OFDLCK ADVISORY READ -1 fe:01:786448 4294967296 4294967296` (proc(5)).
fn lock_of(line: &str) -> Option<Lock> {
    let words: Vec<&str> = line.strip_prefix("lock:")?.split_whitespace().collect();
    let &[_, kind, _, mode, _, _, start, end] = words.as_slice() else {
        return None;
    };
    let is_exclusive = mode == "WRITE";
    let range = match kind {
        "FLOCK" => None,
        "OFDLCK" | "POSIX" => {
            let start: u64 = start.parse().ok()?;
            let end = match end {
                "EOF" => u64::MAX - 1,
                number => number.parse().ok()?,
            };
            let length = end.checked_sub(start)?.checked_add(1)?;
            Some(Range { start, length })
        }
        _ => return None,
    };
    Some(Lock {
        range,
        is_exclusive,
    })
}

fn describe(pid: u32, held: Vec<Lock>) -> Inside {
    let of = |name: &str| format!("/proc/{pid}/{name}");
    let uid = fs::metadata(format!("/proc/{pid}")).map(|meta| meta.uid());
    let user = uid.map_or_else(
        |_| "unknown".to_owned(),
        |uid| {
            Account::Number(uid)
                .user()
                .map_or(uid.to_string(), |user| user.name)
        },
    );
    let line = fs::read(of("cmdline")).unwrap_or_default();
    let words = line.split(|&b| b == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    let command = match words.is_empty() {
        true => fs::read_to_string(of("comm")).unwrap_or_default(),
        false => words.join(" "),
    };
    Inside {
        pid,
        user: user.escape_debug().to_string(),
        age: age(pid),
        is_stopped: is_stopped(pid),
        command: command.trim_end().chars().take(LONGEST).collect(),
        program: program(pid),
        held,
    }
}

/// What the process runs, by the path that it had when the process began. The kernel marks a
/// file that was replaced since, as by an upgrade of the package (proc(5)).
pub fn program(pid: u32) -> Option<PathBuf> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let bytes = path.as_os_str().as_bytes();
    let kept = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Some(PathBuf::from(OsStr::from_bytes(kept)))
}

/// Whether a process is stopped: it is there, and does not go on by itself.
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| matches!(fields.first().map(String::as_str), Some("T" | "t")))
}

/// Whether `ancestor` started the process, or one that did.
pub fn descends(mut pid: u32, ancestor: u32) -> bool {
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        // Field 4 is the second after the name.
        let parent = stat(pid).and_then(|fields| fields.get(1)?.parse().ok());
        let Some(parent) = parent else { return false };
        pid = parent;
    }
    false
}

/// The fields of /proc/PID/stat behind the name, which stands in parentheses and may hold
/// anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// How long the process has been there: a delivery's since the MTA started it.
fn age(pid: u32) -> Option<Duration> {
    // Field 22 is the 20th after the name.
    let begun: u64 = stat(pid)?.get(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let now: u64 = uptime.split('.').next()?.parse().ok()?;
    Some(Duration::from_secs(now.saturating_sub(begun / TICKS)))
}

/// A time in the one unit that says most.
fn rough(age: Duration) -> String {
    match age.as_secs() {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7_200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_as_the_kernel_shows_it() {
        let line = "lock:\t1: OFDLCK ADVISORY  READ -1 fe:01:786448 4294967296 4294967297";
        let lock = |range, is_exclusive| {
            Some(Lock {
                range,
                is_exclusive,
            })
        };
        let range = |start, length| Some(Range { start, length });
        assert_eq!(lock_of(line), lock(range(1 << 32, 2), false));
        let line = "lock:\t2: POSIX  ADVISORY  WRITE 4711 00:2d:1 7 EOF";
        assert_eq!(lock_of(line), lock(range(7, u64::MAX - 7), true));
        let line = "lock:\t1: FLOCK  ADVISORY  WRITE 4711 fe:01:786448 0 EOF";
        assert_eq!(lock_of(line), lock(None, true));
        for other in [
            "pos:\t0",
            "lock:\t1: LEASE  ACTIVE  READ 4711 fe:01:786448 0 EOF",
            "lock:\t1: OFDLCK ADVISORY  READ -1 fe:01:786448 9 7",
            "lock:\t1: OFDLCK ADVISORY  READ -1",
        ] {
            assert_eq!(lock_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_mount_is_found_by_its_path_as_the_kernel_shows_it() {
        assert_eq!(mounted(Path::new("/a b\\c")), b"/a\\040b\\134c");
        let own = std::process::id();
        assert!(has_mount(own, Path::new("/")));
        assert!(!has_mount(own, Path::new("/no/such mount")));
    }

    #[test]
    fn ages_are_told_roughly() {
        let told = |seconds| rough(Duration::from_secs(seconds));
        assert_eq!(told(0), "0s");
        assert_eq!(told(119), "119s");
        assert_eq!(told(120), "2m");
        assert_eq!(told(7_200), "2h");
    }
}
