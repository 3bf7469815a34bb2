//! `[rehearse]`: how a list's mail is rehearsed, and what is good enough to move it.
//!
//! **Invariants.** Words and numbers only. What is not said has a default that fits a list manager of
//! some hundred members.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::span::Span;

/// What `[rehearse]` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rehearse {
    /// The verdicts with which `upgrade --rehearse` moves a list.
    pub accept: Vec<String>,
    /// How many of the list's own messages, where nobody says.
    pub last: usize,
    /// What takes so many times as long is slower.
    pub slower: u32,
    /// How long a message may take, with all that it sets off.
    #[serde(deserialize_with = "span")]
    pub time: Span,
    /// How much memory its processes may have, in MiB.
    pub memory: u64,
    /// How many processes.
    pub processes: u64,
    /// How much may be written, in MiB.
    pub room: u64,
    /// Ports on which the list managers hand mail on, besides those of their profiles.
    pub smtp: Vec<u16>,
    /// What else their programs read: shown to them, read-only.
    pub seen: Vec<PathBuf>,
    /// The domain of the lists' addresses, where neither a tree's `domain` nor the mail tells it.
    pub domain: Option<String>,
}

impl Default for Rehearse {
    fn default() -> Rehearse {
        Rehearse {
            accept: vec!["same".to_owned(), "headers differ".to_owned()],
            last: 100,
            slower: 3,
            time: Span::seconds(60),
            memory: 2048,
            processes: 256,
            room: 512,
            smtp: Vec::new(),
            seen: Vec::new(),
            domain: None,
        }
    }
}

fn span<'de, D: Deserializer<'de>>(text: D) -> Result<Span, D::Error> {
    let text = String::deserialize(text)?;
    match text.parse::<Span>() {
        Ok(span) if !span.duration().is_zero() => Ok(span),
        Ok(_) => Err(serde::de::Error::custom("no time at all")),
        Err(error) => Err(serde::de::Error::custom(error)),
    }
}
