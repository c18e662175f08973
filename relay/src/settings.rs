//! Settings, the only room that knows the command line. [`flags`] is what can be set, defined once
//! for `--help`, the file, `--check`, manual pages and the reference. [`sources`] is where each
//! comes from. [`assembly`] makes of both what each part of the relay takes; its types live with
//! who uses them.

pub mod assembly;
pub mod flags;
pub mod manual;
pub mod reference;
pub mod sources;
