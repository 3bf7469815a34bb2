//! The MTA's own database, kept in step with the text.
//!
//! Order of events of [`Mta::publish`]: find which maps belong to the file; write the new text under
//! a temporary name; build each map beside its old one and read the expected names back from it;
//! exchange the text; move each map into place; tell a running MTA that holds what it read; read the
//! names back once more; remove what is old. If anything is wrong after the text stands, the maps go
//! back, then the text, and who was told is told again. Was the text saved by an editor while the maps
//! moved, they are built once more, of what stands then: his own newaliases may have been before us. Where the MTA reads the text itself there is
//! nothing to build or move: its own program judges a copy of the text before that stands.
//!
//! **Invariants**: no map is ever built in place: a builder that is killed half way leaves an empty
//! one, and all mail to its names bounces. No map stands that was not asked for the expected names
//! first. A new map belongs to whom the old one belonged to: Postfix runs pipes as the map's owner.
//! The tools get an environment of two variables, no shell, and 10 minutes.
//!
//! Two files cannot change in one instant. TEXT FIRST, THEN MAP: the MTA reads the map alone, so until
//! the map is moved, mail goes where it went before, whatever the text says. This is why the old
//! destinations must go on working for a while.
//!
//! | killed | text | map | mail | mended by |
//! |---|---|---|---|---|
//! | before the text is exchanged | old | old | as before | the next run removes the temporary files |
//! | before the (first) map is moved | new | old | as before; Exim: as wanted | `verify` says `Stale` or `Wrong`; [`Mta::rebuild`] |
//! | between two maps | new | one new, one old | by either, both deliver | the same |
//! | before OpenSMTPD was told | new | new | as before, until it is told or starts | `verify` says `Untold`: the copy beside is the sign; [`Mta::rebuild`] |
//! | before the end | new | new | as wanted | the next run removes the temporary files |
//! | while both are put back | new, then old | old | as before | the first: as in line two |

mod beside;
mod build;
pub(crate) mod error;
pub(crate) mod exim;
pub(crate) mod expected;
pub(crate) mod left;
mod maps;
pub(crate) mod master;
pub(crate) mod opensmtpd;
pub(crate) mod postfix;
pub(crate) mod sendmail;
mod tools;
mod whole;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use self::build::Built;
use self::error::{Cause, MtaError, PublishError};
use self::exim::Exim;
use self::expected::Expected;
use self::left::Left;
use self::maps::{Map, Maps};
use self::opensmtpd::OpenSmtpd;
use self::postfix::Postfix;
use self::sendmail::Sendmail;
use crate::contents::Contents;
use crate::disk::exchange::Replaced;
use crate::disk::file::Original;

/// So often the maps are built of a text that is saved again while they move.
const ATTEMPTS: usize = 5;

/// Which MTA reads the file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Mta {
    /// None that has a database: the text is all there is.
    None,
    /// Postfix, with its postconf and postalias.
    Postfix(Postfix),
    /// Sendmail, with its own `-bi` and makemap.
    Sendmail(Sendmail),
    /// Exim, which reads the text.
    Exim(Exim),
    /// OpenSMTPD, with its smtpd, smtpctl and makemap.
    OpenSmtpd(OpenSmtpd),
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
    /// A run was killed before it told the MTA of the text that stands.
    Untold,
    /// These names lead elsewhere than by the text, or nowhere, or are not in the text.
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
    /// What the admin should know about the running MTA, a sentence each.
    pub notes: Vec<String>,
}

impl Mta {
    fn maps(&self) -> Option<&dyn Maps> {
        match self {
            Self::None => None,
            Self::Postfix(postfix) => Some(postfix),
            Self::Sendmail(sendmail) => Some(sendmail),
            Self::Exim(exim) => Some(exim),
            Self::OpenSmtpd(opensmtpd) => Some(opensmtpd),
        }
    }

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
        let Some(maps) = self.maps() else {
            let exchanged = prepared()?.exchange().map_err(PublishError::refused)?;
            let replaced = exchanged.keep().map_err(PublishError::not_durable)?;
            return Ok(published(Some(replaced), Vec::new()));
        };
        let found = maps.of(original)?;
        let expected = &*maps.choose(original, expected);
        // Written before the maps are, so that no map is older than its text.
        let prepared = prepared()?;
        let text: Vec<&[u8]> = text.slices().collect();
        let mut built = build_beside(maps, &found, original, &text.concat(), expected)?;
        let exchanged = prepared.exchange().map_err(PublishError::refused)?;
        let mut moved = move_in(maps, &mut built, expected);
        if have_images(&found) && !exchanged.stands() {
            drop(built);
            let followed = follow(maps, original, expected);
            // Whatever came of that: dropped, it would remove what somebody may be writing.
            let replaced = exchanged.keep().map_err(PublishError::not_durable);
            let (followed, replaced) = (followed?, replaced?);
            return Ok(Published {
                replaced: Some(replaced),
                ..followed
            });
        }
        if moved.is_ok() && !exchanged.is_let_go() {
            moved = Err(Cause::File(original.changed()));
        }
        if let Err(cause) = moved {
            let maps_back = move_out(&mut built);
            let text_back = exchanged.put_back().map_err(Cause::File);
            let told = tell_back(maps, &mut built);
            return Err(PublishError::back(
                cause,
                maps_back.and(text_back).and(told),
            ));
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
        let Some(maps) = self.maps() else {
            return Ok(published(None, Vec::new()));
        };
        let expected = &*maps.choose(original, expected);
        match rebuild(maps, original, expected)? {
            Rebuilt::Done(published) => Ok(published),
            Rebuilt::Overtaken => follow(maps, original, expected),
        }
    }

