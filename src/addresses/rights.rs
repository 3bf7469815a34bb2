//! Whether the delivering users could run a tree's program: mm-deliver itself is asked, as
//! each of them; and mm-cgi, as those of the web server.
//!
//! What site.toml names as mm-deliver is judged first: any other program that ends with 0 would
//! eat all mail.
//!
//! **Invariants.** Asks with `--explain`, which runs nothing, and only a program that nobody but
//! the trusted can change. The one place where this is asked: moves and adoptions use it alike.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::pipe::Trees;
use crate::accounts::{self, Account};
use crate::list::{ListName, Verb};
use crate::ownership::{Fault, Unsafe};
use crate::parity::Parity;
use crate::settings::Settings;
use crate::site::{Site, SiteError};
use crate::tree::Tree;

/// Why a user could not deliver.
#[derive(Debug)]
pub enum Denied {
    /// Somebody else could change what is to be mm-deliver.
    Untrusted(Unsafe),
    /// It would run as another user than the MTA's: a list manager trusts whom it runs as.
    SetId(PathBuf),
    /// It ended with 0, and did not answer as mm-deliver does.
    Stranger(PathBuf, String),
    /// It ended with 0, and did not answer as mm-guard does.
    NotGuard(PathBuf, String),
    /// It ended with 0, and did not answer as mm-cgi does.
    NotCgi(PathBuf, String),
    /// What site.toml says of the web server's users cannot be used.
    Settings(Box<SiteError>),
    /// There is no such user.
    NoUser(Account, io::Error),
    /// The program cannot be run as this user.
    Run(PathBuf, String, io::Error),
    /// It ran, and says why not.
    Says(String, String),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Untrusted(fault) => fault.fmt(f),
            Denied::SetId(program) => write!(f, "{program:?}: it is set-user-id or set-group-id"),
            Denied::Stranger(program, said) => write!(
                f,
                "{program:?} is not mm-deliver: to --explain it says {said:?}"
            ),
            Denied::NotGuard(program, said) => write!(
                f,
                "{program:?} is not mm-guard: to --version it says {said:?}"
            ),
            Denied::NotCgi(program, said) => write!(
                f,
                "{program:?} is not mm-cgi: to --explain it says {said:?}"
            ),
            Denied::Settings(error) => error.fmt(f),
            Denied::NoUser(user, error) => write!(f, "user {:?}: {error}", user.to_string()),
            Denied::Run(program, user, error) => {
                write!(f, "cannot run {program:?} as user {user:?}: {error}")
            }
            Denied::Says(user, text) => write!(f, "as user {user:?}: {text}"),
        }
    }
}

impl std::error::Error for Denied {}

impl Denied {
    /// Whether it is the program of `[deliver]` itself that is at fault, whatever the tree's.
    pub fn is_program(&self) -> bool {
        matches!(
            self,
            Denied::Untrusted(_) | Denied::SetId(_) | Denied::Stranger(..)
        )
    }
}

/// Asks whether each of `[deliver] users` could run what `tree` has for `verb`; every reason
/// why not.
pub fn denied(site: &Site, tree: &Tree, verb: Verb, list: &ListName) -> Vec<Denied> {
    if let Some(fault) = at_fault(site, &site.config.program) {
        return vec![fault];
    }
    as_each(&site.config.users, |user| {
        explain(site, tree, &[verb.as_str(), list.as_str()], user)
    })
}

/// Asks whether each of `[deliver] users` would find `list`, on `tree`, by its address; every reason
/// why not.
pub fn rcpt_denied(site: &Site, tree: &Tree, list: &ListName) -> Vec<Denied> {
    if let Some(fault) = at_fault(site, &site.config.program) {
        return vec![fault];
    }
    as_each(&site.config.users, |user| {
        explain(site, tree, &["--rcpt", list.as_str()], user)
    })
}

/// Asks whether each of `[deliver] users` could run mm-guard; every reason why not.
pub fn guard_denied(site: &Site) -> Vec<Denied> {
    let guard = site.config.guard();
    if let Some(fault) = at_fault(site, &guard) {
        return vec![fault];
    }
    as_each(&site.config.users, |user| {
        let (status, first, name) = first_line(Command::new(&guard).arg("--version"), user)?;
        match (status, first.starts_with("mm-guard ")) {
            (Answer::Done, true) => Ok(()),
            (Answer::Done, false) => Err(Denied::NotGuard(guard.clone(), first)),
            (Answer::Failed, _) => Err(Denied::Says(name, first)),
        }
    })
}

/// Asks whether each of `[web] users`, if there are any, could run what `tree` has for requests
/// about `list`; every reason why not, each once.
pub fn web_denied(site: &Site, tree: &Tree, list: &ListName) -> Vec<Denied> {
    let users = match Settings::of(site) {
        Ok(settings) if settings.web.users.is_empty() => return Vec::new(),
        Ok(settings) => settings.web.users,
        Err(error) => return vec![Denied::Settings(Box::new(error))],
    };
    let users: Vec<Account> = users.iter().map(|user| Account::new(user)).collect();
    let cgi = site.config.cgi();
    if let Some(fault) = at_fault(site, &cgi) {
        return vec![fault];
    }
    let path = format!("/{}", list.as_str());
    let asked = |program: &String| {
        as_each(&users, |user| {
            let mut command = Command::new(&cgi);
            if !site.is_default() {
                command.arg("--site").arg(&site.path);
            }
            command.args(["--explain", "--tree", &tree.name, program, &path]);
            let (status, first, name) = first_line(&mut command, user)?;
            match (status, is_ours(&first, tree)) {
                (Answer::Done, true) => Ok(()),
                (Answer::Done, false) => Err(Denied::NotCgi(cgi.clone(), first)),
                (Answer::Failed, _) => Err(Denied::Says(name, first)),
            }
        })
    };
    let mut all: Vec<Denied> = web_programs(site, tree).iter().flat_map(asked).collect();
    let mut told = BTreeSet::new();
    all.retain(|denied| told.insert(denied.to_string()));
    all
}

