//! What a room's root directory shows: an allow list, on a file system in memory.
//!
//! ```text
//! SCRATCH/            ours, empty before; all below is seen by the calling thread alone
//!   root/             the room's root: /usr, /etc, /opt and the like read-only, a /dev of harmless devices
//!     …/tree, …/data  layers: what stands there below, what is written in memory on top
//!     tmp run var/tmp dev/shm   in memory, empty for each message
//!   veils/            in memory: what the system's own directories are seen through
//!   lower/N           what is below of each layer
//!   upper/            in memory: N/u has what was written to layer N since the last reset
//! ```
//!
//! **Invariants.** Nothing is mounted in anybody's sight but the calling thread's, and nothing outside of
//! `SCRATCH` is written to. What the room does not name is not there: no other list's data, no queue of
//! an MTA, no socket of a running service.

#![expect(unsafe_code, reason = "std and rustix know mount_setattr not at all")]

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, unmount,
};

/// What programs need of a system, besides what a room names.
const SYSTEM: [&str; 10] = [
    "bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr", "nix",
];
/// Devices that reach nothing.
const DEVICES: [&str; 5] = ["full", "null", "random", "urandom", "zero"];
/// Directories in memory, and their modes.
const IN_MEMORY: [(&str, u32); 4] = [
    ("tmp", 0o1777),
    ("var/tmp", 0o1777),
    ("run", 0o755),
    ("dev/shm", 0o1777),
];

/// So many files and directories may be made in each of them, and in the layers together.
const FILES: u64 = 200_000;

/// A directory on which what is written stays in memory.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Where it is in the room, from `/`.
    pub at: PathBuf,
    /// What is below: a directory that does not change meanwhile.
    pub lower: PathBuf,
}

/// A step that failed.
#[derive(Debug)]
pub struct MountError {
    what: String,
    cause: io::Error,
}

impl std::fmt::Display for MountError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for MountError {}

impl MountError {
    pub(super) fn new(what: impl Into<String>, cause: impl Into<io::Error>) -> MountError {
        MountError {
            what: what.into(),
            cause: cause.into(),
        }
    }
}

fn failed<E: Into<io::Error>>(what: String) -> impl FnOnce(E) -> MountError {
    move |error| MountError::new(what, error)
}

/// The directories of a room.
#[derive(Debug)]
pub(super) struct Mounts {
    scratch: PathBuf,
    layers: Vec<Layer>,
    /// Whether the layers are there.
    is_laid: bool,
    /// How many directories of the system's are shown.
    veils: usize,
    /// What is shown in a directory in memory: anew each time.
    late: Vec<PathBuf>,
    /// Directories that are shown, with all that is in them.
    shown: Vec<PathBuf>,
    size: u64,
}

impl Mounts {
    /// Makes them in the calling thread's own mount namespace, without layers: [`Mounts::reset`] adds
    /// those. `size`: bytes that may be written to the layers, and as many to /tmp and its like.
    ///
    /// # Errors
    /// The first step that failed.
    pub(super) fn make(
        scratch: &Path,
        mut layers: Vec<Layer>,
        seen: &[PathBuf],
        size: u64,
    ) -> Result<Mounts, MountError> {
        // From the highest to the lowest: one can be within the other.
        layers.sort_by(|a, b| a.at.cmp(&b.at));
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(failed("cannot keep mounts private".to_owned()))?;
        let mut mounts = Mounts {
            scratch: scratch.to_owned(),
            layers,
            is_laid: false,
            veils: 0,
            late: Vec::new(),
            shown: Vec::new(),
            size,
        };
        for name in ["root", "upper", "lower", "veils"] {
            make_directories(&scratch.join(name), 0o755)?;
        }
        mounts.in_memory(&mounts.root(), 16 << 20, 0o755)?;
        mounts.in_memory(&scratch.join("veils"), 16 << 20, 0o700)?;
        mounts.system()?;
        mounts.devices()?;
        for path in seen {
            let mut memory = IN_MEMORY.iter();
            match memory.any(|(name, _)| path.starts_with(Path::new("/").join(name))) {
                true => mounts.late.push(path.clone()),
                false => mounts.see(path)?,
            }
        }
        for (number, layer) in mounts.layers.iter().enumerate() {
            let below = scratch.join("lower").join(number.to_string());
            make_directories(&below, 0o700)?;
            bind(&layer.lower, &below)?;
            make_directories(&mounts.inside(&layer.at), 0o755)?;
        }
        for (name, mode) in IN_MEMORY {
            make_directories(&mounts.root().join(name), mode)?;
        }
        make_directories(&mounts.root().join("proc"), 0o555)?;
        read_only(&mounts.root(), false)?;
        Ok(mounts)
    }

    /// The room's root directory, as the calling thread sees it.
    pub(super) fn root(&self) -> PathBuf {
        self.scratch.join("root")
    }

