//! A change of the alias files: planned, shown and made; `back` takes it back.
//!
//! Order of a change, and what a kill after each step leaves:
//!
//! | step | on disk | mail | the next run |
//! |---|---|---|---|
//! | 1. the records of what will stand, synced (`record`) | records without their change | as before | they match nothing |
//! | 2. each file and its database, text first (crate `aliases`, `mta`) | some files new, some old | by the database: each name as before or as wanted | finds what is left, or the database out of line, and goes on |
//!
//! If a file cannot be published, those before it go back.
//!
//! **Invariants.** Only with the writer's lock. An editor who was faster wins: everything is
//! decided anew from what he wrote. Where nothing differs no file is touched.

use std::collections::BTreeSet;

use similar::TextDiff;

use super::back::{self, ATTEMPTS, TakenBack};
use super::decide::{Intent, decide};
use super::disk;
use super::edits::Rewrite;
use super::emptied::{self, Emptied};
use super::error::AddressError;
use super::found::{AliasFile, Found};
use super::needed::needed;
use super::needs;
use super::record::{self, Records};
use super::typed::typed;
use super::view::View;
use super::virtual_map;
use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::Site;
use crate::store::Writer;

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
    /// What was written so far; empty for acts that do not ask for it.
    records: Records,
    rewrites: Vec<Rewrite>,
    left: Vec<String>,
    notes: Vec<String>,
    turned: BTreeSet<ListName>,
    /// The files of which no database is built: see there.
    emptied: Vec<Emptied>,
    /// The names that the database must have right afterwards.
    verify: BTreeSet<String>,
}

/// A change that was made.
#[derive(Debug)]
#[must_use]
pub struct Applied<'s> {
    site: &'s Site,
    /// What stood before.
    found: Found,
    done: Vec<Rewrite>,
    intent: Intent,
    notes: Vec<String>,
}

