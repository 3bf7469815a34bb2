//! `why`: which tree a list is on, since when and by whom, by which rule, and what its mail meets
//! there.
//!
//! A list that nothing but a name is left of is told to be that: what would be run for it says
//! nothing of what becomes of its mail.
//!
//! The tree and what is run there are asked of what a delivery asks (`decision`); how the list came
//! there, of the history.
//!
//! **Invariants.** Only reads. Where mail waits, that is the answer, and no refusal.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::admin::aliases;
use crate::admin::history::Format;
use crate::admin::outcome::{Done, Outcome, Refused, typed, typed_aliases};
use crate::admin::past::{self, Way};
use crate::admin::selection;
use crate::admin::step::no_state;
use crate::admin::terminal;
use crate::decision::{self, Undecided};
use crate::handover::Command;
use crate::list::{ListName, Verb};
use crate::parity::{Parity, Role};
use crate::site::{Placement, Site, SiteError};
use crate::store::{self, Entry};
use crate::tree::Tree;

const ACT: &str = "say why";

/// What there is to say of a list.
struct Why<'a> {
    site: &'a Site,
    list: ListName,
    parity: Parity,
    place: Result<Placement<'a>, SiteError>,
    gone: Option<String>,
    entries: Vec<Entry>,
    verbs: Vec<(Verb, Result<Command, Undecided>)>,
}

/// `why LIST`; with a verb, what happens to mail for that alone.
///
/// # Errors
/// There is no such list or verb; parity.toml cannot be used.
pub fn why(site: &Site, name: &OsStr, verb: Option<&OsStr>, format: Format) -> Outcome {
    let list = site.list(name.as_bytes());
    let list =
        list.map_err(|bad| Refused::new(ACT, format!("not a list name: {name:?}: {bad}")))?;
    let verb = verb.map(|word| {
        let verb = Verb::parse(word.as_bytes());
        verb.ok_or_else(|| Refused::new(ACT, format!("not a verb: {word:?}")))
    });
    let verb = verb.transpose()?;
    let loaded = store::load(site).map_err(|error| no_state(ACT, site, &error))?;
    let entries = store::history(site).map_err(|error| no_state(ACT, site, &error))?;
    let list = existing(site, &loaded.parity, &entries, list)?;
    let place = site.place(&list);
    let gone = place
        .as_ref()
        .ok()
        .and_then(|place| gone(site, place, &list));
    let verbs = match &place {
        Ok(place) => verbs(site, place, &list, verb),
        Err(_) => Vec::new(),
    };
    let why = Why {
        site,
        list,
        parity: loaded.parity,
        place,
        gone,
        entries,
        verbs,
    };
    Ok(Done::saying(match format {
        Format::Text => why.text(),
        Format::Json => terminal::json(&why.json()),
    }))
}

/// The list as it is spelled where it is known.
fn existing(
    site: &Site,
    parity: &Parity,
    entries: &[Entry],
    list: ListName,
) -> Result<ListName, Refused> {
    let known = aliases::known_at_least(site, parity);
    if let Some(spelled) = known.lists.get(&list) {
        return Ok(spelled.clone());
    }
    if let Err(cause) = known.enumerated {
        let what = format!("cannot say whether there is a list {list}: {cause}");
        return Err(Refused::new(ACT, what).hint(typed(site, "check")));
    }
    let near = selection::near(&list, &known.lists);
    let mut refused = Refused::new(ACT, format!("there is no list {list}"));
    let other = site.config.other_tree(&parity.roles.current);
    if let Some(other) = other.filter(|other| has(site, other, &list) == Some(true)) {
        let upgrade = typed(site, &format!("upgrade {list}"));
        refused = refused.hint(format!("tree {} alone has it: {upgrade}", other.name));
    }
    let is_told = |name: &str| site.list(name).is_ok_and(|told| told == list);
    if entries.iter().flat_map(past::names).any(is_told) {
        let history = typed(site, &format!("history {list}"));
        refused = refused.hint(format!("there was one: {history}"));
    }
    if !near.is_empty() {
        refused = refused.hint(format!("near {list}: {}", near.join(", ")));
    }
    Err(match refused.hints.is_empty() {
        true => refused.hint(format!(
            "the lists there are: {}",
            typed(site, "status --all")
        )),
        false => refused,
    })
}

