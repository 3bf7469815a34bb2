//! The MTA's own database, kept in step with the text.
//!
//! Order of events of [`Mta::publish`]: find which maps belong to the file; write the new text under
//! a temporary name; build each map beside its old one and read the expected names back from it;
//! exchange the text; move each map into place; read the names back once more; remove what is old.
//! If anything is wrong after the text stands, the maps go back, then the text.
//!
//! **Invariants**: no map is ever built in place: a builder that is killed half way leaves an empty
//! one, and all mail to its names bounces. No map stands that was not asked for the expected names
//! first. A new map belongs to whom the old one belonged to: the MTA runs pipes as the map's owner.
//! The tools get an environment of two variables and no shell.
//!
//! Two files cannot change in one instant. TEXT FIRST, THEN MAP: the MTA reads the map alone, so until
//! the map is moved, mail goes where it went before, whatever the text says. This is why the old
//! destinations must go on working for a while.
//!
//! | killed | text | map | mail | mended by |
//! |---|---|---|---|---|
//! | before the text is exchanged | old | old | as before | the next run removes the temporary files |
//! | before the (first) map is moved | new | old | as before | `verify` says `Stale` or `Wrong`; [`Mta::rebuild`] |
//! | between two maps | new | one new, one old | by either, both deliver | the same |
//! | before the end | new | new | as wanted | the next run removes the temporary files |
//! | while both are put back | new, then old | old | as before | the first: as in line two |

mod build;
pub(crate) mod error;
pub(crate) mod expected;
pub(crate) mod postfix;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use self::build::Built;
use self::error::{Cause, MtaError, PublishError};
use self::expected::Expected;
use self::postfix::{Map, Postfix};
use crate::contents::Contents;
use crate::disk::exchange::Replaced;
use crate::disk::file::Original;

/// Which MTA reads the file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Mta {
    /// None that has a database: the text is all there is.
    None,
    /// Postfix, with its postconf and postalias.
    Postfix(Postfix),
}

/// A database map as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapState {
    /// Its file.
    pub file: PathBuf,
    /// What is wrong with it, if anything.
    pub trouble: Option<MapTrouble>,
}

/// Why a map must be built again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapTrouble {
    /// There is none.
    Missing,
    /// It is there, and the MTA's own tool cannot read it: empty or torn; what the tool said.
    Unreadable(String),
    /// The text has changed since it was built.
    Stale,
    /// These names lead elsewhere, or nowhere.
    Wrong(Vec<Vec<u8>>),
}

/// What [`Mta::publish`] did.
#[derive(Debug)]
pub struct Published {
    /// How the text was replaced; none if only the database was built.
    pub replaced: Option<Replaced>,
    /// The files of the maps that stand now.
    pub maps: Vec<PathBuf>,
    /// What the MTA's tool said about lines it does not read as they look, a line each.
    pub warnings: Vec<String>,
}

impl Mta {
    /// Replaces the text, and the database with it.
    ///
    /// `expected`: what is read back from the new database before it stands, and after.
    ///
    /// # Errors
    /// By what stands afterwards: see [`PublishError`].
    pub fn publish<C: Contents + ?Sized>(
        &self,
        original: &Original,
        text: &C,
        expected: &[Expected],
    ) -> Result<Published, PublishError> {
        let prepared = || original.prepare(text).map_err(PublishError::refused);
        let Self::Postfix(postfix) = self else {
            let exchanged = prepared()?.exchange().map_err(PublishError::refused)?;
            let replaced = exchanged.keep().map_err(PublishError::not_durable)?;
            return Ok(Published {
                replaced: Some(replaced),
                maps: Vec::new(),
                warnings: Vec::new(),
            });
        };
        let maps = postfix.maps_of(original)?;
        // Written before the maps are, so that no map is older than its text.
        let prepared = prepared()?;
        let text: Vec<&[u8]> = text.slices().collect();
        let mut built = build_beside(postfix, &maps, original, &text.concat(), expected)?;
        let exchanged = prepared.exchange().map_err(PublishError::refused)?;
        if let Err(cause) = move_in(postfix, &mut built, expected) {
            let maps_back = move_out(&mut built);
            let text_back = exchanged.put_back().map_err(Cause::File);
            return Err(PublishError::back(cause, maps_back.and(text_back)));
        }
        let replaced = exchanged.keep().map_err(PublishError::not_durable)?;
        Ok(published(Some(replaced), built))
    }

