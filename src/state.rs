//! parity.toml: its shape, and one list's standing in it.
//!
//! Three ways of reading, each right by itself (README, "Files"):
//! 1. **sealed**: line 1 gives time, size and where the arrays begin; while the file's mtime
//!    and size agree, the rows are sorted and a list is found by binary search;
//! 2. **stream**: one row a line in any order, in constant memory, whatever the size;
//! 3. **TOML**: any other shape, up to 256 KiB.
//!
//! **Invariants.** Reads by `pread`, never by a memory map: an editor that truncates the
//! file would kill us. Never writes. A file that is missing, unreadable, half written or
//! changing is an error: an empty answer would send every list back to the current tree.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::Deserialize;
use toml::Spanned;

use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::{FutureState, Roles};
use crate::position::Position;
use crate::row::read_at;
pub use crate::row::{Array, Row};
use crate::search::{Found, Seal};
use crate::stream::{StreamError, Streamed, stream};

/// The largest file that is read as TOML of any shape, in bytes.
pub const LARGEST_TOML: u64 = 256 * 1024;
/// An editor may be writing the file just now: look again, this many times in all.
const TRIES: usize = 3;

/// What parity.toml says about one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Trees and generation.
    pub roles: Roles,
    /// Since when the list's mail is deferred, if it is.
    pub paused: Option<Timestamp>,
    /// Whether the list was moved ahead.
    pub on_future: bool,
    /// How the answer was found.
    pub reading: Reading,
}

/// The way in which parity.toml was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// By the seal.
    Sealed,
    /// Line by line.
    Stream,
    /// As any TOML.
    Toml,
}

