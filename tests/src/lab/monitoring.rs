//! The pages that a relay serves for monitoring, read as Prometheus and a probe do.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::relay::Relay;
use pgevents_servers::PATIENCE;

/// How often a page is asked for until it says what a test waits for.
const POLL: Duration = Duration::from_millis(100);

/// Where a relay answers.
#[derive(Debug)]
pub struct Monitoring {
    address: String,
}

/// One answer.
#[derive(Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Everything after the head.
    pub body: String,
}

impl Page {
    /// The number of the first sample with this name whose labels hold all of `labels`.
    pub fn number(&self, name: &str, labels: &str) -> Option<f64> {
        let sample = |line: &str| {
            let (found, rest) = line.split_once('{')?;
            let (given, number) = rest.rsplit_once("} ")?;
            (found == name && given.contains(labels)).then(|| number.parse().ok())?
        };
        self.body.lines().find_map(sample)
    }
}

impl Monitoring {
    /// The pages of a relay that was started with `--metrics-listen` and any port.
    pub async fn of(relay: &Relay) -> Self {
        let line = relay.logs("serving /metrics").await;
        let entry: serde_json::Value = serde_json::from_str(&line).expect("a line is JSON");
        let address = entry["address"].as_str().expect("it names the address");
        Self::at(address)
    }

    /// Those of any server that answers at this address.
    pub(super) fn at(address: &str) -> Self {
        Self {
            address: address.to_owned(),
        }
    }

    /// The address, `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks for one page.
    ///
    /// # Panics
    ///
    /// When the relay does not answer.
    pub async fn page(&self, path: &str) -> Page {
        let asked = self.ask(path).await;
        let text = asked.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Page {
            status: status.expect("a status"),
            body: body.to_owned(),
        }
    }

    /// Asks for a page again and again until it is as a test wants it.
    ///
    /// # Panics
    ///
    /// When it is not in time.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page(path).await;
            if wanted(&page) {
                return page;
            }
            assert!(Instant::now() < deadline, "{path} still says: {page:?}");
            sleep(POLL).await;
        }
    }

    async fn ask(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        // 1.0: the answer comes in one piece, and its end is the end of the connection.
        let question = format!("GET {path} HTTP/1.0\r\nHost: lab\r\n\r\n");
        stream.write_all(question.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}
