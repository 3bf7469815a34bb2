//! init from a single installation, and its way back.
//!
//! Order: the plan, the journal, the steps (`layout`), the first parity.toml (`init`). Whatever is
//! refused on the way, all that was made is taken back. `--undo`: the reasons against it, the state,
//! the steps from the last one on, the journal.
//!
//! **Invariants.** Nothing is done before the journal says so. An undo is refused only for what it
//! would lose; what the admin changed meanwhile is kept, and named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::admin::aliases;
use crate::admin::init;
use crate::admin::outcome::{
    AFTER, Done, Outcome, Refused, UNCHANGED, lists, names, shell_word, typed, typed_aliases,
    typed_at,
};
use crate::admin::step::no_state;
use crate::config::Config;
use crate::layout::carry::{self, Fault};
use crate::layout::journal::{self, Journal, JournalError, Line};
use crate::layout::plan::{self, Ask, Plan, Planned, Reasons};
use crate::layout::{Step, carry_out, package, running, state, take_back};
use crate::parity::{FutureState, Parity, Roles};
use crate::profiles::Profile;
use crate::site::Site;
use crate::store::{self, Writer};
use crate::syslog::printable;

const ACT: &str = "init";
const UNDO: &str = "undo the init";
/// The tree that the installation becomes.
const CURRENT: &str = "a";
/// The mode of the directory of site.toml.
const HOLDER: u32 = 0o755;

/// `init --from PREFIX`; with `is_trial`, what it would do.
///
/// # Errors
/// Every reason against it; what was made is taken back.
pub fn from(ask: &Ask, is_trial: bool) -> Outcome {
    let path = std::path::absolute(&ask.site).unwrap_or_else(|_| ask.site.clone());
    match Journal::look(&path) {
        Err(JournalError::None(_)) => {}
        Err(error) => return Err(Refused::new(ACT, error)),
        Ok((plan, lines)) => return again(ask, &plan, &lines, is_trial),
    }
    let planned = plan::plan(ask).map_err(refusal)?;
    let mut text = introduced(&planned);
    if is_trial {
        text += &steps(&planned.plan.steps);
        text += &format!(
            "{}. make parity.toml in {:?}: tree {CURRENT} is current\n    back: remove it with its \
             history; where that tells more, it is kept\n",
            planned.plan.steps.len() + 1,
            planned.plan.state
        );
        return Ok(Done::saying(text + &settings(&planned) + UNCHANGED));
    }
    let settings = settings(&planned);
    make_holder(&planned.plan).map_err(|error| {
        Refused::new(
            ACT,
            format!("{:?}: {error}", planned.plan.site_file.parent()),
        )
    })?;
    let mut journal = Journal::create(planned.plan).map_err(|error| Refused::new(ACT, error))?;
    text += &finish(&mut journal)?;
    Ok(Done::saying(text + &settings + &way_back(&journal.plan)))
}

/// An init that was killed is finished; one that is whole is not made twice.
fn again(ask: &Ask, plan: &Plan, lines: &[Line], is_trial: bool) -> Outcome {
    let undo = typed_at(&plan.site_file, "init --undo");
    if lines.contains(&Line::Undo) {
        return Err(Refused::new(ACT, "an undo of it is under way").hint(undo));
    }
    let from = fs::canonicalize(&ask.from).unwrap_or_else(|_| ask.from.clone());
    if from != plan.from {
        let reason = format!(
            "{:?} says that {:?} was taken to two trees, not {from:?}",
            journal::path_of(&plan.site_file),
            plan.from
        );
        return Err(Refused::new(ACT, reason).hint(undo));
    }
    if lines.contains(&Line::Complete) {
        let reason = format!("{from:?} was taken to two trees already");
        return Err(Refused::new(ACT, reason).hint(undo));
    }
    let ended = lines
        .iter()
        .filter(|line| matches!(line, Line::End(_)))
        .count();
    let mut text = format!(
        "note: an init of {from:?} was interrupted after {ended} of {} steps: it goes on as it was \
         planned then\n",
        plan.steps.len()
    );
    if is_trial {
        return Ok(Done::saying(
            text + &steps(&plan.steps[ended..]) + UNCHANGED,
        ));
    }
    let mut journal = Journal::open(&plan.site_file).map_err(|error| Refused::new(ACT, error))?;
    text += &finish(&mut journal)?;
    Ok(Done::saying(text + &way_back(&journal.plan)))
}

