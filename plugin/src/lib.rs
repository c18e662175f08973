//! `pgevents`: a logical decoding output plugin.
//!
//! PostgreSQL calls `callbacks` for every transaction that it decodes. Changes of wanted tables
//! are written, with the difference between old and new row, as frames of `pgevents.proto`.
//!
//! The plugin runs inside someone's production database, where an ERROR on data repeats at every
//! reconnect and stops the slot for ever. So nothing about a row's data is an error here: what
//! cannot be shown travels as a marker. Raw pointers live in `ffi` and nowhere else.

mod callbacks;
mod change;
mod column;
mod dictionary;
mod ffi;
mod message;
mod options;
mod output;
mod row;
mod session;
mod transaction;
mod value;

pgrx::pg_module_magic!(name, version);
