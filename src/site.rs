//! A site, opened for reading: which tree serves this list?
//!
//! site.toml, then the profile of the tree, then parity.toml; each is a plain file of bounded
//! size that only trusted users can change (`ownership`).
//!
//! **Invariants.** Never writes. Never falls back: what cannot be read is an error, and an
//! error makes mail wait.

use std::borrow::Cow;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::accounts;
use crate::config::{BadConfig, Config};
use crate::endpoint::Endpoint;
use crate::list::{BadName, ListName, Verb};
use crate::ownership::{self, Fault, GROUP_WRITES, Trusted, Unsafe};
use crate::parity::{FutureState, Role};
use crate::position::Position;
use crate::profile::{Routing, Way};
use crate::state::{self, Standing, StateError};
use crate::tree::Tree;

/// Where site.toml stands unless `--site` says otherwise. A constant: no environment
/// variable can move it.
pub const DEFAULT_SITE: &str = "/etc/mm-deliver/site.toml";
/// The largest site.toml or profile, in bytes.
const LARGEST: u64 = 64 * 1024;

/// How often a file that is replaced at this very moment is opened anew.
const ATTEMPTS: usize = 10;

/// An opened site.
#[derive(Debug)]
pub struct Site {
    /// The path of site.toml, from `/`.
    pub path: PathBuf,
    /// What it says.
    pub config: Config,
    runner: u32,
}

/// Where a list's mail goes, and why.
#[derive(Debug)]
pub struct Placement<'a> {
    /// The tree that serves the list.
    pub tree: &'a Tree,
    /// The part that it plays.
    pub role: Role,
    /// The release in it.
    pub release: String,
    /// Whether its programs run under mm-guard.
    pub guarded: bool,
    /// What parity.toml says about the list.
    pub standing: Standing,
}

impl<'a> Placement<'a> {
    /// Puts the list on this tree, whatever parity.toml says.
    pub fn suppose(&mut self, tree: &'a Tree) {
        let roles = &self.standing.roles;
        self.guarded = roles.guarded.contains(&tree.name);
        (self.role, self.release) = if tree.name == roles.current {
            (Role::Current, roles.current_release.clone())
        } else {
            (Role::Future, roles.future_release.clone())
        };
        self.tree = tree;
    }
}

