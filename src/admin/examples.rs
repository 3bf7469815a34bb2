//! What `--help` ends with: lines that can be typed as they are, and what they do to mail.
//!
//! **Invariants.** Words only. Every line that is indented by four is a command line that is
//! accepted (see the test); every command has one.

/// `init`.
pub(super) const INIT: &str = "\
Deliveries go on meanwhile: each name of the data is exchanged for a link in one instant.

    mm-parity init --from /usr/local/mailman --dry-run
    mm-parity init --from /usr/local/mailman
    mm-parity init --undo";

/// `check`.
pub(super) const CHECK: &str = "\
Nagios statuses: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Each finding says where, what becomes of mail, \
and what mends it. For cron, which sends what is printed:

    mm-parity check
    mm-parity check --format prometheus --output /var/lib/prometheus/node-exporter/mm-check.prom";

/// `may-remove`.
pub(super) const MAY_REMOVE: &str = "\
For a package's prerm: status 0 if no alias pipes to mm-deliver, else 1, with what to type on standard \
error. 0 as well where there is no site.toml.

    mm-parity may-remove";

/// `try`.
pub(super) const TRY: &str = "\
Some 30 messages of a toy site's own are delivered while its lists move; the directory is all it touches.

    mm-parity try
    mm-parity try /tmp/toy";

/// `status`.
pub(super) const STATUS: &str = "\
Its last lines are what to type next, and the way back.

    mm-parity status
    mm-parity status toylist 'real*'
    mm-parity status --format html --output /var/www/html/lists.html";

/// `upgrade`.
pub(super) const UPGRADE: &str = "\
One list first; when it has been well for a while, more. Mail that comes while a list moves waits for \
some seconds, or in the MTA's queue.

    mm-parity upgrade toylist
    mm-parity upgrade 'real*' --dry-run
    mm-parity upgrade --all --reason 'toylist has been well for a week'";

/// `rehearse`.
pub(super) const REHEARSE: &str = "\
Exit status: 0 all the same; 10 something differs; 11 something could not be judged, or there is no mail of \
the list's own; 1 refused. No delivery waits for it.

    mm-parity rehearse toylist
    mm-parity rehearse toylist --last 500 --report toylist.html
    mm-parity rehearse toylist --mail /var/mail/saved --only post
    mm-parity upgrade toylist --rehearse --last 200";

/// `downgrade`.
pub(super) const DOWNGRADE: &str = "\
Never refused for what is broken in the future tree. Mail that was deferred there waits in the MTA's \
queue, and comes to the current tree when it is tried again.

    mm-parity downgrade toylist
    mm-parity downgrade --all --now
    mm-parity downgrade toylist --restore --dry-run";

/// `drain`.
pub(super) const DRAIN: &str = "\
An `upgrade` that is refused names them, too; this shows whether they have gone.

    mm-parity drain toylist
    mm-parity drain --all";

/// `commit`.
pub(super) const COMMIT: &str = "\
When all lists are on the future tree and all is well: it is the current one from then on, and the next \
release can be installed in the other.

    mm-parity commit
    mm-parity commit --all --dry-run
    mm-parity commit --revert";

/// `verify`.
pub(super) const VERIFY: &str = "\
For a release that was put there without `mm-parity install`. A tree that fails is broken, and takes no \
lists; it says which test failed.

    mm-parity verify --dry-run
    mm-parity verify";

/// `trust`.
pub(super) const TRUST: &str = "\
Until then a program that fails makes the MTA try again; from then on its statuses are the MTA's again, \
and mail may bounce.

    mm-parity trust b";

/// `undo`.
pub(super) const UNDO: &str = "\
The last line of `mm-parity history` is what would be taken back.

    mm-parity undo --dry-run
    mm-parity undo";

/// `pause`.
pub(super) const PAUSE: &str = "\
Their mail waits in the MTA's queue for as long as the MTA keeps it (Postfix: 5 days), and then bounces: \
`mm-parity check` warns in time.

    mm-parity pause toylist --reason 'moderator is on it'
    mm-parity pause --all";

