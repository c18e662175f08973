//! Everything that touches a raw pointer of PostgreSQL's, and every difference between majors.
//!
//! The wrappers borrow for the length of one callback. What makes them sound is said once here:
//! PostgreSQL calls an output plugin from one thread, one callback at a time, with pointers that
//! stay valid until the callback returns (PostgreSQL docs, "Logical Decoding Output Plugins").

use std::{
    ffi::{CStr, c_char, c_int},
    panic::AssertUnwindSafe,
    ptr, slice,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use pgevents_proto::{Begin, Lsn};
use pgrx::pg_sys::{self, Datum, Oid, PgTryBuilder, panic::CaughtError};

#[cfg(target_endian = "big")]
compile_error!("varlena headers are read as little-endian ones");

unsafe extern "C" {
    /// `utils/bytea.h`, which pgrx does not bind: format of bytea text, 1 is hex.
    static mut bytea_output: c_int;
}

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

    /// Options as given, in order; `None` is an option without a value.
    pub fn options(self) -> Vec<(String, Option<String>)> {
        let mut options = Vec::new();
        // SAFETY: `ctx` is live (see `new`); the list and its DefElems were built by the grammar or by
        // pg_logical_slot_get_changes and live in `ctx`.
        unsafe {
            let list = (*self.0).output_plugin_options;
            let length = if list.is_null() { 0 } else { (*list).length };
            for i in 0..length {
                let element = (*(*list).elements.add(i as usize))
                    .ptr_value
                    .cast::<pg_sys::DefElem>();
                let name = CStr::from_ptr((*element).defname)
                    .to_string_lossy()
                    .into_owned();
                let value = (!(*element).arg.is_null()).then(|| {
                    let text = pg_sys::defGetString(element);
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                });
                options.push((name, value));
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

/// The transaction whose changes are being replayed.
#[derive(Clone, Copy)]
pub struct Txn<'a>(&'a pg_sys::ReorderBufferTXN);

impl<'a> Txn<'a> {
    /// `None` for NULL, which the message callback gets outside of transactions.
    ///
    /// # Safety
    ///
    /// `txn` is what PostgreSQL handed to the callback that `'a` is the length of.
    pub unsafe fn new(txn: *mut pg_sys::ReorderBufferTXN) -> Option<Self> {
        // SAFETY: by contract.
        unsafe { txn.as_ref() }.map(Self)
    }

    /// What is known of it before its first change.
    pub fn begin(self) -> Begin {
        #[cfg(any(feature = "pg13", feature = "pg14"))]
        let commit_time = self.0.commit_time;
        // SAFETY: a transaction is replayed only after its commit record was read, which sets
        // commit_time; prepare_time, the other member, has the same type.
        #[cfg(not(any(feature = "pg13", feature = "pg14")))]
        let commit_time = unsafe { self.0.xact_time.commit_time };
        Begin {
            end_lsn: Lsn(self.0.end_lsn),
            commit_time,
            xid: u32::from(self.0.xid),
        }
    }

    /// Name of the replication origin that the transaction came from; `None` for a local one.
    pub fn origin(self) -> Option<String> {
        if self.0.origin_id == pg_sys::InvalidRepOriginId as pg_sys::RepOriginId {
            return None;
        }
        let mut name: *mut c_char = ptr::null_mut();
        // SAFETY: `name` is an out-parameter that is set when the call returns true.
        let name = unsafe {
            pg_sys::replorigin_by_oid(self.0.origin_id, true, &mut name)
                .then(|| server_text(CStr::from_ptr(name).to_bytes()))
        };
        // An origin that was dropped since has a number and no name.
        Some(name.unwrap_or_else(|| self.0.origin_id.to_string()))
    }
}

/// An open table.
#[derive(Clone, Copy)]
pub struct Table<'a>(&'a pg_sys::RelationData);

/// One attribute of a [`Table`] as the catalog has it now.
pub struct Attribute {
    /// Position in a deformed tuple.
    pub index: usize,
    /// Raw name as UTF-8.
    pub name: String,
    /// Declared type.
    pub type_oid: Oid,
    /// Passed by value.
    pub by_value: bool,
    /// Size in bytes; -1 for varlena, -2 for a C string.
    pub length: i16,
    /// Computed when read (PG 18): has no stored value.
    pub virtual_generated: bool,
}

impl<'a> Table<'a> {
    /// # Safety
    ///
    /// `relation` is open for the length of `'a`.
    pub unsafe fn new(relation: pg_sys::Relation) -> Self {
        // SAFETY: by contract.
        Self(unsafe { &*relation })
    }

    /// Object id.
    pub fn oid(self) -> Oid {
        self.0.rd_id
    }

    fn class(self) -> &'a pg_sys::FormData_pg_class {
        // SAFETY: every open relation has its pg_class row.
        unsafe { &*self.0.rd_rel }
    }

    /// Whether its rows are a user's: an ordinary or partition table that is WAL-logged. Rows of
    /// materialized views, for one, are no events.
    pub fn is_user_table(self) -> bool {
        let class = self.class();
        matches!(class.relkind as u8, b'r' | b'p')
            && class.relpersistence as u8 == b'p'
            && u32::from(self.0.rd_id) >= pg_sys::FirstNormalObjectId
    }

    /// Raw schema and table name as UTF-8; of the topmost parent for a partition if `root` is set.
    pub fn name(self, root: bool) -> (String, String) {
        let class = self.class();
        if root && class.relispartition {
            // SAFETY: a historic snapshot is active; the list and the names are palloc'd in the
            // current context; every partition has at least one ancestor.
            unsafe {
                let relation = self.0.rd_id;
                let ancestors =
                    pg_sys::ffi::pg_guard_ffi_boundary(|| get_partition_ancestors(relation));
                if !ancestors.is_null() && (*ancestors).length > 0 {
                    let last = (*ancestors).elements.add((*ancestors).length as usize - 1);
                    let top = (*last).oid_value;
                    let schema =
                        owned_name(pg_sys::get_namespace_name(pg_sys::get_rel_namespace(top)));
                    return (schema, owned_name(pg_sys::get_rel_name(top)));
                }
            }
        }
        // SAFETY: relname is NUL-terminated; the namespace exists under the historic snapshot, and
        // `owned_name` takes NULL.
        unsafe {
            let schema = owned_name(pg_sys::get_namespace_name(class.relnamespace));
            (schema, owned_name(class.relname.data.as_ptr()))
        }
    }

    /// REPLICA IDENTITY as in `pg_class.relreplident`: `d`, `n`, `f` or `i`.
    pub fn replica_identity(self) -> u8 {
        self.class().relreplident as u8
    }

    /// Attributes that are not dropped, in order.
    pub fn attributes(self) -> Vec<Attribute> {
        // SAFETY: an open relation has a descriptor of `natts` attributes.
        let attributes = unsafe {
            let descriptor = self.0.rd_att;
            let count = (*descriptor).natts as usize;
            #[cfg(not(feature = "pg18"))]
            let first = (*descriptor).attrs.as_ptr();
            // PG 18 puts the full attributes behind the compact ones (TupleDescAttr()).
            #[cfg(feature = "pg18")]
            let first = (*descriptor)
                .compact_attrs
                .as_ptr()
                .add(count)
                .cast::<pg_sys::FormData_pg_attribute>();
            slice::from_raw_parts(first, count)
        };
        attributes
            .iter()
            .enumerate()
            .filter(|(_, attribute)| !attribute.attisdropped)
            .map(|(index, attribute)| Attribute {
                index,
                // SAFETY: attname is NUL-terminated.
                name: unsafe { owned_name(attribute.attname.data.as_ptr()) },
                type_oid: attribute.atttypid,
                by_value: attribute.attbyval,
                length: attribute.attlen,
                virtual_generated: attribute.attgenerated as u8 == b'v',
            })
            .collect()
    }

    /// Attribute positions (from 0) of the primary key, in key order; empty without one.
    ///
    /// Goes through the list of indexes and the one index that it needs, never through
    /// `RelationGetIndexAttrBitmap`, which opens all of them and fails on one that a concurrent
    /// CREATE INDEX made after the snapshot.
    pub fn primary_key(self) -> Vec<usize> {
        // SAFETY: the relation is open; the call fills rd_pkindex as a side effect.
        let index = unsafe {
            pg_sys::list_free(pg_sys::RelationGetIndexList(self.pointer()));
            self.0.rd_pkindex
        };
        self.index_key(index)
    }

    /// Attribute positions of the replica identity index; empty without one.
    pub fn identity_key(self) -> Vec<usize> {
        // SAFETY: the relation is open.
        let index = unsafe { pg_sys::RelationGetReplicaIndex(self.pointer()) };
        self.index_key(index)
    }

    fn index_key(self, index: Oid) -> Vec<usize> {
        if index == Oid::INVALID {
            return Vec::new();
        }
        // SAFETY: RelationIdGetRelation returns NULL or a relation that stays open until it is closed;
        // an index has rd_index with `indnkeyatts` key attributes.
        unsafe {
            let relation = pg_sys::RelationIdGetRelation(index);
            if relation.is_null() {
                return Vec::new();
            }
            let index = (*relation).rd_index;
            let count = (*index).indnkeyatts as usize;
            let numbers = slice::from_raw_parts((*index).indkey.values.as_ptr(), count);
            // An expression has number 0; it cannot be a key of either kind.
            let key = numbers
                .iter()
                .filter(|n| **n > 0)
                .map(|n| *n as usize - 1)
                .collect();
            pg_sys::RelationClose(relation);
            key
        }
    }

    fn pointer(self) -> pg_sys::Relation {
        ptr::from_ref(self.0).cast_mut()
    }
}

unsafe extern "C-unwind" {
    /// `catalog/partition.h`, which pgrx does not bind; to be called behind a guard.
    fn get_partition_ancestors(relid: Oid) -> *mut pg_sys::List;
}

/// One row change.
#[derive(Clone, Copy)]
pub struct RowChange<'a>(&'a pg_sys::ReorderBufferChange);

