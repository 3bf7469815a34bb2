//! What a command tells, into a file that others read: a web server, Prometheus' collector.
//!
//! | a kill after | a reader sees |
//! |---|---|
//! | 1. the new text in a file beside it, `.NAME.new-PID`, synced | the old text |
//! | 2. its rename | the new text |
//!
//! **Invariants.** At no moment half of a text, nor none. Anybody may read it, nobody but its
//! owner write it, whatever the umask.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::admin::outcome::{Done, Refused};
use crate::copying::Place;

const MODE: u32 = 0o644;

/// Takes what `done` would print, and puts it into `path`.
///
/// # Errors
/// It cannot be written; what stood there stands there.
pub fn publish(mut done: Done, act: &'static str, path: &Path) -> Result<Done, Refused> {
    match put(path, &done.text, MODE) {
        Ok(()) => {
            done.text.clear();
            Ok(done)
        }
        Err(error) => Err(Refused::new(act, format!("write {path:?}: {error}"))),
    }
}

/// The same for a text that only its owner may read.
///
/// # Errors
/// The kernel's, in words.
pub fn put_private(path: &Path, text: &str) -> io::Result<()> {
    put(path, text, 0o600)
}

/// A link there, or on the way, stays one: what it leads to is replaced, if root or we made it. One of
/// somebody else's, in a directory that he may write, leads root nowhere.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let found = Place::find(&std::path::absolute(path)?).and_then(Place::real);
    let place = found.map_err(|error| io::Error::other(error.to_string()))?;
    let (directory, name) = (&place.directory, &place.name);
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
            return Err(io::Error::other("it is not a plain file"));
        }
        Ok(_) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let mut new = OsString::from(".");
    new.push(name);
    new.push(format!(".new-{}", std::process::id()));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(directory, &new, flags, Mode::RUSR | Mode::WUSR)?;
    let written = fill(File::from(file), text, mode)
        .and_then(|()| Ok(renameat(directory, &new, directory, name)?));
    if written.is_err() {
        let _ = unlinkat(directory, &new, AtFlags::empty());
    }
    written
}

fn fill(mut file: File, text: &str, mode: u32) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
