//! What a command that changes a tree must not touch, made read-only for it and for what it starts.
//!
//! Order: a mount namespace of one thread's own, private, so that nothing of this is seen outside;
//! then each place is bound on itself, from the highest to the lowest: read-only with all that is
//! mounted below it, or, within something read-only, writable as it was. What the thread then runs
//! has that namespace, which ends with the last process in it.
//!
//! Read-only are the lists' data with what their links lead to, the other tree, the state, and the
//! files that decide where mail goes.
//!
//! NO WALL AGAINST ROOT. A command that means to can unmount again. This keeps an install from doing what
//! it always does: Mailman's converts every list it sees.
//!
//! **Invariants.** Nothing outside of the thread is mounted or changed. What cannot be made
//! read-only is an error, and nothing is run.

#![expect(
    unsafe_code,
    reason = "std and rustix know neither of these two calls safely"
)]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};

use crate::admin::install::extent::{extent, resolved};
use crate::admin::install::links;
use crate::profiles::Profile;
use crate::queues::Queues;
use crate::site::Site;
use crate::store::Hold;
use crate::tree::Tree;

/// How one place is seen by the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    ReadOnly,
    AsItIs,
}

/// Places, without links in their paths, and how the command sees them.
#[derive(Debug)]
pub struct Fence {
    places: BTreeMap<PathBuf, Seen>,
    mark: PathBuf,
}

/// Why there is no fence, and so no command.
#[derive(Debug)]
pub struct NoFence {
    what: String,
    cause: io::Error,
}

impl fmt::Display for NoFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)?;
        if self.cause.raw_os_error() == Some(libc::ENOSYS) {
            f.write_str(" (Linux 5.12 and later have it)")?;
        }
        Ok(())
    }
}

impl std::error::Error for NoFence {}

impl Fence {
    /// Around everything: data, trees, state, and what decides where mail goes.
    pub fn around_all(site: &Site) -> Fence {
        Fence::of(site, None)
    }

    /// Around everything but one tree, with what is that tree's alone.
    pub fn but(site: &Site, tree: &Tree) -> Fence {
        Fence::of(site, Some(tree))
    }

    fn of(site: &Site, open: Option<&Tree>) -> Fence {
        let mut places = BTreeMap::new();
        let trees = &site.config.trees;
        let is_open = |tree: &Tree| open.is_some_and(|open| open.name == tree.name);
        // What is named later wins: read-only is stronger than open, for one and the same place.
        if let Some(open) = open {
            for place in own(site, open) {
                places.insert(resolved(&place), Seen::AsItIs);
            }
        }
        for tree in trees.iter().filter(|tree| !is_open(tree)) {
            let files = files(site, tree).into_iter();
            places.extend(files.map(|path| (path, Seen::ReadOnly)));
            let queues = queues(site, tree);
            places.extend(queues.map(|path| (resolved(&path), Seen::ReadOnly)));
        }
        let shared = trees
            .iter()
            .filter(|tree| !is_open(tree) || !has_own_data(site, tree));
        let own = open.map_or_else(Vec::new, |open| {
            let queues = queues(site, open).map(|path| resolved(&path));
            files(site, open).into_iter().chain(queues).collect()
        });
        for tree in shared {
            places.insert(resolved(&tree.data), Seen::ReadOnly);
            let led = links::out_of(site, tree, &own).into_iter();
            places.extend(led.map(|path| (path, Seen::ReadOnly)));
        }
        places.insert(resolved(&site.config.state), Seen::ReadOnly);
        places.extend(deciding(site).map(|path| (path, Seen::ReadOnly)));
        let mark = resolved(&Hold::path(site));
        if open.is_some() {
            // On itself, within the state: by this mount a process shows that it is behind the fence.
            places.insert(mark.clone(), Seen::ReadOnly);
        }
        places.retain(|path, _| path.exists());
        Fence { places, mark }
    }

    /// The file that a command holds, and on which there is a mount behind its fence.
    pub fn mark(&self) -> &Path {
        &self.mark
    }

