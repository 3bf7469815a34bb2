//! The commands of mm-aliases: dispatch, printing, statuses.
//!
//! **Invariants.** The one place in `addresses` that prints. What a command found out goes to
//! standard output, why it failed to standard error.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::check::{self, Depth};
use super::cli::{self, Act, Cli};
use super::decide::Intent;
use super::deliver;
use super::error::AddressError;
use super::found::Found;
use super::pipe::Trees;
use super::plan::Plan;
use super::typed::{on_site, typed};
use super::{lint, needs, rights, show, trace, virtual_map};
use crate::finding::Report;
use crate::list::{BadName, ListName};
use crate::screen::painted;
use crate::site::Site;
use crate::store::{self, Writer};

/// How many changes are told one by one.
const MOST_LINES: usize = 5;

/// What a command prints, and its status.
#[derive(Debug, Default)]
struct Said {
    out: String,
    status: u8,
    /// Nothing was changed, and nothing came up that somebody should know.
    idle: bool,
}

/// Why a command did not do what was asked.
enum Failure {
    Address(AddressError),
    Name(OsString, BadName),
}

impl<E: Into<AddressError>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Address(error.into())
    }
}

/// Runs mm-aliases.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &arguments),
    };
    match run(&cli) {
        Ok(said) => {
            print(&said.out);
            ExitCode::from(said.status)
        }
        Err(failure) => ExitCode::from(complain(&failure, &cli)),
    }
}

/// The command line, for who writes it down or completes it.
pub fn command() -> clap::Command {
    Cli::command()
}

fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    // A closed pipe changes nothing about the status.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        // Monitoring reads 2 as CRITICAL.
        _ if arguments.iter().any(|word| word == "check") => ExitCode::from(3),
        _ => ExitCode::from(2),
    }
}

fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // Who reads may go away: `mm-aliases diff | head`.
    let _ = stdout.write_all(painted(text.to_owned(), &stdout).as_bytes());
}

fn complain(failure: &Failure, cli: &Cli) -> u8 {
    let act = &cli.act;
    let site = std::path::absolute(&cli.site).unwrap_or_else(|_| cli.site.clone());
    let (text, hints, status) = match failure {
        Failure::Name(name, bad) => (format!("not a list name: {name:?}: {bad}"), Vec::new(), 1),
        Failure::Address(error) => (error.to_string(), error.hints(), error.status()),
    };
    // To be copied as they are.
    if let Failure::Address(AddressError::NoDirect(_, lines, _)) = failure {
        print(&(lines.join("\n") + "\n"));
    }
    let text = crate::syslog::printable(&text);
    let mut lines = format!("mm-aliases: cannot {}: {text}\n", act.word());
    for hint in hints {
        lines += &format!("hint: {}\n", on_site(&site, &hint));
    }
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(painted(lines, &stderr).as_bytes());
    match act {
        Act::Check(_) => 3,
        Act::Diff | Act::Lint { .. } => 2,
        // Nothing was run, so nothing is lost: the MTA would try again.
        Act::Deliver(_) => 75,
        _ => status,
    }
}

fn run(cli: &Cli) -> Result<Said, Failure> {
    // These read anybody's files, and need no site.
    let out = || BufWriter::new(std::io::stdout().lock());
    let status = match &cli.act {
        Act::Show { file, how } => show::show(file, *how, &cli.site, &mut out()).map(|()| 0),
        Act::Lint { files, how } => lint::lint(files, *how, &cli.site, &mut out()).map(u8::from),
        Act::Check(asked) => return Ok(check(&cli.site, asked)),
        act => return on(&Site::open(&cli.site)?, act),
    };
    Ok(Said {
        status: status?,
        ..Said::default()
    })
}

/// Runs a command that is about the site.
fn on(site: &Site, act: &Act) -> Result<Said, Failure> {
    match act {
        Act::Adopt(asked) => turn(site, asked, true),
        Act::Unadopt(asked) => turn(site, asked, false),
        Act::Sync(asked) => sync(site, asked),
        Act::Diff => diff(site),
        Act::Virtual(asked) => Ok(Said {
            out: virtual_map::shown(site, asked.output.as_deref())?,
            ..Said::default()
        }),
        Act::Check(asked) => Ok(check(&site.path, asked)),
        Act::Trace { address, format } => trace(site, address, *format),
        Act::Deliver(asked) => deliver(site, asked),
        Act::Show { .. } | Act::Lint { .. } => Ok(Said::default()),
    }
}

fn lists(site: &Site, words: &[OsString]) -> Result<Option<BTreeSet<ListName>>, Failure> {
    let read = |word: &OsString| {
        site.list(word.as_bytes())
            .map_err(|bad| Failure::Name(word.clone(), bad))
    };
    let lists: BTreeSet<ListName> = words.iter().map(read).collect::<Result<_, _>>()?;
    Ok((!lists.is_empty()).then_some(lists))
}

fn turn(site: &Site, asked: &cli::Adopt, forth: bool) -> Result<Said, Failure> {
    let lists = lists(site, &asked.lists)?;
    let intent = if forth {
        Intent::Adopt(lists)
    } else {
        Intent::Unadopt(lists)
    };
    change(site, intent, asked.dry)
}

fn sync(site: &Site, asked: &cli::Sync) -> Result<Said, Failure> {
    let claim = asked
        .claim
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let intent = Intent::Sync {
        remove: asked.remove,
        claim,
    };
    let mut said = change(site, intent, asked.dry)?;
    if asked.quiet && said.idle {
        said.out.clear();
    }
    Ok(said)
}

