//! A change of the alias files: planned, shown, made, and taken back.
//!
//! Order of a change, and what a kill after each step leaves:
//!
//! | step | on disk | mail | the next run |
//! |---|---|---|---|
//! | 1. the records of what will stand, synced | records without their change | as before | they match nothing |
//! | 2. each file replaced, its text exchanged whole | new text, old database | the MTA uses the old database: as before | finds the database out of line, builds it |
//! | 3. the database built beside and moved, read back | both new | as wanted | nothing to do |
//!
//! The text goes first: what it loses is at worst an entry that the database still has, and an
//! old entry leads to a program that is still there. If step 3 fails, the text goes back.
//!
//! **Invariants.** Only with the writer's lock. An editor who was faster wins: everything is
//! decided anew from what he wrote. Where nothing differs no file is touched.

use std::collections::BTreeSet;
use std::path::PathBuf;

use similar::TextDiff;

use super::decide::{Intent, View, decide};
use super::disk;
use super::edits::{Change, Edits, Rewrite};
use super::error::AddressError;
use super::found::Found;
use super::record;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::Site;
use crate::store::Writer;

/// How often everything is decided anew when an editor was faster.
const ATTEMPTS: usize = 5;

/// A change that was decided and not made yet.
#[derive(Debug)]
pub struct Plan<'s> {
    site: &'s Site,
    parity: Parity,
    intent: Intent,
    work: Work,
}

/// What a plan comes to, for the files as they were read.
#[derive(Debug)]
struct Work {
    found: Found,
    rewrites: Vec<Rewrite>,
    left: Vec<String>,
    notes: Vec<String>,
    /// The names that the database must have right afterwards.
    verify: BTreeSet<String>,
}

/// A change that was made.
#[derive(Debug)]
#[must_use]
pub struct Applied<'s> {
    site: &'s Site,
    done: Vec<Rewrite>,
    notes: Vec<String>,
}

/// What `lists` need before they move to where `after` puts them: entries that pipe straight
/// into a tree are turned to mm-deliver, addresses that their tree has and no file are added.
///
/// # Errors
/// A file or profile cannot be read.
pub fn plan_move<'s>(
    site: &'s Site,
    after: &Parity,
    lists: &BTreeSet<ListName>,
) -> Result<Plan<'s>, AddressError> {
    Plan::new(site, after, Intent::Move(lists.clone()))
}

/// The entries of ours, for lists that are `known`, that no tree in use has once `after` stands.
///
/// # Errors
/// A file or profile cannot be read.
pub fn plan_commit<'s>(
    site: &'s Site,
    after: &Parity,
    known: &BTreeSet<ListName>,
) -> Result<Plan<'s>, AddressError> {
    Plan::new(site, after, Intent::Commit(known.clone()))
}

/// What the last commit removed, byte for byte.
///
/// # Errors
/// A file, profile or record cannot be read.
pub fn plan_revert<'s>(site: &'s Site, after: &Parity) -> Result<Plan<'s>, AddressError> {
    Plan::new(site, after, Intent::Revert)
}

