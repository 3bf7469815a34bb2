//! Where in a text something stands, as editors count.
//!
//! **Invariants.** Lines and columns from 1; columns count characters. No I/O.

use std::fmt;

/// A place in a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl Position {
    /// The place of the byte at offset `at` of `text`; past the end, its last place.
    pub fn of(text: &str, at: usize) -> Position {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one_and_in_characters() {
        let place = |at| Position::of("ab\ncé d\n", at).to_string();
        assert_eq!(
            (place(0), place(2), place(3)),
            ("1:1".into(), "1:3".into(), "2:1".into())
        );
        assert_eq!((place(6), place(99)), ("2:3".into(), "3:1".into()));
    }
}
