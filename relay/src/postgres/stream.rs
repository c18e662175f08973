use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use postgres_protocol::message::frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{PostgresError, tls};
use crate::config::{Postgres, TlsMode};

/// Longest time that connecting may take, for TCP and for what follows, each.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence of a peer that has not acknowledged sent data, after which the kernel gives it up.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// A byte stream to PostgreSQL.
#[derive(Debug)]
pub enum Stream {
    /// Without encryption.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects, with TLS as configured; nothing of the session has been said yet.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Unreachable`] or [`PostgresError::Tls`].
    pub async fn connect(config: &Postgres) -> Result<Self, PostgresError> {
        let unreachable = |source| PostgresError::Unreachable {
            address: config.address(),
            source,
        };
        if config.is_socket() {
            let connected = within(UnixStream::connect(config.address())).await;
            return connected.map(Self::Unix).map_err(unreachable);
        }
        let tcp = within(connect_tcp(config)).await.map_err(unreachable)?;
        match config.tls {
            TlsMode::Disable => Ok(Self::Tcp(tcp)),
            TlsMode::Prefer | TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => {
                let encrypted = within(encrypt(tcp, config)).await;
                encrypted.map_err(|source| PostgresError::Tls {
                    address: config.address(),
                    source,
                })
            }
        }
    }

    /// Hash of the server's certificate for `tls-server-end-point`; `None` without TLS or for a
    /// signature algorithm that does not define one. Source: RFC 5929, section 4.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        let Self::Tls(stream) = self else { return None };
        tls::end_point(stream.get_ref().1.peer_certificates()?.first()?)
    }

    /// Whether the stream is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

/// Runs a step of connecting, but no longer than [`CONNECT_TIMEOUT`].
pub(super) async fn within<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(CONNECT_TIMEOUT, step).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs()),
        )),
    }
}

async fn connect_tcp(config: &Postgres) -> io::Result<TcpStream> {
    let mut fault = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = lookup_host((config.host.as_str(), config.port))
        .await?
        .collect();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                let socket = SockRef::from(&stream);
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(10))
                    .with_interval(Duration::from_secs(5))
                    .with_retries(3);
                socket.set_tcp_keepalive(&keepalive)?;
                #[cfg(target_os = "linux")]
                socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

/// Asks for TLS. Source: PostgreSQL docs, "Message Flow", "SSL Session Encryption".
async fn encrypt(mut tcp: TcpStream, config: &Postgres) -> io::Result<Stream> {
    let mut request = bytes::BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).await?;
    let answer = tcp.read_u8().await?;
    match (answer, config.tls) {
        // Exactly one byte was read, so nothing that a man in the middle sent ahead of the
        // handshake can be taken for the server's.
        (b'S', _) => {
            let connector = tls::connector(config)?;
            let name = tls::server_name(&config.host)?;
            let stream = connector.connect(name, tcp).await?;
            Ok(Stream::Tls(Box::new(stream)))
        }
        (b'N', TlsMode::Prefer | TlsMode::Disable) => Ok(Stream::Tcp(tcp)),
        (b'N', TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the server does not offer TLS and PGSSLMODE asks for it",
        )),
        _ => Err(io::Error::other(
            "the server does not answer as PostgreSQL does",
        )),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