impl<'s> Plan<'s> {
    pub(super) fn new(
        site: &'s Site,
        parity: &Parity,
        intent: Intent,
    ) -> Result<Plan<'s>, AddressError> {
        let work = work(site, parity, &intent)?;
        Ok(Plan {
            site,
            parity: parity.clone(),
            intent,
            work,
        })
    }

    /// Whether no file differs. The MTA's database may still be out of line: `apply` mends it.
    pub fn is_empty(&self) -> bool {
        self.work.rewrites.is_empty()
    }

    /// What changes, one sentence a change.
    pub fn lines(&self) -> Vec<String> {
        let changes = self
            .work
            .rewrites
            .iter()
            .flat_map(|rewrite| rewrite.lines.iter());
        changes.chain(&self.work.notes).cloned().collect()
    }

    /// What is left as it is although the act is about it, and why.
    pub fn left(&self) -> &[String] {
        &self.work.left
    }

    /// The change as a unified diff, printable.
    pub fn diff(&self) -> String {
        self.work.rewrites.iter().map(diff).collect()
    }

    /// How many entries change.
    pub(super) fn changed(&self) -> usize {
        self.work
            .rewrites
            .iter()
            .map(|rewrite| rewrite.records.len())
            .sum()
    }

    /// Whether the MTA's database says what the text says, for the names that matter.
    ///
    /// # Errors
    /// The MTA's tool cannot be asked.
    pub(super) fn database(&self) -> Result<Vec<String>, AddressError> {
        disk::verify(self.site, &self.work.found, &self.work.verify)
    }

    /// Makes the change: text and database.
    ///
    /// # Errors
    /// Nothing has changed, except with [`AddressError::Half`].
    pub fn apply(mut self, writer: &Writer) -> Result<Applied<'s>, AddressError> {
        let _ = writer;
        let mut raced = None;
        for _ in 0..ATTEMPTS {
            match self.try_apply() {
                Err(AddressError::Raced(path)) => {
                    raced = Some(path);
                    self.work = work(self.site, &self.parity, &self.intent)?;
                }
                Err(error) => return Err(error),
                Ok(notes) => {
                    let done = self.work.rewrites;
                    return Ok(Applied {
                        site: self.site,
                        done,
                        notes,
                    });
                }
            }
        }
        Err(AddressError::Raced(raced.unwrap_or_default()))
    }

    fn try_apply(&self) -> Result<Vec<String>, AddressError> {
        let mut notes = Vec::new();
        if self.is_empty() {
            if !self.database()?.is_empty() {
                notes.extend(disk::publish(
                    self.site,
                    &self.work.found,
                    &self.work.verify,
                )?);
                notes.push("the MTA's database was out of line: it was built anew".to_owned());
            }
            return Ok(notes);
        }
        let records: Vec<_> = self
            .work
            .rewrites
            .iter()
            .flat_map(|rewrite| rewrite.records.clone())
            .collect();
        record::append(&record::path(self.site), &records)?;
        notes.extend(replace_all(
            self.site,
            &self.work.found,
            &self.work.rewrites,
        )?);
        let names = self
            .work
            .rewrites
            .iter()
            .flat_map(|rewrite| rewrite.names.iter());
        let verify = names.chain(&self.work.verify).cloned().collect();
        let published =
            Found::read(self.site).and_then(|found| disk::publish(self.site, &found, &verify));
        match published {
            Ok(more) => notes.extend(more),
            Err(error) => return Err(back_to_before(self.site, &self.work.rewrites, error)),
        }
        Ok(notes)
    }
}

fn work(site: &Site, parity: &Parity, intent: &Intent) -> Result<Work, AddressError> {
    let found = Found::read(site)?;
    let records = record::read(&record::path(site))?;
    let (rewrites, left, mut notes, verify) = {
        let view = View::new(site, parity, &found)?;
        let edits = decide(&view, intent, &records)?;
        let rewrites = edits.rewrite(intent.word(), parity.roles.generation)?;
        (rewrites, edits.left, edits.notes, view.to_verify(intent))
    };
    if records.torn {
        notes.push(format!(
            "{}: half a last line, left by a kill, is passed over",
            record::path(site).display()
        ));
    }
    Ok(Work {
        found,
        rewrites,
        left,
        notes,
        verify,
    })
}

/// Replaces every file; where one fails, those before it go back.
fn replace_all(
    site: &Site,
    found: &Found,
    rewrites: &[Rewrite],
) -> Result<Vec<String>, AddressError> {
    let mut notes = Vec::new();
    for (n, rewrite) in rewrites.iter().enumerate() {
        match disk::replace(
            &found.files[rewrite.file].original,
            &rewrite.path,
            &rewrite.after,
        ) {
            Ok(more) => notes.extend(more),
            Err(error) => {
                return Err(match put_texts_back(site, &rewrites[..n]) {
                    Ok(()) => error,
                    Err(worse) => AddressError::Half(paths(&rewrites[..n]), worse.to_string()),
                });
            }
        }
    }
    Ok(notes)
}

