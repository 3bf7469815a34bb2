//! What comes and goes by turns: headers and changed files that the current release has in one of two
//! runs.
//!
//! A single message says nothing of them, for what differs between two runs is noise. Over all messages
//! they are counted: where the future release has one clearly more often than the current one, or less
//! often, that is no chance any more, and it is told.
//!
//! **Invariants.** So many names are counted; memory does not grow with the messages.

use std::collections::BTreeMap;

/// So many names are counted.
const NAMES: usize = 2_000;

/// How often each was there.
#[derive(Debug, Default)]
pub(super) struct Turns(BTreeMap<String, Count>);

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    /// In how many messages it was seen at all.
    seen: u64,
    /// In how many it was there in one of the two runs of the current release.
    unsteady: u64,
    /// How often in both runs together.
    old: u64,
    /// How often with the future release.
    new: u64,
}

impl Turns {
    /// Counts one message: whether `name` is there in the two runs, and with the future release.
    pub(super) fn count(&mut self, name: &str, [one, other]: [bool; 2], new: bool) {
        if self.0.len() >= NAMES && !self.0.contains_key(name) {
            return;
        }
        let count = self.0.entry(name.to_owned()).or_default();
        count.seen += 1;
        count.unsteady += u64::from(one != other);
        count.old += u64::from(one) + u64::from(other);
        count.new += u64::from(new);
    }

    /// What is not there as often as it was, in words.
    pub(super) fn told(&self) -> Vec<String> {
        let all = self.0.iter().filter(|(_, count)| count.is_clear());
        all.map(|(name, count)| {
            format!(
                "{name}: the current release has it by turns, in {}% of its runs, and the future one in {}%",
                count.old * 50 / count.seen,
                count.new * 100 / count.seen
            )
        })
        .collect()
    }
}

impl Count {
    /// Whether more than chance is at work: a quarter more or less, and two messages more than what
    /// such chance makes in twenty rehearsals.
    #[expect(clippy::cast_precision_loss, reason = "counts of messages")]
    fn is_clear(&self) -> bool {
        let (old, new) = (self.old as f64 / 2.0, self.new as f64);
        let (low, high) = (old.min(new), old.max(new));
        // Of n messages, 2p(1-p)n are unsteady; the variance of `new` is p(1-p)n, that of `old` half of it.
        let chance = (0.75 * self.unsteady as f64).sqrt();
        self.unsteady > 0 && high > low * 1.25 && high - low >= 2.0 + 2.0 * chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(messages: &[([bool; 2], bool)]) -> Vec<String> {
        let mut turns = Turns::default();
        for (runs, new) in messages {
            turns.count("X-Note", *runs, *new);
        }
        turns.told()
    }

    #[test]
    fn what_comes_by_turns_and_then_always_or_never_is_told() {
        let half = |n: usize| [n.is_multiple_of(2), n % 4 < 2];
        for always in [true, false] {
            let messages: Vec<_> = (0..20).map(|n| (half(n), always)).collect();
            let told = counted(&messages);
            let percent = if always { "100%" } else { "0%" };
            assert!(
                told[0].contains("in 50% of its runs") && told[0].ends_with(percent),
                "{told:?}"
            );
        }
        let same: Vec<_> = (0..20).map(|n| (half(n), n % 3 > 0)).collect();
        assert!(counted(&same).is_empty());
        // What both runs have, or neither, is told message by message.
        let steady: Vec<_> = (0..20).map(|_| ([true, true], false)).collect();
        assert!(counted(&steady).is_empty());
    }

    proptest! {
        /// Whatever the order in which a release has it: from one run in ten to one in two is told.
        #[test]
        fn in_half_of_the_runs_is_more_than_in_a_tenth(order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let of = |n: usize| ([n.is_multiple_of(10), n % 10 == 5], n.is_multiple_of(2));
            let messages: Vec<_> = order.into_iter().map(of).collect();
            prop_assert_eq!(counted(&messages).len(), 1);
        }

        /// As often as before is never told, whatever comes with what.
        #[test]
        fn as_often_as_before_is_chance(runs in prop::collection::vec(any::<[bool; 2]>(), 1..60)) {
            let messages: Vec<_> = runs.iter().map(|&runs| (runs, runs[1])).collect();
            let old = runs.iter().flatten().filter(|is| **is).count();
            let new = messages.iter().filter(|(_, new)| *new).count();
            if old.abs_diff(2 * new) < 4 {
                prop_assert!(counted(&messages).is_empty());
            }
        }
    }
}
