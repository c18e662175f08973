//! What goes wrong.

use super::{Interrupt, Step, World};

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    CutServer,
    CutBroker,
    KillRelay,
    KillServer,
    KillBroker,
    Binding,
    ParkingBinding,
    FullQueue,
    Alarm,
    Damage,
    Stall,
    Stop,
}

const FAULTS: [(u32, Fault); 12] = [
    (4, Fault::CutServer),
    (4, Fault::CutBroker),
    (3, Fault::KillRelay),
    (2, Fault::KillServer),
    (2, Fault::KillBroker),
    (2, Fault::Binding),
    (1, Fault::ParkingBinding),
    (2, Fault::FullQueue),
    (2, Fault::Alarm),
    (1, Fault::Damage),
    (1, Fault::Stall),
    (2, Fault::Stop),
];

impl World {
    pub(super) fn fault(&mut self) -> Step {
        let fault = self.dice.pick(&FAULTS);
        self.history.note(|| format!("fault: {fault:?}"));
        match fault {
            Fault::CutServer => self.cut_server("the server is cut off"),
            Fault::CutBroker => {
                self.history.tally.cuts += 1;
                self.cut_broker()?;
                self.session_fails("the broker is cut off")
            }
            Fault::KillRelay => {
                self.history.tally.crashes += 1;
                self.relay = None;
                self.cut_broker()?;
                Err(Interrupt::Process("killed"))
            }
            Fault::KillServer => {
                self.history.tally.crashes += 1;
                let ended = self.cut_server("the server has died");
                self.server.crash();
                ended
            }
            Fault::KillBroker => {
                self.history.tally.crashes += 1;
                self.cut_broker()?;
                self.broker.crash(&mut self.dice);
                self.oracle.crashes(self.broker.queue);
                self.session_fails("the broker has died")
            }
            Fault::Binding => {
                self.broker.unbound = !self.broker.unbound;
                Ok(())
            }
            Fault::ParkingBinding => {
                self.broker.parking_unbound = !self.broker.parking_unbound;
                Ok(())
            }
            Fault::FullQueue => {
                self.broker.full = !self.broker.full;
                Ok(())
            }
            Fault::Alarm => {
                self.broker.alarm = !self.broker.alarm;
                Ok(())
            }
            Fault::Damage => {
                self.server.damage(&mut self.dice);
                Ok(())
            }
            Fault::Stall => (0..30).try_for_each(|_| self.tick()),
            Fault::Stop => {
                if let Some(relay) = &mut self.relay {
                    relay.feed.delivery.stop();
                }
                Ok(())
            }
        }
    }

    /// The connection to the server breaks; some of the reports on their way still arrive.
    fn cut_server(&mut self, reason: &'static str) -> Step {
        self.history.tally.cuts += 1;
        for _ in 0..self.dice.index(self.server.inbound.len() + 1) {
            self.receive();
        }
        self.server.end();
        self.session_fails(reason)
    }

    /// The connection to the broker breaks; some of the messages on their way still arrive.
    pub(super) fn cut_broker(&mut self) -> Step {
        for _ in 0..self.dice.index(self.broker.wire.len() + 1) {
            self.route()?;
        }
        self.broker.cut();
        Ok(())
    }

    fn session_fails(&self, reason: &'static str) -> Step {
        match self.streams() {
            true => Err(Interrupt::Session(reason)),
            false => Ok(()),
        }
    }
}
