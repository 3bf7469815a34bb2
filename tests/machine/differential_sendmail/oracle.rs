//! What Sendmail's programs say about aliases files, on a machine of their own.
//!
//! **Invariants**: what they say is taken apart here and judged elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::rig::{Machine, Sendmail};

const DIRECTORY: &str = "/tmp/oracle";

/// As many alias files as one Sendmail builds.
const FILES_A_START: usize = 12;
/// As many aliases as are expanded in one start.
const NAMES_A_START: usize = 400;
/// Values from this length on do not fit into a line of `makemap`, with their names.
const MAKEMAP_TAKES: usize = 1000;

/// Sendmail's words for a line that it passes over.
const SKIPPED: [&str; 5] = [
    "missing colon",
    "illegal alias name",
    "cannot alias non-local names",
    "missing value for alias",
    "alias line too long",
];

/// Its words for an indented line without an entry above.
const BLANK_FIRST: &str = "Non-continuation line starts with space";

/// What Sendmail made of one file.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// What is in the map.
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many lines it said it passes over, but for indented ones.
    pub(super) skipped: usize,
    /// Whether it complained of an indented line.
    pub(super) blank_first: bool,
    /// Whether what it said may be cut: it prints a byte 0x80 as NUL, and then nothing more.
    pub(super) is_mute: bool,
    /// All that it said.
    pub(super) said: String,
}

/// Where a destination goes.
#[derive(Clone)]
pub(super) struct Recipient {
    pub(super) mailer: String,
    pub(super) host: Vec<u8>,
    pub(super) user: Vec<u8>,
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, user) = (self.host.escape_ascii(), self.user.escape_ascii());
        write!(f, "{} {host} {user}", self.mailer)
    }
}

/// Sendmail on a machine of its own.
pub(super) struct Oracle {
    machine: Machine,
    /// [`DIRECTORY`], seen from outside.
    scratch: PathBuf,
    known: HashMap<Vec<u8>, Vec<Recipient>>,
}

impl Oracle {
    pub(super) fn new() -> Self {
        let machine = Machine::with(&Sendmail, &[]);
        let scratch = machine.path(DIRECTORY);
        fs::create_dir(&scratch).unwrap();
        let settings = fs::read_to_string(machine.path("/etc/mail/sendmail.cf")).unwrap();
        // Every local user is there: what is asked is how addresses are read, not who is at home.
        let anyone = settings.replace("F=lsDFMAw5:/|@q", "F=lsDFMA:/|@q");
        assert_ne!(settings, anyone, "the local mailer is not as it was");
        let silent = anyone.replace("O LogLevel=9", "O LogLevel=0");
        assert_ne!(anyone, silent, "the log is not as it was");
        fs::write(scratch.join("cf"), silent).unwrap();
        Self {
            machine,
            scratch,
            known: HashMap::new(),
        }
    }

    /// How many different right sides were asked about.
    pub(super) fn values(&self) -> usize {
        self.known.len()
    }

    /// Builds the map of each file. `is_name` says whether the file of this number is expected to
    /// have an entry of this name: what separates names from values may stand in a name too.
    pub(super) fn build(
        &mut self,
        files: &[Vec<u8>],
        is_name: impl Fn(usize, &[u8]) -> bool,
    ) -> Vec<Built> {
        let mut commands = String::from("rm -f /tmp/oracle/*.db /tmp/oracle/said.*\n");
        for (n, file) in files.iter().enumerate() {
            fs::write(self.scratch.join(n.to_string()), file).unwrap();
        }
        let numbers: Vec<usize> = (0..files.len()).collect();
        for group in numbers.chunks(FILES_A_START) {
            let paths: Vec<String> = group.iter().map(|n| format!("/tmp/oracle/{n}")).collect();
            let (start, paths) = (group[0], paths.join(","));
            writeln!(
                commands,
                "timeout 60 sendmail -C/tmp/oracle/cf -bi -d38.12 -oA{paths} >/tmp/oracle/said.{start} 2>&1"
            )
            .unwrap();
        }
        self.run(&commands);
        let mut built: Vec<Option<Built>> = files.iter().map(|_| None).collect();
        for group in numbers.chunks(FILES_A_START) {
            let said = fs::read(self.scratch.join(format!("said.{}", group[0]))).unwrap();
            hear(&said, &mut built, &is_name);
        }
        let built = built.into_iter().zip(files).map(|(built, file)| Built {
            is_mute: file.contains(&0x80),
            ..built.expect("sendmail did not end")
        });
        built.collect()
    }