/// Whether the tree has such a list; `None` if it does not say.
fn has(site: &Site, tree: &Tree, list: &ListName) -> Option<bool> {
    let there = aliases::enumerate(site, &tree.name).ok()?;
    Some(there.contains(list))
}

/// That the tree which the list's mail goes to has no such list; `None` if it has, or does not say.
fn gone(site: &Site, place: &Placement<'_>, list: &ListName) -> Option<String> {
    let tree = place.tree;
    if has(site, tree, list) != Some(false) {
        return None;
    }
    let mut others = site
        .config
        .trees
        .iter()
        .filter(|other| other.name != tree.name);
    Some(
        match others.find(|other| has(site, other, list) != Some(false)) {
            None => "no tree has such a list".to_owned(),
            Some(other) if has(site, other, list) == Some(true) => {
                format!(
                    "tree {} has no such list, and tree {} has",
                    tree.name, other.name
                )
            }
            Some(other) => format!(
                "tree {} has no such list, and tree {} does not say which it has",
                tree.name, other.name
            ),
        },
    )
}

/// What a delivery would do: for the verbs of both trees, or for one.
fn verbs(
    site: &Site,
    place: &Placement<'_>,
    list: &ListName,
    one: Option<Verb>,
) -> Vec<(Verb, Result<Command, Undecided>)> {
    let all: BTreeSet<Verb> = match one {
        Some(verb) => BTreeSet::from([verb]),
        None => {
            let trees = site.config.trees.iter();
            let routings = trees.filter_map(|tree| site.routing(tree).ok());
            let verbs = routings.flat_map(|routing| {
                let routes = routing.routes.iter();
                routes.map(|route| route.verb).collect::<Vec<_>>()
            });
            verbs.collect()
        }
    };
    let decided =
        |verb| decision::is_taken(place).and_then(|()| decision::command(site, place, verb, list));
    all.into_iter().map(|verb| (verb, decided(verb))).collect()
}

