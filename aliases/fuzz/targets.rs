//! What must hold for every byte string: run by libFuzzer over what it makes up, and by
//! `tests/fuzz_corpus.rs` over the corpus, which needs neither nightly nor libFuzzer.
//!
//! **Invariants**: the same bytes always do the same; a rule that does not hold is a panic.

use aliases::{DestinationKind, Dialect, Document, EditError, Entry, EntryId};

/// What a reader can know of an entry.
type Summary = (Vec<u8>, Vec<DestinationKind>);

/// A file is printed as it was read, and what is told of it stands in it, in every dialect.
pub(crate) fn parse(file: &[u8]) {
    for dialect in Dialect::ALL {
        let document = Document::parse(file, dialect);
        assert!(
            document.to_bytes() == file,
            "{dialect:?}: printed otherwise"
        );
        let lines = newlines(file) + 1;
        let mut behind = 0;
        for entry in document.entries() {
            assert!(
                (behind + 1..=lines).contains(&entry.line()),
                "{dialect:?}: lines"
            );
            behind = entry.line();
            assert!(entry.column() >= 1);
            for destination in entry.destinations() {
                assert!(&entry.raw()[destination.range()] == destination.text());
            }
            let winner = document.lookup(&entry.name());
            let winner = winner.and_then(|id| document.entry(id));
            assert!(
                winner.is_some_and(|winner| winner.name() == entry.name()),
                "{dialect:?}"
            );
        }
        for problem in document.problems() {
            assert!(
                (1..=lines).contains(&problem.line()),
                "{dialect:?}: {problem}"
            );
            assert!(problem.column() >= 1 && problem.span().end <= file.len());
            assert!(!problem.to_string().contains('\n'));
        }
        assert!(document.effective().count() <= document.entries().count());
        for double in document.doubles() {
            assert!(
                double.entries.len() > 1,
                "{dialect:?}: a double that stands once"
            );
        }
    }
}

/// An edit changes what was asked for and nothing else, and reads back as asked.
///
/// The first five bytes say which dialect, edit, entry, destination, and how long the text is that
/// follows them; behind that text stands the file.
pub(crate) fn edit(bytes: &[u8]) {
    let &[dialect, act, entry, n, length, ref rest @ ..] = bytes else {
        return;
    };
    let (text, file) = rest.split_at(usize::from(length % 48).min(rest.len()));
    let dialect = Dialect::ALL[usize::from(dialect) % Dialect::ALL.len()];
    let document = Document::parse(file, dialect);
    let ids: Vec<EntryId> = document.entries().map(|entry| entry.id()).collect();
    let chosen = match ids.len() {
        0 => None,
        count => Some(ids[usize::from(entry) % count]),
    };
    match (act % 5, chosen) {
        (0, Some(id)) => set_destination(document, id, usize::from(n), text),
        (1, chosen) => insert(document, chosen, text),
        (2, chosen) => insert_raw(document, chosen, text),
        (3, Some(id)) => remove_and_put_back(document, id),
        (4, Some(id)) => replace(document, id, text),
        _ => {}
    }
}

fn set_destination(mut document: Document, id: EntryId, n: usize, text: &[u8]) {
    let (before, had) = (document.to_bytes(), summaries(&document));
    let Some(entry) = document.entry(id) else {
        panic!("an entry without itself");
    };
    let at = position(&document, id);
    let all = entry.destinations();
    let n = n % (all.len() + 1);
    let asked = all.get(n).map(|one| {
        let (head, tail) = entry.raw().split_at(one.range().start);
        [head, text, &tail[one.range().len()..]].concat()
    });
    let outcome = document.set_destination(id, n, text);
    let Some(asked) = asked else {
        assert!(outcome == Err(EditError::NoSuchDestination));
        return;
    };
    if outcome.is_err() {
        return unchanged(&document, &before);
    }
    let Some(entry) = document.entry(id) else {
        panic!("the entry is gone");
    };
    assert!(
        entry.raw() == asked,
        "more than the destination was changed"
    );
    assert!(
        entry.destinations()[n].text() == text,
        "not read back as asked"
    );
    only_one_changed(&had, &summaries(&document), at);
    reads_back(&document);
}

