//! README's tour is what the programs really say. `UPDATE_REFS=1` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::stage::Stage;

/// Between these two lines of README stands the tour.
const BEGIN: &str = "<!-- tour: made by tests/readme.rs -->\n";
const END: &str = "<!-- end of the tour -->\n";

/// What an admin types, and what README says before it.
const TOUR: &[(&str, &[&str])] = &[
    (
        "One list. `init` takes the site as it is, `adopt` turns its aliases, `upgrade` moves the list:",
        &[
            "mm-parity init --current a",
            "mm-aliases adopt",
            "mm-parity upgrade toylist",
            "mm-parity status",
        ],
    ),
    (
        "The whole way of one address, and why:",
        &["mm-aliases trace toylist-request"],
    ),
    (
        "Three lists, by a glob in quotes; a list that is there already is no error:",
        &["mm-parity upgrade '*list*'"],
    ),
    (
        "All is well: commit. Then show that even this can be taken back:",
        &[
            "mm-parity commit",
            "mm-parity status",
            "mm-parity commit --revert",
        ],
    ),
    (
        "And back to where it began:",
        &[
            "mm-parity downgrade --all",
            "mm-aliases unadopt",
            "mm-parity history",
        ],
    ),
];

#[test]
fn the_tour_in_readme_is_what_the_programs_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("README has no tour");
    let (there, after) = rest.split_once(END).expect("README's tour has no end");
    let tour = tour();
    if std::env::var_os("UPDATE_REFS").is_some() {
        fs::write(path, [before, BEGIN, &tour, END, after].concat()).unwrap();
        return;
    }
    assert_eq!(
        there, tour,
        "UPDATE_REFS=1 cargo test --test main readme writes it anew"
    );
}

/// Plays the tour and writes it down.
fn tour() -> String {
    let stage = Stage::bare();
    let mut text = String::new();
    for (says, lines) in TOUR {
        text += &format!("\n{says}\n\n");
        for line in *lines {
            let words: Vec<&str> = line
                .split(' ')
                .map(|word| word.trim_matches('\''))
                .collect();
            let done = stage
                .run(stage.command(words[0], &words[1..]), b"")
                .expect(0);
            let shown = as_installed(&stage, &format!("$ {line}\n{}", done.stdout));
            text.extend(
                shown
                    .lines()
                    .map(|line| format!("    {line}").trim_end().to_owned() + "\n"),
            );
        }
    }
    text + "\n"
}

/// The text with the places that README's reader has, and one time for all times.
fn as_installed(stage: &Stage, text: &str) -> String {
    let dir = stage.dir.display();
    let mut text = text.replace(&format!(" --site {dir}/site.toml"), "");
    for (here, there) in [
        ("/aliases", "/etc/aliases"),
        ("/bin/mm-deliver", "/usr/lib/mm-deliver/mm-deliver"),
        ("/state", "/var/lib/mm-deliver"),
        ("/a", "/srv/mailman/a"),
        ("/b", "/srv/mailman/b"),
    ] {
        text = text.replace(&format!("{dir}{here}"), there);
    }
    let time = Regex::new(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    let text = time.replace_all(&text, "2026-11-22T10:02:11Z");
    // Whoever runs the tests: README's admin is root.
    let user = Regex::new(r"(?m)Z {2}\S+ {2}").unwrap();
    let text = user.replace_all(&text, "Z  root  ").into_owned();
    assert!(!text.contains(&dir.to_string()), "{text}");
    text
}

/// The commands that README has for an admin in trouble are ones that there are.
#[test]
fn every_command_that_readme_names_is_one() {
    let readme =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let command = Regex::new(r"(?m)(?:`|^ {4,}(?:\$ )?)(mm-parity|mm-aliases) ([a-z]+)").unwrap();
    let stage = Stage::bare();
    let mut seen = 0;
    for found in command.captures_iter(&readme) {
        let (program, act) = (&found[1], &found[2]);
        stage
            .run(stage.command(program, &[act, "--help"]), b"")
            .expect(0);
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
