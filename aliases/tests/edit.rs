//! Before, what is asked for, and after: the file is then exactly this.
//!
//! `edit/NAME.before` and `.after` are files; `edit/NAME.edit` says what is done, a line each, with
//! names as they are looked up:
//!
//!   set NAME N TEXT         destination N (from 0) becomes TEXT
//!   add AFTER NAME TEXT     `NAME: TEXT` behind the entry AFTER
//!   append NAME TEXT        `NAME: TEXT` at the end
//!   remove NAME             the entry goes
//!   move NAME AFTER         the entry goes, and its bytes come back behind AFTER
//!   raw NAME TEXT           the whole entry becomes TEXT and a newline
//!   no ...                  the same, but it must be refused

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use aliases::{Dialect, Document, EditError, EntryId};

fn id(document: &Document, name: &str) -> EntryId {
    document.lookup(name.as_bytes()).unwrap()
}

fn edit(document: &mut Document, line: &str) -> Result<(), EditError> {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    match words.as_slice() {
        ["set", name, n, text] => {
            document.set_destination(id(document, name), n.parse().unwrap(), text.as_bytes())
        }
        ["add", after, name, text] => {
            let after = id(document, after);
            document
                .insert_after(Some(after), name.as_bytes(), text.as_bytes())
                .map(drop)
        }
        ["append", name, text @ ..] => document
            .insert_after(None, name.as_bytes(), text.join(" ").as_bytes())
            .map(drop),
        ["remove", name] => document.remove(id(document, name)).map(drop),
        ["move", name, after] => {
            let raw = document.remove(id(document, name))?;
            document
                .insert_raw_after(Some(id(document, after)), &raw)
                .map(drop)
        }
        ["raw", name, text @ ..] => document.replace_raw(
            id(document, name),
            format!("{}\n", text.join(" ")).as_bytes(),
        ),
        _ => unreachable!("{line}"),
    }
}

#[track_caller]
fn check(case: &Path) {
    let file = |extension: &str| fs::read(case.with_extension(extension)).unwrap();
    let mut document = Document::parse(file("before"), Dialect::Postfix);
    for line in String::from_utf8(file("edit")).unwrap().lines() {
        let before = document.to_bytes();
        match line.strip_prefix("no ") {
            None => edit(&mut document, line).unwrap(),
            Some(line) => {
                assert!(edit(&mut document, line).is_err(), "not refused: {line}");
                assert_eq!(document.to_bytes(), before, "refused, but done: {line}");
            }
        }
    }
    let show = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\n", "\\n\n");
    assert_eq!(
        show(&document.to_bytes()),
        show(&file("after")),
        "{}",
        case.display()
    );
}

#[test]
fn after_these_edits_the_file_is_exactly_this() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edit");
    let paths = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let cases: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "edit"))
        .collect();
    assert!(cases.len() > 8, "{cases:?}");
    cases.iter().for_each(|case| check(case));
}

#[test]
fn a_handle_that_was_removed_is_no_entry_but_still_a_place() {
    let mut document = Document::parse(&b"a: u1\nb: u2\n"[..], Dialect::Postfix);
    let a = id(&document, "a");
    document.remove(a).unwrap();
    assert_eq!(document.remove(a), Err(EditError::NoSuchEntry));
    assert_eq!(
        document.set_destination(a, 0, b"u3"),
        Err(EditError::NoSuchEntry)
    );
    assert_eq!(
        document.replace_raw(a, b"a: u3\n"),
        Err(EditError::NoSuchEntry)
    );
    document.insert_after(Some(a), b"c", b"u3").unwrap();
    assert_eq!(document.to_bytes(), b"c: u3\nb: u2\n");
}

#[test]
fn when_the_entry_that_wins_is_removed_the_next_one_wins() {
    let mut document = Document::parse(&b"a: u1\na: u2\n\"\": u3\n"[..], Dialect::Postfix);
    for line in [Some(1), Some(1), None] {
        let found = document.lookup(b"a");
        assert_eq!(
            found
                .and_then(|id| document.entry(id))
                .map(|entry| entry.line()),
            line
        );
        found.map(|id| document.remove(id).unwrap());
    }
    document.insert_after(None, b"a", b"u4").unwrap();
    let a = id(&document, "a");
    assert_eq!(document.entry(a).unwrap().raw(), b"a: u4\n");
    let nameless = id(&document, "");
    document.remove(nameless).unwrap();
    assert_eq!(document.lookup(b""), None);
}

