//! Sender and recipient, as hostile as strangers make them.

use super::*;

/// What the server was told of sender and recipient.
fn envelope(environment: &[(&str, &str)], recipient: &str, message: &[u8]) -> Result<String, Done> {
    let (address, server) = serve("none", Act::Close);
    let done = run(environment, &[&address, recipient], message);
    if done.status != Some(0) {
        // The server waits for its client still, unless it was one that said nothing.
        let _ = TcpStream::connect(&address);
        return Err(done);
    }
    let seen = server.join().unwrap();
    let argument = |n: usize| {
        seen.commands[n]
            .split_once(':')
            .unwrap()
            .1
            .trim_end()
            .to_owned()
    };
    Ok(argument(1).replace(" BODY=8BITMIME", "") + " " + &argument(2))
}

#[test]
fn the_sender_is_said_by_the_mta_or_by_the_message() {
    let to = " <toylist@lists.example.org>";
    for (environment, message, wanted) in [
        (
            AL,
            &b"From x@y Mon Nov 23\nReturn-Path: <z@y>\n\n"[..],
            "<al@example.org>",
        ),
        (&[("SENDER", "")], b"From x@y Mon Nov 23\n\n", "<>"),
        (
            &[("SENDER", "al u@example.org")],
            b"\n",
            "<\"al u\"@example.org>",
        ),
        (
            &[],
            b"From x@y Mon Nov 23 17:00:00 2026\nReturn-Path: <z@y>\n\n",
            "<x@y>",
        ),
        (
            &[],
            b"From MAILER-DAEMON Mon Nov 23\nReturn-Path: <z@y>\n\n",
            "<>",
        ),
        (
            &[],
            b"Received: x\n\tReturn-Path: <a@b>\nReturn-Path: <z@y>\nreturn-path: <c@d>\n\n",
            "<z@y>",
        ),
        (&[], b"RETURN-PATH:<>\r\n\r\n", "<>"),
        // What only the server should judge.
        (&[("SENDER", "b@ex'ample.com")], b"\n", "<b@ex'ample.com>"),
        (&[("SENDER", "b@exa+mple.com")], b"\n", "<b@exa+mple.com>"),
        (&[("SENDER", "b@a/b")], b"\n", "<b@a/b>"),
        (&[("SENDER", "a> SIZE=0 <@b")], b"\n", "<\"a> SIZE=0 <\"@b>"),
    ] {
        assert_eq!(
            envelope(environment, LIST, message).unwrap(),
            wanted.to_owned() + to
        );
    }
}

#[test]
fn a_sender_that_nobody_can_say_makes_the_message_wait() {
    let long = "x".repeat(2_049);
    let header = [
        b"X: ".to_vec(),
        vec![b'x'; 300_000],
        b"\nReturn-Path: <a@b>\n\n".to_vec(),
    ]
    .concat();
    for (environment, message) in [
        (&[][..], &b"From: x@y\n\nReturn-Path: <a@b>\n"[..]),
        (&[], b"From : x@y\n\nbody\n"),
        (&[], b"From x@y\rMAIL Mon\n\nbody\n"),
        (&[], &header),
        (&[], b"From \n\nbody\n"),
        (&[("SENDER", "a@b>\r\nRCPT TO:<c@d")], MESSAGE),
        (&[("SENDER", "a@b\nDATA")], MESSAGE),
        (&[("SENDER", "a@b SIZE=0")], MESSAGE),
        (&[("SENDER", "a@b<c")], MESSAGE),
        (&[("SENDER", "s\u{f8}ren@example.org")], MESSAGE),
        (&[("SENDER", &long)], MESSAGE),
        (AL, b""),
        // A From_ line is no part of a message, with a line's end or without.
        (AL, b"From x@y Mon Nov 23 17:00:00 2026\n"),
        (&[], b"From x@y Mon Nov 23 17:00:00 2026"),
    ] {
        let done = envelope(environment, LIST, message).unwrap_err();
        ends(&done, 75, &format!("{environment:?}"));
    }
}

#[test]
fn the_tail_is_passed_on_and_a_hostile_one_is_left_out() {
    let bounces = "toylist-bounces@lists.example.org";
    let plain = "<toylist-bounces@lists.example.org>";
    let with = |tail: &str| format!("<toylist-bounces+{tail}@lists.example.org>");
    let long = "x".repeat(1_000);
    for (name, value, wanted) in [
        ("EXTENSION", "anne=example.com", with("anne=example.com")),
        (
            "EXTENSION",
            "a..b=docomo.example",
            with("a..b=docomo.example"),
        ),
        (
            "LOCAL_PART_SUFFIX",
            "+anne=example.com",
            with("anne=example.com"),
        ),
        (
            "LOCAL",
            "toylist-bounces+anne=example.com",
            with("anne=example.com"),
        ),
        ("LOCAL", "other+anne=example.com", plain.to_owned()),
        ("EXTENSION", "x>\r\nDATA\r\n", plain.to_owned()),
        ("EXTENSION", "x> NOTIFY=NEVER", plain.to_owned()),
        ("EXTENSION", "x@evil.example", plain.to_owned()),
        ("EXTENSION", "\u{e9}", plain.to_owned()),
        ("EXTENSION", &long, plain.to_owned()),
        ("LOCAL_PART_SUFFIX", "+x\ny", plain.to_owned()),
        ("LOCAL", "toylist-bounces+x y", plain.to_owned()),
        ("DEFAULT", "x", plain.to_owned()),
    ] {
        let environment = [("SENDER", ""), (name, value)];
        let said = envelope(&environment, bounces, MESSAGE).unwrap();
        assert_eq!(said, format!("<> {wanted}"), "{name}={value:?}");
    }
}
