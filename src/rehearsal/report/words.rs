//! Two texts side by side, line by line, with the words marked that differ; and outside text made visible.
//!
//! **Invariants.** Joined, the pieces of a side are its text, but for what is shown escaped. No control
//! character and no character that turns the direction of writing, or is not seen, comes out as itself.

use std::fmt::Write;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// A line of either side, beside its twin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// As it is now; `None` where the line is new.
    pub(super) old: Option<Vec<Piece>>,
    /// As it would be; `None` where it is gone.
    pub(super) new: Option<Vec<Piece>>,
}

impl Row {
    /// Whether both sides say the same.
    pub(super) fn is_same(&self) -> bool {
        self.old == self.new
    }
}

/// Some words of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// What they say, fit to be shown.
    pub(super) text: String,
    /// Whether the other side does not say them. Where it says nothing of the line, none is marked.
    pub(super) is_marked: bool,
}

/// The rows of two texts.
pub(super) fn rows(old: &str, new: &str) -> Vec<Row> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut rows = Vec::new();
    for op in capture_diff_slices(Algorithm::Patience, &old, &new) {
        let (before, after) = (&old[op.old_range()], &new[op.new_range()]);
        if matches!(op, DiffOp::Equal { .. }) {
            rows.extend(before.iter().map(|line| {
                let line = Some(vec![piece(line, false)]);
                Row {
                    old: line.clone(),
                    new: line,
                }
            }));
            continue;
        }
        for n in 0..before.len().max(after.len()) {
            rows.push(match (before.get(n), after.get(n)) {
                (Some(before), Some(after)) => row(before, after),
                (before, after) => Row {
                    old: before.map(|line| vec![piece(line, false)]),
                    new: after.map(|line| vec![piece(line, false)]),
                },
            });
        }
    }
    rows
}

/// A line that became another.
fn row(old: &str, new: &str) -> Row {
    let (before, after) = (words(old), words(new));
    let ops = capture_diff_slices(Algorithm::Myers, &before, &after);
    let is_word = |word: &&&str| word.chars().any(char::is_alphanumeric);
    let kept = |op: &DiffOp| match op {
        DiffOp::Equal { .. } => before[op.old_range()].iter().filter(is_word).count(),
        _ => 0,
    };
    let kept: usize = ops.iter().map(kept).sum();
    let longer = before.len().max(after.len());
    // Of two lines that have next to nothing in common, marks in between only confuse.
    if kept * 10 < longer {
        return Row {
            old: Some(vec![piece(old, false)]),
            new: Some(vec![piece(new, false)]),
        };
    }
    let side = |words: &[&str], range: fn(&DiffOp) -> Range<usize>| {
        let pieces = ops.iter().filter(|op| !range(op).is_empty());
        let pieces = pieces.map(|op| {
            let text = words[range(op)].concat();
            piece(&text, !matches!(op, DiffOp::Equal { .. }))
        });
        Some(pieces.collect())
    };
    Row {
        old: side(&before, DiffOp::old_range),
        new: side(&after, DiffOp::new_range),
    }
}

fn piece(text: &str, is_marked: bool) -> Piece {
    Piece {
        text: visible(text),
        is_marked,
    }
}

/// Runs of letters and digits, runs of blanks, and each other sign by itself.
fn words(line: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() => 1,
        c if c.is_whitespace() => 2,
        _ => 0,
    };
    let mut words = Vec::new();
    let mut begin = 0;
    let mut before = 0;
    for (at, c) in line.char_indices() {
        if at > begin && (class(c) == 0 || class(c) != before) {
            words.push(&line[begin..at]);
            begin = at;
        }
        before = class(c);
    }
    if begin < line.len() {
        words.push(&line[begin..]);
    }
    words
}

/// `text` with all that is not seen, or that changes what is seen beside it, written as `\u{202e}`.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(c),
            c if c.is_control() || is_unseen(c) => {
                let _ = write!(shown, "{}", c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Marks of direction, and characters without a shape. What joins letters is of use in some scripts.
/// Source: Unicode 16, the general category Cf, line and paragraph separators.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use proptest::prelude::*;

    fn marked(side: &Option<Vec<Piece>>) -> Vec<&str> {
        let pieces = side.as_ref().unwrap().iter();
        let marked = pieces.filter(|piece| piece.is_marked);
        marked.map(|piece| piece.text.as_str()).collect()
    }

    #[test]
    fn the_words_that_differ_are_marked_and_no_others() {
        let rows = rows(
            "one\nList-Unsubscribe: <https://example.org/a>, <mailto:a>\nthree",
            "one\nList-Unsubscribe: <https://example.org/b>, <mailto:a>\nfour\nthree",
        );
        assert_eq!(rows.len(), 4);
        assert!(rows[0].is_same() && rows[3].is_same());
        assert_eq!(marked(&rows[1].old), ["a"]);
        assert_eq!(marked(&rows[1].new), ["b"]);
        assert!(rows[2].old.is_none() && rows[2].new.is_some() && !rows[2].is_same());
    }

    #[test]
    fn of_lines_without_a_word_in_common_none_is_marked() {
        let rows = rows("hello, dear members", "$confaddr$ (unknown)");
        assert!(!rows[0].is_same());
        assert!(marked(&rows[0].old).is_empty() && marked(&rows[0].new).is_empty());
    }

    #[test]
    fn what_turns_or_hides_text_is_written_out() {
        assert_eq!(
            visible("a\u{202e}b\u{1b}[2J\u{2066}c\u{9b}\u{0}\u{200b}\u{feff}é\tשלום"),
            "a\\u{202e}b\\u{1b}[2J\\u{2066}c\\u{9b}\\u{0}\\u{200b}\\u{feff}é\tשלום"
        );
    }

    proptest! {
        #[test]
        fn joined_the_pieces_are_the_text(old in "[a-c ,\n]{0,60}", new in "[a-c ,\n]{0,60}") {
            let rows = rows(&old, &new);
            let side = |of: fn(&Row) -> &Option<Vec<Piece>>| -> Vec<String> {
                let lines = rows.iter().filter_map(|row| of(row).as_ref());
                lines.map(|line| line.iter().map(|piece| piece.text.as_str()).collect()).collect()
            };
            prop_assert_eq!(side(|row| &row.old), old.lines().collect::<Vec<_>>());
            prop_assert_eq!(side(|row| &row.new), new.lines().collect::<Vec<_>>());
        }
    }
}
