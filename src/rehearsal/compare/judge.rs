//! One trial judged: what the future release did otherwise than the current one.
//!
//! **Invariants.** What the current release does not do alike twice is no difference; where that is who
//! gets mail, whether it is held, or how it ended, the trial is not judged at all.

use std::collections::{BTreeMap, BTreeSet};

use super::act::{data, ended, ending, held, slower};
use super::message::{MADE_ANEW, Message};
use super::tokens::{Hunk, hunks, is_same};
use super::turns::Turns;
use super::verdict::Verdict;
use crate::rehearsal::outcome::{Ending, Outcome, Trial};

/// By what the envelope's sender stands among the headers, none of which has a blank in its name.
const ENVELOPE: &str = "envelope sender";
/// By what one judges.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What takes so many times as long is slower.
    pub slower: u32,
    /// Headers that are others each time.
    pub volatile: Vec<String>,
}

/// A difference of one trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) verdict: Verdict,
    /// What it is about: `List-Unsubscribe`, `text/plain`.
    pub(super) about: String,
    /// How it was.
    pub(super) old: String,
    /// How it would be.
    pub(super) new: String,
    /// Who gets it; empty where that is nobody or all.
    pub(super) person: String,
}

impl Difference {
    /// One that is nobody's alone.
    pub(super) fn of(verdict: Verdict, about: &str, old: String, new: String) -> Difference {
        Difference {
            verdict,
            about: about.to_owned(),
            old,
            new,
            person: String::new(),
        }
    }
}

/// What came of a trial.
pub(super) enum Judged {
    /// What differs; nothing: it is the same.
    As(Vec<Difference>),
    /// The current release does not do the same twice, or could not end.
    Not(String),
}

/// A message as one recipient got it.
type Copies<'a> = BTreeMap<(String, String), Vec<&'a Message>>;

/// Judges one.
pub(super) fn judge(trial: &Trial, rules: &Rules, turns: &mut Turns) -> Judged {
    let [one, other] = &trial.current;
    if let Some(reason) = unsteady(one, other) {
        return Judged::Not(reason);
    }
    let parse = |outcome: &Outcome| -> Vec<(Message, Vec<String>)> {
        let sent = outcome.sent.iter();
        sent.map(|sent| {
            let to = sent.to.iter().map(|to| to.to_ascii_lowercase()).collect();
            let mut message = Message::parse(&sent.message, &rules.volatile);
            let from = vec![format!("<{}>", sent.from)];
            message.headers.insert(ENVELOPE.to_owned(), from);
            (message, to)
        })
        .collect()
    };
    let (first, second, new) = (parse(one), parse(other), parse(&trial.future));
    let (first, second, new) = (copies(&first), copies(&second), copies(&new));
    if count(&first) != count(&second) {
        return Judged::Not(format!(
            "the current release sends {} and, given the same once more, {}",
            told(&first),
            told(&second)
        ));
    }
    let mut found = Vec::new();
    ending(one, &trial.future, &mut found);
    // Of who failed it is no news that nothing was sent.
    if found.iter().all(|one| one.verdict != Verdict::Failed) {
        held(one, &trial.future, &mut found);
        sent([&first, &second], &new, turns, &mut found);
        data([one, other], &trial.future, turns, &mut found);
        slower([one, other], &trial.future, rules, &mut found);
    }
    Judged::As(found)
}

fn unsteady(one: &Outcome, other: &Outcome) -> Option<String> {
    let is_limit = |ending: Ending| matches!(ending, Ending::TimeUp | Ending::OverLimit);
    if is_limit(one.ending) || is_limit(other.ending) {
        return Some("the current release was not done within the limits".to_owned());
    }
    if one.ending == Ending::NotRun || other.ending == Ending::NotRun {
        return Some("the current release's program could not be started".to_owned());
    }
    if one.ending != other.ending {
        let (one, other) = (ended(one.ending), ended(other.ending));
        return Some(format!(
            "the current release {one} and, given the same once more, {other}"
        ));
    }
    (one.held != other.held)
        .then(|| "the current release holds it, and does not, by turns".to_owned())
}

/// By recipient and author: the same person may get a post and a notice.
fn copies(sent: &[(Message, Vec<String>)]) -> Copies<'_> {
    let mut all: Copies<'_> = BTreeMap::new();
    for (message, to) in sent {
        for recipient in to {
            let key = (recipient.clone(), message.from());
            all.entry(key).or_default().push(message);
        }
    }
    all
}

/// How many messages each recipient gets.
fn count<'a>(copies: &'a Copies<'_>) -> BTreeMap<&'a str, usize> {
    let mut all = BTreeMap::new();
    for ((recipient, _), messages) in copies {
        *all.entry(recipient.as_str()).or_default() += messages.len();
    }
    all
}

fn told(copies: &Copies<'_>) -> String {
    let all: usize = copies.values().map(Vec::len).sum();
    match all {
        1 => "1 message".to_owned(),
        all => format!("{all} messages"),
    }
}

