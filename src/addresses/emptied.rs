//! A text without any entry, whose database still has names of others: a power cut or a full disk in
//! somebody's editor left it so. Mail goes on by the database, which is the last copy.
//!
//! **Invariants.** Reads; writes nothing. Where the text has an entry nobody is asked.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::disk;
use super::error::{AddressError, some_of};
use super::found::AliasFile;
use super::typed::{quoted, typed};
use super::view::View;
use crate::config::Mta;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::site::Site;

/// What stands in the database of such a text.
#[derive(Debug)]
pub struct Emptied {
    path: PathBuf,
    map: PathBuf,
    kind: String,
    /// The names of others, escaped.
    names: Vec<String>,
    mta: Mta,
}

impl fmt::Display for Emptied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Emptied {
            path, map, names, ..
        } = self;
        let count = match names.len() {
            1 => "1 name".to_owned(),
            n => format!("{n} names"),
        };
        write!(
            f,
            "{path:?} has no entry, and its database {map:?} still has {count} of others: {}",
            some_of(names)
        )
    }
}

impl Emptied {
    /// Whether it is about the file at `path`.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        self.path == path
    }

    /// What to do, a sentence each, and `then`.
    pub(super) fn hints(&self, then: &str) -> Vec<String> {
        let path = quoted(&self.path.to_string_lossy());
        let (list, build) = match self.mta {
            Mta::Postfix => {
                let kind = &self.kind;
                let listed = (kind != "cdb").then(|| format!("postalias -s {kind}:{path}"));
                (listed, format!("postalias {kind}:{path}"))
            }
            Mta::Sendmail => {
                let map = quoted(&self.map.to_string_lossy());
                (Some(format!("makemap -u hash {map}")), "newaliases".into())
            }
            _ => (None, "newaliases".to_owned()),
        };
        let shown = list.map(|list| format!(" ({list} shows what the database has)"));
        let shown = shown.unwrap_or_default();
        vec![
            format!("put the file back from a backup{shown}, then {then}"),
            format!("if it is meant to be empty: {build}, then {then}"),
        ]
    }

    /// The same as `check` tells it.
    pub(super) fn finding(&self, site: &Site) -> Finding {
        Finding::new(
            (Kind::Aliases, Severity::Critical),
            self.to_string(),
            Spot::file(&self.path),
            "it goes by the database, and nothing bounces yet: but with the next newaliases mail to \
             these names and to the lists does (no such user); sync and adopt are refused meanwhile",
            Mend::Do(self.hints(&typed(site, "sync")).join("; ")),
        )
    }
}

/// Whether this is such a file: its database has names that are not `ours`.
///
/// # Errors
/// The MTA's tools cannot be asked.
pub(super) fn emptied(
    site: &Site,
    file: &AliasFile,
    ours: impl FnOnce() -> BTreeSet<String>,
) -> Result<Option<Emptied>, AddressError> {
    if !disk::has_database(site) || file.document.entries().next().is_some() {
        return Ok(None);
    }
    let left = disk::left_in_maps(site, file)?;
    if left.is_empty() {
        return Ok(None);
    }
    let ours = ours();
    let is_others =
        |name: &&Vec<u8>| std::str::from_utf8(name).map_or(true, |it| !ours.contains(it));
    let emptied = left.into_iter().map(|map| Emptied {
        path: file.path.clone(),
        names: map
            .names
            .iter()
            .filter(is_others)
            .map(|name| name.escape_ascii().to_string())
            .collect(),
        map: map.file,
        kind: map.kind,
        mta: site.config.mta,
    });
    Ok(emptied.into_iter().find(|it| !it.names.is_empty()))
}

/// The files of this reading that are such. Of a database that cannot be asked whoever builds or
/// verifies it tells: none is built by tools that do not answer.
pub(super) fn all(view: &View<'_>) -> Vec<Emptied> {
    let files = view.found.files.iter();
    let found = files.map(|file| emptied(view.trees.site, file, || wanted(view)));
    found.filter_map(|it| it.ok().flatten()).collect()
}

/// The names that all lists should have: a database that has no others is made of the lists alone.
fn wanted(view: &View<'_>) -> BTreeSet<String> {
    let rows = view.all_rows(|_| true).into_iter();
    rows.map(|row| row.wanted.name).collect()
}
