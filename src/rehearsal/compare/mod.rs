//! What the future release does otherwise, over all messages of a list.
//!
//! `judge` says it of one; here the same is counted once: a difference that repeats is a group, with its
//! first examples.
//!
//! **Invariants.** Memory does not grow with the number of messages: so many groups, so many examples of
//! each, so much text of each example. What is beyond is counted.

mod act;
mod clocks;
mod judge;
mod key;
mod message;
mod tokens;
mod turns;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::outcome::{Letter, Trial};
pub use judge::Rules;
use judge::{Difference, Judged};
use key::{Key, key};
use turns::Turns;
pub use verdict::Verdict;

/// So many groups are told.
const GROUPS: usize = 300;
/// So many messages of each are named.
const EXAMPLES: usize = 3;
/// So much of each is kept, in characters.
const KEPT: usize = 4000;
/// So many reasons why something could not be judged.
const REASONS: usize = 20;

/// A difference that one or more messages have.
#[derive(Debug, Clone)]
pub struct Group {
    /// What it is.
    pub verdict: Verdict,
    /// What it is about.
    pub about: String,
    /// How many messages have it.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// One message of a group.
#[derive(Debug, Clone)]
pub struct Example {
    /// Which.
    pub letter: Letter,
    /// How it is with the current release.
    pub old: String,
    /// How it would be.
    pub new: String,
}

/// How long messages took with one release.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// All together.
    pub sum: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Times {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.sum += took;
        self.longest = self.longest.max(took);
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        self.sum
            .checked_div(u32::try_from(self.count).unwrap_or(u32::MAX))
            .unwrap_or_default()
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many messages have it as their worst verdict.
    pub worst: BTreeMap<Verdict, u64>,
    /// How many have it at all.
    pub having: BTreeMap<Verdict, u64>,
    /// The differences, worst first, then the most frequent.
    pub groups: Vec<Group>,
    /// How many differences belong to no group that is told.
    pub more: u64,
    /// Why messages could not be judged, and how many, by reason.
    pub unjudged: BTreeMap<String, (u64, Vec<Letter>)>,
    /// Times with the current release and with the future one.
    pub times: [Times; 2],
    /// How many messages were sent by the current release, and by the future one.
    pub sent: [u64; 2],
    /// The versions of the data afterwards, of both.
    pub data_versions: [BTreeSet<u64>; 2],
    /// How many of the messages were the list's own.
    pub own: u64,
    /// What else keeps all of it from being judged.
    pub doubts: Vec<String>,
}

impl Findings {
    /// How many messages were played.
    pub fn played(&self) -> u64 {
        self.worst.values().sum::<u64>() + self.not_judged()
    }

    /// How many of them could not be judged.
    pub fn not_judged(&self) -> u64 {
        self.unjudged.values().map(|(count, _)| count).sum()
    }

    /// 0: all the same; 10: something differs; 11: something could not be judged.
    pub fn status(&self) -> u8 {
        let is_other = self.worst.keys().any(|verdict| *verdict != Verdict::Same);
        match (is_other, self.not_judged() > 0 || !self.doubts.is_empty()) {
            (true, _) => 10,
            (false, true) => 11,
            (false, false) => 0,
        }
    }

    /// Whether a list may move with these verdicts.
    ///
    /// # Errors
    /// Each thing that speaks against it.
    pub fn within(&self, accept: &[Verdict]) -> Result<(), Vec<String>> {
        let mut against: Vec<String> = self.doubts.clone();
        for (verdict, count) in &self.having {
            if *verdict != Verdict::Same && !accept.contains(verdict) {
                against.push(format!("{}: {verdict}", messages(*count)));
            }
        }
        if self.not_judged() > 0 {
            against.push(format!(
                "{} could not be judged",
                messages(self.not_judged())
            ));
        }
        match against.is_empty() {
            true => Ok(()),
            false => Err(against),
        }
    }
}

/// `1 message`, `7 messages`.
pub fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

/// Judges trials, one after the other.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    groups: BTreeMap<Key, Group>,
    findings: Findings,
    turns: Turns,
}

impl Judge {
    /// By these rules.
    pub fn new(rules: Rules) -> Judge {
        Judge {
            rules,
            groups: BTreeMap::new(),
            findings: Findings::default(),
            turns: Turns::default(),
        }
    }

    /// Judges one more; whether it is the list's own mail.
    pub fn add(&mut self, trial: &Trial, is_own: bool) {
        let findings = &mut self.findings;
        findings.own += u64::from(is_own);
        let [one, other] = &trial.current;
        for took in [one.took, other.took] {
            findings.times[0].add(took);
        }
        findings.times[1].add(trial.future.took);
        for (side, outcome) in [(0, one), (1, &trial.future)] {
            findings.sent[side] += outcome.sent.len() as u64;
            findings.data_versions[side].extend(outcome.data_version);
        }
        match judge::judge(trial, &self.rules, &mut self.turns) {
            Judged::Not(reason) => self.doubt(reason, &trial.letter),
            Judged::As(differences) => self.note(&trial.letter, differences),
        }
    }

    fn doubt(&mut self, reason: String, letter: &Letter) {
        let unjudged = &mut self.findings.unjudged;
        let reason = match unjudged.len() < REASONS || unjudged.contains_key(&reason) {
            true => reason,
            false => "other reasons".to_owned(),
        };
        let entry = unjudged.entry(reason).or_default();
        entry.0 += 1;
        if entry.1.len() < EXAMPLES {
            entry.1.push(letter.clone());
        }
    }

    fn note(&mut self, letter: &Letter, differences: Vec<Difference>) {
        let verdicts: BTreeSet<Verdict> = differences.iter().map(|one| one.verdict).collect();
        let worst = verdicts.first().copied().unwrap_or(Verdict::Same);
        *self.findings.worst.entry(worst).or_default() += 1;
        for verdict in verdicts {
            *self.findings.having.entry(verdict).or_default() += 1;
        }
        let mut seen = BTreeSet::new();
        for difference in differences {
            let key = key(&difference, letter);
            if !seen.insert(key.clone()) {
                continue;
            }
            if !self.groups.contains_key(&key) && self.groups.len() >= GROUPS {
                self.findings.more += 1;
                continue;
            }
            let group = self.groups.entry(key).or_insert_with(|| Group {
                verdict: difference.verdict,
                about: difference.about.clone(),
                count: 0,
                examples: Vec::new(),
            });
            group.count += 1;
            if group.examples.len() < EXAMPLES {
                group.examples.push(Example {
                    letter: letter.clone(),
                    old: cut(&difference.old),
                    new: cut(&difference.new),
                });
            }
        }
    }

    /// What was found.
    pub fn end(self) -> Findings {
        let mut findings = self.findings;
        findings.groups = self.groups.into_values().collect();
        findings
            .groups
            .sort_by(|a, b| (a.verdict, b.count, &a.about).cmp(&(b.verdict, a.count, &b.about)));
        findings.doubts.extend(self.turns.told());
        if findings.played() == 0 {
            findings.doubts.push("no message was played".to_owned());
        } else if findings.own == 0 {
            findings.doubts.push(
                "there is no mail of the list's own: only built-in messages were played".to_owned(),
            );
        }
        if findings.played() > 0 && findings.sent[0] == 0 {
            findings.doubts.push(
                "the current release sent nothing at all: does it hand mail to another port or another \
                 program than its profile says?"
                    .to_owned(),
            );
        }
        findings
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(KEPT) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}\n[…]", &text[..at]),
    }
}
