//! README's page for 3 a.m.: each of its commands, typed on a site on which it fits, does what it is
//! there for. A command that comes into the page is missed here.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

use crate::installation;
use crate::stage::Stage;

/// What is typed before, what is typed then, and what is to be seen.
const NIGHT: &[(&[&str], &str, &str)] = &[
    (&[], "mm-parity status", "future   b  2.1.40"),
    (&[], "mm-parity check", ""),
    (&[], "mm-aliases trace toylist", "verb     post"),
    (&[], "mm-deliver --explain post toylist", "toylist"),
    (
        &[],
        "mm-deliver --explain --rcpt toylist@lists.example.org",
        "toylist",
    ),
    (&[], "mm-parity why toylist", "b (future)"),
    (&[], "mm-parity downgrade LIST", "downgraded 1 list"),
    (&[], "mm-parity downgrade --all", "downgraded 1 list"),
    (&[], "mm-parity undo", "downgraded 1 list"),
    (
        &[],
        "mm-parity downgrade LIST --restore --dry-run",
        "nothing was changed",
    ),
    (
        &["mm-parity upgrade --all", "mm-parity commit"],
        "mm-parity commit --revert",
        "reverted",
    ),
    (&[], "mm-parity pause LIST", "paused 1 list"),
    (
        &["mm-parity pause toylist"],
        "mm-parity resume LIST",
        "resumed 1 list",
    ),
    (&[], "mm-parity drain LIST", "nobody is inside"),
    (&[], "mm-parity undo --prepared", "nothing to do"),
    (&[], "mm-parity downgrade LIST --now", "downgraded 1 list"),
    (
        &["mm-parity downgrade --all"],
        "mm-aliases unadopt",
        "put back reallist1",
    ),
];

/// The commands of the page, each whole.
fn commands() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(path).unwrap();
    let (_, rest) = readme.split_once("\n## It is 3 a.m.\n").unwrap();
    let page = rest.split("\n## ").next().unwrap();
    let command =
        Regex::new(r"(?m)(?:`|^    )(mm-(?:parity|aliases|deliver) [^`#\n]*[^`#\n ])").unwrap();
    let found = command.captures_iter(page).map(|found| found[1].to_owned());
    found.collect()
}

#[test]
fn what_one_types_at_3_am_does_what_it_is_there_for() {
    let mut left = commands();
    assert!(left.len() > 14, "{left:?}");
    // A site of its own kind, below.
    assert!(left.remove("mm-parity init --undo"));
    for (before, typed, seen) in NIGHT {
        assert!(left.remove(*typed), "the page does not say: {typed}");
        let stage = Stage::new();
        if typed.contains("--rcpt") {
            let site = stage.read("site.toml");
            let by_address = site.replace("[deliver]\n", "[deliver]\nrcpt = true\n");
            stage.write("site.toml", by_address, 0o644);
        }
        let run = |line: &str| {
            let mut words = line.split(' ');
            let program = words.next().unwrap();
            let words: Vec<&str> = words
                .map(|word| if word == "LIST" { "toylist" } else { word })
                .collect();
            stage.run(stage.command(program, &words), b"").expect(0)
        };
        run("mm-aliases adopt");
        run("mm-parity upgrade toylist");
        before.iter().for_each(|line| drop(run(line)));
        let done = run(typed);
        assert!(done.stdout.contains(seen), "{typed}: {done:?}");
    }
    assert!(left.is_empty(), "nobody has tried: {left:?}");
}

#[test]
fn not_even_the_layout_is_what_remains_if_one_wants_none_of_it() {
    let stage = Stage::empty();
    installation::make(&stage.path("mailman"));
    let prefix = stage.path("mailman").display().to_string();
    stage.write("aliases", stage.direct_block("mailman", "toylist"), 0o644);
    let before = stage.read("aliases");
    let aliases = stage.path("aliases").display().to_string();
    let state = stage.path("state").display().to_string();
    let user = stage.user();
    let program = stage.path("bin/mm-deliver").display().to_string();
    stage
        .parity(&[
            "init",
            "--from",
            &prefix,
            "--mta",
            "none",
            "--aliases",
            &aliases,
            "--state",
            &state,
            "--user",
            &user,
            "--program",
            &program,
        ])
        .expect(0);
    stage.aliases(&["adopt"]).expect(0);
    assert_ne!(stage.read("aliases"), before);
    stage.aliases(&["unadopt"]).expect(0);
    stage.parity(&["init", "--undo"]).expect(0);
    assert_eq!(stage.read("aliases"), before);
    assert!(!stage.path("site.toml").exists());
    assert!(
        !fs::symlink_metadata(stage.path("mailman/lists"))
            .unwrap()
            .is_symlink()
    );
}
