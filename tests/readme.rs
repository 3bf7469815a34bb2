//! README's tour is what the programs really say. `UPDATE_REFS=1` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::installation;
use crate::stage::{LISTS, Stage, TAILS};

/// A part of README that the programs have written, between these two lines.
struct Played {
    begin: &'static str,
    end: &'static str,
    play: fn() -> String,
}

const PLAYED: [Played; 3] = [
    Played {
        begin: "<!-- tour: made by tests/readme.rs -->\n",
        end: "<!-- end of the tour -->\n",
        play: tour,
    },
    Played {
        begin: "<!-- aliases: made by tests/readme.rs -->\n",
        end: "<!-- end of the aliases -->\n",
        play: aliases,
    },
    Played {
        begin: "<!-- layout: made by tests/readme.rs -->\n",
        end: "<!-- end of the layout -->\n",
        play: layout,
    },
];

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

/// What an admin of a Debian host with Mailman 2.1 types about its /etc/aliases.
const ADOPTED: &[(&str, &[&str])] = &[
    (
        "What would `adopt` change? Destinations, and nothing else:",
        &["mm-aliases adopt --dry-run --diff toylist"],
    ),
    ("Then do it:", &["mm-aliases adopt"]),
];

/// What an admin types who has one installation, in /usr/local/mailman.
const LAID_OUT: &[(&str, &[&str])] = &[(
    "One command makes the layout, and one takes it back:",
    &[
        "mm-parity init --from /usr/local/mailman",
        "mm-parity init --undo",
    ],
)];

const CHECKED: &[(&str, &[&str])] = &[
    (
        "Somebody edits the file: a line of toylist is gone, one leads elsewhere. `check` says so:",
        &["mm-aliases check", "mm-aliases sync", "mm-aliases check"],
    ),
    (
        "And back, byte for byte where nobody else changed anything:",
        &["mm-aliases unadopt toylist"],
    ),
];

const LINTED: &[(&str, &[&str])] = &[(
    "What one MTA reads and another one would not, `lint` says, and `show` what one reads; neither \
     needs a site. With `team: alice bob` in a file of Postfix:",
    &["mm-aliases lint --dialect postfix /etc/aliases"],
)];

#[test]
fn what_readme_shows_is_what_the_programs_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let mut readme = fs::read_to_string(&path).unwrap();
    let before = readme.clone();
    for Played { begin, end, play } in PLAYED {
        let (head, rest) = readme.split_once(begin).expect("a part is missing");
        let (_, tail) = rest.split_once(end).expect("a part has no end");
        readme = [head, begin, &play(), end, tail].concat();
    }
    if std::env::var_os("UPDATE_REFS").is_some() {
        fs::write(path, readme).unwrap();
        return;
    }
    assert_eq!(
        before, readme,
        "UPDATE_REFS=1 cargo test --test main readme writes it anew"
    );
}

/// Plays the tour and writes it down.
fn tour() -> String {
    play(&Stage::bare(), TOUR) + "\n"
}

/// Plays the care of an alias file and writes it down.
fn aliases() -> String {
    let stage = Stage::bare();
    let wrapper = stage.path("a/mail/mailman");
    let mut file = DEBIAN.to_owned();
    for list in LISTS {
        file += &format!("\n## {list} mailing list\n");
        for tail in std::iter::once("").chain(TAILS) {
            let name = [list, tail].join("-");
            let name = format!("{}:", name.trim_end_matches('-'));
            let verb = if tail.is_empty() { "post" } else { tail };
            file += &format!("{name:<24}\"|{} {verb} {list}\"\n", wrapper.display());
        }
    }
    stage.write("aliases", file, 0o644);
    stage.parity(&["init", "--current", "a"]).expect(0);
    let adopted = play(&stage, ADOPTED);
    let text = stage.read("aliases");
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("toylist-bounces:"))
        .map(|line| match line.starts_with("toylist-owner:") {
            true => "toylist-owner:          alice@example.org\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect();
    stage.write("aliases", text, 0o644);
    let checked = play(&stage, CHECKED);
    stage.write("aliases", "team: alice bob\n", 0o644);
    adopted + &checked + &play(&stage, LINTED) + "\n"
}

/// Plays the way from one installation to two trees and back, and writes it down.
fn layout() -> String {
    let stage = Stage::empty();
    installation::make(&stage.path("mailman"));
    let lists = LISTS.map(|list| stage.direct_block("mailman", list));
    stage.write("aliases", lists.concat(), 0o644);
    play(&stage, LAID_OUT) + "\n"
}

/// The names that Debian's /etc/aliases has.
const DEBIAN: &str = "\
# /etc/aliases
mailer-daemon: postmaster
postmaster: root
nobody: root
hostmaster: root
usenet: root
news: root
webmaster: root
www: root
ftp: root
abuse: root
noc: root
security: root
root: alice
";

fn play(stage: &Stage, story: &[(&str, &[&str])]) -> String {
    let mut text = String::new();
    for (says, lines) in story {
        text += &format!("\n{says}\n\n");
        for line in *lines {
            let file = stage.path("aliases").display().to_string();
            let prefix = stage.path("mailman").display().to_string();
            let here = line.replace("/etc/aliases", &file);
            let here = here.replace("/usr/local/mailman", &prefix);
            // What this host cannot tell: those of README's reader are found where they always are.
            let here = match here.contains("init --from") {
                true => format!(
                    "{here} --mta none --aliases {file} --state {dir}/state --program \
                     {dir}/bin/mm-deliver --user {user}",
                    dir = stage.dir.display(),
                    user = stage.user()
                ),
                false => here,
            };
            let words: Vec<&str> = here
                .split(' ')
                .map(|word| word.trim_matches('\''))
                .collect();
            let done = stage.run(stage.command(words[0], &words[1..]), b"");
            let may_find = ["check", "lint"].contains(&words[1]);
            assert!(done.status == Some(0) || may_find, "{line}: {done:?}");
            let shown = as_installed(stage, &format!("$ {line}\n{}", done.stdout));
            text.extend(
                shown
                    .lines()
                    .map(|line| format!("    {line}").trim_end().to_owned() + "\n"),
            );
        }
    }
    text
}

/// The text with the places that README's reader has, and one time for all times.
fn as_installed(stage: &Stage, text: &str) -> String {
    let dir = stage.dir.display();
    let mut text = text.replace(&format!(" --site {dir}/site.toml"), "");
    for (here, there) in [
        ("/aliases", "/etc/aliases"),
        ("/bin/mm-deliver", "/usr/lib/mm-deliver/mm-deliver"),
        ("/state", "/var/lib/mm-deliver"),
        ("/site.toml", "/etc/mm-deliver/site.toml"),
        ("/mailman", "/usr/local/mailman"),
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
    let command =
        Regex::new(r"(?m)(?:`|^ {4,}(?:\$ )?)(mm-parity|mm-aliases) ([a-z][a-z-]*)").unwrap();
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
