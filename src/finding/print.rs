//! Findings as text for people, cron and Nagios; as JSON; as Prometheus' text format.
//!
//! **Invariants.** Prints nothing itself. Text has the worst finding first, is empty when there
//! is none, and holds no bar: Nagios takes what follows one for figures. No control character of
//! a file's text comes out unescaped.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Finding, Mend, Severity, Spot};
use crate::clock::Timestamp;
use crate::metrics::{Metrics, count, float, labelled};
use crate::syslog::printable;

/// How many places are told one by one in a line of text.
const MOST_SPOTS: usize = 5;

/// The forms of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, cron and Nagios
    Text,
    /// For programs
    Json,
    /// For Prometheus' textfile collector
    Prometheus,
}

/// What one run of `check` found.
#[derive(Debug)]
pub struct Report {
    program: &'static str,
    site: PathBuf,
    when: Timestamp,
    findings: Vec<Finding>,
}

impl Report {
    /// `program`: who looked; `site`: the path of site.toml.
    pub fn new(
        program: &'static str,
        site: impl Into<PathBuf>,
        mut findings: Vec<Finding>,
    ) -> Report {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Report {
            program,
            site: site.into(),
            when: Timestamp::now(),
            findings,
        }
    }

    /// That of the worst finding, in the numbers of Nagios' plugins.
    pub fn status(&self) -> u8 {
        let worst = self.findings.first();
        worst.map_or(0, |finding| finding.severity.status())
    }

    /// In one of the three forms.
    pub fn shown(&self, format: Format) -> String {
        match format {
            Format::Text => self.findings.iter().map(text).collect(),
            Format::Json => self.json(),
            Format::Prometheus => self.prometheus(),
        }
    }

    fn json(&self) -> String {
        let status = self.findings.first();
        let status = status.map_or("OK", |finding| finding.severity.word());
        let rows: Vec<Value> = self.findings.iter().map(row).collect();
        let value = json!({
            "format": 1,
            "program": self.program,
            "site": self.site.to_string_lossy(),
            "time": self.when.to_string(),
            "status": status,
            "findings": rows,
        });
        escaped(&format!("{value:#}\n"))
    }

    fn prometheus(&self) -> String {
        let site = self.site.to_string_lossy();
        let mut page = Metrics::new(&[("program", self.program), ("site", &site)]);
        page.one(
            "mm_deliver_check_status",
            "The worst finding: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
            f64::from(self.status()),
        );
        page.one(
            "mm_deliver_check_time_seconds",
            "When this was found out, in seconds since 1970.",
            float(self.when.0),
        );
        page.family(
            "mm_deliver_findings",
            "How many things are not as they should be, by severity.",
            Severity::ALL.map(|severity| {
                let word = severity.word().to_ascii_lowercase();
                let its = self.findings.iter().filter(|one| one.severity == severity);
                (labelled(&[("severity", &word)]), count(its.count()))
            }),
        );
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for finding in &self.findings {
            let severity = finding.severity.word().to_ascii_lowercase();
            let labels = labelled(&[("kind", finding.kind.word()), ("severity", &severity)]);
            *places.entry(labels).or_default() += finding.spots.len();
        }
        if !places.is_empty() {
            page.family(
                "mm_deliver_finding_places",
                "In how many places things are not as they should be, by kind.",
                places.into_iter().map(|(labels, n)| (labels, count(n))),
            );
        }
        page.text()
    }
}

fn text(finding: &Finding) -> String {
    let what = format!("{}: {}", finding.kind.word(), finding.what);
    let mut spots: Vec<String> = finding.spots.iter().map(Spot::to_string).collect();
    let more = spots.len().saturating_sub(MOST_SPOTS);
    spots.truncate(MOST_SPOTS);
    let more = match more {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let lines = format!(
        "{}: {}\n  where: {}{more}\n  mail: {}\n  mend: {}\n",
        finding.severity.word(),
        printable(&what),
        spots.join(", "),
        printable(&finding.effect),
        printable(finding.mend.text())
    );
    lines.replace('|', "\\x7c")
}

fn row(finding: &Finding) -> Value {
    let spots: Vec<Value> = finding
        .spots
        .iter()
        .map(|spot| {
            json!({
                "file": spot.file.to_string_lossy(),
                "line": spot.line,
                "name": spot.name,
            })
        })
        .collect();
    json!({
        "severity": finding.severity.word(),
        "kind": finding.kind.word(),
        "what": finding.what,
        "where": spots,
        "effect": finding.effect,
        "mend": finding.mend.text(),
        "is_command": matches!(finding.mend, Mend::Type(_)),
    })
}

/// JSON that a terminal takes: beyond what JSON demands, DEL and the C1 controls are escaped.
/// They stand only within strings.
fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => safe.push(c),
            c if c.is_control() => {
                let _ = write!(safe, "\\u{:04x}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn finding(severity: Severity, what: &str, file: &str) -> Finding {
        let spot = Spot::line(file, 12).named("toy|list\u{1b}[2J");
        let mend = Mend::Do("remove it".to_owned());
        Finding::new((Kind::Double, severity), what, spot, "the first wins", mend)
    }

    fn report(findings: Vec<Finding>) -> Report {
        Report::new("mm-parity", "/a \"b\"\\c\nd", findings)
    }

    #[test]
    fn text_has_the_worst_first_and_nothing_that_nagios_or_a_terminal_obeys() {
        let report = report(vec![
            finding(Severity::Warning, "one", "/etc/aliases"),
            finding(Severity::Critical, "two | 2", "/etc/a\u{9b}b"),
            finding(Severity::Unknown, "three", "/x"),
        ]);
        assert_eq!(report.status(), 2);
        let text = report.shown(Format::Text);
        let firsts: Vec<&str> = text.lines().step_by(4).collect();
        assert_eq!(
            firsts,
            [
                "CRITICAL: address-double: two \\x7c 2",
                "UNKNOWN: address-double: three",
                "WARNING: address-double: one",
            ]
        );
        assert!(!text.contains('|'), "{text}");
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        assert!(text.contains("  where: /etc/aliases:12: toy"), "{text}");
        assert!(
            text.contains("  mail: the first wins\n  mend: remove it\n"),
            "{text}"
        );
    }

    #[test]
    fn nothing_found_is_silence_and_status_0() {
        let report = report(Vec::new());
        assert_eq!(
            (report.status(), report.shown(Format::Text).as_str()),
            (0, "")
        );
    }

    #[test]
    fn more_places_than_a_line_takes_are_counted() {
        let many = finding(Severity::Warning, "many", "/x")
            .also((1..=6).map(|n| Spot::line("/etc/aliases", n)));
        let text = report(vec![many]).shown(Format::Text);
        assert!(text.contains("/etc/aliases:4 and 2 more\n"), "{text}");
    }

    #[test]
    fn labels_are_escaped_and_each_family_has_its_head() {
        let found = vec![finding(Severity::Critical, "x", "/y")];
        let text = report(found).shown(Format::Prometheus);
        assert!(text.contains(r#"site="/a \"b\"\\c\nd""#), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split('{').next().unwrap_or_default();
            let head = format!("# TYPE {name} gauge\n");
            assert_eq!(text.matches(&head).count(), 1, "{line}");
            assert_eq!(
                text.matches(&format!("# HELP {name} ")).count(),
                1,
                "{line}"
            );
        }
    }

    #[test]
    fn each_kind_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> =
            Kind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
    }
}
