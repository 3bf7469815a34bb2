//! The map of lists of domains: printed or put in place of a file (`mm-aliases virtual`), and kept
//! in line where site.toml names that file.
//!
//! **Invariants.** Nothing is written without the writer's lock.

use std::collections::BTreeSet;
use std::path::Path;

use super::decide::Intent;
use super::domains::Map;
use super::error::AddressError;
use super::found::Found;
use super::postmap::{self, Done};
use super::typed::typed;
use super::view::View;
use crate::parity::Parity;
use crate::site::Site;
use crate::store::{self, Writer};

/// The text of the map, or what became of the file that it is to replace.
///
/// # Errors
/// Which lists there are cannot be told, none has a domain, or the file cannot be replaced.
pub(super) fn shown(site: &Site, output: Option<&Path>) -> Result<String, AddressError> {
    let Some(path) = output else {
        let parity = store::load(site)?.parity;
        let found = Found::read(site)?;
        let map = Map::of(&View::new(site, &parity, &found)?)?;
        let left = map.left.iter().map(|line| format!("# left: {line}\n"));
        return Ok(map.text() + &left.collect::<String>());
    };
    let writer = Writer::take(site, "mm-aliases virtual")?;
    let found = Found::read(site)?;
    let map = Map::of(&View::new(site, writer.parity(), &found)?)?;
    let path = std::path::absolute(path)
        .map_err(|error| AddressError::Io("find", path.to_owned(), error))?;
    let count = map.lines.len();
    let said = match postmap::publish(site, &path, &map, &writer)? {
        Done::Nothing => "nothing to change\n".to_owned(),
        Done::Written { maps, notes } => {
            let how = match maps.is_empty() {
                true => format!("{count} addresses; virtual_alias_maps has no map of it"),
                false => format!("{count} addresses, with {maps:?}"),
            };
            let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
            format!("{path:?} is written: {how}\n{notes}")
        }
    };
    let left = map.left.iter().map(|line| format!("left: {line}\n"));
    Ok(said + &left.collect::<String>())
}

/// What a file of the map has otherwise than it should have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Addresses that it has not.
    pub(super) missing: Vec<String>,
    /// Lines, from 1, that should not be there, and their addresses.
    pub(super) stale: Vec<(usize, String)>,
}

impl Difference {
    pub(super) fn of(map: &Map, text: &[u8]) -> Difference {
        let text = String::from_utf8_lossy(text);
        let mut wanted: BTreeSet<(&str, &str)> = map
            .lines
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let mut stale = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if !wanted.remove(&(key, value.trim_start())) {
                stale.push((number + 1, key.to_owned()));
            }
        }
        let missing = wanted.into_iter().map(|(key, _)| key.to_owned());
        Difference {
            missing: missing.collect(),
            stale,
        }
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Difference::default()
    }
}

/// Brings the file that site.toml names in line with the entries that stand since `intent` was
/// done; `is_changed` says whether any was changed. Sentences: what was done.
///
/// # Errors
/// Only of sync, which is typed for it. What any other act did is whole without it.
pub(super) fn keep(
    site: &Site,
    parity: &Parity,
    (intent, is_changed): (&Intent, bool),
    writer: &Writer,
) -> Result<Vec<String>, AddressError> {
    let is_sync = matches!(intent, Intent::Sync { .. });
    let Some(path) = site.config.virtual_map.as_deref() else {
        return Ok(Vec::new());
    };
    if !is_sync && !is_changed {
        return Ok(Vec::new());
    }
    match keep_file(site, parity, path, writer) {
        Ok(said) => Ok(said),
        Err(error) if is_sync && is_changed => Err(AddressError::Half(
            site.config.alias_files.clone(),
            error.to_string(),
        )),
        Err(error) if is_sync => Err(error),
        Err(error) => Ok(vec![format!(
            "{path:?} stays as it was: {error}; {} looks again",
            typed(site, "sync")
        )]),
    }
}

fn keep_file(
    site: &Site,
    parity: &Parity,
    path: &Path,
    writer: &Writer,
) -> Result<Vec<String>, AddressError> {
    let found = Found::read(site)?;
    let map = Map::of(&View::new(site, parity, &found)?)?;
    Ok(match postmap::publish(site, path, &map, writer)? {
        Done::Nothing => Vec::new(),
        Done::Written { notes, .. } => {
            let done = format!("{path:?}: {} addresses written", map.lines.len());
            std::iter::once(done).chain(notes).collect()
        }
    })
}

/// What the next sync changes in the file that site.toml names, before the entries change.
///
/// # Errors
/// The file or the entries cannot be read.
pub(super) fn diff(site: &Site, parity: &Parity) -> Result<String, AddressError> {
    let Some(path) = site.config.virtual_map.as_deref() else {
        return Ok(String::new());
    };
    let found = Found::read(site)?;
    let map = Map::of(&View::new(site, parity, &found)?)?;
    let text = std::fs::read(path).unwrap_or_default();
    let Difference { missing, stale } = Difference::of(&map, &text);
    let missing = missing
        .iter()
        .map(|address| format!("{path:?}: {address:?} is missing\n"));
    let stale = stale
        .iter()
        .map(|(line, address)| format!("{path:?}, line {line}: {address:?} is stale\n"));
    Ok(missing.chain(stale).collect())
}