/// What happened to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAction {
    Insert,
    Update,
    Delete,
}

impl<'a> RowChange<'a> {
    /// # Safety
    ///
    /// `change` is what PostgreSQL handed to the callback that `'a` is the length of.
    pub unsafe fn new(change: *mut pg_sys::ReorderBufferChange) -> Self {
        // SAFETY: by contract.
        Self(unsafe { &*change })
    }

    /// `None` for an action that no version is known to hand to a change callback.
    pub fn action(self) -> Option<RowAction> {
        use pg_sys::ReorderBufferChangeType as t;
        match self.0.action {
            t::REORDER_BUFFER_CHANGE_INSERT => Some(RowAction::Insert),
            t::REORDER_BUFFER_CHANGE_UPDATE => Some(RowAction::Update),
            t::REORDER_BUFFER_CHANGE_DELETE => Some(RowAction::Delete),
            _ => None,
        }
    }

    /// The new row of an INSERT or UPDATE.
    pub fn new_tuple(self) -> Option<Tuple<'a>> {
        // SAFETY: a change callback is called for row changes only, for which `tp` is the valid member.
        unsafe { Tuple::new(self.0.data.tp.newtuple) }
    }

    /// What the WAL has of the old row of an UPDATE or DELETE.
    pub fn old_tuple(self) -> Option<Tuple<'a>> {
        // SAFETY: as above.
        unsafe { Tuple::new(self.0.data.tp.oldtuple) }
    }
}

