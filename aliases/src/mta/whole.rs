//! All that a map has, against all that its text says.
//!
//! The time of a map tells nothing: a text that is put back with its old time, or a map of a clock that
//! was ahead, looks as new as it should. So what the MTA's own tool lists is compared, name by name.
//!
//! **Invariants**: one pass over the listing and one over the text, whatever their size. What a tool puts
//! into each map on its own account is passed over, and so are names that are not ASCII: whether the MTA
//! folds their case depends on how it is configured. Asks nobody and writes nothing.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};

use crate::grammar::document::Document;
use crate::grammar::entry::{Entry, EntryId, right_side};

/// How a tool lists a map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    /// What stands between a name and its value.
    pub(crate) separator: &'static [u8],
    /// The names that the builder puts into each map.
    pub(crate) own: &'static [&'static [u8]],
}

impl Listed {
    /// The names for which a listing, a line each, has something else than the text: what differs and
    /// what the text has not, in the order of the listing, then what the listing has not.
    pub(crate) fn not_as_text(self, listing: &[u8], document: &Document) -> Vec<Vec<u8>> {
        let mut comparison = Comparison::of(self, document);
        comparison.take(listing);
        comparison.end()
    }

    fn compares(self, entry: &Entry<'_>) -> bool {
        match entry.plain_name() {
            Some(name) => !self.own.contains(&name),
            None => self.is_comparable(&entry.name()),
        }
    }

    /// The same of any text: `entries` are its names, each with what `leads` holds against a value.
    pub(crate) fn not_as<E>(
        self,
        listing: &[u8],
        entries: &[(Vec<u8>, E)],
        leads: impl Fn(&E, &[u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let by_name: HashMap<&[u8], &E> = entries
            .iter()
            .map(|(name, entry)| (name.as_slice(), entry))
            .collect();
        let mut seen: HashSet<&[u8]> = HashSet::with_capacity(by_name.len());
        let mut wrong = Vec::new();
        for line in listing.split(|byte| *byte == b'\n') {
            let Some((name, value, found)) = self.cut(line, |name| by_name.get(name)) else {
                continue;
            };
            if !self.is_comparable(name) {
                continue;
            }
            seen.insert(name);
            if !found.is_some_and(|it| leads(it, value)) {
                wrong.push(name.to_vec());
            }
        }
        let unseen = entries.iter().filter(|(name, _)| !seen.contains(&name[..]));
        wrong.extend(unseen.map(|(name, _)| name.clone()));
        wrong
    }

    /// The entries that mail goes by and that a map can be compared with.
    pub(crate) fn comparable(
        self,
        document: &Document,
    ) -> impl Iterator<Item = (Vec<u8>, Entry<'_>)> {
        let entries = document.effective().map(|entry| (entry.name(), entry));
        entries.filter(move |(name, _)| self.is_comparable(name))
    }

    pub(crate) fn is_comparable(self, name: &[u8]) -> bool {
        name.is_ascii() && !name.contains(&b'\n') && !name.contains(&0) && !self.own.contains(&name)
    }

    /// Name and value of a line, and what is found of that name. A quoted name may have the separator
    /// in it: then the name is one that is found.
    fn cut<F>(
        self,
        line: &[u8],
        find: impl Fn(&[u8]) -> Option<F>,
    ) -> Option<(&[u8], &[u8], Option<F>)> {
        let cuts = memchr::memmem::find_iter(line, self.separator)
            .map(|at| (&line[..at], &line[at + self.separator.len()..]));
        let mut first = None;
        for (name, value) in cuts {
            let found = find(name);
            if found.is_some() {
                return Some((name, value, found));
            }
            first = first.or(Some((name, value, None)));
        }
        first
    }
}

/// A listing that is held against its text as it comes.
#[derive(Debug)]
pub(crate) struct Comparison<D> {
    listed: Listed,
    document: D,
    /// By the numbers of entries: whether one that can be compared was not listed yet.
    unseen: Vec<Option<bool>>,
    wrong: Vec<Vec<u8>>,
    /// A line whose end has not come yet.
    begun: Vec<u8>,
}

impl<D: Borrow<Document>> Comparison<D> {
    pub(crate) fn of(listed: Listed, document: D) -> Self {
        let mut unseen: Vec<Option<bool>> = Vec::new();
        for entry in document.borrow().effective() {
            let number = entry.id().number();
            unseen.resize(unseen.len().max(number + 1), None);
            unseen[number] = listed.compares(&entry).then_some(true);
        }
        Self {
            listed,
            document,
            unseen,
            wrong: Vec::new(),
            begun: Vec::new(),
        }
    }

    /// Looks at the next bytes of the listing.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let Some(end) = memchr::memrchr(b'\n', bytes) else {
            self.begun.extend_from_slice(bytes);
            return;
        };
        let mut lines = bytes[..end].split(|byte| *byte == b'\n');
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(lines.next().unwrap_or_default());
        self.look(&begun);
        lines.for_each(|line| self.look(line));
        begun.clear();
        begun.extend_from_slice(&bytes[end + 1..]);
        self.begun = begun;
    }

