//! The logs of guarded deliveries: made here, read here.
//!
//! A log is made for each delivering user, who alone may write it, and is turned over when it has
//! grown: a new one takes its place by an exchange of names, so that at every moment one stands
//! there. Who has the old one open writes into the old one, which is read as well.
//!
//! | a kill after | stands at `UID.log.1` | at `UID.log` | lost |
//! |---|---|---|---|
//! | 1. an empty file beside, with owner and mode | the one before | the log | nothing; the next one is made anew |
//! | 2. its rename to `UID.log.1` | the empty one | the log | the one before, as planned |
//! | 3. the exchange of both names | the log | the empty one | nothing |
//!
//! **Invariants.** No log is believed more than its user: lines are bounded, judged and counted.
//! What cannot be read is said so, never taken for "no trouble".

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown,
};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::accounts;
use crate::clock::Timestamp;
use crate::list::ListName;
use crate::parity::Parity;
use crate::probation::{Record, log_file};
use crate::site::Site;
use crate::store;

/// A log that has so many bytes is turned over; of each file so many are read, from its end.
const MOST: u64 = 16 * 1024 * 1024;
/// Clocks may differ by so many seconds; a line from later is no line.
const SKEW: i64 = 300;
/// The user writes, and the site's owner reads: a line may hold what a program said.
const MODE: u32 = 0o640;

// ---- making them ----

/// Makes what logs are missing, where a tree is guarded; returns notes on those that it cannot.
pub fn prepare(site: &Site, parity: &Parity) -> Vec<String> {
    if parity.roles.guarded.is_empty() {
        return Vec::new();
    }
    let directory = site.config.probation();
    let group = site.config.owner.user().map_or(0, |owner| owner.gid);
    let owner = site.config.owner.user().map_or(0, |owner| owner.uid);
    let is_root = accounts::runner() == 0;
    let made = make_directory(&directory, is_root.then_some((owner, group)));
    if let Err(error) = made {
        return vec![format!(
            "{directory:?}: {error}; guarded deliveries are not counted"
        )];
    }
    let users = site.config.users.iter().filter_map(|user| user.user().ok());
    let logs = users.map(|user| (user.name, user.uid, log_file(&directory, user.uid)));
    let failed = logs.filter_map(|(name, uid, log)| {
        let made = tend(
            &log,
            (is_root || uid == accounts::runner()).then_some((uid, group)),
        );
        made.err()
            .map(|error| format!("{log:?}: {error}; guarded deliveries as {name} are not counted"))
    });
    failed.collect()
}

