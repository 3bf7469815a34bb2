//! Lists that move: upgrade to the future tree, downgrade to the current one.
//!
//! **Invariants.** All lists of one command, or none. A downgrade asks nothing of the tree
//! that the lists leave, nor of the enumeration: taking back is never refused for what is
//! broken.

use std::collections::BTreeSet;

use crate::admin::aliases::{self, Known};
use crate::admin::change::Change;
use crate::admin::closing::{self, Moves};
use crate::admin::fence;
use crate::admin::hooks;
use crate::admin::inbound;
use crate::admin::outcome::{Outcome, Refused, few, lists, names, typed};
use crate::admin::rehearse;
use crate::admin::releases;
use crate::admin::request::{DataChoice, Mode, Patience, Request};
use crate::admin::rights;
use crate::admin::selection::{self, Choice, Unclear, Which};
use crate::admin::signs;
use crate::admin::step::Step;
use crate::config::Mta;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Refusal, Role};
use crate::profiles::Profile;
use crate::settings::On;
use crate::site::Site;
use crate::tree::Tree;

/// `upgrade`: to the future tree.
///
/// # Errors
/// Every reason why no list moved.
pub fn upgrade(site: &Site, which: &Which, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    upgrade_in(&mut change, which)?;
    Ok(change.end())
}

/// The same as a part of a larger change.
///
/// # Errors
/// As [`upgrade`].
pub fn upgrade_in(change: &mut Change<'_>, which: &Which) -> Result<(), Refused> {
    let (_, future) = change.trees()?;
    let known = change.known()?;
    let mut refused = Refused::empty(change.request.act);
    let choice = choose_to_upgrade(change, which, &known, future, &mut refused);
    let pinned = &change.parity().pinned;
    for list in choice.named.intersection(pinned) {
        refused.reasons.push(format!("{list} is pinned"));
        refused
            .hints
            .push(typed(change.site, &format!("unpin {list}")));
    }
    let mut passed: Vec<ListName> = Vec::new();
    let mut moving: BTreeSet<ListName> = choice.others;
    for list in choice.lists {
        if pinned.contains(&list) && !choice.named.contains(&list) {
            passed.push(list);
        } else {
            moving.insert(list);
        }
    }
    moving.retain(|list| change.parity().of(list) == Role::Current);
    if let Some(rehearsed) = &change.request.rehearsed
        && let Err(against) =
            rehearse::is_what_moves(change.site, change.parity(), &moving, rehearsed)
    {
        refused.reasons.extend(against);
        refused
            .hints
            .push("what was typed may be typed again".to_owned());
    }
    let step = ready_to_move(change, &moving, future, &mut refused);
    refused.if_any()?;
    if !passed.is_empty() {
        change.say(format!("passed over, since pinned: {}", names(&passed)));
    }
    let Some(step) = step else {
        change.say("nothing to do: the lists are on the future tree already");
        return Ok(());
    };
    let told = told_of(
        change,
        change.verb("upgraded", "would upgrade"),
        &moving,
        Role::Current,
    );
    let paused: Vec<&ListName> = moving
        .iter()
        .filter(|list| step.after.paused.contains_key(*list))
        .collect();
    let still = (!paused.is_empty()).then(|| format!("still paused: {}", names(paused)));
    change.carry_out(step, &told)?;
    if let Some(still) = still {
        change.say(still);
    }
    tell_the_way(change, "downgrade", &moving);
    Ok(())
}

/// Which lists are meant; what is unclear goes to `refused`.
fn choose_to_upgrade(
    change: &Change<'_>,
    which: &Which,
    known: &Known,
    future: &Tree,
    refused: &mut Refused,
) -> Choice {
    let site = change.site;
    if which.is_open()
        && let Err(error) = &known.enumerated
    {
        refused
            .reasons
            .push(format!("cannot say which lists there are: {error}"));
        return Choice::default();
    }
    // What only the future tree has may be named; no glob means it.
    let beyond = || match &known.enumerated {
        Err(error) => Err(error.to_string()),
        Ok(_) => Ok(Profile::of(site, future)
            .ok()
            .and_then(|profile| profile.enumerate(future).ok())
            .unwrap_or_default()),
    };
    selection::choose(site, which, &known.lists, &beyond).unwrap_or_else(|unclear| {
        refused.add(unclear_refusal(refused.act, unclear));
        Choice::default()
    })
}

