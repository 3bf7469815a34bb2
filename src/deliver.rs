//! One message's whole story: `mm-deliver VERB LIST`, or `--rcpt ADDRESS`.
//!
//! Read the command line; open the site; come in by the list's door; find the tree that serves
//! the list; look up what it runs for the verb; become that. Of an address `rcpt` finds list and verb
//! first. With `--explain` the story is told instead.
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
use crate::rcpt::{self, ComeIn, Meant, Unmeant};
use crate::site::{DEFAULT_SITE, Placement, Site, SiteError};
use crate::{sysexits, syslog};

const USAGE: &str = "\
usage: mm-deliver [--site FILE] VERB LIST
       mm-deliver [--site FILE] [--sender ADDRESS] --rcpt ADDRESS | --rcpt-env
       mm-deliver [--site FILE] --explain [--as USER] [--tree TREE] VERB LIST
       mm-deliver [--site FILE] --explain [--as USER] [--tree TREE] --rcpt ADDRESS
       mm-deliver --help | --version

Hands the message on standard input to the tree that serves LIST. An MTA runs it from
an alias:

    toylist-request: \"|/usr/lib/mm-deliver/mm-deliver request toylist\"

or, where no alias names the list, from a transport of its own, which tells the
address; list and verb are then found by the trees' profiles (rcpt = true in site.toml):

    mm-deliver --rcpt toylist-request@lists.example.org

  --rcpt ADDRESS whom the message is for; nothing may follow
  --rcpt-env     the same, as RECIPIENT in the environment says it (Exim)
  --sender ADDRESS  the envelope sender, where the MTA does not say it in SENDER
  --site FILE    the site (default /etc/mm-deliver/site.toml)
  --explain      print tree, release, rule, argv and environment; run nothing
                 (for people: in an alias it would take the message and drop it)
  --as USER      as this user, name or number (needs root)
  --tree TREE    as though the list were on this tree

VERB is one of: post admin bounces confirm join leave owner request subscribe
unsubscribe editor comment sendkey; the tree's profile says which it knows.

Exit status: 67 if the list's tree has no such address but the other one has,
and if no list has the address of --rcpt; 75 for every failure of mm-deliver's own (the
MTA keeps the message and tries again); else that of the tree's program. --explain: 0, or what a delivery
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
    whom: Whom,
}

/// Whom the message is for.
#[derive(Debug, PartialEq, Eq)]
enum Whom {
    /// What an alias says.
    List { verb: OsString, list: OsString },
    /// What a transport says; and who sent it, if it says that.
    Address {
        address: OsString,
        sender: Option<OsString>,
    },
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
    /// The address is no list's, or whose it is cannot be told.
    Unmeant(Unmeant),
    /// No program takes it.
    Undecided(Undecided),
    Handover(HandoverError),
    As(OsString, std::io::Error),
    NoTree(OsString),
}

impl From<Unmeant> for Failure {
    /// What an alias can meet as well is the same failure.
    fn from(unmeant: Unmeant) -> Failure {
        match unmeant {
            Unmeant::Site(error) => Failure::Site(error),
            Unmeant::Door(error) => Failure::Door(error),
            Unmeant::Undecided(undecided) => Failure::Undecided(undecided),
            other => Failure::Unmeant(other),
        }
    }
}

impl Failure {
    fn status(&self) -> c_int {
        match self {
            Failure::Undecided(undecided) => undecided.status(),
            Failure::Unmeant(unmeant) => unmeant.status(),
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
            Failure::Unmeant(Unmeant::NoList) => "no such address",
            Failure::Site(_)
            | Failure::Door(_)
            | Failure::NoTree(_)
            | Failure::Unmeant(_)
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
            Failure::Unmeant(unmeant) => unmeant.fmt(f),
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
    let (mut user, mut tree, mut sender, mut address) = (None, None, None, None);
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
            b"--sender" if sender.is_none() && words.is_empty() => sender = Some(value()?),
            // Last: whatever followed would come from whoever sends.
            b"--rcpt" | b"--rcpt-env" if words.is_empty() => {
                let given = match word.as_bytes() {
                    b"--rcpt" => value()?,
                    _ => std::env::var_os("RECIPIENT")
                        .ok_or_else(|| usage("RECIPIENT is not in the environment"))?,
                };
                // An expansion that gave nothing is a fault of the transport's, and no sender's.
                if given.is_empty() {
                    return Err(usage("the address is empty"));
                }
                address = Some(given);
                words.extend(arguments);
                break;
            }
            b"--as" if explain && words.is_empty() => user = Some(value()?),
            b"--tree" if explain && words.is_empty() => tree = Some(value()?),
            [b'-', ..] if words.is_empty() => return Err(usage("unknown option")),
            _ => words.push(word),
        }
    }
    let site = site.map_or_else(|| PathBuf::from(DEFAULT_SITE), PathBuf::from);
    let whom = whom(address, sender, words).map_err(usage)?;
    let words = Words { site, whom };
    Ok(if explain {
        Call::Explain { words, user, tree }
    } else {
        Call::Deliver(words)
    })
}

