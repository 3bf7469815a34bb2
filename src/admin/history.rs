//! What was changed, when, by whom and why; and which hooks ran with it.
//!
//! **Invariants.** Only reads; needs no privilege.

use std::collections::BTreeSet;

use serde_json::json;

use crate::admin::aliases;
use crate::admin::moving::unclear_refusal;
use crate::admin::outcome::{Done, Outcome, Refused, brief};
use crate::admin::past;
use crate::admin::selection::{self, Which};
use crate::admin::step::no_state;
use crate::admin::terminal;
use crate::list::ListName;
use crate::site::Site;
use crate::store::{self, Delta, Entry, Ran};

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs; `format` counts its versions.
    Json,
}

const ACT: &str = "read the history";

/// `history`: every change, the oldest first; with lists, those that concern them.
///
/// # Errors
/// The history cannot be read; a word means no list.
pub fn history(site: &Site, which: &Which, format: Format) -> Outcome {
    let entries = store::history(site).map_err(|error| no_state(ACT, site, &error))?;
    let shown: Vec<&Entry> = match which {
        Which::All => entries.iter().collect(),
        Which::Named(_) => past::concerning(site, &entries, &chosen(site, &entries, which)?),
    };
    let hooks = store::ran(site);
    let ran = |entry: &Entry| match &hooks {
        Ok(hooks) => Some(hooks.get(&entry.generation).map_or(&[][..], Vec::as_slice)),
        Err(_) => None,
    };
    let text = match format {
        Format::Text => {
            let lines = shown.iter().map(|entry| line(entry, ran(entry)));
            // They are root's to read: what they printed may be anything.
            let hidden = hooks.as_ref().err();
            let hidden =
                hidden.map(|error| format!("note: what hooks did cannot be told: {error}\n"));
            lines.chain(hidden).collect()
        }
        Format::Json => {
            let rows: Vec<_> = shown.iter().map(|entry| row(entry, ran(entry))).collect();
            terminal::json(&json!({"format": 1, "changes": rows}))
        }
    };
    Ok(Done::saying(text))
}

/// The lists that were meant: there are, or that the history names.
fn chosen(site: &Site, entries: &[Entry], which: &Which) -> Result<BTreeSet<ListName>, Refused> {
    let names = entries.iter().flat_map(past::names);
    let mut lists: BTreeSet<ListName> = names.filter_map(|name| site.list(name).ok()).collect();
    let enumerated = match store::load(site) {
        Ok(loaded) => {
            let known = aliases::known_at_least(site, &loaded.parity);
            lists.extend(known.lists);
            known.enumerated
        }
        Err(error) => Err(error.to_string()),
    };
    let beyond = || enumerated.clone().map(|()| BTreeSet::new());
    selection::choose(site, which, &lists, &beyond)
        .map(|choice| choice.lists)
        .map_err(|unclear| unclear_refusal(ACT, unclear))
}

fn line(entry: &Entry, hooks: Option<&[Ran]>) -> String {
    let mut line = format!(
        "{:>5}  {}  {}  {}",
        entry.generation,
        entry.when.escape_debug(),
        entry.user.escape_debug(),
        brief(&entry.command)
    );
    if let Some(undone) = entry.undoes {
        line += &format!("  takes {undone} back");
    }
    if let Some(reason) = &entry.reason {
        line += &format!("  ({})", reason.escape_debug());
    }
    let hooks = hooks.unwrap_or_default();
    let failed = hooks.iter().filter(|ran| !ran.well).count();
    match (hooks.len(), failed) {
        (0, _) => {}
        (ran, 0) => line += &format!("  hooks: {ran} ran"),
        (ran, failed) => line += &format!("  hooks: {ran} ran, {failed} failed"),
    }
    line.push('\n');
    line
}

fn row(entry: &Entry, hooks: Option<&[Ran]>) -> serde_json::Value {
    let side = |delta: &Delta| serde_json::to_value(delta).unwrap_or_default();
    json!({
        "generation": entry.generation,
        "when": entry.when,
        "user": entry.user,
        "uid": entry.uid,
        "command": entry.command,
        "reason": entry.reason,
        "undoes": entry.undoes,
        "before": side(&entry.before),
        "after": side(&entry.after),
        "judged": entry.judged,
        "hooks": hooks.map(|hooks| hooks.iter().map(hook).collect::<Vec<_>>()),
    })
}

fn hook(ran: &Ran) -> serde_json::Value {
    json!({
        "on": ran.on,
        "step": ran.step,
        "program": ran.program,
        "list": ran.list,
        "well": ran.well,
        "end": ran.end,
        "milliseconds": ran.milliseconds,
        "output": ran.output,
    })
}
