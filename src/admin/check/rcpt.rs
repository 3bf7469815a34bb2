//! Whether lists are found by their addresses, where the MTA tells mm-deliver no list
//! (`rcpt = true` in `[deliver]`).
//!
//! **Invariants.** Asks mm-deliver itself, as the users who deliver; looks at every list, runs
//! nothing of a list manager.

use crate::addresses::rights;
use crate::admin::aliases::Known;
use crate::admin::outcome::names;
use crate::finding::{Finding, Kind, Mend, Quoted, Severity, Spot};
use crate::list::ListName;
use crate::parity::{Parity, Role};
use crate::rcpt;
use crate::site::Site;
use crate::tree::Tree;

/// Where the lists cannot be told (`known`), the look at the aliases says so.
pub(super) fn look(
    site: &Site,
    parity: &Parity,
    known: Option<&Known>,
    findings: &mut Vec<Finding>,
) {
    if !site.config.rcpt {
        return;
    }
    for tree in &site.config.trees {
        let on_current = tree.name == parity.roles.current;
        let is_its = |list: &&ListName| (parity.of(list) == Role::Current) == on_current;
        let there = known.and_then(|known| known.enumerated.as_ref().ok());
        let lists: Vec<&ListName> = there.into_iter().flatten().filter(is_its).collect();
        if on_current || !lists.is_empty() {
            findings.extend(tells(site, tree).or_else(|| found(site, parity, tree, &lists)));
            findings.extend(unsure(tree));
        }
    }
}

/// That the profile does not say how a list is seen. A broken one is told with the tree.
fn tells(site: &Site, tree: &Tree) -> Option<Finding> {
    let routing = site.routing(tree).ok()?;
    routing.exists.is_empty().then(|| {
        Finding::new(
            (Kind::Rcpt, Severity::Critical),
            format!(
                "tree {}: site.toml says `rcpt = true`, and profile {:?} has no `exists`",
                tree.name, tree.profile
            ),
            Quoted::read(&site.path).spot(&tree.profile),
            "what comes by address for its lists, and for no list, waits (75)",
            Mend::Do(format!(
                "say `exists` in {:?}, or serve these lists by aliases",
                site.profile_file(&tree.profile)
            )),
        )
    })
}

/// That lists which there are would not be found.
fn found(site: &Site, parity: &Parity, tree: &Tree, lists: &[&ListName]) -> Option<Finding> {
    let routing = site.routing(tree).ok()?;
    let is_lost = |list: &ListName| !rcpt::is_there(tree, &routing, list).is_ok_and(|is| is);
    let lost: Vec<&ListName> = lists.iter().copied().filter(|list| is_lost(list)).collect();
    if let Some(first) = lost.first() {
        return Some(Finding::new(
            (Kind::Rcpt, Severity::Critical),
            format!(
                "tree {}: `exists` of profile {:?} finds no data of {}",
                tree.name,
                tree.profile,
                names(lost.iter().copied())
            ),
            Quoted::read(&site.path)
                .spot(&tree.profile)
                .named(first.as_str()),
            "what comes by address for them is refused as unknown (67), or waits",
            Mend::Do("look at the lists' data, and at `exists` in the profile".to_owned()),
        ));
    }
    let one = lists
        .iter()
        .find(|list| !parity.paused.contains_key(**list))?;
    let denied = rights::rcpt_denied(site, tree, one);
    let first = denied.first()?;
    Some(Finding::new(
        (Kind::Rcpt, Severity::Critical),
        format!(
            "tree {}: {one} is not found by its address: {first}",
            tree.name
        ),
        Spot::file(&tree.data).named(one.as_str()),
        "what comes by address waits (75), or is refused as unknown (67)",
        Mend::Do("let the users who deliver look at the lists' data".to_owned()),
    ))
}

/// That the data could be missing as a whole without anybody knowing.
fn unsure(tree: &Tree) -> Option<Finding> {
    let path = tree.sentinel();
    if path.exists() {
        return None;
    }
    Some(Finding::new(
        (Kind::Rcpt, Severity::Warning),
        format!("{path:?} is missing: a list that is not found may be one that is not mounted"),
        Spot::file(&path),
        "what comes by address for no list waits (75), in the place of being refused",
        Mend::Do(format!("once the lists' data are mounted: touch {path:?}")),
    ))
}
