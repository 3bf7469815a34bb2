//! What on disk is one list's, and which versions of it a release can read: the sections `[data]` and
//! `[data_version]` of a profile.
//!
//! A place is a path whose last part may have `#` in it, for a number: `heldmsg-{list}-#.pck` is of
//! `toy` what `heldmsg-toy-1.pck` is, and not `heldmsg-toy-2-1.pck`, which is of `toy-2`.
//!
//! **Invariants.** Looks at no file. A release that no row names can read nothing, as far as is
//! known.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;
use toml::Spanned;

use super::{Profile, is_per_list};
use crate::list::ListName;
use crate::profile::{BadProfile, Case};
use crate::tree::Tree;

/// `[data]`, as it was typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawData {
    of: Vec<Spanned<String>>,
    #[serde(default)]
    grows: Vec<Spanned<String>>,
    #[serde(default)]
    without: Vec<Spanned<String>>,
    #[serde(default)]
    posts: Vec<Spanned<String>>,
    #[serde(default)]
    held: Vec<Spanned<String>>,
}

/// `[data]`, judged: texts that have their list in them.
#[derive(Debug)]
pub(super) struct Data {
    of: Vec<String>,
    grows: Vec<String>,
    without: Vec<String>,
    posts: Vec<String>,
    held: Vec<String>,
}

impl RawData {
    pub(super) fn cook(self) -> Result<Data, BadProfile> {
        Ok(Data {
            of: texts(self.of)?,
            grows: texts(self.grows)?,
            without: texts(self.without)?,
            posts: texts(self.posts)?,
            held: texts(self.held)?,
        })
    }
}

fn texts(raw: Vec<Spanned<String>>) -> Result<Vec<String>, BadProfile> {
    let judged = raw.into_iter().map(|text| {
        let at = Some(text.span().start);
        let text = text.into_inner();
        let bad = |what: &str| BadProfile {
            at,
            what: what.to_owned(),
        };
        let (parents, last) = text.rsplit_once('/').unwrap_or_default();
        match () {
            () if !is_per_list(&text) => {
                Err(bad("it is one list's: {list} or {local} stands in it"))
            }
            () if !text.starts_with("{data}/") => Err(bad("it begins with {data}/")),
            () if parents.contains('#') || last.matches('#').count() > 1 => {
                Err(bad("a # stands once, in the last part"))
            }
            () if text.split('/').any(|part| matches!(part, "." | "..")) => {
                Err(bad("no part is . or .."))
            }
            () => Ok(text),
        }
    });
    judged.collect()
}

/// What on disk is one list's.
#[derive(Debug, Default, Clone)]
pub struct ListData {
    /// All of it.
    pub of: Vec<Place>,
    /// Files that only grow.
    pub grows: Vec<Place>,
    /// What in it is none of it: locks, what is on its way.
    pub without: Vec<Place>,
    /// Mailboxes with every post: each begins with "From ".
    pub posts: Vec<Place>,
    /// Messages that wait for a moderator, each a file.
    pub held: Vec<Place>,
}

/// Where something of a list stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    before: String,
    /// What follows a number; none where there is none.
    after: Option<String>,
}

impl Place {
    /// That of a path whose last part may have a `#`.
    pub fn of(path: &str) -> Place {
        let (directory, last) = path.rsplit_once('/').unwrap_or(("", path));
        let (before, after) = match last.split_once('#') {
            Some((before, after)) => (before, Some(after.to_owned())),
            None => (last, None),
        };
        Place {
            directory: PathBuf::from(directory),
            before: before.to_owned(),
            after,
        }
    }

    /// The one name, if it is one.
    pub fn name(&self) -> Option<&str> {
        self.after.is_none().then_some(self.before.as_str())
    }

    /// How its last part is written.
    pub fn pattern(&self) -> String {
        match &self.after {
            Some(after) => format!("{}#{after}", self.before),
            None => self.before.clone(),
        }
    }

