//! A network of loopback alone, and sockets in it.
//!
//! **Invariants.** Touches no network but the calling thread's.

#![expect(unsafe_code, reason = "std knows no interfaces")]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use super::cage::cvt;

/// Brings the calling thread's loopback up.
///
/// # Errors
/// The kernel's.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: zeroes are a sound `ifreq`; both calls read and write it alone.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        cvt(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS,
            &raw mut request,
        ))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        cvt(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw mut request,
        ))?;
    }
    Ok(())
}

/// Sockets for these ports, on every address that there is.
///
/// # Errors
/// The kernel's, with the port.
pub(super) fn listen(ports: &[u16]) -> io::Result<Vec<TcpListener>> {
    let mut sockets = Vec::new();
    for &port in ports {
        // Of both kinds of address; where there is no IPv6, of the other one.
        let both = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
        let socket = both.or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
        let failed =
            |error: io::Error| io::Error::new(error.kind(), format!("port {port}: {error}"));
        sockets.push(socket.map_err(failed)?);
    }
    Ok(sockets)
}
