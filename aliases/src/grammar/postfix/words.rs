//! A logical line as words: atoms, quoted strings, comments in parentheses, domain literals, operators.
//!
//! **Invariants**: nothing here knows a name from a destination, or fails.

use std::ops::Range;

use super::lines::is_space;

/// What a word of a logical line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// One of the operators, which are words by themselves.
    Operator(u8),
    /// A word without quotes; backslashes may quote single bytes.
    Atom,
    /// A word in double quotes.
    Quoted,
    /// A comment in parentheses.
    Comment,
    /// A domain literal in brackets.
    Domain,
}

/// A word of a logical line; `span` is in the joined text, with quotes or brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
    /// Whether the closing quote, parenthesis or bracket is there (true for all other words).
    pub(crate) closed: bool,
}

impl Token {
    /// Whether it is this operator.
    pub(crate) fn is(&self, operator: u8) -> bool {
        self.kind == TokenKind::Operator(operator)
    }

    /// Appends what the word stands for, without quotes and backslashes.
    pub(crate) fn append_to(&self, text: &[u8], out: &mut Vec<u8>) {
        let raw = &text[self.span.clone()];
        let close = usize::from(self.closed);
        match self.kind {
            TokenKind::Operator(_) | TokenKind::Comment => out.extend_from_slice(raw),
            TokenKind::Atom => unescape(raw, out),
            TokenKind::Quoted => unescape(&raw[1..raw.len() - close], out),
            TokenKind::Domain => {
                out.push(b'[');
                unescape(&raw[1..raw.len() - close], out);
                out.push(b']');
            }
        }
    }
}

fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        let Some(byte) = (if byte == b'\\' {
            bytes.next()
        } else {
            Some(byte)
        }) else {
            return;
        };
        out.push(if is_space(byte) { b' ' } else { byte });
    }
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'|' | b'%'
            | b'!'
            | b'('
            | b')'
            | b'<'
            | b'>'
            | b'@'
            | b','
            | b';'
            | b':'
            | b'"'
            | b'.'
            | b'['
            | b']'
    )
}

/// Cuts a joined logical line into words. An operator that opens a word never stands alone.
pub(crate) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if is_space(byte) {
            at += 1;
            continue;
        }
        let (kind, end, closed) = match byte {
            b'(' => delimited(TokenKind::Comment, text, at, comment_end),
            b'[' => delimited(TokenKind::Domain, text, at, |text, at| {
                closing(text, at, b']')
            }),
            b'"' => delimited(TokenKind::Quoted, text, at, |text, at| {
                closing(text, at, b'"')
            }),
            _ if is_operator(byte) => (TokenKind::Operator(byte), at + 1, true),
            _ => (TokenKind::Atom, atom_end(text, at), true),
        };
        found.push(Token {
            kind,
            span: at..end,
            closed,
        });
        at = end;
    }
    found
}

/// A word from `at` to behind its closing byte, or to the end of the text if there is none.
fn delimited(
    kind: TokenKind,
    text: &[u8],
    at: usize,
    find: impl Fn(&[u8], usize) -> Option<usize>,
) -> (TokenKind, usize, bool) {
    match find(text, at + 1) {
        Some(close) => (kind, close + 1, true),
        None => (kind, text.len(), false),
    }
}

fn closing(text: &[u8], mut at: usize, close: u8) -> Option<usize> {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == close => return Some(at),
            _ => at += 1,
        }
    }
    None
}

fn comment_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut level = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'(' => level += 1,
            b')' => level -= 1,
            _ => {}
        }
        if level == 0 {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn atom_end(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if is_space(byte) || is_operator(byte) => return at,
            _ => at += 1,
        }
    }
    text.len()
}
