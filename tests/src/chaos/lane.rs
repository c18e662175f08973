//! Where connections are cut: four lanes of bytes, each from its first byte on.

use std::fmt;

use crate::lab::Direction;

/// A side of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// All connections to PostgreSQL.
    Postgres,
    /// All connections to RabbitMQ.
    Broker,
}

/// One direction of the bytes between the relay and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// The server.
    pub side: Side,
    /// To it or from it.
    pub direction: Direction,
}

/// A lane and the number of bytes that pass before the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutPoint {
    /// The lane.
    pub lane: Lane,
    /// Bytes since the connections of its side were made anew.
    pub byte: u64,
}

impl Lane {
    /// Both directions to both servers.
    pub const ALL: [Self; 4] = [
        Self::new(Side::Postgres, Direction::ToServer),
        Self::new(Side::Postgres, Direction::ToClient),
        Self::new(Side::Broker, Direction::ToServer),
        Self::new(Side::Broker, Direction::ToClient),
    ];

    const fn new(side: Side, direction: Direction) -> Self {
        Self { side, direction }
    }

    /// How many bytes a sweep covers: greeting, login and everything else until the first event
    /// goes, and as much of what follows as the lane carries in half a second under load. Of
    /// reports of progress and of confirms that is not much.
    pub const fn span(self) -> u64 {
        match (self.side, self.direction) {
            (Side::Postgres, Direction::ToServer) => 1_800,
            (Side::Postgres, Direction::ToClient) => 32_768,
            (Side::Broker, Direction::ToServer) => 32_768,
            (Side::Broker, Direction::ToClient) => 2_000,
        }
    }

    /// Up to here the points of a sweep lie closer together: logins, greetings, the first frames.
    const fn dense(self) -> u64 {
        let span = self.span();
        match span < 4_096 {
            true => span,
            false => 2_000,
        }
    }
}

impl CutPoint {
    /// So many points, the lanes in turn: in each, three quarters evenly over its first 4 KiB and
    /// the others evenly over the rest of its span.
    pub fn sweep(count: u64) -> Vec<Self> {
        let lanes = Lane::ALL.len() as u64;
        let of_lane = count.div_ceil(lanes).max(1);
        let points = (0..count).map(|number| {
            let lane = Lane::ALL[(number % lanes) as usize];
            let byte = lane.byte(number / lanes, of_lane);
            Self { lane, byte }
        });
        points.collect()
    }
}

impl Lane {
    /// Point `number` of `count` of them, in bytes.
    fn byte(self, number: u64, count: u64) -> u64 {
        let (dense, rest) = (self.dense(), self.span() - self.dense());
        let near = match rest {
            0 => count,
            _ => count - count / 4,
        };
        match number < near {
            true => number * dense / near,
            false => dense + (number - near) * rest / (count - near),
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.side, self.direction) {
            (Side::Postgres, Direction::ToServer) => "cut to PostgreSQL",
            (Side::Postgres, Direction::ToClient) => "cut from PostgreSQL",
            (Side::Broker, Direction::ToServer) => "cut to RabbitMQ",
            (Side::Broker, Direction::ToClient) => "cut from RabbitMQ",
        })
    }
}

impl fmt::Display for CutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.lane, self.byte)
    }
}

#[cfg(test)]
mod tests {
    use super::{CutPoint, Lane};

    #[test]
    fn a_sweep_goes_through_every_lane_from_its_first_byte_without_a_point_twice() {
        let points = CutPoint::sweep(2_000);
        assert_eq!(points.len(), 2_000);
        for lane in Lane::ALL {
            let of_lane = points.iter().filter(|point| point.lane == lane);
            let bytes: Vec<u64> = of_lane.map(|point| point.byte).collect();
            assert_eq!((bytes.len(), bytes[0]), (500, 0), "{lane}");
            let steps: Vec<u64> = bytes.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(steps.iter().all(|step| *step > 0), "{lane}: {bytes:?}");
            let logins = bytes
                .iter()
                .take_while(|byte| **byte < lane.dense())
                .count();
            assert!(steps[..logins - 1].iter().all(|step| *step <= 11), "{lane}");
            assert!(bytes[499] < lane.span(), "{lane}");
        }
    }
}