/// The database could not follow the text: text and database go back.
fn back_to_before(site: &Site, rewrites: &[Rewrite], error: AddressError) -> AddressError {
    let back = put_texts_back(site, rewrites).and_then(|()| {
        let found = Found::read(site)?;
        let names = rewrites
            .iter()
            .flat_map(|rewrite| rewrite.names.clone())
            .collect();
        match disk::verify(site, &found, &names)?.is_empty() {
            true => Ok(()),
            false => disk::publish(site, &found, &names).map(|_| ()),
        }
    });
    match back {
        Ok(()) => error,
        Err(worse) => AddressError::Half(paths(rewrites), format!("{error}; and {worse}")),
    }
}

/// Puts the bytes before each rewrite back, or entry by entry where somebody edited the file
/// since.
fn put_texts_back(site: &Site, rewrites: &[Rewrite]) -> Result<(), AddressError> {
    for _ in 0..ATTEMPTS {
        let found = Found::read(site)?;
        match put_back_in(&found, rewrites) {
            Err(AddressError::Raced(_)) => {}
            done => return done,
        }
    }
    Err(AddressError::Raced(
        rewrites
            .first()
            .map_or_else(PathBuf::new, |rewrite| rewrite.path.clone()),
    ))
}

fn put_back_in(found: &Found, rewrites: &[Rewrite]) -> Result<(), AddressError> {
    for rewrite in rewrites {
        let file = &found.files[rewrite.file];
        let now = file.original.bytes();
        if now == rewrite.before {
            continue;
        }
        if now == rewrite.after {
            disk::replace(&file.original, &rewrite.path, &rewrite.before)?;
            continue;
        }
        for undone in undo_entries(found, rewrite)?.rewrite("take-back", 0)? {
            disk::replace(&file.original, &undone.path, &undone.after)?;
        }
    }
    Ok(())
}

/// The rewrite of single entries, turned round.
fn undo_entries<'f>(found: &'f Found, rewrite: &Rewrite) -> Result<Edits<'f>, AddressError> {
    let mut edits = Edits::new(found);
    let mut edited = Vec::new();
    for record in &rewrite.records {
        let name = String::from_utf8_lossy(record.name()).into_owned();
        let written = record.written.as_ref().map(|text| text.0.as_slice());
        let mut places = found
            .places(&name)
            .iter()
            .copied()
            .filter(|place| place.file == rewrite.file);
        let ours = places.find(|&place| Some(found.raw(place)) == written);
        match (ours, &record.before, written) {
            (Some(place), Some(before), _) => {
                edits.push(Change::Replace {
                    place,
                    raw: before.0.clone(),
                });
            }
            (Some(place), None, _) => edits.push(Change::Remove { place }),
            (None, Some(before), None) if found.places(&name).is_empty() => {
                let followed = record.followed.as_ref();
                edits.push(Change::PutBack {
                    file: rewrite.file,
                    name,
                    raw: before.0.clone(),
                    followed: followed.map(|name| String::from_utf8_lossy(&name.0).into_owned()),
                });
            }
            _ => edited.push(name),
        }
    }
    match edited.is_empty() {
        true => Ok(edits),
        false => Err(AddressError::Edited(rewrite.path.clone(), edited)),
    }
}

fn paths(rewrites: &[Rewrite]) -> Vec<PathBuf> {
    rewrites
        .iter()
        .map(|rewrite| rewrite.path.clone())
        .collect()
}

impl Applied<'_> {
    /// What the admin should know besides: one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Puts text and database back to what they were; where somebody edited a file since,
    /// entry by entry.
    ///
    /// # Errors
    /// `Edited` if what was written is not what stands.
    pub fn take_back(self) -> Result<(), AddressError> {
        if self.done.is_empty() {
            return Ok(());
        }
        put_texts_back(self.site, &self.done)?;
        let found = Found::read(self.site)?;
        let names = self
            .done
            .iter()
            .flat_map(|rewrite| rewrite.names.clone())
            .collect();
        disk::publish(self.site, &found, &names).map(|_| ())
    }
}

fn diff(rewrite: &Rewrite) -> String {
    let before = shown(&rewrite.before);
    let after = shown(&rewrite.after);
    let path = rewrite.path.display().to_string();
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(3)
        .header(&path, &path)
        .to_string()
}

/// A file's text for a terminal: what is not UTF-8 replaced, control characters escaped.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}
