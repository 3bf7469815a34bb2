//! Services of Postfix that look aliases up in other files than site.toml names.
//!
//! **Invariants.** Changes nothing. That the MTA's tools cannot be asked is another look's finding.

use crate::addresses::disk;
use crate::addresses::view::View;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};

/// The service that delivers to local users, unless main.cf says otherwise.
const LOCAL: &str = "local/";

pub(super) fn look(view: &View<'_>, findings: &mut Vec<Finding>) {
    for file in &view.found.files {
        for other in disk::overrides(view.trees.site, file).unwrap_or_default() {
            let severity = match other.service.starts_with(LOCAL) {
                true => Severity::Critical,
                false => Severity::Warning,
            };
            let shown = |text: &str| crate::syslog::printable(text);
            findings.push(Finding::new(
                (Kind::Aliases, severity),
                format!(
                    "Postfix' service {} does not read it: master.cf has -o {}={}",
                    shown(&other.service),
                    shown(&other.parameter),
                    shown(&other.value)
                ),
                Spot::file(&file.path),
                "what that service delivers goes where its own maps say, or bounces, and follows no \
                 move",
                Mend::Do(format!(
                    "take that -o out of master.cf, or name {} in it too, then postfix reload",
                    file.path.display()
                )),
            ));
        }
    }
}
