//! Sendmail's restricted shell: it runs what is linked in its own directory, and nothing else.
//!
//! A command that is not linked there ends in status 69, and the message bounces at once: the one
//! way in which mail is lost before mm-deliver is asked.
//!
//! **Invariants.** Reads sendmail.cf and looks at one link; asks nothing of Sendmail.

use std::fs;
use std::path::{Path, PathBuf};

use crate::addresses::smrsh::{CONFIGURATION, links, restricted};
use crate::config::Mta;
use crate::finding::{Finding, Kind, Mend, Severity, Spot};
use crate::site::Site;

pub(super) fn look(site: &Site, findings: &mut Vec<Finding>) {
    if site.config.mta != Mta::Sendmail {
        return;
    }
    findings.extend(judge(
        &site.config.program,
        Path::new(CONFIGURATION),
        &links(site),
    ));
}

fn judge(program: &Path, configuration: &Path, links: &Path) -> Option<Finding> {
    let unknown = |error: &std::io::Error| {
        Finding::new(
            (Kind::Smrsh, Severity::Unknown),
            format!("whether Sendmail uses its restricted shell cannot be told: {error}"),
            Spot::file(configuration),
            "with smrsh and no link to mm-deliver it bounces",
            Mend::Do("as root: mm-parity check".to_owned()),
        )
    };
    let text = match fs::read(configuration) {
        Ok(text) => text,
        Err(error) => return Some(unknown(&error)),
    };
    let line = restricted(&String::from_utf8_lossy(&text))?;
    let link = links.join(program.file_name()?);
    let leads = fs::canonicalize(&link).ok();
    if leads.is_some() && leads == fs::canonicalize(program).ok() {
        return None;
    }
    let what = match leads {
        None => format!("{link:?} does not lead to {program:?}, and Sendmail runs nothing else"),
        Some(other) => format!("{link:?} leads to {other:?}, and not to {program:?}"),
    };
    Some(Finding::new(
        (Kind::Smrsh, Severity::Critical),
        what,
        Spot::line(configuration, line),
        "every message to a list bounces at once (status 69)",
        Mend::Type(format!("ln -sfn {} {}", shown(program), shown(&link))),
    ))
}

/// Both are paths that need no quotes: site.toml's `program` has none but plain bytes.
fn shown(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    const PLAIN: &str =
        "Mlocal,\tP=/usr/lib/smrsh/x, F=l\nMprog,\t\tP=/bin/sh, F=lsDFMoqeu9,\n\t\tA=sh -c $u\n";
    const SMRSH: &str = "# Mprog, P=/bin/sh\nMlocal, P=[IPC], F=l\nMprog,\t\tF=lsDFMoqeu9, S=1,\n\t\tP=/usr/lib/sm.bin/smrsh,\n\t\tA=smrsh -c $u\n";

    #[test]
    fn the_mailer_of_programs_tells_whether_the_shell_is_restricted() {
        assert_eq!(restricted(PLAIN), None);
        assert_eq!(restricted(SMRSH), Some(3));
        assert_eq!(restricted(""), None);
    }

    #[test]
    fn a_link_that_is_missing_or_leads_elsewhere_is_critical() {
        let dir = std::env::temp_dir().join(format!("mm-smrsh-{}", std::process::id()));
        let (cf, links) = (dir.join("sendmail.cf"), dir.join("smrsh"));
        let program = dir.join("mm-deliver");
        fs::create_dir_all(&links).unwrap();
        fs::write(&program, "").unwrap();
        let found = || judge(&program, &cf, &links).map(|finding| finding.severity());
        assert_eq!(found(), Some(Severity::Unknown));
        fs::write(&cf, PLAIN).unwrap();
        assert_eq!(found(), None);
        fs::write(&cf, SMRSH).unwrap();
        assert_eq!(found(), Some(Severity::Critical));
        let link = links.join("mm-deliver");
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        assert_eq!(found(), Some(Severity::Critical));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&program, &link).unwrap();
        assert_eq!(found(), None);
        fs::remove_dir_all(&dir).unwrap();
    }
}
