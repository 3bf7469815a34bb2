//! Where a tree's LMTP server answers: an IP address and port, or a Unix socket.
//!
//! site.toml names it (`lmtp` of a tree), and mm-lmtp's first argument is what stands there.
//!
//! **Invariants.** No I/O. No host names: to look one up is to wait for a name server, and a
//! static program has no resolver of the host's.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// As many bytes as a Unix socket's path may have (unix(7): `sun_path`, with its final NUL).
const LONGEST_PATH: usize = 107;

/// An address that a server listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `127.0.0.1:8024`, `[::1]:8024`.
    Tcp(SocketAddr),
    /// `/run/mailman3/lmtp.sock`, with or without `unix:` before it.
    Unix(PathBuf),
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadEndpoint {
    /// Neither an IP address with a port nor a path.
    Form,
    /// Port 0 is nobody's.
    Port,
    /// A socket's path begins with `/` and has neither `.` nor `..` nor control characters.
    Path,
    /// The kernel takes no longer path.
    TooLong,
}

impl Endpoint {
    /// Reads an endpoint.
    ///
    /// # Errors
    /// [`BadEndpoint`].
    pub fn parse(text: &str) -> Result<Endpoint, BadEndpoint> {
        let path = text.strip_prefix("unix:");
        if path.is_some() || text.starts_with('/') {
            return socket(path.unwrap_or(text)).map(Endpoint::Unix);
        }
        match text.parse::<SocketAddr>() {
            Err(_) => Err(BadEndpoint::Form),
            Ok(address) if address.port() == 0 => Err(BadEndpoint::Port),
            Ok(address) => Ok(Endpoint::Tcp(address)),
        }
    }
}

fn socket(path: &str) -> Result<PathBuf, BadEndpoint> {
    let odd = |part: &str| part == "." || part == "..";
    if !path.starts_with('/') || path.split('/').any(odd) || path.chars().any(char::is_control) {
        return Err(BadEndpoint::Path);
    }
    match path.len() <= LONGEST_PATH {
        true => Ok(PathBuf::from(path)),
        false => Err(BadEndpoint::TooLong),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadEndpoint::Form => f.write_str(
                "neither an IP address with a port (127.0.0.1:8024, [::1]:8024) nor the path of \
                 a socket",
            ),
            BadEndpoint::Port => f.write_str("at port 0, which is nobody's"),
            BadEndpoint::Path => f.write_str(
                "no socket: its path begins with / and has no part . or .. and no control character",
            ),
            BadEndpoint::TooLong => {
                write!(f, "no socket: its path has at most {LONGEST_PATH} bytes")
            }
        }
    }
}

impl std::error::Error for BadEndpoint {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_with_a_port_or_a_path() {
        let long = format!("/{}", "x".repeat(LONGEST_PATH));
        for (text, wanted) in [
            ("127.0.0.1:8024", Ok("127.0.0.1:8024")),
            ("[::1]:8024", Ok("[::1]:8024")),
            ("/run/x.sock", Ok("/run/x.sock")),
            ("unix:/run/x.sock", Ok("/run/x.sock")),
            ("localhost:8024", Err(BadEndpoint::Form)),
            ("127.0.0.1", Err(BadEndpoint::Form)),
            ("", Err(BadEndpoint::Form)),
            ("127.0.0.1:0", Err(BadEndpoint::Port)),
            ("unix:run/x", Err(BadEndpoint::Path)),
            ("/run/../x", Err(BadEndpoint::Path)),
            ("/run/a\nb", Err(BadEndpoint::Path)),
            (&long, Err(BadEndpoint::TooLong)),
        ] {
            let read = Endpoint::parse(text).map(|endpoint| endpoint.to_string());
            assert_eq!(read, wanted.map(str::to_owned), "{text:?}");
        }
    }
}
