//! The machine of the story, and what its admin does there. Each command is told with the time that
//! it took.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::mailman21::{self, PREFIX, Release, data_version, posts};
use crate::numbered::Mail;
use crate::rig::{HOST, Machine, put};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where `init --from` puts what it does not leave in its place.
const FUTURE: &str = "/usr/local/mailman-b";
const DATA: &str = "/usr/local/mailman-data";

pub(super) struct Site {
    pub(super) machine: Machine,
}

impl Site {
    /// One installation, as its admin made it years ago.
    pub(super) fn new(release: &Release, lists: &[String]) -> Site {
        let machine = mailman21::running(release, lists);
        Site { machine }
    }

    /// Runs a command that must succeed, and tells how long it took.
    #[track_caller]
    pub(super) fn expect_timed(&self, line: &str) -> Duration {
        let start = Instant::now();
        self.machine.expect(line);
        let took = start.elapsed();
        println!("| ==== {:5} ms: {line}", took.as_millis());
        took
    }

    /// The root of a tree, by its name.
    pub(super) fn root(tree: &str) -> &'static str {
        if tree == "a" { PREFIX } else { FUTURE }
    }

    /// From one installation to two trees, adopted; nothing is stopped for it.
    pub(super) fn becomes_two_trees(&self) {
        let plan = self
            .machine
            .expect(&format!("mm-parity init --from {PREFIX} --dry-run"));
        assert!(plan.contains(DATA), "{plan}");
        self.expect_timed(&format!("mm-parity init --from {PREFIX}"));
        self.expect_timed("mm-aliases adopt");
        // What it said that the second tree must not share.
        let settings: Vec<&str> = plan
            .lines()
            .map(str::trim)
            .filter(|line| is_setting(line))
            .collect();
        assert!(!settings.is_empty(), "{plan}");
        let text = format!("from Mailman.Defaults import *\n{}\n", settings.join("\n"));
        put(
            &self.path(&format!("{FUTURE}/Mailman/mm_cfg.py")),
            text.as_bytes(),
            0o644,
        );
    }

    /// `make install` would convert all lists. It cannot: that install fails, and no list has changed.
    pub(super) fn refuses_what_converts_lists(&self, release: &Release, lists: &[String]) {
        release.build(&self.path("/"), FUTURE);
        let make = release.make();
        let refused = self
            .machine
            .run(&format!("mm-parity install -- {make} install"));
        // The tree was changed all the same, and is told to be broken.
        assert_eq!(refused.status.code(), Some(3), "{refused:?}");
        assert_eq!(
            self.data_versions(lists),
            BTreeSet::from([98]),
            "lists were converted"
        );
        println!(
            "| ==== make install: refused, and {} lists are as they were",
            lists.len()
        );
    }

    /// The next release, into this tree, and its runners.
    pub(super) fn installs(&self, tree: &str, release: &Release) {
        let root = Site::root(tree);
        release.build(&self.path("/"), root);
        let make = release.make();
        self.expect_timed(&format!("mm-parity install -- {make} doinstall"));
        self.machine.expect(&format!("{root}/bin/mailmanctl start"));
    }

    /// The runners of a tree end once its queues are empty.
    pub(super) fn stops(&self, tree: &str) {
        let root = Site::root(tree);
        self.wait(&format!("for the queues of {tree}"), || {
            self.queued(tree) == 0
        });
        self.machine.expect(&format!("{root}/bin/mailmanctl stop"));
        self.wait(&format!("for the end of the runners of {tree}"), || {
            self.processes(tree).is_empty()
        });
    }

    /// Sends a message that this tree takes, and whose runner does nothing more.
    pub(super) fn hangs_with(&self, tree: &str, number: usize, list: &str) {
        let message = format!("Subject: {number}\nX-Number: {number}\n\nno such user\n");
        let id = self
            .machine
            .send(&format!("{list}-bounces"), message.as_bytes());
        self.machine.wait_until_delivered(&id);
        self.wait("for a runner to take it up", || {
            self.entries(tree, "bounces")
                .iter()
                .any(|name| name.ends_with(".bak"))
        });
    }

    /// Runners that do not end when told to are ended by their admin.
    pub(super) fn kills_what_hangs(&self, tree: &str) {
        self.machine
            .expect(&format!("{}/bin/mailmanctl stop", Site::root(tree)));
        std::thread::sleep(Duration::from_secs(1));
        let hung = self.processes(tree);
        assert!(!hung.is_empty(), "nothing hangs");
        for pid in &hung {
            let status = Command::new("kill").args(["-KILL", pid]).status();
            assert!(status.unwrap().success());
        }
        self.wait("for what was killed", || self.processes(tree).is_empty());
        println!(
            "| ==== {} processes of tree {tree} had to be killed",
            hung.len()
        );
    }

    /// What a broken tree took and has not handled goes to the other one's queue, by hand. Until
    /// then nothing is installed there.
    pub(super) fn rescues(&self, from: &str, to: &str, release: &Release) {
        let install = format!("mm-parity install -- {} doinstall", release.make());
        let refused = self.machine.run(&install);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let [old, new] = [from, to].map(|tree| self.queue(tree, "bounces"));
        let names = self.entries(from, "bounces");
        assert!(!names.is_empty());
        for name in &names {
            let rescued = name.replace(".bak", ".pck");
            fs::rename(old.join(name), new.join(rescued)).unwrap();
        }
        println!(
            "| ==== {} messages went from the queue of {from} to that of {to}",
            names.len()
        );
    }

    /// Waits until the members got this message, by this tree.
    pub(super) fn wait_for_message(&self, number: usize, tree: &str) {
        self.wait(&format!("for message {number}"), || {
            posts(&self.machine).contains_key(&number)
        });
        let got = &posts(&self.machine)[&number];
        assert!(
            got.len() == 1 && got[0].tree == Site::name_of(tree),
            "{got:?}"
        );
    }

    /// Waits until each of these lists has had a post by this tree that was sent from now on.
    pub(super) fn wait_for_mail(&self, mail: &Mail<'_>, tree: &str, lists: &[String]) {
        let begin = mail.sent();
        let name = Site::name_of(tree);
        self.wait(&format!("for posts by {tree} to {lists:?}"), || {
            let posts = posts(&self.machine);
            let fresh: Vec<_> = posts
                .range(begin..super::TAKEN)
                .flat_map(|(_, posts)| posts)
                .collect();
            lists.iter().all(|list| {
                fresh
                    .iter()
                    .any(|post| post.tree == name && post.list == *list)
            })
        });
    }

    /// Waits until a message to this list was deferred after the last one that was not.
    pub(super) fn wait_until_deferred(&self, list: &str) {
        let to = format!("to=<{list}@{HOST}>");
        self.wait(&format!("for a deferral of {list}"), || {
            let log = self.machine.log();
            let last = log.lines().rev().find(|line| line.contains(&to));
            last.is_some_and(|line| line.contains("status=deferred"))
        });
    }

    /// Waits until the members of all lists got all messages that Postfix took.
    pub(super) fn wait_for_members(&self, mail: &Mail<'_>) {
        self.wait("for the members' mail", || {
            let posts = posts(&self.machine);
            mail.accepted()
                .keys()
                .all(|number| posts.contains_key(number))
        });
    }

    /// How a tree's mail to members is called.
    fn name_of(tree: &str) -> String {
        Site::root(tree).trim_start_matches('/').replace('/', "-")
    }

    fn queue(&self, tree: &str, name: &str) -> PathBuf {
        self.path(&format!("{}/qfiles/{name}", Site::root(tree)))
    }

    /// The messages in a queue of a tree.
    fn entries(&self, tree: &str, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.queue(tree, name)).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// How many messages a tree took and has not handled.
    fn queued(&self, tree: &str) -> usize {
        let queues = ["in", "bounces", "commands"];
        queues
            .map(|name| self.entries(tree, name).len())
            .iter()
            .sum()
    }

    /// The processes of this tree, by their numbers out here.
    fn processes(&self, tree: &str) -> Vec<String> {
        let root = self.path("/").join("root");
        let bin = format!("{}/bin/", Site::root(tree));
        let is_one = |process: &Path| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            fs::read_link(process.join("root")).is_ok_and(|at| at == root)
                && String::from_utf8_lossy(&line).contains(&bin)
        };
        let processes = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let found = processes.filter(|process| is_one(process));
        found
            .map(|process| process.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    /// How often each message stands in the lists' archives, which all trees share.
    pub(super) fn archived(&self, lists: &[String]) -> BTreeMap<usize, usize> {
        let mut archived = BTreeMap::new();
        for list in lists {
            let file = self.path(&format!("{DATA}/archives/private/{list}.mbox/{list}.mbox"));
            for line in fs::read_to_string(file).unwrap().lines() {
                if let Some(number) = line.strip_prefix("X-Number: ") {
                    *archived.entry(number.parse().unwrap()).or_default() += 1;
                }
            }
        }
        archived
    }

    /// The versions of these lists' data.
    pub(super) fn data_versions(&self, lists: &[String]) -> BTreeSet<u8> {
        let file = |list| self.path(&format!("{DATA}/lists/{list}/config.pck"));
        lists.iter().map(|list| data_version(&file(list))).collect()
    }

    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.machine.path(inside)
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "waited in vain {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// `NAME = 'VALUE'`.
fn is_setting(line: &str) -> bool {
    line.split_once(" = '").is_some_and(|(name, value)| {
        value.ends_with('\'') && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    })
}
