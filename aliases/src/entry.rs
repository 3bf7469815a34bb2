//! One entry: its name, its destinations, and where in its bytes they stand.
//!
//! A logical line is read into a [`Reading`]: the words before the colon and the destinations
//! behind it, or why it is none. [`Entry`] and [`Destination`] are views for callers; they borrow
//! the document's bytes and own only what quoting made different.
//!
//! **Invariants**: reading changes nothing; a name or a destination is what the MTA looks up and
//! delivers to, never what it looks like.

use std::ops::Range;

use memchr::memchr;

use crate::error::ProblemKind;
use crate::lexer::{Dialect, Joined, Token, TokenKind, tokens};

/// The handle of an entry. It stays good through all edits of its document, and means nothing in
/// another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId(pub(crate) usize);

/// One alias, still wearing the bytes it has in the file.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub(crate) id: EntryId,
    pub(crate) line: usize,
    pub(crate) raw: &'a [u8],
    pub(crate) dialect: Dialect,
}

impl<'a> Entry<'a> {
    /// Its handle, for edits; the entry's own for as long as it stands in the document.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// The line of its name, counted from 1, in the document as it is now.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of its name in bytes, counted from 1; in every dialect so far this is 1.
    pub fn column(&self) -> usize {
        1
    }

    /// All of its bytes: continuation lines, comments between them, the last line's newline.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The name as the MTA looks it up: without quotes and backslashes, in lower case.
    pub fn name(&self) -> Vec<u8> {
        name_of(self.raw, self.dialect)
    }

    /// What mail for the name goes to, in the order of the file.
    pub fn destinations(&self) -> Vec<Destination<'a>> {
        let destinations = read(self.raw, self.dialect).destinations;
        destinations
            .into_iter()
            .map(|(range, meaning)| Destination {
                text: &self.raw[range.clone()],
                range,
                kind: kind_of(meaning),
            })
            .collect()
    }
}

/// One destination of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination<'a> {
    text: &'a [u8],
    range: Range<usize>,
    kind: DestinationKind,
}

impl<'a> Destination<'a> {
    /// Its bytes in the file, quotes included.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Where [`text`](Self::text) stands in the entry's [`raw`](Entry::raw) bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// What it is.
    pub fn kind(&self) -> &DestinationKind {
        &self.kind
    }
}

/// What the MTA does with a destination. All bytes are without quotes and backslashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DestinationKind {
    /// Runs this command, given without the bar, otherwise as the MTA gets it (blanks included).
    Pipe(Vec<u8>),
    /// Appends to this file (`/…`, or `~/…`, which Postfix refuses in an aliases file).
    File(Vec<u8>),
    /// Reads more destinations from this file.
    Include(Vec<u8>),
    /// Sends on to this address, or this local name.
    Address(Vec<u8>),
}

fn kind_of(meaning: Vec<u8>) -> DestinationKind {
    const INCLUDE: &[u8] = b":include:";
    match meaning.first() {
        Some(b'|') => DestinationKind::Pipe(meaning[1..].to_vec()),
        Some(b'/' | b'~') => DestinationKind::File(meaning),
        _ => match meaning.split_at_checked(INCLUDE.len()) {
            Some((start, path)) if start.eq_ignore_ascii_case(INCLUDE) => {
                DestinationKind::Include(path.to_vec())
            }
            _ => DestinationKind::Address(meaning),
        },
    }
}

/// The name of an entry, without reading what is right of the colon if it is an ordinary one.
pub(crate) fn name_of(raw: &[u8], dialect: Dialect) -> Vec<u8> {
    match memchr(b':', raw).map(|colon| &raw[..colon]) {
        Some(name) if is_plain_name(name) => name.to_ascii_lowercase(),
        _ => read(raw, dialect).name,
    }
}

/// Whether these bytes before a colon are a name as they stand.
pub(crate) fn is_plain_name(name: &[u8]) -> bool {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'.');
    !name.is_empty() && name.iter().all(is_plain)
}

