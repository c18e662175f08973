use std::{
    error::Error as _,
    future::{Ready, ready},
    io,
};

use tokio::task::JoinHandle;
use tokio_postgres::{
    Client,
    config::{self, Config, SslMode, SslNegotiation},
    error::SqlState,
    tls::{TlsConnect, TlsStream},
};

use super::{
    APPLICATION_NAME, ChannelBinding, Postgres, PostgresError, Stream, pin_rest,
    pinned::{forget_version, learn_version},
    quote_identifier, startup_options,
    stream::within,
};
use crate::exit::Exit;

/// An ordinary SQL session; it ends when the value is dropped.
#[derive(Debug)]
pub struct Sql<'a> {
    client: Client,
    encrypted: bool,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
    config: &'a Postgres,
}

impl<'a> Sql<'a> {
    /// Connects and logs in.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn connect(config: &'a Postgres) -> Result<Self, PostgresError> {
        let (sql, may_name_more) = match Self::log_in(config).await {
            // The server of the last login was of a later major.
            Err(LoginError::Unknown(_)) if forget_version() => Self::log_in(config).await?,
            outcome => outcome?,
        };
        match sql.pin().await {
            Ok(()) => Ok(sql),
            // A timeout of the database's may have ended the session at once.
            Err(_) if may_name_more => {
                let (sql, _) = Self::log_in(config).await?;
                sql.pin().await?;
                Ok(sql)
            }
            Err(error) => Err(error),
        }
    }

    /// Logs in; says whether another login would name more settings, as the server's version is
    /// known now.
    async fn log_in(config: &'a Postgres) -> Result<(Self, bool), LoginError> {
        let stream = Stream::connect(config).await?;
        let encrypted = stream.is_encrypted();
        let mut login = Config::new();
        // The stream is already as it has to be, encrypted or not; `AsItIs` hands it on.
        login
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        login.channel_binding(match config.channel_binding {
            ChannelBinding::Disable => config::ChannelBinding::Disable,
            ChannelBinding::Prefer => config::ChannelBinding::Prefer,
            ChannelBinding::Require => config::ChannelBinding::Require,
        });
        login
            .user(&config.user)
            .dbname(&config.database)
            .application_name(APPLICATION_NAME);
        login.options(startup_options());
        if let Some(password) = config.password()? {
            login.password(password.reveal());
        }
        let connected = within(async { Ok(login.connect_raw(stream, AsItIs).await) }).await;
        let (client, connection) = connected
            .map_err(|source| PostgresError::Unreachable {
                address: config.address(),
                source,
            })?
            .map_err(|error| match error.code() {
                Some(&SqlState::UNDEFINED_OBJECT) => LoginError::Unknown(failure(error, config)),
                _ => LoginError::Other(login_failure(error, config)),
            })?;
        let may_name_more = learn_version(connection.parameter("server_version"));
        let sql = Self {
            client,
            encrypted,
            connection: tokio::spawn(connection),
            config,
        };
        Ok((sql, may_name_more))
    }

    /// Sets what the login could not name.
    async fn pin(&self) -> Result<(), PostgresError> {
        let pinned = self.client.batch_execute(&pin_rest()).await;
        pinned.map_err(|error| self.failure(error))
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where it leads, and as whom.
    pub(super) fn config(&self) -> &Postgres {
        self.config
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Waits for the end of an idle session, and says what it was. The session is of no use then.
    pub(super) async fn ended(mut self) -> PostgresError {
        match (&mut self.connection).await {
            Ok(Err(error)) => self.failure(error),
            Ok(Ok(())) => PostgresError::Lost(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => PostgresError::Lost(io::Error::other(error)),
        }
    }

    /// What a failed statement means.
    pub(crate) fn failure(&self, error: tokio_postgres::Error) -> PostgresError {
        failure(error, self.config)
    }
}

impl Drop for Sql<'_> {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Why a login failed.
enum LoginError {
    /// The server does not know a setting.
    Unknown(PostgresError),
    /// Anything else.
    Other(PostgresError),
}

impl From<PostgresError> for LoginError {
    fn from(error: PostgresError) -> Self {
        Self::Other(error)
    }
}

impl From<LoginError> for PostgresError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Unknown(error) | LoginError::Other(error) => error,
        }
    }
}

/// What a login that failed means. The server has not looked at any statement yet, so a missing
/// right is that to the database.
fn login_failure(error: tokio_postgres::Error, config: &Postgres) -> PostgresError {
    match error.as_db_error() {
        Some(said) if said.code() == &SqlState::INSUFFICIENT_PRIVILEGE => PostgresError::stop(
            Exit::Configuration,
            format!(
                "PostgreSQL refuses (42501): {}: run: GRANT CONNECT ON DATABASE {} TO {};",
                said.message(),
                quote_identifier(&config.database),
                quote_identifier(&config.user)
            ),
        ),
        _ => failure(error, config),
    }
}

fn failure(error: tokio_postgres::Error, config: &Postgres) -> PostgresError {
    if let Some(said) = error.as_db_error() {
        return config.refusal(said.code().code(), said.message());
    }
    // tokio-postgres has no kinds for these that could be asked for.
    let says = |text| {
        error
            .source()
            .is_some_and(|cause| cause.to_string().contains(text))
    };
    if says("password missing") {
        return config.refusal("28P01", "a password is required and none is set");
    }
    if config.channel_binding == ChannelBinding::Require && says("channel binding") {
        return PostgresError::unbound();
    }
    PostgresError::broken(io::Error::other(error), config)
}

/// A "handshake" that leaves the stream as it is.
struct AsItIs;

impl TlsConnect<Stream> for AsItIs {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Ready<io::Result<Stream>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(stream))
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> tokio_postgres::tls::ChannelBinding {
        use tokio_postgres::tls::ChannelBinding;

        self.end_point()
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}
