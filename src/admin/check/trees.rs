//! Both trees: whether they can serve, whether they are what was recorded, and whether the users
//! who deliver could run their programs.
//!
//! **Invariants.** No list manager's program is run: mm-deliver is asked what it would run.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::ErrorKind::NotFound;

use crate::admin::aliases::{self, Known};
use crate::admin::outcome::{names, typed};
use crate::admin::releases;
use crate::admin::rights;
use crate::finding::{Finding, Kind, Mend, Quoted, Severity, Spot};
use crate::list::ListName;
use crate::parity::{FutureState, Parity};
use crate::profiles::Profile;
use crate::site::{Site, SiteError};
use crate::tree::Tree;

pub(super) fn look(
    site: &Site,
    parity: &Parity,
    known: Option<&Known>,
    findings: &mut Vec<Finding>,
) {
    let roles = &parity.roles;
    let Some(current) = site.config.tree(&roles.current) else {
        return;
    };
    let probe = probe(site, parity, known);
    let ahead = parity.on_future.len();
    let down = typed(site, "downgrade --all");
    let serving = Look {
        site,
        recorded: &roles.current_release,
        severity: Severity::Critical,
        way_out: (roles.future_state == FutureState::Retired)
            .then(|| typed(site, "commit --revert")),
        guarded: &roles.guarded,
        probe: probe.as_ref(),
    };
    serving.tree(current, findings);
    match site.config.other_tree(&current.name) {
        Some(future) if roles.future_state == FutureState::Ready => {
            let serves = ahead > 0;
            let look = Look {
                site,
                recorded: &roles.future_release,
                severity: match serves {
                    true => Severity::Critical,
                    false => Severity::Warning,
                },
                way_out: serves.then_some(down),
                guarded: &roles.guarded,
                probe: probe.as_ref(),
            };
            look.tree(future, findings);
        }
        _ if ahead == 0 => {}
        other => {
            let what = match other {
                Some(future) => format!(
                    "{ahead} on tree {}, which is {}",
                    future.name, roles.future_state
                ),
                None => format!("{ahead} on a future tree that site.toml has not"),
            };
            findings.push(Finding::new(
                (Kind::Tree, Severity::Critical),
                what,
                Spot::file(site.config.parity_file()),
                "the mail of these lists waits (75)",
                Mend::Type(down),
            ));
        }
    }
    untried(site, current, probe.as_ref(), findings);
}

/// A list by which programs can be tried: one whose own standing is in order. Where nothing
/// says which lists there are, any name does: no program is run for it.
fn probe(site: &Site, parity: &Parity, known: Option<&Known>) -> Option<ListName> {
    let lists = match known {
        Some(known) => Cow::Borrowed(&known.lists),
        None => Cow::Owned(aliases::known_at_least(site, parity).lists),
    };
    let plain = |list: &&ListName| !parity.on_future.contains(*list);
    lists
        .iter()
        .find(plain)
        .or_else(|| lists.first())
        .cloned()
        .or_else(|| ListName::parse("list").ok())
}

fn untried(site: &Site, tree: &Tree, probe: Option<&ListName>, findings: &mut Vec<Finding>) {
    let untried = probe.map_or_else(Vec::new, |list| rights::check(site, tree, list).untried);
    let Some(first) = untried.first() else { return };
    findings.push(Finding::new(
        (Kind::Untried, Severity::Unknown),
        format!("only root can try the programs as {}", names(&untried)),
        Quoted::read(&site.path).spot(first),
        "whether it would be delivered cannot be told",
        Mend::Do(format!("as root: {}", typed(site, "check"))),
    ));
}

/// A profile that cannot be used; `way_out` is what to type, if anything but a repair helps.
pub(super) fn profile(
    site: &Site,
    tree: &Tree,
    error: &SiteError,
    severity: Severity,
    way_out: Option<&String>,
) -> Finding {
    Finding::new(
        (Kind::Profile, severity),
        format!("tree {}: {error}", tree.name),
        Spot::of_site(error, &site.path),
        effect(severity),
        mend(way_out, "correct the profile, or the tree's `profile`"),
    )
}

