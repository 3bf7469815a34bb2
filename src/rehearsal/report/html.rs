//! The report as a page: fit to be attached to the announcement of an upgrade.
//!
//! The answer first; then, list by list, the verdicts, what could not be judged, and each kind of
//! difference with its first messages side by side. What is shown is chosen by radio buttons and the
//! style sheet: it works from a file, without a server and without a script, and on paper all is shown.
//!
//! **Invariants.** What a message or a program says is text, never markup (`page`), and nothing of it is
//! unseen (`words`). The page's size is bounded: beyond [`MOST`] differences are told without their texts.

use std::time::Duration;

use maud::{Markup, html as markup};

use super::words::{Piece, Row, rows, visible};
use super::{Played, Report};
use crate::page::{Tone, badge, page};
use crate::rehearsal::compare::{Example, Findings, Group, Times, Verdict, messages};

/// So many bytes of the messages' texts a page has at most.
const MOST: usize = 2 << 20;
/// So many differences of a list have their first message open.
const OPEN: usize = 10;
/// The class of what could not be judged; each verdict has its own.
const UNJUDGED: &str = "v-unjudged";

/// The page.
pub fn html(report: &Report) -> String {
    let headline = headline(report);
    let mut room = MOST;
    let parts: Vec<Markup> = (0..)
        .zip(&report.lists)
        .map(|(number, played)| list(number, played, report.lists.len() > 1, &mut room))
        .collect();
    let body = markup! {
        header {
            h1 { (headline) }
            p {
                "Rehearsed " (time(&report.when.to_string())) ": each message went to the current release twice \
                and to the future one once, in a copy of the site. Nothing was sent and nothing was changed. \
                What the current release itself does not do alike twice is no difference."
            }
        }
        main {
            @if report.lists.len() > 1 { (overview(report)) }
            @for part in &parts { (part) }
        }
        footer {
            "mm-deliver " (env!("CARGO_PKG_VERSION")) ": " code { (visible(&report.command)) }
        }
    };
    page(&title(report), &body)
}

/// For the window and whoever saves the page.
fn title(report: &Report) -> String {
    let Some(first) = report.lists.first() else {
        return "Rehearsal of no list".to_owned();
    };
    let releases = releases(first);
    let played: u64 = report.lists.iter().map(|one| one.findings.played()).sum();
    let who = match report.lists.len() {
        1 => visible(&first.list),
        count => format!("{count} lists"),
    };
    format!("{who}: {releases}, rehearsed with {}", messages(played))
}

fn releases(played: &Played) -> String {
    let [(_, now), (_, then)] = &played.trees;
    format!("{} to {}", visible(now), visible(then))
}

/// The answer, in one sentence.
fn headline(report: &Report) -> String {
    match report.lists.as_slice() {
        [] => "No list was rehearsed".to_owned(),
        [one] => format!("{}: {}", visible(&one.list), one.sentence()),
        all => {
            let of = |status: u8| {
                let lists = all.iter().filter(|one| one.findings.status() == status);
                lists.count()
            };
            let mut words = Vec::new();
            for (count, what) in [
                (of(10), "come out otherwise"),
                (of(11), "could not be judged"),
                (of(0), "stay the same"),
            ] {
                if count > 0 {
                    words.push(format!("{count} {what}"));
                }
            }
            format!("Of {} lists {}", all.len(), words.join(", "))
        }
    }
}

