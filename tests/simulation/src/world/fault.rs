//! What goes wrong.

use std::time::Duration;

use super::{Order, World};

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
    FullDisk,
    Alarm,
    Damage,
    Stall,
    Stop,
}

const FAULTS: [(u32, Fault); 13] = [
    (4, Fault::CutServer),
    (4, Fault::CutBroker),
    (3, Fault::KillRelay),
    (2, Fault::KillServer),
    (2, Fault::KillBroker),
    (2, Fault::Binding),
    (1, Fault::ParkingBinding),
    (2, Fault::FullQueue),
    (1, Fault::FullDisk),
    (2, Fault::Alarm),
    (1, Fault::Damage),
    (1, Fault::Stall),
    (3, Fault::Stop),
];

impl World {
    pub(super) fn fault(&mut self) -> Order {
        let fault = self.dice.pick(&FAULTS);
        self.history.note(|| format!("fault: {fault:?}"));
        match fault {
            Fault::CutServer => self.cut_server(),
            Fault::CutBroker => {
                self.history.tally.cuts += 1;
                self.cut_broker();
            }
            Fault::KillRelay => {
                self.history.tally.crashes += 1;
                return Order::Kill(self.dice.index(400));
            }
            Fault::KillServer => {
                self.history.tally.crashes += 1;
                self.cut_server();
                self.server.crash();
            }
            Fault::KillBroker => {
                self.history.tally.crashes += 1;
                self.cut_broker();
                self.broker.crash(&mut self.dice);
                self.oracle.crashes(self.broker.queue);
            }
            Fault::Binding => self.broker.unbound = !self.broker.unbound,
            Fault::ParkingBinding => self.broker.parking_unbound = !self.broker.parking_unbound,
            Fault::FullQueue => self.broker.full = !self.broker.full,
            Fault::FullDisk => self.disk.set_full(!self.disk.is_full()),
            Fault::Alarm => self.broker.alarm = !self.broker.alarm,
            Fault::Damage => self.server.damages = true,
            Fault::Stall => {
                return Order::Stall(Duration::from_millis(self.dice.number(20_000..90_000)));
            }
            Fault::Stop => return Order::Stop,
        }
        Order::Nothing
    }

    /// The connection to the server breaks; some of the reports on their way still arrive.
    pub(crate) fn cut_server(&mut self) {
        self.history.tally.cuts += 1;
        for _ in 0..self.dice.index(4) {
            self.receive();
        }
        self.link.cut();
        self.server.end();
    }

    /// The connection to the broker breaks; some of the messages on their way still arrive.
    pub(crate) fn cut_broker(&mut self) {
        for _ in 0..self.dice.index(self.broker.wire.len() + 1) {
            self.route();
        }
        self.broker.cut();
    }
}
