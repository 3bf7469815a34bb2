//! What an admin types next from here, and how to go back.
//!
//! **Invariants.** Words only, from what was looked at before.

use super::View;
use crate::admin::outcome::typed;
use crate::admin::releases;
use crate::admin::trust;
use crate::parity::FutureState;
use crate::store::Underway;

impl View<'_> {
    /// What to type next, and how to go back.
    pub(super) fn ways(&self) -> Vec<(&'static str, String)> {
        let say = |words: &str| typed(self.site, words);
        let ahead = &self.parity.on_future;
        let behind = match &self.known {
            Ok(known) => known.lists.iter().any(|list| !ahead.contains(list)),
            Err(_) => true,
        };
        let mut ways = Vec::new();
        match self.parity.roles.future_state {
            FutureState::Ready | FutureState::Retired if self.is_changed() && ahead.is_empty() => {
                ways.push(("next:", say("verify")));
            }
            FutureState::Ready if ahead.is_empty() => ways.push(("next:", say("upgrade LIST"))),
            FutureState::Ready if behind => {
                ways.push(("next:", say("upgrade LIST, then upgrade --all")))
            }
            FutureState::Ready if self.may_be_troubled() => {
                ways.push(("next:", say("check, then commit")));
            }
            FutureState::Ready => ways.push(("next:", say("commit"))),
            state => ways.extend(self.towards_ready(state)),
        }
        if !ahead.is_empty() {
            ways.push(("back:", say("downgrade LIST, or downgrade --all")));
        }
        if self.guarded(self.current).is_some() {
            let name = &self.current.name;
            ways.push((
                "also:",
                match self.unsound {
                    None => say(&format!("trust {name}")),
                    // To trust it would be refused.
                    Some(change) => format!(
                        "{}, since change {change} left tree {name} unsound",
                        say(&format!("patch {name} --reason TEXT COMMAND"))
                    ),
                },
            ));
        }
        if !self.parity.paused.is_empty() {
            ways.push(("also:", say("resume LIST")));
        }
        ways
    }

    /// What makes a tree that takes no lists one that does, and the way back from there.
    fn towards_ready(&self, state: FutureState) -> Vec<(&'static str, String)> {
        let say = |words: &str| typed(self.site, words);
        let Some(future) = self.future else {
            return Vec::new();
        };
        let name = &future.name;
        if let Some(running) = Underway::by(self.site).filter(|running| running.tree == *name) {
            return vec![("now:", running.to_string()), ("back:", say("undo"))];
        }
        match state {
            FutureState::Installing => vec![
                (
                    "next:",
                    format!(
                        "{} again; or, where tree {name} is complete: {}",
                        say("install COMMAND"),
                        say("install --end")
                    ),
                ),
                ("back:", say("undo")),
            ],
            FutureState::Broken => vec![
                (
                    "next:",
                    format!(
                        "mend tree {name}, then {}; or {} again",
                        say("verify"),
                        say("install COMMAND")
                    ),
                ),
                ("back:", say("undo")),
            ],
            FutureState::Empty | FutureState::Retired | FutureState::Ready => {
                let next = format!(
                    "{}, which installs a release in tree {name}",
                    say("install COMMAND")
                );
                let back = (state == FutureState::Retired).then(|| say("commit --revert"));
                [("next:", next)]
                    .into_iter()
                    .chain(back.map(|back| ("back:", back)))
                    .collect()
            }
        }
    }

    /// Whether a commit would ask for `--force`: mail waits, or nobody can say whether it does.
    fn may_be_troubled(&self) -> bool {
        let is_guarded = self.future.is_some_and(|tree| self.guarded(tree).is_some());
        is_guarded
            && (!self.troubled().is_empty() || !trust::unknown(self.site, &self.seen).is_empty())
    }

    /// Whether the future tree's files are not those that are recorded: nothing can choose it.
    fn is_changed(&self) -> bool {
        let recorded = &self.parity.roles.future_release;
        let other = |tree| releases::other_in(self.site, tree, recorded);
        self.future
            .and_then(other)
            .is_some_and(|other| other.is_known)
    }
}
