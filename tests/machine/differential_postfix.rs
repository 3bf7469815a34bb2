//! Generated aliases files, as Postfix reads them and as we do.
//!
//! Order of events: postalias builds the maps of a whole batch of files; then each map is listed
//! (`postalias -s`) and asked for each name that we see (`postalias -q`). The lines that postalias
//! warns of are those that we say it skips; its names are our names; the value of each, read by
//! itself, has our destinations. That last step is our own reading of what postalias wrote, so of a
//! sample of the generated names, and of the recorded cases, local(8) itself tells the destinations,
//! where its log can show them ([`bv`]).
//!
//! **Invariants**: nothing is delivered but the report that goes with each answer.

/// What local(8) would do with a right side.
mod bv;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use aliases::{DestinationKind, Dialect, Document, Effect, ProblemKind};

use crate::differential::generator::Files;
use crate::differential::{Bounds, search};
use crate::rig::Machine;

const DIRECTORY: &str = "/tmp/differential";
/// How many files one process builds.
const BATCH: usize = 250;
/// Of how many generated files local(8) is given the names that it can tell of.
const SAMPLE: usize = 1500;

/// Builds the maps 0 to N-1 at once, then lists each and asks it for names, two at a time.
const ASK: &str = r#"
cd /tmp/differential || exit
maps=$(seq -f hash:%.0f 0 $(($1 - 1)))
postalias $maps 2>warnings || echo "postalias: status $?" >>warnings
ask() {
    for n in $(seq "$1" 2 "$2"); do
        postalias -s "hash:$n" >"$n.listed"
        postalias -q - "hash:$n" <"$n.names" >"$n.asked"
    done
}
ask 0 $(($1 - 1)) & ask 1 $(($1 - 1)) & wait
# What was warned of stands in the log as well, thousands of lines.
: >/var/log/mail.log
"#;

/// What Postfix made of one file.
#[derive(Debug, Default)]
struct Told {
    /// The lines that it warned of, with what it said.
    warned: BTreeMap<usize, String>,
    /// How many lines it warned of because they begin with white space; it does not say which.
    blanks: usize,
    /// Name and value, as the map is listed.
    listed: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The same of the names that it was asked for.
    asked: BTreeMap<Vec<u8>, Vec<u8>>,
}

struct Postfix<'m> {
    machine: &'m Machine,
    directory: PathBuf,
}

impl<'m> Postfix<'m> {
    fn new(machine: &'m Machine) -> Self {
        let directory = machine.path(DIRECTORY);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("ask"), ASK).unwrap();
        Self { machine, directory }
    }

    /// Lets Postfix read the files.
    fn ask(&self, files: &[Vec<u8>]) -> Vec<Told> {
        for (n, file) in files.iter().enumerate() {
            fs::write(self.directory.join(n.to_string()), file).unwrap();
            let _ = fs::remove_file(self.directory.join(format!("{n}.db")));
            let document = Document::parse(&file[..], Dialect::Postfix);
            let names: BTreeSet<_> = document.entries().map(|entry| entry.name()).collect();
            // Nothing can ask for the name "".
            let names: Vec<Vec<u8>> = names.iter().map(|name| name.to_ascii_uppercase()).collect();
            fs::write(self.directory.join(format!("{n}.names")), lines(&names)).unwrap();
        }
        let line = format!("sh {DIRECTORY}/ask {}", files.len());
        let output = self.machine.command(&line).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut told: Vec<Told> = (0..files.len()).map(|n| self.told(n)).collect();
        for warning in self.read("warnings").split(|byte| *byte == b'\n') {
            let warning = String::from_utf8_lossy(warning);
            note_warning(&mut told, &warning);
        }
        told
    }

    fn told(&self, n: usize) -> Told {
        Told {
            listed: pairs(&self.read(&format!("{n}.listed"))),
            asked: pairs(&self.read(&format!("{n}.asked"))),
            ..Told::default()
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.join(name)).unwrap()
    }
}

fn lines(names: &[Vec<u8>]) -> Vec<u8> {
    names
        .iter()
        .flat_map(|name| [name, &b"\n"[..]].concat())
        .collect()
}

/// Notes `postalias: warning: N, line L: …` and, where it does not say the line, `N: …` at file N.
fn note_warning(told: &mut [Told], warning: &str) {
    let Some(rest) = warning.strip_prefix("postalias: warning: ") else {
        let fatal = warning.contains("fatal") || warning.contains("status");
        assert!(!fatal, "{warning}");
        return;
    };
    if let Some((file, _)) = rest.split_once(": logical line must not start with whitespace") {
        told[file.parse::<usize>().unwrap()].blanks += 1;
    } else if let Some((file, rest)) = rest.split_once(", line ") {
        let (line, what) = rest.split_once(": ").unwrap();
        let warned = &mut told[file.parse::<usize>().unwrap()].warned;
        warned.insert(line.parse().unwrap(), what.to_owned());
    } else {
        assert!(rest.contains("duplicate entry"), "{warning}");
    }
}

/// `name:<tab>value` of each line; without what postalias adds for NIS.
fn pairs(listed: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    for line in listed
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let colon = line.windows(2).position(|two| two == b":\t");
        let colon = colon.unwrap_or_else(|| panic!("{}", line.escape_ascii()));
        found.insert(line[..colon].to_vec(), line[colon + 2..].to_vec());
    }
    for name in [&b"@"[..], b"YP_LAST_MODIFIED", b"YP_MASTER_NAME"] {
        found.remove(name);
    }
    found
}