    /// Removes what killed runs left beside the text and the maps. The caller holds the lock
    /// under which they are written. Failing is not worth a word: the next run tries again.
    pub fn sweep(&self, original: &Original) {
        original.sweep();
        let Some(maps) = self.maps() else { return };
        for map in maps.of(original).iter().flatten() {
            beside::sweep(map);
        }
    }

    /// Whether mail goes by the file, as far as the MTA's tools say more of it than that its maps can
    /// be built.
    ///
    /// # Errors
    /// `NotRead`, of Postfix alone; `Tool` if it cannot be asked.
    pub fn check_read(&self, original: &Original) -> Result<(), MtaError> {
        match self {
            Self::Postfix(postfix) => postfix.check_read(original),
            Self::None | Self::Sendmail(_) | Self::Exim(_) | Self::OpenSmtpd(_) => Ok(()),
        }
    }

    /// Tells a running MTA that goes on with what it read before to read again what stands: it cannot
    /// be asked what it holds. Returns what the admin should know.
    ///
    /// # Errors
    /// If the MTA reads no map of this file, refuses it, or does not answer.
    pub fn tell(&self, original: &Original) -> Result<Vec<String>, MtaError> {
        let Some(maps) = self.maps() else {
            return Ok(Vec::new());
        };
        let mut notes = Vec::new();
        for map in maps.of(original)?.iter().filter(|map| map.is_held) {
            notes.extend(maps.tell(map)?);
            beside::sweep_told(map);
        }
        Ok(notes)
    }

    /// Says whether the database is there, is as new as the text, leads the names where they should
    /// go, and has what the text has, all of it and nothing else. Changes nothing.
    ///
    /// # Errors
    /// If the MTA's tools cannot be asked, or read no map of this file.
    pub fn verify(
        &self,
        original: &Original,
        expected: &[Expected],
    ) -> Result<Vec<MapState>, MtaError> {
        let Some(maps) = self.maps() else {
            return Ok(Vec::new());
        };
        let expected = &*maps.choose(original, expected);
        let state = |map: &Map| {
            let trouble = trouble(maps, map, original, expected)?;
            let file = map.file().to_owned();
            Ok(MapState { file, trouble })
        };
        maps.of(original)?.iter().map(state).collect()
    }

    /// The maps that have names, of a file that has no entry: mail still goes by them.
    ///
    /// # Errors
    /// If the MTA's tools cannot be asked, or read no map of this file.
    pub fn left_in_maps(&self, original: &Original) -> Result<Vec<Left>, MtaError> {
        let maps = self.maps();
        maps.map_or(Ok(Vec::new()), |maps| left::left(maps, original))
    }
}

/// What came of building the maps of a text that stands.
enum Rebuilt {
    Done(Published),
    /// The text was saved anew while the maps moved.
    Overtaken,
}

fn rebuild(
    maps: &dyn Maps,
    original: &Original,
    expected: &[Expected],
) -> Result<Rebuilt, PublishError> {
    let found = maps.of(original)?;
    let mut built = build_beside(maps, &found, original, original.bytes(), expected)?;
    for built in &built {
        built.be_as_new_as(original)?;
    }
    original.check_it_stands().map_err(PublishError::refused)?;
    let moved = move_in(maps, &mut built, expected);
    if have_images(&found) && original.check_it_stands().is_err() {
        return Ok(Rebuilt::Overtaken);
    }
    match moved {
        Ok(()) => Ok(Rebuilt::Done(published(None, built))),
        Err(cause) => {
            let back = move_out(&mut built).and(tell_back(maps, &mut built));
            Err(PublishError::back(cause, back))
        }
    }
}

