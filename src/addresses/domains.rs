//! The lists of domains: the lines by which Postfix' virtual_alias_maps lead `toylist@DOMAIN` to
//! the alias `toylist`.
//!
//! **Invariants.** No I/O. A line is made only where the alias has an entry: mail for a list never
//! comes to a user of this host who has the same name.

use std::collections::BTreeSet;

use super::compare::State;
use super::error::AddressError;
use super::typed::typed;
use super::view::View;
use crate::list::ListName;

/// The first line of what is written, and of nothing else.
pub(super) const HEADER: &str = "# Made by mm-aliases virtual; what is added here by hand is lost.";

/// What the map is to hold.
#[derive(Debug)]
pub(super) struct Map {
    /// `toylist-owner@lists.example.org` and `toylist-owner`.
    pub(super) lines: Vec<(String, String)>,
    /// Addresses that are left out, and why: one sentence each.
    pub(super) left: Vec<String>,
}

impl Map {
    /// The addresses of every list that is known, in each domain that it has.
    ///
    /// A list that seems to be gone keeps its lines as long as it has entries: `sync --remove`
    /// takes both.
    ///
    /// # Errors
    /// `CannotEnumerate`; `NoDomain` if no list has one.
    pub(super) fn of(view: &View<'_>) -> Result<Map, AddressError> {
        if let Err(error) = view.enumerated() {
            return Err(AddressError::CannotEnumerate(error.to_string()));
        }
        let of_trees: BTreeSet<&str> = view
            .trees
            .in_use(view.parity)
            .filter_map(|(tree, _)| tree.domain.as_deref())
            .collect();
        let mut map = Map {
            lines: Vec::new(),
            left: Vec::new(),
        };
        let mut has_domain = !of_trees.is_empty();
        for row in view.rows(view.known()) {
            let name = &row.wanted.name;
            let domains = domains(&row.wanted.list, &of_trees);
            has_domain |= !domains.is_empty();
            if domains.is_empty() {
                continue;
            }
            match row.state {
                State::Missing(None) => map.left.push(format!(
                    "{name}: no alias has this name ({} adds it)",
                    typed(view.trees.site, "sync")
                )),
                State::Missing(Some(holder)) => map
                    .left
                    .push(format!("{name}: no alias has this name, and {holder}")),
                _ => {
                    let line = |domain| (format!("{name}@{domain}"), name.clone());
                    map.lines.extend(domains.into_iter().map(line));
                }
            }
        }
        match has_domain {
            true => Ok(map),
            false => Err(AddressError::NoDomain(view.trees.site.path.clone())),
        }
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let lines = self.lines.iter();
        let lines: String = lines
            .map(|(key, value)| format!("{key}\t{value}\n"))
            .collect();
        format!("{HEADER}\n{lines}")
    }
}

/// The domains of a list: its own, else those of the trees.
fn domains<'a>(list: &'a ListName, of_trees: &BTreeSet<&'a str>) -> Vec<&'a str> {
    match list.as_str().split_once('@') {
        Some((_, own)) => vec![own],
        None => of_trees.iter().copied().collect(),
    }
}
