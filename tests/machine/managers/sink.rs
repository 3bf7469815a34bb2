//! Where the list managers' mail ends: an SMTP server that takes everything and keeps it.
//!
//! **Invariants.** Listens on 127.0.0.1 only. Refuses nothing, and never answers before it keeps.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a list manager may take to send what it was given, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// One message as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// The envelope's recipients.
    pub(crate) to: Vec<String>,
    /// The message, lines ending in LF.
    pub(crate) text: String,
}

/// The server; it ends when this is dropped.
pub(crate) struct Sink {
    pub(crate) port: u16,
    kept: Arc<Mutex<Vec<Mail>>>,
    closed: Arc<AtomicBool>,
}

impl Sink {
    pub(crate) fn open() -> Sink {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let sink = Sink {
            port: listener.local_addr().unwrap().port(),
            kept: Arc::default(),
            closed: Arc::default(),
        };
        let (kept, closed) = (sink.kept.clone(), sink.closed.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                let kept = kept.clone();
                // A client that breaks off has handed nothing over.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &kept)));
            }
        });
        sink
    }

    /// Waits until as many messages came of which `is_it` says so, and takes them. The others
    /// stay.
    #[track_caller]
    pub(crate) fn take(
        &self,
        what: &str,
        count: usize,
        is_it: impl Fn(&Mail) -> bool,
    ) -> Vec<Mail> {
        let start = Instant::now();
        loop {
            let mut kept = self.kept.lock().unwrap();
            if kept.iter().filter(|mail| is_it(mail)).count() >= count {
                let (taken, others) = kept.drain(..).partition(|mail| is_it(mail));
                *kept = others;
                return taken;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{what}: {count} messages expected, and in the sink are {kept:#?}"
            );
            drop(kept);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the copies of a message that members get, and asserts that each got one.
    #[track_caller]
    pub(crate) fn expect_copies(&self, subject: &str, members: &[&str]) -> Vec<Mail> {
        let start = Instant::now();
        let is_it = |mail: &Mail| mail.has_subject(subject);
        loop {
            let kept = self.kept.lock().unwrap();
            let copies = kept.iter().filter(|mail| is_it(mail));
            let copies: usize = copies.map(|mail| mail.to.len()).sum();
            if copies >= members.len() {
                break;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{subject}: copies for {members:?} expected, and in the sink are {kept:#?}"
            );
            drop(kept);
            std::thread::sleep(Duration::from_millis(50));
        }
        let copies = self.take(subject, 1, is_it);
        let mut got: Vec<&str> = copies
            .iter()
            .flat_map(|mail| mail.to.iter().map(String::as_str))
            .collect();
        got.sort_unstable();
        let mut members = members.to_vec();
        members.sort_unstable();
        assert_eq!(got, members, "{subject}: who got it");
        copies
    }

    /// Everything that nobody took.
    pub(crate) fn rest(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.kept.lock().unwrap())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Wakes who waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Mail {
    /// The header field of this name, without its continuation lines.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\n\n").next()?;
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// Whether its subject ends with this: a list may put its own name before it.
    pub(crate) fn has_subject(&self, subject: &str) -> bool {
        self.field("Subject")
            .is_some_and(|its| its.ends_with(subject))
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Mail>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut say = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes());
    let mut to = Vec::new();
    say("220 sink ESMTP")?;
    loop {
        let Some(line) = line(&mut reader)? else {
            return Ok(());
        };
        let word = line.split([' ', ':']).next().unwrap_or_default();
        match word.to_ascii_uppercase().as_str() {
            "MAIL" => {
                to.clear();
                say("250 ok")?;
            }
            "RCPT" => {
                to.push(path(&line));
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                let text = message(&mut reader)?;
                let to = std::mem::take(&mut to);
                kept.lock().unwrap().push(Mail { to, text });
                say("250 kept")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("250 ok")?,
        }
    }
}

/// A line without its end; none at the end of the stream.
fn line(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let n = reader.read_until(b'\n', &mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok((n > 0).then(|| text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// What stands in the angle brackets.
fn path(line: &str) -> String {
    let inner = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(String::new, |(path, _)| path.to_owned())
}

/// The lines up to the dot, which is doubled where it begins one.
fn message(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    while let Some(line) = line(reader)? {
        if line == "." {
            return Ok(text);
        }
        text += line.strip_prefix('.').unwrap_or(&line);
        text.push('\n');
    }
    Err(std::io::Error::other("the client broke off"))
}