fn effect(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "the mail of all lists on this tree waits (75)",
        _ => "none waits: no list is on this tree; none could move there",
    }
}

fn mend(way_out: Option<&String>, repair: &str) -> Mend {
    match way_out {
        Some(line) => Mend::Type(line.clone()),
        None => Mend::Do(repair.to_owned()),
    }
}

/// How a tree is looked at.
struct Look<'a> {
    site: &'a Site,
    /// The release that parity.toml has for it.
    recorded: &'a str,
    /// How bad it is if the tree cannot serve.
    severity: Severity,
    /// What to type then, if anything helps but a repair.
    way_out: Option<String>,
    guarded: &'a BTreeSet<String>,
    probe: Option<&'a ListName>,
}

impl Look<'_> {
    fn tree(&self, tree: &Tree, findings: &mut Vec<Finding>) {
        let way_out = self.way_out.as_ref();
        if std::fs::metadata(&tree.root).is_err_and(|error| error.kind() == NotFound) {
            // Said once: all that is missing in it is.
            return findings.push(Finding::new(
                (Kind::Tree, self.severity),
                format!("tree {} is gone", tree.name),
                Spot::file(&tree.root),
                effect(self.severity),
                mend(
                    way_out,
                    "put the release back, or mount what it is on; until then `pause` says so",
                ),
            ));
        }
        let profile = match Profile::of(self.site, tree) {
            Ok(profile) => profile,
            Err(error) => {
                let found = profile(self.site, tree, &error, self.severity, way_out);
                return findings.push(found);
            }
        };
        findings.extend(self.release(tree, &profile));
        let Some(list) = self.probe else { return };
        let programs = profile.programs(self.site, tree);
        let rights = match self.guarded.contains(&tree.name) {
            true => rights::check_guarded(self.site, tree, list),
            false => rights::check(self.site, tree, list),
        };
        let guard = self.site.config.guard();
        // What the lock file is to blame for is told of it, and no other tree would help.
        let lock = format!("{:?}", self.site.config.lock_file());
        let is_told = findings.iter().any(|finding| {
            (finding.kind(), finding.severity()) == (Kind::Lock, Severity::Critical)
        });
        for problem in rights.problems {
            if is_told && problem.contains(&lock) {
                continue;
            }
            let at_fault = |path: &&std::path::PathBuf| problem.contains(&format!("{path:?}"));
            let mut files = programs.iter().map(|(_, path)| path).chain([&guard]);
            let file = files.find(at_fault).unwrap_or(&tree.root);
            findings.push(Finding::new(
                (Kind::Program, self.severity),
                problem,
                Spot::file(file),
                effect(self.severity),
                mend(
                    way_out,
                    "mend what is named here; until then `pause` says so",
                ),
            ));
        }
        self.web(tree, list, findings);
    }

    /// What would answer requests with 503.
    fn web(&self, tree: &Tree, list: &ListName, findings: &mut Vec<Finding>) {
        for problem in rights::check_web(self.site, tree, list) {
            findings.push(Finding::new(
                (Kind::Web, Severity::Warning),
                problem,
                Spot::file(&tree.root),
                match self.severity {
                    Severity::Critical => {
                        "none waits; the web pages of its lists are answered with 503"
                    }
                    _ => "none waits; no list is on this tree; none could move there",
                },
                Mend::Do("mend what is named here, or take the user out of `[web]`".to_owned()),
            ));
        }
    }

    /// A tree that changed since it was looked at: nobody judged what is there now.
    fn release(&self, tree: &Tree, profile: &Profile) -> Option<Finding> {
        let other = releases::other(profile, tree, self.recorded)?;
        let repair = match other.is_known {
            true => Mend::Type(typed(self.site, "verify")),
            false => Mend::Do("install the release whole".to_owned()),
        };
        Some(Finding::new(
            (Kind::Release, Severity::Warning),
            other.what,
            Spot::file(other.file),
            "it goes on into what is there now, which nobody has looked at; lists' data may be \
             converted already",
            repair,
        ))
    }
}
