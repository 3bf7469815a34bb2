//! Where the mail of a rehearsal ends: an SMTP server that takes everything and sends nothing.
//!
//! It speaks RFC 5321 as far as list managers do: EHLO, HELO, MAIL, RCPT, DATA, RSET, NOOP, VRFY,
//! QUIT, with 8BITMIME, SIZE and PIPELINING. Each connection has a thread.
//!
//! **Invariants.** Nothing that came in goes anywhere but to who asks for it ([`Sink::take`]). Its
//! sockets are made by who calls, and belong to the network that was his then. What is kept between
//! two takings is bounded; beyond that the sender is told to try again, and that is counted.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_quickack;
use sha2::{Digest, Sha256};

use super::outcome::Sent;

/// Of one message so much is kept as it is, in bytes; of each line behind it a digest.
const KEPT: usize = 256 * 1024;
/// And so much with the digests.
const MOST: usize = 16 * 1024 * 1024;
/// So much of a line is read at once, in bytes.
const LONGEST: u64 = 1 << 16;
/// No address is longer, in bytes (RFC 5321, 4.5.3.1: 256 for a path).
const ADDRESS: usize = 512;
/// And of all together.
const KEPT_OF_ALL: usize = 64 * 1024 * 1024;
/// As large may a message be, in bytes.
const LARGEST: u64 = 100 * 1024 * 1024;
/// A line of a command is no longer, in bytes.
const LINE: u64 = 4096;
/// So many recipients in one transaction.
const RECIPIENTS: usize = 10_000;
/// So many connections at once.
const CONNECTIONS: usize = 64;
/// Nobody says nothing for so long.
const SILENCE: Duration = Duration::from_secs(300);
/// How often a listener looks whether it is to end.
const TICK: Duration = Duration::from_millis(5);

/// What came in so far.
#[derive(Default)]
struct Taken {
    sent: Mutex<(Vec<Sent>, usize)>,
    connections: AtomicUsize,
    is_over: AtomicBool,
    /// Transactions that began and have not come to an end.
    open: AtomicUsize,
    /// How many bytes their recipients take.
    pending: AtomicUsize,
}

/// A server that takes mail, until it is dropped.
pub(super) struct Sink {
    taken: Arc<Taken>,
}

impl Sink {
    /// Serves these sockets.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn serve(listeners: Vec<TcpListener>) -> io::Result<Sink> {
        let taken = Arc::new(Taken::default());
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let taken = taken.clone();
            thread::Builder::new()
                .name("sink".to_owned())
                .spawn(move || listen(&listener, &taken))?;
        }
        Ok(Sink { taken })
    }

    /// What came in since it was asked last, in the order in which it came.
    pub(super) fn take(&self) -> Vec<Sent> {
        let mut sent = self.taken.lock();
        sent.1 = 0;
        std::mem::take(&mut sent.0)
    }

    /// Whether somebody is about to hand a message over.
    pub(super) fn is_busy(&self) -> bool {
        self.taken.open.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.taken.is_over.store(true, Ordering::SeqCst);
    }
}

impl Taken {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<Sent>, usize)> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more recipient can be noted.
    fn has_room(&self) -> bool {
        self.pending.load(Ordering::SeqCst) < KEPT_OF_ALL
    }

    /// Keeps a message; `false` where there is no room.
    fn keep(&self, sent: Sent) -> bool {
        let mut kept = self.lock();
        let size = sent.message.len() + sent.to.iter().map(String::len).sum::<usize>();
        if kept.1 + size > KEPT_OF_ALL {
            return false;
        }
        kept.1 += size;
        kept.0.push(sent);
        true
    }
}

fn listen(listener: &TcpListener, taken: &Arc<Taken>) {
    while !taken.is_over.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(TICK);
            continue;
        };
        if taken.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
            taken.connections.fetch_sub(1, Ordering::SeqCst);
            let _ = (&stream).write_all(b"421 too many connections\r\n");
            continue;
        }
        let own = taken.clone();
        let served = thread::Builder::new().spawn(move || {
            // Who went away in the middle of a word has sent nothing.
            let _ = Conversation::new(&stream, &own).and_then(|mut with| with.hold());
            own.connections.fetch_sub(1, Ordering::SeqCst);
        });
        if served.is_err() {
            taken.connections.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A transaction under way.
struct Transaction<'a> {
    from: String,
    to: Vec<String>,
    pending: usize,
    taken: &'a Taken,
}

