//! `mm-parity snapshots`: what is kept of lists' data, old ones removed, one put back.
//!
//! **Invariants.** To show them needs no lock, but the right to read them, which is root's. What is
//! put back sets today's data aside: to undo it is to put those back.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::admin::change::Change;
use crate::admin::closing::Moves;
use crate::admin::fence;
use crate::admin::glob;
use crate::admin::history::Format;
use crate::admin::outcome::{Done, Outcome, Refused, brief, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::step::Step;
use crate::admin::terminal;
use crate::list::ListName;
use crate::parity::Role;
use crate::profiles::Profile;
use crate::settings::Settings;
use crate::site::Site;
use crate::snapshots::{self, Snapshot, SnapshotError, Store, Why};
use crate::tree::Tree;

/// `snapshots [LIST…]`.
///
/// # Errors
/// They cannot be read.
pub fn list(site: &Site, lists: &[OsString], format: Format) -> Outcome {
    const ACT: &str = "show the snapshots";
    let is_asked =
        |name: &str| lists.is_empty() || lists.iter().any(|word| is_meant(site, word, name));
    let (found, broken) = Store::of(site)
        .all(&is_asked)
        .map_err(|error| Refused::new(ACT, error))?;
    let unread: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let text = match format {
        Format::Json => {
            let rows: Vec<_> = found.iter().map(row).collect();
            terminal::json(&json!({"format": 1, "snapshots": rows, "unread": unread}))
        }
        Format::Text => {
            let notes = unread
                .iter()
                .map(|error| format!("note: cannot be read: {error}\n"));
            table(&found) + &notes.collect::<String>()
        }
    };
    Ok(Done::saying(text))
}

fn is_meant(site: &Site, word: &OsStr, name: &str) -> bool {
    match glob::is_glob(word.as_bytes()) {
        true => glob::matches(&word.as_bytes().to_ascii_lowercase(), name),
        false => site
            .list(word.as_bytes())
            .is_ok_and(|list| list.as_str() == name),
    }
}

fn table(found: &[Snapshot]) -> String {
    if found.is_empty() {
        return "no snapshots\n".to_owned();
    }
    let rows: Vec<[String; 7]> = found
        .iter()
        .map(|one| {
            [
                one.id.clone(),
                one.list.escape_debug().to_string(),
                one.when.escape_debug().to_string(),
                format!("{} {}", one.tree.escape_debug(), one.release.escape_debug()),
                one.data_version
                    .map_or("-".to_owned(), |version| format!("data {version}")),
                fence::size(one.bytes),
                format!("{} ({})", one.why, brief(&one.command)),
            ]
        })
        .collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max();
    let widths: Vec<usize> = (0..7).map(|n| width(n).unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", line.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(one: &Snapshot) -> serde_json::Value {
    json!({
        "id": one.id,
        "list": one.list,
        "when": one.when,
        "generation": one.generation,
        "why": one.why,
        "command": one.command,
        "tree": one.tree,
        "release": one.release,
        "data_version": one.data_version,
        "files": one.files,
        "bytes": one.bytes,
    })
}

/// `snapshots prune`: keeps so many of each list, or as many as site.toml says.
///
/// # Errors
/// They cannot be read or removed.
pub fn prune(site: &Site, keep: Option<usize>, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let keep = match keep {
        Some(keep) => keep,
        None => {
            Settings::of(site)
                .map_err(|error| change.refuse(error))?
                .snapshots
                .keep
        }
    };
    let store = Store::of(site);
    let (all, broken) = store.all(&|_| true).map_err(|error| change.refuse(error))?;
    let parity = change.parity().clone();
    let going = snapshots::surplus(&all, keep, &|list| fence::may_go_back(&parity, list));
    for one in &going {
        let line = format!(
            "{} {} of {} ({})",
            change.verb("removed", "would remove"),
            one.id,
            one.list.escape_debug(),
            fence::size(one.bytes)
        );
        change.say(line);
    }
    if request.mode == Mode::Real {
        snapshots::prune(&store, &going).map_err(|error| change.refuse(error))?;
    }
    if going.is_empty() {
        change.say("nothing to do: each of them is among the newest of its list, or the only copy");
    }
    for error in broken {
        change.say(format!("note: left as it is: {error}"));
    }
    Ok(change.end())
}

/// `snapshots restore LIST`, of which snapshot, and whether by force.
///
/// # Errors
/// There is no such snapshot, the release is not known to read it, somebody is inside, or it cannot be
/// put back.
pub fn restore(
    site: &Site,
    list: &OsStr,
    (at, by_force): (Option<&str>, bool),
    request: &Request,
) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let list = site
        .list(list.as_bytes())
        .map_err(|_| change.refuse(format!("{list:?} is not the name of a list")))?;
    let (current, future) = change.trees()?;
    let roles = change.parity().roles.clone();
    let tree = match change.parity().of(&list) {
        Role::Current => (current, roles.current_release.as_str()),
        Role::Future => (future, roles.future_release.as_str()),
    };
    let snapshot = chosen(&change, &list, at, &tree.0.name)?;
    if !by_force {
        refuse_unread(&change, &list, &snapshot, tree)?;
    }
    let after = change.parity().again();
    let told = vec![
        format!(
            "{}: the data of {list} as in snapshot {} of {}",
            change.verb("put back", "would put back"),
            snapshot.id,
            snapshot.when.escape_debug()
        ),
        format!("it stays on tree {} {}", tree.0.name, tree.1.escape_debug()),
    ];
    let one = vec![(list.clone(), snapshot)];
    let restore = fence::restoring(&mut change, one, tree, after.roles.generation)?;
    let step = Step {
        moves: Some(Moves::Still(BTreeSet::from([list]))),
        restore: Some(restore),
        ..Step::to(after)
    };
    change.carry_out(step, &told)?;
    if request.mode == Mode::Real {
        change.say(format!("the way back: {}", typed(site, "undo")));
    }
    Ok(change.end())
}

/// The snapshot `at`; without that, the newest of data as `tree` had them. What stood there for a
/// moment, when putting it back was cut short, is taken by its name alone.
///
/// # Errors
/// There is none.
fn chosen(
    change: &Change<'_>,
    list: &ListName,
    at: Option<&str>,
    tree: &str,
) -> Result<Snapshot, Refused> {
    let (found, broken) = Store::of(change.site)
        .all(&|name| name == list.as_str())
        .map_err(|error| change.refuse(error))?;
    let is_it = |one: &Snapshot| match at {
        Some(at) => one.id == at,
        None => one.tree == tree && one.why != Why::CutShort,
    };
    let found = found.into_iter().rev().find(is_it);
    found.ok_or_else(|| {
        let none = SnapshotError::None(list.clone(), at.map(str::to_owned)).to_string();
        let mut refused = match at {
            Some(_) => change.refuse(none),
            None => change.refuse(format!("{none} of its data on tree {tree}")),
        };
        let unread = broken
            .iter()
            .map(|error| format!("cannot be read: {error}"));
        refused.reasons.extend(unread);
        let look = typed(change.site, &format!("snapshots {list}"));
        refused.hint(format!("what there is: {look}; then: --at ID"))
    })
}

/// Data of another release may be beyond what the list's own reads.
fn refuse_unread(
    change: &Change<'_>,
    list: &ListName,
    snapshot: &Snapshot,
    (tree, release): (&Tree, &str),
) -> Result<(), Refused> {
    let profile = Profile::of(change.site, tree).map_err(|error| change.refuse(error))?;
    let Some(version) = snapshot.data_version else {
        return Ok(());
    };
    let is_its_own = snapshot.tree == tree.name && snapshot.release == release;
    let range = profile.reads(release);
    let is_read = range.as_ref().is_some_and(|range| range.contains(&version));
    if is_its_own || is_read || !profile.says_what_is_read() {
        return Ok(());
    }
    let reads = range.map_or("not known to read any".to_owned(), |range| {
        format!("known to read {}", fence::told(&range))
    });
    let refused = change.refuse(format!(
        "snapshot {} of {list} has data version {version}; release {release:?} in tree {} is {reads}",
        snapshot.id, tree.name
    ));
    let again = format!("snapshots restore {list} --at {} --force", snapshot.id);
    Err(refused
        .hint(format!(
            "others: {}",
            typed(change.site, &format!("snapshots {list}"))
        ))
        .hint(format!(
            "to put it back all the same: {}",
            typed(change.site, &again)
        )))
}
