//! What an init from an installation is about to do, and how far it came: one line each, on disk
//! before it is done.
//!
//! It stands beside site.toml, which is where an undo finds it whatever became of the state: for
//! `site.toml` it is `site.init.jsonl`. Line 1 has the whole plan. Before a step there is a line
//! that it begins, with the times of the directories in which it changes names; after it, one that
//! it ended. The same for each step that is taken back.
//!
//! **Invariants.** A line is synced before what it tells of is done. A last line that is torn tells
//! of nothing. One process has it open for writing.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::ownership::{Trusted, Unsafe};

/// No journal is longer, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A directory's times before a step, so that they are put back: access and change of its names,
/// seconds and nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Which directory.
    pub path: PathBuf,
    /// When it was read.
    pub read: (i64, i64),
    /// When a name in it was changed.
    pub changed: (i64, i64),
}

/// A line behind the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The step of this number, from 0, begins.
    Begin(usize, Vec<Times>),
    /// It ended.
    End(usize),
    /// All steps are made, parity too.
    Complete,
    /// The state goes first when all is taken back.
    Undo,
    /// The step of this number begins to be taken back.
    Back(usize, Vec<Times>),
    /// It is taken back.
    Gone(usize),
}

/// Why the journal cannot be used.
#[derive(Debug)]
pub enum JournalError {
    /// There is none.
    None(PathBuf),
    /// It cannot be read or written.
    File(PathBuf, io::Error),
    /// Somebody who is not trusted could have written it.
    Unsafe(Unsafe),
    /// A line of it, from 1, is none of ours.
    Line(PathBuf, usize, String),
    /// Somebody else has it open.
    Busy(PathBuf),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::None(path) => write!(f, "{path:?} is not there"),
            JournalError::File(path, error) => write!(f, "{path:?}: {error}"),
            JournalError::Unsafe(fault) => write!(f, "cannot trust {fault}"),
            JournalError::Line(path, line, what) => {
                write!(f, "{}:{line}:1: {what}", path.display())
            }
            JournalError::Busy(path) => {
                write!(f, "another init has {path:?} open")
            }
        }
    }
}

impl std::error::Error for JournalError {}

/// An opened journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// What was to be done.
    pub plan: Plan,
    /// How far it came.
    pub lines: Vec<Line>,
}

/// Where the journal of this site.toml is.
pub fn path_of(site_file: &Path) -> PathBuf {
    site_file.with_extension("init.jsonl")
}

impl Journal {
    /// Begins one, in the place of one whose plan was never whole.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub fn create(plan: Plan) -> Result<Journal, JournalError> {
        let path = path_of(&plan.site_file);
        let failed = |error| JournalError::File(path.clone(), error);
        match Journal::open(&plan.site_file) {
            Ok(_) => return Err(failed(io::ErrorKind::AlreadyExists.into())),
            Err(JournalError::None(_)) => {}
            Err(error) => return Err(error),
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        let mut journal = Journal {
            file,
            path: path.clone(),
            plan,
            lines: Vec::new(),
        };
        journal.lock()?;
        let text = serde_json::to_string(&journal.plan).map_err(|error| failed(error.into()))?;
        journal.put(&text)?;
        // Somebody else may have taken it for one that was never whole, before it was locked.
        let there = fs::metadata(&path).map_err(failed)?;
        let ours = journal.file.metadata().map_err(failed)?;
        if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) {
            return Err(JournalError::Busy(path));
        }
        let holder = path.parent().unwrap_or(Path::new("/"));
        File::open(holder)
            .and_then(|holder| holder.sync_all())
            .map_err(failed)?;
        Ok(journal)
    }

    /// Opens the one beside `site_file`; one whose plan was never whole is removed.
    ///
    /// # Errors
    /// `None` if there is none.
    pub fn open(site_file: &Path) -> Result<Journal, JournalError> {
        let path = path_of(site_file);
        let failed = |error| JournalError::File(path.clone(), error);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .append(true)
            .custom_flags(libc::O_NOFOLLOW);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(JournalError::None(path));
            }
            file => file.map_err(failed)?,
        };
        trusted().check(&path, None).map_err(JournalError::Unsafe)?;
        let mut journal = Journal {
            file,
            path: path.clone(),
            plan: Plan::default(),
            lines: Vec::new(),
        };
        journal.lock()?;
        journal.read()?;
        Ok(journal)
    }

    /// What the one beside `site_file` says, for who only looks.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn look(site_file: &Path) -> Result<(Plan, Vec<Line>), JournalError> {
        let path = path_of(site_file);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(JournalError::None(path)),
            Err(error) => Err(JournalError::File(path, error)),
            Ok(bytes) => {
                parse(&path, &bytes)?.map_or(Err(JournalError::None(path)), |(read, _)| Ok(read))
            }
        }
    }

    fn lock(&self) -> Result<(), JournalError> {
        match self.file.try_lock() {
            Ok(()) => Ok(()),
            Err(fs::TryLockError::WouldBlock) => Err(JournalError::Busy(self.path.clone())),
            Err(fs::TryLockError::Error(error)) => {
                Err(JournalError::File(self.path.clone(), error))
            }
        }
    }

    fn read(&mut self) -> Result<(), JournalError> {
        let failed = |error| JournalError::File(self.path.clone(), error);
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let read = (&self.file).take(LARGEST).read_to_end(&mut bytes);
        read.map_err(failed)?;
        let Some(((plan, lines), whole)) = parse(&self.path, &bytes)? else {
            fs::remove_file(&self.path).map_err(failed)?;
            return Err(JournalError::None(self.path.clone()));
        };
        if whole < bytes.len() {
            self.file.set_len(whole as u64).map_err(failed)?;
        }
        (self.plan, self.lines) = (plan, lines);
        Ok(())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, line: Line) -> Result<(), JournalError> {
        let text = serde_json::to_string(&line)
            .map_err(|error| JournalError::File(self.path.clone(), error.into()))?;
        self.put(&text)?;
        self.lines.push(line);
        Ok(())
    }

    fn put(&mut self, text: &str) -> Result<(), JournalError> {
        self.file
            .write_all(format!("{text}\n").as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(|error| JournalError::File(self.path.clone(), error))
    }

    /// Removes it: nothing is left to be done or taken back.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(self) -> Result<(), JournalError> {
        fs::remove_file(&self.path).map_err(|error| JournalError::File(self.path, error))
    }

    /// Whether everything is made.
    pub fn is_complete(&self) -> bool {
        self.lines.contains(&Line::Complete)
    }

    /// Whether an undo has begun.
    pub fn is_undone(&self) -> bool {
        self.lines.contains(&Line::Undo)
    }
}

