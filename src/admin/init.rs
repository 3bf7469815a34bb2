//! The first parity.toml of a site whose site.toml was written by hand.
//!
//! On a site of an older mm-deliver, which knew no lock file, that is all that is made.
//!
//! Order: what can be judged without it, then parity.toml, then the very check of a delivery
//! as the delivering users. If that fails, what was made is removed again. Last, the trees' files are
//! recorded (`manifest`); that fails nothing.
//!
//! **Invariants.** An existing parity.toml is never touched. Which tree is current is asked,
//! unless only one could be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::PathBuf;

use crate::accounts;
use crate::admin::aliases;
use crate::admin::install::manifest;
use crate::admin::outcome::guarded_until;
use crate::admin::outcome::{Done, Outcome, Refused, lists, names, typed, typed_aliases};
use crate::admin::probation;
use crate::admin::rights::{self, Rights};
use crate::admin::step::no_state;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Roles};
use crate::profiles::Profile;
use crate::site::Site;
use crate::store::{self, StoreError, Writer};
use crate::tree::Tree;

const ACT: &str = "init";
/// What is made in the state directory.
const MADE: [&str; 5] = [
    "lock",
    "parity.toml",
    "parity.toml.spare",
    "history.jsonl",
    "writer",
];

/// `init [--current TREE]`.
///
/// # Errors
/// Every reason why mail could not be delivered from the first moment on.
pub fn init(site: &Site, current: Option<&str>) -> Outcome {
    let parity_file = site.config.parity_file();
    if fs::symlink_metadata(&parity_file).is_ok() {
        return lock_file_alone(site, parity_file);
    }
    let current = choose_current(site, current)?;
    let mut reasons = accounts(site);
    let look = look(site, current);
    reasons.extend(look.as_ref().err().into_iter().flatten().cloned());
    let (release, there) = match look {
        Ok(found) if reasons.is_empty() => found,
        _ => {
            return Err(Refused {
                reasons,
                ..Refused::empty(ACT)
            });
        }
    };
    aliases::check_all_read(site).map_err(|error| aliases::refusal(ACT, &error))?;
    let future = site
        .config
        .other_tree(&current.name)
        .map(|tree| (tree, runs(site, tree)));
    let mut parity = first(current, release, future.as_ref());
    let probe = there.iter().next();
    let made = Made::state_dir(site).map_err(|error| no_state(ACT, site, &error))?;
    made.create(&parity)?;
    let rights = probe.map_or_else(Rights::default, |list| {
        let mut rights = rights::check(site, current, list);
        rights
            .problems
            .extend(rights::check_web(site, current, list));
        rights
    });
    if !rights.problems.is_empty() {
        made.remove();
        return Err(Refused {
            reasons: rights.problems,
            ..Refused::empty(ACT)
        });
    }
    let mut future_problem = future
        .as_ref()
        .and_then(|(_, found)| found.as_ref().err().cloned());
    if let (Some((tree, Ok(_))), Some(list)) = (&future, probe) {
        let mut problems = rights::check_guarded(site, tree, list).problems;
        problems.extend(rights::check_web(site, tree, list));
        if !problems.is_empty() {
            future_problem = Some(problems.join("; "));
            parity.roles.future_state = FutureState::Empty;
            parity.roles.future_release.clear();
            parity.roles.guarded.clear();
            made.remove_files();
            made.create(&parity)?;
        }
    }
    made.hand_over();
    let mut text = told(site, &parity, &there, &rights, future_problem);
    let notes = probation::prepare(site, &parity).into_iter();
    for note in notes.chain(manifest::first(site, &parity)) {
        text += &format!("note: {note}\n");
    }
    text += &format!("next: {}\n", typed_aliases(site, "adopt"));
    Ok(Done::saying(text))
}

/// A site that is there already gets the lock file, if that is what it lacks.
fn lock_file_alone(site: &Site, parity_file: PathBuf) -> Outcome {
    let refused = |error| Err(no_state(ACT, site, &error).hint(typed(site, "status")));
    match store::make_lock_file(site) {
        Err(error) => refused(error),
        Ok(false) => refused(StoreError::Exists(parity_file)),
        Ok(true) => Ok(Done::saying(format!(
            "{:?} is made: mail is delivered again, and moves wait for it\n\
             deliveries that began without it are waited for by nobody\n",
            site.config.lock_file()
        ))),
    }
}