    /// Does `act` on a thread of its own behind the fence: what it runs is behind it as well.
    ///
    /// # Errors
    /// The fence cannot be made; `act` is not done then.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, NoFence> {
        thread::scope(|scope| {
            let done = scope.spawn(|| {
                self.raise()?;
                Ok(act())
            });
            done.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn raise(&self) -> Result<(), NoFence> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |cause: io::Error| NoFence { what, cause }
        };
        // SAFETY: no memory; only this thread gets another namespace and working directory.
        let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        if done != 0 {
            let made = "cannot make a mount namespace";
            return Err(failed(made)(io::Error::last_os_error()));
        }
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private)
            .map_err(|error| failed("cannot keep mounts private")(error.into()))?;
        // Before anything covers them. The others may be many, and are read-only whatever covers them.
        let mut opened: BTreeMap<&Path, OwnedFd> = BTreeMap::new();
        let as_they_are = |(_, seen): &(&PathBuf, &Seen)| **seen == Seen::AsItIs;
        for (path, _) in self.places.iter().filter(as_they_are) {
            let what = format!("cannot open {path:?}");
            let fd = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| failed(&what)(error.into()))?;
            opened.insert(path, fd);
        }
        // In the order of paths a directory comes before what is in it.
        for (path, &seen) in &self.places {
            let what = format!("cannot bind {path:?}");
            let from = opened.get(path.as_path()).map_or_else(
                || path.clone(),
                |fd| PathBuf::from(format!("/proc/thread-self/fd/{}", fd.as_raw_fd())),
            );
            mount_bind_recursive(from, path).map_err(|error| failed(&what)(error.into()))?;
            if seen == Seen::ReadOnly {
                let what = format!("cannot make {path:?} read-only");
                read_only(path).map_err(failed(&what))?;
            }
        }
        Ok(())
    }
}

/// What decides where mail goes. A file on which something is mounted is not replaced, either.
fn deciding(site: &Site) -> impl Iterator<Item = PathBuf> {
    let config = &site.config;
    let maps = config.alias_files.iter().chain(&config.virtual_map);
    let profiles = config
        .trees
        .iter()
        .map(|tree| site.profile_file(&tree.profile));
    let files = maps
        .map(|path| resolved(path))
        .chain([resolved(&site.path)]);
    files.chain(profiles.map(|path| resolved(&path)))
}

/// What is a tree's alone: its root, its queues, its data.
fn own(site: &Site, tree: &Tree) -> Vec<PathBuf> {
    let mut own = vec![tree.root.clone()];
    own.extend(queues(site, tree).filter(|path| !is_anothers(site, tree, path)));
    own.extend(has_own_data(site, tree).then(|| tree.data.clone()));
    own
}

/// Its files; all of its root where it cannot be told what in there is its own.
fn files(site: &Site, tree: &Tree) -> Vec<PathBuf> {
    let profile = Profile::of(site, tree).ok();
    let known = profile.and_then(|profile| extent(&profile, tree).ok());
    known.unwrap_or_else(|| vec![resolved(&tree.root)])
}

fn queues(site: &Site, tree: &Tree) -> impl Iterator<Item = PathBuf> {
    let profile = Profile::of(site, tree).ok();
    let root = profile
        .as_ref()
        .and_then(|profile| Queues::of(profile, tree)?.root());
    root.into_iter()
}

fn is_anothers(site: &Site, tree: &Tree, path: &Path) -> bool {
    let others = site
        .config
        .trees
        .iter()
        .filter(|other| other.name != tree.name);
    others
        .flat_map(|other| queues(site, other))
        .any(|queues| resolved(&queues) == resolved(path))
}

/// Whether no other tree has its lists' data in there, or around it.
fn has_own_data(site: &Site, tree: &Tree) -> bool {
    let own = resolved(&tree.data);
    let others = site
        .config
        .trees
        .iter()
        .filter(|other| other.name != tree.name);
    let mut data = others.map(|other| resolved(&other.data));
    data.all(|other| !other.starts_with(&own) && !own.starts_with(&other))
}

/// mount_setattr(2): the mount at `path`, and every one below it.
fn read_only(path: &Path) -> io::Result<()> {
    /// `struct mount_attr` of linux/mount.h.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const RDONLY: u64 = 1;
    const RECURSIVE: libc::c_uint = 0x8000;
    let attributes = Attributes {
        set: RDONLY,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both outlive the call, and the size is that of what is pointed to.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            RECURSIVE,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The working directory by its path, which then leads behind the fence: the one that a process has
/// is the one before it.
pub fn working_directory() -> PathBuf {
    std::env::current_dir()
        .ok()
        .filter(|path| fs::metadata(path).is_ok())
        .unwrap_or_else(|| PathBuf::from("/"))
}
