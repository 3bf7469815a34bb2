//! The commands of this room, as clap reads them.
//!
//! **Invariants.** Words only.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::admin::cli::{Draining, Hooking, How};
use crate::completion;
use crate::span::Span;

/// `install`.
#[derive(Debug, Args)]
#[command(
    after_help = "COMMAND runs on this terminal, with MM_TREE=<the tree's root> in its environment, and sees the\n\
                  lists' data, the current tree, the state, site.toml and the alias files read-only: what would\n\
                  convert lists fails with \"Read-only file system\". That takes root. Without root, or where\n\
                  COMMAND must run elsewhere: install --begin, then whatever installs, then install --end;\n\
                  nothing is read-only then.\n\
                  COMMAND must not start daemons: they would see the data read-only for ever (status 3).\n\
                  pause and undo work meanwhile. A tree that fails its tests is `broken`: it takes no lists.\n\
                  [[hooks]] on = \"install\" of site.toml: `prepare` before the tree is marked, `after` once it is\n\
                  ready, `undo` where it becomes broken, or is taken back before its end.\n\n    \
                  mm-parity install make -C /usr/src/mailman-2.1.40 install\n    \
                  mm-parity install --begin\n    \
                  mm-parity install --end"
)]
pub struct Install {
    /// What installs the next release in the future tree: make -C SOURCE install.
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        required_unless_present_any = ["begin", "end"]
    )]
    pub command: Vec<OsString>,
    /// Mark the future tree, and end there: the release is installed by something else.
    #[arg(long, conflicts_with_all = ["end", "command"])]
    pub begin: bool,
    /// Look at what was installed since, test it, and record what came of it.
    #[arg(long, conflicts_with = "command")]
    pub end: bool,
    /// Trial and reason.
    #[command(flatten)]
    pub how: How,
    /// The hooks of an install.
    #[command(flatten)]
    pub hooking: Hooking,
}

/// `patch`.
#[derive(Debug, Args)]
#[command(
    after_help = "For a fix within one line of releases, in a tree that is in use. The tree is guarded before\n\
                  COMMAND begins, and its deliveries in flight are waited for: a program that is replaced while\n\
                  mail comes in may fail, and mail waits then instead of bouncing. It stays guarded until\n\
                  mm-parity trust TREE. COMMAND sees the lists' data, the other tree and the state read-only; that\n\
                  takes root. COMMAND must not start daemons: they would see the data read-only for ever (status 3).\n\
                  To record files that were changed by hand, let COMMAND be: true\n\n    \
                  mm-parity patch a --reason 'CVE-2026-1234' make -C /usr/src/mailman install\n    \
                  mm-parity patch a --reason 'a text of listinfo' true"
)]
pub struct Patch {
    /// The tree, as site.toml names it.
    #[arg(value_name = "TREE", add = completion::trees())]
    pub tree: String,
    /// What changes its files.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true)]
    pub command: Vec<OsString>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Those that are inside when the tree is guarded.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// What becomes of deliveries in flight before a command changes the tree that they run in.
#[derive(Debug, Args)]
pub struct Waiting {
    /// How long deliveries in flight, which began before the tree was guarded, are waited for; then
    /// COMMAND begins all the same, and they are named.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub drain: Span,
    /// Do not wait for them.
    #[arg(long, conflicts_with = "drain")]
    pub now: bool,
    /// End those that run under mm-guard then; their messages come again, to the same tree.
    #[arg(long)]
    pub kill: bool,
}

impl Waiting {
    /// The same for what lists meet that go back.
    pub fn draining(&self) -> Draining {
        let Waiting { drain, now, kill } = *self;
        Draining { drain, now, kill }
    }
}

/// `may-install`.
#[derive(Debug, Args)]
#[command(
    after_help = "For a package's preinst: status 0 if something may be installed in ROOT now, else 1, with one\n\
                  line on standard error that says why not. 0 as well where there is no site.toml: nothing is\n\
                  served by mm-deliver then. A site that cannot be read is 1.\n\n    \
                  mm-parity may-install /usr/lib/mailman"
)]
pub struct MayInstall {
    /// The directory that something is to be installed in.
    #[arg(value_name = "ROOT")]
    pub root: PathBuf,
}
