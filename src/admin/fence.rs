//! The data fence: what is kept of the lists' data before they move, and what a way back asks of
//! them.
//!
//! An upgrade keeps a snapshot of each list (`snapshots`), in two rounds, of which the second comes
//! with doors closed (`step`). A downgrade looks at the version of the data: within what the current
//! release is known to read it asks nothing; beyond that it asks whether the snapshot is to be put
//! back (`--restore`) or the data stay as they are (`--keep-data`).
//!
//! **Invariants.** A way back is never refused for want of a snapshot, of room on a disk, or of an
//! answer from the future tree: `--keep-data` asks for nothing. Data that cannot be looked at are not
//! taken for readable.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::admin::change::Change;
use crate::admin::outcome::{Refused, few, lists, names, typed};
use crate::admin::request::{DataChoice, Mode};
use crate::list::ListName;
use crate::parity::{FutureState, Parity};
use crate::profiles::{ProbeError, Profile};
use crate::settings::Settings;
use crate::site::Site;
use crate::snapshots::{self, Back, Loss, Restoring, Shot, Snapshot, SnapshotError, Store, Want};
use crate::tree::Tree;

/// So many files are named.
const NAMED: usize = 5;

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match tenths {
        0..100 if unit > 0 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// What is to be kept of `moving` before they go to the `future` tree; `None` if nothing is. Why
/// they may not go goes to `refused`.
pub(super) fn keep(
    change: &mut Change<'_>,
    moving: &BTreeSet<ListName>,
    future: &Tree,
    refused: &mut Refused,
) -> Option<Shot> {
    let site = change.site;
    let (current, _) = change.trees().ok()?;
    let profile = match Profile::of(site, current) {
        Ok(profile) => profile,
        Err(error) => {
            refused.reasons.push(error.to_string());
            return None;
        }
    };
    refuse_unreadable(change, (&profile, current), future, moving, refused);
    let settings = match Settings::of(site) {
        Ok(settings) => settings,
        Err(error) => {
            refused.reasons.push(error.to_string());
            return None;
        }
    };
    if !profile.has_data() {
        change.say(format!(
            "note: no data are kept: profile {} of tree {} does not say which files are one list's",
            current.profile, current.name
        ));
        return None;
    }
    if settings.snapshots.keep == 0 {
        change.say(
            "note: no data are kept (`keep = 0` in [snapshots]): what the new release makes of them \
             stays, whatever is taken back",
        );
        return None;
    }
    let all = profile.enumerate(current).unwrap_or_default();
    let mut want = Vec::new();
    for list in moving {
        let Some(mut data) = profile.data(current, list) else {
            continue;
        };
        for other in namesakes(list, &all) {
            let theirs = profile.data(current, other).unwrap_or_default();
            let (shared, own) = data.of.into_iter().partition(|at| theirs.of.contains(at));
            data.of = own;
            for place in shared {
                let place = place.directory.join(place.pattern());
                change.say(format!(
                    "note: {place:?} is of {list} and of {other}: it is not kept"
                ));
            }
        }
        let list = list.clone();
        want.push(Want { list, data });
    }
    let release = &change.parity().roles.current_release;
    let tree = (current.name.as_str(), release.as_str());
    let shot = Shot::new(Store::of(site), &change.request.line, tree, want);
    refuse_room(site, &shot, refused);
    Some(shot)
}

/// Lists whose names begin as this one's does, or with it: `toy.mbox` for `toy`, whose archive has a
/// mailbox of that name.
fn namesakes<'l>(list: &'l ListName, all: &'l BTreeSet<ListName>) -> Vec<&'l ListName> {
    let name = list.as_str();
    let from_there = (Bound::Included(name), Bound::Unbounded);
    let longer = all.range::<str, _>(from_there);
    let longer = longer.take_while(|other| other.as_str().starts_with(name));
    let shorter = (1..name.len()).filter_map(|at| all.get(name.get(..at)?));
    longer
        .chain(shorter)
        .filter(|other| *other != list)
        .collect()
}

/// No list goes where its data are known not to be readable.
fn refuse_unreadable(
    change: &Change<'_>,
    (profile, current): (&Profile, &Tree),
    future: &Tree,
    moving: &BTreeSet<ListName>,
    refused: &mut Refused,
) {
    if future.data != current.data {
        return;
    }
    let release = &change.parity().roles.future_release;
    let range = Profile::of(change.site, future).ok();
    let Some(range) = range.and_then(|profile| profile.reads(release)) else {
        return;
    };
    let mut by_version: BTreeMap<u64, BTreeSet<&ListName>> = BTreeMap::new();
    for list in moving {
        if let Ok(Some(version)) = profile.data_version(current, list)
            && !range.contains(&version)
        {
            by_version.entry(version).or_default().insert(list);
        }
    }
    for (version, its) in by_version {
        refused.reasons.push(format!(
            "data version {version} of {}: release {release:?} in tree {} is known to read {}",
            names(its),
            future.name,
            told(&range)
        ));
    }
}

pub(super) fn told(range: &RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (0, to) => format!("up to {to}"),
        (from, to) if from == to => to.to_string(),
        (from, to) => format!("{from} to {to}"),
    }
}

