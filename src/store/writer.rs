//! The one who changes something: the lock, and the order of a change (see `store`).
//!
//! **Invariants.** Nothing of the state is written without the lock. The lock is the
//! kernel's: whoever dies lets go of it.

use std::fmt;
use std::fs::{self, File, FileTimes, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use atomicwrites::{AllowOverwrite, AtomicFile};
use serde::{Deserialize, Serialize};

use super::history::{self, Delta, Entry};
use super::{StoreError, giving_way, render};
use crate::accounts::{self, Account};
use crate::clock::Timestamp;
use crate::parity::Parity;
use crate::site::Site;

/// How long the lock is waited for, and how often it is tried: most changes take less.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
/// The same for what goes first: the one before it may turn aliases, and does not wait yet.
const GOING_FIRST: Duration = Duration::from_secs(20);
/// How long who was told to give way may take to put aliases, and the MTA's database, back.
const GIVING_WAY: Duration = Duration::from_secs(60);

/// Who holds the writer's lock, as the file `writer` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// By name, or number where there is none.
    pub user: String,
    /// The process.
    pub pid: u32,
    /// What was typed.
    pub command: String,
    /// Since when, as RFC 3339.
    pub since: String,
    /// Whether it only waits, has moved nothing, and gives way when it is told to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gives_way: bool,
    /// The line that the history gets once the next rename has happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Entry>,
}

impl Holder {
    fn lives(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).exists()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "user {}, process {}, running {:?} since {},",
            self.user.escape_debug(),
            self.pid,
            self.command,
            self.since.escape_debug()
        )
    }
}

/// The right to change something. Dropped, it is given up.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    parity_file: PathBuf,
    /// The parity.toml that was read; `None` where there was none.
    stamp: Option<Stamp>,
    history_file: PathBuf,
    holder: Holder,
    parity: Parity,
    notes: Vec<String>,
}

/// Which file it is, and which text stands in it: device, inode, time of the last write in
/// seconds and nanoseconds, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64, u64);

impl Stamp {
    fn of(meta: &fs::Metadata) -> Stamp {
        Stamp(
            meta.dev(),
            meta.ino(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.size(),
        )
    }

    /// Of the file at `path`, or the one that a link there leads to.
    fn at(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|meta| Stamp::of(&meta))
    }
}

impl Writer {
    /// Takes the lock for `command`, finishes what a killed writer left, and records what
    /// was edited by hand; `notes` then says so.
    ///
    /// # Errors
    /// `Busy` at once if somebody else holds it; else why the state cannot be read.
    pub fn take(site: &Site, command: &str) -> Result<Writer, StoreError> {
        Writer::begin(Writer::lock(site, command, false)?, site)
    }

    /// The same for what nobody holds up: whoever holds the lock and only waits is told to end.
    ///
    /// # Errors
    /// As [`take`](Self::take); `Busy` also if who was told does not end.
    pub fn take_first(site: &Site, command: &str) -> Result<Writer, StoreError> {
        Writer::begin(Writer::lock(site, command, true)?, site)
    }

    /// Says whether this change only waits from now on, and may be told to end by what goes first.
    /// Where that cannot be said it is not known, and what goes first waits.
    pub fn gives_way(&mut self, gives_way: bool) {
        self.holder.gives_way = gives_way;
        let _ = self.tell(None);
    }

    fn begin(
        (mut writer, before): (Writer, Option<Holder>),
        site: &Site,
    ) -> Result<Writer, StoreError> {
        writer.remove_leftovers(site);
        // Before it is read: what is written from here on is not overwritten.
        writer.stamp = Stamp::at(&writer.parity_file);
        let (parity, sealed) = super::load_file(site)?;
        writer.parity = parity;
        let mut entries = writer.history(site)?;
        writer.finish(before, &mut entries)?;
        let known = history::replay(&entries);
        if !sealed || super::differs(&writer.parity, known.as_ref()) {
            writer.take_over(&entries, known)?;
        }
        writer.tell(None)?;
        Ok(writer)
    }

