use super::*;

const POLICY: Policy = Policy {
    window_messages: 100,
    window_bytes: 1 << 20,
    confirm_timeout: Duration::from_secs(30),
    unroutable: Unroutable::Block,
    too_large: TooLarge::Marker,
};

/// Largest body that the sink takes.
const LARGEST: Option<u64> = Some(1_000);

/// A message that came back, whichever it was.
const BACK: Sent = Sent {
    number: 0,
    bytes: 10,
};

/// Sends until the core says wait, and returns the numbers that were sent.
fn send(delivery: &mut Delivery) -> Vec<u64> {
    let mut numbers = Vec::new();
    while delivery.next() == Next::Read {
        numbers.push(delivery.publish(10));
    }
    numbers
}

fn arrive(delivery: &mut Delivery, numbers: &[u64]) {
    for &number in numbers {
        delivery.confirmed(Sent { number, bytes: 10 });
    }
}

#[test]
fn while_no_queue_is_bound_nothing_is_on_its_way_behind_a_refused_message() {
    let mut delivery = Delivery::new(POLICY);
    for _ in 0..3 {
        delivery.start(Duration::ZERO, LARGEST);
        delivery.begin();
        assert_eq!(send(&mut delivery), [0]);
        delivery.unrouted(BACK);
    }
    delivery.start(Duration::ZERO, LARGEST);
    delivery.begin();
    assert_eq!(send(&mut delivery), [0]);
    // What was refused goes alone, and so does the first behind it.
    arrive(&mut delivery, &[0]);
    assert_eq!(send(&mut delivery), [1]);
    arrive(&mut delivery, &[1]);
    assert_eq!(send(&mut delivery), [2, 3]);
}

#[test]
fn the_first_message_of_a_session_goes_alone_and_behind_it_as_many_as_have_arrived() {
    let mut delivery = Delivery::new(POLICY);
    for _ in 0..2 {
        delivery.start(Duration::ZERO, LARGEST);
        delivery.begin();
        let mut sizes = Vec::new();
        for _ in 0..8 {
            let sent = send(&mut delivery);
            arrive(&mut delivery, &sent);
            sizes.push(sent.len());
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 100]);
    }
}

fn delivery() -> Delivery {
    with(TooLarge::Marker)
}

fn with(too_large: TooLarge) -> Delivery {
    let mut delivery = Delivery::new(Policy {
        window_messages: 3,
        window_bytes: 1_000,
        too_large,
        ..POLICY
    });
    delivery.start(Duration::ZERO, LARGEST);
    delivery
}

#[test]
fn others_do_not_run_away_from_a_message_that_is_never_confirmed() {
    let mut delivery = delivery();
    delivery.begin();
    let oldest = delivery.publish(10);
    for _ in 0..2 {
        let number = delivery.publish(10);
        delivery.confirmed(Sent { number, bytes: 10 });
    }
    assert_eq!((delivery.in_flight(), delivery.next()), (3, Next::Wait));
    delivery.confirmed(Sent {
        number: oldest,
        bytes: 10,
    });
    assert_eq!((delivery.in_flight(), delivery.next()), (0, Next::Read));
}

#[test]
fn a_stop_waits_for_the_open_transaction_and_for_its_confirms() {
    let mut delivery = delivery();
    delivery.begin();
    delivery.stop();
    assert_eq!(delivery.next(), Next::Read);
    let number = delivery.publish(10);
    delivery.commit(Lsn(100));
    assert_eq!(delivery.next(), Next::Wait);
    delivery.confirmed(Sent { number, bytes: 10 });
    assert_eq!(delivery.next(), Next::Finish);
    assert_eq!(delivery.acknowledged().wal, Lsn(100));
}

/// A delivery with one transaction of one message on its way.
fn with_one() -> (Delivery, Sent) {
    let mut delivery = delivery();
    delivery.begin();
    let number = delivery.publish(10);
    delivery.commit(Lsn(100));
    (delivery, Sent { number, bytes: 10 })
}

#[test]
fn a_parked_message_is_acknowledged_and_counted_as_such() {
    let (mut delivery, message) = with_one();
    delivery.parked(message);
    assert_eq!(delivery.acknowledged().wal, Lsn(100));
    let counts = delivery.counts();
    assert_eq!(
        (counts.returned, counts.parked, counts.confirmed),
        (1, 1, 1)
    );
}

#[test]
fn a_dropped_message_is_acknowledged_and_not_confirmed() {
    let (mut delivery, message) = with_one();
    delivery.dropped(message);
    assert_eq!(delivery.acknowledged().wal, Lsn(100));
    assert_eq!(
        (delivery.counts().dropped, delivery.counts().confirmed),
        (1, 0)
    );
}

#[test]
fn a_message_that_no_queue_takes_and_one_that_is_refused_acknowledge_nothing() {
    let (mut delivery, message) = with_one();
    delivery.unrouted(message);
    assert_eq!(delivery.nacked(message), Err(Failure::Nacked));
    assert_eq!(delivery.acknowledged().wal, Lsn(0));
}

#[test]
fn a_position_that_stands_still_is_said_with_its_reason_and_since_when() {
    let (mut delivery, message) = with_one();
    let seconds = Duration::from_secs;
    for second in 1..=5 {
        assert_eq!(delivery.tick(seconds(second)), Ok(false));
    }
    let flow = delivery.flow(seconds(5));
    assert_eq!(
        (flow.held, flow.held_for),
        (Held::Unconfirmed(1), seconds(5))
    );
    delivery.confirmed(message);
    assert_eq!(delivery.tick(seconds(6)), Ok(false));
    let flow = delivery.flow(seconds(6));
    assert_eq!((flow.held, flow.held_for), (Held::Nothing, Duration::ZERO));
}

#[test]
fn the_largest_body_is_admitted_and_a_larger_one_is_not() {
    let mut delivery = delivery();
    assert_eq!(delivery.admit(1_000), Admission::Whole);
    assert_eq!(delivery.admit(1_001), Admission::Marker);
    assert_eq!(delivery.counts().omitted, 1);
    let mut delivery = with(TooLarge::Stop);
    assert_eq!(delivery.admit(1_001), Admission::Stop);
}

#[test]
fn a_session_starts_with_nothing_on_its_way() {
    let mut delivery = delivery();
    delivery.begin();
    for _ in 0..3 {
        delivery.publish(1_000);
    }
    delivery.start(Duration::from_secs(1), LARGEST);
    assert_eq!((delivery.in_flight(), delivery.next()), (0, Next::Read));
    assert_eq!(delivery.counts().published, 3);
}