fn refuse_room(site: &Site, shot: &Shot, refused: &mut Refused) {
    let (bytes, files) = shot.measure();
    let Some(room) = snapshots::room(&Store::of(site).path, bytes, files) else {
        return;
    };
    if room.is_enough() {
        return;
    }
    refused.reasons.push(no_room(&room, shot.count()));
    refused.hints.push(format!(
        "what may go of older ones: {}; or fewer lists at once; `keep = 0` in [snapshots] of {:?} keeps \
         none, and then there is no way back for the data",
        typed(site, "snapshots prune"),
        site.path
    ));
}

/// That a disk is short.
fn no_room(room: &snapshots::Room, count: usize) -> String {
    let files = match room.files_there {
        u64::MAX => String::new(),
        there => format!(", and {} files of {there}", room.files),
    };
    format!(
        "no room for the data of {}: {:?} needs {}{files}, and has {}, of which {} stay free for others",
        lists(count),
        room.at,
        size(room.needed),
        size(room.there),
        size(room.left)
    )
}

/// What the data of a list are to the current release.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It reads them, or there is nothing to be asked.
    Fit,
    /// They have this version, which it is not known to read.
    Beyond(u64),
    /// It cannot be told.
    Unknown(String),
}

/// What a downgrade does about the data of `moving`: nothing, or puts snapshots back.
///
/// # Errors
/// The data of some are beyond what the current release reads, and nobody said what is to become
/// of them; or there is no snapshot to be put back.
pub(super) fn back(
    change: &mut Change<'_>,
    moving: &BTreeSet<ListName>,
    generation: u64,
) -> Result<Option<Restoring>, Refused> {
    match change.request.data {
        DataChoice::Keep => Ok(None),
        DataChoice::Restore => put_back(change, moving, generation),
        DataChoice::Ask => ask(change, moving).map(|()| None),
    }
}

