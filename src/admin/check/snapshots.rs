//! What is kept of lists' data: whether it can be read, whether something was cut short, whether the
//! disk has room for more.
//!
//! **Invariants.** No list's data are looked at: how much the next snapshot needs is told by the
//! largest there is.

use crate::admin::fence;
use crate::admin::outcome::typed;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::settings::Settings;
use crate::site::Site;
use crate::snapshots::{self, SnapshotError, Store};

const NONE: &str = "none waits for it";

pub(super) fn look(site: &Site, findings: &mut Vec<Finding>) {
    let store = Store::of(site);
    let (found, broken) = match (store.all(&|_| true), snapshots::partial(&store)) {
        (Ok(all), Ok(partial)) => {
            findings.extend((!partial.is_empty()).then(|| left(site, &store)));
            all
        }
        (Err(error), _) | (_, Err(error)) => return findings.push(unseen(&store, &error)),
    };
    if snapshots::is_cut_short(&store) {
        findings.push(Finding::new(
            (Kind::Snapshot, Severity::Critical),
            "a command was killed as it put lists' data back",
            Spot::file(&store.path),
            "it goes on, into data of which some may be today's and some the snapshot's",
            mends(site),
        ));
    }
    for error in &broken {
        findings.push(Finding::new(
            (Kind::Snapshot, Severity::Warning),
            format!("a snapshot cannot be read: {error}"),
            Spot::file(&store.path),
            "none waits for it; but the data of that list could not be put back from it",
            Mend::Do("mend what is named here, or move it away".to_owned()),
        ));
    }
    let keeps = Settings::of(site).is_ok_and(|settings| settings.snapshots.keep > 0);
    let largest = found.iter().max_by_key(|one| one.bytes);
    if let Some(largest) = largest.filter(|_| keeps)
        && let Some(room) = snapshots::room(&store.path, largest.bytes, largest.files)
        && !room.is_enough()
    {
        findings.push(Finding::new(
            (Kind::Snapshot, Severity::Warning),
            format!(
                "the disk has no room for one more snapshot like that of {}: {} needed, {} there",
                largest.list.escape_debug(),
                fence::size(room.needed),
                fence::size(room.there)
            ),
            Spot::file(&store.path),
            "none waits for it; but such a list could not be upgraded",
            Mend::Do(format!(
                "make room there; what may go of older ones: {}",
                typed(site, "snapshots prune --dry-run")
            )),
        ));
    }
}

fn mends(site: &Site) -> Mend {
    Mend::Do(format!(
        "the next change by mm-parity brings it to an end, such as {}",
        typed(site, "snapshots prune")
    ))
}

/// Of a killed command, or of one that runs now.
fn left(site: &Site, store: &Store) -> Finding {
    Finding::new(
        (Kind::Snapshot, Severity::Warning),
        "a snapshot was begun and not ended; no command is at it, or it is under way right now",
        Spot::file(&store.path),
        NONE,
        mends(site),
    )
}

fn unseen(store: &Store, error: &SnapshotError) -> Finding {
    Finding::new(
        (Kind::Snapshot, Severity::Unknown),
        format!("the snapshots cannot be looked at: {error}"),
        Spot::file(&store.path),
        NONE,
        Mend::Do("look as root".to_owned()),
    )
}
