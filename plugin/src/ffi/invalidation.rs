//! Which definitions the server says have changed.

use std::{
    ffi::c_int,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use pgrx::pg_sys::{self, Datum, Oid};

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
pub struct Changed {
    tables: [Oid; CHANGED.len()],
    /// How many of them; more than there is room for means any table.
    count: usize,
    /// Whether a type or a cast changed.
    pub types: bool,
}

impl Changed {
    /// Whether any table changed.
    pub fn any_table(&self) -> bool {
        self.count > 0
    }

    /// Whether this table may have changed.
    pub fn table(&self, table: Oid) -> bool {
        match self.tables.get(..self.count) {
            Some(tables) => tables.contains(&table),
            None => true,
        }
    }
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

    /// Takes what is pending.
    pub fn take() -> Changed {
        let types = TYPES_CHANGED.swap(false, Ordering::Relaxed);
        let count = CHANGED_COUNT.swap(0, Ordering::Relaxed);
        let mut tables = [Oid::INVALID; CHANGED.len()];
        for (oid, changed) in tables.iter_mut().zip(&CHANGED).take(count) {
            *oid = Oid::from(changed.load(Ordering::Relaxed) as u32);
        }
        Changed {
            tables,
            count,
            types,
        }
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

unsafe extern "C-unwind" fn catalog_changed(_arg: Datum, cache: c_int, _hash: u32) {
    // A renamed schema renames every table in it; that is rare. A type is made with every table.
    if cache == pg_sys::SysCacheIdentifier::NAMESPACEOID as c_int {
        CHANGED_COUNT.store(usize::MAX, Ordering::Relaxed);
    } else {
        TYPES_CHANGED.store(true, Ordering::Relaxed);
    }
}
