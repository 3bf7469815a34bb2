//! What an installation of a list manager is like: its settings, and where its data are.
//!
//! **Invariants.** Looks at files, runs nothing, changes nothing. A setting that is put together in
//! the list manager's own language is not guessed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::profiles::{Layout, Templates};
use crate::tree::Tree;

/// No file of settings is read further than this, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// One installation, as its profile and its settings describe it.
#[derive(Debug, Clone)]
pub struct Installation<'p> {
    /// How such an installation is laid out.
    pub layout: &'p Layout,
    /// The tree that it is.
    pub tree: &'p Tree,
    /// Where its settings have its data: in its root, if nothing says otherwise.
    pub home: PathBuf,
}

/// A setting as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// In which file.
    pub file: PathBuf,
    /// In which line, from 1.
    pub line: usize,
    /// Its value; `None` where it is put together, so that only the list manager can tell.
    pub value: Option<String>,
    /// Whether the admin set it, not the release.
    pub by_hand: bool,
}

/// A directory of data or templates as the installation has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// There is none.
    Nowhere,
    /// In the tree itself.
    Inside,
    /// Elsewhere: its place without links.
    Outside(PathBuf),
}

impl<'p> Installation<'p> {
    /// The one at the root of `tree`.
    pub fn of(layout: &'p Layout, tree: &'p Tree) -> Installation<'p> {
        let mut installation = Installation {
            layout,
            tree,
            home: tree.root.clone(),
        };
        let home = layout.home.as_ref();
        let home = home.and_then(|name| installation.setting(name)?.value);
        if let Some(home) = home.filter(|home| Path::new(home).is_absolute()) {
            installation.home = PathBuf::from(home);
        }
        installation
    }

    /// Whether one is there: everything that the profile names.
    pub fn is_there(layout: &Layout, root: &Path) -> bool {
        layout.holds.iter().all(|name| root.join(name).exists())
    }

    /// What is set under `name`, by the first file of settings that sets it.
    pub fn setting(&self, name: &str) -> Option<Setting> {
        let regex = self.layout.setting(name).ok()?;
        let own = self.layout.settings.iter().map(|file| (file, true));
        let defaults = self.layout.defaults.iter().map(|file| (file, false));
        own.chain(defaults).find_map(|(file, by_hand)| {
            let file = PathBuf::from(self.tree.expand(file, None));
            let bytes = read(&file).ok()?;
            let last = regex.captures_iter(&bytes).last()?;
            let at = last.get(0)?.start();
            let value = last.get(1).map(|value| value.as_bytes());
            Some(Setting {
                line: bytes[..at].iter().filter(|&&byte| byte == b'\n').count() + 1,
                value: value.map(|value| String::from_utf8_lossy(value).into_owned()),
                file,
                by_hand,
            })
        })
    }

    /// Where the path of `template` is, with `{home}` and `{name}` in it.
    pub fn expand(&self, template: &str) -> PathBuf {
        let text = template
            .replace("{home}", &self.home.to_string_lossy())
            .replace("{name}", &self.tree.name);
        PathBuf::from(self.tree.expand(&text, None))
    }

    /// Where the directory `name` of its data is.
    ///
    /// # Errors
    /// It is there and cannot be looked at.
    pub fn stands(&self, path: &Path) -> io::Result<Stands> {
        match fs::canonicalize(path) {
            Ok(place) if place.starts_with(real(&self.tree.root)) => Ok(Stands::Inside),
            Ok(place) => Ok(Stands::Outside(place)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stands::Nowhere),
            Err(error) => Err(error),
        }
    }

    /// The directories among its templates that do not come with the release, by name.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn own_templates(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let Some(Templates {
            directory, shipped, ..
        }) = &self.layout.templates
        else {
            return Ok(Vec::new());
        };
        let directory = self.tree.root.join(directory);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut own = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| {
                io::Error::other(format!("{:?} has a name that is not UTF-8", entry.path()))
            })?;
            if fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir())
                && !shipped.is_match(name.as_bytes())
            {
                own.push((name.to_owned(), entry.path()));
            }
        }
        own.sort();
        Ok(own)
    }
}

/// Where a path leads, as far as it can be told.
pub fn real(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
