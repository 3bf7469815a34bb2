//! The second half of replacing a file: the temporary file, and its way into the old one's place.
//!
//! [`Prepared`] holds the new file under a temporary name, [`Exchanged`] the old one; `file` tells
//! the whole story and has the crash table.
//!
//! **Invariants**: an editor's file that was caught in the exchange goes back to its place, or is set
//! aside under a name of its own; it is never deleted. Nor is what somebody has open for writing.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::contents::Contents;
use crate::disk::error::FileError;
use crate::disk::file::{Identity, Original, stat};
use crate::disk::held::is_held;
use crate::disk::leftover::Leftover;
use crate::disk::prepare::Prepared;

impl<'o> Prepared<'o> {
    /// Puts the new file in the old one's place, if that is still what was read.
    ///
    /// # Errors
    /// `Changed` if another editor was faster: its file stands, start over. `Write`: nothing has
    /// changed. `Stuck`: see there.
    pub fn exchange(self) -> Result<Exchanged<'o>, FileError> {
        let original = self.original;
        if !original.still_stands(&self.temporary.directory) {
            return Err(original.changed());
        }
        self.take_place()
    }

    /// Exchanges without looking, and then looks.
    fn take_place(self) -> Result<Exchanged<'o>, FileError> {
        let original = self.original;
        match self.swap() {
            Ok(()) => self.compare_what_came_out(),
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => self.rename_over(),
            Err(errno) => Err(original.failed("exchange it with a temporary file", errno.into())),
        }
    }

    fn swap(&self) -> Result<(), Errno> {
        swap(&self.temporary, self.original.base())
    }

    fn compare_what_came_out(self) -> Result<Exchanged<'o>, FileError> {
        let original = self.original;
        match original.is_what_was_read(&self.temporary.directory, &self.temporary.name) {
            Ok(true) => Ok(Exchanged {
                prepared: self,
                method: Method::Exchanged,
            }),
            Ok(false) => {
                let ours = self.own.inode;
                Err(self.give_way(ours, original.changed()))
            }
            Err(source) => {
                let ours = self.own.inode;
                Err(self.give_way(
                    ours,
                    original.failed("read what it was exchanged for", source),
                ))
            }
        }
    }

    /// Puts what came out back, and returns why, or that this failed.
    ///
    /// `ours`: the inode of what stands at the path by our doing. If something else comes out from
    /// there, a still faster editor put it there, and it goes back in turn.
    fn give_way(mut self, mut ours: u64, why: FileError) -> FileError {
        loop {
            let out = inode_of(&self.temporary);
            if let Err(errno) = self.swap() {
                return self.stuck(errno.into());
            }
            match inode_of(&self.temporary) {
                Ok(came_out) if came_out == ours => break,
                Ok(_) => ours = out.unwrap_or(0),
                Err(source) => return self.stuck(source),
            }
        }
        let (directory, name) = (&self.temporary.directory, &self.temporary.name);
        let is_new = is_untouched(&self.temporary, &self.own).unwrap_or(false);
        if !is_new
            && !self
                .original
                .is_what_was_read(directory, name)
                .unwrap_or(false)
        {
            // An editor's file that a later editor replaced without having seen it.
            self.temporary.set_aside(self.original.base());
        }
        why
    }

    fn stuck(mut self, source: io::Error) -> FileError {
        // Under a name that no later run sweeps.
        self.temporary.set_aside(self.original.base());
        FileError::Stuck {
            path: self.original.path().to_owned(),
            other: self.original.directory().join(&self.temporary.name),
            source,
        }
    }

    fn rename_over(mut self) -> Result<Exchanged<'o>, FileError> {
        let original = self.original;
        let is_held = open(&self.temporary, original.base()).is_ok_and(|file| is_held(&file));
        if is_held || !original.still_stands(&self.temporary.directory) {
            return Err(original.changed());
        }
        self.temporary
            .rename(original.base().to_owned())
            .map_err(|source| original.failed("rename a temporary file over it", source))?;
        self.temporary.leave();
        Ok(Exchanged {
            prepared: self,
            method: Method::Renamed,
        })
    }
}

fn swap(temporary: &Leftover, base: &OsStr) -> Result<(), Errno> {
    let directory = &temporary.directory;
    rustix::fs::renameat_with(
        directory,
        &temporary.name,
        directory,
        base,
        RenameFlags::EXCHANGE,
    )
}

/// A file beside a temporary one, or that itself, opened to be looked at.
fn open(beside: &Leftover, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&beside.directory, name, flags, Mode::empty())?;
    Ok(File::from(file))
}

/// Whether what stands under the temporary name has the bytes of `was`, and nobody can write others.
fn is_untouched(temporary: &Leftover, was: &Identity) -> io::Result<bool> {
    let file = open(temporary, &temporary.name)?;
    Ok(!is_held(&file) && stat(&file)?.same_content(was))
}