/// Decides, shows, and makes a change unless it is a dry run.
fn change(site: &Site, intent: Intent, dry: cli::Dry) -> Result<Said, Failure> {
    let back = way_back(site, &intent);
    if dry.dry_run {
        let parity = store::load(site)?.parity;
        let plan = Plan::new(site, &parity, intent)?;
        let mut out = tell(&plan, dry);
        out += &format!(
            "{} would change; nothing was changed\n",
            counted(plan.changed())
        );
        return Ok(Said {
            out,
            status: 0,
            idle: plan.is_empty(),
        });
    }
    let writer = Writer::take(site, &format!("mm-aliases {}", intent.word()))?;
    let plan = Plan::new(site, writer.parity(), intent.clone())?;
    if matches!(intent, Intent::Adopt(_)) && !plan.is_empty() {
        let untold = needs::untold_of(site, writer.parity(), plan.turned());
        if !untold.is_empty() {
            return Err(AddressError::Untold(untold).into());
        }
        let denied = rights::denied_of(site, writer.parity(), plan.turned());
        if !denied.is_empty() {
            return Err(AddressError::Denied(denied).into());
        }
    }
    let mut out: String = writer
        .notes()
        .iter()
        .map(|note| format!("{note}\n"))
        .collect();
    out += &tell(&plan, dry);
    let changed = plan.changed();
    let applied = plan.apply(&writer)?;
    for note in applied.notes() {
        out += &format!("{note}\n");
    }
    out += &match changed {
        0 => "nothing to change\n".to_owned(),
        n => format!("{} changed\n{back}", counted(n)),
    };
    Ok(Said {
        out,
        status: 0,
        idle: changed == 0 && applied.notes().is_empty() && writer.notes().is_empty(),
    })
}

fn tell(plan: &Plan<'_>, dry: cli::Dry) -> String {
    let mut out = String::new();
    match dry.diff {
        true => out += &plan.diff(),
        false => {
            let first = plan.changes().take(MOST_LINES);
            out.extend(first.map(|line| format!("{line}\n")));
            let more = plan.changed().saturating_sub(MOST_LINES);
            if more > 0 {
                out +=
                    &format!("… and {more} more; --dry-run --diff shows each before it is made\n");
            }
            out.extend(plan.notes().iter().map(|note| format!("{note}\n")));
        }
    }
    out.extend(plan.left().iter().map(|line| format!("left: {line}\n")));
    out
}

fn counted(n: usize) -> String {
    match n {
        1 => "1 entry".to_owned(),
        n => format!("{n} entries"),
    }
}

fn way_back(site: &Site, intent: &Intent) -> String {
    match intent {
        Intent::Adopt(None) => format!("the way back: {}\n", typed(site, "unadopt")),
        Intent::Adopt(Some(lists)) => {
            let names: Vec<&str> = lists.iter().map(ListName::as_str).collect();
            {
                let words = format!("unadopt {}", names.join(" "));
                format!("the way back: {}\n", typed(site, &words))
            }
        }
        Intent::Unadopt(_) => format!("the way back: {}\n", typed(site, "adopt")),
        _ => "adopted.jsonl has the bytes of each entry, before and after\n".to_owned(),
    }
}

fn diff(site: &Site) -> Result<Said, Failure> {
    let parity = store::load(site)?.parity;
    let plan = Plan::new(
        site,
        &parity,
        Intent::Sync {
            remove: false,
            claim: BTreeSet::new(),
        },
    )?;
    let mut out = plan.diff();
    out.extend(plan.left().iter().map(|line| format!("left: {line}\n")));
    let database = plan.database()?;
    out.extend(database.iter().map(|line| format!("database: {line}\n")));
    let virtual_map = virtual_map::diff(site, &parity)?;
    out += &virtual_map;
    let same = plan.is_empty() && database.is_empty() && virtual_map.is_empty();
    Ok(Said {
        out,
        status: u8::from(!same),
        ..Said::default()
    })
}

/// What is found is told on a site that cannot be used, too.
fn check(path: &Path, asked: &cli::Check) -> Said {
    let depth = match asked.no_database {
        true => Depth::Text,
        false => Depth::Database,
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = check::all(&path, &Site::open(&path), depth);
    let report = Report::new("mm-aliases", &path, found);
    Said {
        out: report.shown(asked.format),
        status: report.status(),
        ..Said::default()
    }
}

fn trace(site: &Site, address: &OsStr, format: cli::Format) -> Result<Said, Failure> {
    let parity = store::load(site)?.parity;
    let trees = Trees::open(site);
    let found = Found::read(site)?;
    let traced = trace::trace(&trees, &found, &address.to_string_lossy());
    let out = match format {
        cli::Format::Text => {
            let lines = traced.lines(&trees, &parity, &found);
            lines.iter().map(|line| format!("{line}\n")).collect()
        }
        cli::Format::Json => format!("{}\n", traced.json(&trees, &parity, &found)),
    };
    Ok(Said {
        out,
        status: u8::from(!traced.is_known()),
        ..Said::default()
    })
}

fn deliver(site: &Site, asked: &cli::Deliver) -> Result<Said, Failure> {
    let mut message = Vec::new();
    std::io::stdin()
        .read_to_end(&mut message)
        .map_err(|error| AddressError::Io("read", "/dev/stdin".into(), error))?;
    let address = asked.address.to_string_lossy();
    let sender = asked.sender.as_deref();
    let done = deliver::deliver(site, &address, sender, asked.user.as_deref(), &message)?;
    let out = done.lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(Said {
        out,
        status: done.status,
        ..Said::default()
    })
}
