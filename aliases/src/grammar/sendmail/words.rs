//! One address as words: atoms, quoted strings, operators; blanks and comments fall away.
//!
//! **Invariants**: nothing here knows a name from a destination, or fails: what is wrong is told
//! beside what was read all the same, as the MTA does it.

use std::ops::Range;

/// How many bytes a name, a destination or a word of one may have, as the MTA counts each of them.
pub(super) const LONGEST: usize = 255;
/// How many bytes all words of an address may have, each with a byte for its end.
const ALL_WORDS: usize = 1251;
/// How many words an address may have.
const MOST_WORDS: usize = 1000;

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordKind {
    /// One of the operators, which are words by themselves.
    Operator,
    /// A word without quotes.
    Atom,
    /// A word in double quotes.
    Quoted,
}

/// A word of an address. Backslashes and quotes are still in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) kind: WordKind,
    pub(super) text: Vec<u8>,
}

impl Word {
    /// Whether it is this operator.
    pub(super) fn is(&self, operator: u8) -> bool {
        self.kind == WordKind::Operator && self.text == [operator]
    }
}

/// An address, as far as words go.
#[derive(Debug)]
pub(super) struct Scan {
    /// None if they are too many or too long.
    pub(super) words: Option<Vec<Word>>,
    /// Where the delimiter stands, or what could not be read ends.
    pub(super) end: usize,
    /// The bytes that the words are made of, without blanks and comments around them.
    pub(super) span: Range<usize>,
    /// Where something stands that was not closed, or never opened.
    pub(super) unbalanced: Option<usize>,
}

/// White space in an address.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d)
}

fn is_operator(byte: u8) -> bool {
    b".:%@!^/[]+<>,;".contains(&byte)
}

/// Reads the address that begins at `start`, up to `delimiter`.
pub(super) fn scan(text: &[u8], start: usize, delimiter: u8) -> Scan {
    let mut scanner = Scanner {
        text,
        delimiter,
        at: start,
        ..Scanner::default()
    };
    scanner.run();
    scanner.end_word();
    let end = scanner.at;
    Scan {
        words: (!scanner.too_long).then_some(scanner.words),
        end,
        span: scanner.span.unwrap_or(end..end),
        unbalanced: scanner.unbalanced,
    }
}

