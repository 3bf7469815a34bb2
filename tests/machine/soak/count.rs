//! The trees' own files, counted: what is lost, doubled, bounced or stale.

use std::collections::BTreeMap;
use std::fs;

use super::admin::Admin;
use super::stage::on_disk;
use super::stays::Stays;
use crate::numbered::Mail;
use crate::rig::Machine;

/// As long as `program.c` writes them.
const RECORD: usize = 64;

/// A message as a tree took it.
#[derive(Debug)]
struct Record {
    tree: &'static str,
    number: usize,
    list: String,
    started: u64,
    written: u64,
}

/// What was counted, and the first of what should not be.
#[derive(Debug, Default)]
pub(super) struct Found {
    by_tree: BTreeMap<&'static str, usize>,
    lost: Vec<String>,
    doubled: Vec<String>,
    stale: Vec<String>,
    /// Taken by the program of another list than it was sent to.
    astray: Vec<String>,
    bounced: usize,
    /// Records whose list was for sure on one tree.
    judged: usize,
}

/// Counts. `accepted` is the list of each message that Postfix took, by number.
pub(super) fn recount(
    machine: &Machine,
    accepted: &BTreeMap<usize, String>,
    stays: &Stays,
) -> Found {
    let mut found = Found {
        bounced: machine.count_log(machine.agent.bounce()),
        ..Found::default()
    };
    let mut records = BTreeMap::<usize, Vec<Record>>::new();
    for tree in ["a", "b"] {
        let bytes = fs::read(on_disk(machine, &format!("{tree}/handled"))).unwrap();
        assert_eq!(bytes.len() % RECORD, 0, "half a record in tree {tree}");
        for record in bytes.chunks(RECORD) {
            let record = read(tree, record);
            *found.by_tree.entry(tree).or_default() += 1;
            records.entry(record.number).or_default().push(record);
        }
    }
    for (number, list) in accepted {
        match records.get(number) {
            None => found.lost.push(format!("message {number} to {list}")),
            Some(taken) if taken[0].list != *list => found.astray.push(format!("{taken:?}")),
            Some(_) => {}
        }
    }
    for taken in records.values() {
        if taken.len() > 1 {
            found.doubled.push(format!("{taken:?}"));
        }
    }
    for record in records.values().flatten() {
        let Some((tree, since)) = stays.at(&record.list, record.written) else {
            continue;
        };
        found.judged += 1;
        if tree != record.tree {
            let late = (record.written - since) / 1_000;
            let age = record.written.saturating_sub(record.started) / 1_000;
            found.stale.push(format!(
                "{record:?}: {late} us after it was on {tree} for sure, begun {age} us before"
            ));
        }
    }
    found
}

fn read(tree: &'static str, record: &[u8]) -> Record {
    let text = std::str::from_utf8(record).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [number, list, started, written] = words[..] else {
        panic!("not a record: {text:?}");
    };
    Record {
        tree,
        number: number.parse().unwrap(),
        list: list.to_owned(),
        started: started.parse().unwrap(),
        written: written.parse().unwrap(),
    }
}

impl Found {
    pub(super) fn print(&self, mail: &Mail<'_>, admin: &Admin<'_>) {
        println!(
            "| messages {} (refused at SMTP {}), in trees {:?}, of which {} while their list was for sure on one",
            mail.sent(),
            mail.refused(),
            self.by_tree,
            self.judged
        );
        println!(
            "| moves {}, pauses {}, kills {}, lost {}, doubled {}, bounced {}, stale {}, astray {}",
            admin.moves,
            admin.pauses,
            admin.kills,
            self.lost.len(),
            self.doubled.len(),
            self.bounced,
            self.stale.len(),
            self.astray.len()
        );
        for (what, which) in [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("stale", &self.stale),
            ("astray", &self.astray),
        ] {
            for one in which.iter().take(20) {
                println!("| {what}: {one}");
            }
        }
    }

    #[track_caller]
    pub(super) fn expect_nothing_wrong(&self) {
        let wrong = [&self.lost, &self.doubled, &self.stale, &self.astray];
        let wrong = wrong.map(Vec::len);
        assert_eq!(
            (wrong, self.bounced),
            ([0; 4], 0),
            "lost, doubled, stale, astray; bounced"
        );
    }
}
