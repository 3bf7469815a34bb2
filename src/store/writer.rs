//! The one who changes something: the lock, and the order of a change (see `store`).
//!
//! What a change writes has room before: parity.toml in its spare (`replace`), the file `writer`
//! and the history in blocks behind their ends. It is made while the disk has some, for the day
//! when lists are to be taken back and it has none.
//!
//! **Invariants.** Nothing of the state is written without the lock. The lock is the
//! kernel's: whoever dies lets go of it. No change is refused because the history cannot be
//! written, nor because room cannot be kept.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::history::{self, Delta, Entry, Judged};
use super::holder::Holder;
use super::hooks::{self, Begun, Journal, Prepared, Ran};
use super::replace::{New, Spare, Stamp, is_no_room, keep_room, room_for, second};
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
/// How long after it was told one that gives way again is told again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long who was told to give way may take to put aliases, and the MTA's database, back.
const GIVING_WAY: Duration = Duration::from_secs(60);

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
    prepared: Journal,
}

/// Whether somebody is changing something now, as far as one may know.
pub fn is_busy(site: &Site) -> bool {
    let file = File::open(site.config.state.join("writer"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// What the history tells of a change besides what differs.
#[derive(Debug, Default)]
pub struct About<'a> {
    /// Why, if it was said.
    pub reason: Option<&'a str>,
    /// The generation that it takes back, if it does.
    pub undoes: Option<u64>,
    /// The lists whose data it puts back.
    pub restored: BTreeSet<String>,
    /// What came of a look at a tree, where it was one.
    pub judged: Option<Judged>,
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
        writer.finish(before, &mut entries);
        let known = history::replay(&entries);
        if !sealed || super::differs(&writer.parity, known.as_ref()) {
            writer.take_over(&entries, known)?;
        }
        writer.tell(None)?;
        let bytes = fs::metadata(&writer.parity_file).map_or(0, |meta| meta.len());
        if Spare::of(&writer.parity_file).fault(bytes).is_some() {
            writer.keep_rooms(bytes);
        }
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
        writer.commit(first, About::default())?;
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

    /// Changes that stand and that the history does not have, since it cannot be written.
    pub fn waiting(&self) -> &[Entry] {
        &self.holder.waiting
    }

    /// Writes down that a hook is begun which the change that makes `generation` goes with; returns
    /// the line.
    ///
    /// # Errors
    /// It cannot be written; then nobody would know of it after a kill.
    pub fn preparing(&mut self, hook: Begun, generation: u64) -> Result<Prepared, StoreError> {
        let line = Prepared {
            format: 1,
            hook,
            generation,
            by: format!(
                "{:?} of user {}, {}",
                self.holder.command,
                self.holder.user.escape_debug(),
                self.holder.since
            ),
            pid: self.holder.pid,
            settled: false,
        };
        self.prepared
            .add(std::slice::from_ref(&line))
            .map_err(|error| StoreError::File(self.prepared.path().to_owned(), error))?;
        Ok(line)
    }

    /// Writes down that nothing is to be done about these any more.
    ///
    /// # Errors
    /// It cannot be written: they will be named again.
    pub fn settle(&mut self, site: &Site, settled: &[Prepared]) -> Result<(), StoreError> {
        match settled {
            [] => Ok(()),
            _ => self.prepared.settle(site, settled),
        }
    }

    /// Adds what hooks did to their log.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn hooks_ran(&self, site: &Site, ran: &[Ran]) -> Result<(), StoreError> {
        hooks::record(site, ran).map_err(|error| StoreError::File(hooks::ran_path(site), error))
    }

    /// Makes `after` what stands, with one line in the history. The generation of `after`
    /// must be higher than the present one.
    ///
    /// # Errors
    /// `Unrecorded` if the change stands and its line does not; else nothing has changed, as
    /// where somebody edited parity.toml since it was read (`Edited`).
    pub fn commit(&mut self, after: Parity, about: About<'_>) -> Result<(), StoreError> {
        let entry = Entry {
            format: 1,
            generation: after.roles.generation,
            when: Timestamp::now().to_string(),
            user: self.holder.user.clone(),
            uid: accounts::runner(),
            command: self.holder.command.clone(),
            reason: about.reason.map(str::to_owned),
            undoes: about.undoes,
            restored: about.restored,
            before: Delta::of(&self.parity, &after),
            after: Delta::of(&after, &self.parity),
            judged: about.judged,
        };
        self.tell(Some(entry))?;
        if let Err(error) = self.replace(&after) {
            // The line to come is that of no change.
            let _ = self.tell(None);
            return Err(error);
        }
        self.parity = after;
        self.holder.waiting.extend(self.holder.history.take());
        self.record()
            .map_err(|error| StoreError::Unrecorded(self.history_file.clone(), error))?;
        // The lines stand: should this fail, the next writer finds them there.
        let _ = self.tell(None);
        Ok(())
    }

    /// Adds the lines that wait to the history.
    fn record(&mut self) -> io::Result<()> {
        let lines: Vec<String> = self
            .holder
            .waiting
            .iter()
            .map(serde_json::to_string)
            .collect::<Result<_, _>>()?;
        if !lines.is_empty() {
            history::append(&self.history_file, &lines.join("\n"))?;
            self.holder.waiting.clear();
        }
        Ok(())
    }

    /// Keeps room for the next changes, where a parity.toml of `bytes` stands.
    fn keep_rooms(&self, bytes: u64) {
        let room = room_for(bytes);
        let _ = Spare::of(&self.parity_file).tend(room);
        let _ = keep_room(&self.file, room);
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
        let file = OpenOptions::new()
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
        let (before, gave_way) = wait_for(&file, &path, goes_first)?;
        let uid = accounts::runner();
        let holder = Holder {
            user: Account::Number(uid)
                .user()
                .map_or_else(|_| uid.to_string(), |user| user.name),
            pid: std::process::id(),
            command: command.to_owned(),
            since: Timestamp::now().to_string(),
            gives_way: false,
            waiting: Vec::new(),
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
            notes: gave_way,
            prepared: Journal::of(site),
        };
        Ok((writer, before))
    }

    /// Writes who we are, and the line to come, into the locked file.
    fn tell(&mut self, entry: Option<Entry>) -> Result<(), StoreError> {
        self.holder.history = entry;
        self.holder
            .write(&self.file)
            .map_err(|error| StoreError::File(self.path.clone(), error))
    }

    /// Adds the lines of changes that were made and not recorded: that of a killed writer, and
    /// those that the history had no room for. What it still has none for waits on.
    fn finish(&mut self, before: Option<Holder>, entries: &mut Vec<Entry>) {
        let Some(before) = before else {
            return;
        };
        let last = entries.last().map_or(0, |entry| entry.generation);
        let stands = self.parity.roles.generation;
        let killed = before.history.filter(|entry| entry.generation == stands);
        let told = killed.as_ref().map(|entry| {
            let (command, user) = (&entry.command, entry.user.escape_debug());
            format!(
                "{command:?} of user {user} had changed parity.toml, and was killed before it was \
                 recorded, or could not record it"
            )
        });
        let mut missing: Vec<Entry> = before.waiting.into_iter().chain(killed).collect();
        missing.retain(|entry| entry.generation > last);
        if missing.is_empty() {
            return;
        }
        let told = told.unwrap_or_else(|| "the history could not be written".to_owned());
        entries.extend(missing.iter().cloned());
        self.holder.waiting = missing;
        let note = match self.record() {
            Ok(()) => format!("{told}; the history has it now"),
            Err(error) => format!(
                "{told}; the line waits in {:?}, for {:?} cannot be written: {error}",
                self.path, self.history_file
            ),
        };
        self.notes.push(note);
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
        let done = self.commit(after, About::default());
        self.holder.command = command;
        match done {
            Ok(()) | Err(StoreError::Unrecorded(..)) => {}
            Err(error) => return Err(error),
        }
        self.notes.push(format!(
            "{:?} was edited by hand; the history has that as change {} now",
            self.parity_file, self.parity.roles.generation
        ));
        Ok(())
    }

    /// Puts `parity` in the place of parity.toml: by a new file, or where there is no room for
    /// one in the spare. The rename inside is the commit point.
    fn replace(&mut self, parity: &Parity) -> Result<(), StoreError> {
        let spare = Spare::of(&self.parity_file);
        let put = match self.put(parity, Timestamp::now(), None) {
            // Where the spare does not do either, what is wrong is still the room.
            Err(error) if is_no_room(&error) => self
                .put(parity, spare.another_second(), Some(&spare))
                .map_err(|_| error),
            Ok(Some(stamp)) => {
                self.keep_rooms(stamp.bytes());
                Ok(Some(stamp))
            }
            put => put,
        };
        match put {
            Ok(Some(stamp)) => {
                self.stamp = Some(stamp);
                Ok(())
            }
            // SOMEBODY'S EDIT. It may send lists elsewhere, and nothing here knows of it.
            Ok(None) => Err(StoreError::Edited(self.parity_file.clone())),
            Err(error) => Err(StoreError::File(self.parity_file.clone(), error)),
        }
    }

    /// Puts `parity`, sealed at `time`, in place; `None` if parity.toml is not the one that was
    /// read.
    fn put(
        &self,
        parity: &Parity,
        time: Timestamp,
        spare: Option<&Spare>,
    ) -> io::Result<Option<Stamp>> {
        let text = render(parity, time);
        let new = New {
            path: &self.parity_file,
            bytes: text.as_bytes(),
            mode: 0o644,
            modified: second(time),
            room: room_for(text.len() as u64),
        };
        let is_as_read = || Stamp::at(&self.parity_file) == self.stamp;
        let put = match spare {
            None => new.put(is_as_read),
            Some(spare) => new.put_into(spare, is_as_read),
        };
        match put {
            // The rename may have happened before something failed: what stands decides, for
            // that is what every delivery sees.
            Err(_) if fs::read(&self.parity_file).is_ok_and(|bytes| bytes == text.as_bytes()) => {
                Ok(Stamp::at(&self.parity_file))
            }
            put => put,
        }
    }

    /// Replaces another file of the state as a whole: whatever dies, the old or the new one
    /// stands there. `mode`: its permission bits.
    ///
    /// # Errors
    /// `File`; the old one then stands as it was, unless the rename was the last that worked.
    pub fn replace_beside(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            make_directory(parent).map_err(|error| StoreError::File(parent.to_owned(), error))?;
        }
        let new = New {
            path,
            bytes,
            mode,
            modified: SystemTime::now(),
            room: 0,
        };
        new.put(|| true)
            .map(drop)
            .map_err(|error| StoreError::File(path.to_owned(), error))
    }

    /// Removes another file of the state; one that is not there is no fault.
    pub fn remove_beside(&self, path: &Path) {
        let _ = fs::remove_file(path);
    }

    /// Removes what a killed writer left beside parity.toml, and in the state's own directory
    /// if that is another one.
    fn remove_leftovers(&self, site: &Site) {
        let state = &site.config.state;
        let real = fs::canonicalize(&self.parity_file).unwrap_or_default();
        let beside = real.parent().unwrap_or(state);
        let listed = [
            fs::read_dir(beside),
            fs::read_dir(state),
            fs::read_dir(state.join("manifests")),
        ];
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

/// Makes a directory of the state's: who owns that owns this.
fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    if accounts::runner() == 0 {
        let state = fs::metadata(path.parent().unwrap_or(path))?;
        lchown(path, Some(state.uid()), Some(state.gid()))?;
    }
    Ok(())
}

/// Waits a moment for the lock; returns what the one before left in the file, and who gave way.
fn wait_for(
    file: &File,
    path: &Path,
    goes_first: bool,
) -> Result<(Option<Holder>, Vec<String>), StoreError> {
    let begin = Instant::now();
    let mut told: Vec<Holder> = Vec::new();
    let mut last: Option<Instant> = None;
    loop {
        match file.try_lock() {
            Ok(()) => {
                let note = |holder| format!("{holder} waited, and was told to give way");
                let gave_way = told.iter().map(note).collect();
                return Ok((Holder::read(file), gave_way));
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::File(path.to_owned(), error));
            }
            Err(TryLockError::WouldBlock) => {
                if goes_first && let Some(holder) = Holder::read(file) {
                    // Another that waited for the lock may have had it before us; or the same again,
                    // which then takes back what its hooks prepared.
                    let is_told = told.iter().any(|other| other.pid == holder.pid);
                    let is_new = !is_told || last.is_none_or(|last| last.elapsed() >= AGAIN);
                    if holder.gives_way && is_new && giving_way::ask(holder.pid, file) {
                        last = Some(Instant::now());
                        if !is_told {
                            told.push(holder);
                        }
                    }
                }
                let patience = match (told.is_empty(), goes_first) {
                    (false, _) => GIVING_WAY,
                    (true, true) => GOING_FIRST,
                    (true, false) => PATIENCE,
                };
                if begin.elapsed() < patience {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                // What a dead one left in the file says nothing about the living one.
                let holder = Holder::read(file).filter(Holder::lives).map(Box::new);
                return Err(StoreError::Busy(path.to_owned(), holder));
            }
        }
    }
}
