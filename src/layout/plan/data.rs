//! Which directories move, which are made, and which links lead to them.
//!
//! **Invariants.** Nothing is planned in a place where something is. What cannot move in one instant
//! is a reason against the plan.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Ask, Draft, Reasons, place};
use crate::layout::look::{Installation, Stands};
use crate::layout::steps::Step;
use crate::profiles::Profile;

const PERMISSIONS: u32 = 0o7777;

impl Draft<'_> {
    /// A directory that is to be there, owned like the installation's own.
    pub(super) fn directory(&mut self, path: &Path, (uid, gid, mode): (u32, u32, u32)) {
        let planned =
            |step: &Step| matches!(step, Step::Directory { path: one, .. } if one == path);
        if path.is_dir() || self.steps.iter().any(planned) {
            return;
        }
        if let Some(parent) = path.parent()
            && !parent.is_dir()
            && !self
                .steps
                .iter()
                .any(|step| matches!(step, Step::Directory { path: one, .. } if one == parent))
        {
            let reason = format!("{parent:?} is not there, in which {path:?} is to be made");
            return self.reasons.reasons.push(reason);
        }
        self.free(path);
        self.steps.push(Step::Directory {
            path: path.to_owned(),
            uid,
            gid,
            mode,
        });
    }

    pub(super) fn file(&mut self, path: &Path, text: &str) {
        if !path.exists() {
            self.steps.push(Step::File {
                path: path.to_owned(),
                text: text.to_owned(),
                mode: 0o644,
            });
        }
    }

    /// Why no data can leave an installation that is a file system of its own; `None` if it is none.
    fn is_mounted(&self) -> Option<Reasons> {
        let of = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
        let from = &self.from;
        (of(from)? != of(from.parent()?)?).then(|| {
            let reason = format!(
                "{from:?} is a file system of its own: nothing outside of it is on the same one, so its \
                 data cannot leave it in one instant"
            );
            Reasons::one(reason).hint(format!(
                "with the list manager stopped: mount that file system elsewhere, such as at /srv/mailman, \
                 move its files into a directory there, and make a link to that in the place of {from:?}; \
                 then type this again"
            ))
        })
    }

    /// Whether nothing is at a place where something is to be made.
    pub(super) fn free(&mut self, path: &Path) -> bool {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                self.reasons.reasons.push(format!("{path:?}: {error}"));
                false
            }
            Ok(_) => {
                let reason = format!("{path:?} is there already, and nothing is overwritten");
                let mut reasons = Reasons::one(reason);
                if path.parent() == Some(&self.data) {
                    reasons = reasons.hint("--data DIR, another directory for the data");
                }
                self.reasons.add(reasons);
                false
            }
        }
    }

    /// A link that is to be there.
    pub(super) fn link(&mut self, path: &Path, to: &Path) {
        if fs::read_link(path).is_ok_and(|there| there == to) {
            return;
        }
        if self.free(path) {
            self.steps.push(Step::Link {
                path: path.to_owned(),
                to: to.to_owned(),
            });
        }
    }

    /// Moves each directory of data that is in the tree, and remembers those that are not.
    pub(super) fn data_directories(&mut self) {
        let names = self.names();
        for name in names {
            let path = self.home.join(&name);
            match self.installed(&path) {
                Ok(Stands::Inside) => self.exchange(&path, &self.data.join(&name)),
                Ok(Stands::Outside(there)) => {
                    if there != self.data.join(&name) {
                        self.link(&self.data.join(&name), &there);
                    }
                    self.outside.push((name, there));
                }
                Ok(Stands::Nowhere) => {}
                Err(error) => self.reasons.reasons.push(format!("{path:?}: {error}")),
            }
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        let layout = self.profile.layout();
        layout.map_or_else(Vec::new, |layout| layout.data.clone())
    }

    pub(super) fn installed(&self, path: &Path) -> io::Result<Stands> {
        match self.profile.layout() {
            Some(layout) => Installation::of(layout, &self.tree).stands(path),
            None => Ok(Stands::Nowhere),
        }
    }

    pub(super) fn exchange(&mut self, from: &Path, to: &Path) {
        let meta = match fs::symlink_metadata(from) {
            Ok(meta) => meta,
            Err(error) => return self.reasons.reasons.push(format!("{from:?}: {error}")),
        };
        if !meta.is_dir() {
            let what = "is a link into the tree itself, or no directory: it cannot be moved";
            return self.reasons.reasons.push(format!("{from:?} {what}"));
        }
        if !self.free(to) {
            return;
        }
        let holder = from.parent().and_then(|holder| fs::metadata(holder).ok());
        if holder.is_some_and(|holder| holder.dev() != meta.dev()) {
            self.reasons.add(
                Reasons::one(format!(
                    "{from:?} is a file system of its own, mounted there: it cannot move in one \
                     instant"
                ))
                .hint(format!(
                    "with the list manager stopped: mount it at {to:?}, and make a link at {from:?}"
                )),
            );
            return;
        }
        if device(to).is_some_and(|there| there != meta.dev()) {
            if let Some(reasons) = self.is_mounted() {
                self.reasons.add(reasons);
                return;
            }
            self.reasons.add(
                Reasons::one(format!(
                    "{to:?} is on another file system than {from:?}: it cannot move in one instant"
                ))
                .hint("--data DIR, a directory on the file system of the installation"),
            );
            return;
        }
        self.moving.push(from.to_owned());
        self.steps.push(Step::Exchange {
            from: from.to_owned(),
            to: to.to_owned(),
            dev: meta.dev(),
            ino: meta.ino(),
        });
    }

    /// The second tree's root, with links to what both share.
    pub(super) fn second_tree(&mut self, like: (u32, u32, u32)) {
        let future = self.future.clone();
        self.directory(&future, like);
        let mut home = future;
        for part in self.below.clone().iter() {
            home.push(part);
            self.directory(&home.clone(), like);
        }
        for name in self.names() {
            let path = self.home.join(&name);
            let to = match self.installed(&path) {
                Ok(Stands::Inside) => self.data.join(&name),
                Ok(Stands::Outside(there)) => there,
                _ => continue,
            };
            self.link(&home.join(&name), &to);
        }
        let Ok(Some((templates, own))) = self.own_templates() else {
            return;
        };
        for (name, path) in own {
            if self.are_a_lists(&name, &path) {
                continue;
            }
            let to = match self.installed(&path) {
                Ok(Stands::Outside(there)) => there,
                _ => self.data.join(&templates).join(&name),
            };
            let holder = self.future.join(&templates);
            match path.parent().map(owner_of) {
                Some(Ok(like)) => self.directory(&holder, like),
                _ => continue,
            }
            self.link(&holder.join(&name), &to);
        }
    }
}

