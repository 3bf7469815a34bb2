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
    /// The names whose entries change, as the MTA looks them up.
    pub(super) names: BTreeSet<String>,
    pub(super) records: Vec<Record>,
    /// One sentence a change.
    pub(super) lines: Vec<String>,
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
                made: Vec::new(),
                rewrite: Rewrite {
                    file,
                    path: found.path.clone(),
                    before: found.original.shared(),
                    after: found.document.clone(),
                    names: BTreeSet::new(),
                    records: Vec::new(),
                    lines: Vec::new(),
                },
                by,
                generation,
            };
            for change in changes {
                making.make(change)?;
            }
            let rewrite = making.finish();
            if !rewrite.records.is_empty() {
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

/// A change that was made; its bytes are read once all are.
struct Made {
    record: Record,
    /// `None`: it was removed.
    id: Option<EntryId>,
    /// `/etc/aliases, line 12: turned to`
    says: String,
}

/// One file in the making.
struct Making<'f> {
    found: &'f Found,
    /// Behind which entry something was added, and what: the next comes behind that.
    last_added: HashMap<Option<EntryId>, EntryId>,
    made: Vec<Made>,
    rewrite: Rewrite,
    by: &'f str,
    generation: u64,
}

impl Making<'_> {
    fn make(&mut self, change: &Change) -> Result<(), AddressError> {
        match change {
            Change::Destination { place, n, text } => {
                let id = self.found.id(*place);
                let done = self.rewrite.after.set_destination(id, *n, text.as_bytes());
                self.check(done)?;
                self.changed(*place, "turned to");
            }
            Change::Replace { place, raw } => {
                let done = self.rewrite.after.replace_raw(self.found.id(*place), raw);
                self.check(done)?;
                self.changed(*place, "put back");
            }
            Change::Remove { place } => {
                let done = self.rewrite.after.remove(self.found.id(*place));
                self.check(done)?;
                self.removed(*place);
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

    fn changed(&mut self, place: Place, what: &str) {
        let mut record = self.record(&self.found.folded(place));
        record.before = Some(Text(self.found.raw(place).to_vec()));
        let says = format!("{}: {what}", self.found.shown(place));
        self.made.push(Made {
            record,
            id: Some(self.found.id(place)),
            says,
        });
    }

    fn removed(&mut self, place: Place) {
        let mut record = self.record(&self.found.folded(place));
        record.before = Some(Text(self.found.raw(place).to_vec()));
        record.followed = self
            .found
            .name_before(place)
            .map(|name| Text(name.into_bytes()));
        let says = format!("{}: removed", self.found.shown(place));
        self.made.push(Made {
            record,
            id: None,
            says,
        });
    }

    fn added(&mut self, after: Option<Place>, id: EntryId, name: &str) {
        let after = after.map(|place| self.found.id(place));
        self.last_added.insert(after, id);
        let says = format!("{}: added", self.rewrite.path.display());
        self.made.push(Made {
            record: self.record(name),
            id: Some(id),
            says,
        });
    }

    fn record(&self, name: &str) -> Record {
        Record::new(
            self.by,
            self.generation,
            &self.rewrite.path,
            name.as_bytes(),
        )
    }

    /// Reads what came out: each entry's bytes.
    fn finish(mut self) -> Rewrite {
        for Made {
            mut record,
            id,
            says,
        } in self.made
        {
            let written = id.and_then(|id| self.rewrite.after.raw(id));
            let before = record.before.as_ref().map(|text| text.0.as_slice());
            if written == before {
                continue;
            }
            let shown = one_line(written.or(before).unwrap_or_default());
            self.rewrite.lines.push(format!("{says} {shown}"));
            self.rewrite
                .names
                .insert(String::from_utf8_lossy(record.name()).into_owned());
            record.written = written.map(|raw| Text(raw.to_vec()));
            self.rewrite.records.push(record);
        }
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
