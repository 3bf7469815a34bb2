//! A connection to a server, by TCP or by a Unix socket, no wait of which is without an end.
//!
//! **Invariants.** Knows no protocol. Never raises SIGPIPE: std sends with MSG_NOSIGNAL.

#![expect(
    unsafe_code,
    reason = "std connects to a Unix socket without a limit; each block argues its case"
)]

use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;

/// How long to wait until a Unix socket whose queue is full is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// By TCP.
    Tcp(TcpStream),
    /// By a Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Connects within `time`.
    ///
    /// # Errors
    /// Nobody answers there; `TimedOut`.
    pub fn open(endpoint: &Endpoint, time: Duration) -> io::Result<Socket> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, time)?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Endpoint::Unix(path) => connect(path, time).map(Socket::Unix),
        }
    }

    /// No read takes longer from now on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn limit_read(&self, limit: Duration) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Socket::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    /// No write takes longer from now on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn limit_write(&self, limit: Duration) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.set_write_timeout(Some(limit)),
            Socket::Unix(stream) => stream.set_write_timeout(Some(limit)),
        }
    }

    /// Whether reads and writes answer `WouldBlock` where they would wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_nonblocking(&self, whether: bool) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.set_nonblocking(whether),
            Socket::Unix(stream) => stream.set_nonblocking(whether),
        }
    }

    /// As [`Read::read`].
    ///
    /// # Errors
    /// `WouldBlock` at the limit, and the kernel's.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(bytes),
            Socket::Unix(stream) => stream.read(bytes),
        }
    }

    /// As [`Write::write`].
    ///
    /// # Errors
    /// `WouldBlock` at the limit, and the kernel's.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
        }
    }
}

/// Connects to a Unix socket. One whose queue is full would make a plain connect wait for ever.
fn connect(path: &Path, time: Duration) -> io::Result<UnixStream> {
    let until = Instant::now() + time;
    // SAFETY: all zeroes is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // The last byte stays NUL: `Endpoint::parse` allows no longer path.
    let room = address.sun_path.len() - 1;
    for (to, from) in address.sun_path[..room]
        .iter_mut()
        .zip(path.as_os_str().as_bytes())
    {
        *to = *from as libc::c_char;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: touches no memory.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was made above, is open, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let length = mem::size_of_val(&address) as libc::socklen_t;
    loop {
        // SAFETY: `address` lives through the call and has `length` bytes.
        let done =
            unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if done == 0 {
            let stream = UnixStream::from(socket);
            stream.set_nonblocking(false)?;
            return Ok(stream);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock if Instant::now() < until => std::thread::sleep(AGAIN),
            io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}
