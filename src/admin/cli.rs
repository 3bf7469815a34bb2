//! mm-parity's command line, as clap reads it.
//!
//! **Invariants.** Words only; what they mean is `mod`'s.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::admin::status::Form;
use crate::admin::{examples, install};
use crate::completion;
use crate::finding::Format;
use crate::site::DEFAULT_SITE;
use crate::span::Span;

/// Moves mailing lists, one by one, between two installed releases of their list manager.
#[derive(Debug, Parser)]
#[command(
    name = "mm-parity",
    version,
    after_help = "Exit status: 0 done or nothing to do; 1 refused or failed, nothing changed; 2 usage;\n\
                  3 done, but something after it failed (it says what). `check` has its own: 0 OK,\n\
                  1 WARNING, 2 CRITICAL, 3 UNKNOWN."
)]
pub struct Cli {
    /// The site.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_SITE, global = true)]
    pub site: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub act: Act,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Act {
    /// Show who is on what, what to type next and how to go back.
    #[command(after_help = examples::STATUS)]
    Status {
        /// Show these lists: names or globs.
        #[arg(value_name = "LIST", add = completion::lists())]
        lists: Vec<OsString>,
        /// Show all lists.
        #[arg(long, conflicts_with = "lists")]
        all: bool,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Form::Text)]
        format: Form,
        /// Into a file, of which no reader sees half.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// What needs a sound site.
    #[command(flatten)]
    OnSite(OnSite),
    /// Begin: take a single installation to two trees (--from), or make parity.toml and the lock
    /// file for a site.toml that was written by hand; where only the lock file is missing, that.
    #[command(after_help = examples::INIT)]
    Init(Box<Init>),
    /// Look for what makes mail wait, or soon will; silent when all is well.
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Answer a package's script whether something may be installed in a directory now.
    MayInstall(install::cli::MayInstall),
    /// Answer a package's script whether mm-deliver may be removed now: not while aliases lead to it.
    #[command(after_help = examples::MAY_REMOVE)]
    MayRemove,
    /// Play the whole story on a toy site of its own: no root, no MTA.
    #[command(after_help = examples::TRY)]
    Try {
        /// Where to make the site; an earlier one of `try` is replaced.
        #[arg(value_name = "DIR", default_value = "mm-try")]
        dir: PathBuf,
    },
}

