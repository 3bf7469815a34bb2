//! A message that was sent, as it is compared: headers by name, and parts.
//!
//! **Invariants.** Any bytes are a message. What is kept of a part that is no text is its size and a
//! digest.

use std::collections::BTreeMap;

use mailparse::{MailHeaderMap, ParsedMail};
use sha2::{Digest, Sha256};

/// What a list manager makes anew where it writes a message of its own: where its two runs differ in one of
/// these, it says nothing; where they agree, it is the author's, and counts.
pub(super) const MADE_ANEW: [&str; 5] = [
    "date",
    "message-id",
    "received",
    "resent-date",
    "resent-message-id",
];

/// A message, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Names in lower case; values unfolded, in their order.
    pub(super) headers: BTreeMap<String, Vec<String>>,
    /// In their order.
    pub(super) parts: Vec<Part>,
}

/// A part without parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// `text/plain; utf-8`.
    pub(super) kind: String,
    /// Its text; for what is none, its size and digest.
    pub(super) text: String,
}

impl Message {
    /// Takes `bytes` apart. `volatile`: headers of which only whether they are there counts.
    pub(super) fn parse(bytes: &[u8], volatile: &[String]) -> Message {
        let Ok(parsed) = mailparse::parse_mail(bytes) else {
            return Message {
                headers: BTreeMap::new(),
                parts: vec![Part {
                    kind: "not MIME".to_owned(),
                    text: String::from_utf8_lossy(bytes).into_owned(),
                }],
            };
        };
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for header in &parsed.headers {
            let name = header.get_key().to_ascii_lowercase();
            let is_volatile = volatile.iter().any(|own| own.eq_ignore_ascii_case(&name));
            let value = match is_volatile {
                true => String::new(),
                false => without_boundary(&String::from_utf8_lossy(header.get_value_raw())),
            };
            headers.entry(name).or_default().push(value);
        }
        let mut parts = Vec::new();
        gather(&parsed, &mut parts);
        Message { headers, parts }
    }

    /// The address in From, in lower case.
    pub(super) fn from(&self) -> String {
        let value = self.headers.get("from").and_then(|values| values.first());
        let Some(value) = value else {
            return String::new();
        };
        let address = value.rsplit('<').next().unwrap_or(value);
        address.trim_end_matches('>').trim().to_ascii_lowercase()
    }
}

/// A header's value on one line, and without the boundary, which is others each time.
fn without_boundary(value: &str) -> String {
    let words: Vec<&str> = value.split_whitespace().collect();
    let value = words.join(" ");
    let Some(at) = value.to_ascii_lowercase().find("boundary=") else {
        return value;
    };
    let behind = &value[at + "boundary=".len()..];
    let end = match behind.strip_prefix('"') {
        Some(quoted) => quoted.find('"').map_or(behind.len(), |end| end + 2),
        None => behind.find([';', ' ']).unwrap_or(behind.len()),
    };
    format!("{}boundary=…{}", &value[..at], &behind[end..])
}

fn gather(mail: &ParsedMail<'_>, parts: &mut Vec<Part>) {
    if !mail.subparts.is_empty() {
        let (before, behind) = around(mail);
        parts.push(Part {
            kind: kind(mail),
            text: before,
        });
        for part in &mail.subparts {
            gather(part, parts);
        }
        if !behind.trim().is_empty() {
            parts.push(Part {
                kind: "behind the last part".to_owned(),
                text: behind,
            });
        }
        return;
    }
    let is_text =
        mail.ctype.mimetype.starts_with("text/") || mail.ctype.mimetype.starts_with("message/");
    let text = match (is_text, mail.get_body(), mail.get_body_raw()) {
        (true, Ok(text), _) => text,
        (false, _, Ok(bytes)) => {
            let digest: String = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("{} bytes, sha256 {digest}", bytes.len())
        }
        // What cannot be decoded is compared as it was sent.
        _ => body_of(mail.raw_bytes),
    };
    parts.push(Part {
        kind: kind(mail),
        text,
    });
}

/// What a part is, and what its reader's program makes of it: type, charset, and its own headers but for
/// how it is encoded.
fn kind(mail: &ParsedMail<'_>) -> String {
    let mut kind = mail.ctype.mimetype.clone();
    if mail.subparts.is_empty() {
        kind += &format!("; {}", mail.ctype.charset.to_ascii_lowercase());
    }
    let mut names: Vec<(&String, &String)> = mail.ctype.params.iter().collect();
    names.retain(|(name, _)| !matches!(name.as_str(), "boundary" | "charset"));
    names.sort();
    for (name, value) in names {
        kind += &format!("; {name}={value}");
    }
    for name in ["Content-Disposition", "Content-Id", "Content-Description"] {
        for header in mail.headers.get_all_headers(name) {
            let value = String::from_utf8_lossy(header.get_value_raw());
            let words: Vec<&str> = value.split_whitespace().collect();
            kind += &format!("; {}", words.join(" "));
        }
    }
    kind
}

fn body_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let ends = ["\n\n", "\r\n\r\n"].into_iter();
    let found = ends.filter_map(|end| Some((text.find(end)?, end.len())));
    let begin = found.min().map_or(text.len(), |(at, length)| at + length);
    text[begin..].to_owned()
}

/// The text before the first part, and behind the last one: no part of any, and yet it was sent.
fn around(mail: &ParsedMail<'_>) -> (String, String) {
    let body = body_of(mail.raw_bytes);
    let Some(boundary) = mail.ctype.params.get("boundary") else {
        return (String::new(), String::new());
    };
    let line = format!("--{boundary}");
    let before = body
        .split(&line)
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let end = format!("{line}--");
    let behind = body.rsplit_once(&end).map_or("", |(_, behind)| behind);
    (before, behind.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_message_is_its_headers_and_parts_without_what_is_others_each_time() {
        let bytes = b"Received: a\nReceived: b\nMessage-ID: <1@x>\nSubject: a\n b\nX-Id: 1\nFrom: \"A\" <A@x>\n\
            MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"==1\"\n\n--==1\n\nhello\n--==1\n\
            Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--==1--\n";
        let one = Message::parse(bytes, &["X-Id".to_owned()]);
        assert_eq!(one.headers["subject"], ["a b"]);
        assert_eq!(one.headers["message-id"], ["<1@x>"]);
        assert_eq!(one.headers["x-id"], [""]);
        assert_eq!(one.headers["content-type"], ["multipart/mixed; boundary=…"]);
        assert_eq!(one.headers["received"].len(), 2);
        assert_eq!(one.from(), "a@x");
        let kinds: Vec<&str> = one.parts.iter().map(|part| part.kind.as_str()).collect();
        assert_eq!(
            kinds,
            [
                "multipart/mixed",
                "text/plain; us-ascii",
                "application/pdf; us-ascii"
            ]
        );
        assert_eq!(one.parts[1].text.trim_end(), "hello");
        assert!(one.parts[2].text.starts_with("5 bytes, sha256 2cf24dba"));
        let other = String::from_utf8(bytes.to_vec())
            .unwrap()
            .replace("==1", "==2");
        assert_eq!(Message::parse(other.as_bytes(), &["X-Id".to_owned()]), one);
        Message::parse(b"\xff\x00\n\nx", &[]);
        Message::parse(b"", &[]);
    }
}
