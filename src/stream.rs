//! parity.toml after an edit by hand: one row a line in any order, read in constant memory.
//!
//! **Invariants.** The buffer does not grow, however long the file; an array that does not
//! end is an error.

use std::fs::File;
use std::io;

use crate::row::{Array, Row, is_close, opens, read_at, row};

/// No line in line shape is longer.
const LONGEST_LINE: usize = 4 * 1024;
/// How many bytes may stand outside of the arrays, comments apart.
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// What stands outside of the arrays.
pub(crate) struct Streamed {
    /// The scalars, as TOML.
    pub(crate) head: String,
    /// Which arrays were handed over, by [`Array`].
    pub(crate) seen: [bool; 3],
    /// The last line, from 1.
    pub(crate) last: usize,
}

/// Why a file was not read to its end.
pub(crate) enum StreamError {
    /// The kernel's reason.
    Read(io::Error),
    /// Line from 1, and what is not as it should be there.
    Shape(usize, String),
}

/// Reads a file in line shape, however long.
pub(crate) fn stream(file: &File, see: &mut dyn FnMut(Row<'_>)) -> Result<Streamed, StreamError> {
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
    Ok(Streamed {
        head,
        seen,
        last: lines.number,
    })
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
