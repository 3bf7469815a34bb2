//! Makes the lock file, whose bytes are the lists' doors and floors (see `doors`).
//!
//! **Invariants.** One that is there is never replaced: who is inside by it would be waited for
//! by nobody. Everybody may read it, since who delivers takes shared locks alone; nobody but
//! its owner may write it, since an exclusive one would keep all mail out.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};

use super::StoreError;
use crate::accounts;
use crate::doors::LockFile;
use crate::site::Site;

/// Makes the lock file, unless it is there: whether it was made.
///
/// # Errors
/// `File` if it cannot be made; `Door` if what is there, or was made, cannot be relied on; it
/// is then removed again.
pub fn make_lock_file(site: &Site) -> Result<bool, StoreError> {
    let path = site.config.lock_file();
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    let made = match made {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
        Err(error) => return Err(StoreError::File(path, error)),
    };
    // Before anybody can come in by it.
    let sound = LockFile::open_to_close_doors(&path)
        .map_err(StoreError::Door)
        .and_then(|_| match &made {
            Some(file) => {
                open_to_all(site, file).map_err(|error| StoreError::File(path.clone(), error))
            }
            None => Ok(()),
        });
    if sound.is_err() && made.is_some() {
        let _ = fs::remove_file(&path);
    }
    sound.map(|()| made.is_some())
}

/// The owner of parity.toml's directory closes doors as well; everybody may come in.
fn open_to_all(site: &Site, file: &File) -> io::Result<()> {
    if accounts::runner() == 0 {
        let state = fs::metadata(&site.config.state)?;
        fchown(file, Some(state.uid()), Some(state.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(0o644))
}
