//! Who is on what, what to type next, and how to go back.
//!
//! **Invariants.** Only reads, without a lock and without privilege. What cannot be looked
//! at is said so and left out, never made up.

mod html;
mod json;
mod prometheus;
mod text;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::admin::aliases::{self, AddressError, Known};
use crate::admin::moving::unclear_refusal;
use crate::admin::outcome::{Done, Outcome, Refused};
use crate::admin::probation::{self, Seen, Tally};
use crate::admin::retired::{self, Retired};
use crate::admin::selection::{self, Which};
use crate::admin::signs::{self, Signs};
use crate::admin::step::no_state;
use crate::admin::terminal;
use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Role};
use crate::profiles::Profile;
use crate::site::Site;
use crate::store;
use crate::tree::Tree;

const ACT: &str = "tell the status";

/// Up to so many lists a page has all of them.
const ALL_ON_A_PAGE: usize = 1_000;

/// The forms of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// A page for a browser.
    Html,
    /// For Prometheus' textfile collector.
    Prometheus,
}

/// Everything that is told of a site.
struct View<'a> {
    site: &'a Site,
    parity: Parity,
    current: &'a Tree,
    future: Option<&'a Tree>,
    known: Result<Known, AddressError>,
    since: BTreeMap<String, String>,
    profiles: BTreeMap<&'a str, Profile>,
    aliases: BTreeMap<ListName, &'static str>,
    seen: Seen,
    /// Of the current tree, and of the other one where it takes lists.
    signs: [Option<Signs>; 2],
    /// What the tree that a commit left has yet to do.
    retired: Option<Retired>,
    /// The change that left the current tree's files unsound, if one has.
    unsound: Option<u64>,
}

/// `status`. Without lists: those that are not plainly on the current tree; on a page all of them,
/// where they are few.
///
/// # Errors
/// The state cannot be read; a word means no list; all lists are wanted and cannot be told.
pub fn status(site: &Site, which: Option<&Which>, form: Form) -> Outcome {
    let loaded = store::load(site).map_err(|error| no_state(ACT, site, &error))?;
    let mut view = look(site, loaded.parity)?;
    let all = (form == Form::Html && which.is_none() && view.is_small()).then_some(Which::All);
    let chosen = choose(&view, which.or(all.as_ref()))?;
    view.aliases = aliases::states(site, &view.parity, &chosen);
    Ok(Done::saying(match form {
        Form::Text if loaded.by_hand => format!(
            "note: parity.toml was edited by hand; the next change records that\n{}",
            view.text(&chosen)
        ),
        Form::Text => view.text(&chosen),
        Form::Json => terminal::json(&view.json(&chosen)),
        Form::Html => view.html(&chosen, &store::history(site).unwrap_or_default()),
        Form::Prometheus => view.prometheus(),
    }))
}

/// What stands in the place of a status that cannot be told, so that nobody takes an old one for it.
pub fn untold(path: &Path, refused: &Refused, form: Form) -> String {
    let time = Timestamp::now();
    match form {
        Form::Html => html::untold(path, refused, &time),
        Form::Prometheus => prometheus::untold(path),
        Form::Json => terminal::json(&json!({
            "format": 1, "time": time.to_string(), "refused": refused.reasons, "hints": refused.hints,
        })),
        Form::Text => {
            let lines = refused
                .reasons
                .iter()
                .map(|reason| format!("the status cannot be told: {reason}\n"));
            format!("{}looked at {time}\n", lines.collect::<String>())
        }
    }
}

fn look(site: &Site, parity: Parity) -> Result<View<'_>, Refused> {
    let current = site
        .config
        .tree(&parity.roles.current)
        .ok_or_else(|| Refused::new(ACT, "site.toml lacks the current tree"))?;
    let known = aliases::known(site, &parity);
    let mut profiles = BTreeMap::new();
    for tree in &site.config.trees {
        if let Ok(profile) = Profile::of(site, tree) {
            profiles.insert(tree.name.as_str(), profile);
        }
    }
    Ok(View {
        site,
        current,
        future: site.config.other_tree(&current.name),
        known,
        since: since(site, &parity),
        signs: signs(site, &parity, current),
        retired: retired::look(site, &parity),
        unsound: store::unsound(&store::history(site).unwrap_or_default(), &current.name)
            .map(|entry| entry.generation),
        profiles,
        aliases: BTreeMap::new(),
        seen: probation::read(site),
        parity,
    })
}

