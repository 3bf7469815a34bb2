//! What is read back from the MTA's database: a name and where it must lead, or leads instead.
//!
//! **Invariants.** Words only; who asks the database, and which, is elsewhere.

use std::fmt;

use crate::grammar::entry::Entry;
use crate::grammar::reading::DestinationKind;

/// How many destinations of a name are shown, and how many bytes of each.
const MOST_SHOWN: usize = 3;
const LONGEST_SHOWN: usize = 100;

/// What a name must lead to in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The name, unquoted, as the MTA looks it up.
    pub name: Vec<u8>,
    /// Its destinations in order; none if the name must not be found.
    pub destinations: Option<Vec<DestinationKind>>,
}

impl Expected {
    /// What an entry says. Of a name that stands twice, only the entry that wins is in the database.
    pub fn entry(entry: &Entry<'_>) -> Self {
        let destinations = entry.destinations();
        let kinds = destinations
            .iter()
            .map(|destination| destination.kind().clone());
        Self {
            name: entry.name(),
            destinations: Some(kinds.collect()),
        }
    }

    /// That there is no such name.
    pub fn absent(name: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            destinations: None,
        }
    }
}

/// A name that does not lead where it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    /// What it must lead to.
    pub expected: Expected,
    /// What it leads to in the database; none if it is not found there.
    pub found: Option<Vec<DestinationKind>>,
}

impl Expected {
    /// Compares what was found with what must be there.
    pub(crate) fn astray(&self, found: Option<Vec<DestinationKind>>) -> Option<Astray> {
        let is_astray = found != self.destinations;
        is_astray.then(|| Astray {
            expected: self.clone(),
            found,
        })
    }
}

impl Astray {
    /// `"name" leads to …`, or that it is not found; printable, a few hundred bytes at most.
    pub fn led(&self) -> String {
        let name = short(&self.expected.name);
        match &self.found {
            None => format!("\"{name}\" is not found"),
            Some(found) => format!("\"{name}\" leads to {}", listed(found)),
        }
    }
}

impl fmt::Display for Astray {
    /// `"name" leads to …, not to …`, printable, a few hundred bytes at most.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.led())?;
        match &self.expected.destinations {
            None => f.write_str(", and should not be found"),
            Some(wanted) => write!(f, ", and should lead to {}", listed(wanted)),
        }
    }
}

/// Each destination in quotes, as the MTA sees it; the first few.
fn listed(destinations: &[DestinationKind]) -> String {
    let shown = destinations.iter().take(MOST_SHOWN).map(|destination| {
        let (mark, text) = match destination {
            DestinationKind::Pipe(text) => ("|", text),
            DestinationKind::Include(text) => (":include:", text),
            DestinationKind::File(text)
            | DestinationKind::Address(text)
            | DestinationKind::Verdict(text) => ("", text),
        };
        format!("\"{mark}{}\"", short(text))
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match destinations.len() {
        0 => "nothing".to_owned(),
        n if n > MOST_SHOWN => format!("{shown} and {} more", n - MOST_SHOWN),
        _ => shown,
    }
}

/// The beginning, escaped.
fn short(bytes: &[u8]) -> String {
    match bytes.get(..LONGEST_SHOWN) {
        Some(start) if bytes.len() > LONGEST_SHOWN => format!("{}...", start.escape_ascii()),
        _ => bytes.escape_ascii().to_string(),
    }
}
