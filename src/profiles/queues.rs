//! What a profile says of a list manager's queues, and by what one sees that it lives.
//!
//! **Invariants.** No I/O. What is wrong is told with its place in the text.

use regex::bytes::{Captures, Regex};
use serde::Deserialize;
use toml::Spanned;

use crate::endpoint::Endpoint;
use crate::profile::BadProfile;
use crate::span::{BadSpan, Span};

/// Where a list manager keeps the messages that it took and has not handled.
#[derive(Debug)]
pub struct Queues {
    /// `{queues}`, where site.toml does not say it.
    pub root: Option<String>,
    /// The directories of what came in, some with `{list}`.
    pub inbound: Vec<String>,
    /// Those of what it could not handle.
    pub shunted: Vec<String>,
    /// Those of all that must be handled before its programs may stop.
    pub drain: Vec<String>,
    /// The name of an entry; its group is what stays the same while the entry is handled.
    pub entry: Regex,
    /// What names the list within an entry: see [`Queues::names`].
    pub list: Option<Regex>,
    /// How a list is named there: `{list}`, `{local}.{domain}`.
    pub spelled: String,
    /// An entry that is older than this is not being handled.
    pub stuck: Span,
}

/// By what one sees that a list manager lives. Texts may have `{tree}` and its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// A process whose command line has these words in a row, the last one at least so far.
    Process(String),
    /// The process that this file names; its command line has these words.
    Pid {
        /// The file.
        file: String,
        /// The words.
        command: String,
    },
    /// An address at which it takes connections: `127.0.0.1:8024`, a socket's path, or `{lmtp}`.
    Listens(String),
}

impl Queues {
    /// The directories of all that the tree took and has not done with, each once.
    pub fn to_handle(&self) -> Vec<String> {
        let mut all = self.inbound.clone();
        all.extend(
            self.drain
                .iter()
                .filter(|text| !self.inbound.contains(text))
                .cloned(),
        );
        all
    }

    /// What an entry with these bytes says of its list, as often as it says it.
    ///
    /// NO NAME HIDES ANOTHER. The message is in there too, and its bytes may look like the beginning
    /// of a name: the next one is looked for right behind where the last began, not where it ended.
    pub fn names<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let Some(regex) = &self.list else {
            return Vec::new();
        };
        let mut names = Vec::new();
        let mut start = 0;
        while let Some(found) = regex.captures_at(bytes, start) {
            let Some(whole) = found.get(0) else { break };
            names.extend(named_by(&found, whole.end(), bytes));
            start = whole.start() + 1;
            if start > bytes.len() {
                break;
            }
        }
        names
    }
}

