//! How Sendmail reads an aliases file: newaliases(1), and what its configuration makes of an address.
//!
//! **Invariants**: reading changes nothing, and nothing here fails: what Sendmail passes over is told
//! as a problem.
//!
//! Source: aliases(5), its reader of lines and its address rules as measured with Sendmail 8.17.1;
//! `tests/grammar/sendmail.cases`.

mod address;
mod joined;
mod lines;
mod words;

use memchr::memchr;

use self::address::{Address, address, destination, fits, has_control, has_reserved};
use self::joined::Joined;
pub(crate) use self::lines::pieces;
use self::words::{Scan, is_space, scan};
use crate::grammar::error::{Effect, ProblemKind};
use crate::grammar::reading::{DestinationKind, Reading, is_plain_name};

/// Reads one whole logical line.
pub(crate) fn read(raw: &[u8]) -> Reading {
    let joined = Joined::new(raw);
    let text = joined.text();
    let mut reading = Reading {
        name_at: joined.raw_offset(0),
        ..Reading::default()
    };
    if let Some(at) = joined.nul {
        reading.problems.push((ProblemKind::Nul, at));
    }
    match name(text) {
        Ok((name, flaw)) => {
            reading.name = name;
            reading.note(&joined, ProblemKind::OpenQuote, flaw);
        }
        Err(kind) => {
            reading.note(&joined, kind, Some(0));
            reading.skipped = true;
            return reading;
        }
    }
    // The first colon, in quotes or not.
    let value = memchr(b':', text).map_or(text.len(), |colon| colon + 1);
    if text[value..].iter().all(|byte| is_space(*byte)) {
        reading.note(&joined, ProblemKind::NotAnEntry, Some(0));
        reading.skipped = true;
        return reading;
    }
    reading.add_destinations(&joined, value);
    if reading.destinations.is_empty() {
        reading.note(&joined, ProblemKind::NoDestination, Some(0));
    }
    reading
}

/// The name as it is stored, and where a quote or bracket in it is open.
fn name(text: &[u8]) -> Result<(Vec<u8>, Option<usize>), ProblemKind> {
    if memchr(b':', text).is_none() {
        return Err(ProblemKind::NotAnEntry);
    }
    let found = scan(text, 0, b':');
    let whole = &text[..found.end];
    let Some(words) = found.words else {
        return Err(ProblemKind::TooLong);
    };
    if words.is_empty() {
        return Err(ProblemKind::NotAnEntry);
    }
    if !fits(whole) {
        return Err(ProblemKind::TooLong);
    }
    if has_reserved(whole) {
        return Err(ProblemKind::NameNotAddressable);
    }
    let has_comma = words.iter().any(|word| word.is(b','));
    match address(words) {
        Address::Local(words) if is_user(&words) => {
            let name = address::joined(&words, b'.');
            Ok((fold(&name), found.unbalanced))
        }
        Address::Nobody => Ok((Vec::new(), found.unbalanced)),
        Address::Local(_) | Address::Remote(_) => Err(ProblemKind::NotLocal),
        Address::Refused if has_comma => Err(ProblemKind::TwoNames),
        Address::Refused => Err(ProblemKind::NameNotAddressable),
    }
}

/// Whether these words are no command, file or `:include:`.
fn is_user(words: &[words::Word]) -> bool {
    matches!(destination(words), DestinationKind::Address(_))
}

impl Reading {
    fn note(&mut self, joined: &Joined, kind: ProblemKind, at: Option<usize>) {
        let at = at.map(|at| joined.raw_offset(at));
        self.problems.extend(at.map(|at| (kind, at)));
    }

    fn add_destinations(&mut self, joined: &Joined, mut at: usize) {
        let text = joined.text();
        loop {
            let ends = |byte: &u8| !is_space(*byte) && *byte != b',';
            let Some(start) = text[at..].iter().position(ends) else {
                return;
            };
            let found = scan(text, at + start, b',');
            self.add_destination(joined, at + start, found.end, &found);
            at = found.end;
        }
    }

    /// Adds what stands between `start` and `end`, or says why it leads nowhere.
    fn add_destination(&mut self, joined: &Joined, start: usize, end: usize, found: &Scan) {
        let whole = &joined.text()[start..end];
        self.note(joined, ProblemKind::OpenQuote, found.unbalanced);
        let Some(words) = found.words.as_ref().filter(|_| fits(whole)) else {
            return self.note(joined, ProblemKind::DestinationTooLong, Some(start));
        };
        if words.is_empty() {
            return;
        }
        match meaning(words.clone()).filter(|_| !has_reserved(whole)) {
            Some(kind) => {
                let span = joined.raw_range(found.span.clone());
                self.destinations.push((span, kind));
            }
            None => self.note(joined, ProblemKind::NotADestination, Some(start)),
        }
    }
}

/// What the words of a destination lead to; none if nowhere.
fn meaning(words: Vec<words::Word>) -> Option<DestinationKind> {
    match address(words) {
        Address::Local(words) if has_control(&address::joined(&words, b'.')) => None,
        Address::Local(words) => match destination(&words) {
            DestinationKind::Include(path) if has_control(&path) => None,
            kind => Some(kind),
        },
        Address::Remote(words) => {
            let text = address::joined(&words, b'.');
            (!has_control(&text)).then(|| DestinationKind::Address(address::unquoted(&text)))
        }
        Address::Nobody | Address::Refused => None,
    }
}

/// Folds a name as the MTA does for look-ups.
pub(crate) fn fold(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase()
}

/// Whether a line is so ordinary that [`read`] would find an entry and nothing wrong: this is what
/// makes a file of a million lines quick.
pub(crate) fn is_plain(raw: &[u8]) -> bool {
    let Some(colon) = memchr(b':', raw).filter(|_| raw.len() <= words::LONGEST) else {
        return false;
    };
    let (name, rest) = raw.split_at(colon);
    if !is_plain_name(name) {
        return false;
    }
    let value = rest[1..]
        .strip_suffix(b"\n")
        .unwrap_or(&rest[1..])
        .trim_ascii();
    match value {
        [b'"', quoted @ .., b'"'] => {
            quoted.first().is_some_and(|first| *first == b'|') && quoted.iter().all(is_plain_byte)
        }
        [first, ..] => {
            first.is_ascii_alphanumeric()
                && value.iter().all(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
                })
        }
        [] => false,
    }
}

/// A byte that means nothing but itself in quotes.
fn is_plain_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b' ' | b'/' | b'-' | b'_' | b'.' | b'|' | b'+' | b'=' | b','
        )
}

/// What becomes of a line with this problem.
pub(crate) fn effect(kind: ProblemKind) -> Effect {
    match kind {
        ProblemKind::LeadingBlank
        | ProblemKind::NotAnEntry
        | ProblemKind::TwoNames
        | ProblemKind::NotLocal
        | ProblemKind::NameNotAddressable
        | ProblemKind::TooLong
        | ProblemKind::NulAndNextLine => Effect::Skipped,
        ProblemKind::BelowComment => Effect::Lost,
        ProblemKind::EndlessLine => Effect::FileRefused,
        ProblemKind::DestinationTooLong
        | ProblemKind::NotADestination
        | ProblemKind::NoDestination => Effect::Bounced,
        _ => Effect::ReadOtherwise,
    }
}
