//! adopt then unadopt gives every byte back, whatever stands in the files and however it is
//! written; what was not to be turned is not touched on the way.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::managers::filled;
use crate::stage::Stage;

/// How often; each is two runs of mm-aliases on two files.
const CASES: u32 = 48;

/// What an entry leads to, with `{l}` for its list; and whether it is to be turned.
const DESTINATIONS: &[(&str, bool)] = &[
    ("\"|{a}/mail/mailman post {l}\"", true),
    ("\"|{a}/mail/mailman  owner\t{l} \"", true),
    ("\"| {a}//mail/wrapper mailcmd {l}\"", true),
    ("|\"{a}/mail/wrapper mailowner {l}\"", true),
    ("\"|{dir}/mailman/mail/mailman leave {l}\"", true),
    ("|{dir}/smrsh/mailman\\ join\\ {l}", true),
    ("\"|{dir}/smrsh/mailman join {l}\"", true),
    ("alice, \"|{a}/mail/mailman bounces {l}\"", true),
    ("alice,\n\tbob,\n  \"|{a}/mail/mailman admin {l}\"", true),
    (
        "alice\n# inside, a comment\n\n ,\"|{a}/mail/mailman confirm {l}\" , carol",
        true,
    ),
    ("(the list) \"|{a}/mail/mailman post {l}\"", true),
    ("\"|exec {a}/mail/mailman post {l}\"", false),
    (
        "\"|{a}/mail/mailman post {l}\", \"|/usr/bin/archive\"",
        false,
    ),
    ("\"|{a}/mail/mailman post {l}\\\\;x\"", false),
    ("\"|{a}/mail/mailman archive {l}\"", false),
    ("\"|/opt/mm/mail/mailman post {l}\"", false),
    ("|\"/opt/mm/mail/wrapper post {l}\"", false),
    (":include:{dir}/members", false),
    ("alice@example.org, bob", false),
    ("/var/mail/archive", false),
    ("\"|/usr/bin/vacation {l}\"", false),
];

/// What stands between entries; a line that Postfix skips is nobody's entry.
const BETWEEN: &[&str] = &[
    "",
    "",
    "\n",
    "# STANZA START: x\n# CREATED: Sun Nov 22 10:02:11 2026\n",
    "#\u{e9} \t\n",
    "   # indented\n",
    "no colon here\n",
    " \t \n",
];

#[derive(Debug, Clone)]
struct Piece {
    destination: usize,
    between: usize,
    colon: usize,
    quoted: bool,
    upper: bool,
    crlf: bool,
    second: bool,
}

fn piece() -> impl Strategy<Value = Piece> {
    let sizes = (0..DESTINATIONS.len(), 0..BETWEEN.len(), 0..COLONS.len());
    (sizes, any::<[bool; 3]>(), prop::bool::weighted(0.3)).prop_map(
        |((destination, between, colon), [quoted, upper, crlf], second)| Piece {
            destination,
            between,
            colon,
            quoted,
            upper,
            crlf,
            second,
        },
    )
}

const COLONS: &[&str] = &[": ", ":", " : ", ":\t\t", ":                  ", ":\n  "];

impl Piece {
    /// The entry of number `n`, as text.
    fn entry(&self, n: usize) -> String {
        let mut name = format!("list{n}");
        if self.upper {
            name = name.to_uppercase();
        }
        if self.quoted {
            name = format!("\"{name}\"");
        }
        let leads_to = DESTINATIONS[self.destination]
            .0
            .replace("{l}", &format!("list{n}"));
        let text = format!("{name}{}{leads_to}\n", COLONS[self.colon]);
        match self.crlf {
            true => text.replace('\n', "\r\n"),
            false => text,
        }
    }
}

/// The two files.
fn files(stage: &Stage, pieces: &[Piece], ended: bool) -> [String; 2] {
    let mut files = [String::new(), String::new()];
    for (n, piece) in pieces.iter().enumerate() {
        let file = &mut files[usize::from(piece.second)];
        *file += BETWEEN[piece.between];
        *file += &filled(stage, &piece.entry(n));
    }
    if !ended {
        files.iter_mut().for_each(|file| {
            file.pop();
        });
    }
    files
}

/// A site with two alias files, and the tree reached by other paths.
fn stage() -> Stage {
    let stage = super::stage();
    let site = stage.read("site.toml");
    let files = format!("aliases\", \"{}\"]", stage.path("second").display());
    stage.write("site.toml", site.replace("aliases\"]", &files), 0o644);
    stage.make_dir("smrsh");
    let links = [
        ("mailman", "a"),
        ("smrsh/mailman", "a/mail/mailman"),
        ("smrsh/mm-deliver", "bin/mm-deliver"),
    ];
    for (link, to) in links {
        std::os::unix::fs::symlink(stage.path(to), stage.path(link)).unwrap();
    }
    let program = stage.read("a/mail/mailman");
    stage.write("a/mail/wrapper", program, 0o755);
    let included = "alice\n\"|{a}/mail/mailman post list0\"\n";
    stage.write("members", filled(&stage, included), 0o644);
    stage
}

#[test]
fn of_random_mixtures_in_odd_formatting() {
    let stage = stage();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let mixture = (prop::collection::vec(piece(), 1..24), any::<bool>());
    let done = TestRunner::new(config).run(&mixture, |(pieces, ended)| {
        let before = files(&stage, &pieces, ended);
        stage.write("aliases", &before[0], 0o644);
        stage.write("second", &before[1], 0o644);
        let turned = pieces
            .iter()
            .filter(|piece| DESTINATIONS[piece.destination].1);
        let said = match turned.count() {
            0 => "nothing to change".to_owned(),
            1 => "1 entry changed".to_owned(),
            n => format!("{n} entries changed"),
        };
        let done = stage.aliases(&["adopt"]);
        prop_assert!(
            done.status == Some(0) && done.stdout.contains(&said),
            "{said}: {done:#?}"
        );
        let after = [stage.read("aliases"), stage.read("second")];
        for (n, piece) in pieces.iter().enumerate() {
            let entry = filled(&stage, &piece.entry(n));
            let stands = after[usize::from(piece.second)].contains(entry.trim_end());
            prop_assert_eq!(stands, !DESTINATIONS[piece.destination].1, "{:?}", entry);
        }
        let done = stage.aliases(&["unadopt"]);
        prop_assert!(done.status == Some(0), "{done:#?}");
        prop_assert!(!done.stdout.contains("form is written"), "{done:#?}");
        prop_assert_eq!([stage.read("aliases"), stage.read("second")], before);
        Ok(())
    });
    done.unwrap_or_else(|failed| panic!("{failed}"));
}
