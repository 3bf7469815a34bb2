//! The messages of a rehearsal: the list's own, from where they are kept, and awkward ones of our own.
//!
//! A place is a mailbox (each message begins with a "From " line behind an empty one), a Maildir, or a
//! directory of messages. First one pass notes where the last so many begin (`index`); then each is read
//! when its turn comes, so that memory does not grow with the mailbox.
//!
//! `dress` gives a message what the MTA would: its envelope, and headers without those that the list
//! manager added when it handled it for the first time: by those it would take it for a loop.
//!
//! **Invariants.** Writes nothing. Opens plain files alone. What is no message is passed over and
//! counted.

pub mod awkward;
mod index;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

pub use index::{Index, Spot};

use super::outcome::Letter;

/// A larger message is passed over, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Headers that a list manager adds, by which it would know the message again.
const ADDED: [&str; 12] = [
    "Delivered-To",
    "Errors-To",
    "Precedence",
    "Return-Path",
    "Sender",
    "X-BeenThere",
    "X-Envelope-To",
    "X-Loop",
    "X-Mailman-Approved-At",
    "X-Mailman-Version",
    "X-Original-To",
    "X-Sequence",
];

/// A message and its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dressed {
    /// What is told of it.
    pub letter: Letter,
    /// The envelope's sender; empty for a bounce.
    pub from: String,
    /// What stands behind the delimiter of the list's address.
    pub extension: Option<String>,
    /// The message, as the MTA hands it over.
    pub bytes: Vec<u8>,
}

/// Reads a message where it stands; `None` where it is too large or gone.
///
/// # Errors
/// The kernel's.
pub fn read(spot: &Spot) -> io::Result<Option<Vec<u8>>> {
    let mut file = open(&spot.path)?;
    if spot.length > LARGEST || !file.metadata()?.is_file() {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(spot.offset))?;
    let mut bytes = Vec::new();
    file.take(spot.length).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Opens a file of the list's so that nobody sees that it was read, where we may.
fn open(path: &Path) -> io::Result<File> {
    let open = |more| {
        rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | more,
            Mode::empty(),
        )
    };
    let file = open(OFlags::NOATIME).or_else(|_| open(OFlags::empty()))?;
    Ok(File::from(file))
}

/// A message as its MTA handed it over once, as far as that can be told.
#[derive(Debug)]
pub struct Found {
    /// The "From " line, if there is one.
    envelope: Option<String>,
    /// Each header as it stands, with its end of line.
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Found {
    /// Takes a message apart; `None` if there is no header: then it is no message.
    pub fn parse(bytes: &[u8], is_mbox: bool) -> Option<Found> {
        let mut rest = bytes;
        let mut envelope = None;
        if let Some(line) = rest.strip_prefix(b"From ") {
            let end = line.iter().position(|&b| b == b'\n')?;
            let text = String::from_utf8_lossy(&line[..end]);
            envelope = Some(text.split(' ').next().unwrap_or_default().to_owned());
            rest = &line[end + 1..];
        }
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        loop {
            let end = rest
                .iter()
                .position(|&b| b == b'\n')
                .map_or(rest.len(), |n| n + 1);
            let (line, behind) = rest.split_at(end);
            if line.is_empty() || matches!(line, b"\n" | b"\r\n") {
                rest = behind;
                break;
            }
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                headers.last_mut()?.1.extend(line);
            } else {
                let Some(colon) = line.iter().position(|&b| b == b':') else {
                    break;
                };
                let name = String::from_utf8_lossy(&line[..colon])
                    .trim_end()
                    .to_owned();
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
                    break;
                }
                headers.push((name, line.to_vec()));
            }
            rest = behind;
        }
        if headers.is_empty() {
            return None;
        }
        let body = match is_mbox {
            true => unquoted(rest),
            false => rest.to_vec(),
        };
        Some(Found {
            envelope,
            headers,
            body,
        })
    }

    /// The value of the first header of this name, on one line.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut named = self.headers.iter();
        let (_, line) = named.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        let text = String::from_utf8_lossy(line);
        let value = text.split_once(':')?.1;
        let words: Vec<&str> = value.split_whitespace().collect();
        Some(words.join(" "))
    }

    /// When it was sent, in seconds since 1970, as its header says.
    pub fn sent_at(&self) -> Option<i64> {
        mailparse::dateparse(&self.header("Date")?).ok()
    }

    /// The addresses of these headers, without names.
    pub fn addresses(&self, headers: &[&str]) -> Vec<String> {
        let values = headers.iter().filter_map(|name| self.header(name));
        let mut found = Vec::new();
        for value in values {
            let Ok(list) = mailparse::addrparse(&value) else {
                continue;
            };
            for address in list.iter() {
                match address {
                    mailparse::MailAddr::Single(one) => found.push(one.addr.clone()),
                    mailparse::MailAddr::Group(group) => {
                        found.extend(group.addrs.iter().map(|one| one.addr.clone()));
                    }
                }
            }
        }
        found
    }

    /// Who sent it: what the envelope says, else Return-Path, else From. What can be no address is nobody.
    pub fn sender(&self) -> String {
        let path = self.header("Return-Path");
        let path = path.map(|path| path.trim_matches(['<', '>']).to_owned());
        let from = || self.addresses(&["From"]).into_iter().next();
        // What an archive writes there is a name, now and then: "a at example.org".
        let envelope = self.envelope.clone().filter(|from| is_address(from));
        let sender = envelope.or(path).or_else(from).unwrap_or_default();
        match is_address(&sender) {
            true => sender,
            false => String::new(),
        }
    }

    /// The message as the MTA would hand it to the list manager now.
    pub fn dress(&self, verb: &str, name: String, from: &str, to: &str) -> Dressed {
        let mut bytes = envelope_lines(from, to);
        for (name, line) in &self.headers {
            let is_added = ADDED.iter().any(|own| own.eq_ignore_ascii_case(name))
                || name.len() > 5 && name[..5].eq_ignore_ascii_case("List-")
                || name.len() > 8 && name[..8].eq_ignore_ascii_case("Archived");
            if !is_added {
                bytes.extend(line);
                if line.last() != Some(&b'\n') {
                    bytes.push(b'\n');
                }
            }
        }
        bytes.push(b'\n');
        bytes.extend(&self.body);
        let told = |header: &str| self.header(header).unwrap_or_default();
        Dressed {
            letter: Letter {
                name,
                about: format!("{}, {}", told("From"), told("Subject")),
                verb: verb.to_owned(),
            },
            from: from.to_owned(),
            extension: None,
            bytes,
        }
    }
}

