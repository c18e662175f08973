use postgres_protocol::message::{backend::Message, frontend};

use fallible_iterator::FallibleIterator;

use super::login::{Session, refusal_parts, unexpected};
use crate::postgres::PostgresError;

/// What came of loading the output plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// What the plugin said when it was loaded, e.g. `pgevents 0.1.0, protocol 1`; `None`: nothing,
    /// as versions before 0.1.0.
    pub greeting: Option<String>,
    /// The server's refusal: its SQLSTATE and its words.
    pub refusal: Option<(String, String)>,
}

impl Probe {
    /// Whether the server gave up waiting after the plugin was loaded: for a slot it waits until
    /// every transaction that is open has ended.
    pub fn timed_out(&self) -> bool {
        // query_canceled
        self.refusal
            .as_ref()
            .is_some_and(|(code, _)| code == "57014")
    }
}

impl Session {
    /// Has the server load an output plugin: makes a temporary slot, which is gone at the latest
    /// when this session ends, and waits no longer than `seconds`. Nothing is decoded.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub async fn probe(mut self, plugin: &str, seconds: u32) -> Result<Probe, PostgresError> {
        let slot = format!("pgevents_doctor_{}", std::process::id());
        let mut probe = Probe::default();
        // Several statements in one message would be one transaction, in which the settings do not
        // count yet.
        for statement in [
            "SET client_min_messages = debug1".to_owned(),
            format!("SET statement_timeout = '{seconds}s'"),
            format!(
                "SELECT pg_catalog.pg_create_logical_replication_slot('{slot}', '{plugin}', true)"
            ),
        ] {
            self.send(|out| frontend::query(&statement, out)).await?;
            self.listen(plugin, &mut probe).await?;
        }
        Ok(probe)
    }

    /// Hears everything that the server says about one statement.
    async fn listen(&mut self, plugin: &str, probe: &mut Probe) -> Result<(), PostgresError> {
        loop {
            let Some(message) = Message::parse(&mut self.input).map_err(unexpected)? else {
                self.fill().await?;
                continue;
            };
            match message {
                Message::NoticeResponse(body) => {
                    let fields = body.fields().map(|field| {
                        let text = field.value_bytes();
                        Ok((field.type_() == b'M')
                            .then(|| String::from_utf8_lossy(text).into_owned()))
                    });
                    let said = fields.filter_map(Ok).next().map_err(unexpected)?;
                    probe.greeting = probe
                        .greeting
                        .take()
                        .or(said.filter(|said| said.starts_with(plugin)));
                }
                Message::ErrorResponse(body) => probe.refusal = Some(refusal_parts(&body)),
                Message::ReadyForQuery(_) => return Ok(()),
                _ => {}
            }
        }
    }
}