/// Who may have written what decides what moves: root, or the one who runs us.
fn trusted() -> Trusted<'static> {
    Trusted {
        runner: crate::accounts::runner(),
        owner: None,
        group: None,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was read, and how many bytes of it are whole lines; `None` where not even the plan is one.
type Parsed = Option<((Plan, Vec<Line>), usize)>;

fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, JournalError> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n');
    let whole = whole.map_or(0, |last| last + 1);
    let bad = |number: usize, error: serde_json::Error| {
        JournalError::Line(path.to_owned(), number, error.to_string())
    };
    let mut lines = bytes[..whole]
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate();
    let Some((_, first)) = lines.next() else {
        return Ok(None);
    };
    let plan = serde_json::from_slice(first).map_err(|error| bad(1, error))?;
    let lines: Result<Vec<Line>, JournalError> = lines
        .map(|(number, line)| serde_json::from_slice(line).map_err(|error| bad(number + 1, error)))
        .collect();
    Ok(Some(((plan, lines?), whole)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("mm-journal-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&directory, mode).unwrap();
        directory
    }

    fn plan(directory: &Path) -> Plan {
        Plan {
            format: 1,
            site_file: directory.join("site.toml"),
            ..Plan::default()
        }
    }

    #[test]
    fn a_torn_last_line_tells_of_nothing_and_the_next_one_is_whole() {
        let directory = scratch("torn");
        let mut journal = Journal::create(plan(&directory)).unwrap();
        journal.add(Line::Begin(0, Vec::new())).unwrap();
        let site = journal.plan.site_file.clone();
        assert!(matches!(Journal::open(&site), Err(JournalError::Busy(_))));
        drop(journal);
        let mut file = OpenOptions::new()
            .append(true)
            .open(path_of(&site))
            .unwrap();
        file.write_all(b"{\"end\"").unwrap();
        let mut journal = Journal::open(&site).unwrap();
        assert_eq!(journal.lines, [Line::Begin(0, Vec::new())]);
        journal.add(Line::End(0)).unwrap();
        drop(journal);
        let (_, lines) = Journal::look(&site).unwrap();
        assert_eq!(lines, [Line::Begin(0, Vec::new()), Line::End(0)]);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_journal_without_a_whole_plan_is_none_and_what_others_could_write_is_not_trusted() {
        let directory = scratch("none");
        let site = directory.join("site.toml");
        fs::write(path_of(&site), "{\"format\":1").unwrap();
        assert!(matches!(Journal::look(&site), Err(JournalError::None(_))));
        assert!(matches!(Journal::open(&site), Err(JournalError::None(_))));
        assert!(!path_of(&site).exists());
        fs::write(path_of(&site), "{\"format\":1").unwrap();
        drop(Journal::create(plan(&directory)).unwrap());
        let there = Journal::create(plan(&directory));
        assert!(matches!(there, Err(JournalError::File(..))));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(path_of(&site), mode).unwrap();
        assert!(matches!(Journal::open(&site), Err(JournalError::Unsafe(_))));
        fs::remove_dir_all(directory).unwrap();
    }
}