/// The state of [`scan`].
#[derive(Default)]
struct Scanner<'t> {
    text: &'t [u8],
    delimiter: u8,
    at: usize,
    words: Vec<Word>,
    /// The last word, as long as the byte that ends it was not seen.
    open: Option<Word>,
    /// Bytes of all words, with an end for each that has ended.
    size: usize,
    too_long: bool,
    span: Option<Range<usize>>,
    /// Parentheses and angle brackets that are open.
    comments: usize,
    angles: usize,
    /// Whether the bracket was opened with a route, in which commas are allowed.
    is_route: bool,
    in_quotes: bool,
    /// Where what is open was opened.
    opened: usize,
    unbalanced: Option<usize>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            if self.is_delimiter(byte) {
                if self.angles == 0 {
                    return;
                }
                if byte == b',' && !self.is_route {
                    self.flaw(self.opened);
                    self.supply(Self::angle_ends);
                    continue;
                }
            }
            if byte == b'\\' {
                self.escaped();
            } else {
                self.plain(byte);
            }
            if self.too_long {
                return;
            }
            self.at += 1;
        }
        self.close_all();
    }

    /// A backslash in front of it makes no difference.
    fn is_delimiter(&self, byte: u8) -> bool {
        byte == self.delimiter && self.comments == 0 && !self.in_quotes
    }

    fn plain(&mut self, byte: u8) {
        match byte {
            _ if self.in_quotes => {
                self.push(byte);
                self.in_quotes = byte != b'"';
            }
            b'(' => self.opens_comment(),
            b')' if self.comments == 0 => self.flaw(self.at),
            b')' => {
                self.comments -= 1;
                self.end_word();
            }
            _ if self.comments > 0 => {}
            b'"' => {
                self.opened = self.at;
                self.in_quotes = true;
                self.begin(WordKind::Quoted, byte);
            }
            b'<' => self.angle_begins(),
            b'>' if self.angles == 0 => {
                self.flaw(self.at);
                self.is_route = false;
            }
            b'>' => self.angle_ends(),
            _ if is_space(byte) => self.end_word(),
            _ if is_operator(byte) => self.begin(WordKind::Operator, byte),
            _ => self.atom(byte),
        }
    }

    /// A backslash and what stands behind it. At the very end it is lost.
    fn escaped(&mut self) {
        let next = self.text.get(self.at + 1).copied();
        let is_end = |byte| self.angles == 0 && self.is_delimiter(byte);
        let is_bracket_end = match next {
            Some(byte) => !self.is_route && byte == b',' && self.is_delimiter(byte),
            None => !self.in_quotes,
        };
        match next {
            _ if self.comments > 0 => self.at += usize::from(next.is_some()),
            Some(byte) if is_end(byte) => {}
            _ if is_bracket_end && self.angles > 0 => {
                self.atom(b'\\');
                self.push(b'>');
            }
            Some(b'!') if !self.in_quotes => {
                self.at += 1;
                self.plain(b'!');
            }
            Some(byte) => {
                let word = self.open.as_ref();
                if !self.in_quotes && word.is_none_or(|word| word.kind != WordKind::Atom) {
                    self.end_word();
                    if self.too_long {
                        // The backslash is what ended it.
                        return;
                    }
                    self.begin(WordKind::Atom, b'\\');
                } else {
                    self.push(b'\\');
                }
                self.at += 1;
                self.push(byte);
            }
            None if self.in_quotes => {
                self.push(b'\\');
                self.push(b'"');
            }
            None => {}
        }
    }

    fn opens_comment(&mut self) {
        if self.comments == 0 {
            self.opened = self.at;
        }
        self.comments += 1;
    }

    fn angle_begins(&mut self) {
        self.opened = self.at;
        self.angles += 1;
        let behind = self.text[self.at + 1..].iter();
        self.is_route |= behind.copied().find(|byte| !is_space(*byte)) == Some(b'@');
        self.begin(WordKind::Operator, b'<');
    }

    fn angle_ends(&mut self) {
        self.angles -= 1;
        self.is_route = false;
        self.begin(WordKind::Operator, b'>');
    }

    /// Supplies what is missing at the end, as the MTA does.
    fn close_all(&mut self) {
        if self.in_quotes || self.comments > 0 || self.angles > 0 {
            self.flaw(self.opened);
        }
        if self.in_quotes {
            self.supply(|scanner| scanner.push(b'"'));
        }
        while self.angles > 0 {
            self.supply(Self::angle_ends);
        }
    }

    /// Adds what the file has not.
    fn supply(&mut self, what: impl FnOnce(&mut Self)) {
        let span = self.span.clone();
        what(self);
        self.span = span;
    }

    fn flaw(&mut self, at: usize) {
        self.unbalanced = self.unbalanced.or(Some(at));
    }

    fn begin(&mut self, kind: WordKind, byte: u8) {
        self.end_word();
        let text = Vec::new();
        self.open = Some(Word { kind, text });
        self.push(byte);
    }

    fn atom(&mut self, byte: u8) {
        match &self.open {
            Some(word) if word.kind == WordKind::Atom => self.push(byte),
            _ => self.begin(WordKind::Atom, byte),
        }
    }

    fn push(&mut self, byte: u8) {
        if self.size >= ALL_WORDS || self.too_long {
            self.too_long = true;
            return;
        }
        // The MTA does not know this one from the end of its input.
        let byte = if byte == 0xff { 0x7f } else { byte };
        self.size += 1;
        if let Some(word) = &mut self.open {
            word.text.push(byte);
        }
        let start = self.span.take().map_or(self.at, |span| span.start);
        self.span = Some(start..(self.at + 1).min(self.text.len()));
    }

    fn end_word(&mut self) {
        let Some(word) = self.open.take() else {
            return;
        };
        self.too_long |= word.text.len() > LONGEST + 1
            || self.words.len() >= MOST_WORDS
            || self.size >= ALL_WORDS;
        self.size += 1;
        self.words.push(word);
    }
}
