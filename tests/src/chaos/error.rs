use std::time::Duration;

use super::lane::CutPoint;
use super::violation::Violation;
use crate::lab::LabError;

/// Why a campaign ended early.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The product broke a promise.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// A server of the campaign does not do what it must; nothing is known of the product.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// PostgreSQL refuses a statement of the campaign.
    #[error("ask PostgreSQL")]
    Sql(#[from] tokio_postgres::Error),
    /// RabbitMQ refuses a wish of the campaign.
    #[error("ask RabbitMQ")]
    Amqp(#[from] lapin::Error),
    /// The logs cannot be kept.
    #[error("write the logs")]
    Logs(#[source] std::io::Error),
    /// A connection was to be cut at a byte that it never carried.
    #[error("{0}: so much never went there")]
    Unreached(CutPoint),
    /// The campaign itself waited in vain, for something that is not the product's.
    #[error("no {awaited} within {} s", .patience.as_secs())]
    Late {
        /// For what.
        awaited: &'static str,
        /// How long.
        patience: Duration,
    },
}
