//! mm-lmtp against a server that keeps to the rules, and against one that breaks them at every
//! step: the status, the line for strangers, and the message that arrived, byte by byte.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::stage::{Done, hot, spawn};

/// What a server says, and what becomes of the message.
mod replies;

/// Sender and recipient.
mod envelope;

/// Lists on a tree that takes mail by LMTP.
mod tree;

const MESSAGE: &[u8] = b"From: al@example.org\nSubject: x\n\nbody\n.\n..x\n";
const RECEIVED: &[u8] = b"From: al@example.org\r\nSubject: x\r\n\r\nbody\r\n.\r\n..x\r\n";
const LIST: &str = "toylist@lists.example.org";

/// What the server does when its turn comes.
#[derive(Debug, Clone)]
enum Act {
    /// Says this.
    Say(Vec<u8>),
    /// Says this, and closes the connection.
    SayAndClose(&'static str),
    Close,
    /// Closes its own side, and reads on.
    HalfClose,
    /// Says nothing until the client has gone.
    Hang,
    /// Says this, a byte at a time.
    Slowly(&'static str),
}

/// The steps at which a server acts, in their order.
const STEPS: [&str; 6] = ["greeting", "LHLO", "MAIL", "RCPT", "DATA", "dot"];

fn good(step: &str) -> Act {
    say(match step {
        "greeting" => "220 here\r\n",
        "LHLO" => "250-here\r\n250-SIZE 33554432\r\n250-8BITMIME\r\n250 HELP\r\n",
        "DATA" => "354 go on\r\n",
        _ => "250 Ok\r\n",
    })
}

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

/// What a server saw of one client.
#[derive(Debug, Default)]
struct Seen {
    commands: Vec<String>,
    /// The message, dots undone, if its end came.
    message: Option<Vec<u8>>,
}

/// A server for one client, that does `act` at `step` and what is right at all others.
fn serve(step: &'static str, act: Act) -> (String, JoinHandle<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let close = stream.try_clone().unwrap();
        let mut seen = Seen::default();
        converse(BufReader::new(stream), close, step, &act, &mut seen);
        seen
    });
    (address, server)
}

