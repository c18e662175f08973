use pgevents_proto::Lsn;

use super::mutant;

/// Where the next session starts to read.
///
/// After a crash of PostgreSQL the slot may stand before what was acknowledged. What this relay
/// remembers is right as long as it is the same WAL: the same system on the same timeline.
///
/// `acknowledged` is the highest position that was acknowledged, `None` before the first session;
/// `slot` is where the slot stands.
pub fn resume_after(acknowledged: Option<Lsn>, slot: Lsn, same_wal: bool) -> Lsn {
    match acknowledged {
        Some(acknowledged) if same_wal => {
            Lsn(acknowledged.max(slot).0 + u64::from(mutant::RESUME_PAST))
        }
        Some(_) | None => slot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_went_back_is_not_followed_on_the_same_wal() {
        assert_eq!(resume_after(Some(Lsn(50)), Lsn(20), true), Lsn(50));
        assert_eq!(resume_after(Some(Lsn(50)), Lsn(20), false), Lsn(20));
    }

    #[test]
    fn a_slot_that_another_relay_moved_on_is_followed() {
        assert_eq!(resume_after(Some(Lsn(50)), Lsn(80), true), Lsn(80));
        assert_eq!(resume_after(None, Lsn(80), false), Lsn(80));
    }
}
