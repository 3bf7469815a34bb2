//! The last change taken back, and one further back each time.
//!
//! Taking a downgrade back is an upgrade with all its checks; taking a commit back is a
//! revert, and a revert back a commit. What remains is put back as it was.
//!
//! **Invariants.** What the history does not tell is not guessed.

use std::collections::{BTreeMap, BTreeSet};

use crate::admin::aliases;
use crate::admin::change::Change;
use crate::admin::closing::Moves;
use crate::admin::commit;
use crate::admin::fence;
use crate::admin::moving::{step_ahead, tell_of_mail, told_of};
use crate::admin::outcome::{Outcome, Refused, few, names, typed};
use crate::admin::releases::{self, refuse_commit};
use crate::admin::request::{DataChoice, Mode, Request};
use crate::admin::step::{Step, no_state};
use crate::admin::trust::refuse_trouble;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Role};
use crate::site::Site;
use crate::snapshots::{self, Restoring, Shot, Snapshot, SnapshotError, Store};
use crate::store::{self, Entry};

/// `undo`.
///
/// # Errors
/// There is nothing to take back, or what was changed does not stand any more, or a check
/// of an upgrade or a commit says no.
pub fn undo(site: &Site, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let entries = change.history()?;
    let Some(entry) = store::undoable(&entries) else {
        return Err(change
            .refuse("no change is left to take back")
            .hint(typed(site, "history")));
    };
    let after = entry
        .taken_back(change.parity())
        .map_err(|error| no_state(request.act, site, &error))?;
    let (after, told) = without_install(&change, &entries, entry, after);
    change.say(format!(
        "{} change {}: {:?} of {} by {}",
        change.verb("taking back", "would take back"),
        entry.generation,
        entry.command,
        entry.when.escape_debug(),
        entry.user.escape_debug()
    ));
    take_back(&mut change, entry, after)?;
    for line in told {
        change.say(line);
    }
    if let Some(next) = store::undoable_before(&entries, entry.generation) {
        change.say(format!(
            "one change further back ({:?}): {}",
            next.command,
            typed(site, "undo")
        ));
    }
    Ok(change.end())
}

/// What an install leaves that is taken back: no file is put back, so its tree takes no lists.
fn without_install(
    change: &Change<'_>,
    entries: &[Entry],
    entry: &Entry,
    after: Parity,
) -> (Parity, Vec<String>) {
    let mark = match (entry.marks_install(), entry.ends_install()) {
        (true, _) => Some(entry),
        (_, true) => store::install_mark(entries, entry.generation),
        _ if entry.command.starts_with("patch ") => {
            let told = "no file of a tree is put back by this: that is another patch, with the files \
                        from before";
            return (after, vec![told.to_owned()]);
        }
        _ => return (after, Vec::new()),
    };
    let before = mark.and_then(|mark| mark.before.future_state.as_deref());
    let before = before.and_then(FutureState::parse);
    let Ok((_, future)) = change.trees() else {
        return (after, Vec::new());
    };
    let (site, was) = (change.site, after.roles.future_release.clone());
    let after = after.without_install(&future.name, before.unwrap_or(FutureState::Empty));
    let mut told = vec![match was.as_str() {
        "" => format!(
            "the files of tree {} are as the install left them",
            future.name
        ),
        was => format!(
            "the files of tree {} are as the install left them: the release before, {was:?}, must be \
             installed there again: {}",
            future.name,
            typed(site, "install COMMAND")
        ),
    }];
    told.extend(
        store::Underway::by(site).map(|running| {
            format!("{running}: that is not ended; what comes of it is not recorded")
        }),
    );
    (after, told)
}

