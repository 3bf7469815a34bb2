//! The file `underway`: who runs a command in a tree, for as long as he lives.
//!
//! An install may take minutes, and nobody's way back waits for it: the writer's lock is not held
//! meanwhile. This one is, so that no second command runs in a tree, and no look at one is taken for
//! that at a finished release.
//!
//! | on disk | a second command | status |
//! |---|---|---|
//! | a line, and the lock held | is refused, and names who holds it | names him |
//! | a line, and no lock: he ended, or was killed | takes it over | says nothing of him |
//!
//! **Invariants.** The lock is the kernel's, and the line only says who has it. What is run
//! does not get the descriptor: nothing that it leaves in the background holds the next one up.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::accounts::{self, Account};
use crate::clock::Timestamp;
use crate::site::Site;

/// A command that runs in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The tree's name.
    pub tree: String,
    /// By name, or number where there is none.
    pub user: String,
    /// mm-parity's own process.
    pub pid: u32,
    /// What was typed.
    pub command: String,
    /// Since when, as RFC 3339.
    pub since: String,
}

/// The right to run a command in a tree. Dropped, it is given up.
#[derive(Debug)]
pub struct Underway {
    _file: File,
}

/// Why that right is not to be had.
#[derive(Debug)]
pub enum Held {
    /// Somebody has it; who, if he said so.
    By(Option<Running>),
    /// The file cannot be made or read.
    Unknown(StoreError),
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "user {}, process {}, runs {:?} in tree {} since {}",
            self.user.escape_debug(),
            self.pid,
            self.command,
            self.tree.escape_debug(),
            self.since.escape_debug()
        )
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::By(Some(running)) => running.fmt(f),
            Held::By(None) => f.write_str("somebody runs a command in a tree"),
            Held::Unknown(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Held {}

impl Underway {
    /// Takes the right to run `command` in the tree of this name.
    ///
    /// # Errors
    /// `By` at once if somebody has it.
    pub fn take(site: &Site, tree: &str, command: &str) -> Result<Underway, Held> {
        let path = path(site);
        let failed = |error| Held::Unknown(StoreError::File(path.clone(), error));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Held::By(read(&file))),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let uid = accounts::runner();
        let user = Account::Number(uid).user();
        let running = Running {
            tree: tree.to_owned(),
            user: user.map_or_else(|_| uid.to_string(), |user| user.name),
            pid: std::process::id(),
            command: command.to_owned(),
            since: Timestamp::now().to_string(),
        };
        tell(site, &file, &running).map_err(failed)?;
        Ok(Underway { _file: file })
    }

    /// Who has it now; `None` if nobody, or if this user may not know.
    pub fn by(site: &Site) -> Option<Running> {
        let file = File::open(path(site)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read(&file),
            _ => None,
        }
    }
}

fn path(site: &Site) -> PathBuf {
    site.config.state.join("underway")
}

fn read(file: &File) -> Option<Running> {
    let mut bytes = vec![0; usize::try_from(file.metadata().ok()?.len()).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The site's owner installs as well as root does.
fn tell(site: &Site, file: &File, running: &Running) -> io::Result<()> {
    if accounts::runner() == 0 {
        let state = fs::metadata(&site.config.state)?;
        fchown(file, Some(state.uid()), Some(state.gid()))?;
    }
    file.set_len(0)?;
    file.write_all_at(serde_json::to_string(running)?.as_bytes(), 0)
}
