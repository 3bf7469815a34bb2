//! What a message left behind in a layer: which files are made, changed or gone.
//!
//! Read from what was written, not from all that is there: of overlayfs, a device 0:0 stands for what
//! is gone, and an attribute of a directory says that nothing below it is seen.
//!
//! **Invariants.** Follows no link: programs of the room made these names. Reads files of equal size
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::mounts::names;
use crate::rehearsal::outcome::{Change, Happened};

/// No list's data are deeper; what somebody makes to lead us astray is.
const DEEPEST: usize = 64;

/// By what one sees that a file was written since: inode, size, and both times.
type Stamp = (u64, u64, (i64, i64), (i64, i64));

/// What was written to a layer so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Written(BTreeMap<PathBuf, (Happened, Stamp)>);

impl Written {
    /// What there is now in `upper`, on top of `lower`.
    pub(super) fn look(upper: &Path, lower: &Path) -> Written {
        let mut written = Written::default();
        written.walk(upper, lower, Path::new(""));
        written
    }

    /// What of it was not so `before`. Paths begin with `prefix`.
    pub(super) fn since(&self, before: &Written, prefix: &Path) -> Vec<Change> {
        let all: BTreeSet<&PathBuf> = self.0.keys().chain(before.0.keys()).collect();
        let changed = all.into_iter().filter_map(|path| {
            let happened = match (before.0.get(path), self.0.get(path)) {
                (None, Some((happened, _))) => *happened,
                (Some((Happened::Gone, _)), Some((Happened::Changed, _))) => Happened::Made,
                (Some((_, old)), Some((happened, new))) if old != new => match happened {
                    Happened::Made => Happened::Changed,
                    other => *other,
                },
                // It was made and is gone; or what was below is seen again.
                (Some((Happened::Made, _)), None) => Happened::Gone,
                (Some(_), None) => Happened::Changed,
                _ => return None,
            };
            Some(Change {
                path: prefix.join(path).to_string_lossy().into_owned(),
                happened,
            })
        });
        changed.collect()
    }

    fn walk(&mut self, upper: &Path, lower: &Path, below: &Path) {
        if below.components().count() > DEEPEST {
            return;
        }
        for name in names(&upper.join(below)) {
            let path = below.join(&name);
            let (above, under) = (upper.join(&path), lower.join(&path));
            let Ok(meta) = fs::symlink_metadata(&above) else {
                continue;
            };
            let was = fs::symlink_metadata(&under).ok();
            if is_whiteout(&meta) {
                self.gone(lower, &path, was);
            } else if meta.is_dir() {
                if is_opaque(&above) && was.as_ref().is_some_and(Metadata::is_dir) {
                    for name in names(&under) {
                        if fs::symlink_metadata(above.join(&name)).is_err() {
                            let was = fs::symlink_metadata(under.join(&name)).ok();
                            self.gone(lower, &path.join(name), was);
                        }
                    }
                }
                self.walk(upper, lower, &path);
            } else {
                match was {
                    None => self.add(path, Happened::Made, &meta),
                    Some(was) if is_same((&above, &meta), (&under, &was)) => {}
                    Some(_) => self.add(path, Happened::Changed, &meta),
                }
            }
        }
    }

    /// All the files that `path` was.
    fn gone(&mut self, lower: &Path, path: &Path, was: Option<Metadata>) {
        match was {
            None => {}
            Some(was) if was.is_dir() => {
                for name in names(&lower.join(path)) {
                    let path = path.join(name);
                    let was = fs::symlink_metadata(lower.join(&path)).ok();
                    self.gone(lower, &path, was);
                }
            }
            Some(was) => self.add(path.to_owned(), Happened::Gone, &was),
        }
    }

    fn add(&mut self, path: PathBuf, happened: Happened, meta: &Metadata) {
        let stamp = (
            meta.ino(),
            meta.size(),
            (meta.mtime(), meta.mtime_nsec()),
            (meta.ctime(), meta.ctime_nsec()),
        );
        self.0.insert(path, (happened, stamp));
    }
}

fn is_whiteout(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn is_opaque(path: &Path) -> bool {
    let mut value = [0_u8; 2];
    let read = rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value);
    read.is_ok_and(|length| value.get(..length) == Some(b"y"))
}

/// Whether both have the same bytes.
fn is_same(one: (&Path, &Metadata), other: (&Path, &Metadata)) -> bool {
    if one.1.file_type() != other.1.file_type() || one.1.len() != other.1.len() {
        return false;
    }
    if one.1.is_symlink() {
        return fs::read_link(one.0).ok() == fs::read_link(other.0).ok();
    }
    let (Ok(mut one), Ok(mut other)) = (open(one.0), open(other.0)) else {
        return false;
    };
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        match (fill(&mut one, &mut left), fill(&mut other, &mut right)) {
            (Some(0), Some(0)) => return true,
            (Some(a), Some(b)) if left[..a] == right[..b] => {}
            _ => return false,
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]).ok()? {
            0 => break,
            more => length += more,
        }
    }
    Some(length)
}

/// A plain file alone, and without a link: no pipe of the room's holds us up.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

/// How many names in `directory` are meant by `is_name`.
pub(super) fn count(directory: &Path, is_name: &dyn Fn(&OsStr) -> bool) -> u64 {
    names(directory).iter().filter(|name| is_name(name)).count() as u64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_was_written_is_told_once_and_what_has_the_same_bytes_not_at_all() {
        let scratch = std::env::temp_dir().join(format!("mm-changes-{}", std::process::id()));
        let (upper, lower) = (scratch.join("u"), scratch.join("l"));
        for top in [&upper, &lower] {
            fs::create_dir_all(top.join("list")).unwrap();
        }
        fs::write(lower.join("list/same"), "1").unwrap();
        fs::write(upper.join("list/same"), "1").unwrap();
        fs::write(lower.join("list/changed"), "1").unwrap();
        fs::write(upper.join("list/changed"), "2").unwrap();
        fs::write(upper.join("list/made"), "3").unwrap();
        let first = Written::look(&upper, &lower);
        let told = |changes: Vec<Change>| -> Vec<String> {
            let told = changes.into_iter();
            told.map(|change| format!("{:?} {}", change.happened, change.path))
                .collect()
        };
        let all = first.since(&Written::default(), Path::new("lists"));
        assert_eq!(
            told(all),
            ["Changed lists/list/changed", "Made lists/list/made"]
        );
        fs::remove_file(upper.join("list/made")).unwrap();
        fs::write(upper.join("list/changed"), "longer").unwrap();
        let second = Written::look(&upper, &lower);
        let later = second.since(&first, Path::new(""));
        assert_eq!(told(later), ["Changed list/changed", "Gone list/made"]);
        assert!(second.since(&second, Path::new("")).is_empty());
        fs::remove_dir_all(scratch).unwrap();
    }
}
