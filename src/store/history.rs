//! history.jsonl: one line a change, with what was before and what is after.
//!
//! A line holds only what differs, so that any change can be taken back, and the whole
//! parity can be told from the lines alone.
//!
//! **Invariants.** Lines are only ever appended, and only under the writer's lock. Half a
//! last line, left by a kill, is no line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::replace::{keep_room, room_for};
use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::{FutureState, Parity, Roles};
use crate::site::Site;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of the line's format: 1.
    pub format: u32,
    /// The generation that this change made.
    pub generation: u64,
    /// When, as RFC 3339 in UTC.
    pub when: String,
    /// Who, by name or number.
    pub user: String,
    /// Who, by number.
    pub uid: u32,
    /// What was typed: `upgrade toylist`.
    pub command: String,
    /// Why, if it was said.
    pub reason: Option<String>,
    /// The generation that this change takes back, if it does.
    pub undoes: Option<u64>,
    /// The lists whose data were put back by it; what stood there was set aside.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub restored: BTreeSet<String>,
    /// What was before, as far as it differs.
    pub before: Delta,
    /// What is after, as far as it differs.
    pub after: Delta,
    /// What is known of a tree's files since, where the change is about these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
}

/// Whether a tree's files are sound: an install or a fix ended well, or it did not, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The tree's name.
    pub tree: String,
    /// Whether all was well with it.
    pub sound: bool,
}

/// One side of a difference: scalars that differ, and rows that only this side has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delta {
    /// The current tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The release in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_release: Option<String>,
    /// The state of the other tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub future_state: Option<String>,
    /// The release in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub future_release: Option<String>,
    /// The guarded trees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guarded: Option<BTreeSet<String>>,
    /// Lists that globs pass over.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub pinned: BTreeSet<String>,
    /// Lists whose mail is deferred, and since when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: BTreeMap<String, String>,
    /// Lists moved ahead.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub on_future: BTreeSet<String>,
}

impl Delta {
    /// What `side` has and `other` has not.
    pub fn of(side: &Parity, other: &Parity) -> Delta {
        let (a, b) = (&side.roles, &other.roles);
        let differs = |a: &String, b: &String| (a != b).then(|| a.clone());
        let only = |a: &BTreeSet<ListName>, b: &BTreeSet<ListName>| {
            a.difference(b)
                .map(|list| list.as_str().to_owned())
                .collect()
        };
        Delta {
            current: differs(&a.current, &b.current),
            current_release: differs(&a.current_release, &b.current_release),
            future_state: (a.future_state != b.future_state).then(|| a.future_state.to_string()),
            future_release: differs(&a.future_release, &b.future_release),
            guarded: (a.guarded != b.guarded).then(|| a.guarded.clone()),
            pinned: only(&side.pinned, &other.pinned),
            paused: side
                .paused
                .iter()
                .filter(|(list, since)| other.paused.get(*list) != Some(since))
                .map(|(list, since)| (list.as_str().to_owned(), since.to_string()))
                .collect(),
            on_future: only(&side.on_future, &other.on_future),
        }
    }

    /// `parity` with `self` gone from it and `wanted` put in its place; the generation stays.
    ///
    /// `None` if `self` does not stand there, or a word in either is none of ours.
    fn replace(&self, wanted: &Delta, parity: &Parity) -> Option<Parity> {
        let mut next = parity.clone();
        swap(&mut next.roles.current, &self.current, &wanted.current)?;
        swap(
            &mut next.roles.current_release,
            &self.current_release,
            &wanted.current_release,
        )?;
        swap(
            &mut next.roles.future_release,
            &self.future_release,
            &wanted.future_release,
        )?;
        swap(&mut next.roles.guarded, &self.guarded, &wanted.guarded)?;
        let state = |word: &Option<String>| match word {
            Some(word) => FutureState::parse(word).map(Some),
            None => Some(None),
        };
        swap(
            &mut next.roles.future_state,
            &state(&self.future_state)?,
            &state(&wanted.future_state)?,
        )?;
        swap_rows(&mut next.pinned, &self.pinned, &wanted.pinned)?;
        swap_rows(&mut next.on_future, &self.on_future, &wanted.on_future)?;
        for (name, since) in &self.paused {
            let since = Timestamp::parse(since)?;
            (next.paused.remove(&ListName::parse(name).ok()?)? == since).then_some(())?;
        }
        for (name, since) in &wanted.paused {
            next.paused
                .insert(ListName::parse(name).ok()?, Timestamp::parse(since)?);
        }
        Some(next)
    }
}