/// What to do with a site.
#[derive(Debug, Subcommand)]
pub enum OnSite {
    /// Move lists to the future tree.
    #[command(after_help = examples::UPGRADE)]
    Upgrade {
        /// Which, and how.
        #[command(flatten)]
        r#move: Move,
        /// How long nobody new comes in.
        #[command(flatten)]
        closing: Closing,
        /// What goes with it.
        #[command(flatten)]
        hooking: Hooking,
        /// Rehearse first: the lists move only if their own mail comes out of the future release as
        /// [rehearse] in site.toml accepts it.
        #[arg(long)]
        rehearse: bool,
        /// With the last N messages of each list.
        #[arg(long, value_name = "N", requires = "rehearse")]
        last: Option<usize>,
    },
    /// Play lists' own mail through the current and the future release in a closed copy of the site,
    /// and show what would differ. Nothing is sent, and nothing of the site is changed.
    #[command(after_help = examples::REHEARSE)]
    #[command(group = ArgGroup::new("played").args(["lists", "all"]).required(true))]
    Rehearse {
        /// Names or globs.
        #[arg(value_name = "LIST", add = completion::lists())]
        lists: Vec<OsString>,
        /// All lists.
        #[arg(long)]
        all: bool,
        /// Play this mail, not what the list manager keeps of the list: a mailbox, a Maildir, or a
        /// directory of messages; may be given again.
        #[arg(long, value_name = "PATH")]
        mail: Vec<PathBuf>,
        /// Only the last N messages; without it as many as [rehearse] in site.toml says.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// Only messages of this day and later: 2026-11-22.
        #[arg(long, value_name = "DATE")]
        since: Option<String>,
        /// Only messages for this verb: post, owner, subscribe …
        #[arg(long, value_name = "VERB")]
        only: Option<String>,
        /// Write the whole report to this file, as a page for browsers.
        #[arg(long, value_name = "FILE.html")]
        report: Option<PathBuf>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Rows::Text)]
        format: Rows,
    },
    /// Take lists back to the current tree.
    #[command(after_help = examples::DOWNGRADE)]
    Downgrade {
        /// Which, and how.
        #[command(flatten)]
        r#move: Move,
        /// What becomes of those inside.
        #[command(flatten)]
        draining: Draining,
        /// What goes with it.
        #[command(flatten)]
        hooking: Hooking,
        /// What becomes of their data.
        #[command(flatten)]
        data: Data,
    },
    /// Show who is inside: the processes that handle something of these lists at this moment.
    #[command(after_help = examples::DRAIN)]
    #[command(group = ArgGroup::new("whose").args(["lists", "all"]).required(true))]
    Drain {
        /// Names.
        #[arg(value_name = "LIST", add = completion::lists())]
        lists: Vec<OsString>,
        /// Show who is inside of any list.
        #[arg(long)]
        all: bool,
    },
    /// Make the future tree the current one.
    #[command(after_help = examples::COMMIT)]
    Commit {
        /// Move all lists first.
        #[arg(long, conflicts_with = "revert")]
        all: bool,
        /// Take the last commit back, until something is installed.
        #[arg(long)]
        revert: bool,
        /// Even where the last delivery to a list was deferred.
        #[arg(long, conflicts_with = "revert")]
        force: bool,
        /// Trial and reason.
        #[command(flatten)]
        how: How,
        /// With --all.
        #[command(flatten)]
        closing: Closing,
        /// What goes with it.
        #[command(flatten)]
        hooking: Hooking,
    },
    /// Install the next release in the future tree, and test it there.
    Install(install::cli::Install),
    /// Put a fix into a tree that is in use, within its line of releases.
    Patch(install::cli::Patch),
    /// Look at the release that was installed in the future tree; lists may then move there.
    #[command(after_help = examples::VERIFY)]
    Verify(How),
    /// End the probation of a tree: its programs run without mm-guard.
    #[command(after_help = examples::TRUST)]
    Trust {
        /// The tree, as site.toml names it.
        #[arg(value_name = "TREE", add = completion::trees())]
        tree: String,
        /// Even where what was done to its files last did not end well.
        #[arg(long)]
        force: bool,
        /// Trial and reason.
        #[command(flatten)]
        how: How,
    },
    /// Take the last change back; again: one change further.
    #[command(after_help = examples::UNDO)]
    Undo {
        /// Take back what the hooks of a move had prepared that was killed: run their undo hooks.
        #[arg(long)]
        prepared: bool,
        /// Trial and reason.
        #[command(flatten)]
        how: How,
        /// Where lists go ahead again.
        #[command(flatten)]
        closing: Closing,
        /// Where lists go back.
        #[command(flatten)]
        draining: Draining,
        /// What goes with it.
        #[command(flatten)]
        hooking: Hooking,
        /// Where lists go back.
        #[command(flatten)]
        data: Data,
    },
    /// Defer the mail of lists.
    #[command(after_help = examples::PAUSE)]
    Pause(Move),
    /// Let the mail of paused lists through.
    #[command(after_help = examples::RESUME)]
    Resume(Move),
    /// Make globs and --all of upgrade and downgrade pass over lists.
    #[command(after_help = examples::PIN)]
    Pin(Move),
    /// End that.
    #[command(after_help = examples::UNPIN)]
    Unpin(Move),
    /// Drop the names of lists that no longer exist.
    #[command(after_help = examples::FORGET)]
    Forget(Move),
    /// Show what is kept of lists' data: what an upgrade copied, and what was set aside.
    #[command(after_help = examples::SNAPSHOTS)]
    Snapshots(Snapshots),
    /// Run a program of a list's tree for that list: as who owns its data, never as root.
    #[command(after_help = examples::RUN)]
    Run {
        /// Say what would be run, where and as whom, and run nothing.
        #[arg(long)]
        dry_run: bool,
        /// The list.
        #[arg(value_name = "LIST", add = completion::lists())]
        list: OsString,
        /// A program of the list's tree, and what is passed on to it.
        #[arg(
            value_names = ["PROGRAM", "ARGS"],
            num_args = 1..,
            required = true,
            trailing_var_arg = true
        )]
        program: Vec<OsString>,
    },
    /// Run a job of the list manager's for each list, in the list's own tree.
    #[command(after_help = examples::CRON)]
    Cron {
        /// Say what would be run, where and as whom, and run nothing.
        #[arg(long)]
        dry_run: bool,
        /// The job.
        #[arg(value_name = "JOB")]
        job: OsString,
        /// Names or globs; without them, all lists.
        #[arg(value_name = "LIST", add = completion::lists())]
        lists: Vec<OsString>,
    },
    /// Say why a list is where it is: which tree, since when, by whom, by which rule, and what its
    /// mail meets there.
    #[command(after_help = examples::WHY)]
    Why {
        /// The list.
        #[arg(value_name = "LIST", add = completion::lists())]
        list: OsString,
        /// Tell of this verb alone.
        #[arg(long, value_name = "VERB")]
        verb: Option<OsString>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Rows::Text)]
        format: Rows,
    },
    /// Show every change: when, who, why.
    #[command(after_help = examples::HISTORY)]
    History {
        /// Show what concerns these lists: names or globs.
        #[arg(value_name = "LIST", add = completion::lists())]
        lists: Vec<OsString>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Rows::Text)]
        format: Rows,
    },
}

