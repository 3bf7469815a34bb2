//! Makes the lock file, whose bytes are the lists' doors and floors (see `doors`).
//!
//! **Invariants.** One that is there is never replaced: who is inside by it would be waited for
//! by nobody. Everybody may read it, since who delivers takes shared locks alone; nobody but
//! its owner may write it, since an exclusive one would keep all mail out.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use super::StoreError;
use crate::accounts;
use crate::doors::LockFile;
use crate::site::Site;

/// The mode with which it is made: nobody comes in by it yet.
const CLOSED: u32 = 0o600;

/// Makes the lock file, unless it is there: whether it was made, or finished where somebody was
/// killed as he made it.
///
/// # Errors
/// `File` if it cannot be made; `Door` if what is there, or was made, cannot be relied on; it
/// is then removed again.
pub fn make_lock_file(site: &Site) -> Result<bool, StoreError> {
    let path = site.config.lock_file();
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(CLOSED)
        .open(&path);
    let made = match made {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
        Err(error) => return Err(StoreError::File(path, error)),
    };
    let is_new = made.is_some();
    // Before anybody can come in by it.
    let sound = LockFile::open_to_close_doors(&path)
        .map_err(StoreError::Door)
        .and_then(|_| {
            let opened = match made {
                Some(file) => Ok(Some(file)),
                None => left_closed(&path),
            };
            let opened = opened.and_then(|file| {
                let opened = file.map(|file| open_to_all(site, &file));
                opened.map_or(Ok(false), |done| done.map(|()| true))
            });
            opened.map_err(|error| StoreError::File(path.clone(), error))
        });
    if sound.is_err() && is_new {
        let _ = fs::remove_file(&path);
    }
    sound
}

/// A lock file that was made, and whose maker was killed before he let everybody in.
fn left_closed(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let options = options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    let meta = file.metadata()?;
    Ok((meta.is_file() && meta.mode() & 0o777 == CLOSED).then_some(file))
}

/// The owner of parity.toml's directory closes doors as well; everybody may come in.
fn open_to_all(site: &Site, file: &File) -> io::Result<()> {
    if accounts::runner() == 0 {
        let state = fs::metadata(&site.config.state)?;
        fchown(file, Some(state.uid()), Some(state.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(0o644))
}
