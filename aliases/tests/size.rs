//! Large files, and what makes them quick: no short cut may read anything otherwise.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use aliases::{Contents as _, DestinationKind, Dialect, Document, EntryId};
use proptest::prelude::*;

const ENTRIES: usize = 1_000_000;

#[test]
fn a_million_entries_are_found_changed_and_printed() {
    let mut file = Vec::new();
    for number in 0..ENTRIES {
        file.extend_from_slice(format!("l{number}: \"|/p post l{number}\"\n").as_bytes());
    }
    let mut document = Document::parse(file.clone(), Dialect::Postfix);
    assert!(document.problems().is_empty());
    assert_eq!(document.doubles(), []);
    assert_eq!(document.entries().count(), ENTRIES);
    for number in [0, 1, 4711, ENTRIES - 1] {
        let id = document.lookup(format!("L{number}").as_bytes()).unwrap();
        assert_eq!(document.entry(id).unwrap().line(), number + 1);
    }
    let id = document.lookup(b"l500000").unwrap();
    document.set_destination(id, 0, b"\"|/q post x\"").unwrap();
    document.insert_after(Some(id), b"l7", b"admin").unwrap();
    let line = b"l500000: \"|/p post l500000\"\n";
    let at = memchr::memmem::find(&file, line).unwrap();
    let changed = b"l500000: \"|/q post x\"\nl7: admin\n";
    let expected = [&file[..at], changed, &file[at + line.len()..]];
    assert_eq!(document.to_bytes(), expected.concat());
    // What was not changed is written from where it stands: all above the changed words, those, the
    // end of their line, the new line, all below it.
    assert_eq!(document.slices().count(), 5);
    let doubles = document.doubles();
    assert_eq!(doubles.len(), 1);
    assert_eq!(doubles[0].entries.len(), 2);
    assert_eq!(document.lookup(b"l7"), Some(doubles[0].entries[0]));
}

#[test]
fn a_line_of_ten_megabytes_is_one_entry() {
    const SIZE: usize = 10 << 20;
    let words = b"a, ".repeat(SIZE / 3);
    let long: [&[u8]; 4] = [
        &[b"long: ", words.as_slice(), b"a\n"].concat(),
        &[b"long: \"|/p ", vec![b'x'; SIZE].as_slice(), b"\"\n"].concat(),
        &[b"long: \"", vec![b'\\'; SIZE].as_slice(), b"\n"].concat(),
        &[b"long: a\n", b"  # c\n b\n".repeat(SIZE / 9).as_slice()].concat(),
    ];
    for (number, dialect) in Dialect::ALL.into_iter().enumerate() {
        let file = [b"first: a\n", long[number % long.len()], b"last: b\n"].concat();
        let document = Document::parse(file.clone(), dialect);
        assert!(document.lookup(b"first").is_some(), "{dialect:?}");
        assert_eq!(document.to_bytes(), file, "{dialect:?}");
        let mut document = Document::parse(long[0], dialect);
        document
            .insert_after(None, b"new", b"\"|/p post new\"")
            .unwrap();
        assert!(document.lookup(b"new").is_some());
    }
}

#[test]
fn a_file_of_no_bytes_has_nothing_and_takes_an_entry() {
    for dialect in Dialect::ALL {
        let mut document = Document::parse(Vec::new(), dialect);
        assert_eq!(document.entries().count(), 0);
        assert_eq!(document.slices().count(), 0);
        assert_eq!(document.lookup(b"x"), None);
        assert_eq!(document.doubles(), []);
        let id = document.insert_after(None, b"x", b"admin").unwrap();
        document.insert_after(Some(id), b"y", b"admin").unwrap();
        assert_eq!(document.to_bytes(), b"x: admin\ny: admin\n");
        assert_eq!(document.entry_before(id), None);
        assert_eq!(document.lookup(b"x"), Some(id));
    }
}

/// One change of a document, by numbers that are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Add(usize, usize),
    Remove(usize),
    Turn(usize),
    Rename(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<usize>(), any::<usize>()).prop_map(|(after, name)| Step::Add(after, name)),
        any::<usize>().prop_map(Step::Remove),
        any::<usize>().prop_map(Step::Turn),
        (any::<usize>(), any::<usize>()).prop_map(|(entry, name)| Step::Rename(entry, name)),
    ]
}

const NAMES: [&str; 6] = ["a", "B", "list-owner", "\"quoted name\"", "ab", "b"];

