//! A message as SMTP's DATA wants it, made piece by piece.
//!
//! What an MTA pipes into a program has LF at its line ends; on the wire each line ends with
//! CR LF, one that begins with a dot gets a second one, and a line with a dot alone is the end.
//!
//! - A CR that is no line's end becomes a blank. Servers differ in whether it ends a line, and
//!   where it does, what follows could be read as the end of the message and then as commands.
//!   (Postfix sends a blank too, since 3.9.)
//! - A line of more than 998 bytes is broken by CR LF and a blank, at no place inside a UTF-8
//!   character: the limit is RFC 5321's (4.5.3.1.6), Mailman 3 refuses longer ones for good, and
//!   what Postfix' own LMTP client sends in its place is the same.
//! - Everything else passes as it is: NUL and bytes above 127, too. Whoever does not want them
//!   can say so; we do not know what they mean.
//!
//! **Invariants.** No I/O. Holds one line at most. No input has an output in which `.` stands
//! alone on a line before the end.

/// As many bytes as a line may have, without CR LF. Source: RFC 5321, 4.5.3.1.6.
const LONGEST: usize = 998;

/// The part of a message that has no line end yet.
#[derive(Debug, Default)]
pub struct Text {
    line: Vec<u8>,
    /// A CR was read, and not yet what follows.
    after_cr: bool,
}

impl Text {
    /// Takes the next bytes of the message, and adds to `wire` what can be sent of it.
    pub fn push(&mut self, bytes: &[u8], wire: &mut Vec<u8>) {
        for &byte in bytes {
            if std::mem::take(&mut self.after_cr) && byte != b'\n' {
                self.add(b' ', wire);
            }
            match byte {
                b'\r' => self.after_cr = true,
                b'\n' => self.send_line(wire),
                byte => self.add(byte, wire),
            }
        }
    }

    /// Adds what is left, and the end of the message.
    pub fn end(mut self, wire: &mut Vec<u8>) {
        if self.after_cr || !self.line.is_empty() {
            self.send_line(wire);
        }
        wire.extend_from_slice(b".\r\n");
    }

    fn add(&mut self, byte: u8, wire: &mut Vec<u8>) {
        self.line.push(byte);
        if self.line.len() <= LONGEST {
            return;
        }
        let is_inside = |at: &usize| self.line[*at] & 0xc0 == 0x80;
        let nearby = LONGEST - 3..=LONGEST;
        let at = nearby.rev().find(|at| !is_inside(at)).unwrap_or(LONGEST);
        let rest = self.line.split_off(at);
        self.send_line(wire);
        self.line.push(b' ');
        self.line.extend(rest);
    }

    fn send_line(&mut self, wire: &mut Vec<u8>) {
        if self.line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.append(&mut self.line);
        wire.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(message: &[u8]) -> Vec<u8> {
        let (mut text, mut wire) = (Text::default(), Vec::new());
        text.push(message, &mut wire);
        text.end(&mut wire);
        wire
    }

    /// What a strict server makes of the wire: its lines, and what stands behind the end.
    fn received(wire: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut lines, mut rest) = (Vec::new(), wire);
        while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
            let line = &rest[..at];
            rest = &rest[at + 2..];
            match line {
                b"." => break,
                [b'.', line @ ..] => lines.push(line.to_vec()),
                line => lines.push(line.to_vec()),
            }
        }
        (lines, rest.to_vec())
    }

    #[test]
    fn lines_end_with_cr_lf_and_dots_are_doubled() {
        for (message, wanted) in [
            (&b""[..], &b".\r\n"[..]),
            (b"a\nb\n", b"a\r\nb\r\n.\r\n"),
            (b"a\r\nb\r\n", b"a\r\nb\r\n.\r\n"),
            (b"no end", b"no end\r\n.\r\n"),
            (b"end\r", b"end\r\n.\r\n"),
            (b".\n..\n.x\nx.\n", b"..\r\n...\r\n..x\r\nx.\r\n.\r\n"),
            (b"\n\n", b"\r\n\r\n.\r\n"),
            (b"a\r.\rb\n", b"a . b\r\n.\r\n"),
            (b"\r.\r\n", b" .\r\n.\r\n"),
            (b"a\r\r\nb\n", b"a \r\nb\r\n.\r\n"),
            (b"\0\xff\n", b"\0\xff\r\n.\r\n"),
        ] {
            let shown = String::from_utf8_lossy(message);
            assert_eq!(wire(message), wanted, "{shown:?}");
        }
    }

    #[test]
    fn a_long_line_is_broken_between_characters() {
        let just = vec![b'x'; LONGEST];
        assert_eq!(received(&wire(&just)).0, std::slice::from_ref(&just));
        let more = [&just[..], b".y\n"].concat();
        assert_eq!(received(&wire(&more)).0, [just, b" .y".to_vec()]);
        // 997 bytes, and then one character of two.
        let split = [&vec![b'x'; LONGEST - 1], "é".as_bytes(), b"z\n"].concat();
        let wanted = [vec![b'x'; LONGEST - 1], " éz".as_bytes().to_vec()];
        assert_eq!(received(&wire(&split)).0, wanted);
        // No UTF-8: somewhere.
        let noise = received(&wire(&[0x80; 3 * LONGEST])).0;
        assert_eq!(
            noise.iter().map(Vec::len).collect::<Vec<_>>(),
            [998, 998, 998, 3]
        );
    }

    /// Bytes that mean something here, more often than others.
    fn messages() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            Just(b'.'),
            Just(b'\r'),
            Just(b'\n'),
            Just(b' '),
            any::<u8>(),
        ];
        let long = any::<u8>().prop_map(|byte| vec![byte; 1_100]);
        let part = prop_oneof![4 => byte.prop_map(|byte| vec![byte]), 1 => long];
        proptest::collection::vec(part, 0..80).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn the_server_has_what_was_sent(message in messages(), cut in any::<proptest::sample::Index>()) {
            let whole = wire(&message);
            let (lines, behind) = received(&whole);
            // Nothing of the message is behind its end, to be read as a command.
            prop_assert_eq!(behind, b"");
            // However it comes in, the same goes out.
            let (one, other) = message.split_at(cut.index(message.len() + 1));
            let (mut text, mut pieces) = (Text::default(), Vec::new());
            text.push(one, &mut pieces);
            text.push(other, &mut pieces);
            text.end(&mut pieces);
            prop_assert_eq!(&pieces, &whole);
            // A server that takes a lone CR or LF for a line's end finds none.
            let lone = |at: usize| match whole[at] {
                b'\r' => whole.get(at + 1) != Some(&b'\n'),
                b'\n' => at == 0 || whole[at - 1] != b'\r',
                _ => false,
            };
            prop_assert!(!(0..whole.len()).any(lone));
            prop_assert!(lines.iter().all(|line| line.len() <= LONGEST));
            // The breaks taken away, and CR where it was: the message.
            let sent: Vec<u8> = lines.concat().into_iter().filter(|&b| b != b' ').collect();
            let meant = message.iter().copied();
            let meant: Vec<u8> = meant.filter(|&b| !b"\r\n ".contains(&b)).collect();
            prop_assert_eq!(sent, meant);
        }
    }
}
