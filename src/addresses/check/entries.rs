//! The entries that are there, or are not, against those that there should be.
//!
//! What is the same of many addresses is one finding with many places.
//!
//! **Invariants.** Judges; reads no file.

use std::collections::BTreeMap;

use super::group::{Group, finding, spot};
use super::held::held;
use super::undeliverable::Undeliverable;
use super::{includes, others, qualified, refused};
use crate::addresses::compare::{Row, Stale, StaleWhy, State, Taken};
use crate::addresses::found::{Means, Place};
use crate::addresses::leads::Leads;
use crate::addresses::qualified::{Past, past};
use crate::addresses::reserved::Holder;
use crate::addresses::typed::{quoted, typed};
use crate::addresses::view::View;
use crate::addresses::{sentinel, sync};
use crate::finding::{Finding, Kind, Mend, Severity, Spot};

/// What is not well with each wanted address, with entries of ours that should not be there,
/// and with the list manager's own addresses.
pub(super) fn look(view: &View<'_>, findings: &mut Vec<Finding>) {
    let rows = view.all_rows(|_| false);
    let mut groups: BTreeMap<Group, Vec<Spot>> = BTreeMap::new();
    let mut undeliverable = Undeliverable::default();
    let last = sync::last_entries(&view.trees, view.found, &rows);
    for row in &rows {
        if row.state == State::Ok && !view.found.may_include(row.place) {
            continue;
        }
        let name = &row.wanted.name;
        let spots: Vec<Spot> = match (&row.state, row.place) {
            (State::Double(places), _) => places.iter().map(|&p| spot(view, p, name)).collect(),
            (_, Some(place)) => vec![spot(view, place, name)],
            (State::Missing(Some(holder)), None) if held(view, *holder, name).is_some() => {
                held(view, *holder, name).into_iter().collect()
            }
            (_, None) => match last.get(&row.wanted.list) {
                Some(&place) => vec![spot(view, place, name)],
                None => vec![Spot::file(super::first_file(view.trees.site)).named(name)],
            },
        };
        let includes = row.place.is_some_and(|place| {
            let look = includes::look(view, place, Some(row), &mut groups);
            look && matches!(row.state, State::Taken(Taken::Override))
        });
        if let (State::Undeliverable(problem), Some(place)) = (&row.state, row.place) {
            undeliverable.add(view, row, place, problem);
        } else if let Some(group) = judge(view, row).filter(|_| !includes) {
            groups.entry(group).or_default().extend(spots);
        }
    }
    for stale in view.stale() {
        let name = view.found.folded(stale.place);
        groups
            .entry(judge_stale(view, &stale))
            .or_default()
            .push(spot(view, stale.place, &name));
    }
    site_wide(view, &mut groups);
    undeliverable.tell(findings);
    others::look(view, &rows, &mut groups);
    refused::look(view, &mut groups);
    qualified::look(view, &mut groups);
    for (group, spots) in groups {
        findings.extend(finding(group, spots));
    }
}

/// What is not well with a wanted address.
fn judge(view: &View<'_>, row: &Row) -> Option<Group> {
    let site = view.trees.site;
    let is_posting = row.wanted.name == row.wanted.list.local_part();
    let group = |kind, severity, what: &str, effect: &str, mend| Group {
        kind,
        severity,
        what: what.to_owned(),
        effect: effect.to_owned(),
        mend,
    };
    Some(match &row.state {
        State::Missing(None) if is_posting => group(
            Kind::Missing,
            Severity::Critical,
            "missing, to which people post",
            "what is posted there bounces (no such user)",
            super::sync(site),
        ),
        State::Missing(None) => group(
            Kind::Missing,
            Severity::Warning,
            "missing",
            "mail to it bounces (no such user)",
            super::sync(site),
        ),
        State::Direct(why) => direct(view, row, why.as_ref().map(ToString::to_string)),
        State::Double(_) => group(
            Kind::Double,
            Severity::Warning,
            "in lines of the same name",
            "Postfix and Exim take the first line, Sendmail and OpenSMTPD the last, or no line",
            Mend::Do(format!(
                "remove all but one line of each name, then {}",
                typed(site, "sync")
            )),
        ),
        State::Taken(taken @ Taken::Third(_)) => group(
            Kind::Taken,
            Severity::Warning,
            &format!("taken: {taken}"),
            "it runs that program wherever the list is, and follows no move",
            Mend::Do(format!(
                "let it pipe into a tree of {:?}, then {}",
                site.path,
                typed(site, "adopt")
            )),
        ),
        State::Taken(taken @ Taken::OtherSite(_)) => group(
            Kind::Taken,
            Severity::Warning,
            &format!("taken: {taken}"),
            "it goes where that site says, and follows no move of this one",
            Mend::Do(format!(
                "if that is not meant: remove the line, then {}",
                typed(site, "sync")
            )),
        ),
        State::Taken(taken @ Taken::Circle) => group(
            Kind::Taken,
            Severity::Warning,
            &format!("taken: {taken}"),
            "mail to it goes round among the list's addresses, and bounces",
            Mend::Do(format!("remove the line, then {}", typed(site, "sync"))),
        ),
        State::Taken(Taken::Otherwise) if is_posting => group(
            Kind::Taken,
            Severity::Warning,
            "taken, to which people post",
            "what is posted to this list goes to another list, or elsewhere in this one",
            Mend::Type(typed(site, &format!("sync --claim {}", row.wanted.name))),
        ),
        State::Taken(Taken::Override) if is_posting => group(
            Kind::Taken,
            Severity::Warning,
            "taken, to which people post: it leads elsewhere",
            "what is posted there goes where that line says, and does not reach the list",
            Mend::Do(format!(
                "if that is not meant: remove the line, then {}",
                typed(site, "sync")
            )),
        ),
        // Told with its line.
        State::Missing(Some(Holder::Domain)) if Past::of(&past(view), row).is_some() => {
            return None;
        }
        State::Missing(Some(holder)) if is_posting => group(
            Kind::Missing,
            Severity::Warning,
            &format!("held back, to which people post: {holder}"),
            "what is posted there goes to whoever has that name, or bounces, and does not reach \
             the list",
            Mend::Type(typed(site, &format!("sync --claim {}", row.wanted.name))),
        ),
        // The one that an alias names is the list's own, as likely as not.
        State::Missing(Some(holder @ Holder::Destination)) => group(
            Kind::Missing,
            Severity::Warning,
            &format!("held back: {holder}"),
            "it goes to whoever has that name, or bounces, and does not reach the list",
            Mend::Type(typed(site, &format!("sync --claim {}", row.wanted.name))),
        ),
        State::Ok | State::Taken(_) | State::Missing(Some(_)) | State::Undeliverable(_) => {
            return None;
        }
    })
}

