//! The first half of replacing a file: the new one, whole and on disk, under a temporary name beside
//! it.
//!
//! **Invariants**: the file itself is not touched. What is prepared and not used is removed.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Gid, Mode, OFlags, Uid};

use crate::contents::Contents;
use crate::disk::error::FileError;
use crate::disk::file::{Identity, Original, stat};
use crate::disk::leftover::{self, Leftover};
use crate::disk::looks;

/// How much of small slices is written at a time, in bytes; a larger slice is written as it stands.
const BUFFER: usize = 256 * 1024;

/// The new file, whole and on disk, under a temporary name. Dropped, it is removed.
#[derive(Debug)]
pub struct Prepared<'o> {
    pub(super) original: &'o Original,
    pub(super) temporary: Leftover,
    /// Can write only until that is done: as long as it could, it would look like an editor's.
    pub(super) file: File,
    /// What `file` was when it was whole.
    pub(super) own: Identity,
    pub(super) size: usize,
}

impl<'o> Prepared<'o> {
    /// Writes `contents` to the empty `file`, which stands under the name of `temporary`.
    fn fill<C: Contents + ?Sized>(
        original: &'o Original,
        temporary: Leftover,
        file: File,
        contents: &C,
    ) -> Result<Self, FileError> {
        let own =
            stat(&file).map_err(|source| original.failed("look at a temporary file", source))?;
        let mut prepared = Self {
            original,
            temporary,
            file,
            own,
            size: 0,
        };
        prepared.write(contents)?;
        Ok(prepared)
    }

    fn write<C: Contents + ?Sized>(&mut self, contents: &C) -> Result<(), FileError> {
        let original = self.original;
        self.size = write_slices(&self.file, contents)
            .map_err(|source| original.failed("write a temporary file", source))?;
        self.file = self
            .open_to_read()
            .map_err(|source| original.failed("open a temporary file", source))?;
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
        self.own = stat(&self.file)
            .map_err(|source| original.failed("look at a temporary file", source))?;
        let name = leftover::name(original.base(), self.own.inode, original.inode());
        self.temporary
            .rename(name)
            .map_err(|source| original.failed("rename a temporary file", source))
    }

    fn open_to_read(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Leftover {
            directory, name, ..
        } = &self.temporary;
        let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
        Ok(File::from(file))
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
}

impl Original {
    /// Writes `contents` to a temporary file beside this one that looks like it. Removes what killed
    /// runs left there.
    ///
    /// # Errors
    /// Nothing has changed. `HardLinked` as [`Original::check_one_name`] says; `Write`.
    pub fn prepare<C: Contents + ?Sized>(&self, contents: &C) -> Result<Prepared<'_>, FileError> {
        self.check_one_name()?;
        let directory = self
            .open_directory()
            .map_err(|source| self.failed("open its directory", source))?;
        leftover::sweep(&directory, self.directory(), self.base());
        let name = leftover::name(self.base(), 0, self.inode());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(&directory, &name, flags, Mode::from_raw_mode(0o600))
            .map_err(|errno| self.failed("create a temporary file", errno.into()))?;
        Prepared::fill(
            self,
            Leftover::new(directory, name),
            File::from(descriptor),
            contents,
        )
    }
}

/// Writes all slices, small ones together, and returns how many bytes they were.
fn write_slices<C: Contents + ?Sized>(file: &File, contents: &C) -> io::Result<usize> {
    let mut out = io::BufWriter::with_capacity(BUFFER, file);
    let mut size = 0;
    for slice in contents.slices() {
        out.write_all(slice)?;
        size += slice.len();
    }
    out.flush()?;
    Ok(size)
}
