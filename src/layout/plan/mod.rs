//! Which steps lead from an installation to the layout of two trees.
//!
//! In order: the installation is recognised, the host asked for what was not said, the lists'
//! data looked at one directory after the other, the lists' own templates, the second tree's links,
//! and last site.toml.
//!
//! **Invariants.** Looks, and changes nothing. Every reason against it is told at once. What is
//! outside already is not moved. Nothing is planned in a place where something is.

mod data;
mod recognise;
mod site;
mod templates;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::data::{beside, data_root, owner_of};
use self::recognise::{draft, recognise};
use super::look::{Installation, real};
use super::steps::Step;
use crate::config::Mta;
use crate::profiles::Profile;
use crate::site::Site;
use crate::tree::Tree;

/// By this file in the lists' data it is told that their file system is mounted.
const SENTINEL: &str = ".mm-deliver-data";

/// What was asked for; what is `None` is found out.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The installation.
    pub from: PathBuf,
    /// Where site.toml goes.
    pub site: PathBuf,
    /// Which list manager it is.
    pub profile: Option<String>,
    /// Where the lists' data go.
    pub data: Option<PathBuf>,
    /// The root of the second tree.
    pub future: Option<PathBuf>,
    /// The state directory.
    pub state: PathBuf,
    /// Which MTA.
    pub mta: Option<Mta>,
    /// What it reads.
    pub aliases: Vec<PathBuf>,
    /// Whom it runs programs as.
    pub users: Vec<String>,
    /// mm-deliver.
    pub program: Option<PathBuf>,
}

/// What is to be done, as the journal keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of the journal's form.
    pub format: u32,
    /// The installation.
    pub from: PathBuf,
    /// Where site.toml goes.
    pub site_file: PathBuf,
    /// What goes there.
    pub site_text: String,
    /// Whether the directory of site.toml is made for it.
    pub makes_holder: bool,
    /// The state directory, and whether it was there.
    pub state: PathBuf,
    /// Whether it was there.
    pub had_state: bool,
    /// The names that it had in it.
    pub state_names: BTreeSet<String>,
    /// The root of the second tree.
    pub future: PathBuf,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A plan, and what there is to be said about it.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The site that it makes.
    pub site: Site,
    /// The list manager, one line.
    pub about: String,
    /// The release that is there.
    pub release: String,
    /// The names of the directories that move to the data.
    pub moving: Vec<PathBuf>,
    /// Where the lists' data are afterwards.
    pub data: PathBuf,
    /// The directories that are outside already.
    pub outside: Vec<(String, PathBuf)>,
    /// What the second tree's settings must say, as it is written there; in which file.
    pub settings: (PathBuf, Vec<String>),
    /// What else the admin should know.
    pub notes: Vec<String>,
}

/// Why there is no plan: every reason, and what to type or do.
#[derive(Debug, Default)]
pub struct Reasons {
    /// Object, then cause.
    pub reasons: Vec<String>,
    /// What helps.
    pub hints: Vec<String>,
}

impl Reasons {
    fn one(reason: impl Into<String>) -> Reasons {
        Reasons {
            reasons: vec![reason.into()],
            hints: Vec::new(),
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Reasons {
        self.hints.push(hint.into());
        self
    }

    /// Each once: what is so of a file system is so of all that is on it.
    fn add(&mut self, other: Reasons) {
        for (all, more) in [
            (&mut self.reasons, other.reasons),
            (&mut self.hints, other.hints),
        ] {
            let new: Vec<String> = more.into_iter().filter(|one| !all.contains(one)).collect();
            all.extend(new);
        }
    }
}

impl From<String> for Reasons {
    fn from(reason: String) -> Reasons {
        Reasons::one(reason)
    }
}

/// Looks at the installation and says what is to be done.
///
/// # Errors
/// Every reason against it.
pub fn plan(ask: &Ask) -> Result<Planned, Reasons> {
    let from = fs::canonicalize(&ask.from).map_err(|error| format!("{:?}: {error}", ask.from))?;
    if !from.is_dir() {
        return Err(Reasons::one(format!("{from:?} is no directory")));
    }
    if let Some(path) = utf8(&from).err() {
        return Err(Reasons::one(path));
    }
    let site_file = place(&ask.site)?;
    if fs::symlink_metadata(&site_file).is_ok() {
        return Err(Reasons::one(format!("{site_file:?} is there already"))
            .hint("where it describes this host: mm-parity init --current TREE"));
    }
    let found = recognise(ask, &from, &site_file)?;
    Draft::of(ask, from, site_file, found)?.planned()
}

/// A path whose last part need not be there, without links.
fn place(path: &Path) -> Result<PathBuf, Reasons> {
    let whole = std::path::absolute(path).map_err(|error| format!("{path:?}: {error}"))?;
    let whole = real(&whole);
    utf8(&whole)?;
    Ok(whole)
}

fn utf8(path: &Path) -> Result<(), String> {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => Ok(()),
        _ => Err(format!("{path:?} cannot be written into a site.toml")),
    }
}

/// A plan that is being made.
struct Draft<'a> {
    ask: &'a Ask,
    from: PathBuf,
    site_file: PathBuf,
    name: String,
    profile: Profile,
    /// The installation as a tree, with its data where they are.
    tree: Tree,
    /// Where its data are, by its settings.
    home: PathBuf,
    /// The same without the tree's root, where it is in it; else nothing.
    below: PathBuf,
    /// Where the lists' data go.
    data: PathBuf,
    future: PathBuf,
    steps: Vec<Step>,
    moving: Vec<PathBuf>,
    outside: Vec<(String, PathBuf)>,
    notes: Vec<String>,
    reasons: Reasons,
}

