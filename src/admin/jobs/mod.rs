//! Programs of a tree that no MTA runs: one for a list (`run`), one for each list (`cron`).
//!
//! Order of events: come in by the list's door, as a delivery does; only then ask parity.toml which
//! tree serves the list; look up what its profile runs; judge the program, and as whom it runs
//! (`identity`); run it (`running`), which holds the list's floor for as long as it lives.
//!
//! ON THE FLOOR. A program that loads a list in the old tree and saves it when the list has moved
//! would put back what the new one wrote. So a move waits for it, as it waits for a message, and one
//! that loads every list holds every floor.
//!
//! **Invariants.** Changes no parity. Nothing of a list manager's runs as root, nothing that its
//! profile does not name, and nothing that loads every list in a tree that has not all of them.

mod cron;
mod identity;
mod run;

pub use cron::cron;
pub use run::run;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::admin::aliases::{self, AddressError, Known};
use crate::admin::outcome::{Refused, typed};
use crate::admin::selection;
use crate::admin::step::no_state;
use crate::doors::{self, DoorError, Floor, Pass};
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Role};
use crate::profile::Case;
use crate::profiles::{Loads, Profile, Program, Programs};
use crate::running::{Attached, Identity, Over, variable};
use crate::settings::Settings;
use crate::site::{Placement, Site};
use crate::store;
use crate::sysexits;
use crate::tree::Tree;

/// Where programs find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What passes of the admin's environment: how he reads and writes.
const PASSED: [&str; 6] = ["COLUMNS", "LANG", "LANGUAGE", "LINES", "TERM", "TZ"];
const PASSED_ALL: &str = "LC_";

/// Whether a program is run, or what it would be is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It is run.
    No,
    /// `--dry-run`.
    Yes,
}

/// What both commands go by.
struct Desk<'a> {
    act: &'static str,
    site: &'a Site,
    settings: Settings,
}

/// Why a program of a list was not run.
enum NotRun {
    /// The door is closed, or cannot be relied on.
    Door(DoorError),
    /// Anything else: each reason, and what to type.
    Refused(Refused),
}

impl From<Refused> for NotRun {
    fn from(refused: Refused) -> NotRun {
        NotRun::Refused(refused)
    }
}

impl NotRun {
    /// The refusal; where only time helps, with the status that says so.
    fn refused(self, act: &'static str) -> Refused {
        match self {
            NotRun::Refused(refused) => refused,
            NotRun::Door(error) => Refused {
                status: u8::try_from(sysexits::TEMPFAIL).unwrap_or(u8::MAX),
                ..Refused::new(act, error)
            },
        }
    }
}

/// A program, as it would be run.
struct Ready {
    argv: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    identity: Identity,
}

