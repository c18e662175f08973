//! The stack of `docker-compose.yml` on a real container engine, as a user starts it.

mod container;
mod engine;
mod stack;

pub use self::container::{Container, Moment};
pub use self::engine::{Engine, EngineError};
pub use self::stack::{Row, Stack, Up};

/// What the stack of the tests has in its environment: images with names of their own, so that a
/// user's stay as they are, and in a profile that builds in less time. What is tested is the way of
/// the images, not their speed.
pub const IMAGES: [(&str, &str); 2] = [
    ("PGEVENTS_IMAGE_PREFIX", "pgevents-test/"),
    ("PGEVENTS_PROFILE", "quick"),
];

/// The image of the relay under [`IMAGES`].
pub const RELAY_IMAGE: &str = "pgevents-test/pgevents";
