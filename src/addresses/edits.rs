//! Changes over the alias files, as asked for and as they come out.
//!
//! **Invariants.** No disk. A change is made in a copy of the document; every one that is made
//! leaves a record of the bytes before and after.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aliases::{Document, EntryId};

use super::error::AddressError;
use super::found::{Found, Place};
use super::record::{Record, Text};
use crate::clock::Timestamp;
use crate::list::ListName;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Destination `n` becomes `text`.
    Destination {
        place: Place,
        n: usize,
        text: String,
    },
    /// All bytes of the entry.
    Replace { place: Place, raw: Vec<u8> },
    /// The entry goes.
    Remove { place: Place },
    /// A new entry that pipes to `command`, after another or at the end of the first file.
    Add {
        name: String,
        command: String,
        after: Option<Place>,
    },
    /// A removed entry's bytes come back to file `file`, after the entry that it followed.
    PutBack {
        file: usize,
        name: String,
        raw: Vec<u8>,
        followed: Option<String>,
    },
}

impl Change {
    /// Destination `n` becomes a pipe to `command`.
    pub(super) fn pipe(place: Place, n: usize, command: &str) -> Change {
        Change::Destination {
            place,
            n,
            text: format!("\"|{command}\""),
        }
    }
}

/// What is to be changed, and what was left.
#[derive(Debug)]
pub(super) struct Edits<'f> {
    pub(super) found: &'f Found,
    changes: Vec<Change>,
    /// The lists whose entries are turned to us.
    pub(super) turned: BTreeSet<ListName>,
    /// Sentences: what was left as it is, and why.
    pub(super) left: Vec<String>,
    /// Those of them that are about a list.
    pub(super) left_of: Vec<(ListName, String)>,
    told: HashSet<String>,
    /// Sentences: how a change came out.
    pub(super) notes: Vec<String>,
}

/// One file as it is to be.
#[derive(Debug)]
pub(super) struct Rewrite {
    /// Its number in `Found`.
    pub(super) file: usize,
    pub(super) path: PathBuf,
    pub(super) before: Arc<Vec<u8>>,
    pub(super) after: Document,
    /// What was made, in few bytes each: a whole site's are millions. What there is to say and
    /// to record of them is put together when it is asked for.
    made: Vec<Made>,
    by: String,
    generation: u64,
    when: String,
}

/// A change that was made.
#[derive(Debug)]
struct Made {
    what: What,
    /// The entry that there was before; `None`: there was none.
    place: Option<Place>,
    /// The entry that there is now; `None`: it was removed.
    id: Option<EntryId>,
}

/// What a change did.
#[derive(Debug)]
enum What {
    Turned,
    PutBack,
    Removed,
    /// Under this name.
    Added(Box<str>),
}

impl<'f> Edits<'f> {
    pub(super) fn new(found: &'f Found) -> Edits<'f> {
        Edits {
            found,
            changes: Vec::new(),
            turned: BTreeSet::new(),
            left: Vec::new(),
            left_of: Vec::new(),
            told: HashSet::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Says that an entry is left as it is; once, whoever says it.
    pub(super) fn leave(&mut self, place: Place, why: &dyn fmt::Display) {
        let told = sentence(self.found, place, why);
        if self.told.insert(told.clone()) {
            self.left.push(told);
        }
    }

    /// As [`Edits::leave`], of an entry that is this list's.
    pub(super) fn leave_of(&mut self, list: Option<ListName>, place: Place, why: &str) {
        self.leave(place, &why);
        let told = list.map(|list| (list, sentence(self.found, place, &why)));
        self.left_of.extend(told);
    }

    /// As [`Edits::leave_of`], of a line that is no entry: `told` says where it stands, too.
    pub(super) fn leave_line(&mut self, list: ListName, told: String) {
        self.left.push(told.clone());
        self.left_of.push((list, told));
    }

    /// Says how a change came out.
    pub(super) fn note(&mut self, place: Place, what: &str) {
        self.notes.push(sentence(self.found, place, &what));
    }

    /// Makes the changes: one rewrite for each file that differs.
    ///
    /// # Errors
    /// The text would not be read as what is meant.
    pub(super) fn rewrite(&self, by: &str, generation: u64) -> Result<Vec<Rewrite>, AddressError> {
        let mut rewrites = Vec::new();
        for (file, found) in self.found.files.iter().enumerate() {
            let changes = self.changes.iter().filter(|change| change.file() == file);
            if changes.clone().next().is_none() {
                continue;
            }
            let mut making = Making {
                found: self.found,
                last_added: HashMap::new(),
                rewrite: Rewrite {
                    file,
                    path: found.path.clone(),
                    before: found.original.shared(),
                    after: found.document.clone(),
                    made: Vec::new(),
                    by: by.to_owned(),
                    generation,
                    when: Timestamp::now().to_string(),
                },
            };
            for change in changes {
                making.make(change)?;
            }
            let rewrite = making.finish();
            if !rewrite.made.is_empty() {
                rewrites.push(rewrite);
            }
        }
        Ok(rewrites)
    }
}

impl Change {
    fn file(&self) -> usize {
        match self {
            Change::Destination { place, .. }
            | Change::Replace { place, .. }
            | Change::Remove { place } => place.file,
            Change::Add { after, .. } => after.map_or(0, |place| place.file),
            Change::PutBack { file, .. } => *file,
        }
    }
}

fn sentence(found: &Found, place: Place, what: &dyn fmt::Display) -> String {
    format!(
        "{}: {}: {what}",
        found.shown(place),
        found.folded(place).escape_debug()
    )
}

impl Rewrite {
    /// How many entries change.
    pub(super) fn changed(&self) -> usize {
        self.made.len()
    }

    /// The names whose entries change, as the MTA looks them up; `found` is what was rewritten,
    /// here and below.
    pub(super) fn names<'r>(&'r self, found: &'r Found) -> impl Iterator<Item = String> + 'r {
        self.made.iter().map(|made| made.name(found))
    }

    /// One record a change: the bytes before and after.
    pub(super) fn records<'r>(&'r self, found: &'r Found) -> impl Iterator<Item = Record<'r>> + 'r {
        self.made.iter().map(|made| {
            let name = made.name(found).into_bytes();
            let by = (self.by.as_str(), self.generation);
            let mut record = Record::new(by, &self.when, &self.path, name);
            record.before = made.before(found).map(Text::of);
            record.written = made.written(&self.after).map(Text::of);
            if let (What::Removed, Some(place)) = (&made.what, made.place) {
                let followed = found.name_before(place);
                record.followed = followed.map(|name| Text(name.into_bytes().into()));
            }
            record
        })
    }

    /// One sentence a change.
    pub(super) fn lines<'r>(&'r self, found: &'r Found) -> impl Iterator<Item = String> + 'r {
        self.made.iter().map(|made| {
            let what = match made.what {
                What::Turned => "turned to",
                What::PutBack => "put back",
                What::Removed => "removed",
                What::Added(_) => "added",
            };
            let shown = match made.place {
                Some(place) => found.shown(place),
                None => self.path.display().to_string(),
            };
            let raw = made.written(&self.after).or(made.before(found));
            format!("{shown}: {what} {}", one_line(raw.unwrap_or_default()))
        })
    }
}

impl Made {
    fn name(&self, found: &Found) -> String {
        match (&self.what, self.place) {
            (What::Added(name), _) => name.to_string(),
            (_, place) => place.map_or_else(String::new, |place| found.folded(place)),
        }
    }

    fn before<'f>(&self, found: &'f Found) -> Option<&'f [u8]> {
        self.place.map(|place| found.raw(place))
    }

