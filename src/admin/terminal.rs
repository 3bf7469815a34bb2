//! The only place of mm-parity that prints.
//!
//! **Invariants.** No control character but newline and tab reaches a terminal, whoever
//! wrote the text; what `screen` adds comes after that. A reader who has gone away (`| head`) is no failure and no panic.

use std::io::{self, Write};

use crate::screen::painted;
use crate::syslog::turns;

/// Writes `text` to standard output.
///
/// # Errors
/// It could not be written; a closed pipe is not an error.
pub fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let text = painted(harmless(text), &stdout);
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes one line to standard error, whatever becomes of it.
pub fn complain(line: &str) {
    let mut stderr = io::stderr().lock();
    let text = painted(format!("{}\n", harmless(line)), &stderr);
    let _ = stderr.write_all(text.as_bytes());
}

/// `value` as JSON that a terminal takes, with a newline at its end.
pub fn json(value: &serde_json::Value) -> String {
    let text = format!("{value:#}\n");
    // Beyond what JSON demands: DEL and the C1 controls. They stand only within strings.
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' || turns(c) {
                '?'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\tc\n\u{9b}d\r\u{202e}"),
            "a?[2Jb\tc\n?d??"
        );
    }

    #[test]
    fn json_keeps_a_control_character_as_an_escape() {
        let text = json(&serde_json::json!({"a": "\u{9b}x\n"}));
        assert_eq!(text, "{\n  \"a\": \"\\u009bx\\n\"\n}\n");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(back["a"], "\u{9b}x\n");
    }
}
