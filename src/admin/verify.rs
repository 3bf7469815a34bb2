//! A release that was installed by hand is looked at, tested, and recorded.
//!
//! Order: why it may not be now, the current tree's release, the future tree as an install's end
//! judges one (`install::judge`), one change in the history.
//!
//! **Invariants.** What fails is named whole, and nothing is changed. A tree that lists are on is
//! not judged anew. The writer's lock is held for the record alone: no way back waits for a test.

use crate::admin::change::Change;
use crate::admin::init;
use crate::admin::install;
use crate::admin::install::judge::{Judged, judge};
use crate::admin::outcome::{Outcome, Refused, guarded_until, lists, names, typed};
use crate::admin::request::{Mode, Request};
use crate::admin::step::{Step, no_state};
use crate::parity::{FutureState, Parity};
use crate::site::Site;
use crate::store::{self, Manifest};
use crate::tree::Tree;

/// `verify`.
///
/// # Errors
/// Every reason why the future tree takes no lists.
pub fn verify(site: &Site, request: &Request) -> Outcome {
    let seen = store::load(site).map_err(|error| no_state(request.act, site, &error))?;
    let future = site.config.other_tree(&seen.parity.roles.current);
    let _underway = match future {
        Some(future) => install::underway::take(site, future, request)?,
        None => None,
    };
    let judged = match future.filter(|_| seen.parity.on_future.is_empty()) {
        Some(future) => Some(look(site, &seen.parity, future)),
        None => None,
    };
    let files = files(site, &seen.parity, judged.as_ref().map(|look| &look.found));
    let mut change = Change::begin(site, request)?;
    let (current, future) = change.trees()?;
    let roles = change.parity().roles.clone();
    let here = init::runs(site, current).unwrap_or_else(|reason| {
        change.say(format!("note: {reason}"));
        roles.current_release.clone()
    });
    let ahead = change.parity().on_future.clone();
    let mut refused = Refused::empty(request.act);
    let there = match judged.filter(|_| ahead.is_empty()) {
        Some(judged) => {
            for note in &judged.found.notes {
                change.say(format!("note: {note}"));
            }
            refused.reasons = judged.found.reasons;
            refused.hints = judged.hints;
            // What was looked at is what is recorded, or it is looked at again.
            if change.parity().roles != seen.parity.roles && refused.reasons.is_empty() {
                refused
                    .reasons
                    .push("the trees were changed meanwhile".to_owned());
                refused
                    .hints
                    .push("what was typed may be typed again".to_owned());
            }
            judged.found.release
        }
        None => {
            passed_over(
                &mut change,
                future,
                here != roles.current_release,
                &mut refused,
            );
            None
        }
    };
    refused.if_any()?;
    let News { kept, changed } = files;
    let mut outcome = Record {
        here,
        there,
        changed,
    }
    .make(&mut change, current, future);
    if outcome.is_ok() {
        for (tree, manifest) in kept {
            install::manifest::keep(&mut change, manifest, tree);
        }
        outcome = Ok(());
    }
    outcome.map(|()| change.end())
}

/// What is to be recorded of the trees' files.
struct News<'a> {
    /// New manifests.
    kept: Vec<(&'a Tree, Result<Manifest, String>)>,
    /// What changed in the future tree since it was looked at last, in words.
    changed: Option<String>,
}

/// The trees' files, without a lock. Those of the current tree are recorded where nothing was before,
/// or of another release; what changed in it otherwise, check tells until somebody says that it was
/// meant (`patch`).
fn files<'a>(site: &'a Site, parity: &Parity, judged: Option<&Judged>) -> News<'a> {
    let mut news = News {
        kept: Vec::new(),
        changed: None,
    };
    let current = &parity.roles.current;
    let current = site.config.tree(current);
    if let Some(tree) = current
        && let Ok(release) = init::runs(site, tree)
    {
        let known = Manifest::read(site, &tree.name).ok().flatten();
        if known.is_none_or(|known| known.head.release != release) {
            news.kept
                .push((tree, install::manifest::of(site, tree, &release)));
        }
    }
    let future = site.config.other_tree(&parity.roles.current);
    let release = judged
        .filter(|judged| judged.reasons.is_empty())
        .and_then(|judged| judged.release.as_ref());
    if let (Some(tree), Some(release)) = (future, release) {
        let known = Manifest::read(site, &tree.name).ok().flatten();
        let changes = known
            .as_ref()
            .map(|known| install::manifest::changes(site, tree, known));
        let is_same = matches!(&changes, Some(Ok(changes)) if changes.paths.is_empty())
            && known.is_some_and(|known| known.head.release == *release);
        if !is_same {
            news.kept
                .push((tree, install::manifest::of(site, tree, release)));
        }
        news.changed = match changes {
            Some(Ok(changes)) if !changes.paths.is_empty() => Some(changes.told()),
            _ => None,
        };
    }
    news
}

