//! A command that changes something: the look at what stands, its steps, and what is said in the
//! end.
//!
//! **Invariants.** A trial (`--dry-run`) takes no lock and writes no byte.

use std::collections::BTreeSet;
use std::path::Path;

use crate::admin::aliases::{self, AddressError, Known, Plan};
use crate::admin::fence;
use crate::admin::hooks::{self, Hooks};
use crate::admin::outcome::{Done, Refused, UNCHANGED, names, typed_aliases};
use crate::admin::probation;
use crate::admin::request::{Mode, Request};
use crate::admin::step::{After, Step, make, no_state};
use crate::parity::Parity;
use crate::site::Site;
use crate::store::{self, Entry, StoreError, Writer};
use crate::tree::Tree;

/// What the history calls an edit by hand.
const BY_HAND: &str = "by hand";

/// A change under way.
#[derive(Debug)]
pub struct Change<'a> {
    /// The site.
    pub site: &'a Site,
    /// What was asked.
    pub request: &'a Request,
    hold: Hold,
    done: Done,
}

#[derive(Debug)]
enum Hold {
    Trial(Parity),
    Real(Box<Writer>),
}

impl<'a> Change<'a> {
    /// Takes the writer's lock, or for a trial only looks.
    ///
    /// # Errors
    /// Somebody else holds the lock, or the state cannot be read.
    pub fn begin(site: &'a Site, request: &'a Request) -> Result<Change<'a>, Refused> {
        let refused = |error: StoreError| no_state(request.act, site, &error);
        let mut done = Done::default();
        let hold = match request.mode {
            Mode::Trial => {
                let loaded = store::load(site).map_err(refused)?;
                if loaded.by_hand {
                    done.text +=
                        "note: parity.toml was edited by hand; the next change records that\n";
                }
                Hold::Trial(loaded.parity)
            }
            Mode::Real => {
                let writer = match request.goes_first {
                    true => Writer::take_first(site, &request.line),
                    false => Writer::take(site, &request.line),
                };
                let writer = writer.map_err(refused)?;
                for note in writer.notes() {
                    done.text += &format!("note: {note}\n");
                }
                for note in fence::mend(site, request.mode, writer.parity().roles.generation) {
                    done.text += &format!("note: {note}\n");
                }
                done.text += &edited(site, writer.parity());
                if let Some(note) = hooks::note(site) {
                    done.text += &format!("note: {note}\n");
                }
                Hold::Real(Box::new(writer))
            }
        };
        Ok(Change {
            site,
            request,
            hold,
            done,
        })
    }

    /// What stands, or in a trial what would stand by now.
    pub fn parity(&self) -> &Parity {
        match &self.hold {
            Hold::Trial(parity) => parity,
            Hold::Real(writer) => writer.parity(),
        }
    }

    /// Every change so far, oldest first, with those for which the history has no room.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn history(&self) -> Result<Vec<Entry>, Refused> {
        let mut entries = store::history(self.site)
            .map_err(|error| no_state(self.request.act, self.site, &error))?;
        if let Hold::Real(writer) = &self.hold {
            entries.extend(writer.waiting().iter().cloned());
        }
        Ok(entries)
    }

    /// A refusal of this change.
    pub fn refuse(&self, reason: impl ToString) -> Refused {
        Refused::new(self.request.act, reason)
    }

    /// All known lists.
    ///
    /// # Errors
    /// The alias files or a profile cannot be read.
    pub fn known(&self) -> Result<Known, Refused> {
        aliases::known(self.site, self.parity()).map_err(|error| self.refuse_aliases(&error))
    }

    /// A refusal of this change because of the aliases.
    pub fn refuse_aliases(&self, error: &AddressError) -> Refused {
        aliases::refusal(self.request.act, error)
    }

    /// The current tree and the other one.
    ///
    /// # Errors
    /// site.toml has one tree.
    pub fn trees(&self) -> Result<(&'a Tree, &'a Tree), Refused> {
        let current = &self.parity().roles.current;
        match (
            self.site.config.tree(current),
            self.site.config.other_tree(current),
        ) {
            (Some(current), Some(other)) => Ok((current, other)),
            _ => Err(self.refuse(format!(
                "{:?} names one tree only: there is no future tree",
                self.site.path
            ))),
        }
    }

    /// Adds to what is said at the end.
    pub fn say(&mut self, line: impl AsRef<str>) {
        self.done.text += line.as_ref();
        self.done.text.push('\n');
    }

    /// Notes that the rest of a command of several changes failed.
    pub fn fail(&mut self, refused: Refused) {
        self.done.failed.extend(refused.reasons);
        self.done.hints.extend(refused.hints);
    }

    /// Carries one step out, and says afterwards what `told` has to say.
    ///
    /// # Errors
    /// Nothing changed: the aliases are as they were, or it says why not.
    pub fn carry_out(&mut self, step: Step<'_>, told: &[String]) -> Result<(), Refused> {
        let mut hooks = Hooks::of_step(self.site, self.request, self.parity(), &step)?;
        let plans = || [&step.first, &step.last].into_iter().flatten();
        match &mut self.hold {
            Hold::Trial(parity) => {
                let shown: String = plans().map(aliases::shown).collect();
                *parity = step.after;
                self.say_all(told);
                self.say_all(&hooks.shown());
                if let Some(shot) = &step.fence {
                    self.say(fence::would_keep(shot));
                }
                self.done.text += &shown;
            }
            Hold::Real(writer) => {
                hooks.prepare(writer)?;
                // The logs first: the next delivery may be a guarded one.
                let notes = probation::prepare(self.site, &step.after);
                let after = make(self.site, self.request, writer, step)?;
                let by_hooks = hooks.after(writer);
                self.say_all(told);
                self.after(after);
                self.after(by_hooks);
                let notes = notes.iter().map(|note| format!("note: {note}"));
                self.say_all(&notes.collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    /// Replaces a file of the state beside parity.toml, readable by all; in a trial, nothing.
    ///
    /// # Errors
    /// It stands as it was.
    pub fn keep_beside(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        match &self.hold {
            Hold::Trial(_) => Ok(()),
            Hold::Real(writer) => writer.replace_beside(path, bytes, 0o644),
        }
    }

    /// Removes such a file again.
    pub fn forget_beside(&self, path: &Path) {
        if let Hold::Real(writer) = &self.hold {
            writer.remove_beside(path);
        }
    }

    /// Notes something that failed after the change was made, and what helps.
    pub fn fail_with(&mut self, what: String, hint: Option<String>) {
        self.done.failed.push(what);
        self.done.hints.extend(hint);
    }

    /// Makes alias entries follow what stands already.
    pub fn tidy(&mut self, plan: Plan<'_>) {
        let (lines, shown) = (aliases::lines(&plan), aliases::shown(&plan));
        match &self.hold {
            Hold::Trial(_) => self.done.text += &shown,
            Hold::Real(writer) => match plan.apply(writer) {
                Ok(applied) => {
                    self.say_all(&lines);
                    self.say_all(&aliases::notes(&applied));
                }
                Err(error) => {
                    let mut after = After::default();
                    after.failed(self.site, &error);
                    self.after(after);
                }
            },
        }
    }

    fn after(&mut self, after: After) {
        self.say_all(&after.notes);
        self.done.failed.extend(after.failed);
        self.done.hints.extend(after.hints);
    }

    fn say_all(&mut self, lines: &[String]) {
        for line in lines {
            self.say(line);
        }
    }

    /// The end: what was said, and in a trial that nothing happened.
    pub fn end(mut self) -> Done {
        if self.request.mode == Mode::Trial {
            self.done.text += UNCHANGED;
        }
        self.done
    }

    /// The words for a thing that is or would be done.
    pub fn verb(&self, done: &'static str, would: &'static str) -> &'static str {
        match self.request.mode {
            Mode::Real => done,
            Mode::Trial => would,
        }
    }
}

/// Which aliases to look after, if the last change was an edit by hand.
fn edited(site: &Site, parity: &Parity) -> String {
    let entries = store::history(site).unwrap_or_default();
    let Some(entry) = entries
        .last()
        .filter(|entry| entry.command == BY_HAND && entry.generation == parity.roles.generation)
    else {
        return String::new();
    };
    let lists: BTreeSet<&String> = entry
        .before
        .on_future
        .union(&entry.after.on_future)
        .collect();
    if lists.is_empty() {
        return String::new();
    }
    format!(
        "note: by that {} changed trees; to bring their aliases in line: {} and {}\n",
        names(lists),
        typed_aliases(site, "adopt"),
        typed_aliases(site, "sync")
    )
}
