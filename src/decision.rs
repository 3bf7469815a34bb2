//! What becomes of a message: which tree takes it, what is run there, and why.
//!
//! A delivery does what stands here (`deliver`); mm-parity tells it (`why`).
//!
//! **Invariants.** Runs nothing, writes nothing. One thing alone is permanent: an address that the
//! list's tree has not and the other one has.

use std::ffi::c_int;
use std::fmt;

use crate::handover::{Caller, Command, Guard};
use crate::list::{ListName, Verb};
use crate::parity::{FutureState, Role};
use crate::site::{Placement, Site, SiteError};
use crate::state::Reading;
use crate::sysexits;

/// Why no program takes a message.
#[derive(Debug)]
pub enum Undecided {
    /// The site's files do not say.
    Site(SiteError),
    /// The list is paused, since then.
    Paused(String),
    /// Neither tree knows the verb.
    UnknownVerb(Verb),
    /// The other tree has the address, this one has not: the one permanent answer.
    NoAddress(Verb, ListName),
}

impl Undecided {
    /// What the MTA is told.
    pub fn status(&self) -> c_int {
        match self {
            Undecided::NoAddress(..) => sysexits::NOUSER,
            Undecided::Site(_) | Undecided::Paused(_) | Undecided::UnknownVerb(_) => {
                sysexits::TEMPFAIL
            }
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecided::Site(error) => error.fmt(f),
            Undecided::Paused(since) => write!(f, "the list is paused since {since}"),
            Undecided::UnknownVerb(verb) => write!(f, "no tree of this site knows the verb {verb}"),
            Undecided::NoAddress(verb, list) => {
                write!(
                    f,
                    "the tree of {list} has no address for {verb}, the other tree has"
                )
            }
        }
    }
}

impl std::error::Error for Undecided {}

/// Which tree takes messages of this list at this moment.
///
/// # Errors
/// None does: `Site`, `Paused`.
pub fn place<'a>(site: &'a Site, list: &ListName) -> Result<Placement<'a>, Undecided> {
    let place = site.place(list).map_err(Undecided::Site)?;
    is_taken(&place).map(|()| place)
}

/// Whether the tree takes messages of the list.
///
/// # Errors
/// `Paused`.
pub fn is_taken(place: &Placement<'_>) -> Result<(), Undecided> {
    match place.standing.paused {
        Some(since) => Err(Undecided::Paused(since.to_string())),
        None => Ok(()),
    }
}

/// What `verb` means in the tree that was chosen.
///
/// # Errors
/// No program: `Site`, `UnknownVerb`, `NoAddress`.
pub fn command(
    site: &Site,
    place: &Placement<'_>,
    verb: Verb,
    list: &ListName,
) -> Result<Command, Undecided> {
    let routing = site.routing(place.tree).map_err(Undecided::Site)?;
    let argv = site.argv(place.tree, &routing, verb, list);
    let Some(argv) = argv.map_err(Undecided::Site)? else {
        let known_there = match site.config.other_tree(&place.tree.name) {
            Some(other) => site.routing(other).map_err(Undecided::Site)?.knows(verb),
            None => false,
        };
        return Err(match known_there {
            true => Undecided::NoAddress(verb, list.clone()),
            false => Undecided::UnknownVerb(verb),
        });
    };
    let command = Command::new(Caller::Mta, argv, std::env::vars_os());
    Ok(match place.guarded {
        true => command.under(guard(site, place, verb, list)),
        false => command,
    })
}

/// What stands before the programs of a guarded tree.
fn guard(site: &Site, place: &Placement<'_>, verb: Verb, list: &ListName) -> Guard {
    let words = [
        ("--site", site.path.as_os_str()),
        ("--tree", place.tree.name.as_ref()),
        ("--release", place.release.as_ref()),
        ("--list", list.as_str().as_ref()),
        ("--verb", verb.as_str().as_ref()),
    ];
    let words = words.into_iter();
    Guard {
        program: site.config.guard(),
        arguments: words
            .flat_map(|(name, value)| [name.into(), value.to_owned()])
            .collect(),
    }
}

/// Why the list is on that tree.
pub fn rule(site: &Site, place: &Placement<'_>) -> String {
    let reason = match place.role {
        Role::Future => "it is in on_future",
        Role::Current if place.standing.roles.future_state == FutureState::Retired => {
            "it is not in on_future; the system was committed"
        }
        Role::Current => "it is not in on_future",
    };
    let reading = match place.standing.reading {
        Reading::Sealed => "sealed",
        Reading::Stream => "edited by hand, read line by line",
        Reading::Toml => "edited by hand, read as TOML",
    };
    let generation = place.standing.roles.generation;
    format!(
        "{reason}: {:?}, generation {generation}, {reading}",
        site.config.parity_file()
    )
}