    fn written<'d>(&self, after: &'d Document) -> Option<&'d [u8]> {
        self.id.and_then(|id| after.raw(id))
    }
}

/// One file in the making.
struct Making<'f> {
    found: &'f Found,
    /// Behind which entry something was added, and what: the next comes behind that.
    last_added: HashMap<Option<EntryId>, EntryId>,
    rewrite: Rewrite,
}

impl Making<'_> {
    fn make(&mut self, change: &Change) -> Result<(), AddressError> {
        match change {
            Change::Destination { place, n, text } => {
                let id = self.found.id(*place);
                let done = self.rewrite.after.set_destination(id, *n, text.as_bytes());
                self.check(done)?;
                self.changed(*place, What::Turned);
            }
            Change::Replace { place, raw } => {
                let done = self.rewrite.after.replace_raw(self.found.id(*place), raw);
                self.check(done)?;
                self.changed(*place, What::PutBack);
            }
            Change::Remove { place } => {
                let done = self.rewrite.after.remove(self.found.id(*place));
                self.check(done)?;
                self.made(What::Removed, Some(*place), None);
            }
            Change::Add {
                name,
                command,
                after,
            } => {
                let pipe = format!("\"|{command}\"");
                let behind = self.behind(*after);
                let added =
                    self.rewrite
                        .after
                        .insert_after(behind, name.as_bytes(), pipe.as_bytes());
                let id = self.check(added)?;
                self.added(*after, id, name);
            }
            Change::PutBack {
                name,
                raw,
                followed,
                ..
            } => {
                let behind = followed
                    .as_ref()
                    .and_then(|name| self.rewrite.after.lookup(name.as_bytes()));
                let added = self.rewrite.after.insert_raw_after(behind, raw);
                let id = self.check(added)?;
                self.added(None, id, name);
            }
        }
        Ok(())
    }

    fn check<T>(&self, done: Result<T, aliases::EditError>) -> Result<T, AddressError> {
        let path = &self.rewrite.path;
        done.map_err(|error| AddressError::File(format!("cannot edit {path:?}: {error}"), None))
    }

    /// The entry behind which the next one comes.
    fn behind(&self, after: Option<Place>) -> Option<EntryId> {
        let asked = after.map(|place| self.found.id(place));
        self.last_added.get(&asked).copied().or(asked)
    }

    fn changed(&mut self, place: Place, what: What) {
        self.made(what, Some(place), Some(self.found.id(place)));
    }

    fn added(&mut self, after: Option<Place>, id: EntryId, name: &str) {
        let after = after.map(|place| self.found.id(place));
        self.last_added.insert(after, id);
        self.made(What::Added(name.into()), None, Some(id));
    }

    fn made(&mut self, what: What, place: Option<Place>, id: Option<EntryId>) {
        self.rewrite.made.push(Made { what, place, id });
    }

    /// What came out, without what is as it was.
    fn finish(mut self) -> Rewrite {
        let (found, after) = (self.found, &self.rewrite.after);
        let is_other = |made: &Made| made.written(after) != made.before(found);
        self.rewrite.made.retain(is_other);
        self.rewrite
    }
}

/// An entry's bytes on one line, for people.
fn one_line(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    text.trim_end()
        .escape_debug()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}
