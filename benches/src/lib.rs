//! Workloads for the benches: frames of the size that the plugin sends, full of one kind of change.
#![forbid(unsafe_code)]

mod workload;

pub use workload::{Workload, drain, write};
