//! What makes mail wait, or soon will.
//!
//! Looks at parity.toml, its seal and its spare, the lock file (`doors`), the history, the accounts, the lists
//! and their data (`lists`) and owners (`owners`), both trees, their releases and programs (`trees`), and files
//! (`files`), whether they live and handle what they take (`signs`), what they must not share (`layout`), what
//! cron runs of them (`pointing`), what came of guarded deliveries (`probation`), Sendmail's restricted shell
//! (`smrsh`), whether lists are found by their addresses where no alias says them (`rcpt`), the hooks of site.toml (`hooks`), what is kept of lists' data (`snapshots`), and through
//! `addresses` at alias text and database.
//!
//! **Invariants.** Changes nothing. Silent when all is well. What cannot be looked at is
//! UNKNOWN, never OK.

pub(in crate::admin) mod doors;
mod files;
mod hooks;
mod layout;
mod lists;
mod owners;
mod pointing;
mod probation;
mod rcpt;
mod signs;
mod smrsh;
mod snapshots;
mod trees;

use std::path::Path;

use crate::admin::aliases::{self, Depth};
use crate::admin::cli;
use crate::admin::init;
use crate::admin::outcome::{Done, typed};
use crate::admin::step::no_state;
use crate::finding::{Finding, Kind, Mend, Quoted, Report, Severity, Spot};
use crate::parity::Parity;
use crate::profiles::Profile;
use crate::site::{Site, SiteError};
use crate::store::{self, StoreError};

/// The last line of every hint that only an editor can follow.
const EDIT: &str = "correct the file";

/// `check`, on a site that could be opened or not; `path` is that of site.toml.
pub fn check(path: &Path, site: &Result<Site, SiteError>, asked: &cli::Check) -> Done {
    let depth = match asked.no_database {
        true => Depth::Text,
        false => Depth::Database,
    };
    let mut findings = Vec::new();
    match site {
        Ok(site) => look(site, depth, &mut findings),
        Err(error) => findings.push(closed(path, error)),
    }
    let report = Report::new("mm-parity", path, findings);
    Done {
        text: report.shown(asked.format),
        status: Some(report.status()),
        ..Done::default()
    }
}

fn closed(path: &Path, error: &SiteError) -> Finding {
    Finding::new(
        (Kind::Site, Severity::Critical),
        error.to_string(),
        Spot::of_site(error, path),
        "the mail of all lists waits (75)",
        Mend::Do(EDIT.to_owned()),
    )
}

fn look(site: &Site, depth: Depth, findings: &mut Vec<Finding>) {
    accounts(site, findings);
    doors::look(site, findings);
    let loaded = match store::load(site) {
        Ok(loaded) => loaded,
        Err(error) => {
            return without_parity(site, &error, findings);
        }
    };
    if loaded.by_hand {
        findings.push(Finding::new(
            (Kind::ByHand, Severity::Warning),
            format!("{:?} was edited by hand", site.config.parity_file()),
            Spot::file(site.config.parity_file()),
            "it goes as the file says, but each delivery reads the whole file",
            Mend::Do(format!(
                "the next change by mm-parity records and seals it, such as {}",
                typed(site, "pin LIST")
            )),
        ));
    }
    let parity = loaded.parity;
    let (on_entries, known) = aliases::survey(site, &parity, depth);
    lists::look(site, &parity, known.as_ref(), findings);
    owners::look(site, &parity, known.as_ref(), findings);
    trees::look(site, &parity, known.as_ref(), findings);
    rcpt::look(site, &parity, known.as_ref(), findings);
    files::look(site, &parity, findings);
    probation::look(site, &parity, findings);
    signs::look(site, &parity, findings);
    layout::look(site, findings);
    pointing::look(site, &parity, findings);
    // A broken profile is told with the tree that it is of.
    let told: Vec<Kind> = findings.iter().map(Finding::kind).collect();
    let is_new =
        |finding: &Finding| finding.kind() != Kind::Profile || !told.contains(&Kind::Profile);
    findings.extend(on_entries.into_iter().filter(is_new));
    smrsh::look(site, findings);
    hooks::look(site, findings);
    history(site, &parity, findings);
    spare(site, findings);
    snapshots::look(site, findings);
}

fn accounts(site: &Site, findings: &mut Vec<Finding>) {
    let missing = init::accounts(site);
    if missing.is_empty() {
        return;
    }
    let words = Quoted::read(&site.path);
    for what in missing {
        let name = what.split('"').nth(1).unwrap_or_default().to_owned();
        findings.push(Finding::new(
            (Kind::Account, Severity::Warning),
            what,
            words.spot(&name),
            "what only this account may own or write is not trusted: mail waits for such programs",
            Mend::Do(format!("make the account, or correct {:?}", site.path)),
        ));
    }
}

/// Mail waits for all lists; what else can be looked at is looked at.
fn without_parity(site: &Site, error: &StoreError, findings: &mut Vec<Finding>) {
    let refused = no_state("check", site, error);
    let mend = match refused.hints.first() {
        Some(hint) => Mend::Type(hint.clone()),
        None => Mend::Do(EDIT.to_owned()),
    };
    for reason in refused.reasons {
        findings.push(Finding::new(
            (Kind::Parity, Severity::Critical),
            reason,
            Spot::of_store(error, &site.path),
            "the mail of all lists waits (75)",
            mend.clone(),
        ));
    }
    for tree in &site.config.trees {
        if let Err(error) = Profile::of(site, tree) {
            findings.push(trees::profile(site, tree, &error, Severity::Warning, None));
        }
    }
}

fn spare(site: &Site, findings: &mut Vec<Finding>) {
    let (path, Some(fault)) = store::spare(site) else {
        return;
    };
    findings.push(Finding::new(
        (Kind::Spare, Severity::Warning),
        format!("no room is kept for the day when the disk is full: {path:?}: {fault}"),
        Spot::file(path),
        "none waits for it; but on a full disk no list could be taken back or paused",
        Mend::Do(format!(
            "the next change by mm-parity makes it, such as {}; it needs a file system that \
             allocates blocks ahead, such as ext4, XFS or tmpfs",
            typed(site, "pin LIST")
        )),
    ));
}

fn history(site: &Site, parity: &Parity, findings: &mut Vec<Finding>) {
    const NONE: &str = "none waits for it; undo and `status` may not know what was";
    match store::history(site) {
        Err(error) => findings.push(Finding::new(
            (Kind::History, Severity::Warning),
            error.to_string(),
            Spot::of_store(&error, &site.path),
            NONE,
            Mend::Do("repair or remove that line".to_owned()),
        )),
        Ok(entries) => {
            let last = entries.last().map_or(0, |entry| entry.generation);
            if last != parity.roles.generation {
                let what = format!(
                    "parity.toml is at change {}, the history at {last}",
                    parity.roles.generation
                );
                findings.push(Finding::new(
                    (Kind::History, Severity::Warning),
                    what,
                    Spot::line(site.config.state.join("history.jsonl"), entries.len()),
                    NONE,
                    Mend::Do("the next change by mm-parity mends it".to_owned()),
                ));
            }
        }
    }
}
