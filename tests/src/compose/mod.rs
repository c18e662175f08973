//! The stack of `docker-compose.yml` on a real container engine, as a user starts it.

mod container;
mod engine;
mod stack;

pub use self::container::{Container, Moment};
pub use self::engine::{Engine, EngineError};
pub use self::stack::{Row, Stack, Up};
