//! What the admin does, at random: lists move, are paused and resumed, a commit is made and
//! taken back; one command in four is killed in the midst of it.
//!
//! What is asserted here: a command that says 1 has changed nothing, and none says anything
//! but 0, 1 or 3.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::stage::on_disk;
use super::stays::{Stays, now};
use crate::random::Random;
use crate::rig::Machine;

/// How long those inside are waited for: when lists go ahead, and when they go back.
const PATIENCE: [(usize, (&str, &str)); 3] = [
    (5, (" --closed 1s", " --drain 1s")),
    (2, (" --closed 4s", " --drain 4s")),
    (1, (" --closed 0s", " --now")),
];

/// The admin, and what was done so far.
pub(super) struct Admin<'a> {
    machine: &'a Machine,
    lists: &'a [String],
    stays: Stays,
    /// Upgrades, downgrades, commits and undos that changed something and ended by themselves.
    pub(super) moves: usize,
    /// The same of pause and resume.
    pub(super) pauses: usize,
    /// Commands that SIGKILL ended.
    pub(super) kills: usize,
    /// How often each command ended in each way.
    ends: BTreeMap<(String, String), usize>,
    /// How long a command takes.
    typical: Duration,
}

/// What parity.toml says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Roles {
    generation: i64,
    current: String,
    state: String,
    on_future: BTreeSet<String>,
    paused: BTreeSet<String>,
}

/// How a command ended.
struct End {
    status: ExitStatus,
    said: String,
}