fn swap<T: Clone + PartialEq>(place: &mut T, from: &Option<T>, to: &Option<T>) -> Option<()> {
    match (from, to) {
        (None, None) => Some(()),
        (Some(from), Some(to)) if place == from => {
            place.clone_from(to);
            Some(())
        }
        _ => None,
    }
}

fn swap_rows(
    rows: &mut BTreeSet<ListName>,
    from: &BTreeSet<String>,
    to: &BTreeSet<String>,
) -> Option<()> {
    for name in from {
        rows.remove(&ListName::parse(name).ok()?).then_some(())?;
    }
    for name in to {
        rows.insert(ListName::parse(name).ok()?);
    }
    Some(())
}

impl Entry {
    /// Whether something began to be installed in the future tree by it.
    pub fn marks_install(&self) -> bool {
        self.after.future_state.as_deref() == Some(FutureState::Installing.as_str())
    }

    /// Whether it tells what came of that.
    pub fn ends_install(&self) -> bool {
        self.before.future_state.as_deref() == Some(FutureState::Installing.as_str())
    }

    /// What stands if this change is taken back from `parity`: the next generation.
    ///
    /// # Errors
    /// `Elsewhere` if what it left does not stand any more.
    pub fn taken_back(&self, parity: &Parity) -> Result<Parity, StoreError> {
        let mut next = self
            .after
            .replace(&self.before, parity)
            .ok_or(StoreError::Elsewhere(self.generation))?;
        next.roles.generation = parity.roles.generation + 1;
        Ok(next)
    }
}

/// The newest change that was not taken back and takes nothing back itself.
///
/// The mark of an install that went on to its end is taken back with that: by itself it would leave
/// a tree of which nobody knows what is in it.
pub fn undoable(entries: &[Entry]) -> Option<&Entry> {
    undoable_in(entries, entries.len())
}

/// The same of those before the change that made this generation.
pub fn undoable_before(entries: &[Entry], generation: u64) -> Option<&Entry> {
    let end = entries
        .iter()
        .position(|entry| entry.generation == generation)?;
    undoable_in(entries, end)
}

fn undoable_in(entries: &[Entry], end: usize) -> Option<&Entry> {
    let undone: BTreeSet<u64> = entries.iter().filter_map(|entry| entry.undoes).collect();
    let is_over = |at: usize| {
        let mut later = entries[at + 1..].iter();
        let next = later.find(|entry| entry.before.future_state.is_some());
        next.is_some_and(|entry| entry.undoes.is_none())
    };
    let mut changes = entries[..end].iter().enumerate().rev();
    let newest = changes.find(|(at, entry)| {
        let is_left = entry.undoes.is_none() && !undone.contains(&entry.generation);
        is_left && !(entry.marks_install() && is_over(*at))
    });
    newest
        .map(|(_, entry)| entry)
        // The first line is the site's beginning: before it there is no parity to go back to.
        .filter(|entry| entry.before.current.as_deref() != Some(""))
}

/// The change since which the files of the tree of this name are not sound; `None` if they are, as far
/// as the history tells. Who takes a change back puts no file back.
pub fn unsound<'e>(entries: &'e [Entry], tree: &str) -> Option<&'e Entry> {
    let mut newest = entries
        .iter()
        .rev()
        .filter_map(|entry| Some((entry, entry.judged.as_ref()?)));
    newest
        .find(|(_, judged)| judged.tree == tree)
        .filter(|(_, judged)| !judged.sound)
        .map(|(entry, _)| entry)
}

