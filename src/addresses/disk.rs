//! The alias files and the MTA's database on disk: the crate `aliases` does it, this says it in
//! our words.
//!
//! **Invariants.** No file is written but through the crate, which replaces it whole or not at
//! all. An editor who was faster is `Raced`, and never overwritten.

use std::collections::BTreeSet;
use std::path::Path;

use aliases::{
    Astray, Cause, Document, Exim, Expected, Left, MapState, MapTrouble, Method, MtaError,
    OpenSmtpd, Override, Postfix, PublishError, Published, Sendmail,
};

use super::error::{AddressError, some_of};
use super::found::AliasFile;
use super::source::{self, Original, said};
use super::typed::quoted;
use crate::config;
use crate::site::Site;

/// Whether the file may be replaced: also known before anything is done.
///
/// # Errors
/// It has a second name, which would be parted from it.
pub(super) fn check_editable(file: &AliasFile) -> Result<(), AddressError> {
    let checked = file.original.check_one_name();
    checked.map_err(|error| said(&file.path, &error))
}

/// Replaces what was read by `text`, and the MTA's database with it, which must then have
/// these names as the text has them. Returns what the admin should know.
///
/// # Errors
/// `Raced` if somebody else was faster; `Half` if something is left to be looked at; else
/// nothing has changed.
pub(super) fn publish(
    site: &Site,
    original: &Original,
    path: &Path,
    text: &Document,
    names: &BTreeSet<String>,
) -> Result<Vec<String>, AddressError> {
    if let Some(line) = text.refused() {
        return Err(AddressError::Database(format!(
            "{}, line {line}: the MTA would refuse the whole file, go on with what it read before, \
             and not start again; nothing has changed",
            path.display()
        )));
    }
    let expected = expected(text, names);
    let published = mta(site)?.publish(original, text, &expected);
    published
        .map(|done| notes(path, &done))
        .map_err(|error| unpublished(path, Some(text), &error))
}

/// Builds the MTA's database of this file anew from the text as it stands.
///
/// # Errors
/// As [`publish`].
pub(super) fn rebuild(
    site: &Site,
    file: &AliasFile,
    names: &BTreeSet<String>,
) -> Result<Vec<String>, AddressError> {
    let names = names_of(file, names);
    let expected = expected(&file.document, &names);
    let rebuilt = mta(site)?.rebuild(&file.original, &expected);
    rebuilt
        .map(|done| notes(&file.path, &done))
        .map_err(|error| unpublished(&file.path, Some(&file.document), &error))
}

/// Has a running MTA that holds this file in memory read it again: what it holds cannot be asked.
///
/// # Errors
/// It refuses, or does not answer: it may go on with what it read before.
pub(super) fn tell(site: &Site, file: &AliasFile) -> Result<Vec<String>, AddressError> {
    let told = mta(site)?.tell(&file.original);
    told.map_err(|error| AddressError::Database(error.to_string()))
}

/// Removes what a killed run left beside this file and its database.
pub(super) fn sweep(site: &Site, file: &AliasFile) {
    if let Ok(mta) = mta(site) {
        mta.sweep(&file.original);
    }
}

/// As [`check_read`], of each alias file that is there.
///
/// # Errors
/// `Unread`.
pub fn check_all_read(site: &Site) -> Result<(), AddressError> {
    let files = site.config.alias_files.iter();
    let there = files.filter_map(|path| source::read(path).ok());
    there
        .into_iter()
        .try_for_each(|original| check_read(site, &original))
}

/// Whether mail goes by this file at all. What cannot be told is passed over: who builds or asks the
/// database says it.
///
/// # Errors
/// `Unread`.
pub(super) fn check_read(site: &Site, original: &Original) -> Result<(), AddressError> {
    let Err(error) = mta(site)
        .map(|mta| mta.check_read(original))
        .unwrap_or(Ok(()))
    else {
        return Ok(());
    };
    let told = error.to_string();
    let MtaError::NotRead {
        service, wanted, ..
    } = error
    else {
        return Ok(());
    };
    let set = match &service {
        None => format!("postconf -e {}", quoted(&format!("alias_maps={wanted}"))),
        Some(service) => {
            let set = format!("{service}/alias_maps={wanted}");
            format!("postconf -P {}", quoted(&set))
        }
    };
    let mend = format!("{set} && postfix reload");
    Err(AddressError::Unread(told, mend, service))
}

