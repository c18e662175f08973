//! Ports for private servers.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::error::ServerError;

/// A free port of the loopback interface.
///
/// Taken from below the range that the kernel gives to outgoing connections, so that nothing but
/// another server can take it before its own server does.
///
/// # Errors
///
/// A thousand of them are taken.
pub fn free() -> Result<u16, ServerError> {
    for _ in 0..1_000 {
        let port = fastrand::u16(15_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    let source = io::Error::from(io::ErrorKind::AddrInUse);
    Err(ServerError::Io {
        operation: "find a free port".into(),
        source,
    })
}
