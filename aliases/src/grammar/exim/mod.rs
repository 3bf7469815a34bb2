//! How Exim reads an aliases file: an `lsearch` look-up, and the redirect router of Debian's
//! configuration (`allow_fail`, `allow_defer`, no filters).
//!
//! A look-up scans the text for the first entry of the name ([`lines`]); what it finds is read as a
//! list ([`list`]) of commands, files, `:include:` and addresses ([`address`]).
//!
//! **Invariants**: reading changes nothing, and nothing here fails. A right side with one thing
//! that Exim cannot read has no destination at all: Exim defers the mail.
//!
//! Source: measured with Exim 4.96; `tests/grammar/exim.cases`.

mod address;
mod lines;
mod list;

use memchr::memchr;

pub(crate) use self::lines::pieces;
use self::list::Trouble;
use crate::grammar::error::{Effect, ProblemKind};
use crate::grammar::reading::{Reading, is_plain_name};

/// What is shorter meets none of the limits of a line or an address.
const SHORT: usize = 250;
/// The longest name that an address with the shortest of domains can have: Exim takes 256 bytes
/// in all. A longer domain leaves less.
const LONGEST_NAME: usize = 254;

/// Reads one whole logical line.
pub(crate) fn read(raw: &[u8]) -> Reading {
    let line = lines::split(raw);
    let mut reading = Reading {
        name: fold(&line.key),
        ..Reading::default()
    };
    let nul = line.nul.map(|at| (ProblemKind::NulJoins, at));
    reading.problems.extend(nul);
    if reading.name.len() > LONGEST_NAME {
        reading.problems.push((ProblemKind::NameNotAddressable, 0));
    }
    match list::destinations(&line.value) {
        Ok(destinations) => reading.destinations = destinations,
        Err((trouble, at)) => {
            let kind = match trouble {
                Trouble::Open => ProblemKind::OpenQuote,
                Trouble::Long => ProblemKind::TooLong,
                Trouble::Unreadable => ProblemKind::NotADestination,
            };
            reading.problems.push((kind, at));
            return reading;
        }
    }
    if reading.destinations.is_empty() {
        let at = line.value.raw_at(0);
        reading.problems.push((ProblemKind::NoDestination, at));
    }
    reading
}

/// Folds a name as the MTA does for look-ups.
pub(crate) fn fold(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase()
}

/// Whether a line is so ordinary that [`read`] would find an entry and nothing wrong: this is what
/// makes a file of a million lines quick.
pub(crate) fn is_plain(raw: &[u8]) -> bool {
    let Some(colon) = memchr(b':', raw) else {
        return false;
    };
    let (name, rest) = raw.split_at(colon);
    if raw.len() > SHORT || !is_plain_name(name) {
        return false;
    }
    match rest[1..].trim_ascii() {
        // A blank at the end of a command is not passed on.
        [b'"', b'|', command @ .., b'"'] => {
            command.last() != Some(&b' ') && command.iter().all(|byte| is_plain_byte(*byte))
        }
        value => value
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .all(|word| !word.is_empty() && word.iter().all(|byte| is_word_byte(*byte))),
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+')
}

fn is_plain_byte(byte: u8) -> bool {
    is_word_byte(byte) || matches!(byte, b' ' | b'/' | b'.' | b'=' | b'|')
}

/// What becomes of a line with this problem.
pub(crate) fn effect(kind: ProblemKind) -> Effect {
    match kind {
        ProblemKind::LeadingBlank | ProblemKind::Nul => Effect::Lost,
        ProblemKind::NotADestination | ProblemKind::OpenQuote | ProblemKind::TooLong => {
            Effect::Deferred
        }
        ProblemKind::NoDestination => Effect::NoAlias,
        ProblemKind::NameNotAddressable => Effect::Unreachable,
        _ => Effect::ReadOtherwise,
    }
}
