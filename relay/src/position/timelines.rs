use pgevents_proto::Lsn;

/// Which timeline each position of a server's WAL was written on: the content of the history file
/// of its timeline. Source: PostgreSQL `src/backend/access/transam/timeline.c`,
/// `readTimeLineHistory`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timelines {
    current: u32,
    /// Earlier timelines, each with the position up to which it is part of this history.
    earlier: Vec<(u32, Lsn)>,
}

impl Timelines {
    /// A server on this timeline, of whose earlier ones nothing is known.
    pub fn only(current: u32) -> Self {
        Self {
            current,
            earlier: Vec::new(),
        }
    }

    /// What a history file says: a line for each earlier timeline with its number, the position
    /// where it was left, and a reason. Lines that say something else are passed over.
    pub fn read(current: u32, history: &[u8]) -> Self {
        let lines = history.split(|&byte| byte == b'\n');
        let earlier = lines.filter_map(|line| {
            let words = line.split(u8::is_ascii_whitespace);
            let mut words = words.filter(|word| !word.is_empty());
            // The reason behind them may be any bytes.
            let mut next = || std::str::from_utf8(words.next()?).ok();
            Some((next()?.parse().ok()?, next()?.parse().ok()?))
        });
        Self {
            current,
            earlier: earlier.collect(),
        }
    }

    /// The timeline that a record was written on which ends at this position.
    pub fn of(&self, end: Lsn) -> u32 {
        let written = self.earlier.iter().find(|(_, left)| end <= *left);
        written.map_or(self.current, |(timeline, _)| *timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: &[u8] = b"1\t0/3000000\tno recovery target specified\n\n\
        # a comment\n2\t0/5000148\tat restore point \"\xFF\"\n";

    #[test]
    fn a_position_is_of_the_timeline_that_was_left_behind_it() {
        let timelines = Timelines::read(3, HISTORY);
        for (end, timeline) in [
            (0x10, 1),
            (0x300_0000, 1),
            (0x300_0001, 2),
            (0x500_0148, 2),
            (0x500_0149, 3),
            (u64::MAX, 3),
        ] {
            assert_eq!(timelines.of(Lsn(end)), timeline, "{end:x}");
        }
    }

    #[test]
    fn without_a_history_everything_is_of_the_current_timeline() {
        assert_eq!(Timelines::only(7).of(Lsn(1)), 7);
        assert_eq!(Timelines::read(7, b"\x00\xFF\n1\n2 x").of(Lsn(1)), 7);
    }
}
