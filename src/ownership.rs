//! Who could change a file that decides what is executed? Checked as sudo checks sudoers.
//!
//! The path is walked from `/`, every link by hand: each directory on the way could swap
//! what stands in it, so each is judged. A directory that others may write is tolerated
//! only above the file's own, and only if it is sticky and root's, like /tmp; what
//! stands in it must then belong to somebody trusted, which is asked of everything anyway.
//!
//! **Invariants.** Looks, never opens; nothing is judged by its name.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::accounts::Account;

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The permission bit that lets a group write.
pub const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Who may own and write what decides: root, the user who runs us, and whom site.toml names.
#[derive(Debug)]
pub struct Trusted<'a> {
    /// The effective user id of this process.
    pub runner: u32,
    /// site.toml's `owner`.
    pub owner: Option<&'a Account>,
    /// site.toml's `group`, whose write permission is tolerated.
    pub group: Option<&'a Account>,
}

/// What stands at a path that may be relied on.
#[derive(Debug)]
pub struct Checked {
    /// The file, links followed.
    pub file: Metadata,
    /// The directory that holds it.
    pub holder: Metadata,
}

/// What a path leads to: not judged yet.
struct End {
    above: PathBuf,
    holder: Metadata,
    path: PathBuf,
    meta: Metadata,
}

/// Why a path is not to be relied on.
#[derive(Debug)]
pub struct Unsafe {
    /// The file or directory that is at fault; it may be one above the file asked about.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a file that decides, or a directory above it.
#[derive(Debug)]
pub enum Fault {
    /// It cannot be looked at.
    Stat(io::Error),
    /// The path does not begin with `/`.
    Relative,
    /// Links lead on and on.
    Links,
    /// A directory was expected.
    NotDirectory,
    /// A plain file was expected.
    NotFile,
    /// It belongs to this user id.
    Owner(u32),
    /// This group may write it.
    Group(u32),
    /// Everybody may write it.
    Everybody,
}

impl Trusted<'_> {
    /// Judges `path`, which must be a plain file, and every directory that leads to it.
    ///
    /// Directories at or below `strict`, and the one that holds the file, get no
    /// tolerance for the sticky bit.
    ///
    /// # Errors
    /// The first path at fault.
    pub fn check(&self, path: &Path, strict: Option<&Path>) -> Result<Checked, Unsafe> {
        let end = self.walk(path, strict)?;
        self.judge(&end.above, &end.holder, false)?;
        let file = self.file(&end.path, end.meta)?;
        Ok(Checked {
            file,
            holder: end.holder,
        })
    }

    /// The same for a directory.
    ///
    /// # Errors
    /// The first path at fault.
    pub fn check_directory(&self, path: &Path) -> Result<Metadata, Unsafe> {
        let end = self.walk(path, None)?;
        self.judge(&end.above, &end.holder, false)?;
        self.judge_directory(&end.path, &end.meta, false)?;
        Ok(end.meta)
    }

    /// Judges every directory that leads to `path`.
    fn walk(&self, path: &Path, strict: Option<&Path>) -> Result<End, Unsafe> {
        if !path.is_absolute() {
            return Err(fault(path, Fault::Relative));
        }
        let mut at = PathBuf::from("/");
        let mut holder = self.directory(&at)?;
        let mut rest = parts(path);
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                at.pop();
                holder = self.directory(&at)?;
                continue;
            }
            let next = at.join(&part);
            let meta = fs::symlink_metadata(&next).map_err(|e| fault(&next, Fault::Stat(e)))?;
            if meta.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Err(fault(path, Fault::Links));
                }
                self.owner(&next, &meta)?;
                let target = fs::read_link(&next).map_err(|e| fault(&next, Fault::Stat(e)))?;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                    holder = self.directory(&at)?;
                }
                for part in parts(&target).into_iter().rev() {
                    rest.push_front(part);
                }
                continue;
            }
            if rest.is_empty() {
                return Ok(End {
                    above: at,
                    holder,
                    path: next,
                    meta,
                });
            }
            let within = strict.is_some_and(|strict| next.starts_with(strict));
            self.judge_directory(&next, &meta, !within)?;
            holder = meta;
            at = next;
        }
        Err(fault(path, Fault::NotFile))
    }

    fn directory(&self, path: &Path) -> Result<Metadata, Unsafe> {
        let meta = fs::symlink_metadata(path).map_err(|e| fault(path, Fault::Stat(e)))?;
        self.judge_directory(path, &meta, true)?;
        Ok(meta)
    }

    fn judge_directory(&self, path: &Path, meta: &Metadata, lenient: bool) -> Result<(), Unsafe> {
        if !meta.is_dir() {
            return Err(fault(path, Fault::NotDirectory));
        }
        self.judge(path, meta, lenient)
    }

    fn file(&self, path: &Path, meta: Metadata) -> Result<Metadata, Unsafe> {
        if !meta.is_file() {
            return Err(fault(path, Fault::NotFile));
        }
        self.judge(path, &meta, false)?;
        Ok(meta)
    }

    fn judge(&self, path: &Path, meta: &Metadata, lenient: bool) -> Result<(), Unsafe> {
        self.owner(path, meta)?;
        let mode = meta.mode();
        if lenient && mode & STICKY != 0 && meta.uid() == 0 {
            return Ok(());
        }
        if mode & OTHERS_WRITE != 0 {
            return Err(fault(path, Fault::Everybody));
        }
        // The group's name is looked up only here: most files never ask for it.
        let tolerated = |gid| {
            self.group
                .is_some_and(|group| group.gid().is_ok_and(|own| own == gid))
        };
        if mode & GROUP_WRITES != 0 && !tolerated(meta.gid()) {
            return Err(fault(path, Fault::Group(meta.gid())));
        }
        Ok(())
    }

    fn owner(&self, path: &Path, meta: &Metadata) -> Result<(), Unsafe> {
        let uid = meta.uid();
        let named = || {
            self.owner
                .is_some_and(|owner| owner.uid().is_ok_and(|own| own == uid))
        };
        if uid == 0 || uid == self.runner || named() {
            return Ok(());
        }
        Err(fault(path, Fault::Owner(uid)))
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

fn fault(path: &Path, fault: Fault) -> Unsafe {
    Unsafe {
        path: path.to_owned(),
        fault,
    }
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.path)?;
        match &self.fault {
            Fault::Stat(error) => write!(f, "{error}"),
            Fault::Relative => f.write_str("it does not begin with /"),
            Fault::Links => f.write_str("too many symbolic links"),
            Fault::NotDirectory => f.write_str("it is not a directory"),
            Fault::NotFile => f.write_str("it is not a plain file"),
            Fault::Owner(uid) => write!(f, "it belongs to user {uid}, who is not trusted with it"),
            Fault::Group(gid) => write!(f, "group {gid} may write it"),
            Fault::Everybody => f.write_str("everybody may write it"),
        }
    }
}

