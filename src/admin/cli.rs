//! mm-parity's command line, as clap reads it.
//!
//! **Invariants.** Words only; what they mean is `mod`'s.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::admin::install;
use crate::admin::status::Form;
use crate::finding::Format;
use crate::site::DEFAULT_SITE;
use crate::span::Span;

/// Moves mailing lists, one by one, between two installed releases of their list manager.
#[derive(Debug, Parser)]
#[command(
    name = "mm-parity",
    version,
    disable_help_subcommand = true,
    after_help = "Exit status: 0 done or nothing to do; 1 refused or failed, nothing changed; 2 usage;\n\
                  3 done, but something after it failed (it says what). `check` has its own: 0 OK,\n\
                  1 WARNING, 2 CRITICAL, 3 UNKNOWN."
)]
pub struct Cli {
    /// The site.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_SITE)]
    pub site: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub act: Act,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Act {
    /// What needs a sound site.
    #[command(flatten)]
    OnSite(OnSite),
    /// Look for what makes mail wait, or soon will; silent when all is well.
    Check(Check),
    /// Answer a package's script whether something may be installed in a directory now.
    MayInstall(install::cli::MayInstall),
    /// Play the whole story on a toy site of its own: no root, no MTA.
    Try {
        /// Where to make the site; an earlier one of `try` is replaced.
        #[arg(value_name = "DIR", default_value = "mm-try")]
        dir: PathBuf,
    },
}

/// What to do with a site.
#[derive(Debug, Subcommand)]
pub enum OnSite {
    /// Make parity.toml and the lock file for a site.toml that was written by hand; where only
    /// the lock file is missing, that.
    Init {
        /// The tree that serves all lists today.
        #[arg(long, value_name = "TREE")]
        current: Option<String>,
    },
    /// Show who is on what, what to type next and how to go back.
    Status {
        /// Show these lists: names or globs.
        #[arg(value_name = "LIST")]
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
    /// Move lists to the future tree.
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
    },
    /// Take lists back to the current tree.
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
    },
    /// Show who is inside: the processes that handle something of these lists at this moment.
    Drain {
        /// Names.
        #[arg(value_name = "LIST", required_unless_present = "all")]
        lists: Vec<OsString>,
        /// Show who is inside of any list.
        #[arg(long, conflicts_with = "lists")]
        all: bool,
    },
    /// Make the future tree the current one.
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
    Verify(How),
    /// End the probation of a tree: its programs run without mm-guard.
    Trust {
        /// The tree, as site.toml names it.
        #[arg(value_name = "TREE")]
        tree: String,
        /// Trial and reason.
        #[command(flatten)]
        how: How,
    },
    /// Take the last change back; again: one change further.
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
    },
    /// Defer the mail of lists.
    Pause(Move),
    /// Let the mail of paused lists through.
    Resume(Move),
    /// Make globs and --all of upgrade and downgrade pass over lists.
    Pin(Move),
    /// End that.
    Unpin(Move),
    /// Drop the names of lists that no longer exist.
    Forget(Move),
    /// Show every change: when, who, why.
    History {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = Rows::Text)]
        format: Rows,
    },
}

/// Which lists, and how.
#[derive(Debug, Args)]
pub struct Move {
    /// Names or globs ('*' in quotes).
    #[arg(value_name = "LIST", required_unless_present = "all")]
    pub lists: Vec<OsString>,
    /// All lists.
    #[arg(long, conflicts_with = "lists")]
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
