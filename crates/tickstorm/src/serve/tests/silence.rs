//! Clients that say nothing, and what the venues say to them.

use tickstorm_net::{CloseReason, frame::Opcode};
use tickstorm_venue::{
    Venue,
    closing::Leave,
    protocol::{Channel, Endpoint, Reply, Request, Topic},
};

use super::{
    hall::{Hall, MS, S, STARTS_NS, entrance, market},
    wire::{Fate, Wire},
};
use crate::{
    Spec,
    serve::{PingProbes, ServeSpec, client::Cause},
};

/// A market that hardly says anything, without pings of our own.
fn quiet(per_minute: u64) -> Hall {
    quiet_but(&format!("{per_minute}/m"), PingProbes::Off)
}

/// A market that says so much.
fn quiet_but(rate: &str, pings: PingProbes) -> Hall {
    let spec = Spec { base_rate: rate.parse().expect("it is a rate"), ..market(41) };
    let serve = ServeSpec { pings, ..ServeSpec::default() };
    let mut hall = Hall::open(&spec, serve, 0);
    hall.step_ns = 50 * MS;
    hall
}

/// When the client was taken leave of, s, and how.
#[track_caller]
fn seconds_to_the_close(hall: &mut Hall, index: usize, most_s: u64) -> (u64, CloseReason) {
    let came_ns = hall.now_ns;
    while hall.is_open(index) {
        assert!(hall.now_ns < came_ns + most_s * S, "it is open for ever");
        hall.run(100 * MS);
    }
    let after_s = (hall.now_ns - came_ns) / S;
    hall.run(200 * MS);
    (after_s, hall.callers[index].heard.close.clone().expect("there is a close frame"))
}

fn closing(venue: Venue, leave: Leave) -> CloseReason {
    let closing = venue.closing(leave);
    CloseReason { code: Some(closing.code), text: closing.text.to_owned() }
}

#[test]
fn binance_pings_and_closes_on_who_does_not_answer() {
    let mut hall = quiet(600);
    let answering = hall.enter(Venue::Binance, 16 << 20);
    hall.callers[answering].subscribe_to_all();
    let mute = hall.enter(Venue::Binance, 16 << 20);
    hall.callers[mute].subscribe_to_all();
    hall.callers[mute].answers_pings = false;
    let (after_s, close) = seconds_to_the_close(&mut hall, mute, 100);
    assert_eq!((after_s, close), (80, closing(Venue::Binance, Leave::NoPong)));
    assert!(hall.is_open(answering));
    hall.run(30 * S);
    let outcome = hall.close();
    assert_eq!(outcome.callers[answering].heard.pings.len(), 5, "one in 20 s");
    assert_eq!(outcome.of(mute).tally.missed_pongs, 1);
    assert_eq!(outcome.of(mute).tally.end.as_ref().map(|end| end.cause), Some(Cause::Silent));
}

#[test]
fn pongs_that_binance_did_not_ask_for_keep_no_connection_open() {
    for pings in [PingProbes::Off, PingProbes::On] {
        let mut hall = quiet_but("600/m", pings);
        let index = hall.enter(Venue::Binance, 16 << 20);
        hall.callers[index].subscribe_to_all();
        hall.callers[index].answers_pings = false;
        let mut after_s = 0;
        while hall.is_open(index) {
            hall.callers[index].say_frame(Opcode::Pong, b"here I am");
            hall.run(S);
            after_s += 1;
            assert!(after_s < 100, "pings {pings}: it is open for ever");
        }
        assert_eq!(after_s, 81, "pings {pings}");
        hall.close();
    }
}

#[test]
fn a_half_open_connection_to_binance_is_given_up() {
    let mut hall = quiet(600);
    let index = hall.enter(Venue::Binance, 16 << 20);
    hall.callers[index].subscribe_to_all();
    hall.run(S);
    hall.callers[index].vanish(Fate::HalfOpen);
    hall.run(85 * S);
    assert_eq!(hall.floor.keys().count(), 0, "nobody answers the close frame either");
    let outcome = hall.close();
    let end = outcome.of(index).tally.end.clone().expect("it has ended");
    assert_eq!((end.cause, end.code), (Cause::Silent, Some(1008)));
}