fn insert(mut document: Document, after: Option<EntryId>, text: &[u8]) {
    let (before, had) = (document.to_bytes(), summaries(&document));
    let middle = text.iter().position(|byte| *byte == b':');
    let (name, destination) = text.split_at(middle.unwrap_or(0));
    let destination = destination.strip_prefix(b":").unwrap_or(destination);
    match document.insert_after(after, name, destination) {
        Err(_) => unchanged(&document, &before),
        Ok(id) => {
            let Some(entry) = document.entry(id) else {
                panic!("what was inserted is not there");
            };
            assert!(
                entry.destinations()[0].text() == destination,
                "not as asked"
            );
            inserted(&document, &before, &had, id);
        }
    }
}

fn insert_raw(mut document: Document, after: Option<EntryId>, raw: &[u8]) {
    let (before, had) = (document.to_bytes(), summaries(&document));
    match document.insert_raw_after(after, raw) {
        Err(_) => unchanged(&document, &before),
        Ok(id) => inserted(&document, &before, &had, id),
    }
}

/// Bytes were added in one place, and one entry with them.
fn inserted(document: &Document, before: &[u8], had: &[Summary], id: EntryId) {
    let after = document.to_bytes();
    assert!(
        added_in_one_place(before, &after),
        "more than one place was changed"
    );
    let mut has = summaries(document);
    has.remove(position(document, id));
    assert!(has == had, "another entry was changed");
    reads_back(document);
}

fn remove_and_put_back(mut document: Document, id: EntryId) {
    let (before, mut had) = (document.to_bytes(), summaries(&document));
    let at = position(&document, id);
    let Ok(raw) = document.remove(id) else {
        panic!("an entry cannot be removed");
    };
    let gone = document.to_bytes();
    assert!(gone.len() + raw.len() == before.len() && added_in_one_place(&gone, &before));
    let removed = had.remove(at);
    assert!(summaries(&document) == had, "another entry was changed");
    reads_back(&document);
    assert!(
        document.insert_raw_after(Some(id), &raw).is_ok(),
        "cannot be put back"
    );
    assert!(
        document.to_bytes() == before,
        "put back, it is another file"
    );
    had.insert(at, removed);
    assert!(summaries(&document) == had);
    reads_back(&document);
}

fn replace(mut document: Document, id: EntryId, raw: &[u8]) {
    let (before, had) = (document.to_bytes(), summaries(&document));
    let at = position(&document, id);
    let Some(own) = document.entry(id).map(|entry| entry.raw().to_vec()) else {
        panic!("an entry without itself");
    };
    if document.replace_raw(id, raw).is_err() {
        return unchanged(&document, &before);
    }
    only_one_changed(&had, &summaries(&document), at);
    reads_back(&document);
    assert!(document.replace_raw(id, &own).is_ok(), "cannot be put back");
    assert!(
        document.to_bytes() == before,
        "put back, it is another file"
    );
}

fn unchanged(document: &Document, before: &[u8]) {
    assert!(
        document.to_bytes() == before,
        "a refused edit changed something"
    );
}

fn only_one_changed(had: &[Summary], has: &[Summary], at: usize) {
    let others = |all: &[Summary]| [&all[..at], &all[at + 1..]].concat();
    assert!(
        had.len() == has.len() && others(had) == others(has),
        "another entry was changed"
    );
}

/// Whether `longer` is `shorter` with bytes put in somewhere.
fn added_in_one_place(shorter: &[u8], longer: &[u8]) -> bool {
    let same = |one: &u8, other: &u8| one == other;
    let pairs = shorter.iter().zip(longer);
    let head = pairs.take_while(|(a, b)| same(a, b)).count();
    let pairs = shorter.iter().rev().zip(longer.iter().rev());
    let tail = pairs.take_while(|(a, b)| same(a, b)).count();
    longer.len() >= shorter.len() && head + tail >= shorter.len()
}

/// What stands is what a new reader of the bytes sees.
fn reads_back(document: &Document) {
    let again = Document::parse(document.to_bytes(), document.dialect());
    assert!(
        summaries(document) == summaries(&again),
        "a new reader sees another file"
    );
    let lines = |document: &Document| document.entries().map(|one| one.line()).collect::<Vec<_>>();
    assert!(
        lines(document) == lines(&again),
        "a new reader counts other lines"
    );
}

fn summaries(document: &Document) -> Vec<Summary> {
    let kinds = |entry: &Entry<'_>| {
        let all = entry.destinations();
        all.iter().map(|one| one.kind().clone()).collect()
    };
    document
        .entries()
        .map(|entry| (entry.name(), kinds(&entry)))
        .collect()
}

fn position(document: &Document, id: EntryId) -> usize {
    let found = document.entries().position(|entry| entry.id() == id);
    found.unwrap_or_else(|| panic!("an entry that is not in its document"))
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}