/// Why a site cannot say where mail goes.
#[derive(Debug)]
pub enum SiteError {
    /// A file cannot be opened or read.
    Read(PathBuf, io::Error),
    /// A file is larger than any sound one, in bytes.
    Size(PathBuf, u64),
    /// Somebody who is not trusted could change the file.
    Unsafe(PathBuf, Unsafe),
    /// The file is being replaced at this moment.
    Swapped(PathBuf),
    /// site.toml does not say what it must.
    Config(PathBuf, BadConfig),
    /// There is no such profile, neither shipped nor of the admin's own.
    NoProfile(String, PathBuf),
    /// A profile does not say what it must.
    Profile(PathBuf, Option<Position>, String),
    /// site.toml says nothing under this key of the tree, and its profile asks for it.
    Lacks(PathBuf, String, &'static str),
    /// parity.toml does not say what it must.
    State(PathBuf, StateError),
    /// parity.toml names a tree that site.toml has not.
    UnknownTree(PathBuf, String),
    /// The list is on the future tree, which is in no state to serve.
    FutureNot(PathBuf, FutureState),
    /// The list is on the future tree, and site.toml has one tree only.
    NoFuture(PathBuf),
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SiteError::Read(path, error) => write!(f, "cannot read {path:?}: {error}"),
            SiteError::Size(path, size) => {
                write!(
                    f,
                    "cannot use {path:?}: it has {size} bytes, more than {LARGEST}"
                )
            }
            SiteError::Unsafe(path, fault) if *path == fault.path => {
                write!(f, "cannot trust {fault}")
            }
            SiteError::Unsafe(path, fault) => write!(f, "cannot trust {path:?}: {fault}"),
            SiteError::Swapped(path) => write!(f, "cannot use {path:?}: it is being replaced"),
            SiteError::Config(path, bad) => write!(f, "{}:{bad}", path.display()),
            SiteError::NoProfile(name, path) => {
                write!(
                    f,
                    "no profile {name:?}: it is not shipped, and {path:?} does not exist"
                )
            }
            SiteError::Profile(path, Some(at), what) => {
                write!(f, "{}:{at}: {what}", path.display())
            }
            SiteError::Profile(path, None, what) => write!(f, "{}: {what}", path.display()),
            SiteError::Lacks(path, tree, key) => write!(
                f,
                "{}: tree {tree:?} has no `{key}`, and its profile asks for it",
                path.display()
            ),
            SiteError::State(path, StateError::Read(error)) => {
                write!(f, "cannot read {path:?}: {error}")
            }
            SiteError::State(path, StateError::Changing) => {
                write!(
                    f,
                    "cannot read {path:?}: it is being changed at this moment"
                )
            }
            SiteError::State(path, error) => write!(f, "{}:{error}", path.display()),
            SiteError::UnknownTree(path, name) => {
                write!(f, "{}: site.toml has no tree {name:?}", path.display())
            }
            SiteError::FutureNot(path, state) => {
                write!(
                    f,
                    "{}: the list is on the future tree, which is {state}",
                    path.display()
                )
            }
            SiteError::NoFuture(path) => {
                write!(
                    f,
                    "{}: the list is on the future tree, and site.toml has one tree",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for SiteError {}

impl Site {
    /// Opens the site that `path` describes.
    ///
    /// site.toml itself must belong to root or to the user who runs us, and no group may
    /// write it: it is what names the `owner` and the `group`.
    ///
    /// # Errors
    /// [`SiteError`], with the file at fault.
    pub fn open(path: &Path) -> Result<Site, SiteError> {
        let whole = std::path::absolute(path);
        let path = whole.map_err(|error| SiteError::Read(path.to_owned(), error))?;
        steadily(|| Site::open_once(&path))
    }

    fn open_once(path: &Path) -> Result<Site, SiteError> {
        let (file, bytes) = read_bounded(path)?;
        let text = utf8(path, &bytes)?;
        let config = Config::parse(text).map_err(|bad| SiteError::Config(path.to_owned(), bad))?;
        let runner = accounts::runner();
        let trusted = Trusted {
            runner,
            owner: None,
            group: config.group.as_ref(),
        };
        let checked = check(path, &trusted, &file)?;
        for meta in [&checked.file, &checked.holder] {
            if meta.mode() & GROUP_WRITES != 0 {
                let fault = Unsafe {
                    path: path.to_owned(),
                    fault: Fault::Group(meta.gid()),
                };
                return Err(SiteError::Unsafe(path.to_owned(), fault));
            }
        }
        Ok(Site {
            path: path.to_owned(),
            config,
            runner,
        })
    }

    /// A site whose site.toml is not written yet.
    #[cfg(feature = "admin")]
    pub fn draft(path: &Path, config: Config) -> Site {
        Site {
            path: path.to_owned(),
            config,
            runner: accounts::runner(),
        }
    }

    /// The text of site.toml as it is now, for what deliveries pass over in it.
    ///
    /// # Errors
    /// As [`Site::open`].
    pub fn text(&self) -> Result<String, SiteError> {
        steadily(|| {
            let (file, bytes) = read_bounded(&self.path)?;
            let trusted = Trusted {
                owner: None,
                ..self.trusted()
            };
            check(&self.path, &trusted, &file)?;
            Ok(utf8(&self.path, &bytes)?.to_owned())
        })
    }

    /// Whether this is the site that programs use when they are not told which.
    pub fn is_default(&self) -> bool {
        self.path == Path::new(DEFAULT_SITE)
    }

    /// Who may own and write what decides on this site.
    pub fn trusted(&self) -> Trusted<'_> {
        Trusted {
            runner: self.runner,
            owner: Some(&self.config.owner),
            group: self.config.group.as_ref(),
        }
    }

    /// Reads the name of a list; a tree's own domain is cut.
    ///
    /// # Errors
    /// As [`ListName::parse`].
    pub fn list(&self, name: impl AsRef<[u8]>) -> Result<ListName, BadName> {
        let mut list = ListName::parse(name)?;
        for tree in &self.config.trees {
            list = list.within(tree.domain.as_deref());
        }
        Ok(list)
    }

    /// Every folded name by which parity.toml may have the list: a tree's domain may have been
    /// named in site.toml after the list was moved.
    fn spellings(&self, list: &ListName) -> Vec<String> {
        let mut names = vec![list.as_str().to_owned()];
        if list.as_str() == list.local_part() {
            let domains = self
                .config
                .trees
                .iter()
                .filter_map(|tree| tree.domain.as_ref());
            names.extend(domains.map(|domain| format!("{list}@{domain}")));
        }
        names
    }

    /// The file in which an admin's own profile of this name would stand.
    pub fn profile_file(&self, name: &str) -> PathBuf {
        let beside = self.path.parent().unwrap_or(Path::new("/"));
        beside.join("profiles").join(format!("{name}.toml"))
    }

    /// The text of the admin's own profile of this name, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be read or relied on.
    pub fn own_profile(&self, name: &str) -> Result<Option<(PathBuf, String)>, SiteError> {
        let path = self.profile_file(name);
        let read = steadily(|| {
            let (file, bytes) = read_bounded(&path)?;
            check(&path, &self.trusted(), &file)?;
            Ok(bytes)
        });
        let bytes = match read {
            Err(SiteError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            other => other?,
        };
        let text = utf8(&path, &bytes)?.to_owned();
        Ok(Some((path, text)))
    }

    /// What a delivery needs of this tree's profile.
    ///
    /// # Errors
    /// There is none, or the admin's own one cannot be used.
    pub fn routing(&self, tree: &Tree) -> Result<Cow<'static, Routing>, SiteError> {
        if let Some((path, text)) = self.own_profile(&tree.profile)? {
            let routing = Routing::parse(&text).map_err(|bad| {
                let at = bad.at.map(|at| Position::of(&text, at));
                SiteError::Profile(path, at, bad.what)
            })?;
            return Ok(Cow::Owned(routing));
        }
        match Routing::shipped(&tree.profile) {
            Some(shipped) => Ok(Cow::Borrowed(&shipped.routing)),
            None => {
                let path = self.profile_file(&tree.profile);
                Err(SiteError::NoProfile(tree.profile.clone(), path))
            }
        }
    }

    /// What is run to get a message for `verb` of `list` into `tree`; `None` if its list manager
    /// does not know the verb.
    ///
    /// # Errors
    /// `Lacks`: the profile asks for something that site.toml does not say of the tree.
    pub fn argv(
        &self,
        tree: &Tree,
        routing: &Routing,
        verb: Verb,
        list: &ListName,
    ) -> Result<Option<Vec<String>>, SiteError> {
        let Some(way) = routing.way(verb) else {
            return Ok(None);
        };
        if let Some(key) = tree.lacks(way) {
            let (path, tree) = (self.path.clone(), tree.name.clone());
            return Err(SiteError::Lacks(path, tree, key));
        }
        let expand = |text: &str| tree.expand(text, Some((list, routing.case)));
        Ok(Some(match way {
            Way::Run(argv) => argv.iter().map(|word| expand(word)).collect(),
            Way::Lmtp(recipient) => vec![
                self.config.lmtp().to_string_lossy().into_owned(),
                tree.lmtp
                    .as_ref()
                    .map(Endpoint::to_string)
                    .unwrap_or_default(),
                expand(recipient),
            ],
        }))
    }

    /// Opens parity.toml.
    ///
    /// # Errors
    /// It cannot be opened or relied on.
    pub fn open_parity(&self) -> Result<File, SiteError> {
        let path = self.config.parity_file();
        steadily(|| {
            let file = open_plain(&path)?;
            check(&path, &self.trusted(), &file)?;
            Ok(file)
        })
    }

    /// Which tree serves this list?
    ///
    /// # Errors
    /// parity.toml does not say, or names a tree that cannot serve.
    pub fn place(&self, list: &ListName) -> Result<Placement<'_>, SiteError> {
        let is_it = |name: &[u8]| self.list(name).is_ok_and(|other| other == *list);
        self.place_by(&self.spellings(list), &is_it)
    }

    /// Where goes what is about no list in particular? To the current tree.
    ///
    /// # Errors
    /// As [`Site::place`].
    pub fn place_of_none(&self) -> Result<Placement<'_>, SiteError> {
        self.place_by(&[], &|_| false)
    }

    fn place_by(
        &self,
        names: &[String],
        is_it: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Placement<'_>, SiteError> {
        let path = self.config.parity_file();
        let file = self.open_parity()?;
        let standing = state::standing(&file, names, is_it)
            .map_err(|error| SiteError::State(path.clone(), error))?;
        let roles = &standing.roles;
        let unknown = roles
            .guarded
            .iter()
            .find(|tree| self.config.tree(tree).is_none());
        if let Some(tree) = unknown {
            return Err(SiteError::UnknownTree(path, tree.clone()));
        }
        let current = self
            .config
            .tree(&roles.current)
            .ok_or_else(|| SiteError::UnknownTree(path.clone(), roles.current.clone()))?;
        let (tree, role, release) = if standing.on_future {
            let future = self
                .config
                .other_tree(&roles.current)
                .ok_or_else(|| SiteError::NoFuture(path.clone()))?;
            if roles.future_state != FutureState::Ready {
                return Err(SiteError::FutureNot(path, roles.future_state));
            }
            (future, Role::Future, roles.future_release.clone())
        } else {
            (current, Role::Current, roles.current_release.clone())
        };
        Ok(Placement {
            guarded: roles.guarded.contains(&tree.name),
            tree,
            role,
            release,
            standing,
        })
    }
}

/// Tries again where the file was replaced between being opened and being judged: mm-parity
/// and editors rename a new one into its place, and that is no reason for mail to wait.
fn steadily<T>(attempt: impl Fn() -> Result<T, SiteError>) -> Result<T, SiteError> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(SiteError::Swapped(_)) => {}
            done => return done,
        }
    }
    attempt()
}