fn make_directory(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    if let Some((uid, gid)) = owner {
        lchown(path, Some(uid), Some(gid))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Makes the log for this user and group if there is none, and turns it over if it is large.
fn tend(log: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let meta = fs::symlink_metadata(log);
    if meta.as_ref().is_ok_and(|meta| !meta.is_file()) {
        return Err(io::Error::other("it is not a plain file"));
    }
    let Some(owner) = owner else {
        return match meta {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("only root can make it")),
        };
    };
    match meta {
        Ok(meta) if meta.uid() != owner.0 => Err(io::Error::other("it is another user's")),
        Ok(meta) if meta.size() < MOST => Ok(()),
        Ok(_) => {
            let older = older(log);
            fs::rename(make(log, owner)?, &older)?;
            match renameat_with(CWD, log, CWD, &older, RenameFlags::EXCHANGE) {
                Ok(()) => Ok(()),
                // Where names cannot be exchanged, it grows on: no line is worth a gap.
                Err(error) => Err(error.into()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(make(log, owner)?, log),
        Err(error) => Err(error),
    }
}

/// An empty log under another name.
fn make(log: &Path, (uid, gid): (u32, u32)) -> io::Result<PathBuf> {
    let path = log.with_extension("log.new");
    let _ = fs::remove_file(&path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    if accounts::runner() == 0 {
        fchown(&file, Some(uid), Some(gid))?;
    }
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    Ok(path)
}

fn older(log: &Path) -> PathBuf {
    log.with_extension("log.1")
}

// ---- reading them ----

/// What became of one list's deliveries in one release.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Those that the MTA was told are done.
    pub delivered: u64,
    /// Those that went back to its queue.
    pub deferred: u64,
    /// Those that bounced, since `[probation] permanent` lets the program's verdict through.
    pub refused: u64,
    /// The newest deferral that nobody asked for.
    pub last_trouble: Option<Line>,
    /// The newest line for each verb, but those of deliveries that were told to end.
    newest: BTreeMap<&'static str, Line>,
}

/// A line, and where it stands.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it says.
    pub record: Record,
    /// Where.
    pub log: PathBuf,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.record;
        let (list, verb, when, end) = (&record.list, record.verb, record.when, record.end);
        write!(f, "the last {verb} for {list}, at {when}, {end}")?;
        match record.said.as_str() {
            "" => Ok(()),
            said => write!(f, ": {said:?}"),
        }
    }
}

/// All that the logs say.
#[derive(Debug, Default)]
pub struct Seen {
    arrivals: BTreeMap<ListName, Timestamp>,
    tallies: BTreeMap<(ListName, String, String), Tally>,
    /// Logs that cannot be read, and why.
    pub unread: Vec<(PathBuf, String)>,
    /// How many lines of a log are none.
    pub damaged: Vec<(PathBuf, usize)>,
}

impl Tally {
    /// The newest lines, one a verb, that are deferrals.
    pub fn troubled(&self) -> impl Iterator<Item = &Line> {
        self.newest
            .values()
            .filter(|line| line.record.is_deferral())
    }

    /// The newest lines, one a verb, that are refusals.
    pub fn refusals(&self) -> impl Iterator<Item = &Line> {
        self.newest.values().filter(|line| line.record.is_refusal())
    }

    /// `delivered 132, deferred 3, refused 1, last trouble 2026-11-22T10:02:11Z: post ended with
    /// status 1`; refusals only where there are some, which few sites let through.
    pub fn in_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.delivered + self.deferred + self.refused > 0 {
            words.push(format!("delivered {}", self.delivered));
            words.push(format!("deferred {}", self.deferred));
        }
        if self.refused > 0 {
            words.push(format!("refused {}", self.refused));
        }
        if let Some(line) = &self.last_trouble {
            let record = &line.record;
            let mut text = format!(
                "last trouble {}: {} {}",
                record.when, record.verb, record.end
            );
            if !record.said.is_empty() {
                text += &format!(": {:?}", record.said);
            }
            words.push(text);
        }
        words
    }

    fn add(&mut self, line: Line) {
        let is_deferral = line.record.is_deferral();
        match (is_deferral, line.record.is_refusal()) {
            (true, _) => self.deferred += 1,
            (false, true) => self.refused += 1,
            (false, false) => self.delivered += 1,
        }
        if line.record.is_stopped() {
            return;
        }
        if is_deferral {
            let known = self.last_trouble.as_ref();
            if known.is_none_or(|known| known.record.when <= line.record.when) {
                self.last_trouble = Some(line.clone());
            }
        }
        let verb = line.record.verb.as_str();
        // Of one second's lines in two logs nobody knows the order: the worse one counts.
        let is_newer = |known: &Line| match known.record.when.cmp(&line.record.when) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => {
                known.log == line.log || is_deferral || older(&line.log) == known.log
            }
            std::cmp::Ordering::Greater => false,
        };
        if self.newest.get(verb).is_none_or(is_newer) {
            self.newest.insert(verb, line);
        }
    }
}

impl Seen {
    /// What became of the list's deliveries in this release of this tree.
    pub fn tally(&self, list: &ListName, tree: &str, release: &str) -> Option<&Tally> {
        let place = (list.clone(), tree.to_owned(), release.to_owned());
        self.tallies.get(&place)
    }

    /// Every list that had deliveries in this release of this tree.
    pub fn of_tree(&self, tree: &str, release: &str) -> impl Iterator<Item = (&ListName, &Tally)> {
        let is_its = move |(_, its, other): &(ListName, String, String)| {
            (its.as_str(), other.as_str()) == (tree, release)
        };
        let all = self.tallies.iter().filter(move |(place, _)| is_its(place));
        all.map(|((list, ..), tally)| (list, tally))
    }
}

