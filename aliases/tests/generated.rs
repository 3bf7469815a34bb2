//! Generated files: what holds for each of them, whoever reads it, and that a difference is found.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use aliases::{Dialect, Document};

mod differential;
use differential::{Bounds, generator, search};

fn bounds(files: usize) -> Bounds {
    Bounds::from_environment(files, Duration::from_secs(600))
}

#[test]
fn every_file_is_printed_as_it_was_read_in_every_dialect() {
    let outcome = search(bounds(4000), 100, |files| {
        let differs = |file: &Vec<u8>| {
            let mut of = Dialect::ALL.into_iter();
            of.find(|dialect| Document::parse(&file[..], *dialect).to_bytes() != *file)
                .map(|dialect| format!("{dialect:?} is printed otherwise"))
        };
        files.iter().map(differs).collect()
    });
    outcome.expect_none();
}

#[test]
fn the_same_seed_gives_the_same_files_and_they_differ_among_each_other() {
    let some = |seed| generator::Files::new(seed).take(500).collect::<Vec<_>>();
    assert_eq!(some(7), some(7));
    assert_ne!(some(7), some(8));
    let different: BTreeSet<_> = some(7).into_iter().collect();
    assert!(different.len() > 450, "{}", different.len());
}

#[test]
fn a_difference_is_told_by_the_smallest_file_that_has_it() {
    // A reader that takes a comment inside brackets for something else.
    let wrong = |file: &Vec<u8>| {
        let found = file.windows(2).any(|two| two == b"|/") && file.contains(&b'#');
        found.then(|| "a bar, a slash and a number sign".to_owned())
    };
    let bounds = Bounds {
        seed: 3,
        files: 4000,
        time: Duration::from_secs(600),
    };
    let outcome = search(bounds, 100, |files| files.iter().map(wrong).collect());
    let smallest: BTreeSet<_> = outcome
        .differences
        .iter()
        .map(|difference| difference.file.escape_ascii().to_string())
        .collect();
    assert_eq!(
        smallest,
        BTreeSet::from(["#|/".to_owned(), "|/#".to_owned()])
    );
    assert!(
        outcome
            .differences
            .iter()
            .all(|one| one.what.contains("bar"))
    );
    assert!(outcome.summary().contains(" files in "));
}
