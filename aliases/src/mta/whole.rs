//! All that a map has, against all that its text says.
//!
//! The time of a map tells nothing: a text that is put back with its old time, or a map of a clock that
//! was ahead, looks as new as it should. So what the MTA's own tool lists is compared, name by name.
//!
//! **Invariants**: one pass over the listing and one over the text, whatever their size. What a tool puts
//! into each map on its own account is passed over, and so are names that are not ASCII: whether the MTA
//! folds their case depends on how it is configured. Asks nobody and writes nothing.

use std::collections::{HashMap, HashSet};

use crate::grammar::document::Document;
use crate::grammar::entry::{Entry, right_side};

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
        let entries: Vec<(Vec<u8>, Entry<'_>)> = self.comparable(document).collect();
        self.not_as(listing, &entries, leads)
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
            let Some((name, value)) = self.cut(line, |name| by_name.contains_key(name)) else {
                continue;
            };
            if !self.is_comparable(name) {
                continue;
            }
            seen.insert(name);
            let is_as_text = by_name.get(name).is_some_and(|it| leads(it, value));
            if !is_as_text {
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

    /// Name and value of a line. A quoted name may have the separator in it: then the name is one that
    /// `is_known`.
    fn cut(self, line: &[u8], is_known: impl Fn(&[u8]) -> bool) -> Option<(&[u8], &[u8])> {
        let mut cuts = memchr::memmem::find_iter(line, self.separator)
            .map(|at| (&line[..at], &line[at + self.separator.len()..]))
            .peekable();
        let first = *cuts.peek()?;
        Some(cuts.find(|(name, _)| is_known(name)).unwrap_or(first))
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
    fn names_whose_case_depends_on_the_configuration_are_passed_over() {
        check("\u{c4}: u1\na: u\n", "a:\tu\n", &[]);
        check("a: u\n", "\u{e4}:\tu\na:\tu\n", &[]);
    }
}
