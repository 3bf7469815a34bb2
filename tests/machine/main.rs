//! Tests on a whole machine: a real MTA in a root of its own, and our programs in it as they
//! are shipped. They need root and Debian and are run by `tests/run`; every line that starts
//! with `|` is evidence, copied from what the programs and the MTA's log said.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "the evidence is printed")]

/// A throwaway site with two stub trees, for what needs no machine.
#[path = "../stage.rs"]
mod stage;

/// A stand-in for an installation of a list manager, and listings of it.
#[path = "../installation.rs"]
mod installation;

/// init --from and its undo, killed at each call.
mod layout;

/// Many deliveries while many lists move.
mod crowd;

/// Readers of aliases that ask without a pause.
mod readers;
/// The machine: mounted, started, stopped, asked what arrived.
mod rig;
/// A client of a few lines, for the bytes that ready-made ones would mend.
mod smtp;

/// Numbered messages, as fast as they may be sent.
mod numbered;
/// What looks random, and can be had again.
mod random;

/// Every file of a place, before and after.
mod listing;

/// A stand-in for Mailman 2.1, in as many releases as a test wants.
mod mailman21;
/// From one installation to two trees, release after release, with mail flowing.
mod play;

/// Lists without aliases, by a transport of the MTA's own.
mod by_address;
/// The map of lists of domains, as Postfix looks it up.
mod domains;
/// README's chapters for each MTA, typed as they stand.
mod guides;
/// Mail through each of the four MTAs.
mod mta;
/// What still starts programs of a tree that a commit left.
mod pointing;
/// Mail through Postfix while lists move.
mod postfix;
/// A name that stands with a domain, under Sendmail.
mod qualified;
/// Mail that was queued before its alias changed.
mod queued;
/// What Postfix delivers again while mail waits.
mod repeated;
/// A set-group-ID program under mm-guard.
mod setgid;
/// Lists that move at random while all goes wrong, and every message counted.
mod soak;
/// What each MTA makes of every end of a tree's program.
mod statuses;

/// Real list managers in the trees.
mod managers;

/// Mail through two releases, with nothing sent and nothing written.
mod rehearsal;

/// Pages through two real web servers, and in a real browser.
mod web;

/// Text and database under each MTA and map type.
mod maps;

/// Maps of an odd configuration of Postfix, and what a new map keeps.
mod postfix_maps;

/// The text of virtual aliases and its maps.
mod virtual_maps;

/// Odd files and disks, and another editor.
mod files;
/// A large file rewritten while it is read without a pause.
mod fire;

/// The calls of a recorded run.
mod calls;

/// A release is installed by a command, behind a fence.
mod install;

/// Our own Debian package.
mod package;

/// The same by dpkg and apt.
mod packages;

/// A writer that dies, and system calls that fail.
mod crash;

/// The disk is full, and lists are taken back.
mod full;

/// The power is cut while a file is replaced.
mod power;

/// Generated files, and what to make of a difference.
#[path = "../../aliases/tests/differential/mod.rs"]
mod differential;

/// What our reading says of a file.
mod reading;

/// Generated aliases files, read by Postfix and by us.
mod differential_postfix;

/// Generated aliases files, read by Sendmail and by us.
mod differential_sendmail;

/// The same of Exim, asked for the names of each file.
mod differential_exim;

/// The same of OpenSMTPD's two tables.
mod differential_opensmtpd;
