//! For a terminal: short, worst first.

use std::fmt::Write;
use std::time::Duration;

use super::words::visible;
use super::{Played, Report};
use crate::rehearsal::compare::{Group, Times, Verdict, messages};
use crate::syslog;

/// So many groups are told of each list; the page has more.
const GROUPS: usize = 12;
/// So many lines of an example.
const LINES: usize = 6;
/// So many characters of a line.
const WIDTH: usize = 160;

/// The report.
pub fn text(report: &Report) -> String {
    report.lists.iter().map(list).collect::<Vec<_>>().join("\n")
}

fn list(played: &Played) -> String {
    let findings = &played.findings;
    let [current, future] = &played.trees;
    let mut text = String::new();
    let name = |tree: &(String, String)| printable(&format!("tree {} {}", tree.0, tree.1));
    let _ = writeln!(text, "{}: {}", played.list, played.sentence());
    let _ = writeln!(
        text,
        "  {} now, {} then; {} of the list's own",
        name(current),
        name(future),
        messages(findings.own)
    );
    for doubt in &findings.doubts {
        let _ = writeln!(text, "  not judged: {}", printable(doubt));
    }
    for (reason, (count, letters)) in &findings.unjudged {
        let names: Vec<String> = letters
            .iter()
            .map(|letter| printable(&letter.name))
            .collect();
        let _ = writeln!(
            text,
            "  not judged: {}: {} ({})",
            messages(*count),
            printable(reason),
            names.join(", ")
        );
    }
    for verdict in Verdict::ALL {
        if let Some(count) = findings.worst.get(&verdict) {
            let _ = writeln!(text, "  {count:>6}  {verdict}");
        }
    }
    for one in findings.groups.iter().take(GROUPS) {
        group(one, &mut text);
    }
    let more = findings.groups.len().saturating_sub(GROUPS);
    if more > 0 {
        let _ = writeln!(
            text,
            "  and {more} more kinds of differences: --report FILE.html shows them"
        );
    }
    if findings.more > 0 {
        let _ = writeln!(
            text,
            "  and {} more differences of other kinds, only counted",
            findings.more
        );
    }
    let versions: Vec<String> = findings
        .data_versions
        .iter()
        .map(|versions| {
            let all: Vec<String> = versions.iter().map(u64::to_string).collect();
            all.join(" and ")
        })
        .collect();
    if versions.iter().any(|version| !version.is_empty()) {
        let _ = writeln!(
            text,
            "  data version afterwards: {} now, {} then",
            versions[0], versions[1]
        );
    }
    let _ = writeln!(
        text,
        "  time a message: {} now, {} then; {} and {} sent",
        time(&findings.times[0]),
        time(&findings.times[1]),
        findings.sent[0],
        findings.sent[1]
    );
    for note in &played.notes {
        let _ = writeln!(text, "  note: {}", printable(note));
    }
    text
}

/// Text from outside, on one line, with nothing in it that a terminal obeys or that turns what stands
/// beside it.
fn printable(text: &str) -> String {
    syslog::printable(&visible(text))
}

fn time(times: &Times) -> String {
    format!(
        "{} (longest {})",
        millis(times.mean()),
        millis(times.longest)
    )
}

fn millis(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..=9_999 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

fn group(group: &Group, text: &mut String) {
    let _ = writeln!(
        text,
        "{}: {}: {}",
        messages(group.count),
        group.verdict,
        printable(&group.about)
    );
    let Some(example) = group.examples.first() else {
        return;
    };
    let _ = writeln!(
        text,
        "  in {} ({})",
        printable(&example.letter.name),
        printable(&example.letter.about)
    );
    for (mark, side) in [("-", &example.old), ("+", &example.new)] {
        let lines: Vec<&str> = side
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        for line in lines.iter().take(LINES) {
            let line: String = line.chars().take(WIDTH).collect();
            let _ = writeln!(text, "    {mark} {}", printable(&line));
        }
        if lines.len() > LINES {
            let _ = writeln!(text, "    {mark} […] {} lines more", lines.len() - LINES);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::clock::Timestamp;
    use crate::rehearsal::compare::{Example, Findings};
    use crate::rehearsal::outcome::Letter;

    #[test]
    fn it_is_short_and_nothing_in_it_moves_the_terminal() {
        const HOSTILE: &str = "a\u{1b}[2J\u{202e}b\u{9b}c\rd";
        let group = Group {
            verdict: Verdict::TextDiffers,
            about: HOSTILE.to_owned(),
            count: 7,
            examples: vec![Example {
                letter: Letter {
                    name: HOSTILE.to_owned(),
                    about: HOSTILE.to_owned(),
                    verb: "post".to_owned(),
                },
                old: format!("{HOSTILE}\n").repeat(90),
                new: HOSTILE.repeat(90),
            }],
        };
        let findings = Findings {
            worst: [(Verdict::TextDiffers, 7)].into(),
            groups: vec![group; 14],
            more: 3,
            doubts: vec![HOSTILE.to_owned()],
            ..Findings::default()
        };
        let tree = || (HOSTILE.to_owned(), HOSTILE.to_owned());
        let report = Report {
            when: Timestamp::parse("2026-12-01T14:00:00Z").unwrap(),
            command: HOSTILE.to_owned(),
            lists: vec![Played {
                list: "toylist".to_owned(),
                trees: [tree(), tree()],
                findings,
                seen: (7, 0),
                notes: vec![HOSTILE.to_owned()],
            }],
        };
        let text = text(&report);
        assert!(
            text.chars()
                .all(|c| c == '\n' || visible(&c.to_string()) == c.to_string()),
            "{text:?}"
        );
        assert!(
            text.starts_with("toylist: 7 of 7 messages come out otherwise"),
            "{text}"
        );
        assert!(text.lines().count() < 160 && text.lines().all(|line| line.len() < 1_100));
        assert!(
            text.contains("  and 2 more kinds of differences:"),
            "{text}"
        );
        assert!(
            text.contains("  and 3 more differences of other kinds"),
            "{text}"
        );
    }
}
