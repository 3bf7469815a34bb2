//! The tests of a tree in which a release was just installed: its profile says which.
//!
//! **Invariants.** Programs are run as the users who deliver, never as root, and behind a fence where
//! that can be had: no list's data are touched, and no list is named. A program that somebody
//! else could change is not run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::accounts::{self, Account, User};
use crate::admin::install::fence::Fence;
use crate::admin::outcome::names;
use crate::profiles::{Fresh, Profile, Run};
use crate::running::{End, Program};
use crate::site::Site;
use crate::tree::Tree;

/// What the tests showed.
#[derive(Debug, Default)]
pub struct Tested {
    /// What is wrong, a line each.
    pub problems: Vec<String>,
    /// What could not be tried, for the admin.
    pub notes: Vec<String>,
}

/// Tests `tree`, in which `release` is installed.
pub fn test(site: &Site, tree: &Tree, profile: &Profile, release: &str) -> Tested {
    let test = Test {
        site,
        tree,
        release,
    };
    if accounts::runner() != 0 {
        let mut tested = test.all(profile);
        let others = test.others();
        if !others.is_empty() {
            tested.notes.push(format!(
                "only root can run the tests of tree {} as {}",
                tree.name,
                names(&others)
            ));
        }
        return tested;
    }
    match Fence::around_all(site).within(|| test.all(profile)) {
        Ok(tested) => tested,
        Err(error) => {
            let mut tested = test.all(profile);
            tested.notes.push(format!(
                "the tests of tree {} ran without a fence around the lists' data: {error}",
                tree.name
            ));
            tested
        }
    }
}

struct Test<'a> {
    site: &'a Site,
    tree: &'a Tree,
    release: &'a str,
}

impl Test<'_> {
    fn all(&self, profile: &Profile) -> Tested {
        let mut tested = Tested::default();
        for fresh in profile.fresh() {
            match fresh {
                Fresh::Programs(programs) => {
                    let programs = programs.iter();
                    let paths = programs.map(|path| PathBuf::from(self.tree.expand(path, None)));
                    tested
                        .problems
                        .extend(paths.filter_map(|path| self.program(&path)));
                }
                Fresh::Run(run) => tested.problems.extend(self.run(run)),
            }
        }
        tested
    }

    /// Why the program at `path` cannot be run by those who may.
    fn program(&self, path: &Path) -> Option<String> {
        let name = &self.tree.name;
        match self.site.trusted().check(path, Some(&self.tree.root)) {
            Err(fault) => Some(format!("tree {name}: {fault}")),
            Ok(checked) if checked.file.permissions().mode() & 0o111 == 0 => {
                Some(format!("tree {name}: {path:?} is not executable"))
            }
            Ok(_) => None,
        }
    }

    /// What goes wrong as each of the users; as ourselves, where we cannot become them.
    fn run(&self, run: &Run) -> Vec<String> {
        let argv = run.argv(self.tree);
        let path = argv.first().map(Path::new).unwrap_or(Path::new(""));
        if let Some(problem) = self.program(path) {
            return vec![problem];
        }
        if accounts::runner() != 0 {
            return self.run_as(run, &argv, None).into_iter().collect();
        }
        let users = self.site.config.users.iter();
        users
            // An account that there is not is told elsewhere.
            .filter_map(|account| account.user().ok())
            .filter_map(|user| self.run_as(run, &argv, Some(user)))
            .collect()
    }

    fn run_as(&self, run: &Run, argv: &[String], user: Option<User>) -> Option<String> {
        let whose = match &user {
            Some(user) => user.name.clone(),
            None => accounts::runner().to_string(),
        };
        let wrong = |what: String| {
            format!(
                "tree {}: not so, as user {whose:?}: {}: {argv:?}: {what}",
                self.tree.name, run.shows
            )
        };
        let program = Program {
            user,
            ..Program::new(argv, run.limit.duration())
        };
        let ended = match program.run() {
            Ok(ended) => ended,
            Err(error) => return Some(wrong(error.to_string())),
        };
        let said = match ended.last_words() {
            words if words.is_empty() => String::new(),
            words => format!("; it said {words:?}"),
        };
        if ended.end != End::Exited(run.status) {
            let expected = match run.status {
                0 => String::new(),
                status => format!(", not with {status}"),
            };
            return Some(wrong(format!("it {}{expected}{said}", ended.end)));
        }
        let objection = run.objection(self.release, &ended.output)?;
        Some(wrong(format!("{objection}{said}")))
    }

    /// Users as whom nothing can be tried.
    fn others(&self) -> Vec<String> {
        let us = accounts::runner();
        let is_other = |user: &&Account| user.uid().is_ok_and(|uid| uid != us);
        let others = self.site.config.users.iter().filter(is_other);
        others
            .map(|user| user.to_string().escape_debug().to_string())
            .collect()
    }
}