fn inode_of(temporary: &Leftover) -> io::Result<u64> {
    Ok(identity_of(temporary)?.inode)
}

fn identity_of(temporary: &Leftover) -> io::Result<Identity> {
    let Leftover {
        directory, name, ..
    } = temporary;
    Ok(Identity::of(&rustix::fs::statat(
        directory,
        name,
        AtFlags::SYMLINK_NOFOLLOW,
    )?))
}

/// How the new file took the old one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// In one instant, and what came out was what had been read.
    Exchanged,
    /// By rename, since this file system cannot exchange: an editor in the last instant would have
    /// lost its change unnoticed.
    Renamed,
}

/// The new file stands. Dropped, the old one is removed; but say [`keep`](Self::keep), which tells
/// of trouble.
#[derive(Debug)]
pub struct Exchanged<'o> {
    prepared: Prepared<'o>,
    method: Method,
}

impl Exchanged<'_> {
    /// Whether the path still leads to the new file as it was written.
    pub(crate) fn stands(&self) -> bool {
        let now = rustix::fs::stat(self.prepared.original.path());
        now.is_ok_and(|now| Identity::of(&now).same_content(&self.prepared.own))
    }

    /// Whether nobody wrote in the old file since the exchange, nor can: who opened it in that very
    /// instant was not seen then.
    pub(crate) fn is_let_go(&self) -> bool {
        let Prepared {
            temporary,
            original,
            ..
        } = &self.prepared;
        // That it cannot be looked at again says nothing of anybody.
        self.method == Method::Renamed
            || is_untouched(temporary, original.identity()).unwrap_or(true)
    }

    /// Removes the old file and makes the change durable.
    ///
    /// # Errors
    /// `NotDurable`: the new bytes stand, but might not after a power cut. `WroteOn`: they stand, and
    /// the old file, in which somebody wrote since, has a name of its own.
    pub fn keep(mut self) -> Result<Replaced, FileError> {
        let original = self.prepared.original;
        let undurable = |source| FileError::NotDurable {
            path: original.path().to_owned(),
            source,
        };
        let identity = stat(&self.prepared.file).map_err(undurable)?;
        if !self.is_let_go() {
            let temporary = &mut self.prepared.temporary;
            temporary.set_aside(original.base());
            return Err(FileError::WroteOn {
                path: original.path().to_owned(),
                other: original.directory().join(&temporary.name),
            });
        }
        if self.method == Method::Exchanged {
            self.prepared.temporary.remove().map_err(undurable)?;
        }
        sync(&self.prepared.temporary).map_err(undurable)?;
        Ok(Replaced {
            identity,
            size: self.prepared.size,
            method: self.method,
        })
    }

    /// Puts the old file back.
    ///
    /// # Errors
    /// `Stuck` if that failed: the new file stands. `Changed`: an editor has saved since, and its
    /// file stands.
    pub fn put_back(self) -> Result<(), FileError> {
        let prepared = self.prepared;
        let original = prepared.original;
        // Not waited for: who has it open for writing has saved, or is about to.
        let now = Original::read_once(original.path(), true).map_err(|_| original.changed())?;
        if !now.identity().same_content(&prepared.own) {
            return Err(original.changed());
        }
        if self.method == Method::Renamed {
            return put_back_by_rename(&now, original);
        }
        if let Err(errno) = prepared.swap() {
            return Err(prepared.stuck(errno.into()));
        }
        if !is_untouched(&prepared.temporary, &prepared.own).unwrap_or(false) {
            return Err(prepared.give_way(original.inode(), original.changed()));
        }
        sync(&prepared.temporary).map_err(|source| FileError::Write {
            path: original.path().to_owned(),
            doing: "sync its directory",
            source,
        })
    }
}

fn sync(temporary: &Leftover) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| {
        rustix::fs::fsync(&temporary.directory)
    })?)
}

fn put_back_by_rename(now: &Original, original: &Original) -> Result<(), FileError> {
    let stuck = |source: io::Error| FileError::Stuck {
        path: original.path().to_owned(),
        other: original.real_path().to_owned(),
        source,
    };
    let prepared = now
        .prepare(original.bytes())
        .map_err(|error| stuck(io::Error::other(error)))?;
    prepared.exchange()?.keep().map(|_| ())
}

/// What [`crate::replace`] did.
#[derive(Debug, Clone)]
pub struct Replaced {
    identity: Identity,
    size: usize,
    method: Method,
}

impl Replaced {
    /// How the new file took its place.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether `original`, read later, is still what was written then.
    pub fn is(&self, original: &Original) -> bool {
        original.bytes().len() == self.size && self.identity.same_content(original.identity())
    }
}

