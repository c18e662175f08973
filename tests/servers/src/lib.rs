//! Private servers for the end-to-end tests of pgevents and for its demo.
//!
//! Everything here listens on loopback only, lives in a folder of its own and is gone when the
//! process that started it is gone, however it ended.
#![forbid(unsafe_code)]

mod account;
mod disk;
mod encryption;
mod error;
pub mod guardian;
mod log;
mod management;
pub mod port;
mod postgres;
mod process;
mod rabbitmq;

pub use self::disk::SmallDisk;
pub use self::encryption::{Certified, Encryption};
pub use self::error::{During, ServerError};
pub use self::log::Log;
pub use self::postgres::{Postgres, RELAY_ROLE, connect};
pub use self::process::{PATIENCE, Process, memory_bytes};
pub use self::rabbitmq::RabbitMq;
