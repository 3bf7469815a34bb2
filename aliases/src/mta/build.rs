//! One map, built beside the old one and moved into its place.
//!
//! The text is copied to a temporary name in the map's directory, the MTA's tool builds the map beside
//! it, the new map gets the old one's owner, mode and attributes and is synced; then the two maps
//! exchange names, and on the way back they do it again. A map without an image is the text itself:
//! the tool looks at the copy, and nothing is moved.
//!
//! **Invariants**: a map's name is never without a map once it had one. What is under a temporary
//! name is removed when this is dropped, and what a killed run left by the next one.
//!
//! BUILDER'S RIGHTS. postalias, run by root, becomes the owner of the text it reads. Our copy of the
//! text belongs to the owner of the directory: the one user who can surely write there, and who
//! cannot make root write through a link planted there. The map is given to its right owner after.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use crate::disk::file::Original;
use crate::disk::leftover::Leftover;
use crate::disk::looks;
use crate::mta::beside;
use crate::mta::error::MtaError;
use crate::mta::maps::{Map, Maps};

/// A new map under a temporary name, or, moved in, the old one under that name.
#[derive(Debug)]
pub(crate) struct Built<'m> {
    map: &'m Map,
    /// The directory of the map's file, links resolved.
    path: PathBuf,
    /// The name of the map's file in it.
    target: OsString,
    text: Leftover,
    image: Leftover,
    /// The other files that a tool may leave: cdb's, and Berkeley DB's where the disk is full.
    _scrap: [Leftover; 2],
    place: Place,
    is_told: bool,
    warnings: Vec<String>,
    notes: Vec<String>,
}

/// Where the new map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Beside,
    /// In place, the old one under the temporary name.
    In,
    /// In place, where no map was before.
    InFirst,
}

impl<'m> Built<'m> {
    /// Builds the map for `text`, the new bytes of the file `original`.
    pub(crate) fn new(
        maps: &dyn Maps,
        map: &'m Map,
        original: &Original,
        text: &[u8],
    ) -> Result<Self, MtaError> {
        beside::sweep(map);
        let (path, target) = map.place();
        let file = path.join(&target);
        check_regular(&file)?;
        let mut built =
            Self::reserve(map, path, target).map_err(failed(&file, "open the directory of"))?;
        built
            .write_text(text)
            .map_err(failed(&file, "write a copy of the text beside"))?;
        built.warnings = maps.build(map, &built.text())?;
        if map.image.is_some() {
            let image = built.open_image()?;
            built
                .look_alike(original, &image)
                .map_err(failed(&file, "give owner and mode to the new"))?;
            image.sync_all().map_err(failed(&file, "sync the new"))?;
        }
        Ok(built)
    }

    fn reserve(map: &'m Map, path: PathBuf, target: OsString) -> io::Result<Self> {
        let name = |suffix: &str| beside::name(&target, suffix);
        let directory = || -> io::Result<OwnedFd> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(rustix::fs::open(&path, flags, Mode::empty())?)
        };
        let text = Leftover::new(directory()?, name(""));
        let suffix = map.image.as_ref().map_or("", |image| image.suffix);
        let image = Leftover::new(directory()?, name(suffix));
        let scrap = [
            Leftover::new(directory()?, name(&format!("{suffix}.tmp"))),
            Leftover::new(directory()?, beside::page(&target, suffix)),
        ];
        for old in [&text, &image].into_iter().chain(&scrap) {
            let _ = rustix::fs::unlinkat(&old.directory, &old.name, AtFlags::empty());
        }
        Ok(Self {
            map,
            path,
            target,
            text,
            image,
            _scrap: scrap,
            place: Place::Beside,
            is_told: false,
            warnings: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn write_text(&self, text: &[u8]) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = &self.text.directory;
        let mut file = File::from(rustix::fs::openat(
            directory,
            &self.text.name,
            flags,
            Mode::from_raw_mode(0o600),
        )?);
        file.write_all(text)?;
        if rustix::process::geteuid().is_root() {
            let stat = rustix::fs::fstat(directory)?;
            let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            rustix::fs::fchown(&file, Some(user), Some(group))?;
        }
        Ok(())
    }

    fn open_image(&self) -> Result<File, MtaError> {
        match self.open(&self.image.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MtaError::NotBuilt {
                map: self.path.join(&self.target),
            }),
            opened => opened.map_err(failed(&self.path.join(&self.target), "open the new")),
        }
    }

