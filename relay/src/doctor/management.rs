mod client;
mod message_size;
mod queue;
mod url;

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    Finding,
    route::{Binding, Exchange, queues},
};
use crate::sink::amqp::Broker;
pub(super) use client::ManagementError;
use client::{encode, get};
use queue::Queue;
pub use url::{ManagementUrl, ManagementUrlFault};

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

    /// `largest`: the bytes of the largest event that is sent.
    pub(super) fn message_size(&self, largest: u64) -> Finding {
        message_size::judge(&self.version, largest)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{doctor::Level, secret::Secret, sink::amqp::BrokerUrl, tls::Certificates};

    fn broker() -> Broker {
        Broker {
            url: BrokerUrl::parse(&Secret::new("amqp://h")).expect("valid"),
            url_file: None,
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
}
