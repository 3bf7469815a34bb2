//! The message on standard input, read once, from front to back.
//!
//! Its first line is looked at: an initial From_ line is an mbox's and no part of the message.
//! Where the sender is asked of the header, the header is kept until it is sent.
//!
//! **Invariants.** No wait without an end. Holds one piece, or the header up to [`HEADER`].

use std::fs::File;
use std::io::Read;
use std::mem::{self, ManuallyDrop};
use std::os::fd::FromRawFd;
use std::time::Instant;

use crate::dialogue::{Trouble, left};
use crate::stdio;

/// How much is read at once, in bytes: what a pipe holds.
const PIECE: usize = 64 * 1024;
/// No From_ line is longer, in bytes; no MTA's addresses are.
const FROM_LINE: usize = 2 * 1024;
/// How far into a message its Return-Path is looked for: MTAs put it at the top.
const HEADER: usize = 256 * 1024;

/// A message that is being read.
#[derive(Debug)]
pub struct Incoming {
    input: ManuallyDrop<File>,
    /// What stands behind `From ` in the line that was taken off.
    from_line: Option<Vec<u8>>,
    /// What was read and is not handed out yet.
    ahead: Vec<u8>,
    /// What [`Incoming::piece`] handed out last.
    piece: Vec<u8>,
    ended: bool,
    /// When everything ends.
    end: Instant,
}

impl Incoming {
    /// Begins to read, and takes the From_ line off.
    ///
    /// # Errors
    /// Standard input cannot be read, or not in time.
    #[expect(
        unsafe_code,
        reason = "std's own standard input keeps a buffer of its own"
    )]
    pub fn open(end: Instant) -> Result<Incoming, Trouble> {
        let mut message = Incoming {
            // SAFETY: 0 is open (the caller has looked), and is not closed here.
            input: ManuallyDrop::new(unsafe { File::from_raw_fd(0) }),
            from_line: None,
            ahead: Vec::new(),
            piece: Vec::new(),
            ended: false,
            end,
        };
        let line = loop {
            match message.ahead.iter().position(|&b| b == b'\n') {
                Some(at) => break at,
                None if message.ended => break message.ahead.len(),
                None if message.ahead.len() > FROM_LINE => return Ok(message),
                None => message.read()?,
            }
        };
        if is_from_line(&message.ahead[..line]) {
            let next = message.ahead.len().min(line + 1);
            let rest = message.ahead.split_off(next);
            let taken = mem::replace(&mut message.ahead, rest);
            message.from_line = Some(taken[5..line].to_vec());
        }
        Ok(message)
    }

    /// Whether nothing came but a From_ line, which is no part of a message.
    ///
    /// # Errors
    /// Standard input cannot be read, or not in time.
    pub fn is_empty(&mut self) -> Result<bool, Trouble> {
        while self.ahead.is_empty() && !self.ended {
            self.read()?;
        }
        Ok(self.ahead.is_empty())
    }

    /// The From_ line behind its `From `, if the message began with one.
    pub fn from_line(&self) -> Option<&[u8]> {
        self.from_line.as_deref()
    }

    /// The value of the first Return-Path in the header.
    ///
    /// # Errors
    /// Standard input cannot be read, or not in time.
    pub fn return_path(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        const NAME: &[u8] = b"return-path:";
        let mut begin = 0;
        loop {
            let header = &self.ahead[begin..HEADER.min(self.ahead.len())];
            let Some(at) = header.iter().position(|&b| b == b'\n') else {
                if self.ended || self.ahead.len() >= HEADER {
                    return Ok(None);
                }
                self.read()?;
                continue;
            };
            let line = self.ahead[begin..begin + at].trim_ascii_end();
            if line.is_empty() {
                return Ok(None);
            }
            if let Some((name, value)) = line.split_at_checked(NAME.len())
                && name.eq_ignore_ascii_case(NAME)
            {
                return Ok(Some(value.trim_ascii().to_vec()));
            }
            begin += at + 1;
        }
    }

    /// The next bytes of the message; `None` at its end.
    ///
    /// # Errors
    /// Standard input cannot be read, or not in time.
    pub fn piece(&mut self) -> Result<Option<&[u8]>, Trouble> {
        let is_over = self.is_empty()?;
        self.piece.clear();
        mem::swap(&mut self.piece, &mut self.ahead);
        Ok((!is_over).then_some(&self.piece))
    }

    /// Reads one piece more.
    fn read(&mut self) -> Result<(), Trouble> {
        while !stdio::is_readable(0, left(self.end)?) {}
        let before = self.ahead.len();
        self.ahead.resize(before + PIECE, 0);
        let read = (&*self.input).read(&mut self.ahead[before..]);
        // What was interrupted is tried again by who calls.
        self.ahead
            .truncate(before + read.as_ref().map_or(0, |&count| count));
        match read {
            Ok(count) => self.ended = count == 0,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Trouble::Failed(error)),
        }
        Ok(())
    }
}

/// `From `, and not the header field of that name with a blank before its colon.
fn is_from_line(line: &[u8]) -> bool {
    line.strip_prefix(b"From ")
        .is_some_and(|rest| rest.trim_ascii_start().first().is_some_and(|&b| b != b':'))
}
