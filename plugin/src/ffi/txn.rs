//! The transaction that PostgreSQL replays.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

use pgevents_proto::{Begin, Lsn};
use pgrx::pg_sys;

use super::encoding::server_text;

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
            commit_lsn: Lsn(self.0.final_lsn),
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
