//! How Postfix reads an aliases file: postalias(1) and local(8), `smtputf8_enable = yes` (its default).
//!
//! **Invariants**: reading changes nothing, and nothing here fails: what Postfix passes over is told
//! as a problem.
//!
//! Source: aliases(5), its reader of logical lines and its address tokenizer as measured with
//! Postfix 3.7; `tests/grammar/postfix.cases`.

mod grouping;
mod joined;
mod lines;
mod words;

use std::ops::Range;

use memchr::memchr;

use self::grouping::destinations;
use self::joined::Joined;
pub(crate) use self::lines::pieces;
use self::words::{Token, TokenKind, tokens};
use crate::grammar::error::{Effect, ProblemKind};
use crate::grammar::reading::{DestinationKind, Reading, is_plain_name, is_plain_text};

/// Reads one whole logical line.
pub(crate) fn read(raw: &[u8]) -> Reading {
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

fn meaning(joined: &Joined, words: &[&Token]) -> (Range<usize>, DestinationKind) {
    let mut bytes = Vec::new();
    for word in words {
        word.append_to(joined.text(), &mut bytes);
    }
    let start = words.first().map_or(0, |word| word.span.start);
    let end = words.last().map_or(start, |word| word.span.end);
    (joined.raw_range(start..end), DestinationKind::of(bytes))
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

/// Full case folding, by way of the upper case, which is where letters such as `ß`, `ς` and `ﬁ` meet
/// the others of their kind.
///
/// Source: Unicode's CaseFolding.txt; each letter below U+20000 was put to Postfix 3.7.
fn fold_char(letter: char) -> Vec<char> {
    match letter {
        // Its upper case is that of `i`, which it is not.
        'ı' => vec![letter],
        // CHEROKEE. Its small letters came later, and are folded to the others.
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => letter.to_uppercase().collect(),
        _ => {
            let upper = letter.to_lowercase().flat_map(char::to_uppercase);
            upper.flat_map(char::to_lowercase).collect()
        }
    }
}

/// Whether a line is so ordinary that [`read`] would find an entry and nothing wrong: this is what
/// makes a file of a million lines quick.
pub(crate) fn is_plain(raw: &[u8]) -> bool {
    let Some(colon) = memchr(b':', raw) else {
        return false;
    };
    let (name, rest) = raw.split_at(colon);
    if !is_plain_name(name) {
        return false;
    }
    // Not a form feed, which is a word to this MTA.
    let value = lines::trimmed(&rest[1..]);
    match value {
        [b'"', quoted @ .., b'"'] => is_plain_text(quoted),
        [first, ..] => (first.is_ascii_alphanumeric() || *first == b'|') && is_plain_text(value),
        [] => false,
    }
}

/// What becomes of a line with this problem.
pub(crate) fn effect(kind: ProblemKind) -> Effect {
    match kind {
        ProblemKind::LeadingBlank
        | ProblemKind::NotAnEntry
        | ProblemKind::TwoNames
        | ProblemKind::NotLocal
        | ProblemKind::NotUtf8 => Effect::Skipped,
        _ => Effect::ReadOtherwise,
    }
}
