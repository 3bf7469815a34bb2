//! One change of parity, from the look at what stands to the commit point, with the alias
//! entries before or after it.
//!
//! Order: aliases that the change needs, commit point, aliases that it makes superfluous.
//! If the commit point fails, the first go back; if the last fail, the change stands and
//! the status is 3.
//!
//! **Invariants.** A trial (`--dry-run`) takes no lock and writes no byte.

use crate::admin::aliases::{Known, Plan, known};
use crate::admin::outcome::{Done, Refused, typed, typed_aliases};
use crate::parity::Parity;
use crate::site::Site;
use crate::store::{self, StoreError, Writer};
use crate::tree::Tree;

/// Whether to make a change or to say what it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Make it.
    Real,
    /// `--dry-run`.
    Trial,
}

/// A command that changes something, as it was typed.
#[derive(Debug, Clone)]
pub struct Request {
    /// What a refusal says we cannot do: `upgrade`.
    pub act: &'static str,
    /// The line for the history: `upgrade toylist`.
    pub line: String,
    /// Make it, or say what it would be.
    pub mode: Mode,
    /// `--reason`.
    pub reason: Option<String>,
}

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

/// One commit point with what goes before and after it.
#[derive(Debug)]
pub struct Step {
    /// What is to stand.
    pub after: Parity,
    /// Aliases that must be there first.
    pub first: Plan,
    /// Aliases that may go then.
    pub last: Plan,
    /// The generation that is taken back, for undo.
    pub undoes: Option<u64>,
}

impl Step {
    /// A step that needs no aliases.
    pub fn to(after: Parity) -> Step {
        Step {
            after,
            first: Plan::default(),
            last: Plan::default(),
            undoes: None,
        }
    }
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
                let writer = Writer::take(site, &request.line).map_err(refused)?;
                for note in writer.notes() {
                    done.text += &format!("note: {note}\n");
                }
                if !writer.notes().is_empty() {
                    done.text += &format!(
                        "note: see whether aliases lack something: {}\n",
                        typed_aliases(site, "diff")
                    );
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

    /// A refusal of this change.
    pub fn refuse(&self, reason: impl ToString) -> Refused {
        Refused::new(self.request.act, reason)
    }

    /// All known lists.
    ///
    /// # Errors
    /// The alias files or a profile cannot be read.
    pub fn known(&self) -> Result<Known, Refused> {
        known(self.site, self.parity()).map_err(|error| self.refuse(error))
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
    pub fn carry_out(&mut self, step: Step, told: &[String]) -> Result<(), Refused> {
        let lines: Vec<String> = step
            .first
            .lines()
            .into_iter()
            .chain(step.last.lines())
            .collect();
        match &mut self.hold {
            Hold::Trial(parity) => {
                let diffs = [step.first.diff(), step.last.diff()].concat();
                *parity = step.after;
                self.say_all(told, &lines);
                self.done.text += &diffs;
            }
            Hold::Real(writer) => {
                let failed = make(self.site, self.request, writer, step)?;
                self.say_all(told, &lines);
                if !failed.is_empty() {
                    self.done.failed.extend(failed);
                    self.done
                        .hints
                        .push(typed_aliases(self.site, "sync --remove"));
                }
            }
        }
        Ok(())
    }

    /// Makes alias entries follow what stands already.
    pub fn tidy(&mut self, plan: Plan) {
        let lines = plan.lines();
        match &self.hold {
            _ if plan.is_empty() => {}
            Hold::Trial(_) => {
                let diff = plan.diff();
                self.say_all(&[], &lines);
                self.done.text += &diff;
            }
            Hold::Real(writer) => match plan.apply(writer, writer.parity().roles.generation) {
                Ok(_) => self.say_all(&[], &lines),
                Err(error) => self.done.failed.push(error.to_string()),
            },
        }
    }

    fn say_all(&mut self, told: &[String], aliases: &[String]) {
        for line in told {
            self.say(line);
        }
        for line in aliases {
            self.say(format!("aliases: {line}"));
        }
    }

    /// The end: what was said, and in a trial that nothing happened.
    pub fn end(mut self) -> Done {
        if self.request.mode == Mode::Trial {
            self.say("nothing was changed (--dry-run)");
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

/// Returns what failed after the commit point.
fn make(
    site: &Site,
    request: &Request,
    writer: &mut Writer,
    step: Step,
) -> Result<Vec<String>, Refused> {
    let generation = step.after.roles.generation;
    let mut failed = Vec::new();
    let applied = match step.first.is_empty() {
        true => None,
        false => Some(
            step.first
                .apply(writer, generation)
                .map_err(|error| Refused::new(request.act, error))?,
        ),
    };
    match writer.commit(step.after, request.reason.as_deref(), step.undoes) {
        Ok(()) => {}
        // THE CHANGE STANDS: every delivery sees it; only its line in the history waits.
        Err(error @ StoreError::Unrecorded(..)) => failed.push(format!("history: {error}")),
        Err(error) => {
            let mut refused = no_state(request.act, site, &error);
            match applied.map(|applied| applied.take_back()) {
                None => {}
                Some(Ok(())) => refused
                    .reasons
                    .push("the aliases are as they were".to_owned()),
                Some(Err(error)) => {
                    refused
                        .reasons
                        .push(format!("the aliases could not be put back: {error}"));
                    refused.hints.push(typed_aliases(site, "sync"));
                }
            }
            return Err(refused);
        }
    }
    if !step.last.is_empty()
        && let Err(error) = step.last.apply(writer, generation)
    {
        failed.push(error.to_string());
    }
    Ok(failed)
}

/// A refusal because the state cannot be read or written, with what helps.
pub fn no_state(act: &'static str, site: &Site, error: &StoreError) -> Refused {
    let refused = Refused::new(act, error);
    match error {
        StoreError::Site(crate::site::SiteError::Read(path, cause))
            if *path == site.config.parity_file()
                && cause.kind() == std::io::ErrorKind::NotFound =>
        {
            refused.hint(typed(site, "init"))
        }
        StoreError::Busy(..) => {
            refused.hint("wait until it is done; the lock goes with its process")
        }
        StoreError::Elsewhere(_) => refused.hint(typed(site, "history")),
        _ => refused,
    }
}
