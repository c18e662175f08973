//! The decoding context: options in, messages out.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::{
    encoding::{is_misread, name_bytes, owned_name, server_text},
    frame_memory::FrameMemory,
    memory::MemoryContext,
    reserve::raise_out_of_memory,
};

/// One option as the client gave it.
pub struct GivenOption {
    /// Its name.
    pub name: String,
    /// Its value as UTF-8; `None` without one.
    pub value: Option<String>,
    /// Whether the server has read the value in another encoding than it was most likely sent in.
    pub misread: bool,
    /// Whether it has more than [`MAX_OPTION_BYTES`]; it is not here then.
    pub too_long: bool,
}

/// Longest value of an option in bytes: thousands of tables.
pub const MAX_OPTION_BYTES: usize = 512 * 1024;

/// What an option may take in memory, for each byte of it, once it has been read.
const READ_OPTION: usize = 256;

/// The decoding context of this session.
#[derive(Clone, Copy)]
pub struct Context(*mut pg_sys::LogicalDecodingContext);

impl Context {
    /// # Safety
    ///
    /// `ctx` is what PostgreSQL handed to a callback that has not returned yet.
    pub unsafe fn new(ctx: *mut pg_sys::LogicalDecodingContext) -> Self {
        Self(ctx)
    }

    /// Options as given, in order.
    pub fn options(self) -> Vec<GivenOption> {
        let mut options = Vec::new();
        // SAFETY: `ctx` is live (see `new`); the list and its DefElems were built by the grammar or
        // by pg_logical_slot_get_changes and live in `ctx`.
        unsafe {
            let list = (*self.0).output_plugin_options;
            let length = if list.is_null() { 0 } else { (*list).length };
            for i in 0..length {
                let element = (*(*list).elements.add(i as usize))
                    .ptr_value
                    .cast::<pg_sys::DefElem>();
                let name = owned_name((*element).defname);
                let value =
                    (!(*element).arg.is_null()).then(|| name_bytes(pg_sys::defGetString(element)));
                let too_long = value.is_some_and(|value| value.len() > MAX_OPTION_BYTES);
                let value = value.filter(|_| !too_long);
                // Reading it allocates in ways that cannot fail, so it is tried before.
                let room = Vec::<u8>::new().try_reserve_exact(
                    value.map_or(0, |value| value.len().saturating_mul(READ_OPTION)),
                );
                room.unwrap_or_else(|_| raise_out_of_memory());
                options.push(GivenOption {
                    name,
                    value: value.map(server_text),
                    misread: value.is_some_and(is_misread),
                    too_long,
                });
            }
        }
        options
    }

    /// Chooses between binary and textual output and turns off what this plugin does not speak.
    pub fn configure(self, options: *mut pg_sys::OutputPluginOptions, textual: bool) {
        // SAFETY: both pointers belong to the running startup callback.
        unsafe {
            (*options).output_type = if textual {
                pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_TEXTUAL_OUTPUT
            } else {
                pg_sys::OutputPluginOutputType::OUTPUT_PLUGIN_BINARY_OUTPUT
            };
            // Rows that a table rewrite copies are no events.
            (*options).receive_rewrites = false;
            #[cfg(not(feature = "pg13"))]
            {
                (*self.0).streaming = false;
                (*self.0).twophase = false;
            }
        }
    }

    /// Ties `state` to the context: it is dropped with it, also after an ERROR, when PostgreSQL
    /// does not call the shutdown callback.
    pub fn attach<T>(self, state: T) {
        // SAFETY: `context` is the memory context of the live `ctx`.
        unsafe {
            let state =
                pgrx::PgMemoryContexts::For((*self.0).context).leak_and_drop_on_delete(state);
            (*self.0).output_plugin_private = state.cast();
        }
    }

    /// # Safety
    ///
    /// A `T` was attached, and the caller's callback holds no other reference to it.
    pub unsafe fn state<'a, T>(self) -> Option<&'a mut T> {
        // SAFETY: attached as a `T`, lives as long as `ctx`, and is not aliased (both by contract).
        unsafe { (*self.0).output_plugin_private.cast::<T>().as_mut() }
    }

    /// Sends one message to the client. `last` says that nothing of this callback follows.
    pub fn write(self, payload: &[u8], last: bool) {
        // SAFETY: `ctx` is live and accepts writes in begin, change, commit and message callbacks;
        // PrepareWrite is paired with Write and `out` is only appended to in between, as a
        // walsender's header already stands in it.
        unsafe {
            pg_sys::OutputPluginPrepareWrite(self.0, last);
            // The length fits: a payload is bounded far below StringInfo's 1 GiB.
            pg_sys::appendBinaryStringInfo(
                (*self.0).out,
                payload.as_ptr().cast(),
                payload.len() as _,
            );
            pg_sys::OutputPluginWrite(self.0, last);
        }
    }

    /// Sends one frame, without copying it. `last` as for [`Context::write`].
    pub fn write_frame(self, frame: &mut FrameMemory, last: bool) {
        // SAFETY: as in `write`; `out` belongs to this context.
        unsafe {
            pg_sys::OutputPluginPrepareWrite(self.0, last);
            frame.put((*self.0).out);
            pg_sys::OutputPluginWrite(self.0, last);
        }
    }

    /// Memory for frames.
    pub fn frame_memory(self) -> FrameMemory {
        // SAFETY: the context is live, and all state of a session is dropped with it.
        unsafe { FrameMemory::within((*self.0).context) }
    }

    /// Lets the walsender answer its client and check its timeouts while nothing is written.
    /// `skipped` says that the transaction sent nothing.
    pub fn update_progress(self, skipped: bool) {
        // SAFETY: `ctx` is live.
        unsafe {
            #[cfg(any(feature = "pg13", feature = "pg14"))]
            {
                let _ = skipped;
                pg_sys::OutputPluginUpdateProgress(self.0);
            }
            #[cfg(not(any(feature = "pg13", feature = "pg14")))]
            pg_sys::OutputPluginUpdateProgress(self.0, skipped);
        }
    }

    /// A memory context below this one.
    pub fn child_memory(self, name: &'static CStr) -> MemoryContext {
        // SAFETY: the parent is live.
        unsafe { MemoryContext::below((*self.0).context, name) }
    }
}

/// Whether the plugin must report progress by itself while it skips changes. From 16 on the reorder
/// buffer does (commit 8c58624df).
pub const PLUGIN_REPORTS_PROGRESS: bool =
    cfg!(any(feature = "pg13", feature = "pg14", feature = "pg15"));