/// Somebody saved the text while the maps moved, and may have built a map of it that ours replaced:
/// builds the maps of what stands now.
///
/// # Errors
/// `Refused` by `Changed`: the maps say what the text says, and that is not what was wanted: start
/// over. `Behind`: they do not.
fn follow(
    maps: &dyn Maps,
    original: &Original,
    expected: &[Expected],
) -> Result<Published, PublishError> {
    for _ in 0..ATTEMPTS {
        let now = Original::read(original.path());
        let now = now.map_err(|error| PublishError::Behind(Cause::File(error)))?;
        let mut rebuilt = rebuild(maps, &now, expected);
        let is_wanted = !matches!(
            rebuilt,
            Err(PublishError::Refused(Cause::Mta(MtaError::Wrong { .. })))
        );
        if !is_wanted {
            rebuilt = rebuild(maps, &now, &[]);
        }
        match rebuilt {
            Ok(Rebuilt::Done(published)) if is_wanted => return Ok(published),
            Ok(Rebuilt::Done(_)) => return Err(PublishError::refused(original.changed())),
            Ok(Rebuilt::Overtaken) => {}
            Err(error) if error.is_editor_faster() => {}
            Err(error) => return Err(error.behind()),
        }
    }
    Err(PublishError::Behind(Cause::File(original.changed())))
}

/// Whether the MTA reads anything but the text.
fn have_images(found: &[Map]) -> bool {
    found.iter().any(|map| map.image.is_some())
}

fn trouble(
    maps: &dyn Maps,
    map: &Map,
    original: &Original,
    expected: &[Expected],
) -> Result<Option<MapTrouble>, MtaError> {
    let failed = |doing| {
        move |source| MtaError::File {
            path: map.file().to_owned(),
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
    let wrong = match maps.not_as_text(map, original, expected) {
        // The map's fault as far as can be told; if it is the tool's, building fails as well.
        Err(MtaError::Tool { said, .. }) => return Ok(Some(MapTrouble::Unreadable(said))),
        asked => asked?,
    };
    if !wrong.is_empty() {
        return Ok(Some(MapTrouble::Wrong(wrong)));
    }
    if beside::is_untold(map) {
        return Ok(Some(MapTrouble::Untold));
    }
    let has_image = map.image.is_some();
    Ok((has_image && original.is_newer_than(&metadata)).then_some(MapTrouble::Stale))
}

/// Builds all maps beside the old ones and asks each for the expected names.
fn build_beside<'m>(
    maps: &dyn Maps,
    found: &'m [Map],
    original: &Original,
    text: &[u8],
    expected: &[Expected],
) -> Result<Vec<Built<'m>>, MtaError> {
    let one = |map| {
        let built = Built::new(maps, map, original, text)?;
        expect(maps, map, &built.text(), expected)?;
        Ok(built)
    };
    found.iter().map(one).collect()
}

fn move_in(maps: &dyn Maps, built: &mut [Built<'_>], expected: &[Expected]) -> Result<(), Cause> {
    for built in built.iter_mut() {
        built.move_in()?;
    }
    for built in built.iter_mut() {
        built.tell(maps)?;
    }
    for built in built.iter() {
        expect(maps, built.map(), &built.map().source, expected)?;
    }
    Ok(())
}

/// Puts all old maps back, and says what was wrong with the first that could not be.
fn move_out(built: &mut [Built<'_>]) -> Result<(), Cause> {
    let results: Vec<_> = built.iter_mut().rev().map(Built::move_out).collect();
    first_error(results)
}

/// Tells those that were told of the new state of the old one.
fn tell_back(maps: &dyn Maps, built: &mut [Built<'_>]) -> Result<(), Cause> {
    let results: Vec<_> = built
        .iter_mut()
        .map(|built| built.tell_back(maps))
        .collect();
    first_error(results)
}

fn first_error(results: Vec<Result<(), MtaError>>) -> Result<(), Cause> {
    let all: Result<(), MtaError> = results.into_iter().collect();
    all.map_err(Cause::Mta)
}

fn expect(maps: &dyn Maps, map: &Map, text: &Path, expected: &[Expected]) -> Result<(), MtaError> {
    let names = maps.wrong(map, text, expected)?;
    if names.is_empty() {
        Ok(())
    } else {
        Err(MtaError::Wrong {
            map: map.file().to_owned(),
            names,
        })
    }
}

fn published(replaced: Option<Replaced>, built: Vec<Built<'_>>) -> Published {
    let mut published = Published {
        replaced,
        maps: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    for built in built {
        published.maps.push(built.map().file().to_owned());
        let (warnings, notes) = built.into_words();
        published.warnings.extend(warnings);
        published.notes.extend(notes);
    }
    published
}
