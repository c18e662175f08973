use std::io;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    },
    message::{
        backend::{AuthenticationSaslBody, ErrorResponseBody, Message},
        frontend,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::postgres::{
    APPLICATION_NAME, ChannelBinding, Postgres, PostgresError, Stream, pin_rest, startup_settings,
};

/// A session with a walsender that has not started to stream.
#[derive(Debug)]
pub struct Session {
    pub(super) stream: Stream,
    pub(super) input: BytesMut,
    config: Postgres,
    process_id: i32,
}

impl Session {
    /// Connects and logs in for logical replication.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn connect(config: &Postgres) -> Result<Self, PostgresError> {
        let stream = Stream::connect(config).await?;
        let mut session = Self {
            stream,
            input: BytesMut::new(),
            config: config.clone(),
            process_id: 0,
        };
        session.log_in().await?;
        session.execute(&pin_rest()).await?;
        Ok(session)
    }

    /// The server's process behind it, as in `active_pid` of the slot that it streams from.
    pub fn process_id(&self) -> i32 {
        self.process_id
    }

    /// Runs statements whose answer nobody needs.
    pub(super) async fn execute(&mut self, statements: &str) -> Result<(), PostgresError> {
        self.send(|out| frontend::query(statements, out)).await?;
        while !matches!(self.message().await?, Message::ReadyForQuery(_)) {}
        Ok(())
    }

    /// The next message, other than what may come at any time; an error response is an error.
    pub(super) async fn message(&mut self) -> Result<Message, PostgresError> {
        loop {
            match Message::parse(&mut self.input).map_err(unexpected)? {
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => {}
                Some(Message::ErrorResponse(body)) => return Err(refusal(&body, &self.config)),
                Some(message) => return Ok(message),
                None => self.fill().await?,
            }
        }
    }

    /// Waits for more input.
    pub(super) async fn fill(&mut self) -> Result<(), PostgresError> {
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(PostgresError::Lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(PostgresError::broken(error, &self.config)),
        }
    }

    /// Sends one message.
    pub(super) async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<(), PostgresError> {
        let mut output = BytesMut::new();
        write(&mut output).map_err(PostgresError::Lost)?;
        self.stream
            .write_all(&output)
            .await
            .map_err(PostgresError::Lost)?;
        self.stream.flush().await.map_err(PostgresError::Lost)
    }

    async fn log_in(&mut self) -> Result<(), PostgresError> {
        let (user, database) = (self.config.user.clone(), self.config.database.clone());
        let who = [
            ("user", user.as_str()),
            ("database", database.as_str()),
            ("replication", "database"),
            ("application_name", APPLICATION_NAME),
        ];
        let parameters = who.into_iter().chain(startup_settings());
        self.send(|out| frontend::startup_message(parameters, out))
            .await?;
        let mut bound = false;
        loop {
            let message = self.message().await?;
            let must_bind = self.config.channel_binding == ChannelBinding::Require && !bound;
            match message {
                // Before a password is sent in any other way.
                Message::AuthenticationOk
                | Message::AuthenticationCleartextPassword
                | Message::AuthenticationMd5Password(_)
                    if must_bind =>
                {
                    return Err(PostgresError::unbound());
                }
                Message::AuthenticationOk => {}
                Message::BackendKeyData(key) => self.process_id = key.process_id(),
                Message::ReadyForQuery(_) => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    // Only the name of a socket or TLS keeps it from others, as with libpq.
                    let password = self.password()?;
                    self.send(|out| frontend::password_message(password.as_bytes(), out))
                        .await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let password = self.password()?;
                    let hash = md5_hash(user.as_bytes(), password.as_bytes(), body.salt());
                    self.send(|out| frontend::password_message(hash.as_bytes(), out))
                        .await?;
                }
                Message::AuthenticationSasl(body) => bound = self.scram(&body).await?,
                Message::AuthenticationGss
                | Message::AuthenticationKerberosV5
                | Message::AuthenticationScmCredential
                | Message::AuthenticationSspi => {
                    let text = "the server asks for a login method that the relay does not know; \
                         use scram-sha-256 in pg_hba.conf";
                    return Err(self.config.refusal("28000", text));
                }
                _ => {
                    return Err(PostgresError::Protocol(
                        "unexpected message at login".into(),
                    ));
                }
            }
        }
    }

    /// Says whether the login was bound to the TLS session. Source: PostgreSQL docs, "SASL
    /// Authentication".
    async fn scram(&mut self, offer: &AuthenticationSaslBody) -> Result<bool, PostgresError> {
        let (mut plain, mut plus) = (false, false);
        let mut mechanisms = offer.mechanisms();
        while let Some(mechanism) = mechanisms.next().map_err(unexpected)? {
            plain |= mechanism == SCRAM_SHA_256;
            plus |= mechanism == SCRAM_SHA_256_PLUS;
        }
        let end_point = match self.config.channel_binding {
            ChannelBinding::Disable => None,
            ChannelBinding::Prefer | ChannelBinding::Require => self.stream.end_point(),
        };
        let (binding, mechanism) = match (end_point, plus, plain) {
            (Some(hash), true, _) => (
                sasl::ChannelBinding::tls_server_end_point(hash),
                SCRAM_SHA_256_PLUS,
            ),
            (Some(_), false, true) => (sasl::ChannelBinding::unrequested(), SCRAM_SHA_256),
            (None, _, true) => (sasl::ChannelBinding::unsupported(), SCRAM_SHA_256),
            (_, _, false) => {
                let text = "the server asks for a SASL mechanism that the relay does not know";
                return Err(self.config.refusal("28000", text));
            }
        };
        let bound = mechanism == SCRAM_SHA_256_PLUS;
        if self.config.channel_binding == ChannelBinding::Require && !bound {
            return Err(PostgresError::unbound());
        }
        let mut scram = ScramSha256::new(self.password()?.as_bytes(), binding);
        self.send(|out| frontend::sasl_initial_response(mechanism, scram.message(), out))
            .await?;
        let Message::AuthenticationSaslContinue(body) = self.message().await? else {
            return Err(PostgresError::Protocol("no SASL challenge".into()));
        };
        scram.update(body.data()).map_err(unexpected)?;
        self.send(|out| frontend::sasl_response(scram.message(), out))
            .await?;
        let Message::AuthenticationSaslFinal(body) = self.message().await? else {
            return Err(PostgresError::Protocol("no SASL outcome".into()));
        };
        scram.finish(body.data()).map_err(unexpected)?;
        Ok(bound)
    }

    fn password(&self) -> Result<String, PostgresError> {
        match self.config.password()? {
            Some(password) => Ok(password.reveal().to_owned()),
            None => Err(self
                .config
                .refusal("28P01", "a password is required and none is set")),
        }
    }

    pub(super) fn into_parts(self) -> (Stream, BytesMut, Postgres) {
        (self.stream, self.input, self.config)
    }
}

/// What an error response means.
pub(super) fn refusal(body: &ErrorResponseBody, config: &Postgres) -> PostgresError {
    let (sqlstate, message) = refusal_parts(body);
    config.refusal(&sqlstate, &message)
}

/// SQLSTATE and message of an error response.
pub(super) fn refusal_parts(body: &ErrorResponseBody) -> (String, String) {
    let (mut sqlstate, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => sqlstate = value(),
            b'M' => message = value(),
            // Details and context may hold row values.
            _ => {}
        }
    }
    (sqlstate, message)
}

pub(super) fn unexpected(error: io::Error) -> PostgresError {
    PostgresError::Protocol(error.to_string())
}
