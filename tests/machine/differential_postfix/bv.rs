//! What local(8) would do with the names of many files: an answer that no reading of ours is part of.
//!
//! Order of events: the value that postalias stores of each entry is reached by a name of our own
//! (`c7x0: <the right side of the file>`) in one /etc/aliases; `sendmail -bv` asks for all of them, and
//! the log says of each command, file and address what local(8) would do.
//!
//! An entry is asked about if its destinations can be told in the log: no byte that the log shows
//! otherwise, no `:include:`, each destination a command, a file of the root, or a user of this host
//! that is not there.
//!
//! **Invariants**: nothing is delivered but the report that goes with each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use aliases::{DestinationKind, Dialect, Document, Entry};

use crate::rig::Machine;

/// How many names one message may have: far below Postfix' limit of an argument list.
const NAMES: usize = 100;
/// How long the log may take to tell of one message.
const PATIENCE: Duration = Duration::from_secs(120);

/// Compares what local(8) says of the names of these files with what we say; returns how many names.
///
/// # Panics
/// If one leads elsewhere.
#[track_caller]
pub(super) fn ask(machine: &Machine, files: &[Vec<u8>]) -> usize {
    let mut text = b"sender: /dev/null\n".to_vec();
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (n, file) in files.iter().enumerate() {
        let document = Document::parse(&file[..], Dialect::Postfix);
        for (m, entry) in document.effective().enumerate() {
            let (Some(ends), Some(value)) = (ends(&entry), value(&entry)) else {
                continue;
            };
            let name = format!("c{n}x{m}");
            text.extend([name.as_bytes(), b":", &value].concat());
            wanted.insert(name, ends);
        }
    }
    fs::write(machine.path("/etc/aliases"), text).unwrap();
    machine.expect("newaliases");
    let names: Vec<&String> = wanted.keys().collect();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for names in names.chunks(NAMES) {
        let batch = names.iter().map(|name| name.as_str()).collect::<Vec<_>>();
        found.extend(told(machine, &batch));
    }
    let mut different = String::new();
    for (name, ends) in &wanted {
        if found.get(name) != Some(ends) {
            writeln!(
                different,
                "{name}: local(8) {:?}, we {ends:?}",
                found.get(name)
            )
            .unwrap();
        }
    }
    assert!(different.is_empty(), "{different}");
    assert!(!wanted.is_empty(), "nothing was asked");
    wanted.len()
}

/// The bytes behind the colon of an entry whose name is an ordinary one, continuation lines included.
fn value(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let raw = entry.raw();
    let colon = raw.iter().position(|byte| *byte == b':')?;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_ \t".contains(byte);
    let is_ordinary = raw[..colon].iter().all(is_word);
    let ends_well = raw.ends_with(b"\n") && !raw.contains(&0);
    (is_ordinary && ends_well).then(|| raw[colon + 1..].to_vec())
}

/// What the log will say of each destination; none if that cannot be known.
fn ends(entry: &Entry<'_>) -> Option<BTreeSet<String>> {
    let all = entry.destinations();
    let end = |kind: &DestinationKind| match kind {
        DestinationKind::Pipe(command) => {
            let command = shown(command)?;
            // A command of blanks is none.
            (!command.trim().is_empty()).then(|| format!("delivers to command: {command}"))
        }
        DestinationKind::File(path) if path.starts_with(b"/") => {
            Some(format!("delivers to file: {}", shown(path)?))
        }
        DestinationKind::Address(user) => {
            let is_user = user.iter().all(u8::is_ascii_alphanumeric);
            let user = shown(user)?.to_ascii_lowercase();
            let is_nobody = is_user && user.starts_with('u') && user.len() < 9;
            is_nobody.then(|| format!("unknown user: \"{user}\""))
        }
        _ => None,
    };
    let ends: Option<BTreeSet<String>> = all.iter().map(|one| end(one.kind())).collect();
    ends.filter(|ends| !ends.is_empty())
}

/// As the log shows it, if it shows it as it is: no parenthesis, which end what it says.
fn shown(bytes: &[u8]) -> Option<String> {
    let is_shown = |byte: &u8| (b' '..=b'~').contains(byte) && !b"()?".contains(byte);
    let text = bytes.iter().all(is_shown).then(|| bytes.to_vec())?;
    let text = String::from_utf8(text).ok()?;
    (text.len() < 500).then_some(text)
}

/// What the log says of each of these names.
fn told(machine: &Machine, names: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let log = machine.path("/var/log/mail.log");
    let before = fs::read(&log).unwrap_or_default().len();
    let line = format!("sendmail -f sender -bv {}", names.join(" "));
    let output = machine.command(&line).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let start = Instant::now();
    loop {
        let all = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&all[before..]).into_owned();
        // The report goes out when everything has been told.
        let done = text.contains("sender delivery status notification");
        if done {
            return parse(&text);
        }
        assert!(start.elapsed() < PATIENCE, "no answer: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `… orig_to=<NAME>, … (what local would do)` of each line.
fn parse(log: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains(" status=")) {
        let name = line
            .split_once("orig_to=<")
            .and_then(|(_, rest)| rest.split_once('>'));
        let what = line
            .split_once(" status=")
            .and_then(|(_, rest)| rest.split_once('('));
        if let (Some((name, _)), Some((_, what))) = (name, what) {
            let what = what.trim_end().trim_end_matches(')').to_owned();
            found.entry(name.to_owned()).or_default().insert(what);
        }
    }
    found
}
