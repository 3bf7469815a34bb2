//! `cron`: a job of the list manager's, for each list in its own tree, one after the other.
//!
//! A job that takes one list runs for each; one that goes through all lists runs once, in the tree
//! that may load them; one that loads none runs in each tree. A list whose tree has no such job is
//! passed over: two trees may have different list managers.
//!
//! **Invariants.** One list that fails, or is being moved, keeps none of the others. Silent but for
//! what the programs say and what went wrong. The status is the first that is not 0.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::{Desk, NotRun, Trial, is_used, unnamed};
use crate::admin::aliases::{self, Known};
use crate::admin::moving::unclear_refusal;
use crate::admin::outcome::{Done, Outcome, Refused};
use crate::admin::selection::{self, Which};
use crate::admin::terminal;
use crate::list::ListName;
use crate::parity::{Parity, Role};
use crate::profiles::{Loads, Profile};
use crate::running::Over;
use crate::site::Site;
use crate::tree::Tree;

const ACT: &str = "run the job";

/// What became of the job so far.
struct Round<'a> {
    desk: Desk<'a>,
    job: String,
    /// Each tree that may run something, with its part and profile.
    trees: Vec<(&'a Tree, Role, Profile)>,
    trial: Trial,
    text: String,
    /// The first status that was not 0.
    status: u8,
    /// Whether somebody wants us to end.
    is_told: bool,
}

/// `cron JOB [LIST…]`; without lists, all of them.
///
/// # Errors
/// Nothing was run: no tree has such a job, or a word means no list.
pub fn cron(site: &Site, job: &OsStr, lists: &Which, trial: Trial) -> Outcome {
    let desk = Desk::open(ACT, site)?;
    let parity = desk.parity()?;
    let trees = trees(&desk, &parity)?;
    let mut round = Round {
        desk,
        job: job.to_string_lossy().into_owned(),
        trees,
        trial,
        text: String::new(),
        status: 0,
        is_told: false,
    };
    if round
        .trees
        .iter()
        .all(|(.., profile)| !profile.cron().contains_key(&round.job))
    {
        return Err(round.no_job());
    }
    let known = round.desk.known(&parity)?;
    if round.has(Loads::List) {
        for list in round.chosen(lists, &known, &parity)? {
            let ran = round.for_list(&list);
            round.note(&list.to_string(), ran);
        }
    } else if *lists != Which::All {
        let what = format!("{:?} takes no list: it is one job for all", round.job);
        return Err(round.desk.refuse(what));
    }
    if *lists == Which::All {
        round.for_trees(&parity, &known);
    }
    Ok(Done {
        text: round.text,
        status: Some(round.status),
        ..Done::default()
    })
}

/// The current tree and, if it is in use, the other one.
fn trees<'a>(desk: &Desk<'a>, parity: &Parity) -> Result<Vec<(&'a Tree, Role, Profile)>, Refused> {
    let config = &desk.site.config;
    let current = config.tree(&parity.roles.current);
    let future = config.other_tree(&parity.roles.current);
    let both = [(current, Role::Current), (future, Role::Future)];
    let mut trees = Vec::new();
    for (tree, role) in both {
        if let Some(tree) = tree.filter(|_| is_used(parity, role)) {
            trees.push((tree, role, desk.profile(tree)?));
        }
    }
    Ok(trees)
}

