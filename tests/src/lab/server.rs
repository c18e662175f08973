//! Servers that the tests of one process share, or that a single test owns.

use tokio::sync::OnceCell;

use super::{LabError, Postgres, RabbitMq, fail};

/// A server that all tests use, or one that a single test may kill.
#[derive(Debug)]
pub(super) enum Server<T: 'static> {
    Shared(&'static T),
    Own(Box<T>),
}

impl<T> Server<T> {
    pub(super) fn get(&self) -> &T {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }

    pub(super) fn own(&mut self) -> &mut T {
        match self {
            Self::Shared(_) => panic!("only a test with servers of its own may change them"),
            Self::Own(server) => server,
        }
    }
}

/// One server per test process; a second test meets the first one's failure, not a second attempt.
pub(super) async fn shared_postgres() -> &'static Postgres {
    static SERVER: OnceCell<Result<Postgres, LabError>> = OnceCell::const_new();
    let server = SERVER.get_or_init(|| Postgres::start("")).await;
    server.as_ref().unwrap_or_else(|error| fail(error))
}

pub(super) async fn shared_rabbitmq() -> &'static RabbitMq {
    static BROKER: OnceCell<Result<RabbitMq, LabError>> = OnceCell::const_new();
    let broker = BROKER.get_or_init(RabbitMq::start).await;
    broker.as_ref().unwrap_or_else(|error| fail(error))
}
