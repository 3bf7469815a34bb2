//! Words of a text, and what of them is noise: what the current release itself does not say twice.
//!
//! A value is cut at blanks, then into words (letters and digits) and what stands between them. Where two
//! runs of the current release have another word at the same place, that place is masked: any word of the
//! same shape may stand there. A word of another shape (shorter, or digits for hex) is a difference all the
//! same. Of a cookie with signs in it, which has not as many words each time, the length counts.
//!
//! **Invariants.** What both runs say alike is never masked, but for points in time (`clocks`). Where even
//! the blanks are not the same twice, only how the value begins and ends is told.

use std::collections::BTreeMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::clocks::is_later;

/// A word, or what stands between two.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphanumeric();
        let end = rest
            .char_indices()
            .find(|(_, c)| c.is_alphanumeric() != is_word)
            .map_or(rest.len(), |(at, _)| at);
        let (word, behind) = rest.split_at(end);
        all.push(word);
        rest = behind;
    }
    all
}

/// What a word that is others each time looks like: which characters it has, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    has_letters: bool,
    is_hex: bool,
    length: usize,
}

impl Shape {
    fn of(word: &str) -> Shape {
        Shape {
            has_letters: word.chars().any(char::is_alphabetic),
            is_hex: word.chars().all(|c| c.is_ascii_hexdigit()),
            length: word.chars().count(),
        }
    }

    /// Whether `word` could stand where these two stood.
    fn admits(one: &str, other: &str, word: &str) -> bool {
        if word == one || word == other {
            return true;
        }
        let (one, other, word) = (Shape::of(one), Shape::of(other), Shape::of(word));
        // A word of hex digits may have none that is a letter.
        let is_hex = one.is_hex && other.is_hex;
        if is_hex && one.length == other.length && one.length == word.length && one.length >= 4 {
            return word.is_hex;
        }
        let is_number = !(one.has_letters || other.has_letters);
        if is_number && word.has_letters {
            return false;
        }
        // What counts gets longer; what varies in length varies about as much.
        let (low, high) = (one.length.min(other.length), one.length.max(other.length));
        let slack = (high - low).max(usize::from(is_number));
        word.length + slack >= low && word.length <= high + slack && (!is_hex || word.is_hex)
    }
}

/// Whether the third of these lengths fits the first two: what varies in length varies about as much;
/// what has one length has it always.
fn is_as_long([one, other, new]: [usize; 3]) -> bool {
    let (low, high) = (one.min(other), one.max(other));
    new + (high - low) >= low && new <= high + (high - low)
}

/// Whether `new` says what the two runs said, but for noise.
pub(super) fn is_same(runs: [&str; 2], new: &str) -> bool {
    if new == runs[0] || new == runs[1] || is_later(runs[1], new) {
        return true;
    }
    if runs[0] == runs[1] {
        return false;
    }
    let [one, other, now] = [runs[0], runs[1], new].map(pieces);
    match (one.len() == other.len(), one.len() == now.len()) {
        (true, true) => {
            let mut all = one.iter().zip(&other).zip(&now);
            all.all(|((one, other), now)| is_same_piece([one, other], now))
        }
        (true, false) => false,
        // Not even its form is the same twice: only how it begins and ends can be said.
        (false, _) => begins_and_ends(runs, new),
    }
}

/// What stands between blanks, each with the blank behind it: no cookie has one.
fn pieces(text: &str) -> Vec<&str> {
    text.split_inclusive(char::is_whitespace).collect()
}

/// As [`is_same`], of text without a blank.
fn is_same_piece(runs: [&str; 2], new: &str) -> bool {
    if runs[0] == runs[1] {
        return is_later(runs[1], new);
    }
    let (one, other, now) = (words(runs[0]), words(runs[1]), words(new));
    let pairs = || one.iter().zip(&other);
    let is_word = |word: &str| word.starts_with(char::is_alphanumeric);
    let is_even = one.len() == other.len() && one.len() == now.len();
    let fits = pairs()
        .zip(&now)
        .all(|((one, other), now)| match one == other {
            true => one == now,
            false => Shape::admits(one, other, now),
        });
    let noisy = pairs().filter(|(one, other)| one != other && is_word(one));
    match is_even {
        true if fits => true,
        // A cookie of one word is as it looks; what is made of several has signs as chance wants it.
        true if noisy.count() < 2 => false,
        _ => begins_and_ends(runs, new),
    }
}

