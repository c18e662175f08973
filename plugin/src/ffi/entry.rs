//! What PostgreSQL calls. Source: PostgreSQL docs, "Logical Decoding Output Plugins".
//!
//! Each callback turns its pointers into the wrappers of this module and hands them to an
//! [`OutputPlugin`]. The guard turns a panic into an ERROR of this backend.

use std::{
    ffi::{CStr, c_char, c_int},
    marker::PhantomData,
};

use pgevents_proto::Lsn;
use pgrx::{pg_sys, pgrx_extern_c_guard};

use super::{
    context::Context,
    encoding::bytes,
    reserve::raise_if_used,
    settings::without_backtraces,
    table::{Table, tables},
    tuple::RowChange,
    txn::Txn,
};

/// The state of one decoding session, and what it does when PostgreSQL calls. It is dropped with
/// the session, also after an ERROR.
pub trait OutputPlugin: Sized {
    /// A session begins. Reads the options; one that cannot be followed is an ERROR: nothing has
    /// been decoded yet, and nothing will be until it is put right. `decodes` is false where only a
    /// slot is made; there is no state then. Otherwise comes with whether the output is text.
    fn start(context: Context, decodes: bool) -> Option<(Self, bool)>;
    /// A transaction begins.
    fn begin(&mut self, txn: Txn<'_>);
    /// A row changed.
    fn change(&mut self, context: Context, table: Table<'_>, change: RowChange<'_>);
    /// Tables were emptied.
    fn truncate(&mut self, context: Context, tables: &[Table<'_>]);
    /// A logical message: in order with the rows of its transaction, or at once outside of any.
    fn message(&mut self, context: Context, message: &LogicalMessage<'_>);
    /// Everything of the transaction has been replayed.
    fn commit(&mut self, context: Context);
    /// Whether changes that another server made are kept back.
    fn local_only(&self) -> bool;
}

/// A message as PostgreSQL hands it over; prefix and content may be of any size below 1 GiB.
pub struct LogicalMessage<'a> {
    /// Whether it belongs to the transaction that is being replayed.
    pub transactional: bool,
    /// Position after the message.
    pub lsn: Lsn,
    /// In the encoding of the database.
    pub prefix: &'a CStr,
    /// Any bytes.
    pub content: &'a [u8],
}

/// Tells PostgreSQL which callbacks there are. Those for streaming of open transactions and for
/// two-phase commit are left out on purpose: a prepared transaction arrives when it commits, and
/// nothing arrives that may yet roll back.
///
/// # Safety
///
/// `callbacks` is what PostgreSQL handed to the library's entry point.
pub unsafe fn register<P: OutputPlugin>(callbacks: *mut pg_sys::OutputPluginCallbacks) {
    without_backtraces();
    // SAFETY: by contract it is writable.
    let callbacks = unsafe { &mut *callbacks };
    callbacks.startup_cb = Some(Callbacks::<P>::startup);
    callbacks.begin_cb = Some(Callbacks::<P>::begin);
    callbacks.change_cb = Some(Callbacks::<P>::change);
    callbacks.truncate_cb = Some(Callbacks::<P>::truncate);
    callbacks.commit_cb = Some(Callbacks::<P>::commit);
    callbacks.message_cb = Some(Callbacks::<P>::message);
    callbacks.filter_by_origin_cb = Some(Callbacks::<P>::filter_by_origin);
}

/// The callbacks of one plugin. Each gets from PostgreSQL, for the length of the call, a live
/// context and whatever else its signature names: that makes all of the blocks below sound.
struct Callbacks<P>(PhantomData<P>);

impl<P: OutputPlugin> Callbacks<P> {
    unsafe extern "C-unwind" fn startup(
        ctx: *mut pg_sys::LogicalDecodingContext,
        options: *mut pg_sys::OutputPluginOptions,
        is_init: bool,
    ) {
        // SAFETY: see `Callbacks`; the guard is the outermost frame of Rust's.
        unsafe {
            pgrx_extern_c_guard(|| {
                let context = Context::new(ctx);
                context.configure(options, false);
                if let Some((plugin, textual)) = P::start(context, !is_init) {
                    context.configure(options, textual);
                    context.attach(plugin);
                    raise_if_used();
                }
            });
        }
    }

    unsafe extern "C-unwind" fn begin(
        ctx: *mut pg_sys::LogicalDecodingContext,
        txn: *mut pg_sys::ReorderBufferTXN,
    ) {
        // SAFETY: see `Callbacks`.
        unsafe {
            pgrx_extern_c_guard(|| {
                if let (Some(plugin), Some(txn)) = (Self::state(ctx), Txn::new(txn)) {
                    plugin.begin(txn);
                }
            });
        }
    }

    unsafe extern "C-unwind" fn change(
        ctx: *mut pg_sys::LogicalDecodingContext,
        _txn: *mut pg_sys::ReorderBufferTXN,
        relation: pg_sys::Relation,
        change: *mut pg_sys::ReorderBufferChange,
    ) {
        // SAFETY: see `Callbacks`; the relation is open.
        unsafe {
            pgrx_extern_c_guard(|| {
                if let Some(plugin) = Self::state(ctx) {
                    let (table, change) = (Table::new(relation), RowChange::new(change));
                    plugin.change(Context::new(ctx), table, change);
                }
            });
        }
    }

    unsafe extern "C-unwind" fn truncate(
        ctx: *mut pg_sys::LogicalDecodingContext,
        _txn: *mut pg_sys::ReorderBufferTXN,
        count: c_int,
        relations: *mut pg_sys::Relation,
        _change: *mut pg_sys::ReorderBufferChange,
    ) {
        // SAFETY: see `Callbacks`; the `count` relations are open.
        unsafe {
            pgrx_extern_c_guard(|| {
                if let Some(plugin) = Self::state(ctx) {
                    plugin.truncate(Context::new(ctx), &tables(relations, count));
                }
            });
        }
    }

    unsafe extern "C-unwind" fn commit(
        ctx: *mut pg_sys::LogicalDecodingContext,
        _txn: *mut pg_sys::ReorderBufferTXN,
        _commit_lsn: pg_sys::XLogRecPtr,
    ) {
        // SAFETY: see `Callbacks`.
        unsafe {
            pgrx_extern_c_guard(|| {
                if let Some(plugin) = Self::state(ctx) {
                    plugin.commit(Context::new(ctx));
                }
            });
        }
    }

    unsafe extern "C-unwind" fn message(
        ctx: *mut pg_sys::LogicalDecodingContext,
        _txn: *mut pg_sys::ReorderBufferTXN,
        message_lsn: pg_sys::XLogRecPtr,
        transactional: bool,
        prefix: *const c_char,
        size: pg_sys::Size,
        content: *const c_char,
    ) {
        // SAFETY: see `Callbacks`; the prefix ends with a NUL, and `content` has `size` bytes.
        unsafe {
            pgrx_extern_c_guard(|| {
                if let Some(plugin) = Self::state(ctx) {
                    let message = LogicalMessage {
                        transactional,
                        lsn: Lsn(message_lsn),
                        prefix: CStr::from_ptr(prefix),
                        content: bytes(content, size),
                    };
                    plugin.message(Context::new(ctx), &message);
                }
            });
        }
    }

    /// True keeps the change back. Asked while the WAL is read, before anything is queued.
    unsafe extern "C-unwind" fn filter_by_origin(
        ctx: *mut pg_sys::LogicalDecodingContext,
        origin_id: pg_sys::RepOriginId,
    ) -> bool {
        let local = origin_id == pg_sys::InvalidRepOriginId as pg_sys::RepOriginId;
        // SAFETY: see `Callbacks`.
        unsafe {
            pgrx_extern_c_guard(|| {
                let local_only = Self::state(ctx).is_some_and(|plugin| plugin.local_only());
                local_only && !local
            })
        }
    }

    /// # Safety
    ///
    /// `ctx` is what PostgreSQL handed to the running callback.
    unsafe fn state<'a>(ctx: *mut pg_sys::LogicalDecodingContext) -> Option<&'a mut P> {
        raise_if_used();
        // SAFETY: only `startup` attaches state, a P; callbacks run one at a time, so no other
        // reference exists.
        unsafe { Context::new(ctx).state::<P>() }
    }
}
