//! What makes mail wait, or soon will.
//!
//! Looks at parity.toml and its seal, the alias entries, both trees and their releases, the
//! programs as the delivering users, paused lists, names without a list, and what a killed
//! writer left.
//!
//! **Invariants.** Changes nothing. Silent when all is well. What cannot be looked at is
//! UNKNOWN, never OK.

use std::collections::BTreeSet;

use serde_json::json;

use crate::admin::aliases::{self, Known};
use crate::admin::change::no_state;
use crate::admin::cli::Findings;
use crate::admin::init;
use crate::admin::outcome::{Done, names, typed};
use crate::admin::rights;
use crate::admin::terminal;
use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::{FutureState, Parity};
use crate::profiles::Profile;
use crate::site::{Site, SiteError};
use crate::store::{self, StoreError};
use crate::tree::Tree;

/// How bad a finding is, in the numbers of Nagios' plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Mail moves today; look at it.
    Warning = 1,
    /// Mail waits.
    Critical = 2,
    /// It cannot be told.
    Unknown = 3,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
            Severity::Unknown => "UNKNOWN",
        }
    }

    /// Critical first: what waits is worse than what is not known.
    fn rank(self) -> u8 {
        match self {
            Severity::Critical => 0,
            Severity::Unknown => 1,
            Severity::Warning => 2,
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// One word: `parity`, `aliases`, `tree`, …
    pub subject: &'static str,
    /// What is wrong.
    pub text: String,
    /// What to type.
    pub hint: Option<String>,
}

/// What was found, and what was counted on the way.
#[derive(Debug, Default)]
struct Found {
    findings: Vec<Finding>,
    counts: Option<Counts>,
}

#[derive(Debug)]
struct Counts {
    generation: u64,
    known: Option<usize>,
    ahead: usize,
    paused: usize,
}

/// `check`, on a site that could be opened or not.
pub fn check(site: &Result<Site, SiteError>, format: Findings) -> Done {
    let mut found = Found::default();
    match site {
        Ok(site) => look(site, &mut found),
        Err(error) => found.add(Severity::Critical, "site", error.to_string(), None),
    }
    found
        .findings
        .sort_by_key(|finding| finding.severity.rank());
    let status = found
        .findings
        .first()
        .map_or(0, |finding| finding.severity as u8);
    let text = match format {
        Findings::Text => found.findings.iter().map(line).collect(),
        Findings::Json => found.json(),
        Findings::Prometheus => found.prometheus(status),
    };
    Done {
        text,
        status: Some(status),
        ..Done::default()
    }
}

fn look(site: &Site, found: &mut Found) {
    for missing in init::accounts(site) {
        let hint = Some(format!("correct {:?}", site.path));
        found.add(Severity::Warning, "accounts", missing, hint);
    }
    let loaded = match store::load(site) {
        Ok(loaded) => loaded,
        Err(error) => return without_parity(site, &error, found),
    };
    if loaded.by_hand {
        let text = format!(
            "{:?} was edited by hand; deliveries read it more slowly",
            site.config.parity_file()
        );
        found.add(
            Severity::Warning,
            "parity",
            text,
            Some("the next change by mm-parity records and seals it".to_owned()),
        );
    }
    let parity = loaded.parity;
    let known = aliases::known(site, &parity);
    found.counts = Some(Counts {
        generation: parity.roles.generation,
        known: known.as_ref().ok().map(|known| known.lists.len()),
        ahead: parity.on_future.len(),
        paused: parity.paused.len(),
    });
    // Where the lists cannot be told, the look at the aliases says so.
    if let Ok(Known {
        enumerated: Ok(there),
        ..
    }) = &known
    {
        gone(site, &parity, there, found);
    }
    if let Ok(known) = &known {
        beyond(site, &parity, &known.lists, found);
    }
    let probe = probe(site, &parity);
    trees(site, &parity, probe.as_ref(), found);
    for (list, since) in &parity.paused {
        let text = format!(
            "{list} is paused since {since}: its mail is deferred{}",
            days(*since)
        );
        found.add(
            Severity::Warning,
            "paused",
            text,
            Some(typed(site, &format!("resume {list}"))),
        );
    }
    found.findings.extend(aliases::findings(site, &parity));
    history(site, &parity, found);
}

/// Mail waits for all lists; what else can be looked at is looked at.
fn without_parity(site: &Site, error: &StoreError, found: &mut Found) {
    let refused = no_state("check", site, error);
    for reason in refused.reasons {
        let hint = refused.hints.first().cloned();
        found.add(Severity::Critical, "parity", reason, hint);
    }
    for tree in &site.config.trees {
        if let Err(error) = Profile::of(site, tree) {
            let text = format!("tree {}: {error}", tree.name);
            found.add(Severity::Warning, "profile", text, None);
        }
    }
}

/// A list by which programs can be tried: one whose own standing is in order. Where nothing
/// says which lists there are, any name does: no program is run for it.
fn probe(site: &Site, parity: &Parity) -> Option<ListName> {
    let known = aliases::known_at_least(site, parity).lists;
    let plain = |list: &&ListName| !parity.on_future.contains(*list);
    known
        .iter()
        .find(plain)
        .or_else(|| known.first())
        .cloned()
        .or_else(|| ListName::parse("list").ok())
}

fn gone(site: &Site, parity: &Parity, there: &BTreeSet<ListName>, found: &mut Found) {
    let gone: Vec<&ListName> = parity
        .names()
        .into_iter()
        .filter(|list| !there.contains(*list))
        .collect();
    if !gone.is_empty() {
        let text = format!(
            "parity.toml names what is no list: {}",
            names(gone.iter().copied())
        );
        found.add(
            Severity::Warning,
            "lists",
            text,
            Some(typed(site, "forget LIST")),
        );
    }
}

/// Lists that only the future tree has, where its data are its own: no message finds them
/// there, and no glob means them. Directories are looked at; that converts nothing.
fn beyond(site: &Site, parity: &Parity, known: &BTreeSet<ListName>, found: &mut Found) {
    let roles = &parity.roles;
    let (Some(current), Some(future)) = (
        site.config.tree(&roles.current),
        site.config.other_tree(&roles.current),
    ) else {
        return;
    };
    if roles.future_state != FutureState::Ready || future.data == current.data {
        return;
    }
    // A tree that cannot tell its lists is looked at elsewhere.
    let there = Profile::of(site, future)
        .ok()
        .and_then(|profile| profile.enumerate(future).ok())
        .unwrap_or_default();
    let only: Vec<&ListName> = there.difference(known).collect();
    if !only.is_empty() {
        let text = format!("tree {} alone has: {}", future.name, names(only));
        let hint = typed(site, "upgrade LIST");
        found.add(Severity::Warning, "lists", text, Some(hint));
    }
}

fn trees(site: &Site, parity: &Parity, probe: Option<&ListName>, found: &mut Found) {
    let roles = &parity.roles;
    let Some(current) = site.config.tree(&roles.current) else {
        return;
    };
    let ahead = parity.on_future.len();
    let down = typed(site, "downgrade --all");
    let serving = Look {
        recorded: &roles.current_release,
        severity: Severity::Critical,
        way_out: (roles.future_state == FutureState::Retired)
            .then(|| typed(site, "commit --revert")),
    };
    serving.tree(site, current, probe, found);
    match site.config.other_tree(&current.name) {
        None if ahead > 0 => {
            let text = format!("{ahead} on a future tree that site.toml has not");
            found.add(Severity::Critical, "tree", text, Some(down));
        }
        None => {}
        Some(future) if roles.future_state == FutureState::Ready => {
            let serves = ahead > 0;
            let look = Look {
                recorded: &roles.future_release,
                severity: if serves {
                    Severity::Critical
                } else {
                    Severity::Warning
                },
                way_out: serves.then_some(down),
            };
            look.tree(site, future, probe, found);
        }
        Some(future) if ahead > 0 => {
            let text = format!(
                "{ahead} on tree {}, which is {}: their mail is deferred",
                future.name, roles.future_state
            );
            found.add(Severity::Critical, "tree", text, Some(down));
        }
        Some(_) => {}
    }
    let untried: Vec<String> =
        probe.map_or_else(Vec::new, |list| rights::check(site, current, list).untried);
    if !untried.is_empty() {
        let text = format!("only root can try the programs as {}", names(&untried));
        found.add(Severity::Unknown, "programs", text, None);
    }
}

/// How a tree is looked at.
struct Look<'a> {
    /// The release that parity.toml has for it.
    recorded: &'a str,
    /// How bad it is if the tree cannot serve.
    severity: Severity,
    /// What to type then, if anything helps but a repair.
    way_out: Option<String>,
}