impl<'a> Draft<'a> {
    fn of(
        ask: &'a Ask,
        from: PathBuf,
        site_file: PathBuf,
        (name, profile): (String, Profile),
    ) -> Result<Draft<'a>, Reasons> {
        let (_, mut tree) = draft(&from, &site_file, &name)?;
        let layout = profile
            .layout()
            .ok_or_else(|| Reasons::one("no [layout]"))?;
        let home = real(&Installation::of(layout, &tree).home);
        tree.data.clone_from(&home);
        let below = home.strip_prefix(&from).map(Path::to_owned);
        let future = match &ask.future {
            Some(future) => place(future)?,
            None => beside(&from, "-b"),
        };
        let data = data_root(ask, &from, &home, &profile)?;
        Ok(Draft {
            ask,
            site_file,
            name,
            tree,
            below: below.unwrap_or_default(),
            home,
            data,
            future,
            from,
            profile,
            steps: Vec::new(),
            moving: Vec::new(),
            outside: Vec::new(),
            notes: Vec::new(),
            reasons: Reasons::default(),
        })
    }

    fn planned(mut self) -> Result<Planned, Reasons> {
        let places = [&self.from, &self.data, &self.future];
        let (data, future) = (self.data.clone(), self.future.clone());
        for (inner, what) in [(&data, "the data"), (&future, "the second tree")] {
            let mut others = places.iter().filter(|other| *other != &inner);
            if let Some(outer) = others.find(|other| inner.starts_with(other)) {
                let reason = format!("{what} cannot be in {outer:?}: {inner:?}");
                self.reasons.reasons.push(reason);
            }
        }
        let like = owner_of(&self.from).map_err(|error| format!("{:?}: {error}", self.from))?;
        self.directory(&data, like);
        self.data_directories();
        self.site_templates();
        self.list_templates();
        self.file(&data.join(SENTINEL), "");
        self.second_tree(like);
        let (site, text) = self.site()?;
        self.preflight(&site);
        let state = site.config.state.clone();
        if self.reasons.reasons.is_empty() {
            self.steps.push(Step::File {
                path: self.site_file.clone(),
                text: text.clone(),
                mode: 0o644,
            });
            return Ok(self.finished(site, text, state));
        }
        Err(self.reasons)
    }

    fn finished(self, site: Site, site_text: String, state: PathBuf) -> Planned {
        let settings = self.settings(&site);
        let names = fs::read_dir(&state).into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        Planned {
            about: self.profile.about.clone(),
            release: self.profile.release(&self.tree).unwrap_or_default(),
            plan: Plan {
                format: 1,
                from: self.from,
                makes_holder: self.site_file.parent().is_some_and(|dir| !dir.exists()),
                site_file: self.site_file,
                site_text,
                had_state: state.exists(),
                state_names: names.collect(),
                state,
                future: self.future,
                steps: self.steps,
            },
            site,
            moving: self.moving,
            data: self.data,
            outside: self.outside,
            settings,
            notes: self.notes,
        }
    }
}
