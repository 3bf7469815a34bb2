//! Where something stands: a file, a line in it, and the name that stands there.
//!
//! **Invariants.** A spot that has no line says so by having none, never by line 0. Reads no file
//! but to find a line in it.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::site::SiteError;
use crate::state::StateError;
use crate::store::StoreError;
use crate::syslog::printable;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    pub(super) file: PathBuf,
    /// From 1.
    pub(super) line: Option<usize>,
    pub(super) name: Option<String>,
}

impl Spot {
    /// A file or directory as a whole.
    pub fn file(file: impl Into<PathBuf>) -> Spot {
        Spot {
            file: file.into(),
            line: None,
            name: None,
        }
    }

    /// A line of a file, from 1.
    pub fn line(file: impl Into<PathBuf>, line: usize) -> Spot {
        Spot {
            line: (line > 0).then_some(line),
            ..Spot::file(file)
        }
    }

    /// The same with the name that it is about.
    pub fn named(self, name: impl Into<String>) -> Spot {
        Spot {
            name: Some(name.into()),
            ..self
        }
    }

    /// Where an error about the site's files is; in site.toml at `site` where it does not say.
    pub fn of_site(error: &SiteError, site: &Path) -> Spot {
        match error {
            SiteError::Config(path, bad) => Spot::line(path, bad.at.line),
            SiteError::Profile(path, Some(at), _) => Spot::line(path, at.line),
            SiteError::State(path, StateError::Size(at, _) | StateError::Format(at, _)) => {
                Spot::line(path, at.line)
            }
            SiteError::Unsafe(_, fault) => Spot::file(&fault.path),
            SiteError::NoProfile(name, _) => Quoted::read(site).spot(name),
            SiteError::Lacks(_, tree, _) => Quoted::read(site).spot(tree),
            SiteError::Read(path, _)
            | SiteError::Size(path, _)
            | SiteError::Swapped(path)
            | SiteError::Profile(path, None, _)
            | SiteError::State(path, _)
            | SiteError::UnknownTree(path, _)
            | SiteError::FutureNot(path, _)
            | SiteError::NoFuture(path) => Spot::file(path),
        }
    }

    /// Where an error about parity.toml or the history is.
    pub fn of_store(error: &StoreError, site: &Path) -> Spot {
        match error {
            StoreError::Site(error) => Spot::of_site(error, site),
            StoreError::Twice(path, line, ..) | StoreError::History(path, line, _) => {
                Spot::line(path, *line)
            }
            StoreError::Busy(path, _)
            | StoreError::File(path, _)
            | StoreError::Told(path, ..)
            | StoreError::Exists(path)
            | StoreError::Edited(path)
            | StoreError::Unrecorded(path, _) => Spot::file(path),
            StoreError::Door(error) => Spot::file(error.path().unwrap_or(site)),
            StoreError::Elsewhere(_) => Spot::file(site),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.file.to_string_lossy()))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.name {
            Some(name) => write!(f, ": {}", printable(name)),
            None => Ok(()),
        }
    }
}

/// The words in double quotes of a TOML file, each with the line of its first appearance.
#[derive(Debug)]
pub struct Quoted {
    file: PathBuf,
    lines: HashMap<String, usize>,
}

impl Quoted {
    /// Reads a file; one that cannot be read has no words.
    pub fn read(file: &Path) -> Quoted {
        let text = fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines = HashMap::new();
        for (n, line) in text.lines().enumerate() {
            if line.trim_start().starts_with('#') {
                continue;
            }
            for word in line.split('"').skip(1).step_by(2) {
                lines.entry(word.to_ascii_lowercase()).or_insert(n + 1);
            }
        }
        Quoted {
            file: file.to_owned(),
            lines,
        }
    }

    /// Where this word stands; the file as a whole if nowhere.
    pub fn spot(&self, word: &str) -> Spot {
        let line = self.lines.get(&word.to_ascii_lowercase());
        let line = line.copied().unwrap_or(0);
        Spot::line(&self.file, line).named(word)
    }
}
