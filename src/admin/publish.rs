//! What a command tells, into a file that others read: a web server, Prometheus' collector.
//!
//! | a kill after | a reader sees |
//! |---|---|
//! | 1. the new text in a file of a temporary directory beside it, synced | the old text |
//! | 2. its rename | the new text |
//!
//! **Invariants.** At no moment half of a text, nor none. Anybody may read it, nobody but its
//! owner write it, whatever the umask.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use atomicwrites::{AllowOverwrite, AtomicFile};

use crate::admin::outcome::{Done, Refused};

const MODE: u32 = 0o644;

/// Takes what `done` would print, and puts it into `path`.
///
/// # Errors
/// It cannot be written; what stood there stands there.
pub fn publish(mut done: Done, act: &'static str, path: &Path) -> Result<Done, Refused> {
    match put(path, &done.text) {
        Ok(()) => {
            done.text.clear();
            Ok(done)
        }
        Err(error) => Err(Refused::new(act, format!("write {path:?}: {error}"))),
    }
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    // A link there stays one: what it leads to is replaced.
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path)?,
        Err(error) => return Err(error),
    };
    if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        return Err(io::Error::other("it is not a plain file"));
    }
    let file = AtomicFile::new(&path, AllowOverwrite);
    file.write(|file| {
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.write_all(text.as_bytes())
    })
    .map_err(io::Error::from)
}
