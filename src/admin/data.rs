//! The lists' data while a step is made: kept before it, or other ones put in their place.
//!
//! | when | a step that keeps | a step that puts back |
//! |---|---|---|
//! | `begin`, doors open | the first round | made ready beside today's |
//! | `copy_again`, doors closed | the second round | |
//! | `change`, doors closed, before the commit point | it gets its name | change places |
//! | `end`, after it | older ones go | today's are set aside |
//! | `undone`, whenever nothing comes of it | removed | changed back |
//!
//! **Invariants.** Nothing here after the commit point refuses anything.

use std::collections::BTreeSet;

use crate::admin::fence;
use crate::admin::interrupts::Interrupts;
use crate::admin::outcome::{AFTER, Refused, typed};
use crate::admin::request::Request;
use crate::admin::step::{After, told_to_end};
use crate::list::ListName;
use crate::parity::Parity;
use crate::profiles::Profile;
use crate::site::Site;
use crate::snapshots::{Restoring, Shot, SnapshotError};
use crate::store::Writer;

/// What a step does with data.
pub(super) struct Data {
    pub(super) fence: Option<Shot>,
    pub(super) restore: Option<Restoring>,
}

impl Data {
    /// What can be done with doors open.
    ///
    /// # Errors
    /// Why it cannot; nothing is left of it.
    pub(super) fn begin(
        &mut self,
        site: &Site,
        request: &Request,
        writer: &mut Writer,
        interrupts: Option<&Interrupts>,
    ) -> Result<(), Refused> {
        let came = || interrupts.and_then(Interrupts::came);
        let is_over = || came().is_some();
        // A fence is taken by what goes ahead; lists that go back go first.
        let gives_way = self.fence.is_some();
        writer.gives_way(gives_way);
        let mut done = match &mut self.fence {
            Some(shot) => shot.first(&is_over),
            None => Ok(()),
        };
        if let Some(restore) = &mut self.restore {
            done = done.and_then(|()| restore.ready(&is_over).map_err(|error| vec![error]));
        }
        writer.gives_way(false);
        let refused = match (came(), done) {
            (Some(came), _) => told_to_end(request, came),
            (None, Ok(())) => return Ok(()),
            (None, Err(errors)) => self.refuse(site, request, &errors),
        };
        Err(self.undone(refused))
    }

    /// The second round of what is kept.
    ///
    /// # Errors
    /// What could not be copied, or somebody goes on changing.
    pub(super) fn copy_again(
        &mut self,
        request: &Request,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), Refused> {
        let Some(shot) = &mut self.fence else {
            return Ok(());
        };
        shot.second(is_over).map_err(|errors| {
            let mut refused = Refused::empty(request.act);
            refused.reasons = errors.iter().map(ToString::to_string).collect();
            refused.hint("no list has moved; --closed 5m would wait longer")
        })
    }

    /// What comes right before the commit point, by which `after` stands.
    ///
    /// # Errors
    /// It could not be done.
    pub(super) fn change(
        &mut self,
        site: &Site,
        request: &Request,
        after: &Parity,
    ) -> Result<(), Refused> {
        if let Some(shot) = &mut self.fence {
            let current = site.config.tree(&after.roles.current);
            let profile = current.and_then(|tree| Some((Profile::of(site, tree).ok()?, tree)));
            let version = |list: &ListName| {
                let (profile, tree) = profile.as_ref()?;
                profile.data_version(tree, list).ok().flatten()
            };
            let kept = shot.keep(after.roles.generation, &version);
            kept.map_err(|error| self.refuse(site, request, &[error]))?;
        }
        if let Some(restore) = &mut self.restore {
            let done = restore.swap();
            done.map_err(|error| self.refuse(site, request, &[error]))?;
        }
        Ok(())
    }

    fn refuse(&self, site: &Site, request: &Request, errors: &[SnapshotError]) -> Refused {
        let mut refused = Refused::empty(request.act);
        refused.reasons = errors.iter().map(ToString::to_string).collect();
        refused.hint(match (&self.restore, request.act) {
            (Some(_), "restore") => "the data are as they were".to_owned(),
            (Some(_), act) => format!(
                "the data are as they were; to leave them so: {}",
                typed(site, &keep_data(act))
            ),
            (None, _) => format!(
                "no list has moved; `keep = 0` in [snapshots] of {:?} keeps no data, and then there \
                 is no way back for them",
                site.path
            ),
        })
    }

    /// The lists whose data are put back.
    pub(super) fn restored(&self) -> BTreeSet<String> {
        let lists = self.restore.iter().flat_map(Restoring::lists);
        lists.map(str::to_owned).collect()
    }

    /// Nothing comes of the step.
    pub(super) fn undone(&mut self, mut refused: Refused) -> Refused {
        self.fence = None;
        if let Some(Err(error)) = self.restore.as_mut().map(Restoring::undo) {
            refused.status = AFTER;
            refused.reasons.push(format!(
                "the data could not be changed back: {error}; the next command tries again"
            ));
        }
        refused
    }

    /// What comes after the commit point, by which `parity` stands.
    pub(super) fn end(self, site: &Site, parity: &Parity, after: &mut After) {
        let mut its = BTreeSet::new();
        if let Some(shot) = &self.fence {
            after.notes.extend(fence::kept(site, shot));
            its.extend(shot.lists().map(str::to_owned));
        }
        if let Some(mut restore) = self.restore {
            let done = restore.set_aside();
            after.notes.append(&mut restore.notes);
            its.extend(restore.lists().map(str::to_owned));
            match done {
                Ok(()) => after.notes.push(format!(
                    "today's data are set aside as {}: {}",
                    restore.generation(),
                    typed(site, "snapshots")
                )),
                Err(error) => {
                    after.failed.push(format!(
                        "today's data are whole, but not set aside yet: {error}; the next command \
                         tries again"
                    ));
                }
            }
        }
        let its = its.iter().map(String::as_str).collect();
        after.notes.extend(fence::prune(site, &its, parity));
    }
}

/// What is typed of an act to leave data as they are.
fn keep_data(act: &str) -> String {
    match act {
        "downgrade" => "downgrade LIST --keep-data".to_owned(),
        act => format!("{act} --keep-data"),
    }
}
