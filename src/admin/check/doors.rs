//! The lock file: without it nobody comes in, and who can write it can keep everybody out.
//!
//! **Invariants.** Takes no lock.

use crate::admin::outcome::typed;
use crate::doors::{DoorError, LockFile};
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::ownership::{Fault, Unsafe};
use crate::site::Site;

pub(super) fn look(site: &Site, findings: &mut Vec<Finding>) {
    let path = site.config.lock_file();
    if let Err(error) = LockFile::open(&path) {
        let mend = match &error {
            DoorError::Missing(_) => Mend::Type(typed(site, "init")),
            DoorError::Network(..) => Mend::Do(format!(
                "name a directory on a local disk as `state` in {:?}",
                site.path
            )),
            _ => Mend::Do(format!("remove it; then {}", typed(site, "init"))),
        };
        findings.push(Finding::new(
            (Kind::Lock, Severity::Critical),
            error.to_string(),
            Spot::file(path),
            "the mail of all lists waits (75)",
            mend,
        ));
        return;
    }
    let Err(fault) = site.trusted().check(&path, None) else {
        return;
    };
    // A fault of a directory is one of parity.toml as well, and is told with that.
    if fault.path == path {
        findings.push(writable(&fault));
    }
}

fn writable(fault: &Unsafe) -> Finding {
    let mend = match fault.fault {
        Fault::Owner(_) => "give it to root, with mode 644",
        _ => "chmod 644 it",
    };
    Finding::new(
        (Kind::Lock, Severity::Warning),
        fault.to_string(),
        Spot::file(&fault.path),
        "whoever may write it can keep the mail of all lists waiting",
        Mend::Do(mend.to_owned()),
    )
}
