//! parity.toml while its seal stands: one list is found by binary search among sorted rows.
//!
//! **Invariants.** Trusts nothing but what it reads: where a row is not as a sealed file has
//! it there is no answer, and the file is read as an edited one.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::clock::Timestamp;
use crate::row::{Array, read_at, row};

/// The first line and the scalars fit in this, or the file is not sealed.
const HEAD_BYTES: usize = 4 * 1024;
/// A search ends by reading this much; no row is longer than half of it.
const BLOCK: usize = 2 * 1024;

/// What a sealed file says about one list.
pub(crate) struct Found {
    /// The scalars, as TOML.
    pub(crate) head: String,
    /// Since when its mail is deferred, if it is.
    pub(crate) paused: Option<Timestamp>,
    /// Whether it was moved ahead.
    pub(crate) on_future: bool,
}

/// Line 1 of a sealed file and the text after it up to the arrays.
pub(crate) struct Seal {
    head: String,
    size: u64,
    paused: u64,
    on_future: u64,
}

impl Seal {
    /// `None` if the file is not sealed, or was changed since.
    pub(crate) fn read(file: &File, meta: &Metadata) -> io::Result<Option<Seal>> {
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

    /// Looks for the list that has any of these folded names; `None` where the rows are not as
    /// a sealed file has them: then the seal is worth nothing.
    pub(crate) fn find(self, file: &File, names: &[String]) -> io::Result<Option<Found>> {
        let Some(rows) = array_at(file, self.paused, self.on_future, "paused")? else {
            return Ok(None);
        };
        let Some(ahead) = array_at(file, self.on_future, self.size, "on_future")? else {
            return Ok(None);
        };
        let (mut paused, mut on_future) = (None, false);
        for name in names {
            let since = search(file, rows, Array::Paused, name)?;
            let moved = search(file, ahead, Array::OnFuture, name)?;
            let (Some(since), Some(moved)) = (since, moved) else {
                return Ok(None);
            };
            paused = paused.or(since.flatten());
            on_future |= moved.is_some();
        }
        Ok(Some(Found {
            head: self.head,
            paused,
            on_future,
        }))
    }
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
