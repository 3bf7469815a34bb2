//! Verdicts, worst first.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a message, compared with the current release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The current release took it, the future one did not; or it crashed or never ended.
    #[serde(rename = "failed")]
    Failed,
    /// Somebody would not get what he gets now.
    #[serde(rename = "recipients lost")]
    RecipientsLost,
    /// Somebody would get what he does not get now.
    #[serde(rename = "recipients added")]
    RecipientsAdded,
    /// It would wait for a moderator, or would not any more.
    #[serde(rename = "held or let through differently")]
    HeldDifferently,
    /// What is sent says something else.
    #[serde(rename = "text differs")]
    TextDiffers,
    /// Other files of the list's data change.
    #[serde(rename = "data differ")]
    DataDiffer,
    /// What is sent has other headers.
    #[serde(rename = "headers differ")]
    HeadersDiffer,
    /// It takes longer by far.
    #[serde(rename = "slower")]
    Slower,
    /// Nothing of it all.
    #[serde(rename = "same")]
    Same,
}

impl Verdict {
    /// All, worst first.
    pub const ALL: [Verdict; 9] = [
        Verdict::Failed,
        Verdict::RecipientsLost,
        Verdict::RecipientsAdded,
        Verdict::HeldDifferently,
        Verdict::TextDiffers,
        Verdict::DataDiffer,
        Verdict::HeadersDiffer,
        Verdict::Slower,
        Verdict::Same,
    ];

    /// Its words, as in site.toml.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Failed => "failed",
            Verdict::RecipientsLost => "recipients lost",
            Verdict::RecipientsAdded => "recipients added",
            Verdict::HeldDifferently => "held or let through differently",
            Verdict::TextDiffers => "text differs",
            Verdict::DataDiffer => "data differ",
            Verdict::HeadersDiffer => "headers differ",
            Verdict::Slower => "slower",
            Verdict::Same => "same",
        }
    }

    /// The one with these words.
    pub fn parse(word: &str) -> Option<Verdict> {
        Verdict::ALL
            .into_iter()
            .find(|verdict| verdict.word() == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