/// The CGI programs of this tree; of one that has none of its own a single one is enough: they all
/// lead to the same page. Where nothing on the site says what there is, none.
fn web_programs(site: &Site, tree: &Tree) -> Vec<String> {
    let names = |tree: &Tree| -> Vec<String> {
        let Ok(routing) = site.routing(tree) else {
            return Vec::new();
        };
        let Some(web) = &routing.web else {
            return Vec::new();
        };
        let all = web.lists.iter().chain(web.site.iter());
        let most = if web.program.is_some() { usize::MAX } else { 1 };
        all.take(most).map(ToString::to_string).collect()
    };
    let other = site.config.other_tree(&tree.name);
    match (names(tree), other) {
        (own, None) => own,
        (own, _) if !own.is_empty() => own,
        // It serves no web, and what the other one serves would have no page here.
        (_, Some(other)) => names(other).into_iter().take(1).collect(),
    }
}

/// Only root can become other users: anybody else asks as himself.
fn as_each(users: &[Account], ask: impl Fn(Option<&Account>) -> Result<(), Denied>) -> Vec<Denied> {
    if accounts::runner() != 0 {
        return ask(None).err().into_iter().collect();
    }
    let users = users.iter();
    users.filter_map(|user| ask(Some(user)).err()).collect()
}

/// Whether the delivering users could run what each tree that serves one of `lists` has.
pub(super) fn denied_of(site: &Site, parity: &Parity, lists: &BTreeSet<ListName>) -> Vec<Denied> {
    let trees = Trees::open(site);
    let mut all = Vec::new();
    for (tree, profile) in trees.all() {
        let is_its = |list: &&ListName| {
            trees
                .of(parity, list)
                .is_some_and(|(its, _)| its.name == tree.name)
        };
        let Some(list) = lists.iter().find(is_its) else {
            continue;
        };
        for (verb, _) in profile.programs(site, tree) {
            all.extend(denied(site, tree, verb, list));
        }
        all.extend(web_denied(site, tree, list));
    }
    // What is wrong with mm-deliver itself is said of every verb.
    all.dedup_by(|one, other| one.to_string() == other.to_string());
    all
}

/// Who could change a program of ours, or what the kernel would make of it.
fn at_fault(site: &Site, program: &Path) -> Option<Denied> {
    const SET_ID: u32 = 0o6000;
    match site.trusted().check(program, None) {
        // That it is not there, its user is told in the words of who tried to run it.
        Err(fault) if matches!(fault.fault, Fault::Stat(_)) => None,
        Err(fault) => Some(Denied::Untrusted(fault)),
        Ok(checked) if checked.file.mode() & SET_ID != 0 => Some(Denied::SetId(program.to_owned())),
        Ok(_) => None,
    }
}

/// Whether the first line is mm-deliver's own, about this tree.
fn is_ours(line: &str, tree: &Tree) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("tree") && words.next() == Some(tree.name.as_str())
}

/// Asks what a delivery of these words would run in this tree.
fn explain(site: &Site, tree: &Tree, whom: &[&str], user: Option<&Account>) -> Result<(), Denied> {
    let program = &site.config.program;
    let mut command = Command::new(program);
    if !site.is_default() {
        command.arg("--site").arg(&site.path);
    }
    command.args(["--explain", "--tree", &tree.name]).args(whom);
    let (status, first, name) = first_line(&mut command, user)?;
    match (status, is_ours(&first, tree)) {
        (Answer::Done, true) => Ok(()),
        (Answer::Done, false) => Err(Denied::Stranger(program.clone(), first)),
        (Answer::Failed, _) => Err(Denied::Says(name, first)),
    }
}

/// How a program answered.
enum Answer {
    Done,
    Failed,
}

/// The first line that a program says as `user`, where it says what it has to say: on standard
/// output if it ended with 0, else on standard error; and the name of that user.
fn first_line(
    command: &mut Command,
    user: Option<&Account>,
) -> Result<(Answer, String, String), Denied> {
    let mut name = accounts::runner().to_string();
    if let Some(account) = user {
        let user = account
            .user()
            .map_err(|error| Denied::NoUser(account.clone(), error))?;
        // std drops the supplementary groups of root when it becomes somebody else.
        command.uid(user.uid).gid(user.gid);
        name = user.name;
    }
    command.env_clear().current_dir("/").stdin(Stdio::null());
    let done = command.output().map_err(|error| {
        let program = PathBuf::from(command.get_program());
        Denied::Run(program, name.clone(), error)
    })?;
    let (answer, text) = match done.status.success() {
        true => (Answer::Done, String::from_utf8_lossy(&done.stdout)),
        false => (Answer::Failed, String::from_utf8_lossy(&done.stderr)),
    };
    let first = match (&answer, text.lines().next()) {
        (Answer::Done, first) => first.unwrap_or_default().to_owned(),
        (Answer::Failed, first) => crate::syslog::printable(first.unwrap_or("it said nothing")),
    };
    Ok((answer, first, name))
}
