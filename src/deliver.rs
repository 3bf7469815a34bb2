//! One message's whole story: `mm-deliver VERB LIST`.
//!
//! Read the command line; open the site; come in by the list's door; find the tree that serves
//! the list; look up what it runs for the verb; become that. With `--explain` the story is told instead.
//!
//! **Invariants.** Reads no stdin, writes no file, spawns nothing. Every failure of ours is
//! [`sysexits::TEMPFAIL`] and one line on stderr without a path, since an MTA may mail that
//! line to the sender; the path is in the system's log and in `--explain`.

use std::ffi::{OsStr, OsString, c_int};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::accounts::{self, Account};
use crate::decision::{self, Undecided};
use crate::doors::{self, DoorError, Floor, LockFile, Pass};
use crate::handover::{Command, HandoverError};
use crate::list::{BadName, ListName, Verb};
use crate::parity::Role;
use crate::site::{DEFAULT_SITE, Placement, Site, SiteError};
use crate::{sysexits, syslog};

const USAGE: &str = "\
usage: mm-deliver [--site FILE] VERB LIST
       mm-deliver [--site FILE] --explain [--as USER] [--tree TREE] VERB LIST
       mm-deliver --help | --version

Hands the message on standard input to the tree that serves LIST. An MTA runs it from
an alias:

    toylist-request: \"|/usr/lib/mm-deliver/mm-deliver request toylist\"

  --site FILE    the site (default /etc/mm-deliver/site.toml)
  --explain      print tree, release, rule, argv and environment; run nothing
                 (for people: in an alias it would take the message and drop it)
  --as USER      as this user, name or number (needs root)
  --tree TREE    as though the list were on this tree

VERB is one of: post admin bounces confirm join leave owner request subscribe
unsubscribe editor comment sendkey; the tree's profile says which it knows.

Exit status: 67 if the list's tree has no such address but the other one has;
75 for every failure of mm-deliver's own (the MTA keeps the message and tries
again); else that of the tree's program. --explain: 0, or what a delivery
would end with.
";

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Help,
    Version,
    Deliver(Words),
    Explain {
        words: Words,
        user: Option<OsString>,
        tree: Option<OsString>,
    },
}

#[derive(Debug, PartialEq, Eq)]
struct Words {
    site: PathBuf,
    verb: OsString,
    list: OsString,
}

/// Why a message is not handed over.
#[derive(Debug)]
enum Failure {
    /// This standard descriptor is closed.
    Closed(c_int),
    Usage(String),
    Name(OsString, BadName),
    NotVerb(OsString),
    Site(SiteError),
    /// The list's door is closed, or there is none.
    Door(DoorError),
    /// No program takes it.
    Undecided(Undecided),
    Handover(HandoverError),
    As(OsString, std::io::Error),
    NoTree(OsString),
}

impl Failure {
    fn status(&self) -> c_int {
        match self {
            Failure::Undecided(undecided) => undecided.status(),
            _ => sysexits::TEMPFAIL,
        }
    }

    /// What a stranger may read: no path, no name that he did not send.
    fn public(&self) -> &'static str {
        match self {
            Failure::Closed(_) => "a standard descriptor is closed",
            Failure::Usage(_)
            | Failure::NotVerb(_)
            | Failure::Undecided(Undecided::UnknownVerb(_)) => {
                "the alias of this address is broken"
            }
            Failure::Name(..) => "the alias of this address names no list",
            Failure::Door(DoorError::Closed(_)) => "the list is being moved",
            Failure::Site(_)
            | Failure::Door(_)
            | Failure::NoTree(_)
            | Failure::Undecided(Undecided::Site(_)) => {
                "the site's files cannot be used at the moment"
            }
            Failure::Undecided(Undecided::Paused(_)) => "the list is paused",
            Failure::Undecided(Undecided::NoAddress(..)) => "no such address",
            Failure::Handover(_) => "the list manager cannot be run at the moment",
            Failure::As(..) => "cannot become that user",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Closed(fd) => write!(f, "descriptor {fd} is closed"),
            Failure::Usage(what) => write!(f, "{what}; see mm-deliver --help"),
            Failure::Name(name, bad) => write!(f, "not a list name: {name:?}: {bad}"),
            Failure::NotVerb(word) => write!(f, "not a verb: {word:?}"),
            Failure::Site(error) => error.fmt(f),
            Failure::Door(error) => error.fmt(f),
            Failure::Undecided(undecided) => undecided.fmt(f),
            Failure::Handover(error) => error.fmt(f),
            Failure::As(user, error) => write!(f, "cannot become user {user:?}: {error}"),
            Failure::NoTree(name) => write!(f, "site.toml has no tree {name:?}"),
        }
    }
}

