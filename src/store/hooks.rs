//! What hooks leave behind: `hooks.jsonl`, what ran with which change; `prepared.jsonl`, what is
//! to be taken back where a change is not made.
//!
//! Neither is part of history.jsonl: an older release would take their lines for damage, and what
//! a program printed must not fill the room that is kept for a change on a full disk.
//!
//! | a kill | leaves in prepared.jsonl | the next command |
//! |---|---|---|
//! | before a `prepare` hook is begun | its line, synced | names it; its `undo` finds nothing to do |
//! | while it runs, or before the commit point | its line | names it: to be taken back |
//! | after the commit point | its line | sees that the change stands, and drops it |
//! | while an `after` hook runs | a line for it | names it: it did not end |
//! | while a line is written | half a line | no line: nothing was begun |
//!
//! **Invariants.** Lines are only appended, under the writer's lock, never through a link; the
//! file goes when nothing is left in it. Nothing that is read here is run: a program is run as
//! site.toml has it. Both are nobody else's to read: programs print what they like.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::history::{read_plain, whole_lines};
use crate::site::Site;

/// One run of a hook that went with a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Of the line's format: 1.
    pub format: u32,
    /// The generation that the change made.
    pub generation: u64,
    /// `upgrade`, `downgrade`, `commit`, `revert` or `install`.
    pub on: String,
    /// `prepare` or `after`.
    pub step: String,
    /// Program and arguments.
    pub program: Vec<String>,
    /// For which list; none where it ran once for all.
    pub list: Option<String>,
    /// Whether it ended with 0.
    pub well: bool,
    /// How it ended.
    pub end: String,
    /// How long it took.
    pub milliseconds: u64,
    /// The end of what it printed, not yet fit for a terminal.
    pub output: String,
}

/// A hook that was begun and that nothing has settled yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Of the line's format: 1.
    pub format: u32,
    /// What it is.
    pub hook: Begun,
    /// The generation that the change was to make.
    pub generation: u64,
    /// Who typed what, and when, for people.
    pub by: String,
    /// The process that began it.
    pub pid: u32,
    /// Whether it is settled: taken back, or the change stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

/// Which hook, and for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Begun {
    /// `upgrade`, `downgrade`, `commit`, `revert` or `install`.
    pub on: String,
    /// `prepare` or `after`.
    pub step: String,
    /// Program and arguments.
    pub program: Vec<String>,
    /// The tree that was left, and the other one.
    pub from: String,
    /// The tree that was gone to.
    pub to: String,
    /// The list that it ran for, or all lists where it ran once.
    pub lists: Vec<String>,
}

pub(super) fn ran_path(site: &Site) -> PathBuf {
    site.config.state.join("hooks.jsonl")
}

fn prepared_path(site: &Site) -> PathBuf {
    site.config.state.join("prepared.jsonl")
}

/// What hooks did, by the generation of the change that they went with.
///
/// # Errors
/// hooks.jsonl cannot be read; `History` with the line that is damaged.
pub fn ran(site: &Site) -> Result<BTreeMap<u64, Vec<Ran>>, StoreError> {
    let mut by_generation: BTreeMap<u64, Vec<Ran>> = BTreeMap::new();
    for ran in lines::<Ran>(&ran_path(site))? {
        by_generation.entry(ran.generation).or_default().push(ran);
    }
    Ok(by_generation)
}

/// What was begun and is not settled, in the order in which it was begun.
///
/// # Errors
/// prepared.jsonl cannot be read; `History` with the line that is damaged.
pub fn prepared(site: &Site) -> Result<Vec<Prepared>, StoreError> {
    let mut left: BTreeMap<Begun, (usize, Prepared)> = BTreeMap::new();
    for (n, line) in lines::<Prepared>(&prepared_path(site))?
        .into_iter()
        .enumerate()
    {
        match line.settled {
            true => left.remove(&line.hook),
            false => left.insert(line.hook.clone(), (n, line)),
        };
    }
    let mut left: Vec<_> = left.into_values().collect();
    left.sort_unstable_by_key(|(n, _)| *n);
    Ok(left.into_iter().map(|(_, line)| line).collect())
}

