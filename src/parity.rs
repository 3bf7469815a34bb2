//! Who is on what, and what may change: the legal moves, as pure functions.
//!
//! A move takes one [`Parity`] and returns the next, its generation one higher, or every
//! reason why not. Nothing changes in place, so the old one stays to go back to.
//!
//! **Invariants.** No paths, no I/O, no clock. A move names lists; whether they exist is
//! the caller's to know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::clock::Timestamp;
use crate::list::ListName;

/// The part that a tree plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The system's tree, and that of every list that nobody moved.
    Current,
    /// The tree that lists are moved to, one by one.
    Future,
}

/// What may be done with the future tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FutureState {
    /// Nothing is installed there, or there is one tree only.
    Empty,
    /// An install is under way, or died.
    Installing,
    /// Lists may move there.
    Ready,
    /// What was installed failed its tests.
    Broken,
    /// It was the current tree until the last commit.
    Retired,
}

impl FutureState {
    const ALL: &[FutureState] = &[
        FutureState::Empty,
        FutureState::Installing,
        FutureState::Ready,
        FutureState::Broken,
        FutureState::Retired,
    ];

    /// The word in parity.toml.
    pub const fn as_str(self) -> &'static str {
        match self {
            FutureState::Empty => "empty",
            FutureState::Installing => "installing",
            FutureState::Ready => "ready",
            FutureState::Broken => "broken",
            FutureState::Retired => "retired",
        }
    }

    /// Reads the word in parity.toml.
    pub fn parse(word: &str) -> Option<FutureState> {
        FutureState::ALL
            .iter()
            .copied()
            .find(|state| state.as_str() == word)
    }
}

impl fmt::Display for FutureState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What parity.toml says apart from its lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Counts every change; never repeats.
    pub generation: u64,
    /// The name of the current tree.
    pub current: String,
    /// The release in it.
    pub current_release: String,
    /// Whether lists may move to the other tree.
    pub future_state: FutureState,
    /// The release in the other tree; empty where there is none.
    pub future_release: String,
    /// Trees whose programs run guarded.
    pub guarded: BTreeSet<String>,
}

impl Roles {
    /// The release in a tree, by the tree's name.
    pub fn release_of(&self, tree: &str) -> &str {
        match tree == self.current {
            true => &self.current_release,
            false => &self.future_release,
        }
    }
}

/// Everything that parity.toml says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parity {
    /// Trees and generation.
    pub roles: Roles,
    /// Lists that globs and `--all` pass over.
    pub pinned: BTreeSet<ListName>,
    /// Lists whose mail is deferred, and since when.
    pub paused: BTreeMap<ListName, Timestamp>,
    /// Lists that were moved ahead.
    pub on_future: BTreeSet<ListName>,
}

/// Why a move is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The future tree is in a state that takes no lists.
    NotReady(FutureState),
    /// These lists are still on the current tree.
    StillOnCurrent(Vec<ListName>),
    /// Something was installed since the commit, or there was none.
    NothingToRevert,
}

impl Parity {
    /// The parity of one list.
    pub fn of(&self, list: &ListName) -> Role {
        if self.on_future.contains(list) {
            Role::Future
        } else {
            Role::Current
        }
    }

    /// Moves `lists` to the future tree.
    ///
    /// # Errors
    /// [`Refusal::NotReady`].
    pub fn upgrade(&self, lists: impl IntoIterator<Item = ListName>) -> Result<Parity, Refusal> {
        match self.roles.future_state {
            FutureState::Ready => Ok(self.next(|next| next.on_future.extend(lists))),
            state => Err(Refusal::NotReady(state)),
        }
    }

    /// Takes `lists` back to the current tree. Never refused.
    pub fn downgrade(&self, lists: &BTreeSet<ListName>) -> Parity {
        self.next(|next| next.on_future.retain(|list| !lists.contains(list)))
    }