/// The tree that is named, or the only one that could be meant.
fn choose_current<'a>(site: &'a Site, name: Option<&str>) -> Result<&'a Tree, Refused> {
    let trees = &site.config.trees;
    if let Some(name) = name {
        return site.config.tree(name).ok_or_else(|| {
            let known: Vec<&String> = trees.iter().map(|tree| &tree.name).collect();
            Refused::new(ACT, format!("no tree {name:?} in {:?}", site.path))
                .hint(format!("trees: {}", names(known)))
        });
    }
    let sound: Vec<&Tree> = trees
        .iter()
        .filter(|tree| runs(site, tree).is_ok())
        .collect();
    match (trees.as_slice(), sound.as_slice()) {
        ([only], _) => Ok(only),
        (_, [only]) => Ok(only),
        _ => {
            let mut refused = Refused::new(ACT, "which of the two trees is current?");
            for tree in trees {
                refused = refused.hint(typed(site, &format!("init --current {}", tree.name)));
            }
            Err(refused)
        }
    }
}

/// Account names that /etc/passwd or /etc/group do not have, a line each.
pub fn accounts(site: &Site) -> Vec<String> {
    let config = &site.config;
    let mut missing = Vec::new();
    let name = |account: &crate::accounts::Account| account.to_string();
    if let Err(error) = config.owner.user() {
        missing.push(format!("owner {:?}: {error}", name(&config.owner)));
    }
    if let Some(group) = &config.group
        && let Err(error) = group.gid()
    {
        missing.push(format!("group {:?}: {error}", name(group)));
    }
    for user in &config.users {
        if let Err(error) = user.user() {
            missing.push(format!("[deliver] users {:?}: {error}", name(user)));
        }
    }
    missing
}

/// The release and the lists of the tree that is to be current.
fn look(site: &Site, tree: &Tree) -> Result<(String, BTreeSet<ListName>), Vec<String>> {
    let release = runs(site, tree);
    let there = aliases::enumerate(site, &tree.name)
        .map_err(|error| format!("cannot say which lists there are: {error}"));
    match (release, there) {
        (Ok(release), Ok(there)) => Ok((release, there)),
        (release, there) => Err([release.err(), there.err()].into_iter().flatten().collect()),
    }
}

/// The release in `tree`, if its programs are there and only trusted users could change them.
///
/// # Errors
/// Why they would not be run, or the release cannot be read.
pub fn runs(site: &Site, tree: &Tree) -> Result<String, String> {
    let profile = Profile::of(site, tree).map_err(|error| error.to_string())?;
    for (_, program) in profile.programs(site, tree) {
        let checked = site
            .trusted()
            .check(&program, Some(&tree.root))
            .map_err(|fault| format!("tree {}: {fault}", tree.name))?;
        if checked.file.permissions().mode() & 0o111 == 0 {
            return Err(format!("tree {}: {program:?} is not executable", tree.name));
        }
    }
    profile
        .release(tree)
        .map_err(|error| format!("tree {}: {error}", tree.name))
}

/// The lists in `tree` whose names are refused, the first few by name; `None` if there are none.
pub fn refused(site: &Site, tree: &Tree) -> Option<String> {
    const MOST: usize = 3;
    let refused = Profile::of(site, tree).ok()?.refused(tree);
    let first: Vec<String> = refused
        .iter()
        .take(MOST)
        .map(|n| format!("{n:?}"))
        .collect();
    let more = match refused.len().saturating_sub(MOST) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let counted = match refused.len() {
        0 => return None,
        1 => "1 list has a name that is".to_owned(),
        n => format!("{n} lists have names that are"),
    };
    Some(format!("{counted} refused: {}{more}", first.join(", ")))
}