/// Appends what hooks did.
pub(super) fn record(site: &Site, ran: &[Ran]) -> io::Result<()> {
    match ran {
        [] => Ok(()),
        _ => append(&mut open(&ran_path(site))?, ran),
    }
}

/// prepared.jsonl while a change is made.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
}

impl Journal {
    pub(super) fn of(site: &Site) -> Journal {
        Journal {
            path: prepared_path(site),
            file: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends lines and waits until they are on disk.
    pub(super) fn add(&mut self, new: &[Prepared]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        append(file, new)
    }

    /// Appends that these are settled; without any other the file goes.
    pub(super) fn settle(&mut self, site: &Site, settled: &[Prepared]) -> Result<(), StoreError> {
        let at = |error| StoreError::File(self.path.clone(), error);
        let hooks: std::collections::BTreeSet<&Begun> =
            settled.iter().map(|line| &line.hook).collect();
        let left = prepared(site)?;
        if left.iter().all(|line| hooks.contains(&line.hook)) {
            self.file = None;
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(error)),
                _ => Ok(()),
            };
        }
        let settled: Vec<Prepared> = settled
            .iter()
            .cloned()
            .map(|line| Prepared {
                settled: true,
                ..line
            })
            .collect();
        let path = self.path.clone();
        self.add(&settled)
            .map_err(|error| StoreError::File(path, error))
    }
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, StoreError> {
    let bytes = match read_plain(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::File(path.to_owned(), error)),
    };
    let whole = whole_lines(&bytes).split_inclusive(|&b| b == b'\n');
    whole
        .enumerate()
        .map(|(n, line)| {
            serde_json::from_slice(line)
                .map_err(|error| StoreError::History(path.to_owned(), n + 1, error.to_string()))
        })
        .collect()
}

/// Opens a file to append to; half a last line is cut off first.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // The directory may be its owner's, and root writes here: never through a link.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    let whole = whole_lines(&bytes).len() as u64;
    if whole < bytes.len() as u64 {
        file.set_len(whole)?;
    }
    file.seek(io::SeekFrom::Start(whole))?;
    Ok(file)
}

/// Appends all lines or none.
fn append(file: &mut File, rows: &[impl Serialize]) -> io::Result<()> {
    let mut text = String::new();
    for row in rows {
        text += &serde_json::to_string(row)?;
        text.push('\n');
    }
    let before = file.stream_position()?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_data());
    if written.is_err() {
        let _ = file.set_len(before);
        let _ = file.seek(io::SeekFrom::Start(before));
    }
    written
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn begun(list: &str, settled: bool) -> Prepared {
        Prepared {
            format: 1,
            hook: Begun {
                on: "upgrade".into(),
                step: "prepare".into(),
                program: vec!["/x".into()],
                from: "a".into(),
                to: "b".into(),
                lists: vec![list.into()],
            },
            generation: 2,
            by: "root".into(),
            pid: 7,
            settled,
        }
    }

    #[test]
    fn half_a_line_is_none_and_a_file_that_is_no_plain_one_is_not_written() {
        let dir = std::env::temp_dir().join(format!("mm-prepared-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let path = dir.join("prepared.jsonl");
        append(&mut open(&path).unwrap(), &[begun("x", false)]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"format\":1,").unwrap();
        assert_eq!(lines::<Prepared>(&path).unwrap().len(), 1);
        append(&mut open(&path).unwrap(), &[begun("y", false)]).unwrap();
        let both = lines::<Prepared>(&path).unwrap();
        assert_eq!(both, [begun("x", false), begun("y", false)]);
        fs::write(&path, "{\"format\":1}\n").unwrap();
        let error = lines::<Prepared>(&path).unwrap_err().to_string();
        assert!(error.contains("prepared.jsonl:1:1: "), "{error}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.join("other"), &path).unwrap();
        assert!(open(&path).is_err());
        assert!(!dir.join("other").exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
