//! parity.toml by the line: what a row is, and where an array begins and ends.
//!
//! **Invariants.** Allocates nothing; bytes in, bytes out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::clock::Timestamp;
use crate::list::ListName;

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

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
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
pub(crate) fn row(line: &[u8], array: Array) -> Option<(&[u8], Option<Timestamp>)> {
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

/// `]`, with a comment perhaps.
pub(crate) fn is_close(line: &[u8]) -> bool {
    line.strip_prefix(b"]").is_some_and(|rest| {
        let rest = rest.trim_ascii_start();
        rest.is_empty() || rest[0] == b'#'
    })
}

/// `on_future = [` and the like, with a comment perhaps.
pub(crate) fn opens(line: &[u8]) -> Option<Array> {
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
