//! The type's own code: output functions, and what the catalog says of a type.

use std::ffi::c_int;

use pgrx::pg_sys::{self, Datum, Oid};

use super::{memory::MemoryContext, table::attributes_of};

/// A one-argument function that turns a value into text, looked up once.
pub struct OutputFunction(Box<pg_sys::FmgrInfo>);

impl OutputFunction {
    /// Looks `function` up; what it caches lives in `memory`.
    pub fn new(function: Oid, memory: &MemoryContext) -> Self {
        let mut info = Box::new(pg_sys::FmgrInfo::default());
        // SAFETY: `info` is writable and `memory` outlives it (both belong to one dictionary
        // entry).
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
    // SAFETY: the type is a composite one; its descriptor stays until it is released, and is not
    // copied.
    unsafe {
        let descriptor = pg_sys::lookup_rowtype_tupdesc(type_oid, -1);
        let attributes = attributes_of(descriptor);
        let live = attributes.iter().filter(|a| !a.attisdropped);
        let types = live.map(|a| a.atttypid).collect();
        if (*descriptor).tdrefcount >= 0 {
            pg_sys::DecrTupleDescRefCount(descriptor);
        }
        types
    }
}

/// Whether somebody made a cast from the type to json that `to_json` would call: one WITH FUNCTION.
/// One WITH INOUT or WITHOUT FUNCTION makes it use the output function. Source: PostgreSQL
/// `json_categorize_type` and `find_coercion_pathway`.
pub fn has_json_cast(type_oid: Oid) -> bool {
    const CAST_CACHE: c_int = pg_sys::SysCacheIdentifier::CASTSOURCETARGET as c_int;
    /// Number of `castmethod`. Source: PostgreSQL docs, "pg_cast".
    const CAST_METHOD: pg_sys::AttrNumber = 6;
    if u32::from(type_oid) < pg_sys::FirstNormalObjectId {
        return false;
    }
    // SAFETY: a catalog look-up by two keys; the row stays until it is released, and its column is
    // passed by value.
    unsafe {
        let (from, to) = (Datum::from(type_oid), Datum::from(pg_sys::JSONOID));
        let row = pg_sys::SearchSysCache2(CAST_CACHE, from, to);
        if row.is_null() {
            return false;
        }
        let mut is_null = false;
        let method = pg_sys::SysCacheGetAttr(CAST_CACHE, row, CAST_METHOD, &mut is_null);
        pg_sys::ReleaseSysCache(row);
        method.value() as u8 == b'f'
    }
}
