//! The hooks of site.toml: whether they could be run, and what one of them left behind.
//!
//! **Invariants.** None is run.

use crate::admin::hooks::{fault, named, note};
use crate::admin::outcome::typed;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::settings::{Hook, Settings};
use crate::site::Site;
use crate::store;

pub(super) fn look(site: &Site, findings: &mut Vec<Finding>) {
    match Settings::of(site) {
        Ok(settings) => {
            let rows = settings.hooks.iter();
            findings.extend(rows.flat_map(|row| unsound(site, row)));
        }
        Err(error) => findings.push(Finding::new(
            (Kind::Hook, Severity::Warning),
            error.to_string(),
            Spot::of_site(&error, &site.path),
            "none waits; what goes ahead is refused, what goes back runs no hook",
            Mend::Do("correct the file".to_owned()),
        )),
    }
    findings.extend(left_behind(site));
}

/// What of a row could not be run.
fn unsound(site: &Site, row: &Hook) -> Vec<Finding> {
    let effect = match row.on.is_back() {
        true => format!("none waits; a {} goes on without it", row.on.word()),
        false => format!("none waits; each {} is refused", row.on.word()),
    };
    let programs = row.programs().filter_map(|(step, argv)| {
        let program = argv.first()?;
        let fault = fault(site, program)?;
        Some(Finding::new(
            (Kind::Hook, Severity::Warning),
            format!("{step} {}: {fault}", named(site, argv, row.line)),
            Spot::line(&site.path, row.line).named(program),
            effect.clone(),
            Mend::Do("mend what is named here, or take the row out".to_owned()),
        ))
    });
    programs.collect()
}

fn left_behind(site: &Site) -> Option<Finding> {
    let file = Spot::file(site.config.state.join("prepared.jsonl"));
    const NONE: &str = "none waits; what was prepared stays where it is";
    match store::prepared(site) {
        // It is root's alone: who may not look is not to be told at each check.
        Err(store::StoreError::File(_, error))
            if error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            None
        }
        Err(error) => Some(Finding::new(
            (Kind::HookLeft, Severity::Warning),
            error.to_string(),
            Spot::of_store(&error, &site.path),
            NONE,
            Mend::Do("repair or remove that line".to_owned()),
        )),
        Ok(_) => Some(Finding::new(
            (Kind::HookLeft, Severity::Warning),
            note(site)?,
            file,
            NONE,
            Mend::Type(typed(site, "undo --prepared")),
        )),
    }
}
