//! Where a message goes: bindings of RabbitMQ, followed from exchange to exchange.

use std::collections::BTreeSet;

use serde::Deserialize;

/// A binding, as the management API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Binding {
    /// Exchange; empty for the default one.
    pub(super) source: String,
    pub(super) destination: String,
    /// `queue` or `exchange`.
    pub(super) destination_type: String,
    pub(super) routing_key: String,
}

/// An exchange, as the management API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Exchange {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// The queues that take a message with this routing key. Exchanges of other types than topic,
/// fanout and direct count as passing everything: what they do is their own.
pub(super) fn queues<'a>(
    bindings: &'a [Binding],
    exchanges: &[Exchange],
    start: &str,
    routing_key: &str,
) -> BTreeSet<&'a str> {
    let kind = |name: &str| {
        let exchange = exchanges.iter().find(|exchange| exchange.name == name);
        exchange.map_or("topic", |exchange| exchange.kind.as_str())
    };
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::from([start]));
    let mut waiting = vec![start];
    while let Some(exchange) = waiting.pop() {
        let kind = kind(exchange);
        for binding in bindings.iter().filter(|binding| binding.source == exchange) {
            let passes = match kind {
                "topic" => topic_matches(&binding.routing_key, routing_key),
                "direct" => binding.routing_key == routing_key,
                _ => true,
            };
            match (passes, binding.destination_type.as_str()) {
                (true, "queue") => {
                    found.insert(binding.destination.as_str());
                }
                (true, _) if seen.insert(&binding.destination) => {
                    waiting.push(&binding.destination);
                }
                _ => {}
            }
        }
    }
    found
}

/// Words between dots; `*` is one word, `#` any number of them. Source: AMQP 0-9-1, 3.1.3.3.
fn topic_matches(pattern: &str, key: &str) -> bool {
    let words: Vec<&str> = key.split('.').collect();
    // For each number of leading words, whether the pattern so far matches exactly those.
    let mut reached = vec![false; words.len() + 1];
    reached[0] = true;
    for part in pattern.split('.') {
        let mut next = vec![false; words.len() + 1];
        for at in 0..=words.len() {
            next[at] = match part {
                "#" => reached[at] || at > 0 && next[at - 1],
                "*" => at > 0 && reached[at - 1],
                word => at > 0 && reached[at - 1] && words[at - 1] == word,
            };
        }
        reached = next;
    }
    reached[words.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_match_by_words() {
        for pattern in [
            "#",
            "public.users",
            "public.*",
            "*.users",
            "public.#",
            "#.users.#",
        ] {
            assert!(topic_matches(pattern, "public.users"), "{pattern}");
        }
        for pattern in ["", "*", "public", "public.users.*", "private.#", "users"] {
            assert!(!topic_matches(pattern, "public.users"), "{pattern}");
        }
        assert!(topic_matches("a.#.z", "a.z") && topic_matches("a.#.z", "a.b.c.z"));
    }

    #[test]
    fn exchanges_behind_exchanges_are_followed_once() {
        let binding = |source: &str, destination: &str, kind: &str, key: &str| Binding {
            source: source.to_owned(),
            destination: destination.to_owned(),
            destination_type: kind.to_owned(),
            routing_key: key.to_owned(),
        };
        let bindings = [
            binding("shop", "all", "exchange", "public.#"),
            binding("all", "archive", "queue", "ignored by fanout"),
            binding("all", "shop", "exchange", ""),
            binding("shop", "users", "queue", "public.users"),
            binding("other", "elsewhere", "queue", "#"),
        ];
        let exchange = |name: &str, kind: &str| Exchange {
            name: name.to_owned(),
            kind: kind.to_owned(),
        };
        let exchanges = [exchange("shop", "topic"), exchange("all", "fanout")];
        let found = |key| {
            queues(&bindings, &exchanges, "shop", key)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(found("public.users"), ["archive", "users"]);
        assert_eq!(found("public.orders"), ["archive"]);
        assert!(found("private.users").is_empty());
    }
}
