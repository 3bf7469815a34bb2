//! An HTTP client of a few lines: what is sent is what stands here, byte for byte, and nothing is
//! mended on the way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a server may take for a piece of its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) header: String,
    pub(super) body: String,
}

impl Got {
    /// The value of a header line.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let begins = format!("{}: ", name.to_ascii_lowercase());
        let mut lines = self.header.lines();
        let line = lines.find(|line| line.to_ascii_lowercase().starts_with(&begins))?;
        Some(&line[begins.len()..])
    }

    /// What follows `word` and a blank in a line of the body.
    pub(super) fn says(&self, word: &str) -> Option<&str> {
        let mut lines = self.body.lines();
        lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
    }
}

/// A request that is being sent.
pub(super) fn begin(port: u16, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    stream
}

/// Its answer, up to the end.
pub(super) fn end(mut stream: TcpStream) -> Got {
    let mut bytes = Vec::new();
    // A server that answers before it has read everything may reset the connection.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (header, body) = text.split_once("\r\n\r\n").unwrap_or((text.as_str(), ""));
    let status = header.split(' ').nth(1).and_then(|word| word.parse().ok());
    Got {
        status: status.unwrap_or_default(),
        header: header.to_owned(),
        body: body.to_owned(),
    }
}

/// The head of a request, without its last line. HTTP/1.0: nothing is sent in chunks.
pub(super) fn head(method: &str, target: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.0\r\nHost: lists.example.org\r\n").into_bytes()
}

pub(super) fn get(port: u16, target: &str) -> Got {
    let mut request = head("GET", target);
    request.extend(b"\r\n");
    end(begin(port, &request))
}

pub(super) fn post(port: u16, target: &str, body: &[u8]) -> Got {
    let mut request = head("POST", target);
    let kind = "application/x-www-form-urlencoded";
    request.extend(
        format!(
            "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .bytes(),
    );
    let mut stream = begin(port, &request);
    // Who answers before the end takes no more.
    let _ = stream.write_all(body);
    end(stream)
}