fn direct(view: &View<'_>, row: &Row, why: Option<String>) -> Group {
    let site = view.trees.site;
    let (severity, effect) = match astray(view, row) {
        Some(effect) => (Severity::Critical, effect),
        None => (
            Severity::Warning,
            "it goes into that tree whatever mm-parity says: it will not follow a move".to_owned(),
        ),
    };
    let (what, mend) = match why {
        None => (
            "straight into a tree".to_owned(),
            Mend::Type(typed(site, "adopt")),
        ),
        Some(why) => (
            format!("straight into a tree, not to be turned: {why}"),
            Mend::Do(format!(
                "let the tree's program stand alone in the line, then {}",
                typed(site, "adopt")
            )),
        ),
    };
    Group {
        kind: Kind::Direct,
        severity,
        what,
        effect,
        mend,
    }
}

/// Where an entry pipes straight into another tree than the one that serves its list: what
/// happens. The list is ahead, or the trees swapped roles since.
fn astray(view: &View<'_>, row: &Row) -> Option<String> {
    let list = &row.wanted.list;
    let serves = view.trees.of(view.parity, list);
    let means = view.found.destinations(row.place?);
    means.iter().find_map(|means| {
        let Means::Pipe(command) = means else {
            return None;
        };
        let (tree, its) = match view.trees.leads(command) {
            Leads::Tree(tree, _, its) | Leads::Shell(tree, its) => (tree, its),
            // Under the list's own name: whatever it asks for there, it is the list's.
            Leads::Odd(tree, _) => (tree, list.clone()),
            _ => return None,
        };
        match serves {
            _ if its != *list => None,
            Some((serving, _)) if serving.name == tree => None,
            Some((serving, _)) => Some(format!(
                "it goes into tree {tree}, and its list is on tree {}",
                serving.name
            )),
            None => Some(format!("it goes into tree {tree}, where its list is not")),
        }
    })
}

fn judge_stale(view: &View<'_>, stale: &Stale) -> Group {
    let site = view.trees.site;
    let remove = typed(site, "sync --remove");
    let effect = match stale.why {
        StaleWhy::Gone => "a tree's program is asked for a list that is gone, and bounces it",
        StaleWhy::Unused => "it is refused as unknown (67), or waits if no tree knows the verb",
    };
    let sentinel = view
        .trees
        .current(view.parity)
        .filter(|(tree, _)| stale.why == StaleWhy::Gone && sentinel::check(tree).is_err())
        .map(|(tree, _)| tree.sentinel());
    let mend = match sentinel {
        _ if view.found.destinations(stale.place).len() > 1 => {
            Mend::Do("take mm-deliver out of the line: others are served by it".to_owned())
        }
        // One line that mends, for whoever has looked.
        Some(path) => Mend::Do(format!(
            "if the lists' data are mounted: touch {} && {remove}",
            quoted(&path.to_string_lossy())
        )),
        None => Mend::Type(remove),
    };
    Group {
        kind: Kind::Stale,
        severity: Severity::Warning,
        what: format!("stale: {}", stale.why),
        effect: effect.to_owned(),
        mend,
    }
}

/// Entries whose mail is appended to a file in a tree that is not the current one: those of the
/// list manager as a whole (`mailman-loop`), which no move and no commit turns.
fn site_wide(view: &View<'_>, groups: &mut BTreeMap<Group, Vec<Spot>>) {
    let site = view.trees.site;
    let Some(current) = site.config.tree(&view.parity.roles.current) else {
        return;
    };
    let is_more = |&place: &Place| view.found.plain_pipe(place).is_none();
    for place in view.found.all().filter(is_more) {
        for means in view.found.destinations(place) {
            let Means::File(file) = means else { continue };
            let file = String::from_utf8_lossy(&file).into_owned();
            let path = std::path::Path::new(&file);
            let mut others = site.config.trees.iter().filter(|tree| {
                // The data of both may lie in one of them.
                tree.name != current.name
                    && path.starts_with(&tree.root)
                    && !path.starts_with(&current.data)
            });
            let Some(other) = others.next() else { continue };
            let rest = path.strip_prefix(&other.root).unwrap_or(path);
            let group = Group {
                kind: Kind::SiteWide,
                severity: Severity::Warning,
                what: format!("into tree {}, which is not current", other.name),
                effect: "it is kept where the current release does not look, and waits once that \
                         tree is removed"
                    .to_owned(),
                mend: Mend::Do(format!(
                    "let it lead to {:?}, then {}",
                    current.root.join(rest),
                    typed(site, "sync")
                )),
            };
            let name = view.found.folded(place);
            groups
                .entry(group)
                .or_default()
                .push(spot(view, place, &name));
        }
    }
}
