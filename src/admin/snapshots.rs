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
use crate::admin::outcome::{Done, Outcome, Refused, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::step::Step;
use crate::admin::terminal;
use crate::parity::Role;
use crate::settings::Settings;
use crate::site::Site;
use crate::snapshots::{self, Snapshot, SnapshotError, Store};

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
    let text = match format {
        Format::Json => {
            let rows: Vec<_> = found.iter().map(row).collect();
            terminal::json(&json!({"format": 1, "snapshots": rows}))
        }
        Format::Text => table(&found),
    };
    Ok(Done {
        text,
        failed: broken.iter().map(ToString::to_string).collect(),
        ..Done::default()
    })
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
                format!("{} ({})", one.why, one.command.escape_debug()),
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

/// `snapshots restore LIST`.
///
/// # Errors
/// There is no such snapshot, somebody is inside, or it cannot be put back.
pub fn restore(site: &Site, list: &OsStr, at: Option<&str>, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let list = site
        .list(list.as_bytes())
        .map_err(|_| change.refuse(format!("{list:?} is not the name of a list")))?;
    let (found, _) = Store::of(site)
        .all(&|name| name == list.as_str())
        .map_err(|error| change.refuse(error))?;
    let mut found = found.into_iter().rev();
    let snapshot = found
        .find(|one| at.is_none_or(|at| one.id == at))
        .ok_or_else(|| {
            let none = SnapshotError::None(list.clone(), at.map(str::to_owned));
            let look = typed(site, &format!("snapshots {list}"));
            change.refuse(none).hint(look)
        })?;
    let (current, future) = change.trees()?;
    let roles = change.parity().roles.clone();
    let tree = match change.parity().of(&list) {
        Role::Current => (current, roles.current_release.as_str()),
        Role::Future => (future, roles.future_release.as_str()),
    };
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