fn take_back(change: &mut Change<'_>, entry: &Entry, after: Parity) -> Result<(), Refused> {
    let before = change.parity().clone();
    let undoes = Some(entry.generation);
    if after.roles.current != before.roles.current {
        return match (before.roles.future_state, after.roles.future_state) {
            (FutureState::Retired, FutureState::Ready) => {
                let step = commit::step_back(change)?;
                commit::carry_out_back(change, Step { undoes, ..step })
            }
            (FutureState::Ready, FutureState::Retired) => {
                refuse_trouble(change, "commit --force")?;
                refuse_commit(change, "commit --force")?;
                let step = commit::step(change, "commit --all")?;
                commit::refuse_direct(change)?;
                commit::carry_out(change, Step { undoes, ..step })
            }
            _ => Err(change
                .refuse("the trees' parts were changed by hand: only a hand can change them back")),
        };
    }
    let ahead = only(&after.on_future, &before.on_future);
    let back = only(&before.on_future, &after.on_future);
    let mut told = told_of_trees(change, &after);
    let mut step = Step::to(after);
    if !ahead.is_empty() {
        told.extend(told_of(
            change,
            change.verb("upgraded", "would upgrade"),
            &ahead,
            Role::Current,
        ));
        let (there, gone) = existing(change, &ahead)?;
        step.gone.clone_from(&gone);
        if !gone.is_empty() {
            told.push(format!(
                "no such list any more, and no aliases are made: {}",
                names(&gone)
            ));
        }
        if !there.is_empty()
            && let Some(checked) = step_ahead(change, &there)?
        {
            step.first = checked.first;
            step.fence = checked.fence;
        }
    }
    if !back.is_empty() {
        told.extend(told_of(
            change,
            change.verb("downgraded", "would downgrade"),
            &back,
            Role::Future,
        ));
    }
    step.restore = restore(
        change,
        (&ahead, &back),
        entry,
        &mut step.fence,
        step.after.roles.generation,
    )?;
    step.moves = match (ahead.is_empty(), back.is_empty()) {
        (false, _) => Some(Moves::Ahead(ahead.union(&back).cloned().collect())),
        (true, false) => Some(Moves::Back(back.clone())),
        (true, true) => stays(&step),
    };
    step.undoes = undoes;
    let paused = |parity: &Parity| parity.paused.keys().cloned().collect::<BTreeSet<_>>();
    let (paused, resumed) = (
        only(&paused(&step.after), &paused(&before)),
        only(&paused(&before), &paused(&step.after)),
    );
    let (pinned, unpinned) = (
        only(&step.after.pinned, &before.pinned),
        only(&before.pinned, &step.after.pinned),
    );
    for (word, lists) in [
        ("paused", &paused),
        ("resumed", &resumed),
        ("pinned", &pinned),
        ("unpinned", &unpinned),
    ] {
        if !lists.is_empty() {
            told.push(format!("{word}: {}", names(lists)));
        }
    }
    change.carry_out(step, &told)?;
    for (act, lists) in [
        ("downgrade", &ahead),
        ("upgrade", &back),
        ("resume", &paused),
        ("pause", &resumed),
        ("unpin", &pinned),
        ("pin", &unpinned),
    ] {
        tell_the_way_again(change, act, lists);
    }
    if !back.is_empty() || !resumed.is_empty() {
        tell_of_mail(change);
    }
    Ok(())
}