    /// Builds the database anew from the text as it stands.
    ///
    /// # Errors
    /// By what stands afterwards: see [`PublishError`].
    pub fn rebuild(
        &self,
        original: &Original,
        expected: &[Expected],
    ) -> Result<Published, PublishError> {
        let Self::Postfix(postfix) = self else {
            return Ok(published(None, Vec::new()));
        };
        let maps = postfix.maps_of(original)?;
        let mut built = build_beside(postfix, &maps, original, original.bytes(), expected)?;
        original.check_it_stands().map_err(PublishError::refused)?;
        match move_in(postfix, &mut built, expected) {
            Ok(()) => Ok(published(None, built)),
            Err(cause) => Err(PublishError::back(cause, move_out(&mut built))),
        }
    }

    /// Removes what killed runs left beside the text and the maps. The caller holds the lock
    /// under which they are written. Failing is not worth a word: the next run tries again.
    pub fn sweep(&self, original: &Original) {
        original.sweep();
        let Self::Postfix(postfix) = self else { return };
        for map in postfix.maps_of(original).iter().flatten() {
            build::sweep_beside(map);
        }
    }

    /// Says whether the database is there, is as new as the text, and leads the names where they
    /// should go. Changes nothing.
    ///
    /// # Errors
    /// If the MTA's tools cannot be asked, or read no map of this file.
    pub fn verify(
        &self,
        original: &Original,
        expected: &[Expected],
    ) -> Result<Vec<MapState>, MtaError> {
        let Self::Postfix(postfix) = self else {
            return Ok(Vec::new());
        };
        let state = |map: &Map| {
            let file = map.file();
            let trouble = trouble(postfix, map, original, expected)?;
            Ok(MapState { file, trouble })
        };
        postfix.maps_of(original)?.iter().map(state).collect()
    }
}

fn trouble(
    postfix: &Postfix,
    map: &Map,
    original: &Original,
    expected: &[Expected],
) -> Result<Option<MapTrouble>, MtaError> {
    let failed = |doing| {
        move |source| MtaError::File {
            path: map.file(),
            doing,
            source,
        }
    };
    // Opened, not only looked at: who may not read a map cannot call it torn.
    let held = match File::open(map.file()) {
        Ok(held) => held,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(MapTrouble::Missing));
        }
        Err(error) => return Err(failed("open")(error)),
    };
    let metadata = held.metadata().map_err(failed("look at"))?;
    let wrong = match postfix.wrong(&map.query(), expected) {
        // The map's fault as far as can be told; if it is the tool's, building fails as well.
        Err(MtaError::Tool { said, .. }) => return Ok(Some(MapTrouble::Unreadable(said))),
        asked => asked?,
    };
    if !wrong.is_empty() {
        return Ok(Some(MapTrouble::Wrong(wrong)));
    }
    Ok(original
        .is_newer_than(&metadata)
        .then_some(MapTrouble::Stale))
}

/// Builds all maps beside the old ones and asks each for the expected names.
fn build_beside<'m>(
    postfix: &Postfix,
    maps: &'m [Map],
    original: &Original,
    text: &[u8],
    expected: &[Expected],
) -> Result<Vec<Built<'m>>, MtaError> {
    let one = |map| {
        let built = Built::new(postfix, map, original, text)?;
        expect(postfix, &built.query(), map, expected)?;
        Ok(built)
    };
    maps.iter().map(one).collect()
}

fn move_in(postfix: &Postfix, built: &mut [Built<'_>], expected: &[Expected]) -> Result<(), Cause> {
    for built in built.iter_mut() {
        built.move_in()?;
    }
    for built in built.iter() {
        expect(postfix, &built.map().query(), built.map(), expected)?;
    }
    Ok(())
}

/// Puts all old maps back, and says what was wrong with the first that could not be.
fn move_out(built: &mut [Built<'_>]) -> Result<(), Cause> {
    let results: Vec<_> = built.iter_mut().rev().map(Built::move_out).collect();
    results
        .into_iter()
        .collect::<Result<(), MtaError>>()
        .map_err(Cause::Mta)
}

fn expect(
    postfix: &Postfix,
    query: &OsStr,
    map: &Map,
    expected: &[Expected],
) -> Result<(), MtaError> {
    let names = postfix.wrong(query, expected)?;
    if names.is_empty() {
        Ok(())
    } else {
        Err(MtaError::Wrong {
            map: map.file(),
            names,
        })
    }
}

fn published(replaced: Option<Replaced>, built: Vec<Built<'_>>) -> Published {
    let maps = built.iter().map(|built| built.map().file()).collect();
    let warnings = built.into_iter().flat_map(Built::into_warnings).collect();
    Published {
        replaced,
        maps,
        warnings,
    }
}
