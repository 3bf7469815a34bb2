//! mm-parity: the admin's acts. Reads a line, opens the site, hands both to the subject's
//! file, prints what it ends with.
//!
//! **Invariants.** Only here a command gets its status, only `terminal` prints, and only
//! `store` and `addresses` write.

pub mod aliases;
pub mod change;
pub mod check;
pub mod cli;
pub mod closing;
pub mod commit;
mod data;
pub mod drain;
mod examples;
pub mod fence;
pub mod from;
pub mod glob;
pub mod grammar;
pub mod history;
pub mod hooks;
pub mod inbound;
pub mod init;
pub mod inside;
pub mod install;
mod interrupts;
pub mod jobs;
pub mod marks;
mod may_remove;
pub mod moving;
mod opening;
pub mod outcome;
pub mod past;
pub mod probation;
pub mod publish;
pub mod rehearse;
pub mod releases;
mod request;
pub mod retired;
pub mod rights;
pub mod selection;
pub mod signs;
pub mod snapshots;
pub mod status;
mod step;
pub mod terminal;
pub mod trust;
pub mod try_out;
pub mod undo;
pub mod verify;
pub mod why;

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory, Parser};

use crate::admin::cli::{
    Act, Cli, Closing, Data, Draining, Hooking, Host, How, Init, Move, OnSite, Rows,
};
use crate::admin::commit::{Behind, Trouble};
use crate::admin::grammar::Line;
use crate::admin::history::Format;
use crate::admin::jobs::Trial;
use crate::admin::marks::Mark;
use crate::admin::outcome::{AFTER, Done, Outcome, Refused};
use crate::admin::request::{DataChoice, Mode, Patience, Request};
use crate::admin::selection::Which;
use crate::config::Mta;
use crate::layout::Ask;
use crate::site::Site;
use crate::span::Span;
use crate::store;

/// A command line that means nothing.
const USAGE: u8 = 2;
/// The state directory, where nothing else is said.
const STATE: &str = "/var/lib/mm-deliver";
/// What monitoring takes for "cannot tell".
const UNKNOWN: u8 = 3;

/// Runs mm-parity; returns its status. `arguments` begin with the executable's path.
pub fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    let mut arguments = arguments.peekable();
    let name = grammar::name(arguments.peek().map(OsString::as_os_str));
    let words = match grammar::read(arguments) {
        Line::Ours(words) => words,
        Line::Help(text) => return print(name, text, 0),
        Line::Usage(what) => {
            terminal::complain(&format!("{name}: {what}"));
            return USAGE;
        }
    };
    // Monitoring reads 2 as CRITICAL; a broken line in its configuration is UNKNOWN.
    let usage = if words.iter().any(|word| word == "check") {
        UNKNOWN
    } else {
        USAGE
    };
    match Cli::try_parse_from(words) {
        Ok(cli) => finish(name, run(cli)),
        Err(error) if error.use_stderr() => {
            terminal::complain(error.render().to_string().trim_end());
            usage
        }
        // --help and --version.
        Err(error) => print(name, &error.render().to_string(), 0),
    }
}

/// The command line, for who writes it down or completes it.
pub fn command() -> clap::Command {
    Cli::command()
}

fn run(cli: Cli) -> Outcome {
    match cli.act {
        Act::Try { dir } => {
            try_out::run(&dir).map_err(|fault| Refused::new("play the story", fault))
        }
        Act::Init(begin) => begin_site(&cli.site, *begin),
        // A site that cannot be opened is a finding.
        Act::Check(asked) => {
            let path = std::path::absolute(&cli.site).unwrap_or(cli.site);
            let done = check::check(&path, &Site::open(&path), &asked);
            let done = published(done, "check", asked.output.as_deref());
            done.map_err(|refused| Refused {
                status: UNKNOWN,
                ..refused
            })
        }
        Act::MayInstall(asked) => {
            let path = std::path::absolute(&cli.site).unwrap_or(cli.site);
            install::may::may_install(&asked.root, Site::open(&path), &path)
        }
        Act::MayRemove => {
            let path = std::path::absolute(&cli.site).unwrap_or(cli.site);
            may_remove::may_remove(Site::open(&path), &path)
        }
        Act::Status {
            lists,
            all,
            format,
            output,
        } => {
            let which = (all || !lists.is_empty()).then(|| which(lists, all));
            let done = opening::open(&cli.site)
                .and_then(|site| status::status(&site, which.as_ref(), format));
            let (Some(path), Err(refused)) = (&output, &done) else {
                return published(done?, "tell the status", output.as_deref());
            };
            let text = status::untold(&cli.site, refused, format);
            published(Done::saying(text), "tell the status", Some(path))?;
            done
        }
        Act::OnSite(act) => on_site(&opening::open(&cli.site)?, act),
    }
}

