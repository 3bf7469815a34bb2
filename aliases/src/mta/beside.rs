//! Temporary names beside a map, and what killed runs left under them.
//!
//! A name is `.TARGET.PID.aliases-map` for the copy of the text; a tool puts something behind it for the
//! map that it builds, and Berkeley DB something before it while it does.
//!
//! **Invariants**: only regular files of this very shape of name are touched, and none of a process that
//! lives. Where the MTA holds what it read until it is told, what a killed run left is the sign that it
//! may not have been: it stays until the MTA was told.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::disk::leftover::lives;
use crate::mta::maps::Map;

const END: &str = ".aliases-map";
/// What Berkeley DB puts before a name while it makes the file.
const PAGE: &str = "__db.";

/// A temporary name of this process for the map's file `target`.
pub(crate) fn name(target: &OsStr, suffix: &str) -> OsString {
    let mut name = prefix(target);
    name.push(format!("{}{END}{suffix}", std::process::id()));
    name
}

/// What Berkeley DB calls the file of such a name while it makes it.
pub(crate) fn page(target: &OsStr, suffix: &str) -> OsString {
    let mut page = OsString::from(PAGE);
    page.push(name(target, suffix));
    page
}

/// Removes what killed runs left beside a map, but for the sign of [`is_untold`]. Failing is not worth
/// a word: the next run tries again.
pub(crate) fn sweep(map: &Map) {
    if !map.is_held {
        sweep_told(map);
    }
}

/// The same, where the MTA has been told.
pub(crate) fn sweep_told(map: &Map) {
    let (path, target) = map.place();
    for left in left(&path, &target) {
        let _ = fs::remove_file(left);
    }
}

/// Whether a run was killed that may not have told the MTA of what stands.
pub(crate) fn is_untold(map: &Map) -> bool {
    let (path, target) = map.place();
    map.is_held && left(&path, &target).next().is_some()
}

fn left(path: &Path, target: &OsStr) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let process = process_of(&entry.file_name(), target)?;
        let is_ours = u32::try_from(process) == Ok(std::process::id());
        (is_file && !is_ours && !lives(process)).then(|| entry.path())
    })
}

/// The process in a temporary name.
fn process_of(name: &OsStr, target: &OsStr) -> Option<i32> {
    let name = name.as_bytes();
    let name = name.strip_prefix(PAGE.as_bytes()).unwrap_or(name);
    let rest = name.strip_prefix(prefix(target).as_bytes())?;
    let (process, rest) = std::str::from_utf8(rest).ok()?.split_once('.')?;
    let ours = format!(".{rest}");
    let suffix = ours.strip_prefix(END)?;
    (suffix.is_empty() || suffix.starts_with('.'))
        .then_some(process)?
        .parse()
        .ok()
}

fn prefix(target: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target);
    prefix.push(".");
    prefix
}
