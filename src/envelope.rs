//! Who a message is from and for, as LMTP's commands say it.
//!
//! Both come from strangers: the sender was typed by whoever sent the message, and so was what
//! stands behind the list's own address (`toylist-confirm+TOKEN`).
//!
//! - The sender is SENDER of the environment (set but empty: nobody, `<>`), else that of the
//!   initial From_ line, else that of the first Return-Path. However odd, it is the server that
//!   judges it; one that would break the command makes the message wait, since another one in
//!   its place would be a guess.
//! - The recipient is the profile's. A tail that cannot be said is left out: the MTA has found
//!   the list without it, Sendmail passes none, and the list manager has it in the header.
//!
//! **Invariants.** No I/O. What a [`Sender`] or a [`Recipient`] holds has no control character,
//! and no angle bracket and no blank but between quotes: it ends no command and adds none.

use std::fmt;

/// As many bytes as a list's address may have: a command of 512 bytes, the most that every
/// server takes, has room for it.
const LONGEST: usize = 400;
/// As many bytes as a sender may have: as many as MTAs take in a command (Postfix: 2048). The
/// server judges it.
const LONGEST_SENDER: usize = 2048;
/// As many bytes as every server takes (RFC 5321, 4.5.3.1.3).
const PLAIN: usize = 254;

/// The envelope sender, without angle brackets; empty for `<>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(String);

/// The envelope recipient: the list's address in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    local: String,
    domain: String,
}

/// Why some bytes are no address that can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAddress {
    /// More bytes than any command has room for.
    TooLong,
    /// A byte that no address has there.
    Byte(u8),
    /// Bytes above 127 that are no UTF-8.
    NotText,
    /// Nothing stands before or behind the `@`, or there is none.
    Form,
}

impl Sender {
    /// Reads an address, with or without `<` and `>` around it.
    ///
    /// A local part that only stands between quotes is put there; Postfix hands it over without.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn parse(bytes: &[u8]) -> Result<Sender, BadAddress> {
        let inner = bytes
            .strip_prefix(b"<")
            .and_then(|rest| rest.strip_suffix(b">"));
        let text = judge(inner.unwrap_or(bytes), LONGEST_SENDER)?;
        if text.is_empty() {
            return Ok(Sender(String::new()));
        }
        // A sender of this host may have no domain (Sendmail): as it is, for the server to judge.
        let (local, domain) = match text.rfind('@') {
            Some(at) if !text.ends_with('"') => (&text[..at], &text[at..]),
            _ => (text, ""),
        };
        if local.is_empty() || domain == "@" {
            return Err(BadAddress::Form);
        }
        if let Some(byte) = domain.bytes().find(|b| b" <>".contains(b)) {
            return Err(BadAddress::Byte(byte));
        }
        let said = format!("{}{domain}", quoted(local));
        match said.len() <= LONGEST_SENDER {
            true => Ok(Sender(said)),
            false => Err(BadAddress::TooLong),
        }
    }

    /// The sender in a From_ line, without its `From `: up to the first blank outside quotes.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn of_from_line(rest: &[u8]) -> Result<Sender, BadAddress> {
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.iter().position(|&byte| {
            let literal = std::mem::take(&mut escaped);
            match byte {
                b'\\' if quoted && !literal => escaped = true,
                b'"' if !literal => quoted = !quoted,
                _ => {}
            }
            !quoted && b" \t".contains(&byte)
        });
        let word = rest[..end.unwrap_or(rest.len())].trim_ascii_end();
        let local = word.split(|&b| b == b'@').next().unwrap_or_default();
        // How Postfix, Exim and Sendmail write `<>` there; Sendmail may add its own domain.
        if local.eq_ignore_ascii_case(b"MAILER-DAEMON") {
            return Ok(Sender(String::new()));
        }
        match Sender::parse(word)? {
            Sender(none) if none.is_empty() && word.is_empty() => Err(BadAddress::Form),
            sender => Ok(sender),
        }
    }

    /// Whether it can be said only to a server that knows SMTPUTF8.
    pub fn needs_utf8(&self) -> bool {
        !self.0.is_ascii()
    }

    /// Whether every server can read it: nobody, or atoms and a domain as RFC 5321 has them.
    pub fn is_plain(&self) -> bool {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        self.0.is_empty()
            || self.0.len() <= PLAIN
                && self.0.is_ascii()
                && is_atoms(local)
                && domain.bytes().all(is_domain_byte)
    }
}