#[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15", feature = "pg16"))]
type TuplePointer = *mut pg_sys::ReorderBufferTupleBuf;
#[cfg(not(any(feature = "pg13", feature = "pg14", feature = "pg15", feature = "pg16")))]
type TuplePointer = pg_sys::HeapTuple;

/// One heap tuple of a change.
#[derive(Clone, Copy)]
pub struct Tuple<'a>(&'a pg_sys::HeapTupleData);

impl<'a> Tuple<'a> {
    /// # Safety
    ///
    /// `pointer` is NULL or valid for `'a`.
    unsafe fn new(pointer: TuplePointer) -> Option<Self> {
        // SAFETY: by contract.
        unsafe {
            #[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15", feature = "pg16"))]
            let tuple = pointer.as_ref().map(|buffer| &buffer.tuple);
            #[cfg(not(any(
                feature = "pg13",
                feature = "pg14",
                feature = "pg15",
                feature = "pg16"
            )))]
            let tuple = pointer.as_ref();
            tuple.map(Self)
        }
    }

    /// Bytes of the tuple, external values not counted.
    pub fn len(self) -> usize {
        self.0.t_len as usize
    }

    /// Whether a value stands outside of the tuple (`HEAP_HASEXTERNAL`).
    pub fn has_external(self) -> bool {
        // SAFETY: a tuple has its header.
        let infomask = unsafe { (*self.0.t_data).t_infomask };
        u32::from(infomask) & pg_sys::HEAP_HASEXTERNAL != 0
    }

    /// Takes the tuple apart by the table's current descriptor. Attributes that were added after
    /// the row was written come with their default.
    #[inline]
    pub fn deform(self, table: Table<'_>, into: &mut DeformedRow) {
        // SAFETY: the descriptor is the table's; both vectors hold `natts` elements.
        unsafe {
            let count = (*table.0.rd_att).natts as usize;
            into.values.resize(count, Datum::null());
            into.nulls.resize(count, true);
            pg_sys::heap_deform_tuple(
                ptr::from_ref(self.0).cast_mut(),
                table.0.rd_att,
                into.values.as_mut_ptr(),
                into.nulls.as_mut_ptr(),
            );
        }
    }
}

