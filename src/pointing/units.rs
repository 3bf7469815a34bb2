//! systemd's units that are enabled, in the directories and the order that systemd has
//! (systemd.unit(5)).
//!
//! A unit of a directory hides those of the same name in the later ones, and a link to /dev/null
//! hides them all. A unit with [Install] counts where something wants it; one without is started by
//! others, and counts. A template counts as often as it has an instance that is wanted.
//!
//! **Invariants.** By files alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Found, Kind, Target, files, text};

const DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "lib/systemd/system",
    "usr/lib/systemd/system",
];
const KINDS: [&str; 4] = ["service", "timer", "path", "socket"];

pub(super) fn look(root: &Path, target: &Target, found: &mut Found) {
    let directories = DIRECTORIES.map(|directory| root.join(directory));
    let wanted = wanted(&directories);
    let mut seen = BTreeSet::new();
    for directory in &directories {
        // Also links to /dev/null, which are no plain files.
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                found.could_not(directory, error);
                continue;
            }
        };
        let mut units: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        units.sort();
        for unit in units {
            let name = unit.file_name().unwrap_or_default().to_string_lossy();
            let is_unit = KINDS
                .iter()
                .any(|kind| unit.extension().is_some_and(|ext| ext == *kind));
            if is_unit && seen.insert(name.clone().into_owned()) && unit.is_file() {
                add(&name, &unit, &directories, &wanted, target, found);
            }
        }
    }
}

/// A unit and what is added to it (`UNIT.d`), if it is enabled.
fn add(
    name: &str,
    unit: &Path,
    directories: &[PathBuf],
    wanted: &BTreeSet<String>,
    target: &Target,
    found: &mut Found,
) {
    let whole = match text(unit) {
        Ok(whole) => whole,
        Err(error) => return found.could_not(unit, error),
    };
    let is_installed = whole.lines().any(|line| line.trim() == "[Install]");
    let instances: Vec<Option<&str>> = match name.split_once("@.") {
        Some((stem, kind)) => wanted
            .iter()
            .filter_map(|name| {
                let instance = name.strip_prefix(stem)?.strip_prefix('@')?;
                instance.strip_suffix(kind)?.strip_suffix('.')
            })
            .map(Some)
            .collect(),
        None if is_installed && !wanted.contains(name) => Vec::new(),
        None => vec![None],
    };
    let mut texts = vec![(unit.to_owned(), whole)];
    for directory in directories {
        for more in files(&directory.join(format!("{name}.d")), found) {
            texts.extend(text(&more).ok().map(|text| (more, text)));
        }
    }
    for instance in instances {
        for (file, text) in &texts {
            let text = match instance {
                Some(instance) => text.replace("%i", instance).replace("%I", instance),
                None => text.clone(),
            };
            found.add(Kind::Unit, file, &text, target);
        }
    }
}

/// The names of units that others want or require.
fn wanted(directories: &[PathBuf]) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    let below = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten();
    for directory in directories {
        for entry in below(directory) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".wants") || name.ends_with(".requires") {
                let names = below(&entry.path()).map(|unit| unit.file_name());
                wanted.extend(names.map(|name| name.to_string_lossy().into_owned()));
            }
        }
    }
    wanted
}
