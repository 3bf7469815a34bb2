//! What answers a web request: which program of which tree, or which page elsewhere?
//!
//! Read what the request is about as a profile says; come in by the list's door; find the tree that
//! serves the list; look whether that tree reads the request alike; look up what it has for it. What
//! is about no list in particular goes to the current tree.
//!
//! **Invariants.** Runs nothing, writes nothing. The list whose tree is chosen is the list that this
//! tree's own program takes, or the request goes nowhere.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use crate::doors::{self, DoorError, Floor, Pass};
use crate::handover::{Caller, Command, HandoverError};
use crate::notice::Notice;
use crate::site::{Placement, Site, SiteError};
use crate::tree::Tree;
use crate::web::{BadPath, Subject, Web};

/// What is asked for.
#[derive(Debug)]
pub struct Asked {
    /// The program of the list manager.
    pub program: String,
    /// PATH_INFO.
    pub path: OsString,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Answer {
    /// This program answers.
    Program(Command),
    /// Another server does, at this URL.
    Elsewhere(String),
}

/// A request that is answered, and by whom.
#[derive(Debug)]
pub struct Served<'a> {
    /// The tree, and why it is that one.
    pub place: Placement<'a>,
    /// What it is about.
    pub subject: Subject,
    /// What answers.
    pub answer: Answer,
    pass: Option<Pass>,
}

/// Why nothing answers a request.
#[derive(Debug)]
pub enum Unserved {
    /// This program takes no such PATH_INFO.
    Path(String, BadPath),
    /// The site does not say which tree, or what is in it.
    Site(SiteError),
    /// The list's door is closed, or there is none.
    Door(DoorError),
    /// Since then.
    Paused(String),
    /// No tree knows the program.
    UnknownProgram(String),
    /// The other tree has the program, this one has not.
    NoProgram(String, String),
    /// The list that one tree takes in the URL is on the other, which takes another one.
    Unlike,
    /// The tree's program cannot be run.
    Handover(HandoverError),
}

impl Unserved {
    /// What the visitor gets.
    pub fn page(&self) -> Notice {
        match self {
            Unserved::Path(..) | Unserved::NoProgram(..) => Notice::NotFound,
            Unserved::Door(DoorError::Closed(_)) => Notice::Moving,
            Unserved::Paused(_) => Notice::Paused,
            _ => Notice::Unavailable,
        }
    }
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unserved::Path(program, bad) => write!(f, "{program}: not a list's address: {bad}"),
            Unserved::Site(error) => error.fmt(f),
            Unserved::Door(error) => error.fmt(f),
            Unserved::Paused(since) => write!(f, "the list is paused since {since}"),
            Unserved::UnknownProgram(program) => {
                write!(f, "no tree of this site knows the program {program}")
            }
            Unserved::NoProgram(program, tree) => {
                write!(
                    f,
                    "tree {tree} has no program {program}, the other tree has"
                )
            }
            Unserved::Unlike => {
                f.write_str("the trees take different lists in this address, each the other's")
            }
            Unserved::Handover(error) => error.fmt(f),
        }
    }
}

/// Finds what answers. The pass, which a request about a list has, is held until that is over.
///
/// # Errors
/// [`Unserved`].
pub fn serve(site: &Site, asked: &Asked) -> Result<(Answer, Option<Pass>), Unserved> {
    let served = find(site, asked, &|subject| {
        // THE ORDER. What parity.toml says stays true only while the floor is held.
        let pass = enter(site, subject)?;
        Ok((place(site, subject, None)?, pass))
    })?;
    Ok((served.answer, served.pass))
}

/// Tells what would answer, as though the list were on `tree`, if one is named; comes in by no door.
///
/// # Errors
/// [`Unserved`].
pub fn suppose<'a>(
    site: &'a Site,
    asked: &Asked,
    tree: Option<&'a Tree>,
) -> Result<Served<'a>, Unserved> {
    find(site, asked, &|subject| {
        Ok((place(site, subject, tree)?, None))
    })
}

/// Comes in for a subject, and says where it goes.
type ComeIn<'s, 'a> = &'s dyn Fn(&Subject) -> Result<(Placement<'a>, Option<Pass>), Unserved>;

