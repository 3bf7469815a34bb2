//! What each MTA makes of every way in which a tree's program can end: piped to directly,
//! through mm-deliver, and guarded.
//!
//! One message an end; many at a time. A program that stops itself is where its message stays,
//! until mm-guard ends it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::{Agent, Event, Exim, HOST, Machine, OpenSmtpd, Postfix, Sendmail, sender, source};

/// How long the programs that do end may take.
const PATIENCE: Duration = Duration::from_secs(240);
/// Signals that stop a program: one that nobody ends stays.
const STOPS: RangeInclusive<u8> = 19..=22;

const SITE: &str = "/etc/mm-deliver/site.toml";

/// How the tree's program ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Status(u8),
    Signal(u8),
}

impl End {
    fn all() -> impl Iterator<Item = End> {
        // 32 and 33 belong to the C library.
        let signals = (1..=31).chain(34..=64);
        (0..=255).map(End::Status).chain(signals.map(End::Signal))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Status(status) => write!(f, "s{status}"),
            End::Signal(signal) => write!(f, "k{signal}"),
        }
    }
}

/// What became of the message: D delivered, T deferred, B bounced, H still with the program.
type Row = BTreeMap<End, char>;

/// A machine whose tree `tree` has the program that ends as the message asks.
fn put_program(machine: &Machine, tree: &str) {
    let status = Command::new("gcc")
        .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
        .arg(machine.path(&format!("/srv/mailman/{tree}/mail/mailman")))
        .arg(source("ends.c"))
        .status();
    assert!(status.unwrap().success(), "gcc failed");
}

/// Sends one message for each end and waits for what becomes of it.
fn measure(machine: &Machine, facts: &dyn Fn(End) -> char) -> Row {
    // Who stays comes last: OpenSMTPD runs seven programs at a time.
    let (stay, mut ends): (Vec<End>, Vec<End>) = End::all().partition(|&end| facts(end) == 'H');
    ends.extend(stay);
    let mut client = machine.connect();
    let mut waiting = BTreeMap::new();
    let to = format!("toylist@{HOST}");
    for (count, end) in ends.into_iter().enumerate() {
        // Some MTAs think ill of a client that stays.
        if count % 50 == 49 {
            client = machine.connect();
        }
        let from = sender();
        let message = format!(
            "From: {from}\nTo: {to}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
             Message-ID: <{end}@client.example>\nSubject: {end}\nX-Ends: {end}\n\nhello\n"
        );
        let reply = client.send(&from, &to, message.as_bytes()).unwrap();
        waiting.insert(end, machine.agent.queue_id(&reply).unwrap());
    }
    settle(machine, waiting, facts)
}