/// What `lists` need before they move to where `after` puts them: entries that pipe straight
/// into a tree are turned to mm-deliver, addresses that their tree has and no file are added.
///
/// # Errors
/// A file or profile cannot be read; `Untold` if their tree needs what the MTA does not tell.
pub fn plan_move<'s>(
    site: &'s Site,
    after: &Parity,
    lists: &BTreeSet<ListName>,
) -> Result<Plan<'s>, AddressError> {
    let untold = needs::untold_of(site, after, lists);
    match untold.is_empty() {
        true => Plan::new(site, after, Intent::Move(lists.clone())),
        false => Err(AddressError::Untold(untold)),
    }
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

    /// What changes, one sentence a change, and what else there is to say of it.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let notes = self.notes().iter().cloned();
        self.changes().chain(notes)
    }

    /// How many lines that are: each is put together when it is asked for.
    pub fn told(&self) -> usize {
        self.changed() + self.notes().len()
    }

    /// What changes, one sentence a change.
    pub(super) fn changes(&self) -> impl Iterator<Item = String> {
        let rewrites = self.work.rewrites.iter();
        rewrites.flat_map(|rewrite| rewrite.lines(&self.work.found))
    }

    /// What else there is to say of it.
    pub(super) fn notes(&self) -> &[String] {
        &self.work.notes
    }

    /// What is left as it is although the act is about it, and why.
    pub fn left(&self) -> &[String] {
        &self.work.left
    }

    /// The change as a unified diff, printable.
    pub fn diff(&self) -> String {
        self.work.rewrites.iter().map(diff).collect()
    }

    /// The lists whose entries are turned to us.
    pub(super) fn turned(&self) -> &BTreeSet<ListName> {
        &self.work.turned
    }

    /// How many entries change.
    pub(super) fn changed(&self) -> usize {
        self.work.rewrites.iter().map(Rewrite::changed).sum()
    }

    /// What the MTA's database has otherwise than the text: one sentence each.
    ///
    /// # Errors
    /// The MTA's tools cannot be asked.
    pub(super) fn database(&self) -> Result<Vec<String>, AddressError> {
        let mut told = Vec::new();
        for file in &self.work.found.files {
            told.extend(disk::verify(self.site, file, &self.work.verify)?);
        }
        Ok(told)
    }

    /// Makes the change: text and database.
    ///
    /// # Errors
    /// Nothing has changed, except with [`AddressError::Half`].
    pub fn apply(mut self, writer: &Writer) -> Result<Applied<'s>, AddressError> {
        let mut raced = None;
        for _ in 0..ATTEMPTS {
            match self.try_apply(writer) {
                Err(AddressError::Raced(path)) => {
                    raced = Some(path);
                    self.work = work(self.site, &self.parity, &self.intent)?;
                }
                Err(error) => return Err(error),
                Ok(mut notes) => {
                    let what = (&self.intent, !self.is_empty());
                    notes.extend(virtual_map::keep(self.site, &self.parity, what, writer)?);
                    return Ok(Applied {
                        site: self.site,
                        found: self.work.found,
                        done: self.work.rewrites,
                        intent: self.intent,
                        notes,
                    });
                }
            }
        }
        Err(AddressError::Raced(raced.unwrap_or_default()))
    }

    fn try_apply(&self, writer: &Writer) -> Result<Vec<String>, AddressError> {
        let work = &self.work;
        work.found
            .files
            .iter()
            .for_each(|file| disk::sweep(self.site, file));
        if self.intent.leads_to_us() {
            for rewrite in &work.rewrites {
                disk::check_read(self.site, &work.found.files[rewrite.file].original)?;
            }
        }
        let mut notes = Vec::new();
        if !self.is_empty() {
            notes.extend(self.compact_records(writer));
            let rewrites = work.rewrites.iter();
            let records = rewrites.flat_map(|rewrite| rewrite.records(&work.found));
            let path = record::path(self.site);
            match record::append(&path, records, work.found.readable()) {
                // NO WAY BACK HANGS ON A RECORD. Without one, unadopt writes the direct form.
                Err(error) if self.intent.goes_back() => {
                    notes.push(format!("{error}: these changes are not recorded there"));
                }
                appended => appended?,
            }
        }
        for (n, rewrite) in work.rewrites.iter().enumerate() {
            let original = &work.found.files[rewrite.file].original;
            let names = self.names_in(rewrite);
            match disk::publish(self.site, original, &rewrite.path, &rewrite.after, &names) {
                Ok(more) => notes.extend(more),
                Err(error) => {
                    let done = &work.rewrites[..n];
                    return Err(unpublished(self.site, &work.found, done, error));
                }
            }
        }
        // A file that needs no change may still have a database that a kill left behind.
        for (n, file) in work.found.files.iter().enumerate() {
            if !work.rewrites.iter().any(|rewrite| rewrite.file == n) {
                notes.extend(self.mend_database(file)?);
            }
        }
        Ok(notes)
    }

    /// Drops the records that nobody asks for any more. Should that fail, they stand as they
    /// were, which stops nothing: a way back is never refused for it.
    fn compact_records(&self, writer: &Writer) -> Option<String> {
        let work = &self.work;
        let path = record::path(self.site);
        let keep = needed(&work.records.all, &work.found, Timestamp::now());
        let readable = work.found.readable();
        let done = record::compact(writer, &path, &work.records, &keep, readable);
        done.err()
            .map(|error| format!("{}: old records stay: {error}", path.display()))
    }

    /// Builds the database of a file that is not rewritten anew, if it is out of line.
    ///
    /// NOTHING TO WRITE, NOTHING TO ASK. While the MTA's package is being upgraded its tools are
    /// missing for a while. What changes no text then only says that the database was not looked
    /// at; `sync`, which is typed for the database, fails.
    ///
    /// # Errors
    /// Only where no file was rewritten before.
    fn mend_database(&self, file: &AliasFile) -> Result<Vec<String>, AddressError> {
        if self.work.emptied.iter().any(|it| it.is_of(&file.path)) {
            return Ok(Vec::new());
        }
        let note = |what: &str, error: &AddressError| {
            let path = file.path.display();
            vec![format!(
                "{path}: {what}: {error}; {} looks again",
                typed(self.site, "sync")
            )]
        };
        match disk::verify(self.site, file, &self.work.verify) {
            Ok(wrong) if wrong.is_empty() => {
                return match (&self.intent, disk::has_database(self.site)) {
                    (Intent::Sync { .. }, true) => self.tell(file),
                    _ => Ok(Vec::new()),
                };
            }
            Ok(_) => {}
            Err(error) if self.is_empty() && matches!(self.intent, Intent::Sync { .. }) => {
                return Err(error);
            }
            Err(error @ AddressError::Unread(..))
                if self.is_empty() && matches!(self.intent, Intent::Adopt(_)) =>
            {
                return Err(error);
            }
            Err(error) => return Ok(note("its database was not looked at", &error)),
        }
        match disk::rebuild(self.site, file, &self.work.verify) {
            Ok(mut notes) => {
                notes.push(format!(
                    "{}: its database was out of line, and was built anew",
                    file.path.display()
                ));
                Ok(notes)
            }
            // A revert leaves every list where it is: no mail goes otherwise than before.
            Err(error) if self.is_empty() && !matches!(self.intent, Intent::Revert) => Err(error),
            Err(error) => Ok(note(
                "its database is out of line, and was not built anew",
                &error,
            )),
        }
    }

    /// Has an MTA that holds what it read read it again: it may be something else than what stands,
    /// and nothing tells.
    ///
    /// # Errors
    /// Only where no file was rewritten before.
    fn tell(&self, file: &AliasFile) -> Result<Vec<String>, AddressError> {
        match disk::tell(self.site, file) {
            Err(error) if self.is_empty() => Err(error),
            Err(error) => {
                let path = file.path.display();
                let again = typed(self.site, "sync");
                Ok(vec![format!(
                    "{path}: the MTA was not told to read it again: {error}; {again} tells it"
                )])
            }
            told => told,
        }
    }

    /// What is to be read back from the database of a rewritten file: what changes, and every
    /// name of ours in it.
    fn names_in(&self, rewrite: &Rewrite) -> BTreeSet<String> {
        let file = &self.work.found.files[rewrite.file];
        let here = |name: &&String| file.document.lookup(name.as_bytes()).is_some();
        // Where there is no database nobody asks for them.
        let changed = rewrite.names(&self.work.found);
        changed
            .filter(|_| disk::has_database(self.site))
            .chain(self.work.verify.iter().filter(here).cloned())
            .collect()
    }
}

