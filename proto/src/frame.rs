//! Our wire: frames as the plugin writes them and the relay reads them, described by
//! `pgevents.proto`.

mod decode;
mod encode;
mod wire;

pub use decode::{DecodeError, Decoder, FrameEvents};
pub use encode::{FRAME_TARGET_BYTES, FrameBuffer, FrameEncoder, Open, RowBitmaps};

/// Version of the meaning of `pgevents.proto` that this crate reads and writes.
///
/// 2: `Begin.commit_lsn`. 1 has all the rest.
pub const PROTOCOL_VERSION: u32 = 2;
