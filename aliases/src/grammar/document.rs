//! A file as entries and what stands between them, whose bytes, joined, *are* the file.
//!
//! Parsing cuts the file into chunks: entries, lines the MTA skips, comments and blank lines. A
//! chunk is a range of the file's one buffer until an edit gives it bytes of its own (`chunks`), and
//! a name is found by a table of their hashes (`names`): a million entries cost less than their text.
//!
//! **Invariants**: parse then print is the identity on every byte string. An edit changes the bytes
//! that were asked for, is read back before it stands, and leaves the document as it was if it
//! would be read as anything else. No disk, no list manager's words.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::contents::Contents;
use crate::grammar::chunks::{Chunks, Kind};
use crate::grammar::dialect::{Dialect, Winner, fold, pieces};
use crate::grammar::entry::{Entry, EntryId, is_named, name_of, with_name};
use crate::grammar::error::{Effect, Problem};
use crate::grammar::judge::judge;
use crate::grammar::names::Names;
use crate::grammar::reading::newlines;

/// A name that stands more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Double {
    /// The name, as the MTA looks it up.
    pub name: Vec<u8>,
    /// Its entries in the order of the file, two or more.
    pub entries: Vec<EntryId>,
}

/// An aliases file.
#[derive(Debug, Clone)]
pub struct Document {
    pub(crate) dialect: Dialect,
    pub(crate) chunks: Chunks,
    problems: Vec<Problem>,
    pub(crate) names: OnceLock<Names>,
    pub(crate) lines_shifted: bool,
    /// The line of each chunk after such a shift, counted once for all that ask.
    pub(crate) lines: OnceLock<Box<[usize]>>,
    /// Room for what an edit would make of an entry, before it stands.
    pub(crate) draft: Vec<u8>,
}

impl Document {
    /// Reads a file. This never fails: what cannot be read is kept, and told by
    /// [`problems`](Self::problems).
    pub fn parse(file: impl Into<Vec<u8>>, dialect: Dialect) -> Self {
        Self::parse_shared(Arc::new(file.into()), dialect)
    }

    /// As [`parse`](Self::parse), of bytes that somebody else holds as well: they are not copied.
    pub fn parse_shared(file: Arc<Vec<u8>>, dialect: Dialect) -> Self {
        let mut chunks = Chunks::of(Arc::clone(&file));
        let mut problems = Vec::new();
        pieces(&file, dialect, |piece| {
            let kind = judge(&file, &piece, dialect, &mut problems);
            chunks.push(kind, piece.span.start, piece.line);
        });
        Self {
            dialect,
            chunks,
            problems,
            names: OnceLock::new(),
            lines_shifted: false,
            lines: OnceLock::new(),
            draft: Vec::new(),
        }
    }