fn work(site: &Site, parity: &Parity, intent: &Intent) -> Result<Work, AddressError> {
    let found = Found::read(site)?;
    let records = match intent.asks_for_records() {
        true => record::read(&record::path(site))?,
        false => Records::default(),
    };
    let (rewrites, left, mut notes, turned, emptied, verify) = {
        let view = View::new(site, parity, &found)?;
        let mut edits = decide(&view, intent, &records)?;
        let rewrites = edits.rewrite(intent.word(), parity.roles.generation)?;
        for rewrite in &rewrites {
            disk::check_editable(&found.files[rewrite.file])?;
        }
        let emptied = refuse_emptied(emptied::all(&view), intent, &rewrites)?;
        // A database that is built anew must have every name of ours, not only those that moved.
        let verify = match (disk::has_database(site), rewrites.is_empty()) {
            (false, _) => BTreeSet::new(),
            (true, true) => view.to_verify(intent.lists()),
            (true, false) => view.to_verify(None),
        };
        edits.notes.extend(emptied.iter().map(Emptied::to_string));
        (
            rewrites,
            edits.left,
            edits.notes,
            edits.turned,
            emptied,
            verify,
        )
    };
    if records.torn {
        notes.push(format!(
            "{}: half a last line, left by a kill, is passed over",
            record::path(site).display()
        ));
    }
    Ok(Work {
        found,
        records,
        rewrites,
        left,
        notes,
        turned,
        emptied,
        verify,
    })
}

/// What is typed for the entries and their database is refused where the text was lost, and what
/// would write into that text: a database built of it would have these lines alone. What only
/// comes by lets it be.
///
/// # Errors
/// `Emptied`.
fn refuse_emptied(
    emptied: Vec<Emptied>,
    intent: &Intent,
    rewrites: &[Rewrite],
) -> Result<Vec<Emptied>, AddressError> {
    let is_typed = matches!(intent, Intent::Adopt(_) | Intent::Sync { .. });
    let is_written = |it: &Emptied| rewrites.iter().any(|rewrite| it.is_of(&rewrite.path));
    let (refused, rest): (Vec<_>, Vec<_>) =
        (emptied.into_iter()).partition(|it| is_typed || is_written(it));
    match refused.into_iter().next() {
        None => Ok(rest),
        Some(first) => Err(AddressError::Emptied(Box::new(first))),
    }
}

/// One file could not be published: those before it go back.
fn unpublished(site: &Site, was: &Found, done: &[Rewrite], error: AddressError) -> AddressError {
    if done.is_empty() {
        return error;
    }
    let back = back::put_back(site, was, done);
    match back.failed.first() {
        None => error,
        Some(worse) => {
            let paths = done.iter().map(|rewrite| rewrite.path.clone()).collect();
            AddressError::Half(paths, format!("{error}; and then {worse}"))
        }
    }
}

impl Applied<'_> {
    /// What the admin should know besides: one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Puts text and database back to what they were; where somebody edited a file since,
    /// entry by entry.
    pub fn take_back(self, writer: &Writer) -> TakenBack {
        if self.done.is_empty() {
            return TakenBack::default();
        }
        let mut back = back::put_back(self.site, &self.found, &self.done);
        // The writer has the parity that stands: that of before.
        let what = (&self.intent, true);
        match virtual_map::keep(self.site, writer.parity(), what, writer) {
            Ok(notes) => back.notes.extend(notes),
            Err(error) => back.failed.push(error),
        }
        back
    }
}

fn diff(rewrite: &Rewrite) -> String {
    let before = shown(&rewrite.before);
    let after = shown(&rewrite.after.to_bytes());
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
