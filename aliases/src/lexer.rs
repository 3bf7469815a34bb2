//! Bytes to spans: logical lines of a file, and words of a logical line.
//!
//! First the file is cut into logical lines and what stands between them ([`pieces`]). A logical
//! line that may be an entry is then joined ([`Joined`]: continuation lines without the newlines and
//! comments between them, each byte still knowing where it came from) and cut into words
//! ([`tokens`]), which is where quoting, comments in parentheses and single-character operators are.
//!
//! **Invariants**: the pieces of a file, joined, are the file. Nothing here knows what a name or a
//! destination is, allocates text for a whole file, or fails.
//!
//! Source: aliases(5) of Postfix, its reader of logical lines and its address tokenizer as measured
//! with Postfix 3.7; `tests/grammar/postfix.cases`.

use std::ops::Range;

use memchr::memchr;

/// Whose reading of an aliases file is meant. They differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// Postfix' postalias(1) and local(8), with `smtputf8_enable = yes` (its default).
    Postfix,
}

/// What a piece of a file is, as far as its line beginnings tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceKind {
    /// Blank lines and comments, whole lines.
    Between,
    /// A logical line, with continuation lines and what stands between those.
    Logical,
    /// A continuation of nothing: indented, with no logical line above.
    Orphan,
}

/// A run of whole physical lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: PieceKind,
    pub(crate) span: Range<usize>,
    /// The line number of its first line, from 1.
    pub(crate) line: usize,
}

/// White space at a line's beginning: ASCII only, with vertical tab and form feed.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// White space between words.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// A line that is empty, white space only, or whose first other byte is `#`.
fn is_trivia(line: &[u8]) -> bool {
    match line.iter().find(|byte| !is_blank(**byte)) {
        None | Some(b'#') => true,
        Some(_) => false,
    }
}

/// The end of the physical line that begins at `start`: behind its newline, or the end of `bytes`.
fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |newline| start + newline + 1)
}

/// Cuts a file into pieces, in order, and hands each to `take`.
pub(crate) fn pieces(bytes: &[u8], dialect: Dialect, mut take: impl FnMut(Piece)) {
    // All of this is Postfix' way; a dialect without continuation lines differs here.
    let Dialect::Postfix = dialect;
    // What is open: a logical line (or an orphan) from `open`'s start up to the last line of its
    // own, and behind that lines that belong to it only if a continuation follows.
    let mut open: Option<Piece> = None;
    let mut between = nothing_at(0, 1);
    let mut start = 0;
    let mut line = 1;
    while start < bytes.len() {
        let end = line_end(bytes, start);
        if is_trivia(&bytes[start..end]) {
            between.span.end = end;
        } else {
            let indented = is_blank(bytes[start]);
            match &mut open {
                Some(piece) if indented => piece.span.end = end,
                _ => {
                    flush(open.take(), &between, &mut take);
                    let kind = if indented {
                        PieceKind::Orphan
                    } else {
                        PieceKind::Logical
                    };
                    open = Some(Piece {
                        kind,
                        span: start..end,
                        line,
                    });
                }
            }
            between = nothing_at(end, line + 1);
        }
        start = end;
        line += 1;
    }
    flush(open, &between, &mut take);
}

fn nothing_at(offset: usize, line: usize) -> Piece {
    Piece {
        kind: PieceKind::Between,
        span: offset..offset,
        line,
    }
}

fn flush(open: Option<Piece>, between: &Piece, take: &mut impl FnMut(Piece)) {
    if let Some(piece) = open {
        take(piece);
    }
    if !between.span.is_empty() {
        take(between.clone());
    }
}

/// A logical line as the MTA sees it: one line, up to the first NUL.
pub(crate) struct Joined {
    text: Vec<u8>,
    /// Where each stretch of `text` begins: in `text`, and in the raw bytes.
    stretches: Vec<(usize, usize)>,
    /// Where the NUL stands in the raw bytes.
    pub(crate) nul: Option<usize>,
    /// Whether the MTA takes the line for UTF-8.
    pub(crate) utf8: bool,
}

impl Joined {
    /// Joins the physical lines of `raw`, one whole logical line.
    pub(crate) fn new(raw: &[u8]) -> Self {
        let mut text = Vec::with_capacity(raw.len());
        let mut stretches = Vec::new();
        let mut start = 0;
        while start < raw.len() {
            let end = line_end(raw, start);
            if !is_trivia(&raw[start..end]) {
                stretches.push((text.len(), start));
                text.extend_from_slice(
                    raw[start..end]
                        .strip_suffix(b"\n")
                        .unwrap_or(&raw[start..end]),
                );
            }
            start = end;
        }
        let cut = memchr(0, &text);
        // The MTA asks "some ASCII?" of what it sees, and "UTF-8?" of the whole.
        let seen = &text[..cut.unwrap_or(text.len())];
        let utf8 = (!seen.is_empty() && seen.is_ascii()) || std::str::from_utf8(&text).is_ok();
        let mut joined = Self {
            text,
            stretches,
            nul: None,
            utf8,
        };
        if let Some(at) = cut {
            joined.nul = Some(joined.raw_offset(at));
            joined.text.truncate(at);
        }
        joined
    }

    /// The text, without newlines.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where the byte at `offset` of the text stands in the raw bytes.
    fn raw_offset(&self, offset: usize) -> usize {
        let stretch = self
            .stretches
            .partition_point(|(start, _)| *start <= offset);
        match stretch
            .checked_sub(1)
            .and_then(|index| self.stretches.get(index))
        {
            Some((in_text, in_raw)) => in_raw + (offset - in_text),
            None => offset,
        }
    }

    /// The raw bytes of a non-empty range of the text.
    pub(crate) fn raw_range(&self, range: Range<usize>) -> Range<usize> {
        let start = self.raw_offset(range.start);
        if range.is_empty() {
            return start..start;
        }
        start..self.raw_offset(range.end - 1) + 1
    }
}

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