/// The newest change, of those before the one that made `generation`, that marked the future tree
/// as one in which something is being installed.
pub fn install_mark(entries: &[Entry], generation: u64) -> Option<&Entry> {
    let mut earlier = entries.iter().rev();
    earlier.find(|entry| entry.generation < generation && entry.marks_install())
}

/// The parity that the history tells, from its first line to its last.
pub(super) fn replay(entries: &[Entry]) -> Option<Parity> {
    let mut parity = nothing();
    for entry in entries {
        parity = entry.before.replace(&entry.after, &parity)?;
        parity.roles.generation = entry.generation;
    }
    Some(parity)
}

/// What was before the first change.
pub(super) fn nothing() -> Parity {
    Parity {
        roles: Roles {
            generation: 0,
            current: String::new(),
            current_release: String::new(),
            future_state: FutureState::Empty,
            future_release: String::new(),
            guarded: BTreeSet::new(),
        },
        pinned: BTreeSet::new(),
        paused: BTreeMap::new(),
        on_future: BTreeSet::new(),
    }
}

pub(super) fn path(site: &Site) -> PathBuf {
    site.config.state.join("history.jsonl")
}

pub(super) fn read(path: &Path) -> Result<Vec<Entry>, StoreError> {
    let bytes = match read_plain(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::File(path.to_owned(), error)),
    };
    let mut entries = Vec::new();
    for (number, line) in whole_lines(&bytes)
        .split_inclusive(|&b| b == b'\n')
        .enumerate()
    {
        let entry: Entry = serde_json::from_slice(line)
            .map_err(|error| StoreError::History(path.to_owned(), number + 1, error.to_string()))?;
        if entry.format != 1 {
            let what = format!("format {} is not 1", entry.format);
            return Err(StoreError::History(path.to_owned(), number + 1, what));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Reads a plain file; a pipe in its place would be waited for.
pub(super) fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(bytes)
}

/// Everything up to the last newline.
pub(super) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |newline| newline + 1);
    &bytes[..end]
}

