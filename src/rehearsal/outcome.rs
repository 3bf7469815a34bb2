//! What one release did with one message: the facts, before anybody compares them.
//!
//! **Invariants.** Nothing here is fit for a terminal or a page: the bytes are those of mail and of
//! programs. What is kept of each is bounded by who gathers it (`room`).

use std::time::Duration;

/// A message that is rehearsed: where it is from, and what of the list it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// By what people find it: `toylist.mbox:1204` (the line where it begins), `cur/1792.eml`, or
    /// `built in: no Message-ID`.
    pub name: String,
    /// Its Subject and From for people, as they stand in the message, not decoded; empty if it has none.
    pub about: String,
    /// The verb by which it is delivered: `post`, `owner` …
    pub verb: String,
}

/// How the delivery of a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The tree's program, with this status: 0 took the message.
    Exited(i32),
    /// The tree's program, by this signal.
    Killed(i32),
    /// The tree's LMTP server, with this reply: 2xx took the message.
    Replied(u16),
    /// Nothing of the tree's was run: its program cannot be started.
    NotRun,
    /// It, or what it started, was not done at the time limit, and was ended.
    TimeUp,
    /// It wanted more processes, memory or room on disk than it is given, and was ended.
    OverLimit,
}

impl Ending {
    /// Whether the list manager has the message now.
    pub fn took_it(self) -> bool {
        matches!(self, Ending::Exited(0) | Ending::Replied(200..300))
    }
}

/// A message that the list manager handed to its MTA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The envelope's sender; empty for a bounce.
    pub from: String,
    /// The envelope's recipients, in the order in which they were named.
    pub to: Vec<String>,
    /// The message, with lines ended by `\n`.
    pub message: Vec<u8>,
}

/// What happened to a file of the list's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happened {
    /// It was not there before.
    Made,
    /// Its bytes are others.
    Changed,
    /// It is not there any more.
    Gone,
}

/// A file of the list's data that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// From the tree's data on: `lists/toylist/config.pck`. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// What happened to it.
    pub happened: Happened,
}

/// What became of one message in one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the delivery ended.
    pub ending: Ending,
    /// What the program printed: 16 KiB at most, as it came.
    pub printed: Vec<u8>,
    /// What was handed on to be sent, in the order in which it came.
    pub sent: Vec<Sent>,
    /// What changed in the list's data, in the order of paths.
    pub changes: Vec<Change>,
    /// How many messages wait for a moderator that did not before; `None` if the profile names no place.
    pub held: Option<u64>,
    /// The version of the list's data afterwards, where the profile can tell.
    pub data_version: Option<u64>,
    /// From the delivery until all was quiet.
    pub took: Duration,
}

/// One message in the current release, twice, and in the future one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The message.
    pub letter: Letter,
    /// What the current release did, and what it did when it was given the same once more.
    pub current: [Outcome; 2],
    /// What the future release did.
    pub future: Outcome,
}
