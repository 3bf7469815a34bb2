//! The second half of replacing a file: the temporary file, and its way into the old one's place.
//!
//! [`Prepared`] holds the new file under a temporary name, [`Exchanged`] the old one; `file` tells
//! the whole story and has the crash table.
//!
//! **Invariants**: an editor's file that was caught in the exchange goes back to its place, or is set
//! aside under a name of its own; it is never deleted.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use crate::file::{Identity, Original, stat};
use crate::file_error::FileError;
use crate::leftover::{self, Leftover};
use crate::looks;

/// The new file, whole and on disk, under a temporary name. Dropped, it is removed.
#[derive(Debug)]
pub struct Prepared<'o> {
    original: &'o Original,
    temporary: Leftover,
    file: File,
    size: usize,
}

impl<'o> Prepared<'o> {
    /// Writes `bytes` to the empty `file`, which stands under the name of `temporary`.
    pub(crate) fn fill(
        original: &'o Original,
        temporary: Leftover,
        file: File,
        bytes: &[u8],
    ) -> Result<Self, FileError> {
        let mut prepared = Self {
            original,
            temporary,
            file,
            size: bytes.len(),
        };
        prepared.write(bytes)?;
        Ok(prepared)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let original = self.original;
        self.file
            .write_all(bytes)
            .map_err(|source| original.failed("write a temporary file", source))?;
        self.look_alike().map_err(|source| {
            original.failed(
                "give a temporary file its owner, mode and attributes",
                source,
            )
        })?;
        self.file
            .sync_all()
            .map_err(|source| original.failed("sync a temporary file", source))?;
        // From here on the name says which two files may be deleted under it.
        let own = stat(&self.file)
            .map_err(|source| original.failed("look at a temporary file", source))?;
        let name = leftover::name(original.base(), own.inode, original.inode());
        self.temporary
            .rename(name)
            .map_err(|source| original.failed("rename a temporary file", source))
    }

    fn look_alike(&self) -> io::Result<()> {
        let (user, group, mode) = self.original.owner_and_mode();
        let now = self.file.metadata()?;
        if (now.uid(), now.gid()) != (user, group) {
            rustix::fs::fchown(
                &self.file,
                Some(Uid::from_raw(user)),
                Some(Gid::from_raw(group)),
            )?;
        }
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let original = rustix::fs::openat(
            &self.temporary.directory,
            self.original.base(),
            flags,
            Mode::empty(),
        )?;
        looks::copy_attributes(&original, &self.file)
    }

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
            Ok(false) => Err(self.give_way(original.changed())),
            Err(source) => {
                Err(self.give_way(original.failed("read what it was exchanged for", source)))
            }
        }
    }

    /// Puts what came out back, and returns why, or that this failed.
    fn give_way(mut self, why: FileError) -> FileError {
        // What stands at the path by our doing; if something else comes out, a still faster editor
        // put it there, and it goes back in turn.
        let mut ours = stat(&self.file).map(|own| own.inode).unwrap_or(0);
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
        let own = stat(&self.file).map(|own| own.inode).ok();
        if own.is_none() || own != inode_of(&self.temporary).ok() {
            // An editor's file that a later editor replaced without having seen it.
            self.temporary.set_aside(self.original.base());
        }
        why
    }

    fn stuck(mut self, source: io::Error) -> FileError {
        self.temporary.leave();
        FileError::Stuck {
            path: self.original.path().to_owned(),
            other: self.original.directory().join(&self.temporary.name),
            source,
        }
    }

    fn rename_over(mut self) -> Result<Exchanged<'o>, FileError> {
        let original = self.original;
        if !original.still_stands(&self.temporary.directory) {
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

fn inode_of(temporary: &Leftover) -> io::Result<u64> {
    let stat = rustix::fs::statat(
        &temporary.directory,
        &temporary.name,
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    Ok(Identity::of(&stat).inode)
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
    /// Removes the old file and makes the change durable.
    ///
    /// # Errors
    /// `NotDurable`: the new bytes stand, but might not after a power cut.
    pub fn keep(mut self) -> Result<Replaced, FileError> {
        let original = self.prepared.original;
        let undurable = |source| FileError::NotDurable {
            path: original.path().to_owned(),
            source,
        };
        let identity = stat(&self.prepared.file).map_err(undurable)?;
        if self.method == Method::Exchanged {
            self.prepared.temporary.remove().map_err(undurable)?;
        }
        self.sync().map_err(undurable)?;
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
        let own = stat(&self.prepared.file).ok().map(|own| own.inode);
        let original = self.prepared.original;
        if self.method == Method::Renamed {
            return put_back_by_rename(original);
        }
        let now = rustix::fs::statat(
            &self.prepared.temporary.directory,
            original.base(),
            AtFlags::SYMLINK_NOFOLLOW,
        );
        if now.ok().map(|stat| Identity::of(&stat).inode) != own {
            return Err(original.changed());
        }
        if let Err(errno) = self.prepared.swap() {
            return Err(self.prepared.stuck(errno.into()));
        }
        if inode_of(&self.prepared.temporary).ok() != own {
            return Err(self.prepared.give_way(original.changed()));
        }
        self.sync().map_err(|source| FileError::Write {
            path: original.path().to_owned(),
            doing: "sync its directory",
            source,
        })
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::io::retry_on_intr(|| {
            rustix::fs::fsync(&self.prepared.temporary.directory)
        })?)
    }
}

fn put_back_by_rename(original: &Original) -> Result<(), FileError> {
    let stuck = |source: io::Error| FileError::Stuck {
        path: original.path().to_owned(),
        other: original.real_path().to_owned(),
        source,
    };
    let now = Original::read(original.path())?;
    let prepared = now
        .prepare(original.bytes())
        .map_err(|error| stuck(io::Error::other(error)))?;
    prepared.exchange()?.keep().map(|_| ())
}

/// What [`replace`] did.
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