/// Runs the program; returns its status if it did not become another one.
pub fn main(arguments: impl Iterator<Item = OsString>) -> c_int {
    sysexits::keep_mail_on_any_fault();
    let call = parse(arguments);
    let telling = matches!(call, Ok(Call::Explain { .. }));
    match call.and_then(run) {
        Ok(text) => {
            use std::io::Write;
            match std::io::stdout().write_all(text.as_bytes()) {
                Ok(()) => sysexits::OK,
                Err(_) => sysexits::TEMPFAIL,
            }
        }
        Err(failure) => report(&failure, telling),
    }
}

fn report(failure: &Failure, telling: bool) -> c_int {
    let status = failure.status();
    if telling {
        let line = syslog::printable(&failure.to_string());
        sysexits::say(&format!(
            "mm-deliver: {line}\nmm-deliver: a delivery would end with {status}\n"
        ));
        return status;
    }
    syslog::warn("mm-deliver", failure);
    if status == sysexits::TEMPFAIL {
        let text = failure.public();
        sysexits::say(&format!(
            "4.3.0 mm-deliver: {text}, message kept by the mail system\n"
        ));
    } else {
        sysexits::say(&format!("5.1.1 mm-deliver: {}\n", failure.public()));
    }
    status
}

/// Reads the command line.
fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Call, Failure> {
    let usage = |what: &str| Failure::Usage(what.to_owned());
    let mut site = None;
    let mut explain = false;
    let (mut user, mut tree) = (None, None);
    let mut words = Vec::new();
    while let Some(word) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| usage("an option lacks its value"))
        };
        match word.as_bytes() {
            // Alone, or not at all: from an alias it would end with 0, and the message be gone.
            b"--help" if words.is_empty() && !explain => return alone(arguments, Call::Help),
            b"--version" if words.is_empty() && !explain => return alone(arguments, Call::Version),
            // First, or not at all: what follows a verb came from an alias.
            b"--site" if site.is_none() && !explain && words.is_empty() => site = Some(value()?),
            b"--explain" if words.is_empty() => explain = true,
            b"--as" if explain && words.is_empty() => user = Some(value()?),
            b"--tree" if explain && words.is_empty() => tree = Some(value()?),
            [b'-', ..] if words.is_empty() => return Err(usage("unknown option")),
            _ => words.push(word),
        }
    }
    let [verb, list] =
        <[OsString; 2]>::try_from(words).map_err(|_| usage("VERB and LIST are expected"))?;
    let site = site.map_or_else(|| PathBuf::from(DEFAULT_SITE), PathBuf::from);
    let words = Words { site, verb, list };
    Ok(if explain {
        Call::Explain { words, user, tree }
    } else {
        Call::Deliver(words)
    })
}

/// `call`, if nothing follows.
fn alone(mut rest: impl Iterator<Item = OsString>, call: Call) -> Result<Call, Failure> {
    match rest.next() {
        None => Ok(call),
        Some(_) => Err(Failure::Usage(
            "--help and --version stand alone".to_owned(),
        )),
    }
}

fn run(call: Call) -> Result<String, Failure> {
    match call {
        Call::Help => Ok(USAGE.to_owned()),
        Call::Version => Ok(concat!("mm-deliver ", env!("CARGO_PKG_VERSION"), "\n").to_owned()),
        Call::Deliver(words) => Err(deliver(&words)),
        Call::Explain { words, user, tree } => {
            if let Some(user) = user {
                assume(&user)?;
            }
            explain(&words, tree.as_deref())
        }
    }
}

/// Hands the message over. Returns only why that failed.
fn deliver(words: &Words) -> Failure {
    // Before any file is opened: it would take the place of the one that is closed.
    if let Some(fd) = sysexits::closed_standard_descriptor() {
        return Failure::Closed(fd);
    }
    match decide(words) {
        Ok((command, pass)) => Failure::Handover(command.exec(Some(&pass))),
        Err(failure) => failure,
    }
}

fn decide(words: &Words) -> Result<(Command, Pass), Failure> {
    let verb = parse_verb(&words.verb)?;
    let site = Site::open(&words.site).map_err(Failure::Site)?;
    let list = parse_list(&site, &words.list)?;
    let config = &site.config;
    // THE ORDER. What parity.toml says stays true only while the floor is held.
    let pass = doors::enter(&config.lock_file(), &list, Floor::Mail, config.wait)
        .map_err(Failure::Door)?;
    let place = decision::place(&site, &list).map_err(Failure::Undecided)?;
    let command = decision::command(&site, &place, verb, &list).map_err(Failure::Undecided)?;
    command
        .check(&site.trusted(), &place.tree.root)
        .map_err(Failure::Handover)?;
    Ok((command, pass))
}

