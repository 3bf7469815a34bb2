//! Readers of an MTA's aliases that ask without a pause while something else happens.
//!
//! One asks the running daemon, one asks by a new process for each name. Beside each, a third
//! and a fourth ask for nothing all the time (a message begun and taken back; the same tool,
//! started and ended at once): how long that took at most tells what of a wait was the
//! machine's, and not the look-up's.
//! They run by themselves, since a machine that stands still for a second does so while a
//! look-up is under way far more often than between two of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::rig::{Answer, HOST, Machine};

/// Look-ups in one connection; MTAs count what comes in one.
const IN_ONE_CONNECTION: usize = 10;
/// Failures that are kept; the first ones say enough.
const MOST_FAILURES: usize = 5;
/// Between two times that nothing is asked for.
const PAUSE: Duration = Duration::from_millis(20);

/// What one reader has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) asked: usize,
    /// How many look-ups did not find their name.
    pub(crate) failed: usize,
    /// What was said to the first of those.
    pub(crate) failures: Vec<String>,
    pub(crate) longest: Duration,
    /// How long the same took at most without a look-up.
    pub(crate) longest_nothing: Duration,
}

/// Readers at work.
pub(crate) struct Readers {
    done: AtomicBool,
    seen: [Mutex<Seen>; 2],
}

impl Readers {
    /// Asks for `names`, in no order, as long as `act` goes on; returns what each reader saw.
    pub(crate) fn run(
        machine: &Machine,
        names: &[String],
        act: impl FnOnce(&Readers),
    ) -> Vec<Seen> {
        let readers = Readers {
            done: AtomicBool::new(false),
            seen: ["RCPT", "new processes"].map(|name| {
                Mutex::new(Seen {
                    name,
                    ..Seen::default()
                })
            }),
        };
        std::thread::scope(|scope| {
            // Ends the readers also when `act` fails.
            let _end = OnDrop(&readers.done);
            scope.spawn(|| readers.by_connection(machine, names));
            scope.spawn(|| readers.begin_messages(machine));
            if let Some(idle) = machine.agent.idle_tool() {
                scope.spawn(|| readers.by_process(machine, names));
                scope.spawn(|| {
                    readers.nothing(1, || drop(machine.command(idle).output().unwrap()));
                });
            }
            readers.wait_for_all(machine);
            act(&readers);
        });
        let seen = readers.seen.map(|seen| seen.into_inner().unwrap());
        let asked = |reader: &Seen| reader.asked > 0 || machine.agent.idle_tool().is_some();
        seen.into_iter().filter(asked).collect()
    }

    /// What was asked up to now, in words.
    pub(crate) fn so_far(&self) -> String {
        let words = self.seen.iter().map(|seen| {
            let seen = seen.lock().unwrap();
            let longest = seen.longest.as_millis();
            format!("{} by {}, longest {longest} ms", seen.asked, seen.name)
        });
        words.collect::<Vec<_>>().join("; ")
    }

    fn wait_for_all(&self, machine: &Machine) {
        let of = if machine.agent.idle_tool().is_some() {
            2
        } else {
            1
        };
        let start = Instant::now();
        while self.seen[..of]
            .iter()
            .any(|seen| seen.lock().unwrap().asked < 5)
        {
            assert!(start.elapsed() < Duration::from_secs(60), "nobody asks");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn by_connection(&self, machine: &Machine, names: &[String]) {
        let mut names = InNoOrder::new(names);
        while !self.is_done() {
            let mut client = machine.connect();
            for _ in 0..IN_ONE_CONNECTION {
                let name = names.next();
                self.ask(0, name, || match client.ask(&format!("{name}@{HOST}")) {
                    Ok(reply) if reply.code == 250 => Answer::Found(reply.text),
                    Ok(reply) => Answer::Missing(format!("{} {}", reply.code, reply.text)),
                    Err(error) => Answer::Trouble(error.to_string()),
                });
            }
        }
    }

    fn by_process(&self, machine: &Machine, names: &[String]) {
        let mut names = InNoOrder::new(names);
        while !self.is_done() {
            let name = names.next();
            self.ask(1, name, || machine.look_up(name));
        }
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// Asks the daemon for nothing: all that it does for a look-up, its files on the disk
    /// and its log included, but for the look-up.
    fn begin_messages(&self, machine: &Machine) {
        self.nothing(0, || {
            if let Err(error) = machine.connect().begin() {
                println!("| asked for nothing: {error}");
            }
        });
    }

    /// Asks for nothing, until all is done.
    fn nothing(&self, reader: usize, act: impl Fn()) {
        while !self.is_done() {
            let start = Instant::now();
            act();
            std::thread::sleep(PAUSE);
            // A machine that stands still while this one sleeps has stood still, too.
            let waited = start.elapsed().saturating_sub(PAUSE);
            let mut seen = self.seen[reader].lock().unwrap();
            seen.longest_nothing = seen.longest_nothing.max(waited);
        }
    }

    fn ask(&self, reader: usize, name: &str, ask: impl FnOnce() -> Answer) {
        let start = Instant::now();
        let answer = ask();
        let waited = start.elapsed();
        let mut seen = self.seen[reader].lock().unwrap();
        seen.asked += 1;
        seen.longest = seen.longest.max(waited);
        if matches!(answer, Answer::Found(_)) {
            return;
        }
        seen.failed += 1;
        if seen.failures.len() < MOST_FAILURES {
            println!("| {name}: {answer:?}");
            seen.failures.push(format!("{name}: {answer:?}"));
        }
    }
}

/// Names over and over, each time another one.
struct InNoOrder<'a> {
    names: &'a [String],
    state: u64,
}

impl<'a> InNoOrder<'a> {
    fn new(names: &'a [String]) -> InNoOrder<'a> {
        InNoOrder {
            names,
            state: 0x2545_f491_4f6c_dd1d,
        }
    }

    fn next(&mut self) -> &'a str {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let index = self.state % self.names.len() as u64;
        &self.names[usize::try_from(index).unwrap()]
    }
}

/// Says "done" when it is dropped, also by a panic.
pub(crate) struct OnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