/// The destinations of the right side that a map has.
fn destinations(value: &[u8]) -> Vec<DestinationKind> {
    let line = [b"x: ", value, b"\n"].concat();
    let document = Document::parse(line, Dialect::Postfix);
    document
        .entries()
        .next()
        .map_or_else(Vec::new, |entry| kinds(&entry))
}

fn kinds(entry: &aliases::Entry<'_>) -> Vec<DestinationKind> {
    let all = entry.destinations();
    all.iter().map(|one| one.kind().clone()).collect()
}

/// What Postfix and we read otherwise in a file.
fn differs(file: &[u8], told: &Told) -> Option<String> {
    let document = Document::parse(file, Dialect::Postfix);
    let skipped = document.problems().iter();
    let skipped = skipped.filter(|problem| problem.effect() == Effect::Skipped);
    let (blanks, skipped): (Vec<_>, Vec<_>) =
        skipped.partition(|problem| problem.kind() == ProblemKind::LeadingBlank);
    // The line of a problem is that of the byte; Postfix gives that where the entry begins.
    let line_of = |offset: usize| 1 + file[..offset].iter().filter(|byte| **byte == b'\n').count();
    let skipped: BTreeMap<usize, String> = skipped
        .into_iter()
        .map(|problem| (line_of(problem.span().start), problem.to_string()))
        .collect();
    let mut text = String::new();
    let keys = |map: &BTreeMap<usize, String>| map.keys().copied().collect::<Vec<_>>();
    if keys(&skipped) != keys(&told.warned) {
        writeln!(text, "skipped: Postfix {:?}, we {skipped:?}", told.warned).unwrap();
    }
    if blanks.len() != told.blanks {
        let theirs = told.blanks;
        writeln!(text, "indented: Postfix {theirs} lines, we {blanks:?}").unwrap();
    }
    let ours: BTreeMap<Vec<u8>, Vec<DestinationKind>> = document
        .effective()
        .map(|entry| (entry.name(), kinds(&entry)))
        .collect();
    let show = |name: &[u8]| name.escape_ascii().to_string();
    for name in ours.keys().filter(|name| !told.listed.contains_key(*name)) {
        writeln!(text, "only we have the name \"{}\"", show(name)).unwrap();
    }
    for (name, value) in &told.listed {
        let theirs = destinations(value);
        match ours.get(name) {
            None => writeln!(text, "only Postfix has the name \"{}\"", show(name)).unwrap(),
            Some(ours) if *ours != theirs => {
                writeln!(
                    text,
                    "\"{}\": {}\nis {theirs:?}\nwe {ours:?}",
                    show(name),
                    show(value)
                )
                .unwrap();
            }
            Some(_) => {}
        }
        let upper = name.to_ascii_uppercase();
        let answer = told.asked.get(&upper);
        if ours.contains_key(name) && !name.is_empty() && answer != Some(value) {
            let answer = answer.map(|value| show(value));
            writeln!(
                text,
                "\"{}\": {} in the list, {answer:?} when asked for",
                show(name),
                show(value)
            )
            .unwrap();
        }
    }
    (!text.is_empty()).then_some(text)
}

#[test]
fn differential_postfix_reads_generated_files_as_we_do() {
    let machine = Machine::new(&[]);
    let postfix = Postfix::new(&machine);
    // So many, however slow the machine; a time in the environment is believed.
    let bounds = Bounds::from_environment(10_000, Duration::from_secs(1800));
    let outcome = search(bounds, BATCH, |files| {
        let told = postfix.ask(files);
        files
            .iter()
            .zip(&told)
            .map(|(file, told)| differs(file, told))
            .collect()
    });
    println!("| Postfix, postalias: {}", outcome.summary());
    outcome.expect_none();
    let is_cut_short = std::env::var_os("MM_DIFFERENTIAL_SECONDS").is_some();
    assert!(
        outcome.files >= bounds.files || is_cut_short,
        "{}",
        outcome.summary()
    );
}

#[test]
fn differential_postfix_local_sends_generated_names_where_we_say() {
    let machine = Machine::new(&[]);
    let files: Vec<Vec<u8>> = Files::new(1998).take(SAMPLE).collect();
    let told = bv::ask(&machine, &files);
    assert!(told > SAMPLE / 10, "hardly anything was asked: {told}");
    println!(
        "| Postfix, sendmail -bv: {told} names of {} files in a sample",
        files.len()
    );
}

#[test]
fn differential_postfix_reads_the_recorded_cases_as_they_were_recorded() {
    let machine = Machine::new(&[]);
    let cases = include_str!("../../aliases/tests/grammar/postfix.cases");
    let cases = crate::differential::cases::texts(cases);
    assert!(cases.len() > 130, "the case file is cut: {}", cases.len());
    let postfix = Postfix::new(&machine);
    let told = postfix.ask(&cases);
    let different = cases.iter().zip(&told);
    let different: Vec<String> = different
        .filter_map(|(file, told)| differs(file, told))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    let told = bv::ask(&machine, &cases);
    let count = cases.len();
    println!(
        "| Postfix, postalias and sendmail -bv ({told} names): {count} files in the recorded cases"
    );
}
