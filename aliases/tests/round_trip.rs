//! Parse then print is the identity, and an edit changes what was asked for and nothing else.
//!
//! A new file in `corpus/` is a new case.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use aliases::{Dialect, Document, EntryId, Winner};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const NEW: &[u8] = b"\"|/usr/lib/x/prog post new-list\"";

/// Whose readings are edited here, where a refusal is judged too; `generated.rs` has them all.
const DIALECTS: [Dialect; 2] = [Dialect::Postfix, Dialect::Sendmail];

fn parse(file: &[u8], dialect: Dialect) -> Document {
    Document::parse(file, dialect)
}

#[track_caller]
fn check_round_trip(file: &[u8], dialect: Dialect) {
    let document = parse(file, dialect);
    assert_eq!(
        document.to_bytes().escape_ascii().to_string(),
        file.escape_ascii().to_string()
    );
    // The entries stand in the file, in order, where they say.
    let mut behind = 0;
    for entry in document.entries() {
        let raw = entry.raw();
        let start = offset(&document, entry.id());
        assert!(start >= behind && file[start..].starts_with(raw));
        assert_eq!(entry.column(), 1);
        behind = start + raw.len();
        for destination in entry.destinations() {
            assert_eq!(&raw[destination.range()], destination.text());
        }
    }
}

/// What a reader of the document can know of its entries.
fn summary(document: &Document) -> Vec<(Vec<u8>, Vec<aliases::DestinationKind>)> {
    let kinds = |entry: &aliases::Entry<'_>| {
        entry
            .destinations()
            .iter()
            .map(|destination| destination.kind().clone())
            .collect()
    };
    document
        .entries()
        .map(|entry| (entry.name(), kinds(&entry)))
        .collect()
}

/// A document tells of itself what a fresh reading of its bytes tells.
#[track_caller]
fn check_read_back(document: &Document) {
    let again = parse(&document.to_bytes(), document.dialect());
    assert_eq!(summary(document), summary(&again));
    let lines = |document: &Document| {
        document
            .entries()
            .map(|entry| entry.line())
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(document), lines(&again));
    for entry in document.entries() {
        assert_eq!(document.entry(entry.id()).unwrap().line(), entry.line());
        let winner = document.lookup(&entry.name()).unwrap();
        let winner = document.entry(winner).unwrap();
        let mut same = document
            .entries()
            .filter(|other| other.name() == entry.name());
        let expected = match document.dialect().winner() {
            Winner::Last => same.last(),
            Winner::First | Winner::Refused => same.next(),
        };
        assert_eq!(winner.id(), expected.unwrap().id());
    }
}

/// Every edit of every entry of a file.
#[track_caller]
fn check_edits(file: &[u8], dialect: Dialect) {
    let document = parse(file, dialect);
    let ids: Vec<EntryId> = document.entries().map(|entry| entry.id()).collect();
    for id in ids {
        check_destinations(file, &document, id);
        check_insertion(file, &document, id);
        check_removal(file, &document, id);
    }
    let mut appended = document.clone();
    if appended.insert_after(None, b"new-list", NEW).is_err() {
        assert!(appended.to_bytes() == file);
        check_no_room(&document, (file, b""), None);
        return;
    }
    let bytes = appended.to_bytes();
    assert!(bytes.starts_with(file));
    let added = &bytes[file.len()..];
    assert_eq!(added.trim_ascii(), [b"new-list: ", NEW].concat());
    assert!(added.ends_with(b"\n"));
    check_read_back(&appended);
    assert_eq!(summary(&appended).len(), summary(&document).len() + 1);
}

/// A refusal to insert was right: a line put between these two parts of the file is not read as
/// one entry of its own behind the entry `after`, or changes another.
#[track_caller]
fn check_no_room(document: &Document, (above, below): (&[u8], &[u8]), after: Option<usize>) {
    let before = summary(document);
    let place = after.map_or(before.len(), |after| after + 1);
    let pipe = aliases::DestinationKind::Pipe(NEW[2..NEW.len() - 1].to_vec());
    let mut expected = before;
    expected.insert(place, (b"new-list".to_vec(), vec![pipe]));
    let missing: &[u8] = match above {
        [] | [.., b'\n'] => b"",
        _ => b"\n",
    };
    let line = [b"new-list: ", NEW, b"\n"].concat();
    let file = [above, missing, &line, below].concat();
    let found = parse(&file, document.dialect());
    let new = found.entries().nth(place);
    assert!(
        summary(&found) != expected
            || new.is_none_or(|new| new.raw() != line)
            || told(&found, 0..0) != told(document, 0..0),
        "refused for nothing: {}",
        file.escape_ascii()
    );
}

