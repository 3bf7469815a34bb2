//! The text of a lookup table of Postfix other than aliases: a key, blanks, and a value a line.
//!
//! Source: postmap(1), and postmap 3.7 as measured: an indented line goes on with the one above, past
//! blank lines and comments; the key ends at the first blank outside double quotes, which stay; it is
//! folded to lower case; the first of two equal ones wins; a line without a value, or with one quote, is
//! skipped.
//!
//! **Invariants**: reads only, and any bytes; what postmap skips is not here.

use std::collections::HashSet;

/// Keys as Postfix looks them up, each with its value, in the order of the text.
pub(crate) fn entries(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut logical: Vec<Vec<u8>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() || trimmed.starts_with(b"#") {
            continue;
        }
        match logical.last_mut() {
            Some(above) if line[0].is_ascii_whitespace() => above.extend_from_slice(line),
            _ => logical.push(line.to_vec()),
        }
    }
    let mut seen = HashSet::new();
    let mut entries: Vec<_> = logical.iter().filter_map(|line| cut(line)).collect();
    entries.retain(|(key, _)| seen.insert(key.clone()));
    entries
}

fn cut(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    // Above the first line that is not indented there is nothing to go on with.
    if line[0].is_ascii_whitespace() {
        return None;
    }
    let mut is_quoted = false;
    let is_end = |byte: &u8| {
        is_quoted ^= *byte == b'"';
        !is_quoted && byte.is_ascii_whitespace()
    };
    let (key, value) = line.split_at(line.iter().position(is_end)?);
    let value = value.trim_ascii();
    (!value.is_empty()).then(|| (key.to_ascii_lowercase(), value.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = entries(text.as_bytes())
            .into_iter()
            .map(|(key, value)| [key, value].map(|it| it.escape_ascii().to_string()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, value)| [key, value].map(|it| it.escape_default().to_string()))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    /// What `postmap -s` of Postfix 3.7.11 lists of these very lines.
    #[test]
    fn keys_and_values_are_as_postmap_takes_them() {
        check(
            "# c\nA@B.Example\tone two\n\"x y\"@z  v1  \n\"q\"\tv2\nk\n  v3\n  # inside\n\n v4\n\
             dup a\ndup b\n\"open v\nlone\n orphan\n",
            &[
                ("a@b.example", "one two"),
                ("\"x y\"@z", "v1"),
                ("\"q\"", "v2"),
                ("k", "v3 v4"),
                ("dup", "a"),
                ("lone", "orphan"),
            ],
        );
    }

    #[test]
    fn what_has_no_value_or_stands_under_nothing_is_none() {
        check("", &[]);
        check(" indented first\nkey\n", &[]);
        check("key \n\n#\n", &[]);
    }
}
