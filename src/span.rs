//! Spans of time as people write them: `30s`, `2m`, `500ms`.
//!
//! **Invariants.** No clock is read here; no span is longer than a day, so that adding one to a
//! moment never overflows.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long something may take: a whole number and `ms`, `s`, `m` or `h`; at most 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Some text that is no [`Span`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSpan;

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const DAY: u64 = 24 * 3_600_000;

impl Span {
    /// So many seconds, at most a day.
    pub const fn seconds(seconds: u32) -> Span {
        let seconds = seconds as u64;
        let most = DAY / 1_000;
        Span(Duration::from_secs(if seconds < most {
            seconds
        } else {
            most
        }))
    }

    /// The same for the clock.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Span, BadSpan> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS
            .into_iter()
            .find(|&(name, _)| name == unit)
            .ok_or(BadSpan)?;
        let number: u64 = number.parse().map_err(|_| BadSpan)?;
        match number.checked_mul(factor) {
            Some(milliseconds) if milliseconds <= DAY => {
                Ok(Span(Duration::from_millis(milliseconds)))
            }
            _ => Err(BadSpan),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(DAY);
        let fits = |&(_, factor): &(&str, u64)| milliseconds.is_multiple_of(factor);
        match UNITS.into_iter().find(fits) {
            Some((unit, factor)) if milliseconds > 0 => {
                write!(f, "{}{unit}", milliseconds / factor)
            }
            _ => f.write_str("0s"),
        }
    }
}

impl fmt::Display for BadSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a span of time of at most 24 hours, such as 500ms, 30s, 2m or 1h")
    }
}

impl std::error::Error for BadSpan {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_span_is_read_as_it_is_written() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("90s", 90_000),
            ("2m", 120_000),
            ("24h", DAY),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.duration(), Duration::from_millis(milliseconds));
            assert_eq!(span.to_string(), text);
        }
        assert_eq!("0ms".parse::<Span>().unwrap().to_string(), "0s");
        assert_eq!("60s".parse::<Span>().unwrap().to_string(), "1m");
        assert_eq!(Span::seconds(30), "30s".parse().unwrap());
    }

    #[test]
    fn what_is_no_span_is_not_read() {
        for bad in [
            "",
            "s",
            "30",
            "30 s",
            " 30s",
            "-1s",
            "+1s",
            "1.5s",
            "30S",
            "30sec",
            "1m30s",
            "25h",
            "18446744073709551615h",
            "99999999999999999999s",
        ] {
            assert_eq!(bad.parse::<Span>(), Err(BadSpan), "{bad:?}");
        }
    }
}
