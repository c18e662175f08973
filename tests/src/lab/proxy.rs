//! A TCP proxy that breaks connections the way networks do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use pgevents_servers::{During, ServerError as LabError};

/// What happens to the bytes. A change counts at once, for open connections too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: all bytes pass.
    None,
    /// Every connection that is open at this moment is reset, once; new ones are served.
    Reset,
    /// This many bytes pass from now on, then the connection that carries the last of them is
    /// reset, once.
    CutAfter(u64),
    /// This many bytes pass from now on, then the receiver of that connection sees the end of the
    /// stream, once, while the other direction of it lives on.
    HalfCloseAfter(u64),
    /// Bytes are swallowed without a word, and neither side learns that the other has closed. A
    /// connection that lost bytes stays dumb in both directions when the fault is gone, as TCP
    /// never leaves bytes out.
    Blackhole,
    /// Nothing passes, nothing is lost: the bytes go on when the fault is gone.
    Stall,
    /// Every read is held back this long.
    Delay(Duration),
    /// Every read is held back for a time between these two.
    Jitter(Duration, Duration),
    /// So many bytes a second, in pieces of up to 4 KiB.
    Throttle(u64),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
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
    to_server: watch::Sender<Rule>,
    to_client: watch::Sender<Rule>,
    /// How often a fault that happens once has happened.
    struck: watch::Sender<u64>,
}

/// A fault with the bytes that passed since it was set, of one direction or of both together.
#[derive(Debug, Clone)]
struct Rule {
    fault: Fault,
    passed: Arc<AtomicU64>,
}

impl Rule {
    fn new(fault: Fault) -> Self {
        let passed = Arc::default();
        Self { fault, passed }
    }

    /// Whether both are the same setting, not only the same fault.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.passed, &other.passed)
    }
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
            to_server: watch::Sender::new(Rule::new(Fault::None)),
            to_client: watch::Sender::new(Rule::new(Fault::None)),
            struck: watch::Sender::new(0),
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

    /// Changes what happens from now on in both directions; bytes of both are counted together.
    pub fn set(&self, fault: Fault) {
        let rule = Rule::new(fault);
        self.state.to_server.send_replace(rule.clone());
        self.state.to_client.send_replace(rule);
    }

    /// Changes what happens from now on in one direction, with a count of its own.
    pub fn set_one(&self, direction: Direction, fault: Fault) {
        self.state.lane(direction).send_replace(Rule::new(fault));
    }

    /// Bytes that passed to the server and back since the last [`Proxy::set`].
    pub fn passed_bytes(&self) -> u64 {
        let there = Arc::clone(&self.state.to_server.borrow().passed);
        let back = Arc::clone(&self.state.to_client.borrow().passed);
        let bytes = there.load(Ordering::SeqCst);
        match Arc::ptr_eq(&there, &back) {
            true => bytes,
            false => bytes + back.load(Ordering::SeqCst),
        }
    }

    /// How often [`Fault::CutAfter`] and [`Fault::HalfCloseAfter`] have struck, as a value to wait
    /// for.
    pub fn struck(&self) -> watch::Receiver<u64> {
        self.state.struck.subscribe()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn lane(&self, direction: Direction) -> &watch::Sender<Rule> {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Ends a fault that happens once, in both directions. Says whether it was still to happen.
    fn strike(&self, rule: &Rule) -> bool {
        let mut due = false;
        for lane in [&self.to_server, &self.to_client] {
            lane.send_if_modified(|current| {
                let same = current.is(rule);
                if same {
                    *current = Rule::new(Fault::None);
                }
                due |= same;
                same
            });
        }
        if due {
            self.struck.send_modify(|times| *times += 1);
        }
        due
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
            // Small answers go at once, as they do without a proxy between.
            let quick = client.set_nodelay(true).and(upstream.set_nodelay(true));
            if quick.is_ok() {
                forward(client, upstream, &state).await;
            }
        });
    }
}

/// Forwards both ways until one direction ends; dropping the sockets ends the other.
async fn forward(mut client: TcpStream, mut server: TcpStream, state: &State) {
    let end = {
        let (client_in, client_out) = client.split();
        let (server_in, server_out) = server.split();
        tokio::select! {
            end = pump(client_in, server_out, Direction::ToServer, state) => end,
            end = pump(server_in, client_out, Direction::ToClient, state) => end,
        }
    };
    match end {
        Ok(End::Cut) => {
            for socket in [&client, &server] {
                // Makes the close a TCP reset; a socket that is already dead needs none.
                let _ = socket.set_zero_linger();
            }
        }
        Ok(End::Dumb) => {
            let ends = tokio::join!(swallow(&mut client), swallow(&mut server));
            drop(ends);
        }
        Ok(End::Closed) | Err(_) => {}
    }
}

/// How one direction of a connection came to its end.
enum End {
    /// The sender closed its side.
    Closed,
    /// The fault asks for a reset.
    Cut,
    /// Bytes were lost, and nothing passes any more.
    Dumb,
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    state: &State,
) -> io::Result<End> {
    let mut buffer = vec![0; 64 * 1024];
    let mut rules = state.lane(direction).subscribe();
    let first = rules.borrow_and_update().clone();
    loop {
        let rule = rules.borrow_and_update().clone();
        let piece = match rule.fault {
            Fault::Reset if !rule.is(&first) => return Ok(End::Cut),
            Fault::CutAfter(0) if state.strike(&rule) => return Ok(End::Cut),
            Fault::Stall => {
                if rules.changed().await.is_err() {
                    return Ok(End::Closed);
                }
                continue;
            }
            Fault::Throttle(_) => 4 * 1024,
            _ => buffer.len(),
        };
        let length = tokio::select! {
            biased;
            _ = rules.changed() => continue,
            read = from.read(&mut buffer[..piece]) => read?,
        };
        if length == 0 {
            return Ok(End::Closed);
        }
        let bytes = &buffer[..length];
        match rule.fault {
            Fault::None | Fault::Reset | Fault::Stall => to.write_all(bytes).await?,
            Fault::Blackhole => return Ok(End::Dumb),
            Fault::Delay(pause) => {
                sleep(pause).await;
                to.write_all(bytes).await?;
            }
            Fault::Jitter(least, most) => {
                sleep(least + most.saturating_sub(least).mul_f64(fastrand::f64())).await;
                to.write_all(bytes).await?;
            }
            Fault::Throttle(rate) => {
                to.write_all(bytes).await?;
                sleep(Duration::from_secs_f64(length as f64 / rate.max(1) as f64)).await;
            }
            Fault::CutAfter(limit) | Fault::HalfCloseAfter(limit) => {
                let before = rule.passed.fetch_add(length as u64, Ordering::SeqCst);
                let room = usize::try_from(limit.saturating_sub(before)).unwrap_or(usize::MAX);
                let last = room <= length && state.strike(&rule);
                to.write_all(if last { &bytes[..room] } else { bytes })
                    .await?;
                if !last {
                    continue;
                }
                if matches!(rule.fault, Fault::CutAfter(_)) {
                    return Ok(End::Cut);
                }
                to.shutdown().await?;
                swallow(from).await?;
                return Ok(End::Closed);
            }
        }
        rule.passed.fetch_add(length as u64, Ordering::SeqCst);
    }
}

/// Reads and forgets what a sender says to a peer that no longer hears it.
async fn swallow(mut from: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = [0; 4 * 1024];
    while from.read(&mut buffer).await? > 0 {}
    Ok(())
}
