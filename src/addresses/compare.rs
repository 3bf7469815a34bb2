//! The addresses that lists should have against the entries that were found.
//!
//! **Invariants.** No I/O, no change: judges what `found` read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use aliases::Problem;

use super::found::{Found, Means, Place};
use super::leads::Leads;
use super::pipe::Trees;
use super::refusal::Refusal;
use super::reserved::{Holder, Reserved};
use super::turning::{Turning, ours, turning};
use super::wanted::{self, Wanted};
use super::why::Why;
use crate::list::{ListName, Verb};
use crate::parity::Parity;

/// How a wanted address stands, from best to worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Ours, with a right verb and the right list; or it leads to such an entry.
    Ok,
    /// Somebody else's.
    Taken(Taken),
    /// The name stands more than once, and MTAs differ in who wins.
    Double(Vec<Place>),
    /// Nobody has it; `Some` if it is not to be added unasked.
    Missing(Option<Holder>),
    /// It pipes straight into a tree; `Some` if it cannot be turned to us.
    Direct(Option<Why>),
    /// The MTA takes the entry that counts, and delivers no mail by it.
    Undeliverable(Problem),
}

/// What an entry that is somebody else's leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// To something that has nothing to do with the list.
    Override,
    /// To us, but with another verb or list.
    Otherwise,
    /// To a program of a list manager in a place that is no tree of this site.
    Third(PathBuf),
    /// To us, by words by which mm-deliver delivers nothing.
    Refused(Refusal),
    /// To mm-deliver on the site of this site.toml.
    OtherSite(PathBuf),
    /// To another address of the list, which leads back here and to nothing else.
    Circle,
}

/// One wanted address as it stands.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) wanted: Wanted,
    pub(super) state: State,
    pub(super) place: Option<Place>,
}

/// An entry of ours that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) place: Place,
    pub(super) list: ListName,
    pub(super) why: StaleWhy,
}

/// Why an entry of ours is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StaleWhy {
    /// The list is gone.
    Gone,
    /// No tree in use has such an address.
    Unused,
}

impl State {
    /// Whether `sync --claim` turns it.
    pub(super) fn can_be_claimed(&self) -> bool {
        matches!(self, State::Taken(Taken::Otherwise | Taken::Refused(_)))
    }

    /// The word for it in `status`.
    pub(super) fn word(&self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Taken(Taken::Refused(_)) => "refused",
            State::Taken(_) => "taken",
            State::Double(_) => "double",
            State::Missing(_) => "missing",
            State::Direct(_) => "direct",
            State::Undeliverable(_) => "undeliverable",
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Taken::Override => f.write_str("it leads elsewhere"),
            Taken::Otherwise => f.write_str("it leads to mm-deliver with another verb or list"),
            Taken::Refused(refusal) => {
                write!(f, "it leads to mm-deliver, which refuses it: {refusal}")
            }
            Taken::OtherSite(path) => {
                write!(
                    f,
                    "it leads to mm-deliver on another site, that of {path:?}"
                )
            }
            Taken::Third(root) => {
                write!(f, "it pipes into {root:?}, which is no tree of this site")
            }
            Taken::Circle => f.write_str("it leads in a circle"),
        }
    }
}

impl fmt::Display for StaleWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StaleWhy::Gone => "the list is gone",
            StaleWhy::Unused => "no tree in use has such an address",
        })
    }
}

/// How each address of `wanted` stands.
pub(super) fn compare(
    trees: &Trees<'_>,
    found: &Found,
    reserved: &Reserved,
    wanted: Vec<Wanted>,
) -> Vec<Row> {
    let mut by_list: BTreeMap<ListName, BTreeSet<String>> = BTreeMap::new();
    for row in &wanted {
        by_list
            .entry(row.list.clone())
            .or_default()
            .insert(row.name.clone());
    }
    wanted
        .into_iter()
        .map(|wanted| match found.places(&wanted.name)[..] {
            [] => {
                let state = State::Missing(reserved.holder(&wanted.name, &by_list[&wanted.list]));
                Row {
                    wanted,
                    state,
                    place: None,
                }
            }
            [place] => {
                let state = judge(trees, found, place, &wanted, &by_list[&wanted.list]);
                Row {
                    wanted,
                    state,
                    place: Some(place),
                }
            }
            ref places => double(found, places, wanted),
        })
        // BY ADDRESS. Where the MTA tells addresses, a list without aliases lacks none.
        .filter(|row| !(trees.site.config.rcpt && matches!(row.state, State::Missing(_))))
        .collect()
}

/// How a wanted address of several entries stands.
fn double(found: &Found, places: &[Place], wanted: Wanted) -> Row {
    let winner = found.winner(places);
    let hindrance = winner.and_then(|place| found.hindrance(place));
    let (state, place) = match hindrance {
        Some(problem) => (State::Undeliverable(problem), winner),
        None => (State::Double(places.to_vec()), places.last().copied()),
    };
    Row {
        wanted,
        state,
        place,
    }
}

