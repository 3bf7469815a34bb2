//! The entries that stand in the alias files, by name.
//!
//! **Invariants.** Reads every file once; all that is decided is decided on that reading. The
//! bytes on disk are the crate `aliases`' matter.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aliases::{DestinationKind, Dialect, Document, Effect, Entry, EntryId, Problem};

use super::error::AddressError;
use super::source::{self, Original};
use crate::list::ListName;
use crate::site::Site;

/// Where an entry stands; in the order of the files, and within a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) file: usize,
    entry: EntryId,
}

/// What the MTA does with a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Means {
    /// Runs this command, given without the bar.
    Pipe(Vec<u8>),
    /// Sends on to this address or local name.
    Address(Vec<u8>),
    /// Appends to this file.
    File(Vec<u8>),
    /// Reads destinations from this file.
    Include(Vec<u8>),
    /// Does this itself, in its own words (`:fail: gone`).
    Verdict(Vec<u8>),
}

/// One alias file as it was read.
#[derive(Debug)]
pub(super) struct AliasFile {
    pub(super) path: PathBuf,
    pub(super) original: Original,
    pub(super) document: Document,
}

/// Every alias file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: Vec<AliasFile>,
    dialect: Dialect,
}

impl Place {
    /// That of an entry of the file of this number.
    pub(super) fn of(file: usize, entry: EntryId) -> Place {
        Place { file, entry }
    }

    /// The number of its file, and one that no other entry there has.
    pub(super) fn numbers(self) -> (usize, usize) {
        (self.file, self.entry.number())
    }
}

impl Found {
    /// Reads the alias files of the site.
    ///
    /// # Errors
    /// One cannot be read.
    pub(super) fn read(site: &Site) -> Result<Found, AddressError> {
        let mut read = Vec::new();
        for path in &site.config.alias_files {
            read.push((path.clone(), source::read(path)?));
        }
        Ok(Found::of(read, source::dialect(site)))
    }

    fn of(originals: Vec<(PathBuf, Original)>, dialect: Dialect) -> Found {
        let file = |(path, original): (PathBuf, Original)| AliasFile {
            document: Document::parse_shared(original.shared(), dialect),
            path,
            original,
        };
        Found {
            files: originals.into_iter().map(file).collect(),
            dialect,
        }
    }

    /// Other bytes of a file of the site, read as these files are.
    pub(super) fn parsed(&self, bytes: &Arc<Vec<u8>>) -> Document {
        Document::parse_shared(Arc::clone(bytes), self.dialect)
    }

    /// The permission bits that every file has.
    pub(super) fn readable(&self) -> u32 {
        let modes = self.files.iter().map(|file| file.original.owner_and_mode());
        modes.fold(0o7777, |all, (_, _, mode)| all & mode)
    }

