//! One conversation with a server that answers each command: SMTP's manners, and its bounds.
//!
//! **Invariants.** Every wait ends: at the step's own limit, or at the end of the whole. What a
//! server says is bounded: a line, and a reply. A reply counts only if it came after what it
//! answers; a server that speaks out of turn would else be believed to have taken a message
//! that it never had.

use std::fmt;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::socket::Socket;

/// How long a line of a reply may be, in bytes. RFC 5321 allows 512.
const LONGEST_LINE: usize = 4 * 1024;
/// How many lines a reply may have.
const MOST_LINES: usize = 100;
/// A server that was reached.
#[derive(Debug)]
pub struct Dialogue {
    socket: Socket,
    /// What was read and is no part of a reply yet.
    heard: Vec<u8>,
    /// When everything ends.
    end: Instant,
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// What stands behind the code, line by line.
    pub lines: Vec<String>,
}

/// Why a conversation went no further.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody answers there.
    Connect(io::Error),
    /// It took too long.
    Late,
    /// The server went away.
    Closed,
    /// The connection failed.
    Failed(io::Error),
    /// This is no reply.
    Nonsense(String),
    /// More than any reply has.
    TooLong,
    /// The server speaks although nothing was asked.
    OutOfTurn,
}

impl Dialogue {
    /// Connects, by `end` at the latest.
    ///
    /// # Errors
    /// `Connect`, `Late`.
    pub fn open(endpoint: &Endpoint, limit: Duration, end: Instant) -> Result<Dialogue, Trouble> {
        let time = left(end)?.min(limit);
        Ok(Dialogue {
            socket: Socket::open(endpoint, time).map_err(Trouble::of_connect)?,
            heard: Vec::new(),
            end,
        })
    }

    /// Sends `bytes`, if the server waits for them.
    ///
    /// # Errors
    /// Any [`Trouble`] but `Connect`; part of it may have been sent.
    pub fn send(&mut self, bytes: &[u8], limit: Duration) -> Result<(), Trouble> {
        self.listen_for_nothing()?;
        let until = self.until(limit);
        let mut rest = bytes;
        while !rest.is_empty() {
            let time = left(until)?;
            self.socket.limit_write(time).map_err(Trouble::Failed)?;
            match self.socket.write(rest) {
                Ok(0) => return Err(Trouble::Closed),
                Ok(n) => rest = &rest[n..],
                Err(error) => Trouble::of(error).map_or(Ok(()), Err)?,
            }
        }
        Ok(())
    }

    /// Waits for a reply.
    ///
    /// # Errors
    /// Any [`Trouble`] but `Connect` and `OutOfTurn`.
    pub fn reply(&mut self, limit: Duration) -> Result<Reply, Trouble> {
        let until = self.until(limit);
        let (mut first, mut lines) = (None, Vec::new());
        while lines.len() < MOST_LINES {
            let (code, is_last, text) = parse(&self.line(until)?)?;
            let before = *first.get_or_insert(code);
            if before != code {
                return Err(Trouble::Nonsense(format!("{before} and {code} in one")));
            }
            lines.push(text);
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
        Err(Trouble::TooLong)
    }

    /// Says goodbye, and does not care whether that is heard.
    pub fn leave(mut self) {
        let _ = self.socket.set_nonblocking(true);
        let _ = self.socket.write(b"QUIT\r\n");
    }

    fn until(&self, limit: Duration) -> Instant {
        self.end.min(Instant::now() + limit)
    }

    /// Makes sure that the server has said nothing that was not asked.
    fn listen_for_nothing(&mut self) -> Result<(), Trouble> {
        if !self.heard.is_empty() {
            return Err(Trouble::OutOfTurn);
        }
        self.socket.set_nonblocking(true).map_err(Trouble::Failed)?;
        let heard = self.socket.read(&mut [0]);
        self.socket
            .set_nonblocking(false)
            .map_err(Trouble::Failed)?;
        match heard {
            Ok(0) => Err(Trouble::Closed),
            Ok(_) => Err(Trouble::OutOfTurn),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Trouble::of(error).map_or(Ok(()), Err),
        }
    }

    /// One line, without its end.
    fn line(&mut self, until: Instant) -> Result<Vec<u8>, Trouble> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.heard[seen..].iter().position(|&b| b == b'\n') {
                let rest = self.heard.split_off(seen + at + 1);
                let mut line = mem::replace(&mut self.heard, rest);
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            seen = self.heard.len();
            if seen > LONGEST_LINE {
                return Err(Trouble::TooLong);
            }
            let mut bytes = [0; 1024];
            let time = left(until)?;
            self.socket.limit_read(time).map_err(Trouble::Failed)?;
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(Trouble::Closed),
                Ok(n) => self.heard.extend_from_slice(&bytes[..n]),
                Err(error) => Trouble::of(error).map_or(Ok(()), Err)?,
            }
        }
    }
}

impl Reply {
    /// Whether what was asked is done.
    pub fn is_done(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether it never will be.
    pub fn is_final(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / ").trim_end())
    }
}

/// The code of a line, whether it is its reply's last one, and the text.
fn parse(line: &[u8]) -> Result<(u16, bool, String), Trouble> {
    let nonsense = || Trouble::Nonsense(String::from_utf8_lossy(line).into_owned());
    let (digits, rest) = line.split_at_checked(3).ok_or_else(nonsense)?;
    let is_code = digits.iter().all(u8::is_ascii_digit) && (b'2'..=b'5').contains(&digits[0]);
    let is_last = match rest.first() {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return Err(nonsense()),
    };
    if !is_code {
        return Err(nonsense());
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let text = String::from_utf8_lossy(rest.get(1..).unwrap_or_default());
    Ok((code, is_last, text.into_owned()))
}

/// How long there is until then.
///
/// # Errors
/// `Late`: it is past.
pub fn left(until: Instant) -> Result<Duration, Trouble> {
    match until.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(Trouble::Late),
    }
}

impl Trouble {
    /// What a failed read or write means; `None`: try again.
    fn of(error: io::Error) -> Option<Trouble> {
        match error.kind() {
            io::ErrorKind::Interrupted => None,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Some(Trouble::Late),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Some(Trouble::Closed),
            _ => Some(Trouble::Failed(error)),
        }
    }

    fn of_connect(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::TimedOut => Trouble::Late,
            _ => Trouble::Connect(error),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Connect(error) => write!(f, "cannot connect: {error}"),
            Trouble::Late => f.write_str("no answer in time"),
            Trouble::Closed => f.write_str("the server closed the connection"),
            Trouble::Failed(error) => write!(f, "the connection failed: {error}"),
            Trouble::Nonsense(said) => write!(f, "this is no reply: {said:?}"),
            Trouble::TooLong => f.write_str("the reply has no end"),
            Trouble::OutOfTurn => f.write_str("the server speaks before it was asked"),
        }
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_line_of_a_reply_has_a_code_and_says_whether_it_is_the_last() {
        assert_eq!(parse(b"250 Ok").unwrap(), (250, true, "Ok".to_owned()));
        assert_eq!(parse(b"250").unwrap(), (250, true, String::new()));
        assert_eq!(
            parse(b"550-5.1.1 no").unwrap(),
            (550, false, "5.1.1 no".to_owned())
        );
        for nonsense in [
            "", "2", "25", "2500 x", "abc x", "150 x", "650 x", " 250 x", "+OK", "25x y",
        ] {
            let read = parse(nonsense.as_bytes());
            assert!(
                matches!(read, Err(Trouble::Nonsense(_))),
                "{nonsense:?}: {read:?}"
            );
        }
    }
}
