//! What may be said about a list without moving it: pause, resume, pin, unpin, forget.
//!
//! **Invariants.** No list changes trees here, save that a name which is no list's any more
//! is dropped.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use crate::admin::aliases;
use crate::admin::change::Change;
use crate::admin::moving::{known_names, tell_of_mail, tell_the_way, unclear_refusal};
use crate::admin::outcome::{Outcome, lists, names, typed};
use crate::admin::request::Request;
use crate::admin::selection::{self, Which};
use crate::admin::step::Step;
use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::Site;

/// What is said about lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Their mail is deferred.
    Pause,
    /// It is not, any more.
    Resume,
    /// Globs and `--all` of moves pass over them.
    Pin,
    /// They do not, any more.
    Unpin,
}

impl Mark {
    /// The command, what it did, and the command that takes it back.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Mark::Pause => ("paused", "would pause", "resume"),
            Mark::Resume => ("resumed", "would resume", "pause"),
            Mark::Pin => ("pinned", "would pin", "unpin"),
            Mark::Unpin => ("unpinned", "would unpin", "pin"),
        }
    }

    /// The lists that are so marked that the command has something to take away.
    fn marked(self, parity: &Parity) -> BTreeSet<ListName> {
        match self {
            Mark::Pause | Mark::Resume => parity.paused.keys().cloned().collect(),
            Mark::Pin | Mark::Unpin => parity.pinned.clone(),
        }
    }

    /// What a list is that is so marked.
    fn state(self) -> &'static str {
        match self {
            Mark::Pause | Mark::Resume => "paused",
            Mark::Pin | Mark::Unpin => "pinned",
        }
    }

    /// That a list is as the command would make it.
    fn already(self) -> &'static str {
        match self {
            Mark::Pause => "paused already",
            Mark::Resume => "not paused",
            Mark::Pin => "pinned already",
            Mark::Unpin => "not pinned",
        }
    }

    fn adds(self) -> bool {
        matches!(self, Mark::Pause | Mark::Pin)
    }

    fn make(self, parity: &Parity, chosen: &BTreeSet<ListName>) -> Parity {
        match self {
            Mark::Pause => parity.pause(chosen.iter().cloned(), Timestamp::now()),
            Mark::Resume => parity.resume(chosen),
            Mark::Pin => parity.pin(chosen.iter().cloned()),
            Mark::Unpin => parity.unpin(chosen),
        }
    }
}

/// `pause`, `resume`, `pin` and `unpin`.
///
/// # Errors
/// A word means no list, or the state cannot be written.
pub fn mark(site: &Site, mark: Mark, which: &Which, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let marked = mark.marked(change.parity());
    let known = || known_names(&change);
    let mut note = None;
    let candidates = match (mark, known()) {
        (Mark::Resume | Mark::Unpin, _) => marked.clone(),
        (_, Ok(known)) => known,
        (Mark::Pause, Err(cause)) if !which.is_open() => {
            let (named, told) = as_typed(&change, which, &cause);
            note = Some(told);
            named
        }
        (_, Err(cause)) => {
            let refused = change.refuse(format!("cannot say which lists there are: {cause}"));
            return Err(match mark {
                Mark::Pause => refused.hint(typed(site, "pause LIST, with the lists named")),
                _ => refused,
            });
        }
    };
    let choice = selection::choose(site, which, &candidates, &known)
        .map_err(|unclear| unclear_refusal(request.act, unclear))?;
    if let Some(note) = note {
        change.say(note);
    }
    let meant = choice.lists.union(&choice.others);
    let (chosen, others): (BTreeSet<ListName>, BTreeSet<ListName>) = meant
        .cloned()
        .partition(|list| marked.contains(list) != mark.adds());
    if chosen.is_empty() {
        change.say(match others.is_empty() {
            true => format!("nothing to do: no list is {}", mark.state()),
            false => format!("nothing to do: {}: {}", mark.already(), names(&others)),
        });
        return Ok(change.end());
    }
    let (done, would, back) = mark.words();

    let told = [format!(
        "{} {}: {}",
        change.verb(done, would),
        lists(chosen.len()),
        names(&chosen)
    )];
    change.carry_out(Step::to(mark.make(change.parity(), &chosen)), &told)?;
    if mark == Mark::Pause {
        change.say("their mail is deferred: the MTA keeps it for some days and tries again");
    }
    tell_the_way(&mut change, back, &chosen);
    if mark == Mark::Resume {
        tell_of_mail(&mut change);
    }
    Ok(change.end())
}

/// The lists that are named, whether anything knows them or not, and what to say of that.
///
/// THE EMERGENCY BRAKE. When nothing can say which lists there are, a name that is no list's
/// is harmless, and a refusal is not.
fn as_typed(change: &Change<'_>, which: &Which, cause: &str) -> (BTreeSet<ListName>, String) {
    let site = change.site;
    let words = match which {
        Which::All => &[][..],
        Which::Named(words) => words,
    };
    let named: BTreeSet<ListName> = words
        .iter()
        .filter_map(|word| site.list(word.as_bytes()).ok())
        .collect();
    let known = aliases::known_at_least(site, change.parity()).lists;
    let mut note = format!("note: which lists there are cannot be told: {cause}");
    let unknown: Vec<&ListName> = named.difference(&known).collect();
    if !unknown.is_empty() {
        note += &format!(
            "; taken as typed, known from nothing else: {}",
            names(unknown)
        );
    }
    (named, note)
}

/// `forget`: drops names of lists that no longer exist.
///
/// # Errors
/// A list exists, or whether it does cannot be told; a name stands nowhere.
pub fn forget(site: &Site, which: &Which, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let known = change.known()?;
    let there = match known.enumerated {
        Ok(there) => there,
        Err(error) => {
            return Err(change.refuse(format!("cannot say which lists there are: {error}")));
        }
    };
    let gone: BTreeSet<ListName> = change
        .parity()
        .names()
        .into_iter()
        .filter(|list| !there.contains(*list))
        .cloned()
        .collect();
    let choice = selection::choose(site, which, &gone, &|| Ok(known.lists.clone()))
        .map_err(|unclear| unclear_refusal(request.act, unclear))?;
    let exist: Vec<&ListName> = choice.others.intersection(&there).collect();
    if !exist.is_empty() {
        return Err(change.refuse(format!("these lists exist: {}", names(exist))));
    }
    if choice.lists.is_empty() {
        change.say("nothing to do: parity.toml names no such list");
        return Ok(change.end());
    }
    let told = [format!(
        "{} {}",
        change.verb("forgotten:", "would forget:"),
        names(&choice.lists)
    )];
    change.carry_out(Step::to(change.parity().forget(&choice.lists)), &told)?;
    change.say(format!("the way back: {}", typed(site, "undo")));
    Ok(change.end())
}