/// Whether `new` begins and ends with what both begin and end with, and is as long as they are.
fn begins_and_ends(runs: [&str; 2], new: &str) -> bool {
    let (one, other) = (words(runs[0]), words(runs[1]));
    let shorter = one.len().min(other.len());
    let pairs = one.iter().zip(&other);
    let before = pairs.take_while(|(one, other)| one == other).count();
    let back = one.iter().rev().zip(other.iter().rev());
    let alike = back.take_while(|(one, other)| one == other).count();
    let after = alike.min(shorter - before);
    let (begin, end) = (one[..before].concat(), one[one.len() - after..].concat());
    let (begin, end) = (before_cookie(&begin), behind_cookie(&end));
    let middle = |text: &str| {
        let text = text.strip_prefix(begin)?;
        Some(text.strip_suffix(end)?.chars().count())
    };
    match (middle(runs[0]), middle(runs[1]), middle(new)) {
        (Some(one), Some(other), Some(new)) => is_as_long([one, other, new]),
        _ => false,
    }
}

/// Next to a cookie, signs of its alphabet are its own, and so are words of a letter or two between
/// such signs: both runs may have them by chance.
fn before_cookie(mut text: &str) -> &str {
    loop {
        let cut = text.trim_end_matches(is_cookies);
        let rest = cut.trim_end_matches(char::is_alphanumeric);
        let is_short = (1..=2).contains(&(cut.len() - rest.len())) && rest.ends_with(is_cookies);
        match is_short {
            true => text = rest,
            false => return cut,
        }
    }
}

/// As [`before_cookie`], on its other side; what ends it there is no sign of cookies.
fn behind_cookie(text: &str) -> &str {
    let cut = text.trim_start_matches(is_cookies);
    let rest = cut.trim_start_matches(char::is_alphanumeric);
    match (1..=2).contains(&(cut.len() - rest.len())) && !rest.is_empty() {
        true => rest,
        false => cut,
    }
}

fn is_cookies(c: char) -> bool {
    "+/=-_".contains(c)
}

/// A line, or a block of them, that is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// What stood there; empty where something came in.
    pub(super) old: String,
    /// What stands there; empty where something went.
    pub(super) new: String,
}

/// The lines that differ from both runs' by more than noise.
pub(super) fn hunks(runs: [&str; 2], new: &str) -> Vec<Hunk> {
    if new == runs[0] || new == runs[1] {
        return Vec::new();
    }
    let (one, other, new) = (lines(runs[0]), lines(runs[1]), lines(new));
    // To each line of the first run the one that stands in its place in the second; and before which
    // lines the second has how many lines that the first has not.
    let mut twins: Vec<Option<&str>> = vec![None; one.len()];
    let mut gaps: BTreeMap<usize, usize> = BTreeMap::new();
    for op in capture_diff_slices(Algorithm::Myers, &one, &other) {
        match op {
            DiffOp::Equal { old_index, len, .. } => {
                for n in old_index..old_index + len {
                    twins[n] = Some(one[n]);
                }
            }
            DiffOp::Replace {
                old_index,
                old_len,
                new_index,
                new_len,
            } if old_len == new_len => {
                for n in 0..old_len {
                    twins[old_index + n] = Some(other[new_index + n]);
                }
            }
            DiffOp::Insert {
                old_index, new_len, ..
            } => {
                gaps.insert(old_index, new_len);
            }
            // Lines that only one run has are noise.
            _ => {}
        }
    }
    let mut found = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &one, &new) {
        match op {
            DiffOp::Equal { .. } => {}
            DiffOp::Replace {
                old_index,
                old_len,
                new_index,
                new_len,
            } if old_len == new_len => {
                for n in 0..old_len {
                    let (line, now) = (one[old_index + n], new[new_index + n]);
                    let twin = twins[old_index + n];
                    if twin.is_none_or(|twin| !is_same([line, twin], now)) {
                        add(&mut found, line, now);
                    }
                }
            }
            DiffOp::Insert {
                old_index,
                new_index,
                new_len,
            } => {
                // Where the other run has lines that this one has not, the future release may have as many.
                let may = gaps.get(&old_index).copied().unwrap_or(0);
                for now in new[new_index..new_index + new_len].iter().skip(may) {
                    add(&mut found, "", now);
                }
            }
            DiffOp::Delete {
                old_index, old_len, ..
            } => {
                for n in old_index..old_index + old_len {
                    if twins[n].is_some() {
                        add(&mut found, one[n], "");
                    }
                }
            }
            DiffOp::Replace {
                old_index,
                old_len,
                new_index,
                new_len,
            } => found.push(Hunk {
                old: one[old_index..old_index + old_len].join("\n"),
                new: new[new_index..new_index + new_len].join("\n"),
            }),
        }
    }
    found
}

fn add(found: &mut Vec<Hunk>, old: &str, new: &str) {
    found.push(Hunk {
        old: old.to_owned(),
        new: new.to_owned(),
    });
}

fn lines(text: &str) -> Vec<&str> {
    // A blank behind "--" makes a signature of what follows.
    text.lines().collect()
}