impl<'a> Transaction<'a> {
    fn begin(from: String, taken: &'a Taken) -> Transaction<'a> {
        taken.open.fetch_add(1, Ordering::SeqCst);
        Transaction {
            from,
            to: Vec::new(),
            pending: 0,
            taken,
        }
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.taken.pending.fetch_sub(self.pending, Ordering::SeqCst);
        self.taken.open.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Conversation<'a> {
    input: BufReader<&'a TcpStream>,
    output: &'a TcpStream,
    taken: &'a Taken,
}

impl<'a> Conversation<'a> {
    fn new(stream: &'a TcpStream, taken: &'a Taken) -> io::Result<Conversation<'a>> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        Ok(Conversation {
            input: BufReader::new(stream),
            output: stream,
            taken,
        })
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(format!("{text}\r\n").as_bytes())
    }

    /// A line, or its first `most` bytes.
    fn line(&mut self, most: u64) -> io::Result<Vec<u8>> {
        // Who writes a line at a time waits for each to be acknowledged; that takes 40 ms, or none.
        if self.input.buffer().is_empty() {
            set_tcp_quickack(self.output, true)?;
        }
        let mut line = Vec::new();
        (&mut self.input).take(most).read_until(b'\n', &mut line)?;
        Ok(line)
    }

    fn hold(&mut self) -> io::Result<()> {
        self.say("220 rehearsal ESMTP")?;
        let mut open: Option<Transaction<'_>> = None;
        loop {
            let line = self.line(LINE)?;
            if line.is_empty() {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            match (verb.to_ascii_uppercase().as_str(), &mut open) {
                ("EHLO", _) => {
                    open = None;
                    self.say(&format!(
                        "250-rehearsal\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE {LARGEST}"
                    ))?;
                }
                ("HELO" | "RSET", _) => {
                    open = None;
                    self.say("250 Ok")?;
                }
                ("MAIL" | "RCPT", _) if line.len() > ADDRESS => {
                    self.say("501 5.5.4 That is no address")?;
                }
                ("MAIL", None) => {
                    open = Some(Transaction::begin(address(line), self.taken));
                    self.say("250 Ok")?;
                }
                ("RCPT", Some(open)) if open.to.len() < RECIPIENTS && self.taken.has_room() => {
                    self.taken.pending.fetch_add(line.len(), Ordering::SeqCst);
                    open.pending += line.len();
                    open.to.push(address(line));
                    self.say("250 Ok")?;
                }
                ("RCPT", Some(_)) => self.say("452 4.5.3 Too many recipients")?,
                ("DATA", Some(now)) if !now.to.is_empty() => {
                    self.say("354 End data with <CR><LF>.<CR><LF>")?;
                    let message = self.data()?;
                    let is_kept = self.taken.keep(Sent {
                        from: std::mem::take(&mut now.from),
                        to: std::mem::take(&mut now.to),
                        message,
                    });
                    open = None;
                    self.say(match is_kept {
                        true => "250 2.0.0 Ok: kept",
                        false => "452 4.3.1 No more is kept of one message's",
                    })?;
                }
                ("MAIL" | "RCPT" | "DATA", _) => self.say("503 5.5.1 Bad sequence of commands")?,
                ("NOOP" | "VRFY", _) => self.say("250 Ok")?,
                ("QUIT", _) => return self.say("221 Bye"),
                _ => self.say("502 5.5.2 Command not recognized")?,
            }
        }
    }

    /// The message, without dot-stuffing and with lines ended by `\n`. Behind what is kept of it each
    /// line is a digest of its own: what differs in one hides nothing in another.
    fn data(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        let (mut size, mut is_begin) = (0_u64, true);
        loop {
            let mut line = self.line(LONGEST)?;
            if line.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let is_whole = line.last() == Some(&b'\n');
            if is_whole {
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                if is_begin && line == b"." {
                    return Ok(message);
                }
                line.push(b'\n');
            }
            if is_begin && line.starts_with(b"..") {
                line.remove(0);
            }
            is_begin = is_whole;
            size += line.len() as u64;
            if size > LARGEST {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            match message.len() + line.len() <= KEPT {
                true => message.extend(line),
                false if message.len() < MOST => message.extend(digest(&line)),
                // So long that nothing can be said of it: who compares is told.
                false => return Err(io::ErrorKind::FileTooLarge.into()),
            }
        }
    }
}

/// `[3f2a9c0d11e8b7a6]`, on a line of its own.
fn digest(line: &[u8]) -> Vec<u8> {
    let sum = Sha256::digest(line);
    let mut text = b"[".to_vec();
    for byte in &sum[..8] {
        let _ = write!(text, "{byte:02x}");
    }
    text.extend(b"]\n");
    text
}

/// What stands between `<` and `>`, or behind the colon.
fn address(line: &str) -> String {
    let behind = line.split_once(':').map_or("", |(_, rest)| rest).trim();
    match behind.strip_prefix('<') {
        Some(path) => path.split('>').next().unwrap_or_default().to_owned(),
        None => behind.split(' ').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn said(to: &TcpStream, lines: &str, replies: usize) -> Vec<String> {
        let mut to = to;
        to.write_all(lines.replace('\n', "\r\n").as_bytes())
            .unwrap();
        let mut input = BufReader::new(to);
        let mut said = Vec::new();
        for _ in 0..replies {
            let mut line = String::new();
            input.read_line(&mut line).unwrap();
            said.push(line.trim_end().to_owned());
        }
        said
    }

    fn sink() -> (Sink, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Sink::serve(vec![listener]).unwrap();
        let client = TcpStream::connect(address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        (sink, client)
    }

    #[test]
    fn what_is_handed_over_is_kept_with_its_envelope_and_dots() {
        let (sink, client) = sink();
        let words = "HELO x\nMAIL FROM:<l-bounces@x> SIZE=3\nRCPT TO:<a@x>\nRCPT TO:<b@x>\nDATA\n";
        let said_first = said(&client, words, 6);
        assert!(said_first[5].starts_with("354"), "{said_first:?}");
        assert!(sink.is_busy());
        assert!(sink.take().is_empty());
        let last = said(&client, "Subject: x\n\n..dot\n.\nQUIT\n", 2);
        assert!(last[0].starts_with("250"), "{last:?}");
        let sent = sink.take();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].from, "l-bounces@x");
        assert_eq!(sent[0].to, ["a@x", "b@x"]);
        assert_eq!(sent[0].message, b"Subject: x\n\n.dot\n");
        assert!(sink.take().is_empty() && !sink.is_busy());
    }

    #[test]
    fn of_a_large_message_the_end_counts_as_well_and_half_a_message_is_none() {
        let mut ends = Vec::new();
        for last in ["one", "two"] {
            let (sink, client) = sink();
            let body = format!("{}{last}\n", "0123456789abcdef\n".repeat(20_000));
            let words = "HELO x\nMAIL FROM:<>\nRCPT TO:<a@x>\nDATA\n";
            said(&client, words, 5);
            said(&client, &format!("{body}.\n"), 1);
            let sent = sink.take();
            assert!(sent[0].message.len() < KEPT + 200_000);
            ends.push(sent[0].message.clone());
        }
        // In that line alone.
        let lines = |n: usize| ends[n].split(|&b| b == b'\n').collect::<Vec<_>>();
        let (one, other) = (lines(0), lines(1));
        let differ = one.iter().zip(&other).filter(|(one, other)| one != other);
        assert_eq!((one.len(), differ.count()), (other.len(), 1));
        let (sink, client) = sink();
        said(
            &client,
            "HELO x\nMAIL FROM:<>\nRCPT TO:<a@x>\nDATA\nhalf\n",
            5,
        );
        drop(client);
        for _ in 0..400 {
            if !sink.is_busy() {
                break;
            }
            thread::sleep(TICK);
        }
        assert!(!sink.is_busy() && sink.take().is_empty());
    }

    #[test]
    fn who_asks_out_of_turn_is_told_so() {
        let (_sink, client) = sink();
        let said = said(&client, "DATA\nRCPT TO:<a>\nFOO\nMAIL FROM:<>\nDATA\n", 6);
        let codes: Vec<&str> = said.iter().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "503", "503", "502", "250", "503"]);
    }
}
