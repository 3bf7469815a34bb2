//! One message's way into a list manager that takes mail by LMTP: `mm-lmtp SERVER RECIPIENT`.
//!
//! Read the command line; read as much of the message as it takes to know its sender; connect;
//! LHLO, MAIL, RCPT, DATA; send the message as it comes in; turn the last reply into a status.
//!
//! The reply to the final dot decides. Once it is a 2xx the status is 0, whatever happens to the
//! QUIT after it. If it never comes, nobody knows whether the server has the message: the status
//! is 75 and the message may come twice, since the other answer could lose it.
//!
//! **Invariants.** Chooses no tree and no list: both stand in the arguments. Every failure of
//! ours is 75 and one line on stderr without a path; the reason is in the system's log. Holds
//! the head of a message at most, and that only where the MTA does not say who sent it.

use std::ffi::{OsString, c_int};
use std::fmt;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

use crate::dialogue::{Dialogue, Reply, Trouble};
use crate::endpoint::{BadEndpoint, Endpoint};
use crate::envelope::{BadAddress, Recipient, Sender};
use crate::incoming::Incoming;
use crate::smtp_text::Text;
use crate::{sysexits, syslog};

const USAGE: &str = "\
usage: mm-lmtp [--within SECONDS] SERVER RECIPIENT
       mm-lmtp --help | --version

Hands the message on standard input to the LMTP server at SERVER, for RECIPIENT.
mm-deliver runs it for a list whose tree takes mail that way (site.toml, `lmtp`).

  SERVER            an IP address and port, or a Unix socket: 127.0.0.1:8024,
                    [::1]:8024, /run/lmtp.sock, unix:/run/lmtp.sock
  RECIPIENT         LOCAL@DOMAIN; what the MTA found behind a + is added to LOCAL
                    (EXTENSION, LOCAL_PART_SUFFIX or LOCAL in the environment)
  --within SECONDS  give up after this time in all (default 240)

The sender is SENDER in the environment (set but empty: nobody), else that of the
message's From_ line, else that of its Return-Path.

Exit status: 0 if the server has the message; 67 if it refuses the recipient for
good; 69 if it refuses sender or message for good; 75 for everything else (the
MTA keeps the message and tries again), such as a server that greets with a 5xx,
knows no LHLO, or says 500 to 504: it is no LMTP server, or the wrong one.
";

/// How long a delivery may take in all: OpenSMTPD gives up after 300 s, lets the program run on
/// and delivers again; Postfix kills after 1000 s and Exim after an hour, and both bounce. Less
/// than any default of mm-guard's, so that the reason is told here.
const WITHIN: Duration = Duration::from_secs(240);
/// How long a connection may take.
const TO_CONNECT: Duration = Duration::from_secs(30);
/// How long each reply may take, and each write.
const A_STEP: Duration = Duration::from_secs(60);
/// How long the last reply may take: all the time that is left, since to give up on it is to have
/// the message come twice.
const THE_REST: Duration = LONGEST;
/// The most that `--within` takes.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Help,
    Version,
    Deliver {
        within: Duration,
        server: Endpoint,
        recipient: Recipient,
    },
}

/// Where a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Lhlo,
    Mail,
    Rcpt,
    Data,
    Text,
    /// The final dot was sent.
    Dot,
}

/// Why the server has not taken the message, as far as we know.
#[derive(Debug)]
enum Failure {
    /// This standard descriptor is closed.
    Closed(c_int),
    Usage(String),
    Server(BadEndpoint),
    Recipient(BadAddress),
    /// Standard input cannot be read.
    Message(Trouble),
    /// Not one byte of a message came, but a From_ line at most.
    Nothing,
    NoSender,
    Sender(&'static str, BadAddress),
    /// The sender is no ASCII, and the server knows no other.
    NeedsUtf8,
    Connect(Trouble),
    Trouble(Step, Trouble),
    /// The server answered otherwise than with what was hoped for.
    Answer(Step, Reply),
    /// The server cannot read the sender, and it is the sender that is to blame.
    Misread(Reply),
}

impl Failure {
    fn status(&self) -> c_int {
        match self {
            Failure::Answer(step, reply) if !is_verdict(*step, reply) => sysexits::TEMPFAIL,
            Failure::Answer(Step::Rcpt, _) => sysexits::NOUSER,
            Failure::Answer(..) | Failure::Misread(_) => sysexits::UNAVAILABLE,
            _ => sysexits::TEMPFAIL,
        }
    }

