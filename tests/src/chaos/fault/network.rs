use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::{sleep, timeout};

use super::{Blow, milliseconds};
use crate::chaos::error::ChaosError;
use crate::chaos::lane::{CutPoint, Lane, Side};
use crate::chaos::stage::Stage;
use crate::chaos::violation::Violation;
use crate::lab::{Direction, Fault, Proxy};

/// How long a peer that has fallen silent may go unnoticed.
const NOTICE: Duration = Duration::from_secs(25);

/// How long the load may take to bring a connection to the byte where it is cut.
const PATIENCE: Duration = Duration::from_secs(5);

impl Stage {
    pub(super) async fn cut(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        self.at_some_byte(rng, Fault::CutAfter).await
    }

    pub(super) async fn half_close(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        self.at_some_byte(rng, Fault::HalfCloseAfter).await
    }

    /// Resets the connections of a lane, and the next ones when so many bytes have gone that way.
    ///
    /// # Errors
    ///
    /// [`ChaosError::Unreached`] when the lane does not carry so many bytes in time.
    pub async fn cut_at(&mut self, point: CutPoint) -> Result<Blow, ChaosError> {
        let CutPoint { lane, byte } = point;
        match self.strike(lane, Fault::CutAfter(byte), true).await {
            (blow, true) => Ok(blow),
            (_, false) => Err(ChaosError::Unreached(point)),
        }
    }

    pub(super) async fn reset(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let proxy = self.proxy(side(rng));
        let blow = self.blow();
        proxy.set(Fault::Reset);
        Ok(blow.over())
    }

    pub(super) async fn stall(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let hold = milliseconds(rng, 100, 3_000);
        match rng.bool() {
            true => self.hold(rng, Fault::Stall, hold).await,
            false => self.hold_one(rng, Fault::Stall, hold).await,
        }
    }

    pub(super) async fn latency(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let most = milliseconds(rng, 5, 60);
        let fault = Fault::Jitter(most / 4, most);
        self.hold(rng, fault, Duration::from_secs(2)).await
    }

    pub(super) async fn throttle(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let fault = Fault::Throttle(rng.u64(20_000..500_000));
        self.hold_one(rng, fault, Duration::from_secs(2)).await
    }

    pub(super) async fn blackhole(&mut self, rng: &mut Rng) -> Result<Blow, ChaosError> {
        let hold = milliseconds(rng, 500, 3_000);
        let blow = self.hold(rng, Fault::Blackhole, hold).await?;
        self.relay_says(blow.said, "reconnect").await?;
        match blow.began.elapsed() {
            noticed if noticed > NOTICE => Err(Violation::Unnoticed(noticed).into()),
            _ => Ok(blow),
        }
    }

    /// Lets a seeded number of bytes pass in one direction. In half of the cases they are counted
    /// from the start of a new connection, so that greetings and logins are hit as well.
    async fn at_some_byte(
        &mut self,
        rng: &mut Rng,
        fault: fn(u64) -> Fault,
    ) -> Result<Blow, ChaosError> {
        let lane = Lane::ALL[rng.usize(0..Lane::ALL.len())];
        let fresh = rng.bool();
        let most = match (lane.side, lane.direction, fresh) {
            (Side::Postgres | Side::Broker, Direction::ToServer, true) => 2_000,
            (Side::Postgres | Side::Broker, Direction::ToClient, true) => 4_096,
            // Reports of progress only.
            (Side::Postgres, Direction::ToServer, false) => 300,
            // Confirms only.
            (Side::Broker, Direction::ToClient, false) => 1_000,
            (Side::Postgres, Direction::ToClient, false)
            | (Side::Broker, Direction::ToServer, false) => 200_000,
        };
        let byte = rng.u64(0..most);
        let (blow, struck) = self.strike(lane, fault(byte), fresh).await;
        if !struck {
            // Too little went this way; the connection is cut where it is.
            self.proxy(lane.side).set(Fault::Reset);
        }
        Ok(blow)
    }

    /// Sets a fault that happens once, after so many bytes of a lane, for the connections that are
    /// open or, when `fresh`, for those that follow after these are reset. Says whether it
    /// happened.
    async fn strike(&mut self, lane: Lane, fault: Fault, fresh: bool) -> (Blow, bool) {
        let proxy = self.proxy(lane.side);
        let mut strikes = proxy.struck();
        strikes.mark_unchanged();
        let blow = self.blow();
        if fresh {
            proxy.set(Fault::Reset);
        }
        proxy.set_one(lane.direction, fault);
        let struck = timeout(PATIENCE, strikes.changed()).await.is_ok();
        // Until here events arrived. A new connection was wanted for the point, and counts.
        let began = match fresh {
            true => blow.began,
            false => Instant::now(),
        };
        (
            Blow {
                began,
                ..self.blow()
            },
            struck,
        )
    }

    async fn hold(
        &mut self,
        rng: &mut Rng,
        fault: Fault,
        hold: Duration,
    ) -> Result<Blow, ChaosError> {
        let proxy = self.proxy(side(rng));
        let blow = self.blow();
        proxy.set(fault);
        sleep(hold).await;
        proxy.set(Fault::None);
        Ok(blow.over())
    }

    async fn hold_one(
        &mut self,
        rng: &mut Rng,
        fault: Fault,
        hold: Duration,
    ) -> Result<Blow, ChaosError> {
        let proxy = self.proxy(side(rng));
        let blow = self.blow();
        proxy.set_one(direction(rng), fault);
        sleep(hold).await;
        proxy.set(Fault::None);
        Ok(blow.over())
    }

    fn proxy(&self, side: Side) -> &Proxy {
        match side {
            Side::Postgres => &self.to_postgres,
            Side::Broker => &self.to_rabbitmq,
        }
    }
}

fn side(rng: &mut Rng) -> Side {
    match rng.bool() {
        true => Side::Postgres,
        false => Side::Broker,
    }
}

fn direction(rng: &mut Rng) -> Direction {
    match rng.bool() {
        true => Direction::ToServer,
        false => Direction::ToClient,
    }
}
