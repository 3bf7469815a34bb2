//! The lock file: without it nobody comes in, and who can write it can keep everybody out. And
//! who keeps doors closed for long, or the right to change something.
//!
//! **Invariants.** Takes no lock.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::admin::inside::{self, Inside};
use crate::admin::outcome::typed;
use crate::doors::{DoorError, LockFile, Range};
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::ownership::{Fault, Unsafe};
use crate::site::Site;

/// Moves wait for 30 s by default, and everything else takes less.
const LONG: Duration = Duration::from_secs(60);

/// Also for `status`, which shows what mail waits for.
pub(in crate::admin) fn look(site: &Site, findings: &mut Vec<Finding>) {
    let path = site.config.lock_file();
    findings.extend(unreadable(site, &path));
    match LockFile::open(&path) {
        Ok(lock) => stuck(site, &lock, findings),
        // That the mode is to blame, for us as well, was said.
        Err(DoorError::File(..)) if !findings.is_empty() => {}
        Err(error) => return findings.push(unusable(site, &path, &error)),
    }
    let Err(fault) = site.trusted().check(&path, None) else {
        return;
    };
    // A fault of a directory is one of parity.toml as well, and is told with that.
    if fault.path == path {
        findings.push(writable(&fault));
    }
}

fn unusable(site: &Site, path: &Path, error: &DoorError) -> Finding {
    let mend = match error {
        DoorError::Missing(_) => Mend::Type(typed(site, "init")),
        DoorError::Network(..) => Mend::Do(format!(
            "name a directory on a local disk as `state` in {:?}",
            site.path
        )),
        _ => Mend::Do(format!("remove it; then {}", typed(site, "init"))),
    };
    Finding::new(
        (Kind::Lock, Severity::Critical),
        error.to_string(),
        Spot::file(path),
        "the mail of all lists waits (75)",
        mend,
    )
}

/// A lock file whose mode keeps delivering users out.
fn unreadable(site: &Site, path: &Path) -> Option<Finding> {
    let meta = fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)?;
    let mode = meta.mode();
    let users = site.config.users.iter().filter_map(|user| user.user().ok());
    let out = users.filter(|user| {
        let may = match (user.uid == meta.uid(), user.gid == meta.gid()) {
            (true, _) => 0o400,
            (false, true) => 0o040,
            (false, false) => 0o004,
        };
        user.uid != 0 && mode & may == 0
    });
    let out: Vec<String> = out
        .map(|user| user.name.escape_debug().to_string())
        .collect();
    (!out.is_empty()).then(|| {
        Finding::new(
            (Kind::Lock, Severity::Critical),
            format!(
                "{path:?} has mode {:o}: {} cannot open it",
                mode & 0o7777,
                out.join(", ")
            ),
            Spot::file(path),
            "what these users deliver waits (75), whatever the list",
            Mend::Do("chmod 644 it".to_owned()),
        )
    })
}

/// Who changes something and does not go on.
fn stuck(site: &Site, lock: &LockFile, findings: &mut Vec<Finding>) {
    let path = site.config.lock_file();
    let changing = inside::changing(site);
    let is_closed = lock.is_excluded(Range::all_doors()).unwrap_or(false);
    if is_closed && !changing.iter().any(Inside::closes_doors) {
        findings.push(Finding::new(
            (Kind::Lock, Severity::Unknown),
            "doors are closed, and who closed them cannot be seen from here",
            Spot::file(&path),
            "mail of lists that are being moved waits, and then comes in or is deferred (75)",
            Mend::Do(format!("as root: {}", typed(site, "check"))),
        ));
    }
    let stuck = changing
        .iter()
        .filter(|who| who.is_stopped() || who.is_older_than(LONG));
    findings.extend(stuck.map(|who| held_up(&path, who)));
}

fn held_up(path: &Path, who: &Inside) -> Finding {
    let (severity, what, effect) = match who.closes_doors() {
        true => (
            Severity::Critical,
            "keeps doors closed",
            "the mail of the lists behind these doors waits (75)",
        ),
        false => (
            Severity::Warning,
            "holds the right to change something",
            "none waits for it; no list can be moved, nor taken back",
        ),
    };
    let (state, mend) = match who.is_stopped() {
        true => (
            " and is stopped",
            Mend::Type(format!("kill -CONT {}", who.pid)),
        ),
        false => (
            "",
            Mend::Do(format!(
                "wait for it, or end it, which opens its doors and leaves nothing half done: kill {}",
                who.pid
            )),
        ),
    };
    Finding::new(
        (Kind::Lock, severity),
        format!("{who}, {what}{state}"),
        Spot::file(path),
        effect,
        mend,
    )
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
