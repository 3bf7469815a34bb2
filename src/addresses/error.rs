//! Why mm-aliases, or a move that brings aliases in line, could not do what was asked.
//!
//! **Invariants.** A message never lacks its file; advice is data, apart from the message.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::emptied::Emptied;
use super::needs::{self, Untold};
use super::rights::Denied;
use crate::config::Mta;
use crate::list::ListName;
use crate::site::SiteError;
use crate::store::StoreError;

/// Why nothing was changed, unless a variant says otherwise.
#[derive(Debug)]
pub enum AddressError {
    /// The site's files cannot be used.
    Site(SiteError),
    /// parity.toml or the writer's lock cannot be used.
    Store(StoreError),
    /// A file: what could not be done with it, and why.
    Io(&'static str, PathBuf, io::Error),
    /// An alias file cannot be read or replaced.
    File(String, Option<&'static str>),
    /// A line of adopted.jsonl is damaged: line from 1.
    Record(PathBuf, usize, String),
    /// Which lists there are cannot be told, so nothing is said about their entries.
    CannotEnumerate(String),
    /// Lists seem to be gone, and nothing says that their data are all there.
    NoSentinel(PathBuf),
    /// Neither a tree nor a list has a domain: the path of site.toml.
    NoDomain(PathBuf),
    /// No map that Postfix looks up is made of this text.
    NoMap(PathBuf),
    /// No list of these names is known.
    Unknown(Vec<ListName>, Vec<ListName>),
    /// The delivering users could not run what would be written.
    Denied(Vec<Denied>),
    /// The MTA does not tell what the list managers of these trees need.
    Untold(Vec<Untold>),
    /// Lists are ahead, so there is no one tree to go back to.
    OnFuture(Vec<ListName>),
    /// This tree takes mail by LMTP, so no entry can lead straight into it; the lines by which
    /// the MTA could send it there.
    NoDirect(String, Vec<String>, Mta),
    /// Posts of lists that are to move would stay: where and why, and the lines that would lead
    /// them to us.
    Stays(Vec<String>, Vec<String>),
    /// Pipes cannot be run as this user.
    User(String, String),
    /// An editor was faster each time.
    Raced(PathBuf),
    /// Postfix does not read an alias file: that it is so, what has it read, and the service of
    /// master.cf that says so, if main.cf does not.
    Unread(String, String, Option<String>),
    /// An alias file has no entry, and its database has those of others.
    Emptied(Box<Emptied>),
    /// The MTA's database could not be asked, or could not be built.
    Database(String),
    /// Something was changed, and something after it failed; what stands must be looked at.
    Half(Vec<PathBuf>, String),
}

/// `a, b and 3 more`.
pub(super) fn some_of<T: fmt::Display>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(5).map(T::to_string).collect();
    match all.len() {
        0..=5 => shown.join(", "),
        n => format!("{} and {} more", shown.join(", "), n - 5),
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::Site(error) => error.fmt(f),
            AddressError::Store(error) => error.fmt(f),
            AddressError::Io(what, path, error) => write!(f, "cannot {what} {path:?}: {error}"),
            AddressError::File(what, _) => f.write_str(what),
            AddressError::Record(path, line, what) => {
                write!(f, "{}:{line}:1: {what}", path.display())
            }
            AddressError::CannotEnumerate(error) => {
                write!(f, "which lists there are cannot be told: {error}")
            }
            AddressError::NoSentinel(path) => write!(
                f,
                "lists seem to be gone, and {path:?} is not there: are the lists' data mounted?"
            ),
            AddressError::NoDomain(path) => {
                write!(
                    f,
                    "no tree in use has a domain in {path:?}, and no list is named with one"
                )
            }
            AddressError::NoMap(path) => write!(f, "virtual_alias_maps has no map of {path:?}"),
            AddressError::Unknown(lists, _) => write!(f, "no such list: {}", some_of(lists)),
            AddressError::Denied(reasons) if reasons.iter().any(Denied::is_program) => write!(
                f,
                "what site.toml names as mm-deliver would not deliver: {}",
                some_of(reasons)
            ),
            AddressError::Denied(reasons) => write!(
                f,
                "the delivering users could not run the tree's programs: {}",
                some_of(reasons)
            ),
            AddressError::Untold(trees) => f.write_str(&some_of(trees)),
            AddressError::OnFuture(lists) => {
                write!(f, "lists are on the future tree: {}", some_of(lists))
            }
            AddressError::NoDirect(tree, ..) => write!(
                f,
                "tree {tree} takes mail by LMTP, and no alias leads straight into it; the MTA \
                 itself would have to send it there"
            ),
            AddressError::Stays(posts, _) => {
                write!(f, "posts would stay where they go now: {}", some_of(posts))
            }
            AddressError::User(user, why) => write!(f, "cannot run pipes as {user:?}: {why}"),
            AddressError::Raced(path) => {
                write!(
                    f,
                    "cannot replace {path:?}: somebody else changes it again and again"
                )
            }
            AddressError::Emptied(emptied) => write!(
                f,
                "{emptied}: mail goes by that, and would bounce if it were built of this text; \
                 nothing has changed"
            ),
            AddressError::Unread(what, ..) | AddressError::Database(what) => f.write_str(what),
            AddressError::Half(paths, what) => {
                write!(f, "{paths:?}: something was changed, and then: {what}")
            }
        }
    }
}

