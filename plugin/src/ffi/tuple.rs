//! Row changes and the tuples in them.

use std::ptr;

use pgrx::pg_sys::{self, Datum};

use super::table::Table;

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
        // SAFETY: a change callback is called for row changes only, for which `tp` is the valid
        // member.
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
            let count = (*table.descriptor()).natts as usize;
            into.values.resize(count, Datum::null());
            into.nulls.resize(count, true);
            pg_sys::heap_deform_tuple(
                ptr::from_ref(self.0).cast_mut(),
                table.descriptor(),
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
