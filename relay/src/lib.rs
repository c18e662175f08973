//! The relay: reads frames of the output plugin from a replication slot, turns each change into a
//! JSON event, publishes it to RabbitMQ, and acknowledges to PostgreSQL what the broker confirmed.
//!
//! Data goes one way: [`source`] (over [`replication`]) → [`producer`], which gives each event its
//! JSON and its number → [`sink`] → [`delivery`], which counts what arrived → the source's standby
//! status. Only [`delivery::AckTracker`] decides a position that is acknowledged; [`producer`] is
//! the one loop.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod consumer;
pub mod delivery;
pub mod doctor;
pub mod exit;
pub mod heartbeat;
pub mod log;
pub mod metrics;
pub mod phase;
pub mod position;
pub mod postgres;
pub mod producer;
pub mod quantity;
pub mod replication;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod sink;
pub mod slot;
pub mod source;
pub mod standstill;
pub mod throttle;
pub mod tls;