/// A tuple taken apart, by attribute position. Its datums point into the tuple and the memory of
/// the row, so they are good for one change.
#[derive(Default)]
pub struct DeformedRow {
    /// Meaningless where the attribute is NULL.
    pub values: Vec<Datum>,
    /// Whether the attribute is NULL.
    pub nulls: Vec<bool>,
}

/// What stands behind a varlena pointer.
pub enum Varlena<'a> {
    /// The payload itself.
    Plain(&'a [u8]),
    /// Something to detoast; `raw_size` is the size of the payload then, in bytes.
    Packed { raw_size: usize },
    /// On disk, in a TOAST table: the value did not change, and decoding may not read it.
    OnDisk,
}

/// Reads the header of a varlena. Source: PostgreSQL `src/include/varatt.h`.
///
/// # Safety
///
/// `datum` is a varlena of a live tuple, valid for `'a`.
#[inline]
pub unsafe fn varlena<'a>(datum: Datum) -> Varlena<'a> {
    let start = datum.cast_mut_ptr::<u8>().cast_const();
    // SAFETY: a varlena has at least one byte of header, four where the lowest bit is unset, and as
    // many bytes as the header says.
    unsafe {
        let first = *start;
        if first & 1 == 0 {
            let header = start.cast::<u32>().read_unaligned();
            let size = (header >> 2) as usize;
            if header & 2 == 0 {
                Varlena::Plain(slice::from_raw_parts(start.add(4), size - 4))
            } else {
                let info = start.add(4).cast::<u32>().read_unaligned();
                Varlena::Packed {
                    raw_size: (info & 0x3FFF_FFFF) as usize,
                }
            }
        } else if first != 1 {
            Varlena::Plain(slice::from_raw_parts(
                start.add(1),
                (first >> 1) as usize - 1,
            ))
        } else {
            external(datum, *start.add(1))
        }
    }
}

/// # Safety
///
/// `datum` is an external varlena whose tag is `tag`.
#[cold]
unsafe fn external<'a>(datum: Datum, tag: u8) -> Varlena<'a> {
    if u32::from(tag) == pg_sys::vartag_external::VARTAG_ONDISK {
        return Varlena::OnDisk;
    }
    // The reorder buffer puts reassembled TOAST values behind indirect pointers.
    // SAFETY: the value is in memory, so its size may be read; it counts a four-byte header.
    let size = unsafe { pg_sys::toast_raw_datum_size(datum) };
    Varlena::Packed {
        raw_size: size.saturating_sub(4),
    }
}

/// The payload of a varlena, unpacked into the current memory context if need be; `None` for one
/// that is on disk.
///
/// # Safety
///
/// As for [`varlena`]; `'a` does not outlive the current memory context's next reset.
#[inline]
pub unsafe fn payload<'a>(datum: Datum) -> Option<&'a [u8]> {
    // SAFETY: by contract.
    match unsafe { varlena(datum) } {
        Varlena::Plain(bytes) => Some(bytes),
        Varlena::OnDisk => None,
        // SAFETY: the value is in memory; the result is a plain varlena.
        Varlena::Packed { .. } => unsafe {
            let plain = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            match varlena(Datum::from(plain)) {
                Varlena::Plain(bytes) => Some(bytes),
                Varlena::Packed { .. } | Varlena::OnDisk => None,
            }
        },
    }
}

