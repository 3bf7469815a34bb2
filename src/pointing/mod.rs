//! What of this machine starts programs of a tree, or runs them: crontabs, systemd's units, init
//! scripts, and processes.
//!
//! A line points to a tree if one of its words is a path in it, by whatever links. Where a tree's root
//! is one that the whole system shares (`/usr`), only the programs that its profile names count.
//!
//! **Invariants.** Reads only; runs nothing, not even systemctl. What cannot be read is told, never
//! "nothing". What is shown of a line or a process comes from others and is not yet fit for a terminal.

mod units;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// No file is read further than this, in bytes.
const LARGEST: u64 = 1024 * 1024;
/// Where crontabs are that name their user, and those of users.
const CRONTABS: [&str; 1] = ["etc/crontab"];
const CRON: [&str; 7] = [
    "etc/cron.d",
    "etc/cron.hourly",
    "etc/cron.daily",
    "etc/cron.weekly",
    "etc/cron.monthly",
    "var/spool/cron/crontabs",
    "var/spool/cron",
];
const INIT: &str = "etc/init.d";
/// Roots that are no tree's alone.
const SHARED: [&str; 3] = ["/", "/usr", "/usr/local"];

/// What starts programs, or is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A line for cron.
    Cron,
    /// A unit of systemd's that is enabled.
    Unit,
    /// An init script.
    Init,
    /// A process.
    Process,
}

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Cron => "cron",
            Kind::Unit => "unit",
            Kind::Init => "init",
            Kind::Process => "process",
        }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// What it is.
    pub kind: Kind,
    /// The file; of a process, its directory in /proc.
    pub file: PathBuf,
    /// The line, from 1; none for a process.
    pub line: Option<usize>,
    /// The line's text, or the command line.
    pub text: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Found {
    /// What points there.
    pub pointers: Vec<Pointer>,
    /// What could not be looked at.
    pub unread: Vec<(PathBuf, io::Error)>,
}

/// What is looked for.
#[derive(Debug)]
pub struct Target {
    root: PathBuf,
    real: PathBuf,
    /// Other trees within this one.
    within: Vec<PathBuf>,
    /// What counts where the root is shared.
    programs: Option<BTreeSet<PathBuf>>,
}

impl Target {
    /// That of a tree of `site`.
    pub fn of(site: &Site, tree: &Tree, profile: &Profile) -> Target {
        let others = site.config.trees.iter().map(|other| other.root.clone());
        let is_within = |root: &PathBuf| *root != tree.root && root.starts_with(&tree.root);
        let is_shared = SHARED.iter().any(|root| Path::new(root) == tree.root);
        Target {
            real: real(&tree.root),
            within: others.filter(is_within).collect(),
            programs: is_shared.then(|| profile.all_programs(tree)),
            root: tree.root.clone(),
        }
    }

    /// Whether a word is a path in the tree.
    fn is_named_by(&self, word: &str) -> bool {
        // systemd's marks before a program.
        let word = word.trim_start_matches(['-', '@', '+', '!', ':']);
        let path = Path::new(word);
        if !path.is_absolute() {
            return false;
        }
        let is_in = |path: &Path| match &self.programs {
            Some(programs) => programs.contains(path),
            None => {
                (path.starts_with(&self.root) || path.starts_with(&self.real))
                    && !self.within.iter().any(|other| path.starts_with(other))
            }
        };
        is_in(path) || is_in(&real(path))
    }

    /// Whether a line names a path in the tree.
    fn is_named_in(&self, line: &str) -> bool {
        const ENDS: &[char] = &[
            '"', '\'', '=', ';', '|', '&', '(', ')', '<', '>', '`', ',', '$',
        ];
        let mut words = line.split(|c: char| c.is_whitespace() || ENDS.contains(&c));
        words.any(|word| self.is_named_by(word))
    }
}

/// Everything below `root`, which is `/` but for tests, that points to the tree.
pub fn look(root: &Path, target: &Target) -> Found {
    let mut found = cron(root, target);
    units::look(root, target, &mut found);
    for file in files(&root.join(INIT), &mut found) {
        found.lines(Kind::Init, &file, target);
    }
    processes(root, target, &mut found);
    found
}

/// The lines for cron alone.
pub fn cron(root: &Path, target: &Target) -> Found {
    let mut found = Found::default();
    for file in CRONTABS {
        found.lines(Kind::Cron, &root.join(file), target);
    }
    for directory in CRON {
        for file in files(&root.join(directory), &mut found) {
            found.lines(Kind::Cron, &file, target);
        }
    }
    found
}

impl Found {
    /// Those of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Pointer> {
        self.pointers
            .iter()
            .filter(move |pointer| pointer.kind == kind)
    }

    fn lines(&mut self, kind: Kind, file: &Path, target: &Target) {
        match text(file) {
            Ok(text) => self.add(kind, file, &text, target),
            Err(error) => self.could_not(file, error),
        }
    }

    fn add(&mut self, kind: Kind, file: &Path, text: &str, target: &Target) {
        for (n, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with(['#', ';']);
            if !is_comment && target.is_named_in(line) {
                self.pointers.push(Pointer {
                    kind,
                    file: file.to_owned(),
                    line: Some(n + 1),
                    text: line.trim().to_owned(),
                });
            }
        }
    }

    fn could_not(&mut self, path: &Path, error: io::Error) {
        // NOTDIR: of this kind this system has none.
        if !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ) {
            self.unread.push((path.to_owned(), error));
        }
    }
}

/// The files of a directory that cron, init and systemd would take, in their order.
fn files(directory: &Path, found: &mut Found) -> Vec<PathBuf> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            found.could_not(directory, error);
            return Vec::new();
        }
    };
    let is_taken = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left = name.contains(".dpkg-") || name.contains(".rpm") || name.ends_with('~');
        !name.starts_with('.') && !is_left && path.is_file()
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(is_taken);
    files.sort();
    files
}

/// The text of a plain file, as far as it is read.
fn text(path: &Path) -> io::Result<String> {
    // A pipe in its place would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(LARGEST)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn processes(root: &Path, target: &Target, found: &mut Found) {
    let directory = root.join("proc");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) => return found.could_not(&directory, error),
    };
    let pids = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let mut pids: Vec<u32> = pids.filter(|&pid| pid != std::process::id()).collect();
    pids.sort_unstable();
    for pid in pids {
        let file = directory.join(pid.to_string());
        // One that ended meanwhile has none.
        let line = text(&file.join("cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').filter(|word| !word.is_empty()).collect();
        if words.iter().any(|word| target.is_named_by(word)) {
            found.pointers.push(Pointer {
                kind: Kind::Process,
                file,
                line: None,
                text: words.join(" "),
            });
        }
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
