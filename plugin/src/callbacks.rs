//! What PostgreSQL calls. Source: PostgreSQL docs, "Logical Decoding Output Plugins".
//!
//! Each callback turns its pointers into the wrappers of [`crate::ffi`] and hands them to the
//! session. `pg_guard` turns a panic into an ERROR of this backend.

use std::ffi::{CStr, c_char, c_int};

use pgevents_proto::{Lsn, PROTOCOL_VERSION};
use pgrx::{PgLogLevel, PgSqlErrorCode, ereport, pg_guard, pg_sys};

use crate::{
    ffi::{self, Context, RowChange, Table, Txn},
    message::LogicalMessage,
    options::{self, Refusal},
    session::Session,
};

/// Entry point: tells PostgreSQL which callbacks there are. Those for streaming of open
/// transactions and for two-phase commit are left out on purpose: a prepared transaction arrives
/// when it commits, and nothing arrives that may yet roll back.
///
/// # Safety
///
/// For PostgreSQL only; `callbacks` is writable.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _PG_output_plugin_init(
    callbacks: *mut pg_sys::OutputPluginCallbacks,
) {
    ffi::without_backtraces();
    // SAFETY: by contract.
    let callbacks = unsafe { &mut *callbacks };
    callbacks.startup_cb = Some(startup_cb);
    callbacks.begin_cb = Some(begin_cb);
    callbacks.change_cb = Some(change_cb);
    callbacks.truncate_cb = Some(truncate_cb);
    callbacks.commit_cb = Some(commit_cb);
    callbacks.message_cb = Some(message_cb);
    callbacks.filter_by_origin_cb = Some(filter_by_origin_cb);
}

/// Reads the options. One that cannot be followed is an ERROR: nothing has been decoded yet, and
/// nothing will be until it is put right.
#[pg_guard]
unsafe extern "C-unwind" fn startup_cb(
    ctx: *mut pg_sys::LogicalDecodingContext,
    options: *mut pg_sys::OutputPluginOptions,
    is_init: bool,
) {
    // SAFETY: handed over by PostgreSQL for this call.
    let context = unsafe { Context::new(ctx) };
    context.configure(options, false);
    refuse_another_major();
    greet();
    if is_init {
        return;
    }
    match options::read(context.options()) {
        Ok((asked, version)) => {
            context.configure(options, asked.json);
            context.attach(Session::start(context, asked, version));
            ffi::raise_if_used();
        }
        Err(refusal) => refuse(&refusal),
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn begin_cb(
    ctx: *mut pg_sys::LogicalDecodingContext,
    txn: *mut pg_sys::ReorderBufferTXN,
) {
    // SAFETY: handed over by PostgreSQL for this call; startup_cb attached a Session.
    if let (Some(session), Some(txn)) = unsafe { (session(ctx), Txn::new(txn)) } {
        session.begin(txn);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn change_cb(
    ctx: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
    relation: pg_sys::Relation,
    change: *mut pg_sys::ReorderBufferChange,
) {
    // SAFETY: handed over by PostgreSQL for this call; the relation is open.
    unsafe {
        if let Some(session) = session(ctx) {
            session.change(
                Context::new(ctx),
                Table::new(relation),
                RowChange::new(change),
            );
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn truncate_cb(
    ctx: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
    count: c_int,
    relations: *mut pg_sys::Relation,
    _change: *mut pg_sys::ReorderBufferChange,
) {
    // SAFETY: handed over by PostgreSQL for this call; the relations are open.
    unsafe {
        if let Some(session) = session(ctx) {
            session.truncate(Context::new(ctx), &ffi::tables(relations, count));
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn commit_cb(
    ctx: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
    _commit_lsn: pg_sys::XLogRecPtr,
) {
    // SAFETY: handed over by PostgreSQL for this call.
    unsafe {
        if let Some(session) = session(ctx) {
            session.commit(Context::new(ctx));
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn message_cb(
    ctx: *mut pg_sys::LogicalDecodingContext,
    _txn: *mut pg_sys::ReorderBufferTXN,
    message_lsn: pg_sys::XLogRecPtr,
    transactional: bool,
    prefix: *const c_char,
    size: pg_sys::Size,
    content: *const c_char,
) {
    // SAFETY: handed over by PostgreSQL for this call: a NUL-terminated prefix and `size` bytes.
    unsafe {
        if let Some(session) = session(ctx) {
            let message = LogicalMessage {
                transactional,
                lsn: Lsn(message_lsn),
                prefix: CStr::from_ptr(prefix),
                content: ffi::bytes(content, size),
            };
            session.message(Context::new(ctx), &message);
        }
    }
}

/// True keeps the change back. Asked while the WAL is read, before anything is queued.
#[pg_guard]
unsafe extern "C-unwind" fn filter_by_origin_cb(
    ctx: *mut pg_sys::LogicalDecodingContext,
    origin_id: pg_sys::RepOriginId,
) -> bool {
    let local = origin_id == pg_sys::InvalidRepOriginId as pg_sys::RepOriginId;
    // SAFETY: handed over by PostgreSQL for this call.
    !local && unsafe { session(ctx) }.is_some_and(|session| session.local_only())
}

/// # Safety
///
/// `ctx` is what PostgreSQL handed to the running callback.
unsafe fn session<'a>(ctx: *mut pg_sys::LogicalDecodingContext) -> Option<&'a mut Session> {
    ffi::raise_if_used();
    // SAFETY: only startup_cb attaches state, a Session; callbacks run one at a time, so no other
    // reference exists.
    unsafe { Context::new(ctx).state::<Session>() }
}

/// Says who was loaded, to whoever asks for messages of that level: `pgevents doctor` reads it.
fn greet() {
    let version = env!("CARGO_PKG_VERSION");
    let message = format!("pgevents {version}, protocol 1 to {PROTOCOL_VERSION}");
    ereport!(
        PgLogLevel::DEBUG1,
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        message
    );
}

/// The layout of what PostgreSQL hands over differs between majors. The magic block catches that at
/// load; this says it in words that help.
fn refuse_another_major() {
    let (running, built_for) = ffi::server_version_num();
    if running / 10000 != built_for / 10000 {
        let message = format!(
            "pgevents was built for PostgreSQL {} and runs in {}",
            built_for / 10000,
            running / 10000
        );
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            message
        );
    }
}

fn refuse(refusal: &Refusal) {
    let code = match refusal {
        Refusal::Option { .. } | Refusal::Misread { .. } | Refusal::TooLong { .. } => {
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE
        }
        Refusal::Version(_) => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
    };
    ereport!(ERROR, code, format!("pgevents: {refusal}"));
}