/// The bytes of a fixed-length value that is passed by reference.
///
/// # Safety
///
/// `datum` points at `length` bytes that are valid for `'a`.
#[inline]
pub unsafe fn fixed<'a>(datum: Datum, length: usize) -> &'a [u8] {
    // SAFETY: by contract.
    unsafe { slice::from_raw_parts(datum.cast_mut_ptr::<u8>().cast_const(), length) }
}

/// The bytes of a C string, without its NUL.
///
/// # Safety
///
/// `datum` points at a NUL-terminated string that is valid for `'a`.
pub unsafe fn c_string<'a>(datum: Datum) -> &'a [u8] {
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(datum.cast_mut_ptr()) }.to_bytes()
}

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
pub fn unless_error<R>(read: impl FnOnce() -> R) -> Option<R> {
    // SAFETY: reading the current context is always sound.
    let memory = unsafe { pg_sys::CurrentMemoryContext };
    let result = PgTryBuilder::new(AssertUnwindSafe(|| Some(read())))
        .catch_others(|error| match &error {
            CaughtError::PostgresError(report)
                if is_about_the_server(report.sql_error_code() as i32) =>
            {
                error.rethrow()
            }
            CaughtError::PostgresError(_) => None,
            CaughtError::ErrorReport(_) | CaughtError::RustPanic { .. } => error.rethrow(),
        })
        .execute();
    if result.is_none() {
        // SAFETY: `memory` was current when the call began and has not been deleted by it; locks
        // that the failed call held are not wanted by anything in this callback.
        unsafe {
            pg_sys::LWLockReleaseAll();
            pg_sys::MemoryContextSwitchTo(memory);
        }
    }
    result
}

/// Whether an SQLSTATE is of class 57 (operator intervention), 53 (insufficient resources) or 40
/// (rollback). Source: PostgreSQL docs, "Error Codes"; `MAKE_SQLSTATE` packs six bits a character.
fn is_about_the_server(sqlstate: i32) -> bool {
    let class = |first: u8, second: u8| i32::from(first - b'0') | i32::from(second - b'0') << 6;
    [class(b'5', b'7'), class(b'5', b'3'), class(b'4', b'0')].contains(&(sqlstate & 0xFFF))
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

/// A memory context of PostgreSQL's that is deleted with its parent, or before.
pub struct MemoryContext(pg_sys::MemoryContext);

impl MemoryContext {
    /// # Safety
    ///
    /// `parent` is live.
    unsafe fn below(parent: pg_sys::MemoryContext, name: &'static CStr) -> Self {
        // SAFETY: by contract; the sizes are ALLOCSET_SMALL_SIZES with a larger maximum.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(parent, name.as_ptr(), 0, 1024, 8 * 1024 * 1024)
        })
    }

    /// A context below this one.
    pub fn child(&self, name: &'static CStr) -> Self {
        // SAFETY: the parent is live as long as the session.
        unsafe { Self::below(self.0, name) }
    }

    /// Deletes it with everything in it. Not on drop: when a whole session goes, its memory is gone
    /// before its state is.
    pub fn delete(self) {
        // SAFETY: taken by value, so nobody can use it afterwards.
        unsafe { pg_sys::MemoryContextDelete(self.0) }
    }

    /// Runs `work` with this as the current context.
    #[inline]
    pub fn scope<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Restore(pg_sys::MemoryContext);
        impl Drop for Restore {
            fn drop(&mut self) {
                // SAFETY: it was current when the scope began and outlives the scope.
                unsafe { pg_sys::CurrentMemoryContext = self.0 }
            }
        }
        // SAFETY: the context is live; setting the variable is what MemoryContextSwitchTo does.
        let _restore = unsafe {
            let previous = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = self.0;
            Restore(previous)
        };
        work()
    }

    /// Frees everything in it, if there is anything.
    #[inline]
    pub fn reset(&self) {
        // SAFETY: nothing that was allocated in it is used afterwards: rows borrow it only inside
        // of one change. `isReset` is what MemoryContextReset checks first.
        unsafe {
            if !(*self.0).isReset {
                pg_sys::MemoryContextReset(self.0);
            }
        }
    }
}

