//! Who is on what, what to type next, and how to go back.
//!
//! **Invariants.** Only reads, without a lock and without privilege. What cannot be looked
//! at is said so and left out, never made up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::admin::aliases::{self, AddressError, Known};
use crate::admin::check::doors;
use crate::admin::history::Format;
use crate::admin::init;
use crate::admin::moving::unclear_refusal;
use crate::admin::outcome::{Done, Outcome, Refused, lists, typed};
use crate::admin::probation::{self, Seen, Tally};
use crate::admin::releases;
use crate::admin::selection::{self, Which};
use crate::admin::signs::{self, Signs};
use crate::admin::step::no_state;
use crate::admin::terminal;
use crate::admin::trust;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Role};
use crate::profiles::Profile;
use crate::site::Site;
use crate::store;
use crate::tree::Tree;

const ACT: &str = "tell the status";

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
}

/// `status`. Without lists: those that are not plainly on the current tree.
///
/// # Errors
/// The state cannot be read; a word means no list; all lists are wanted and cannot be told.
pub fn status(site: &Site, which: Option<&Which>, format: Format) -> Outcome {
    let loaded = store::load(site).map_err(|error| no_state(ACT, site, &error))?;
    let mut done = Done::default();
    if loaded.by_hand {
        done.text += "note: parity.toml was edited by hand; the next change records that\n";
    }
    let mut view = look(site, loaded.parity)?;
    let chosen = choose(&view, which)?;
    view.aliases = aliases::states(site, &view.parity, &chosen);
    match format {
        Format::Text => done.text += &view.text(&chosen),
        Format::Json => done.text = terminal::json(&view.json(&chosen)),
    }
    Ok(done)
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
    /// The tree of a list, its part as a word, and the release in it.
    fn standing(&self, list: &ListName) -> (&Tree, &'static str, &str) {
        match (self.parity.of(list), self.future) {
            (Role::Future, Some(future)) => (future, "future", &self.parity.roles.future_release),
            _ => (self.current, "current", &self.parity.roles.current_release),
        }
    }

    fn text(&self, chosen: &BTreeSet<ListName>) -> String {
        let roles = &self.parity.roles;
        let mut rows = vec![
            vec![
                "system".to_owned(),
                "current".to_owned(),
                self.current.name.clone(),
                roles.current_release.escape_debug().to_string(),
                words([self.guarded(self.current), self.running(0)]),
            ],
            vec![
                String::new(),
                "future".to_owned(),
                self.future
                    .map_or_else(|| "none".to_owned(), |tree| tree.name.clone()),
                roles.future_release.escape_debug().to_string(),
                words([
                    Some(roles.future_state.as_str()),
                    self.future.and_then(|tree| self.guarded(tree)),
                    self.running(1),
                ]),
            ],
        ];
        for list in chosen {
            let (tree, part, release) = self.standing(list);
            rows.push(vec![
                list.to_string(),
                part.to_owned(),
                tree.name.clone(),
                release.escape_debug().to_string(),
                self.remarks(list).join(", "),
            ]);
        }
        let mut text = columns(&rows);
        text += &self.troubles();
        text += &self.count();
        if let Some(refused) = init::refused(self.site, self.current) {
            text += &format!("note: {refused}\n");
        }
        for (log, why) in &self.seen.unread {
            text += &format!("note: {log:?}: {why}; guarded deliveries are not counted\n");
        }
        let mut doors = Vec::new();
        doors::look(self.site, &mut doors);
        for finding in doors {
            text += &format!("trouble: {}\n", finding.in_short());
        }
        for (word, command) in self.ways() {
            text += &format!("{word:<5} {command}\n");
        }
        text
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

    /// Whether a commit would ask for `--force`: mail waits, or nobody can say whether it does.
    fn may_be_troubled(&self) -> bool {
        let is_guarded = self.future.is_some_and(|tree| self.guarded(tree).is_some());
        is_guarded
            && (!self.troubled().is_empty() || !trust::unknown(self.site, &self.seen).is_empty())
    }

    /// Whether the programs of the current tree (0) or the other one run, where that is asked.
    fn running(&self, tree: usize) -> Option<&'static str> {
        self.signs[tree].as_ref()?.running()
    }

    fn alive(&self, tree: usize) -> Option<bool> {
        self.signs[tree].as_ref()?.life.is_alive()
    }

    fn trouble(&self, tree: usize) -> Vec<Value> {
        self.signs[tree].as_ref().map_or_else(Vec::new, Signs::rows)
    }

    /// What is wrong with the trees, a line each.
    fn troubles(&self) -> String {
        let trees = [Some(self.current), self.future]
            .into_iter()
            .zip(&self.signs);
        let mut text = String::new();
        for (tree, signs) in trees {
            let (Some(tree), Some(signs)) = (tree, signs) else {
                continue;
            };
            for sign in signs.all() {
                text += &format!("trouble: tree {} {}\n", tree.name, sign.what);
            }
        }
        text
    }

    fn remarks(&self, list: &ListName) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(since) = self.since.get(list.as_str()) {
            remarks.push(format!("since {}", since.escape_debug()));
        }
        if let Some(tally) = self.tally(list) {
            remarks.extend(tally.in_words());
        }
        if let Some(since) = self.parity.paused.get(list) {
            remarks.push(format!("paused since {since}"));
        }
        if self.parity.pinned.contains(list) {
            remarks.push("pinned".to_owned());
        }
        if let Some(state) = self.aliases.get(list).filter(|&&state| state != "ok") {
            remarks.push(format!("aliases {state}"));
        }
        if let Ok(known) = &self.known
            && known
                .enumerated
                .as_ref()
                .is_ok_and(|there| !there.contains(list))
        {
            remarks.push("no such list any more".to_owned());
        }
        remarks
    }

    /// Whether the future tree's files are not those that are recorded: nothing can choose it.
    fn is_changed(&self) -> bool {
        let recorded = &self.parity.roles.future_release;
        let other = |tree| releases::other_in(self.site, tree, recorded);
        self.future
            .and_then(other)
            .is_some_and(|other| other.is_known)
    }

    fn count(&self) -> String {
        let ahead = self.parity.on_future.len();
        match &self.known {
            Ok(Known {
                lists: known,
                enumerated: Ok(_),
                ..
            }) => format!(
                "{}: {} on current, {ahead} on future\n",
                lists(known.len()),
                known.len().saturating_sub(ahead)
            ),
            Ok(Known {
                enumerated: Err(error),
                ..
            }) => {
                format!(
                    "{ahead} on future, all others on current; they cannot be counted: {error}\n"
                )
            }
            Err(error) => {
                format!(
                    "{ahead} on future, all others on current; they cannot be counted: {error}\n"
                )
            }
        }
    }

    /// What to type next, and how to go back.
    fn ways(&self) -> Vec<(&'static str, String)> {
        let say = |words: &str| typed(self.site, words);
        let ahead = &self.parity.on_future;
        let behind = match &self.known {
            Ok(known) => known.lists.iter().any(|list| !ahead.contains(list)),
            Err(_) => true,
        };
        let mut ways = Vec::new();
        match self.parity.roles.future_state {
            FutureState::Ready | FutureState::Retired if self.is_changed() && ahead.is_empty() => {
                ways.push(("next:", say("verify")));
            }
            FutureState::Ready if ahead.is_empty() => ways.push(("next:", say("upgrade LIST"))),
            FutureState::Ready if behind => {
                ways.push(("next:", say("upgrade LIST, then upgrade --all")))
            }
            FutureState::Ready if self.may_be_troubled() => {
                ways.push(("next:", say("check, then commit")));
            }
            FutureState::Ready => ways.push(("next:", say("commit"))),
            state => {
                if let Some(future) = self.future {
                    ways.push((
                        "next:",
                        format!(
                            "install a release in tree {}, then {}",
                            future.name,
                            say("verify")
                        ),
                    ));
                }
                if state == FutureState::Retired {
                    ways.push(("back:", say("commit --revert")));
                }
            }
        }
        if !ahead.is_empty() {
            ways.push(("back:", say("downgrade LIST, or downgrade --all")));
        }
        if self.guarded(self.current).is_some() {
            ways.push(("also:", say(&format!("trust {}", self.current.name))));
        }
        if !self.parity.paused.is_empty() {
            ways.push(("also:", say("resume LIST")));
        }
        ways
    }

    fn json(&self, chosen: &BTreeSet<ListName>) -> Value {
        let roles = &self.parity.roles;
        let guarded = |tree: &Tree| roles.guarded.contains(&tree.name);
        let rows: Vec<Value> = chosen.iter().map(|list| self.row(list)).collect();
        json!({
            "format": 1,
            "generation": roles.generation,
            "current": {
                "tree": self.current.name,
                "release": roles.current_release,
                "alive": self.alive(0),
                "guarded": guarded(self.current),
                "trouble": self.trouble(0),
            },
            "future": self.future.map(|tree| json!({
                "tree": tree.name,
                "release": roles.future_release,
                "state": roles.future_state.as_str(),
                "alive": self.alive(1),
                "guarded": guarded(tree),
                "trouble": self.trouble(1),
            })),
            "lists": rows,
        })
    }

    fn row(&self, list: &ListName) -> Value {
        let (tree, part, release) = self.standing(list);
        let version = self
            .profiles
            .get(tree.name.as_str())
            .and_then(|profile| profile.data_version(tree, list).ok().flatten());
        let tally = self.tally(list);
        json!({
            "name": list.as_str(),
            "parity": part,
            "tree": tree.name,
            "release": release,
            "data_version": version,
            "since": self.since.get(list.as_str()),
            "delivered": tally.as_ref().map(|tally| tally.delivered),
            "deferred": tally.as_ref().map(|tally| tally.deferred),
            "refused": tally.as_ref().map(|tally| tally.refused),
            "last_trouble": tally.and_then(|tally| tally.last_trouble).map(|line| json!({
                "when": line.record.when.to_string(),
                "verb": line.record.verb.as_str(),
                "reason": line.record.end.to_string(),
                "said": line.record.said,
            })),
            "paused": self.parity.paused.contains_key(list),
            "pinned": self.parity.pinned.contains(list),
            "aliases": self.aliases.get(list),
        })
    }
}

/// Those words that there are.
fn words<const N: usize>(words: [Option<&str>; N]) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Rows in columns as wide as they must be, two blanks between.
fn columns(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (n, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(n) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
