//! What is not well with the alias files: for cron, silent when nothing is.
//!
//! What an admin may have meant (an override, a name that a list must not take unasked) is no
//! trouble here unless it is the address that people post to; `diff` and `sync` show it.
//!
//! **Invariants.** Changes nothing. Says what it could not find out, too: a look that fails is a
//! finding of its own and hides none of the others.

mod earlier;
mod entries;
mod group;
mod held;
mod includes;
mod master;
mod needs;
mod others;
mod qualified;
mod records;
mod refused;
mod repeated;
mod states;
mod undeliverable;
mod virtual_map;

use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use states::states;

use super::disk;
use super::emptied::{self, Emptied};
use super::error::AddressError;
use super::found::Found;
use super::known::Known;
use super::pipe::serves;
use super::record;
use super::typed::{on_site, quoted, typed};
use super::view::View;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::parity::Parity;
use crate::site::{Site, SiteError};
use crate::store::{self, StoreError};

/// What happens to mail while a site cannot be used.
const WAITS: &str = "the mail of all lists waits (75)";

/// How often a database that is not as its text is looked at before that is said.
const LOOKS: usize = 4;
/// How long a change that runs gets between two of them to get from its text to its database.
const PAUSE: Duration = Duration::from_millis(500);

/// So many names the database is asked for, beside the listing of all that it has: whether what is
/// listed is found.
const MOST_ASKED: usize = 1_000;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The text of the alias files alone.
    Text,
    /// The MTA's database as well.
    Database,
}

/// Everything that is not well with the entries and the MTA's database.
///
/// A CHANGE MEANWHILE. Between text and database there is an instant in which they differ, whoever
/// changes them. What is not well with the database is said when it was so at each of [`LOOKS`].
///
/// # Errors
/// An alias file or /etc/passwd cannot be read: nothing can be said of any entry.
pub(super) fn findings(
    site: &Site,
    parity: &Parity,
    depth: Depth,
) -> Result<Vec<Finding>, AddressError> {
    let done = looks(site, parity, depth, |_| ());
    done.map(|(findings, ())| findings)
}

/// As [`findings`], and the lists that anything knows, of the same reading.
///
/// # Errors
/// As [`findings`].
pub fn survey(
    site: &Site,
    parity: &Parity,
    depth: Depth,
) -> Result<(Vec<Finding>, Known), AddressError> {
    looks(site, parity, depth, |view| view.into_known())
}