/// The settings that text forms depend on, pinned to the documented ones while it lives, so that
/// neither postgresql.conf nor the session that decodes changes an event.
pub struct PinnedSettings {
    date_style: c_int,
    interval_style: c_int,
    extra_float_digits: c_int,
    bytea_output: c_int,
    time_zone: *mut pg_sys::pg_tz,
}

impl PinnedSettings {
    /// Pins them; `utc` comes from [`utc`].
    #[inline]
    pub fn pin(utc: TimeZone) -> Self {
        // SAFETY: these variables are the backend's own, and this is its only thread; the values are
        // ones that the settings themselves may have. Drop restores them, also when an ERROR unwinds.
        unsafe {
            let before = Self {
                date_style: pg_sys::DateStyle,
                interval_style: pg_sys::IntervalStyle,
                extra_float_digits: pg_sys::extra_float_digits,
                bytea_output,
                time_zone: pg_sys::session_timezone,
            };
            pg_sys::DateStyle = pg_sys::USE_ISO_DATES as c_int;
            pg_sys::IntervalStyle = pg_sys::INTSTYLE_POSTGRES as c_int;
            pg_sys::extra_float_digits = 1;
            bytea_output = 1;
            pg_sys::session_timezone = utc.0;
            before
        }
    }
}

impl Drop for PinnedSettings {
    fn drop(&mut self) {
        // SAFETY: as in `pin`.
        unsafe {
            pg_sys::DateStyle = self.date_style;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.extra_float_digits;
            bytea_output = self.bytea_output;
            pg_sys::session_timezone = self.time_zone;
        }
    }
}

/// A time zone of the backend, which caches them for its whole life.
#[derive(Clone, Copy)]
pub struct TimeZone(*mut pg_sys::pg_tz);

/// UTC.
pub fn utc() -> TimeZone {
    // SAFETY: GMT is built into PostgreSQL, so the result is never NULL.
    TimeZone(unsafe { pg_sys::pg_tzset(c"GMT".as_ptr()) })
}

/// How text of this database becomes UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// It is, or nobody knows what it is (SQL_ASCII): bytes are passed on.
    AsIs,
    /// PostgreSQL has a conversion.
    Converted,
}

impl Encoding {
    /// That of the database, with its name.
    pub fn of_database() -> (Self, String) {
        // SAFETY: both read the backend's state; the name is a static string.
        let (number, name) = unsafe {
            let name = CStr::from_ptr(pg_sys::GetDatabaseEncodingName());
            (
                pg_sys::GetDatabaseEncoding(),
                name.to_string_lossy().into_owned(),
            )
        };
        let as_is = number == pg_sys::pg_enc::PG_UTF8 as c_int
            || number == pg_sys::pg_enc::PG_SQL_ASCII as c_int;
        (if as_is { Self::AsIs } else { Self::Converted }, name)
    }
}

/// Converts server text to UTF-8; the result lives in the current memory context. An ERROR passes
/// as a panic (a character without a counterpart).
///
/// # Safety
///
/// `'a` does not outlive the current memory context's next reset.
pub unsafe fn to_utf8<'a>(text: &'a [u8]) -> &'a [u8] {
    let Ok(length) = c_int::try_from(text.len()) else {
        return text;
    };
    // SAFETY: the result is `text` itself or a NUL-terminated copy.
    unsafe {
        let start = text.as_ptr().cast::<c_char>();
        let converted = pg_sys::pg_server_to_any(start, length, pg_sys::pg_enc::PG_UTF8 as c_int);
        if converted.cast_const() == start {
            text
        } else {
            CStr::from_ptr(converted).to_bytes()
        }
    }
}

/// A name or message of the server as UTF-8, with replacement characters for what is none.
pub fn server_text(text: &[u8]) -> String {
    let converted = match Encoding::of_database().0 {
        Encoding::AsIs => text,
        // SAFETY: copied before anything is reset.
        Encoding::Converted => unless_error(|| unsafe { to_utf8(text) }).unwrap_or(text),
    };
    String::from_utf8_lossy(converted).into_owned()
}

/// # Safety
///
/// `name` is NULL or NUL-terminated.
unsafe fn owned_name(name: *const c_char) -> String {
    if name.is_null() {
        return String::new();
    }
    // SAFETY: by contract.
    server_text(unsafe { CStr::from_ptr(name) }.to_bytes())
}

