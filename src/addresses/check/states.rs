//! One word for the entries of each list, for `status`.
//!
//! **Invariants.** Judges nothing itself: the worst of what `compare` says.

use std::collections::{BTreeMap, BTreeSet};

use crate::addresses::error::AddressError;
use crate::addresses::found::Found;
use crate::addresses::view::View;
use crate::list::ListName;
use crate::parity::Parity;
use crate::site::Site;

/// One word for the worst entry of each list: `ok`, `stale`, `taken`, `double`, `missing`,
/// `direct`, `refused` or `undeliverable`, from good to bad.
///
/// # Errors
/// A file or profile cannot be read.
pub fn states(
    site: &Site,
    parity: &Parity,
    lists: &BTreeSet<ListName>,
) -> Result<BTreeMap<ListName, &'static str>, AddressError> {
    const WORST_LAST: [&str; 8] = [
        "ok",
        "stale",
        "taken",
        "double",
        "missing",
        "direct",
        "refused",
        "undeliverable",
    ];
    let rank = |word: &str| WORST_LAST.iter().position(|&known| known == word);
    let found = Found::read(site)?;
    let view = View::new(site, parity, &found)?;
    let mut states: BTreeMap<ListName, &'static str> =
        lists.iter().map(|list| (list.clone(), "ok")).collect();
    let rows = view.rows_but_well(lists, |_| false);
    let stale = view.stale();
    let words = rows.iter().map(|row| (&row.wanted.list, row.state.word()));
    for (list, word) in words.chain(stale.iter().map(|stale| (&stale.list, "stale"))) {
        if let Some(state) = states.get_mut(list)
            && rank(word) > rank(state)
        {
            *state = word;
        }
    }
    Ok(states)
}