/// The logs of configured users that are not there at all, with the user of each.
pub fn missing(site: &Site) -> Vec<(String, PathBuf)> {
    let directory = site.config.probation();
    let users = site.config.users.iter().filter_map(|user| user.user().ok());
    users
        .map(|user| (user.name, log_file(&directory, user.uid)))
        .filter(|(_, log)| fs::symlink_metadata(log).is_err())
        .collect()
}

/// When each list came to the tree that it is on, as far as the history tells.
fn arrivals(site: &Site) -> BTreeMap<ListName, Timestamp> {
    let mut arrivals = BTreeMap::new();
    let entries = store::history(site).unwrap_or_default();
    // Where the trees changed parts, the lists stayed.
    let moves = entries.iter().filter(|entry| entry.after.current.is_none());
    for entry in moves {
        let lists = entry.after.on_future.union(&entry.before.on_future);
        let lists = lists.filter_map(|list| ListName::parse(list).ok());
        if let Some(when) = Timestamp::parse(&entry.when) {
            arrivals.extend(lists.map(|list| (list, when)));
        }
    }
    arrivals
}

/// Reads the logs of all users who ever delivered under guard. What stands there from before a
/// list came to its tree is of an earlier stay: the other tree has taken that mail since.
pub fn read(site: &Site) -> Seen {
    let mut seen = Seen {
        arrivals: arrivals(site),
        ..Seen::default()
    };
    let directory = site.config.probation();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return seen,
        Err(error) => {
            seen.unread.push((directory, error.to_string()));
            return seen;
        }
    };
    let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|end| end == "log"));
    logs.sort();
    let latest = Timestamp(Timestamp::now().0 + SKEW);
    for log in logs {
        if let Err(error) = read_both(site, &log, latest, &mut seen) {
            seen.unread.push((log, error.to_string()));
        }
    }
    seen
}

/// A log and the one that it was before, which is read first.
fn read_both(site: &Site, log: &Path, latest: Timestamp, seen: &mut Seen) -> io::Result<()> {
    let mut newer = open(log)?;
    let before = older(log);
    match open(&before) {
        Ok(file) => {
            // Turned over between the two: what was opened first is now the older one.
            if place(&file)? == place(&newer)? {
                newer = open(log)?;
            }
            read_one(site, &before, &file, latest, seen)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    read_one(site, log, &newer, latest, seen)
}

fn read_one(
    site: &Site,
    log: &Path,
    mut file: &File,
    latest: Timestamp,
    seen: &mut Seen,
) -> io::Result<()> {
    let skipped = file.metadata()?.len().saturating_sub(MOST);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    // What does not end is still being written; what does not begin was cut here.
    let end = bytes
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |at| at + 1);
    let lines = bytes[..end].split(|&b| b == b'\n');
    let mut damaged = 0;
    for line in lines
        .skip(usize::from(skipped > 0))
        .filter(|line| !line.is_empty())
    {
        let sound = Record::parse(line)
            .filter(|record| record.when <= latest && site.config.tree(&record.tree).is_some());
        let Some(mut record) = sound else {
            damaged += 1;
            continue;
        };
        if let Ok(list) = site.list(record.list.as_str()) {
            record.list = list;
        }
        let arrived = seen.arrivals.get(&record.list);
        if arrived.is_some_and(|arrived| record.when < *arrived) {
            continue;
        }
        let place = (
            record.list.clone(),
            record.tree.clone(),
            record.release.clone(),
        );
        let log = log.to_owned();
        seen.tallies
            .entry(place)
            .or_default()
            .add(Line { record, log });
    }
    if damaged > 0 {
        seen.damaged.push((log.to_owned(), damaged));
    }
    Ok(())
}

/// Opens a log without following a link or waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a plain file")),
    }
}

fn place(file: &File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.dev(), meta.ino()))
}
