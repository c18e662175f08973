use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Finding,
    route::{Binding, Exchange, queues},
};
use crate::{
    config::{Broker, ManagementUrl},
    tls::{Trust, server_name},
};

/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Above this number of routing keys that all have a queue, one line speaks for them.
const LISTED: usize = 10;

/// What the management API says of one virtual host.
#[derive(Clone, Debug, Default)]
pub(super) struct Management {
    version: String,
    nodes: Vec<Node>,
    exchanges: Vec<Exchange>,
    bindings: Vec<Binding>,
    queues: Vec<Queue>,
}

#[derive(Clone, Debug, Deserialize)]
struct Overview {
    rabbitmq_version: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Node {
    name: String,
    #[serde(default)]
    mem_alarm: bool,
    #[serde(default)]
    disk_free_alarm: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Queue {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
    /// Absent, an empty list or an object.
    #[serde(default)]
    effective_policy_definition: serde_json::Value,
}

/// Why the API cannot be asked; the rest of the checks goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManagementError {
    /// Nobody answers, or not in HTTP.
    #[error("ask the management API at {address} (check RABBITMQ_MANAGEMENT_URL)")]
    Unreachable {
        /// Where; without credentials.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It refuses.
    #[error(
        "ask the management API at {address}: it answers {status} to {user:?}; that needs the tag \
         monitoring: rabbitmqctl set_user_tags {user} monitoring"
    )]
    Refused {
        /// Where; without credentials.
        address: String,
        /// The HTTP status.
        status: StatusCode,
        /// Who asked.
        user: String,
    },
}

impl Management {
    /// Asks everything.
    pub(super) async fn ask(url: &ManagementUrl, vhost: &str) -> Result<Self, ManagementError> {
        let vhost = encode(vhost);
        let overview: Overview = get(url, "/api/overview").await?;
        Ok(Self {
            version: overview.rabbitmq_version,
            nodes: get(url, "/api/nodes").await?,
            exchanges: get(url, &format!("/api/exchanges/{vhost}")).await?,
            bindings: get(url, &format!("/api/bindings/{vhost}")).await?,
            queues: get(url, &format!("/api/queues/{vhost}")).await?,
        })
    }

    /// `keys`: the routing keys of the events; `blocks`: an event without a queue stops the stream.
    pub(super) fn judge(&self, broker: &Broker, keys: &[String], blocks: bool) -> Vec<Finding> {
        let mut findings = vec![
            Finding::ok("broker.version", format!("RabbitMQ {}", self.version)),
            self.alarms(),
        ];
        let mut reached = BTreeSet::new();
        let (mut bound, mut unbound) = (Vec::new(), Vec::new());
        for key in keys {
            let queues = queues(&self.bindings, &self.exchanges, &broker.exchange, key);
            match queues.is_empty() {
                true => unbound.push(without_queue(&broker.exchange, key, blocks)),
                false => bound.push(with_queues(key, &queues)),
            }
            reached.extend(queues);
        }
        findings.extend(unbound);
        match bound.len() {
            count if count > LISTED => {
                let says = format!("{count} routing keys have a queue");
                findings.push(Finding::ok("broker.binding", says));
            }
            _ => findings.extend(bound),
        }
        let queues = self.queues.iter();
        let queues = queues.filter(|queue| reached.contains(queue.name.as_str()));
        findings.extend(queues.map(Queue::judge));
        findings
    }

    fn alarms(&self) -> Finding {
        const CHECK: &str = "broker.alarms";
        for node in &self.nodes {
            let (what, fix) = match (node.mem_alarm, node.disk_free_alarm) {
                (_, true) => ("disk", "free disk space on the node"),
                (true, _) => (
                    "memory",
                    "let consumers catch up, or give the node more memory",
                ),
                (false, false) => continue,
            };
            return Finding::fail(
                CHECK,
                format!("{what} alarm on {}: publishers are blocked", node.name),
                fix,
            );
        }
        Finding::ok(CHECK, "none")
    }
}