/// Waits until the log has told of each message, but of those whose program stays.
fn settle(
    machine: &Machine,
    mut waiting: BTreeMap<End, String>,
    facts: &dyn Fn(End) -> char,
) -> Row {
    let start = Instant::now();
    let mut row = Row::new();
    loop {
        let log = machine.log();
        waiting.retain(|&end, id| {
            let told = log.lines().find_map(|line| machine.agent.event(line, id));
            let Some(event) = told else { return true };
            row.insert(end, letter(&event));
            false
        });
        if waiting.keys().all(|&end| facts(end) == 'H') {
            break;
        }
        if start.elapsed() > PATIENCE {
            let left: Vec<String> = waiting.keys().map(End::to_string).collect();
            panic!("no word of {left:?} in the log");
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    row.extend(waiting.into_keys().map(|end| (end, 'H')));
    row
}

/// What is known of an MTA: which statuses it defers, every other but 0 being a bounce; and
/// what signals do to a program as it starts it.
struct Facts {
    deferred: &'static [u8],
    /// What becomes of a message whose program a signal killed.
    killed: char,
    /// Signals that a program is started with ignored.
    ignored: &'static [u8],
    /// Signals that stop a program. In a session without a terminal SIGTSTP, SIGTTIN and
    /// SIGTTOU do so only to who shares the MTA's.
    stops: RangeInclusive<u8>,
}

impl Facts {
    fn of(&self, end: End) -> char {
        match end {
            End::Status(0) => 'D',
            End::Status(status) if self.deferred.contains(&status) => 'T',
            End::Status(_) => 'B',
            End::Signal(signal) if self.stops.contains(&signal) => 'H',
            End::Signal(signal) if STOPS.contains(&signal) || self.ignored.contains(&signal) => 'D',
            // CHLD, CONT, URG and WINCH do nothing to who has not asked for them.
            End::Signal(17 | 18 | 23 | 28) => 'D',
            End::Signal(_) => self.killed,
        }
    }
}

fn letter(event: &Event) -> char {
    match event {
        Event::Delivered(_) => 'D',
        Event::Deferred => 'T',
        Event::Bounced => 'B',
    }
}

fn print(what: &str, row: &Row) {
    for kind in ['s', 'k'] {
        let mut runs: Vec<(char, u8, u8)> = Vec::new();
        for (end, &letter) in row {
            let number = match (end, kind) {
                (End::Status(number), 's') | (End::Signal(number), 'k') => *number,
                _ => continue,
            };
            match runs.last_mut() {
                Some((last, _, to)) if *last == letter && *to + 1 == number => *to = number,
                _ => runs.push((letter, number, number)),
            }
        }
        let runs = runs.iter().map(|(letter, from, to)| match from == to {
            true => format!("{letter} {from}"),
            false => format!("{letter} {from}-{to}"),
        });
        let kind = if kind == 's' { "status" } else { "signal" };
        println!("| {what}, {kind}: {}", runs.collect::<Vec<_>>().join(", "));
    }
}

/// The same under mm-guard, which starts a program in the MTA's process group and with no signal
/// ignored, unless that is SIGXFSZ; where the program stops, it ends it at the deadline.
fn guarded(facts: &Facts, end: End) -> char {
    match end {
        End::Status(0) | End::Signal(17 | 18 | 23 | 28) => 'D',
        End::Signal(25) if facts.ignored.contains(&25) => 'D',
        End::Signal(signal @ 20..=22) if !facts.stops.contains(&signal) => 'D',
        _ => 'T',
    }
}

/// Measures, prints and compares one row.
#[track_caller]
fn check(machine: &Machine, how: &str, facts: &dyn Fn(End) -> char) {
    let row = measure(machine, facts);
    let what = format!("{}, {how}", machine.agent.name());
    print(&what, &row);
    let wrong = row.iter().filter(|(end, letter)| facts(**end) != **letter);
    let wrong: Vec<String> = wrong
        .map(|(end, letter)| format!("{end}: {letter}, not {}", facts(*end)))
        .collect();
    assert!(wrong.is_empty(), "{what}: {}", wrong.join("; "));
}

/// The table of one MTA.
fn table(agent: &'static dyn Agent, facts: &Facts) {
    println!("| ==== {agent:?}");
    let machine = Machine::with(agent, &["toylist"]);
    put_program(&machine, "a");
    check(&machine, "direct", &|end| facts.of(end));
    drop(machine);

    let machine = Machine::with(agent, &["toylist"]);
    put_program(&machine, "a");
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    check(&machine, "unguarded", &|end| facts.of(end));
    drop(machine);

    let machine = Machine::with(agent, &["toylist"]);
    put_program(&machine, "b");
    let site = machine.path(SITE);
    let text = fs::read_to_string(&site).unwrap();
    let text = text.replace("[deliver]", "[deliver]\ndeadline = \"20s\"");
    fs::write(&site, text).unwrap();
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-parity upgrade toylist");
    check(&machine, "guarded", &|end| guarded(facts, end));
    machine.expect_no_bounce();
}

#[test]
fn statuses_of_programs_in_postfix() {
    let facts = Facts {
        deferred: &[71, 75],
        killed: 'T',
        // SIGPIPE and SIGXFSZ.
        ignored: &[13, 25],
        stops: 19..=19,
    };
    table(&Postfix { kind: "hash" }, &facts);
}

#[test]
fn statuses_of_programs_in_sendmail() {
    let facts = Facts {
        deferred: &[71, 74, 75],
        killed: 'B',
        // SIGHUP, SIGINT, SIGQUIT and SIGPIPE.
        ignored: &[1, 2, 3, 13],
        stops: 19..=19,
    };
    table(&Sendmail, &facts);
}

#[test]
fn statuses_of_programs_in_exim() {
    let facts = Facts {
        deferred: &[73, 75],
        killed: 'B',
        // SIGHUP, SIGINT, SIGUSR1 and SIGTERM.
        ignored: &[1, 2, 10, 15],
        stops: 19..=22,
    };
    table(&Exim, &facts);
}

#[test]
fn statuses_of_programs_in_opensmtpd() {
    let facts = Facts {
        deferred: &[71, 75],
        killed: 'B',
        ignored: &[],
        stops: 19..=19,
    };
    table(&OpenSmtpd { table: "file" }, &facts);
}