    /// A path in the room, as the calling thread sees it.
    pub(super) fn inside(&self, path: &Path) -> PathBuf {
        self.root().join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What was written to the layer at `at` since the last reset, and what is below it.
    pub(super) fn written(&self, at: &Path) -> Option<(PathBuf, PathBuf)> {
        let number = self.layers.iter().position(|layer| layer.at == at)?;
        Some((
            self.upper(number).join("u"),
            self.layers[number].lower.clone(),
        ))
    }

    fn upper(&self, number: usize) -> PathBuf {
        self.scratch.join("upper").join(number.to_string())
    }

    /// Makes all as it was in the beginning. Nobody may be in the room.
    ///
    /// # Errors
    /// The first step that failed.
    pub(super) fn reset(&mut self) -> Result<(), MountError> {
        if self.is_laid {
            for layer in self.layers.iter().rev() {
                let _ = unmount(self.inside(&layer.at), UnmountFlags::DETACH);
            }
            for (name, _) in IN_MEMORY {
                let _ = unmount(self.root().join(name), UnmountFlags::DETACH);
            }
            // However much is in there, and however deep: nobody walks through it.
            let _ = unmount(self.scratch.join("upper"), UnmountFlags::DETACH);
        }
        self.is_laid = true;
        self.in_memory(&self.scratch.join("upper"), self.size, 0o700)?;
        for (name, mode) in IN_MEMORY {
            self.in_memory(&self.root().join(name), self.size / 4, mode)?;
        }
        for path in self.late.clone() {
            self.see(&path)?;
        }
        for number in 0..self.layers.len() {
            self.lay(number)?;
        }
        Ok(())
    }

    fn lay(&self, number: usize) -> Result<(), MountError> {
        let layer = &self.layers[number];
        make_directories(&self.upper(number).join("w"), 0o700)?;
        // The layer's own directory is seen as this one.
        let own = self.upper(number).join("u");
        make_directories(&own, 0o700)?;
        as_is(&layer.lower, &own)?;
        // In a directory in memory it is not there any more.
        make_directories(&self.inside(&layer.at), 0o755)?;
        let upper = format!("upper/{number}");
        let options = format!("lowerdir=lower/{number},upperdir={upper}/u,workdir={upper}/w");
        self.overlay(&self.inside(&layer.at), &options, MountFlags::empty())
    }

    fn in_memory(&self, at: &Path, size: u64, mode: u32) -> Result<(), MountError> {
        let options = format!("size={size},nr_inodes={FILES},mode={mode:o}");
        let what = format!("cannot mount memory at {at:?}");
        let options = CString::new(options).map_err(failed(what.clone()))?;
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        mount("memory", at, "tmpfs", flags, options.as_c_str()).map_err(failed(what))
    }

    /// The system's own directories, or links as they are.
    fn system(&mut self) -> Result<(), MountError> {
        for name in SYSTEM {
            let (from, to) = (Path::new("/").join(name), self.root().join(name));
            let Ok(meta) = fs::symlink_metadata(&from) else {
                continue;
            };
            let what = format!("cannot show {from:?}");
            if meta.is_symlink() {
                let target = fs::read_link(&from).map_err(failed(what.clone()))?;
                symlink(target, to).map_err(failed(what))?;
            } else if meta.is_dir() {
                self.see(&from)?;
            }
        }
        Ok(())
    }

    fn devices(&self) -> Result<(), MountError> {
        let dev = self.root().join("dev");
        make_directories(&dev, 0o755)?;
        for name in DEVICES {
            let (from, to) = (Path::new("/dev").join(name), dev.join(name));
            if !from.exists() {
                continue;
            }
            File::create(&to).map_err(failed(format!("cannot make {to:?}")))?;
            bind(&from, &to)?;
            // Its owner and mode are the host's.
            read_only(&to, true)?;
        }
        for (name, target) in [
            ("fd", ""),
            ("stdin", "/0"),
            ("stdout", "/1"),
            ("stderr", "/2"),
        ] {
            let link = dev.join(name);
            symlink(format!("/proc/self/fd{target}"), &link)
                .map_err(failed(format!("cannot make {link:?}")))?;
        }
        Ok(())
    }

    /// Shows a directory or file of the system's, read-only.
    ///
    /// A VEIL, NOT A WINDOW. A pipe or socket of a running service is reached through a read-only bind as
    /// well; seen through a layer it is nobody's. So every directory is a layer, and each that is mounted
    /// below it is one of its own.
    fn see(&mut self, path: &Path) -> Result<(), MountError> {
        let at = self.inside(path);
        if !path.exists() || self.shown.iter().any(|top| path.starts_with(top)) {
            return Ok(());
        }
        if path.is_dir() {
            if !self.late.iter().any(|late| late == path) {
                self.shown.push(path.to_owned());
            }
            for path in mounted_at_and_below(path)? {
                self.veil(&path)?;
            }
            return Ok(());
        }
        if !path.is_file() {
            let what = format!("cannot show {path:?}, which is neither a file nor a directory");
            return Err(MountError::new(what, io::ErrorKind::InvalidInput));
        }
        make_directories(at.parent().unwrap_or(&at), 0o755)?;
        File::create(&at).map_err(failed(format!("cannot make {at:?}")))?;
        bind(path, &at)?;
        read_only(&at, true)
    }

    fn veil(&mut self, path: &Path) -> Result<(), MountError> {
        let what = format!("cannot show {path:?}");
        let at = self.inside(path);
        if path.is_file() {
            // On which something is mounted; beneath, there is a file, too.
            bind(path, &at)?;
            return read_only(&at, true);
        }
        let number = self.veils;
        self.veils += 1;
        let own = format!("veils/{number}");
        for name in ["l", "u", "w"] {
            make_directories(&self.scratch.join(&own).join(name), 0o700)?;
        }
        make_directories(&at, 0o755)?;
        let lower = self.scratch.join(&own).join("l");
        mount_bind(path, &lower).map_err(failed(what.clone()))?;
        as_is(path, &self.scratch.join(&own).join("u"))?;
        let options = format!("lowerdir={own}/l,upperdir={own}/u,workdir={own}/w");
        self.overlay(&at, &options, MountFlags::RDONLY)
    }

    /// By names without a character that means something in options: from the scratch directory on.
    fn overlay(&self, at: &Path, options: &str, flags: MountFlags) -> Result<(), MountError> {
        let what = format!("cannot lay anything over {at:?}");
        std::env::set_current_dir(&self.scratch).map_err(failed(what.clone()))?;
        let options = CString::new(options).map_err(failed(what.clone()))?;
        let flags = flags | MountFlags::NODEV | MountFlags::NOATIME;
        mount("layer", at, "overlay", flags, options.as_c_str()).map_err(failed(what))
    }
}

/// Gives `own` the owner and mode of the directory `like`: it is seen in its place.
fn as_is(like: &Path, own: &Path) -> Result<(), MountError> {
    let what = format!("cannot look at {like:?}");
    let top = fs::metadata(like).map_err(failed(what.clone()))?;
    chown(own, Some(top.uid()), Some(top.gid())).map_err(failed(what.clone()))?;
    fs::set_permissions(own, top.permissions()).map_err(failed(what))
}

/// The directory, and those on which something is mounted below it, from the highest to the lowest.
fn mounted_at_and_below(path: &Path) -> Result<Vec<PathBuf>, MountError> {
    let what = format!("cannot tell what is mounted below {path:?}");
    let text = fs::read_to_string("/proc/thread-self/mountinfo").map_err(failed(what))?;
    let points = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescaped);
    let mut all: Vec<PathBuf> = points
        .filter(|point| {
            point.starts_with(path) && point != path && (point.is_dir() || point.is_file())
        })
        .collect();
    all.push(path.to_owned());
    all.sort();
    all.dedup();
    Ok(all)
}

