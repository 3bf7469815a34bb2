//! The status for programs: rows, in a format that is counted.
//!
//! **Invariants.** A key that stands here stays, with its meaning, as long as `format` is 1.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::View;
use crate::admin::retired::Retired;
use crate::admin::signs::Signs;
use crate::list::ListName;
use crate::tree::Tree;

impl View<'_> {
    pub(super) fn json(&self, chosen: &BTreeSet<ListName>) -> Value {
        let roles = &self.parity.roles;
        let guarded = |tree: &Tree| roles.guarded.contains(&tree.name);
        let rows: Vec<Value> = chosen.iter().map(|list| self.row(list)).collect();
        json!({
            "format": 1,
            "generation": roles.generation,
            "current": {
                "tree": self.current.name,
                "release": roles.current_release,
                "alive": self.alive(0),
                "guarded": guarded(self.current),
                "trouble": self.trouble(0),
            },
            "future": self.future.map(|tree| json!({
                "tree": tree.name,
                "release": roles.future_release,
                "state": roles.future_state.as_str(),
                "alive": self.alive(1),
                "guarded": guarded(tree),
                "trouble": self.trouble(1),
            })),
            "retired": self.retired.as_ref().map(Retired::json),
            "lists": rows,
        })
    }

    fn row(&self, list: &ListName) -> Value {
        let (tree, part, release) = self.standing(list);
        let version = self
            .profiles
            .get(tree.name.as_str())
            .and_then(|profile| profile.data_version(tree, list).ok().flatten());
        let tally = self.tally(list);
        json!({
            "name": list.as_str(),
            "parity": part,
            "tree": tree.name,
            "release": release,
            "data_version": version,
            "since": self.since.get(list.as_str()),
            "delivered": tally.as_ref().map(|tally| tally.delivered),
            "deferred": tally.as_ref().map(|tally| tally.deferred),
            "refused": tally.as_ref().map(|tally| tally.refused),
            "last_trouble": tally.and_then(|tally| tally.last_trouble).map(|line| json!({
                "when": line.record.when.to_string(),
                "verb": line.record.verb.as_str(),
                "reason": line.record.end.to_string(),
                "said": line.record.said,
            })),
            "paused": self.parity.paused.contains_key(list),
            "pinned": self.parity.pinned.contains(list),
            "aliases": self.aliases.get(list),
        })
    }

    fn trouble(&self, tree: usize) -> Vec<Value> {
        self.signs[tree].as_ref().map_or_else(Vec::new, Signs::rows)
    }
}
