//! A file of the state replaced as a whole, by one rename.
//!
//! Ordinarily by a new file beside it. Where the disk has no room for one, parity.toml has a
//! spare: a file beside it whose blocks were allocated while there were some. The new text goes
//! into those, and the two exchange names: the file of the old text is the next spare, so that
//! no block is asked for, however often lists are taken back.
//!
//! | a kill after | at parity.toml | at parity.toml.spare |
//! |---|---|---|
//! | 1. the spare is made, and its blocks allocated | old | nothing, in fewer blocks or all |
//! | 2. the new text into the spare, cut, synced | old | any part of the new text |
//! | 3. the exchange: **the commit point** | new | old |
//! | 4. the next change that finds room | new | old, or nothing, with blocks for more |
//!
//! **Invariants.** Nobody reads a spare. Never through a link, nor into a file that has another
//! name as well: a backup may share it. A spare that cannot be made refuses nothing.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use atomicwrites::{AllowOverwrite, AtomicFile};
use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};
use rustix::io::Errno;

use crate::clock::Timestamp;

/// The least that is kept for a file, in bytes.
const LEAST: u64 = 64 * 1024;
/// How often the clock is looked at for another second.
const PAUSE: Duration = Duration::from_millis(20);

/// Which file it is, and which text stands in it: device, inode, time of the last write in
/// seconds and nanoseconds, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64, u64, i64, i64, u64);

impl Stamp {
    fn of(meta: &Metadata) -> Stamp {
        Stamp(
            meta.dev(),
            meta.ino(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.size(),
        )
    }

    /// How long the text is.
    pub(super) fn bytes(&self) -> u64 {
        self.4
    }

    /// Of the file at `path`, or the one that a link there leads to.
    pub(super) fn at(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|meta| Stamp::of(&meta))
    }
}

/// What is to stand at a path. A link there stays one: what it leads to is replaced. The owner
/// stays who it was.
pub(super) struct New<'a> {
    /// Where.
    pub(super) path: &'a Path,
    /// The whole text.
    pub(super) bytes: &'a [u8],
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its mtime.
    pub(super) modified: SystemTime,
    /// For how many bytes the new file keeps blocks, if it can.
    pub(super) room: u64,
}