#[test]
fn a_handle_of_another_document_is_no_place() {
    let mut small = Document::parse(&b"a: u1\n"[..], Dialect::Postfix);
    let large = Document::parse(&b"a: u1\nb: u2\n"[..], Dialect::Postfix);
    let strange = id(&large, "b");
    assert!(small.entry(strange).is_none());
    assert_eq!(
        small.insert_after(Some(strange), b"c", b"u3"),
        Err(EditError::NoSuchEntry)
    );
    assert_eq!(small.to_bytes(), b"a: u1\n");
}

#[test]
fn a_destination_that_is_not_there_is_named_as_such() {
    let mut document = Document::parse(&b"a: u1\n"[..], Dialect::Postfix);
    let a = id(&document, "a");
    assert_eq!(
        document.set_destination(a, 1, b"u3"),
        Err(EditError::NoSuchDestination)
    );
    assert_eq!(
        document.set_destination(a, 0, b"u3, u4"),
        Err(EditError::NotOneDestination)
    );
}

#[test]
fn a_missing_newline_never_changes_what_the_line_above_means() {
    let mut document = Document::parse(&b"a: u1\r\nb: \"|/bin/p x"[..], Dialect::Postfix);
    document.insert_after(None, b"c", b"u3").unwrap();
    assert_eq!(document.to_bytes(), b"a: u1\r\nb: \"|/bin/p x\nc: u3\r\n");
    let mut document = Document::parse(&b"a: u1\r\nb: u2"[..], Dialect::Postfix);
    document.insert_after(None, b"c", b"u3").unwrap();
    assert_eq!(document.to_bytes(), b"a: u1\r\nb: u2\r\nc: u3\r\n");
}

#[test]
fn a_destination_whose_blank_makes_its_line_a_continuation_is_not_replaced() {
    // A vertical tab is a blank at the beginning of a line, and part of a word within it.
    let mut document = Document::parse(&b"a: u1,\n\x0bu2\n"[..], Dialect::Postfix);
    let a = id(&document, "a");
    assert_eq!(
        document.set_destination(a, 1, b"u3"),
        Err(EditError::NotOneDestination)
    );
}

#[test]
fn nothing_is_put_where_sendmail_would_join_it_to_its_neighbour() {
    // A backslash at the end of a line joins; a NUL hides the end of the line.
    for file in [
        &b"a: u1\\\n"[..],
        b"a: u1\\",
        b"a: u1\0x\n",
        b"# c\\\n",
        b"a: u1\n#\0",
    ] {
        let mut document = Document::parse(file, Dialect::Sendmail);
        let refused = document.insert_after(None, b"b", b"u2");
        assert_eq!(refused, Err(EditError::NotOneEntry), "{file:?}");
        assert_eq!(document.to_bytes(), file);
    }
    let mut document = Document::parse(&b"a: u1\nb: u2\\\n"[..], Dialect::Sendmail);
    let (a, b) = (id(&document, "a"), id(&document, "b"));
    let last = document.remove(b).unwrap();
    assert_eq!(document.replace_raw(a, &last), Ok(()));
    document.insert_after(None, b"c", b"u3").unwrap_err();
    assert_eq!(document.to_bytes(), b"b: u2\\\n");
}

#[test]
fn in_sendmails_reading_an_entry_ends_before_a_comment() {
    let file = &b"a: u1,\n# c\n u2\nb: u3\n"[..];
    let mut document = Document::parse(file, Dialect::Sendmail);
    let a = id(&document, "a");
    document.insert_after(Some(a), b"c", b"u4").unwrap();
    assert_eq!(document.to_bytes(), b"a: u1,\nc: u4\n# c\n u2\nb: u3\n");
}

#[test]
fn a_missing_newline_never_changes_the_name_of_the_line_above() {
    // To Sendmail the whole line is a name in quotes, and a CR would be in it.
    let mut document = Document::parse(&b"\r\n\": a"[..], Dialect::Sendmail);
    document.insert_after(None, b"c", b"u3").unwrap();
    assert_eq!(document.to_bytes(), b"\r\n\": a\nc: u3\r\n");
}
