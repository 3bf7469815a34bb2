//! One destination, unquoted, as the daemon and makemap take it.
//!
//! **Invariants**: the order in which the kinds are tried is the MTA's.

use crate::grammar::reading::DestinationKind;

/// How many bytes of a command (with its last quote), a file name or an error there may be.
const LONGEST: usize = 1023;
/// How many bytes of a local part or a domain there may be.
const LONGEST_PART: usize = 255;

/// What a word, without blanks at its ends, is; none if the MTA cannot read it.
pub(super) fn target(word: &[u8]) -> Option<DestinationKind> {
    error(word)
        .or_else(|| include(word))
        .or_else(|| command(word))
        .or_else(|| file(word).map(|path| DestinationKind::File(path.to_vec())))
        .or_else(|| address(word))
}

/// What stands behind one of these words, in any case.
fn behind<'a>(word: &'a [u8], long: &[u8], short: &[u8]) -> Option<&'a [u8]> {
    [long, short].into_iter().find_map(|start| {
        let (head, rest) = word.split_at_checked(start.len())?;
        head.eq_ignore_ascii_case(start).then_some(rest)
    })
}

/// `error:550 text`: the SMTP reply that the daemon gives.
fn error(word: &[u8]) -> Option<DestinationKind> {
    let reply = behind(word, b":error:", b"error:").filter(|reply| reply.len() <= LONGEST)?;
    match reply {
        [b'4' | b'5', second, third, b' ', text, ..]
            if second.is_ascii_digit()
                && third.is_ascii_digit()
                && text.is_ascii_alphanumeric() =>
        {
            Some(DestinationKind::Verdict([b"error:", reply].concat()))
        }
        _ => None,
    }
}

fn include(word: &[u8]) -> Option<DestinationKind> {
    let path = file(behind(word, b":include:", b"include:")?)?;
    Some(DestinationKind::Include(path.to_vec()))
}

fn file(word: &[u8]) -> Option<&[u8]> {
    (word.starts_with(b"/") && word.len() <= LONGEST).then_some(word)
}

/// A quote before the bar must be matched by one at the very end; the closing quote counts.
fn command(word: &[u8]) -> Option<DestinationKind> {
    let unquoted = word.strip_prefix(b"\"");
    let behind_bar = unquoted.unwrap_or(word).strip_prefix(b"|")?;
    if behind_bar.len() > LONGEST {
        return None;
    }
    let command = match unquoted {
        Some(_) => behind_bar.strip_suffix(b"\"")?,
        None => behind_bar,
    };
    Some(DestinationKind::Pipe(command.to_vec()))
}

/// A user, or an address; an address whose domain is no domain is read as the user alone.
fn address(word: &[u8]) -> Option<DestinationKind> {
    let at = word.iter().position(|byte| *byte == b'@');
    // An `@` at either end, or in two bytes, is not looked at.
    let Some(at) = at.filter(|at| word.len() >= 3 && *at > 0 && at + 1 < word.len()) else {
        return user(word);
    };
    let (local, domain) = (&word[..at], &word[at + 1..]);
    let is_local =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%*/?|^{}`~&'+-=_.".contains(byte);
    let is_domain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
    if !local.iter().all(is_local) || !domain.iter().all(is_domain) {
        return user(local);
    }
    let kept = |part: &[u8]| part[..part.len().min(LONGEST_PART)].to_vec();
    Some(DestinationKind::Address(
        [kept(local), kept(domain)].join(&b'@'),
    ))
}

fn user(word: &[u8]) -> Option<DestinationKind> {
    let is_user = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-+".contains(byte);
    (word.len() <= LONGEST_PART && word.iter().all(is_user))
        .then(|| DestinationKind::Address(word.to_vec()))
}