/// Either an address and nothing else, or a verb and a list.
fn whom(
    address: Option<OsString>,
    sender: Option<OsString>,
    words: Vec<OsString>,
) -> Result<Whom, &'static str> {
    match (address, sender) {
        (Some(address), sender) if words.is_empty() => Ok(Whom::Address { address, sender }),
        (Some(_), _) => Err("nothing may follow --rcpt ADDRESS"),
        (None, Some(_)) => Err("--sender needs --rcpt"),
        (None, None) => match <[OsString; 2]>::try_from(words) {
            Ok([verb, list]) => Ok(Whom::List { verb, list }),
            Err(_) => Err("VERB and LIST are expected"),
        },
    }
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
        Ok((command, pass)) => Failure::Handover(command.exec(pass.as_ref())),
        Err(failure) => failure,
    }
}

fn decide(words: &Words) -> Result<(Command, Option<Pass>), Failure> {
    let site = Site::open(&words.site).map_err(Failure::Site)?;
    let config = &site.config;
    let meant = meant(&site, &words.whom, &|list| {
        // THE ORDER. What parity.toml says stays true only while the floor is held.
        let pass = doors::enter(&config.lock_file(), list, Floor::Mail, config.wait)
            .map_err(Unmeant::Door)?;
        let place = decision::place(&site, list).map_err(Unmeant::Undecided)?;
        Ok((place, Some(pass)))
    })?;
    let command = command(&site, &words.whom, &meant)?;
    command
        .check(&site.trusted(), &meant.place.tree.root)
        .map_err(Failure::Handover)?;
    Ok((command, meant.pass))
}

/// The list, and what is asked of it; come in for.
fn meant<'a>(site: &'a Site, whom: &Whom, come_in: ComeIn<'_, 'a>) -> Result<Meant<'a>, Failure> {
    match whom {
        Whom::List { verb, list } => {
            let verb = parse_verb(verb)?;
            let list = parse_list(site, list)?;
            let (place, pass) = come_in(&list)?;
            Ok(Meant {
                list,
                verb,
                extension: None,
                place,
                pass,
            })
        }
        Whom::Address { address, .. } => Ok(rcpt::find(site, address.as_bytes(), come_in)?),
    }
}

/// What is run for it.
fn command(site: &Site, whom: &Whom, meant: &Meant<'_>) -> Result<Command, Failure> {
    let mut command = decision::command(site, &meant.place, meant.verb, &meant.list)
        .map_err(Failure::Undecided)?;
    if let Whom::Address { address, sender } = whom {
        rcpt::tell(
            &mut command,
            address,
            meant.extension.as_deref(),
            sender.as_deref(),
        );
    }
    Ok(command)
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
    let site = Site::open(&words.site).map_err(Failure::Site)?;
    // A door that is closed at this moment is no fault.
    LockFile::open(&site.config.lock_file()).map_err(Failure::Door)?;
    let supposed = match tree {
        Some(name) => {
            let tree = name.to_str().and_then(|name| site.config.tree(name));
            Some(tree.ok_or_else(|| Failure::NoTree(name.to_owned()))?)
        }
        None => None,
    };
    let meant = meant(&site, &words.whom, &|list| {
        let mut place = site.place(list).map_err(Unmeant::Site)?;
        match supposed {
            Some(tree) => place.suppose(tree),
            None => decision::is_taken(&place).map_err(Unmeant::Undecided)?,
        }
        Ok((place, None))
    })?;
    let rule = match supposed {
        Some(tree) => format!("--tree {}", tree.name),
        None => decision::rule(&site, &meant.place),
    };
    let command = command(&site, &words.whom, &meant)?;
    command
        .check(&site.trusted(), &meant.place.tree.root)
        .and_then(|()| command.check_format())
        .map_err(Failure::Handover)?;
    let told = tell(&meant.place, &rule, &command);
    Ok(match words.whom {
        Whom::List { .. } => told,
        Whom::Address { .. } => format!(
            "{told}list         {}\nverb         {}\n",
            meant.list, meant.verb
        ),
    })
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
            "--rcpt",
            "--rcpt l l",
            "--rcpt l --explain",
            "--rcpt l --sender s",
            "--sender s post l",
            "--sender s --sender t --rcpt l",
            "post --rcpt l",
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
    fn an_address_is_one_word_whatever_it_looks_like() {
        for address in ["--help", "--explain", "--site", "-", "--rcpt", "post"] {
            let Ok(Call::Deliver(words)) = read(&format!("--sender --help --rcpt {address}"))
            else {
                panic!("{address} was not taken")
            };
            let whom = Whom::Address {
                address: address.into(),
                sender: Some("--help".into()),
            };
            assert_eq!(words.whom, whom);
        }
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
    fn nothing_but_an_address_that_there_is_not_is_permanent() {
        let list = ListName::parse("l").unwrap();
        let status = |undecided| Failure::Undecided(undecided).status();
        let unmeant = |unmeant: Unmeant| Failure::from(unmeant).status();
        assert_eq!(unmeant(Unmeant::NoList), 67);
        assert_eq!(unmeant(Unmeant::NotServed), 75);
        assert_eq!(unmeant(Unmeant::NoSentinel(PathBuf::new())), 75);
        assert_eq!(status(Undecided::NoAddress(Verb::Post, list)), 67);
        assert_eq!(status(Undecided::UnknownVerb(Verb::Post)), 75);
        assert_eq!(status(Undecided::Paused(String::new())), 75);
        assert_eq!(Failure::Usage(String::new()).status(), 75);
    }
}