/// Makes what is not made yet, or takes all back.
fn finish(journal: &mut Journal) -> Result<String, Refused> {
    let made = carry_out(journal)
        .map_err(|fault| Refused::new(ACT, fault))
        .and_then(|()| parity(&journal.plan));
    let refused = match made {
        Ok(text) => {
            journal
                .add(Line::Complete)
                .map_err(|error| Refused::new(ACT, error))?;
            return Ok(text);
        }
        Err(refused) => refused,
    };
    Err(match undone(journal) {
        Ok(_) => refused.hint("all that was made is taken back"),
        Err(error) => {
            let mut refused = refused.hint(typed_at(&journal.plan.site_file, "init --undo"));
            let reason = format!("what was made could not be taken back: {error}");
            refused.reasons.push(reason);
            refused.status = AFTER;
            refused
        }
    })
}

/// The first parity.toml, by the very init that a site.toml written by hand gets.
fn parity(plan: &Plan) -> Result<String, Refused> {
    let site = Site::open(&plan.site_file).map_err(|error| Refused::new(ACT, error))?;
    if site.config.parity_file().exists() {
        return Ok(format!("{:?} is there\n", site.config.parity_file()));
    }
    init::init(&site, Some(CURRENT)).map(|done| done.text)
}

fn make_holder(plan: &Plan) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Some(holder) = plan.site_file.parent().filter(|_| plan.makes_holder) else {
        return Ok(());
    };
    fs::create_dir(holder)?;
    fs::set_permissions(holder, fs::Permissions::from_mode(HOLDER))
}

fn refusal(reasons: Reasons) -> Refused {
    Refused {
        act: ACT,
        reasons: reasons.reasons,
        hints: reasons.hints,
        status: crate::admin::outcome::REFUSED,
    }
}

/// What was found, and what else the admin should know.
fn introduced(planned: &Planned) -> String {
    let plan = &planned.plan;
    let mut text = format!(
        "{:?} is {}, release {}: it stays there, as tree {CURRENT}\n",
        plan.from,
        planned.about,
        planned.release.escape_debug()
    );
    let named = |path: &PathBuf| {
        let below = path.strip_prefix(&plan.from).unwrap_or(path);
        printable(&below.to_string_lossy())
    };
    let moving: Vec<String> = planned.moving.iter().map(named).collect();
    if !moving.is_empty() {
        text += &format!(
            "what is the lists' goes to {:?}, with links in its place: {}\n",
            planned.data,
            moving.join(", ")
        );
    }
    for (name, there) in &planned.outside {
        text += &format!("{name} is outside already, in {there:?}, and stays there\n");
    }
    text += &format!("the next release goes to {:?}, tree b\n", plan.future);
    for note in notes(planned) {
        text += &format!("note: {note}\n");
    }
    text
}

fn notes(planned: &Planned) -> Vec<String> {
    let mut notes = planned.notes.clone();
    let site = &planned.site;
    let Some(tree) = site.config.tree(CURRENT) else {
        return notes;
    };
    let programs = Profile::of(site, tree).map(|profile| profile.programs(site, tree));
    let programs: Vec<PathBuf> = programs
        .into_iter()
        .flatten()
        .map(|(_, program)| program)
        .collect();
    if let Some(package) = package::owner(Path::new(package::DPKG), &programs) {
        notes.push(format!(
            "{:?} belongs to the package {}: its files stay where they are, and the package manager \
             goes on writing there; a release for tree b is built by yourself",
            tree.root,
            printable(&package)
        ));
    }
    let (running, standing) = running::look(std::slice::from_ref(&tree.root), &planned.moving);
    if let Some(first) = running.first() {
        notes.push(format!(
            "the list manager runs ({}, such as {}: {:?}): it goes on, since each of its \
             paths leads where it led, at every moment",
            match running.len() {
                1 => "1 process".to_owned(),
                many => format!("{many} processes"),
            },
            first.pid,
            printable(&first.command)
        ));
    }
    for process in standing {
        notes.push(format!(
            "process {} ({:?}) stands in {:?}: it stays in there, and by .. it comes to {:?}",
            process.pid,
            printable(&process.command),
            process.directory.unwrap_or_default(),
            planned.data
        ));
    }
    notes
}