impl std::error::Error for Unsafe {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Stat(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory of our own that nobody else can write, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let path = std::env::temp_dir().join(format!("mm-own-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            mode(&path, 0o700);
            fs::create_dir(path.join("d")).unwrap();
            mode(&path.join("d"), 0o755);
            fs::write(path.join("d/f"), "x").unwrap();
            mode(&path.join("d/f"), 0o644);
            Place(path.canonicalize().unwrap())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn check(path: &Path) -> Result<(), Fault> {
        let runner = fs::metadata("/proc/self").unwrap().uid();
        let trusted = Trusted {
            runner,
            owner: None,
            group: None,
        };
        trusted.check(path, None).map(drop).map_err(|e| e.fault)
    }

    #[test]
    fn a_plain_file_in_a_plain_directory_is_trusted() {
        let place = Place::new("plain");
        assert!(check(&place.0.join("d/f")).is_ok());
    }

    #[test]
    fn a_directory_is_judged_as_a_file_is() {
        let place = Place::new("directory");
        let runner = fs::metadata("/proc/self").unwrap().uid();
        let trusted = Trusted {
            runner,
            owner: None,
            group: None,
        };
        let check = |name: &str| trusted.check_directory(&place.0.join(name));
        let fault = |name: &str| check(name).map(drop).map_err(|e| e.fault);
        assert!(check("d").is_ok_and(|meta| meta.is_dir()));
        assert!(matches!(fault("d/f"), Err(Fault::NotDirectory)));
        mode(&place.0.join("d"), 0o775);
        assert!(matches!(fault("d"), Err(Fault::Group(_))));
        mode(&place.0.join("d"), 0o755);
        mode(&place.0, 0o1777);
        assert!(matches!(fault("d"), Err(Fault::Everybody)));
    }

    #[test]
    fn what_others_could_change_is_not_trusted() {
        let place = Place::new("modes");
        let file = place.0.join("d/f");
        mode(&file, 0o664);
        assert!(matches!(check(&file), Err(Fault::Group(_))));
        mode(&file, 0o646);
        assert!(matches!(check(&file), Err(Fault::Everybody)));
        mode(&file, 0o644);
        mode(&place.0.join("d"), 0o1777);
        assert!(matches!(check(&file), Err(Fault::Everybody)));
    }

    #[test]
    fn the_group_that_is_named_may_write() {
        let place = Place::new("group");
        let file = place.0.join("d/f");
        mode(&file, 0o664);
        let meta = fs::metadata(&file).unwrap();
        let group = Account::Number(meta.gid());
        let trusted = Trusted {
            runner: meta.uid(),
            owner: None,
            group: Some(&group),
        };
        assert!(trusted.check(&file, None).is_ok());
    }

    #[test]
    fn a_link_is_followed_and_what_it_passes_is_judged() {
        let place = Place::new("link");
        fs::create_dir(place.0.join("open")).unwrap();
        symlink("../d/f", place.0.join("open/link")).unwrap();
        mode(&place.0.join("open"), 0o777);
        assert!(matches!(
            check(&place.0.join("open/link")),
            Err(Fault::Everybody)
        ));
        mode(&place.0.join("open"), 0o755);
        assert!(check(&place.0.join("open/link")).is_ok());
        symlink("loop", place.0.join("loop")).unwrap();
        assert!(matches!(check(&place.0.join("loop")), Err(Fault::Links)));
    }

    #[test]
    fn a_link_of_somebody_else_is_not_trusted() {
        let place = Place::new("links-owner");
        symlink("d/f", place.0.join("link")).unwrap();
        assert!(check(&place.0.join("link")).is_ok());
        // Only root can give a link away.
        if std::os::unix::fs::lchown(place.0.join("link"), Some(4_000), None).is_ok() {
            assert!(matches!(
                check(&place.0.join("link")),
                Err(Fault::Owner(4_000))
            ));
        }
    }

    #[test]
    fn directories_and_relative_paths_are_refused() {
        let place = Place::new("kind");
        assert!(matches!(check(&place.0.join("d")), Err(Fault::NotFile)));
        assert!(matches!(check(Path::new("d/f")), Err(Fault::Relative)));
        assert!(matches!(
            check(&place.0.join("d/f/g")),
            Err(Fault::Stat(_) | Fault::NotDirectory)
        ));
        assert!(matches!(check(&place.0.join("none")), Err(Fault::Stat(_))));
    }
}