/// Appends `line`, which has no newline at its end, and waits until it is on disk; then room is
/// kept for the next ones. Half a last line is cut off first, and what could not be written whole.
pub(super) fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // The directory may be its owner's, and root writes here: never through a link.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    let whole = whole_lines(&bytes).len() as u64;
    if whole < bytes.len() as u64 {
        file.set_len(whole)?;
    }
    io::Seek::seek(&mut file, io::SeekFrom::Start(whole))?;
    let text = format!("{line}\n");
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = file.set_len(whole);
        return Err(error);
    }
    let end = whole + text.len() as u64;
    let _ = keep_room(&file, end + room_for(text.len() as u64));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn list(name: &str) -> ListName {
        ListName::parse(name).unwrap()
    }

    fn entry(before: &Parity, after: &Parity, undoes: Option<u64>) -> Entry {
        Entry {
            format: 1,
            generation: after.roles.generation,
            when: "2026-11-22T10:02:11Z".into(),
            user: "root".into(),
            uid: 0,
            command: "x".into(),
            reason: None,
            undoes,
            restored: BTreeSet::new(),
            before: Delta::of(before, after),
            after: Delta::of(after, before),
            judged: None,
        }
    }

    #[test]
    fn a_tree_is_unsound_until_a_later_change_of_it_ends_well() {
        let judged = |tree: &str, sound| {
            let mut entry = entry(&first(), &first(), None);
            let tree = tree.to_owned();
            entry.judged = Some(Judged { tree, sound });
            entry
        };
        let other = entry(&first(), &first(), Some(1));
        let mut entries = vec![
            judged("a", true),
            judged("a", false),
            judged("b", true),
            other,
        ];
        assert_eq!(unsound(&entries, "a"), Some(&entries[1]));
        assert_eq!(unsound(&entries, "b"), None);
        entries.push(judged("a", true));
        assert_eq!(unsound(&entries, "a"), None);
        // The line of a change that is about no files is as it always was.
        let text = serde_json::to_string(&entries[3]).unwrap();
        assert!(!text.contains("judged"), "{text}");
    }

    fn first() -> Parity {
        let mut parity = nothing();
        parity.roles = Roles {
            generation: 1,
            current: "a".into(),
            current_release: "1".into(),
            future_state: FutureState::Ready,
            future_release: "2".into(),
            guarded: BTreeSet::new(),
        };
        parity
    }

    #[test]
    fn every_move_can_be_taken_back_and_told_from_the_history() {
        let start = first();
        let up = start.upgrade([list("x"), list("y")]).unwrap();
        let paused = up.pause([list("x")], Timestamp(60)).pin([list("y")]);
        let committed = paused.commit("b", [&list("x")]).unwrap();
        let states = [nothing(), start, up, paused, committed];
        let entries: Vec<Entry> = states
            .windows(2)
            .map(|pair| entry(&pair[0], &pair[1], None))
            .collect();
        assert_eq!(replay(&entries).unwrap(), states[4]);
        for (entry, pair) in entries.iter().zip(states.windows(2)) {
            let mut back = entry.taken_back(&pair[1]).unwrap();
            back.roles.generation = pair[0].roles.generation;
            assert_eq!(back, pair[0]);
            assert!(
                entry.taken_back(&pair[0]).is_err(),
                "generation {}",
                entry.generation
            );
        }
        let text = serde_json::to_string(&entries[1]).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entries[1]);
    }

    #[test]
    fn undo_goes_one_change_further_back_each_time_and_not_before_the_first() {
        let start = first();
        let up = start.upgrade([list("x")]).unwrap();
        let more = up.upgrade([list("y")]).unwrap();
        let mut entries = vec![
            entry(&nothing(), &start, None),
            entry(&start, &up, None),
            entry(&up, &more, None),
        ];
        for expected in [3, 2] {
            let found = undoable(&entries).unwrap();
            assert_eq!(found.generation, expected);
            let now = replay(&entries).unwrap();
            let back = found.taken_back(&now).unwrap();
            entries.push(entry(&now, &back, Some(expected)));
        }
        assert_eq!(undoable(&entries), None);
    }

    #[test]
    fn the_mark_of_an_install_is_taken_back_with_its_end_or_by_itself_where_there_is_none() {
        let start = first();
        let begun = start.installing();
        let paused = begun.pause([list("x")], Timestamp(60));
        let done = paused.verified("1".into(), Some(("b", "3".into())));
        let mut entries = vec![
            entry(&nothing(), &start, None),
            entry(&start, &begun, None),
            entry(&begun, &paused, None),
        ];
        assert_eq!(undoable(&entries).unwrap().generation, 3);
        assert_eq!(undoable_before(&entries, 3).unwrap().generation, 2);
        entries.push(entry(&paused, &done, None));
        assert_eq!(undoable(&entries).unwrap().generation, 4);
        assert_eq!(install_mark(&entries, 4).unwrap().generation, 2);
        let back = entry(&done, &start, Some(4));
        entries.push(Entry {
            generation: 5,
            ..back
        });
        assert_eq!(undoable(&entries).unwrap().generation, 3);
        assert_eq!(undoable_before(&entries, 3), None);
    }

    #[test]
    fn half_a_last_line_is_no_line() {
        let path = std::env::temp_dir().join(format!("mm-history-{}", std::process::id()));
        let line = serde_json::to_string(&entry(&nothing(), &first(), None)).unwrap();
        append(&path, &line).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&line.as_bytes()[..20]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        append(&path, &line).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        fs::remove_file(&path).unwrap();
    }
}
