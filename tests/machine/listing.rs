//! Every file of some places, with all that can be seen of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::rig::Machine;

/// What there is to be seen of a file, its access time apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    mode: u32,
    owner: (u32, u32),
    changed: (i64, i64),
    links: u64,
    what: What,
}

impl Seen {
    /// Whether it is the same but for the times of directories and links, and how many names a file
    /// has: these are different while names are changed beside it, or made anew.
    fn is_like(&self, other: &Seen) -> bool {
        let is_timed = matches!(self.what, What::Bytes(_));
        self.what == other.what
            && (self.mode, self.owner) == (other.mode, other.owner)
            && (!is_timed || self.changed == other.changed)
    }
}

#[derive(Clone, PartialEq, Eq)]
enum What {
    Directory,
    Link(PathBuf),
    Bytes(Vec<u8>),
    Other,
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Directory => f.write_str("directory"),
            What::Link(to) => write!(f, "link to {}", to.display()),
            What::Bytes(bytes) => write!(f, "{} bytes, hash {:016x}", bytes.len(), hash(bytes)),
            What::Other => f.write_str("neither"),
        }
    }
}

/// A listing, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Listing(pub(super) BTreeMap<PathBuf, Seen>);

impl Listing {
    /// What stands below these places of the machine, they themselves too.
    pub(crate) fn of(machine: &Machine, places: &[&str]) -> Listing {
        let mut listing = Listing::default();
        for place in places {
            listing.add(machine, Path::new(place));
        }
        listing
    }

    fn add(&mut self, machine: &Machine, path: &Path) {
        let outside = machine.path(path.to_str().unwrap());
        let Ok(meta) = fs::symlink_metadata(&outside) else {
            return;
        };
        let kind = meta.file_type();
        let what = if kind.is_dir() {
            for entry in fs::read_dir(&outside).unwrap() {
                self.add(machine, &path.join(entry.unwrap().file_name()));
            }
            What::Directory
        } else if kind.is_symlink() {
            What::Link(fs::read_link(&outside).unwrap())
        } else if kind.is_file() {
            What::Bytes(fs::read(&outside).unwrap())
        } else {
            assert!(kind.is_fifo() || kind.is_socket(), "{path:?}");
            What::Other
        };
        let seen = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            changed: (meta.mtime(), meta.mtime_nsec()),
            links: meta.nlink(),
            what,
        };
        self.0.insert(path.to_owned(), seen);
    }

    /// One number for all of it.
    pub(crate) fn hash(&self) -> u64 {
        hash(format!("{:?}", self.0).as_bytes())
    }

    /// The paths that are not as they were.
    pub(crate) fn differing(&self, after: &Listing) -> BTreeSet<PathBuf> {
        let paths = self.0.keys().chain(after.0.keys());
        let differing = paths.filter(|path| self.0.get(*path) != after.0.get(*path));
        differing.cloned().collect()
    }

    /// The same, and how.
    pub(crate) fn differences(&self, after: &Listing) -> Vec<String> {
        let told = self.differing(after).into_iter().map(|path| {
            let [old, new] = [self, after].map(|listing| listing.0.get(&path));
            format!("{}: {old:?}, then {new:?}", path.display())
        });
        told.collect()
    }

    /// What of it is at or below one of these places, or, with `is_in` false, what is not.
    pub(crate) fn part(&self, places: &[&str], is_in: bool) -> Listing {
        let is_below = |path: &Path| places.iter().any(|place| path.starts_with(place));
        let part = self.0.iter().filter(|(path, _)| is_below(path) == is_in);
        Listing(
            part.map(|(path, seen)| (path.clone(), seen.clone()))
                .collect(),
        )
    }

    /// The paths that are as neither of these has them; what is in neither is passed over.
    pub(crate) fn neither(&self, old: &Listing, new: &Listing) -> Vec<String> {
        let mut paths: Vec<&PathBuf> = old.0.keys().chain(new.0.keys()).collect();
        paths.sort();
        paths.dedup();
        let odd = paths.into_iter().filter_map(|path| {
            let [now, was, will] = [self, old, new].map(|listing| listing.0.get(path));
            let same = |one: Option<&Seen>| match (now, one) {
                (Some(now), Some(one)) => now.is_like(one),
                (now, one) => now.is_none() && one.is_none(),
            };
            // Two names are exchanged in one instant, and the link among them removed in the next.
            let is_link = now.is_some_and(|now| matches!(now.what, What::Link(_)));
            (!is_link && !same(was) && !same(will))
                .then(|| format!("{}: {was:?}, {will:?}, and now {now:?}", path.display()))
        });
        odd.collect()
    }

    /// The same with every path below `from` as one below `to`.
    pub(crate) fn moved(&self, from: &str, to: &str) -> Listing {
        let moved = self.0.iter().map(|(path, seen)| {
            let rest = path.strip_prefix(from);
            (
                rest.map_or_else(|_| path.clone(), |rest| Path::new(to).join(rest)),
                seen.clone(),
            )
        });
        Listing(moved.collect())
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