/// Several lists, a line for each.
fn overview(report: &Report) -> Markup {
    markup! {
        section {
            h2 { "Lists" }
            div class="card" {
                table {
                    thead {
                        tr { th { "list" } th { "releases" } th class="number" { "messages" } th { "outcome" } }
                    }
                    tbody {
                        @for (number, played) in report.lists.iter().enumerate() {
                            tr {
                                td class="name" { a href={ "#list-" (number) } { (visible(&played.list)) } }
                                td data-label="releases" { (releases(played)) }
                                td class="number" data-label="messages" { (played.findings.played()) }
                                td data-label="outcome" {
                                    @let worst = worst(&played.findings);
                                    @match worst {
                                        Some(verdict) => (badge(tone(verdict), verdict.word())),
                                        None => (badge(Tone::Notice, "not judged")),
                                    }
                                    @if worst.is_some() && is_in_doubt(&played.findings) {
                                        (badge(Tone::Notice, "in part not judged"))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn is_in_doubt(findings: &Findings) -> bool {
    findings.not_judged() > 0 || !findings.doubts.is_empty()
}

/// The worst verdict; "same" only where nothing speaks against it.
fn worst(findings: &Findings) -> Option<Verdict> {
    let worst = findings.worst.keys().next().copied();
    worst.filter(|verdict| *verdict != Verdict::Same || findings.status() == 0)
}

/// How bad a verdict is.
fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Same => Tone::Good,
        Verdict::Failed
        | Verdict::RecipientsLost
        | Verdict::RecipientsAdded
        | Verdict::HeldDifferently => Tone::Bad,
        Verdict::TextDiffers | Verdict::DataDiffer | Verdict::Slower => Tone::Notice,
        Verdict::HeadersDiffer => Tone::Plain,
    }
}

/// The class by which the style sheet tells a verdict's differences from others.
const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Failed => "v-failed",
        Verdict::RecipientsLost => "v-lost",
        Verdict::RecipientsAdded => "v-added",
        Verdict::HeldDifferently => "v-held",
        Verdict::TextDiffers => "v-text",
        Verdict::DataDiffer => "v-data",
        Verdict::HeadersDiffer => "v-headers",
        Verdict::Slower => "v-slower",
        Verdict::Same => "v-same",
    }
}

fn list(number: usize, played: &Played, is_one_of_many: bool, room: &mut usize) -> Markup {
    let findings = &played.findings;
    markup! {
        section class="rehearsal" id={ "list-" (number) } {
            @if is_one_of_many { h2 { (visible(&played.list)) ": " (played.sentence()) } }
            (facts(played))
            (bar(findings))
            (doubts(played))
            @if !findings.groups.is_empty() || !findings.unjudged.is_empty() {
                h2 { "What differs" }
                (choices(number, findings))
                div class="groups" {
                    @for (place, group) in findings.groups.iter().enumerate() {
                        (difference(played, group, place < OPEN, room))
                    }
                    @for (reason, (count, letters)) in &findings.unjudged {
                        article class={ "card group " (UNJUDGED) } {
                            (badge(Tone::Notice, "not judged"))
                            strong { (messages(*count)) }
                            p { (visible(reason)) }
                            p class="said" {
                                @let names: Vec<String> = letters.iter().map(|one| visible(&one.name)).collect();
                                (names.join(", "))
                                @if *count > letters.len() as u64 { " …" }
                            }
                        }
                    }
                }
                @if findings.more > 0 {
                    p { "And " (findings.more) " more differences of other kinds, which are only counted." }
                }
            }
            (notes(played))
        }
    }
}

/// Releases, messages, times: what one asks next.
fn facts(played: &Played) -> Markup {
    let findings = &played.findings;
    let side = |part: &str, n: usize| {
        let (tree, release) = &played.trees[n];
        let versions = findings.data_versions[n].iter().map(u64::to_string);
        let versions: Vec<String> = versions.collect();
        markup! {
            div class="card" {
                h3 { (part) " tree " (visible(tree)) }
                div class="release" { (visible(release)) }
                p { (took(&findings.times[n])) }
                p { (messages(findings.sent[n])) " sent on" }
                @if !versions.is_empty() { p { "version of the data afterwards: " (versions.join(", ")) } }
            }
        }
    };
    markup! {
        div class="cards" {
            (side("current", 0))
            (side("future", 1))
            div class="card" {
                h3 { "mail" }
                div class="release" { (messages(findings.played())) }
                p { (findings.own) " of the list's own" }
                @let built_in = findings.played().saturating_sub(findings.own);
                @if built_in > 0 { p { (built_in) " built in: what list managers find awkward" } }
            }
        }
    }
}

fn took(times: &Times) -> String {
    let mean = times.mean();
    match mean.is_zero() {
        true => "no time was taken".to_owned(),
        false => format!("{} a message, {} at most", span(mean), span(times.longest)),
    }
}

fn span(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..=9_999 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

/// How many messages have which verdict, as lengths.
fn bar(findings: &Findings) -> Markup {
    let played = findings.played().max(1);
    let mut shares: Vec<(&str, u64)> = findings
        .worst
        .iter()
        .map(|(verdict, count)| (class(*verdict), *count))
        .collect();
    shares.push((UNJUDGED, findings.not_judged()));
    markup! {
        @if findings.played() > 0 {
            div class="shares" aria-hidden="true" {
                @for (class, count) in shares.iter().filter(|(_, count)| *count > 0) {
                    span class=(class) style={ "flex-grow: " (count * 1_000 / played + 1) } {}
                }
            }
            ul class="verdicts" {
                @for (verdict, count) in &findings.worst {
                    li { span class={ "spot " (class(*verdict)) } {} b { (count) } " " (verdict.word()) }
                }
                @if findings.not_judged() > 0 {
                    li { span class={ "spot " (UNJUDGED) } {} b { (findings.not_judged()) } " not judged" }
                }
            }
        }
    }
}

/// What keeps all of it from being judged.
fn doubts(played: &Played) -> Markup {
    markup! {
        @if !played.findings.doubts.is_empty() {
            div class="card trouble" {
                h3 { "This does not say that all is well" }
                ul { @for doubt in &played.findings.doubts { li { (visible(doubt)) } } }
            }
        }
    }
}

fn notes(played: &Played) -> Markup {
    markup! {
        @if !played.notes.is_empty() {
            h2 { "Notes" }
            div class="card" { ul { @for note in &played.notes { li { (visible(note)) } } } }
        }
    }
}

/// The filter: one radio button for each verdict that is there, before what it chooses from.
fn choices(number: usize, findings: &Findings) -> Markup {
    let mut choices: Vec<(&str, &str, usize)> = vec![("v-all", "all", 0)];
    for verdict in Verdict::ALL {
        let groups = findings.groups.iter();
        let count = groups.filter(|group| group.verdict == verdict).count();
        choices.push((class(verdict), verdict.word(), count));
        choices[0].2 += count;
    }
    choices.push((UNJUDGED, "not judged", findings.unjudged.len()));
    choices[0].2 += findings.unjudged.len();
    choices.retain(|(_, _, count)| *count > 0);
    markup! {
        @for (at, (class, _, _)) in choices.iter().enumerate() {
            input type="radio" name={ "list-" (number) } id={ "list-" (number) "-" (class) }
                class={ "choice " (class) } checked[at == 0];
        }
        div class="choices" {
            @for (class, word, count) in &choices {
                label for={ "list-" (number) "-" (class) } class=(class) { (word) " " b { (count) } }
            }
        }
    }
}

/// One kind of difference, with its first messages.
fn difference(played: &Played, group: &Group, is_open: bool, room: &mut usize) -> Markup {
    let shown = group.examples.iter().take_while(|one| {
        let size = one.old.len() + one.new.len();
        let fits = size <= *room;
        *room = room.saturating_sub(size);
        fits
    });
    let shown: Vec<&Example> = shown.collect();
    markup! {
        article class={ "card group " (class(group.verdict)) } {
            h3 {
                (badge(tone(group.verdict), group.verdict.word()))
                (messages(group.count)) ": "
                @match group.verdict {
                    Verdict::HeadersDiffer => code { (visible(&group.about)) },
                    _ => (visible(&group.about)),
                }
            }
            @for (n, example) in shown.iter().enumerate() {
                details open[n == 0 && is_open] {
                    summary {
                        "in " code { (visible(&example.letter.name)) } " "
                        span class="said" {
                            "(" (visible(&example.letter.verb)) ") " (about(&example.letter.about))
                        }
                    }
                    (side_by_side(played, example))
                }
            }
            @if shown.len() < group.examples.len() {
                p class="said" { "More messages of it are in the JSON: the page would become too large." }
            }
        }
    }
}

/// What a letter is about, with its encoded words decoded.
fn about(text: &str) -> String {
    let header = format!("X: {text}");
    let decoded = mailparse::parse_header(header.as_bytes());
    visible(&decoded.map_or_else(|_| text.to_owned(), |(header, _)| header.get_value()))
}

/// How it is, and how it would be.
fn side_by_side(played: &Played, example: &Example) -> Markup {
    let [(_, now), (_, then)] = &played.trees;
    markup! {
        div class="diff" {
            div class="row head" {
                div { "now, " (visible(now)) }
                div { "then, " (visible(then)) }
            }
            @for row in rows(&example.old, &example.new) { (line(&row)) }
        }
    }
}

fn line(row: &Row) -> Markup {
    let side = |pieces: &Option<Vec<Piece>>, is_old: bool| {
        let class = match (row.is_same(), pieces, is_old) {
            (_, None, _) => "none",
            (true, ..) => "same",
            (false, _, true) => "old",
            (false, _, false) => "new",
        };
        markup! {
            div class=(class) {
                @for piece in pieces.iter().flatten() {
                    @match (piece.is_marked, is_old) {
                        (false, _) => (piece.text),
                        (true, true) => del { (piece.text) },
                        (true, false) => ins { (piece.text) },
                    }
                }
            }
        }
    };
    markup! {
        div class={ "row" @if row.is_same() { " alike" } } {
            (side(&row.old, true)) (side(&row.new, false))
        }
    }
}

fn time(when: &str) -> Markup {
    markup! { time datetime=(when) { (when) } }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Timestamp;
    use crate::rehearsal::outcome::Letter;

    const HOSTILE: &str =
        "</code></body><script>alert(1)</script><img src=x onerror=a>\"'&\u{202e}\u{1b}[2J";

    fn letter(name: &str) -> Letter {
        Letter {
            name: name.to_owned(),
            about: "Ann <ann@example.org>, =?utf-8?q?caf=C3=A9?=".to_owned(),
            verb: "post".to_owned(),
        }
    }

    fn group(verdict: Verdict, about: &str, old: &str, new: &str) -> Group {
        Group {
            verdict,
            about: about.to_owned(),
            count: 137,
            examples: vec![Example {
                letter: letter("toylist.mbox:12"),
                old: old.to_owned(),
                new: new.to_owned(),
            }],
        }
    }

    fn played(groups: Vec<Group>, worst: &[(Verdict, u64)]) -> Played {
        let tree = |name: &str, release: &str| (name.to_owned(), release.to_owned());
        Played {
            list: "toylist".to_owned(),
            trees: [tree("a", "2.1.39"), tree("b", "2.1.40")],
            findings: Findings {
                worst: worst.iter().copied().collect(),
                having: worst.iter().copied().collect(),
                groups,
                own: 3,
                ..Findings::default()
            },
            seen: (3, 0),
            notes: Vec::new(),
        }
    }

    fn report(lists: Vec<Played>) -> Report {
        Report {
            when: Timestamp::parse("2026-12-01T14:00:00Z").unwrap(),
            command: "mm-parity rehearse toylist".to_owned(),
            lists,
        }
    }

    #[test]
    fn the_answer_comes_first_and_the_title_says_what_was_rehearsed() {
        let groups = vec![group(
            Verdict::HeadersDiffer,
            "List-Unsubscribe",
            "a b",
            "a c",
        )];
        let worst = [(Verdict::HeadersDiffer, 137), (Verdict::Same, 3)];
        let page = html(&report(vec![played(groups, &worst)]));
        assert!(
            page.contains("<title>toylist: 2.1.39 to 2.1.40, rehearsed with 140 messages</title>")
        );
        let answer =
            "<h1>toylist: 137 of 140 messages come out otherwise; the worst: headers differ</h1>";
        assert!(page.contains(answer), "{page}");
        assert!(
            page.contains("<del>b</del>") && page.contains("<ins>c</ins>"),
            "{page}"
        );
        assert!(page.contains(", café"), "{page}");
    }

    #[test]
    fn nothing_that_a_message_or_a_program_says_is_markup_or_unseen() {
        let mut one = played(
            vec![group(
                Verdict::Failed,
                HOSTILE,
                HOSTILE,
                &format!("{HOSTILE}\n{HOSTILE}"),
            )],
            &[(Verdict::Failed, 1)],
        );
        one.list = HOSTILE.to_owned();
        one.trees = [0, 1].map(|_| (HOSTILE.to_owned(), HOSTILE.to_owned()));
        one.notes = vec![HOSTILE.to_owned()];
        let findings = &mut one.findings;
        findings.groups[0].examples[0].letter = Letter {
            name: HOSTILE.to_owned(),
            about: format!("{HOSTILE} =?utf-8?q?=3Cscript=3E_=E2=80=AE?="),
            verb: HOSTILE.to_owned(),
        };
        findings.doubts = vec![HOSTILE.to_owned()];
        let unjudged = (1, vec![letter(HOSTILE)]);
        findings.unjudged = BTreeMap::from([(HOSTILE.to_owned(), unjudged)]);
        let mut all = report(vec![one]);
        all.command = HOSTILE.to_owned();
        let page = html(&all);
        for word in [
            "<script",
            "<img",
            "</code></body>",
            "http:",
            "https:",
            "url(",
        ] {
            assert!(!page.contains(word), "{word} in {page}");
        }
        assert!(
            page.chars()
                .all(|c| c == '\n' || visible(&c.to_string()) == c.to_string()),
            "{page}"
        );
        assert!(page.matches("\\u{202e}\\u{1b}[2J").count() > 10);
    }

    #[test]
    fn what_is_not_judged_is_never_green() {
        let mut none = played(Vec::new(), &[(Verdict::Same, 2)]);
        none.findings.doubts = vec!["there is no mail of the list's own".to_owned()];
        let fine = played(Vec::new(), &[(Verdict::Same, 2)]);
        assert_eq!(
            (worst(&none.findings), worst(&fine.findings)),
            (None, Some(Verdict::Same))
        );
        let page = html(&report(vec![none, fine]));
        assert!(
            page.contains("Of 2 lists 1 could not be judged, 1 stay the same"),
            "{page}"
        );
        assert!(
            page.contains("This does not say that all is well"),
            "{page}"
        );
    }

    #[test]
    fn each_verdict_that_is_there_has_a_filter_and_a_rule() {
        let groups: Vec<Group> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Same)
            .map(|verdict| group(verdict, "x", "a", "b"))
            .collect();
        let page = html(&report(vec![played(groups, &[(Verdict::Failed, 8)])]));
        for verdict in Verdict::ALL {
            let (class, is_there) = (class(verdict), verdict != Verdict::Same);
            let label = format!("<label for=\"list-0-{class}\" class=\"{class}\">");
            assert_eq!(page.contains(&label), is_there, "{label}");
            let rule = format!(".choice.{class}:checked ~ .groups > :not(.{class})");
            assert_eq!(page.contains(&rule), is_there, "{rule}");
            assert!(page.contains(&format!(".{class} {{ --share:")), "{class}");
        }
        assert!(page.contains(&format!(
            ".choice.{UNJUDGED}:checked ~ .groups > :not(.{UNJUDGED})"
        )));
    }

    #[test]
    fn the_page_does_not_grow_without_bound() {
        let text = "word ".repeat(800);
        let groups = (0..600)
            .map(|_| group(Verdict::TextDiffers, "text", &text, "x"))
            .collect();
        let page = html(&report(vec![played(
            groups,
            &[(Verdict::TextDiffers, 600)],
        )]));
        assert!(page.len() < 2 * MOST, "{}", page.len());
        assert_eq!(page.matches("137 messages").count(), 600);
        assert!(page.contains("the page would become too large"));
    }
}
