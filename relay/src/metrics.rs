//! What the relay says of itself to monitoring: numbers for Prometheus, and whether it is alive and
//! ready.
//!
//! The loop counts in plain numbers and posts them on the [`Board`] about once a second, whoever
//! reads them; [`serve`] answers questions from the board and never asks the loop.

mod board;
mod numbers;
mod page;
mod process;
mod readiness;
mod server;
mod slot_watch;

pub use board::{Board, Post, Reading, Side};
pub use page::{Identity, Page};
pub use readiness::Readiness;
pub use server::{MetricsError, listen, serve};
pub use slot_watch::watch_slot;
