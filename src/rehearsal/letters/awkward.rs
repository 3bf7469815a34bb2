//! Messages that list managers stumble over, one or more for each verb.
//!
//! **Invariants.** Words only, the same each time: where two runs differ, it is not by these.

use crate::profiles::Request;

/// For whom a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The list.
    Post,
    /// One of its other addresses.
    Request(Request),
}

/// Who it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// The author of the list's last post, who may be a member.
    Author,
    /// Somebody whom the list does not know.
    Stranger,
    /// Nobody: a bounce.
    Nobody,
}

/// A message of our own.
#[derive(Debug)]
pub struct Awkward {
    /// What is awkward in it.
    pub name: &'static str,
    /// For whom.
    pub to: To,
    from: From,
    /// Headers and body; `{list}`, `{address}` and `{from}` are put in.
    text: &'static str,
    /// What follows, so many times.
    more: (&'static [u8], usize),
}

/// An address that no list has.
pub const STRANGER: &str = "stranger@rehearsal.invalid";

/// All of them, in the order in which they are rehearsed.
pub const ALL: &[Awkward] = &[
    post(
        "a plain post",
        "From: {from}\nTo: {address}\nSubject: rehearsal\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <plain@rehearsal.invalid>\n\nhello\n",
    ),
    Awkward {
        from: From::Stranger,
        ..post(
            "a post of somebody who is no member",
            "From: {from}\nTo: {address}\nSubject: may I?\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <stranger@rehearsal.invalid>\n\nhello\n",
        )
    },
    post(
        "a post that does not name the list",
        "From: {from}\nTo: undisclosed-recipients:;\nSubject: to whom?\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <bcc@rehearsal.invalid>\n\nhello\n",
    ),
    post(
        "no Message-ID and no Date",
        "From: {from}\nTo: {address}\nSubject: bare\n\nhello\n",
    ),
    post(
        "8-bit headers and text that say no charset",
        "From: J\u{e9}r\u{f4}me <{from}>\nTo: {address}\nSubject: \u{a1}caf\u{e9}!\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <eight@rehearsal.invalid>\n\nd\u{e9}j\u{e0} vu\n",
    ),
    post(
        "an encoded subject and text in UTF-8",
        "From: {from}\nTo: {address}\nSubject: =?utf-8?B?w7xiZXIgw6Rsbw==?= =?iso-8859-1?Q?_f=FCr?=\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <encoded@rehearsal.invalid>\n\n\u{fc}ber \u{e4}lo\n",
    ),
    post(
        "a charset that nobody knows",
        "From: {from}\nTo: {address}\nSubject: =?x-rehearsal?Q?=E4?=\nMIME-Version: 1.0\nContent-Type: text/plain; charset=x-rehearsal\nContent-Transfer-Encoding: quoted-printable\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <charset@rehearsal.invalid>\n\n=E4=F6=FC\n",
    ),
    post(
        "text and HTML",
        "From: {from}\nTo: {address}\nSubject: both\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=rehearsal\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <html@rehearsal.invalid>\n\n--rehearsal\nContent-Type: text/plain\n\nhello\n--rehearsal\nContent-Type: text/html\n\n<p>hello\n--rehearsal--\n",
    ),
    post(
        "a multipart without an end",
        "From: {from}\nTo: {address}\nSubject: broken\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=rehearsal\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <broken@rehearsal.invalid>\n\n--rehearsal\nContent-Type: text/plain\n\nhello\n",
    ),
    Awkward {
        more: (
            b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5\n",
            130_000,
        ),
        ..post(
            "an attachment of 10 MB",
            "From: {from}\nTo: {address}\nSubject: large\nMIME-Version: 1.0\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <large@rehearsal.invalid>\n\n",
        )
    },
    post(
        "a loop",
        "From: {from}\nTo: {address}\nSubject: again\nX-BeenThere: {address}\nX-Loop: {address}\nList-Id: <{list}>\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <loop@rehearsal.invalid>\n\nhello again\n",
    ),
    Awkward {
        from: From::Stranger,
        ..post(
            "a vacation answer",
            "From: {from}\nTo: {address}\nSubject: I am away\nAuto-Submitted: auto-replied\nPrecedence: bulk\nX-Autoreply: yes\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <away@rehearsal.invalid>\n\nback on Monday\n",
        )
    },
    post(
        "an empty message",
        "From: {from}\nTo: {address}\nSubject:\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <empty@rehearsal.invalid>\n\n",
    ),
    request(
        "subscribe",
        Request::Subscribe,
        "From: {from}\nTo: {address}\nSubject: subscribe\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <sub@rehearsal.invalid>\n\nsubscribe\n",
    ),
    request(
        "unsubscribe",
        Request::Unsubscribe,
        "From: {from}\nTo: {address}\nSubject: unsubscribe\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <unsub@rehearsal.invalid>\n\nunsubscribe\n",
    ),
    request(
        "confirm with a cookie that nobody gave",
        Request::Confirm,
        "From: {from}\nTo: {address}\nSubject: Re: confirm 0123456789abcdef\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <cookie@rehearsal.invalid>\n\n",
    ),
    request(
        "help",
        Request::Help,
        "From: {from}\nTo: {address}\nSubject: help\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <help@rehearsal.invalid>\n\nhelp\nend\n",
    ),
    request(
        "words that are no command",
        Request::Help,
        "From: {from}\nTo: {address}\nSubject: could you please\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <words@rehearsal.invalid>\n\ntell me how to get off this list\n",
    ),
    bounce(
        "a bounce as Postfix says it",
        "From: MAILER-DAEMON@mx.rehearsal.invalid (Mail Delivery System)\nTo: {address}\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"rehearsal\"\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <bounce1@rehearsal.invalid>\n\n--rehearsal\nContent-Type: text/plain\n\nI could not deliver your message.\n\n<member@example.org>: host mx said: 550 5.1.1 User unknown\n\n--rehearsal\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.rehearsal.invalid\n\nFinal-Recipient: rfc822; member@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\n\n--rehearsal--\n",
    ),
    bounce(
        "a bounce as qmail says it",
        "From: MAILER-DAEMON@mx.rehearsal.invalid\nTo: {address}\nSubject: failure notice\nDate: 22 Nov 2026 10:02:00 -0000\nMessage-ID: <bounce2@rehearsal.invalid>\n\nHi. This is the qmail-send program at mx.rehearsal.invalid.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<member@example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\nSubject: x\n\nhello\n",
    ),
    bounce(
        "a bounce as Exim says it",
        "From: Mail Delivery System <Mailer-Daemon@mx.rehearsal.invalid>\nTo: {address}\nX-Failed-Recipients: member@example.org\nAuto-Submitted: auto-replied\nSubject: Mail delivery failed: returning message to sender\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <bounce3@rehearsal.invalid>\n\nThis message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to all of its recipients. The following address(es) failed:\n\n  member@example.org\n    Unrouteable address\n",
    ),
    request(
        "mail to the owner",
        Request::Owner,
        "From: {from}\nTo: {address}\nSubject: for the owner\nDate: Sun, 22 Nov 2026 10:02:00 +0000\nMessage-ID: <owner@rehearsal.invalid>\n\nis anybody there?\n",
    ),
];

const fn post(name: &'static str, text: &'static str) -> Awkward {
    Awkward {
        name,
        to: To::Post,
        from: From::Author,
        text,
        more: (b"", 0),
    }
}

const fn request(name: &'static str, request: Request, text: &'static str) -> Awkward {
    Awkward {
        name,
        to: To::Request(request),
        from: From::Stranger,
        text,
        more: (b"", 0),
    }
}

const fn bounce(name: &'static str, text: &'static str) -> Awkward {
    Awkward {
        from: From::Nobody,
        ..request(name, Request::Bounce, text)
    }
}

impl Awkward {
    /// The envelope's sender; `author`: that of the list's last post.
    pub fn sender<'a>(&self, author: Option<&'a str>) -> &'a str {
        match self.from {
            From::Author => author.unwrap_or(STRANGER),
            From::Stranger => STRANGER,
            From::Nobody => "",
        }
    }

    /// Headers and body, to this address of this list.
    pub fn bytes(&self, list: &str, address: &str, author: Option<&str>) -> Vec<u8> {
        let from = self.sender(author);
        let text = self.text.replace("{address}", address);
        let text = text.replace("{list}", list).replace("{from}", from);
        let mut bytes = match self.name.starts_with("8-bit") {
            // As it comes: each character one byte, which is ISO-8859-1's.
            true => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect(),
            false => text.into_bytes(),
        };
        let (line, times) = self.more;
        bytes.extend(line.repeat(times));
        bytes
    }

    /// Its subject, for people.
    pub fn about(&self) -> &'static str {
        let mut lines = self.text.lines();
        lines
            .find_map(|line| line.strip_prefix("Subject:"))
            .unwrap_or_default()
            .trim()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::collections::BTreeSet;

    use super::super::Found;
    use super::*;

    #[test]
    fn each_is_a_message_called_by_a_name_of_its_own_and_every_request_has_one() {
        let mut names = BTreeSet::new();
        let mut requests = BTreeSet::new();
        for one in ALL {
            let bytes = one.bytes("toylist", "toylist@x", Some("ann@x"));
            let found = Found::parse(&bytes, false).unwrap();
            assert!(found.header("Subject").is_some(), "{}", one.name);
            assert!(
                !String::from_utf8_lossy(&bytes).contains('{'),
                "{}",
                one.name
            );
            assert!(names.insert(one.name), "{}", one.name);
            if let To::Request(request) = one.to {
                requests.insert(request);
            }
        }
        assert_eq!(requests.len(), 6);
        let large = ALL.iter().find(|one| one.name.contains("10 MB")).unwrap();
        assert!(large.bytes("l", "l@x", None).len() > 10 * 1024 * 1024);
        let eight = ALL
            .iter()
            .find(|one| one.name.starts_with("8-bit"))
            .unwrap();
        assert!(std::str::from_utf8(&eight.bytes("l", "l@x", None)).is_err());
    }
}
