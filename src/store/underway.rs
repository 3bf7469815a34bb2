//! The file `underway`: who runs a command in a tree, for as long as he lives.
//!
//! An install may take minutes, and nobody's way back waits for it: the writer's lock is not held
//! meanwhile. This one is, so that no second command runs in a tree, and no look at one is taken for
//! that at a finished release.
//!
//! THE COMMAND OUTLIVES HIM. Killed, he tells it to end, and it may not, or not at once. So it holds a
//! lock of its own, on the file `command`, through a descriptor that goes to all that it starts: nobody
//! judges a tree, or runs a command in one, while something of the last one still runs.
//!
//! | on disk | a second command | status |
//! |---|---|---|
//! | a line, and the lock held | is refused, and names who holds it | names him |
//! | a line, and only the command's lock held | is refused, and says what still runs | the same |
//! | a line, and no lock: he ended, or was killed | takes it over | says nothing of him |
//!
//! **Invariants.** The locks are the kernel's, and the line only says who has them. What is run gets
//! the second descriptor, and never the first.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

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
    /// Whether mm-parity has ended, and what it ran has not.
    #[serde(skip)]
    pub is_left: bool,
}

/// The right to run a command in a tree. Dropped, it is given up.
#[derive(Debug)]
pub struct Underway {
    _file: File,
}

/// The lock that a command has for as long as anything that it started lives.
#[derive(Debug)]
pub struct Hold {
    file: File,
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
        let Running { pid, command, .. } = self;
        let user = self.user.escape_debug();
        let tree = self.tree.escape_debug();
        let since = self.since.escape_debug();
        match self.is_left {
            false => write!(
                f,
                "user {user}, process {pid}, runs {command:?} in tree {tree} since {since}"
            ),
            true => write!(
                f,
                "what user {user} began in tree {tree} at {since} still runs, without process {pid}, \
                 which ran {command:?}"
            ),
        }
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
        let file = made(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Held::By(read(&file))),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let held = Hold::path(site);
        let unknown = |error| Held::Unknown(StoreError::File(held.clone(), error));
        let second = made(&held).map_err(unknown)?;
        give_to_owner(site, &second).map_err(unknown)?;
        if is_held(&second).map_err(unknown)? {
            return Err(Held::By(left(&file)));
        }
        let uid = accounts::runner();
        let user = Account::Number(uid).user();
        let running = Running {
            tree: tree.to_owned(),
            user: user.map_or_else(|_| uid.to_string(), |user| user.name),
            pid: std::process::id(),
            command: command.to_owned(),
            since: Timestamp::now().to_string(),
            is_left: false,
        };
        tell(site, &file, &running).map_err(failed)?;
        Ok(Underway { _file: file })
    }

    /// Who has it now; `None` if nobody, or if this user may not know.
    pub fn by(site: &Site) -> Option<Running> {
        let file = File::open(path(site)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => return read(&file),
            Err(TryLockError::Error(_)) => return None,
            Ok(()) => {}
        }
        let second = File::open(Hold::path(site)).ok()?;
        is_held(&second).ok()?.then(|| left(&file))?
    }
}

impl Hold {
    /// The file of that lock.
    pub fn path(site: &Site) -> PathBuf {
        site.config.state.join("command")
    }

    /// Takes the lock on the file at `path`, which `Underway::take` made.
    ///
    /// # Errors
    /// The file is not there, or cannot be locked.
    pub fn take(path: &Path) -> io::Result<Hold> {
        let file = File::open(path)?;
        // Who looks whether it is held has it for a moment.
        file.lock()?;
        Ok(Hold { file })
    }
}

impl AsFd for Hold {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Shared: two who look are not in each other's way.
fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The last one who ran a command.
fn left(file: &File) -> Option<Running> {
    let running = read(file)?;
    Some(Running {
        is_left: true,
        ..running
    })
}

fn made(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
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
fn give_to_owner(site: &Site, file: &File) -> io::Result<()> {
    if accounts::runner() == 0 {
        let state = fs::metadata(&site.config.state)?;
        fchown(file, Some(state.uid()), Some(state.gid()))?;
    }
    Ok(())
}

fn tell(site: &Site, file: &File, running: &Running) -> io::Result<()> {
    give_to_owner(site, file)?;
    file.set_len(0)?;
    file.write_all_at(serde_json::to_string(running)?.as_bytes(), 0)
}