fn with_queues(key: &str, queues: &BTreeSet<&str>) -> Finding {
    let names: Vec<&str> = queues.iter().copied().collect();
    Finding::ok("broker.binding", format!("goes to {}", names.join(", "))).about(key)
}

fn without_queue(exchange: &str, key: &str, blocks: bool) -> Finding {
    const CHECK: &str = "broker.binding";
    let fix = format!(
        "bind a queue: rabbitmqadmin declare binding source={exchange} destination=QUEUE \
         routing_key={key}"
    );
    let finding = match blocks {
        true => Finding::fail(
            CHECK,
            "no queue takes it: the stream stops at its first event",
            fix,
        ),
        false => Finding::warn(
            CHECK,
            "no queue takes it: --unroutable says what becomes of it",
            fix,
        ),
    };
    finding.about(key)
}

impl Queue {
    fn judge(&self) -> Finding {
        const CHECK: &str = "broker.queue";
        let policy = self.effective_policy_definition.as_object();
        let set = |name: &str| {
            let argument = self.arguments.contains_key(&format!("x-{name}"));
            argument || policy.is_some_and(|policy| policy.contains_key(name))
        };
        let text = |name: &str| {
            let argument = self.arguments.get(&format!("x-{name}"));
            let value = argument.or_else(|| policy?.get(name));
            value.and_then(serde_json::Value::as_str)
        };
        let limited = set("max-length") || set("max-length-bytes");
        let rejects = matches!(
            text("overflow"),
            Some("reject-publish" | "reject-publish-dlx")
        );
        let finding = match self.kind.as_str() {
            _ if set("message-ttl") || set("expires") => Finding::warn(
                CHECK,
                "throws messages away that are too old, after it has confirmed them",
                "take away message-ttl and expires if every event counts",
            ),
            "classic" | "quorum" if limited && !rejects => Finding::warn(
                CHECK,
                "throws its oldest messages away when it is full, after it has confirmed them",
                "set overflow to reject-publish: then the relay waits",
            ),
            "classic" => Finding::warn(
                CHECK,
                "classic: on one node, and not synced to disk before it confirms",
                "make it a quorum queue (x-queue-type) if every event counts",
            ),
            kind => Finding::ok(CHECK, kind.to_owned()),
        };
        finding.about(&self.name)
    }
}

/// One question and its answer, on a connection of its own.
async fn get<T: DeserializeOwned>(url: &ManagementUrl, path: &str) -> Result<T, ManagementError> {
    let unreachable = |source| ManagementError::Unreachable {
        address: url.to_string(),
        source,
    };
    let asked = timeout(PATIENCE, fetch(url, path)).await;
    let asked = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let (status, body) = asked.map_err(unreachable)?;
    if status != StatusCode::OK {
        return Err(ManagementError::Refused {
            address: url.to_string(),
            status,
            user: url.user().to_owned(),
        });
    }
    serde_json::from_slice(&body).map_err(|error| unreachable(error.into()))
}

async fn fetch(url: &ManagementUrl, path: &str) -> io::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect((url.host(), url.port())).await?;
    let Some(certificates) = url.certificates() else {
        return talk(stream, url, path).await;
    };
    let client = certificates.client(Trust::Host).map_err(io::Error::other)?;
    let name = server_name(url.host()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(client));
    talk(connector.connect(name, stream).await?, url, path).await
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &ManagementUrl,
    path: &str,
) -> io::Result<(StatusCode, Bytes)> {
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let login = STANDARD.encode(format!("{}:{}", url.user(), url.password().reveal()));
    let request = Request::get(format!("{}{path}", url.prefix()))
        .header(header::HOST, url.host())
        .header(header::AUTHORIZATION, format!("Basic {login}"))
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
        .collect()
        .await;
    connection.abort();
    Ok((status, body.map_err(io::Error::other)?.to_bytes()))
}

