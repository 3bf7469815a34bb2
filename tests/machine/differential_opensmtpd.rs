//! Generated aliases files, as OpenSMTPD reads them and as we do.
//!
//! Order of events, `file:`: each file in turn becomes /etc/aliases, the daemon is told to read it
//! again (`smtpctl update table`), and each name of it is given to RCPT; what the daemon looked up,
//! and what it made of the answer, is in its log. `db:`: makemap builds the maps of a whole batch, and
//! lists them; the right sides in them are read by the daemon's rules, which the first half showed.
//!
//! **Invariants**: nothing is sent; what becomes of the destinations is not looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use aliases::{DestinationKind, Dialect, Document, Effect, Entry};

use crate::differential::cases;
use crate::differential::{Bounds, search};
use crate::reading;
use crate::rig::{HOST, Machine, OpenSmtpd};

const LOG: &str = "/var/log/smtpd.out";
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

/// What the daemon made of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Missing,
    /// It cannot read the right side.
    Trouble,
    /// Its destinations in its own words, escaped, in the order of the file.
    Found(Vec<String>),
}

struct Daemon<'m> {
    machine: &'m Machine,
    log: File,
}

impl<'m> Daemon<'m> {
    fn new(machine: &'m Machine) -> Self {
        // It answers once it listens.
        drop(machine.connect());
        machine.expect("smtpctl trace expand");
        machine.expect("smtpctl trace lookup");
        Self {
            machine,
            log: File::open(machine.path(LOG)).unwrap(),
        }
    }

    /// What the daemon wrote since the last call.
    fn said(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        self.log.read_to_end(&mut said).unwrap();
        said
    }