/// # Errors
/// Every list with its version, and what may be typed.
fn ask(change: &mut Change<'_>, moving: &BTreeSet<ListName>) -> Result<(), Refused> {
    let site = change.site;
    let (current, future) = change.trees()?;
    // Each tree has its own data: those of the current one are as they were left.
    if current.data != future.data {
        return Ok(());
    }
    let release = change.parity().roles.current_release.clone();
    let profile = Profile::of(site, current);
    // Another list manager may keep the data in another file. One that cannot say so holds nobody up.
    let theirs = (future.profile != current.profile).then(|| Profile::of(site, future).ok());
    let eyes = Eyes {
        site,
        current: (current, profile.as_ref().map_err(ToString::to_string)),
        release: &release,
        then: OnceCell::new(),
        future: theirs
            .as_ref()
            .and_then(Option::as_ref)
            .map(|profile| (future, profile)),
    };
    let reads = match profile.as_ref().map(|profile| profile.reads(&release)) {
        Ok(Some(range)) => format!("known to read {}", told(&range)),
        Ok(None) => "not known to read any".to_owned(),
        Err(error) => format!("not to be asked: {error}"),
    };
    let mut beyond: BTreeMap<String, BTreeSet<&ListName>> = BTreeMap::new();
    for list in moving {
        let what = match eyes.see(list) {
            Seen::Fit => continue,
            Seen::Beyond(version) => format!("data version {version}"),
            Seen::Unknown(why) => format!("data version unknown ({why})"),
        };
        let what = format!(
            "{what}; release {release:?} in tree {} is {reads}",
            current.name
        );
        beyond.entry(what).or_default().insert(list);
    }
    if beyond.is_empty() {
        return Ok(());
    }
    let all: BTreeSet<ListName> = beyond
        .values()
        .flatten()
        .map(|&list| list.clone())
        .collect();
    let mut refused = Refused::empty(change.request.act);
    for (what, its) in beyond {
        let its: Vec<&str> = its.into_iter().map(ListName::as_str).collect();
        refused.reasons.push(format!("{}: {what}", its.join(", ")));
    }
    let words = words(change, &all);
    refused.hints.push(format!(
        "to take the data back as well, as they were before the move: {}; what is lost then: the same \
         with --dry-run",
        typed(site, &format!("{words} --restore"))
    ));
    Err(refused.hint(format!(
        "to leave the data as they are: {}",
        typed(site, &format!("{words} --keep-data"))
    )))
}

/// What was typed, or as near as may be.
fn words(change: &Change<'_>, lists: &BTreeSet<ListName>) -> String {
    match (change.request.act, few(lists)) {
        ("downgrade", Some(names)) => format!("downgrade {names}"),
        ("downgrade", None) => "downgrade --all".to_owned(),
        (act, _) => act.to_owned(),
    }
}

/// Who looks at lists' data: both trees' profiles, read once.
struct Eyes<'a> {
    site: &'a Site,
    current: (&'a Tree, Result<&'a Profile, String>),
    release: &'a str,
    /// The newest snapshots of the current tree's data, if they were looked at.
    then: OnceCell<BTreeMap<String, Snapshot>>,
    /// Where it is another profile.
    future: Option<(&'a Tree, &'a Profile)>,
}

impl Eyes<'_> {
    /// Looks at the data of one list, as both trees see them.
    fn see(&self, list: &ListName) -> Seen {
        let tree = self.current.0;
        let profile = match &self.current.1 {
            Ok(profile) => profile,
            Err(error) => return Seen::Unknown(error.clone()),
        };
        if !profile.says_what_is_read() {
            return Seen::Fit;
        }
        let version = match profile.data_version(tree, list) {
            Ok(version) => version,
            // No data, no version.
            Err(ProbeError::Read(_, error)) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Seen::Unknown(error.to_string()),
        };
        let theirs = self
            .future
            .and_then(|(tree, profile)| profile.data_version(tree, list).ok().flatten());
        let Some(version) = version.max(theirs) else {
            return Seen::Fit;
        };
        let is_read = profile
            .reads(self.release)
            .is_some_and(|range| version <= *range.end());
        // It had this version on the current tree, too.
        let is_as_before = || {
            let then = self.then.get_or_init(|| {
                let all = |_: &str| true;
                snapshots::newest_of_tree(&Store::of(self.site), &all, &tree.name)
                    .map(|(newest, _)| newest)
                    .unwrap_or_default()
            });
            let then = then.get(list.as_str()).and_then(|then| then.data_version);
            then.is_some_and(|then| version <= then)
        };
        match is_read || is_as_before() {
            true => Seen::Fit,
            false => Seen::Beyond(version),
        }
    }
}

