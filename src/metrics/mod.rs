//! Figures in Prometheus' text format.
//!
//! **Invariants.** No I/O. Each family has its head once; no text of a file's ends a label.
//!
//! Source: "Text-based format" of Prometheus' documentation on exposition formats.

use std::fmt::Write;

/// One page of figures.
#[derive(Debug)]
pub struct Metrics {
    /// Those that every sample has.
    labels: String,
    text: String,
}

impl Metrics {
    /// An empty page, whose samples all have these labels.
    pub fn new(labels: &[(&str, &str)]) -> Metrics {
        Metrics {
            labels: labelled(labels),
            text: String::new(),
        }
    }

    /// A gauge with its samples; the labels of a sample may be empty (see [`labelled`]).
    pub fn family(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, f64)>,
    ) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let comma = if labels.is_empty() { "" } else { "," };
            let all = &self.labels;
            let _ = writeln!(self.text, "{name}{{{all}{comma}{labels}}} {value}");
        }
    }

    /// A gauge with one sample that has no labels of its own.
    pub fn one(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, help, [(String::new(), value)]);
    }

    /// The page.
    pub fn text(self) -> String {
        self.text
    }
}

/// Labels as they stand between the braces.
pub fn labelled(labels: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    labels.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// Exact up to 2^53, which no count and no second of ours reaches.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub fn float(n: i64) -> f64 {
    n as f64
}

/// A count.
pub fn count(n: usize) -> f64 {
    float(i64::try_from(n).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_a_family_has_its_head_once() {
        let mut page = Metrics::new(&[("site", "/a \"b\"\\c\nd")]);
        page.family(
            "x",
            "What.",
            [(labelled(&[("a", "1")]), 2.0), (String::new(), 0.5)],
        );
        page.one("y", "That.", count(3));
        assert_eq!(
            page.text(),
            "# HELP x What.\n# TYPE x gauge\n\
             x{site=\"/a \\\"b\\\"\\\\c\\nd\",a=\"1\"} 2\n\
             x{site=\"/a \\\"b\\\"\\\\c\\nd\"} 0.5\n\
             # HELP y That.\n# TYPE y gauge\ny{site=\"/a \\\"b\\\"\\\\c\\nd\"} 3\n"
        );
    }
}
