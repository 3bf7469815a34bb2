//! Generated aliases files, as OpenSMTPD's daemon reads them and as we do.
//!
//! Order of events: each file in turn becomes /etc/aliases, the daemon is told to read it again
//! (`smtpctl update table`; for a `db:` table, once makemap has built it), and each name of it is given
//! to RCPT; what the daemon looked up, and what it made of the answer, is in its log.
//!
//! **Invariants**: nothing is sent; what becomes of the destinations is not looked at.

/// What makemap builds, and what it refuses.
mod makemap;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use aliases::{DestinationKind, Dialect, Document, Entry};

use crate::differential::cases;
use crate::differential::{Bounds, search};
use crate::reading;
use crate::rig::{HOST, Machine, OpenSmtpd};

const LOG: &str = "/var/log/smtpd.out";
/// How many files are looked at between two looks at the clock.
const BATCH: usize = 20;

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
    dialect: Dialect,
    log: File,
}

impl<'m> Daemon<'m> {
    /// The daemon of a machine whose table is of this dialect.
    fn new(machine: &'m Machine, dialect: Dialect) -> Self {
        // It answers once it listens.
        drop(machine.connect());
        machine.expect("smtpctl trace expand");
        machine.expect("smtpctl trace lookup");
        Self {
            machine,
            dialect,
            log: File::open(machine.path(LOG)).unwrap(),
        }
    }

    /// What the daemon wrote since the last call.
    fn said(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        self.log.read_to_end(&mut said).unwrap();
        said
    }

    /// Has the daemon read a file; the line for which it refuses it.
    fn read(&mut self, file: &[u8]) -> Option<usize> {
        fs::write(self.machine.path("/etc/aliases"), file).unwrap();
        self.log.seek(SeekFrom::End(0)).unwrap();
        let mut command = self.machine.command("smtpctl update table aliases");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&self.said()).into_owned();
        let refused = said.split_once("invalid map entry line ");
        let refused = refused.map(|(_, rest)| rest.lines().next().unwrap().parse().unwrap());
        assert_eq!(output.status.success(), refused.is_none(), "{said}");
        refused
    }

    /// As [`read`](Self::read), of a file that makemap builds a map of; whether it did.
    fn read_built(&mut self, file: &[u8]) -> bool {
        fs::write(self.machine.path("/etc/aliases"), file).unwrap();
        let line = "makemap -t aliases -o /etc/aliases.db /etc/aliases";
        let built = self.machine.command(line).output().unwrap();
        self.log.seek(SeekFrom::End(0)).unwrap();
        built.status.success() && self.read(file).is_none()
    }

    fn compare(&mut self, file: &[u8]) -> Option<String> {
        let document = Document::parse(file, self.dialect);
        let line = document.refused();
        let (refused, as_we) = match self.dialect {
            Dialect::OpenSmtpdDb => {
                let refused = !self.read_built(file);
                (refused, refused == line.is_some())
            }
            _ => {
                let refused = self.read(file);
                (refused.is_some(), refused == line)
            }
        };
        if !as_we {
            return Some(format!("refused: the daemon {refused}, we {line:?}\n"));
        }
        if refused {
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
    let head = format!("lookup: lookup \\\"{lower}\\\" as ALIAS in table ");
    let rest = said.split_once(&head);
    let (_, rest) = rest.unwrap_or_else(|| panic!("not looked up: {name}: {said}"));
    let rest = rest.split_once(":aliases -> ").unwrap().1;
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

#[test]
fn differential_opensmtpd_reads_generated_files_as_we_do() {
    let machine = Machine::with(&OpenSmtpd { table: "file" }, &[]);
    let mut daemon = Daemon::new(&machine, Dialect::OpenSmtpd);
    let bounds = Bounds::from_environment(40_000, Duration::from_secs(120));
    let outcome = search(bounds, BATCH, |files| {
        files.iter().map(|file| daemon.compare(file)).collect()
    });
    println!("| OpenSMTPD, file: and RCPT: {}", outcome.summary());
    outcome.expect_none();
}

fn check_cases(table: &'static OpenSmtpd, dialect: Dialect, cases: &str) {
    let machine = Machine::with(table, &[]);
    let mut daemon = Daemon::new(&machine, dialect);
    let files = cases::texts(cases);
    let found: Vec<String> = files
        .iter()
        .filter_map(|file| daemon.compare(file))
        .collect();
    println!(
        "| OpenSMTPD, {}: and RCPT: {} files in the recorded cases",
        table.table,
        files.len()
    );
    assert!(found.is_empty(), "{}", found.concat());
}

#[test]
fn differential_opensmtpd_reads_the_recorded_cases_as_they_were_recorded() {
    let cases = include_str!("../../../aliases/tests/grammar/opensmtpd.cases");
    check_cases(&OpenSmtpd { table: "file" }, Dialect::OpenSmtpd, cases);
}

#[test]
fn differential_opensmtpd_reads_the_recorded_cases_of_db_as_they_were_recorded() {
    let cases = include_str!("../../../aliases/tests/grammar/opensmtpd-db.cases");
    check_cases(&OpenSmtpd { table: "db" }, Dialect::OpenSmtpdDb, cases);
}