    /// The file as it is now. [`Contents`](crate::Contents) has it without a copy.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        self.slices()
            .for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    /// What was wrong with the file as it was parsed, in its order. Names that stand twice are not
    /// here but in [`doubles`](Self::doubles).
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whose reading this is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The entries in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut lines = 1;
        self.order().filter_map(move |index| {
            let line = if self.lines_shifted {
                lines
            } else {
                self.chunks.line(index)
            };
            if self.lines_shifted {
                lines += newlines(self.text(index));
            }
            self.stands(index).then(|| self.view(index, line))
        })
    }

    /// One entry; none if it was removed. Costs the same in any file, unless an edit has changed
    /// the number of lines, which are then counted again, once until the next edit.
    pub fn entry(&self, id: EntryId) -> Option<Entry<'_>> {
        if !self.stands(id.0) {
            return None;
        }
        Some(self.view(id.0, self.line_of(id.0)))
    }

    /// All bytes of an entry; none if it was removed. Costs the same in any file.
    pub fn raw(&self, id: EntryId) -> Option<&[u8]> {
        self.stands(id.0).then(|| self.text(id.0))
    }

    /// As [`raw`](Self::raw), for who asks once: what an edit made of several pieces is put together
    /// for him, and not kept.
    pub fn bytes_of(&self, id: EntryId) -> Option<Cow<'_, [u8]>> {
        self.stands(id.0).then(|| self.chunks.bytes(id.0))
    }

    /// Whether edits left an entry with other bytes than it had in the file as it was parsed.
    pub fn is_changed(&self, id: EntryId) -> bool {
        self.chunks.is_changed(id.0)
    }

    /// The entry that stands before this one; none for the first.
    pub fn entry_before(&self, id: EntryId) -> Option<EntryId> {
        if self.chunks.is_of_the_file(id.0) && !self.chunks.has_insertions() {
            return (0..id.0)
                .rev()
                .find(|index| self.stands(*index))
                .map(EntryId);
        }
        let above = self.order().take_while(|index| *index != id.0);
        above
            .filter(|index| self.stands(*index))
            .last()
            .map(EntryId)
    }

    /// The entries of `name` (in any case, unquoted), in the order of the file.
    pub fn named(&self, name: &[u8]) -> Vec<EntryId> {
        let name = fold(name, self.dialect);
        let mut entries: Vec<EntryId> = self.unordered(&name).collect();
        self.sort(&mut entries);
        entries
    }

    /// The entry of `name` (in any case, unquoted), if that stands once; how often else, nobody
    /// can tell from this.
    pub fn only(&self, name: &[u8]) -> Option<EntryId> {
        let name = fold(name, self.dialect);
        let mut entries = self.unordered(&name);
        let first = entries.next()?;
        entries.next().is_none().then_some(first)
    }

    /// The entries whose name is just this as the MTA looks it up, in no order.
    pub(crate) fn unordered(&self, name: &[u8]) -> impl Iterator<Item = EntryId> {
        let names = self.names.get_or_init(|| self.index());
        let has_it =
            |index: &usize| self.stands(*index) && is_named(self.text(*index), name, self.dialect);
        names.candidates(name).filter(has_it).map(EntryId)
    }

    /// The entry that mail for `name` (in any case, unquoted) goes to: of doubles the one that
    /// [wins](Dialect::winner); where the MTA refuses doubles, the first.
    pub fn lookup(&self, name: &[u8]) -> Option<EntryId> {
        self.winner_of(&self.named(name))
    }

    /// The entries that mail goes by, in the order of the file: one for each name, none if the MTA
    /// [refuses](Self::refused) the file.
    pub fn effective(&self) -> impl Iterator<Item = Entry<'_>> {
        let refused = self.refused().is_some();
        let mut passed_over = HashSet::new();
        for double in self.doubles() {
            let winner = self.winner_of(&double.entries);
            passed_over.extend(double.entries.into_iter().filter(|id| Some(*id) != winner));
        }
        self.entries()
            .filter(move |entry| !refused && !passed_over.contains(&entry.id()))
    }

    /// The line, from 1, for which the MTA refuses the whole file, in the file as it was parsed.
    pub fn refused(&self) -> Option<usize> {
        let mut problems = self.problems.iter();
        let problem = problems.find(|problem| problem.effect == Effect::FileRefused);
        let doubles = match self.dialect.winner() {
            Winner::Refused => self.doubles(),
            Winner::First | Winner::Last => Vec::new(),
        };
        let second = |double: &Double| self.entry(*double.entries.get(1)?);
        let seconds = doubles.iter().filter_map(second).map(|entry| entry.line());
        problem.map(Problem::line).into_iter().chain(seconds).min()
    }

    /// The names that stand more than once, in the order of their first entries.
    pub fn doubles(&self) -> Vec<Double> {
        let kept = self.names.get().filter(|names| !names.has_later());
        let built = kept.is_none().then(|| self.index());
        let mut doubles = Vec::new();
        for run in kept.or(built.as_ref()).into_iter().flat_map(Names::runs) {
            let mut by_name: HashMap<Vec<u8>, Vec<EntryId>> = HashMap::new();
            for id in run
                .into_iter()
                .filter(|index| self.stands(*index))
                .map(EntryId)
            {
                by_name.entry(self.name(id)).or_default().push(id);
            }
            let twice = by_name.into_iter().filter(|(_, entries)| entries.len() > 1);
            doubles.extend(twice.map(|(name, entries)| Double { name, entries }));
        }
        doubles
            .iter_mut()
            .for_each(|double| self.sort(&mut double.entries));
        let mut firsts: Vec<EntryId> = doubles.iter().map(|double| double.entries[0]).collect();
        self.sort(&mut firsts);
        let rank: HashMap<EntryId, usize> = firsts.into_iter().zip(0..).collect();
        doubles.sort_by_key(|double| rank.get(&double.entries[0]).copied());
        if let Some(names) = built {
            // Nobody else has built it meanwhile, or just the same.
            let _ = self.names.set(names);
        }
        doubles
    }
}

/// The inner half: chunks and their order.
impl Document {
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> {
        self.chunks.from(self.chunks.first())
    }

    pub(crate) fn text(&self, index: usize) -> &[u8] {
        self.chunks.text(index)
    }

    /// The line of a chunk, from 1.
    pub(crate) fn line_of(&self, index: usize) -> usize {
        if self.lines_shifted {
            self.line_now(index)
        } else {
            self.chunks.line(index)
        }
    }

    pub(crate) fn stands(&self, index: usize) -> bool {
        matches!(self.chunks.kind(index), Some(Kind::Entry | Kind::Plain))
    }

    fn view(&self, index: usize, line: usize) -> Entry<'_> {
        Entry {
            id: EntryId(index),
            line,
            raw: self.text(index),
            dialect: self.dialect,
            is_plain: self.chunks.kind(index) == Some(Kind::Plain),
        }
    }

    pub(crate) fn name(&self, id: EntryId) -> Vec<u8> {
        name_of(self.text(id.0), self.dialect)
    }

    /// Of all entries of one name, in the order of the file.
    fn winner_of(&self, entries: &[EntryId]) -> Option<EntryId> {
        match self.dialect.winner() {
            Winner::First | Winner::Refused => entries.first().copied(),
            Winner::Last => entries.last().copied(),
        }
    }

    /// Puts entries into the order of the file.
    fn sort(&self, entries: &mut [EntryId]) {
        if entries.len() < 2 {
            return;
        }
        if entries.iter().all(|id| self.chunks.is_of_the_file(id.0)) {
            entries.sort_unstable_by_key(|id| id.0);
            return;
        }
        let asked: HashSet<usize> = entries.iter().map(|id| id.0).collect();
        let places = self.order().filter(|index| asked.contains(index)).zip(0..);
        let places: HashMap<usize, usize> = places.collect();
        entries.sort_by_key(|id| places.get(&id.0).copied());
    }

    fn line_now(&self, wanted: usize) -> usize {
        let lines = self.lines.get_or_init(|| {
            let mut lines = vec![0; self.chunks.len()];
            let mut line = 1;
            for index in self.order() {
                lines[index] = line;
                line += newlines(self.text(index));
            }
            lines.into()
        });
        lines.get(wanted).copied().unwrap_or(0)
    }

    fn index(&self) -> Names {
        Names::of(self.chunks.len(), |take| {
            for index in (0..self.chunks.len()).filter(|index| self.stands(*index)) {
                with_name(self.text(index), self.dialect, |name| take(index, name));
            }
        })
    }
}

impl Contents for Document {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.slices()
    }
}
