//! The names that come from outside: lists and verbs.
//!
//! **Invariants.** No I/O. A `ListName` or a `Verb` exists only if its bytes were
//! judged here, so neither can carry a blank, a slash, a quote or a control
//! character into a path, an argv, an alias line, a log or a terminal.

use std::borrow::Borrow;
use std::fmt;

/// A list: `toylist`, or `toylist@lists.example.org` where one name serves several domains.
///
/// Two spellings that differ in case are the same list: comparison, order and
/// hash look at the folded name only.
#[derive(Debug, Clone)]
pub struct ListName {
    folded: String,
    spelling: String,
    /// How many bytes of both stand before the `@`.
    local: usize,
}

/// Why some bytes are not the name of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadName {
    /// Nothing stands there.
    Empty,
    /// More than 128 bytes before or after the `@`.
    TooLong,
    /// The first byte is one that may only follow.
    Start(u8),
    /// A byte that no list's name has.
    Byte(u8),
    /// What follows the `@` is not a domain.
    Domain,
}

impl ListName {
    /// Bytes that a list's local part may have, and as many again for its domain.
    pub const LONGEST: usize = 128;

    /// Reads the name of a list: `[a-z0-9_][a-z0-9._+=-]*`, 1 to 128 bytes, upper case
    /// allowed, then optionally `@` and a domain.
    ///
    /// # Errors
    /// [`BadName`] says which rule was broken; the bytes go nowhere else.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<ListName, BadName> {
        let bytes = bytes.as_ref();
        ListName::check(bytes)?;
        let spelling: String = bytes.iter().map(|&b| char::from(b)).collect();
        let at = bytes.iter().position(|&b| b == b'@');
        Ok(ListName {
            folded: spelling.to_ascii_lowercase(),
            spelling,
            local: at.unwrap_or(bytes.len()),
        })
    }

    /// Judges what [`ListName::parse`] would read, without keeping it.
    ///
    /// # Errors
    /// As [`ListName::parse`].
    pub fn check(bytes: &[u8]) -> Result<(), BadName> {
        let at = bytes.iter().position(|&b| b == b'@');
        let (local, domain) = match at {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        check_local(local)?;
        domain.map_or(Ok(()), check_domain)
    }

    /// The name by which lists are compared: lower case.
    pub fn as_str(&self) -> &str {
        &self.folded
    }

    /// The name as it was written where it came from.
    pub fn spelling(&self) -> &str {
        &self.spelling
    }

    /// What stands before the `@`, lower case.
    pub fn local_part(&self) -> &str {
        &self.folded[..self.local]
    }

    /// The name without `@domain`, if that is the domain it has; else unchanged.
    pub fn within(self, domain: Option<&str>) -> ListName {
        let Some(domain) = domain else { return self };
        let cut = match self.folded.split_once('@') {
            Some((local, its)) if its == domain => local.len(),
            _ => return self,
        };
        ListName {
            folded: self.folded[..cut].to_owned(),
            spelling: self.spelling[..cut].to_owned(),
            local: cut,
        }
    }
}

fn check_local(local: &[u8]) -> Result<(), BadName> {
    let &[first, ..] = local else {
        return Err(BadName::Empty);
    };
    if local.len() > ListName::LONGEST {
        return Err(BadName::TooLong);
    }
    if !first.is_ascii_alphanumeric() && first != b'_' {
        return Err(BadName::Start(first));
    }
    match local
        .iter()
        .find(|&&b| !b.is_ascii_alphanumeric() && !b"._+=-".contains(&b))
    {
        Some(&bad) => Err(BadName::Byte(bad)),
        None => Ok(()),
    }
}

fn check_domain(domain: &[u8]) -> Result<(), BadName> {
    let label = |label: &[u8]| {
        !label.is_empty()
            && label
                .iter()
                .all(|&b| b.is_ascii_alphanumeric() || b == b'-')
            && label[0] != b'-'
    };
    if domain.len() > ListName::LONGEST || !domain.split(|&b| b == b'.').all(label) {
        return Err(BadName::Domain);
    }
    Ok(())
}

impl PartialEq for ListName {
    fn eq(&self, other: &ListName) -> bool {
        self.folded == other.folded
    }
}

impl Eq for ListName {}

