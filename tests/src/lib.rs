//! Private servers for the end-to-end tests of pgevents and for `cargo dev`.
//!
//! Everything here listens on loopback only, lives in a folder of its own and is gone when the
//! process that started it is gone, however it ended.
#![forbid(unsafe_code)]

pub mod chaos;
pub mod compose;
pub mod differential;
pub mod endurance;
pub mod lab;
pub mod sequence;
pub mod walsender_memory;

pub use pgevents_dev::dist;