/// The name in a match, or as long as it says behind its `end`.
fn named_by<'b>(found: &Captures<'b>, end: usize, bytes: &'b [u8]) -> Option<&'b [u8]> {
    if let Some(name) = found.name("name") {
        return Some(name.as_bytes());
    }
    let length = found.name("length")?;
    let count = usize::from(*length.as_bytes().first()?);
    bytes.get(end..end + count)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQueues {
    root: Option<Spanned<String>>,
    inbound: Vec<Spanned<String>>,
    #[serde(default)]
    shunted: Vec<Spanned<String>>,
    #[serde(default)]
    drain: Vec<Spanned<String>>,
    entry: Spanned<String>,
    list: Option<Spanned<String>>,
    spelled: Option<String>,
    stuck: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSign {
    process: Option<String>,
    pid: Option<String>,
    command: Option<String>,
    listens: Option<String>,
}

impl RawQueues {
    pub(super) fn cook(self) -> Result<Queues, BadProfile> {
        let directories = || {
            let all = self.inbound.iter().chain(&self.shunted);
            all.chain(&self.drain).chain(&self.root)
        };
        for text in directories() {
            let places = ["{queues}", "{data}", "{tree}"];
            if !places.iter().any(|place| text.get_ref().starts_with(place)) {
                return Err(bad(text, "a queue is in {queues}, {data} or {tree}"));
            }
            if text.get_ref().starts_with("{queues}") && self.root.is_none() {
                return Err(bad(text, "{queues} is nowhere: `root` is missing"));
            }
        }
        if let Some(root) = self
            .root
            .as_ref()
            .filter(|root| root.get_ref().contains("{queues}"))
        {
            return Err(bad(root, "{queues} cannot be in itself"));
        }
        let entry = regex(&self.entry)?;
        if entry.captures_len() != 2 {
            return Err(bad(
                &self.entry,
                "the regex has exactly one group: what stays the same",
            ));
        }
        let unnamed = self
            .inbound
            .iter()
            .find(|text| !is_per_list(text.get_ref()));
        let list = match (&self.list, unnamed) {
            (Some(text), _) => Some(named(text)?),
            (None, None) => None,
            (None, Some(text)) => {
                return Err(bad(
                    text,
                    "whose are its entries? neither {list} nor `list` says",
                ));
            }
        };
        let stuck: Span = self
            .stuck
            .get_ref()
            .parse()
            .map_err(|error: BadSpan| bad(&self.stuck, &error.to_string()))?;
        let texts = |texts: Vec<Spanned<String>>| -> Vec<String> {
            texts.into_iter().map(Spanned::into_inner).collect()
        };
        let (inbound, drain) = (texts(self.inbound), texts(self.drain));
        Ok(Queues {
            root: self.root.map(Spanned::into_inner),
            drain: match drain.is_empty() {
                true => inbound.clone(),
                false => drain,
            },
            inbound,
            shunted: texts(self.shunted),
            entry,
            list,
            spelled: self.spelled.unwrap_or_else(|| "{list}".to_owned()),
            stuck,
        })
    }
}

/// Whether a directory is one list's alone.
pub fn is_per_list(template: &str) -> bool {
    template.contains("{list}") || template.contains("{local}")
}

pub(super) fn sign(raw: Spanned<RawSign>) -> Result<Sign, BadProfile> {
    let at = raw.span().start;
    let sign = match raw.into_inner() {
        RawSign {
            process: Some(words),
            pid: None,
            command: None,
            listens: None,
        } => Sign::Process(words),
        RawSign {
            process: None,
            pid: Some(file),
            command: Some(command),
            listens: None,
        } => Sign::Pid { file, command },
        RawSign {
            process: None,
            pid: None,
            command: None,
            listens: Some(address),
        } => Sign::Listens(address),
        _ => {
            return Err(BadProfile {
                at: Some(at),
                what: "[[life]] has `process`, `pid` with `command`, or `listens`".to_owned(),
            });
        }
    };
    match &sign {
        Sign::Listens(address) if address != "{lmtp}" && Endpoint::parse(address).is_err() => {
            Err(BadProfile {
                at: Some(at),
                what: format!(
                    "{address:?} is neither {{lmtp}}, an IP address with a port, nor a path"
                ),
            })
        }
        Sign::Process(words) | Sign::Pid { command: words, .. } if words.trim().is_empty() => {
            Err(BadProfile {
                at: Some(at),
                what: "a command without a word is every process".to_owned(),
            })
        }
        _ => Ok(sign),
    }
}

/// The regex of a list's name within an entry.
fn named(text: &Spanned<String>) -> Result<Regex, BadProfile> {
    let list = regex(text)?;
    let groups: Vec<&str> = list.capture_names().flatten().collect();
    let known = |name: &&str| ["name", "length"].contains(name);
    if groups.is_empty() || !groups.iter().all(known) || groups.len() + 1 != list.captures_len() {
        return Err(bad(
            text,
            "the regex has the groups (?<name>…), the list, or (?<length>.), the byte that \
             says how long it is where it follows the match; and no other",
        ));
    }
    Ok(list)
}

fn regex(text: &Spanned<String>) -> Result<Regex, BadProfile> {
    Regex::new(text.get_ref()).map_err(|error| bad(text, &error.to_string()))
}

fn bad(at: &Spanned<String>, what: &str) -> BadProfile {
    BadProfile {
        at: Some(at.span().start),
        what: what.to_owned(),
    }
}