#[test]
fn okx_closes_when_nothing_was_said_for_half_a_minute() {
    let mut hall = quiet(60);
    let talking = hall.enter(Venue::Okx, 16 << 20);
    let silent = hall.enter(Venue::Okx, 16 << 20);
    hall.callers[talking].say(b"ping");
    hall.run(20 * S);
    hall.callers[talking].say(b"ping");
    let (after_s, close) = seconds_to_the_close(&mut hall, silent, 40);
    assert_eq!((after_s, close), (10, closing(Venue::Okx, Leave::Idle)));
    assert!(hall.is_open(talking));
    let (after_s, close) = seconds_to_the_close(&mut hall, talking, 40);
    assert_eq!((after_s, close.code), (19, Some(4004)));
    let outcome = hall.close();
    let pongs = outcome.callers[talking].heard.replies.iter();
    assert_eq!(pongs.filter(|reply| matches!(reply, Reply::Pong { .. })).count(), 2);
}

#[test]
fn okx_leaves_those_open_whom_it_tells_something() {
    let mut hall = quiet(600);
    let index = hall.enter(Venue::Okx, 16 << 20);
    hall.callers[index].subscribe_to_all();
    hall.run(STARTS_NS + 60 * S);
    assert!(hall.is_open(index));
    hall.close();
}

#[test]
fn coinbase_wants_a_first_request_and_beats_for_who_asks() {
    let mut hall = quiet(60);
    let beating = hall.enter(Venue::Coinbase, 16 << 20);
    let topic = Topic { channel: Channel::Heartbeats, symbol: None, name: String::new() };
    let subscribe =
        Request::Subscribe { id: None, topics: vec![topic], snapshot: None, fills: None, login: None };
    hall.callers[beating].ask(&subscribe);
    let silent = hall.enter(Venue::Coinbase, 16 << 20);
    let (after_s, close) = seconds_to_the_close(&mut hall, silent, 10);
    assert_eq!((after_s, close), (5, closing(Venue::Coinbase, Leave::LoginTimeout)));
    hall.run(95 * S);
    assert!(hall.is_open(beating));
    let outcome = hall.close();
    let heard = &outcome.callers[beating].heard;
    assert_eq!(heard.faults, [""; 0], "each has its number");
    let beats: Vec<u64> = heard
        .replies
        .iter()
        .filter_map(|reply| if let Reply::Heartbeat { count } = reply { Some(*count) } else { None })
        .collect();
    assert!((99..=102).contains(&beats.len()), "{} in 100 s", beats.len());
    assert!(beats.windows(2).all(|pair| pair[1] == pair[0] + 1), "{beats:?}");
}

#[test]
fn kraken_beats_when_it_has_nothing_else_to_say() {
    for pings in [PingProbes::Off, PingProbes::On] {
        let mut hall = quiet_but("6/m", pings);
        let subscribed = hall.enter(Venue::Kraken, 16 << 20);
        hall.callers[subscribed].subscribe_to_all();
        let idle = hall.enter(Venue::Kraken, 16 << 20);
        hall.run(40 * S);
        let outcome = hall.close();
        let beats = |index: usize| {
            let replies = outcome.callers[index].heard.replies.iter();
            replies.filter(|reply| matches!(reply, Reply::Heartbeat { .. })).count()
        };
        assert!((20..=40).contains(&beats(subscribed)), "{} in 40 s, pings {pings}", beats(subscribed));
        assert_eq!(beats(idle), 0, "only who has subscribed to something");
    }
}

#[test]
fn pings_of_ours_and_their_pongs_keep_no_connection_open() {
    for (venue, most_s) in [(Venue::Okx, 30), (Venue::Coinbase, 90)] {
        let mut hall = quiet_but("1/h", PingProbes::On);
        let index = hall.enter(venue, 16 << 20);
        hall.callers[index].subscribe(Channel::Trades);
        let (after_s, close) = seconds_to_the_close(&mut hall, index, most_s + 10);
        assert_eq!((after_s, close), (most_s, closing(venue, Leave::Idle)), "{venue}");
        let pings = hall.callers[index].heard.pings.len() as u64;
        assert!(pings >= 9 * most_s, "{venue}: {pings} pings");
        hall.close();
    }
}