    /// Whether a name in the directory is meant.
    pub fn is_name(&self, name: &OsStr) -> bool {
        let Some(after) = &self.after else {
            return name == self.before.as_str();
        };
        let number = name
            .as_bytes()
            .strip_prefix(self.before.as_bytes())
            .and_then(|rest| rest.strip_suffix(after.as_bytes()));
        number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    }

    /// Whether the file at `path` is meant.
    pub fn is(&self, path: &Path) -> bool {
        path.parent() == Some(&self.directory)
            && path.file_name().is_some_and(|name| self.is_name(name))
    }
}

/// Which versions a release can read, by its name.
#[derive(Debug)]
pub(super) struct Reads {
    release: Regex,
    from: u64,
    to: u64,
}

/// The same as it was typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReads {
    release: Spanned<String>,
    #[serde(default)]
    from: u64,
    to: Spanned<u64>,
}

impl RawReads {
    pub(super) fn cook(self) -> Result<Reads, BadProfile> {
        let bad = |at: usize, what: String| BadProfile { at: Some(at), what };
        if *self.to.get_ref() < self.from {
            return Err(bad(self.to.span().start, "`to` is below `from`".to_owned()));
        }
        let release = Regex::new(self.release.get_ref())
            .map_err(|error| bad(self.release.span().start, error.to_string()))?;
        Ok(Reads {
            release,
            from: self.from,
            to: self.to.into_inner(),
        })
    }
}

impl Profile {
    /// What on disk is this list's in `tree`; `None` where the list manager keeps it in a database,
    /// or the profile does not say.
    pub fn data(&self, tree: &Tree, list: &ListName) -> Option<ListData> {
        let data = self.data.as_ref()?;
        let named: (&ListName, Case) = (list, self.routing.case);
        let places = |texts: &Vec<String>| {
            let texts = texts.iter();
            let places = texts.map(|text| Place::of(&tree.expand(text, Some(named))));
            places.collect()
        };
        Some(ListData {
            of: places(&data.of),
            grows: places(&data.grows),
            without: places(&data.without),
            posts: places(&data.posts),
            held: places(&data.held),
        })
    }

    /// The directories that have something of every list in them, as far as its texts name them
    /// before they name a list.
    pub fn holders(&self, tree: &Tree) -> BTreeSet<PathBuf> {
        let texts = self.data.iter().flat_map(|data| &data.of);
        let shared = texts.map(|text| {
            let parts = text.split('/').take_while(|part| !is_per_list(part));
            let parts: Vec<&str> = parts.collect();
            PathBuf::from(tree.expand(&parts.join("/"), None))
        });
        shared.chain(self.directory(tree, None)).collect()
    }

    /// Whether the profile says what is one list's.
    pub fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Which versions of the data `release` is known to read; `None` if nothing is known of it.
    pub fn reads(&self, release: &str) -> Option<RangeInclusive<u64>> {
        let version = self.data_version.as_ref()?;
        let mut rows = version.reads.iter();
        rows.find(|row| row.release.is_match(release))
            .map(|row| row.from..=row.to)
    }

    /// Whether it says of any release which versions of the data that reads.
    pub fn says_what_is_read(&self) -> bool {
        self.data_version
            .as_ref()
            .is_some_and(|version| !version.reads.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_no_part_of_another_lists_name() {
        let place = Place::of("/var/data/heldmsg-toy-#.pck");
        for (path, is_its) in [
            ("/var/data/heldmsg-toy-1.pck", true),
            ("/var/data/heldmsg-toy-20.pck", true),
            ("/var/data/heldmsg-toy-2-1.pck", false),
            ("/var/data/heldmsg-toy-.pck", false),
            ("/var/data/heldmsg-toy-1.pck.tmp", false),
            ("/var/heldmsg-toy-1.pck", false),
        ] {
            assert_eq!(place.is(Path::new(path)), is_its, "{path}");
        }
        let place = Place::of("/var/lists/toy");
        assert!(place.is(Path::new("/var/lists/toy")));
        assert!(!place.is(Path::new("/var/lists/toy-2")));
    }
}
