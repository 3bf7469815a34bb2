//! The command line of mm-aliases, as typed.
//!
//! **Invariants.** Words only: nothing is opened and nothing is decided here.

use std::ffi::OsString;
use std::path::PathBuf;

use aliases::Dialect;
use clap::{Args, Parser, Subcommand};

use crate::finding;
use crate::site::DEFAULT_SITE;

/// Keeps the alias files of the MTA in line with the lists.
///
/// Every pipe of a list leads to mm-deliver, which picks the list's tree; this program
/// writes those entries, and nothing else in the files.
#[derive(Debug, Parser)]
#[command(name = "mm-aliases", version, after_help = STATUSES)]
pub(super) struct Cli {
    /// The site
    #[arg(long, value_name = "FILE", default_value = DEFAULT_SITE, global = true)]
    pub(super) site: PathBuf,
    #[command(subcommand)]
    pub(super) act: Act,
}

const STATUSES: &str = "\
Exit status: 0 done, or nothing to do; 1 refused or failed, nothing changed; 2 usage;
3 done, but something after it failed. `diff`, `lint`: 0 same, 1 differs, 2 failed.
`check`: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. `deliver`: 0 delivered, 75 kept and
tried again, 67 unknown address, else bounced.";

/// What `--help` of each command ends with; every line is accepted as it stands.
mod examples {
    pub(super) const ADOPT: &str = "Deliveries go on meanwhile, to the tree that they went to:\n\n    \
        mm-aliases adopt --dry-run --diff\n    \
        mm-aliases adopt toylist\n    \
        mm-aliases adopt";
    pub(super) const UNADOPT: &str = "Before mm-deliver is removed; mail goes straight to the trees then:\n\n    \
        mm-aliases unadopt --dry-run --diff\n    \
        mm-aliases unadopt";
    pub(super) const SYNC: &str = "By cron, or after a list was made or removed:\n\n    \
        mm-aliases sync --dry-run --diff\n    \
        mm-aliases sync --remove --quiet";
    pub(super) const DIFF: &str = "    mm-aliases diff";
    pub(super) const VIRTUAL: &str = "By cron, after sync:\n\n    \
        mm-aliases virtual\n    \
        mm-aliases virtual --output /etc/postfix/virtual-lists";
    pub(super) const CHECK: &str = "For cron, or a monitor that knows the statuses of Nagios:\n\n    \
        mm-aliases check\n    \
        mm-aliases check --no-database --format json";
    pub(super) const TRACE: &str = "    mm-aliases trace toylist-request";
    pub(super) const SHOW: &str = "    mm-aliases show /etc/aliases --dialect exim";
    pub(super) const LINT: &str = "Before the MTA is changed for another:\n\n    \
        mm-aliases lint /etc/aliases\n    \
        mm-aliases lint";
    pub(super) const DELIVER: &str = "It is delivered for real:\n\n    \
        mm-aliases deliver toylist --as nobody";
}