/// What an MTA puts before a message that it pipes to a program.
pub fn envelope_lines(from: &str, to: &str) -> Vec<u8> {
    let sender = if from.is_empty() {
        "MAILER-DAEMON"
    } else {
        from
    };
    format!(
        "From {sender}  Sun Nov 22 10:02:00 2026\nReturn-Path: <{from}>\nX-Original-To: {to}\n\
         Delivered-To: {to}\n"
    )
    .into_bytes()
}

fn is_address(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b))
    })
}

/// A mailbox's body without the quotes before "From " (mboxrd).
fn unquoted(body: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&b| b == b'\n') {
        let quotes = line.iter().take_while(|&&b| b == b'>').count();
        let is_quoted = quotes > 0 && line[quotes..].starts_with(b"From ");
        all.extend(&line[usize::from(is_quoted)..]);
    }
    all
}

/// What a place is called for people: its last part.
fn short(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Names in a directory that are messages, and their paths.
fn messages(directory: &Path) -> io::Result<Vec<(OsString, PathBuf)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.file_type()?.is_file() {
            all.push((entry.file_name(), entry.path()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn an_archived_post_is_handed_over_as_it_came_the_first_time() {
        let kept = b"From ann at example.org  Mon Nov  2 10:00:00 2026\nFrom: \"Ann\" <ann@example.org>\n\
            To: toylist@lists.example\nSubject: [Toy] hi,\n there\nList-Id: <toylist>\nX-BeenThere: toylist@x\n\
            Date: Mon, 2 Nov 2026 10:00:00 +0000\nList-Post:\n <mailto:x>\n\nhello\n>From here\n>>From there\n";
        let found = Found::parse(kept, true).unwrap();
        assert_eq!(found.sender(), "ann@example.org");
        assert_eq!(found.sent_at(), Some(1_793_613_600));
        assert_eq!(found.addresses(&["To", "Cc"]), ["toylist@lists.example"]);
        let dressed = found.dress("post", "x:1".to_owned(), "ann@example.org", "toylist@x");
        let text = String::from_utf8(dressed.bytes).unwrap();
        assert!(text.starts_with("From ann@example.org  Sun"), "{text}");
        assert!(text.contains("Subject: [Toy] hi,\n there\n"), "{text}");
        assert!(
            text.ends_with("\n\nhello\nFrom here\n>From there\n"),
            "{text}"
        );
        for word in ["List-", "BeenThere", "mailto"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        assert_eq!(
            dressed.letter.about,
            "\"Ann\" <ann@example.org>, [Toy] hi, there"
        );
    }

    #[test]
    fn what_has_no_header_is_no_message_and_a_hostile_sender_is_nobody() {
        assert!(Found::parse(b"no header here\n", true).is_none());
        assert!(Found::parse(b"", false).is_none());
        assert!(Found::parse(b"From x\n", true).is_none());
        let found = Found::parse(b"From: <a b\x00@x>\nReturn-Path: <x\ny>\n\n", false).unwrap();
        assert_eq!(found.sender(), "");
        let bounce = Found::parse(b"Return-Path: <>\nFrom: <a@x>\n\n", false).unwrap();
        assert_eq!(bounce.sender(), "");
    }
}
