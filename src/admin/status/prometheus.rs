//! The status in figures, for Prometheus' textfile collector.
//!
//! Figures of the whole site and of each tree, not of each list: a site may have 100,000.
//!
//! **Invariants.** A name that stands here stays, with its meaning. What could not be looked at
//! has no sample: a 0 would say that all is well.

use std::path::Path;

use super::View;
use crate::clock::Timestamp;
use crate::metrics::{Metrics, count, float, labelled};
use crate::parity::Role;

/// Of a site whose status cannot be told: that, and when.
pub(super) fn untold(site: &Path) -> String {
    let site = site.to_string_lossy();
    let mut page = Metrics::new(&[("program", "mm-parity"), ("site", &site)]);
    when(&mut page, false);
    page.text()
}

fn when(page: &mut Metrics, is_told: bool) {
    page.one(
        "mm_deliver_status_time_seconds",
        "When this was looked at, in seconds since 1970.",
        float(Timestamp::now().0),
    );
    page.one(
        "mm_deliver_status_told",
        "Whether the status could be told: 1, or 0, and then nothing else is here.",
        count(usize::from(is_told)),
    );
}

impl View<'_> {
    pub(super) fn prometheus(&self) -> String {
        let site = self.site.path.to_string_lossy();
        let mut page = Metrics::new(&[("program", "mm-parity"), ("site", &site)]);
        when(&mut page, true);
        self.lists(&mut page);
        self.trees(&mut page);
        if self.seen.unread.is_empty() {
            self.deliveries(&mut page);
        }
        page.text()
    }

    fn lists(&self, page: &mut Metrics) {
        let generation = i64::try_from(self.parity.roles.generation).unwrap_or(i64::MAX);
        page.one(
            "mm_deliver_generation",
            "How many changes parity.toml has seen.",
            float(generation),
        );
        let ahead = self.parity.on_future.len();
        let mut lists = vec![(labelled(&[("parity", "future")]), count(ahead))];
        let known = self.known.as_ref().ok();
        if let Some(known) = known.filter(|known| known.enumerated.is_ok()) {
            let on_current = count(known.lists.len().saturating_sub(ahead));
            lists.push((labelled(&[("parity", "current")]), on_current));
        }
        page.family("mm_deliver_lists", "Lists by their parity.", lists);
        page.one(
            "mm_deliver_paused_lists",
            "Lists whose mail is deferred.",
            count(self.parity.paused.len()),
        );
    }

    fn trees(&self, page: &mut Metrics) {
        let roles = &self.parity.roles;
        let trees = [
            (Role::Current, Some(self.current), &roles.current_release),
            (Role::Future, self.future, &roles.future_release),
        ];
        let (mut is_there, mut lives, mut troubles) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (role, tree, release)) in trees.into_iter().enumerate() {
            let Some(tree) = tree else { continue };
            let (part, state) = match role {
                Role::Current => ("current", "ready"),
                Role::Future => ("future", roles.future_state.as_str()),
            };
            let guarded = self.guarded(tree).map_or("no", |_| "yes");
            let name = ("tree", tree.name.as_str());
            is_there.push((
                labelled(&[
                    name,
                    ("parity", part),
                    ("release", release),
                    ("state", state),
                    ("guarded", guarded),
                ]),
                1.0,
            ));
            if let Some(alive) = self.alive(number) {
                lives.push((labelled(&[name]), f64::from(u8::from(alive))));
            }
            if let Some(signs) = &self.signs[number] {
                troubles.push((labelled(&[name]), count(signs.all().len())));
            }
        }
        page.family(
            "mm_deliver_tree_info",
            "The trees, each with what it is.",
            is_there,
        );
        if !lives.is_empty() {
            page.family("mm_deliver_tree_alive", "Whether its programs run.", lives);
        }
        page.family(
            "mm_deliver_tree_troubles",
            "In how many ways a tree does not handle what it takes.",
            troubles,
        );
    }

    /// Of guarded trees alone: nothing counts what others deliver.
    fn deliveries(&self, page: &mut Metrics) {
        let guarded = self.site.config.trees.iter();
        let guarded = guarded.filter(|tree| self.guarded(tree).is_some());
        let mut samples = Vec::new();
        for tree in guarded {
            let release = self.parity.roles.release_of(&tree.name);
            let (mut delivered, mut deferred, mut refused) = (0, 0, 0);
            for (_, tally) in self.seen.of_tree(&tree.name, release) {
                delivered += tally.delivered;
                deferred += tally.deferred;
                refused += tally.refused;
            }
            for (word, n) in [
                ("delivered", delivered),
                ("deferred", deferred),
                ("refused", refused),
            ] {
                let n = float(i64::try_from(n).unwrap_or(i64::MAX));
                samples.push((labelled(&[("tree", &tree.name), ("end", word)]), n));
            }
        }
        if !samples.is_empty() {
            page.family(
                "mm_deliver_guarded_deliveries",
                "Deliveries under mm-guard, as far as its logs reach back.",
                samples,
            );
        }
        page.one(
            "mm_deliver_troubled_lists",
            "Lists whose newest mail was deferred by a guarded tree.",
            count(self.troubled().len()),
        );
    }
}