    fn look(&mut self, line: &[u8]) {
        let document = self.document.borrow();
        let counts = |id: &EntryId| matches!(self.unseen.get(id.number()), Some(Some(_)));
        let find = |name: &[u8]| document.unordered(name).find(counts);
        let Some((name, value, found)) = self.listed.cut(line, find) else {
            return;
        };
        if !self.listed.is_comparable(name) {
            return;
        }
        let entry = found.and_then(|id| document.entry(id));
        if !entry.is_some_and(|entry| leads(&entry, value)) {
            self.wrong.push(name.to_vec());
        }
        if let Some(id) = found {
            self.unseen[id.number()] = Some(false);
        }
    }

    /// The names for which text and listing differ.
    pub(crate) fn end(mut self) -> Vec<Vec<u8>> {
        let last = std::mem::take(&mut self.begun);
        self.look(&last);
        let unseen = |entry: &Entry<'_>| self.unseen.get(entry.id().number()) == Some(&Some(true));
        let unlisted = self.document.borrow().entries().filter(unseen);
        self.wrong.extend(unlisted.map(|entry| entry.name()));
        self.wrong
    }
}

/// Whether a value of a map leads where the entry does.
pub(crate) fn leads(entry: &Entry<'_>, value: &[u8]) -> bool {
    let command = value.strip_prefix(b"\"|");
    let command = command.and_then(|rest| rest.strip_suffix(b"\""));
    if command.is_some() && command == entry.plain_pipe() {
        return true;
    }
    let destinations = entry.destinations();
    let kinds = destinations.iter().map(|one| one.kind());
    kinds.eq(&right_side(value, entry.dialect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::dialect::Dialect;

    const POSTFIX: Listed = Listed {
        separator: b":\t",
        own: &[b"@"],
    };

    #[track_caller]
    fn check(text: &str, listing: &str, wrong: &[&str]) {
        let document = Document::parse(text.as_bytes(), Dialect::Postfix);
        let found = POSTFIX.not_as_text(listing.as_bytes(), &document);
        let found: Vec<_> = found
            .iter()
            .map(|it| it.escape_ascii().to_string())
            .collect();
        assert_eq!(found, wrong, "{text:?} {listing:?}");
    }

    #[test]
    fn what_is_listed_in_any_order_and_writing_is_as_the_text() {
        let text = "a: u1,\n  u2\nB: \"|/bin/p x\"\na: u9\n\"x: y\": u3\n";
        check(
            text,
            "x: y:\tu3\n@:\t@\nb:\t\"|/bin/p x\"\na:\tu1, u2\n",
            &[],
        );
        check("", "", &[]);
    }

    #[test]
    fn a_name_with_a_tab_is_cut_where_the_text_ends_it() {
        let document = Document::parse(&b"\"a\tb\": u1\n"[..], Dialect::Sendmail);
        let listed = Listed {
            separator: b"\t",
            own: &[],
        };
        let name = document.entries().next().map(|entry| entry.name());
        assert_eq!(name.as_deref(), Some(&b"\"a\tb\""[..]));
        assert!(listed.not_as_text(b"\"a\tb\"\tu1\n", &document).is_empty());
    }

    #[test]
    fn what_differs_is_missing_or_is_more_is_named() {
        let text = "a: u1\nb: \"|/bin/p x\"\nc: u3\n";
        check(text, "a:\tu1\nb:\t\"|/bin/p y\"\nc:\tu3\n", &["b"]);
        check(
            text,
            "a:\tu2\nb:\t\"|/bin/p x\"\nold:\tu\n",
            &["a", "old", "c"],
        );
        check(text, "", &["a", "b", "c"]);
        check("", "a:\tu1\n", &["a"]);
    }

    #[test]
    fn a_listing_that_comes_in_parts_is_the_same_listing() {
        let text = "a: u1\nb: \"|/bin/p x\"\nc: u3\nd: u4\n";
        let listing = b"a:\tu2\nb:\t\"|/bin/p x\"\n\nold:\tu\nd:\tu4";
        let document = Document::parse(text.as_bytes(), Dialect::Postfix);
        for size in 1..=listing.len() {
            let mut comparison = Comparison::of(POSTFIX, &document);
            listing.chunks(size).for_each(|part| comparison.take(part));
            assert_eq!(comparison.end(), [&b"a"[..], b"old", b"c"], "{size}");
        }
    }

    #[test]
    fn names_whose_case_depends_on_the_configuration_are_passed_over() {
        check("\u{c4}: u1\na: u\n", "a:\tu\n", &[]);
        check("a: u\n", "\u{e4}:\tu\na:\tu\n", &[]);
    }
}