#[derive(Debug, Subcommand)]
pub(super) enum Act {
    /// Turn entries that pipe straight into a tree to mm-deliver
    ///
    /// Only the destination is replaced, in place; what stood there is recorded, and
    /// `unadopt` puts it back. An entry that cannot be turned is left and named.
    #[command(after_help = examples::ADOPT)]
    Adopt(Adopt),
    /// Put back what adopt replaced
    ///
    /// The recorded bytes where ours are unchanged and lead to the list's tree; else that
    /// tree's own form, also for entries that were added. Refused while lists are on the
    /// future tree.
    #[command(after_help = examples::UNADOPT)]
    Unadopt(Adopt),
    /// Add the addresses that lists lack, and verify the MTA's database
    #[command(after_help = examples::SYNC)]
    Sync(Sync),
    /// Print what sync would change
    #[command(after_help = examples::DIFF)]
    Diff,
    /// Print the map that leads LIST@DOMAIN to the aliases, for Postfix' virtual_alias_maps
    ///
    /// One line an address of every list that is known, in each `domain` of the trees in use;
    /// only where the alias has an entry. The right side is a local name: Postfix adds
    /// $myorigin, which must be in mydestination. The domain itself stands in
    /// virtual_alias_domains.
    #[command(after_help = examples::VIRTUAL)]
    Virtual(VirtualMap),
    /// Look for trouble; silent when all is well (Nagios statuses)
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Tell the whole way of an address, from alias to argv, and why
    #[command(after_help = examples::TRACE)]
    Trace {
        /// A local part or an address
        address: OsString,
        /// For people, or for programs
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Tell what an MTA reads in an aliases file, entry by entry
    ///
    /// JSON is one object: `format` (1), `file`, `dialect`, `text_encoding`, and
    /// `entries`: `name`, `destinations`, `line`, in the order of the file;
    /// `effective`: the destinations of each name that mail goes by, after doubles;
    /// `problems`: `line`, `column`, `what`, and `effect`, what the MTA does with it.
    /// Names are as the MTA looks them up, destinations without quotes. Each character of
    /// either is one byte of the file (latin-1), whatever the file is written in: encoded so,
    /// they are the MTA's bytes again. Lines and columns (in bytes) count from 1.
    #[command(after_help = examples::SHOW)]
    Show {
        /// The file; `-` is standard input
        file: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Tell what MTAs read differently in an aliases file, or pass over
    ///
    /// A finding a line: file:line:column, which MTAs, what they do. Silent, and 0, when
    /// Postfix, Sendmail, Exim and OpenSMTPD read the files alike; 1 if there are findings,
    /// 2 if a file cannot be read.
    #[command(after_help = examples::LINT)]
    Lint {
        /// The files, `-` is standard input; default: those of the site
        files: Vec<PathBuf>,
        #[command(flatten)]
        how: How,
    },
    /// Deliver the message on standard input to an address, for trying things out
    ///
    /// Expands the address as the MTA would and runs its pipes, without a shell, in an MTA's
    /// environment. Addresses elsewhere, files and mailboxes are named, not delivered to.
    /// Started by root, it runs the pipes as the first of `[deliver] users`, or as --as says.
    #[command(after_help = examples::DELIVER)]
    Deliver(Deliver),
}

#[derive(Debug, Args)]
pub(super) struct Adopt {
    /// These lists alone
    #[arg(value_name = "LIST", add = crate::completion::lists())]
    pub(super) lists: Vec<OsString>,
    #[command(flatten)]
    pub(super) dry: Dry,
}

#[derive(Debug, Args)]
pub(super) struct Sync {
    /// Also remove entries of ours for lists and addresses that are no more
    ///
    /// Those of lists that are gone only where the file .mm-deliver-data stands in the
    /// directory of the lists' data: it shows that the file system with them is mounted. Make
    /// it once with touch.
    #[arg(long)]
    pub(super) remove: bool,
    /// Take this name for a list although a local user or RFC 2142 has it, or an entry to
    /// mm-deliver for another list
    #[arg(long, value_name = "NAME")]
    pub(super) claim: Vec<String>,
    /// Say nothing unless something changes or fails: for cron
    #[arg(long)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) dry: Dry,
}

/// What may be asked of every command that writes.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Dry {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print the change as a unified diff
    #[arg(long)]
    pub(super) diff: bool,
}

#[derive(Debug, Args)]
pub(super) struct VirtualMap {
    /// Replace this file by it, and the maps that virtual_alias_maps has of it
    ///
    /// Each map is built beside by postmap, asked for every key, and moved into place; nothing
    /// is reloaded. A file that something else made is refused.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The form of what is found
    #[arg(long, value_enum, default_value_t = finding::Format::Text)]
    pub(super) format: finding::Format,
    /// Look at the text alone, not at the MTA's database
    #[arg(long)]
    pub(super) no_database: bool,
}

#[derive(Debug, Args)]
pub(super) struct Deliver {
    /// A local part or an address
    pub(super) address: OsString,
    /// The envelope sender; default: Return-Path, else From
    #[arg(long)]
    pub(super) sender: Option<String>,
    /// Run the pipes as this user, name or number (needs root)
    #[arg(long = "as", value_name = "USER")]
    pub(super) user: Option<String>,
}

/// How a command tells what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Lines
    Text,
    /// One JSON object
    Json,
}

/// How files are read, and told.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct How {
    /// The MTA whose reading is meant; default: the site's
    #[arg(long, value_enum)]
    pub(super) dialect: Option<Reader>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// An MTA that reads aliases files, and for OpenSMTPD from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Reader {
    /// Postfix: postalias(1) and local(8)
    Postfix,
    /// Sendmail: newaliases(1)
    Sendmail,
    /// Exim: lsearch in a redirect router
    Exim,
    /// OpenSMTPD: a `file:` table
    #[value(name = "opensmtpd")]
    OpenSmtpd,
    /// OpenSMTPD: a `db:` table, built by makemap(8)
    #[value(name = "opensmtpd-db")]
    OpenSmtpdDb,
}

impl Reader {
    /// Its reading.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Reader::Postfix => Dialect::Postfix,
            Reader::Sendmail => Dialect::Sendmail,
            Reader::Exim => Dialect::Exim,
            Reader::OpenSmtpd => Dialect::OpenSmtpd,
            Reader::OpenSmtpdDb => Dialect::OpenSmtpdDb,
        }
    }
}

impl Act {
    /// The word that was typed.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Act::Adopt(_) => "adopt",
            Act::Unadopt(_) => "unadopt",
            Act::Sync(_) => "sync",
            Act::Diff => "diff",
            Act::Virtual(_) => "virtual",
            Act::Check(_) => "check",
            Act::Trace { .. } => "trace",
            Act::Show { .. } => "show",
            Act::Lint { .. } => "lint",
            Act::Deliver(_) => "deliver",
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_an_example_and_every_example_is_accepted() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let begins = format!("mm-aliases {}", command.get_name());
            let lines: Vec<&str> = help
                .lines()
                .filter_map(|line| line.strip_prefix("    "))
                .collect();
            assert!(!lines.is_empty(), "{begins}");
            for line in lines {
                assert!(line.starts_with(&begins), "{line}");
                let read = Cli::try_parse_from(line.split(' '));
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
            }
        }
    }
}