/// The steps, each with its way back.
fn steps(steps: &[Step]) -> String {
    let steps = steps
        .iter()
        .enumerate()
        .map(|(number, step)| format!("{}. {step}\n    back: {}\n", number + 1, step.way_back()));
    steps.collect()
}

/// What the second tree needs.
fn settings(planned: &Planned) -> String {
    let (file, lines) = &planned.settings;
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("before tree b runs, {file:?} there needs:\n");
    for line in lines {
        text += &format!("    {}\n", printable(line));
    }
    text
}

fn way_back(plan: &Plan) -> String {
    format!(
        "the way back, while all lists are on tree {CURRENT}: {}\n",
        typed_at(&plan.site_file, "init --undo")
    )
}

/// The site at a path; a site of that path with the text of a plan, if it cannot be opened.
fn site(path: &Path, plan: Option<&Plan>) -> Option<Site> {
    let text = match plan {
        Some(plan) => match Site::open(path) {
            Ok(site) => return Some(site),
            Err(_) => plan.site_text.clone(),
        },
        None => include_str!("../../contrib/site.toml").to_owned(),
    };
    Config::parse(&text)
        .ok()
        .map(|config| Site::draft(path, config))
}

/// `init --undo`; with `is_trial`, what it would do.
///
/// # Errors
/// Every reason against it: what it would lose, and what to type first.
pub fn undo(path: &Path, is_trial: bool) -> Outcome {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let refused = |error: JournalError| {
        let is_none = matches!(error, JournalError::None(_));
        let refused = Refused::new(UNDO, error);
        match is_none {
            true => refused.hint("only what init --from made can be undone by it"),
            false => refused,
        }
    };
    let (plan, lines) = Journal::look(&path).map_err(refused)?;
    let site = site(&plan.site_file, Some(&plan))
        .ok_or_else(|| Refused::new(UNDO, "its site.toml is none"))?;
    let is_under_way = lines.contains(&Line::Undo);
    if !is_under_way {
        reasons(&site, &plan)?;
    }
    if is_trial {
        let mut text = format!("{:?} goes back to what it was:\n", plan.from);
        text += &format!(
            "1. {} {:?}\n",
            match state::is_fresh(&plan) {
                true => "remove the state in",
                false => "set the state aside, since it tells of more than the init:",
            },
            plan.state
        );
        for (number, step) in plan.steps.iter().rev().enumerate() {
            text += &format!("{}. {step}: {}\n", number + 2, step.way_back());
        }
        return Ok(Done::saying(text + UNCHANGED));
    }
    let mut journal = Journal::open(&path).map_err(refused)?;
    let _writer = match site.config.parity_file().exists() && store::load(&site).is_ok() {
        true => {
            let writer = Writer::take_first(&site, "init --undo");
            Some(writer.map_err(|error| no_state(UNDO, &site, &error))?)
        }
        false => None,
    };
    if !is_under_way {
        // Once more, since nobody can change anything now.
        reasons(&site, &plan)?;
    }
    let left = undone(&mut journal).map_err(|error| Refused {
        status: AFTER,
        ..Refused::new(UNDO, error).hint(typed_at(&plan.site_file, "init --undo"))
    })?;
    let mut text = format!("{:?} is what it was before the init\n", plan.from);
    for what in left {
        text += &format!("kept: {what}\n");
    }
    text += &format!(
        "the way back, with the options of that time: {}\n",
        typed_at(
            &plan.site_file,
            &format!("init --from {}", shell_word(&plan.from.to_string_lossy()))
        )
    );
    Ok(Done::saying(text))
}

