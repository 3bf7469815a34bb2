//! Words behind the colon as destinations.
//!
//! **Invariants**: words are grouped, never changed.

use std::ops::Range;

use super::words::{Token, TokenKind};

/// Groups the words behind the colon into destinations, as ranges of `words`, in order.
///
/// From right to left, as Postfix does it: a destination ends where two words meet without an
/// operator between them (a missing comma), at a comma, and at the brackets of `Some Name
/// <address>` and `group: address, address;`, whose decoration is nobody's destination.
///
/// Not mimicked: postalias stores a `\]` inside brackets as `]`, which ends them at delivery.
pub(super) fn destinations(words: &[&Token]) -> Vec<Range<usize>> {
    let mut groups = Grouping {
        words,
        found: Vec::new(),
        right: words.len(),
        at: words.len(),
    };
    let mut word_may_follow = true;
    let mut in_group = false;
    while let Some(word) = groups.current() {
        match word.kind {
            TokenKind::Operator(b':') if in_group => {
                groups.name_of_group();
                continue;
            }
            TokenKind::Operator(b'>') => {
                groups.angle();
                word_may_follow = true;
                continue;
            }
            TokenKind::Operator(b',' | b';') => {
                groups.close();
                in_group |= word.is(b';');
                word_may_follow = true;
            }
            TokenKind::Operator(_) => word_may_follow = true,
            _ => {
                if !word_may_follow {
                    groups.close();
                    groups.right = groups.at;
                }
                word_may_follow = false;
            }
        }
        groups.at -= 1;
    }
    groups.close();
    groups.found.reverse();
    groups.found
}

/// The state of [`destinations`]. `at` is one more than the index of the word looked at (0: none
/// left); what is between it and `right` is the destination being collected.
struct Grouping<'w, 't> {
    words: &'w [&'t Token],
    found: Vec<Range<usize>>,
    right: usize,
    at: usize,
}

impl<'t> Grouping<'_, 't> {
    fn current(&self) -> Option<&'t Token> {
        self.at.checked_sub(1).map(|index| self.words[index])
    }

    /// Takes what was collected as a destination; the current word bounds the next one.
    fn close(&mut self) {
        if self.at < self.right {
            self.found.push(self.at..self.right);
        }
        self.right = self.at.saturating_sub(1);
    }

    fn skip_until(&mut self, stop: impl Fn(&Token) -> bool) {
        while self.current().is_some_and(|word| !stop(word)) {
            self.at -= 1;
        }
    }

    /// `:` of `group: address;`: collects the address and passes over the group's name.
    fn name_of_group(&mut self) {
        self.close();
        self.skip_until(|word| word.is(b','));
        self.right = self.at.saturating_sub(1);
    }

    /// `>` of `Some Name <address>`: collects the address and passes over the name.
    fn angle(&mut self) {
        self.close();
        self.skip_until(|word| word.is(b'<'));
        self.close();
        self.skip_until(|word| b">;,:".iter().any(|stop| word.is(*stop)));
        self.right = self.at.saturating_sub(1);
    }
}
