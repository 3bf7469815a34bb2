//! A change of the alias files, taken back: what it was made for did not come about.
//!
//! A file that stands as it was written gets its former bytes. In one that somebody edited since,
//! each entry that still is what was written goes back by itself. The MTA's database follows its
//! text either way. The records stay: without the bytes that they tell of they match nothing.
//!
//! **Invariants.** Only with the writer's lock. What somebody edited stays as it is, and is named.
//! A file that cannot be put back keeps no other one from going back.

use std::collections::BTreeSet;

use aliases::Contents as _;

use super::disk;
use super::edits::{Change, Edits, Rewrite};
use super::emptied;
use super::error::AddressError;
use super::found::Found;
use super::record::{Text, trimmed};
use super::typed::typed;
use crate::site::Site;

/// How often everything is looked at anew when an editor was faster.
pub(super) const ATTEMPTS: usize = 5;

/// What became of a change that was to be taken back.
#[derive(Debug, Default)]
pub struct TakenBack {
    /// What somebody edited meanwhile: a place and a name each.
    pub edited: Vec<String>,
    /// What the admin should know besides: one sentence each.
    pub notes: Vec<String>,
    /// Why something of the change still stands; nothing of it does if there is none.
    pub failed: Vec<AddressError>,
}

/// Puts the bytes before each rewrite back, or entry by entry where somebody edited the file
/// since; `was` is what they rewrote.
pub(super) fn put_back(site: &Site, was: &Found, rewrites: &[Rewrite]) -> TakenBack {
    let failed = |error| TakenBack {
        failed: vec![error],
        ..TakenBack::default()
    };
    let mut raced = None;
    for _ in 0..ATTEMPTS {
        let found = match Found::read(site) {
            Ok(found) => found,
            Err(error) => return failed(error),
        };
        match all_back(site, &found, was, rewrites) {
            Err(error) => raced = Some(error),
            Ok(back) => return back,
        }
    }
    raced.map_or_else(TakenBack::default, failed)
}

/// # Errors
/// `Raced`: to be tried again with what stands then.
fn all_back(
    site: &Site,
    found: &Found,
    was: &Found,
    rewrites: &[Rewrite],
) -> Result<TakenBack, AddressError> {
    let mut back = TakenBack::default();
    for rewrite in rewrites {
        match one_back(site, found, was, rewrite, &mut back) {
            Ok(()) => {}
            Err(error @ AddressError::Raced(_)) => return Err(error),
            Err(error) => back.failed.push(error),
        }
    }
    Ok(back)
}

fn one_back(
    site: &Site,
    found: &Found,
    was: &Found,
    rewrite: &Rewrite,
    back: &mut TakenBack,
) -> Result<(), AddressError> {
    let file = &found.files[rewrite.file];
    let names: BTreeSet<String> = rewrite.names(was).collect();
    let now = file.original.bytes();
    if rewrite.after.equals(now) {
        let before = found.parsed(&rewrite.before);
        disk::publish(site, &file.original, &rewrite.path, &before, &names)?;
        return Ok(());
    }
    // Lost since it was written: mail still goes by the database.
    if let Some(emptied) = emptied::emptied(site, file, || names.clone())? {
        return Err(AddressError::Emptied(Box::new(emptied)));
    }
    if now != *rewrite.before {
        let mut edits = Edits::new(found);
        back.edited.extend(undo_entries(&mut edits, was, rewrite));
        if let Some(undone) = edits.rewrite("take-back", 0)?.first() {
            let names = undone.names(found).collect();
            disk::publish(site, &file.original, &undone.path, &undone.after, &names)?;
            return Ok(());
        }
    }
    // SOMEBODY PUT IT BACK BY HAND, and may not have told the MTA. Nothing of ours is left in the
    // text; so that the database cannot be looked at is no failure.
    match disk::verify(site, file, &names) {
        Ok(wrong) if wrong.is_empty() => Ok(()),
        Ok(_) => disk::rebuild(site, file, &names).map(drop),
        Err(error) => {
            let path = file.path.display();
            back.notes.push(format!(
                "{path}: its database was not looked at: {error}; {} looks again",
                typed(site, "sync")
            ));
            Ok(())
        }
    }
}

/// The rewrite of single entries, turned round; returns what is not as it was written, nor as it
/// was before.
fn undo_entries(edits: &mut Edits<'_>, was: &Found, rewrite: &Rewrite) -> Vec<String> {
    let found = edits.found;
    let mut edited = Vec::new();
    for record in rewrite.records(was) {
        let name = String::from_utf8_lossy(record.name()).into_owned();
        let mut places = found.places(&name);
        places.retain(|place| place.file == rewrite.file);
        let standing = |text: &Option<Text<'_>>| {
            let text = trimmed(&text.as_ref()?.0).to_vec();
            let mut places = places.iter();
            places
                .find(|&&place| trimmed(found.raw(place)) == text)
                .copied()
        };
        let is_gone = places.is_empty();
        match (standing(&record.written), &record.before) {
            (Some(place), Some(before)) => edits.push(Change::Replace {
                place,
                raw: &before.0,
            }),
            (Some(place), None) => edits.push(Change::Remove { place }),
            (None, None) if is_gone => {}
            (None, Some(_)) if standing(&record.before).is_some() => {}
            (None, Some(before)) if is_gone && record.written.is_none() => {
                let followed = record.followed.as_ref();
                let followed = followed.map(|name| String::from_utf8_lossy(&name.0));
                edits.push(Change::PutBack {
                    file: rewrite.file,
                    name: &name,
                    raw: &before.0,
                    followed: followed.as_deref(),
                });
            }
            _ => edited.push(told(found, rewrite, &name)),
        }
    }
    edited
}

/// Where an entry stands that somebody edited, or that it is gone.
fn told(found: &Found, rewrite: &Rewrite, name: &str) -> String {
    let places = found.places(name);
    let of_file = places.iter().find(|place| place.file == rewrite.file);
    let shown = name.escape_debug();
    match of_file.or(places.first()) {
        Some(&place) => format!("{}: {shown}", found.spot(place)),
        None => format!("{}: {shown}, which is gone", rewrite.path.display()),
    }
}
