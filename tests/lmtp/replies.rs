//! What a server says, or does not say, and what becomes of the message.

use std::thread;

use super::*;

#[test]
fn whatever_a_server_does_the_message_is_kept_unless_it_answers() {
    let megabyte = [&b"250 "[..], &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let endless = [b"250-x\r\n".repeat(10_000), b"250 x\r\n".to_vec()].concat();
    let acts = [
        Act::Close,
        Act::HalfClose,
        Act::Hang,
        Act::Say(megabyte),
        Act::Say(endless),
        Act::Say(vec![0xff, 0, b'\n']),
        say("hello\r\n"),
        say("\r\n"),
        say("2"),
        say("250-Ok\r\n550 no\r\n"),
        say("150 wait\r\n"),
        say("600 x\r\n"),
        say("2xx Ok\r\n"),
        say("399 more\r\n"),
        Act::SayAndClose("250 O"),
        Act::SayAndClose("250-Ok\r\n"),
        say("421 \u{1b}[31m/srv/secret\r\n"),
        say("450-not\r\n450 now\r\n"),
        Act::SayAndClose("451 later\r\n"),
    ];
    let acts = &acts;
    let try_all = |step| {
        for act in acts {
            let (address, server) = serve(step, act.clone());
            let about = format!("{step}: {}", short(act));
            let words = ["--within", "1", &address, LIST];
            ends(&run(AL, &words, MESSAGE), 75, &about);
            let seen = server.join().unwrap();
            assert_eq!(seen.message.is_some(), step == "dot", "{about}: {seen:?}");
        }
    };
    // Those that wait, wait at the same time.
    thread::scope(|scope| {
        for step in STEPS {
            scope.spawn(move || try_all(step));
        }
    });
}

fn short(act: &Act) -> String {
    match act {
        Act::Say(text) => format!("says {}", text[..text.len().min(40)].escape_ascii()),
        other => format!("{other:?}"),
    }
}

#[test]
fn what_is_refused_for_good_is_no_such_address_or_unavailable() {
    for step in ["MAIL", "RCPT", "DATA", "dot"] {
        for text in [
            "550 no\r\n",
            "550-no\r\n550 never\r\n",
            "552\r\n",
            "505 \u{1b}[31m/srv\n",
        ] {
            for act in [say(text), Act::SayAndClose(text)] {
                let (address, server) = serve(step, act);
                let status = if step == "RCPT" { 67 } else { 69 };
                ends(
                    &run(AL, &[&address, LIST], MESSAGE),
                    status,
                    &format!("{step}: {text:?}"),
                );
                server.join().unwrap();
            }
        }
    }
}

#[test]
fn what_is_no_lmtp_server_refuses_no_message() {
    for (steps, texts) in [
        (
            &["greeting", "LHLO"][..],
            &["550 no\r\n", "554-no\r\n554 never\r\n", "521 gone\r\n"][..],
        ),
        (
            &STEPS,
            &[
                "500 what\r\n",
                "501 a\r\n",
                "502 b\r\n",
                "503 bad sequence\r\n",
            ],
        ),
    ] {
        for &step in steps {
            for text in texts {
                for act in [say(text), Act::SayAndClose(text)] {
                    let (address, server) = serve(step, act);
                    let about = format!("{step}: {text:?}");
                    ends(&run(AL, &[&address, LIST], MESSAGE), 75, &about);
                    server.join().unwrap();
                }
            }
        }
    }
}

#[test]
fn a_sender_that_the_server_cannot_read_is_refused_for_good() {
    let long = format!("{}@example.org", "x".repeat(1_000));
    for sender in ["b@ex'ample.com", "b@a/b", &long] {
        for (text, status) in [
            ("501 syntax\r\n", 69),
            ("500 too long\r\n", 69),
            ("553 malformed\r\n", 69),
            ("503 bad sequence\r\n", 75),
            ("451 later\r\n", 75),
        ] {
            let (address, server) = serve("MAIL", say(text));
            let done = run(&[("SENDER", sender)], &[&address, LIST], MESSAGE);
            ends(&done, status, &format!("{sender}: {text:?}"));
            server.join().unwrap();
        }
    }
}

#[test]
fn a_slow_or_lengthy_reply_is_a_reply() {
    for (step, act) in [
        ("greeting", Act::Slowly("220-a\r\n220-b\r\n220 c\r\n")),
        ("RCPT", Act::Slowly("250-Ok\r\n250 Ok\r\n")),
        ("dot", Act::Slowly("250 Ok\r\n")),
        ("dot", say("250\n")),
        ("dot", say("200 other\r\n")),
        ("dot", Act::SayAndClose("250 Ok\r\n")),
    ] {
        let (address, server) = serve(step, act);
        ends(&run(AL, &[&address, LIST], MESSAGE), 0, step);
        assert_eq!(server.join().unwrap().message.unwrap(), RECEIVED);
    }
}

#[test]
fn a_server_that_answers_before_it_is_asked_is_not_believed() {
    for (step, text) in [
        (
            "greeting",
            "220 here\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n250 Ok\r\n",
        ),
        (
            "LHLO",
            "250 here\r\n250 Ok\r\n250 Ok\r\n354 go\r\n250 Ok\r\n",
        ),
        ("DATA", "354 go on\r\n250 Ok\r\n"),
        ("DATA", "354 go on\r\n5"),
    ] {
        let (address, server) = serve(step, say(text));
        ends(&run(AL, &[&address, LIST], MESSAGE), 75, step);
        assert_eq!(server.join().unwrap().message, None, "{text:?}");
    }
}
