//! Whether the users who deliver are those as whom a list's programs run.
//!
//! Some list managers' programs refuse to run but as root or as the owner of the list's directory:
//! the profile says so.
//!
//! **Invariants.** Looks at owners; runs nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::accounts::Account;
use crate::admin::aliases::Known;
use crate::admin::outcome::names;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::list::ListName;
use crate::parity::{Parity, Role};
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// What of a list must have the right owner, and whose it is.
struct Owned<'l> {
    list: &'l ListName,
    path: PathBuf,
    uid: u32,
}

/// Where the lists cannot be told (`known`), the look at the aliases says so.
pub(super) fn look(
    site: &Site,
    parity: &Parity,
    known: Option<&Known>,
    findings: &mut Vec<Finding>,
) {
    let Some(Ok(there)) = known.map(|known| &known.enumerated) else {
        return;
    };
    for tree in &site.config.trees {
        // One that cannot be used is told with the tree.
        let Ok(profile) = Profile::of(site, tree) else {
            continue;
        };
        let on_current = tree.name == parity.roles.current;
        let its = there
            .iter()
            .filter(|list| (parity.of(list) == Role::Current) == on_current);
        let paths = its.filter_map(|list| Some((list, profile.owned(tree, list)?)));
        let mut owned = Vec::new();
        for (list, path) in paths {
            match fs::metadata(&path) {
                Ok(meta) => owned.push(Owned {
                    list,
                    path,
                    uid: meta.uid(),
                }),
                Err(error) => findings.push(Finding::new(
                    (Kind::Owner, Severity::Unknown),
                    format!(
                        "tree {}: whose {path:?} is cannot be told: {error}",
                        tree.name
                    ),
                    Spot::file(&path).named(list.as_str()),
                    "its programs may refuse what comes to the list",
                    Mend::Do("ask as root".to_owned()),
                )),
            }
        }
        let users = site.config.users.iter();
        findings.extend(users.filter_map(|user| stranger(tree, user, &owned)));
    }
}

/// That a user who delivers is neither root nor the owner; none who is unknown, which is told of
/// the account.
fn stranger(tree: &Tree, user: &Account, owned: &[Owned<'_>]) -> Option<Finding> {
    let uid = user.uid().ok().filter(|&uid| uid != 0)?;
    let others: Vec<&Owned<'_>> = owned.iter().filter(|owned| owned.uid != uid).collect();
    let first = others.first()?;
    let user = user.to_string().escape_debug().to_string();
    Some(Finding::new(
        (Kind::Owner, Severity::Critical),
        format!(
            "tree {}: user {user} delivers, and its programs run as root or as the owner of {:?} \
             alone; so for {}",
            tree.name,
            first.path,
            names(others.iter().map(|owned| owned.list))
        ),
        Spot::file(&first.path).named(first.list.as_str()),
        "they refuse what comes to these lists: it bounces, or waits where the tree is guarded",
        Mend::Do(format!(
            "let the directories belong to {user} (chown -R), or have the MTA run pipes as their \
             owner and name him in [deliver] users"
        )),
    ))
}