impl Recipient {
    /// Reads `LOCAL@DOMAIN`.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn parse(text: &str) -> Result<Recipient, BadAddress> {
        let text = judge(text.as_bytes(), LONGEST)?;
        let (local, domain) = text.rsplit_once('@').ok_or(BadAddress::Form)?;
        if local.is_empty() || domain.is_empty() {
            return Err(BadAddress::Form);
        }
        let bad_local = local.bytes().find(|&b| !is_local_byte(b));
        let bad_domain = domain
            .bytes()
            .find(|&b| !is_domain_byte(b) || !b.is_ascii());
        match bad_local.or(bad_domain) {
            Some(byte) => Err(BadAddress::Byte(byte)),
            None => Ok(Recipient {
                local: local.to_owned(),
                domain: domain.to_owned(),
            }),
        }
    }

    /// What the MTA found behind the list's address, without the `+`.
    ///
    /// Postfix says it in EXTENSION, Exim in LOCAL_PART_SUFFIX with its `+`, OpenSMTPD in LOCAL
    /// behind the address; Sendmail says nothing.
    pub fn tail(&self, variable: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let suffix = || Some(set("LOCAL_PART_SUFFIX")?.strip_prefix(b"+")?.to_vec());
        let behind = || {
            let whole = set("LOCAL")?;
            let (address, tail) = whole.split_at_checked(self.local.len())?;
            let is_ours = address.eq_ignore_ascii_case(self.local.as_bytes());
            Some(tail.strip_prefix(b"+").filter(|_| is_ours)?.to_vec())
        };
        set("EXTENSION")
            .or_else(suffix)
            .or_else(behind)
            .filter(|tail| !tail.is_empty())
    }

    /// The address with `tail` behind its local part.
    ///
    /// # Errors
    /// [`BadAddress`]: it cannot be said with it.
    pub fn with_tail(&self, tail: &[u8]) -> Result<Recipient, BadAddress> {
        let tail = judge(tail, LONGEST)?;
        let whole = Recipient::parse(&format!("{}+{tail}@{}", self.local, self.domain))?;
        // An `@` in the tail would make a domain of its rest.
        match whole.domain == self.domain {
            true => Ok(whole),
            false => Err(BadAddress::Byte(b'@')),
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}@{}>", self.local, self.domain)
    }
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadAddress::TooLong => f.write_str("it is too long for a command"),
            BadAddress::Byte(byte) => write!(f, "\"{}\" is not allowed", byte.escape_ascii()),
            BadAddress::NotText => f.write_str("it is not UTF-8 text"),
            BadAddress::Form => f.write_str("it is not LOCAL@DOMAIN"),
        }
    }
}

impl std::error::Error for BadAddress {}

/// What is asked of every part of an address, whoever says it.
fn judge(bytes: &[u8], longest: usize) -> Result<&str, BadAddress> {
    if bytes.len() > longest {
        return Err(BadAddress::TooLong);
    }
    if let Some(&byte) = bytes.iter().find(|b| b.is_ascii_control()) {
        return Err(BadAddress::Byte(byte));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BadAddress::NotText)?;
    match text.chars().any(char::is_control) {
        true => Err(BadAddress::NotText),
        false => Ok(text),
    }
}

/// A local part as a command says it: as it is, or as a quoted string (RFC 5321, 4.1.2).
fn quoted(local: &str) -> String {
    if is_atoms(local) || is_quoted(local) {
        return local.to_owned();
    }
    let mut text = String::from("\"");
    for c in local.chars() {
        if c == '"' || c == '\\' {
            text.push('\\');
        }
        text.push(c);
    }
    text + "\""
}

fn is_atoms(text: &str) -> bool {
    let atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atom_byte);
    text.split('.').all(atom)
}

/// Whether this is one quoted string already.
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut escaped = false;
    for c in inner.chars() {
        escaped = match c {
            _ if escaped => false,
            '\\' => true,
            '"' => return false,
            _ => false,
        };
    }
    !escaped
}

/// `atext` of RFC 5322, and with SMTPUTF8 all above it.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || !byte.is_ascii()
}

/// What stands in an address of a list without quotes. VERP keeps the dots of a subscriber's
/// address, two in a row and one at the end, too.
fn is_local_byte(byte: u8) -> bool {
    byte.is_ascii() && is_atom_byte(byte) || byte == b'.'
}

