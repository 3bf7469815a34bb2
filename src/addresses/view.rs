//! Everything that a decision, or a look, goes by: the trees, the parity, the entries found.
//!
//! **Invariants.** Changes nothing. What takes a look at every list or every entry is found out
//! when it is first asked for, and once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::compare::{self, Row};
use super::error::AddressError;
use super::expansion::distance;
use super::found::{Found, Place};
use super::known::{self, Known};
use super::pipe::Trees;
use super::reserved::Reserved;
use super::turning::{lists_of, ours};
use super::wanted;
use super::well::{Sifted, Well};
use crate::list::ListName;
use crate::parity::Parity;
use crate::profiles::ProbeError;
use crate::site::Site;

/// Everything that a decision or a look goes by.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) trees: Trees<'a>,
    pub(super) parity: &'a Parity,
    pub(super) found: &'a Found,
    reserved: Reserved<'a>,
    enumerated: OnceCell<Result<BTreeSet<ListName>, ProbeError>>,
    in_aliases: OnceCell<BTreeSet<ListName>>,
    known: OnceCell<BTreeSet<ListName>>,
    sifted: OnceCell<Sifted>,
}

impl<'a> View<'a> {
    /// # Errors
    /// /etc/passwd cannot be read.
    pub(super) fn new(
        site: &'a Site,
        parity: &'a Parity,
        found: &'a Found,
    ) -> Result<View<'a>, AddressError> {
        let trees = Trees::open(site);
        known::check_current(&trees, parity)?;
        let reserved = Reserved::read(&trees, found)
            .map_err(|error| AddressError::Io("read", "/etc/passwd".into(), error))?;
        Ok(View {
            trees,
            parity,
            found,
            reserved,
            enumerated: OnceCell::new(),
            in_aliases: OnceCell::new(),
            known: OnceCell::new(),
            sifted: OnceCell::new(),
        })
    }

    /// The lists whose data the current tree has.
    pub(super) fn enumerated(&self) -> &Result<BTreeSet<ListName>, ProbeError> {
        self.enumerated
            .get_or_init(|| known::enumerated(&self.trees, self.parity, self.found))
    }

    /// Every list that anything knows.
    pub(super) fn known(&self) -> &BTreeSet<ListName> {
        self.known
            .get_or_init(|| known::all(self.enumerated(), self.in_aliases(), self.parity))
    }

    /// The lists that entries of ours lead to.
    fn in_aliases(&self) -> &BTreeSet<ListName> {
        self.in_aliases
            .get_or_init(|| known::in_aliases(&self.trees, self.found))
    }

    /// What it knows of the lists, for who asks for no more.
    pub(super) fn into_known(self) -> Known {
        let (trees, parity, found) = (&self.trees, self.parity, self.found);
        let enumerated = self.enumerated.into_inner();
        let enumerated = enumerated.unwrap_or_else(|| known::enumerated(trees, parity, found));
        let in_aliases = self.in_aliases.into_inner();
        let in_aliases = in_aliases.unwrap_or_else(|| known::in_aliases(trees, found));
        let lists = self.known.into_inner();
        Known {
            lists: lists.unwrap_or_else(|| known::all(&enumerated, &in_aliases, parity)),
            enumerated,
            in_aliases,
        }
    }

    /// The lists that should have addresses: those that exist, or are known to the parity.
    pub(super) fn living(&self) -> Cow<'_, BTreeSet<ListName>> {
        match self.enumerated() {
            Ok(enumerated) if self.parity.on_future.is_subset(enumerated) => {
                Cow::Borrowed(enumerated)
            }
            Ok(enumerated) => {
                Cow::Owned(enumerated.union(&self.parity.on_future).cloned().collect())
            }
            Err(_) => Cow::Borrowed(self.known()),
        }
    }

    /// How each address of `lists` stands.
    pub(super) fn rows(&self, lists: &BTreeSet<ListName>) -> Vec<Row> {
        let wanted = wanted::wanted(&self.trees, self.parity, &self.living(), lists, &|_, _| {
            None
        });
        compare::compare(&self.trees, self.found, &self.reserved, wanted)
    }

    /// As [`rows`](Self::rows), without the lists of `lists` of which each address stands as we
    /// would write it, if they are not `asked` for: of them there is nothing to say.
    pub(super) fn rows_but_well(
        &self,
        lists: &BTreeSet<ListName>,
        asked: impl Fn(&ListName) -> bool,
    ) -> Vec<Row> {
        let rest = self.well().sift(lists).rest;
        self.rows_of_rest(lists, &rest, asked)
    }

    fn well(&self) -> Well<'_> {
        Well::of(&self.trees, self.parity, self.found)
    }

    /// The rows of those of `lists` that are of the `rest`, or `asked` for.
    fn rows_of_rest(
        &self,
        lists: &BTreeSet<ListName>,
        rest: &BTreeSet<ListName>,
        asked: impl Fn(&ListName) -> bool,
    ) -> Vec<Row> {
        let asked = lists.iter().filter(|list| asked(list));
        let told: BTreeSet<ListName> = asked.chain(rest).cloned().collect();
        let well = self.well();
        let before = |list: &ListName, name: &str| {
            let is_left_out = |other: &ListName| lists.contains(other) && !told.contains(other);
            well.holder(name)
                .filter(|other| other < list && is_left_out(other))
        };
        let living = self.living();
        let wanted = wanted::wanted(&self.trees, self.parity, &living, &told, &before);
        compare::compare(&self.trees, self.found, &self.reserved, wanted)
    }

    /// How the addresses stand of those lists that exist and are not well throughout, and of
    /// those that are `asked` for.
    pub(super) fn all_rows(&self, asked: impl Fn(&ListName) -> bool) -> Vec<Row> {
        self.rows_of_rest(&self.living(), &self.sifted().rest, asked)
    }

    /// The living lists that are not well, and the entries of the others.
    fn sifted(&self) -> &Sifted {
        self.sifted.get_or_init(|| self.well().sift(&self.living()))
    }

    /// The entries that are not just what we write for a list that is well.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = Place> {
        let settled = &self.sifted().settled;
        self.found.all().filter(|&place| !settled.has(place))
    }

    /// Entries of ours that should not be there.
    pub(super) fn stale(&self) -> Vec<compare::Stale> {
        let exist = self.enumerated().as_ref().ok();
        let places = self.unsettled();
        compare::stale(&self.trees, self.parity, self.found, places, exist)
    }

    /// The names that the MTA's database must have right once a change of `lists`, or of all, is
    /// done: as far as they lead to us.
    pub(super) fn to_verify(&self, lists: Option<&BTreeSet<ListName>>) -> BTreeSet<String> {
        let asked = |list: &ListName| lists.is_none_or(|lists| lists.contains(list));
        self.found
            .all()
            .filter(|&place| {
                ours(&self.trees, self.found, place).is_some_and(|(_, list)| asked(&list))
            })
            .map(|place| self.found.folded(place))
            .collect()
    }

    /// At most so many names that lead to us, from all parts of the files.
    pub(super) fn to_ask(&self, most: usize) -> BTreeSet<String> {
        let step = self.found.all().count().div_ceil(most).max(1);
        let settled = &self.sifted().settled;
        let is_ours =
            |&place: &Place| settled.has(place) || ours(&self.trees, self.found, place).is_some();
        let chosen = self.found.all().filter(is_ours).step_by(step);
        chosen.map(|place| self.found.folded(place)).collect()
    }

    /// # Errors
    /// `Unknown` with the names that no list has.
    pub(super) fn check_lists(
        &self,
        lists: Option<&BTreeSet<ListName>>,
    ) -> Result<(), AddressError> {
        let Some(lists) = lists else { return Ok(()) };
        // Before adopt a list may be known from its direct entries alone.
        let named = lists_of(&self.trees, self.found, lists);
        if lists.is_subset(&named) {
            return Ok(());
        }
        let known = self.known();
        let unknown = lists
            .difference(&named)
            .filter(|list| !known.contains(*list));
        let unknown: Vec<ListName> = unknown.cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let is_near = |list: &&ListName| {
            unknown
                .iter()
                .any(|wrong| distance(wrong.as_str().as_bytes(), list.as_str().as_bytes()) <= 2)
        };
        let near = known.iter().filter(is_near).take(5).cloned().collect();
        Err(AddressError::Unknown(unknown, near))
    }
}
