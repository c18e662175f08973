//! pgevents from outside: real PostgreSQL, the real plugin, the real relay, real RabbitMQ.
//!
//! Every test owns its database, slot, exchange and queue, waits for events, and ends with
//! `lab.finish()`, which fails it for any warning or error in the logs that it did not expect.

mod backend;
mod chaos;
mod configuration;
mod consumer;
mod contract;
mod crash;
mod delivery;
mod differential;
mod doctor;
mod documents;
mod encodings;
mod endurance;
mod faults;
mod filters;
mod identity;
mod large_rows;
mod layers;
mod majors;
mod messages;
mod metrics;
mod migration;
mod names;
mod opt_in;
mod partitions;
mod patience;
mod positions;
mod prometheus;
mod protocol;
mod psql;
mod refusals;
mod relations;
mod schema_change;
mod secrets;
mod servers;
mod session;
mod settings;
mod slot;
mod standby;
mod startup;
mod statements;
mod stdout;
mod tls;
mod toast;
mod transactions;
mod types;
mod volume;
mod walsender_memory;
mod wedge;

use pgevents_tests::sequence;