/// The newest snapshots of the current tree's data, put back.
///
/// # Errors
/// A list has none, or it cannot be read.
fn put_back(
    change: &mut Change<'_>,
    moving: &BTreeSet<ListName>,
    generation: u64,
) -> Result<Option<Restoring>, Refused> {
    let (current, future) = change.trees()?;
    let (store, from) = (Store::of(change.site), current.name.clone());
    let moved = last_moves(change)?;
    let mut refused = Refused::empty(change.request.act);
    let mut found = Vec::new();
    let its = |name: &str| moving.contains(name);
    let (mut newest, broken) =
        snapshots::newest_of_tree(&store, &its, &from).map_err(|error| change.refuse(error))?;
    for list in moving {
        match newest.remove(list.as_str()) {
            // THAT OF THIS MOVE. An older one would lose what came before it.
            Some(older)
                if moved
                    .get(list.as_str())
                    .is_some_and(|&at| older.generation < at) =>
            {
                refused.reasons.push(format!(
                    "{list} has no snapshot of its last move; the newest is {} of {}",
                    older.id,
                    older.when.escape_debug()
                ));
                refused.hints.push(format!(
                    "once it is back: {}",
                    typed(
                        change.site,
                        &format!("snapshots restore {list} --at {}", older.id)
                    )
                ));
            }
            Some(snapshot) => found.push((list.clone(), snapshot)),
            None => refused
                .reasons
                .push(SnapshotError::None(list.clone(), None).to_string()),
        }
    }
    if !refused.reasons.is_empty() {
        // The one that is wanted may be among them.
        let unread = broken
            .iter()
            .map(|error| format!("cannot be read: {error}"));
        refused.reasons.extend(unread);
        let words = words(change, moving);
        let keep = typed(change.site, &format!("{words} --keep-data"));
        refused
            .hints
            .push(format!("to leave the data as they are: {keep}"));
    }
    refused.if_any()?;
    let release = change.parity().roles.future_release.clone();
    restoring(change, found, (future, &release), generation).map(Some)
}

/// By which change each list went ahead the last time, as far as the history tells.
///
/// # Errors
/// The history cannot be read.
fn last_moves(change: &Change<'_>) -> Result<BTreeMap<String, u64>, Refused> {
    let mut moved = BTreeMap::new();
    // A commit that is taken back puts all lists ahead, and moves none.
    let entries = change.history()?.into_iter();
    for entry in entries.filter(|entry| entry.after.current.is_none()) {
        let its = entry.after.on_future.into_iter();
        moved.extend(its.map(|list| (list, entry.generation)));
    }
    Ok(moved)
}

/// Puts these snapshots back by change `generation`, which sets aside what stands there on `tree`;
/// says what is lost.
///
/// # Errors
/// One cannot be read, or there is no room for it.
pub(super) fn restoring(
    change: &mut Change<'_>,
    found: Vec<(ListName, Snapshot)>,
    tree: (&Tree, &str),
    generation: u64,
) -> Result<Restoring, Refused> {
    let (site, act) = (change.site, change.request.act);
    let store = Store::of(site);
    let (current, _) = change.trees()?;
    let profile = Profile::of(site, current).map_err(|error| Refused::new(act, error))?;
    let (mut backs, mut needed, mut files) = (Vec::new(), 0, 0);
    let all: BTreeSet<ListName> = found.iter().map(|(list, _)| list.clone()).collect();
    for (list, snapshot) in found {
        let data = profile.data(current, &list).unwrap_or_default();
        let loss = snapshots::loss(&store, &snapshot, &data).map_err(|error| {
            let refused = Refused::new(act, error);
            match act {
                "restore" => refused,
                _ => refused.hint(format!(
                    "to leave the data as they are: {}",
                    typed(site, &format!("{} --keep-data", words(change, &all)))
                )),
            }
        })?;
        let word = change.verb("lost", "would be lost");
        for line in lost(&list, &snapshot, &loss, word) {
            change.say(line);
        }
        (needed, files) = (needed + store.needs(&snapshot), files + snapshot.files);
        backs.push(Back {
            data_version: profile.data_version(current, &list).ok().flatten(),
            tree: (tree.0.name.clone(), tree.1.to_owned()),
            snapshot,
            data,
        });
    }
    if let Some(room) = snapshots::room(&current.data, needed, files)
        && !room.is_enough()
    {
        return Err(Refused::new(act, no_room(&room, backs.len()))
            .hint("make room there; a downgrade with --keep-data needs none"));
    }
    // Set aside on another disk is copied there, and not renamed.
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).ok();
    if device(&site.config.state) != device(&current.data) {
        let data: Vec<_> = backs.iter().map(|back| &back.data).collect();
        let (needed, files) = snapshots::measure_whole(&data);
        if let Some(room) = snapshots::room(&store.path, needed, files)
            && !room.is_enough()
        {
            return Err(Refused::new(act, no_room(&room, backs.len())).hint(format!(
                "make room there, for today's data: what may go of older ones: {}",
                typed(site, "snapshots prune")
            )));
        }
    }
    Ok(Restoring::new(
        store,
        &change.request.line,
        generation,
        backs,
    ))
}

