//! The report as a page: the answer first, then what differs, worst first, side by side.
//!
//! **Invariants.** What stands in a message is text, never markup (`page`); what would turn or hide the
//! text around it is written as an escape. Filters need no script and no server.

use std::time::Duration;

use maud::{Markup, html};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Played, Report};
use crate::page::{Tone, badge, page};
use crate::rehearsal::compare::{Example, Group, Times, Verdict, messages, words};

/// More words than this of one side are not compared word by word.
const MOST_WORDS: usize = 2000;

/// The page.
pub fn html(report: &Report) -> String {
    let title = title(report);
    let body = html! {
        header {
            h1 { (shown(&title)) }
            p { "Played " (report.when.to_string()) ": " code { (shown(&report.command)) } }
            p {
                "Each message went through both releases in a closed copy of the site, twice through the one \
                 in use; nothing was sent, and nothing of the site was changed."
            }
        }
        main {
            @for (number, played) in report.lists.iter().enumerate() { (list(number, played)) }
        }
        footer { "mm-deliver " (env!("CARGO_PKG_VERSION")) ": mm-parity rehearse --report" }
    };
    page(&shown(&title), &body)
}

fn title(report: &Report) -> String {
    match report.lists.as_slice() {
        [one] => format!("{}: {}", one.list, one.sentence()),
        all => {
            let same = all
                .iter()
                .filter(|played| played.findings.status() == 0)
                .count();
            match all.len() - same {
                0 => format!("{} lists come out the same with both releases", all.len()),
                others => format!(
                    "{others} of {} lists do not come out the same with both releases",
                    all.len()
                ),
            }
        }
    }
}

fn list(number: usize, played: &Played) -> Markup {
    let findings = &played.findings;
    html! {
        section {
            h2 { (shown(&played.list)) }
            p { (shown(&played.sentence())) "." }
            div class="cards" {
                (release("In use now", played, 0))
                (release("Would be used", played, 1))
            }
            @if !findings.doubts.is_empty() || !findings.unjudged.is_empty() { (unjudged(played)) }
            @if findings.groups.is_empty() {
                @if findings.status() == 0 { p { (badge(Tone::Good, "same")) "Nothing differs." } }
            } @else {
                h3 { "What differs" }
                div class="filtered" {
                    (filters(number, played))
                    div class="groups" { @for one in &findings.groups { (group(one)) } }
                    @if findings.more > 0 { p { "And " (findings.more) " more differences of other kinds." } }
                }
            }
            @for note in &played.notes { p class="faint" { "Note: " (shown(note)) } }
        }
    }
}

fn release(what: &str, played: &Played, side: usize) -> Markup {
    let findings = &played.findings;
    let (name, release) = &played.trees[side];
    let versions: Vec<String> = findings.data_versions[side]
        .iter()
        .map(u64::to_string)
        .collect();
    html! {
        div class="card" {
            h3 { (what) ": tree " (shown(name)) }
            p class="release" { (shown(release)) }
            p { (messages(findings.sent[side])) " sent" }
            p { (time(&findings.times[side])) }
            @if !versions.is_empty() { p { "data version afterwards: " (versions.join(" and ")) } }
        }
    }
}

fn time(times: &Times) -> String {
    let told = |took: Duration| match took.as_millis() {
        millis @ 0..=9_999 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    };
    format!(
        "{} a message, {} the longest",
        told(times.mean()),
        told(times.longest)
    )
}

fn unjudged(played: &Played) -> Markup {
    let findings = &played.findings;
    html! {
        div class="card trouble" {
            h3 { "Not judged" }
            ul {
                @for doubt in &findings.doubts { li { (shown(doubt)) } }
                @for (reason, (count, letters)) in &findings.unjudged {
                    li {
                        (messages(*count)) ": " (shown(reason)) ": "
                        @for letter in letters { code { (shown(&letter.name)) } " " }
                    }
                }
            }
        }
    }
}