fn sent(runs: [&Copies<'_>; 2], new: &Copies<'_>, turns: &mut Turns, found: &mut Vec<Difference>) {
    let (old_count, new_count) = (count(runs[0]), count(new));
    let people: BTreeSet<&str> = old_count.keys().chain(new_count.keys()).copied().collect();
    let (mut lost, mut added) = (Vec::new(), Vec::new());
    // What many get is compared once.
    let mut compared = BTreeSet::new();
    for person in people {
        let [before, after] =
            [&old_count, &new_count].map(|all| all.get(person).copied().unwrap_or(0));
        match before.cmp(&after) {
            std::cmp::Ordering::Greater => lost.push(person),
            std::cmp::Ordering::Less => added.push(person),
            std::cmp::Ordering::Equal => {}
        }
        let before = found.len();
        for [one, other, now] in pairs(person, runs, new) {
            if compared.insert([one, other, now].map(std::ptr::from_ref)) {
                headers([one, other], now, turns, found);
                parts([one, other], now, found);
            }
        }
        for one in &mut found[before..] {
            one.person = person.to_owned();
        }
    }
    let all = old_count.len();
    if !lost.is_empty() {
        found.push(Difference::of(
            Verdict::RecipientsLost,
            "recipients",
            recipients(all),
            format!("not to {}", few(&lost)),
        ));
    }
    if !added.is_empty() {
        found.push(Difference::of(
            Verdict::RecipientsAdded,
            "recipients",
            recipients(all),
            format!("also to {}", few(&added)),
        ));
    }
}

fn recipients(count: usize) -> String {
    match count {
        1 => "1 recipient".to_owned(),
        count => format!("{count} recipients"),
    }
}

fn few(people: &[&str]) -> String {
    let some = people
        .iter()
        .take(5)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match people.len() {
        0..=5 => some,
        more => format!("{some} and {} more", more - 5),
    }
}

/// What one person gets, message by message: of the same author first, then in the order in which they
/// came.
fn pairs<'a>(person: &str, runs: [&Copies<'a>; 2], new: &Copies<'a>) -> Vec<[&'a Message; 3]> {
    let mut all = Vec::new();
    let [first, second, mut new] = [runs[0], runs[1], new].map(|copies| {
        let from = (person.to_owned(), String::new());
        let own = copies.range(from..).take_while(|((to, _), _)| to == person);
        own.flat_map(|((_, from), messages)| {
            messages
                .iter()
                .map(move |message| (from.as_str(), *message))
        })
        .collect::<Vec<_>>()
    });
    for (n, (from, one)) in first.iter().enumerate() {
        let other = second.get(n).map_or(*one, |(_, other)| *other);
        let same = new.iter().position(|(author, _)| author == from);
        let Some(at) =
            same.or_else(|| (!new.is_empty() && first.len() <= n + new.len()).then_some(0))
        else {
            continue;
        };
        let (_, now) = new.remove(at);
        all.push([*one, other, now]);
    }
    all
}

fn headers(runs: [&Message; 2], new: &Message, turns: &mut Turns, found: &mut Vec<Difference>) {
    let all = [runs[0], runs[1], new].into_iter();
    let names: BTreeSet<&String> = all.flat_map(|message| message.headers.keys()).collect();
    for name in names {
        let none = Vec::new();
        let [one, other, now] = [runs[0], runs[1], new].map(|message| {
            let values = message.headers.get(name).unwrap_or(&none);
            let mut sorted: Vec<&str> = values.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            sorted.join("\n")
        });
        let is_there = |message: &Message| message.headers.contains_key(name);
        turns.count(&titled(name), runs.map(is_there), is_there(new));
        let is_steady = is_there(runs[0]) == is_there(runs[1]);
        // A date or a number of its own: each time another, and the future release's another one.
        if MADE_ANEW.contains(&name.as_str()) && is_steady && one != other && is_there(new) {
            let many = |message: &Message| message.headers.get(name).map_or(0, Vec::len);
            if many(runs[0]) == many(new) || many(runs[0]) != many(runs[1]) {
                continue;
            }
        }
        let is_other = is_there(runs[0]) != is_there(new) && is_steady;
        if is_other || is_steady && !is_same([&one, &other], &now) {
            let shown = |message: &Message, value: &str| match is_there(message) {
                false => String::new(),
                true => format!("{}: {value}", titled(name)),
            };
            found.push(Difference::of(
                Verdict::HeadersDiffer,
                &titled(name),
                shown(runs[0], &one),
                shown(new, &now),
            ));
        }
    }
}

/// `list-id` as people write it.
fn titled(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    });
    words.collect::<Vec<_>>().join("-")
}

fn parts(runs: [&Message; 2], new: &Message, found: &mut Vec<Difference>) {
    let [one, other, now] = [&runs[0].parts, &runs[1].parts, &new.parts];
    let kinds = |parts: &[super::message::Part]| {
        let kinds: Vec<&str> = parts.iter().map(|part| part.kind.as_str()).collect();
        kinds.join("\n")
    };
    if kinds(one) != kinds(other) {
        // Of what has not the same parts twice, the text as a whole is compared.
        let [one, other, now] = [one, other, now].map(|parts| {
            let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
            texts.join("\n")
        });
        return text("the parts", hunks([&one, &other], &now), found);
    }
    if kinds(one) != kinds(now) {
        found.push(Difference::of(
            Verdict::TextDiffers,
            "the parts",
            kinds(one),
            kinds(now),
        ));
        return;
    }
    for ((one, other), now) in one.iter().zip(other).zip(now) {
        text(&one.kind, hunks([&one.text, &other.text], &now.text), found);
    }
}

fn text(about: &str, hunks: Vec<Hunk>, found: &mut Vec<Difference>) {
    // The first ones tell it.
    for hunk in hunks.into_iter().take(8) {
        found.push(Difference::of(
            Verdict::TextDiffers,
            about,
            hunk.old,
            hunk.new,
        ));
    }
}
