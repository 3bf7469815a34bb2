//! Whether the delivering users could run a tree's program: mm-deliver itself is asked, as
//! each of them.
//!
//! **Invariants.** Asks with `--explain`, which runs nothing. The one place where this is
//! asked: moves and adoptions use it alike.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::accounts::{self, Account};
use crate::list::{ListName, Verb};
use crate::site::Site;
use crate::tree::Tree;

/// Why a user could not deliver.
#[derive(Debug)]
pub enum Denied {
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
            Denied::NoUser(user, error) => write!(f, "user {:?}: {error}", user.to_string()),
            Denied::Run(program, user, error) => {
                write!(f, "cannot run {program:?} as user {user:?}: {error}")
            }
            Denied::Says(user, text) => write!(f, "as user {user:?}: {text}"),
        }
    }
}

impl std::error::Error for Denied {}

/// Asks whether each of `[deliver] users` could run what `tree` has for `verb`; every reason
/// why not.
///
/// Only root can become them: anybody else asks as himself.
pub fn denied(site: &Site, tree: &Tree, verb: Verb, list: &ListName) -> Vec<Denied> {
    if accounts::runner() != 0 {
        return ask(site, tree, verb, list, None)
            .err()
            .into_iter()
            .collect();
    }
    let users = site.config.users.iter();
    users
        .filter_map(|user| ask(site, tree, verb, list, Some(user)).err())
        .collect()
}

fn ask(
    site: &Site,
    tree: &Tree,
    verb: Verb,
    list: &ListName,
    user: Option<&Account>,
) -> Result<(), Denied> {
    let program = &site.config.program;
    let mut command = Command::new(program);
    let mut name = accounts::runner().to_string();
    if let Some(account) = user {
        let user = account
            .user()
            .map_err(|error| Denied::NoUser(account.clone(), error))?;
        // std drops the supplementary groups of root when it becomes somebody else.
        command.uid(user.uid).gid(user.gid);
        name = user.name;
    }
    if !site.is_default() {
        command.arg("--site").arg(&site.path);
    }
    command.args([
        "--explain",
        "--tree",
        &tree.name,
        verb.as_str(),
        list.as_str(),
    ]);
    command.env_clear().current_dir("/").stdin(Stdio::null());
    let done = command
        .output()
        .map_err(|error| Denied::Run(program.clone(), name.clone(), error))?;
    if done.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&done.stderr);
    let first = text.lines().next().unwrap_or("it said nothing");
    Err(Denied::Says(name, crate::syslog::printable(first)))
}
