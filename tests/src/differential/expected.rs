//! The event that the contract demands, worked out from the trigger's note in the plainest way.

use serde_json::{Map, Value};
use tokio_postgres::Row;

/// Values at least this long in text may be stored outside of the row, so that an update which
/// leaves them alone has nothing of them in the WAL; in bytes.
const TOASTABLE: usize = 1_500;

/// What the trigger noted of one row change.
#[derive(Debug)]
pub struct Audit {
    action: String,
    table: String,
    identity: String,
    key: Vec<String>,
    primary_key: Vec<String>,
    old: Map<String, Value>,
    new: Map<String, Value>,
}

impl Audit {
    /// From a row of the table `audit`.
    pub fn of(row: &Row) -> Self {
        let names = |column: &str| {
            row.get::<_, Option<Vec<String>>>(column)
                .unwrap_or_default()
        };
        let object = |column: &str| {
            let text = row.get::<_, Option<&str>>(column).unwrap_or("{}");
            serde_json::from_str(text).expect("row_to_json prints an object")
        };
        Self {
            action: row.get("op"),
            table: row.get("tbl"),
            identity: row.get("ident"),
            key: names("key"),
            primary_key: names("pk"),
            old: object("old"),
            new: object("new"),
        }
    }

    /// Compares an event with what it should be.
    ///
    /// # Errors
    ///
    /// The first key that differs, with both values.
    pub fn check(&self, event: &Value) -> Result<(), String> {
        let new = self.new_of(event)?;
        let old = self.old();
        let diff = self.diff(&old, &new);
        let id = self.id(if self.action == "D" { &old } else { &new });
        let table = Value::from(self.table.clone());
        let expected = [
            ("table_name", table),
            ("old", Value::from(old)),
            ("new", Value::from(new)),
            ("id", id),
            ("diff", Value::from(diff)),
            ("action", Value::from(self.action.clone())),
        ];
        let keys: Vec<&String> = event.as_object().into_iter().flat_map(Map::keys).collect();
        if keys != expected.each_ref().map(|(key, _)| key) {
            return Err(format!("keys {keys:?}"));
        }
        for (key, value) in expected {
            if event[key] != value {
                return Err(format!(
                    "{key} of {} {} (identity {}) differs\n  event    {}\n  expected {value}",
                    self.action, self.table, self.identity, event[key]
                ));
            }
        }
        Ok(())
    }

    /// The new row, without large values that did not change where the WAL does not have them.
    fn new_of(&self, event: &Value) -> Result<Map<String, Value>, String> {
        let given = event["new"].as_object().ok_or("new is no object")?;
        let mut new = self.new.clone();
        if self.action == "U" && self.identity != "f" {
            new.retain(|name, value| {
                let unchanged = self.old.get(name) == Some(value);
                let large = value.to_string().len() > TOASTABLE;
                given.contains_key(name) || !(unchanged && large)
            });
        }
        Ok(new)
    }

    fn old(&self) -> Map<String, Value> {
        match (self.action.as_str(), self.identity.as_str()) {
            ("I", _) | (_, "n") => Map::new(),
            (_, "f") => self.old.clone(),
            _ => {
                let mut key = self.old.clone();
                key.retain(|name, _| self.key.contains(name));
                key
            }
        }
    }

    fn diff(&self, old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
        let mut diff = new.clone();
        diff.retain(|name, value| match (self.action.as_str(), old.get(name)) {
            ("D", _) => false,
            (_, Some(before)) => before != value,
            (_, None) => !value.is_null(),
        });
        diff
    }

    fn id(&self, row: &Map<String, Value>) -> Value {
        if self.new.contains_key("id") || self.old.contains_key("id") {
            return row.get("id").cloned().unwrap_or(Value::Null);
        }
        match self.primary_key.as_slice() {
            [] => Value::Null,
            [only] => row.get(only).cloned().unwrap_or(Value::Null),
            several => {
                let value = |name: &String| Some((name.clone(), row.get(name)?.clone()));
                let object: Option<Map<String, Value>> = several.iter().map(value).collect();
                object.map_or(Value::Null, Value::from)
            }
        }
    }
}