impl Look<'_> {
    fn tree(&self, site: &Site, tree: &Tree, probe: Option<&ListName>, found: &mut Found) {
        let profile = match Profile::of(site, tree) {
            Ok(profile) => profile,
            Err(error) => {
                let text = format!("tree {}: {error}", tree.name);
                return found.add(self.severity, "profile", text, self.way_out.clone());
            }
        };
        match profile.release(tree) {
            Err(error) => {
                let text = format!("tree {}: no release: {error}", tree.name);
                found.add(Severity::Warning, "tree", text, None);
            }
            Ok(release) if release != self.recorded => {
                let text = format!(
                    "tree {} has release {release:?}, and {:?} is recorded",
                    tree.name, self.recorded
                );
                let hint = Some(typed(site, "verify"));
                found.add(Severity::Warning, "tree", text, hint);
            }
            Ok(_) => {}
        }
        let Some(list) = probe else { return };
        for problem in rights::check(site, tree, list).problems {
            found.add(self.severity, "programs", problem, self.way_out.clone());
        }
    }
}

fn history(site: &Site, parity: &Parity, found: &mut Found) {
    match store::history(site) {
        Err(error) => found.add(Severity::Warning, "history", error.to_string(), None),
        Ok(entries) => {
            let last = entries.last().map_or(0, |entry| entry.generation);
            if last != parity.roles.generation {
                let text = format!(
                    "parity.toml is at change {}, the history at {last}",
                    parity.roles.generation
                );
                found.add(
                    Severity::Warning,
                    "history",
                    text,
                    Some("the next change by mm-parity mends it".to_owned()),
                );
            }
        }
    }
}

