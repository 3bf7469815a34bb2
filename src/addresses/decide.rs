//! What each act changes: from the lists, the parity and the entries found to edits.
//!
//! **Invariants.** Writes nothing. Each act touches entries of ours, entries that pipe straight
//! into a tree, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::adopt;
use super::compare::{self, StaleWhy};
use super::edits::{Change, Edits};
use super::error::AddressError;
use super::found::Found;
use super::hindered;
use super::past;
use super::qualified;
use super::record::Records;
use super::sentinel;
use super::stays;
use super::sync;
use super::transports;
use super::view::View;
use crate::list::ListName;
use crate::parity::Parity;

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) enum Intent {
    /// Turn what pipes straight into a tree; `None`: of every list.
    Adopt(Option<BTreeSet<ListName>>),
    /// Put it back.
    Unadopt(Option<BTreeSet<ListName>>),
    /// Add what is missing, remove what is stale.
    Sync {
        remove: bool,
        claim: BTreeSet<String>,
    },
    /// Turn and add what these lists need before they move.
    Move(BTreeSet<ListName>),
    /// Remove what no tree in use has, of these lists.
    Commit(BTreeSet<ListName>),
    /// Put back what the last commit removed.
    Revert,
}

impl Intent {
    /// Whether it takes something back.
    pub(super) fn goes_back(&self) -> bool {
        matches!(self, Intent::Unadopt(_) | Intent::Revert)
    }

    /// The word for it in records.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Intent::Adopt(_) => "adopt",
            Intent::Unadopt(_) => "unadopt",
            Intent::Sync { .. } => "sync",
            Intent::Move(_) => "upgrade",
            Intent::Commit(_) => "commit",
            Intent::Revert => "revert",
        }
    }

    /// The lists that it is about; `None`: all.
    pub(super) fn lists(&self) -> Option<&BTreeSet<ListName>> {
        match self {
            Intent::Move(lists) => Some(lists),
            Intent::Adopt(lists) | Intent::Unadopt(lists) => lists.as_ref(),
            _ => None,
        }
    }

    /// Whether it writes lines that lead to us, which are of no use where no mail goes by them. What
    /// takes back or away is never held up by that.
    pub(super) fn leads_to_us(&self) -> bool {
        matches!(
            self,
            Intent::Adopt(_) | Intent::Sync { .. } | Intent::Move(_)
        )
    }

    /// Whether it looks at what was recorded: to put it back, or to tidy up where a whole site
    /// is rewritten anyway. A site's records may be many times its alias files, and the move of
    /// one list has no use for them.
    pub(super) fn asks_for_records(&self) -> bool {
        matches!(
            self,
            Intent::Adopt(None) | Intent::Unadopt(_) | Intent::Revert
        )
    }
}

/// Decides what `intent` changes.
///
/// # Errors
/// It is refused; nothing was changed.
pub(super) fn decide<'f>(
    view: &View<'f>,
    intent: &Intent,
    records: &Records,
) -> Result<Edits<'f>, AddressError> {
    let mut edits = Edits::new(view.found);
    // A revert puts recorded bytes back, and needs to know nothing of them.
    if !matches!(intent, Intent::Revert) {
        view.trees.need(view.parity)?;
        edits.notes.extend(view.trees.broken().map(|(tree, error)| {
            format!(
                "note: the profile of tree {}, which serves no list: {error}",
                tree.name
            )
        }));
    }
    match intent {
        Intent::Adopt(lists) => {
            adopt::adopt(&view.trees, lists.as_ref(), &mut edits);
            // A list that has an entry to turn is known: the file is looked through once.
            if !lists.iter().all(|lists| lists.is_subset(&edits.turned)) {
                view.check_lists(lists.as_ref())?;
            }
            hindered::leave(view, lists.as_ref(), &mut edits);
            qualified::leave(view, lists.as_ref(), &mut edits);
        }
        Intent::Unadopt(lists) => {
            view.check_lists(lists.as_ref())?;
            refuse_ahead(view.parity, lists.as_ref())?;
            transports::refuse(&view.trees, view.parity, view.found, lists.as_ref())?;
            adopt::unadopt(
                &view.trees,
                view.parity,
                lists.as_ref(),
                records,
                &mut edits,
            );
        }
        Intent::Sync { remove, claim } => decide_sync(view, *remove, claim, &mut edits)?,
        Intent::Move(lists) => {
            adopt::adopt(&view.trees, Some(lists), &mut edits);
            hindered::leave(view, Some(lists), &mut edits);
            qualified::leave(view, Some(lists), &mut edits);
            past::leave_odd(view, lists, &mut edits);
            let left: BTreeSet<ListName> =
                edits.left_of.iter().map(|(list, _)| list.clone()).collect();
            let rows = view.rows_but_well(lists, |list| left.contains(list));
            stays::check(view, &rows, &mut edits)?;
            sync::add_missing(&view.trees, &rows, &BTreeSet::new(), &mut edits);
        }
        Intent::Commit(lists) => {
            let all = view.found.all();
            let unused = compare::stale(&view.trees, view.parity, view.found, all, None);
            let unused: Vec<_> = unused
                .into_iter()
                .filter(|one| lists.contains(&one.list))
                .collect();
            sync::remove_stale(&unused, &mut edits);
            past::leave_retiring(view, &mut edits);
        }
        Intent::Revert => revert(view.found, records, &mut edits),
    }
    Ok(edits)
}

