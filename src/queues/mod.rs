//! What one sees of a list manager from outside: its queues, and whether it lives.
//!
//! `directory` reads a queue's directory, `inbound` waits until what stood in the inbound ones has
//! run out and `standing` keeps what it saw there, `drain` counts what is left in all of them,
//! `trouble` looks for what is stuck or was shunted, `waiting` whether anything waits at all, `life`
//! for running programs.
//!
//! **Invariants.** Changes nothing and runs nothing. The directories belong to the list manager's
//! user, who may not be ours: no link is followed in the place of a queue or an entry, nothing but
//! a plain file is read, and what cannot be looked at is an error, never "empty".

mod directory;
mod drain;
mod inbound;
mod life;
mod standing;
mod trouble;
mod waiting;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::list::ListName;
use crate::profile::Case;
use crate::profiles::{self, Profile, is_per_list};
use crate::span::Span;
use crate::tree::Tree;

pub use drain::{Remaining, remaining};
pub use inbound::{Inbound, Left};
pub use life::{Life, life};
pub use trouble::{Trouble, trouble};
pub use waiting::waiting;

/// Why a queue could not be looked at.
#[derive(Debug)]
pub enum QueueError {
    /// It cannot be read.
    Read(PathBuf, io::Error),
    /// It is a link: who owns the directory that it is in could lead us anywhere.
    Link(PathBuf),
    /// There is more in it than anybody would wait for.
    Crowded(PathBuf),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueError::Read(path, error) => write!(f, "cannot read {path:?}: {error}"),
            QueueError::Link(path) => write!(f, "{path:?} is a link, and none is followed there"),
            QueueError::Crowded(path) => {
                write!(f, "{path:?} holds more than {} files", directory::MOST)
            }
        }
    }
}

impl std::error::Error for QueueError {}

impl QueueError {
    /// Which queue.
    pub fn path(&self) -> &Path {
        match self {
            QueueError::Read(path, _) | QueueError::Link(path) | QueueError::Crowded(path) => path,
        }
    }
}

/// The queues of one tree.
#[derive(Debug, Clone, Copy)]
pub struct Queues<'p> {
    words: &'p profiles::Queues,
    tree: &'p Tree,
    case: Case,
}

/// One queue's directory, and where it must be if nothing was ever put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    within: PathBuf,
}

impl<'p> Queues<'p> {
    /// Those of `tree`; `None` where the list manager keeps none.
    pub fn of(profile: &'p Profile, tree: &'p Tree) -> Option<Queues<'p>> {
        Some(Queues {
            words: profile.queues()?,
            tree,
            case: profile.routing.case,
        })
    }

    /// An inbound entry that has stood there for longer is not being handled.
    pub fn stuck(&self) -> Span {
        self.words.stuck
    }

    /// Whether a list has some of its own.
    pub fn are_per_list(&self) -> bool {
        let all = self.words.inbound.iter().chain(&self.words.shunted);
        all.chain(&self.words.drain).any(|text| is_per_list(text))
    }

    /// Where they are as a whole; `None` where each list has its own.
    pub fn root(&self) -> Option<PathBuf> {
        let all = self.words.inbound.iter().chain(&self.words.shunted);
        let is_used = all.into_iter().any(|text| text.starts_with("{queues}"));
        is_used.then(|| PathBuf::from(self.expand("{queues}", None)))
    }

    /// The directories of all that the tree took and has not done with, as far as this list's
    /// messages can be in them.
    pub fn directories(&self, list: &ListName) -> Vec<PathBuf> {
        let places = self.places(&self.words.to_handle(), [list]);
        places.into_iter().map(|place| place.path).collect()
    }

    /// The directories that `templates` mean, for these lists; each once, in their order.
    fn places<'l>(
        &self,
        templates: &[String],
        lists: impl IntoIterator<Item = &'l ListName> + Clone,
    ) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for template in templates {
            if is_per_list(template) {
                let lists = lists.clone().into_iter();
                places.extend(lists.map(|list| self.place(template, Some(list))));
            } else {
                places.push(self.place(template, None));
            }
        }
        places
    }

    fn place(&self, template: &str, list: Option<&ListName>) -> Place {
        // A list's own directory goes with the list; any other one is made when it is needed,
        // in one that is always there.
        let named = ["{list}", "{local}"]
            .iter()
            .filter_map(|name| template.find(name));
        let above = named.min().unwrap_or(template.len());
        let within = template[..above].trim_end_matches('/');
        let within = within
            .rsplit_once('/')
            .map_or(within, |(parent, _)| match list {
                Some(_) => within,
                None => parent,
            });
        Place {
            path: PathBuf::from(self.expand(template, list)),
            within: PathBuf::from(self.expand(within, list)),
        }
    }

    fn expand(&self, template: &str, list: Option<&ListName>) -> String {
        let named = list.map(|list| (list, self.case));
        let Some(rest) = template.strip_prefix("{queues}") else {
            return self.tree.expand(template, named);
        };
        let root = match (&self.tree.queues, &self.words.root) {
            (Some(own), _) => own.to_string_lossy().into_owned(),
            (None, root) => self.tree.expand(root.as_deref().unwrap_or_default(), None),
        };
        root + &self.tree.expand(rest, named)
    }

    /// What stays the same of an entry's name; `None` if it is no entry's.
    fn base<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let found = self.words.entry.captures(name)?;
        found.get(1).map(|base| base.as_bytes())
    }
}
