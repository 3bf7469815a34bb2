//! What is read back from the MTA's database: a name and where it must lead.
//!
//! **Invariants.** Words only; who asks the database, and which, is elsewhere.

use crate::grammar::entry::Entry;
use crate::grammar::reading::DestinationKind;

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