/// What is told of the file, but for what is told of these bytes of it.
fn told(document: &Document, but: std::ops::Range<usize>) -> Vec<aliases::ProblemKind> {
    let problems = document.problems().iter();
    problems
        .filter(|problem| but.is_empty() || problem.span() != but)
        .map(aliases::Problem::kind)
        .collect()
}

#[track_caller]
fn check_destinations(file: &[u8], document: &Document, id: EntryId) {
    let before = document.entry(id).unwrap();
    for (n, destination) in before.destinations().iter().enumerate() {
        let mut edited = document.clone();
        if edited.set_destination(id, n, NEW).is_err() {
            assert_eq!(edited.to_bytes(), file);
            continue;
        }
        let start = offset(document, id) + destination.range().start;
        let end = offset(document, id) + destination.range().end;
        let expected = [&file[..start], NEW, &file[end..]].concat();
        assert_eq!(
            edited.to_bytes().escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        assert_eq!(edited.entry(id).unwrap().destinations()[n].text(), NEW);
        check_read_back(&edited);
        edited.replace_raw(id, before.raw()).unwrap();
        assert_eq!(edited.to_bytes(), file);
    }
}

#[track_caller]
fn check_insertion(file: &[u8], document: &Document, id: EntryId) {
    let mut edited = document.clone();
    let Ok(new) = edited.insert_after(Some(id), b"new-list", NEW) else {
        assert!(edited.to_bytes() == file);
        let end = offset(document, id) + document.entry(id).unwrap().raw().len();
        let place = document.entries().position(|entry| entry.id() == id);
        check_no_room(document, file.split_at(end), place);
        return;
    };
    let bytes = edited.to_bytes();
    let end = offset(document, id) + document.entry(id).unwrap().raw().len();
    assert!(bytes.starts_with(&file[..end]));
    assert!(bytes.ends_with(&file[end..]));
    assert_eq!(
        bytes[end..bytes.len() - (file.len() - end)].trim_ascii(),
        [b"new-list: ", NEW].concat()
    );
    check_read_back(&edited);
    let order: Vec<EntryId> = edited.entries().map(|entry| entry.id()).collect();
    let place = order.iter().position(|other| *other == id).unwrap();
    assert_eq!(order[place + 1], new);
    let mut expected = summary(document);
    expected.insert(place + 1, summary(&edited).swap_remove(place + 1));
    assert_eq!(summary(&edited), expected);
}

#[track_caller]
fn check_removal(file: &[u8], document: &Document, id: EntryId) {
    let mut edited = document.clone();
    let start = offset(document, id);
    let Ok(raw) = edited.remove(id) else {
        // Another line would be read otherwise.
        let end = start + document.entry(id).unwrap().raw().len();
        let without = parse(&[&file[..start], &file[end..]].concat(), document.dialect());
        let mut others = summary(document);
        others.remove(
            document
                .entries()
                .position(|entry| entry.id() == id)
                .unwrap(),
        );
        assert!(
            summary(&without) != others || told(&without, 0..0) != told(document, start..end),
            "refused for nothing: {}",
            file.escape_ascii()
        );
        assert_eq!(edited.to_bytes(), file);
        return;
    };
    let expected = [&file[..start], &file[start + raw.len()..]].concat();
    assert_eq!(
        edited.to_bytes().escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    assert!(edited.entry(id).is_none());
    check_read_back(&edited);
    edited.insert_raw_after(Some(id), &raw).unwrap();
    assert_eq!(
        edited.to_bytes().escape_ascii().to_string(),
        file.escape_ascii().to_string()
    );
    check_read_back(&edited);
}

/// Where an entry begins in the file.
fn offset(document: &Document, id: EntryId) -> usize {
    let line = document.entry(id).unwrap().line();
    let bytes = document.to_bytes();
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line - 1)
        .map(<[u8]>::len)
        .sum()
}

#[test]
fn the_corpus_is_printed_as_it_was_read_and_edited_where_it_should_be() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let files: Vec<_> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() > 20, "{files:?}");
    for path in files {
        let file = fs::read(path).unwrap();
        for dialect in DIALECTS {
            check_round_trip(&file, dialect);
            check_edits(&file, dialect);
        }
    }
}

