//! The words of one address as what they lead to: a local name, a host, or nowhere.
//!
//! This is the part of the MTA's own configuration that every site has: the brackets of
//! `Some Name <address>`, the name of a group, routes, and what `@`, `%` and `!` do. Which hosts are
//! local is the site's: here `localhost` and the number of the loopback, `[127.0.0.1]`, are.
//!
//! **Invariants**: words are taken apart and dropped, never made up.

use super::words::{LONGEST, Word, WordKind, scan};
use crate::grammar::reading::DestinationKind;

/// The loopback's number.
const LOOPBACK: &[u8] = b"127.0.0.1";

/// Where an address leads.
#[derive(Debug)]
pub(super) enum Address {
    /// To a name of this host, or to what only an alias may name, such as a command.
    Local(Vec<Word>),
    /// To another host: the whole address.
    Remote(Vec<Word>),
    /// To nobody, as `<>` does.
    Nobody,
    /// Nowhere: the MTA refuses it.
    Refused,
}

/// Finds where an address leads.
pub(super) fn address(words: Vec<Word>) -> Address {
    let has_brackets = words.iter().any(|word| word.is(b'<'));
    let words = addressee(words);
    match words.is_empty() {
        false => place(words),
        true if has_brackets => Address::Nobody,
        true => Address::Refused,
    }
}

/// What the words of an address are, quotes and backslashes included, as they are looked up.
pub(super) fn joined(words: &[Word], blank: u8) -> Vec<u8> {
    let mut text = Vec::new();
    let mut after_atom = false;
    for word in words {
        let is_atom = word.kind == WordKind::Atom;
        if is_atom && after_atom {
            text.push(blank);
        }
        text.extend_from_slice(&word.text);
        after_atom = is_atom;
    }
    text
}

/// What mail for a local name goes to.
pub(super) fn destination(words: &[Word]) -> DestinationKind {
    const INCLUDE: &[u8] = b":include:";
    let text = joined(words, b'.');
    let bare = unquoted(&text);
    match text.strip_prefix(b"\"").unwrap_or(&text).first() {
        Some(b'|') => DestinationKind::Pipe(bare[1..].to_vec()),
        Some(b'/') => DestinationKind::File(bare),
        Some(b':') => match unquoted(&joined(words, b' ')).split_at_checked(INCLUDE.len()) {
            Some((start, path)) if start.eq_ignore_ascii_case(INCLUDE) => {
                DestinationKind::Include(path.to_vec())
            }
            _ => DestinationKind::Address(bare),
        },
        _ => DestinationKind::Address(bare),
    }
}

/// Without quotes, and without backslashes but for the bytes behind them.
pub(super) fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => bytes.extend(rest.next()),
            b'"' => {}
            _ => bytes.push(byte),
        }
    }
    bytes
}

