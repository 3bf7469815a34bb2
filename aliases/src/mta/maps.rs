//! What an MTA reads instead of the text, and the four steps that every MTA does in its own way.
//!
//! **Invariants**: a map's file and its text are found out, never assumed. No step writes in place: a
//! step is given the path of a text, of the one that stands or of a copy beside the map, and keeps to it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::file::Original;
use crate::mta::error::MtaError;
use crate::mta::expected::{Astray, Expected};

/// So many links are followed, as by the kernel.
const LINKS: usize = 40;

/// What one MTA makes of one aliases file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    /// Its type, or what the MTA calls it.
    pub(crate) kind: String,
    /// The text's path, as the MTA knows it.
    pub(crate) source: PathBuf,
    /// The file that is built of the text; none if the MTA reads the text itself.
    pub(crate) image: Option<Image>,
    /// Whether a running MTA goes on with what it read before until it is told.
    pub(crate) is_held: bool,
}

/// The file that is built of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) file: PathBuf,
    /// What is put behind a text's path to name the file that is built of it.
    pub(crate) suffix: &'static str,
    /// Whether the builder gives it owner and mode by rules of its own, where there was none before.
    pub(crate) is_owned: bool,
}

impl Map {
    /// The file that the MTA reads: the image, or the text itself.
    pub(crate) fn file(&self) -> &Path {
        self.image
            .as_ref()
            .map_or(&self.source, |image| &image.file)
    }

    /// What is in the file: Sendmail's `implicit` builds a hash.
    fn format(&self) -> &str {
        match self.kind.as_str() {
            "implicit" => "hash",
            kind => kind,
        }
    }

    /// The image's file for a text at `text`.
    pub(crate) fn image_of(&self, text: &Path) -> PathBuf {
        match &self.image {
            Some(image) if text == self.source => image.file.clone(),
            Some(image) => {
                let mut file = text.as_os_str().to_owned();
                file.push(image.suffix);
                file.into()
            }
            None => text.to_owned(),
        }
    }

    /// The directory of the file, links resolved, and its name there.
    pub(crate) fn place(&self) -> (PathBuf, OsString) {
        let file = resolved(self.file());
        let path = file.parent().unwrap_or(Path::new("/")).to_owned();
        (path, file.file_name().unwrap_or_default().to_owned())
    }
}

/// Where a file is, or would be made by who opens it by this path: links are followed though nothing
/// stands at their end.
fn resolved(file: &Path) -> PathBuf {
    let mut file = file.to_owned();
    for _ in 0..LINKS {
        if let Ok(real) = fs::canonicalize(&file) {
            return real;
        }
        let parent = file.parent().unwrap_or(Path::new("/"));
        let parent = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
        file = parent.join(file.file_name().unwrap_or_default());
        match fs::read_link(&file) {
            Ok(target) => file = parent.join(target),
            Err(_) => return file,
        }
    }
    file
}

/// Of maps that are one file under several names, the first.
///
/// Two of one file would be built under one temporary name, and their exchanges would undo each other.
///
/// # Errors
/// `SameFile` if one file is to be maps of two types.
pub(crate) fn distinct(found: Vec<Map>) -> Result<Vec<Map>, MtaError> {
    let mut maps: Vec<Map> = Vec::new();
    for map in found {
        let place = map.place();
        match maps.iter().find(|it| it.place() == place) {
            None => maps.push(map),
            Some(first) if first.format() == map.format() => {}
            Some(first) => {
                return Err(MtaError::SameFile {
                    file: place.0.join(place.1),
                    maps: [first, &map].map(|map| format!("{}:{}", map.kind, map.source.display())),
                });
            }
        }
    }
    Ok(maps)
}

/// The steps that every MTA does in its own way.
pub(crate) trait Maps {
    /// The maps of this file that the MTA reads or that its `newaliases` builds; never empty.
    ///
    /// # Errors
    /// `NoMap` if it reads none, or one that cannot be kept in step.
    fn of(&self, original: &Original) -> Result<Vec<Map>, MtaError>;

    /// Builds the image of the text at `text`, if the map has one, and returns what the tool said
    /// about lines of it; refuses a text that the MTA would refuse.
    ///
    /// # Errors
    /// `Tool`, above all.
    fn build(&self, map: &Map, text: &Path) -> Result<Vec<String>, MtaError>;

    /// The expected names that do not lead where they should by the map of the text at `text`.
    ///
    /// # Errors
    /// `Tool` if the map cannot be read.
    fn wrong(&self, map: &Map, text: &Path, expected: &[Expected])
    -> Result<Vec<Astray>, MtaError>;

    /// The names for which the map that stands has something else than the text, of all names that
    /// either has, and those of the expected that do not lead where they should. Where the MTA reads
    /// the text itself there is nothing to compare.
    ///
    /// # Errors
    /// `Tool` if the map cannot be read.
    fn not_as_text(
        &self,
        map: &Map,
        original: &Original,
        expected: &[Expected],
    ) -> Result<Vec<Vec<u8>>, MtaError> {
        let _ = original;
        Ok(names(self.wrong(map, &map.source, expected)?))
    }

    /// Which of the expected names are asked for, where asking is dear: all, if it is not.
    fn choose<'e>(&self, original: &Original, expected: &'e [Expected]) -> Cow<'e, [Expected]> {
        let _ = original;
        Cow::Borrowed(expected)
    }

    /// Tells a running MTA that text and image are new, and returns what the admin should know.
    ///
    /// # Errors
    /// `Tool` if the MTA refuses them and goes on with what it had.
    fn tell(&self, map: &Map) -> Result<Vec<String>, MtaError> {
        let _ = map;
        Ok(Vec::new())
    }

    /// The same where something has failed and is undone: nobody waits for long twice.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    fn tell_back(&self, map: &Map) -> Result<Vec<String>, MtaError> {
        self.tell(map)
    }
}

/// The names of what leads astray.
pub(crate) fn names(astray: Vec<Astray>) -> Vec<Vec<u8>> {
    astray.into_iter().map(|one| one.expected.name).collect()
}