/// The step to the future tree for `moving`, or `None` if there is nothing to move; why it
/// may not be goes to `refused`.
fn ready_to_move<'a>(
    change: &mut Change<'a>,
    moving: &BTreeSet<ListName>,
    future: &Tree,
    refused: &mut Refused,
) -> Option<Step<'a>> {
    let site = change.site;
    let after = match change.parity().upgrade(moving.iter().cloned()) {
        Ok(after) => after,
        Err(refusal) => {
            refused
                .reasons
                .push(refusal_text(change.parity(), future, &refusal));
            refused
                .hints
                .extend(not_ready_hints(site, future, &refusal));
            return None;
        }
    };
    let first = moving.iter().next()?;
    let rights = match change.parity().roles.guarded.contains(&future.name) {
        true => rights::check_guarded(site, future, first),
        false => rights::check(site, future, first),
    };
    refused.reasons.extend(rights.problems);
    refused
        .reasons
        .extend(rights::check_web(site, future, first));
    releases::refuse(site, change.parity(), future, refused);
    signs::refuse(site, change.parity(), future, refused);
    if let Err(unsound) = hooks::look(site, change.request, On::Upgrade) {
        refused.add(unsound);
    }
    if !rights.untried.is_empty() {
        change.say(format!(
            "note: only root can try the programs as {}",
            names(&rights.untried)
        ));
    }
    if let Err(closed) = closing::could_close(site, change.request) {
        refused.add(closed);
    }
    match site
        .config
        .tree(&change.parity().roles.current)
        .map(|current| inbound::glance(site, change.request, current, moving))
    {
        Some(Ok(Some(note))) => change.say(note),
        Some(Err(waiting)) => refused.add(waiting),
        Some(Ok(None)) | None => {}
    }
    let fence = fence::keep(change, moving, future, refused);
    match aliases::plan_move(site, &after, moving) {
        Ok(first) => Some(Step {
            first: Some(first),
            fence,
            moves: Some(Moves::Ahead(moving.clone())),
            ..Step::to(after)
        }),
        Err(error) => {
            refused.add(change.refuse_aliases(&error));
            None
        }
    }
}

/// Checks that `lists` may move to the future tree and returns the step; for undo.
///
/// # Errors
/// Every reason.
pub fn step_ahead<'a>(
    change: &mut Change<'a>,
    moving: &BTreeSet<ListName>,
) -> Result<Option<Step<'a>>, Refused> {
    let (_, future) = change.trees()?;
    let mut refused = Refused::empty(change.request.act);
    let step = ready_to_move(change, moving, future, &mut refused);
    refused.if_any().map(|()| step)
}

/// Whether the future tree would take one of `lists`, for who is told to move them there: what
/// speaks against one list of a tree speaks against most.
///
/// # Errors
/// Why it would be refused, a line each.
pub fn not_ahead(
    site: &Site,
    parity: &Parity,
    lists: &BTreeSet<ListName>,
) -> Result<(), Vec<String>> {
    let Some(list) = lists.iter().find(|&list| !parity.pinned.contains(list)) else {
        return Ok(());
    };
    let request = Request {
        act: "upgrade",
        line: format!("upgrade {list}"),
        mode: Mode::Trial,
        reason: None,
        patience: Patience::default(),
        hooks: true,
        data: DataChoice::Ask,
        goes_first: false,
        rehearsed: None,
    };
    let which = Which::Named(vec![list.as_str().into()]);
    match upgrade(site, &which, &request) {
        Ok(_) => Ok(()),
        Err(refused) => Err(refused.reasons),
    }
}

/// `downgrade`: back to the current tree.
///
/// # Errors
/// A word means no list, or the state cannot be written.
pub fn downgrade(site: &Site, which: &Which, request: &Request) -> Outcome {
    let mut change = Change::begin(site, request)?;
    let parity = change.parity().clone();
    let beyond = || known_names(&change);
    let choice = selection::choose(site, which, &parity.on_future, &beyond)
        .map_err(|unclear| unclear_refusal(request.act, unclear))?;
    let (passed, moving): (BTreeSet<ListName>, BTreeSet<ListName>) = choice
        .lists
        .into_iter()
        .partition(|list| parity.pinned.contains(list) && !choice.named.contains(list));
    if !passed.is_empty() {
        change.say(format!(
            "passed over, since pinned, and still on the future tree: {}",
            names(&passed)
        ));
        if let Some(names) = few(&passed) {
            change.say(format!(
                "them too: {}",
                typed(site, &format!("downgrade {names}"))
            ));
        }
    }
    if moving.is_empty() {
        change.say("nothing to do: the lists are on the current tree already");
        return Ok(change.end());
    }
    let told = told_of(
        &change,
        change.verb("downgraded", "would downgrade"),
        &moving,
        Role::Future,
    );
    let after = parity.downgrade(&moving);
    let restore = fence::back(&mut change, &moving, after.roles.generation)?;
    let step = Step {
        moves: Some(Moves::Back(moving.clone())),
        restore,
        ..Step::to(after)
    };
    change.carry_out(step, &told)?;
    tell_the_way(&mut change, "upgrade", &moving);
    tell_of_mail(&mut change);
    Ok(change.end())
}

