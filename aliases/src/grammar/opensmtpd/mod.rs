//! How OpenSMTPD reads an aliases file: the daemon's own `file:` table, and makemap's `db:`.
//!
//! The two cut the file into entries by different rules ([`table`], [`makemap`]); what the daemon
//! makes of a right side when mail comes ([`value`]) is one.
//!
//! **Invariants**: reading changes nothing, and nothing here fails: what OpenSMTPD refuses is told
//! as a problem.
//!
//! Source: measured with OpenSMTPD 6.8.0p2; `tests/grammar/opensmtpd.cases`, `opensmtpd-db.cases`.

pub(crate) mod makemap;
pub(crate) mod table;
mod target;
mod value;

use memchr::memchr;

use crate::grammar::error::ProblemKind;
use crate::grammar::reading::is_plain_name;

/// The longest local part that an address may have.
const LONGEST_NAME: usize = 255;
/// What is shorter meets none of the limits of a right side.
const SHORT: usize = 250;

/// Folds a name as the MTA does for look-ups.
pub(crate) fn fold(name: &[u8]) -> Vec<u8> {
    name.to_ascii_lowercase()
}

/// The key of a line: what stands before the first blank, tab or colon; and what stands behind
/// that, none if there is no such byte.
fn split_key(line: &[u8]) -> (&[u8], Option<usize>) {
    match line
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b':'))
    {
        Some(at) => (&line[..at], Some(at + 1)),
        None => (line, None),
    }
}

/// What is wrong with a name that no address can have: the daemon takes no quoted local parts.
fn name_problem(name: &[u8]) -> Option<ProblemKind> {
    let is_atom = |atom: &[u8]| !atom.is_empty() && atom.iter().all(|byte| is_atom_byte(*byte));
    let addressable = name.len() <= LONGEST_NAME && name.split(|byte| *byte == b'.').all(is_atom);
    (!addressable).then_some(ProblemKind::NameNotAddressable)
}

fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*/?^`{|}~+-=_".contains(&byte)
}

/// Whether a line is so ordinary that reading it would find an entry and nothing wrong, in both
/// of OpenSMTPD's ways: this is what makes a file of a million lines quick.
pub(crate) fn is_plain(raw: &[u8]) -> bool {
    let Some(colon) = memchr(b':', raw) else {
        return false;
    };
    let (name, rest) = raw.split_at(colon);
    if raw.len() > SHORT || !is_plain_name(name) || name_problem(name).is_some() {
        return false;
    }
    match rest[1..].trim_ascii() {
        [b'"', b'|', command @ .., b'"'] => command
            .iter()
            .all(|byte| *byte == b' ' || is_plain_byte(*byte)),
        value => value
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .all(|word| !word.is_empty() && word.iter().all(|byte| is_word_byte(*byte))),
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
}

fn is_plain_byte(byte: u8) -> bool {
    is_word_byte(byte) || matches!(byte, b'/' | b'=' | b'@' | b'|')
}