fn begin_site(path: &Path, begin: Init) -> Outcome {
    if begin.undo {
        return from::undo(path, begin.dry_run);
    }
    let Some(prefix) = begin.from else {
        let site = opening::open(path)?;
        return init::init(&site, begin.current.as_deref());
    };
    let Host {
        profile,
        data,
        future,
        state,
        mta,
        aliases,
        users,
        program,
    } = begin.host;
    let ask = Ask {
        from: prefix,
        site: path.to_owned(),
        profile,
        data,
        future,
        state: state.unwrap_or_else(|| STATE.into()),
        mta: mta.map(mta_of),
        aliases,
        users,
        program,
    };
    from::from(&ask, begin.dry_run)
}

fn mta_of(typed: cli::Mta) -> Mta {
    match typed {
        cli::Mta::Postfix => Mta::Postfix,
        cli::Mta::Sendmail => Mta::Sendmail,
        cli::Mta::Exim => Mta::Exim,
        cli::Mta::Opensmtpd => Mta::OpenSmtpd,
        cli::Mta::None => Mta::None,
    }
}

fn on_site(site: &Site, act: OnSite) -> Outcome {
    match act {
        OnSite::Upgrade {
            r#move,
            closing,
            hooking,
            rehearse,
            last,
        } => on_lists(site, "upgrade", r#move, |which, request| {
            let mut request = patient(request.clone(), Some(&closing), None);
            let mut told = String::new();
            if rehearse {
                let (said, rehearsed) = rehearse::must_be_within(site, which, last)?;
                (told, request.rehearsed) = (said, Some(rehearsed));
            }
            let done = with_hooks(site, request, hooking, |request| {
                moving::upgrade(site, which, request)
            })?;
            Ok(Done {
                text: told + &done.text,
                ..done
            })
        }),
        OnSite::Rehearse {
            lists,
            all,
            mail,
            last,
            since,
            only,
            report,
            format,
        } => {
            let ask = rehearse::Ask {
                which: which(lists, all),
                mail,
                last,
                since,
                only,
                report,
                format: rows(format),
            };
            rehearse::rehearse(site, &ask)
        }
        OnSite::Downgrade {
            r#move,
            draining,
            hooking,
            data,
        } => on_lists(site, "downgrade", r#move, |which, request| {
            let request = patient(request.clone(), None, Some(&draining));
            let request = with_data(request, &data);
            with_hooks(site, request, hooking, |request| {
                moving::downgrade(site, which, request)
            })
        }),
        OnSite::Drain { all: true, .. } => drain::drain_all(site),
        OnSite::Drain { lists, .. } => drain::drain(site, &lists),
        OnSite::Commit {
            all,
            revert,
            force,
            how,
            closing,
            hooking,
        } => match (all, revert) {
            (_, true) => {
                let request = request("revert the commit", "commit --revert", how);
                in_turn(site, &request, |request| {
                    with_hooks(site, request.clone(), hooking, |request| {
                        commit::revert(site, request)
                    })
                })
            }
            (all, _) => {
                let line = commit_line(all, force);
                let behind = match all {
                    true => Behind::MoveFirst,
                    false => Behind::Refuse,
                };
                let trouble = match force {
                    true => Trouble::Pass,
                    false => Trouble::Refuse,
                };
                let request = patient(request("commit", &line, how), Some(&closing), None);
                with_hooks(site, request, hooking, |request| {
                    commit::commit(site, behind, trouble, request)
                })
            }
        },
        OnSite::Install(asked) => install_in(site, asked),
        OnSite::Patch(asked) => patch_in(site, asked),
        OnSite::Verify(how) => verify::verify(site, &request("verify", "verify", how)),
        OnSite::Trust { tree, force, how } => {
            let line = format!("trust {tree}{}", if force { " --force" } else { "" });
            trust::trust(site, &tree, force, &request("trust", &line, how))
        }
        OnSite::Undo {
            prepared: true,
            how,
            ..
        } => {
            let request = request("take back what was prepared", "undo --prepared", how);
            hooks::undo_prepared(site, &request)
        }
        OnSite::Undo {
            how,
            closing,
            draining,
            hooking,
            data,
            ..
        } => {
            let request = patient(
                request("undo", "undo", how),
                Some(&closing),
                Some(&draining),
            );
            let request = with_data(request, &data);
            in_turn(site, &request, |request| {
                with_hooks(site, request.clone(), hooking, |request| {
                    undo::undo(site, request)
                })
            })
        }
        OnSite::Pause(r#move) => on_mark(site, "pause", Mark::Pause, r#move),
        OnSite::Resume(r#move) => on_mark(site, "resume", Mark::Resume, r#move),
        OnSite::Pin(r#move) => on_mark(site, "pin", Mark::Pin, r#move),
        OnSite::Unpin(r#move) => on_mark(site, "unpin", Mark::Unpin, r#move),
        OnSite::Forget(r#move) => on_lists(site, "forget", r#move, |which, request| {
            marks::forget(site, which, request)
        }),
        OnSite::Snapshots(asked) => snapshots_act(site, asked),
        OnSite::Run {
            dry_run,
            list,
            program,
        } => match program.split_first() {
            Some((name, words)) => jobs::run(site, &list, name, words, trial(dry_run)),
            None => Err(Refused::new("run", "no program is named")),
        },
        OnSite::Cron {
            dry_run,
            job,
            lists,
        } => {
            let all = lists.is_empty();
            jobs::cron(site, &job, &which(lists, all), trial(dry_run))
        }
        OnSite::Why { list, verb, format } => why::why(site, &list, verb.as_deref(), rows(format)),
        OnSite::History { lists, format } => {
            let all = lists.is_empty();
            history::history(site, &which(lists, all), rows(format))
        }
    }
}

/// Where it is to be told in a file, there.
fn published(done: Done, act: &'static str, output: Option<&Path>) -> Outcome {
    match output {
        // As elsewhere: standard output.
        Some(path) if path.as_os_str() == "-" => Ok(done),
        Some(path) => publish::publish(done, act, path),
        None => Ok(done),
    }
}

fn install_in(site: &Site, asked: install::cli::Install) -> Outcome {
    let (line, run): (String, &dyn Fn(&Request) -> Outcome) = match (asked.begin, asked.end) {
        (true, _) => ("install --begin".to_owned(), &|request| {
            install::begin(site, request)
        }),
        (_, true) => ("install --end".to_owned(), &|request| {
            install::end_by_hand(site, request)
        }),
        _ => (
            format!("install {}", install::shown(&asked.command)),
            &|request| install::install(site, &asked.command, request),
        ),
    };
    let request = request("install", &line, asked.how);
    with_hooks(site, request, asked.hooking, run)
}

fn patch_in(site: &Site, asked: install::cli::Patch) -> Outcome {
    let line = format!("patch {} {}", asked.tree, install::shown(&asked.command));
    let how = How {
        dry_run: asked.dry_run,
        reason: Some(asked.reason),
    };
    let draining = asked.waiting.draining();
    let request = patient(request("patch", &line, how), None, Some(&draining));
    install::patch::patch(site, &asked.tree, &asked.command, &request)
}

fn on_mark(site: &Site, act: &'static str, mark: Mark, r#move: Move) -> Outcome {
    on_lists(site, act, r#move, |which, request| {
        marks::mark(site, mark, which, request)
    })
}

