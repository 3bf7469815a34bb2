//! What is not well with the alias files: for cron, silent when nothing is.
//!
//! What an admin may have meant (an override, a name that a list must not take unasked) is no
//! trouble here; `diff` and `sync` show it.
//!
//! **Invariants.** Changes nothing. Says what it could not find out, too.

use std::collections::BTreeMap;

use super::compare::{Row, State, Taken};
use super::decide::View;
use super::disk;
use super::error::{AddressError, some_of};
use super::found::{Found, Means};
use super::needed::QUEUED;
use super::pipe::{Leads, serves, words};
use super::record::{self, Records};
use super::stays;
use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::Site;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Mail goes its way, but not as it should.
    Warning,
    /// It could not be found out.
    Unknown,
    /// Mail goes to the wrong tree, or nowhere.
    Critical,
}

/// One thing that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, one line.
    pub text: String,
    /// What to type.
    pub hint: Option<&'static str>,
}

impl Finding {
    fn new(severity: Severity, text: impl ToString, hint: Option<&'static str>) -> Finding {
        Finding {
            severity,
            text: text.to_string(),
            hint,
        }
    }
}

/// Everything that is not well with the entries and the MTA's database.
///
/// A look that fails is a finding of its own and hides none of the others.
///
/// # Errors
/// An alias file or profile cannot be read: nothing can be said of any entry.
pub fn findings(site: &Site, parity: &Parity) -> Result<Vec<Finding>, AddressError> {
    let found = Found::read(site)?;
    let view = View::new(site, parity, &found)?;
    let mut findings = Vec::new();
    if found.all().next().is_none() {
        let text = "the alias files hold no entry: mail to every list bounces";
        findings.push(Finding::new(
            Severity::Critical,
            text,
            Some("mm-aliases sync"),
        ));
    }
    for (tree, error) in view.trees.broken() {
        let severity = match serves(tree, parity) {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        let text = format!("the profile of tree {}: {error}", tree.name);
        findings.push(Finding::new(severity, text, None));
    }
    if let Err(error) = &view.known.enumerated {
        let text = format!("which lists there are cannot be told: {error}");
        // With no name of any list nothing below can find anything.
        let severity = match view.known.lists.is_empty() {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        findings.push(Finding::new(severity, text, None));
    }
    entries(&view, &mut findings);
    stale(&view, &mut findings);
    database(site, &view, &mut findings);
    match record::read(&record::path(site)) {
        Ok(records) => recorded(site, &view, &records, &mut findings),
        Err(error) => findings.push(Finding::new(
            Severity::Unknown,
            format!("what was adopted cannot be told: {error}"),
            Some("repair or remove that line"),
        )),
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

fn database(site: &Site, view: &View<'_>, findings: &mut Vec<Finding>) {
    let names = view.to_verify(&super::decide::Intent::Adopt(None));
    for file in &view.found.files {
        match disk::verify(site, file, &names) {
            Ok(wrong) => findings.extend(
                wrong
                    .into_iter()
                    .map(|text| Finding::new(Severity::Critical, text, Some("mm-aliases sync"))),
            ),
            Err(error) => findings.push(Finding::new(Severity::Unknown, error, None)),
        }
    }
}

fn recorded(site: &Site, view: &View<'_>, records: &Records, findings: &mut Vec<Finding>) {
    former_paths(view, records, findings);
    if records.torn {
        let text = format!(
            "{:?} ends in half a line, left by a kill",
            record::path(site)
        );
        let hint = Some("the next command that writes cuts it off");
        findings.push(Finding::new(Severity::Warning, text, hint));
    }
}

/// One word for the worst entry of each list: `ok`, `stale`, `taken`, `double`, `missing` or
/// `direct`, from good to bad.
///
/// # Errors
/// A file or profile cannot be read.
pub fn states(
    site: &Site,
    parity: &Parity,
    lists: &std::collections::BTreeSet<ListName>,
) -> Result<BTreeMap<ListName, &'static str>, AddressError> {
    const WORST_LAST: [&str; 6] = ["ok", "stale", "taken", "double", "missing", "direct"];
    let rank = |word: &str| WORST_LAST.iter().position(|&known| known == word);
    let found = Found::read(site)?;
    let view = View::new(site, parity, &found)?;
    let mut states: BTreeMap<ListName, &'static str> =
        lists.iter().map(|list| (list.clone(), "ok")).collect();
    let rows = view.rows(lists);
    let stale = view.stale();
    let words = rows.iter().map(|row| (&row.wanted.list, row.state.word()));
    for (list, word) in words.chain(stale.iter().map(|stale| (&stale.list, "stale"))) {
        if let Some(state) = states.get_mut(list)
            && rank(word) > rank(state)
        {
            *state = word;
        }
    }
    Ok(states)
}

fn entries(view: &View<'_>, findings: &mut Vec<Finding>) {
    let mut groups: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for row in view.all_rows() {
        let grave = match row.state {
            State::Missing(_) => row.wanted.name == row.wanted.list.local_part(),
            _ => leads_astray(view, &row),
        };
        if let Some(kind) = kind(&row.state, grave) {
            groups.entry(kind).or_default().push(row.wanted.name);
        } else if let Some((place, why)) = stays::included(view, &row) {
            let text = format!("{}: {}: {why}", view.found.shown(place), row.wanted.name);
            let hint = Some("write the program into the alias itself, then mm-aliases adopt");
            findings.push(Finding::new(Severity::Warning, text, hint));
        }
    }
    for ((severity, what, hint), names) in groups {
        let text = format!("{} {what}: {}", counted(names.len()), some_of(&names));
        findings.push(Finding {
            severity,
            text,
            hint: Some(hint),
        });
    }
}

fn counted(n: usize) -> String {
    match n {
        1 => "1 address".to_owned(),
        n => format!("{n} addresses"),
    }
}

/// How bad, in what state, and what to type.
type Kind = (Severity, &'static str, &'static str);

/// Whether an entry pipes straight into another tree than the one that serves its list: the
/// list is ahead, or the trees swapped roles since.
fn leads_astray(view: &View<'_>, row: &Row) -> bool {
    let Some(place) = row.place else { return false };
    let list = &row.wanted.list;
    let serves = view.trees.of(view.parity, list);
    view.found.destinations(place).iter().any(|means| {
        let Means::Pipe(command) = means else {
            return false;
        };
        match view.trees.leads(command) {
            Leads::Tree(tree, _, its) | Leads::Shell(tree, its) => {
                its == *list && serves.is_none_or(|(serving, _)| serving.name != tree)
            }
            _ => false,
        }
    })
}

/// `grave`: a missing name is where the list's posts go, or a direct one leads astray.
fn kind(state: &State, grave: bool) -> Option<Kind> {
    const WHY: &str = "mm-aliases adopt --dry-run says why";
    let severity = if grave {
        Severity::Critical
    } else {
        Severity::Warning
    };
    Some(match state {
        State::Missing(None) if grave => (
            severity,
            "missing, and what is posted there bounces",
            "mm-aliases sync",
        ),
        State::Missing(None) => (severity, "missing", "mm-aliases sync"),
        // Where another tree serves the list, this mail goes to the wrong one.
        State::Direct(None) => (severity, "straight into a tree", "mm-aliases adopt"),
        State::Direct(Some(_)) => (severity, "straight into a tree, not to be turned", WHY),
        State::Double(_) => (
            Severity::Warning,
            "more than once in the files",
            "mm-aliases diff shows where",
        ),
        State::Taken(Taken::Third(_)) => (
            Severity::Warning,
            "into a place that is no tree of this site",
            "mm-aliases diff shows where",
        ),
        State::Ok | State::Taken(_) | State::Missing(Some(_)) => return None,
    })
}

fn stale(view: &View<'_>, findings: &mut Vec<Finding>) {
    for stale in view.stale() {
        let place = view.found.shown(stale.place);
        let name = view.found.folded(stale.place).escape_debug().to_string();
        let text = format!("{place}: {name}: {}", stale.why);
        let hint = Some("mm-aliases sync --remove");
        findings.push(Finding {
            severity: Severity::Warning,
            text,
            hint,
        });
    }
}

/// Mail that is queued with its command expanded still runs what stood there before.
fn former_paths(view: &View<'_>, records: &Records, findings: &mut Vec<Finding>) {
    let since = Timestamp::now().0 - QUEUED;
    let mut gone: BTreeMap<String, usize> = BTreeMap::new();
    for record in &records.all {
        let recent = Timestamp::parse(&record.when).is_none_or(|when| when.0 >= since);
        let Some(before) = record.before.as_ref().filter(|_| recent) else {
            continue;
        };
        for means in view.found.means_of(&before.0) {
            let Means::Pipe(command) = means else {
                continue;
            };
            if matches!(
                view.trees.leads(&command),
                Leads::Tree(..) | Leads::Third(..)
            ) && let Some(&program) = words(&command).unwrap_or_default().first()
                && !std::path::Path::new(program).exists()
            {
                *gone.entry(program.to_owned()).or_default() += 1;
            }
        }
    }
    for (program, entries) in gone {
        findings.push(Finding {
            severity: Severity::Warning,
            text: format!(
                "{program:?} is gone, and mail that was queued in the last days may still run it \
                 ({entries} entries led there)"
            ),
            hint: Some("put it back until the queue is empty"),
        });
    }
}