impl PartialOrd for ListName {
    fn partial_cmp(&self, other: &ListName) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ListName {
    fn cmp(&self, other: &ListName) -> std::cmp::Ordering {
        self.folded.cmp(&other.folded)
    }
}

impl std::hash::Hash for ListName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl Borrow<str> for ListName {
    fn borrow(&self) -> &str {
        &self.folded
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.folded)
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => f.write_str("it is empty"),
            BadName::TooLong => write!(f, "it is longer than {} bytes", ListName::LONGEST),
            BadName::Start(byte) => {
                write!(f, "it may not begin with \"{}\"", byte.escape_ascii())
            }
            BadName::Byte(byte) => write!(f, "\"{}\" is not allowed", byte.escape_ascii()),
            BadName::Domain => f.write_str("what follows the @ is not a domain"),
        }
    }
}

impl std::error::Error for BadName {}

macro_rules! verbs {
    ($($variant:ident $word:literal $meaning:literal,)*) => {
        /// What a message asks of a list: mm-deliver's first argument. A closed vocabulary;
        /// a profile says which of them a list manager knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb {
            $(#[doc = $meaning] $variant,)*
        }

        impl Verb {
            /// Every verb there is.
            pub const ALL: &[Verb] = &[$(Verb::$variant,)*];

            /// The word as it stands in aliases and profiles.
            pub const fn as_str(self) -> &'static str {
                match self { $(Verb::$variant => $word,)* }
            }

            /// Reads a verb; `None` if it is none of ours.
            pub fn parse(word: &[u8]) -> Option<Verb> {
                Verb::ALL.iter().copied().find(|verb| verb.as_str().as_bytes() == word)
            }
        }
    };
}

verbs! {
    Post "post" "A message to the list.",
    Admin "admin" "`L-admin`: the administrator's old address, later that of bounces.",
    Bounces "bounces" "Returned mail.",
    Confirm "confirm" "Answers to a confirmation request.",
    Join "join" "Subscribing by an empty message.",
    Leave "leave" "Unsubscribing by an empty message.",
    Owner "owner" "A message to the list's owners.",
    Request "request" "Commands by mail.",
    Subscribe "subscribe" "As `join`.",
    Unsubscribe "unsubscribe" "As `leave`.",
    Editor "editor" "A message to the list's moderators.",
    Comment "comment" "A remark that the sender does not see.",
    Sendkey "sendkey" "Asking for the list's public key.",
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_name_is_folded_for_comparison_and_keeps_its_spelling() {
        let name = ListName::parse("ToyList").unwrap();
        assert_eq!(name.as_str(), "toylist");
        assert_eq!(name.spelling(), "ToyList");
        assert_eq!(name, ListName::parse("toylist").unwrap());
    }

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for bad in [
            "", "-x", ".x", "+x", "=x", "a/b", "../x", "a b", "a\tb", "a\nb", "a\0b", "a\"b",
            "a|b", "a;b", "a$b", "a`b", "a\\b", "a,b", "a:b", "a#b", "a\u{e9}", "a@", "@x",
            "a@b@c", "a@-x", "a@b..c", "a@.b", "a@b/c", "a%b",
        ] {
            assert!(ListName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(ListName::parse("a".repeat(129)).is_err());
        assert!(ListName::parse("a".repeat(128)).is_ok());
    }

    #[test]
    fn names_that_list_managers_use_are_accepted() {
        for good in [
            "a",
            "_x",
            "0",
            "a.b-c_d+e=f",
            "x@lists.example.org",
            "list_example.org",
        ] {
            assert!(ListName::parse(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn a_trees_own_domain_is_cut_and_another_is_kept() {
        let name = |text: &str| ListName::parse(text).unwrap();
        let domain = Some("lists.example.org");
        assert_eq!(
            name("Toy@Lists.Example.org").within(domain).spelling(),
            "Toy"
        );
        assert_eq!(
            name("toy@other.org").within(domain).as_str(),
            "toy@other.org"
        );
        assert_eq!(name("toy").within(domain).as_str(), "toy");
        assert_eq!(name("toy@x.org").within(None).as_str(), "toy@x.org");
    }

    #[test]
    fn every_verb_is_read_back_from_its_word() {
        for &verb in Verb::ALL {
            assert_eq!(Verb::parse(verb.as_str().as_bytes()), Some(verb));
        }
        assert_eq!(Verb::parse(b"Post"), None);
        assert_eq!(Verb::parse(b"post "), None);
    }
}