/// A text without what is one message's alone: numbers and what looks random are `#`.
pub(super) fn general(text: &str) -> String {
    let mut all = String::new();
    for word in words(text) {
        let has_digit = word.chars().any(|c| c.is_ascii_digit());
        let is_long = word.chars().count() >= 10;
        let is_hex = word.chars().count() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
        match has_digit && (is_long || word.chars().all(|c| c.is_ascii_digit())) || is_hex {
            true => all.push('#'),
            false => all.push_str(word),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_word_that_is_another_one_each_time_may_be_another_one_again() {
        let runs = ["confirm+ab12cd34@x", "confirm+ffee0011@x"];
        assert!(is_same(runs, "confirm+12345678@x"));
        for other in [
            "confirm+12345678@y",
            "confirm+1234@x",
            "confirm+zzzzzzzz@x",
            "confirm+@x",
        ] {
            assert!(!is_same(runs, other), "{other}");
        }
        assert!(!is_same(["a", "a"], "b"));
        assert!(is_same(["7", "11"], "15"));
        assert!(is_same(["#98", "#99"], "#100"));
        assert!(is_same(["00001234", "00004321"], "0000abcd"));
        assert!(!is_same(["00001234", "00004321"], "000abcd"));
        assert!(is_same(["a 1 z", "a 2 3 z"], "a 5 6 7 z"));
        assert!(!is_same(["a 1 z", "a 2 3 z"], "b 5 z"));
        assert!(!is_same(["a 1 z", "a 2 3 z"], "a 5 y"));
    }

    #[test]
    fn of_a_text_only_the_lines_that_differ_by_more_than_noise_are_told() {
        let one = "hello\ncookie 12345678\nbye\n-- \nfooter\n";
        let other = "hello\ncookie 87654321\nbye\n-- \nfooter\n";
        let new = "hello\ncookie 11111111\nbye\n-- \nfooter of ours\n";
        let found = hunks([one, other], new);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].old, "footer");
        assert_eq!(found[0].new, "footer of ours");
        assert!(hunks([one, other], one).is_empty());
        let gone = hunks([one, one], "hello\ncookie 12345678\nbye\n");
        assert_eq!(gone.len(), 2);
    }

    #[test]
    fn a_line_that_stands_there_once_more_is_told() {
        let text = "hello\n-- \nfooter\n";
        let twice = "hello\n-- \nfooter\n-- \nfooter\n";
        assert_eq!(hunks([text, text], twice).len(), 2);
        // Where the current release itself has lines by turns, the future one may as well.
        let one = "hello\nread on Monday\nfooter\n";
        assert!(hunks(["hello\nfooter\n", one], one).is_empty());
        assert!(hunks(["hello\nfooter\n", one], "hello\nread on Tuesday\nfooter\n").is_empty());
        let elsewhere = "hello\nfooter\nread on Monday\n";
        assert_eq!(hunks(["hello\nfooter\n", one], elsewhere).len(), 1);
        let more = "hello\nread on Monday\nand pay\nfooter\n";
        assert_eq!(hunks(["hello\nfooter\n", one], more)[0].new, "and pay");
    }

    #[test]
    fn what_is_one_messages_alone_is_generalised() {
        assert_eq!(
            general("<mailto:l+bounces-17-a@x>"),
            "<mailto:l+bounces-#-a@x>"
        );
        assert_eq!(general("0123456789abcdef cafe café"), "# cafe café");
    }

    proptest! {
        /// What both runs say alike is told wherever it changes, whatever noise stands beside it.
        #[test]
        fn no_noise_hides_what_both_runs_say(
            noise in prop::array::uniform3("[0-9a-f]{8}"),
            said in "[a-z]{1,9}",
            other in "[a-z]{1,9}",
        ) {
            let line = |noise: &str, said: &str| format!("id {noise} says {said}\n");
            let runs = [line(&noise[0], &said), line(&noise[1], &said)];
            let new = line(&noise[2], &other);
            let is_told = !hunks([&runs[0], &runs[1]], &new).is_empty();
            prop_assert_eq!(is_told, said != other);
        }

        /// Nor where noise of any form stands on both sides of it.
        #[test]
        fn no_cookies_hide_what_stands_between_them(
            noise in prop::array::uniform6("[A-Za-z0-9]{2}[A-Za-z0-9+/]{12}[A-Za-z0-9]{2}"),
            said in "[a-z]{1,9}",
            other in "[a-z]{1,9}",
        ) {
            let line = |n: usize, said: &str| {
                format!("https://x/{}?y=1 says {said} to <confirm+{}@x>\n", noise[n], noise[n + 3])
            };
            let runs = [line(0, &said), line(1, &said)];
            prop_assert_eq!(hunks([&runs[0], &runs[1]], &line(2, &said)), vec![]);
            let is_told = !hunks([&runs[0], &runs[1]], &line(2, &other)).is_empty();
            prop_assert_eq!(is_told, said != other);
        }
    }
}
