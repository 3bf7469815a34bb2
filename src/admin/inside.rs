//! Who is inside: the processes that hold a lock on doors or floors, from /proc.
//!
//! The kernel names no holder of such a lock, since an open file has no process; but each
//! process's fdinfo shows the locks of its descriptors. Only root sees those of others.
//!
//! **Invariants.** Takes no lock, and so is in nobody's way. What is shown of a process comes
//! from strangers: it is escaped and cut.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accounts::Account;
use crate::doors::{DoorError, LockFile, Range};

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
    held: Vec<Range>,
}

impl Inside {
    /// Whether one of its locks is on a byte of `range`.
    pub fn holds(&self, range: Range) -> bool {
        self.held.iter().any(|held| held.overlaps(range))
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

/// The processes that hold a lock on any of `ranges`, but this one; oldest first.
///
/// # Errors
/// The lock file cannot be looked at.
pub fn look(lock: &LockFile, ranges: &[Range]) -> Result<Vec<Inside>, DoorError> {
    let place = lock.place()?;
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<Inside> = pids
        .filter(|&pid| pid != own)
        .filter_map(|pid| {
            let held = held_by(pid, place);
            let concerned = held
                .iter()
                .any(|held| ranges.iter().any(|range| held.overlaps(*range)));
            concerned.then(|| describe(pid, held))
        })
        .collect();
    found.sort_by_key(|inside| (std::cmp::Reverse(inside.age), inside.pid));
    Ok(found)
}

/// The locks that a process has through its descriptors of the file at `place`.
fn held_by(pid: u32, place: (u64, u64)) -> Vec<Range> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut held = Vec::new();
    for entry in descriptors.into_iter().flatten().flatten() {
        let is_it = |meta: &fs::Metadata| (meta.dev(), meta.ino()) == place;
        if !fs::metadata(entry.path()).is_ok_and(|meta| is_it(&meta)) {
            continue;
        }
        let name = entry.file_name();
        let info = fs::read_to_string(Path::new(&format!("/proc/{pid}/fdinfo")).join(name));
        held.extend(info.unwrap_or_default().lines().filter_map(lock_of));
    }
    held
}

/// `lock:  1: OFDLCK ADVISORY READ -1 fe:01:786448 4294967296 4294967296` (proc(5)).
fn lock_of(line: &str) -> Option<Range> {
    let mut words = line.strip_prefix("lock:")?.split_whitespace().skip(1);
    let kind = words.next()?;
    let end = words.clone().nth(5)?;
    let start: u64 = words.nth(4)?.parse().ok()?;
    // Locks of whole files by flock(2) are another kind, and in nobody's way here.
    if !matches!(kind, "OFDLCK" | "POSIX") {
        return None;
    }
    let end = match end {
        "EOF" => u64::MAX - 1,
        number => number.parse().ok()?,
    };
    let length = end.checked_sub(start)?.checked_add(1)?;
    Some(Range { start, length })
}

fn describe(pid: u32, held: Vec<Range>) -> Inside {
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

/// How long the process has been there: a delivery's since the MTA started it.
fn age(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; field 22 is the 20th after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let begun: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
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
        let range = |start, length| Some(Range { start, length });
        assert_eq!(lock_of(line), range(1 << 32, 2));
        let line = "lock:\t2: POSIX  ADVISORY  WRITE 4711 00:2d:1 7 EOF";
        assert_eq!(lock_of(line), range(7, u64::MAX - 7));
        for other in [
            "pos:\t0",
            "lock:\t1: FLOCK  ADVISORY  WRITE 4711 fe:01:786448 0 EOF",
            "lock:\t1: OFDLCK ADVISORY  READ -1 fe:01:786448 9 7",
            "lock:\t1: OFDLCK ADVISORY  READ -1",
        ] {
            assert_eq!(lock_of(other), None, "{other}");
        }
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