/// How a site begins.
#[derive(Debug, Args)]
pub struct Init {
    /// The tree that serves all lists today.
    #[arg(long, value_name = "TREE", conflicts_with_all = ["from", "undo"])]
    pub current: Option<String>,
    /// The list manager's directory: it stays, as tree a; the lists' data go outside, with links in
    /// their place; site.toml is written.
    #[arg(long, value_name = "PREFIX", group = "layout")]
    pub from: Option<PathBuf>,
    /// Take an init --from back: the installation is what it was, byte for byte.
    #[arg(long, conflicts_with = "from", group = "layout")]
    pub undo: bool,
    /// Say what would be done, step by step, each with its way back, and do nothing.
    #[arg(long, requires = "layout")]
    pub dry_run: bool,
    /// What is known of the host.
    #[command(flatten)]
    pub host: Host,
}

/// What init --from finds out, where it is not said.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --from; found out without")]
pub struct Host {
    /// The list manager's profile.
    #[arg(long, value_name = "NAME", requires = "from", add = completion::profiles())]
    pub profile: Option<String>,
    /// Where the lists' data go, on the same file system; else PREFIX-data, or where they are.
    #[arg(long, value_name = "DIR", requires = "from")]
    pub data: Option<PathBuf>,
    /// Where the next release goes; else PREFIX-b.
    #[arg(long, value_name = "DIR", requires = "from")]
    pub future: Option<PathBuf>,
    /// Where parity.toml and its history go; else /var/lib/mm-deliver.
    #[arg(long, value_name = "DIR", requires = "from")]
    pub state: Option<PathBuf>,
    /// Which MTA reads the aliases.
    #[arg(long, value_name = "MTA", requires = "from")]
    pub mta: Option<Mta>,
    /// The alias files that it reads; as often as needed.
    #[arg(long = "aliases", value_name = "FILE", requires = "from")]
    pub aliases: Vec<PathBuf>,
    /// Whom it runs programs as; as often as needed.
    #[arg(long = "user", value_name = "USER", requires = "from")]
    pub users: Vec<String>,
    /// mm-deliver as aliases are to have it.
    #[arg(long, value_name = "FILE", requires = "from")]
    pub program: Option<PathBuf>,
}