/// The names of all known lists, or why they cannot be told.
///
/// # Errors
/// The enumeration failed or found nothing.
pub fn known_names(change: &Change<'_>) -> Result<BTreeSet<ListName>, String> {
    let known = aliases::known_at_least(change.site, change.parity());
    known.enumerated.map(|()| known.lists)
}

/// Why a rule of parity says no, for people.
pub fn refusal_text(parity: &Parity, other: &Tree, refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotReady(FutureState::Empty) => {
            format!("tree {} is empty as far as parity.toml knows", other.name)
        }
        Refusal::NotReady(FutureState::Retired) => format!(
            "tree {} is retired: it was the current tree until the commit",
            other.name
        ),
        Refusal::NotReady(state) => format!("tree {} is {state}", other.name),
        Refusal::StillOnCurrent(behind) => format!(
            "{} still on tree {}: {}",
            lists(behind.len()),
            parity.roles.current,
            names(behind)
        ),
        Refusal::NothingToRevert => "the last commit cannot be taken back: there was none, or \
                                     something was installed since"
            .to_owned(),
    }
}

/// What helps where the future tree takes no lists.
pub fn not_ready_hints(site: &Site, future: &Tree, refusal: &Refusal) -> Vec<String> {
    let Refusal::NotReady(state) = refusal else {
        return Vec::new();
    };
    let verify = format!(
        "{}, which installs the release to move to in tree {}; or, once it is installed there: {}",
        typed(site, "install COMMAND"),
        future.name,
        typed(site, "verify")
    );
    match state {
        FutureState::Ready => Vec::new(),
        FutureState::Retired => vec![typed(site, "commit --revert"), verify],
        FutureState::Empty | FutureState::Installing | FutureState::Broken => vec![verify],
    }
}

/// A refusal for words that mean no lists.
pub fn unclear_refusal(act: &'static str, unclear: Unclear) -> Refused {
    Refused {
        reasons: unclear.reasons,
        hints: unclear.hints,
        ..Refused::empty(act)
    }
}

/// What happened to `moving`, which were on `from`'s tree.
pub fn told_of(
    change: &Change<'_>,
    done: &str,
    moving: &BTreeSet<ListName>,
    from: Role,
) -> Vec<String> {
    let roles = &change.parity().roles;
    let Ok((current, future)) = change.trees() else {
        return Vec::new();
    };
    let here = format!("{} {}", current.name, roles.current_release.escape_debug());
    let there = format!("{} {}", future.name, roles.future_release.escape_debug());
    let (from, to) = match from {
        Role::Current => (here, there),
        Role::Future => (there, here),
    };
    vec![
        format!("{done} {}: {}", lists(moving.len()), names(moving)),
        format!("from tree {from} to tree {to}"),
    ]
}

/// How to take back what was just done to `moved`: by `act`, or by undo.
pub fn tell_the_way(change: &mut Change<'_>, act: &str, moved: &BTreeSet<ListName>) {
    if change.request.mode == Mode::Trial {
        return;
    }
    let site = change.site;
    change.say(match few(moved) {
        Some(names) => format!(
            "the way back: {}, or undo",
            typed(site, &format!("{act} {names}"))
        ),
        None => format!("the way back: {}", typed(site, "undo")),
    });
}

/// What becomes of mail that waits.
pub fn tell_of_mail(change: &mut Change<'_>) {
    if change.request.mode == Mode::Trial {
        return;
    }
    let flush = match change.site.config.mta {
        Mta::Postfix => "; now: postqueue -f",
        Mta::Sendmail => "; now: sendmail -Am -q",
        Mta::Exim => "; now: exim -qff",
        Mta::OpenSmtpd => "; now: smtpctl schedule all",
        Mta::None => "",
    };
    change.say(format!(
        "deferred mail waits in the MTA's queue and is tried again by itself{flush}"
    ));
}
