//! What goes from which tree to which: what hooks are told.
//!
//! **Invariants.** Words only; nothing is run or read here.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::admin::request::Request;
use crate::admin::step::Step;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Roles};
use crate::running::variable;
use crate::settings::On;
use crate::site::Site;
use crate::tree::Tree;

/// What of the hooks goes with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of them: the step is the whole change.
    Whole,
    /// An install begins: what is prepared for it stays on record.
    Begin,
    /// It ends, and its tree takes lists: what comes after it.
    Ready,
    /// It ends otherwise: what was prepared for it is taken back once the lock is free.
    Back,
}

impl Part {
    /// That of a step from one set of roles to the other.
    pub(super) fn of(now: &Roles, then: &Roles) -> Part {
        use FutureState::{Installing, Ready};
        match (now.future_state, then.future_state) {
            _ if now.current != then.current => Part::Whole,
            (Installing, Installing) => Part::Whole,
            (Installing, Ready) => Part::Ready,
            (Installing, _) => Part::Back,
            (_, Installing) => Part::Begin,
            _ => Part::Whole,
        }
    }
}

/// One direction of a change.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) on: On,
    pub(super) from: &'a Tree,
    pub(super) to: &'a Tree,
    /// The releases in them, as parity.toml has them.
    pub(super) from_release: String,
    pub(super) release: String,
    /// The lists that move; none by a commit or an install.
    pub(super) lists: Vec<ListName>,
}

impl<'a> Turn<'a> {
    /// From the tree of one name to that of the other.
    pub(super) fn new(
        site: &'a Site,
        on: On,
        (from, to): (&str, &str),
        roles: &Roles,
        lists: impl IntoIterator<Item = ListName>,
    ) -> Option<Turn<'a>> {
        Some(Turn {
            on,
            from: site.config.tree(from)?,
            to: site.config.tree(to)?,
            from_release: roles.release_of(from).to_owned(),
            release: roles.release_of(to).to_owned(),
            lists: lists.into_iter().collect(),
        })
    }

    /// The directions of a step: none where no list changes trees, the trees keep their parts, and no
    /// install begins or ends well.
    pub(super) fn of_step(site: &'a Site, before: &Parity, step: &Step<'_>) -> Vec<Turn<'a>> {
        let (now, then) = (&before.roles, &step.after.roles);
        if now.current != then.current {
            let on = match then.future_state {
                FutureState::Retired => On::Commit,
                _ => On::Revert,
            };
            let trees = (now.current.as_str(), then.current.as_str());
            return Turn::new(site, on, trees, now, []).into_iter().collect();
        }
        let Some(future) = site.config.other_tree(&now.current) else {
            return Vec::new();
        };
        let roles = match Part::of(now, then) {
            Part::Whole => None,
            Part::Begin => Some(now),
            // After it, the release is the new one.
            Part::Ready => Some(then),
            Part::Back => return Vec::new(),
        };
        if let Some(roles) = roles {
            let trees = (now.current.as_str(), future.name.as_str());
            let turn = Turn::new(site, On::Install, trees, roles, []);
            return turn.into_iter().collect();
        }
        // What is only forgotten, or edited by hand, moves nothing.
        if step.moves.is_none() {
            return Vec::new();
        }
        let (current, future) = (now.current.as_str(), future.name.as_str());
        let only = |these: &BTreeSet<ListName>, those: &BTreeSet<ListName>| -> Vec<ListName> {
            let gone = &step.gone;
            let moving = these.difference(those).filter(|list| !gone.contains(*list));
            moving.cloned().collect()
        };
        let ahead = only(&step.after.on_future, &before.on_future);
        let back = only(&before.on_future, &step.after.on_future);
        [
            (On::Upgrade, (current, future), ahead),
            (On::Downgrade, (future, current), back),
        ]
        .into_iter()
        .filter(|(.., lists)| !lists.is_empty())
        .filter_map(|(on, trees, lists)| Turn::new(site, on, trees, now, lists))
        .collect()
    }

    /// The environment of a hook, for one list or for all.
    pub(super) fn environment(
        &self,
        site: &Site,
        request: &Request,
        step: &str,
        list: Option<&ListName>,
        generation: u64,
    ) -> Vec<(OsString, OsString)> {
        let mut all = vec![
            variable("MM_ACT", self.on.word()),
            variable("MM_STEP", step),
            variable("MM_FROM", &self.from.name),
            variable("MM_TO", &self.to.name),
            variable("MM_FROM_ROOT", &self.from.root),
            variable("MM_TO_ROOT", &self.to.root),
            variable("MM_FROM_DATA", &self.from.data),
            variable("MM_TO_DATA", &self.to.data),
            variable("MM_FROM_PROFILE", &self.from.profile),
            variable("MM_TO_PROFILE", &self.to.profile),
            variable("MM_FROM_RELEASE", &self.from_release),
            variable("MM_RELEASE", &self.release),
            variable("MM_SITE", &site.path),
            variable("MM_GENERATION", generation.to_string()),
            variable("MM_COUNT", list.map_or(self.lists.len(), |_| 1).to_string()),
        ];
        if let Some(reason) = request.reason.as_deref().filter(|it| !it.contains('\0')) {
            all.push(variable("MM_REASON", reason));
        }
        if let Some(list) = list {
            let own = list.as_str().split_once('@').map(|(_, domain)| domain);
            let trees = [self.to, self.from].into_iter();
            let domain = own.or_else(|| trees.filter_map(|tree| tree.domain.as_deref()).next());
            all.push(variable("MM_LIST", list.as_str()));
            all.push(variable("MM_LOCAL", list.local_part()));
            all.extend(domain.map(|domain| variable("MM_DOMAIN", domain)));
        }
        all
    }
}
