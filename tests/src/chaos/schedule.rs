//! Which fault comes when.

use fastrand::Rng;

use super::error::ChaosError;
use super::fault::{Blow, Fault};
use super::lane::CutPoint;
use super::stage::Stage;

/// What a campaign does, round after round.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// Faults drawn by their weight, without an end.
    Drawn(Vec<Fault>),
    /// Every one of these, once, in this order.
    InTurn(Vec<Deed>),
}

/// What is done in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A fault, with parameters that the seed chooses.
    Fault(Fault),
    /// A cut at a certain byte.
    Cut(CutPoint),
}

impl Schedule {
    /// These faults, once each, in this order.
    pub fn faults(faults: &[Fault]) -> Self {
        Self::InTurn(faults.iter().copied().map(Deed::Fault).collect())
    }

    /// Cuts at so many bytes, from the first on, in both directions on both sides.
    pub fn sweep(cuts: u64) -> Self {
        Self::InTurn(CutPoint::sweep(cuts).into_iter().map(Deed::Cut).collect())
    }

    /// The counts that a release is judged by: 200 kills of the relay, 50 of PostgreSQL and 50 of
    /// RabbitMQ, mixed by the seed, and 2,000 cuts behind them.
    pub fn full(seed: u64) -> Self {
        let kills = [
            (200, Fault::RelayKill),
            (50, Fault::PostgresKill),
            (50, Fault::BrokerKill),
        ];
        let kills = kills.into_iter();
        let mut deeds: Vec<Deed> = kills
            .flat_map(|(times, fault)| std::iter::repeat_n(Deed::Fault(fault), times))
            .collect();
        Rng::with_seed(seed).shuffle(&mut deeds);
        deeds.extend(CutPoint::sweep(2_000).into_iter().map(Deed::Cut));
        Self::InTurn(deeds)
    }

    /// How many rounds it has; `None`: as many as one likes.
    pub fn rounds(&self) -> Option<u64> {
        match self {
            Self::Drawn(_) => None,
            Self::InTurn(deeds) => Some(deeds.len() as u64),
        }
    }

    /// Whether this fault may come.
    pub fn has(&self, fault: Fault) -> bool {
        match self {
            Self::Drawn(faults) => faults.contains(&fault),
            Self::InTurn(deeds) => deeds.contains(&Deed::Fault(fault)),
        }
    }

    /// What is done in a round, from 0.
    pub fn deed(&self, round: u64, rng: &mut Rng) -> Deed {
        match self {
            Self::Drawn(faults) => Deed::Fault(draw(faults, rng)),
            Self::InTurn(deeds) => deeds[round as usize],
        }
    }
}

impl Deed {
    /// The name that rounds of one kind share.
    pub fn name(self) -> String {
        match self {
            Self::Fault(fault) => fault.name(),
            Self::Cut(point) => point.lane.to_string(),
        }
    }

    /// Whether the relay cannot go on in the session that this met.
    pub fn ends_session(self) -> bool {
        match self {
            Self::Fault(fault) => fault.ends_session(),
            // A new connection is cut, which may be the idle one beside the stream.
            Self::Cut(_) => false,
        }
    }

    /// Makes it happen.
    ///
    /// # Errors
    ///
    /// A promise that was broken meanwhile, or a server that does not do its part.
    pub async fn befall(self, stage: &mut Stage, rng: &mut Rng) -> Result<Blow, ChaosError> {
        match self {
            Self::Fault(fault) => stage.suffer(fault, rng).await,
            Self::Cut(point) => stage.cut_at(point).await,
        }
    }
}

fn draw(faults: &[Fault], rng: &mut Rng) -> Fault {
    let total: u32 = faults.iter().map(|fault| fault.weight()).sum();
    let mut ticket = rng.u32(0..total.max(1));
    for fault in faults {
        match ticket.checked_sub(fault.weight()) {
            Some(rest) => ticket = rest,
            None => return *fault,
        }
    }
    faults[0]
}