impl Round<'_> {
    /// Whether a tree has the job in that form.
    fn has(&self, loads: Loads) -> bool {
        let mut forms = self
            .trees
            .iter()
            .filter_map(|(.., profile)| profile.cron().get(&self.job));
        forms.any(|program| program.loads == loads)
    }

    fn no_job(&self) -> Refused {
        let what = format!("no tree of this site has a job {:?}", self.job);
        let all = self.trees.iter().map(|(.., profile)| profile.cron());
        unnamed(&self.desk, &what, &self.job, all, "cron")
    }

    /// The lists that were meant: those that there are.
    fn chosen(
        &self,
        which: &Which,
        known: &Known,
        parity: &Parity,
    ) -> Result<BTreeSet<ListName>, Refused> {
        let there = match &known.enumerated {
            Ok(there) => Ok(there),
            Err(error) => Err(error.to_string()),
        };
        if which.is_open()
            && let Err(error) = &there
        {
            let what = format!("cannot say which lists there are: {error}");
            return Err(self.desk.refuse(what));
        }
        let beyond = || there.clone().map(|_| BTreeSet::new());
        let choice = selection::choose(self.desk.site, which, &known.lists, &beyond)
            .map_err(|unclear| unclear_refusal(ACT, unclear))?;
        // A name without a list behind it, from an alias or a row, is told by check.
        let ahead = self.trees.get(1).and_then(|(tree, ..)| {
            let ahead = aliases::enumerate(self.desk.site, &tree.name);
            ahead.ok()
        });
        let exists = |list: &ListName| {
            choice.named.contains(list)
                || there.as_ref().is_ok_and(|there| there.contains(list))
                || parity.on_future.contains(list)
                    && ahead.as_ref().is_none_or(|ahead| ahead.contains(list))
        };
        Ok(choice
            .lists
            .iter()
            .filter(|list| exists(list))
            .cloned()
            .collect())
    }

    /// Runs it for one list; `None` where its tree has no such job.
    fn for_list(&mut self, list: &ListName) -> Result<Option<Over>, NotRun> {
        if self.is_told {
            return Ok(None);
        }
        let pass = self.desk.enter(list)?;
        let tree = self.desk.place(list)?.tree;
        let trees = &self.trees;
        let profile = trees.iter().find(|(one, ..)| one.name == tree.name);
        let form = profile.and_then(|(.., profile)| {
            let program = profile.cron().get(&self.job)?;
            (program.loads == Loads::List).then_some((profile, program))
        });
        let Some((profile, program)) = form else {
            return Ok(None);
        };
        let ready = self.desk.ready(tree, profile, program, Some(list), &[])?;
        if self.trial == Trial::Yes {
            self.text += &ready.told(tree);
            return Ok(None);
        }
        let over = ready.run(Some(pass), false);
        over.map(Some).map_err(|what| self.desk.refuse(what).into())
    }

    /// Runs what is no list's, in each tree that has it so.
    fn for_trees(&mut self, parity: &Parity, known: &Known) {
        // All lists are on the other tree: there it belongs.
        let are_ahead = known.enumerated.is_ok() && known.lists.is_subset(&parity.on_future);
        let home = match are_ahead && !known.lists.is_empty() {
            true => Role::Future,
            false => Role::Current,
        };
        for at in 0..self.trees.len() {
            let (tree, role, profile) = &self.trees[at];
            let loads = profile.cron().get(&self.job).map(|program| program.loads);
            let is_its = match loads {
                Some(Loads::None) => true,
                Some(Loads::All) => *role == home,
                Some(Loads::List) | None => false,
            };
            if is_its && !self.is_told {
                let name = format!("tree {}", tree.name);
                let ran = self.for_tree(at);
                self.note(&name, ran);
            }
        }
    }

    fn for_tree(&mut self, at: usize) -> Result<Option<Over>, NotRun> {
        let (tree, _, profile) = &self.trees[at];
        let Some(program) = profile.cron().get(&self.job) else {
            return Ok(None);
        };
        let pass = match program.loads {
            Loads::All => {
                let pass = self.desk.enter_all()?;
                // Asked again: now it stays so.
                self.desk.refuse_all(tree, &self.job)?;
                Some(pass)
            }
            Loads::List | Loads::None => None,
        };
        let ready = self.desk.ready(tree, profile, program, None, &[])?;
        if self.trial == Trial::Yes {
            self.text += &ready.told(tree);
            return Ok(None);
        }
        let over = ready.run(pass, false);
        over.map(Some).map_err(|what| self.desk.refuse(what).into())
    }

    /// Tells what went wrong for `what`, and keeps the first status that is not 0.
    fn note(&mut self, what: &str, ran: Result<Option<Over>, NotRun>) {
        let status = match ran {
            Ok(None) => 0,
            Ok(Some(over)) => {
                self.is_told |= over.told.is_some();
                over.status
            }
            Err(not) => {
                let refused = not.refused(ACT);
                for reason in &refused.reasons {
                    let job = self.job.escape_debug();
                    terminal::complain(&format!(
                        "mm-parity: {what} is passed over by {job}: {reason}"
                    ));
                }
                for hint in &refused.hints {
                    terminal::complain(&format!("hint: {hint}"));
                }
                refused.status
            }
        };
        if self.status == 0 {
            self.status = status;
        }
    }
}
