use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
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
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Postgres, PostgresError, TlsMode};
use crate::tls::{TlsError, end_point, server_name};

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
        let mut tcp = within(connect_tcp(config)).await.map_err(unreachable)?;
        let Some(trust) = config.trust() else {
            return Ok(Self::Tcp(tcp));
        };
        let refused = |source: TlsError| PostgresError::Tls {
            address: config.address(),
            source: source.into(),
        };
        let offered = within(ask_for_tls(&mut tcp)).await.map_err(unreachable)?;
        if !offered {
            return match config.tls {
                TlsMode::Prefer | TlsMode::Disable => Ok(Self::Tcp(tcp)),
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => {
                    Err(refused(TlsError::NotOffered))
                }
            };
        }
        let client = config.certificates.client(trust).map_err(refused)?;
        let name = server_name(&config.host).map_err(refused)?;
        let handshake = TlsConnector::from(Arc::new(client)).connect(name, tcp);
        match within(handshake).await {
            Ok(stream) => Ok(Self::Tls(Box::new(stream))),
            Err(error) => Err(match TlsError::among(&error) {
                Some(source) => refused(source),
                None => unreachable(error),
            }),
        }
    }

    /// Hash of the server's certificate for `tls-server-end-point`; `None` without TLS or for a
    /// signature algorithm that does not define one. Source: RFC 5929, section 4.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        let Self::Tls(stream) = self else { return None };
        end_point(stream.get_ref().1.peer_certificates()?.first()?)
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

/// Asks for TLS, and says whether the server offers it. Source: PostgreSQL docs, "Message Flow",
/// "SSL Session Encryption".
async fn ask_for_tls(tcp: &mut TcpStream) -> io::Result<bool> {
    let mut request = bytes::BytesMut::new();
    frontend::ssl_request(&mut request);
    tcp.write_all(&request).await?;
    // Exactly one byte is read, so nothing that a man in the middle sends ahead of the handshake
    // can be taken for the server's.
    match tcp.read_u8().await? {
        b'S' => Ok(true),
        b'N' => Ok(false),
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