/// The MTAs, by the words of site.toml.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Mta {
    /// Postfix.
    Postfix,
    /// Sendmail.
    Sendmail,
    /// Exim.
    Exim,
    /// OpenSMTPD.
    Opensmtpd,
    /// Nothing but mm-aliases reads them.
    None,
}

/// Which lists, and how.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, args = ["lists", "all"])]
pub struct Move {
    /// Names or globs ('*' in quotes).
    #[arg(value_name = "LIST", add = completion::lists())]
    pub lists: Vec<OsString>,
    /// All lists.
    #[arg(long)]
    pub all: bool,
    /// Trial and reason.
    #[command(flatten)]
    pub how: How,
}

/// How a change is made.
#[derive(Debug, Args)]
pub struct How {
    /// Say what would change, aliases too, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// How long lists that go ahead are waited for.
#[derive(Debug, Args)]
pub struct Closing {
    /// How long deliveries in flight are waited for; if one is still there, nothing moves.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub closed: Span,
}

/// What becomes of those inside when lists go back.
#[derive(Debug, Args)]
pub struct Draining {
    /// How long deliveries in flight are waited for; then the lists move all the same.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub drain: Span,
    /// Do not wait for them.
    #[arg(long, conflicts_with = "drain")]
    pub now: bool,
    /// End those that run under mm-guard then; their messages come again, to the other tree.
    #[arg(long)]
    pub kill: bool,
}

/// What of the site's own goes with a change.
#[derive(Debug, Clone, Copy, Args)]
pub struct Hooking {
    /// Run none of the hooks that site.toml names.
    #[arg(long)]
    pub no_hooks: bool,
}

/// What becomes of the data of lists that go back.
#[derive(Debug, Args)]
pub struct Data {
    /// Put the data back as they were before the move; today's are set aside. With --dry-run: say
    /// what would be lost.
    #[arg(long)]
    pub restore: bool,
    /// Leave the data as they are, whatever version they have.
    #[arg(long, conflicts_with = "restore")]
    pub keep_data: bool,
}

/// Which snapshots, and what is done with them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Snapshots {
    /// What to do, if not to show them.
    #[command(subcommand)]
    pub act: Option<SnapshotsAct>,
    /// Show those of these lists: names or globs.
    #[arg(value_name = "LIST", add = completion::lists())]
    pub lists: Vec<OsString>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Rows::Text)]
    pub format: Rows,
}

/// What is done with snapshots.
#[derive(Debug, Subcommand)]
pub enum SnapshotsAct {
    /// Remove old ones: of each list the newest stay (`keep` in [snapshots] of site.toml), and
    /// never the only copy of anything goes.
    #[command(after_help = examples::PRUNE)]
    Prune {
        /// Keep so many of each list.
        #[arg(long, value_name = "N")]
        keep: Option<usize>,
        /// Trial and reason.
        #[command(flatten)]
        how: How,
    },
    /// Put the data of a list back, and set today's aside; the list stays on its tree.
    #[command(after_help = examples::RESTORE)]
    Restore {
        /// The list.
        #[arg(value_name = "LIST", add = completion::lists())]
        list: OsString,
        /// Which: as `snapshots` names it; without this, the newest of the tree that the list is on.
        #[arg(long, value_name = "ID")]
        at: Option<String>,
        /// Even data that the release of that tree is not known to read.
        #[arg(long)]
        force: bool,
        /// Trial and reason.
        #[command(flatten)]
        how: How,
        /// How long those inside are waited for.
        #[command(flatten)]
        closing: Closing,
    },
}

/// The forms of rows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Rows {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What is looked at, and how it is told.
#[derive(Debug, Args)]
pub struct Check {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Look at the text of the alias files alone, not at the MTA's database.
    #[arg(long)]
    pub no_database: bool,
    /// Into a file, of which no reader sees half.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
