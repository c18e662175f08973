//! What `cargo dev` shares with the programs that it starts: where builds go, and how progress is
//! shown.
#![forbid(unsafe_code)]

pub mod dist;
pub mod engine;
pub mod progress;
