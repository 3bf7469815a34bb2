//! Words in an entry to which mm-deliver answers 75, or worse, whatever list they are for.
//!
//! **Invariants.** Judges words as mm-deliver reads them; of files it only looks whether they are there.

use std::fmt;
use std::path::{Path, PathBuf};

use super::leads::Leads;
use super::pipe::Trees;
use crate::list::{BadName, Verb};
use crate::site::DEFAULT_SITE;

/// Why mm-deliver delivers nothing by a command of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An option that it does not know there.
    Option(String),
    /// One word too few or too many.
    Count,
    /// No verb.
    Verb(String),
    /// No list could have this name.
    Name(String, BadName),
    /// There is no such site.toml; whether the entry names it.
    NoSite(PathBuf, bool),
    /// This option has it say something, and end well: the mail is gone.
    Says(String),
}

impl Refusal {
    /// What happens to mail.
    pub(super) fn effect(&self) -> &'static str {
        match self {
            Refusal::Says(_) => "mm-deliver ends with 0 and delivers nothing: mail to it is lost",
            _ => "mail to it waits (75), and bounces once the MTA gives up, after days",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Option(word) => write!(f, "it takes no option {word:?} there"),
            Refusal::Count => f.write_str("it takes VERB and LIST, and no word less or more"),
            Refusal::Verb(word) => write!(f, "{word:?} is no verb"),
            Refusal::Name(word, bad) => write!(f, "{word:?} is no list name: {bad}"),
            Refusal::NoSite(path, true) => write!(f, "there is no {path:?}"),
            Refusal::NoSite(path, false) => {
                write!(
                    f,
                    "without --site it looks for {path:?}, which is not there"
                )
            }
            Refusal::Says(word) => write!(f, "with {word} it only says something"),
        }
    }
}

impl Trees<'_> {
    /// What words lead to that begin with our program.
    pub(super) fn ours(&self, words: &[&str]) -> Option<Leads> {
        let (&program, rest) = words.split_first()?;
        if Path::new(program) != self.site.config.program {
            return None;
        }
        let (named, rest) = match rest {
            ["--site", named, rest @ ..] => (Some(*named), rest),
            rest => (None, rest),
        };
        Some(match asked(rest) {
            Ok((verb, list)) => self.on_site(named, verb, list),
            Err(refusal) => Leads::Refused(refusal),
        })
    }

    fn on_site(&self, named: Option<&str>, verb: Verb, list: &str) -> Leads {
        let path = Path::new(named.unwrap_or(DEFAULT_SITE));
        let is_this = path.is_absolute() && self.places.same(path, &self.site.path);
        // Who may not look cannot say that it is not there.
        let is_there = path.is_absolute() && path.try_exists().unwrap_or(true);
        match self.site.list(list) {
            _ if !is_this && is_there => Leads::OtherSite(path.to_owned()),
            _ if !is_this => Leads::Refused(Refusal::NoSite(path.to_owned(), named.is_some())),
            Ok(list) => Leads::Us(verb, list),
            Err(bad) => Leads::Refused(Refusal::Name(list.to_owned(), bad)),
        }
    }
}

/// The verb and the name that are asked for, as `mm-deliver` reads its words behind the site.
fn asked<'w>(words: &[&'w str]) -> Result<(Verb, &'w str), Refusal> {
    match words {
        ["--help"] | ["--version"] | ["--explain", ..] => Err(Refusal::Says(words[0].to_owned())),
        [option, ..] if option.starts_with('-') => Err(Refusal::Option((*option).to_owned())),
        [verb, list] => match Verb::parse(verb.as_bytes()) {
            Some(verb) => Ok((verb, list)),
            None => Err(Refusal::Verb((*verb).to_owned())),
        },
        _ => Err(Refusal::Count),
    }
}

/// Whether a command leads to us, or would if its words were right.
pub(super) fn is_meant_for_us(leads: &Leads) -> bool {
    matches!(leads, Leads::Us(..) | Leads::Refused(_))
}
