//! Generated files: what holds for each of them, whoever reads it, and that a difference is found.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

mod differential;
#[path = "../fuzz/targets.rs"]
mod targets;

use differential::{Bounds, cases, generator, search};

fn bounds(files: usize) -> Bounds {
    Bounds::from_environment(files, Duration::from_secs(600))
}

/// The panic of a target over these bytes, in words.
fn broken(target: fn(&[u8]), bytes: &[u8]) -> Option<String> {
    let panic = std::panic::catch_unwind(|| target(bytes)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some(text.unwrap_or_default())
}

#[test]
fn every_file_is_printed_as_it_was_read_in_every_dialect() {
    let outcome = search(bounds(4000), 100, |files| {
        files
            .iter()
            .map(|file| broken(targets::parse, file))
            .collect()
    });
    outcome.expect_none();
}

#[test]
fn an_edit_changes_what_was_asked_for_and_nothing_else_in_every_dialect() {
    const TEXTS: [&[u8]; 8] = [
        b"\"|/new/prog post x\"",
        b"u9",
        b"new: \"|/new/prog post x\"",
        b"new: u9",
        b"new: u9\n",
        b"new: u9,\r\n u8\r\n",
        b"\"open",
        b"a b, c # d",
    ];
    // Five bytes and a text are put before each file; they are not cut down with it.
    let edits: Vec<Vec<u8>> = (0..5)
        .flat_map(|dialect| (0..5).map(move |act| (dialect, act)))
        .flat_map(|(dialect, act)| TEXTS.map(|text| (dialect, act, text)))
        .map(|(dialect, act, text)| {
            let length = u8::try_from(text.len()).unwrap();
            [&[dialect, act, length, length / 2, length], text].concat()
        })
        .collect();
    let outcome = search(bounds(120), 10, |files| {
        let of = |file: &Vec<u8>| {
            edits.iter().find_map(|edit| {
                let what = broken(targets::edit, &[edit, &file[..]].concat())?;
                Some(format!(
                    "{:?} {}: {what}",
                    &edit[..5],
                    edit[5..].escape_ascii()
                ))
            })
        };
        files.iter().map(of).collect()
    });
    outcome.expect_none();
}

#[test]
fn every_recorded_case_is_printed_as_it_was_read_in_every_dialect() {
    let recorded = [
        include_str!("grammar/postfix.cases"),
        include_str!("grammar/sendmail.cases"),
        include_str!("grammar/exim.cases"),
        include_str!("grammar/opensmtpd.cases"),
        include_str!("grammar/opensmtpd-db.cases"),
    ];
    recorded
        .into_iter()
        .flat_map(cases::texts)
        .for_each(|file| targets::parse(&file));
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
