//! Could the users who deliver run a tree's programs? The one place that tries.
//!
//! As root: as each of site.toml's users, in their primary group and no other, by
//! `mm-deliver --explain`, so that the very check of a delivery decides. Otherwise as
//! ourselves.
//!
//! **Invariants.** Runs mm-deliver, and that only to explain: no list manager's program.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::accounts;
use crate::accounts::User;
use crate::list::{ListName, Verb};
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// What a try of all programs as all users showed.
#[derive(Debug, Default)]
pub struct Rights {
    /// One line for each user and program that would make mail wait.
    pub problems: Vec<String>,
    /// Users as whom nothing could be tried, since we are not root.
    pub untried: Vec<String>,
}

/// Tries every program of `tree` for `list`, as every delivering user.
///
/// parity.toml must be there. The list's own standing does not matter.
pub fn check(site: &Site, tree: &Tree, list: &ListName) -> Rights {
    let mut rights = Rights::default();
    let programs = match Profile::of(site, tree) {
        Ok(profile) => profile.programs(tree),
        Err(error) => {
            rights.problems.push(error.to_string());
            return rights;
        }
    };
    let us = accounts::runner();
    let mut tried = false;
    for account in &site.config.users {
        match account.user() {
            Err(error) => rights
                .problems
                .push(format!("no user {:?}: {error}", account.to_string())),
            Ok(user) if us == 0 || user.uid == us => {
                tried = true;
                let become_it = (user.uid != us).then_some(&user);
                for (verb, _) in &programs {
                    rights
                        .problems
                        .extend(explain(site, tree, list, *verb, become_it).err());
                }
            }
            Ok(user) => rights.untried.push(user.name.escape_debug().to_string()),
        }
    }
    if !tried {
        for (verb, _) in &programs {
            rights
                .problems
                .extend(explain(site, tree, list, *verb, None).err());
        }
    }
    rights.problems.dedup();
    rights
}

fn explain(
    site: &Site,
    tree: &Tree,
    list: &ListName,
    verb: Verb,
    user: Option<&User>,
) -> Result<(), String> {
    let mut command = Command::new(&site.config.program);
    command
        .arg("--site")
        .arg(&site.path)
        .args([
            "--explain",
            "--tree",
            &tree.name,
            verb.as_str(),
            list.as_str(),
        ])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some(user) = user {
        // std empties the list of groups when root becomes somebody else.
        command.uid(user.uid).gid(user.gid);
    }
    let name = match user {
        Some(user) => format!("user {}: ", user.name.escape_debug()),
        None => String::new(),
    };
    let failed = |error: io::Error| format!("{name}{:?}: {error}", site.config.program);
    let output = command.output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let first = text.lines().next().unwrap_or("it said nothing");
    let first = first.strip_prefix("mm-deliver: ").unwrap_or(first);
    Err(format!(
        "{name}tree {}: {}",
        tree.name,
        first
            .escape_debug()
            .to_string()
            .replace("\\\"", "\"")
            .replace("\\'", "'")
    ))
}
