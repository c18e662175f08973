//! The relay: reads frames of the output plugin from a replication slot, turns each change into a
//! JSON event, publishes it to RabbitMQ, and acknowledges to PostgreSQL what the broker confirmed.
//!
//! Data goes one way: [`walsender`] → frames → JSON → [`publish`] → [`delivery`] → standby status. Only
//! [`delivery::AckTracker`] decides a position that is acknowledged; [`producer`] is the one loop.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod cli;
pub mod complaint;
pub mod config;
pub mod consumer;
pub mod delivery;
pub mod doctor;
pub mod exit;
pub mod health;
pub mod log;
pub mod manual;
pub mod metrics;
pub mod position;
pub mod postgres;
pub mod producer;
pub mod publish;
pub mod quantity;
pub mod reference;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod slot;
pub mod tls;
pub mod walsender;
