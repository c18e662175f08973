//! The frame that a session writes.

use pgevents_proto::FrameEncoder;

use crate::ffi::FrameMemory;

/// Written in PostgreSQL's memory.
pub type Frame = FrameEncoder<FrameMemory>;