/// The destinations of a right side as the MTA stores it.
pub(crate) fn right_side(value: &[u8], dialect: Dialect) -> Vec<DestinationKind> {
    let destinations = read(&[b"x: ", value].concat(), dialect).destinations;
    destinations
        .into_iter()
        .map(|(_, meaning)| kind_of(meaning))
        .collect()
}

/// A logical line, read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Empty if the line is skipped (or its name is `""`).
    pub(crate) name: Vec<u8>,
    /// Where each destination stands in the raw bytes, and what it means.
    pub(crate) destinations: Vec<(Range<usize>, Vec<u8>)>,
    /// Whether the MTA passes over the line.
    pub(crate) skipped: bool,
    /// What is wrong, and the offset in the raw bytes where it is.
    pub(crate) problems: Vec<(ProblemKind, usize)>,
}

/// Reads one whole logical line.
pub(crate) fn read(raw: &[u8], dialect: Dialect) -> Reading {
    let Dialect::Postfix = dialect;
    let joined = Joined::new(raw);
    let mut reading = Reading::default();
    if let Some(at) = joined.nul {
        reading.problems.push((ProblemKind::Nul, at));
    }
    let text = joined.text();
    let words = tokens(text);
    if words.is_empty() && joined.utf8 {
        // Nothing stands before the NUL: not even a warning.
        reading.skipped = true;
        return reading;
    }
    let colon = words.iter().position(|word| word.is(b':'));
    let (names, values) = words.split_at(colon.unwrap_or(words.len()));
    if let Some((kind, at)) = flaw(&joined, names, values) {
        reading
            .problems
            .push((kind, joined.raw_range(at..at + 1).start));
        reading.skipped = true;
        return reading;
    }
    let values: Vec<&Token> = values[1..]
        .iter()
        .filter(|word| counts(word, text))
        .collect();
    reading.name = fold(&internal(names, text));
    reading.destinations = destinations(&values)
        .into_iter()
        .map(|range| meaning(&joined, &values[range]))
        .collect();
    let open = words.iter().find(|word| !word.closed);
    let open = open.map(|word| {
        (
            ProblemKind::OpenQuote,
            joined.raw_range(word.span.clone()).start,
        )
    });
    let empty = reading
        .destinations
        .is_empty()
        .then_some((ProblemKind::NoDestination, 0));
    reading.problems.extend(open.into_iter().chain(empty));
    reading
}

/// Why the MTA skips the line, and where in the joined text the reason stands.
fn flaw(joined: &Joined, names: &[Token], values: &[Token]) -> Option<(ProblemKind, usize)> {
    let find = |operator| {
        names
            .iter()
            .rfind(|word| word.is(operator))
            .map(|word| word.span.start)
    };
    if !joined.utf8 {
        return Some((ProblemKind::NotUtf8, 0));
    }
    if names.is_empty() || values.len() < 2 {
        return Some((ProblemKind::NotAnEntry, 0));
    }
    if let Some(at) = find(b',') {
        return Some((ProblemKind::TwoNames, at));
    }
    find(b'@')
        .or_else(|| find(b'%'))
        .map(|at| (ProblemKind::NotLocal, at))
}

/// Comments, and the nothing that a backslash at the very end quotes, are not stored.
fn counts(word: &Token, text: &[u8]) -> bool {
    match word.kind {
        TokenKind::Comment => false,
        TokenKind::Atom => &text[word.span.clone()] != b"\\",
        _ => true,
    }
}

fn meaning(joined: &Joined, words: &[&Token]) -> (Range<usize>, Vec<u8>) {
    let mut bytes = Vec::new();
    for word in words {
        word.append_to(joined.text(), &mut bytes);
    }
    let start = words.first().map_or(0, |word| word.span.start);
    let end = words.last().map_or(start, |word| word.span.end);
    (joined.raw_range(start..end), bytes)
}

