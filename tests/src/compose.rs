//! The stack of `docker-compose.yml` on a real container engine, as a user starts it.

mod container;
mod stack;

pub use self::container::{Container, Moment};
pub use self::stack::{Row, Stack, Up};
pub use pgevents_dev::engine::{Engine, EngineError, IMAGES, RELAY_IMAGE};