    /// What a stranger may read: no path, and none of the server's words.
    fn public(&self) -> &'static str {
        match self {
            Failure::Closed(_) => "a standard descriptor is closed",
            Failure::Usage(_) | Failure::Server(_) | Failure::Recipient(_) => {
                "the way to the list manager is not described well"
            }
            Failure::Message(_) | Failure::Nothing => "the message did not come whole",
            Failure::NoSender => "nobody says who sent the message",
            Failure::Sender(..) | Failure::NeedsUtf8 => "the sender's address cannot be passed on",
            Failure::Connect(_) => "the list manager does not answer",
            Failure::Trouble(Step::Dot, _) => {
                "the list manager did not say whether it has the message"
            }
            Failure::Trouble(..) => "the list manager broke off",
            Failure::Answer(step, reply) if !is_verdict(*step, reply) => {
                "the list manager takes no mail at the moment"
            }
            Failure::Answer(Step::Rcpt, _) => "no such address",
            Failure::Answer(..) | Failure::Misread(_) => "the list manager refuses the message",
        }
    }
}

/// Whether a list manager has judged sender, recipient or message for good.
///
/// A 5xx to what has none of them yet, and a command that is not known, out of order or without
/// sense there (500 to 504, RFC 5321 4.2.1), is what a wrong port or protocol says: our fault,
/// and none of the message's.
fn is_verdict(step: Step, reply: &Reply) -> bool {
    let is_named = !matches!(step, Step::Greeting | Step::Lhlo);
    is_named && reply.is_final() && !(500..=504).contains(&reply.code)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Greeting => "before its greeting",
            Step::Lhlo => "at LHLO",
            Step::Mail => "at MAIL",
            Step::Rcpt => "at RCPT",
            Step::Data => "at DATA",
            Step::Text => "in the message",
            Step::Dot => "after the message",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Closed(fd) => write!(f, "descriptor {fd} is closed"),
            Failure::Usage(what) => write!(f, "{what}; see mm-lmtp --help"),
            Failure::Server(bad) => write!(f, "SERVER is {bad}"),
            Failure::Recipient(bad) => write!(f, "RECIPIENT is no address of a list: {bad}"),
            Failure::Message(trouble) => write!(f, "cannot read the message: {trouble}"),
            Failure::Nothing => f.write_str("no message came: one has a header at least"),
            Failure::NoSender => f.write_str(
                "no sender: SENDER is not set, and the message has neither From_ nor Return-Path",
            ),
            Failure::Sender(place, bad) => write!(f, "cannot say the sender in {place}: {bad}"),
            Failure::NeedsUtf8 => {
                f.write_str("the sender needs SMTPUTF8, which the server has not")
            }
            Failure::Connect(trouble) => trouble.fmt(f),
            Failure::Trouble(step, trouble) => write!(f, "{step}: {trouble}"),
            Failure::Answer(step, reply) => {
                write!(f, "{step} the server says: {reply}")?;
                match reply.is_final() && !is_verdict(*step, reply) {
                    true => f.write_str("; is it an LMTP server, and the right one?"),
                    false => Ok(()),
                }
            }
            Failure::Misread(reply) => write!(f, "{} the server says: {reply}", Step::Mail),
        }
    }
}

