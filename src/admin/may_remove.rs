//! `mm-parity may-remove`: whether mm-deliver may be removed. For a package's prerm, which goes by the
//! status.
//!
//! **Invariants.** Changes nothing, and takes no lock. What cannot be told is "no": an alias that pipes
//! to a program that is gone bounces its mail.

use std::path::Path;

use crate::admin::aliases;
use crate::admin::outcome::{Done, Outcome, Refused, names, typed, typed_aliases};
use crate::site::{Site, SiteError};
use crate::store;

const ACT: &str = "allow that mm-deliver is removed";

/// Whether no alias of the site at `path` leads to mm-deliver; without a site none does.
///
/// # Errors
/// Some do, or it cannot be told.
pub(super) fn may_remove(site: Result<Site, SiteError>, path: &Path) -> Outcome {
    if std::fs::symlink_metadata(path)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        return Ok(Done::default());
    }
    let without = format!(
        "if no mail goes by it any more: mv {path:?} {:?}",
        path.with_extension("old")
    );
    let unsure = |what: String| Refused::new(ACT, what).hint(without.clone());
    let site = site.map_err(|error| unsure(error.to_string()))?;
    let parity = store::load(&site)
        .map_err(|error| unsure(error.to_string()))?
        .parity;
    // No alias says so, and the MTA's transports are not ours to read.
    if site.config.rcpt {
        let what = format!("{path:?} says `rcpt = true`: a transport of the MTA runs it");
        let hint =
            "take that transport out of the MTA's configuration, then this line out of site.toml";
        return Err(Refused::new(ACT, what).hint(hint));
    }
    let known = aliases::known(&site, &parity).map_err(|error| unsure(error.to_string()))?;
    if known.in_aliases.is_empty() {
        return Ok(Done::default());
    }
    let lists = names(&known.in_aliases);
    let refused = Refused::new(
        ACT,
        format!("aliases of {lists} pipe to it, and their mail would bounce"),
    );
    let refused = match parity.on_future.is_empty() {
        true => refused,
        false => refused.hint(typed(&site, "downgrade --all")),
    };
    Err(refused.hint(format!(
        "{}, which lets them pipe into the tree again",
        typed_aliases(&site, "unadopt")
    )))
}