/// Looks until what is not well with the database was so each time, and keeps of the last look
/// what `keep` takes.
fn looks<T>(
    site: &Site,
    parity: &Parity,
    depth: Depth,
    keep: impl Fn(View<'_>) -> T,
) -> Result<(Vec<Finding>, T), AddressError> {
    let is_trouble = |finding: &Finding| {
        finding.kind() == Kind::Database && finding.severity() == Severity::Critical
    };
    let mut left = LOOKS;
    loop {
        let found = Found::read(site)?;
        let view = View::new(site, parity, &found)?;
        let findings = look(&view, depth);
        left -= 1;
        if left == 0 || !findings.iter().any(is_trouble) {
            return Ok((findings, keep(view)));
        }
        std::thread::sleep(PAUSE);
    }
}

fn look(view: &View<'_>, depth: Depth) -> Vec<Finding> {
    let site = view.trees.site;
    let mut findings = Vec::new();
    let emptied = match depth {
        Depth::Text => Vec::new(),
        Depth::Database => emptied::all(view),
    };
    findings.extend(emptied.iter().map(|it| it.finding(site)));
    if emptied.is_empty() && view.found.all().next().is_none() && has_entries(site) {
        findings.push(no_entry(site, depth));
    }
    profiles(view, &mut findings);
    needs::look(view, &mut findings);
    enumeration(view, &mut findings);
    entries::look(view, &mut findings);
    if emptied.is_empty() {
        virtual_map::look(view, depth, &mut findings);
    } else {
        // The text says so; mail does not go by it.
        findings.retain(|finding| finding.kind() != Kind::Missing);
    }
    repeated::look(view, &mut findings);
    if depth == Depth::Database {
        database(view, &emptied, &mut findings);
        master::look(view, &mut findings);
        earlier::look(view, &mut findings);
    }
    match record::read(&record::path(site)) {
        Ok(records) => records::look(view, &records, &mut findings),
        Err(error) => findings.push(unrecorded(site, &error)),
    }
    findings
}

/// Whether there should be entries: where each list is found by its address, only if some were adopted.
fn has_entries(site: &Site) -> bool {
    let records = || record::read(&record::path(site));
    !site.config.rcpt || records().is_ok_and(|records| !records.all.is_empty())
}

fn no_entry(site: &Site, depth: Depth) -> Finding {
    let (effect, mend) = match (depth, disk::has_database(site)) {
        (Depth::Text, true) => (
            "mail to every list bounces (no such user), unless the MTA's database still has them, \
             which was not looked at",
            Mend::Type(typed(site, "check")),
        ),
        _ => ("mail to every list bounces (no such user)", sync(site)),
    };
    Finding::new(
        (Kind::Aliases, Severity::Critical),
        "the alias files hold no entry",
        Spot::file(first_file(site)),
        effect,
        mend,
    )
}

/// Why it cannot be told what was adopted. Past a damaged line everything but what asks for the
/// records goes on; a file that cannot be opened takes no new records, and stops every writer.
fn unrecorded(site: &Site, error: &AddressError) -> Finding {
    let (effect, mend) = match error {
        AddressError::Record(..) => (
            "none waits, and lists move; but `adopt` of all lists, `unadopt` and \
             `commit --revert` are refused",
            "repair or remove that line".to_owned(),
        ),
        _ => {
            let path = record::path(site);
            let path = quoted(&path.to_string_lossy());
            (
                "none waits; but no alias is written: adopt, unadopt, sync, and moves that need \
                 a line are refused",
                format!(
                    "it must be a plain file that root can read; or do without what it \
                     remembers: mv {path} {path}.aside"
                ),
            )
        }
    };
    Finding::new(
        (Kind::Adopted, Severity::Unknown),
        format!("what was adopted cannot be told: {error}"),
        spot(error, site),
        effect,
        Mend::Do(mend),
    )
}

/// What [`findings`] says, or why nothing can be said, of a site that could be opened or not;
/// `path` is that of site.toml.
pub(super) fn all(path: &Path, site: &Result<Site, SiteError>, depth: Depth) -> Vec<Finding> {
    let site = match site {
        Ok(site) => site,
        Err(error) => {
            let kind = (Kind::Site, Severity::Critical);
            let mend = format!("correct it, then {}", on_site(path, "mm-aliases check"));
            return vec![Finding::new(
                kind,
                error.to_string(),
                Spot::of_site(error, path),
                WAITS,
                Mend::Do(mend),
            )];
        }
    };
    let parity = match store::load(site) {
        Ok(loaded) => loaded.parity,
        Err(error) => {
            let kind = (Kind::Parity, Severity::Critical);
            let spot = Spot::of_store(&error, path);
            let mend = match &error {
                StoreError::Site(SiteError::Read(_, cause)) if cause.kind() == NotFound => {
                    Mend::Type(on_site(path, "mm-parity init"))
                }
                _ => Mend::Do(format!(
                    "correct it, then {}",
                    on_site(path, "mm-parity check")
                )),
            };
            return vec![Finding::new(kind, error.to_string(), spot, WAITS, mend)];
        }
    };
    findings(site, &parity, depth).unwrap_or_else(|error| vec![unreadable(&error, site)])
}

/// Why nothing could be looked at.
pub fn unreadable(error: &AddressError, site: &Site) -> Finding {
    let hint = error.hints().into_iter().next();
    Finding::new(
        (Kind::Aliases, Severity::Unknown),
        error.to_string(),
        spot(error, site),
        "whether it goes its way cannot be told; no alias is written meanwhile",
        Mend::Do(match hint {
            Some(hint) => on_site(&site.path, &hint),
            None => format!(
                "put it back, or correct `files` of [aliases] in {:?}; then {}",
                site.path,
                typed(site, "check")
            ),
        }),
    )
}

fn sync(site: &Site) -> Mend {
    Mend::Type(typed(site, "sync"))
}

/// The file to which sync adds what is new.
fn first_file(site: &Site) -> PathBuf {
    let first = site.config.alias_files.first();
    first.cloned().unwrap_or_default()
}

/// Where an error is; the first alias file where it does not say.
fn spot(error: &AddressError, site: &Site) -> Spot {
    match error {
        AddressError::Site(error) => Spot::of_site(error, &site.path),
        AddressError::Store(error) => Spot::of_store(error, &site.path),
        AddressError::Record(path, line, _) => Spot::line(path, *line),
        AddressError::Io(_, path, _)
        | AddressError::NoSentinel(path)
        | AddressError::Raced(path) => Spot::file(path),
        // Its text names the file; which of several it is stands nowhere else.
        AddressError::File(text, _) => {
            let mut files = site.config.alias_files.iter();
            let named = files.find(|file| text.contains(&format!("{file:?}")));
            Spot::file(named.cloned().unwrap_or_else(|| first_file(site)))
        }
        _ => Spot::file(first_file(site)),
    }
}

fn profiles(view: &View<'_>, findings: &mut Vec<Finding>) {
    let site = view.trees.site;
    for (tree, error) in view.trees.broken() {
        let (severity, effect) = match serves(tree, view.parity) {
            true => (
                Severity::Critical,
                "all mail of lists on this tree waits (75)",
            ),
            false => (Severity::Warning, "none waits: no list is on this tree"),
        };
        findings.push(Finding::new(
            (Kind::Profile, severity),
            format!("tree {}: {error}", tree.name),
            Spot::of_site(error, &site.path),
            effect,
            Mend::Do("correct the profile, or the tree's `profile` in site.toml".to_owned()),
        ));
    }
}

fn enumeration(view: &View<'_>, findings: &mut Vec<Finding>) {
    let Err(error) = view.enumerated() else {
        return;
    };
    let path = error.path().unwrap_or(&view.trees.site.path);
    // With no name of any list nothing below can find anything.
    let severity = match view.known().is_empty() {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    findings.push(Finding::new(
        (Kind::Enumeration, severity),
        format!("which lists there are cannot be told: {error}"),
        Spot::file(path),
        "the list manager may not find its lists; new lists get no addresses, and sync is refused",
        Mend::Do("mount or mend what is named here".to_owned()),
    ));
}

fn database(view: &View<'_>, emptied: &[Emptied], findings: &mut Vec<Finding>) {
    let site = view.trees.site;
    let names = view.to_ask(MOST_ASKED);
    let files = view.found.files.iter();
    for file in files.filter(|file| !emptied.iter().any(|it| it.is_of(&file.path))) {
        match disk::verify(site, file, &names) {
            Ok(wrong) => findings.extend(wrong.into_iter().map(|text| {
                Finding::new(
                    (Kind::Database, Severity::Critical),
                    text,
                    Spot::file(&file.path),
                    "the MTA goes by its database, not by the text: what the text has and it has \
                     not bounces or goes to the wrong tree",
                    sync(site),
                )
            })),
            // Of a service the look at master.cf tells more.
            Err(AddressError::Unread(_, _, Some(_))) => {}
            Err(AddressError::Unread(what, mend, None)) => findings.push(Finding::new(
                (Kind::Aliases, Severity::Critical),
                what,
                Spot::file(&file.path),
                "mail to every list of this file bounces (unknown user)",
                Mend::Type(format!("{mend} && {}", typed(site, "sync"))),
            )),
            Err(error) => findings.push(Finding::new(
                (Kind::Database, Severity::Unknown),
                error.to_string(),
                Spot::file(&file.path),
                "whether the MTA goes by what stands in the text cannot be told",
                Mend::Do(format!(
                    "install or mend the MTA's tools, then {}",
                    typed(site, "sync")
                )),
            )),
        }
    }
}
