//! Lines `name@domain: …`, which Sendmail takes for `name` where the domain is one of its own (class w of
//! its configuration), and else skips. Which those are no aliases file tells.
//!
//! **Invariants**: such a line is no entry, and no edit changes it: whether mail goes by it is unsure.

use crate::grammar::chunks::Kind;
use crate::grammar::dialect::{Dialect, fold, read};
use crate::grammar::document::Document;
use crate::grammar::error::ProblemKind;
use crate::grammar::reading::DestinationKind;

/// A line that may be an entry of `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qualified {
    /// The name without its domain, as the MTA would look it up.
    pub name: Vec<u8>,
    /// The line where it begins, from 1.
    pub line: usize,
    /// What mail for the name would go to, in the order of the file.
    pub destinations: Vec<DestinationKind>,
}

impl Document {
    /// The lines that are entries if their domains are the MTA's own, in the order of the file; none
    /// where the MTA takes no such line.
    pub fn qualified(&self) -> impl Iterator<Item = Qualified> {
        let is_sendmail = self.dialect == Dialect::Sendmail;
        let order = is_sendmail.then(|| self.order()).into_iter().flatten();
        order.filter_map(|index| {
            let is_skipped = self.chunks.kind(index) == Some(Kind::Skipped);
            let raw = is_skipped.then(|| self.text(index))?;
            let (name, destinations) = without_domain(raw)?;
            Some(Qualified {
                name,
                line: self.line_of(index),
                destinations,
            })
        })
    }
}

/// Name and destinations of a line, its domain left out.
fn without_domain(raw: &[u8]) -> Option<(Vec<u8>, Vec<DestinationKind>)> {
    let dialect = Dialect::Sendmail;
    let mut problems = read(raw, dialect).problems.into_iter();
    problems.find(|(kind, _)| *kind == ProblemKind::NotLocal)?;
    let end = raw.iter().position(|byte| b"@%".contains(byte))?;
    let colon = end + memchr::memchr(b':', &raw[end..])?;
    let is_around = |byte: &u8| b"\"< \t".contains(byte);
    let from = raw[..end].iter().position(|byte| !is_around(byte))?;
    let to = raw[..end].iter().rposition(|byte| !is_around(byte))?;
    let name = fold(&raw[from..=to], dialect);
    let entry = read(&[b"x", &raw[colon..]].concat(), dialect);
    let kinds = entry.destinations.into_iter().map(|(_, kind)| kind);
    Some((name.into_owned(), kinds.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, dialect: Dialect) -> Vec<(usize, String, usize)> {
        let document = Document::parse(text.as_bytes(), dialect);
        document
            .qualified()
            .map(|one| {
                let name = String::from_utf8_lossy(&one.name).into_owned();
                (one.line, name, one.destinations.len())
            })
            .collect()
    }

    const TEXT: &str = "# c\nToyList@mx.example: \"|/bin/p post toylist\"\na: b\n\
                        \"b\"@x.example: u1,\n  u2\nno colon\nc%x.example: d\n@x.example: e\n";

    #[test]
    fn names_with_a_domain_are_told_without_it() {
        let expected = [(2, "toylist", 1), (4, "b", 2), (7, "c", 1)];
        let expected = expected.map(|(line, name, count)| (line, name.to_owned(), count));
        assert_eq!(found(TEXT, Dialect::Sendmail), expected);
    }

    #[test]
    fn no_other_mta_takes_such_a_line() {
        for dialect in [Dialect::Postfix, Dialect::Exim, Dialect::OpenSmtpd] {
            assert_eq!(found(TEXT, dialect), []);
        }
    }

    #[test]
    fn a_pipe_is_the_one_that_the_line_has() {
        let document = Document::parse(TEXT.as_bytes(), Dialect::Sendmail);
        let first = document.qualified().next().map(|one| one.destinations);
        let command = b"/bin/p post toylist".to_vec();
        assert_eq!(first, Some(vec![DestinationKind::Pipe(command)]));
    }
}
