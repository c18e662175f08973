//! The wire contract from outside: what the encoder writes, two independent readers read alike;
//! what they read becomes the documented JSON; and bytes that nobody wrote do no harm.

mod bounded;
mod damage;
mod events;
mod frozen;
mod options;
mod printing;
mod protocol;
mod round_trip;
mod session;
mod table_list;
mod values;
