//! What our reading says of a file, as those need it who compare it with an MTA's.
//!
//! **Invariants**: no MTA is known here.

use std::collections::BTreeSet;

use aliases::{Dialect, Document, Effect, Entry};

/// Every name that anybody may see in a file, and one that is not there.
pub(crate) fn names(file: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut names = BTreeSet::from([b"nobody-at-all".to_vec()]);
    for dialect in Dialect::ALL {
        let document = Document::parse(file, dialect);
        names.extend(document.entries().map(|entry| entry.name()));
    }
    for line in file.split(|byte| *byte == b'\n') {
        for word in line.split(|byte| b": \t\"\0".contains(byte)).take(3) {
            names.insert(word.to_ascii_lowercase());
        }
    }
    names.remove(&b""[..]);
    names
}

/// Whether we say that mail to an entry of this file is deferred.
pub(crate) fn is_deferred(document: &Document, file: &[u8], entry: &Entry<'_>) -> bool {
    let line_of = |offset: usize| 1 + file[..offset].iter().filter(|byte| **byte == b'\n').count();
    let mut problems = document.problems().iter();
    problems.any(|problem| {
        problem.effect() == Effect::Deferred && line_of(problem.span().start) == entry.line()
    })
}