fn parse_verb(word: &OsStr) -> Result<Verb, Failure> {
    Verb::parse(word.as_bytes()).ok_or_else(|| Failure::NotVerb(word.to_owned()))
}

fn parse_list(site: &Site, name: &OsStr) -> Result<ListName, Failure> {
    site.list(name.as_bytes())
        .map_err(|bad| Failure::Name(name.to_owned(), bad))
}

fn assume(name: &OsStr) -> Result<(), Failure> {
    let user = Account::new(&name.to_string_lossy()).user();
    user.and_then(|user| user.assume())
        .map_err(|error| Failure::As(name.to_owned(), error))
}

/// Tells what a delivery would do, as the user that this process is.
fn explain(words: &Words, tree: Option<&OsStr>) -> Result<String, Failure> {
    let verb = parse_verb(&words.verb)?;
    let site = Site::open(&words.site).map_err(Failure::Site)?;
    let list = parse_list(&site, &words.list)?;
    // A door that is closed at this moment is no fault.
    LockFile::open(&site.config.lock_file()).map_err(Failure::Door)?;
    let mut place = site.place(&list).map_err(Failure::Site)?;
    let rule = match tree {
        Some(name) => {
            let no_tree = || Failure::NoTree(name.to_owned());
            let tree = name.to_str().and_then(|name| site.config.tree(name));
            place.suppose(tree.ok_or_else(no_tree)?);
            format!("--tree {}", place.tree.name)
        }
        None => {
            decision::is_taken(&place).map_err(Failure::Undecided)?;
            decision::rule(&site, &place)
        }
    };
    let command = decision::command(&site, &place, verb, &list).map_err(Failure::Undecided)?;
    command
        .check(&site.trusted(), &place.tree.root)
        .and_then(|()| command.check_format())
        .map_err(Failure::Handover)?;
    Ok(tell(&place, &rule, &command))
}

fn tell(place: &Placement<'_>, rule: &str, command: &Command) -> String {
    let role = match place.role {
        Role::Current => "current",
        Role::Future => "future",
    };
    let mut text = format!(
        "tree         {} ({role})\nrelease      {}\nrule         {rule}\nuser         {}\n",
        place.tree.name,
        place.release.escape_debug(),
        accounts::runner(),
    );
    if let Some(guard) = &command.guard {
        text += &format!("guard        {:?}\n", guard.program);
    }
    text += &format!("argv         {:?}", command.program);
    for word in &command.arguments {
        text += &format!(" {word:?}");
    }
    text += "\nenvironment ";
    for (name, value) in &command.environment {
        text += &format!(" {}={value:?}", name.to_string_lossy());
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn read(line: &str) -> Result<Call, Failure> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_stand_before_the_verb_or_not_at_all() {
        for bad in [
            "",
            "post",
            "post l m",
            "-x post l",
            "--site",
            "--site f",
            "--as u post l",
            "--explain --as",
            "--explain --site f post l",
            "--site f --site g post l",
            "--tree a post l",
            "-- post l",
        ] {
            assert!(
                matches!(read(bad), Err(Failure::Usage(_))),
                "{bad:?} was accepted"
            );
        }
        // After the verb a word is a word: the list's name, which will be refused.
        assert!(matches!(read("post --site"), Ok(Call::Deliver(_))));
        assert!(matches!(read("post l --site f"), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_site_is_a_constant_unless_it_is_named() {
        let Ok(Call::Deliver(words)) = read("post l") else {
            panic!()
        };
        assert_eq!(words.site, PathBuf::from("/etc/mm-deliver/site.toml"));
        let Ok(Call::Explain { words, .. }) = read("--site /s --explain post l") else {
            panic!()
        };
        assert_eq!(words.site, PathBuf::from("/s"));
    }

    #[test]
    fn nothing_but_an_address_of_the_other_tree_is_permanent() {
        let list = ListName::parse("l").unwrap();
        let status = |undecided| Failure::Undecided(undecided).status();
        assert_eq!(status(Undecided::NoAddress(Verb::Post, list)), 67);
        assert_eq!(status(Undecided::UnknownVerb(Verb::Post)), 75);
        assert_eq!(status(Undecided::Paused(String::new())), 75);
        assert_eq!(Failure::Usage(String::new()).status(), 75);
    }
}
