//! A tree's files, for a manifest, and what of them has changed since one was made.
//!
//! A file whose size, times and inode are those of the manifest is not opened; one of which they are not
//! is read, and has changed if its bytes have. So a look costs next to nothing as long as nothing
//! happens, and a tree that was copied back from elsewhere is read once a look.
//!
//! **Invariants.** No link is followed, and no directory is left for another one that somebody puts in
//! its place. What the tree's own programs write, its lists' data and its queues are no part of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use sha2::{Digest, Sha256};

use crate::admin::change::Change;
use crate::admin::install::extent::{extent, resolved};
use crate::admin::outcome::{names, typed};
use crate::clock::Timestamp;
use crate::parity::{FutureState, Parity};
use crate::profiles::{Files, Profile};
use crate::queues::Queues;
use crate::screen::Progress;
use crate::site::Site;
use crate::store::{Head, Manifest, Row, What, Writer};
use crate::tree::Tree;

/// What differs from a manifest.
#[derive(Debug, Default)]
pub struct Changes {
    /// The paths that are other files now, are new, or are gone.
    pub paths: Vec<String>,
    /// What of them was written last, and when; `None` if all are gone.
    pub newest: Option<Timestamp>,
    /// Paths that this user may not read, and whose bytes may be others.
    pub unread: Vec<String>,
}

impl Changes {
    /// `214 files, newest at 2026-11-22T10:02:11Z: bin/version, …`.
    pub fn told(&self) -> String {
        let count = match self.paths.len() {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        };
        let newest = self
            .newest
            .map_or_else(String::new, |at| format!(", newest at {at}"));
        format!("{count}{newest}: {}", names(&self.paths))
    }
}

/// The manifest of `tree`, in which `release` is, as its files are now.
///
/// # Errors
/// One line: a file cannot be looked at or read.
pub fn of(site: &Site, tree: &Tree, release: &str) -> Result<Manifest, String> {
    let mut files = BTreeMap::new();
    let mut progress = Progress::of(format!("recording the files of tree {}", tree.name));
    Look::of(site, tree)?.each(&mut |place, path, mut row| {
        progress.counts(files.len());
        if row.what == What::File {
            row.sha256 = Some(place.hash()?);
        }
        files.insert(path, row);
        Ok(())
    })?;
    Ok(Manifest {
        head: Head {
            format: 1,
            tree: tree.name.clone(),
            release: release.to_owned(),
            when: Timestamp::now().to_string(),
        },
        files,
    })
}

/// What of `tree` is not as `manifest` has it.
///
/// # Errors
/// One line: a directory cannot be looked at.
pub fn changes(site: &Site, tree: &Tree, manifest: &Manifest) -> Result<Changes, String> {
    let mut changes = Changes::default();
    let mut gone: BTreeMap<&String, &Row> = manifest.files.iter().collect();
    let mut progress = Progress::of(format!("looking at the files of tree {}", tree.name));
    Look::of(site, tree)?.each(&mut |place, path, row| {
        progress.at(manifest.files.len() - gone.len(), manifest.files.len());
        let differs = match gone.remove(&path) {
            None => true,
            Some(was) if is_plainly_same(was, &row) => false,
            Some(was) if is_plainly_other(was, &row) => true,
            Some(was) => match place.hash() {
                Ok(hash) => was.sha256.as_ref() != Some(&hash),
                Err(_) => {
                    changes.unread.push(path.clone());
                    false
                }
            },
        };
        if differs {
            let written = (row.what != What::Directory).then_some(Timestamp(row.times[0]));
            changes.newest = changes.newest.max(written);
            changes.paths.push(path);
        }
        Ok(())
    })?;
    changes.paths.extend(gone.into_keys().cloned());
    changes.paths.sort();
    Ok(changes)
}

/// Whether nothing of a file can have changed: no byte is written without its times changing.
fn is_plainly_same(was: &Row, row: &Row) -> bool {
    let is_same = (was.what, was.mode, was.uid, was.gid, &was.target)
        == (row.what, row.mode, row.uid, row.gid, &row.target);
    // What is put into a directory, or taken out, is told by itself.
    let is_quiet = row.what != What::File
        || (was.size, was.times, was.inode) == (row.size, row.times, row.inode);
    is_same && is_quiet
}

/// Whether it is another file, whatever its bytes are.
fn is_plainly_other(was: &Row, row: &Row) -> bool {
    (was.what, was.mode, was.uid, was.gid) != (row.what, row.mode, row.uid, row.gid)
        || was.target != row.target
        || was.size != row.size
        || row.what != What::File
}

/// Keeps `manifest`; that it could not be is no reason to take anything back.
pub fn keep(change: &mut Change<'_>, manifest: Result<Manifest, String>, tree: &Tree) {
    let path = Manifest::path(change.site, &tree.name);
    let kept = manifest.and_then(|manifest| {
        let text = manifest.text().map_err(|error| error.to_string())?;
        let kept = change.keep_beside(&path, &text);
        kept.map_err(|error| error.to_string())
    });
    if let Err(error) = kept {
        change.fail_with(
            format!("the files of tree {} are not recorded: {error}", tree.name),
            None,
        );
    }
}