fn refuse_ahead(parity: &Parity, lists: Option<&BTreeSet<ListName>>) -> Result<(), AddressError> {
    let asked = |list: &&ListName| lists.is_none_or(|lists| lists.contains(*list));
    let ahead: Vec<ListName> = parity.on_future.iter().filter(asked).cloned().collect();
    match ahead.is_empty() {
        true => Ok(()),
        false => Err(AddressError::OnFuture(ahead)),
    }
}

fn decide_sync(
    view: &View<'_>,
    remove: bool,
    claim: &BTreeSet<String>,
    edits: &mut Edits<'_>,
) -> Result<(), AddressError> {
    // NEVER GUESS. What is known otherwise is not all there is.
    if let Err(error) = view.enumerated() {
        return Err(AddressError::CannotEnumerate(error.to_string()));
    }
    // Of a claimed name it is said who has it, and if it is the list that wants it.
    let mut rows = view.all_rows(|_| !claim.is_empty());
    let mut stale = view.stale();
    sync::idle_claims(&rows, claim, edits);
    if remove {
        let is_gone = |stale: &compare::Stale| stale.why == StaleWhy::Gone;
        if stale.iter().any(is_gone)
            && let Some((tree, _)) = view.trees.current(view.parity)
        {
            sentinel::check(tree)?;
        }
        sync::hand_on(&view.trees, &mut rows, &mut stale, claim, edits);
        sync::remove_stale(&stale, edits);
        stale.clear();
    } else {
        sync::hand_on(&view.trees, &mut rows, &mut Vec::new(), claim, edits);
    }
    sync::add_missing(&view.trees, &rows, claim, edits);
    sync::report(&view.trees, &rows, &stale, edits);
    Ok(())
}

/// Puts back each entry whose last record is its removal by a commit, and that nobody has now.
fn revert(found: &Found, records: &Records, edits: &mut Edits<'_>) {
    let mut last: BTreeMap<(usize, &[u8]), usize> = BTreeMap::new();
    for (n, record) in records.all.iter().enumerate() {
        let path = record.file();
        let file = found.files.iter().position(|file| file.path == path);
        if let Some(file) = file {
            last.insert((file, record.name()), n);
        }
    }
    let mut back: Vec<(usize, usize)> = last.into_iter().map(|((file, _), n)| (n, file)).collect();
    // In the order in which they were removed: each finds the one that it followed.
    back.sort_unstable();
    for (n, file) in back {
        let record = &records.all[n];
        let (Some(before), None, "commit") = (&record.before, &record.written, record.by.as_ref())
        else {
            continue;
        };
        let name = String::from_utf8_lossy(record.name()).into_owned();
        if let Some(&place) = found.places(&name).first() {
            edits.leave(
                place,
                &"somebody has the name now; what the commit removed is not put back",
            );
            continue;
        }
        let followed = record
            .followed
            .as_ref()
            .map(|name| String::from_utf8_lossy(&name.0).into_owned());
        edits.push(Change::PutBack {
            file,
            name: &name,
            raw: &before.0,
            followed: followed.as_deref(),
        });
    }
}