    /// Swaps the roles: the future tree, named `other`, becomes the current one.
    ///
    /// `known` are all lists there are.
    ///
    /// # Errors
    /// [`Refusal::NotReady`]; [`Refusal::StillOnCurrent`] with the lists.
    pub fn commit<'a>(
        &self,
        other: &str,
        known: impl IntoIterator<Item = &'a ListName>,
    ) -> Result<Parity, Refusal> {
        if self.roles.future_state != FutureState::Ready {
            return Err(Refusal::NotReady(self.roles.future_state));
        }
        let behind: Vec<ListName> = known
            .into_iter()
            .filter(|list| self.of(list) == Role::Current)
            .cloned()
            .collect();
        if !behind.is_empty() {
            return Err(Refusal::StillOnCurrent(behind));
        }
        Ok(self.swapped(other, FutureState::Retired, BTreeSet::new()))
    }

    /// Takes a commit back: the retired tree, named `other`, is current again, and every
    /// list of `known` is ahead on the other one, where it was.
    ///
    /// # Errors
    /// [`Refusal::NothingToRevert`].
    pub fn revert(
        &self,
        other: &str,
        known: impl IntoIterator<Item = ListName>,
    ) -> Result<Parity, Refusal> {
        if self.roles.future_state != FutureState::Retired {
            return Err(Refusal::NothingToRevert);
        }
        Ok(self.swapped(other, FutureState::Ready, known.into_iter().collect()))
    }

    /// Records what a look at the trees showed: the release of the current one and, if it was
    /// looked at, the name of the other one and its release, which takes lists from then on, and
    /// is guarded until somebody trusts it.
    pub fn verified(&self, current_release: String, future: Option<(&str, String)>) -> Parity {
        self.next(|next| {
            next.roles.current_release = current_release;
            if let Some((tree, release)) = future {
                next.roles.future_release = release;
                next.roles.future_state = FutureState::Ready;
                next.roles.guarded.insert(tree.to_owned());
            }
        })
    }

    /// Marks that something is being installed in the other tree. What is recorded of it stays, for
    /// who takes this back.
    pub fn installing(&self) -> Parity {
        self.next(|next| next.roles.future_state = FutureState::Installing)
    }

    /// The install failed, or what was installed failed its tests; `release`: what was found.
    pub fn broken(&self, release: Option<String>) -> Parity {
        self.next(|next| {
            next.roles.future_state = FutureState::Broken;
            next.roles.future_release = release.unwrap_or_default();
        })
    }

    /// What was installed is the release that was retired: nothing that lists could go ahead to.
    pub fn retired_again(&self) -> Parity {
        self.next(|next| next.roles.future_state = FutureState::Retired)
    }

    /// An install in the other tree, named `other`, was taken back, which was in the state `before`
    /// it. Its files are not put back: where it took lists, it holds nothing now that anybody
    /// looked at, and whatever is installed next is looked at first.
    ///
    /// No move of its own: a part of one that takes a change back.
    pub fn without_install(mut self, other: &str, before: FutureState) -> Parity {
        self.roles.future_state = match before {
            FutureState::Retired | FutureState::Broken => before,
            FutureState::Empty | FutureState::Installing | FutureState::Ready => {
                self.roles.future_release.clear();
                self.roles.guarded.remove(other);
                FutureState::Empty
            }
        };
        self
    }

    /// Runs the programs of this tree guarded.
    pub fn guard(&self, tree: &str) -> Parity {
        self.next(|next| {
            next.roles.guarded.insert(tree.to_owned());
        })
    }

    /// Records that files of this tree were changed by intent, and that `release` is in it now: it
    /// is guarded again.
    pub fn patched(&self, tree: &str, release: String) -> Parity {
        self.next(|next| {
            match tree == next.roles.current {
                true => next.roles.current_release = release,
                false => next.roles.future_release = release,
            }
            next.roles.guarded.insert(tree.to_owned());
        })
    }

    /// Ends the probation of the tree of this name.
    pub fn trust(&self, tree: &str) -> Parity {
        self.next(|next| {
            next.roles.guarded.remove(tree);
        })
    }

    /// Defers mail for `lists` from `now` on; a list that is paused already keeps its time.
    pub fn pause(&self, lists: impl IntoIterator<Item = ListName>, now: Timestamp) -> Parity {
        self.next(|next| {
            for list in lists {
                next.paused.entry(list).or_insert(now);
            }
        })
    }

    /// Lets mail for `lists` through again.
    pub fn resume(&self, lists: &BTreeSet<ListName>) -> Parity {
        self.next(|next| next.paused.retain(|list, _| !lists.contains(list)))
    }

    /// Makes globs and `--all` pass over `lists`.
    pub fn pin(&self, lists: impl IntoIterator<Item = ListName>) -> Parity {
        self.next(|next| next.pinned.extend(lists))
    }

    /// Ends that.
    pub fn unpin(&self, lists: &BTreeSet<ListName>) -> Parity {
        self.next(|next| next.pinned.retain(|list| !lists.contains(list)))
    }

    /// Drops the names of lists that no longer exist.
    pub fn forget(&self, lists: &BTreeSet<ListName>) -> Parity {
        self.next(|next| {
            next.on_future.retain(|list| !lists.contains(list));
            next.paused.retain(|list, _| !lists.contains(list));
            next.pinned.retain(|list| !lists.contains(list));
        })
    }

    /// The same once more: what was changed stands elsewhere.
    pub fn again(&self) -> Parity {
        self.next(|_| {})
    }

    /// Every name that stands in it.
    pub fn names(&self) -> BTreeSet<&ListName> {
        self.on_future
            .iter()
            .chain(&self.pinned)
            .chain(self.paused.keys())
            .collect()
    }

    fn next(&self, change: impl FnOnce(&mut Parity)) -> Parity {
        let mut next = self.clone();
        change(&mut next);
        next.roles.generation += 1;
        next
    }

    fn swapped(&self, other: &str, state: FutureState, on_future: BTreeSet<ListName>) -> Parity {
        self.next(|next| {
            next.roles.current = other.to_owned();
            next.roles
                .current_release
                .clone_from(&self.roles.future_release);
            next.roles
                .future_release
                .clone_from(&self.roles.current_release);
            next.roles.future_state = state;
            next.on_future = on_future;
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn list(name: &str) -> ListName {
        ListName::parse(name).unwrap()
    }

    fn set(names: &[&str]) -> BTreeSet<ListName> {
        names.iter().map(|name| list(name)).collect()
    }

    fn fresh() -> Parity {
        Parity {
            roles: Roles {
                generation: 1,
                current: "a".into(),
                current_release: "2.1.39".into(),
                future_state: FutureState::Ready,
                future_release: "2.1.40".into(),
                guarded: BTreeSet::new(),
            },
            pinned: BTreeSet::new(),
            paused: BTreeMap::new(),
            on_future: BTreeSet::new(),
        }
    }

    #[test]
    fn a_list_nobody_moved_is_on_current() {
        let moved = fresh().upgrade([list("toylist")]).unwrap();
        assert_eq!(moved.of(&list("toylist")), Role::Future);
        assert_eq!(moved.of(&list("reallist1")), Role::Current);
        assert_eq!(moved.roles.generation, 2);
        assert_eq!(
            moved.downgrade(&set(&["toylist"])).on_future,
            BTreeSet::new()
        );
    }

    #[test]
    fn only_a_ready_tree_takes_lists() {
        for &state in FutureState::ALL {
            let mut parity = fresh();
            parity.roles.future_state = state;
            let moved = parity.upgrade([list("toylist")]);
            assert_eq!(moved.is_ok(), state == FutureState::Ready, "{state}");
            assert_eq!(FutureState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn a_commit_swaps_the_roles_and_a_revert_takes_it_back() {
        let lists = set(&["toylist", "reallist1"]);
        let half = fresh().upgrade([list("toylist")]).unwrap();
        let behind = Refusal::StillOnCurrent(vec![list("reallist1")]);
        assert_eq!(half.commit("b", &lists), Err(behind));
        assert_eq!(
            half.revert("b", lists.clone()),
            Err(Refusal::NothingToRevert)
        );

        let all = half.upgrade(lists.clone()).unwrap();
        let done = all.commit("b", &lists).unwrap();
        assert_eq!(
            (
                done.roles.current.as_str(),
                done.roles.current_release.as_str()
            ),
            ("b", "2.1.40")
        );
        assert_eq!(
            (done.roles.future_state, done.roles.future_release.as_str()),
            (FutureState::Retired, "2.1.39")
        );
        assert!(done.on_future.is_empty());
        assert_eq!(
            done.upgrade([list("x")]),
            Err(Refusal::NotReady(FutureState::Retired))
        );

        let back = done.revert("a", lists.clone()).unwrap();
        assert_eq!(
            Parity {
                roles: Roles {
                    generation: all.roles.generation,
                    ..back.roles.clone()
                },
                ..back
            },
            all
        );
    }

    #[test]
    fn an_install_takes_no_lists_until_its_tree_is_ready_and_that_is_guarded() {
        let begun = fresh().installing();
        let refused = Err(Refusal::NotReady(FutureState::Installing));
        assert_eq!(begun.upgrade([list("toylist")]), refused);
        assert_eq!(begun.revert("b", []), Err(Refusal::NothingToRevert));
        assert_eq!(begun.roles.future_release, "2.1.40");
        let broken = begun.broken(None);
        let refused = Err(Refusal::NotReady(FutureState::Broken));
        assert_eq!(broken.upgrade([list("toylist")]), refused);
        assert_eq!(broken.roles.future_release, "");
        let ready = begun.verified("2.1.39".into(), Some(("b", "2.1.41".into())));
        assert!(ready.roles.guarded.contains("b"));
        assert!(ready.upgrade([list("toylist")]).is_ok());
    }

    #[test]
    fn an_install_that_is_taken_back_leaves_a_tree_that_takes_no_lists() {
        for (before, after) in [
            (FutureState::Empty, FutureState::Empty),
            (FutureState::Installing, FutureState::Empty),
            (FutureState::Ready, FutureState::Empty),
            (FutureState::Broken, FutureState::Broken),
            (FutureState::Retired, FutureState::Retired),
        ] {
            let begun = fresh().guard("b").installing();
            let left = begun.clone().without_install("b", before);
            assert_eq!(left.roles.future_state, after, "{before}");
            let is_known = !left.roles.future_release.is_empty();
            assert_eq!(is_known, after != FutureState::Empty, "{before}");
            assert_eq!(left.roles.guarded.contains("b"), is_known, "{before}");
            assert_eq!(left.roles.generation, begun.roles.generation);
        }
    }

    #[test]
    fn a_patch_moves_no_list_and_guards_the_tree() {
        let split = fresh().upgrade([list("toylist")]).unwrap();
        let patched = split.patched("a", "2.1.39-1".into());
        assert_eq!(patched.on_future, split.on_future);
        assert_eq!(patched.roles.release_of("a"), "2.1.39-1");
        assert_eq!(patched.roles.release_of("b"), "2.1.40");
        assert!(patched.roles.guarded.contains("a"));
        let patched = split.patched("b", "2.1.40-1".into());
        assert_eq!(patched.roles.release_of("b"), "2.1.40-1");
        assert_eq!(patched.roles.future_state, FutureState::Ready);
    }

    #[test]
    fn a_paused_list_moves_and_stays_paused_since_the_same_time() {
        let paused = fresh()
            .pause([list("toylist")], Timestamp(10))
            .pause([list("toylist")], Timestamp(20));
        assert_eq!(paused.paused[&list("toylist")], Timestamp(10));
        let moved = paused.upgrade([list("toylist")]).unwrap();
        assert!(moved.paused.contains_key(&list("toylist")));
        assert!(moved.resume(&set(&["toylist"])).paused.is_empty());
    }

    #[test]
    fn a_forgotten_list_stands_nowhere() {
        let parity = fresh()
            .upgrade([list("x")])
            .unwrap()
            .pin([list("x")])
            .pause([list("x")], Timestamp(1));
        assert!(parity.forget(&set(&["x"])).names().is_empty());
    }
}