    /// Every entry, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = Place> + '_ {
        self.files.iter().enumerate().flat_map(|(file, found)| {
            let entries = found.document.entries();
            entries.map(move |entry| Place {
                file,
                entry: entry.id(),
            })
        })
    }

    /// The entries that may be about one of `lists`, and any others; without `lists` every entry.
    ///
    /// An ordinary pipe is about a list only if the list's name stands in its command. Where many
    /// lists are asked for, to look for each of their names costs more than it saves.
    pub(super) fn about<'a>(
        &'a self,
        lists: Option<&'a BTreeSet<ListName>>,
    ) -> impl Iterator<Item = Place> + 'a {
        const MANY: usize = 4;
        let lists = lists.filter(|lists| lists.len() <= MANY);
        let may_be = move |place: &Place| {
            let pipe = lists.and_then(|lists| Some((lists, self.plain_pipe(*place)?)));
            pipe.is_none_or(|(lists, command)| {
                lists.iter().any(|list| mentions(command, list.as_str()))
            })
        };
        self.all().filter(may_be)
    }

    /// The entries of this name, which is in lower case.
    pub(super) fn places(&self, name: &str) -> Vec<Place> {
        self.named(name.as_bytes()).collect()
    }

    /// The entry of this name, which is in lower case, if it stands once.
    pub(super) fn only(&self, name: &str) -> Option<Place> {
        if let [file] = &self.files[..] {
            return file
                .document
                .only(name.as_bytes())
                .map(|entry| Place { file: 0, entry });
        }
        let mut places = self.named(name.as_bytes());
        let first = places.next()?;
        places.next().is_none().then_some(first)
    }

    /// Of all entries of one name, in order, the one that mail goes by: the first file counts.
    pub(super) fn winner(&self, places: &[Place]) -> Option<Place> {
        let &first = places.first()?;
        if places.len() == 1 {
            return Some(first);
        }
        let name = self.entry(first)?.name();
        let entry = self.files[first.file].document.lookup(&name)?;
        Some(Place { entry, ..first })
    }

    /// Why the MTA, which takes the entry, delivers no mail by it; none if it does.
    pub(super) fn hindrance(&self, place: Place) -> Option<Problem> {
        // It costs nothing to ask most entries.
        let odd = self
            .entry(place)
            .filter(|entry| entry.plain_pipe().is_none())?;
        let mut problems = odd.problems().into_iter();
        problems.find(|problem| hinders(problem.effect()))
    }

    /// The entries by which the MTA delivers no mail, in order.
    pub(super) fn hindered(&self) -> impl Iterator<Item = Place> + '_ {
        let hindered = |file: &AliasFile| {
            let mut problems = file.document.problems().iter();
            problems.any(|problem| hinders(problem.effect()))
        };
        let any = self.files.iter().any(hindered);
        let places = any.then(|| self.all()).into_iter().flatten();
        places.filter(|&place| self.hindrance(place).is_some())
    }

    /// Whether the name of an entry stands more than once.
    pub(super) fn is_double(&self, place: Place) -> bool {
        let name = self.entry(place).map(|entry| entry.name());
        name.is_some_and(|name| self.named(&name).nth(1).is_some())
    }

    fn named(&self, name: &[u8]) -> impl Iterator<Item = Place> {
        self.files
            .iter()
            .enumerate()
            .flat_map(move |(file, found)| {
                let entries = found.document.named(name).into_iter();
                entries.map(move |entry| Place { file, entry })
            })
    }

    /// The file of an entry.
    pub(super) fn path(&self, place: Place) -> &Path {
        &self.files[place.file].path
    }

    /// The handle of an entry in its document.
    pub(super) fn id(&self, place: Place) -> EntryId {
        place.entry
    }

    /// The name of an entry, as the MTA looks it up.
    pub(super) fn name(&self, place: Place) -> Cow<'_, str> {
        let Some(entry) = self.entry(place) else {
            return Cow::Borrowed("");
        };
        let plain = entry.plain_name().map(str::from_utf8);
        match plain {
            Some(Ok(name)) => Cow::Borrowed(name),
            _ => Cow::Owned(text(entry.name())),
        }
    }

    /// The same, to keep.
    pub(super) fn folded(&self, place: Place) -> String {
        self.name(place).into_owned()
    }

    /// The name of the entry before this one in its file.
    pub(super) fn name_before(&self, place: Place) -> Option<String> {
        let document = &self.files[place.file].document;
        let before = document.entry_before(place.entry)?;
        Some(text(document.entry(before)?.name()))
    }

    fn entry(&self, place: Place) -> Option<Entry<'_>> {
        self.files[place.file].document.entry(place.entry)
    }

    /// All bytes of an entry.
    pub(super) fn raw(&self, place: Place) -> &[u8] {
        self.entry(place).map_or(&[], |entry| entry.raw())
    }

    /// The line of an entry's name, from 1.
    pub(super) fn line(&self, place: Place) -> usize {
        self.entry(place).map_or(0, |entry| entry.line())
    }

    /// `/etc/aliases, line 12`.
    pub(super) fn shown(&self, place: Place) -> String {
        format!("{}, line {}", self.path(place).display(), self.line(place))
    }

    /// `/etc/aliases:12:1`, where an entry's name begins.
    pub(super) fn spot(&self, place: Place) -> String {
        let at = self.entry(place);
        let (line, column) = at.map_or((0, 0), |entry| (entry.line(), entry.column()));
        format!("{}:{line}:{column}", self.path(place).display())
    }

    /// The command of an entry that is nothing but one ordinary pipe; what it is for any other
    /// entry, [`destinations`](Self::destinations) tells.
    pub(super) fn plain_pipe(&self, place: Place) -> Option<&[u8]> {
        self.entry(place)?.plain_pipe()
    }

    /// The command of an entry that is nothing but one pipe, however it is written, and by which
    /// the MTA delivers mail.
    pub(super) fn one_pipe(&self, place: Place) -> Option<Cow<'_, [u8]>> {
        let entry = self.entry(place)?;
        if let Some(command) = entry.plain_pipe() {
            return Some(Cow::Borrowed(command));
        }
        let Ok([Means::Pipe(command)]) = <[Means; 1]>::try_from(means(&entry)) else {
            return None;
        };
        let delivers = self.hindrance(place).is_none();
        delivers.then_some(Cow::Owned(command))
    }

    /// Whether an entry, if there is one, may read destinations from a file.
    pub(super) fn may_include(&self, place: Option<Place>) -> bool {
        place.is_some_and(|place| self.one_pipe(place).is_none())
    }

    /// The destinations of an entry, in the order of the file.
    pub(super) fn destinations(&self, place: Place) -> Vec<Means> {
        self.entry(place)
            .map_or_else(Vec::new, |entry| means(&entry))
    }

    /// The destinations of the one entry that `raw` holds.
    pub(super) fn means_of(&self, raw: &[u8]) -> Vec<Means> {
        means_of(raw, self.dialect)
    }

    /// One file that holds `text`, for tests.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Found {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("mm-found-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a temporary file");
        let original = source::read(&path).expect("the file just written");
        std::fs::remove_file(&path).expect("the file just written");
        Found::of(vec![(path, original)], Dialect::Postfix)
    }
}