impl Why<'_> {
    fn way(&self) -> Way<'_> {
        past::way(self.site, &self.entries, &self.list)
    }

    fn text(&self) -> String {
        let mut rows = vec![("list".to_owned(), self.list.to_string())];
        let mut row = |key: &str, value: String| rows.push((key.to_owned(), value));
        if let Some(gone) = &self.gone {
            row("gone", format!("{gone}; {}", self.left()));
        }
        match &self.place {
            Ok(place) => {
                row(
                    "tree",
                    format!("{} ({})", place.tree.name, part(place.role)),
                );
                row("release", place.release.escape_debug().to_string());
                row("rule", self.rule(place));
            }
            Err(error) => row("mail", format!("waits (75): {error}")),
        }
        row("since", self.since());
        if let Ok(place) = &self.place
            && place.guarded
        {
            let guard = self.site.config.guard();
            row(
                "guarded",
                format!("{guard:?} runs the programs: what fails is \"try again later\""),
            );
        }
        if self.parity.pinned.contains(&self.list) {
            row("pinned", "globs and --all pass it over".to_owned());
        }
        if let Some(since) = self.parity.paused.get(&self.list) {
            row("paused", format!("since {since}: mail waits (75)"));
        } else {
            for (verb, command) in &self.verbs {
                row(verb.as_str(), self.met(command));
            }
        }
        let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let line = |(key, value): (String, String)| format!("{key:<width$}  {value}\n");
        rows.into_iter().map(line).collect()
    }

    /// What still names a list that is gone, and how that goes as well.
    fn left(&self) -> String {
        let entries = typed_aliases(self.site, "sync --remove");
        let entries = format!("entries that lead there: {entries}");
        match self.parity.names().contains(&self.list) {
            false => entries,
            true => {
                let forget = typed(self.site, &format!("forget {}", self.list));
                format!("its name in parity.toml: {forget}; {entries}")
            }
        }
    }

    /// Why it is on that tree.
    fn rule(&self, place: &Placement<'_>) -> String {
        let rule = decision::rule(self.site, place);
        match (place.role, self.way().swap) {
            (Role::Current, Some(swap)) => format!(
                "{rule}; tree {} is current since change {} ({})",
                place.tree.name,
                swap.generation,
                swap.command.escape_debug()
            ),
            _ => rule,
        }
    }

    fn since(&self) -> String {
        let way = self.way();
        let Some(came) = way.came else {
            return "the history does not tell".to_owned();
        };
        let mut text = format!(
            "{}, change {}: {:?} by {}",
            came.when.escape_debug(),
            came.generation,
            came.command,
            came.user.escape_debug()
        );
        if let Some(undone) = came.undoes {
            text += &format!(", which took {undone} back");
        }
        if let Some(reason) = &came.reason {
            text += &format!(" ({})", reason.escape_debug());
        }
        if !way.is_moved {
            text += "; nobody moved it since";
        }
        text
    }

    /// What a message meets.
    fn met(&self, command: &Result<Command, Undecided>) -> String {
        let command = match command {
            Ok(command) => command,
            Err(undecided) => return format!("{}: {undecided}", outcome(undecided)),
        };
        let mut text = format!("{:?}", command.program);
        for word in &command.arguments {
            text += &format!(" {word:?}");
        }
        if let Some(why) = self.obstacle(command) {
            text += &format!("; but mail waits (75): {why}");
        }
        text
    }

    /// Why the program would not be run, as far as who asks can see.
    fn obstacle(&self, command: &Command) -> Option<String> {
        let place = self.place.as_ref().ok()?;
        let judged = command.check(&self.site.trusted(), &place.tree.root);
        let judged = judged.and_then(|()| command.check_format());
        judged.err().map(|error| error.to_string())
    }

    fn json(&self) -> Value {
        let way = self.way();
        let came = way.came.map(|entry| {
            json!({
                "generation": entry.generation,
                "when": entry.when,
                "user": entry.user,
                "uid": entry.uid,
                "command": entry.command,
                "reason": entry.reason,
                "undoes": entry.undoes,
                "moved": way.is_moved,
            })
        });
        let place = self.place.as_ref();
        let of = |ask: &dyn Fn(&Placement<'_>) -> Value| place.map_or(Value::Null, ask);
        let verbs: Vec<Value> = self.verbs.iter().map(|row| self.row(row)).collect();
        json!({
            "format": 1,
            "generation": self.parity.roles.generation,
            "list": self.list.as_str(),
            "tree": of(&|place| place.tree.name.as_str().into()),
            "parity": of(&|place| part(place.role).into()),
            "release": of(&|place| place.release.as_str().into()),
            "guarded": of(&|place| place.guarded.into()),
            "rule": of(&|place| self.rule(place).into()),
            "gone": self.gone,
            "why": place.err().map(ToString::to_string),
            "since": came,
            "pinned": self.parity.pinned.contains(&self.list),
            "paused": self.parity.paused.get(&self.list).map(ToString::to_string),
            "verbs": verbs,
        })
    }

    fn row(&self, (verb, command): &(Verb, Result<Command, Undecided>)) -> Value {
        let (argv, why, status) = match command {
            Err(undecided) => (None, Some(undecided.to_string()), Some(undecided.status())),
            Ok(command) => {
                let program = command.program.to_string_lossy().into_owned();
                let words = command.arguments.iter().cloned();
                let argv: Vec<String> = std::iter::once(program).chain(words).collect();
                let why = self.obstacle(command);
                let status = why.as_ref().map(|_| crate::sysexits::TEMPFAIL);
                (Some(argv), why, status)
            }
        };
        json!({"verb": verb.as_str(), "argv": argv, "status": status, "why": why})
    }
}

fn part(role: Role) -> &'static str {
    match role {
        Role::Current => "current",
        Role::Future => "future",
    }
}

/// What becomes of mail that no program takes.
fn outcome(undecided: &Undecided) -> String {
    let status = undecided.status();
    match undecided {
        Undecided::NoAddress(..) => format!("refused ({status})"),
        _ => format!("mail waits ({status})"),
    }
}