    fn compare(&mut self, file: &[u8]) -> Option<String> {
        fs::write(self.machine.path("/etc/aliases"), file).unwrap();
        self.log.seek(SeekFrom::End(0)).unwrap();
        let line = "smtpctl update table aliases";
        let output = self.machine.command(line).output().unwrap();
        let document = Document::parse(file, Dialect::OpenSmtpd);
        let said = String::from_utf8_lossy(&self.said()).into_owned();
        let refused = said.split_once("invalid map entry line ");
        let refused = refused.map(|(_, rest)| rest.lines().next().unwrap().parse().unwrap());
        assert_eq!(output.status.success(), refused.is_none(), "{said}");
        if refused != document.refused() {
            let ours = document.refused();
            return Some(format!("refused: the daemon {refused:?}, we {ours:?}\n"));
        }
        if refused.is_some() {
            return None;
        }
        let mut text = String::new();
        let mut client = self.machine.connect();
        for name in names(file) {
            let name = String::from_utf8(name).unwrap();
            let reply = client.ask(&format!("{name}@{HOST}")).unwrap();
            if reply.code == 501 {
                writeln!(text, "\"{name}\": no address: {}", reply.text).unwrap();
                continue;
            }
            let theirs = told(&self.said(), &name);
            let ours = ours(&document, file, &name);
            if !same(&ours, &theirs) {
                writeln!(text, "\"{name}\":\nis {theirs:?}\nwe {ours:?}").unwrap();
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// The names that an address can have.
fn names(file: &[u8]) -> Vec<Vec<u8>> {
    let is_atom = |atom: &[u8]| {
        let is_byte =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*/?^`{|}~+-=_".contains(byte);
        !atom.is_empty() && atom.iter().all(is_byte)
    };
    let can_be_asked =
        |name: &Vec<u8>| name.len() <= 255 && name.split(|byte| *byte == b'.').all(is_atom);
    reading::names(file)
        .into_iter()
        .filter(can_be_asked)
        .collect()
}

/// What the daemon says in its log of a name that was asked for.
fn told(said: &[u8], name: &str) -> Told {
    let lower = name.to_ascii_lowercase();
    let lower = lower.as_bytes().escape_ascii();
    let said = said.escape_ascii().to_string();
    let head = format!("lookup: lookup \\\"{lower}\\\" as ALIAS in table static:aliases -> ");
    let rest = said.split_once(&head);
    let (_, rest) = rest.unwrap_or_else(|| panic!("not looked up: {name}: {said}"));
    if rest.starts_with("none\\n") {
        return Told::Missing;
    }
    let mut found = Vec::new();
    for line in rest.split("\\n").skip(1) {
        if line.contains("error in alias lookup") {
            return Told::Trouble;
        }
        if line.contains("aliases_get: returned ") {
            return Told::Found(found);
        }
        let inserted = line.split_once("expand_insert() called for ");
        if let Some((_, inserted)) = inserted {
            // What goes into the message's own list has a parent, and comes again.
            let own = inserted.strip_suffix("[parent=(nil), rule=(nil)]");
            // What is too long for the log is not told.
            let own = own.or((inserted == "(null)").then_some("(null)"));
            found.extend(own.map(str::to_owned));
        }
    }
    panic!("nothing was said of {name}: {said}");
}

fn ours(document: &Document, file: &[u8], name: &str) -> Told {
    let entry = document.lookup(name.as_bytes());
    let Some(entry) = entry.and_then(|id| document.entry(id)) else {
        return Told::Missing;
    };
    if reading::is_deferred(document, file, &entry) {
        return Told::Trouble;
    }
    Told::Found(words(&entry))
}

/// The destinations in the daemon's own words, escaped.
fn words(entry: &Entry<'_>) -> Vec<String> {
    let all = entry.destinations();
    let word = |kind: &DestinationKind| {
        let (kind, meaning) = match kind {
            DestinationKind::Pipe(meaning) => ("filter:", meaning),
            DestinationKind::File(meaning) => ("filename:", meaning),
            DestinationKind::Include(meaning) => ("include:", meaning),
            DestinationKind::Verdict(meaning) => ("", meaning),
            DestinationKind::Address(meaning) if meaning.contains(&b'@') => ("address:", meaning),
            DestinationKind::Address(meaning) => ("username:", meaning),
        };
        format!("{kind}{}", meaning.escape_ascii())
    };
    all.iter().map(|one| word(one.kind())).collect()
}

fn same(ours: &Told, theirs: &Told) -> bool {
    match (ours, theirs) {
        (Told::Found(ours), Told::Found(theirs)) => {
            // A destination too long to be told is told twice, like one with a parent.
            let told = |word: &&String| word.len() < 900;
            let theirs: Vec<&String> = theirs.iter().filter(|word| *word != "(null)").collect();
            ours.iter().filter(told).eq(theirs.into_iter().filter(told))
        }
        _ => ours == theirs,
    }
}

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
fn differential_opensmtpd_reads_generated_files_as_we_do() {
    let machine = Machine::with(&OpenSmtpd { table: "file" }, &[]);
    let mut daemon = Daemon::new(&machine);
    let bounds = Bounds::from_environment(usize::MAX, Duration::from_secs(60));
    let outcome = search(bounds, BATCH, |files| {
        files.iter().map(|file| daemon.compare(file)).collect()
    });
    println!("| OpenSMTPD, file: and RCPT: {}", outcome.summary());
    outcome.expect_none();
}

#[test]
fn differential_opensmtpd_makemap_reads_generated_files_as_we_do() {
    let machine = Machine::with(&OpenSmtpd { table: "file" }, &[]);
    let makemap = Makemap::new(&machine);
    let bounds = Bounds::from_environment(usize::MAX, Duration::from_secs(60));
    let outcome = search(bounds, BATCH, |files| makemap.compare(files));
    println!("| OpenSMTPD, makemap: {}", outcome.summary());
    outcome.expect_none();
}

#[test]
fn differential_opensmtpd_reads_the_recorded_cases_as_they_were_recorded() {
    let machine = Machine::with(&OpenSmtpd { table: "file" }, &[]);
    let mut daemon = Daemon::new(&machine);
    let makemap = Makemap::new(&machine);
    let files = cases::texts(include_str!("../../aliases/tests/grammar/opensmtpd.cases"));
    let mut found: String = files
        .iter()
        .filter_map(|file| daemon.compare(file))
        .collect();
    let maps = cases::texts(include_str!(
        "../../aliases/tests/grammar/opensmtpd-db.cases"
    ));
    for maps in maps.chunks(BATCH) {
        found.extend(makemap.compare(maps).into_iter().flatten());
    }
    let count = files.len() + maps.len();
    println!("| OpenSMTPD: {count} files in the recorded cases");
    assert!(found.is_empty(), "{found}");
}