/// `resume`.
pub(super) const RESUME: &str = "\
What waited in the MTA's queue comes as the MTA tries it again; Postfix does so at once by postqueue -f.

    mm-parity resume toylist
    mm-parity resume --all";

/// `pin`.
pub(super) const PIN: &str = "\
A pinned list moves when it is named, and not by 'real*' or --all.

    mm-parity pin boardlist --reason 'after the general meeting'";

/// `unpin`.
pub(super) const UNPIN: &str = "\
It moves with the others again.

    mm-parity unpin boardlist";

/// `forget`.
pub(super) const FORGET: &str = "\
Their data have been removed; what is kept of them as snapshots stays.

    mm-parity forget oldlist --dry-run
    mm-parity forget oldlist";

/// `snapshots`.
pub(super) const SNAPSHOTS: &str = "\
Which changes have kept what, and what may be put back.

    mm-parity snapshots
    mm-parity snapshots toylist";

/// `snapshots prune`.
pub(super) const PRUNE: &str = "\
What would go, and how much room that makes:

    mm-parity snapshots prune --dry-run
    mm-parity snapshots prune --keep 2";

/// `snapshots restore`.
pub(super) const RESTORE: &str = "\
What changed since the snapshot is set aside as one more; --dry-run says what that is.

    mm-parity snapshots restore toylist --dry-run";

/// `run`.
pub(super) const RUN: &str = "\
The program is one that the tree's profile names ([bin]): the list stands where it looks for it, and \
what stands behind PROGRAM is passed on as it is. A move of the list waits until it ends.

    mm-parity run toylist list_members --regular
    mm-parity run toylist remove_members --nouserack alice@example.org
    mm-parity run --dry-run toylist withlist

What loads every list runs in the current tree, until all lists are on the future one.

Exit status: the program's, 128 and its number for a signal that ended it; 75 if the list is being
moved; 1 if it was refused, or could not be run.";

/// `cron`.
pub(super) const CRON: &str = "\
The job is one that a profile names ([cron]). It runs for each list, one after the other, in its own \
tree and as who owns its data; a job for all lists runs once, in the current tree, until all lists \
are on the future one; a job for none runs in both. It prints what the programs print.

    mm-parity cron senddigests
    mm-parity cron senddigests toylist 'real*'
    mm-parity cron checkdbs

Exit status: the first of the programs' that is not 0; 75 for a list that is being moved, and was
passed over.";

/// `why`.
pub(super) const WHY: &str = "\
Which tree, since when, by whom, by which rule.

    mm-parity why toylist
    mm-parity why toylist --verb request

What is told of its mail is what `mm-deliver --explain VERB LIST` tells, as the user who asks.";

/// `history`.
pub(super) const HISTORY: &str = "\
With lists: the changes that moved, paused or pinned one of them, and those that gave its tree another \
part or release, such as a commit.

    mm-parity history
    mm-parity history toylist 'real*'";

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use clap::{Command, CommandFactory, Parser};

    use crate::admin::cli::Cli;

    /// As a shell takes it, with single quotes alone.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (n, piece) in line.split('\'').enumerate() {
            if n % 2 == 1 {
                words.push(piece.to_owned());
            } else {
                words.extend(piece.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    /// Those of a command and of what is below it, which have to have some.
    fn examples(command: &Command, path: &str, found: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string);
        let lines: Vec<String> = help
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .map(str::to_owned)
            .collect();
        let is_of_it = |line: &&String| format!("{line} ").starts_with(&format!("{path} "));
        if command.get_name() != "mm-parity" {
            assert!(
                lines.iter().any(|line| is_of_it(&line)),
                "{path}: {lines:?}"
            );
        }
        found.extend(lines);
        for below in command.get_subcommands() {
            examples(below, &format!("{path} {}", below.get_name()), found);
        }
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_accepted() {
        let mut found = Vec::new();
        examples(&Cli::command(), "mm-parity", &mut found);
        assert!(found.len() > 30, "{found:?}");
        for line in found {
            let read = Cli::try_parse_from(words(&line));
            assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
        }
    }
}
