//! The lists: those that are gone, those that only the future tree has, those that are paused,
//! and whether their data can be read.
//!
//! **Invariants.** Looks at files; runs nothing, since a newer release's own list command would
//! convert every list.

use std::collections::BTreeSet;
use std::path::Path;

use crate::admin::aliases::Known;
use crate::admin::init;
use crate::admin::outcome::typed;
use crate::clock::Timestamp;
use crate::finding::{Finding, Kind, Mend, Quoted, Severity, Spot};
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Role};
use crate::profiles::Profile;
use crate::site::Site;

const DAY: i64 = 86_400;
/// From so many days on mail of a paused list is about to bounce.
///
/// Source: measured defaults; MTAs give up after 4 to 5 days.
const LONG: i64 = 3;

/// Where the lists cannot be told (`known`), the look at the aliases says so.
pub(super) fn look(
    site: &Site,
    parity: &Parity,
    known: Option<&Known>,
    findings: &mut Vec<Finding>,
) {
    paused(site, parity, findings);
    refused(site, findings);
    let Some(known) = known else { return };
    if let Ok(there) = &known.enumerated {
        gone(site, parity, there, findings);
        data(site, parity, there, findings);
    }
    beyond(site, parity, known, findings);
}

/// Lists that the list manager has and we do not, since their names are refused.
fn refused(site: &Site, findings: &mut Vec<Finding>) {
    let mut told: BTreeSet<&Path> = BTreeSet::new();
    for tree in &site.config.trees {
        let Some(some) = init::refused(site, tree).filter(|_| told.insert(&tree.data)) else {
            continue;
        };
        findings.push(Finding::new(
            (Kind::Name, Severity::Warning),
            some,
            Spot::file(&tree.data),
            "their mail goes past mm-deliver, and follows no move",
            Mend::Do(
                "give such a list a name without blanks and shell characters, or move its \
                 aliases by hand when the site commits"
                    .to_owned(),
            ),
        ));
    }
}

fn gone(site: &Site, parity: &Parity, there: &BTreeSet<ListName>, findings: &mut Vec<Finding>) {
    let names = parity.names();
    let gone: Vec<&ListName> = names.into_iter().filter(|l| !there.contains(*l)).collect();
    if gone.is_empty() {
        return;
    }
    let words = Quoted::read(&site.config.parity_file());
    for list in gone {
        let has_entries = parity.on_future.contains(list);
        findings.push(Finding::new(
            (Kind::NoList, Severity::Warning),
            format!("{list} is named in parity.toml, and is no list"),
            words.spot(list.as_str()),
            match has_entries {
                true => "what comes for it goes to the future tree, which bounces it",
                false => "none, unless entries for it still stand",
            },
            Mend::Type(typed(site, &format!("forget {list}"))),
        ));
    }
}

/// Lists that only the future tree has, where its data are its own: no message finds them
/// there, and no glob means them. Directories are looked at; that converts nothing.
fn beyond(site: &Site, parity: &Parity, known: &Known, findings: &mut Vec<Finding>) {
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
    for list in there.difference(&known.lists) {
        findings.push(Finding::new(
            (Kind::Beyond, Severity::Warning),
            format!("tree {} alone has list {list}", future.name),
            Spot::file(&future.data).named(list.as_str()),
            "it has no addresses, and what comes to it bounces",
            Mend::Type(typed(site, &format!("upgrade {list}"))),
        ));
    }
}

/// Each list's data version, as far as the profile of its tree knows one.
fn data(site: &Site, parity: &Parity, there: &BTreeSet<ListName>, findings: &mut Vec<Finding>) {
    let trees = site.config.trees.iter();
    let profiles: Vec<_> = trees
        .filter_map(|tree| Some((tree, Profile::of(site, tree).ok()?)))
        .collect();
    for list in there {
        let on_current = parity.of(list) == Role::Current;
        let its = profiles
            .iter()
            .find(|(tree, _)| (tree.name == parity.roles.current) == on_current);
        let Some((tree, profile)) = its else { continue };
        let Err(error) = profile.data_version(tree, list) else {
            continue;
        };
        let file = error.path().unwrap_or(&tree.data);
        findings.push(Finding::new(
            (Kind::Data, Severity::Warning),
            format!("the data of {list} do not say their version: {error}"),
            Spot::file(file).named(list.as_str()),
            "the list manager may not be able to load the list: it keeps or bounces its mail",
            Mend::Do("put the list manager's own last copy of that file back".to_owned()),
        ));
    }
}

fn paused(site: &Site, parity: &Parity, findings: &mut Vec<Finding>) {
    if parity.paused.is_empty() {
        return;
    }
    let words = Quoted::read(&site.config.parity_file());
    let now = Timestamp::now().0;
    for (list, since) in &parity.paused {
        let days = (now - since.0).max(0) / DAY;
        let severity = match days {
            0..LONG => Severity::Warning,
            _ => Severity::Critical,
        };
        let for_days = match days {
            0 => String::new(),
            1 => ", for a day".to_owned(),
            n => format!(", for {n} days"),
        };
        findings.push(Finding::new(
            (Kind::Paused, severity),
            format!("{list} is paused since {since}"),
            words.spot(list.as_str()),
            format!("its mail is deferred{for_days}; MTAs give up after 4 to 5 days, and bounce"),
            Mend::Type(typed(site, &format!("resume {list}"))),
        ));
    }
}
