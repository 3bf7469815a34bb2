//! An SMTP client that sends exactly the bytes it is given.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

/// A reply: its code and its text, lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Client {
    /// Connects to this port of 127.0.0.1 and says hello.
    pub(crate) fn connect(port: u16) -> std::io::Result<Client> {
        Client::greet(port, "EHLO")
    }

    /// The same where LMTP is spoken: to one recipient there is no other difference.
    pub(crate) fn lmtp(port: u16) -> std::io::Result<Client> {
        Client::greet(port, "LHLO")
    }

    fn greet(port: u16, hello: &str) -> std::io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        stream.set_nodelay(true)?;
        let mut client = Client {
            reader: BufReader::new(stream),
        };
        client.expect_reply(220)?;
        client.say(&format!("{hello} client.example"))?;
        client.expect_reply(250)?;
        Ok(client)
    }

    /// Sends `message`, lines ending in LF, to one recipient; returns the reply.
    ///
    /// # Errors
    /// Anything but acceptance, the reply in the text.
    pub(crate) fn send(&mut self, from: &str, to: &str, message: &[u8]) -> std::io::Result<String> {
        self.say(&format!("MAIL FROM:<{from}> BODY=8BITMIME"))?;
        self.expect_reply(250)?;
        self.say(&format!("RCPT TO:<{to}>"))?;
        self.expect_reply(250)?;
        self.say("DATA")?;
        self.expect_reply(354)?;
        self.stream().write_all(&on_the_wire(message))?;
        Ok(self.expect_reply(250)?.text)
    }

    /// Begins a message and takes it back.
    pub(crate) fn begin(&mut self) -> std::io::Result<()> {
        self.say("MAIL FROM:<>")?;
        self.expect_reply(250)?;
        self.say("RSET")?;
        self.expect_reply(250)?;
        Ok(())
    }

    /// The answer to a recipient, without sending anything to it.
    pub(crate) fn ask(&mut self, to: &str) -> std::io::Result<Reply> {
        self.say("MAIL FROM:<>")?;
        self.expect_reply(250)?;
        self.say(&format!("RCPT TO:<{to}>"))?;
        let reply = self.reply()?;
        self.say("RSET")?;
        self.expect_reply(250)?;
        Ok(reply)
    }

    fn stream(&mut self) -> &TcpStream {
        self.reader.get_ref()
    }

    fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.stream().write_all(format!("{line}\r\n").as_bytes())
    }

    fn expect_reply(&mut self, code: u16) -> std::io::Result<Reply> {
        let reply = self.reply()?;
        if reply.code == code {
            return Ok(reply);
        }
        Err(std::io::Error::other(format!(
            "{code} expected, got {reply:?}"
        )))
    }

    fn reply(&mut self) -> std::io::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let broken = || std::io::Error::other(format!("not a reply: {line:?}"));
            let code = line.get(..3).and_then(|n| n.parse().ok());
            let code = code.ok_or_else(broken)?;
            text += line.get(4..).ok_or_else(broken)?.trim_end();
            if line.as_bytes()[3] == b' ' {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
    }
}

/// CRLF at line ends, a dot before a dot, and the end.
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 32 + 8);
    for line in message.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
