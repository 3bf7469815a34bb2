//! Generated aliases files, as makemap reads them and as we do.
//!
//! Order of events: makemap builds the maps of a whole batch of files, and lists them. What it
//! stored is read by the daemon's rules, which the tests of the daemon show.
//!
//! **Invariants**: the daemon of the machine is not asked, and its own map not touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use aliases::{Dialect, Document, Effect, Entry};

use super::{Told, words};
use crate::differential::{Bounds, cases, search};
use crate::reading;
use crate::rig::{Machine, OpenSmtpd};

const DIRECTORY: &str = "/tmp/differential";
/// How many maps are built at once.
const BATCH: usize = 100;

/// Builds the maps 0 to N-1, and lists each; ten at a time, since makemap waits for the disk.
const BUILD: &str = "
cd /tmp/differential || exit
build() {
    for n in $(seq $1 10 $2); do
        rm -f $n.db
        makemap -t aliases -o $n.db $n 2>$n.said && makemap -U $n.db >$n.listed
    done
}
for first in $(seq 0 9); do build $first $(($1 - 1)) & done
wait
";

struct Makemap<'m> {
    machine: &'m Machine,
    directory: PathBuf,
}

impl<'m> Makemap<'m> {
    fn new(machine: &'m Machine) -> Self {
        let directory = machine.path(DIRECTORY);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("build"), BUILD).unwrap();
        Self { machine, directory }
    }

    fn compare(&self, files: &[Vec<u8>]) -> Vec<Option<String>> {
        for (n, file) in files.iter().enumerate() {
            fs::write(self.directory.join(n.to_string()), file).unwrap();
        }
        let line = format!("sh {DIRECTORY}/build {}", files.len());
        let output = self.machine.command(&line).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let compared = files.iter().enumerate();
        compared.map(|(n, file)| self.differs(n, file)).collect()
    }

    fn differs(&self, n: usize, file: &[u8]) -> Option<String> {
        let read = |name: &str| fs::read(self.directory.join(format!("{n}.{name}"))).unwrap();
        let document = Document::parse(file, Dialect::OpenSmtpdDb);
        let said = String::from_utf8_lossy(&read("said")).into_owned();
        let refused = said.lines().find_map(|line| {
            let (_, rest) = line.split_once(&format!("makemap: {n}:"))?;
            rest.split_once(": ")?.0.parse::<usize>().ok()
        });
        let last = document
            .refused()
            .map(|line| last_line(&document, file, line));
        // Behind a backslash at the end of the file, makemap counts the line that it looks for.
        let is = |last: usize| refused == Some(last) || refused == Some(last + 1) && waits(file);
        if !last.map_or(refused.is_none(), is) {
            let ours = document.refused();
            return Some(format!(
                "refused: makemap {refused:?} {said}, we {ours:?}\n"
            ));
        }
        if refused.is_some() {
            return None;
        }
        let theirs = listed(&read("listed"));
        let ours: BTreeMap<Vec<u8>, Told> = document
            .entries()
            .map(|entry| (entry.name(), of_entry(&document, file, &entry)))
            .collect();
        (ours != theirs).then(|| format!("is {theirs:?}\nwe {ours:?}\n"))
    }
}

/// Whether the last line of a file says that it goes on.
fn waits(file: &[u8]) -> bool {
    let whole = file.strip_suffix(b"\n").unwrap_or(file);
    whole.ends_with(b"\\")
}

/// The line that makemap tells: the last one of the record with our line in it.
fn last_line(document: &Document, file: &[u8], line: usize) -> usize {
    let upto = |end: usize| {
        let whole = file[..end].strip_suffix(b"\n").unwrap_or(&file[..end]);
        1 + whole.iter().filter(|byte| **byte == b'\n').count()
    };
    let mut problems = document.problems().iter();
    let problem =
        problems.find(|problem| problem.effect() == Effect::FileRefused && problem.line() == line);
    if let Some(problem) = problem {
        return upto(problem.span().end);
    }
    let entry = document.entries().find(|entry| entry.line() == line);
    let lines = entry.map_or(0, |entry| {
        let whole = entry.raw().strip_suffix(b"\n").unwrap_or(entry.raw());
        whole.iter().filter(|byte| **byte == b'\n').count()
    });
    line + lines
}

/// Name and right side, a tab between them, of each line; as the daemon would read it.
fn listed(listed: &[u8]) -> BTreeMap<Vec<u8>, Told> {
    let lines = listed.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let tab = line.iter().position(|byte| *byte == b'\t').unwrap();
            // The comma keeps the blanks at the end, which are the daemon's to judge.
            let value = [b"x: ", &line[tab + 1..], b","].concat();
            let document = Document::parse(&value[..], Dialect::OpenSmtpd);
            let entry = document.entries().next().unwrap();
            (line[..tab].to_vec(), of_entry(&document, &value, &entry))
        })
        .collect()
}

fn of_entry(document: &Document, file: &[u8], entry: &Entry<'_>) -> Told {
    if reading::is_deferred(document, file, entry) {
        return Told::Trouble;
    }
    Told::Found(words(entry))
}

#[test]
fn differential_opensmtpd_makemap_reads_generated_files_as_we_do() {
    let machine = Machine::with(&OpenSmtpd { table: "file" }, &[]);
    let makemap = Makemap::new(&machine);
    let bounds = Bounds::from_environment(40_000, Duration::from_secs(120));
    let outcome = search(bounds, BATCH, |files| makemap.compare(files));
    println!("| OpenSMTPD, makemap: {}", outcome.summary());
    outcome.expect_none();
}

#[test]
fn differential_opensmtpd_makemap_reads_the_recorded_cases_as_they_were_recorded() {
    let machine = Machine::with(&OpenSmtpd { table: "file" }, &[]);
    let makemap = Makemap::new(&machine);
    let files = cases::texts(include_str!(
        "../../../aliases/tests/grammar/opensmtpd-db.cases"
    ));
    let told = files.chunks(BATCH).flat_map(|files| makemap.compare(files));
    let found: Vec<String> = told.flatten().collect();
    println!(
        "| OpenSMTPD, makemap: {} files in the recorded cases",
        files.len()
    );
    assert!(found.is_empty(), "{}", found.concat());
}
