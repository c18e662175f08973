//! A TCP proxy that breaks connections the way networks do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::error::{During, LabError};

/// What happens to the bytes. A change counts at once, for open connections too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: all bytes pass.
    None,
    /// Both directions together pass this many bytes from now on, then every connection is reset.
    CutAfter(u64),
    /// Bytes are swallowed without a word; no connection is closed.
    Blackhole,
    /// Every read is held back this long.
    Delay(Duration),
}

/// A listener on loopback that forwards to one server port.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    fault: watch::Sender<Fault>,
    /// Bytes that passed since the fault was set.
    passed: AtomicU64,
}

impl Proxy {
    /// Starts to forward to `port` on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] when no port can be bound.
    pub async fn to(port: u16) -> Result<Self, LabError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.during(|| "bind the proxy".into())?;
        let own = listener
            .local_addr()
            .during(|| "read the proxy's port".into())?
            .port();
        let state = Arc::new(State {
            fault: watch::Sender::new(Fault::None),
            passed: AtomicU64::new(0),
        });
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&state)));
        Ok(Self {
            port: own,
            state,
            accepting,
        })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes what happens from now on.
    pub fn set(&self, fault: Fault) {
        self.state.passed.store(0, Ordering::SeqCst);
        self.state.fault.send_replace(fault);
    }

    /// Bytes that passed in both directions since the last [`Proxy::set`].
    pub fn passed_bytes(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // A refused server is a closed connection for the client, as without the proxy.
            let Ok(upstream) = TcpStream::connect(server).await else {
                return;
            };
            forward(client, upstream, &state).await;
        });
    }
}

/// Forwards both ways until one direction ends; dropping the sockets ends the other.
async fn forward(mut client: TcpStream, mut server: TcpStream, state: &State) {
    let end = {
        let (client_in, client_out) = client.split();
        let (server_in, server_out) = server.split();
        tokio::select! {
            end = pump(client_in, server_out, state) => end,
            end = pump(server_in, client_out, state) => end,
        }
    };
    if matches!(end, Ok(End::Cut)) {
        for socket in [&client, &server] {
            // Makes the close a TCP reset; a socket that is already dead needs none.
            let _ = socket.set_zero_linger();
        }
    }
}

/// How one direction of a connection came to its end.
enum End {
    /// The sender closed its side.
    Closed,
    /// The fault asks for a reset.
    Cut,
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, state: &State) -> io::Result<End> {
    let mut buffer = vec![0; 64 * 1024];
    let mut changes = state.fault.subscribe();
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => read?,
            _ = changes.changed() => match *state.fault.borrow() {
                Fault::CutAfter(0) => return Ok(End::Cut),
                Fault::None | Fault::CutAfter(_) | Fault::Blackhole | Fault::Delay(_) => continue,
            },
        };
        if length == 0 {
            return Ok(End::Closed);
        }
        let fault = *state.fault.borrow();
        match fault {
            Fault::None => to.write_all(&buffer[..length]).await?,
            Fault::Blackhole => continue,
            Fault::Delay(pause) => {
                sleep(pause).await;
                to.write_all(&buffer[..length]).await?;
            }
            Fault::CutAfter(limit) => {
                let before = state.passed.load(Ordering::SeqCst);
                let room = usize::try_from(limit.saturating_sub(before)).unwrap_or(usize::MAX);
                to.write_all(&buffer[..length.min(room)]).await?;
                if room <= length {
                    return Ok(End::Cut);
                }
            }
        }
        state.passed.fetch_add(length as u64, Ordering::SeqCst);
    }
}
