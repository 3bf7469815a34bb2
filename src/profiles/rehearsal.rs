//! What a rehearsal needs to know of a list manager: `[rehearsal]`.
//!
//! **Invariants.** No I/O. What is wrong is told with its place in the text.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::list::Verb;
use crate::profile::BadProfile;

/// What a message of our own asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// To be a member.
    Subscribe,
    /// To be none any more.
    Unsubscribe,
    /// That something be done which was asked for before.
    Confirm,
    /// What the list manager can do.
    Help,
    /// Nothing: an MTA says that a message did not get there.
    Bounce,
    /// A person's attention.
    Owner,
}

/// How a request gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The verb.
    pub verb: Verb,
    /// What stands behind the delimiter.
    pub extension: Option<String>,
}

/// What a rehearsal needs to know. Texts may have `{tree}` and its like.
#[derive(Debug)]
pub struct Rehearsal {
    /// What the programs need of the data besides the list's own.
    pub with: Vec<String>,
    /// Directories that are there and have nothing in them.
    pub empty: Vec<String>,
    /// The ports on which it hands mail to an MTA.
    pub smtp: Vec<u16>,
    /// The database, where that is one file.
    pub database: Option<String>,
    /// A server that must run; its program and arguments.
    pub start: Option<Vec<String>>,
    /// What handles what waits, and ends.
    pub settle: Option<Vec<String>>,
    /// Headers that are others each time.
    pub volatile: Vec<String>,
    /// Where a list's posts are kept, besides those of `[data]`: a mailbox, or a directory of messages.
    pub mail: Vec<String>,
    /// How requests get in.
    pub requests: BTreeMap<Request, Entrance>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRehearsal {
    #[serde(default)]
    with: Vec<Spanned<String>>,
    #[serde(default)]
    empty: Vec<Spanned<String>>,
    smtp: Spanned<Vec<u16>>,
    database: Option<Spanned<String>>,
    start: Option<Spanned<Vec<String>>>,
    settle: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    volatile: Vec<String>,
    #[serde(default)]
    mail: Vec<Spanned<String>>,
    #[serde(default)]
    requests: BTreeMap<Request, Spanned<String>>,
}

impl RawRehearsal {
    pub(super) fn cook(self) -> Result<Rehearsal, BadProfile> {
        if self.smtp.get_ref().is_empty() || self.smtp.get_ref().contains(&0) {
            return Err(bad(&self.smtp, "an MTA's port is a number from 1 on"));
        }
        for argv in [&self.start, &self.settle].into_iter().flatten() {
            if argv
                .get_ref()
                .first()
                .is_none_or(|program| !program.starts_with("{tree}/"))
            {
                return Err(bad(argv, "it begins with \"{tree}/\""));
            }
        }
        let requests = self.requests.into_iter().map(|(request, text)| {
            let (word, extension) = match text.get_ref().split_once('+') {
                Some((word, extension)) => (word, Some(extension.to_owned())),
                None => (text.get_ref().as_str(), None),
            };
            let verb = Verb::parse(word.as_bytes()).ok_or_else(|| bad(&text, "no such verb"))?;
            Ok((request, Entrance { verb, extension }))
        });
        Ok(Rehearsal {
            requests: requests.collect::<Result<_, _>>()?,
            with: places(self.with, &["{data}/"])?,
            empty: places(self.empty, &["{data}/", "{queues}/"])?,
            smtp: self.smtp.into_inner(),
            database: self
                .database
                .map(|text| places(vec![text], &["{data}/"]))
                .transpose()?
                .and_then(|mut texts| texts.pop()),
            start: self.start.map(Spanned::into_inner),
            settle: self.settle.map(Spanned::into_inner),
            volatile: self.volatile,
            mail: places(self.mail, &["{data}/"])?,
        })
    }
}

fn places(texts: Vec<Spanned<String>>, begin: &[&str]) -> Result<Vec<String>, BadProfile> {
    let judged = texts.into_iter().map(|text| {
        let is_odd = |part: &str| matches!(part, "." | "..");
        match () {
            () if !begin.iter().any(|begin| text.get_ref().starts_with(begin)) => {
                let what = format!("it begins with {}", begin.join(" or "));
                Err(bad(&text, &what))
            }
            () if text.get_ref().split('/').any(is_odd) => Err(bad(&text, "no part is . or ..")),
            () => Ok(text.into_inner()),
        }
    });
    judged.collect()
}

fn bad<T>(at: &Spanned<T>, what: &str) -> BadProfile {
    BadProfile {
        at: Some(at.span().start),
        what: what.to_owned(),
    }
}