/// What is in today's data and not in the snapshot.
fn lost(list: &ListName, snapshot: &Snapshot, loss: &Loss, word: &str) -> Vec<String> {
    let mut what = Vec::new();
    match loss.posts {
        Some(0) => what.push("no post in its archive".to_owned()),
        Some(1) => what.push("1 post in its archive".to_owned()),
        Some(n) => what.push(format!("{n} posts in its archive")),
        None => {}
    }
    match loss.held.len() {
        0 => {}
        1 => what.push("1 message that waits for a moderator".to_owned()),
        n => what.push(format!("{n} messages that wait for a moderator")),
    }
    let files: Vec<String> = loss.files.iter().map(|path| format!("{path:?}")).collect();
    if !files.is_empty() {
        let more = match files.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = files[..files.len().min(NAMED)].join(", ");
        what.push(format!(
            "what changed in members, settings and the rest: {named}{more}"
        ));
    }
    if what.is_empty() {
        what.push("nothing".to_owned());
    }
    vec![format!(
        "{word} of {list}, since snapshot {} of {}: {}",
        snapshot.id,
        snapshot.when.escape_debug(),
        what.join("; ")
    )]
}

/// What was kept, in a line.
pub(super) fn kept(site: &Site, shot: &Shot) -> Vec<String> {
    let mut lines = vec![format!(
        "kept: the data of {} ({}): {}",
        lists(shot.count()),
        size(shot.bytes()),
        typed(site, "snapshots")
    )];
    lines.extend(shot.lost.iter().map(|lost| format!("note: {lost}")));
    lines
}

/// What an upgrade would keep.
pub(super) fn would_keep(shot: &Shot) -> String {
    let (bytes, _) = shot.measure();
    format!(
        "would keep the data of {} (at most {} on the disk)",
        lists(shot.count()),
        size(bytes)
    )
}

/// Whether a list may still be taken back to the tree that its newest snapshot is of: while a commit
/// can be reverted, each may.
pub(super) fn may_go_back(parity: &Parity, list: &str) -> bool {
    parity.roles.future_state == FutureState::Retired || parity.on_future.contains(list)
}

/// Removes what may go, of these lists; says what could not. Unasked only what was taken before a
/// move: what was set aside is the only copy of it.
pub(super) fn prune(site: &Site, its: &BTreeSet<&str>, parity: &Parity) -> Vec<String> {
    let Ok(settings) = Settings::of(site) else {
        return Vec::new();
    };
    let store = Store::of(site);
    let done = store
        .all(&|list| its.contains(list))
        .and_then(|(mut all, _)| {
            all.retain(|one| one.why == snapshots::Why::Move);
            let going = snapshots::surplus(&all, settings.snapshots.keep, &|list| {
                may_go_back(parity, list)
            });
            snapshots::prune(&store, &going)
        });
    match done {
        Ok(_) => Vec::new(),
        Err(error) => vec![format!(
            "note: older snapshots could not be removed: {error}"
        )],
    }
}

/// What a command that was killed left of snapshots, brought to an end; a trial leaves it.
pub(super) fn mend(site: &Site, mode: Mode, generation: u64) -> Vec<String> {
    if mode == Mode::Trial {
        return Vec::new();
    }
    match snapshots::mend(&Store::of(site), generation) {
        Ok(mended) => mended.notes,
        // NO WAY BACK HANGS ON IT. The next command tries again, and check tells of it.
        Err(error) => vec![format!(
            "what a killed command left of snapshots stays: {error}"
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (20, "20 B"),
            (1023, "1023 B"),
            (1024, "1.0 KB"),
            (10 * 1024, "10 KB"),
            (1536 * 1024, "1.5 MB"),
            (u64::MAX, "16777215 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
