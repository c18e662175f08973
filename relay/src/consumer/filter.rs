use pgevents_proto::TableList;
use serde_json::Value;

/// What happened to a row, as in `--action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventAction {
    /// `"I"`
    Insert,
    /// `"U"`
    Update,
    /// `"D"`
    Delete,
    /// `"T"`
    Truncate,
}

impl EventAction {
    /// The action in an event.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Insert => "I",
            Self::Update => "U",
            Self::Delete => "D",
            Self::Truncate => "T",
        }
    }
}

/// Which messages are shown; the others are acknowledged all the same.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Tables; `None`: all, and messages that are no events.
    pub tables: Option<TableList>,
    /// Actions; empty: all, and messages that are no events.
    pub actions: Vec<EventAction>,
}

impl Filter {
    /// Whether everything passes, so that no message has to be read.
    pub(super) fn is_open(&self) -> bool {
        self.tables.is_none() && self.actions.is_empty()
    }

    /// Whether a message with this body passes; `None`: it is not JSON.
    pub(super) fn passes(&self, body: Option<&Value>) -> bool {
        let text = |key: &str| body.and_then(|body| body.get(key)?.as_str());
        let table = match (&self.tables, text("table_name")) {
            (None, _) => true,
            // Names are raw; the first dot is that between them unless a schema's name has one.
            (Some(list), Some(name)) => name
                .split_once('.')
                .is_some_and(|(schema, table)| list.matches(schema, table)),
            (Some(_), None) => false,
        };
        let asked = |letter| self.actions.iter().any(|action| action.letter() == letter);
        table && (self.actions.is_empty() || text("action").is_some_and(asked))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(tables: Option<&str>, actions: &[EventAction], body: Value, passes: bool) {
        let filter = Filter {
            tables: tables.map(|list| list.parse().expect("a list")),
            actions: actions.to_vec(),
        };
        assert_eq!(filter.passes(Some(&body)), passes, "{filter:?} {body}");
    }

    #[test]
    fn events_pass_by_table_and_action() {
        let event = || json!({"table_name": "public.users", "action": "U"});
        check(None, &[], event(), true);
        check(Some("public.*"), &[EventAction::Update], event(), true);
        check(Some("public.orders"), &[], event(), false);
        check(Some("public.users"), &[EventAction::Delete], event(), false);
    }

    #[test]
    fn what_is_no_event_passes_only_an_open_filter() {
        check(None, &[], json!({"order": 1}), true);
        check(Some("*.*"), &[], json!({"order": 1}), false);
        check(None, &[EventAction::Insert], json!([]), false);
        assert!(Filter::default().is_open() && Filter::default().passes(None));
    }
}
