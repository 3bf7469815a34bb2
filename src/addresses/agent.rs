//! A small local delivery agent: runs one pipe of an alias as an MTA would, and says what
//! the MTA would make of it.
//!
//! As Postfix's local(8) does it: the command's words without a shell, a message that begins
//! with a `From ` line, an environment of the agent's own making, one status and the first
//! line of output as the verdict.
//!
//! **Invariants.** No shell. The child inherits three descriptors and nothing of our
//! environment. Reads no alias.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use crate::accounts::User;
use crate::sysexits::{OK, TEMPFAIL};

/// What an MTA reads of a program's output; more than enough for its first line.
const LONGEST_OUTPUT: u64 = 16 * 1024;

/// The envelope of one delivery.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    /// The envelope sender; empty for `<>`.
    pub(super) sender: String,
    /// The address as it was typed, with a domain.
    pub(super) recipient: String,
    /// What stands before the `@`.
    pub(super) local: String,
    /// What stands behind it.
    pub(super) domain: String,
    /// What follows the `+` that the alias was found without.
    pub(super) extension: Option<String>,
    /// The alias whose pipe is run.
    pub(super) alias: String,
}

/// What an MTA does with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is delivered.
    Delivered,
    /// It stays in the queue and is tried again.
    Kept,
    /// It goes back to the sender; the status that says why.
    Bounced(u8),
}

/// How one pipe ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) verdict: Verdict,
    /// `status 75`, `signal 9`.
    pub(super) how: String,
    /// The first line of output, if any.
    pub(super) said: String,
}

/// Runs `words` with `message` on standard input, as `user` if one is given.
///
/// # Errors
/// The program cannot be started, which an MTA takes as a reason to try again.
pub(super) fn run(
    words: &[&str],
    envelope: &Envelope,
    message: &[u8],
    user: Option<&User>,
) -> io::Result<Ended> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(io::Error::other("the command is empty"));
    };
    let (mut reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment(envelope))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    if let Some(user) = user {
        // std drops the supplementary groups of root when it becomes somebody else.
        command.uid(user.uid).gid(user.gid);
    }
    let mut child = command.spawn()?;
    // It holds the writing end of the pipe, whose end is waited for.
    drop(command);
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // A program that does not read its message to the end is the verdict's matter.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(message)));
        let mut output = Vec::new();
        let read = (&mut reader).take(LONGEST_OUTPUT).read_to_end(&mut output);
        let rest = io::copy(&mut reader, &mut io::sink());
        read.and(rest).map(|_| output)
    })?;
    Ok(judge(child.wait()?, &output))
}

/// What Postfix passes to a program (measured; local(8), "EXTERNAL COMMAND DELIVERY").
fn environment(envelope: &Envelope) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("LANG", "C".to_owned()),
        ("SHELL", "/bin/sh".to_owned()),
        ("USER", envelope.alias.clone()),
        ("LOGNAME", envelope.alias.clone()),
        ("SENDER", envelope.sender.clone()),
        ("RECIPIENT", envelope.recipient.clone()),
        ("ORIGINAL_RECIPIENT", envelope.recipient.clone()),
        ("LOCAL", envelope.local.clone()),
        ("DOMAIN", envelope.domain.clone()),
    ];
    all.extend(
        envelope
            .extension
            .clone()
            .map(|extension| ("EXTENSION", extension)),
    );
    // An environment's strings end at the first NUL; a hostile header could bring one.
    all.iter_mut()
        .for_each(|(_, value)| value.retain(|c| c != '\0'));
    all
}

fn judge(status: ExitStatus, output: &[u8]) -> Ended {
    let first = output.split(|&b| b == b'\n').next().unwrap_or_default();
    let said = crate::syslog::printable(&String::from_utf8_lossy(first));
    let (how, code) = match (status.code(), status.signal()) {
        (Some(code), _) => (format!("status {code}"), code),
        (None, Some(signal)) => (format!("signal {signal}"), TEMPFAIL),
        (None, None) => ("no status".to_owned(), TEMPFAIL),
    };
    let bounced = match u8::try_from(code) {
        Ok(0 | 75) | Err(_) => 69,
        Ok(code) => code,
    };
    let verdict = match (code, leading_class(first)) {
        (OK, _) => Verdict::Delivered,
        (_, Some(4)) => Verdict::Kept,
        (_, Some(5)) => Verdict::Bounced(bounced),
        // 71 is kept by Postfix, Sendmail and OpenSMTPD.
        (TEMPFAIL | 71, _) => Verdict::Kept,
        _ => Verdict::Bounced(bounced),
    };
    Ended { verdict, how, said }
}

/// The class of a status code (RFC 3463) at the beginning of the output: Postfix believes it
/// more than the exit status.
fn leading_class(line: &[u8]) -> Option<u8> {
    let code = line.split(|b| b.is_ascii_whitespace()).next()?;
    let parts: Vec<&[u8]> = code.split(|&b| b == b'.').collect();
    let number =
        |part: &&[u8]| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    match parts[..] {
        [[class @ (b'2' | b'4' | b'5')], subject, detail]
            if number(&subject) && number(&detail) =>
        {
            Some(class - b'0')
        }
        _ => None,
    }
}

/// The message as a program gets it: with a `From ` line first.
pub(super) fn with_from_line(message: &[u8], sender: &str) -> Vec<u8> {
    if message.starts_with(b"From ") {
        return message.to_vec();
    }
    let sender: String = sender
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .collect();
    let sender = if sender.is_empty() {
        "MAILER-DAEMON"
    } else {
        &sender
    };
    let mut text = format!("From {sender}  {}\n", ctime()).into_bytes();
    text.extend_from_slice(message);
    text
}

/// The time as ctime(3) prints it, in UTC: `Sun Nov 22 10:02:11 2026`.
fn ctime() -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let now = crate::clock::Timestamp::now();
    let day = DAYS[usize::try_from(now.0.div_euclid(86_400).rem_euclid(7)).unwrap_or(0)];
    let text = now.to_string();
    let month = text[5..7]
        .parse::<usize>()
        .map_or(MONTHS[0], |n| MONTHS[(n + 11) % 12]);
    let date = text[8..10].trim_start_matches('0');
    format!("{day} {month} {date:>2} {} {}", &text[11..19], &text[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_what_postfix_makes_of_status_and_first_line() {
        let judged = |code: i32, output: &str| {
            judge(ExitStatus::from_raw(code << 8), output.as_bytes()).verdict
        };
        assert_eq!(judged(0, "5.7.1 ignored"), Verdict::Delivered);
        assert_eq!(judged(75, ""), Verdict::Kept);
        assert_eq!(judged(71, ""), Verdict::Kept);
        assert_eq!(judged(67, ""), Verdict::Bounced(67));
        assert_eq!(judged(1, "4.3.0 later\nmore"), Verdict::Kept);
        assert_eq!(judged(75, "5.7.1 no"), Verdict::Bounced(69));
        assert_eq!(judged(1, "4.3 no code"), Verdict::Bounced(1));
        assert_eq!(judge(ExitStatus::from_raw(9), b"").verdict, Verdict::Kept);
    }

    #[test]
    fn a_from_line_stands_first_and_once() {
        let text = with_from_line(b"Subject: x\n\nhi\n", "a b\n@x");
        assert!(text.starts_with(b"From ab@x  "), "{text:?}");
        assert!(text.ends_with(b"\nSubject: x\n\nhi\n"));
        assert_eq!(with_from_line(b"From x\n", "y"), b"From x\n");
        assert!(with_from_line(b"", "").starts_with(b"From MAILER-DAEMON  "));
    }
}
