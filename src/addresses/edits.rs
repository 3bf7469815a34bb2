//! Changes over the alias files, as asked for and as they come out.
//!
//! **Invariants.** No disk. A change is made in a copy of the document; every one that is made
//! leaves a record of the bytes before and after.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aliases::{Document, EditError, EntryId};

use super::error::AddressError;
use super::found::{Found, Place};
use super::record::{Record, Text};
use crate::clock::Timestamp;
use crate::list::ListName;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change<'c> {
    /// Destination `n` becomes a pipe to `command`.
    Pipe {
        place: Place,
        n: usize,
        command: &'c str,
    },
    /// All bytes of the entry.
    Replace { place: Place, raw: &'c [u8] },
    /// The entry goes.
    Remove { place: Place },
    /// A new entry that pipes to `command`, after another or at the end of the first file.
    Add {
        name: &'c str,
        command: &'c str,
        after: Option<Place>,
    },
    /// A removed entry's bytes come back to file `file`, after the entry that it followed.
    PutBack {
        file: usize,
        name: &'c str,
        raw: &'c [u8],
        followed: Option<&'c str>,
    },
}

/// What is to be changed, and what was left.
#[derive(Debug)]
pub(super) struct Edits<'f> {
    pub(super) found: &'f Found,
    /// The files in the making, by their numbers: those that nothing was asked of are none.
    making: BTreeMap<usize, Making<'f>>,
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

/// A change that was made: what became of which entry. One that was there before has its handle
/// in the file as it was found, too.
#[derive(Debug)]
enum Made {
    Turned(EntryId),
    PutBack(EntryId),
    Removed(EntryId),
    /// Under this name.
    Added(EntryId, Box<str>),
}

impl<'f> Edits<'f> {
    pub(super) fn new(found: &'f Found) -> Edits<'f> {
        Edits {
            found,
            making: BTreeMap::new(),
            turned: BTreeSet::new(),
            left: Vec::new(),
            left_of: Vec::new(),
            told: HashSet::new(),
            notes: Vec::new(),
        }
    }

    /// Makes a change. If the text would not be read as what is meant, [`Edits::rewrite`] says so.
    pub(super) fn push(&mut self, change: Change<'_>) {
        let (found, file) = (self.found, change.file());
        let making = self.making.entry(file);
        making
            .or_insert_with(|| Making::of(found, file))
            .make_unless_failed(change);
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

    /// What came out: one rewrite for each file that differs.
    ///
    /// # Errors
    /// The text would not be read as what is meant.
    pub(super) fn rewrite(
        &mut self,
        by: &str,
        generation: u64,
    ) -> Result<Vec<Rewrite>, AddressError> {
        let made = std::mem::take(&mut self.making).into_values();
        let mut rewrites = made
            .map(|making| making.finish(by, generation))
            .collect::<Result<Vec<Rewrite>, AddressError>>()?;
        rewrites.retain(|rewrite| !rewrite.made.is_empty());
        Ok(rewrites)
    }
}

impl Change<'_> {
    fn file(&self) -> usize {
        match self {
            Change::Pipe { place, .. }
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
        self.made.iter().map(|made| self.name(made, found))
    }

    /// One record a change: the bytes before and after.
    pub(super) fn records<'r>(&'r self, found: &'r Found) -> impl Iterator<Item = Record<'r>> + 'r {
        self.made.iter().map(|made| {
            let name = self.name(made, found).into_bytes();
            let by = (self.by.as_str(), self.generation);
            let mut record = Record::new(by, &self.when, &self.path, name);
            let before = self.place(made).map(|place| found.raw(place));
            record.before = before.map(Text::of);
            record.written = self.written(made).map(Text);
            if let (Made::Removed(_), Some(place)) = (made, self.place(made)) {
                let followed = found.name_before(place);
                record.followed = followed.map(|name| Text(name.into_bytes().into()));
            }
            record
        })
    }

    /// One sentence a change.
    pub(super) fn lines<'r>(&'r self, found: &'r Found) -> impl Iterator<Item = String> + 'r {
        self.made.iter().map(|made| {
            let what = match made {
                Made::Turned(_) => "turned to",
                Made::PutBack(_) => "put back",
                Made::Removed(_) => "removed",
                Made::Added(..) => "added",
            };
            let place = self.place(made);
            let shown = match place {
                Some(place) => found.shown(place),
                None => self.path.display().to_string(),
            };
            let before = place.map(|place| found.raw(place).into());
            let raw = self.written(made).or(before);
            format!("{shown}: {what} {}", one_line(&raw.unwrap_or_default()))
        })
    }

    fn name(&self, made: &Made, found: &Found) -> String {
        match (made, self.place(made)) {
            (Made::Added(_, name), _) => name.to_string(),
            (_, place) => place.map_or_else(String::new, |place| found.folded(place)),
        }
    }

    /// Where the entry stands that there was before; `None`: there was none.
    fn place(&self, made: &Made) -> Option<Place> {
        match made {
            Made::Turned(id) | Made::PutBack(id) | Made::Removed(id) => {
                Some(Place::of(self.file, *id))
            }
            Made::Added(..) => None,
        }
    }

    /// The bytes that there are now; `None`: it was removed.
    fn written(&self, made: &Made) -> Option<Cow<'_, [u8]>> {
        match made {
            Made::Turned(id) | Made::PutBack(id) | Made::Added(id, _) => self.after.bytes_of(*id),
            Made::Removed(_) => None,
        }
    }
}