    fn open(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.image.directory, name, flags, Mode::empty())?;
        Ok(File::from(file))
    }

    /// Makes the new map look like the old one; the first one like what postalias would make of the
    /// text: it belongs to the text's owner and is nobody else's to write.
    fn look_alike(&mut self, original: &Original, image: &File) -> io::Result<()> {
        let old = match self.open(&self.target) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (user, group, mode) = match &old {
            Some(file) => {
                let metadata = file.metadata()?;
                if metadata.nlink() > 1 {
                    self.notes.push(self.parted());
                }
                (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
            }
            None if self.map.image.as_ref().is_some_and(|image| image.is_owned) => {
                return Ok(());
            }
            None => {
                let (user, group, mode) = original.owner_and_mode();
                (user, group, mode & 0o644)
            }
        };
        let now = image.metadata()?;
        if (now.uid(), now.gid()) != (user, group) {
            rustix::fs::fchown(image, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        rustix::fs::fchmod(image, Mode::from_raw_mode(mode))?;
        if let Some(old) = old {
            looks::copy_attributes(old, image)?;
        }
        Ok(())
    }

    /// A map with a second name is not refused, as a text is: it is built of the text, and whoever reads
    /// it by that name can be given a new one.
    fn parted(&self) -> String {
        format!(
            "{:?} has another name (ls -i): under that one the old map stays",
            self.path.join(&self.target)
        )
    }

    /// Gives the new map the time of its text, where that is of a time to come: the MTA and
    /// `verify` would take it for older for as long.
    pub(crate) fn be_as_new_as(&self, original: &Original) -> Result<(), MtaError> {
        if self.map.image.is_none() {
            return Ok(());
        }
        let image = self.open_image()?;
        let set = || -> io::Result<()> {
            if original.is_newer_than(&image.metadata()?) {
                image.set_modified(original.modified())?;
                image.sync_all()?;
            }
            Ok(())
        };
        set().map_err(failed(
            &self.path.join(&self.target),
            "set the time of the new",
        ))
    }

    /// The path of the copy of the text.
    pub(crate) fn text(&self) -> PathBuf {
        self.path.join(&self.text.name)
    }

    pub(crate) fn map(&self) -> &'m Map {
        self.map
    }

    /// Tells the MTA that what is in place now is to be read.
    pub(crate) fn tell(&mut self, maps: &dyn Maps) -> Result<(), MtaError> {
        let told = maps.tell(self.map);
        // One that refuses goes on with what it had; one that was not waited for may not.
        self.is_told = !matches!(told, Err(MtaError::Tool { .. }));
        self.notes.extend(told?);
        beside::sweep_told(self.map);
        Ok(())
    }

    /// Tells the MTA that what was there before is there again, if it was told otherwise.
    pub(crate) fn tell_back(&mut self, maps: &dyn Maps) -> Result<(), MtaError> {
        if self.is_told {
            maps.tell_back(self.map)?;
        }
        Ok(())
    }

    /// What the tool said about lines, and what is to be known about the running MTA.
    pub(crate) fn into_words(self) -> (Vec<String>, Vec<String>) {
        (self.warnings, self.notes)
    }

    /// Puts the new map in the old one's place.
    ///
    /// # Errors
    /// `File`: the old map stands, or, if only the directory could not be synced, the new one, which
    /// [`move_out`](Self::move_out) knows.
    pub(crate) fn move_in(&mut self) -> Result<(), MtaError> {
        if self.map.image.is_none() {
            return Ok(());
        }
        let moved = match self.swap(RenameFlags::EXCHANGE) {
            Ok(()) => Ok(Place::In),
            Err(Errno::NOENT) => self.swap(RenameFlags::NOREPLACE).map(|()| Place::InFirst),
            Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => self.link_and_rename(),
            Err(errno) => Err(errno),
        };
        self.place = moved.map_err(self.failed("move the new map to"))?;
        self.sync().map_err(self.failed("sync the directory of"))
    }

    /// Puts the old map back, if it is not there.
    ///
    /// # Errors
    /// `File`: the new map may stand.
    pub(crate) fn move_out(&mut self) -> Result<(), MtaError> {
        let moved = match self.place {
            Place::Beside => return Ok(()),
            Place::In => match self.swap(RenameFlags::EXCHANGE) {
                Err(Errno::NOSYS | Errno::INVAL | Errno::NOTSUP) => {
                    self.rename(&self.image.name, &self.target)
                }
                done => done,
            },
            Place::InFirst => self.rename(&self.target, &self.image.name),
        };
        moved.map_err(self.failed("put back"))?;
        self.place = Place::Beside;
        self.sync().map_err(self.failed("sync the directory of"))
    }

    fn swap(&self, flags: RenameFlags) -> Result<(), Errno> {
        let directory = &self.image.directory;
        rustix::fs::renameat_with(directory, &self.image.name, directory, &self.target, flags)
    }

    /// rename(2), which a system has that lacks renameat2.
    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        let directory = &self.image.directory;
        rustix::fs::renameat(directory, from, directory, to)
    }

    /// Where names cannot be exchanged: the old map, if there is one, gets a second name, then its
    /// first is taken.
    fn link_and_rename(&mut self) -> Result<Place, Errno> {
        let directory = &self.image.directory;
        let mut second = self.image.name.clone();
        second.push(".old");
        // What a killed run of the same number left.
        let _ = rustix::fs::unlinkat(directory, &second, AtFlags::empty());
        let linked = rustix::fs::linkat(
            directory,
            &self.target,
            directory,
            &second,
            AtFlags::empty(),
        );
        if linked == Err(Errno::NOENT) {
            return self
                .rename(&self.image.name, &self.target)
                .map(|()| Place::InFirst);
        }
        linked?;
        if let Err(errno) = self.rename(&self.image.name, &self.target) {
            let _ = rustix::fs::unlinkat(directory, &second, AtFlags::empty());
            return Err(errno);
        }
        self.image.name = second;
        Ok(Place::In)
    }

    fn sync(&self) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::fs::fsync(&self.image.directory))
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(Errno) -> MtaError + use<> {
        let path = self.path.join(&self.target);
        move |errno| MtaError::File {
            path,
            doing,
            source: errno.into(),
        }
    }
}

/// Refuses what can be no map: moved away, a directory would stay there for good.
fn check_regular(file: &Path) -> Result<(), MtaError> {
    let kind = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(file, "look at")(error)),
    };
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link that leads in a circle"
    } else {
        "no plain file"
    };
    Err(MtaError::NotAFile {
        path: file.to_owned(),
        what,
    })
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> MtaError {
    move |source| MtaError::File {
        path: path.to_owned(),
        doing,
        source,
    }
}