impl std::error::Error for AddressError {}

impl From<SiteError> for AddressError {
    fn from(error: SiteError) -> AddressError {
        AddressError::Site(error)
    }
}

impl From<StoreError> for AddressError {
    fn from(error: StoreError) -> AddressError {
        AddressError::Store(error)
    }
}

impl AddressError {
    /// What the admin may do about it, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            AddressError::File(_, hint) => hint.iter().map(|&hint| hint.to_owned()).collect(),
            AddressError::Record(path, line, _) => vec![format!(
                "repair or remove line {line} of {path:?}; what it recorded is then written anew \
                 by unadopt, not put back"
            )],
            AddressError::NoSentinel(path) => vec![format!(
                "if they are, and those lists are gone for good: touch {}",
                super::typed::quoted(&path.to_string_lossy())
            )],
            AddressError::NoDomain(path) => vec![format!(
                "set `domain` of the tree in {path:?}; lists without a domain need no such map"
            )],
            AddressError::Unknown(lists, near) if !near.is_empty() => {
                vec![format!("near {}: {}", some_of(lists), some_of(near))]
            }
            AddressError::Untold(_) => one(needs::MEND),
            AddressError::OnFuture(_) => {
                one("mm-parity downgrade them, or mm-parity upgrade --all and commit")
            }
            AddressError::NoDirect(.., mta) => to_transports(*mta),
            AddressError::Stays(_, lines) => {
                let mut hints = vec![format!("let it be one line: {}", some_of(lines))];
                hints.push(
                    "what is simply left from a copy, remove; then mm-aliases adopt turns the rest"
                        .to_owned(),
                );
                hints
            }
            AddressError::Denied(reasons) if reasons.iter().any(Denied::is_program) => one(
                "install mm-deliver there, root's and mode 0755 as each directory above it, or \
                 name it in site.toml ([deliver] program)",
            ),
            AddressError::Denied(_) => one("`mm-parity check` looks at every program and tree"),
            AddressError::Unread(_, mend, _) => one(mend),
            AddressError::Emptied(emptied) => emptied.hints("type the command again"),
            AddressError::Raced(_) => one("find out what writes it, then type the command again"),
            AddressError::Half(..) => {
                one("mm-aliases sync looks at text and database, and mends them")
            }
            AddressError::Store(StoreError::Busy(..)) => one("wait until it is done"),
            _ => Vec::new(),
        }
    }

    /// The exit status: 3 where something was changed, else 1.
    pub fn status(&self) -> u8 {
        match self {
            AddressError::Half(..) => 3,
            _ => 1,
        }
    }
}

/// What to do with lines for a transport: where they go, and that the entries go after that.
fn to_transports(mta: Mta) -> Vec<String> {
    let way = match mta {
        Mta::Postfix | Mta::None => "Postfix: put the lines into a file that transport_maps names",
        Mta::Exim => "Exim: a router for these addresses, to a transport smtp with protocol = lmtp",
        Mta::Sendmail => {
            "Sendmail: a mailer with F=z, to which mailertable sends the lists' domain"
        }
        Mta::OpenSmtpd => "OpenSMTPD: match these addresses to an action lmtp \"SERVER\" rcpt-to",
    };
    vec![
        format!("{way}; then remove their entries from the alias files"),
        "from then on no list moves by mm-parity: its mail goes to this tree".to_owned(),
    ]
}
