//! Points in time in a text: of two runs one is later, and now and then a second passes between them.
//!
//! Times of day with their seconds (`14:03:22`), in any time zone, and seconds since 1970; only if they are of
//! now, when the runs were: what the author said of 14:03 is his.
//!
//! **Invariants.** All that is no point in time has to be the same.

use std::time::{SystemTime, UNIX_EPOCH};

/// So many seconds may be between two runs, and between the first and now.
const APART: u64 = 300;
/// A day.
const DAY: u64 = 86_400;
/// Time zones differ by so many seconds, or a multiple.
const ZONE: u64 = 900;

/// Whether two texts say the same but for the time at which they say it, which is now.
pub(super) fn is_later(one: &str, new: &str) -> bool {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    is_later_at(since.map_or(0, |since| since.as_secs()), one, new)
}

fn is_later_at(time: u64, one: &str, new: &str) -> bool {
    let mut sides = [one, new];
    loop {
        let [Some(old), Some(now)] = sides.map(|text| text.chars().next()) else {
            return sides[0] == sides[1];
        };
        let number = sides.map(|text| text.len() - text.trim_start_matches(is_digit).len());
        if number == [0, 0] {
            if old != now {
                return false;
            }
            sides = sides.map(|text| &text[old.len_utf8()..]);
            continue;
        }
        let lengths = match sides.map(moment) {
            [Some(old), Some(now)] if is_near(old, now) && is_of(time, now) => {
                [old.length, now.length]
            }
            _ if sides[0][..number[0]] == sides[1][..number[1]] => number,
            _ => return false,
        };
        sides = [&sides[0][lengths[0]..], &sides[1][lengths[1]..]];
    }
}

/// Whether a moment is not longer past than two runs take.
fn is_of(time: u64, moment: Moment) -> bool {
    match moment.is_of_day {
        true => (time % ZONE + ZONE - moment.seconds % ZONE) % ZONE <= APART,
        false => time.abs_diff(moment.seconds) <= APART,
    }
}

/// A point in time, and how many bytes it takes.
#[derive(Debug, Clone, Copy)]
struct Moment {
    seconds: u64,
    is_of_day: bool,
    length: usize,
}

fn is_near(one: Moment, other: Moment) -> bool {
    let apart = one.seconds.abs_diff(other.seconds);
    let apart = match one.is_of_day {
        true => apart.min(DAY - apart.min(DAY)),
        false => apart,
    };
    one.is_of_day == other.is_of_day && apart <= APART
}

/// The one that `text` begins with.
fn moment(text: &str) -> Option<Moment> {
    let mut rest = text;
    let mut numbers: Vec<u64> = Vec::new();
    loop {
        let behind = rest.trim_start_matches(is_digit);
        let digits = rest.len() - behind.len();
        let (is_first, is_pair) = (numbers.is_empty(), digits == 2);
        if is_first && digits == 10 && !behind.starts_with(':') {
            let seconds = text[..digits].parse().ok()?;
            return (1_000_000_000..4_000_000_000)
                .contains(&seconds)
                .then_some(Moment {
                    seconds,
                    is_of_day: false,
                    length: digits,
                });
        }
        if !(is_pair || is_first && digits == 1) {
            return None;
        }
        numbers.push(rest[..digits].parse().ok()?);
        rest = behind;
        match behind.strip_prefix(':') {
            Some(behind) if numbers.len() < 3 && behind.starts_with(is_digit) => rest = behind,
            _ => break,
        }
    }
    let limits = [24, 60, 61];
    let is_sound = numbers.len() == 3 && numbers.iter().zip(limits).all(|(n, limit)| *n < limit);
    is_sound.then(|| Moment {
        seconds: numbers
            .iter()
            .zip([3_600, 60, 1])
            .map(|(n, unit)| n * unit)
            .sum(),
        is_of_day: true,
        length: text.len() - rest.len(),
    })
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1 December 2026, 14:04:10 in UTC.
    const NOW: u64 = 1_796_133_850;

    #[test]
    fn what_is_said_a_little_later_is_the_same() {
        for (one, new) in [
            ("at 14:03:59 +0000", "at 14:04:00 +0000"),
            ("at 9:03:59", "at 9:04:00"),
            ("id=1796133800.", "id=1796133810."),
            ("5 at 14:03", "5 at 14:03"),
        ] {
            assert!(is_later_at(NOW, one, new), "{one} {new}");
        }
        assert!(is_later_at(NOW - 50_645, "23:59:59", "00:00:01"));
        for (one, new) in [
            ("at 14:03:59", "at 15:03:59"),
            ("let us meet at 14:03", "let us meet at 14:07"),
            ("at 14:08:00", "at 14:08:01"),
            ("2125551234", "2125551239"),
            ("5 MB", "6 MB"),
            ("1796133800", "1796139999"),
            ("port 1.25", "port 1.26"),
            ("at 14:03:59 +0000", "at 14:04:00 +0100"),
            ("::1:02", "::1:03:"),
            ("a", "é"),
        ] {
            assert!(!is_later_at(NOW, one, new), "{one} {new}");
        }
    }

    proptest! {
        #[test]
        fn any_two_texts_can_be_told(one in "[0-9:a é]{0,14}", new in "[0-9:a é]{0,14}") {
            prop_assert!(is_later_at(NOW, &one, &one));
            let open = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
            if is_later_at(NOW, &one, &new) {
                prop_assert_eq!(open(&one), open(&new));
            }
        }
    }
}
