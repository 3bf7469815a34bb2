//! An address among others: where it ends, and what of it counts.
//!
//! A local part alone, `local@domain`, or either in angle brackets behind any words; comments in
//! parentheses and source routes count for nothing.
//!
//! **Invariants**: nothing here knows commands, files or names.

use crate::grammar::spliced::{is_space, trimmed};

/// The longest address, in bytes as it is written.
const LONGEST: usize = 256;

/// Why something is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nothing but comments. Exim passes over it.
    Empty,
    /// A quote that is not closed.
    Open,
    /// Too long.
    Long,
    Malformed,
}

/// An address as it counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The address with its quotes.
    pub(super) text: Vec<u8>,
    /// Whether it has a domain.
    pub(super) domain: bool,
}

/// Where the address that begins at `start` ends: at a comma that is no part of it.
pub(super) fn end(text: &[u8], start: usize) -> usize {
    let at_end = |at: usize| text.get(at).copied();
    let mut at = start;
    // A source route has commas of its own, up to its colon; so have angle brackets.
    let mut routed = at_end(at) == Some(b'@');
    let mut open = i32::from(routed);
    while let Some(byte) = at_end(at) {
        match byte {
            b',' if open <= 0 => break,
            b'\\' if at + 1 < text.len() => at += 2,
            b'"' => at = behind_quote(text, at),
            b'(' => at = behind_comment(text, at),
            _ => {
                match byte {
                    b'<' => {
                        routed = at_end(at + 1) == Some(b'@');
                        open = if routed { 2 } else { 1 };
                    }
                    b'>' => open -= 1,
                    b':' if routed => open -= 1,
                    _ => {}
                }
                at += 1;
            }
        }
    }
    at
}