/// One file in the making.
#[derive(Debug)]
struct Making<'f> {
    found: &'f Found,
    file: usize,
    after: Document,
    made: Vec<Made>,
    /// Behind which entry something was added, and what: the next comes behind that.
    last_added: HashMap<Option<EntryId>, EntryId>,
    /// What could not be made: then nothing is.
    failed: Option<EditError>,
}

impl<'f> Making<'f> {
    fn of(found: &'f Found, file: usize) -> Making<'f> {
        Making {
            found,
            file,
            after: found.files[file].document.clone(),
            made: Vec::new(),
            last_added: HashMap::new(),
            failed: None,
        }
    }

    fn make_unless_failed(&mut self, change: Change<'_>) {
        if self.failed.is_none() {
            self.failed = self.make(change).err();
        }
    }

    fn make(&mut self, change: Change<'_>) -> Result<(), EditError> {
        match change {
            Change::Pipe { place, n, command } => {
                let id = self.found.id(place);
                let text = pipe(command);
                self.after.set_destination(id, n, text.as_bytes())?;
                self.made.push(Made::Turned(id));
            }
            Change::Replace { place, raw } => {
                let id = self.found.id(place);
                self.after.replace_raw(id, raw)?;
                self.made.push(Made::PutBack(id));
            }
            Change::Remove { place } => {
                let id = self.found.id(place);
                self.after.remove(id)?;
                self.made.push(Made::Removed(id));
            }
            Change::Add {
                name,
                command,
                after,
            } => {
                let after = after.map(|place| self.found.id(place));
                let behind = self.last_added.get(&after).copied().or(after);
                let (text, to) = (name.as_bytes(), pipe(command));
                let id = self.after.insert_after(behind, text, to.as_bytes())?;
                self.added(after, id, name);
            }
            Change::PutBack {
                name,
                raw,
                followed,
                ..
            } => {
                let behind = followed.and_then(|name| self.after.lookup(name.as_bytes()));
                let id = self.after.insert_raw_after(behind, raw)?;
                self.added(None, id, name);
            }
        }
        Ok(())
    }

    fn added(&mut self, after: Option<EntryId>, id: EntryId, name: &str) {
        self.last_added.insert(after, id);
        self.made.push(Made::Added(id, name.into()));
    }

    /// What came out, without what is as it was.
    fn finish(self, by: &str, generation: u64) -> Result<Rewrite, AddressError> {
        let Making {
            after, mut made, ..
        } = self;
        let found = &self.found.files[self.file];
        let path = found.path.clone();
        if let Some(error) = self.failed {
            let error = format!("cannot edit {path:?}: {error}");
            return Err(AddressError::File(error, None));
        }
        made.retain(|made| match made {
            Made::Turned(id) | Made::PutBack(id) => after.is_changed(*id),
            Made::Removed(_) | Made::Added(..) => true,
        });
        Ok(Rewrite {
            file: self.file,
            path,
            before: found.original.shared(),
            after,
            made,
            by: by.to_owned(),
            generation,
            when: Timestamp::now().to_string(),
        })
    }
}

/// A destination that pipes to `command`.
fn pipe(command: &str) -> String {
    ["\"|", command, "\""].concat()
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