/// Why parity.toml could not be read.
#[derive(Debug)]
pub enum StateError {
    /// The kernel's reason.
    Read(io::Error),
    /// It is not in line shape, and too large to be read as TOML of another shape.
    Size(Position, String),
    /// It does not say what it must.
    Format(Position, String),
    /// It kept changing while it was read.
    Changing,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::Read(error) => write!(f, "{error}"),
            StateError::Size(at, what) => {
                write!(
                    f,
                    "{at}: {what} (and it is too large for TOML that is not one row a line)"
                )
            }
            StateError::Format(at, what) => write!(f, "{at}: {what}"),
            StateError::Changing => f.write_str("it is being changed at this moment"),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StateError::Read(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for StateError {
    fn from(error: io::Error) -> StateError {
        StateError::Read(error)
    }
}

/// Who looks at the rows of a file.
pub trait Rows {
    /// The file is read from its beginning: what was seen before means nothing.
    fn begin(&mut self);
    /// One row.
    fn see(&mut self, row: Row<'_>);
}

/// Finds one list. `is_it` says whether a row's name, as it is spelled, means the list;
/// `names` are all folded spellings by which a sealed file may have it.
///
/// # Errors
/// [`StateError`]; then nothing is known and the message waits.
pub fn standing(
    file: &File,
    names: &[String],
    is_it: &dyn Fn(&[u8]) -> bool,
) -> Result<Standing, StateError> {
    for _ in 0..TRIES {
        let before = file.metadata()?;
        let found = match Seal::read(file, &before)? {
            Some(seal) => seal.find(file, names)?.and_then(sealed_standing),
            None => None,
        };
        let found = match found {
            Some(standing) => Ok(standing),
            None => unsealed_standing(file, &before, is_it),
        };
        if same(&before, &file.metadata()?) {
            return found;
        }
    }
    Err(StateError::Changing)
}

/// Reads everything: hands each row to `rows` and returns the rest.
///
/// # Errors
/// As [`standing`].
pub fn read(file: &File, rows: &mut dyn Rows) -> Result<(Roles, Reading), StateError> {
    let before = file.metadata()?;
    let read = unsealed(file, &before, rows)?;
    if !same(&before, &file.metadata()?) {
        return Err(StateError::Changing);
    }
    Ok(read)
}

/// Whether the seal on the file is whole: nobody but mm-parity wrote it last.
///
/// # Errors
/// The file cannot be read.
pub fn is_sealed(file: &File) -> Result<bool, StateError> {
    Ok(Seal::read(file, &file.metadata()?)?.is_some())
}

fn same(a: &Metadata, b: &Metadata) -> bool {
    let key = |m: &Metadata| {
        (
            m.size(),
            m.mtime(),
            m.mtime_nsec(),
            m.ctime(),
            m.ctime_nsec(),
        )
    };
    key(a) == key(b)
}

/// `None` where the scalars are not sound: then the file is read as an edited one.
fn sealed_standing(found: Found) -> Option<Standing> {
    Some(Standing {
        roles: parse_toml(&found.head).ok()?.roles().ok()?,
        paused: found.paused,
        on_future: found.on_future,
        reading: Reading::Sealed,
    })
}

fn unsealed_standing(
    file: &File,
    meta: &Metadata,
    is_it: &dyn Fn(&[u8]) -> bool,
) -> Result<Standing, StateError> {
    let mut one = One {
        is_it,
        paused: None,
        on_future: false,
    };
    let (roles, reading) = unsealed(file, meta, &mut one)?;
    let One {
        paused, on_future, ..
    } = one;
    Ok(Standing {
        roles,
        paused,
        on_future,
        reading,
    })
}

/// What the rows say about one list.
struct One<'a> {
    is_it: &'a dyn Fn(&[u8]) -> bool,
    paused: Option<Timestamp>,
    on_future: bool,
}

impl Rows for One<'_> {
    fn begin(&mut self) {
        (self.paused, self.on_future) = (None, false);
    }

    fn see(&mut self, (array, name, since): Row<'_>) {
        match array {
            Array::Paused if (self.is_it)(name) => self.paused = since,
            Array::OnFuture if (self.is_it)(name) => self.on_future = true,
            _ => {}
        }
    }
}

fn unsealed(
    file: &File,
    meta: &Metadata,
    rows: &mut dyn Rows,
) -> Result<(Roles, Reading), StateError> {
    rows.begin();
    let see = &mut |row: Row<'_>| rows.see(row);
    let shape = match stream(file, see).and_then(|streamed| streamed_roles(&streamed, see)) {
        Ok(roles) => return Ok((roles, Reading::Stream)),
        Err(StreamError::Read(error)) => return Err(StateError::Read(error)),
        Err(StreamError::Shape(line, what)) => (Position { line, column: 1 }, what),
    };
    if meta.size() >= LARGEST_TOML {
        return Err(StateError::Size(shape.0, shape.1));
    }
    // Where the stream gave up it had handed rows over, and perhaps what only looked like one.
    rows.begin();
    let roles = whole(file, meta, &mut |row| rows.see(row))?;
    Ok((roles, Reading::Toml))
}

/// The scalars of a file in line shape, and the arrays that it has in one piece.
fn streamed_roles(streamed: &Streamed, see: &mut dyn FnMut(Row<'_>)) -> Result<Roles, StreamError> {
    let at_end = |(_, what): Wrong| StreamError::Shape(streamed.last, what);
    let raw = parse_toml(&streamed.head).map_err(at_end)?;
    let roles = raw.roles().map_err(at_end)?;
    raw.rows(streamed.seen, see).map_err(at_end)?;
    Ok(roles)
}

/// Reads the whole of a small file as TOML.
fn whole(file: &File, meta: &Metadata, see: &mut dyn FnMut(Row<'_>)) -> Result<Roles, StateError> {
    let mut bytes = vec![0; usize::try_from(meta.size()).unwrap_or(usize::MAX)];
    let n = read_at(file, &mut bytes, 0)?;
    bytes.truncate(n);
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        StateError::Format(
            Position::of(&text, text.len()),
            "this is not UTF-8".to_owned(),
        )
    })?;
    let place = |(at, what): Wrong| StateError::Format(Position::of(text, at), what);
    let raw = parse_toml(text).map_err(place)?;
    let roles = raw.roles().map_err(place)?;
    raw.rows([false; 3], see).map_err(place)?;
    Ok(roles)
}

/// A byte offset and what is wrong there.
type Wrong = (usize, String);

fn parse_toml(text: &str) -> Result<Raw, Wrong> {
    toml::from_str(text).map_err(|error| {
        (
            error.span().map_or(0, |span| span.start),
            error.message().to_owned(),
        )
    })
}

/// parity.toml as it is typed. The arrays are missing where they were read as rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: Spanned<u32>,
    generation: Spanned<u64>,
    current: String,
    current_tree: RawCurrent,
    future_tree: RawFuture,
    guarded: Vec<String>,
    pinned: Option<Vec<Spanned<String>>>,
    paused: Option<Vec<(Spanned<String>, Spanned<toml::value::Datetime>)>>,
    on_future: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCurrent {
    release: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFuture {
    state: Spanned<String>,
    release: String,
}

impl Raw {
    fn roles(&self) -> Result<Roles, Wrong> {
        if *self.format.get_ref() != 1 {
            return Err((self.format.span().start, "format is not 1".to_owned()));
        }
        // TOML's integers end there; a generation never comes near it by counting.
        if *self.generation.get_ref() >= i64::MAX as u64 {
            return Err((
                self.generation.span().start,
                "generation is too large".to_owned(),
            ));
        }
        let state = &self.future_tree.state;
        let future_state = FutureState::parse(state.get_ref()).ok_or_else(|| {
            (
                state.span().start,
                format!("not a state of a tree: {:?}", state.get_ref()),
            )
        })?;
        Ok(Roles {
            generation: *self.generation.get_ref(),
            current: self.current.clone(),
            current_release: self.current_tree.release.clone(),
            future_state,
            future_release: self.future_tree.release.clone(),
            guarded: self.guarded.iter().cloned().collect::<BTreeSet<_>>(),
        })
    }

    /// Hands over the rows of arrays written in one piece. `seen` are those that were
    /// handed over line by line: each array must stand once, one way or the other.
    fn rows(&self, seen: [bool; 3], see: &mut dyn FnMut(Row<'_>)) -> Result<(), Wrong> {
        let once = |array: Array, name: &str, here: bool| match (seen[array as usize], here) {
            (true, true) => Err((0, format!("{name} stands twice"))),
            (false, false) => Err((0, format!("missing field `{name}`"))),
            _ => Ok(()),
        };
        once(Array::Pinned, "pinned", self.pinned.is_some())?;
        once(Array::Paused, "paused", self.paused.is_some())?;
        once(Array::OnFuture, "on_future", self.on_future.is_some())?;
        let mut hand = |array, name: &Spanned<String>, since| {
            let text = name.get_ref();
            ListName::check(text.as_bytes()).map_err(|bad| {
                (
                    name.span().start,
                    format!("not a list name: {text:?}: {bad}"),
                )
            })?;
            see((array, text.as_bytes(), since));
            Ok(())
        };
        for name in self.pinned.iter().flatten() {
            hand(Array::Pinned, name, None)?;
        }
        for (name, time) in self.paused.iter().flatten() {
            let since = Timestamp::parse(&time.get_ref().to_string()).ok_or_else(|| {
                (
                    time.span().start,
                    "not a time like 2026-11-20T10:02:00Z".to_owned(),
                )
            })?;
            hand(Array::Paused, name, Some(since))?;
        }
        for name in self.on_future.iter().flatten() {
            hand(Array::OnFuture, name, None)?;
        }
        Ok(())
    }
}