/// Where the lists' data go, or are.
pub(super) fn data_root(
    ask: &Ask,
    from: &Path,
    home: &Path,
    profile: &Profile,
) -> Result<PathBuf, Reasons> {
    let asked = ask.data.as_deref().map(place).transpose()?;
    let names = profile.layout().map_or(&[][..], |layout| &layout.data);
    let outside = match home.starts_with(from) {
        false => Some(home.to_owned()),
        // The first of them that a link leads out of the tree by its own name says where they are.
        true => names.iter().find_map(|name| {
            let there = fs::canonicalize(home.join(name)).ok()?;
            let is_it = !there.starts_with(from) && there.file_name()? == name.as_str();
            is_it.then(|| there.parent().map(Path::to_owned)).flatten()
        }),
    };
    match (asked, outside) {
        (Some(asked), Some(outside)) if asked != outside => Err(Reasons::one(format!(
            "the lists' data are outside already, in {outside:?}: they do not go to {asked:?}"
        ))
        .hint("without --data")),
        (_, Some(outside)) => Ok(outside),
        (Some(asked), None) => Ok(asked),
        (None, None) => Ok(beside(from, "-data")),
    }
}

/// A directory beside another one.
pub(super) fn beside(path: &Path, tail: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}{tail}"))
}

/// Owner, group and permission bits.
pub(super) fn owner_of(path: &Path) -> io::Result<(u32, u32, u32)> {
    let meta = fs::metadata(path)?;
    Ok((meta.uid(), meta.gid(), meta.mode() & PERMISSIONS))
}

/// The file system that a path is on, or the nearest directory above it that is there.
pub(super) fn device(path: &Path) -> Option<u64> {
    let mut at = Some(path);
    while let Some(path) = at {
        if let Ok(meta) = fs::metadata(path) {
            return Some(meta.dev());
        }
        at = path.parent();
    }
    None
}