/// How the only entry of a wanted address stands; `siblings` are the list's addresses.
fn judge(
    trees: &Trees<'_>,
    found: &Found,
    place: Place,
    wanted: &Wanted,
    siblings: &BTreeSet<String>,
) -> State {
    if let Some(problem) = found.hindrance(place) {
        return State::Undeliverable(problem);
    }
    let mut taken = Taken::Override;
    for means in found.destinations(place) {
        match means {
            Means::Pipe(command) => match trees.leads(&command) {
                Leads::Us(verb, list) if list == wanted.list && wanted.verbs.contains(&verb) => {
                    return State::Ok;
                }
                Leads::Us(..) => taken = Taken::Otherwise,
                Leads::Refused(refusal) => taken = Taken::Refused(refusal),
                Leads::OtherSite(path) => taken = Taken::OtherSite(path),
                Leads::Third(root, list) if list == wanted.list => taken = Taken::Third(root),
                _ => {}
            },
            Means::Address(address) => {
                let name = String::from_utf8_lossy(&address).to_ascii_lowercase();
                // What people post is no message for the owner.
                let is_posting = wanted.name == wanted.list.local_part();
                if !is_posting && name != wanted.name && siblings.contains(&name) {
                    if is_circle(found, &wanted.name, siblings) {
                        return State::Taken(Taken::Circle);
                    }
                    return State::Ok;
                }
            }
            _ => {}
        }
    }
    match turning(trees, found, place) {
        Turning::Turn { list, .. } if list == wanted.list => State::Direct(None),
        Turning::Left {
            why: Why::Third(_), ..
        } => State::Taken(taken),
        // Into a tree, under the list's own name: whatever it asks for there, it is the list's.
        Turning::Left { list, why } if list.as_ref().is_none_or(|list| *list == wanted.list) => {
            State::Direct(Some(why))
        }
        _ => State::Taken(taken),
    }
}

/// Whether all that `name` leads to, by whatever other addresses of its list, is these addresses
/// again: an MTA goes round, and bounces. One that is missing is told as missing.
fn is_circle(found: &Found, name: &str, siblings: &BTreeSet<String>) -> bool {
    let mut seen = BTreeSet::from([name.to_owned()]);
    let mut next = vec![name.to_owned()];
    while let Some(name) = next.pop() {
        let Some(place) = found.winner(&found.places(&name)) else {
            return false;
        };
        for means in found.destinations(place) {
            let Means::Address(address) = means else {
                return false;
            };
            let to = String::from_utf8_lossy(&address).to_ascii_lowercase();
            // To itself by name: that is a user of this host.
            if to == name || !siblings.contains(&to) {
                return false;
            }
            if seen.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    true
}

/// Entries of ours among `places` that should not be there.
///
/// `exist` are the lists that exist, where that could be told.
pub(super) fn stale(
    trees: &Trees<'_>,
    parity: &Parity,
    found: &Found,
    places: impl Iterator<Item = Place>,
    exist: Option<&BTreeSet<ListName>>,
) -> Vec<Stale> {
    // Where a profile cannot be read, what a tree in use has not cannot be told.
    let all_told = trees.broken().next().is_none();
    let is_gone = |list: &ListName| {
        exist.is_some_and(|all| !all.contains(list)) && !parity.on_future.contains(list)
    };
    let is_unused = |verb: Verb, list: &ListName, place: Place| {
        let mut in_use = trees.in_use(parity);
        let is_known = in_use.any(|(_, profile)| profile.routing.knows(verb));
        !is_known || wanted::is_out_of_use(trees, parity, list, &found.name(place))
    };
    let mut stale = Vec::new();
    // A list's entries mostly stand together: its name is judged once.
    let mut last: Option<(&[u8], ListName, bool)> = None;
    for place in places {
        let pipe = found.plain_pipe(place);
        let written = pipe.and_then(|command| trees.as_written(command));
        let (verb, list, gone) = match (&last, written) {
            (Some((name, list, gone)), Some((verb, its))) if *name == its => (verb, list, *gone),
            _ => {
                let Some((verb, list)) = ours(trees, found, place) else {
                    continue;
                };
                let gone = is_gone(&list);
                let name = written.map_or(&b""[..], |(_, name)| name);
                let (_, list, _) = last.insert((name, list, gone));
                (verb, &*list, gone)
            }
        };
        let why = if gone {
            StaleWhy::Gone
        } else if all_told && is_unused(verb, list, place) {
            StaleWhy::Unused
        } else {
            continue;
        };
        let list = list.clone();
        stale.push(Stale { place, list, why });
    }
    stale
}
