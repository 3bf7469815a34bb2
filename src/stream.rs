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
    let mut shape = Shape {
        head: String::new(),
        open: None,
        seen: [false; 3],
    };
    while let Some(line) = lines.next()? {
        let number = lines.number;
        let line = &lines.block[line];
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        shape
            .take(line, number, see)
            .map_err(|what| StreamError::Shape(number, what.to_owned()))?;
    }
    match shape.open {
        Some((_, line)) => Err(StreamError::Shape(
            line,
            "this array has no closing ]".to_owned(),
        )),
        None => Ok(Streamed {
            head: shape.head,
            seen: shape.seen,
            last: lines.number,
        }),
    }
}

/// What was read so far.
struct Shape {
    head: String,
    /// The array that we are in, and the line of its name.
    open: Option<(Array, usize)>,
    seen: [bool; 3],
}

impl Shape {
    /// Takes one line that is neither blank nor a comment; on error says what is wrong with it.
    fn take(
        &mut self,
        line: &[u8],
        number: usize,
        see: &mut dyn FnMut(Row<'_>),
    ) -> Result<(), &'static str> {
        if let Some((array, _)) = self.open {
            if is_close(line) {
                self.open = None;
                return Ok(());
            }
            let (name, since) = row(line, array).ok_or("this is not a row")?;
            see((array, name, since));
            return Ok(());
        }
        if let Some(array) = opens(line) {
            self.open = Some((array, number));
            return match std::mem::replace(&mut self.seen[array as usize], true) {
                true => Err("this array stands twice"),
                false => Ok(()),
            };
        }
        let text = std::str::from_utf8(line).map_err(|_| "this is not UTF-8")?;
        if self.head.len() + text.len() > MOST_HEAD_BYTES {
            return Err("too much stands outside of the arrays");
        }
        self.head.push_str(text);
        self.head.push('\n');
        Ok(())
    }
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
