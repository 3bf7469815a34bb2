//! What site.toml says, and what would make mail wait on such a site.
//!
//! **Invariants.** What the admin said goes before what the host tells.

use std::path::{Path, PathBuf};

use super::recognise::draft;
use super::{Draft, Reasons, place};
use crate::accounts::Account;
use crate::config::{Config, Mta};
use crate::layout::host;
use crate::layout::look::{Installation, real};
use crate::layout::site_file::{self, Values};
use crate::site::Site;
use crate::tree::Tree;

impl Draft<'_> {
    /// The site as it will be described.
    pub(super) fn site(&mut self) -> Result<(Site, String), Reasons> {
        let mta = self.mta();
        let aliases = match self.ask.aliases.is_empty() {
            true => host::aliases(mta.unwrap_or(Mta::None)),
            false => self.ask.aliases.clone(),
        };
        let users = match self.ask.users.is_empty() {
            true => host::users(mta.unwrap_or(Mta::None), &aliases),
            false => self.ask.users.clone(),
        };
        let (owner, group) = self.whose();
        let values = Values {
            state: place(&self.ask.state)?,
            owner,
            group,
            current: self.from.clone(),
            future: self.future.clone(),
            profile: self.name.clone(),
            queues: self.queues(),
            data: self.data.clone(),
            mta: mta.unwrap_or(Mta::None),
            aliases,
            program: self.ask.program.clone().unwrap_or_else(program),
            users,
            jobs: self.runs_as(),
        };
        let text = site_file::render(&values);
        let config = Config::parse(&text)
            .map_err(|bad| Reasons::one(format!("the site.toml that would be written: {bad}")))?;
        Ok((Site::draft(&self.site_file, config), text))
    }

    pub(super) fn mta(&mut self) -> Option<Mta> {
        if self.ask.mta.is_some() {
            return self.ask.mta;
        }
        let there = host::mtas();
        if let &[one] = there.as_slice() {
            return Some(one);
        }
        let words: Vec<&str> = there.iter().map(|&mta| site_file::word(mta)).collect();
        let mut reasons = Reasons::one(match words.is_empty() {
            true => "which MTA reads the aliases? none is found on this host".to_owned(),
            false => format!(
                "which MTA reads the aliases? {} are installed",
                words.join(" and ")
            ),
        });
        let all = [
            Mta::Postfix,
            Mta::Sendmail,
            Mta::Exim,
            Mta::OpenSmtpd,
            Mta::None,
        ];
        let asked = match words.is_empty() {
            true => all.map(site_file::word).to_vec(),
            false => words,
        };
        for word in asked {
            reasons = reasons.hint(format!("--mta {word}"));
        }
        self.reasons.add(reasons);
        None
    }

    /// Who owns what is executed, and whose write permission that has.
    pub(super) fn whose(&self) -> (String, Option<String>) {
        let (site, tree) = match draft(&self.from, &self.site_file, &self.name) {
            Ok(found) => found,
            Err(_) => return ("root".to_owned(), None),
        };
        let mut paths = vec![self.from.clone()];
        for (_, program) in self.profile.programs(&site, &tree) {
            paths.extend(program.parent().map(Path::to_owned));
            paths.push(program);
        }
        host::owner_and_group(paths.iter().map(PathBuf::as_path))
    }

    /// As whom the installation runs its own programs: a user that there is, and not root.
    fn runs_as(&self) -> Option<String> {
        let layout = self.profile.layout()?;
        let installation = Installation::of(layout, &self.tree);
        let name = installation.setting(layout.user.as_deref()?)?.value?;
        let uid = Account::new(&name).uid().ok()?;
        (uid != 0).then_some(name)
    }

    /// Where the queues of both trees are.
    pub(super) fn queues(&self) -> Option<(PathBuf, PathBuf)> {
        let root = self.profile.queues()?.root.as_ref()?;
        let of = |data: PathBuf| {
            let tree = Tree {
                data,
                ..self.tree.clone()
            };
            PathBuf::from(tree.expand(root, None))
        };
        Some((real(&of(self.home.clone())), of(self.second_home())))
    }

    /// What the second tree's settings have as the place of its data, if it is built like the first.
    fn second_home(&self) -> PathBuf {
        // An empty part would become a slash at the end.
        self.future.iter().chain(self.below.iter()).collect()
    }

    /// What would make mail wait in the installation as it is.
    pub(super) fn preflight(&mut self, site: &Site) {
        if self.lists().is_empty()
            && let Err(error) = self.profile.enumerate(&self.tree)
        {
            let reason = format!("cannot say which lists there are: {error}");
            self.reasons.reasons.push(reason);
        }
        let state = &site.config.state;
        if !state.parent().is_some_and(Path::is_dir) {
            let reason = format!("the directory for {state:?} is not there");
            self.reasons.add(Reasons::one(reason).hint("--state DIR"));
        }
        if state.join("parity.toml").exists() {
            let reason = format!("{:?} is there already", state.join("parity.toml"));
            self.reasons
                .add(Reasons::one(reason).hint("--state DIR, another one"));
        }
        let program = &site.config.program;
        if !program.is_file() {
            let reason = format!("{program:?} is not there");
            self.reasons.add(
                Reasons::one(reason).hint("--program FILE: mm-deliver, as aliases are to have it"),
            );
        }
    }

    /// What the second tree's settings must say.
    pub(super) fn settings(&self, site: &Site) -> (PathBuf, Vec<String>) {
        let (Some(layout), Some(tree)) = (self.profile.layout(), site.config.tree("b")) else {
            return Default::default();
        };
        let second = Installation {
            layout,
            tree,
            home: self.second_home(),
        };
        let given = layout.apart.iter().filter_map(|apart| {
            let value = second.expand(apart.give.as_ref()?);
            Some(layout.written(&apart.setting, &value.to_string_lossy()))
        });
        let file = layout.settings.first().map(|file| second.expand(file));
        (file.unwrap_or_default(), given.collect())
    }
}

/// mm-deliver where it is installed, or beside this program.
pub(super) fn program() -> PathBuf {
    const INSTALLED: &str = "/usr/lib/mm-deliver/mm-deliver";
    let beside = std::env::current_exe().ok();
    let beside = beside.map(|program| program.with_file_name("mm-deliver"));
    let places = [Some(PathBuf::from(INSTALLED)), beside];
    let mut there = places.into_iter().flatten().filter(|path| path.is_file());
    there.next().unwrap_or_else(|| INSTALLED.into())
}