#[test]
fn many_edits_of_one_document_are_what_they_are_one_by_one() {
    let mut document = parse(b"a: u1\nb: u2\nc: u3", Dialect::Postfix);
    let id = |document: &Document, name: &[u8]| document.lookup(name).unwrap();
    let b = id(&document, b"b");
    let new = document.insert_after(Some(b), b"b-owner", b"u9").unwrap();
    document
        .insert_after(Some(new), b"b-request", b"u8")
        .unwrap();
    assert_eq!(
        document
            .lookup(b"B-Request")
            .map(|id| document.entry(id).unwrap().line()),
        Some(4)
    );
    document.remove(b).unwrap();
    assert_eq!(document.lookup(b"b"), None);
    document.insert_after(Some(b), b"b2", b"u7").unwrap();
    document.insert_after(None, b"a", b"u6").unwrap();
    document
        .set_destination(id(&document, b"a"), 0, b"u5")
        .unwrap();
    assert_eq!(
        document.to_bytes(),
        b"a: u5\nb2: u7\nb-owner: u9\nb-request: u8\nc: u3\na: u6\n"
    );
    check_read_back(&document);
    assert_eq!(document.doubles().len(), 1);
}

#[test]
fn an_edit_never_renames_its_entry() {
    // Sendmail takes the right side of such a line into the name.
    let file = b"<: \xe9a \n";
    let mut document = parse(file, Dialect::Sendmail);
    let first = document.entries().next().unwrap().id();
    assert!(document.set_destination(first, 0, b"u1").is_err());
    assert_eq!(document.to_bytes(), file);
}

#[test]
fn an_edit_is_refused_only_where_another_line_would_be_read_otherwise() {
    for file in [
        &b"\na: u1\n\\\na"[..],
        b"\na: u1\n\0\na",
        b"\na: u1\n\\\0\na",
        b"\r\n\"a: ",
        b"\r\n\"a: u1 ",
        b"a: u1\n  \nb: u2\n  \n",
        b"# c\na: u1\n b\n",
    ] {
        for dialect in DIALECTS {
            check_round_trip(file, dialect);
            check_edits(file, dialect);
        }
    }
    // It would have been refused if only the first line below were looked at.
    for file in [&b"\na: u1\n\\\na"[..], b"\na: u1\n\0\na"] {
        let mut document = parse(file, Dialect::Sendmail);
        let first = document.entries().next().unwrap().id();
        assert_eq!(document.remove(first).unwrap(), b"a: u1\n");
    }
}

/// Pieces that real files are made of, and some that they should not be.
fn alias_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"a",
        b"list-owner",
        b"B",
        b": ",
        b":",
        b" ",
        b"\t",
        b", ",
        b",",
        b"u1",
        b"\"",
        b"\\",
        b"|/bin/p",
        b"\"|/bin/p x\"",
        b"|\"/bin/p x\"",
        b":include:/f",
        b"(",
        b")",
        b"<",
        b">",
        b"[",
        b"]",
        b";",
        b"@",
        b".",
        b"#",
        b"\n",
        b"\n",
        b"\n ",
        b"\n\t",
        b"\r\n",
        b"\n# c\n",
        b"\n # c\n",
        b"\0",
        b"\xe9",
        b"\xc3\xa9",
        b"\x0b",
        b"\xef\xbb\xbf",
        b"\na: u1\n",
        b"\nb: \"|/bin/p y\", u2\n",
        b"\nc: u1,\n u2\n",
    ];
    vec(select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_printed_as_they_were_read(file in vec(any::<u8>(), 0..400)) {
        for dialect in DIALECTS {
            check_round_trip(&file, dialect);
            check_edits(&file, dialect);
        }
    }

    #[test]
    fn alias_like_files_are_edited_where_they_should_be(file in alias_like()) {
        for dialect in DIALECTS {
            check_round_trip(&file, dialect);
            check_edits(&file, dialect);
        }
    }

    #[test]
    fn what_an_edit_writes_is_read_back_or_refused(file in alias_like(), text in alias_like(), dialect in select(&DIALECTS[..])) {
        let mut document = parse(&file, dialect);
        let before = summary(&document);
        let Some(id) = document.entries().next().map(|entry| entry.id()) else { return Ok(()) };
        if document.set_destination(id, 0, &text).is_err() {
            prop_assert_eq!(document.to_bytes(), file);
            return Ok(());
        }
        check_read_back(&document);
        let after = summary(&document);
        prop_assert_eq!(&after[0].0, &before[0].0);
        prop_assert_eq!(&after[0].1[1..], &before[0].1[1..]);
        prop_assert_eq!(&after[1..], &before[1..]);
    }

    #[test]
    fn what_is_inserted_is_read_back_or_refused(
        file in alias_like(), name in alias_like(), text in alias_like(), dialect in select(&DIALECTS[..]),
    ) {
        let mut document = parse(&file, dialect);
        let before = summary(&document);
        if document.insert_after(None, &name, &text).is_err() {
            prop_assert_eq!(document.to_bytes(), file);
            return Ok(());
        }
        check_read_back(&document);
        let after = summary(&document);
        prop_assert_eq!(&after[..before.len()], &before[..]);
        prop_assert_eq!(after.len(), before.len() + 1);
        prop_assert_eq!(after[before.len()].1.len(), 1);
    }
}