fn apply(document: &mut Document, step: &Step) {
    let standing: Vec<EntryId> = document.entries().map(|entry| entry.id()).collect();
    let pick = |number: usize| standing.get(number % standing.len().max(1)).copied();
    let name = |number: usize| NAMES[number % NAMES.len()];
    let _ = match *step {
        Step::Add(after, n) => document
            .insert_after(pick(after), name(n).as_bytes(), b"x")
            .map(drop),
        Step::Remove(entry) => pick(entry).map_or(Ok(()), |id| document.remove(id).map(drop)),
        Step::Turn(entry) => {
            pick(entry).map_or(Ok(()), |id| document.set_destination(id, 0, b"\"|/q y\""))
        }
        Step::Rename(entry, n) => pick(entry).map_or(Ok(()), |id| {
            document.replace_raw(id, format!("{}: z\n", name(n)).as_bytes())
        }),
    };
}

/// Asks the document, and a plain look at every entry.
fn check_names(document: &Document) -> Result<(), TestCaseError> {
    let mut by_name: BTreeMap<Vec<u8>, Vec<EntryId>> = BTreeMap::new();
    let mut before = None;
    for entry in document.entries() {
        by_name.entry(entry.name()).or_default().push(entry.id());
        prop_assert_eq!(document.entry_before(entry.id()), before);
        before = Some(entry.id());
    }
    for (name, entries) in &by_name {
        prop_assert_eq!(&document.named(name), entries);
        let once = (entries.len() == 1).then(|| entries[0]);
        prop_assert_eq!(document.only(name), once);
    }
    let mut twice: Vec<_> = by_name
        .into_iter()
        .filter(|(_, all)| all.len() > 1)
        .collect();
    let order: Vec<EntryId> = document.entries().map(|entry| entry.id()).collect();
    twice.sort_by_key(|(_, all)| order.iter().position(|id| *id == all[0]));
    let doubles = document.doubles().into_iter();
    let doubles: Vec<_> = doubles
        .map(|double| (double.name, double.entries))
        .collect();
    prop_assert_eq!(doubles, twice);
    let slices: Vec<&[u8]> = document.slices().collect();
    prop_assert_eq!(slices.concat(), document.to_bytes());
    Ok(())
}

proptest! {
    #[test]
    fn names_are_found_as_a_look_at_every_entry_finds_them(
        start in proptest::collection::vec(0..NAMES.len(), 0..12),
        steps in proptest::collection::vec((step(), any::<bool>()), 0..24),
    ) {
        let file: String = start.iter().map(|n| format!("# c\n{}: \"|/p x\"\n", NAMES[*n])).collect();
        let mut document = Document::parse(file.into_bytes(), Dialect::Postfix);
        for (step, ask) in steps {
            // The table of names is made by the first question, and kept up from then on.
            if ask {
                check_names(&document)?;
            }
            apply(&mut document, &step);
        }
        check_names(&document)?;
    }

    #[test]
    fn a_plain_pipe_is_what_a_whole_reading_finds(
        name in "[a-zA-Z0-9._+-]{0,6}",
        colon in "[ \t]{0,2}:[ \t]{0,3}",
        value in r#"(\x22?\|[ a-z/,@#\x22\\|=+._-]{0,9}\x22?|\x22\|[ a-z/,@|=+._-]{0,12}\x22)"#,
        end in "[ \t]{0,2}\r?\n?",
    ) {
        let line = [name.as_bytes(), colon.as_bytes(), value.as_bytes(), end.as_bytes()].concat();
        for dialect in Dialect::ALL {
            let document = Document::parse(line.clone(), dialect);
            let Some(entry) = document.entries().next() else { continue };
            let Some(command) = entry.plain_pipe() else { continue };
            // The same line so that it is not plain: the name is quoted.
            let long = [b"\"", name.as_bytes(), b"\"", colon.as_bytes(), value.as_bytes(), end.as_bytes()];
            let long = Document::parse(long.concat(), dialect);
            let read: Vec<_> = long.entries().flat_map(|entry| entry.destinations())
                .map(|one| (one.text().to_vec(), one.kind().clone())).collect();
            prop_assert_eq!(read, vec![(
                [b"\"|", command, b"\""].concat(),
                DestinationKind::Pipe(command.to_vec()),
            )], "{:?}", dialect);
        }
    }
}