/// Runs the program; returns its status.
pub fn main(arguments: impl Iterator<Item = OsString>) -> c_int {
    sysexits::keep_mail_on_any_fault();
    let text = match parse(arguments) {
        Ok(Call::Help) => USAGE.to_owned(),
        Ok(Call::Version) => concat!("mm-lmtp ", env!("CARGO_PKG_VERSION"), "\n").to_owned(),
        Ok(Call::Deliver {
            within,
            server,
            recipient,
        }) => {
            return match deliver(&server, &recipient, Instant::now() + within) {
                Ok(()) => sysexits::OK,
                Err(failure) => report(&failure, &format!("{server} for {recipient}: ")),
            };
        }
        Err(failure) => return report(&failure, ""),
    };
    use io::Write;
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => sysexits::OK,
        Err(_) => sysexits::TEMPFAIL,
    }
}

fn report(failure: &Failure, about: &str) -> c_int {
    let (status, text) = (failure.status(), failure.public());
    syslog::warn("mm-lmtp", &format!("{about}{failure}"));
    sysexits::say(&match status {
        sysexits::NOUSER => format!("5.1.1 mm-lmtp: {text}\n"),
        sysexits::UNAVAILABLE => format!("5.3.0 mm-lmtp: {text}\n"),
        _ => format!("4.3.0 mm-lmtp: {text}, message kept by the mail system\n"),
    });
    status
}

/// Reads the command line.
fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Call, Failure> {
    let words: Vec<OsString> = arguments.collect();
    let usage = |what: &str| Failure::Usage(what.to_owned());
    let words: Vec<&str> = words
        .iter()
        .map(|word| {
            word.to_str()
                .ok_or_else(|| usage("an argument is not UTF-8"))
        })
        .collect::<Result<_, _>>()?;
    let (within, rest) = match words.as_slice() {
        ["--help"] => return Ok(Call::Help),
        ["--version"] => return Ok(Call::Version),
        ["--within", seconds, rest @ ..] => match seconds.parse().map(Duration::from_secs) {
            Ok(within) if !within.is_zero() && within <= LONGEST => (within, rest),
            _ => return Err(usage("--within takes 1 to 86400 seconds")),
        },
        rest => (WITHIN, rest),
    };
    let [server, recipient] = rest else {
        return Err(usage("SERVER and RECIPIENT are expected"));
    };
    Ok(Call::Deliver {
        within,
        server: Endpoint::parse(server).map_err(Failure::Server)?,
        recipient: Recipient::parse(recipient).map_err(Failure::Recipient)?,
    })
}

/// Hands the message over.
fn deliver(server: &Endpoint, recipient: &Recipient, end: Instant) -> Result<(), Failure> {
    // Before anything is opened: it would take the place of the one that is closed.
    if let Some(fd) = sysexits::closed_standard_descriptor() {
        return Err(Failure::Closed(fd));
    }
    let mut message = Incoming::open(end).map_err(Failure::Message)?;
    if message.is_empty().map_err(Failure::Message)? {
        return Err(Failure::Nothing);
    }
    let sender = sender(&mut message)?;
    let recipient = with_tail(recipient);
    let mut dialogue = Dialogue::open(server, TO_CONNECT, end).map_err(Failure::Connect)?;
    let done = hand_over(&mut dialogue, &sender, &recipient, &mut message);
    // Within the message a QUIT would be a line of it.
    if matches!(
        done,
        Ok(()) | Err(Failure::Answer(..) | Failure::Misread(_) | Failure::NeedsUtf8)
    ) {
        dialogue.leave();
    }
    done
}

/// Who sent the message.
fn sender(message: &mut Incoming) -> Result<Sender, Failure> {
    if let Some(value) = std::env::var_os("SENDER") {
        return Sender::parse(value.as_bytes()).map_err(|bad| Failure::Sender("SENDER", bad));
    }
    if let Some(line) = message.from_line() {
        return Sender::of_from_line(line).map_err(|bad| Failure::Sender("From_", bad));
    }
    match message.return_path().map_err(Failure::Message)? {
        Some(value) => Sender::parse(&value).map_err(|bad| Failure::Sender("Return-Path", bad)),
        None => Err(Failure::NoSender),
    }
}