/// A button for each verdict that there is; the style sheet shows the groups of the one that is pressed.
fn filters(number: usize, played: &Played) -> Markup {
    let findings = &played.findings;
    let there = Verdict::ALL
        .into_iter()
        .filter(|verdict| findings.having.contains_key(verdict));
    let name = format!("filter-{number}");
    html! {
        input type="radio" name=(name) id={ (name) "-all" } checked;
        label for={ (name) "-all" } { "all" }
        @for verdict in there {
            input type="radio" name=(name) id={ (name) "-" (slug(verdict)) } class={ "only-" (slug(verdict)) };
            label for={ (name) "-" (slug(verdict)) } {
                (verdict.word()) " " span class="count" { (findings.having[&verdict]) }
            }
        }
    }
}

fn slug(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Failed => "failed",
        Verdict::RecipientsLost => "lost",
        Verdict::RecipientsAdded => "added",
        Verdict::HeldDifferently => "held",
        Verdict::TextDiffers => "text",
        Verdict::DataDiffer => "data",
        Verdict::HeadersDiffer => "headers",
        Verdict::Slower => "slower",
        Verdict::Same => "same",
    }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Failed
        | Verdict::RecipientsLost
        | Verdict::RecipientsAdded
        | Verdict::HeldDifferently => Tone::Bad,
        Verdict::TextDiffers | Verdict::DataDiffer | Verdict::Slower => Tone::Notice,
        Verdict::HeadersDiffer => Tone::Plain,
        Verdict::Same => Tone::Good,
    }
}

fn group(group: &Group) -> Markup {
    html! {
        article class={ "card group is-" (slug(group.verdict)) } {
            h4 {
                (badge(tone(group.verdict), group.verdict.word()))
                (shown(&group.about)) span class="faint" { ", " (messages(group.count)) }
            }
            @for (number, one) in group.examples.iter().enumerate() {
                @if number == 0 { (example(one)) }
                @else {
                    details { summary { "another: " code { (shown(&one.letter.name)) } } (example(one)) }
                }
            }
        }
    }
}

fn example(example: &Example) -> Markup {
    let (old, new) = marked(&example.old, &example.new);
    html! {
        p class="faint" {
            code { (shown(&example.letter.name)) } " to " (shown(&example.letter.verb)) ": " (shown(&example.letter.about))
        }
        div class="sides" {
            div { span class="faint" { "now" } pre { (old) } }
            div { span class="faint" { "then" } pre { (new) } }
        }
    }
}

/// Both texts with the words marked that the other has not.
fn marked(old: &str, new: &str) -> (Markup, Markup) {
    let (one, other) = (words(old), words(new));
    if one.is_empty() || other.is_empty() || one.len().max(other.len()) > MOST_WORDS {
        let plain = |text: &str| html! { @if text.is_empty() { span class="faint" { "nothing" } } @else { (shown(text)) } };
        return (plain(old), plain(new));
    }
    let ops = capture_diff_slices(Algorithm::Myers, &one, &other);
    let side = |words: &[&str], range: &dyn Fn(&DiffOp) -> std::ops::Range<usize>| {
        html! {
            @for op in &ops {
                @let text = words[range(op)].concat();
                @if matches!(op, DiffOp::Equal { .. }) { (shown(&text)) }
                @else if !text.is_empty() { mark { (shown(&text)) } }
            }
        }
    };
    (
        side(&one, &DiffOp::old_range),
        side(&other, &DiffOp::new_range),
    )
}

/// A text in which nothing hides or turns what stands around it.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        match c {
            '\n' => shown.push(c),
            '\t' => shown.push(' '),
            c if c.is_control() || turns => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_differ_are_marked_and_no_text_becomes_markup() {
        let (old, new) = marked("the <b>list</b>\n", "the <i>list</i>\n");
        assert_eq!(
            old.into_string(),
            "the &lt;<mark>b</mark>&gt;list&lt;/<mark>b</mark>&gt;\n"
        );
        assert_eq!(
            new.into_string(),
            "the &lt;<mark>i</mark>&gt;list&lt;/<mark>i</mark>&gt;\n"
        );
        assert!(marked("", "x").0.into_string().contains("nothing"));
        assert_eq!(
            shown("a\u{202e}b\u{1b}[2J\u{200b}"),
            "a\\u{202e}b\\u{1b}[2J\\u{200b}"
        );
    }
}
