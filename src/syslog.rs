//! One line to the system's log, facility mail.
//!
//! **Invariants.** Never blocks, never fails the caller, never carries a control character:
//! a hung or missing log daemon must not hold mail up.
//! Source: RFC 3164 as spoken on /dev/log; facts: the C library's blocking socket would wait.

use std::fmt;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/dev/log";
/// Facility mail (2), severity warning (4).
const PRIORITY: u8 = 2 * 8 + 4;
/// Longer lines are cut by log daemons in their own ways.
const LONGEST: usize = 1_000;

/// Sends `message` as one line, named `program` with this process's id.
pub fn warn(program: &str, message: &dyn fmt::Display) {
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    if socket.set_nonblocking(true).is_err() {
        return;
    }
    let text = printable(&message.to_string());
    let line = format!("<{PRIORITY}>{program}[{}]: {text}", std::process::id());
    let _ = socket.send_to(line.as_bytes(), SOCKET);
}

/// `text` on one line, without control characters, at most [`LONGEST`] bytes long.
pub fn printable(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if line.len() + c.len_utf8() > LONGEST {
            break;
        }
        line.push(if c.is_control() || turns(c) { '?' } else { c });
    }
    line
}

/// Whether a character has no look of its own, and turns or hides what stands around it (Unicode's
/// Bidi_Control, zero width, byte order mark).
pub fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_one_line() {
        assert_eq!(printable("a\nb\u{1b}[31mc\u{85}"), "a?b?[31mc?");
        assert_eq!(printable("a\u{202e}b\u{200b}"), "a?b?");
        assert!(printable(&"é".repeat(1_000)).len() <= LONGEST);
    }
}
