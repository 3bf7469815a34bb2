//! STATE/rehearsals: where lists are on stage, and pages of those that may not move.
//!
//! ```text
//! rehearsals/         0700: what is in it are copies of lists' data, and words of their mail
//!   PID/LIST/         a list on stage; gone with its rehearsal
//!   LIST.html         why it was not moved
//! ```
//!
//! **Invariants.** What a rehearsal left that was killed, the next one removes: nobody else writes there.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::list::ListName;
use crate::site::Site;

/// A directory of this process, until it is dropped.
pub(super) struct Scratch {
    path: PathBuf,
}

fn top(site: &Site) -> PathBuf {
    site.config.state.join("rehearsals")
}

fn make(path: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("cannot make {path:?}: {error}"))
}

impl Scratch {
    pub(super) fn make(site: &Site) -> Result<Scratch, String> {
        let top = top(site);
        make(&top)?;
        remove_left(&top).map_err(|error| format!("cannot clean {top:?}: {error}"))?;
        let path = top.join(std::process::id().to_string());
        make(&path)?;
        Ok(Scratch { path })
    }

    /// That of one list.
    pub(super) fn of_list(&self, list: &ListName) -> PathBuf {
        let path = self.path.join(list.as_str());
        let _ = make(&path);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what processes left that are no more.
fn remove_left(top: &Path) -> io::Result<()> {
    for entry in fs::read_dir(top)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_left = is_number(&name) && !Path::new("/proc").join(&name).exists();
        if is_left {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_number(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

/// Keeps the page of a list that may not move.
pub(super) fn keep_page(
    site: &Site,
    list: &str,
    write: &dyn Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let top = top(site);
    make(&top)?;
    let path = top.join(format!("{list}.html"));
    write(&path)?;
    Ok(path)
}
