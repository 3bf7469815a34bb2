//! The tree that a commit left: whether its programs may stop, and what still starts them.
//!
//! Its lists are on the other tree, but what it took before is in its queues: mail that goes out, or
//! is tried again. Its programs may stop when all of that is gone; what starts them at the next boot,
//! and cron, which runs its jobs for lists that are not there any more, must be told by hand.
//!
//! **Invariants.** Only looks. What cannot be looked at is told, and is never "may stop".

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::admin::aliases;
use crate::parity::{FutureState, Parity};
use crate::pointing::{self, Found, Pointer, Target};
use crate::profiles::Profile;
use crate::queues::{self, Life, QueueError, Queues, Remaining};
use crate::site::Site;
use crate::tree::Tree;

/// Where this machine's files are.
pub const ROOT: &str = "/";
/// So many are named in a line.
const MOST: usize = 5;

/// What is seen of a tree that no list is on.
#[derive(Debug)]
pub struct Retired {
    /// Its name.
    pub tree: String,
    /// Its queues that are not empty.
    pub waiting: Vec<Remaining>,
    /// Those that could not be looked at.
    pub unknown: Vec<QueueError>,
    /// Whether its programs run.
    pub life: Life,
    /// What points to it.
    pub found: Found,
}

/// The tree that the last commit left; `None` if something was installed since, or its profile
/// cannot be used, which is told elsewhere.
pub fn look(site: &Site, parity: &Parity) -> Option<Retired> {
    let is_retired = parity.roles.future_state == FutureState::Retired;
    let tree = site.config.other_tree(&parity.roles.current);
    of_tree(site, tree.filter(|_| is_retired)?)
}

/// The same of a tree that is known to be one.
pub fn of_tree(site: &Site, tree: &Tree) -> Option<Retired> {
    let profile = Profile::of(site, tree).ok()?;
    let (waiting, unknown) = match Queues::of(&profile, tree) {
        None => (Vec::new(), Vec::new()),
        Some(queues) => {
            let lists = match queues.are_per_list() {
                true => aliases::enumerate(site, &tree.name).unwrap_or_default(),
                false => Default::default(),
            };
            queues::remaining(queues, &lists)
        }
    };
    Some(Retired {
        tree: tree.name.clone(),
        waiting,
        unknown,
        life: queues::life(&profile, tree),
        found: pointing::look(Path::new(ROOT), &Target::of(site, tree, &profile)),
    })
}

impl Retired {
    /// How many messages are left in it.
    pub fn left(&self) -> usize {
        self.waiting.iter().map(|queue| queue.count).sum()
    }

    /// Whether its programs may stop; `None` where that cannot be told.
    pub fn may_stop(&self) -> Option<bool> {
        match (self.left(), self.unknown.is_empty()) {
            (0, true) => Some(true),
            (0, false) => None,
            _ => Some(false),
        }
    }

    /// What is in its queues, in words.
    pub fn in_words(&self) -> String {
        let queues = self.waiting.iter();
        let queues: Vec<String> = queues
            .map(|queue| format!("{} in {:?}", queue.count, queue.directory))
            .collect();
        let count = self.left();
        let messages = if count == 1 { "message" } else { "messages" };
        format!("{count} {messages} in its queues ({})", queues.join(", "))
    }

    /// For people: nothing where nothing is left, runs, or starts it.
    pub fn lines(&self) -> Vec<String> {
        let tree = &self.tree;
        let mut lines = Vec::new();
        let runs = self.life.is_alive() != Some(false);
        match self.may_stop() {
            Some(false) if runs => lines.push(format!(
                "tree {tree} still has {}: let its programs run until they are gone",
                self.in_words()
            )),
            Some(false) => lines.push(format!(
                "tree {tree} still has {}, and its programs do not run: start them until these are \
                 gone",
                self.in_words()
            )),
            Some(true) if self.life.is_alive() == Some(true) || !self.found.pointers.is_empty() => {
                lines.push(format!(
                    "tree {tree} has nothing left in its queues: its programs may stop"
                ));
            }
            Some(true) | None => {}
        }
        for error in &self.unknown {
            lines.push(format!(
                "whether the programs of tree {tree} may stop cannot be told: {error}"
            ));
        }
        if !self.found.pointers.is_empty() {
            lines.push(format!(
                "what still starts or runs programs of tree {tree}: {}",
                told(&self.found.pointers)
            ));
        }
        if let Some(unread) = unread(&self.found.unread) {
            lines.push(format!("{unread}: it may start programs of tree {tree}"));
        }
        lines
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let queues = self.waiting.iter();
        let pointers = self.found.pointers.iter();
        json!({
            "may_stop": self.may_stop(),
            "queues": queues
                .map(|queue| json!({
                    "where": queue.directory.to_string_lossy(),
                    "count": queue.count,
                }))
                .collect::<Vec<_>>(),
            "pointing": pointers
                .map(|pointer| json!({
                    "kind": pointer.kind.word(),
                    "where": pointer.file.to_string_lossy(),
                    "line": pointer.line,
                    "what": pointer.text,
                }))
                .collect::<Vec<_>>(),
            "unread": self.found.unread.iter()
                .map(|(path, _)| path.to_string_lossy().into_owned())
                .collect::<Vec<_>>(),
        })
    }
}

/// The first of them, and how many more there are.
fn told(pointers: &[Pointer]) -> String {
    let one = |pointer: &Pointer| match pointer.line {
        Some(line) => format!("{:?} line {line}", pointer.file),
        None => {
            let pid = pointer
                .file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy();
            let command: String = pointer.text.chars().take(80).collect();
            format!("process {pid} {command:?}")
        }
    };
    let mut all: Vec<String> = pointers.iter().take(MOST).map(one).collect();
    if let Some(more) = pointers.len().checked_sub(MOST).filter(|&more| more > 0) {
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

/// What could not be read, in words; `None` if all could.
pub fn unread(unread: &[(PathBuf, io::Error)]) -> Option<String> {
    let (path, error) = unread.first()?;
    let more = match unread.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!("cannot read {path:?}: {error}{more}"))
}