/// The recipient with what the MTA found behind it, if that can be said.
fn with_tail(recipient: &Recipient) -> Recipient {
    let variable = |name: &str| std::env::var_os(name).map(OsString::into_vec);
    let Some(tail) = recipient.tail(variable) else {
        return recipient.clone();
    };
    recipient.with_tail(&tail).unwrap_or_else(|bad| {
        let shown = tail.escape_ascii();
        syslog::warn(
            "mm-lmtp",
            &format!("{recipient}: left out what stands behind +: \"{shown}\": {bad}"),
        );
        recipient.clone()
    })
}

/// The conversation.
fn hand_over(
    dialogue: &mut Dialogue,
    sender: &Sender,
    recipient: &Recipient,
    message: &mut Incoming,
) -> Result<(), Failure> {
    let greeting = dialogue.reply(A_STEP);
    done(Step::Greeting, greeting)?;
    let hello = ask(dialogue, Step::Lhlo, "LHLO localhost\r\n")?;
    let knows = |word: &str| {
        let words = hello
            .lines
            .iter()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next());
        words
            .into_iter()
            .any(|known| known.eq_ignore_ascii_case(word))
    };
    // A message is not searched for 8-bit bytes: it has not come in yet.
    let mut mail = format!("MAIL FROM:{sender}");
    if knows("8BITMIME") {
        mail += " BODY=8BITMIME";
    }
    if sender.needs_utf8() {
        if !knows("SMTPUTF8") {
            return Err(Failure::NeedsUtf8);
        }
        mail += " SMTPUTF8";
    }
    ask(dialogue, Step::Mail, &(mail + "\r\n")).map_err(|failure| match failure {
        // WHOSE FAULT. A stranger chose it, and no later try makes it better.
        Failure::Answer(_, reply) if matches!(reply.code, 500 | 501) && !sender.is_plain() => {
            Failure::Misread(reply)
        }
        failure => failure,
    })?;
    ask(dialogue, Step::Rcpt, &format!("RCPT TO:{recipient}\r\n"))?;
    let go = command(dialogue, Step::Data, "DATA\r\n")?;
    if go.code != 354 {
        return Err(Failure::Answer(Step::Data, go));
    }
    send_text(dialogue, message)?;
    let reply = dialogue.reply(THE_REST);
    done(Step::Dot, reply).map(drop)
}

/// Sends the message as it comes in.
fn send_text(dialogue: &mut Dialogue, message: &mut Incoming) -> Result<(), Failure> {
    let failed = |trouble| Failure::Trouble(Step::Text, trouble);
    let (mut text, mut wire) = (Text::default(), Vec::new());
    while let Some(bytes) = message.piece().map_err(Failure::Message)? {
        text.push(bytes, &mut wire);
        dialogue.send(&wire, A_STEP).map_err(failed)?;
        wire.clear();
    }
    text.end(&mut wire);
    dialogue.send(&wire, A_STEP).map_err(failed)
}

/// Sends a command that is to be done.
fn ask(dialogue: &mut Dialogue, step: Step, line: &str) -> Result<Reply, Failure> {
    let reply = command(dialogue, step, line)?;
    done(step, Ok(reply))
}

fn command(dialogue: &mut Dialogue, step: Step, line: &str) -> Result<Reply, Failure> {
    let sent = dialogue.send(line.as_bytes(), A_STEP);
    sent.and_then(|()| dialogue.reply(A_STEP))
        .map_err(|trouble| Failure::Trouble(step, trouble))
}

fn done(step: Step, reply: Result<Reply, Trouble>) -> Result<Reply, Failure> {
    match reply {
        Ok(reply) if reply.is_done() => Ok(reply),
        Ok(reply) => Err(Failure::Answer(step, reply)),
        Err(trouble) => Err(Failure::Trouble(step, trouble)),
    }
}
