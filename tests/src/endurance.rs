//! Long and large: the same scenarios in a short form for the suite and at full size on request
//! (`cargo dev endurance`). Each panics where a promise is broken, and returns what it measured.

mod quiet;
mod retention;
mod stall;
mod transaction;

pub use quiet::{Quiet, unwanted_transaction};
pub use retention::{Retained, other_database};
pub use stall::{Stalled, stalled_broker};
pub use transaction::{Large, large_transaction};
