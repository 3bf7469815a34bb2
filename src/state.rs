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
use std::os::unix::fs::{FileExt, MetadataExt};

use serde::Deserialize;
use toml::Spanned;

use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::{FutureState, Roles};
use crate::position::Position;

/// The largest file that is read as TOML of any shape, in bytes.
pub const LARGEST_TOML: u64 = 256 * 1024;
/// The first line and the scalars fit in this, or the file is not sealed.
const HEAD_BYTES: usize = 4 * 1024;
/// No line in line shape is longer.
const LONGEST_LINE: usize = 4 * 1024;
/// How many lines that are not rows a file in line shape may have, comments apart.
const MOST_HEAD_BYTES: usize = 16 * 1024;
/// A search ends by reading this much; no row is longer than half of it.
const BLOCK: usize = 2 * 1024;
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

/// The arrays of parity.toml that hold lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Array {
    /// Lists that globs pass over.
    Pinned,
    /// Lists whose mail is deferred.
    Paused,
    /// Lists moved ahead.
    OnFuture,
}

/// One row: the array, the list as it is spelled, and for `paused` since when.
pub type Row<'a> = (Array, &'a [u8], Option<Timestamp>);

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

/// Finds one list. `is_it` says whether a row's name, as it is spelled, means the list;
/// `name` is its folded name, as a sealed file spells it.
///
/// # Errors
/// [`StateError`]; then nothing is known and the message waits.
pub fn standing(
    file: &File,
    name: &str,
    is_it: &dyn Fn(&[u8]) -> bool,
) -> Result<Standing, StateError> {
    for _ in 0..TRIES {
        let before = file.metadata()?;
        let found = match Seal::read(file, &before)? {
            Some(seal) => sealed_standing(file, &seal, name)?,
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

/// Reads everything: hands each row to `row` and returns the rest.
///
/// On an error rows may have been handed over already; they mean nothing.
///
/// # Errors
/// As [`standing`].
pub fn read(file: &File, row: &mut dyn FnMut(Row<'_>)) -> Result<(Roles, Reading), StateError> {
    let before = file.metadata()?;
    let read = unsealed(file, &before, row)?;
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

// ---- sealed ----

/// Line 1 of a sealed file and the text after it up to the arrays.
struct Seal {
    head: String,
    size: u64,
    paused: u64,
    on_future: u64,
}

impl Seal {
    /// `None` if the file is not sealed, or was changed since.
    fn read(file: &File, meta: &Metadata) -> io::Result<Option<Seal>> {
        let mut bytes = [0; HEAD_BYTES];
        let n = read_at(file, &mut bytes, 0)?;
        Ok(std::str::from_utf8(&bytes[..n])
            .ok()
            .or_else(|| std::str::from_utf8(&bytes[..n.saturating_sub(4)]).ok())
            .and_then(|text| Seal::parse(text, meta)))
    }

    fn parse(text: &str, meta: &Metadata) -> Option<Seal> {
        let (first, rest) = text.split_once('\n')?;
        let mut words = first.strip_prefix("# sealed ")?.split(' ');
        let time = Timestamp::parse(words.next()?)?;
        let mut number = |name| {
            (words.next()? == name).then_some(())?;
            words.next()?.parse::<u64>().ok()
        };
        let (size, paused, on_future) = (number("size")?, number("paused")?, number("on_future")?);
        let stands = meta.size() == size && meta.mtime() == time.0 && meta.mtime_nsec() == 0;
        let head = &rest[..rest.find("\npinned = ")? + 1];
        let ordered = paused < on_future && on_future < size && words.next().is_none();
        (stands && ordered).then(|| Seal {
            head: head.to_owned(),
            size,
            paused,
            on_future,
        })
    }
}

/// `None` where the rows are not as a sealed file has them: then the seal is worth nothing.
fn sealed_standing(file: &File, seal: &Seal, name: &str) -> Result<Option<Standing>, StateError> {
    let Ok(head) = parse_toml(&seal.head) else {
        return Ok(None);
    };
    let Ok(roles) = head.roles() else {
        return Ok(None);
    };
    let Some(paused) = array_at(file, seal.paused, seal.on_future, "paused")? else {
        return Ok(None);
    };
    let Some(on_future) = array_at(file, seal.on_future, seal.size, "on_future")? else {
        return Ok(None);
    };
    let (Some(paused), Some(ahead)) = (
        search(file, paused, Array::Paused, name)?,
        search(file, on_future, Array::OnFuture, name)?,
    ) else {
        return Ok(None);
    };
    Ok(Some(Standing {
        roles,
        paused: paused.and_then(|since| since),
        on_future: ahead.is_some(),
        reading: Reading::Sealed,
    }))
}

/// The bytes `from..to` of the rows of the array that begins at `start` and ends at `end`.
fn array_at(file: &File, start: u64, end: u64, name: &str) -> io::Result<Option<(u64, u64)>> {
    let mut bytes = [0; 32];
    let n = read_at(file, &mut bytes, start)?;
    let Some(rest) = bytes[..n].strip_prefix(name.as_bytes()) else {
        return Ok(None);
    };
    if rest.starts_with(b" = []\n") {
        return Ok(Some((end, end)));
    }
    if !rest.starts_with(b" = [\n") {
        return Ok(None);
    }
    let mut close = [0; 3];
    let n = read_at(file, &mut close, end - 3)?;
    let rows = start + name.len() as u64 + 5;
    Ok((close[..n] == *b"\n]\n" && rows <= end - 2).then_some((rows, end - 2)))
}

/// Binary search among sorted rows: `Some(Some(since))` if the list has a row, `Some(None)`
/// if not, `None` if something stands there that is no row.
fn search(
    file: &File,
    (mut low, mut high): (u64, u64),
    array: Array,
    name: &str,
) -> io::Result<Option<Option<Option<Timestamp>>>> {
    let mut block = [0; BLOCK];
    // What is left is never larger than before, and halves at least every second time.
    while high - low > BLOCK as u64 {
        let middle = low + (high - low) / 2;
        let from = middle.saturating_sub(BLOCK as u64 / 2).max(low);
        let n = read_at(file, &mut block, from)?;
        let bytes = &block[..n];
        let before = &bytes[..(middle - from) as usize];
        let start = match before.iter().rposition(|&b| b == b'\n') {
            Some(newline) => newline + 1,
            None if from == low => 0,
            None => return Ok(None),
        };
        let Some(length) = bytes[start..].iter().position(|&b| b == b'\n') else {
            return Ok(None);
        };
        let Some((found, since)) = row(&bytes[start..start + length], array) else {
            return Ok(None);
        };
        match found.cmp(name.as_bytes()) {
            std::cmp::Ordering::Less => low = from + (start + length) as u64 + 1,
            std::cmp::Ordering::Equal => return Ok(Some(Some(since))),
            std::cmp::Ordering::Greater => high = from + start as u64,
        }
    }
    let length = (high - low) as usize;
    let n = read_at(file, &mut block[..length], low)?;
    if n < length {
        return Ok(None);
    }
    for line in block[..length].split_inclusive(|&b| b == b'\n') {
        let Some((found, since)) = row(line, array) else {
            return Ok(None);
        };
        if found == name.as_bytes() {
            return Ok(Some(Some(since)));
        }
    }
    Ok(Some(None))
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], at + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// One row without its line's end: `"name",` or `["name", 2026-11-20T10:02:00Z],`; blanks, a
/// missing comma and a comment are allowed. `None` if it is anything else.
fn row(line: &[u8], array: Array) -> Option<(&[u8], Option<Timestamp>)> {
    let line = line.trim_ascii();
    let (name, since, rest) = match array {
        Array::Pinned | Array::OnFuture => {
            let (name, rest) = quoted(line)?;
            (name, None, rest)
        }
        Array::Paused => {
            let (name, rest) = quoted(line.strip_prefix(b"[")?.trim_ascii_start())?;
            let rest = rest.strip_prefix(b",")?.trim_ascii_start();
            let (time, rest) = rest.split_at_checked(20)?;
            let since = Timestamp::parse(std::str::from_utf8(time).ok()?)?;
            (
                name,
                Some(since),
                rest.trim_ascii_start().strip_prefix(b"]")?,
            )
        }
    };
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    let sound = ListName::check(name).is_ok() && (rest.is_empty() || rest[0] == b'#');
    sound.then_some((name, since))
}

fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let end = text.iter().position(|&b| b == b'"')?;
    Some((&text[..end], &text[end + 1..]))
}

// ---- stream and TOML ----

fn unsealed_standing(
    file: &File,
    meta: &Metadata,
    is_it: &dyn Fn(&[u8]) -> bool,
) -> Result<Standing, StateError> {
    let (mut paused, mut on_future) = (None, false);
    let mut see = |(array, name, since): Row<'_>| match array {
        Array::Paused if is_it(name) => paused = since,
        Array::OnFuture if is_it(name) => on_future = true,
        _ => {}
    };
    let (roles, reading) = unsealed(file, meta, &mut see)?;
    // Where the stream gave up, the rows before that place are all in the TOML too.
    Ok(Standing {
        roles,
        paused,
        on_future,
        reading,
    })
}

fn unsealed(
    file: &File,
    meta: &Metadata,
    row: &mut dyn FnMut(Row<'_>),
) -> Result<(Roles, Reading), StateError> {
    let shape = match stream(file, row) {
        Ok(roles) => return Ok((roles, Reading::Stream)),
        Err(StreamError::Read(error)) => return Err(StateError::Read(error)),
        Err(StreamError::Shape(line, what)) => (Position { line, column: 1 }, what),
    };
    if meta.size() >= LARGEST_TOML {
        return Err(StateError::Size(shape.0, shape.1));
    }
    Ok((whole(file, meta, row)?, Reading::Toml))
}

enum StreamError {
    Read(io::Error),
    /// Line from 1, and what is not as it should be there.
    Shape(usize, String),
}

/// Reads a file in line shape, however long.
fn stream(file: &File, see: &mut dyn FnMut(Row<'_>)) -> Result<Roles, StreamError> {
    let mut lines = Lines {
        file,
        at: 0,
        block: vec![0; 64 * 1024],
        used: 0,
        filled: 0,
        number: 0,
    };
    let mut head = String::new();
    let mut open: Option<(Array, usize)> = None;
    let mut seen = [false; 3];
    while let Some(line) = lines.next()? {
        let number = lines.number;
        let line = &lines.block[line];
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        let shape = |what: &str| StreamError::Shape(number, what.to_owned());
        match open {
            Some(_) if is_close(line) => open = None,
            Some((array, _)) => {
                let (name, since) = row(line, array).ok_or_else(|| shape("this is not a row"))?;
                see((array, name, since));
            }
            None => match opens(line) {
                Some(array) => {
                    if std::mem::replace(&mut seen[array as usize], true) {
                        return Err(shape("this array stands twice"));
                    }
                    open = Some((array, number));
                }
                None => {
                    let text = std::str::from_utf8(line).map_err(|_| shape("this is not UTF-8"))?;
                    if head.len() + text.len() > MOST_HEAD_BYTES {
                        return Err(shape("too much stands outside of the arrays"));
                    }
                    head.push_str(text);
                    head.push('\n');
                }
            },
        }
    }
    if let Some((_, line)) = open {
        return Err(StreamError::Shape(
            line,
            "this array has no closing ]".to_owned(),
        ));
    }
    let at_end = |what: String| StreamError::Shape(lines.number, what);
    let raw = parse_toml(&head).map_err(|(_, what)| at_end(what))?;
    let roles = raw.roles().map_err(|(_, what)| at_end(what))?;
    raw.rows(seen, see).map_err(|(_, what)| at_end(what))?;
    Ok(roles)
}

/// `]`, with a comment perhaps.
fn is_close(line: &[u8]) -> bool {
    line.strip_prefix(b"]").is_some_and(|rest| {
        let rest = rest.trim_ascii_start();
        rest.is_empty() || rest[0] == b'#'
    })
}

/// `on_future = [` and the like, with a comment perhaps.
fn opens(line: &[u8]) -> Option<Array> {
    let equals = line.iter().position(|&b| b == b'=')?;
    let array = match line[..equals].trim_ascii() {
        b"pinned" => Array::Pinned,
        b"paused" => Array::Paused,
        b"on_future" => Array::OnFuture,
        _ => return None,
    };
    let rest = line[equals + 1..]
        .trim_ascii_start()
        .strip_prefix(b"[")?
        .trim_ascii_start();
    (rest.is_empty() || rest[0] == b'#').then_some(array)
}

/// The lines of a file in a buffer of constant size.
struct Lines<'a> {
    file: &'a File,
    /// Offset in the file of the end of what is in the buffer.
    at: u64,
    block: Vec<u8>,
    used: usize,
    filled: usize,
    /// The line handed out last, from 1.
    number: usize,
}

impl Lines<'_> {
    /// The place in `block` of the next line, without its newline; `None` at the end.
    fn next(&mut self) -> Result<Option<std::ops::Range<usize>>, StreamError> {
        self.number += 1;
        loop {
            let rest = &self.block[self.used..self.filled];
            let newline = rest.iter().position(|&b| b == b'\n');
            if newline.unwrap_or(rest.len()) > LONGEST_LINE {
                return Err(StreamError::Shape(
                    self.number,
                    "this line is too long".to_owned(),
                ));
            }
            if let Some(length) = newline {
                let line = self.used..self.used + length;
                self.used = line.end + 1;
                return Ok(Some(line));
            }
            self.block.copy_within(self.used..self.filled, 0);
            self.filled -= self.used;
            self.used = 0;
            let n = read_at(self.file, &mut self.block[self.filled..], self.at)
                .map_err(StreamError::Read)?;
            self.at += n as u64;
            if n == 0 {
                let line = 0..self.filled;
                self.filled = 0;
                return Ok((!line.is_empty()).then_some(line));
            }
            self.filled += n;
        }
    }
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
    generation: u64,
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
        let state = &self.future_tree.state;
        let future_state = FutureState::parse(state.get_ref()).ok_or_else(|| {
            (
                state.span().start,
                format!("not a state of a tree: {:?}", state.get_ref()),
            )
        })?;
        Ok(Roles {
            generation: self.generation,
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
