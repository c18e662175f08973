//! The text of a state file.

use pgevents_proto::Lsn;

use super::{Fnv1a, Position, System};
use crate::delivery::{Acknowledged, Chunk, Commit};

/// First line of the file: what it is, and the version of its form.
pub(super) const HEADER: &str = "pgevents state 2";

/// The same of the version before, which knew nothing of existing rows, nor which transaction it
/// was that was acknowledged last.
const HEADER_1: &str = "pgevents state 1";

/// The file's text.
pub(super) fn print(position: &Position) -> String {
    let Position {
        slot,
        database,
        system,
        asked,
        acknowledged,
    } = position;
    let Acknowledged {
        copied,
        wal,
        commit,
    } = acknowledged;
    let mut text = format!(
        "{HEADER}\nslot {slot}\ndatabase {database}\nsystem {}\ntimeline {}\nacknowledged \
         {wal}\ncopied {}\ncommit {} {} {}\nasked {asked:016x}\n",
        system.id, system.timeline, copied.0, commit.end, commit.time, commit.xid
    );
    let check = Fnv1a::of(text.as_bytes());
    text.push_str(&format!("check {check:016x}\n"));
    text
}

/// Reads the text of this version and of those before.
pub(super) fn parse(text: &str) -> Result<Position, &'static str> {
    const HALF: &str = "it is not complete";
    let body = text.strip_suffix('\n').ok_or(HALF)?;
    let (body, last) = body.rsplit_once('\n').ok_or(HALF)?;
    let body = &text[..body.len() + 1];
    let mut lines = body.lines();
    let version = match lines.next() {
        Some(HEADER) => 2,
        Some(HEADER_1) => 1,
        _ => return Err("it is no state file of this version"),
    };
    let written = last.strip_prefix("check ").ok_or(HALF)?;
    if written != format!("{:016x}", Fnv1a::of(body.as_bytes())) {
        return Err("its check does not fit");
    }
    let mut value = |name: &str| {
        let line = lines.next().ok_or(HALF)?;
        let rest = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(' '));
        rest.ok_or("a line is missing")
    };
    let (slot, database) = (value("slot")?, value("database")?);
    let (id, timeline) = (value("system")?, value("timeline")?);
    let wal: Lsn = value("acknowledged")?
        .parse()
        .map_err(|_| "its position is none")?;
    let (copied, commit, asked) = match version {
        1 => (0, Commit::default(), 0),
        _ => (
            value("copied")?.parse().map_err(|_| "its chunk is none")?,
            parse_commit(value("commit")?).ok_or("its commit is none")?,
            u64::from_str_radix(value("asked")?, 16).map_err(|_| "what was asked is no number")?,
        ),
    };
    let system = System {
        id: id.parse().map_err(|_| "its system is none")?,
        timeline: timeline.parse().map_err(|_| "its timeline is none")?,
    };
    Ok(Position {
        slot: slot.to_owned(),
        database: database.to_owned(),
        system,
        asked,
        acknowledged: Acknowledged {
            copied: Chunk(copied),
            wal,
            commit,
        },
    })
}

fn parse_commit(text: &str) -> Option<Commit> {
    let mut parts = text.split(' ');
    let commit = Commit {
        end: parts.next()?.parse().ok()?,
        time: parts.next()?.parse().ok()?,
        xid: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(wal: u64, copied: u64) -> Position {
        let system = System {
            id: 7_123_456_789_012_345_678,
            timeline: 3,
        };
        let acknowledged = Acknowledged {
            copied: Chunk(copied),
            wal: Lsn(wal),
            commit: Commit::default(),
        };
        Position::new("shop_events", "sh\nop ü", system, acknowledged)
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_damaged() {
        let mut position = position(0x16_00B3_74D8, 41).asking(u64::MAX);
        position.acknowledged.commit = Commit {
            end: Lsn(0x16_00B3_7400),
            time: -1,
            xid: u32::MAX,
        };
        let text = print(&position);
        assert_eq!(parse(&text), Ok(position));
        for length in 0..text.len() {
            assert!(parse(&text[..length]).is_err(), "cut at {length}");
        }
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let changed = String::from_utf8(bytes).expect("still ASCII");
            assert!(parse(&changed).is_err(), "changed at {place}: {changed}");
        }
    }

    #[test]
    fn a_file_of_the_first_version_is_read() {
        let text = "pgevents state 1\nslot shop_events\ndatabase sh\\nop \\u{fc}\nsystem \
                    7123456789012345678\ntimeline 3\nacknowledged 16/B374D8\n";
        let text = format!("{text}check {:016x}\n", Fnv1a::of(text.as_bytes()));
        assert_eq!(parse(&text), Ok(position(0x16_00B3_74D8, 0)));
    }
}
