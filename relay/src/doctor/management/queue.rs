use serde::Deserialize;

use crate::doctor::Finding;

/// A queue, as the management API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Queue {
    pub(super) name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
    /// Absent, an empty list or an object.
    #[serde(default)]
    effective_policy_definition: serde_json::Value,
}

impl Queue {
    pub(super) fn judge(&self) -> Finding {
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
