//! The map of lists of domains that site.toml names, against the aliases.
//!
//! **Invariants.** Changes nothing. Which lists there are is another look's matter.

use std::path::Path;

use super::Depth;
use crate::addresses::domains::{HEADER, Map};
use crate::addresses::error::AddressError;
use crate::addresses::postmap;
use crate::addresses::source;
use crate::addresses::typed::typed;
use crate::addresses::view::View;
use crate::addresses::virtual_map::Difference;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};

pub(super) fn look(view: &View<'_>, depth: Depth, findings: &mut Vec<Finding>) {
    let site = view.trees.site;
    let Some(path) = &site.config.virtual_map else {
        return;
    };
    let map = match Map::of(view) {
        Ok(map) => map,
        Err(AddressError::CannotEnumerate(_)) => return,
        Err(error) => return findings.push(useless(&site.path, &error)),
    };
    let sync = || Mend::Type(typed(site, "sync"));
    let text = match source::read(path) {
        Ok(original) => original.bytes().to_vec(),
        Err(error) => {
            return findings.push(Finding::new(
                (Kind::Virtual, Severity::Critical),
                format!("the lists' addresses in their domains are not there: {error}"),
                Spot::file(path),
                BOUNCES,
                sync(),
            ));
        }
    };
    if !text.is_empty() && !text.starts_with(HEADER.as_bytes()) {
        return findings.push(Finding::new(
            (Kind::Virtual, Severity::Warning),
            "it was not made by mm-aliases, and is left alone",
            Spot::file(path),
            "addresses of new lists bounce in their domain: nobody adds them",
            Mend::Do(format!(
                "name another file in site.toml ([aliases] virtual) and in virtual_alias_maps, then \
                 {}",
                typed(site, "sync")
            )),
        ));
    }
    let difference = Difference::of(&map, &text);
    if difference.is_none() && depth == Depth::Database {
        database(view, path, &map, findings);
    }
    let missing = difference.missing.iter();
    let missing = missing.map(|address| Spot::file(path).named(address));
    let stale = difference.stale.iter();
    let stale = stale.map(|(line, address)| Spot::line(path, *line).named(address));
    findings.extend(finding(
        (Severity::Critical, "missing in the lists' domains", BOUNCES),
        missing,
        sync(),
    ));
    findings.extend(finding(
        (
            Severity::Warning,
            "of a domain that no list has any more, or that another alias answers",
            "it is taken, and bounces then, or goes to a user of this host who has the name",
        ),
        stale,
        sync(),
    ));
}

const BOUNCES: &str =
    "mail to it bounces (user unknown in virtual alias table), though the alias is there";

fn useless(path: &Path, error: &AddressError) -> Finding {
    Finding::new(
        (Kind::Virtual, Severity::Warning),
        format!("`virtual` is set, and {error}"),
        Spot::file(path),
        "none goes astray: there is no address to be led anywhere",
        Mend::Do("set `domain` of the tree that has one, or remove `virtual`".to_owned()),
    )
}

fn finding(
    (severity, what, effect): (Severity, &str, &str),
    spots: impl ExactSizeIterator<Item = Spot>,
    mend: Mend,
) -> Option<Finding> {
    let counted = match spots.len() {
        1 => "1 address".to_owned(),
        n => format!("{n} addresses"),
    };
    let mut spots = spots;
    let first = spots.next()?;
    let what = format!("{counted} {what}");
    Some(Finding::new((Kind::Virtual, severity), what, first, effect, mend).also(spots))
}

/// Whether Postfix looks up what the text has.
fn database(view: &View<'_>, path: &Path, map: &Map, findings: &mut Vec<Finding>) {
    let site = view.trees.site;
    let sync = typed(site, "sync");
    let (severity, what, effect, mend) = match postmap::wrong(site, path, map) {
        Ok(None) => return,
        Ok(Some(what)) => (
            Severity::Critical,
            what,
            "Postfix goes by its map, not by the text: what the text has and it has not bounces",
            Mend::Type(sync),
        ),
        Err(AddressError::NoMap(path)) => (
            Severity::Critical,
            AddressError::NoMap(path.clone()).to_string(),
            BOUNCES,
            Mend::Do(format!(
                "add hash:{} to virtual_alias_maps, then {sync} && postfix reload",
                path.display()
            )),
        ),
        Err(error) => (
            Severity::Unknown,
            error.to_string(),
            "whether Postfix goes by what stands in the text cannot be told",
            Mend::Do(format!("install or mend Postfix' tools, then {sync}")),
        ),
    };
    let kind = (Kind::Virtual, severity);
    findings.push(Finding::new(kind, what, Spot::file(path), effect, mend));
}