/// Replaces a file by `contents`, if it is still what was read.
///
/// # Errors
/// Those of [`Original::prepare`], [`Prepared::exchange`] and [`crate::Exchanged::keep`].
pub fn replace<C: Contents + ?Sized>(
    original: &Original,
    contents: &C,
) -> Result<Replaced, FileError> {
    original.prepare(contents)?.exchange()?.keep()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    use super::*;

    /// A directory of its own with a file `aliases`.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("aliases-exchange-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("aliases"), "old").unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("aliases")
        }

        fn save_as_editors_do(&self, text: &str) {
            fs::write(self.0.join("saved"), text).unwrap();
            fs::rename(self.0.join("saved"), self.file()).unwrap();
        }

        /// The bytes of all files but `aliases`.
        fn others(&self) -> Vec<String> {
            let paths = fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            let others = paths.filter(|path| *path != self.file());
            others
                .map(|path| fs::read_to_string(path).unwrap())
                .collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn an_editor_in_the_last_instant_gets_its_file_back() {
        let saves: [fn(&Scratch); 2] = [
            |scratch| scratch.save_as_editors_do("old"),
            |scratch| fs::write(scratch.file(), "OLD").unwrap(),
        ];
        for save in saves {
            let scratch = Scratch::new("instant");
            let original = Original::read(scratch.file()).unwrap();
            let prepared = original.prepare(b"new").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20));
            save(&scratch);
            let theirs = fs::metadata(scratch.file()).unwrap().ino();
            let bytes = text(&scratch.file());
            let error = prepared.take_place().map(drop).unwrap_err();
            assert!(matches!(error, FileError::Changed { .. }), "{error}");
            assert_eq!(text(&scratch.file()), bytes);
            assert_eq!(fs::metadata(scratch.file()).unwrap().ino(), theirs);
            assert_eq!(scratch.others(), [] as [&str; 0]);
        }
    }

    #[test]
    fn of_two_editors_the_later_one_stands_and_the_other_is_kept() {
        let scratch = Scratch::new("two");
        let original = Original::read(scratch.file()).unwrap();
        let prepared = original.prepare(b"new").unwrap();
        scratch.save_as_editors_do("first");
        prepared.swap().unwrap();
        scratch.save_as_editors_do("second");
        let error = prepared.compare_what_came_out().map(drop).unwrap_err();
        assert!(matches!(error, FileError::Changed { .. }), "{error}");
        assert_eq!(text(&scratch.file()), "second");
        assert_eq!(scratch.others(), ["first"]);
    }

    #[test]
    fn what_is_put_back_gives_way_to_an_editor_too() {
        let save: [fn(&Scratch); 2] = [
            |scratch| scratch.save_as_editors_do("theirs"),
            |scratch| fs::write(scratch.file(), "theirs").unwrap(),
        ];
        for (method, save) in [(0, save[0]), (0, save[1]), (1, save[0]), (1, save[1])] {
            let scratch = Scratch::new("putback");
            let original = Original::read(scratch.file()).unwrap();
            let prepared = original.prepare(b"new").unwrap();
            let exchanged = if method == 0 {
                prepared.take_place()
            } else {
                prepared.rename_over()
            };
            let exchanged = exchanged.unwrap();
            save(&scratch);
            assert!(matches!(
                exchanged.put_back(),
                Err(FileError::Changed { .. })
            ));
            assert_eq!(text(&scratch.file()), "theirs");
            assert_eq!(scratch.others(), [] as [&str; 0]);
        }
    }

    #[test]
    fn an_editor_in_the_last_instant_of_putting_back_stands() {
        let scratch = Scratch::new("backinstant");
        let original = Original::read(scratch.file()).unwrap();
        let prepared = original.prepare(b"new").unwrap();
        prepared.swap().unwrap();
        scratch.save_as_editors_do("theirs");
        prepared.swap().unwrap();
        drop(prepared.give_way(original.inode(), original.changed()));
        assert_eq!(text(&scratch.file()), "theirs");
        assert_eq!(scratch.others(), [] as [&str; 0]);
    }

    #[test]
    fn without_an_exchange_the_file_is_compared_and_renamed_over() {
        let scratch = Scratch::new("rename");
        let original = Original::read(scratch.file()).unwrap();
        let replaced = original
            .prepare(b"new")
            .unwrap()
            .rename_over()
            .unwrap()
            .keep()
            .unwrap();
        assert_eq!(
            (replaced.method(), text(&scratch.file())),
            (Method::Renamed, "new".to_owned())
        );
        let prepared = original.prepare(b"newer").unwrap();
        assert!(matches!(
            prepared.rename_over(),
            Err(FileError::Changed { .. })
        ));
        assert_eq!(text(&scratch.file()), "new");
        let original = Original::read(scratch.file()).unwrap();
        original
            .prepare(b"newest")
            .unwrap()
            .rename_over()
            .unwrap()
            .put_back()
            .unwrap();
        assert_eq!(text(&scratch.file()), "new");
        assert_eq!(scratch.others(), [] as [&str; 0]);
    }
}
