//! The corpus of the fuzz targets, without a fuzzer: every file keeps the rules of `fuzz/targets.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

#[path = "../fuzz/targets.rs"]
mod targets;

/// Runs a target over every file of its corpus.
#[track_caller]
fn replay(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // What fails is named.
        let bytes = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| target(&bytes));
        assert!(outcome.is_ok(), "{path:?}: {}", bytes.escape_ascii());
        count += 1;
    }
    assert!(count > 40, "the corpus is cut: {count}");
}

#[test]
fn the_corpus_of_parse_keeps_its_rules() {
    replay("parse", targets::parse);
}

#[test]
fn the_corpus_of_edit_keeps_its_rules() {
    replay("edit", targets::edit);
}