/// What was seen in the future tree, and what helps where it takes no lists.
struct Look {
    found: Judged,
    hints: Vec<String>,
}

fn look(site: &Site, parity: &Parity, future: &Tree) -> Look {
    let roles = &parity.roles;
    // NOTHING NEW. To move lists into it would be a downgrade by another name.
    if roles.future_state == FutureState::Retired
        && init::runs(site, future).is_ok_and(|release| release == roles.future_release)
    {
        let reason = format!(
            "tree {} is retired and still has release {}: nothing was installed since the commit",
            future.name,
            roles.future_release.escape_debug()
        );
        return Look {
            found: Judged {
                reasons: vec![reason],
                ..Judged::default()
            },
            hints: vec![typed(site, "commit --revert")],
        };
    }
    Look {
        found: judge(site, parity, future),
        hints: Vec::new(),
    }
}

/// The future tree is not looked at: lists are on it.
fn passed_over(
    change: &mut Change<'_>,
    future: &Tree,
    has_other_news: bool,
    refused: &mut Refused,
) {
    let ahead = change.parity().on_future.clone();
    let text = format!(
        "tree {} is not looked at: {} on it: {}",
        future.name,
        lists(ahead.len()),
        names(&ahead)
    );
    if has_other_news {
        change.say(format!("note: {text}"));
    } else {
        refused.reasons.push(text);
        refused.hints.push(typed(change.site, "downgrade --all"));
    }
}

/// One change in the history, if anything is new.
struct Record {
    /// The current tree's release.
    here: String,
    /// The future tree's, if it may take lists.
    there: Option<String>,
    /// What changed in that one since it was looked at last.
    changed: Option<String>,
}

impl Record {
    fn make(self, change: &mut Change<'_>, current: &Tree, future: &Tree) -> Result<(), Refused> {
        let Record {
            here,
            there,
            changed,
        } = self;
        let (site, request) = (change.site, change.request);
        let roles = change.parity().roles.clone();
        let mut told = Vec::new();
        if here != roles.current_release {
            told.push(format!(
                "tree {} has release {}, not {} any more",
                current.name,
                here.escape_debug(),
                roles.current_release.escape_debug()
            ));
        }
        let is_new = |release: &String| {
            *release != roles.future_release
                || roles.future_state != FutureState::Ready
                || changed.is_some()
        };
        if let Some(release) = there.as_ref().filter(|&release| is_new(release)) {
            told.push(format!(
                "{} tree {} {}: lists may move there",
                change.verb("verified", "would verify"),
                future.name,
                release.escape_debug()
            ));
            if let Some(changed) = &changed {
                told.push(format!(
                    "changed in it since it was looked at last: {changed}"
                ));
            }
            if roles.future_state == FutureState::Retired {
                told.push(
                    "the commit is now taken back by undo alone, after this change".to_owned(),
                );
            }
        }
        if told.is_empty() {
            change.say(format!(
                "nothing to do: tree {} {} is ready",
                future.name,
                roles.future_release.escape_debug()
            ));
            return Ok(());
        }
        let verified = there.filter(is_new).map(|new| (future.name.as_str(), new));
        let is_guarded = verified.is_some();
        let after = change.parity().verified(here, verified);
        let judged = is_guarded.then(|| install::patch::judged_as(future, true));
        let step = Step {
            judged,
            ..Step::to(after)
        };
        change.carry_out(step, &told)?;
        if is_guarded {
            change.forget_beside(&install::versions::path(site));
            change.say(guarded_until(site, future));
        }
        if request.mode == Mode::Real {
            if change.parity().on_future.is_empty() {
                let next = install::next_upgrade(site, change.parity());
                change.say(format!("next: {next}"));
            }
            change.say(format!("the way back: {}", typed(site, "undo")));
        }
        Ok(())
    }
}