fn behind_quote(text: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < text.len() {
        match text[at] {
            b'\\' if at + 1 < text.len() => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Behind a comment and those in it; the end of the text if it is not closed.
fn behind_comment(text: &[u8], mut at: usize) -> usize {
    let mut level = 0;
    while at < text.len() {
        match text[at] {
            b'\\' if at + 1 < text.len() => at += 1,
            b'(' => level += 1,
            b')' => level -= 1,
            _ => {}
        }
        at += 1;
        if level == 0 {
            break;
        }
    }
    at
}

/// What of an address counts.
pub(super) fn extract(text: &[u8]) -> Result<Address, Flaw> {
    let mut reader = Reader {
        text,
        at: 0,
        last_comment: 0,
    };
    let (address, written) = reader.mailbox()?;
    if reader.peek().is_some() {
        return Err(Flaw::Malformed);
    }
    let written = trimmed(text, written.0..written.1.max(written.0));
    if written.len() > LONGEST {
        return Err(Flaw::Long);
    }
    Ok(address)
}

/// Whether a domain may be an address in brackets. Exim 4.96 takes one only in an address that
/// stands by itself, although `allow_domain_literals` is unset.
#[derive(Clone, Copy)]
enum Literal {
    Taken,
    Refused,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the blanks and comments begin that were passed over last.
    last_comment: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_comments(&mut self) {
        self.last_comment = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => self.at = behind_comment(self.text, self.at),
                _ if is_space(byte) => self.at += 1,
                _ => break,
            }
        }
    }

    /// The address, and where what was written of it begins and ends.
    fn mailbox(&mut self) -> Result<(Address, (usize, usize)), Flaw> {
        self.skip_comments();
        let start = self.at;
        let local = self.local_part()?;
        match self.peek() {
            None | Some(b';') if local.is_empty() => Err(Flaw::Empty),
            None | Some(b';') => Ok((
                Address {
                    text: local,
                    domain: false,
                },
                (start, self.last_comment),
            )),
            Some(b'@') if local.is_empty() => {
                self.route()?;
                let address = self.address(None)?;
                if !address.domain {
                    return Err(Flaw::Malformed);
                }
                Ok((address, (start, self.last_comment)))
            }
            Some(b'@') => {
                let address = self.with_domain(local, Literal::Taken)?;
                Ok((address, (start, self.last_comment)))
            }
            _ => self.bracketed(),
        }
    }

    /// Words, and an address in angle brackets.
    fn bracketed(&mut self) -> Result<(Address, (usize, usize)), Flaw> {
        while self.peek() != Some(b'<') {
            if self.local_part()?.is_empty() {
                return Err(Flaw::Malformed);
            }
        }
        self.at += 1;
        let start = self.at;
        self.skip_comments();
        let routed = self.peek() == Some(b'@');
        if routed {
            self.route()?;
        }
        let address = self.address(Some(b'>'))?;
        if routed && !address.domain {
            return Err(Flaw::Malformed);
        }
        let end = self.at;
        if self.peek() != Some(b'>') {
            return Err(Flaw::Malformed);
        }
        self.at += 1;
        self.skip_comments();
        Ok((address, (start, end)))
    }

    /// `@one,@two:`, which counts for nothing.
    fn route(&mut self) -> Result<(), Flaw> {
        while self.peek() == Some(b'@') {
            self.at += 1;
            self.domain(Literal::Refused)?;
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
            self.skip_comments();
        }
        if self.peek() != Some(b':') {
            return Err(Flaw::Malformed);
        }
        self.at += 1;
        self.skip_comments();
        Ok(())
    }

    /// A local part, with a domain unless `end` follows.
    fn address(&mut self, end: Option<u8>) -> Result<Address, Flaw> {
        let local = self.local_part()?;
        match self.peek() {
            _ if local.is_empty() => Err(Flaw::Malformed),
            next if next == end => Ok(Address {
                text: local,
                domain: false,
            }),
            Some(b'@') => self.with_domain(local, Literal::Refused),
            _ => Err(Flaw::Malformed),
        }
    }

    fn with_domain(&mut self, mut local: Vec<u8>, literal: Literal) -> Result<Address, Flaw> {
        self.at += 1;
        local.push(b'@');
        local.extend(self.domain(literal)?);
        Ok(Address {
            text: local,
            domain: true,
        })
    }

    /// Words with dots between them; empty if there is none.
    fn local_part(&mut self) -> Result<Vec<u8>, Flaw> {
        let mut local = Vec::new();
        loop {
            self.skip_comments();
            if self.peek() == Some(b'"') {
                let end = behind_quote(self.text, self.at);
                let quoted = &self.text[self.at..end];
                if !is_closed(quoted) {
                    return Err(Flaw::Open);
                }
                local.extend_from_slice(quoted);
                self.at = end;
            } else {
                self.atom(&mut local);
            }
            self.skip_comments();
            if self.peek() != Some(b'.') {
                return Ok(local);
            }
            while self.peek() == Some(b'.') {
                local.push(b'.');
                self.at += 1;
            }
        }
    }

    /// Bytes that are no special ones, or stand behind a backslash.
    fn atom(&mut self, local: &mut Vec<u8>) {
        while let Some(byte) = self.peek().filter(|byte| is_atom_byte(*byte)) {
            local.push(byte);
            self.at += 1;
            if byte == b'\\' {
                local.extend(self.peek());
                self.at = self.text.len().min(self.at + 1);
            }
        }
    }

    /// Labels with dots between them, or something in brackets.
    fn domain(&mut self, literal: Literal) -> Result<Vec<u8>, Flaw> {
        let mut domain = Vec::new();
        self.skip_comments();
        if self.peek() == Some(b'[') {
            return match literal {
                Literal::Taken => self.literal(),
                Literal::Refused => Err(Flaw::Malformed),
            };
        }
        loop {
            let before = domain.len();
            if self.peek() != Some(b'-') {
                let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
                while let Some(byte) = self.peek().filter(is_label) {
                    domain.push(byte);
                    self.at += 1;
                }
            }
            self.skip_comments();
            if domain.len() == before {
                return Err(Flaw::Malformed);
            }
            if self.peek() != Some(b'.') {
                return Ok(domain);
            }
            domain.push(b'.');
            self.at += 1;
            self.skip_comments();
        }
    }

    fn literal(&mut self) -> Result<Vec<u8>, Flaw> {
        let is_inside = |byte: &u8| byte.is_ascii_graphic() && !b"[\\]".contains(byte);
        let rest = &self.text[self.at + 1..];
        let length = rest.iter().take_while(|byte| is_inside(byte)).count();
        if rest.get(length) != Some(&b']') {
            return Err(Flaw::Malformed);
        }
        let end = self.at + length + 2;
        let literal = self.text[self.at..end].to_vec();
        self.at = end;
        self.skip_comments();
        Ok(literal)
    }
}

/// Whether what begins with a quote ends with one that is not quoted itself.
fn is_closed(quoted: &[u8]) -> bool {
    let Some((b'"', inner)) = quoted.split_last() else {
        return false;
    };
    let backslashes = inner
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count();
    !inner.is_empty() && backslashes % 2 == 0
}

fn is_atom_byte(byte: u8) -> bool {
    byte > b' ' && byte != b'\x7f' && !b"()<>@,;:\".[]".contains(&byte)
}