fn find<'a>(
    site: &'a Site,
    asked: &Asked,
    come_in: ComeIn<'_, 'a>,
) -> Result<Served<'a>, Unserved> {
    for reader in &site.config.trees {
        // A profile that is broken is in the way of its own tree's lists alone.
        let Ok(Some(web)) = web_of(site, reader) else {
            continue;
        };
        let Some(subject) = read(&web, asked)? else {
            continue;
        };
        let (place, pass) = come_in(&subject)?;
        let own = match place.tree.profile == reader.profile {
            true => web,
            false => {
                let own = web_of(site, place.tree).map_err(Unserved::Site)?;
                own.ok_or_else(|| lacks(asked, place.tree))?
            }
        };
        // WHOSE READING COUNTS. That of the tree which the list is on; most often they are the same.
        if read(&own, asked)?.ok_or_else(|| lacks(asked, place.tree))? == subject {
            return Ok(Served {
                answer: answer(site, place.tree, &own, asked, &subject)?,
                place,
                subject,
                pass,
            });
        }
    }
    Err(why_not(site, asked))
}

fn lacks(asked: &Asked, tree: &Tree) -> Unserved {
    Unserved::NoProgram(asked.program.clone(), tree.name.clone())
}

fn enter(site: &Site, subject: &Subject) -> Result<Option<Pass>, Unserved> {
    let Subject::List(list) = subject else {
        return Ok(None);
    };
    let config = &site.config;
    let pass = doors::enter(&config.lock_file(), list, Floor::Web, config.wait);
    pass.map(Some).map_err(Unserved::Door)
}

fn place<'a>(
    site: &'a Site,
    subject: &Subject,
    supposed: Option<&'a Tree>,
) -> Result<Placement<'a>, Unserved> {
    let place = match subject {
        Subject::List(list) => site.place(list),
        Subject::Site => site.place_of_none(),
    };
    let mut place = place.map_err(Unserved::Site)?;
    match (supposed, place.standing.paused) {
        (Some(tree), _) => place.suppose(tree),
        (None, Some(since)) => return Err(Unserved::Paused(since.to_string())),
        (None, None) => {}
    }
    Ok(place)
}

fn web_of(site: &Site, tree: &Tree) -> Result<Option<Cow<'static, Web>>, SiteError> {
    Ok(match site.routing(tree)? {
        Cow::Borrowed(shipped) => shipped.web.as_ref().map(Cow::Borrowed),
        Cow::Owned(own) => own.web.map(Cow::Owned),
    })
}

/// What the request is about, as a list manager reads it; `None` if it has no such program.
fn read(web: &Web, asked: &Asked) -> Result<Option<Subject>, Unserved> {
    let subject = web.subject(&asked.program, asked.path.as_bytes());
    subject.map_err(|bad| Unserved::Path(asked.program.clone(), bad))
}

/// Why no tree answers.
fn why_not(site: &Site, asked: &Asked) -> Unserved {
    for tree in &site.config.trees {
        match web_of(site, tree) {
            Err(error) => return Unserved::Site(error),
            Ok(Some(web)) if web.knows(&asked.program) => return Unserved::Unlike,
            Ok(_) => {}
        }
    }
    Unserved::UnknownProgram(asked.program.clone())
}

/// What the tree that was chosen has for the request.
fn answer(
    site: &Site,
    tree: &Tree,
    web: &Web,
    asked: &Asked,
    subject: &Subject,
) -> Result<Answer, Unserved> {
    let Some(template) = web.program.as_deref() else {
        let list = match subject {
            Subject::List(list) => Some(list.clone().within(tree.domain.as_deref())),
            Subject::Site => None,
        };
        let lacks = || SiteError::Lacks(site.path.clone(), tree.name.clone(), "web");
        let url = tree.page(list.as_ref()).ok_or_else(lacks);
        return Ok(Answer::Elsewhere(url.map_err(Unserved::Site)?));
    };
    let file = tree.expand(&template.replace("{program}", &asked.program), None);
    let command = Command::new(Caller::Web, [file], std::env::vars_os()).as_cgi();
    command
        .check(&site.trusted(), &tree.root)
        .map_err(Unserved::Handover)?;
    Ok(Answer::Program(command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    #[test]
    fn only_what_cannot_be_there_is_said_not_to_be_there() {
        let path = Unserved::Path("listinfo".to_owned(), BadPath::Byte(b' '));
        assert_eq!(path.page().status(), 404);
        let lacks = Unserved::NoProgram("create".to_owned(), "b".to_owned());
        assert_eq!(lacks.page().status(), 404);
        let closed = Unserved::Door(DoorError::Closed(Span::seconds(2)));
        assert_eq!(closed.page(), Notice::Moving);
        assert_eq!(Unserved::Paused(String::new()).page(), Notice::Paused);
        assert_eq!(Unserved::UnknownProgram(String::new()).page().status(), 503);
    }
}