/// What is put back of the lists' data: what the change that is taken back had set aside; else what
/// was asked for the lists that go `back`.
fn restore(
    change: &mut Change<'_>,
    (ahead, back): (&BTreeSet<ListName>, &BTreeSet<ListName>),
    entry: &Entry,
    fence: &mut Option<Shot>,
    generation: u64,
) -> Result<Option<Restoring>, Refused> {
    if !back.is_empty() {
        return fence::back(change, back, generation);
    }
    if change.request.data == DataChoice::Keep {
        if !entry.restored.is_empty() {
            change.say("the data stay as that change has put them back");
        }
        return Ok(None);
    }
    let (aside, broken) = snapshots::set_aside_by(&Store::of(change.site), entry.generation)
        .map_err(|error| change.refuse(error))?;
    refuse_missing(change, entry, &aside, &broken)?;
    let mut found = Vec::new();
    for (name, snapshot) in aside {
        let list = change
            .site
            .list(&name)
            .map_err(|_| change.refuse(format!("{name:?} is no list")))?;
        if ahead.is_empty() || ahead.contains(&list) {
            found.push((list, snapshot));
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    // What stands there is set aside as it is: no second copy of it is needed.
    if found.len() == ahead.len() {
        *fence = None;
    }
    let (current, future) = change.trees()?;
    let roles = change.parity().roles.clone();
    let on_future = found
        .iter()
        .all(|(list, _)| change.parity().of(list) == Role::Future);
    let tree = match on_future {
        true => (future, roles.future_release.as_str()),
        false => (current, roles.current_release.as_str()),
    };
    fence::restoring(change, found, tree, generation).map(Some)
}

/// What was set aside by the change must be there, or nothing of it would be taken back.
fn refuse_missing(
    change: &Change<'_>,
    entry: &Entry,
    aside: &BTreeMap<String, Snapshot>,
    broken: &[SnapshotError],
) -> Result<(), Refused> {
    let mut missing = entry
        .restored
        .iter()
        .filter(|list| !aside.contains_key(*list));
    let Some(first) = missing.next() else {
        return Ok(());
    };
    let all: Vec<_> = [first].into_iter().chain(missing).collect();
    let all: Vec<_> = all
        .iter()
        .map(|list| list.escape_debug().to_string())
        .collect();
    let mut refused = change.refuse(format!(
        "what change {} set aside of the data of {} is not in {:?} any more, or cannot be read",
        entry.generation,
        all.join(", "),
        Store::of(change.site).path
    ));
    refused
        .reasons
        .extend(broken.iter().map(ToString::to_string));
    let keep = typed(change.site, "undo --keep-data");
    Err(refused.hint(format!(
        "to take back the rest, and leave the data as they are: {keep}"
    )))
}

/// The lists that change no tree, and whose data are put back.
fn stays(step: &Step<'_>) -> Option<Moves> {
    let restore = step.restore.as_ref()?;
    let names = restore
        .lists()
        .filter_map(|name| ListName::parse(name).ok());
    Some(Moves::Still(names.collect()))
}

/// Of `lists` those that something besides the history knows, and the others: names that
/// `forget` dropped come back as they were, without a list behind them.
fn existing(
    change: &Change<'_>,
    lists: &BTreeSet<ListName>,
) -> Result<(BTreeSet<ListName>, BTreeSet<ListName>), Refused> {
    let (_, future) = change.trees()?;
    let known = change.known()?;
    // What cannot be told is not "gone".
    let Ok(enumerated) = known.enumerated else {
        return Ok((lists.clone(), BTreeSet::new()));
    };
    let mut there = enumerated;
    there.extend(known.in_aliases);
    // What only the future tree has may be there as well.
    there.extend(aliases::enumerate(change.site, &future.name).unwrap_or_default());
    Ok(lists.iter().cloned().partition(|list| there.contains(list)))
}

/// What becomes of the trees themselves, where a look at them is taken back.
fn told_of_trees(change: &Change<'_>, after: &Parity) -> Vec<String> {
    let (now, then) = (&change.parity().roles, &after.roles);
    let mut told = Vec::new();
    if now.current_release != then.current_release {
        let (tree, release) = (&then.current, then.current_release.escape_debug());
        told.push(format!("recorded for tree {tree}: {release}"));
        let its = change.trees().ok().map(|(current, _)| current);
        let other = its.and_then(|its| releases::other_in(change.site, its, &then.current_release));
        told.extend(other.map(|other| {
            format!(
                "{}; to record it: {}",
                other.what,
                typed(change.site, "verify")
            )
        }));
    }
    if (now.future_state, &now.future_release) != (then.future_state, &then.future_release) {
        told.push(format!(
            "the future tree is {} again, with {} recorded",
            then.future_state,
            match then.future_release.as_str() {
                "" => "no release".to_owned(),
                release => format!("{release:?}"),
            }
        ));
        told.extend(what_next(change, after));
    }
    for (trees, word) in [
        (then.guarded.difference(&now.guarded), "is guarded again"),
        (
            now.guarded.difference(&then.guarded),
            "is not guarded any more",
        ),
    ] {
        told.extend(trees.map(|tree| format!("tree {tree} {word}")));
    }
    told
}

/// What the future tree cannot be chosen for under the release that is recorded again, and what
/// to type: files are not put back.
fn what_next(change: &Change<'_>, after: &Parity) -> Option<String> {
    let site = change.site;
    let (_, future) = change.trees().ok()?;
    let verify = typed(site, "verify");
    let kept = match after.roles.future_state {
        FutureState::Ready => "no list can move there",
        FutureState::Retired => "no commit can be taken back to it",
        FutureState::Empty | FutureState::Installing | FutureState::Broken => {
            return Some(format!("no list can move there until: {verify}"));
        }
    };
    let recorded = &after.roles.future_release;
    let other = releases::other_in(site, future, recorded)?;
    Some(format!(
        "{kept}: {}; install {recorded:?} again, or: {verify}",
        other.what
    ))
}

fn only(these: &BTreeSet<ListName>, those: &BTreeSet<ListName>) -> BTreeSet<ListName> {
    these.difference(those).cloned().collect()
}

/// How to have again what was taken back; a second undo would go further back.
fn tell_the_way_again(change: &mut Change<'_>, act: &str, lists: &BTreeSet<ListName>) {
    if lists.is_empty() || change.request.mode == Mode::Trial {
        return;
    }
    let parity = change.parity();
    let is_all =
        act == "downgrade" && *lists == parity.on_future && lists.is_disjoint(&parity.pinned);
    // However many they are: nothing else that could be typed means these very lists.
    let names = lists.iter().map(ListName::as_str).collect::<Vec<_>>();
    let words = match is_all && few(lists).is_none() {
        true => "--all".to_owned(),
        false => names.join(" "),
    };
    change.say(format!(
        "the way back: {}",
        typed(change.site, &format!("{act} {words}"))
    ));
}