/// A path of mountinfo: a blank, tab, line's end and backslash are three octal digits (proc(5)).
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let octal = behind
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn bind(from: &Path, to: &Path) -> Result<(), MountError> {
    mount_bind_recursive(from, to).map_err(failed(format!("cannot show {from:?}")))
}

/// All that is missing of `path`. What is there already, behind a mount, stays as it is.
fn make_directories(path: &Path, mode: u32) -> Result<(), MountError> {
    let what = format!("cannot make {path:?}");
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755);
    builder.create(path).map_err(failed(what.clone()))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, mode).map_err(failed(what))
}

/// mount_setattr(2): the mount at `path`, and with `all` every one below it, is read-only, and reading
/// leaves no time.
fn read_only(path: &Path, all: bool) -> Result<(), MountError> {
    /// `struct mount_attr` of linux/mount.h.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const RDONLY: u64 = 1;
    const ATIME: u64 = 0x70;
    const NOATIME: u64 = 0x10;
    const RECURSIVE: libc::c_uint = 0x8000;
    let attributes = Attributes {
        set: RDONLY | NOATIME,
        clear: ATIME,
        propagation: 0,
        user_namespace: 0,
    };
    let what = format!("cannot make {path:?} read-only");
    let name = CString::new(path.as_os_str().as_bytes()).map_err(failed(what.clone()))?;
    // A child that another thread has just forked still holds what it closes by its exec.
    for _ in 0..200 {
        // SAFETY: both outlive the call, and the size is that of what is pointed to.
        let done = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                libc::AT_FDCWD,
                name.as_ptr(),
                if all { RECURSIVE } else { 0 },
                &raw const attributes,
                size_of::<Attributes>(),
            )
        };
        match done {
            0 => return Ok(()),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            _ => return Err(MountError::new(what, io::Error::last_os_error())),
        }
    }
    Err(MountError::new(what, io::ErrorKind::ResourceBusy))
}

/// Names in a directory; none where there is none.
pub(super) fn names(path: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}