/// Opens a plain file without waiting for the other end of a pipe and without becoming
/// the terminal's.
fn open_plain(path: &Path) -> Result<File, SiteError> {
    let read = |error| SiteError::Read(path.to_owned(), error);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(read)?;
    if !file.metadata().map_err(read)?.is_file() {
        let fault = Unsafe {
            path: path.to_owned(),
            fault: Fault::NotFile,
        };
        return Err(SiteError::Unsafe(path.to_owned(), fault));
    }
    Ok(file)
}

fn read_bounded(path: &Path) -> Result<(File, Vec<u8>), SiteError> {
    let read = |error| SiteError::Read(path.to_owned(), error);
    let file = open_plain(path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed: what grows while it is read is found out too.
    (&file)
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    if bytes.len() as u64 > LARGEST {
        let size = file.metadata().map_err(read)?.size();
        return Err(SiteError::Size(path.to_owned(), size));
    }
    Ok((file, bytes))
}

/// Judges who could change `path`, and that what was opened is what was judged.
fn check(path: &Path, trusted: &Trusted<'_>, file: &File) -> Result<ownership::Checked, SiteError> {
    let checked = trusted
        .check(path, None)
        .map_err(|fault| SiteError::Unsafe(path.to_owned(), fault))?;
    let opened = file
        .metadata()
        .map_err(|error| SiteError::Read(path.to_owned(), error))?;
    if (opened.dev(), opened.ino()) != (checked.file.dev(), checked.file.ino()) {
        return Err(SiteError::Swapped(path.to_owned()));
    }
    Ok(checked)
}

fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, SiteError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let at = Position::of(&before, before.len());
        SiteError::Profile(path.to_owned(), Some(at), "this is not UTF-8".to_owned())
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_was_opened_must_be_what_was_judged() {
        let directory = std::env::temp_dir().join(format!("mm-site-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let (one, other) = (directory.join("one"), directory.join("other"));
        for path in [&one, &other] {
            std::fs::write(path, "x").unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            std::fs::set_permissions(path, mode).unwrap();
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&directory, mode).unwrap();
        let trusted = Trusted {
            runner: accounts::runner(),
            owner: None,
            group: None,
        };
        let opened = File::open(&one).unwrap();
        assert!(check(&one, &trusted, &opened).is_ok());
        assert!(matches!(
            check(&other, &trusted, &opened),
            Err(SiteError::Swapped(_))
        ));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
