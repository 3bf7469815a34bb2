//! As whom programs of a list manager run that no MTA runs.
//!
//! In this order: the user that site.toml names for it (`[jobs] user`); who owns the list's data,
//! where nobody else could have put them there; site.toml's `owner`. What belongs to root says nothing,
//! since that is how newlist, typed by root, leaves it.
//!
//! The groups are those that /etc/group has the user in, and site.toml's `group`: that is the list
//! manager's own, by which its data are shared with the web server's user and the MTA's.
//!
//! **Invariants.** Never root. Whoever may write in the directory of lists chooses nobody: a
//! directory is believed only if root, its owner and `group` alone may change what leads to it.

use std::path::PathBuf;

use super::Desk;
use crate::accounts::{self, Account, User};
use crate::admin::outcome::Refused;
use crate::list::ListName;
use crate::ownership::Trusted;
use crate::profiles::Profile;
use crate::running::Identity;
use crate::tree::Tree;

const ROOT: u32 = 0;

/// As whom a program runs in `tree`, for `list` or for all.
///
/// # Errors
/// Nobody is said, or not whom we may become.
pub(super) fn of(
    desk: &Desk<'_>,
    tree: &Tree,
    profile: &Profile,
    list: Option<&ListName>,
) -> Result<Identity, Refused> {
    let user = chosen(desk, tree, profile, list)?;
    let own = accounts::runner();
    if own != ROOT && user.uid != own {
        return Err(desk
            .refuse(format!(
                "its programs run as user {}, and only root can become that",
                user.name.escape_debug()
            ))
            .hint("type it as root"));
    }
    let group = desk.site.config.group.as_ref();
    let group = group.map(Account::gid).transpose();
    group
        .and_then(|group| Identity::of(user, group))
        .map_err(|error| desk.refuse(format!("cannot look up groups: {error}")))
}

fn chosen(
    desk: &Desk<'_>,
    tree: &Tree,
    profile: &Profile,
    list: Option<&ListName>,
) -> Result<User, Refused> {
    let config = &desk.site.config;
    if let Some(account) = &desk.settings.jobs.user {
        let user = looked_up(desk, account)?;
        return match user.uid {
            ROOT => Err(hinted(desk.refuse("[jobs] user is root"), desk)),
            _ => Ok(user),
        };
    }
    let data = profile.directory(tree, list);
    let data = data.unwrap_or_else(|| tree.data.clone());
    let why = match owner(desk, &data) {
        Ok(uid) => return looked_up(desk, &Account::Number(uid)),
        Err(why) => why,
    };
    let owner = looked_up(desk, &config.owner)?;
    match owner.uid {
        ROOT => Err(hinted(desk.refuse(why), desk)),
        _ => Ok(owner),
    }
}

/// Who owns `data`, if that can be relied on.
fn owner(desk: &Desk<'_>, data: &PathBuf) -> Result<u32, String> {
    use std::os::unix::fs::MetadataExt;

    let meta = std::fs::metadata(data).map_err(|error| format!("cannot read {data:?}: {error}"))?;
    if meta.uid() == ROOT {
        return Err(format!(
            "{data:?} belongs to root, and nothing of a list manager's runs as root"
        ));
    }
    let trusted = Trusted {
        runner: meta.uid(),
        owner: None,
        group: desk.site.config.group.as_ref(),
    };
    let judged = trusted.check_directory(data);
    let judged = judged.map_err(|fault| format!("cannot tell by {data:?} as whom: {fault}"))?;
    Ok(judged.uid())
}

fn looked_up(desk: &Desk<'_>, account: &Account) -> Result<User, Refused> {
    let user = account.user();
    user.map_err(|error| desk.refuse(format!("user {:?}: {error}", account.to_string())))
}

fn hinted(refused: Refused, desk: &Desk<'_>) -> Refused {
    refused.hint(format!(
        "name the list manager's own user: [jobs] user in {:?}",
        desk.site.path
    ))
}
