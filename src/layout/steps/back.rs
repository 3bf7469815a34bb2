//! A directory that was exchanged for a link comes back, and nobody who follows the link misses it.
//!
//! THE LINK LEADS THERE FROM BOTH PLACES. An exchange of the link with what it leads to would make it
//! lead to itself: whoever has read it and not yet followed it would be told of a loop, and a wrapper
//! that is told so bounces a message. So the link is first replaced by `.mm-other-NAME/NAME`, and
//! `.mm-other-NAME` is, in each of the two directories, a link to the other one: from either, that is
//! where the directory is not.
//!
//! | a kill after | NAME at its old place | the next undo |
//! |---|---|---|
//! | 1. the two links to the other directory | the link to DATA/NAME | goes on |
//! | 2. the link that leads there from both places | that link; it leads to DATA/NAME | goes on |
//! | 3. the exchange | the directory | removes what is left |
//! | 4. the link in DATA is gone, then the others | the directory | removes what is left |
//!
//! Before 4 there is a pause: who has read a link has followed it by then.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{AtFlags, RenameFlags};

use super::{Back, Name, beside, make_link};

/// How long a link may take to be followed. That is microseconds, but for who is not given a processor.
const FOLLOWED: Duration = Duration::from_millis(50);

/// Brings the directory at `to` back to `from`, where the link stands.
pub(super) fn exchange(from: &Name, to: &Name) -> io::Result<Back> {
    let both = Both::of(from, to)?;
    if to.is_directory()? && leads(from, to, both.as_ref())? {
        if let Some(both) = &both {
            both.lead(from, to)?;
        }
        from.rename(to, RenameFlags::EXCHANGE)?;
        if !from.is_directory()? {
            from.rename(to, RenameFlags::EXCHANGE)?;
            return Err(from.other());
        }
        from.sync()?;
    }
    if !from.is_directory()? {
        return Err(from.other());
    }
    if leads(to, to, both.as_ref())? {
        sleep(FOLLOWED);
        to.unlink(AtFlags::empty())?;
    }
    if let Some(both) = both {
        both.remove(to)?;
    }
    Ok(Back::Done)
}

/// Whether the link at `at` is ours: to `to`, or the one that leads there from both places.
fn leads(at: &Name, to: &Name, both: Option<&Both>) -> io::Result<bool> {
    let is_both = |both: &Both| at.is_link_to(&both.text);
    Ok(at.is_link_to(&to.path)? || both.map(is_both).transpose()?.unwrap_or(false))
}

/// What leads to the other directory, in each of the two.
struct Both {
    /// In each of the two, and where it leads.
    links: [(Name, PathBuf); 2],
    /// A link to the name, by that.
    text: PathBuf,
    /// Where that link is made, and the one that it replaces goes.
    beside: Name,
}

impl Both {
    /// `None` where the two names are not the same in two directories.
    fn of(from: &Name, to: &Name) -> io::Result<Option<Both>> {
        let (Some(here), Some(there)) = (from.path.parent(), to.path.parent()) else {
            return Ok(None);
        };
        if here == there || from.name != to.name {
            return Ok(None);
        }
        let mut other = std::ffi::OsString::from(".mm-other-");
        other.push(&from.name);
        let link =
            |at: &Path, to: &Path| Ok::<_, io::Error>((Name::of(&at.join(&other))?, to.to_owned()));
        Ok(Some(Both {
            links: [link(here, there)?, link(there, here)?],
            text: Path::new(&other).join(&from.name),
            beside: Name::of(&beside(&from.path, ".mm-other"))?,
        }))
    }

    /// Puts a link that leads to the directory from both places in the place of the one that stands
    /// at `from`.
    fn lead(&self, from: &Name, to: &Name) -> io::Result<()> {
        for (name, to) in &self.links {
            make_link(name, to)?;
        }
        if from.is_link_to(&self.text)? {
            return Ok(());
        }
        let new = &self.beside;
        make_link(new, &self.text)?;
        new.rename(from, RenameFlags::EXCHANGE)?;
        if !new.is_link_to(&to.path)? {
            // Somebody was faster; he gets back what is his.
            new.rename(from, RenameFlags::EXCHANGE)?;
            return Err(from.other());
        }
        from.sync()
    }

    fn remove(self, to: &Name) -> io::Result<()> {
        if self.beside.is_link_to(&to.path)? || self.beside.is_link_to(&self.text)? {
            self.beside.unlink(AtFlags::empty())?;
        }
        for (name, to) in self.links {
            if name.is_link_to(&to)? {
                name.unlink(AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// PREFIX/lists leads to DATA/lists.
    fn scene(what: &str) -> (PathBuf, PathBuf, PathBuf) {
        let name = format!("mm-back-{what}-{}", std::process::id());
        let base = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        let (prefix, data) = (base.join("prefix"), base.join("data"));
        fs::create_dir_all(&prefix).unwrap();
        fs::create_dir_all(data.join("lists")).unwrap();
        fs::write(data.join("lists/x"), "x").unwrap();
        symlink(data.join("lists"), prefix.join("lists")).unwrap();
        (base, prefix.join("lists"), data.join("lists"))
    }

    #[test]
    fn who_has_read_the_link_is_led_to_the_directory_before_and_after_the_exchange() {
        let (base, at, to) = scene("leads");
        let (from, to_name) = (Name::of(&at).unwrap(), Name::of(&to).unwrap());
        let both = Both::of(&from, &to_name).unwrap().unwrap();
        both.lead(&from, &to_name).unwrap();
        // Read before the exchange, and followed after it.
        let read = at.parent().unwrap().join(fs::read_link(&at).unwrap());
        assert!(read.join("x").is_file());
        from.rename(&to_name, RenameFlags::EXCHANGE).unwrap();
        assert!(read.join("x").is_file());
        assert!(at.join("x").is_file());
        // So is who has it from before that link.
        assert!(to.join("x").is_file());
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn wherever_it_was_killed_an_undo_goes_on_and_leaves_nothing() {
        let stop: [fn(&Both, &Name, &Name); 5] = [
            |_, _, _| {},
            |both, _, _| make_link(&both.links[0].0, &both.links[0].1).unwrap(),
            |both, from, to| both.lead(from, to).unwrap(),
            |both, from, to| {
                both.lead(from, to).unwrap();
                from.rename(to, RenameFlags::EXCHANGE).unwrap();
            },
            |both, from, to| {
                both.lead(from, to).unwrap();
                from.rename(to, RenameFlags::EXCHANGE).unwrap();
                to.unlink(AtFlags::empty()).unwrap();
            },
        ];
        for (n, stop) in stop.iter().enumerate() {
            let (base, at, to) = scene(&format!("killed-{n}"));
            let (from, to_name) = (Name::of(&at).unwrap(), Name::of(&to).unwrap());
            stop(
                &Both::of(&from, &to_name).unwrap().unwrap(),
                &from,
                &to_name,
            );
            assert!(at.join("x").is_file(), "{n}");
            exchange(&from, &to_name).unwrap();
            assert!(!at.is_symlink() && at.join("x").is_file(), "{n}");
            for directory in ["prefix", "data"] {
                let names = fs::read_dir(base.join(directory)).unwrap();
                let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
                let left: &[&str] = if directory == "prefix" {
                    &["lists"]
                } else {
                    &[]
                };
                assert_eq!(names, left, "{n}, {directory}");
            }
            fs::remove_dir_all(base).unwrap();
        }
    }
}