fn on_lists(
    site: &Site,
    act: &'static str,
    r#move: Move,
    run: impl Fn(&Which, &Request) -> Outcome,
) -> Outcome {
    let which = which(r#move.lists, r#move.all);
    let line = format!("{act} {}", which.line());
    let request = request(act, &line, r#move.how);
    in_turn(site, &request, |request| run(&which, request))
}

/// Makes a change with its hooks or without; where it is not made after them, they are taken back.
fn with_hooks(
    site: &Site,
    request: Request,
    hooking: Hooking,
    run: impl Fn(&Request) -> Outcome,
) -> Outcome {
    let request = Request {
        hooks: !hooking.no_hooks,
        ..request
    };
    hooks::taken_back(site, &request, run)
}

/// Runs what goes first only if it would do anything at all: a name that was mistyped must not end
/// what somebody else waits for.
fn in_turn(site: &Site, request: &Request, run: impl Fn(&Request) -> Outcome) -> Outcome {
    if request.goes_first && request.mode == Mode::Real && store::is_busy(site) {
        run(&Request {
            mode: Mode::Trial,
            ..request.clone()
        })?;
    }
    run(request)
}

fn trial(dry_run: bool) -> Trial {
    if dry_run { Trial::Yes } else { Trial::No }
}

/// A commit as it was typed.
fn commit_line(all: bool, force: bool) -> String {
    let words = [(all, " --all"), (force, " --force")];
    let typed = words.into_iter().filter(|(typed, _)| *typed);
    std::iter::once("commit")
        .chain(typed.map(|(_, word)| word))
        .collect()
}

fn which(lists: Vec<OsString>, all: bool) -> Which {
    if all { Which::All } else { Which::Named(lists) }
}

/// What nobody holds up by waiting.
const GO_FIRST: [&str; 4] = ["downgrade", "pause", "revert the commit", "undo"];

fn request(act: &'static str, line: &str, how: How) -> Request {
    Request {
        act,
        line: line.to_owned(),
        mode: if how.dry_run { Mode::Trial } else { Mode::Real },
        reason: how.reason,
        patience: Patience::default(),
        hooks: true,
        data: DataChoice::Ask,
        goes_first: GO_FIRST.contains(&act),
        rehearsed: None,
    }
}

/// The same request with the patience that was typed.
fn patient(
    mut request: Request,
    closing: Option<&Closing>,
    draining: Option<&Draining>,
) -> Request {
    let patience = &mut request.patience;
    if let Some(closing) = closing {
        patience.closed = closing.closed;
    }
    if let Some(draining) = draining {
        patience.drain = match draining.now {
            true => Span::seconds(0),
            false => draining.drain,
        };
        patience.kill = draining.kill;
    }
    request
}

/// The same request with what was said of the lists' data.
fn with_data(mut request: Request, data: &Data) -> Request {
    let (word, choice) = match (data.restore, data.keep_data) {
        (true, _) => (" --restore", DataChoice::Restore),
        (_, true) => (" --keep-data", DataChoice::Keep),
        _ => ("", DataChoice::Ask),
    };
    request.line += word;
    request.data = choice;
    request
}

/// `snapshots` and what follows.
fn snapshots_act(site: &Site, asked: cli::Snapshots) -> Outcome {
    match asked.act {
        None => snapshots::list(site, &asked.lists, rows(asked.format)),
        Some(cli::SnapshotsAct::Prune { keep, how }) => {
            let request = request("prune snapshots", "snapshots prune", how);
            snapshots::prune(site, keep, &request)
        }
        Some(cli::SnapshotsAct::Restore {
            list,
            at,
            force,
            how,
            closing,
        }) => {
            let at_that = at.as_ref().map(|at| format!(" --at {at}"));
            let line = format!(
                "snapshots restore {}{}",
                list.to_string_lossy(),
                at_that.unwrap_or_default()
            );
            let request = request("restore", &line, how);
            let request = patient(request, Some(&closing), None);
            snapshots::restore(site, &list, (at.as_deref(), force), &request)
        }
    }
}

fn rows(rows: Rows) -> Format {
    match rows {
        Rows::Text => Format::Text,
        Rows::Json => Format::Json,
    }
}

/// Prints what a command ends with, under the name that was typed; returns its status.
fn finish(name: &str, outcome: Outcome) -> u8 {
    match outcome {
        Ok(done) => finish_done(name, &done),
        Err(refused) => {
            for reason in outcome::once(&refused.reasons) {
                terminal::complain(&format!("{name}: cannot {}: {reason}", refused.act));
            }
            hints(&refused.hints);
            refused.status
        }
    }
}

fn finish_done(name: &str, done: &Done) -> u8 {
    let status = if done.failed.is_empty() { 0 } else { AFTER };
    let status = print(name, &done.text, done.status.unwrap_or(status));
    for failed in &done.failed {
        terminal::complain(&format!("{name}: the change is made, but: {failed}"));
    }
    hints(&done.hints);
    status
}

fn hints(hints: &[String]) {
    for hint in outcome::once(hints) {
        terminal::complain(&format!("hint: {hint}"));
    }
}

/// Prints `text`; a full disk behind standard output is worth a status of its own.
fn print(name: &str, text: &str, status: u8) -> u8 {
    match terminal::out(text) {
        Ok(()) => status,
        Err(error) => {
            terminal::complain(&format!("{name}: cannot write to standard output: {error}"));
            if status == 0 { AFTER } else { status }
        }
    }
}