/// When each list came to the future tree, as far as the history tells.
fn since(site: &Site, parity: &Parity) -> BTreeMap<String, String> {
    let mut since = BTreeMap::new();
    for entry in store::history(site).unwrap_or_default() {
        for list in entry.after.on_future {
            since.insert(list, entry.when.clone());
        }
    }
    since.retain(|list, _| parity.on_future.contains(list.as_str()));
    since
}

/// What is seen of each tree; a tree that takes no lists is not looked at.
fn signs(site: &Site, parity: &Parity, current: &Tree) -> [Option<Signs>; 2] {
    let is_ready = parity.roles.future_state == FutureState::Ready;
    let future = site.config.other_tree(&current.name).filter(|_| is_ready);
    [
        signs::look(site, parity, Role::Current, current),
        future.and_then(|tree| signs::look(site, parity, Role::Future, tree)),
    ]
}

fn choose(view: &View<'_>, which: Option<&Which>) -> Result<BTreeSet<ListName>, Refused> {
    let parity = &view.parity;
    let Some(which) = which else {
        let troubled = view.troubled();
        return Ok(parity
            .names()
            .into_iter()
            .chain(troubled)
            .cloned()
            .collect());
    };
    let cannot =
        |cause: &str| Refused::new(ACT, format!("cannot say which lists there are: {cause}"));
    let known = match &view.known {
        Ok(known) => known,
        Err(error) => return Err(cannot(&error.to_string())),
    };
    if which.is_open()
        && let Err(error) = &known.enumerated
    {
        return Err(cannot(&error.to_string()));
    }
    let beyond = || match &known.enumerated {
        Ok(_) => Ok(BTreeSet::new()),
        Err(error) => Err(error.to_string()),
    };
    selection::choose(view.site, which, &known.lists, &beyond)
        .map(|choice| choice.lists)
        .map_err(|unclear| unclear_refusal(ACT, unclear))
}

impl View<'_> {
    /// Whether a page of all lists is not too long.
    fn is_small(&self) -> bool {
        self.known
            .as_ref()
            .is_ok_and(|known| known.enumerated.is_ok() && known.lists.len() <= ALL_ON_A_PAGE)
    }

    /// The tree of a list, its part as a word, and the release in it.
    fn standing(&self, list: &ListName) -> (&Tree, &'static str, &str) {
        match (self.parity.of(list), self.future) {
            (Role::Future, Some(future)) => (future, "future", &self.parity.roles.future_release),
            _ => (self.current, "current", &self.parity.roles.current_release),
        }
    }

    /// The word for a tree that is.
    fn guarded(&self, tree: &Tree) -> Option<&'static str> {
        let guarded = &self.parity.roles.guarded;
        guarded.contains(&tree.name).then_some("guarded")
    }

    /// What became of a list's mail, where its tree is guarded and the logs can be read.
    fn tally(&self, list: &ListName) -> Option<Tally> {
        let (tree, _, release) = self.standing(list);
        if self.guarded(tree).is_none() || !self.seen.unread.is_empty() {
            return None;
        }
        let tally = self.seen.tally(list, &tree.name, release);
        Some(tally.cloned().unwrap_or_default())
    }

    /// Lists whose newest mail was deferred by a guarded tree.
    fn troubled(&self) -> Vec<&ListName> {
        let trees = self.site.config.trees.iter();
        let guarded = trees.filter(|tree| self.guarded(tree).is_some());
        let all = guarded.flat_map(|tree| {
            let release = self.parity.roles.release_of(&tree.name);
            self.seen
                .of_tree(&tree.name, release)
                .filter(|(list, tally)| {
                    self.standing(list).0.name == tree.name && tally.troubled().next().is_some()
                })
        });
        all.map(|(list, _)| list).collect()
    }

    /// Whether the programs of the current tree (0) or the other one run, where that is asked.
    fn running(&self, tree: usize) -> Option<&'static str> {
        self.signs[tree].as_ref()?.running()
    }

    /// Whether they do, where that is known.
    fn alive(&self, tree: usize) -> Option<bool> {
        self.signs[tree].as_ref()?.life.is_alive()
    }
}