/// How long ago, if it is a day or more.
fn days(since: Timestamp) -> String {
    match (Timestamp::now().0 - since.0) / 86_400 {
        0 => String::new(),
        1 => ", for a day".to_owned(),
        days => format!(", for {days} days (MTAs give up after 4 to 5)"),
    }
}

fn line(finding: &Finding) -> String {
    let hint = finding
        .hint
        .as_ref()
        .map_or_else(String::new, |hint| format!(" (hint: {hint})"));
    format!(
        "{}: {}: {}{hint}\n",
        finding.severity.word(),
        finding.subject,
        finding.text
    )
}

impl Found {
    fn add(
        &mut self,
        severity: Severity,
        subject: &'static str,
        text: String,
        hint: Option<String>,
    ) {
        self.findings.push(Finding {
            severity,
            subject,
            text,
            hint,
        });
    }

    fn json(&self) -> String {
        let rows: Vec<_> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "severity": finding.severity.word(),
                    "subject": finding.subject,
                    "text": finding.text,
                    "hint": finding.hint,
                })
            })
            .collect();
        let status = self
            .findings
            .first()
            .map_or("OK", |finding| finding.severity.word());
        terminal::json(&json!({"format": 1, "status": status, "findings": rows}))
    }

    fn prometheus(&self, status: u8) -> String {
        let mut text =
            String::from("# HELP mm_deliver_check_status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN\n");
        text +=
            &format!("# TYPE mm_deliver_check_status gauge\nmm_deliver_check_status {status}\n");
        text += "# TYPE mm_deliver_findings gauge\n";
        for severity in [Severity::Warning, Severity::Critical, Severity::Unknown] {
            let count = self
                .findings
                .iter()
                .filter(|finding| finding.severity == severity)
                .count();
            let word = severity.word().to_ascii_lowercase();
            text += &format!("mm_deliver_findings{{severity=\"{word}\"}} {count}\n");
        }
        let Some(counts) = &self.counts else {
            return text;
        };
        text += &format!(
            "# TYPE mm_deliver_generation gauge\nmm_deliver_generation {}\n",
            counts.generation
        );
        text += "# TYPE mm_deliver_lists gauge\n";
        text += &format!("mm_deliver_lists{{parity=\"future\"}} {}\n", counts.ahead);
        if let Some(known) = counts.known {
            text += &format!(
                "mm_deliver_lists{{parity=\"current\"}} {}\n",
                known.saturating_sub(counts.ahead)
            );
        }
        text += &format!(
            "# TYPE mm_deliver_paused_lists gauge\nmm_deliver_paused_lists {}\n",
            counts.paused
        );
        text
    }
}