    /// Asks where these values lead, unless that is known.
    pub(super) fn expand<'v>(&mut self, values: impl Iterator<Item = &'v Vec<u8>>) {
        let mut new: Vec<Vec<u8>> = Vec::new();
        for value in values {
            if !self.known.contains_key(value) {
                self.known.insert(value.clone(), Vec::new());
                new.push(value.clone());
            }
        }
        for group in new.chunks(NAMES_A_START) {
            let mut names = String::new();
            let mut short = b"@ @\n".to_vec();
            let mut long = Vec::new();
            for (n, value) in group.iter().enumerate() {
                write!(names, " q{n}").unwrap();
                match value.len() {
                    ..MAKEMAP_TAKES => {
                        short.extend([format!("q{n} ").as_bytes(), value, b"\n"].concat())
                    }
                    _ => long.extend([format!("q{n}:").as_bytes(), value, b"\n\n"].concat()),
                }
            }
            fs::write(self.scratch.join("values"), short).unwrap();
            fs::write(self.scratch.join("long"), long).unwrap();
            self.run(&format!(
                "rm -f asked asked.db long.db; : >asked; makemap -C/tmp/oracle/cf hash asked <values\n\
                 sendmail -C/tmp/oracle/cf -bi -oA/tmp/oracle/long >/dev/null 2>&1\n\
                 timeout 60 sendmail -C/tmp/oracle/cf -bv -d26.1 -oA/tmp/oracle/asked,/tmp/oracle/long{names} >told 2>&1\n"
            ));
            let told = fs::read(self.scratch.join("told")).unwrap();
            let mut found = recipients(&told, group.len());
            for value in group.iter().rev() {
                self.known.insert(value.clone(), found.pop().unwrap());
            }
        }
    }

    pub(super) fn recipients(&self, value: &[u8]) -> &[Recipient] {
        &self.known[value]
    }

    /// Runs commands on the machine.
    fn run(&mut self, commands: &str) {
        let head = format!("PATH=/usr/libexec/sendmail:$PATH; cd {DIRECTORY} || exit 1\n");
        fs::write(self.scratch.join("commands"), head + commands).unwrap();
        let line = format!("sh {DIRECTORY}/commands");
        let output = self.machine.command(&line).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// What Sendmail said while building. A line of its own names the file first; what it stores
/// stands between, and the last line about a file counts its aliases.
fn hear(said: &[u8], built: &mut [Option<Built>], is_name: &impl Fn(usize, &[u8]) -> bool) {
    let mut stored: Vec<&[u8]> = Vec::new();
    let mut one = Built::default();
    for line in said.split(|byte| *byte == b'\n') {
        if line.starts_with(b"db_map_store(") {
            let rest = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap();
            stored.push(rest.strip_suffix(b")").unwrap());
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let rest = line
            .strip_prefix("/tmp/oracle/")
            .and_then(|rest| rest.split_once(": "));
        let Some((number, text)) = rest else { continue };
        one.blank_first |= text.ends_with(BLANK_FIRST);
        one.skipped += usize::from(SKIPPED.iter().any(|words| text.ends_with(words)));
        writeln!(one.said, "  sendmail said: {}", text.escape_debug()).unwrap();
        if text.contains(" aliases, longest ") {
            let n: usize = number.parse().unwrap();
            let pairs = stored
                .drain(..)
                .map(|pair| pair_of(pair, |name| is_name(n, name)));
            one.entries = pairs.filter(|(name, _)| name != b"@").collect();
            built[n] = Some(std::mem::take(&mut one));
        }
    }
}

/// A name and its value, with `, ` between them.
fn pair_of(pair: &[u8], is_name: impl Fn(&[u8]) -> bool) -> (Vec<u8>, Vec<u8>) {
    let ends = |at: &usize| pair[*at..].starts_with(b", ");
    let ends: Vec<usize> = (0..pair.len()).filter(ends).collect();
    let known = ends.iter().find(|at| is_name(&pair[..**at]));
    let at = *known.or(ends.first()).expect("a name and a value");
    (pair[..at].to_vec(), pair[at + 2..].to_vec())
}

/// The recipients of each alias, in the order of the file, from what `-d26.1` told.
fn recipients(told: &[u8], count: usize) -> Vec<Vec<Recipient>> {
    let mut found = vec![Vec::new(); count];
    let mut asked = None;
    let mut is_one = false;
    let mut last: Option<Recipient> = None;
    for line in told.split(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"recipient (") {
            is_one = rest.starts_with(b"1)");
            last = None;
            if rest.starts_with(b"0)") {
                let name = rest.rsplit(|byte| *byte == b'=').next().unwrap();
                let name = String::from_utf8_lossy(name);
                asked = name.trim_matches(&['q', ':'][..]).parse::<usize>().ok();
            }
        } else if let Some(rest) = line.strip_prefix(b"\tmailer ").filter(|_| is_one) {
            let text = String::from_utf8_lossy(rest);
            let mailer = text.split(['(', ')']).nth(1).unwrap().to_owned();
            last = Some(Recipient {
                mailer,
                host: between(rest, b"host `", b"'"),
                user: Vec::new(),
            });
        } else if line.starts_with(b"\tuser `") {
            if let Some(last) = &mut last {
                last.user = between(line, b"\tuser `", b"', ruser `");
            }
        } else if let Some(rest) = line.strip_prefix(b"\tstate=") {
            // The user of `<>` is nobody.
            let is_nobody = |one: &Recipient| one.mailer == "local" && one.user.is_empty();
            let one = last.take();
            let one = one.filter(|one| one.mailer != "*error*" && !is_nobody(one));
            if let (Some(one), Some(n), false) = (one, asked, rest.starts_with(b"BADADDR")) {
                found[n].insert(0, one);
            }
            is_one = false;
        }
    }
    found
}

fn between(line: &[u8], start: &[u8], end: &[u8]) -> Vec<u8> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|part| part == what);
    let from = find(line, start).unwrap() + start.len();
    let to = find(&line[from..], end).map_or(line.len(), |to| from + to);
    line[from..to].to_vec()
}
