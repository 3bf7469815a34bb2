//! Every numbered message, counted: which the members got once, twice, not, or by another list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::mailman21::posts;
use crate::numbered::Mail;
use crate::rig::Machine;

/// Messages a second, all senders together.
const RATE: usize = 8;

/// Lets the senders send, so many a second.
pub(super) fn keep_allowing(mail: &Mail<'_>) {
    let rate = match std::env::var("MM_PLAY_MESSAGES") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("MM_PLAY_MESSAGES: {text:?}")),
        Err(_) => RATE,
    };
    let start = Instant::now();
    while !mail.done.load(Ordering::Relaxed) {
        mail.allow(usize::try_from(start.elapsed().as_millis()).unwrap() * rate / 1000);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Account {
    sent: usize,
    refused: usize,
    /// Posts that the members got, by tree and release.
    by: BTreeMap<(String, String), usize>,
    /// Messages of which Postfix said at least once that they wait.
    deferred: usize,
    bounced: usize,
    lost: Vec<String>,
    doubled: Vec<String>,
    /// By another list than they were sent to.
    astray: Vec<String>,
    /// Not once in an archive.
    archives: Vec<String>,
}

impl Account {
    /// `archived` says how often each message stands in an archive.
    pub(super) fn of(
        machine: &Machine,
        mail: &Mail<'_>,
        archived: &BTreeMap<usize, usize>,
    ) -> Account {
        let accepted = mail.accepted();
        let log = machine.log();
        let deferred: BTreeSet<&str> = log
            .lines()
            .filter(|line| line.contains("status=deferred"))
            .filter_map(|line| line.split(": to=").next()?.rsplit(' ').next())
            .collect();
        let mut account = Account {
            sent: accepted.len(),
            refused: mail.refused(),
            deferred: deferred.len(),
            bounced: machine.count_log(machine.agent.bounce()),
            ..Account::default()
        };
        let posts = posts(machine);
        for (number, list) in &accepted {
            match posts.get(number) {
                None => account.lost.push(format!("message {number} to {list}")),
                Some(got) if got.iter().any(|post| post.list != *list) => {
                    account
                        .astray
                        .push(format!("message {number} to {list}: {got:?}"));
                }
                Some(_) => {}
            }
            if archived.get(number) != Some(&1) {
                let times = archived.get(number).unwrap_or(&0);
                account
                    .archives
                    .push(format!("message {number} to {list}: {times} times"));
            }
        }
        for (number, got) in posts {
            if got.len() > 1 {
                account.doubled.push(format!("message {number}: {got:?}"));
            }
            for post in got {
                *account.by.entry((post.tree, post.release)).or_default() += 1;
            }
        }
        account
    }

    pub(super) fn print(&self) {
        for ((tree, release), count) in &self.by {
            println!("| ==== {count} messages by release {release} in {tree}");
        }
        println!(
            "| ==== sent {} (refused at SMTP {}), deferred for a while {}, lost {}, doubled {}, astray {}, not once in the archives {}, bounced {}",
            self.sent,
            self.refused,
            self.deferred,
            self.lost.len(),
            self.doubled.len(),
            self.astray.len(),
            self.archives.len(),
            self.bounced
        );
        let wrong = [&self.lost, &self.doubled, &self.astray, &self.archives];
        let names = ["lost", "doubled", "astray", "archived"];
        for (what, which) in names.into_iter().zip(wrong) {
            for one in which.iter().take(20) {
                println!("| {what}: {one}");
            }
        }
    }

    #[track_caller]
    pub(super) fn expect_nothing_wrong(&self) {
        let wrong = [&self.lost, &self.doubled, &self.astray, &self.archives].map(Vec::len);
        assert_eq!(
            (wrong, self.bounced),
            ([0; 4], 0),
            "lost, doubled, astray, not once archived; bounced"
        );
        assert!(self.deferred > 0, "the broken release was never met");
    }
}