/// What the MTA's database of this file has otherwise than the text, for those of `names` that
/// the file has: one sentence each.
///
/// # Errors
/// `Unread`; the MTA's tools cannot be asked.
pub(super) fn verify(
    site: &Site,
    file: &AliasFile,
    names: &BTreeSet<String>,
) -> Result<Vec<String>, AddressError> {
    check_read(site, &file.original)?;
    let expected = expected(&file.document, &names_of(file, names));
    let states = mta(site)?
        .verify(&file.original, &expected)
        .map_err(|error| AddressError::Database(error.to_string()))?;
    let said = |state| trouble(&file.path, state);
    Ok(states.into_iter().filter_map(said).collect())
}

/// What is wrong with a map of the text at `path`, if anything: a sentence.
pub(super) fn trouble(path: &Path, state: MapState) -> Option<String> {
    let map = &state.file;
    Some(match state.trouble? {
        MapTrouble::Missing => format!("{map:?} is missing: the MTA finds nothing of {path:?}"),
        MapTrouble::Unreadable(why) => format!(
            "{map:?} cannot be read: all mail for {path:?} waits or bounces: {}",
            crate::syslog::printable(&why)
        ),
        MapTrouble::Untold => {
            format!("the MTA may not have been told of {path:?}: a run was killed before it did")
        }
        MapTrouble::Stale => format!("{map:?} is older than {path:?}"),
        MapTrouble::Wrong(names) => {
            let names: Vec<String> = names
                .iter()
                .map(|name| name.escape_ascii().to_string())
                .collect();
            format!(
                "{map:?} leads these elsewhere than {path:?}, or only one of both has them: {}",
                some_of(&names)
            )
        }
    })
}

/// What the database has of a file that has no entry.
///
/// # Errors
/// The MTA's tools cannot be asked.
pub(super) fn left_in_maps(site: &Site, file: &AliasFile) -> Result<Vec<Left>, AddressError> {
    let left = mta(site)?.left_in_maps(&file.original);
    left.map_err(|error| AddressError::Database(error.to_string()))
}

/// The services of Postfix that read other alias files than this one.
///
/// # Errors
/// Postfix' tools cannot be asked.
pub(super) fn overrides(site: &Site, file: &AliasFile) -> Result<Vec<Override>, MtaError> {
    match site.config.mta {
        config::Mta::Postfix => Postfix::find()?.overrides(&file.original),
        _ => Ok(Vec::new()),
    }
}

/// Whether the MTA is one that can be asked what it makes of a file.
pub(super) fn has_database(site: &Site) -> bool {
    !matches!(site.config.mta, config::Mta::None)
}

fn mta(site: &Site) -> Result<aliases::Mta, AddressError> {
    let found = match site.config.mta {
        config::Mta::None => Ok(aliases::Mta::None),
        config::Mta::Postfix => Postfix::find().map(aliases::Mta::Postfix),
        config::Mta::Sendmail => Sendmail::find().map(aliases::Mta::Sendmail),
        config::Mta::Exim => Exim::find().map(aliases::Mta::Exim),
        config::Mta::OpenSmtpd => OpenSmtpd::find().map(aliases::Mta::OpenSmtpd),
    };
    found.map_err(|error| AddressError::Database(error.to_string()))
}

fn names_of(file: &AliasFile, names: &BTreeSet<String>) -> BTreeSet<String> {
    let here = |name: &&String| file.document.lookup(name.as_bytes()).is_some();
    names.iter().filter(here).cloned().collect()
}

/// What the MTA must have of these names by this text.
pub(super) fn expected(document: &Document, names: &BTreeSet<String>) -> Vec<Expected> {
    let entry = |name: &String| {
        let found = document
            .lookup(name.as_bytes())
            .and_then(|id| document.entry(id));
        found.map_or_else(
            || Expected::absent(name.as_bytes()),
            |entry| Expected::entry(&entry),
        )
    };
    names.iter().map(entry).collect()
}