/// Takes all back, and the journal at last; what is kept of somebody else's.
fn undone(journal: &mut Journal) -> Result<Vec<String>, Fault> {
    let plan = journal.plan.clone();
    if !journal.is_undone() {
        journal.add(Line::Undo)?;
    }
    let mut left = Vec::new();
    let aside = state::remove(&plan)
        .map_err(|error| Fault::Step(format!("remove {:?}", plan.state), error))?;
    left.extend(aside.map(|aside| format!("{aside:?}: the state of the site, with its history")));
    left.extend(take_back(journal)?);
    let holder = plan.site_file.parent().unwrap_or(Path::new("/"));
    let times = carry::times_of(holder).ok().flatten();
    fs::remove_file(journal::path_of(&plan.site_file))
        .map_err(|error| JournalError::File(journal::path_of(&plan.site_file), error))?;
    if plan.makes_holder {
        // What the admin put there keeps it.
        let _ = fs::remove_dir(holder);
    }
    let _ = carry::put_back(times.as_slice());
    Ok(left)
}

/// What an undo would lose.
fn reasons(site: &Site, plan: &Plan) -> Result<(), Refused> {
    let mut refused = Refused::empty(UNDO);
    let parity = store::load(site).ok().map(|loaded| loaded.parity);
    if let Some(parity) = &parity {
        let ahead = parity.on_future.len();
        if parity.roles.current != CURRENT {
            refused.reasons.push(format!(
                "tree {} is current, and the installation is tree {CURRENT}",
                parity.roles.current
            ));
            refused.hints.push(typed(site, "commit --revert"));
        }
        if ahead > 0 {
            refused.reasons.push(format!(
                "{} on the future tree: {}",
                match ahead {
                    1 => "1 list is".to_owned(),
                    _ => format!("{} are", lists(ahead)),
                },
                names(&parity.on_future)
            ));
            refused.hints.push(typed(site, "downgrade --all"));
        }
    }
    match aliases::known(site, &parity.unwrap_or_else(nobody)) {
        Ok(known) if known.in_aliases.is_empty() => {}
        Ok(known) => {
            refused.reasons.push(format!(
                "aliases of {} lead to mm-deliver: {}",
                lists(known.in_aliases.len()),
                names(&known.in_aliases)
            ));
            refused.hints.push(typed_aliases(site, "unadopt"));
        }
        Err(error) => refused.add(aliases::refusal(UNDO, &error)),
    }
    if let Some(path) = installed(plan) {
        refused.reasons.push(format!(
            "something is installed in the second tree: {path:?}"
        ));
        refused.hints.push(format!(
            "once nothing of it runs, move it away: mv {0} {0}.old",
            printable(&plan.future.to_string_lossy())
        ));
    }
    refused.if_any()
}

/// A parity by which nothing is judged but the aliases.
fn nobody() -> Parity {
    Parity {
        roles: Roles {
            generation: 0,
            current: CURRENT.to_owned(),
            current_release: String::new(),
            future_state: FutureState::Empty,
            future_release: String::new(),
            guarded: BTreeSet::new(),
        },
        pinned: BTreeSet::new(),
        paused: BTreeMap::new(),
        on_future: BTreeSet::new(),
    }
}

/// Something in the second tree's directory that no step made.
fn installed(plan: &Plan) -> Option<PathBuf> {
    let made = |path: &Path| {
        plan.steps.iter().any(|step| match step {
            Step::Directory { path: one, .. } | Step::Link { path: one, .. } => one == path,
            _ => false,
        })
    };
    let directories = plan.steps.iter().filter_map(|step| match step {
        Step::Directory { path, .. } if path.starts_with(&plan.future) => Some(path),
        _ => None,
    });
    let entries = directories.flat_map(|path| fs::read_dir(path).into_iter().flatten().flatten());
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| !made(path))
}