    /// Takes the lock on a site without parity and writes the first one.
    ///
    /// # Errors
    /// `Exists` if there is one.
    pub fn create(site: &Site, command: &str, parity: Parity) -> Result<Writer, StoreError> {
        let (mut writer, _) = Writer::lock(site, command, false)?;
        match fs::symlink_metadata(&writer.parity_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::File(writer.parity_file.clone(), error)),
            Ok(_) => return Err(StoreError::Exists(writer.parity_file.clone())),
        }
        // A history without a parity is that of a site whose parity.toml was lost: a first
        // one that contradicts it would send lists to other trees without a word.
        let entries = writer.history(site)?;
        let generation = entries.last().map_or(0, |entry| entry.generation);
        match history::replay(&entries) {
            Some(told) if told.roles.current.is_empty() => {}
            Some(told)
                if told.roles.current == parity.roles.current && told.on_future.is_empty() =>
            {
                writer.parity = told;
            }
            Some(told) => {
                let (current, ahead) = (told.roles.current, told.on_future.len());
                return Err(StoreError::Told(writer.history_file, current, ahead));
            }
            None => {}
        }
        writer.parity.roles.generation = generation;
        let mut first = parity;
        first.roles.generation = generation + 1;
        writer.commit(first, None, None)?;
        Ok(writer)
    }

    /// What stands now.
    pub fn parity(&self) -> &Parity {
        &self.parity
    }

    /// What was found and mended when the lock was taken: sentences for the admin.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Makes `after` what stands, with one line in the history. The generation of `after`
    /// must be higher than the present one.
    ///
    /// # Errors
    /// `Unrecorded` if the change stands and its line does not; else nothing has changed, as
    /// where somebody edited parity.toml since it was read (`Edited`).
    pub fn commit(
        &mut self,
        after: Parity,
        reason: Option<&str>,
        undoes: Option<u64>,
    ) -> Result<(), StoreError> {
        let entry = Entry {
            format: 1,
            generation: after.roles.generation,
            when: Timestamp::now().to_string(),
            user: self.holder.user.clone(),
            uid: accounts::runner(),
            command: self.holder.command.clone(),
            reason: reason.map(str::to_owned),
            undoes,
            before: Delta::of(&self.parity, &after),
            after: Delta::of(&after, &self.parity),
        };
        let line = self.tell(Some(entry))?;
        if let Err(error) = self.replace(&after) {
            // The line to come is that of no change.
            let _ = self.tell(None);
            return Err(error);
        }
        self.parity = after;
        history::append(&self.history_file, &line)
            .map_err(|error| StoreError::Unrecorded(self.history_file.clone(), error))?;
        // The line stands: should this fail, the next writer finds it there.
        let _ = self.tell(None);
        Ok(())
    }

    /// The history; one that is damaged is set aside, for it is a log: no way back may hang
    /// on it.
    fn history(&mut self, site: &Site) -> Result<Vec<Entry>, StoreError> {
        match history::read(&self.history_file) {
            Err(StoreError::History(path, line, what)) => {
                let aside = site
                    .config
                    .state
                    .join(format!("history.jsonl.damaged-{}", Timestamp::now()));
                fs::rename(&path, &aside).map_err(|error| StoreError::File(path.clone(), error))?;
                self.notes.push(format!(
                    "{}:{line}:1: {what}: the history is damaged; it is {aside:?} now, and a new one begins",
                    path.display()
                ));
                Ok(Vec::new())
            }
            other => other,
        }
    }

    /// Opens and locks the file `writer`; returns what the one before left in it.
    fn lock(
        site: &Site,
        command: &str,
        goes_first: bool,
    ) -> Result<(Writer, Option<Holder>), StoreError> {
        let path = site.config.state.join("writer");
        let file_error = |error| StoreError::File(path.clone(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .map_err(file_error)?;
        // NOBODY ELSE'S. Who can open a file can lock it, and would hold every change up.
        file.set_permissions(fs::Permissions::from_mode(0o600))
            .map_err(file_error)?;
        let (before, gave_way) = wait_for(&mut file, &path, goes_first)?;
        let uid = accounts::runner();
        let holder = Holder {
            user: Account::Number(uid)
                .user()
                .map_or_else(|_| uid.to_string(), |user| user.name),
            pid: std::process::id(),
            command: command.to_owned(),
            since: Timestamp::now().to_string(),
            gives_way: false,
            history: None,
        };
        let writer = Writer {
            file,
            path,
            parity_file: site.config.parity_file(),
            stamp: None,
            history_file: history::path(site),
            holder,
            parity: history::nothing(),
            notes: gave_way.into_iter().collect(),
        };
        Ok((writer, before))
    }

    /// Writes who we are, and the line to come, into the locked file; returns that line.
    fn tell(&mut self, entry: Option<Entry>) -> Result<String, StoreError> {
        let error = |error| StoreError::File(self.path.clone(), error);
        let line = entry
            .as_ref()
            .map(serde_json::to_string)
            .transpose()
            .map_err(|e| error(e.into()))?
            .unwrap_or_default();
        self.holder.history = entry;
        let mut text = serde_json::to_string(&self.holder).map_err(|e| error(e.into()))?;
        text.push('\n');
        self.file.set_len(0).map_err(error)?;
        self.file.rewind().map_err(error)?;
        self.file.write_all(text.as_bytes()).map_err(error)?;
        self.file.sync_all().map_err(error)?;
        Ok(line)
    }

    /// Adds the line of a change that a killed writer made and did not record.
    fn finish(
        &mut self,
        before: Option<Holder>,
        entries: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        let last = entries.last().map_or(0, |entry| entry.generation);
        let Some(entry) = before.and_then(|holder| holder.history) else {
            return Ok(());
        };
        if entry.generation != self.parity.roles.generation || entry.generation <= last {
            return Ok(());
        }
        let line = serde_json::to_string(&entry)
            .map_err(|error| StoreError::File(self.path.clone(), error.into()))?;
        history::append(&self.history_file, &line)
            .map_err(|error| StoreError::File(self.history_file.clone(), error))?;
        self.notes.push(format!(
            "{:?} of user {} was killed after it had changed parity.toml; the history has it now",
            entry.command,
            entry.user.escape_debug()
        ));
        entries.push(entry);
        Ok(())
    }

    /// Records an edit by hand, and seals the file.
    fn take_over(&mut self, entries: &[Entry], known: Option<Parity>) -> Result<(), StoreError> {
        let last = entries.last().map_or(0, |entry| entry.generation);
        if known.as_ref().is_some_and(|known| *known == self.parity) {
            // Touched or copied, not changed: only the seal is put on again.
            return self.replace(&self.parity.clone());
        }
        let mut after = self.parity.clone();
        after.roles.generation = self.parity.roles.generation.max(last) + 1;
        if let Some(known) = known {
            self.parity = known;
        }
        let command = std::mem::replace(&mut self.holder.command, "by hand".to_owned());
        let done = self.commit(after, None, None);
        self.holder.command = command;
        done?;
        self.notes.push(format!(
            "{:?} was edited by hand; the history has that as change {} now",
            self.parity_file, self.parity.roles.generation
        ));
        Ok(())
    }

    /// Puts `parity` in the place of parity.toml. The rename inside is the commit point.
    fn replace(&mut self, parity: &Parity) -> Result<(), StoreError> {
        let time = Timestamp::now();
        let text = render(parity, time);
        let second = UNIX_EPOCH + Duration::from_secs(time.0.unsigned_abs());
        let is_as_read = || Stamp::at(&self.parity_file) == self.stamp;
        match replace_file(
            &self.parity_file,
            text.as_bytes(),
            0o644,
            second,
            is_as_read,
        ) {
            Ok(Some(stamp)) => {
                self.stamp = Some(stamp);
                Ok(())
            }
            // SOMEBODY'S EDIT. It may send lists elsewhere, and nothing here knows of it.
            Ok(None) => Err(StoreError::Edited(self.parity_file.clone())),
            // The rename may have happened before something failed: what stands decides, for
            // that is what every delivery sees.
            Err(_) if fs::read(&self.parity_file).is_ok_and(|bytes| bytes == text.as_bytes()) => {
                self.stamp = Stamp::at(&self.parity_file);
                Ok(())
            }
            Err(error) => Err(StoreError::File(self.parity_file.clone(), error)),
        }
    }

    /// Replaces another file of the state as a whole: whatever dies, the old or the new one
    /// stands there. `mode`: its permission bits.
    ///
    /// # Errors
    /// `File`; the old one then stands as it was, unless the rename was the last that worked.
    pub fn replace_beside(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
        replace_file(path, bytes, mode, SystemTime::now(), || true)
            .map(drop)
            .map_err(|error| StoreError::File(path.to_owned(), error))
    }

    /// Removes what a killed writer left beside parity.toml, and in the state's own directory
    /// if that is another one.
    fn remove_leftovers(&self, site: &Site) {
        let state = &site.config.state;
        let real = fs::canonicalize(&self.parity_file).unwrap_or_default();
        let beside = real.parent().unwrap_or(state);
        let listed = [fs::read_dir(beside), fs::read_dir(state)];
        let entries = listed.into_iter().flatten().flatten();
        for entry in entries.flatten() {
            let ours = entry
                .file_name()
                .to_string_lossy()
                .starts_with(".atomicwrite");
            if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::remove_file(entry.path().join("tmpfile.tmp"));
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

/// Replaces a file by one rename, with the owner that it had. A link stays one: what it leads
/// to is replaced. `may` is asked last before the rename; returns the new file's stamp, or `None`
/// if it was not to be.
fn replace_file(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    modified: SystemTime,
    may: impl FnOnce() -> bool,
) -> io::Result<Option<Stamp>> {
    let mut refused = false;
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let owner = fs::metadata(&real).ok();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let done = AtomicFile::new(&real, AllowOverwrite).write_with_options(
        |file| -> io::Result<Stamp> {
            file.write_all(bytes)?;
            if let Some(owner) = &owner {
                let own = file.metadata()?;
                if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
                    fchown(&*file, Some(owner.uid()), Some(owner.gid()))?;
                }
            }
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.set_times(FileTimes::new().set_modified(modified))?;
            // The slow part before the look, so that next to nothing lies between that and the rename.
            file.sync_all()?;
            refused = !may();
            match refused {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => Ok(Stamp::of(&file.metadata()?)),
            }
        },
        options,
    );
    match done {
        Ok(stamp) => Ok(Some(stamp)),
        Err(_) if refused => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits a moment for the lock; returns what the one before left in the file, and who gave way.
fn wait_for(
    file: &mut File,
    path: &Path,
    goes_first: bool,
) -> Result<(Option<Holder>, Option<String>), StoreError> {
    let begin = Instant::now();
    let mut told: Option<Holder> = None;
    loop {
        match file.try_lock() {
            Ok(()) => {
                let gave_way =
                    told.map(|holder| format!("{holder} waited, and was told to give way"));
                return Ok((read_holder(file), gave_way));
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::File(path.to_owned(), error));
            }
            Err(TryLockError::WouldBlock) => {
                if goes_first && told.is_none() {
                    let waits = read_holder(file).filter(|holder| holder.gives_way);
                    told = waits.filter(|holder| giving_way::ask(holder.pid, file));
                }
                let patience = match (&told, goes_first) {
                    (Some(_), _) => GIVING_WAY,
                    (None, true) => GOING_FIRST,
                    (None, false) => PATIENCE,
                };
                if begin.elapsed() < patience {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                // What a dead one left in the file says nothing about the living one.
                let holder = read_holder(file).filter(Holder::lives).map(Box::new);
                return Err(StoreError::Busy(path.to_owned(), holder));
            }
        }
    }
}

/// What stands in the file `writer`; `None` if it is empty, torn or not ours.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    file.read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
