//! A control group for a room, where the host has them: what watches a room comes now and then, the kernel is
//! always there.
//!
//! **Invariants.** Makes and removes a directory of its own, `mm-rehearsal-…`, and changes no other group. Where
//! that cannot be, the room is watched all the same.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Directories of one room, in each hierarchy.
#[derive(Debug, Default)]
pub(super) struct Group {
    directories: Vec<PathBuf>,
}

/// A hierarchy, and the file that limits in it.
struct Hierarchy {
    top: PathBuf,
    limits: Vec<(&'static str, u64)>,
}

impl Group {
    /// One in which so many processes and bytes of memory fit, those of files in memory too.
    pub(super) fn make(processes: u64, memory: u64) -> Group {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("mm-rehearsal-{}-{number}", std::process::id());
        let mut group = Group::default();
        for hierarchy in hierarchies(processes, memory) {
            let path = hierarchy.top.join(&name);
            if fs::create_dir(&path).is_err() {
                continue;
            }
            for (file, limit) in hierarchy.limits {
                let _ = fs::write(path.join(file), limit.to_string());
            }
            group.directories.push(path);
        }
        group
    }

    /// The files by which a process comes in: it writes "0".
    pub(super) fn doors(&self) -> Vec<File> {
        let doors = self.directories.iter();
        let open = |path: &PathBuf| {
            OpenOptions::new()
                .write(true)
                .open(path.join("cgroup.procs"))
                .ok()
        };
        doors.filter_map(open).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for path in &self.directories {
            // Those who are dead may not have gone yet.
            for _ in 0..100 {
                if fs::remove_dir(path).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

/// Those of this host that count processes or memory.
fn hierarchies(processes: u64, memory: u64) -> Vec<Hierarchy> {
    let mut all = Vec::new();
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in text.lines() {
        let Some((before, behind)) = line.split_once(" - ") else {
            continue;
        };
        let Some(top) = before.split(' ').nth(4).map(PathBuf::from) else {
            continue;
        };
        let kind = behind.split(' ').next().unwrap_or_default();
        let options = behind.rsplit(' ').next().unwrap_or_default();
        let counts = |what: &str| options.split(',').any(|option| option == what);
        let mut limits = Vec::new();
        match kind {
            "cgroup2" => {
                let given = given(&top);
                if given.contains("pids") {
                    limits.push(("pids.max", processes));
                }
                if given.contains("memory") {
                    limits.push(("memory.max", memory));
                }
            }
            "cgroup" if counts("pids") => limits.push(("pids.max", processes)),
            "cgroup" if counts("memory") => limits.push(("memory.limit_in_bytes", memory)),
            _ => {}
        }
        if !limits.is_empty() {
            all.push(Hierarchy { top, limits });
        }
    }
    all
}

/// What the groups below this one may count.
fn given(top: &Path) -> String {
    fs::read_to_string(top.join("cgroup.subtree_control")).unwrap_or_default()
}