impl<'a> Admin<'a> {
    pub(super) fn new(machine: &'a Machine, lists: &'a [String]) -> Admin<'a> {
        let mut stays = Stays::default();
        for list in lists {
            stays.begin(list, "a", now());
        }
        Admin {
            machine,
            lists,
            stays,
            moves: 0,
            pauses: 0,
            kills: 0,
            ends: BTreeMap::new(),
            typical: Duration::from_millis(20),
        }
    }

    pub(super) fn stays(&self) -> &Stays {
        &self.stays
    }

    /// One command.
    pub(super) fn act(&mut self, random: &mut Random) {
        let mut line = self.choose(&self.roles(), random);
        let (ahead, back) = random.pick(&PATIENCE);
        match word(&line) {
            "upgrade" => line += ahead,
            "downgrade" => line += back,
            "undo" => line = [&line, ahead, back].concat(),
            _ if line.starts_with("commit --all") => line += ahead,
            _ => {}
        }
        let kill = random
            .percent(25)
            .then(|| self.typical.mul_f64(1.2 * random.part()));
        self.command(&line, kill);
        // Mail comes all the while.
        std::thread::sleep(Duration::from_millis(random.below(120) as u64));
    }

    /// Lets all mail through, once nothing else is done any more.
    pub(super) fn resume_all(&mut self) {
        let paused = self.roles().paused;
        if !paused.is_empty() {
            let names: Vec<String> = paused.into_iter().collect();
            self.command(&format!("resume {}", names.join(" ")), None);
        }
        assert!(self.roles().paused.is_empty(), "lists are still paused");
    }

    pub(super) fn print(&self) {
        for ((act, end), count) in &self.ends {
            println!("| {act}: {end}: {count}");
        }
    }

    fn choose(&self, roles: &Roles, random: &mut Random) -> String {
        let is_future = |list: &&String| roles.on_future.contains(*list);
        let (future, current): (Vec<&String>, Vec<&String>) =
            self.lists.iter().partition(is_future);
        let paused: Vec<&String> = roles.paused.iter().collect();
        let all: Vec<&String> = self.lists.iter().collect();
        let few = |among: &[&String], random: &mut Random| {
            let among = if among.is_empty() { &all } else { among };
            let count = 1 + random.below(3);
            let names: Vec<&str> = (0..count)
                .map(|_| among[random.below(among.len())].as_str())
                .collect();
            names.join(" ")
        };
        // A commit's old tree takes no list: the way is back.
        let acts: &[(usize, &str)] = match roles.state.as_str() {
            "ready" => &[
                (26, "upgrade"),
                (22, "downgrade"),
                (6, "upgrade glob"),
                (6, "downgrade glob"),
                (6, "upgrade --all"),
                (6, "downgrade --all"),
                (6, "pause"),
                (8, "resume"),
                (2, "commit --all"),
                (4, "commit --all --force"),
                (9, "undo"),
            ],
            _ => &[
                (40, "commit --revert"),
                (30, "undo"),
                (10, "pause"),
                (20, "resume"),
            ],
        };
        match random.pick(acts) {
            "upgrade" => format!("upgrade {}", few(&current, random)),
            "downgrade" => format!("downgrade {}", few(&future, random)),
            "upgrade glob" => format!("upgrade list*{}", random.below(10)),
            "downgrade glob" => format!("downgrade list*{}", random.below(10)),
            "pause" => format!("pause {}", few(&all, random)),
            "resume" => format!("resume {}", few(&paused, random)),
            act => act.to_owned(),
        }
    }

    fn command(&mut self, line: &str, kill: Option<Duration>) {
        let before = self.roles();
        let begun = now();
        let start = Instant::now();
        let end = self.run(line, kill);
        let returned = now();
        let time = start.elapsed();
        let after = self.roles();
        let how = match (end.status.code(), end.status.signal()) {
            (Some(status @ (0 | 1 | 3)), _) => status.to_string(),
            (_, Some(9)) if kill.is_some() => "killed".to_owned(),
            _ => panic!("{line}: {}: {}", end.status, end.said),
        };
        println!(
            "  {line}: {how}, {} ms, generation {}",
            time.as_millis(),
            after.generation
        );
        if how != "0" {
            println!("    {}", end.said.trim_end().replace('\n', "\n    "));
        }
        // `commit --all` is two changes, of which the first may have been made.
        let kept = how != "1" || line.starts_with("commit --all") || before.same(&after);
        assert!(kept, "{line}: it said 1, and {before:?} became {after:?}");
        match how.as_str() {
            "killed" => self.kills += 1,
            "1" => {}
            _ if before.same(&after) => {}
            _ if ["pause", "resume"].contains(&word(line)) => self.pauses += 1,
            _ => self.moves += 1,
        }
        let word = word(line).to_owned();
        *self.ends.entry((word, how)).or_default() += 1;
        // Who goes back waits, and no longer than it was told: it names whom it leaves inside.
        let left = end.status.code().is_none() || end.said.contains("left running");
        let left = left || line.contains("--now");
        self.note(&before, &after, (begun, returned), left);
    }

    /// Notes which lists have moved. Where a list that went back may have `left` something
    /// inside, nothing is sure until it moves again.
    fn note(&mut self, before: &Roles, after: &Roles, times: (u64, u64), left: bool) {
        for list in self.lists {
            let tree = after.tree(list);
            if before.tree(list) == tree {
                continue;
            }
            self.stays.end(list, times.0);
            if after.on_future.contains(list) || !left {
                self.stays.begin(list, tree, times.1);
            }
        }
    }

    fn run(&mut self, line: &str, kill: Option<Duration>) -> End {
        let mut child = self
            .machine
            .command(&format!("mm-parity {line}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let id = wait_for_program(&mut child);
        let start = Instant::now();
        if let (Some(delay), Some(id)) = (kill, id) {
            std::thread::sleep(delay);
            if child.try_wait().unwrap().is_none() {
                let _ = Command::new("kill").arg("-KILL").arg(&id).output();
            }
        }
        let mut said = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let status = child.wait().unwrap();
        if kill.is_none() && start.elapsed() < Duration::from_secs(1) {
            self.typical = (self.typical * 7 + start.elapsed()) / 8;
        }
        End { status, said }
    }

    fn roles(&self) -> Roles {
        let path = on_disk(self.machine, "state/parity.toml");
        let text = fs::read_to_string(path).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let word = |value: &toml::Value| value.as_str().unwrap().to_owned();
        let rows = |name: &str| table[name].as_array().unwrap().iter();
        Roles {
            generation: table["generation"].as_integer().unwrap(),
            current: word(&table["current"]),
            state: word(&table["future_tree"]["state"]),
            on_future: rows("on_future").map(word).collect(),
            paused: rows("paused").map(|row| word(&row[0])).collect(),
        }
    }
}

impl Roles {
    fn tree(&self, list: &str) -> &'static str {
        match (self.current == "a", self.on_future.contains(list)) {
            (true, false) | (false, true) => "a",
            _ => "b",
        }
    }

    /// Whether nobody would see a difference; a hand edit that is taken in counts as one change.
    fn same(&self, other: &Roles) -> bool {
        let generation = other.generation;
        let other = Roles {
            generation: self.generation,
            ..other.clone()
        };
        *self == other && generation >= self.generation
    }
}

/// The act of a command line.
fn word(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

/// Waits until mm-parity itself runs below nsenter; returns its id, or nothing if it was done
/// before that was seen.
fn wait_for_program(child: &mut Child) -> Option<String> {
    let id = child.id();
    loop {
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let program = children.unwrap_or_default().trim().to_owned();
        let name = fs::read_to_string(format!("/proc/{program}/comm")).unwrap_or_default();
        if name == "mm-parity\n" {
            return Some(program);
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