/// A name as one part of a path. Source: RFC 3986, 2.3.
fn encode(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{config::BrokerUrl, doctor::Level, secret::Secret, tls::Certificates};

    fn broker() -> Broker {
        Broker {
            url: BrokerUrl::parse(&Secret::new("amqp://h")).expect("valid"),
            exchange: "shop".to_owned(),
            certificates: Certificates::default(),
        }
    }

    /// A broker whose exchange has one queue for `public.users`.
    fn management(queue: serde_json::Value) -> Management {
        let binding = json!([{"source": "shop", "destination": "q", "destination_type": "queue",
            "routing_key": "public.users", "arguments": {}}]);
        let node = json!([{"name": "rabbit@a", "mem_alarm": false, "disk_free_alarm": false}]);
        let read = "what the API answers can be read";
        Management {
            version: "4.1.0".to_owned(),
            nodes: serde_json::from_value(node).expect(read),
            exchanges: Vec::new(),
            bindings: serde_json::from_value(binding).expect(read),
            queues: vec![serde_json::from_value(queue).expect(read)],
        }
    }

    fn check(management: &Management, key: &str, blocks: bool, level: Level, says: &str) {
        let findings = management.judge(&broker(), &[key.to_owned()], blocks);
        let found = findings
            .iter()
            .find(|finding| finding.to_string().contains(says));
        let found = found.unwrap_or_else(|| panic!("{says} is not in {findings:#?}"));
        assert_eq!(found.level, level, "{found}");
    }

    fn quorum() -> serde_json::Value {
        json!({"name": "q", "type": "quorum", "arguments": {"x-queue-type": "quorum"},
            "effective_policy_definition": {}})
    }

    #[test]
    fn an_event_without_a_queue_stops_a_relay_that_blocks() {
        let broker = management(quorum());
        check(
            &broker,
            "public.users",
            true,
            Level::Ok,
            "public.users: goes to q",
        );
        let fix = "declare binding source=shop";
        check(&broker, "public.orders", true, Level::Fail, fix);
        check(&broker, "public.orders", false, Level::Warn, fix);
    }

    #[test]
    fn queues_that_throw_away_what_they_confirmed_are_said() {
        let with = |kind: &str, arguments: serde_json::Value, policy: serde_json::Value| {
            management(json!({"name": "q", "type": kind, "arguments": arguments,
                "effective_policy_definition": policy}))
        };
        let of = |management: &Management, level, says| {
            check(management, "public.users", true, level, says);
        };
        of(&management(quorum()), Level::Ok, "broker.queue q: quorum");
        // Older releases answer with an empty list where there is no policy.
        of(
            &with("classic", json!({}), json!([])),
            Level::Warn,
            "classic: on one node",
        );
        let limited = json!({"x-max-length": 5});
        of(
            &with("quorum", limited.clone(), json!({})),
            Level::Warn,
            "oldest messages",
        );
        let rejects = json!({"overflow": "reject-publish"});
        of(
            &with("quorum", limited, rejects),
            Level::Ok,
            "broker.queue q: quorum",
        );
        of(
            &with("quorum", json!({}), json!({"message-ttl": 9})),
            Level::Warn,
            "too old",
        );
    }

    #[test]
    fn an_alarm_is_a_failure() {
        let mut broker = management(quorum());
        check(
            &broker,
            "public.users",
            true,
            Level::Ok,
            "broker.alarms: none",
        );
        broker.nodes[0].mem_alarm = true;
        check(
            &broker,
            "public.users",
            true,
            Level::Fail,
            "memory alarm on rabbit@a",
        );
    }

    #[test]
    fn names_are_one_part_of_a_path() {
        assert_eq!(encode("/"), "%2F");
        assert_eq!(encode("a b.c-ä"), "a%20b.c-%C3%A4");
    }
}
