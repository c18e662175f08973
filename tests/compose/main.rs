//! The stack of `docker-compose.yml` on a container engine: the README's steps, and what a user
//! does to it afterwards. `cargo dev test compose` runs this where there is an engine.

mod image;
mod stack;