/// The words of a name, unquoted; where two words meet, a blank.
fn internal(words: &[Token], text: &[u8]) -> Vec<u8> {
    let is_word = |word: &Token| !matches!(word.kind, TokenKind::Operator(_));
    let mut name = Vec::new();
    for (index, word) in words.iter().enumerate() {
        word.append_to(text, &mut name);
        let Some(next) = words.get(index + 1) else {
            break;
        };
        if next.is(b'<') || (is_word(word) && is_word(next)) {
            name.push(b' ');
        }
    }
    name
}

/// Folds a name as the MTA does for look-ups; Unicode, since the MTA does.
pub(crate) fn fold(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_ascii() => text
            .chars()
            .flat_map(fold_char)
            .collect::<String>()
            .into_bytes(),
        _ => name.to_ascii_lowercase(),
    }
}

/// Lower case, and the few letters where folding goes further than that.
fn fold_char(letter: char) -> Vec<char> {
    match letter {
        'ß' | 'ẞ' => vec!['s', 's'],
        'ς' => vec!['σ'],
        _ => letter.to_lowercase().collect(),
    }
}

/// Groups the words behind the colon into destinations, as ranges of `words`, in order.
///
/// From right to left, as Postfix does it: a destination ends where two words meet without an
/// operator between them (a missing comma), at a comma, and at the brackets of `Some Name
/// <address>` and `group: address, address;`, whose decoration is nobody's destination.
///
/// Not mimicked: postalias stores a `\]` inside brackets as `]`, which ends them at delivery.
fn destinations(words: &[&Token]) -> Vec<Range<usize>> {
    let mut groups = Grouping {
        words,
        found: Vec::new(),
        right: words.len(),
        at: words.len(),
    };
    let mut word_may_follow = true;
    let mut in_group = false;
    while let Some(word) = groups.current() {
        match word.kind {
            TokenKind::Operator(b':') if in_group => {
                groups.name_of_group();
                continue;
            }
            TokenKind::Operator(b'>') => {
                groups.angle();
                word_may_follow = true;
                continue;
            }
            TokenKind::Operator(b',' | b';') => {
                groups.close();
                in_group |= word.is(b';');
                word_may_follow = true;
            }
            TokenKind::Operator(_) => word_may_follow = true,
            _ => {
                if !word_may_follow {
                    groups.close();
                    groups.right = groups.at;
                }
                word_may_follow = false;
            }
        }
        groups.at -= 1;
    }
    groups.close();
    groups.found.reverse();
    groups.found
}

/// The state of [`destinations`]. `at` is one more than the index of the word looked at (0: none
/// left); what is between it and `right` is the destination being collected.
struct Grouping<'w, 't> {
    words: &'w [&'t Token],
    found: Vec<Range<usize>>,
    right: usize,
    at: usize,
}

impl<'t> Grouping<'_, 't> {
    fn current(&self) -> Option<&'t Token> {
        self.at.checked_sub(1).map(|index| self.words[index])
    }

    /// Takes what was collected as a destination; the current word bounds the next one.
    fn close(&mut self) {
        if self.at < self.right {
            self.found.push(self.at..self.right);
        }
        self.right = self.at.saturating_sub(1);
    }

    fn skip_until(&mut self, stop: impl Fn(&Token) -> bool) {
        while self.current().is_some_and(|word| !stop(word)) {
            self.at -= 1;
        }
    }

    /// `:` of `group: address;`: collects the address and passes over the group's name.
    fn name_of_group(&mut self) {
        self.close();
        self.skip_until(|word| word.is(b','));
        self.right = self.at.saturating_sub(1);
    }

    /// `>` of `Some Name <address>`: collects the address and passes over the name.
    fn angle(&mut self) {
        self.close();
        self.skip_until(|word| word.is(b'<'));
        self.close();
        self.skip_until(|word| b">;,:".iter().any(|stop| word.is(*stop)));
        self.right = self.at.saturating_sub(1);
    }
}