/// A host's name, an address in brackets, or with SMTPUTF8 a name in other letters.
fn is_domain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte) || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[track_caller]
    fn says(sender: &str, wanted: &str) {
        assert_eq!(
            Sender::parse(sender.as_bytes()).unwrap().to_string(),
            wanted
        );
    }

    #[test]
    fn a_sender_is_said_as_a_command_takes_it() {
        says("", "<>");
        says("<>", "<>");
        says("al@example.org", "<al@example.org>");
        says("<al@example.org>", "<al@example.org>");
        says("a.l+x=y@[192.0.2.1]", "<a.l+x=y@[192.0.2.1]>");
        says("al the.user@example.org", "<\"al the.user\"@example.org>");
        says("\"al u\"@example.org", "<\"al u\"@example.org>");
        says("a\"b\\c@example.org", "<\"a\\\"b\\\\c\"@example.org>");
        says("a..b@example.org", "<\"a..b\"@example.org>");
        says("a@b@example.org", "<\"a@b\"@example.org>");
        says("root", "<root>");
        says("bob@ex'ample.com", "<bob@ex'ample.com>");
        says("bob@exa+mple.com", "<bob@exa+mple.com>");
        says("bob@a/b", "<bob@a/b>");
        says("a> SIZE=0 <@b.c", "<\"a> SIZE=0 <\"@b.c>");
        let long = "x".repeat(LONGEST_SENDER - 2) + "@y";
        says(&long, &format!("<{long}>"));
        says("søren@example.org", "<søren@example.org>");
        assert!(
            Sender::parse("søren@example.org".as_bytes())
                .unwrap()
                .needs_utf8()
        );
    }

    #[test]
    fn a_sender_that_would_end_a_command_is_none() {
        let long = [b'x'; LONGEST_SENDER + 1];
        let doubled = [b"\"".repeat(LONGEST_SENDER - 2), b"@x".to_vec()].concat();
        for (bytes, why) in [
            (&b"a@b.c>\r\nRCPT TO:<x@y"[..], BadAddress::Byte(b'\r')),
            (b"a@b.c\r\nQUIT", BadAddress::Byte(b'\r')),
            (b"a\n@b.c", BadAddress::Byte(b'\n')),
            (b"a@b.c SIZE=1", BadAddress::Byte(b' ')),
            (b"a\0@b.c", BadAddress::Byte(0)),
            (b"a@b.c>", BadAddress::Byte(b'>')),
            (b"a@b<c", BadAddress::Byte(b'<')),
            (b"\xff@b.c", BadAddress::NotText),
            ("a\u{85}@b.c".as_bytes(), BadAddress::NotText),
            (b"@b.c", BadAddress::Form),
            (b"a@", BadAddress::Form),
            (&long, BadAddress::TooLong),
            (&doubled, BadAddress::TooLong),
        ] {
            assert_eq!(Sender::parse(bytes), Err(why), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_every_server_reads_is_plain() {
        let is_plain = |sender: &str| Sender::parse(sender.as_bytes()).unwrap().is_plain();
        for sender in ["", "root", "a.l+x=y@[192.0.2.1]", "al@mail_1.example.org"] {
            assert!(is_plain(sender), "{sender}");
        }
        let long = format!("a@{}", "x".repeat(PLAIN));
        for sender in [
            "a b@x",
            "a..b@x",
            "\"a\"@x",
            "a@ex'ample.com",
            "a@b/c",
            "\u{f8}@x",
            &long,
        ] {
            assert!(!is_plain(sender), "{sender}");
        }
    }

    #[test]
    fn a_from_line_names_its_sender_before_the_date() {
        let read = |line: &str| Sender::of_from_line(line.as_bytes()).map(|s| s.to_string());
        assert_eq!(read("al@b.c Mon Nov 23 17:00:00 2026").unwrap(), "<al@b.c>");
        assert_eq!(read("\"al u\"@b.c Mon Nov 23").unwrap(), "<\"al u\"@b.c>");
        assert_eq!(read("\"a\\\" u\"@b.c Mon").unwrap(), "<\"a\\\" u\"@b.c>");
        assert_eq!(read("MAILER-DAEMON Mon Nov 23").unwrap(), "<>");
        assert_eq!(read("mailer-daemon@host Mon").unwrap(), "<>");
        assert_eq!(read("<> Mon Nov 23").unwrap(), "<>");
        assert_eq!(read("al@b.c\r").unwrap(), "<al@b.c>");
        assert_eq!(read("al@b.c\rx Mon").unwrap_err(), BadAddress::Byte(b'\r'));
        assert_eq!(read(" Mon").unwrap_err(), BadAddress::Form);
        assert_eq!(read("\"al Mon").unwrap(), "<\"\\\"al Mon\">");
    }

    #[test]
    fn each_mta_says_the_tail_in_its_own_way() {
        let bounces = Recipient::parse("toylist-bounces@lists.example.org").unwrap();
        let tail = |set: &[(&str, &str)]| {
            let value = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name)?;
                Some(found.1.as_bytes().to_vec())
            };
            let tail = bounces.tail(value)?;
            Some(String::from_utf8(tail).unwrap())
        };
        for (mta, set, wanted) in [
            (
                "Postfix",
                &[("EXTENSION", "al=b.c"), ("LOCAL", "toylist-bounces+al=b.c")][..],
                Some("al=b.c"),
            ),
            ("Postfix, no tail", &[("LOCAL", "toylist-bounces")], None),
            (
                "Exim",
                &[
                    ("LOCAL_PART", "toylist-bounces"),
                    ("LOCAL_PART_SUFFIX", "+al=b.c"),
                ],
                Some("al=b.c"),
            ),
            (
                "Exim, no tail",
                &[("LOCAL_PART", "toylist-bounces"), ("LOCAL_PART_SUFFIX", "")],
                None,
            ),
            (
                "Exim, another suffix",
                &[("LOCAL_PART_SUFFIX", "-bounces")],
                None,
            ),
            (
                "OpenSMTPD",
                &[("LOCAL", "ToyList-Bounces+al=b.c")],
                Some("al=b.c"),
            ),
            ("OpenSMTPD, no tail", &[("LOCAL", "toylist-bounces")], None),
            (
                "OpenSMTPD, another alias",
                &[("LOCAL", "moylist-bounces+x")],
                None,
            ),
            (
                "OpenSMTPD, a longer name",
                &[("LOCAL", "toylist-bouncesx+y")],
                None,
            ),
            (
                "a bare plus",
                &[("EXTENSION", ""), ("LOCAL", "toylist-bounces+")],
                None,
            ),
            ("Sendmail", &[("AGENT", "sendmail")], None),
        ] {
            assert_eq!(tail(set).as_deref(), wanted, "{mta}");
        }
    }

    #[test]
    fn a_tail_is_said_or_left_out() {
        let confirm = Recipient::parse("toylist-confirm@lists.example.org").unwrap();
        let with = |tail: &[u8]| confirm.with_tail(tail).map(|whole| whole.to_string());
        for tail in [
            "0123456789abcdef",
            "a..b=docomo.example",
            "x.",
            "a+b",
            "a=b.c",
        ] {
            let wanted = format!("<toylist-confirm+{tail}@lists.example.org>");
            assert_eq!(with(tail.as_bytes()).unwrap(), wanted);
        }
        let long = [b'x'; LONGEST - 10];
        for (tail, why) in [
            (&b"x@evil.example"[..], BadAddress::Byte(b'@')),
            (b"x@y@lists.example.org", BadAddress::Byte(b'@')),
            (b"x@lists.example.org", BadAddress::Byte(b'@')),
            (b"x> NOTIFY=NEVER", BadAddress::Byte(b'>')),
            (b"x\r\nDATA", BadAddress::Byte(b'\r')),
            (b"x y", BadAddress::Byte(b' ')),
            (b"x\"y", BadAddress::Byte(b'"')),
            (b"\xc3\xa9", BadAddress::Byte(0xc3)),
            (b"\xff", BadAddress::NotText),
            (b"\0", BadAddress::Byte(0)),
            (&long, BadAddress::TooLong),
        ] {
            assert_eq!(with(tail), Err(why), "{}", tail.escape_ascii());
        }
    }

    #[test]
    fn a_recipient_is_an_address_of_a_list() {
        assert!(Recipient::parse("toylist@lists.example.org").is_ok());
        for bad in [
            "", "toylist", "@x", "x@", "a b@x", "a@x y", "a@x>", "\"a\"@x", "a\r@x", "a@ü",
        ] {
            assert!(Recipient::parse(bad).is_err(), "{bad:?}");
        }
    }
}
