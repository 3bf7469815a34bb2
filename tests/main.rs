//! What an admin and an MTA see, one user-visible act a file. Needs neither network nor root
//! nor a real MTA; what does is in `machine`, run by tests/run.

/// A throwaway site with two stub trees. Not a place for tests.
mod stage;

/// A stand-in for an installation of a list manager. Not a place for tests.
mod installation;

/// init --from: a single installation becomes two trees, and comes back.
mod layout;

/// Who can read the state, and what is made of a state that others wrote.
mod store;

/// mm-parity try: the story, and what it leaves alone.
mod try_out;

/// The alias file while somebody writes it in place.
mod in_place;

/// README says what is so.
mod readme;

/// README's page for 3 a.m., typed.
mod night;

/// The examples in contrib are sound.
mod examples;

/// mm-deliver: which program gets the message, and what happens to mail when none can.
mod deliver;

/// mm-deliver --rcpt: which list an address is of, and what happens to mail where that cannot be told.
mod rcpt;

/// mm-cgi: which program answers a request, and what a visitor gets where none can.
mod cgi;

/// The trees' CGI programs are tried as the web server's user before anything changes.
mod web_users;

/// What a delivery and a request cost, in counts.
mod counts;

/// The doors as a delivery meets them: who waits, who comes in, what the program holds.
mod doors;

/// mm-guard: whatever a guarded program does, the message is delivered by it or kept.
mod guard;

/// mm-lmtp: a message into a server that misbehaves at every step.
mod lmtp;

/// Moves and the deliveries in flight: who is waited for, who is named.
mod closing;

/// What ends a move that waits: a signal, or a change that nobody holds up.
mod giving_way;

/// A release on probation: guarded, counted, told of, and trusted.
mod probation;

/// Lists that move, are paused, pinned and forgotten; who is refused.
mod moving;

/// What a tree took and has not handled is waited for; trees that do not handle it are seen.
mod queues;

/// The system's own move, and every way back from it.
mod commit;

/// The lists' data: kept before a move, put back, set aside.
mod snapshots;

/// Two trees with different list managers.
mod unlike;

/// mm-parity run and cron: which tree's program runs for a list, as whom, and who waits for whom.
mod jobs;

/// mm-parity verify: a release that was installed by hand is looked at, and recorded.
mod verify;

/// mm-parity install, its two halves, and may-install; fresh trees and their tests.
mod install;

/// The trees' files against what was looked at.
mod manifest;

/// Hooks: what runs with a change, what is taken back where one fails, what a kill leaves.
mod hooks;

/// What is recorded, and what undo makes of it; edits by hand.
mod history;

/// mm-parity why and history LIST: where a list is, how it came there, what its mail meets.
mod why;

/// init, status and check: what an admin sees of a site, sound or broken.
mod status;

/// The status as a page and in figures, and files of which nobody reads half.
mod page;

/// What was mistyped, or typed where it cannot work.
mod mistyped;

/// A person at a terminal.
mod terminal;

/// What a shell is offered; whether mm-deliver may be removed.
mod completion;

/// mm-aliases adopt and unadopt: entries are turned, and come back as they were.
mod adopt;

/// How often a command opens the alias file.
mod readings;

/// mm-aliases sync, diff and check: what lists lack is added, nothing of others is touched.
mod sync;

/// The cron files and systemd units in contrib: every line is one that cron and systemd read,
/// every command one that ours do.
mod units;

/// mm-aliases virtual: lists of domains for Postfix' virtual_alias_maps.
mod domains;

/// The six states of an address, for every verb: what sync does with it and what is left.
mod states;

/// What check finds: each kind of finding with what, where, what happens to mail, and what
/// mends it; its three forms.
mod check;

/// Mail that goes past mm-deliver is found, and said before a move or commit.
mod past;

/// mm-aliases show: what an MTA reads in a file, for people and for programs.
mod show;

/// mm-aliases lint: what MTAs read differently; silent where they do not.
mod lint;

/// mm-aliases trace and deliver: the way of one address.
mod trace;