#[test]
fn who_has_subscribed_stays_while_the_market_stands_still() {
    let mut hall = quiet_but("1/h", PingProbes::On);
    hall.floor.time.run_starts_ns = None;
    let subscribed = hall.enter(Venue::Okx, 16 << 20);
    hall.callers[subscribed].subscribe(Channel::Trades);
    let idle = hall.enter(Venue::Okx, 16 << 20);
    hall.run(60 * S);
    assert_eq!((hall.is_open(subscribed), hall.is_open(idle)), (true, false));
    hall.floor.time.run_starts_ns = Some(hall.now_ns);
    let (after_s, close) = seconds_to_the_close(&mut hall, subscribed, 40);
    assert_eq!((after_s, close), (30, closing(Venue::Okx, Leave::Idle)));
    hall.close();
}

#[test]
fn okx_and_bybit_say_that_nothing_has_changed() {
    for (venue, channel, expected) in [
        (Venue::Okx, Channel::Book { depth: 400 }, 3..=4),
        (Venue::Bybit, Channel::Quotes, 66..=67),
        (Venue::Bybit, Channel::Book { depth: 50 }, 0..=0),
    ] {
        let mut hall = quiet(600);
        let index = hall.enter(venue, 16 << 20);
        hall.callers[index].subscribe(channel);
        let ping_for = |hall: &mut Hall, span_s: u64| {
            for _ in 0..span_s / 20 {
                hall.callers[index].say(if venue == Venue::Okx { b"ping" } else { br#"{"op":"ping"}"# });
                hall.run(20 * S);
            }
            let heard = &hall.callers[index].heard;
            heard.depths + heard.quotes
        };
        // The schedule is two minutes long: then the market stands still.
        let before = ping_for(&mut hall, 140);
        assert!(before > 20, "{venue} {channel:?}: {before}");
        let again = ping_for(&mut hall, 200) - before;
        assert!((3 * expected.start()..=3 * expected.end()).contains(&again), "{venue} {channel:?}: {again}");
        hall.settle();
        hall.callers[index].check(|symbol| hall.truth(symbol));
        let outcome = hall.close();
        assert_eq!(outcome.callers[index].heard.faults, [""; 0], "{venue} {channel:?}");
        let tally = &outcome.of(index).tally;
        assert_eq!(tally.owed, tally.delivered + tally.folded, "what is no news is on nobody's books");
        let frames: u64 = tally.by_kind.iter().map(|of_kind| of_kind.frames).sum();
        assert_eq!(frames, tally.delivered, "{venue} {channel:?}");
    }
}

#[test]
fn nothing_is_said_again_before_the_clock_of_the_messages_runs() {
    let mut hall = quiet(600);
    let run_starts_ns = hall.floor.time.run_starts_ns.take();
    let index = hall.enter(Venue::Bybit, 16 << 20);
    hall.callers[index].subscribe(Channel::Quotes);
    for _ in 0..100 {
        hall.now_ns += 100 * MS;
        hall.floor.reached(hall.now_ns);
        hall.attend();
    }
    assert_eq!(hall.callers[index].heard.quotes, 3, "what it was greeted with");
    assert!(hall.floor.next_timer_ns() > hall.now_ns, "nobody waits for what does not come");
    hall.floor.time.run_starts_ns = run_starts_ns.map(|starts_ns| starts_ns + hall.now_ns);
    assert!(hall.floor.next_window_ns().is_some_and(|due_ns| due_ns > hall.now_ns));
}

#[test]
fn bybit_closes_private_connections_that_say_nothing_for_ten_minutes() {
    let mut hall = quiet(6);
    hall.step_ns = 500 * MS;
    let entrance = crate::serve::floor::Entrance { endpoint: Endpoint::Private, ..entrance(Venue::Bybit) };
    let index = hall.enter_by(entrance, Wire::new(16 << 20), &[]);
    let (after_s, close) = seconds_to_the_close(&mut hall, index, 700);
    assert_eq!((after_s, close), (600, closing(Venue::Bybit, Leave::Idle)));
    hall.close();
}