/// The destinations of the one entry that `raw` holds.
pub(super) fn means_of(raw: &[u8], dialect: Dialect) -> Vec<Means> {
    let document = Document::parse(raw, dialect);
    let entry = document.entries().next();
    entry.map_or_else(Vec::new, |entry| means(&entry))
}

/// Whether no mail goes the way that an entry says.
fn hinders(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::Deferred
            | Effect::Bounced
            | Effect::NoAlias
            | Effect::Unreachable
            | Effect::FileRefused
    )
}

/// Whether a name in lower case stands in `text`, in any case.
fn mentions(text: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    let Some(&last) = name.last() else {
        return true;
    };
    // Names of one site begin alike more often than they end alike.
    let ends = |at: &usize| text[*at].eq_ignore_ascii_case(&last);
    (name.len() - 1..text.len())
        .filter(ends)
        .any(|at| text[at + 1 - name.len()..=at].eq_ignore_ascii_case(name))
}

fn text(name: Vec<u8>) -> String {
    String::from_utf8(name)
        .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
}

fn means(entry: &Entry<'_>) -> Vec<Means> {
    let destinations = entry.destinations();
    destinations
        .iter()
        .map(|destination| match destination.kind() {
            DestinationKind::Pipe(command) => Means::Pipe(command.clone()),
            DestinationKind::Address(text) => Means::Address(text.clone()),
            DestinationKind::Verdict(text) => Means::Verdict(text.clone()),
            DestinationKind::File(path) => Means::File(path.clone()),
            DestinationKind::Include(path) => Means::Include(path.clone()),
        })
        .collect()
}
