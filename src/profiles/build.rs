//! Turns each shipped profile of this directory into a static table for the hot path.
//!
//! **Invariants.** Reads the TOML files beside it, writes one file of Rust into OUT_DIR. A
//! test compares the tables with what the run-time reader makes of the same TOML.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;

#[derive(Deserialize)]
struct Profile {
    case: String,
    #[serde(default)]
    exists: Vec<String>,
    verbs: BTreeMap<String, Row>,
    web: Option<Web>,
}

#[derive(Deserialize)]
struct Web {
    program: Option<String>,
    lists: Vec<String>,
    #[serde(default)]
    site: Vec<String>,
    #[serde(default)]
    doubled: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Row {
    addresses: Vec<String>,
    extension: Option<String>,
    argv: Option<Vec<String>>,
    recipient: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("src/profiles");
    println!("cargo::rerun-if-changed={}", here.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&here)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ext| ext == "toml"));
    files.sort();

    let mut code =
        String::from("/// Every shipped profile.\npub static SHIPPED: &[Shipped] = &[\n");
    for file in files {
        code += &table(&file)?;
    }
    code += "];\n";
    fs::write(Path::new(&env::var("OUT_DIR")?).join("shipped.rs"), code)?;
    Ok(())
}

/// One profile as a Rust expression, its verbs in the order of `Verb::ALL`.
fn table(file: &Path) -> Result<String, Box<dyn Error>> {
    let profile: Profile = toml::from_str(&fs::read_to_string(file)?)?;
    let name = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .ok_or("no name")?;
    let mut rows: Vec<_> = profile.verbs.iter().collect();
    rows.sort_by_key(|(verb, _)| ORDER.iter().position(|known| known == verb));
    let mut code = format!(
        "Shipped {{ name: {name:?}, routing: Routing {{ case: Case::{}, exists: {}, \
         routes: Cow::Borrowed(&[\n",
        pascal(&profile.case),
        words(&profile.exists)
    );
    for (verb, row) in rows {
        let way = match (&row.argv, &row.recipient) {
            (Some(argv), None) => format!("Run({})", words(argv)),
            (None, Some(recipient)) => format!("Lmtp(Cow::Borrowed({recipient:?}))"),
            _ => return Err(format!("{verb}: either argv or recipient").into()),
        };
        let extension = row
            .extension
            .as_deref()
            .and_then(|text| text.bytes().next());
        writeln!(
            code,
            "Route {{ verb: Verb::{}, addresses: {}, extension: {extension:?}, way: Way::{way} }},",
            pascal(verb),
            words(&row.addresses)
        )?;
    }
    let web = profile.web.as_ref().map_or_else(|| "None".to_owned(), web);
    writeln!(
        code,
        "]), web: {web} }}, #[cfg(feature = \"admin\")] text: include_str!({:?}) }},",
        file.to_str().ok_or("not UTF-8")?
    )?;
    Ok(code)
}

/// Texts as a Rust expression.
fn words(words: &[String]) -> String {
    let words = words
        .iter()
        .map(|word| format!("Cow::Borrowed({word:?}), "));
    format!("Cow::Borrowed(&[{}])", words.collect::<String>())
}

/// `[web]` as a Rust expression.
fn web(web: &Web) -> String {
    let program = web.program.as_ref().map_or_else(
        || "None".to_owned(),
        |program| format!("Some(Cow::Borrowed({program:?}))"),
    );
    let doubled = web.doubled.iter().map(|(program, ending)| {
        format!(
            "Doubled {{ program: Cow::Borrowed({program:?}), ending: Cow::Borrowed({ending:?}) }}, "
        )
    });
    format!(
        "Some(Web {{ program: {program}, lists: {}, site: {}, doubled: Cow::Borrowed(&[{}]) }})",
        words(&web.lists),
        words(&web.site),
        doubled.collect::<String>()
    )
}

/// The order of the verbs in `src/list.rs`; the comparing test fails where it differs.
const ORDER: &[&str] = &[
    "post",
    "admin",
    "bounces",
    "confirm",
    "join",
    "leave",
    "owner",
    "request",
    "subscribe",
    "unsubscribe",
    "editor",
    "comment",
    "sendkey",
];

/// `as-written` as `AsWritten`.
fn pascal(word: &str) -> String {
    word.split('-')
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}
