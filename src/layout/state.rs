//! The state directory, when a site is taken back.
//!
//! **Invariants.** What tells of more than the site's making is kept: the history of what was done,
//! copies of lists' data, logs. parity.toml goes first: without it no command changes anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::plan::Plan;

/// What a site has in its state directory that was only just made.
const FRESH: [&str; 5] = [
    "parity.toml",
    "parity.toml.spare",
    "history.jsonl",
    "lock",
    "writer",
];
/// The directory of the logs of guarded deliveries, which are made empty.
const LOGS: &str = "probation";
/// The directory of the records of the trees' files: the trees themselves tell the same.
const MANIFESTS: &str = "manifests";

/// Whether nothing happened on the site since it was made.
pub fn is_fresh(plan: &Plan) -> bool {
    let history = fs::read_to_string(plan.state.join("history.jsonl")).unwrap_or_default();
    let is_fresh = |name: &String| {
        FRESH.contains(&name.as_str())
            || name == LOGS && are_files(&plan.state.join(LOGS), |bytes| bytes == 0)
            || name == MANIFESTS && are_files(&plan.state.join(MANIFESTS), |_| true)
    };
    history.lines().count() <= 1 && since(plan).iter().all(is_fresh)
}

/// The names in the state directory that were not there before.
fn since(plan: &Plan) -> Vec<String> {
    let entries = fs::read_dir(&plan.state).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !plan.state_names.contains(name))
        .collect();
    names.sort();
    names
}

/// Whether a directory has plain files alone, all of such a length.
fn are_files(directory: &Path, is_length: impl Fn(u64) -> bool) -> bool {
    let mut entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.all(|entry| {
        entry
            .metadata()
            .is_ok_and(|meta| meta.is_file() && is_length(meta.len()))
    })
}

/// Removes what was made in the state directory, or sets it aside where it tells more than that:
/// to where, then.
///
/// # Errors
/// The kernel's.
pub fn remove(plan: &Plan) -> io::Result<Option<PathBuf>> {
    if !plan.state.exists() {
        return Ok(None);
    }
    if !is_fresh(plan) {
        return set_aside(plan).map(Some);
    }
    for name in FRESH {
        match fs::remove_file(plan.state.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for name in [LOGS, MANIFESTS] {
        let directory = plan.state.join(name);
        if !directory.exists() || plan.state_names.contains(name) {
            continue;
        }
        for entry in fs::read_dir(&directory)? {
            fs::remove_file(entry?.path())?;
        }
        fs::remove_dir(directory)?;
    }
    if !plan.had_state {
        fs::remove_dir(&plan.state)?;
    }
    Ok(None)
}

fn set_aside(plan: &Plan) -> io::Result<PathBuf> {
    let aside = free_name(&plan.state)?;
    if !plan.had_state {
        fs::rename(&plan.state, &aside)?;
        return Ok(aside);
    }
    fs::create_dir(&aside)?;
    let mut names = since(plan);
    // parity.toml first.
    names.sort_by_key(|name| name != FRESH[0]);
    for name in names {
        fs::rename(plan.state.join(&name), aside.join(&name))?;
    }
    Ok(aside)
}

fn free_name(state: &Path) -> io::Result<PathBuf> {
    let name = state.file_name().unwrap_or_default().to_string_lossy();
    let names = (0..100).map(|number| match number {
        0 => format!("{name}.undone"),
        more => format!("{name}.undone-{more}"),
    });
    let mut free = names
        .map(|name| state.with_file_name(name))
        .filter(|path| fs::symlink_metadata(path).is_err());
    free.next()
        .ok_or_else(|| io::Error::other(format!("{state:?}: a hundred of them are set aside")))
}
