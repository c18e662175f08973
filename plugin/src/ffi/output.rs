//! The type's own code: output functions, and what the catalog says of a type.

use std::{
    any::Any,
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use pgrx::pg_sys::{self, Datum, Oid, panic::CaughtError};

use super::memory::MemoryContext;

/// A one-argument function that turns a value into text, looked up once.
pub struct OutputFunction(Box<pg_sys::FmgrInfo>);

impl OutputFunction {
    /// Looks `function` up; what it caches lives in `memory`.
    pub fn new(function: Oid, memory: &MemoryContext) -> Self {
        let mut info = Box::new(pg_sys::FmgrInfo::default());
        // SAFETY: `info` is writable and `memory` outlives it (both belong to one dictionary entry).
        unsafe { pg_sys::fmgr_info_cxt(function, &mut *info, memory.0) };
        Self(info)
    }

    /// Calls it on a value that is not NULL. The result is a C string or a text, by function, and
    /// lives in the current memory context. An ERROR passes as a panic.
    ///
    /// # Safety
    ///
    /// `datum` is of the type that the function takes.
    pub unsafe fn call(&mut self, datum: Datum) -> Datum {
        // SAFETY: by contract; none of these functions depends on a collation.
        unsafe { pg_sys::FunctionCall1Coll(&mut *self.0, Oid::INVALID, datum) }
    }
}

/// Runs `read`, which calls a type's code, and says `None` if that raised an ERROR that is about the
/// value. What is about the server (cancel, shutdown, resources) is raised on.
///
/// Going on without a subtransaction is sound here: the reorder buffer aborts the transaction that
/// it replays in, always, and that releases whatever the failed call left open.
#[inline]
pub fn unless_error<R>(read: impl FnOnce() -> R) -> Option<R> {
    // SAFETY: reading the current context is always sound.
    let memory = unsafe { pg_sys::CurrentMemoryContext };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(value) => Some(value),
        Err(payload) => {
            rethrow_unless_about_the_value(payload);
            // SAFETY: `memory` was current when the call began and has not been deleted by it;
            // locks that the failed call held are not wanted by anything in this callback.
            unsafe {
                pg_sys::LWLockReleaseAll();
                pg_sys::MemoryContextSwitchTo(memory);
            }
            None
        }
    }
}

/// pgrx turns an ERROR of PostgreSQL's into a panic with a `CaughtError`; any other panic is a bug of
/// this plugin.
#[cold]
fn rethrow_unless_about_the_value(payload: Box<dyn Any + Send>) {
    match payload.downcast::<CaughtError>().map(|caught| *caught) {
        Ok(CaughtError::PostgresError(report))
            if !is_about_the_server(report.sql_error_code() as i32) => {}
        Ok(caught) => caught.rethrow(),
        Err(payload) => resume_unwind(payload),
    }
}

/// Whether an SQLSTATE is of class 57 (operator intervention), 53 (insufficient resources) or 40
/// (rollback), or 58030 (I/O error) or 55P03 (a lock is not to be had): what passes, so that the value
/// can be read another time. Source: PostgreSQL docs, "Error Codes"; `MAKE_SQLSTATE` packs six bits a
/// character.
fn is_about_the_server(sqlstate: i32) -> bool {
    let packed = |code: &[u8]| {
        let digits = code.iter().rev();
        digits.fold(0, |sum, &digit| sum << 6 | i32::from(digit - b'0'))
    };
    [b"57", b"53", b"40"]
        .map(|class| packed(class))
        .contains(&(sqlstate & 0xFFF))
        || [b"58030", b"55P03"]
            .map(|code| packed(code))
            .contains(&sqlstate)
}

/// How values of a type become text or JSON.
pub struct TypeOutput {
    /// The type behind all domains.
    pub base: Oid,
    /// The base type's output function.
    pub function: Oid,
    /// Element type of an array; `None` for any other type.
    pub element: Option<Oid>,
    /// Whether it is a composite type.
    pub composite: bool,
}

impl TypeOutput {
    /// Looks a type up in the catalog.
    pub fn of(type_oid: Oid) -> Self {
        let (mut function, mut is_varlena) = (Oid::INVALID, false);
        // SAFETY: a historic snapshot is active and the type exists under it, as a column has it.
        unsafe {
            let base = pg_sys::getBaseType(type_oid);
            pg_sys::getTypeOutputInfo(base, &mut function, &mut is_varlena);
            let element = pg_sys::get_element_type(base);
            Self {
                base,
                function,
                element: (element != Oid::INVALID).then_some(element),
                composite: pg_sys::type_is_rowtype(base),
            }
        }
    }
}

/// Types of the attributes of a composite type that are not dropped.
pub fn composite_attributes(type_oid: Oid) -> Vec<Oid> {
    // SAFETY: the type is a composite one; the descriptor is released again.
    unsafe {
        let descriptor = pg_sys::lookup_rowtype_tupdesc(type_oid, -1);
        let tuple = pgrx::PgTupleDesc::from_pg_copy(descriptor);
        let types = tuple
            .iter()
            .filter(|a| !a.attisdropped)
            .map(|a| a.atttypid)
            .collect();
        if (*descriptor).tdrefcount >= 0 {
            pg_sys::DecrTupleDescRefCount(descriptor);
        }
        types
    }
}

/// Whether somebody made a cast from the type to json, which `to_json` would call.
pub fn has_json_cast(type_oid: Oid) -> bool {
    const CAST_CACHE: c_int = pg_sys::SysCacheIdentifier::CASTSOURCETARGET as c_int;
    // SAFETY: a catalog look-up by two keys.
    u32::from(type_oid) >= pg_sys::FirstNormalObjectId
        && unsafe {
            pg_sys::SearchSysCacheExists(
                CAST_CACHE,
                Datum::from(type_oid),
                Datum::from(pg_sys::JSONOID),
                Datum::null(),
                Datum::null(),
            )
        }
}