/// Ends when the client or an act ends the conversation; whatever fails then is the client's.
fn converse(
    mut input: BufReader<TcpStream>,
    mut output: TcpStream,
    step: &str,
    act: &Act,
    seen: &mut Seen,
) {
    for now in STEPS {
        match now {
            "greeting" => {}
            "dot" => match read_text(&mut input) {
                Some(text) => seen.message = Some(text),
                None => return,
            },
            _ => match read_line(&mut input) {
                Some(line) => seen
                    .commands
                    .push(String::from_utf8_lossy(&line).into_owned()),
                None => return,
            },
        }
        let act = if now == step { act.clone() } else { good(now) };
        match act {
            Act::Say(text) => drop(output.write_all(&text)),
            Act::SayAndClose(text) => return drop(output.write_all(text.as_bytes())),
            Act::Close => return,
            Act::HalfClose => output.shutdown(Shutdown::Write).unwrap(),
            Act::Hang => return drop(input.read_to_end(&mut Vec::new())),
            Act::Slowly(text) => {
                for byte in text.bytes() {
                    let _ = output.write_all(&[byte]);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
    // What follows is QUIT or the end.
    let mut rest = String::new();
    let _ = input.read_to_string(&mut rest);
    seen.commands.extend((!rest.is_empty()).then_some(rest));
}

fn read_line(input: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let count = input.read_until(b'\n', &mut line).unwrap_or(0);
    (count > 0 && line.ends_with(b"\n")).then_some(line)
}

fn read_text(input: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let line = read_line(input)?;
        match line.as_slice() {
            b".\r\n" => return Some(text),
            [b'.', rest @ ..] => text.extend_from_slice(rest),
            line => text.extend_from_slice(line),
        }
    }
}

/// Runs mm-lmtp with these variables and words, and `message` on stdin.
fn run(environment: &[(&str, &str)], words: &[&str], message: &[u8]) -> Done {
    let mut command = Command::new(hot("mm-lmtp"));
    command
        .args(words)
        .env_clear()
        .envs(environment.iter().copied());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    let message = message.to_vec();
    // A server that refuses leaves the message unread.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&message)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Done {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

const AL: &[(&str, &str)] = &[("SENDER", "al@example.org")];

/// One line, of the right code, without a path and without the server's words.
#[track_caller]
fn ends(done: &Done, status: i32, about: &str) {
    let code = match status {
        0 => "",
        67 => "5.1.1 mm-lmtp: ",
        69 => "5.3.0 mm-lmtp: ",
        _ => "4.3.0 mm-lmtp: ",
    };
    assert_eq!(done.status, Some(status), "{about}: {done:#?}");
    assert_eq!(done.stdout, "", "{about}: {done:#?}");
    assert!(done.stderr.starts_with(code), "{about}: {done:#?}");
    let lines = usize::from(status != 0);
    assert_eq!(
        done.stderr.matches('\n').count(),
        lines,
        "{about}: {done:#?}"
    );
    assert!(!done.stderr.contains(['/', '\u{1b}']), "{about}: {done:#?}");
}

#[test]
fn a_server_that_keeps_to_the_rules_has_the_message() {
    let (address, server) = serve("none", Act::Close);
    ends(&run(AL, &[&address, LIST], MESSAGE), 0, "good");
    let seen = server.join().unwrap();
    assert_eq!(
        seen.commands,
        [
            "LHLO localhost\r\n",
            "MAIL FROM:<al@example.org> BODY=8BITMIME\r\n",
            "RCPT TO:<toylist@lists.example.org>\r\n",
            "DATA\r\n",
            "QUIT\r\n",
        ]
    );
    assert_eq!(seen.message.unwrap(), RECEIVED);
}

#[test]
fn nobody_there_is_no_answer() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    ends(&run(AL, &[&free.to_string(), LIST], MESSAGE), 75, "refused");
    let path = std::env::temp_dir().join(format!("mm-lmtp-{}.sock", std::process::id()));
    let path = path.to_str().unwrap();
    ends(&run(AL, &[path, LIST], MESSAGE), 75, "no socket");
    let listener = UnixListener::bind(path).unwrap();
    // It is there, and nobody accepts.
    ends(
        &run(AL, &["--within", "1", path, LIST], MESSAGE),
        75,
        "silent socket",
    );
    drop(listener);
    ends(
        &run(AL, &[path, LIST], MESSAGE),
        75,
        "a socket without a server",
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_unix_socket_is_as_good() {
    let path = std::env::temp_dir().join(format!("mm-lmtp-{}-good.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        let (mut output, mut input) = (stream.try_clone().unwrap(), BufReader::new(stream));
        output.write_all(b"220 x\r\n").unwrap();
        for reply in ["250 x\r\n", "250 x\r\n", "250 x\r\n", "354 x\r\n"] {
            read_line(&mut input).unwrap();
            output.write_all(reply.as_bytes()).unwrap();
        }
        let text = read_text(&mut input).unwrap();
        output.write_all(b"250 x\r\n").unwrap();
        text
    });
    let unix = format!("unix:{}", path.display());
    ends(&run(AL, &[&unix, LIST], MESSAGE), 0, "unix");
    assert_eq!(server.join().unwrap(), RECEIVED);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn every_byte_of_a_large_message_arrives() {
    let line: Vec<u8> = (0..=255).filter(|b| !b"\r\n".contains(b)).collect();
    let mut message = b"From x@y Mon Nov 23 17:00:00 2026\nSubject: 20 MB\n\n".to_vec();
    let mut wanted = b"Subject: 20 MB\r\n\r\n".to_vec();
    while message.len() < 20_000_000 {
        for line in [&b"."[..], &line, b"..", b"From x", b""] {
            message.extend([line, b"\n"].concat());
            wanted.extend([line, b"\r\n"].concat());
        }
    }
    let (address, server) = serve("none", Act::Close);
    ends(&run(AL, &[&address, LIST], &message), 0, "20 MB");
    assert!(
        server.join().unwrap().message.unwrap() == wanted,
        "it is another message"
    );
}

#[test]
fn a_message_that_stops_coming_is_not_ended() {
    let (address, server) = serve("none", Act::Close);
    let mut command = Command::new(hot("mm-lmtp"));
    command
        .args(["--within", "1", &address, LIST])
        .env_clear()
        .env("SENDER", "a@b");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"From: x@y\n\nbody\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(75));
    drop(stdin);
    assert_eq!(server.join().unwrap().message, None);
}

#[test]
fn a_broken_command_line_keeps_the_message() {
    for words in [
        &[][..],
        &["127.0.0.1:24"],
        &["127.0.0.1:24", LIST, "more"],
        &["localhost:24", LIST],
        &["127.0.0.1:24", "toylist"],
        &["127.0.0.1:24", "toy list@x"],
        &["--within", "0", "127.0.0.1:24", LIST],
        &["--within", "soon", "127.0.0.1:24", LIST],
        &["--verbose", "127.0.0.1:24", LIST],
        &["--help", "127.0.0.1:24", LIST],
    ] {
        ends(&run(AL, words, MESSAGE), 75, &format!("{words:?}"));
    }
    for (word, begins) in [("--help", "usage: mm-lmtp"), ("--version", "mm-lmtp 0")] {
        let done = run(&[], &[word], b"").expect(0);
        assert!(done.stdout.starts_with(begins), "{done:?}");
    }
}