/// `PG_VERSION_NUM` of the server that this runs in, and that it was built for.
pub fn server_version_num() -> (u32, u32) {
    // SAFETY: a setting that always exists; the result is a static or palloc'd string.
    let running = unsafe {
        CStr::from_ptr(pg_sys::GetConfigOption(
            c"server_version_num".as_ptr(),
            false,
            false,
        ))
    };
    let running = running
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    (running, pg_sys::PG_VERSION_NUM)
}

/// Bytes behind a pointer and a length that a callback was given.
///
/// # Safety
///
/// `start` is valid for `length` bytes for `'a`, or `length` is 0.
pub unsafe fn bytes<'a>(start: *const c_char, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { slice::from_raw_parts(start.cast(), length) }
}

/// Tables of a TRUNCATE.
///
/// # Safety
///
/// `relations` is valid for `count` open relations for `'a`.
pub unsafe fn tables<'a>(relations: *mut pg_sys::Relation, count: c_int) -> Vec<Table<'a>> {
    // SAFETY: by contract.
    (0..count as usize)
        .map(|i| unsafe { Table::new(*relations.add(i)) })
        .collect()
}

/// Which definitions changed since the last look.
pub struct Invalidations;

/// Oids that changed since the last [`Invalidations::take`]; beyond the array's end only the fact
/// that everything may have changed is kept. Atomics, because a callback may come at any catalog
/// access; the backend has one thread.
static CHANGED: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
static CHANGED_COUNT: AtomicUsize = AtomicUsize::new(0);
static TYPES_CHANGED: AtomicBool = AtomicBool::new(false);
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// What [`Invalidations::take`] found.
pub enum Changed {
    /// Tables with these ids.
    Tables([Oid; 64], usize),
    /// Any table.
    Everything,
}

impl Invalidations {
    /// Registers the callbacks, once in the life of a backend: they cannot be taken back.
    pub fn register() {
        if REGISTERED.swap(true, Ordering::Relaxed) {
            return;
        }
        // SAFETY: the callbacks are static functions that touch nothing but the atomics above.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), Datum::null());
            for cache in [
                pg_sys::SysCacheIdentifier::NAMESPACEOID,
                pg_sys::SysCacheIdentifier::TYPEOID,
                pg_sys::SysCacheIdentifier::CASTSOURCETARGET,
            ] {
                pg_sys::CacheRegisterSyscacheCallback(
                    cache as c_int,
                    Some(catalog_changed),
                    Datum::null(),
                );
            }
        }
    }

    /// Whether there is anything to take: two loads, as this is asked for every change.
    #[inline]
    pub fn pending() -> bool {
        CHANGED_COUNT.load(Ordering::Relaxed) != 0 || TYPES_CHANGED.load(Ordering::Relaxed)
    }

    /// Takes what is pending: tables, and whether a type or schema changed.
    pub fn take() -> (Changed, bool) {
        let types = TYPES_CHANGED.swap(false, Ordering::Relaxed);
        let count = CHANGED_COUNT.swap(0, Ordering::Relaxed);
        if count > CHANGED.len() {
            return (Changed::Everything, types);
        }
        let mut oids = [Oid::INVALID; 64];
        for (oid, changed) in oids.iter_mut().zip(&CHANGED).take(count) {
            *oid = Oid::from(changed.load(Ordering::Relaxed) as u32);
        }
        (Changed::Tables(oids, count), types)
    }
}

unsafe extern "C-unwind" fn relation_changed(_arg: Datum, relation: Oid) {
    let count = CHANGED_COUNT.load(Ordering::Relaxed);
    if relation == Oid::INVALID {
        CHANGED_COUNT.store(usize::MAX, Ordering::Relaxed);
    } else if let Some(slot) = CHANGED.get(count) {
        slot.store(u32::from(relation) as usize, Ordering::Relaxed);
        CHANGED_COUNT.store(count + 1, Ordering::Relaxed);
    } else {
        CHANGED_COUNT.store(usize::MAX, Ordering::Relaxed);
    }
}

unsafe extern "C-unwind" fn catalog_changed(_arg: Datum, _cache: c_int, _hash: u32) {
    TYPES_CHANGED.store(true, Ordering::Relaxed);
}
