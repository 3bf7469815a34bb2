//! A right side as a list: commands, files, `:include:`, what Exim does itself, and addresses.
//!
//! **Invariants**: one thing that cannot be read makes the whole list unreadable.

use std::ops::Range;

use super::address::{self, Address};
use crate::grammar::reading::{DestinationKind, Destinations};
use crate::grammar::spliced::{Spliced, is_space, trimmed};

/// The longest name of an included file, in bytes.
const LONGEST_INCLUDE: usize = 255;

/// Why a list cannot be read. Mail to the name is then deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A quote that is not closed.
    Open,
    /// An address or a file name that is longer than Exim takes.
    Long,
    /// Something that is neither a command nor a file nor an address.
    Unreadable,
}

/// The destinations of a right side, each with its place in the raw bytes; or what is wrong with
/// it, and where in the raw bytes.
pub(super) fn destinations(value: &Spliced) -> Result<Destinations, (Trouble, usize)> {
    let text = value.text();
    if is_filter(text) {
        return Err((Trouble::Unreadable, value.raw_at(0)));
    }
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        while at < text.len() && (is_space(text[at]) || text[at] == b',') {
            at += 1;
        }
        if at >= text.len() || text[at] == b'#' {
            return Ok(found);
        }
        let item = item(text, at);
        if let Some((verdict, is_alone)) = verdict(&text[item.inner.start..]) {
            if is_alone {
                found.clear();
            }
            // All that follows is its text.
            let range = value.raw_range(trimmed(text, item.outer.start..text.len()));
            found.push((range, DestinationKind::Verdict(verdict)));
            return Ok(found);
        }
        let read = destination(&text[item.inner.clone()], item.quoted);
        let trouble = |trouble| (trouble, value.raw_at(item.outer.start));
        if let Some(kind) = read.map_err(trouble)? {
            found.push((value.raw_range(item.outer.clone()), kind));
        }
        at = item.next;
    }
}

/// Whether it begins like a filter, which this router does not allow: `# Exim filter` or
/// `# Sieve filter`, in any case, with or without the blanks.
fn is_filter(text: &[u8]) -> bool {
    let behind = |text: &[u8], word: &str| {
        let (head, rest) = text.split_at_checked(word.len())?;
        let blanks = rest.iter().take_while(|byte| is_space(**byte)).count();
        head.eq_ignore_ascii_case(word.as_bytes())
            .then(|| rest[blanks..].to_vec())
    };
    let Some(rest) = behind(text, "#") else {
        return false;
    };
    ["exim", "sieve"].into_iter().any(|kind| {
        let rest = behind(&rest, kind);
        rest.is_some_and(|rest| behind(&rest, "filter").is_some())
    })
}

/// One thing of a list.
struct Item {
    /// All of it, without the blanks around it.
    outer: Range<usize>,
    /// Without quotes around the whole of it.
    inner: Range<usize>,
    quoted: bool,
    next: usize,
}

fn item(text: &[u8], start: usize) -> Item {
    let next = address::end(text, start);
    let outer = trimmed(text, start..next);
    let quoted = text[outer.start] == b'"' && text[outer.end - 1] == b'"';
    let inner = if quoted {
        // A lone quote is both the first one and the last, and there is nothing in it.
        let end = (outer.end - 1).max(outer.start + 1);
        trimmed(text, outer.start + 1..end)
    } else {
        outer.clone()
    };
    Item {
        outer,
        inner,
        quoted,
        next,
    }
}

/// `:fail: text` and its like, for which the rest of the list is text; and whether nothing that
/// stands before it counts. What stands before `:fail:` gets the mail, and the mail bounces as well.
fn verdict(rest: &[u8]) -> Option<(Vec<u8>, bool)> {
    let words: [(&[u8], bool); 3] = [
        (b":defer:", true),
        (b":blackhole:", true),
        (b":fail:", false),
    ];
    let (word, is_alone) = words.into_iter().find(|(word, _)| rest.starts_with(word))?;
    let text = rest[word.len()..].trim_ascii();
    let blank: &[u8] = if text.is_empty() { b"" } else { b" " };
    Some(([word, blank, text].concat(), is_alone))
}

/// What one thing is; none if Exim passes over it.
fn destination(item: &[u8], quoted: bool) -> Result<Option<DestinationKind>, Trouble> {
    if b":unknown:".starts_with(item) {
        return Ok(None);
    }
    if let Some(path) = item.strip_prefix(b":include:") {
        return include(path).map(Some);
    }
    let own = item.strip_prefix(b"\\").map(address::extract);
    if let Some(Ok(Address {
        text,
        domain: false,
    })) = own
    {
        return Ok(Some(DestinationKind::Address(text)));
    }
    let read = address::extract(item);
    let has_domain = matches!(read, Ok(Address { domain: true, .. }));
    match item.first() {
        Some(b'|') if !has_domain => Ok(Some(DestinationKind::Pipe(
            unescaped(item, quoted).split_off(1),
        ))),
        Some(b'/') if !has_domain => Ok(Some(DestinationKind::File(unescaped(item, quoted)))),
        _ => match read {
            Ok(address) => Ok(Some(DestinationKind::Address(address.text))),
            Err(address::Flaw::Empty) => Ok(None),
            Err(address::Flaw::Open) => Err(Trouble::Open),
            Err(address::Flaw::Long) => Err(Trouble::Long),
            Err(address::Flaw::Malformed) => Err(Trouble::Unreadable),
        },
    }
}

fn include(path: &[u8]) -> Result<DestinationKind, Trouble> {
    let blanks = path.iter().take_while(|byte| is_space(**byte)).count();
    match &path[blanks..] {
        path if path.len() > LONGEST_INCLUDE => Err(Trouble::Long),
        path if path.starts_with(b"/") => Ok(DestinationKind::Include(path.to_vec())),
        _ => Err(Trouble::Unreadable),
    }
}

/// A command or a file name without the backslashes that quote, if it stood in quotes.
fn unescaped(item: &[u8], quoted: bool) -> Vec<u8> {
    if !quoted {
        return item.to_vec();
    }
    let mut bytes = item.iter().copied();
    let mut meaning = Vec::with_capacity(item.len());
    while let Some(byte) = bytes.next() {
        let meant = if byte == b'\\' {
            bytes.next()
        } else {
            Some(byte)
        };
        meaning.extend(meant);
    }
    meaning
}