/// Keeps the first manifests of a new site: of the current tree, and of a future one that is
/// ready. What is not kept is told, and refuses nothing: `verify` keeps it later.
pub fn first(site: &Site, parity: &Parity) -> Vec<String> {
    let roles = &parity.roles;
    let config = &site.config;
    let current = config.tree(&roles.current);
    let current = current.map(|tree| (tree, &roles.current_release));
    let is_ready = roles.future_state == FutureState::Ready;
    let future = config.other_tree(&roles.current).filter(|_| is_ready);
    let future = future.map(|tree| (tree, &roles.future_release));
    // Without the lock, as all that takes its time.
    let trees = current.into_iter().chain(future);
    let manifests: Vec<_> = trees
        .map(|(tree, release)| (tree, of(site, tree, release)))
        .collect();
    let writer = Writer::take(site, "init").map_err(|error| error.to_string());
    let kept = manifests.into_iter().map(|(tree, manifest)| {
        let text = manifest?.text().map_err(|error| error.to_string())?;
        let writer = writer.as_ref().map_err(Clone::clone)?;
        let kept = writer.replace_beside(&Manifest::path(site, &tree.name), &text, 0o644);
        kept.map_err(|error| error.to_string())
    });
    let failed: Vec<String> = kept.filter_map(Result::err).collect();
    let told = |error: &String| {
        format!(
            "files are not recorded, and check cannot tell what changes in them: {error}; once that is \
             mended: {}",
            typed(site, "verify")
        )
    };
    failed.iter().map(told).collect()
}

/// A tree under a look.
struct Look<'a> {
    tree: &'a Tree,
    profile: Profile,
    /// Its files begin here.
    places: Vec<PathBuf>,
    /// What below them is not the tree's.
    others: Vec<PathBuf>,
}

/// One name in a directory that is held open.
struct Place<'a> {
    directory: &'a OwnedFd,
    name: &'a OsString,
    path: &'a Path,
}

type Each<'e> = &'e mut dyn FnMut(&Place<'_>, String, Row) -> Result<(), String>;

impl<'a> Look<'a> {
    fn of(site: &Site, tree: &'a Tree) -> Result<Look<'a>, String> {
        let profile = Profile::of(site, tree).map_err(|error| error.to_string())?;
        let places = extent(&profile, tree)?;
        let mut others = vec![resolved(&tree.data), resolved(&site.config.state)];
        others.extend(
            Queues::of(&profile, tree)
                .and_then(|queues| queues.root())
                .map(|path| resolved(&path)),
        );
        let more = site
            .config
            .trees
            .iter()
            .filter(|other| other.name != tree.name);
        others.extend(more.flat_map(|other| [resolved(&other.root), resolved(&other.data)]));
        // One that is around the tree takes nothing from it.
        others.retain(|other| !places.iter().any(|place| place.starts_with(other)));
        Ok(Look {
            tree,
            profile,
            places,
            others,
        })
    }

    fn each(&self, each: Each<'_>) -> Result<(), String> {
        for place in &self.places {
            let holder = place.parent().unwrap_or(place);
            let name = place.file_name().unwrap_or_default().to_owned();
            let directory = open(CWD, holder).map_err(|error| self.failed(holder, error))?;
            self.one(&directory, &name, place, each)?;
        }
        Ok(())
    }

    fn one(
        &self,
        directory: &OwnedFd,
        name: &OsString,
        path: &Path,
        each: Each<'_>,
    ) -> Result<(), String> {
        let files: &Files = self.profile.files();
        let root = self.places.first().filter(|_| self.places.len() == 1);
        let below = match root {
            Some(root) => path.strip_prefix(root).unwrap_or(path),
            None => path,
        };
        if files.changes(below) || self.others.iter().any(|other| other == path) {
            return Ok(());
        }
        let failed = |error| self.failed(path, error);
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            // It went as we looked.
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            stat => stat.map_err(|error| failed(error.into()))?,
        };
        let mut row = row(&stat);
        if row.what == What::Link {
            let target = readlinkat(directory, name, Vec::new());
            let target = target.map_err(|error| failed(error.into()))?;
            row.target = Some(target.as_bytes().escape_ascii().to_string());
        }
        let is_directory = row.what == What::Directory;
        let place = Place {
            directory,
            name,
            path,
        };
        each(
            &place,
            below.as_os_str().as_bytes().escape_ascii().to_string(),
            row,
        )?;
        if !is_directory {
            return Ok(());
        }
        let inner = open(directory, Path::new(name)).map_err(failed)?;
        for name in list(&inner).map_err(failed)? {
            self.one(&inner, &name, &path.join(&name), each)?;
        }
        Ok(())
    }

    fn failed(&self, path: &Path, error: io::Error) -> String {
        format!("tree {}: {path:?}: {error}", self.tree.name)
    }
}

impl Place<'_> {
    fn hash(&self) -> Result<String, String> {
        let failed = |error: io::Error| format!("{:?}: {error}", self.path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(self.directory, self.name, flags, Mode::empty());
        let mut file = File::from(file.map_err(|error| failed(error.into()))?);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        let mut digits = String::new();
        for byte in hasher.finalize() {
            let _ = write!(digits, "{byte:02x}");
        }
        Ok(digits)
    }
}

fn open(directory: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(directory, path, flags, Mode::empty())?)
}

fn list(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

fn row(stat: &Stat) -> Row {
    let seconds = |value| i64::try_from(value).unwrap_or(i64::MAX);
    Row {
        what: match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => What::File,
            FileType::Directory => What::Directory,
            FileType::Symlink => What::Link,
            _ => What::Other,
        },
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        times: [
            stat.st_mtime,
            seconds(stat.st_mtime_nsec),
            stat.st_ctime,
            seconds(stat.st_ctime_nsec),
        ],
        inode: stat.st_ino,
        sha256: None,
        target: None,
    }
}