/// What the admin should know of what was published, a sentence each.
pub(super) fn notes(path: &Path, done: &Published) -> Vec<String> {
    let mut notes = done.notes.clone();
    let warnings: Vec<String> = done
        .warnings
        .iter()
        .map(|warning| crate::syslog::printable(warning))
        .collect();
    if !warnings.is_empty() {
        let lines = match warnings.len() {
            1 => "1 line".to_owned(),
            n => format!("{n} lines"),
        };
        notes.push(format!(
            "the MTA's own tool warns of {lines} that it skips, or reads otherwise than they look: {}",
            some_of(&warnings)
        ));
    }
    if done
        .replaced
        .as_ref()
        .is_some_and(|replaced| replaced.method() == Method::Renamed)
    {
        notes.push(format!(
            "{path:?}: its file system cannot exchange files; it was renamed into place"
        ));
    }
    notes
}

/// Why a file and its database were not published, with the lines of an alias file in question.
pub(super) fn unpublished(
    path: &Path,
    text: Option<&Document>,
    error: &PublishError,
) -> AddressError {
    match error {
        error if error.is_editor_faster() => AddressError::Raced(path.to_owned()),
        PublishError::Refused(Cause::File(error)) => said(path, error),
        PublishError::Refused(_) | PublishError::PutBack(_) => {
            let places = text.map(|text| where_astray(path, text, error));
            AddressError::Database(format!("{error}{}", places.unwrap_or_default()))
        }
        _ => AddressError::Half(vec![path.to_owned()], error.to_string()),
    }
}

/// Where the entries stand that the MTA reads otherwise than they were meant, and what to do about it.
fn where_astray(path: &Path, text: &Document, error: &PublishError) -> String {
    let (PublishError::Refused(Cause::Mta(MtaError::Wrong { names, .. }))
    | PublishError::PutBack(Cause::Mta(MtaError::Wrong { names, .. }))) = error
    else {
        return String::new();
    };
    let place = |astray: &Astray| {
        let entry = text.entry(text.lookup(&astray.expected.name)?)?;
        Some(format!(
            "{}:{}:{}",
            path.display(),
            entry.line(),
            entry.column()
        ))
    };
    let places: Vec<String> = names.iter().filter_map(place).collect();
    if places.is_empty() {
        return String::new();
    }
    format!(
        "; the MTA reads these otherwise than mm-aliases does: {}: write each on one line, a pipe in \
         double quotes and nothing behind it, remove other entries of that name, and run this again",
        some_of(&places)
    )
}

#[cfg(test)]
mod tests {
    use aliases::{DestinationKind, Dialect};

    use super::*;

    #[test]
    fn warnings_are_counted_and_say_who_warns() {
        let done = |count: usize| Published {
            replaced: None,
            maps: Vec::new(),
            notes: Vec::new(),
            warnings: (1..=count)
                .map(|n| format!("/etc/aliases, line {n}: need name:value pair"))
                .collect(),
        };
        let path = Path::new("/etc/aliases");
        assert!(notes(path, &done(0)).is_empty());
        let told = notes(path, &done(7));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("the MTA's own tool warns of 7 lines that it skips"));
        assert!(told[0].ends_with("line 5: need name:value pair and 2 more"));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_told_with_its_line_and_what_to_do() {
        let text = Document::parse(&b"# c\na: \"|/p x\" y\n"[..], Dialect::Postfix);
        let names = vec![Astray {
            expected: Expected {
                name: b"a".to_vec(),
                destinations: Some(vec![DestinationKind::Pipe(b"/p x".to_vec())]),
            },
            found: Some(vec![
                DestinationKind::Pipe(b"/p x".to_vec()),
                DestinationKind::Address(b"\x0c".to_vec()),
            ]),
        }];
        let map = "/etc/aliases.db".into();
        let error = PublishError::Refused(Cause::Mta(MtaError::Wrong { map, names }));
        let told = unpublished(Path::new("/etc/aliases"), Some(&text), &error).to_string();
        let expected = "names do not lead where they should: \"a\" leads to \"|/p x\", \"\\x0c\", and \
                        should lead to \"|/p x\"; nothing has changed; the MTA reads these otherwise \
                        than mm-aliases does: /etc/aliases:2:1: write each on one line";
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains('\n'), "{told}");
    }
}
