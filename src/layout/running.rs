//! Which processes of an installation run, and which stand in what moves.
//!
//! NOBODY IS STOPPED FOR IT. A directory moves by one exchange of names: who has it or a file in it
//! open keeps that, who looks its path up finds it by the link, in the instant before and after. Hard
//! links and renames between files of it, as the locks are made of, stay within one file system and
//! one directory. Only who stands in it and goes up by `..` comes out elsewhere: that is told.
//!
//! **Invariants.** Looks at /proc, sends no signal.

use std::fs;
use std::path::{Path, PathBuf};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its command line; not yet fit for a terminal.
    pub command: String,
    /// Its working directory, as far as one may know.
    pub directory: Option<PathBuf>,
}

/// The processes whose program or script is below one of `roots`; and those whose
/// working directory is in one of `moving`.
pub fn look(roots: &[PathBuf], moving: &[PathBuf]) -> (Vec<Process>, Vec<Process>) {
    let (mut running, mut standing) = (Vec::new(), Vec::new());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> = words
            .split(|&byte| byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let link = |name: &str| fs::read_link(entry.path().join(name)).ok();
        let process = Process {
            pid,
            command: words.join(" "),
            directory: link("cwd"),
        };
        // Its program, or the script of an interpreter; not a file that an editor has.
        let programs = words.iter().take(3).map(PathBuf::from).chain(link("exe"));
        let is_of = |path: PathBuf| is_below(&path, roots);
        let is_in = |moving: &PathBuf| {
            let directory = process.directory.as_ref();
            directory.is_some_and(|directory| directory.starts_with(moving))
        };
        if moving.iter().any(is_in) {
            standing.push(process.clone());
        }
        if programs.into_iter().any(is_of) {
            running.push(process);
        }
    }
    (running, standing)
}

/// Whether a file is below one of `roots`, as it is spelled or without links: a command line has
/// the root as the admin typed it.
fn is_below(path: &Path, roots: &[PathBuf]) -> bool {
    let starts = |path: &Path| roots.iter().any(|root| path.starts_with(root));
    let leads = || path.is_absolute() && fs::canonicalize(path).is_ok_and(|real| starts(&real));
    (starts(path) || leads()) && path.is_file()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_script_that_runs_by_a_link_to_the_root_is_below_it() {
        let dir = std::env::temp_dir().join(format!("mm-running-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let dir = dir.canonicalize().unwrap();
        for root in ["real", "other"] {
            fs::create_dir(dir.join(root)).unwrap();
            fs::write(dir.join(root).join("run"), "").unwrap();
        }
        std::os::unix::fs::symlink("real", dir.join("link")).unwrap();
        let roots = [dir.join("real")];
        assert!(is_below(&dir.join("real/run"), &roots));
        assert!(is_below(&dir.join("link/run"), &roots));
        assert!(!is_below(&dir.join("other/run"), &roots));
        assert!(!is_below(&dir.join("link/gone"), &roots));
        fs::remove_dir_all(&dir).unwrap();
    }
}
