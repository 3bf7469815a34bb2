//! What a rehearsal found, for people and programs.
//!
//! **Invariants.** Prints nothing itself. Nothing of a message's or program's comes out unescaped.

mod html;
mod json;
mod text;
mod words;

use super::compare::Findings;
use crate::clock::Timestamp;

pub use html::html;
pub use json::json;
pub use text::text;

/// One list's rehearsal.
#[derive(Debug)]
pub struct Played {
    /// The list.
    pub list: String,
    /// The current tree and the future one: name and release.
    pub trees: [(String, String); 2],
    /// What was found.
    pub findings: Findings,
    /// How many of the list's own messages there are, and how many were older than what was asked for.
    pub seen: (u64, u64),
    /// What was passed over, in words.
    pub notes: Vec<String>,
}

/// A rehearsal of one list or several.
#[derive(Debug)]
pub struct Report {
    /// When.
    pub when: Timestamp,
    /// What was typed.
    pub command: String,
    /// In the order of their names.
    pub lists: Vec<Played>,
}

impl Report {
    /// The worst of all: 10 where something differs, 11 where something could not be judged, else 0.
    pub fn status(&self) -> u8 {
        let all = || self.lists.iter().map(|played| played.findings.status());
        match all().find(|status| *status == 10) {
            Some(status) => status,
            None => all().max().unwrap_or(11),
        }
    }
}

impl Played {
    /// What came of it, in one sentence.
    pub fn sentence(&self) -> String {
        use super::compare::{Verdict, messages};
        let findings = &self.findings;
        let played = findings.played();
        let same = findings.worst.get(&Verdict::Same).copied().unwrap_or(0);
        let others = played - same - findings.not_judged();
        let doubt = match findings.not_judged() {
            0 => String::new(),
            count => format!("; {} could not be judged", messages(count)),
        };
        match others {
            0 if played == 0 => "no message was played".to_owned(),
            0 if same == 0 => format!("nothing could be judged of {}", messages(played)),
            0 => format!("{} the same with both releases{doubt}", messages(same)),
            others => {
                let worst = findings
                    .worst
                    .keys()
                    .next()
                    .copied()
                    .unwrap_or(Verdict::Same);
                format!(
                    "{others} of {} come out otherwise; the worst: {worst}{doubt}",
                    messages(played)
                )
            }
        }
    }
}
