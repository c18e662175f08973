//! The library's entry point, and what a session does before it decodes.

use pgevents_proto::PROTOCOL_VERSION;
use pgrx::{PgLogLevel, PgSqlErrorCode, ereport, pg_guard, pg_sys};

use crate::{
    ffi::{self, Context, LogicalMessage, OutputPlugin, RowChange, Table, Txn},
    options::{self, Refusal},
    session::Session,
};

/// Tells PostgreSQL what to call.
///
/// # Safety
///
/// For PostgreSQL only; `callbacks` is writable.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _PG_output_plugin_init(
    callbacks: *mut pg_sys::OutputPluginCallbacks,
) {
    // SAFETY: by contract.
    unsafe { ffi::register::<Session>(callbacks) }
}

impl OutputPlugin for Session {
    fn start(context: Context, decodes: bool) -> Option<(Self, bool)> {
        refuse_another_major();
        greet();
        if !decodes {
            return None;
        }
        match options::read(context.options()) {
            Ok((asked, version)) => {
                let textual = asked.json;
                Some((Session::start(context, asked, version), textual))
            }
            Err(refusal) => refuse(&refusal),
        }
    }

    fn begin(&mut self, txn: Txn<'_>) {
        Session::begin(self, txn);
    }

    #[inline]
    fn change(&mut self, context: Context, table: Table<'_>, change: RowChange<'_>) {
        Session::change(self, context, table, change);
    }

    fn truncate(&mut self, context: Context, tables: &[Table<'_>]) {
        Session::truncate(self, context, tables);
    }

    fn message(&mut self, context: Context, message: &LogicalMessage<'_>) {
        Session::message(self, context, message);
    }

    fn commit(&mut self, context: Context) {
        Session::commit(self, context);
    }

    fn local_only(&self) -> bool {
        Session::local_only(self)
    }
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

fn refuse(refusal: &Refusal) -> ! {
    let code = match refusal {
        Refusal::Option { .. } | Refusal::Misread { .. } | Refusal::TooLong { .. } => {
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE
        }
        Refusal::Version(_) => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
    };
    ereport!(ERROR, code, format!("pgevents: {refusal}"));
}