impl New<'_> {
    /// Puts a new file in place. `may` is asked last before the rename; returns the new file's
    /// stamp, or `None` if it was not to be.
    pub(super) fn put(&self, may: impl FnOnce() -> bool) -> io::Result<Option<Stamp>> {
        let mut refused = false;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let done = AtomicFile::new(real(self.path), AllowOverwrite).write_with_options(
            |file| -> io::Result<Stamp> {
                file.write_all(self.bytes)?;
                if self.room > 0 {
                    let _ = keep_room(file, self.room);
                }
                self.dress(file)?;
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

    /// As [`New::put`], in the blocks of the spare.
    pub(super) fn put_into(
        &self,
        spare: &Spare,
        may: impl FnOnce() -> bool,
    ) -> io::Result<Option<Stamp>> {
        let real = real(self.path);
        let file = spare.open()?;
        let length = file.metadata()?.len();
        // Over what stands there: blocks that were given up first would be somebody else's.
        file.write_all_at(self.bytes, 0)?;
        if length > self.bytes.len() as u64 {
            file.set_len(self.bytes.len() as u64)?;
            let _ = keep_room(&file, self.room);
        }
        self.dress(&file)?;
        if !may() {
            return Ok(None);
        }
        let stamp = Stamp::of(&file.metadata()?);
        match renameat_with(CWD, &spare.path, CWD, &real, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(&spare.path, &real)?,
            exchanged => exchanged?,
        }
        File::open(real.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        Ok(Some(stamp))
    }

    /// Owner, mode and time, and all of it on disk: the slow part, so that next to nothing lies
    /// between the last look and the rename.
    fn dress(&self, file: &File) -> io::Result<()> {
        if let Ok(owner) = fs::metadata(self.path) {
            give(file, &owner)?;
        }
        file.set_permissions(fs::Permissions::from_mode(self.mode))?;
        file.set_times(FileTimes::new().set_modified(self.modified))?;
        file.sync_all()
    }
}

/// The spare of a file that is replaced as a whole.
#[derive(Debug)]
pub(super) struct Spare {
    of: PathBuf,
    path: PathBuf,
}

impl Spare {
    /// Of the file at `path`, beside what a link there leads to.
    pub(super) fn of(path: &Path) -> Spare {
        let of = real(path);
        let mut name = of.clone().into_os_string();
        name.push(".spare");
        Spare {
            of,
            path: name.into(),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it if it is missing or is not to be used, and gets it blocks for `room` bytes.
    pub(super) fn tend(&self, room: u64) -> io::Result<()> {
        let file = match self.open() {
            Ok(file) => file,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    fs::remove_file(&self.path)?;
                }
                let mut options = OpenOptions::new();
                let file = options.read(true).write(true).create_new(true);
                let file = file.mode(0o600).open(&self.path)?;
                file.set_permissions(fs::Permissions::from_mode(0o600))?;
                file
            }
        };
        // Before there are blocks: a quota counts them for their owner.
        give(&file, &fs::metadata(&self.of)?)?;
        // Never less than it has: what made parity.toml short, as a commit does, can be taken
        // back, and then it is as long again.
        keep_room(&file, room)
    }

    /// What is wrong with it where a text of `bytes` stands, if something is.
    pub(super) fn fault(&self, bytes: u64) -> Option<String> {
        match self.open().and_then(|file| file.metadata()) {
            Err(error) => Some(error.to_string()),
            Ok(meta) if allocated(&meta) < bytes.max(LEAST) => {
                Some(format!("it has room for {} bytes only", allocated(&meta)))
            }
            Ok(_) => None,
        }
    }

    /// Waits until the second is another than that of the text in the spare.
    ///
    /// THE SAME FILE AGAIN. Who opened it when it was parity.toml, and still reads, looks at its
    /// time afterwards: a text of the same second and size must not come into it.
    pub(super) fn another_second(&self) -> Timestamp {
        let old = fs::metadata(&self.path).map_or(0, |meta| meta.mtime());
        while Timestamp::now().0 == old {
            std::thread::sleep(PAUSE);
        }
        Timestamp::now()
    }

    fn open(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&self.path)?;
        let meta = file.metadata()?;
        match meta.is_file() && meta.nlink() == 1 {
            true => Ok(file),
            false => Err(io::Error::other("it is not a plain file of one name")),
        }
    }
}

/// For how many bytes blocks are kept where a text of `bytes` stands: it may grow.
pub(super) fn room_for(bytes: u64) -> u64 {
    bytes.saturating_mul(2).max(LEAST)
}

/// Allocates what a file lacks of the blocks for its first `bytes`; its length stays.
pub(super) fn keep_room(file: &File, bytes: u64) -> io::Result<()> {
    Ok(fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes)?)
}

/// Whether the disk or a quota has no room. By its kind: some errors have a path put to them, and
/// no number any more.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// The time of a whole second.
pub(super) fn second(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.0.unsigned_abs())
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn give(file: &File, owner: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn allocated(meta: &Metadata) -> u64 {
    meta.blocks() * 512
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    const OLD: &[u8] = b"what stands, and is the longer text of the two\n";
    const NEW: &[u8] = b"what is to stand\n";

    /// A file with its spare, in a directory of their own.
    struct Scene(PathBuf);

    impl Scene {
        fn new(name: &str) -> Scene {
            let name = format!("mm-spare-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory).unwrap();
            let scene = Scene(directory);
            fs::write(scene.file(), OLD).unwrap();
            scene
        }

        fn file(&self) -> PathBuf {
            self.0.join("file")
        }

        fn spare(&self) -> Spare {
            Spare::of(&self.file())
        }

        fn put(&self, bytes: &[u8], may: bool) -> io::Result<Option<Stamp>> {
            let (path, modified) = (&self.file(), second(Timestamp(60)));
            let new = New {
                path,
                bytes,
                mode: 0o644,
                modified,
                room: LEAST,
            };
            new.put_into(&self.spare(), || may)
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_old_file_is_the_next_spare_and_has_its_room() {
        let scene = Scene::new("next");
        scene.spare().tend(LEAST).unwrap();
        assert_eq!(scene.spare().fault(1), None);
        let (text, spare) = (scene.file(), scene.spare());
        let inodes = || [&text, &spare.path].map(|path| fs::metadata(path).unwrap().ino());
        let [first, second] = inodes();
        scene.put(NEW, true).unwrap().unwrap();
        assert_eq!(
            (fs::read(&text).unwrap(), inodes()),
            (NEW.into(), [second, first])
        );
        // The shorter text over the longer one, of which nothing stays.
        scene.put(NEW, true).unwrap().unwrap();
        assert_eq!(
            (fs::read(&text).unwrap(), inodes()),
            (NEW.into(), [first, second])
        );
        assert_eq!(scene.spare().fault(1), None);
        let meta = fs::metadata(&text).unwrap();
        assert_eq!(
            (meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()),
            (0o644, 60, 0)
        );
        assert!(allocated(&meta) >= LEAST, "{meta:?}");
    }

    #[test]
    fn what_may_not_be_put_or_finds_no_spare_stays_as_it_was() {
        let scene = Scene::new("stays");
        assert!(scene.put(NEW, true).is_err());
        scene.spare().tend(LEAST).unwrap();
        assert_eq!(scene.put(NEW, false).unwrap(), None);
        assert_eq!(fs::read(scene.file()).unwrap(), OLD);
    }

    #[test]
    fn a_spare_that_is_somebody_elses_file_too_is_made_anew() {
        let scene = Scene::new("linked");
        let other = scene.0.join("other");
        fs::write(&other, OLD).unwrap();
        for is_hard in [true, false] {
            let path = &scene.spare().path;
            let _ = fs::remove_file(path);
            match is_hard {
                true => fs::hard_link(&other, path).unwrap(),
                false => std::os::unix::fs::symlink(&other, path).unwrap(),
            }
            assert!(scene.put(NEW, true).is_err());
            assert!(scene.spare().fault(1).is_some());
            scene.spare().tend(LEAST).unwrap();
            scene.put(NEW, true).unwrap().unwrap();
            assert_eq!(fs::read(&other).unwrap(), OLD);
        }
    }

    #[test]
    fn a_spare_never_gets_a_text_of_the_second_that_it_had() {
        let scene = Scene::new("second");
        scene.spare().tend(LEAST).unwrap();
        let now = Timestamp::now();
        let file = scene.spare().open().unwrap();
        file.set_times(FileTimes::new().set_modified(second(now)))
            .unwrap();
        assert_ne!(scene.spare().another_second(), now);
    }
}
