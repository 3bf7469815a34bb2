//! The one door from a move to the alias entries (`addresses`).
//!
//! **Invariants.** Decides nothing about parity; no alias grammar.

use std::collections::BTreeSet;

use crate::list::ListName;
use crate::parity::Parity;
use crate::profiles::Profile;
use crate::site::Site;
use crate::store::Writer;

/// The lists there are.
#[derive(Debug)]
pub struct Known {
    /// All of them.
    pub lists: BTreeSet<ListName>,
    /// Those whose data the current tree has.
    pub enumerated: Result<BTreeSet<ListName>, String>,
}

/// All known lists.
///
/// # Errors
/// The alias files or a profile cannot be read.
pub fn known(site: &Site, parity: &Parity) -> Result<Known, String> {
    let tree = site
        .config
        .tree(&parity.roles.current)
        .ok_or_else(|| "site.toml lacks the current tree".to_owned())?;
    let profile = Profile::of(site, tree).map_err(|error| error.to_string())?;
    let enumerated = profile.enumerate(tree).map_err(|error| error.to_string());
    let mut lists: BTreeSet<ListName> = parity.names().into_iter().cloned().collect();
    lists.extend(enumerated.iter().flatten().cloned());
    Ok(Known { lists, enumerated })
}

/// What would change in the alias files.
#[derive(Debug, Default)]
pub struct Plan;

/// What was changed there.
#[derive(Debug)]
pub struct Applied;

/// The entries of `lists`, once they stand as `after` says.
///
/// # Errors
/// The alias files cannot be read.
pub fn plan_move(_: &Site, _: &Parity, _: &BTreeSet<ListName>) -> Result<Plan, String> {
    Ok(Plan)
}

/// The entries that go once no tree in use has such an address.
///
/// # Errors
/// The alias files cannot be read.
pub fn plan_commit(_: &Site, _: &Parity, _: &Known) -> Result<Plan, String> {
    Ok(Plan)
}

/// The entries that a commit removed.
///
/// # Errors
/// The alias files cannot be read.
pub fn plan_revert(_: &Site, _: &Parity) -> Result<Plan, String> {
    Ok(Plan)
}

impl Plan {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// What changes, a line each, for people.
    pub fn lines(&self) -> Vec<String> {
        Vec::new()
    }

    /// The same as a unified diff.
    pub fn diff(&self) -> String {
        String::new()
    }

    /// Makes it so: text and database.
    ///
    /// # Errors
    /// Nothing changed.
    pub fn apply(self, _: &Writer, _generation: u64) -> Result<Applied, String> {
        Ok(Applied)
    }
}

impl Applied {
    /// Puts back what was.
    ///
    /// # Errors
    /// What could not be put back.
    pub fn take_back(self) -> Result<(), String> {
        Ok(())
    }
}

/// One word for the entries of a list.
pub fn state_of(_: &Site, _: &Parity, _: &ListName) -> Option<String> {
    None
}

/// What `check` has to say about the entries and the MTA's database.
pub fn findings(_: &Site, _: &Parity) -> Vec<crate::admin::check::Finding> {
    Vec::new()
}