/// Whether a byte stands there that the MTA lets pass in quotes only, or never.
pub(super) fn has_control(text: &[u8]) -> bool {
    let mut quoted = false;
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => drop(rest.next()),
            0x00..=0x1f | 0x7f if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// The address alone, without the name of its group, its owner's name, or the route to it.
fn addressee(mut words: Vec<Word>) -> Vec<Word> {
    let open = words.iter().position(|word| word.is(b'<'));
    let has_brackets = open.is_some_and(|open| words[open..].iter().any(|word| word.is(b'>')));
    let colon = words.iter().position(|word| word.is(b':'));
    if let Some(colon) = colon.filter(|_| !has_brackets && !keeps_colons(&words)) {
        words.drain(..=colon);
    }
    while words.last().is_some_and(|word| word.is(b';')) {
        words.pop();
    }
    if let Some(open) = words.iter().rposition(|word| word.is(b'<')) {
        words.drain(..=open);
        let close = words.iter().position(|word| word.is(b'>'));
        words.truncate(close.unwrap_or(words.len()));
        while words.last().is_some_and(|word| word.is(b';')) {
            words.pop();
        }
    }
    while words.first().is_some_and(|word| word.is(b'@')) {
        // What stands between is one word at least, whatever it is.
        let ends = |byte: u8| (2..words.len()).find(|at| words[*at].is(byte));
        match ends(b',').or(ends(b':')) {
            Some(end) if end + 1 < words.len() => drop(words.drain(..=end)),
            _ => break,
        }
    }
    words
}

/// Whether a colon is more here than the end of a group's name.
fn keeps_colons(words: &[Word]) -> bool {
    let colon = words.iter().position(|word| word.is(b':'));
    let bracket = words.iter().rposition(|word| word.is(b'['));
    if colon < bracket && colon.is_some() && words.last().is_some_and(|last| last.is(b']')) {
        return false;
    }
    let is_include = |words: &[Word]| {
        words[0].is(b':') && words[1].text.eq_ignore_ascii_case(b"include") && words[2].is(b':')
    };
    words.first().is_some_and(|word| word.is(b'@'))
        || words
            .windows(2)
            .any(|pair| pair[0].is(b':') && pair[1].is(b':'))
        || words.get(..3).is_some_and(is_include)
}

/// Whether an address is local, once nothing but the address is left.
fn place(words: Vec<Word>) -> Address {
    let is_two = |pair: &[Word]| pair[0].is(b',') && !is_forwarding(&pair[1]);
    if words.windows(2).any(is_two) {
        return Address::Refused;
    }
    let is_at = |word: &Word| word.is(b'@');
    let ats = words.iter().filter(|word| is_at(word)).count();
    if ats > 1 {
        return Address::Refused;
    }
    let bang = words.iter().position(|word| word.is(b'!'));
    if let Some(bang) = bang.filter(|bang| ats == 0 && *bang > 0 && bang + 1 < words.len()) {
        // To the MTA it is a name within another one.
        return match is_host(&words[..bang]) && !words[0].is(b'[') {
            true => Address::Remote(words),
            false => Address::Refused,
        };
    }
    let host = words
        .iter()
        .rposition(is_at)
        .or_else(|| words.iter().rposition(|word| word.is(b'%')));
    match host {
        Some(host) => at_host(words, host),
        // The MTA's rules for it never end.
        None if words.len() == 1 && words[0].is(b'!') => Address::Refused,
        None => local(words),
    }
}

/// What makes a name more than a name of this host.
fn is_forwarding(word: &Word) -> bool {
    word.is(b'@') || word.is(b'%') || word.is(b'!')
}

/// Whether these words can be the name of a host: a number in brackets may have a port behind it.
fn is_host(words: &[Word]) -> bool {
    // Dots at the end do no harm.
    let last = words.iter().rposition(|word| !word.is(b'.'));
    let words = &words[..last.map_or(words.len(), |last| last + 1)];
    let is_gap = |pair: &[Word]| pair[0].is(b'.') && pair[1].is(b'.');
    if words.windows(2).any(is_gap) {
        return false;
    }
    let close = words.iter().position(|word| word.is(b']'));
    if let ([first, ..], Some(close)) = (words, close)
        && first.is(b'[')
    {
        let behind = words.get(close + 1);
        return behind.is_none_or(|word| word.is(b':') && close + 2 < words.len());
    }
    words.first().is_some_and(|first| !first.is(b'.')) && !words.iter().any(|word| word.is(b':'))
}

/// `user@host`, where `words[at]` is what stands between.
fn at_host(mut words: Vec<Word>, at: usize) -> Address {
    let host = &words[at + 1..];
    if at == 0 && host.is_empty() {
        return Address::Nobody;
    }
    let is_here = match host {
        [word] => word.text.eq_ignore_ascii_case(b"localhost"),
        [open, number @ ..] => {
            let close = number.iter().position(|word| word.is(b']'));
            let number = close.map(|close| joined(&number[..close], b'.'));
            open.is(b'[') && number.is_some_and(|number| number == LOOPBACK)
        }
        [] => false,
    };
    if at == 0 || !(is_here || is_host(host)) {
        return Address::Refused;
    }
    if !is_here {
        return Address::Remote(words);
    }
    words.truncate(at);
    place(words)
}

/// A name without a host: quotes around the whole of it go, if it is one word without them; that
/// may bring a host to light.
fn local(words: Vec<Word>) -> Address {
    let [word] = words.as_slice() else {
        return Address::Local(words);
    };
    if word.kind != WordKind::Quoted {
        return Address::Local(words);
    }
    let Some(bare) = dequoted(&word.text) else {
        return Address::Local(words);
    };
    let bare = scan(&bare, 0, 0).words.unwrap_or_default();
    if bare.is_empty() {
        return Address::Refused;
    }
    if bare.iter().any(is_forwarding) {
        return address(bare);
    }
    Address::Local(without_brackets(bare))
}

/// The words without the pairs of brackets that came to light with them.
fn without_brackets(mut words: Vec<Word>) -> Vec<Word> {
    while let Some(open) = words.iter().position(|word| word.is(b'<')) {
        let mut behind = words.iter().skip(open + 2);
        let Some(close) = behind.position(|word| word.is(b'>')) else {
            break;
        };
        words.remove(open + 2 + close);
        words.remove(open);
    }
    words
}

/// The inside of a quoted word; none if it would not be one word without its quotes.
fn dequoted(word: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut comments, mut angles) = (0_usize, 0_usize);
    let mut rest = word.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => {
                bytes.push(byte);
                bytes.push(*rest.next()?);
                continue;
            }
            b'"' => continue,
            b'(' => comments += 1,
            b')' => comments = comments.checked_sub(1)?,
            b'<' if comments == 0 => angles += 1,
            b'>' if comments == 0 => angles = angles.checked_sub(1)?,
            b' ' | b'\t' => return None,
            _ => {}
        }
        bytes.push(byte);
    }
    (comments == 0 && angles == 0).then_some(bytes)
}

/// Whether the MTA would take so much text for an address at all.
pub(super) fn fits(text: &[u8]) -> bool {
    text.len() <= LONGEST
}

/// Whether a byte stands there that the MTA keeps for itself.
pub(super) fn has_reserved(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, 0x80..=0x9f))
}
