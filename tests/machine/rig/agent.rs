//! What one MTA must tell of itself, so that the rest of the rig need not know it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use super::Machine;

/// An MTA as a machine runs it.
pub(crate) trait Agent: Debug + Sync {
    /// Its word in site.toml, and the name of its root.
    fn name(&self) -> &'static str;

    /// Whom it runs the pipes of /etc/aliases as.
    fn user(&self) -> &'static str;

    /// Where it writes what became of each message.
    fn log(&self) -> &'static str {
        "/var/log/mail.log"
    }

    /// Puts the port, and what else the root cannot know, into the machine's files at `run`,
    /// before the machine is up.
    fn configure(&self, run: &Path, port: u16);

    /// Starts it, with its database as the alias file is.
    fn start(&self, machine: &Machine);

    /// Brings its database in line with the alias file, as an admin would who never heard of
    /// us.
    fn rebuild(&self, machine: &Machine);

    /// The queue id in its reply to a message.
    fn queue_id(&self, reply: &str) -> Option<String>;

    /// What a line of its log says of the message with this queue id, if anything.
    fn event(&self, line: &str, id: &str) -> Option<Event>;

    /// What marks a bounce in its log.
    fn bounce(&self) -> &'static str;

    /// Has it try everything that waits, or this message, now.
    fn retry(&self, machine: &Machine, id: Option<&str>);

    /// What waits in its queue, as it prints that; empty: nothing.
    fn queue(&self, machine: &Machine) -> String;

    /// The destinations of a local part, asked of its own tool, in a process of its own where
    /// it has one.
    fn look_up(&self, machine: &Machine, name: &str) -> Answer;

    /// What the process that [`Agent::look_up`] starts costs without a look-up: a command line
    /// that starts the same tool and has it end at once. None if it starts none.
    fn idle_tool(&self) -> Option<&'static str>;

    /// All names of its database, as its own tool prints them; none if it has no such tool.
    fn names(&self, machine: &Machine) -> Option<BTreeSet<String>>;

    /// Whether it puts a From_ line before a message.
    fn has_from_line(&self) -> bool {
        true
    }

    /// The header fields that it puts before a message, in their order.
    fn fields(&self) -> &'static [&'static str];

    /// What it adds to the end of a message.
    fn tail(&self) -> &'static [u8] {
        b""
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A program took it; which one, where the log tells.
    Delivered(Option<String>),
    /// It waits.
    Deferred,
    /// It went back.
    Bounced,
}

/// The first word of each line of a dump, without a colon behind it.
pub(super) fn first_words(dump: &str) -> BTreeSet<String> {
    let words = dump
        .lines()
        .filter_map(|line| line.split([':', ' ', '\t']).next());
    words.map(str::to_owned).collect()
}

/// What an MTA says of a local part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has it; these are its destinations as they were printed, or a reply.
    Found(String),
    /// It has not.
    Missing(String),
    /// It cannot tell now.
    Trouble(String),
}