impl<'a> Desk<'a> {
    fn open(act: &'static str, site: &'a Site) -> Result<Desk<'a>, Refused> {
        let settings = Settings::of(site).map_err(|error| Refused::new(act, error))?;
        let mut of_trees = settings.jobs.environment.keys();
        if let Some(tree) = of_trees.find(|tree| site.config.tree(tree).is_none()) {
            let what = format!(
                "{:?}: [jobs.environment] names {tree:?}, and there is no such tree",
                site.path
            );
            return Err(Refused::new(act, what));
        }
        Ok(Desk {
            act,
            site,
            settings,
        })
    }

    fn refuse(&self, reason: impl ToString) -> Refused {
        Refused::new(self.act, reason.to_string())
    }

    fn parity(&self) -> Result<Parity, Refused> {
        let loaded = store::load(self.site);
        loaded
            .map(|loaded| loaded.parity)
            .map_err(|error| no_state(self.act, self.site, &error))
    }

    fn known(&self, parity: &Parity) -> Result<Known, Refused> {
        let known = aliases::known(self.site, parity);
        known.map_err(|error: AddressError| aliases::refusal(self.act, &error))
    }

    fn profile(&self, tree: &Tree) -> Result<Profile, Refused> {
        Profile::of(self.site, tree).map_err(|error| self.refuse(error))
    }

    /// Comes in for one list.
    fn enter(&self, list: &ListName) -> Result<Pass, NotRun> {
        let config = &self.site.config;
        doors::enter(&config.lock_file(), list, Floor::Mail, config.wait).map_err(NotRun::Door)
    }

    /// Comes in for all.
    fn enter_all(&self) -> Result<Pass, NotRun> {
        let config = &self.site.config;
        doors::enter_all(&config.lock_file(), Floor::Mail, config.wait).map_err(NotRun::Door)
    }

    /// Which tree serves the list, for as long as the pass is held.
    fn place(&self, list: &ListName) -> Result<Placement<'a>, Refused> {
        self.site.place(list).map_err(|error| self.refuse(error))
    }

    /// THE NEW TREE CONVERTS WHAT IT LOADS. Whatever loads every list belongs to the tree that all
    /// lists are on; while they are on both, to the current one.
    fn refuse_all(&self, tree: &Tree, what: &str) -> Result<(), Refused> {
        let parity = self.parity()?;
        if parity.roles.current == tree.name {
            return Ok(());
        }
        let known = self.known(&parity)?;
        if let Err(error) = &known.enumerated {
            return Err(self.refuse(format!("cannot say which lists there are: {error}")));
        }
        let mut behind = known.lists.difference(&parity.on_future).peekable();
        let Some(one) = behind.peek() else {
            return Ok(());
        };
        let hint = format!(
            "{what} belongs to tree {} until all lists are on tree {}: name a list that is there, \
             such as {one}",
            parity.roles.current, tree.name
        );
        let reason = format!(
            "{what} loads every list, and tree {} {} would convert those that are not there: {}",
            tree.name,
            parity.roles.future_release.escape_debug(),
            crate::admin::outcome::names(behind)
        );
        Err(self.refuse(reason).hint(hint))
    }

    /// What is run in `tree`, as whom and with what; judged as a delivery judges its program.
    fn ready(
        &self,
        tree: &Tree,
        profile: &Profile,
        program: &Program,
        list: Option<&ListName>,
        words: &[OsString],
    ) -> Result<Ready, Refused> {
        let named: Option<(&ListName, Case)> = list
            .filter(|_| program.loads == Loads::List)
            .map(|list| (list, profile.routing.case));
        let argv = program.words(tree, named, words);
        let argv = argv.map_err(|bad| self.refuse(bad))?;
        let path = PathBuf::from(argv.first().cloned().unwrap_or_default());
        let trusted = self.site.trusted();
        trusted
            .check(&path, Some(&tree.root))
            .map_err(|fault| self.refuse(format!("cannot run {path:?}: {fault}")))?;
        let identity = identity::of(self, tree, profile, list)?;
        Ok(Ready {
            environment: self.environment(tree, &identity),
            argv,
            identity,
        })
    }

    fn environment(&self, tree: &Tree, identity: &Identity) -> Vec<(OsString, OsString)> {
        let passes = |name: &str| PASSED.contains(&name) || name.starts_with(PASSED_ALL);
        let mut all: Vec<_> = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(passes))
            .collect();
        let user = &identity.user;
        all.extend([
            variable("PATH", PATH),
            variable("HOME", &user.home),
            variable("USER", &user.name),
            variable("LOGNAME", &user.name),
            variable("SHELL", "/bin/sh"),
        ]);
        let own = self.settings.jobs.environment.get(&tree.name);
        let own = own.into_iter().flatten();
        all.extend(own.map(|(name, value)| variable(name, value)));
        all
    }
}

impl Ready {
    /// What it would be, for `--dry-run`.
    fn told(&self, tree: &Tree) -> String {
        let words: Vec<String> = self.argv.iter().map(|word| format!("{word:?}")).collect();
        format!(
            "would run in tree {} as user {}: {}\n",
            tree.name,
            self.identity.user.name.escape_debug(),
            words.join(" ")
        )
    }

    /// Runs it; it holds `pass`.
    fn run(self, pass: Option<Pass>, reads: bool) -> Result<Over, String> {
        let path = self.argv.first().cloned().unwrap_or_default();
        let attached = Attached {
            argv: self.argv,
            environment: self.environment,
            // What an admin types may be a file of his directory; cron has none.
            directory: (!reads).then(|| PathBuf::from("/")),
            reads,
            identity: self.identity,
        };
        let over = attached.run(pass);
        over.map_err(|error| format!("cannot run {path:?}: {error}"))
    }
}

/// A refusal because no profile names the program.
fn unnamed<'p>(
    desk: &Desk<'_>,
    what: &str,
    word: &str,
    all: impl IntoIterator<Item = &'p Programs>,
    section: &str,
) -> Refused {
    let mut names: Vec<&str> = all
        .into_iter()
        .flat_map(|programs| programs.keys().map(String::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    let near = selection::near_words(word, names.iter().copied());
    let mut refused = desk.refuse(what);
    if !near.is_empty() {
        refused = refused.hint(format!("near {}: {}", word.escape_debug(), near.join(", ")));
    } else if !names.is_empty() {
        refused = refused.hint(format!("there are: {}", names.join(", ")));
    }
    refused.hint(format!(
        "what it does to lists is not guessed: describe it in [{section}] of a profile of your own \
         (contrib/profile.toml)"
    ))
}

/// Whether lists or mail of the tree with that part may be there.
fn is_used(parity: &Parity, role: Role) -> bool {
    let state = parity.roles.future_state;
    role == Role::Current || matches!(state, FutureState::Ready | FutureState::Retired)
}

/// A refusal of a list that there is not.
fn no_list(desk: &Desk<'_>, list: &ListName, known: &Known) -> Refused {
    let mut refused = desk.refuse(format!("there is no list {list}"));
    let near = selection::near(list, &known.lists);
    if !near.is_empty() {
        refused = refused.hint(format!("near {list}: {}", near.join(", ")));
    }
    refused.hint(typed(desk.site, "status --all"))
}
