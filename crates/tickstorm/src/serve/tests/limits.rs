//! Clients that ask for more than their venue allows.

use tickstorm_net::frame::Opcode;
use tickstorm_venue::{
    Venue,
    limits::LimitProfile,
    protocol::{Channel, Refusal, Reply},
};

use super::hall::{Hall, S, market};
use crate::{
    Spec,
    serve::{PingProbes, ServeSpec},
};

/// A hall that keeps the venues' own limits, and hardly says anything.
fn strict() -> Hall {
    let spec = Spec { base_rate: "60/m".parse().expect("it is a rate"), ..market(51) };
    let serve = ServeSpec { limits: LimitProfile::Venue, pings: PingProbes::Off, ..ServeSpec::default() };
    let mut hall = Hall::open(&spec, serve, 0);
    hall.step_ns = S;
    hall
}

/// What has been refused to the client since this was asked last.
fn refused(hall: &mut Hall, index: usize) -> Vec<Refusal> {
    (0..4).for_each(|_| hall.attend());
    let refusals = std::mem::take(&mut hall.callers[index].heard.replies).into_iter();
    let refusals = refusals.filter_map(|reply| match reply {
        Reply::Refused(refused) => Some(refused.refusal),
        _ => None,
    });
    refusals.collect()
}

#[test]
fn okx_takes_480_commands_an_hour() {
    let mut hall = strict();
    let index = hall.enter(Venue::Okx, 16 << 20);
    let command = |hall: &mut Hall, count: u32| match count % 2 {
        0 => hall.callers[index].subscribe(Channel::Tickers),
        _ => hall.callers[index].unsubscribe(Channel::Tickers),
    };
    for count in 0..480 {
        command(&mut hall, count);
        // No command, however often it comes.
        hall.callers[index].say(b"ping");
    }
    assert_eq!(refused(&mut hall, index), []);
    command(&mut hall, 480);
    assert_eq!(refused(&mut hall, index), [Refusal::TooFrequent]);
    // As long as it lasts, and whoever else is there.
    for _ in 0..3_599 / 20 {
        hall.run(20 * S);
        hall.callers[index].say(b"ping");
    }
    command(&mut hall, 480);
    assert_eq!(refused(&mut hall, index), [Refusal::TooFrequent]);
    let other = hall.enter(Venue::Okx, 16 << 20);
    hall.callers[other].subscribe(Channel::Tickers);
    assert_eq!(refused(&mut hall, other), []);
    hall.run(21 * S);
    command(&mut hall, 480);
    assert_eq!(refused(&mut hall, index), []);
    assert!(hall.is_open(index), "who is refused stays");
    let outcome = hall.close();
    assert_eq!(outcome.of(index).tally.refused, 2);
    assert_eq!(outcome.callers[index].heard.faults, [""; 0]);
}

#[test]
fn okx_takes_requests_of_64_kib() {
    let mut hall = strict();
    let index = hall.enter(Venue::Okx, 16 << 20);
    let request = |length: usize| {
        let arg = r#"{"channel":"tickers","instId":"BTC-USDT"}"#;
        let args = [arg; 1_500].join(",");
        let request = format!(r#"{{"op":"subscribe","args":[{args}]}}"#);
        request.clone() + &" ".repeat(length - request.len())
    };
    hall.callers[index].say(request(64 << 10).as_bytes());
    assert_eq!(refused(&mut hall, index), []);
    hall.callers[index].say(request((64 << 10) + 1).as_bytes());
    assert_eq!(refused(&mut hall, index), [Refusal::TooMany { limit: 64 << 10 }]);
    assert!(hall.is_open(index));
    hall.callers[index].say(request((128 << 10) + 1).as_bytes());
    hall.attend();
    assert!(!hall.is_open(index), "what no venue takes is not read");
    let close = hall.close().callers[index].heard.close.clone().expect("there is a close frame");
    assert_eq!(close.code, Some(1009));
}

/// Its rate of messages is said to be dynamic, so that there is none to hold clients to.
#[test]
fn kraken_takes_all_that_a_connection_asks() {
    let mut hall = strict();
    let index = hall.enter(Venue::Kraken, 16 << 20);
    for _ in 0..1_000 {
        hall.callers[index].subscribe(Channel::Tickers);
        hall.callers[index].unsubscribe(Channel::Tickers);
    }
    assert_eq!(refused(&mut hall, index), []);
    let outcome = hall.close();
    assert_eq!((outcome.of(index).tally.requests, outcome.of(index).tally.refused), (2_000, 0));
}

#[test]
fn binance_takes_five_messages_a_second_pings_among_them() {
    let mut hall = strict();
    let index = hall.enter(Venue::Binance, 16 << 20);
    for _ in 0..2 {
        hall.callers[index].subscribe(Channel::Tickers);
        (0..4).for_each(|_| hall.callers[index].say_frame(Opcode::Ping, b"there?"));
        assert_eq!(refused(&mut hall, index), []);
        hall.run(S);
    }
    assert!(hall.is_open(index));
    (0..6).for_each(|_| hall.callers[index].say_frame(Opcode::Ping, b"there?"));
    hall.attend();
    assert!(!hall.is_open(index));
    let outcome = hall.close();
    let heard = &outcome.callers[index].heard;
    assert_eq!(heard.pongs, 4 + 4 + 5);
    assert_eq!(heard.close.as_ref().map(|close| &*close.text), Some("Too many requests"));
}
