//! An open table and what the catalog says of it.

use std::{ffi::c_int, ptr, slice};

use pgrx::pg_sys::{self, Datum, Oid};

use super::encoding::owned_name;

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

    /// Whether it is a partition.
    pub fn is_partition(self) -> bool {
        self.class().relispartition
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
        // SAFETY: an open relation has a descriptor.
        let attributes = unsafe { attributes_of(self.0.rd_att) };
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

    /// Attribute positions (from 0) of the primary key, deferrable or not, in key order; empty
    /// without one.
    ///
    /// Goes through the list of indexes and their rows in the catalog, never through
    /// `RelationGetIndexAttrBitmap`, which opens all of them and fails on one that a concurrent
    /// CREATE INDEX made after the snapshot.
    pub fn primary_key(self) -> Vec<usize> {
        // SAFETY: the relation is open; the list is a copy of `length` object ids.
        unsafe {
            let list = pg_sys::RelationGetIndexList(self.pointer());
            let length = if list.is_null() { 0 } else { (*list).length };
            let key = (0..length as usize)
                .find_map(|i| primary_key_of((*(*list).elements.add(i)).oid_value));
            pg_sys::list_free(list);
            key.unwrap_or_default()
        }
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
        // SAFETY: RelationIdGetRelation returns NULL or a relation that stays open until it is
        // closed; an index has rd_index.
        unsafe {
            let relation = pg_sys::RelationIdGetRelation(index);
            if relation.is_null() {
                return Vec::new();
            }
            let key = key_attributes((*relation).rd_index);
            pg_sys::RelationClose(relation);
            key
        }
    }

    /// Descriptor of its rows.
    pub(super) fn descriptor(self) -> pg_sys::TupleDesc {
        self.0.rd_att
    }

    fn pointer(self) -> pg_sys::Relation {
        ptr::from_ref(self.0).cast_mut()
    }
}

/// All attributes of a descriptor.
///
/// # Safety
///
/// `descriptor` is live for `'a`; it has `natts` attributes.
pub(super) unsafe fn attributes_of<'a>(
    descriptor: pg_sys::TupleDesc,
) -> &'a [pg_sys::FormData_pg_attribute] {
    // SAFETY: by contract.
    unsafe {
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
    }
}

/// The attributes of an index, if it is a primary key's.
///
/// # Safety
///
/// A snapshot is active.
unsafe fn primary_key_of(index: Oid) -> Option<Vec<usize>> {
    const INDEX_CACHE: c_int = pg_sys::SysCacheIdentifier::INDEXRELID as c_int;
    // SAFETY: the look-up gives NULL or a row of pg_index that stays until it is released.
    unsafe {
        let row = pg_sys::SearchSysCache1(INDEX_CACHE, Datum::from(index));
        let header = row.as_ref()?.t_data;
        let form = header.byte_add((*header).t_hoff.into()).cast();
        let form: *const pg_sys::FormData_pg_index = form;
        let key = (*form).indisprimary.then(|| key_attributes(form));
        pg_sys::ReleaseSysCache(row);
        key
    }
}

/// Attribute positions of an index, without those that it only includes.
///
/// # Safety
///
/// `index` is a row of pg_index, which ends with `indnkeyatts` key attributes or more.
unsafe fn key_attributes(index: *const pg_sys::FormData_pg_index) -> Vec<usize> {
    // SAFETY: by contract.
    let numbers = unsafe {
        let count = (*index).indnkeyatts as usize;
        slice::from_raw_parts((*index).indkey.values.as_ptr(), count)
    };
    // An expression has number 0; it cannot be a key of either kind.
    let key = numbers.iter().filter(|n| **n > 0);
    key.map(|n| *n as usize - 1).collect()
}

unsafe extern "C-unwind" {
    /// `catalog/partition.h`, which pgrx does not bind; to be called behind a guard.
    fn get_partition_ancestors(relid: Oid) -> *mut pg_sys::List;
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
