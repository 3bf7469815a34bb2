//! What was changed, when, by whom and why.
//!
//! **Invariants.** Only reads; needs no privilege.

use serde_json::json;

use crate::admin::outcome::{Done, Outcome};
use crate::admin::step::no_state;
use crate::admin::terminal;
use crate::site::Site;
use crate::store::{self, Delta, Entry};

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs; `format` counts its versions.
    Json,
}

/// `history`: every change, the oldest first.
///
/// # Errors
/// The history cannot be read.
pub fn history(site: &Site, format: Format) -> Outcome {
    let entries =
        store::history(site).map_err(|error| no_state("read the history", site, &error))?;
    let text = match format {
        Format::Text => entries.iter().map(line).collect(),
        Format::Json => {
            let rows: Vec<_> = entries.iter().map(row).collect();
            terminal::json(&json!({"format": 1, "changes": rows}))
        }
    };
    Ok(Done::saying(text))
}

fn line(entry: &Entry) -> String {
    let mut line = format!(
        "{:>5}  {}  {}  {}",
        entry.generation,
        entry.when.escape_debug(),
        entry.user.escape_debug(),
        entry.command.escape_debug()
    );
    if let Some(undone) = entry.undoes {
        line += &format!("  takes {undone} back");
    }
    if let Some(reason) = &entry.reason {
        line += &format!("  ({})", reason.escape_debug());
    }
    line.push('\n');
    line
}

fn row(entry: &Entry) -> serde_json::Value {
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
    })
}
