//! Which templates are the release's, a list's, or the site's and its hosts'.
//!
//! **Invariants.** A directory that is called like a list and a host at once is the host's only if it
//! has nothing in it but one directory for each language. Nothing is overwritten.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::data::{device, owner_of};
use super::{Draft, Reasons, utf8};
use crate::layout::look::{Installation, Stands, real};
use crate::layout::steps::Step;
use crate::list::ListName;
use crate::profile::Case;

/// The name of the directory of templates, and what in it is not the release's, by name.
type Own = (String, Vec<(String, PathBuf)>);

impl Draft<'_> {
    /// The site's and the hosts' templates go to the data, with a link in the tree; the lists' are
    /// told apart by what is in them.
    pub(super) fn site_templates(&mut self) {
        let (templates, own) = match self.own_templates() {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => return self.reasons.reasons.push(error),
        };
        for (name, path) in own {
            if self.are_a_lists(&name, &path) {
                continue;
            }
            let to = self.data.join(&templates).join(&name);
            match self.installed(&path) {
                Ok(Stands::Inside) => {
                    let holder = self.data.join(&templates);
                    match path.parent().map(owner_of) {
                        Some(Ok(like)) => self.directory(&holder, like),
                        _ => self
                            .reasons
                            .reasons
                            .push(format!("{path:?}: its directory")),
                    }
                    self.exchange(&path, &to);
                }
                Ok(_) => {}
                Err(error) => self.reasons.reasons.push(format!("{path:?}: {error}")),
            }
        }
    }

    /// What in the directory of templates is not the release's.
    pub(super) fn own_templates(&self) -> Result<Option<Own>, String> {
        let Some(layout) = self.profile.layout() else {
            return Ok(None);
        };
        let Some(templates) = &layout.templates else {
            return Ok(None);
        };
        let own = Installation::of(layout, &self.tree).own_templates();
        let own = own.map_err(|error| format!("{:?}: {error}", self.from.join("templates")))?;
        Ok(Some((templates.directory.clone(), own)))
    }

    /// Whether a directory of templates is a list's: it is called like one, and has more in it than
    /// directories, one for each language, as a host's has.
    pub(super) fn are_a_lists(&self, name: &str, path: &Path) -> bool {
        let is_list = self.lists().iter().any(|list| list.as_str() == name);
        let entries = || fs::read_dir(path).into_iter().flatten().flatten();
        let shipped = self
            .profile
            .layout()
            .and_then(|layout| layout.templates.as_ref());
        let is_language = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let name = std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str());
            shipped.is_some_and(|templates| templates.shipped.is_match(name))
        };
        is_list && !(entries().next().is_some() && entries().all(is_language))
    }

    pub(super) fn lists(&self) -> BTreeSet<ListName> {
        self.profile.enumerate(&self.tree).unwrap_or_default()
    }

    /// The lists' own templates of old days go to the lists.
    pub(super) fn list_templates(&mut self) {
        let Ok(Some((_, own))) = self.own_templates() else {
            return;
        };
        for (name, path) in own {
            if !self.are_a_lists(&name, &path) {
                continue;
            }
            let Some(now) = self.template_place(&self.home, &name) else {
                continue;
            };
            let Some(then) = self.template_place(&self.data, &name) else {
                continue;
            };
            let entries = match fs::read_dir(real(&path)) {
                Ok(entries) => entries,
                Err(error) => {
                    self.reasons.reasons.push(format!("{path:?}: {error}"));
                    continue;
                }
            };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            for file in files {
                self.template(&file, &now, &then);
            }
            self.notes.push(format!(
                "the templates of {name} in {path:?} go to the list: a release that reads them there \
                 shows them from now on"
            ));
        }
    }

    pub(super) fn template_place(&self, data: &Path, name: &str) -> Option<PathBuf> {
        let templates = self.profile.layout()?.templates.as_ref()?;
        let list = ListName::parse(name).ok()?;
        let below = self
            .tree
            .expand(&templates.list, Some((&list, Case::Lower)));
        Some(data.join(below))
    }

    /// One file of a list's templates: `now` is the list's directory today, `then` afterwards.
    pub(super) fn template(&mut self, file: &Path, now: &Path, then: &Path) {
        let Some(name) = file.file_name() else { return };
        if let Err(error) = utf8(file) {
            return self.reasons.reasons.push(error);
        }
        if fs::symlink_metadata(now.join(name)).is_ok() {
            let reason = format!(
                "{:?} is there already, and {file:?} would go there: nothing is overwritten",
                now.join(name)
            );
            self.reasons.add(Reasons::one(reason).hint(format!(
                "keep one of the two, and move the other away, such as to {:?}",
                format!("{}.old", file.display())
            )));
            return;
        }
        if device(now) != device(file) {
            let reason = format!("{file:?} is on another file system than {now:?}");
            return self.reasons.reasons.push(reason);
        }
        // Where the list's directory is reached by a link, to where that leads.
        let then = match real(now).strip_prefix(&self.home) {
            Ok(_) => then.to_owned(),
            Err(_) => real(now),
        };
        self.steps.push(Step::Move {
            from: file.to_owned(),
            to: then.join(name),
        });
    }
}