fn first(
    current: &Tree,
    release: String,
    future: Option<&(&Tree, Result<String, String>)>,
) -> Parity {
    let (future_state, future_release, guarded) = match future {
        Some((tree, Ok(release))) => (
            FutureState::Ready,
            release.clone(),
            BTreeSet::from([tree.name.clone()]),
        ),
        _ => (FutureState::Empty, String::new(), BTreeSet::new()),
    };
    Parity {
        roles: Roles {
            generation: 0,
            current: current.name.clone(),
            current_release: release,
            future_state,
            future_release,
            guarded,
        },
        pinned: BTreeSet::new(),
        paused: BTreeMap::new(),
        on_future: BTreeSet::new(),
    }
}

fn told(
    site: &Site,
    parity: &Parity,
    there: &BTreeSet<ListName>,
    rights: &Rights,
    future_problem: Option<String>,
) -> String {
    let roles = &parity.roles;
    let mut text = format!(
        "{:?} is made: tree {} {} is current, with {}: {}\n",
        site.config.parity_file(),
        roles.current,
        roles.current_release.escape_debug(),
        lists(there.len()),
        names(there)
    );
    let its = site.config.tree(&roles.current);
    if let Some(refused) = its.and_then(|tree| refused(site, tree)) {
        text += &format!("note: {refused}; their mail goes past mm-deliver, and follows no move\n");
    }
    match site.config.other_tree(&roles.current) {
        None => text += "there is no future tree yet\n",
        Some(tree) => {
            let release = match roles.future_release.is_empty() {
                true => String::new(),
                false => format!(" {}", roles.future_release.escape_debug()),
            };
            text += &format!(
                "the future tree {}{release} is {}\n",
                tree.name, roles.future_state
            );
            if roles.guarded.contains(&tree.name) {
                text += &format!("{}\n", guarded_until(site, tree));
            }
        }
    }
    if let Some(problem) = future_problem {
        text += &format!("  since {problem}\n");
        text += &format!("  once that is mended: {}\n", typed(site, "verify"));
    }
    if !rights.untried.is_empty() {
        text += &format!(
            "note: only root can try the programs as {}\n",
            names(&rights.untried)
        );
    }
    text
}

/// What was made, so that it can be removed again.
struct Made<'a> {
    site: &'a Site,
    directory: bool,
    before: Vec<PathBuf>,
}

impl<'a> Made<'a> {
    /// Makes the state directory if it is missing: 0755, the owner's.
    fn state_dir(site: &'a Site) -> Result<Made<'a>, StoreError> {
        let state = &site.config.state;
        let error = |error| StoreError::File(state.clone(), error);
        let directory = match fs::create_dir(state) {
            Ok(()) => true,
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => false,
            Err(cause) => return Err(error(cause)),
        };
        if directory {
            fs::set_permissions(state, fs::Permissions::from_mode(0o755)).map_err(error)?;
        }
        let before = MADE.map(|name| state.join(name)).into_iter();
        Ok(Made {
            site,
            directory,
            before: before
                .filter(|path| fs::symlink_metadata(path).is_ok())
                .collect(),
        })
    }

    fn create(&self, parity: &Parity) -> Result<(), Refused> {
        // The lock file first: whoever reads the first parity.toml has come in by it.
        let made = store::make_lock_file(self.site)
            .and_then(|_| Writer::create(self.site, "init", parity.clone()));
        match made {
            Ok(_) => Ok(()),
            Err(error) => {
                let refused = no_state(ACT, self.site, &error);
                if !matches!(error, StoreError::Busy(..) | StoreError::Exists(_)) {
                    self.remove();
                }
                Err(refused)
            }
        }
    }

    /// Gives what root made to the site's owner, who may change parity as well.
    fn hand_over(&self) {
        if accounts::runner() != 0 {
            return;
        }
        let Ok(owner) = self.site.config.owner.user() else {
            return;
        };
        if owner.uid == 0 {
            return;
        }
        let state = &self.site.config.state;
        if self.directory {
            let _ = lchown(state, Some(owner.uid), Some(owner.gid));
        }
        for name in MADE {
            let path = state.join(name);
            if !self.before.contains(&path) {
                let _ = lchown(path, Some(owner.uid), Some(owner.gid));
            }
        }
    }

    fn remove_files(&self) {
        for name in MADE {
            let path = self.site.config.state.join(name);
            if !self.before.contains(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn remove(&self) {
        self.remove_files();
        if self.directory {
            let _ = fs::remove_dir(&self.site.config.state);
        }
    }
}
