//! Whatever clients do, and in whatever order: nothing panics, the books balance, and who is well behaved is served well.

use proptest::prelude::*;
use tickstorm_net::frame::Opcode;
use tickstorm_venue::{Venue, limits::LimitProfile, publisher::Publishing};

use super::{
    caller::Caller,
    hall::{Hall, MS, STARTS_NS, entrance, market},
    wire::{Fate, Wire},
};
use crate::serve::{ServeSpec, SlowClient};

/// Something that a client does, or that happens to it.
#[derive(Debug, Clone)]
enum Deed {
    Enter,
    Subscribe(usize),
    Unsubscribe(usize),
    /// Text that may be a request.
    Say(Vec<u8>),
    /// Bytes that may be a frame.
    Babble(Vec<u8>),
    Ping,
    TakeLeave,
    Stall,
    Resume,
    /// Its kernel takes so many bytes from now on.
    Narrow(usize),
    /// It reads so many bytes.
    Sip(usize),
    Vanish(Fate),
    Wait(u64),
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed)>> {
    let said = prop_oneof![
        prop::sample::select(&WORDS[..]).prop_map(|text: &str| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    let fate = prop_oneof![Just(Fate::Ended), Just(Fate::Broken), Just(Fate::HalfOpen)];
    let deed = prop_oneof![
        2 => Just(Deed::Enter),
        6 => (0usize..4).prop_map(Deed::Subscribe),
        3 => (0usize..4).prop_map(Deed::Unsubscribe),
        4 => said.prop_map(Deed::Say),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Deed::Babble),
        1 => Just(Deed::Ping),
        1 => Just(Deed::TakeLeave),
        3 => Just(Deed::Stall),
        3 => Just(Deed::Resume),
        2 => (0usize..20_000).prop_map(Deed::Narrow),
        2 => (0usize..20_000).prop_map(Deed::Sip),
        1 => fate.prop_map(Deed::Vanish),
        8 => (1u64..200).prop_map(Deed::Wait),
    ];
    prop::collection::vec((0usize..6, deed), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_clients_do_the_books_balance(
        deeds in deeds(),
        venue in prop::sample::select(&Venue::ALL[..]),
        is_realtime in any::<bool>(),
        slow_client in prop::sample::select(vec![SlowClient::Disconnect, SlowClient::Conflate, SlowClient::Drop]),
        limits in prop::sample::select(vec![LimitProfile::Off, LimitProfile::Venue]),
        measured_from_ms in 0u64..600,
        seed in 0u64..1_000,
    ) {
        let cadence = if is_realtime { Publishing::Realtime } else { Publishing::Venue };
        let serve = ServeSpec { cadence, slow_client, limits, client_queue: 64 << 10, ..ServeSpec::default() };
        let mut hall = Hall::open(&market(seed), serve, measured_from_ms * MS);
        let healthy = hall.enter(venue, 16 << 20);
        hall.callers[healthy].subscribe_to_all();
        hall.run(STARTS_NS);
        for (who, deed) in deeds {
            act(&mut hall, venue, who, deed);
        }
        hall.settle();
        hall.callers[healthy].check(|symbol| hall.truth(symbol));
        let outcome = hall.close();
        prop_assert_eq!(&outcome.callers[healthy].heard.faults, &[""; 0]);
        let tally = &outcome.of(healthy).tally;
        prop_assert_eq!((tally.dropped, tally.lost), (0, 0));
    }
}

/// One of the clients does something; the first only lives.
fn act(hall: &mut Hall, venue: Venue, who: usize, deed: Deed) {
    let others = hall.callers.len() - 1;
    match deed {
        Deed::Wait(ms) => return hall.run(ms * MS),
        Deed::Enter => {
            // Also those of other venues come through the same door.
            let venue = if who < 4 { venue } else { Venue::ALL[(venue as usize + who) % Venue::ALL.len()] };
            hall.enter_by(entrance(venue), Wire::new(64 << 10), &[]);
            return;
        }
        _ if others == 0 => return,
        _ => {}
    }
    let caller = &mut hall.callers[1 + who % others];
    let channels = Caller::channels(caller.venue);
    match deed {
        Deed::Enter | Deed::Wait(_) => {}
        Deed::Subscribe(which) => caller.subscribe(channels[which % channels.len()]),
        Deed::Unsubscribe(which) => caller.unsubscribe(channels[which % channels.len()]),
        Deed::Say(text) => caller.say(&text),
        Deed::Babble(bytes) => caller.say_bytes(&bytes),
        Deed::Ping => caller.say_frame(Opcode::Ping, b"are you there"),
        Deed::TakeLeave => caller.take_leave(),
        Deed::Stall => caller.is_reading = false,
        Deed::Resume => caller.is_reading = true,
        Deed::Narrow(capacity) => caller.wire.state().capacity = capacity,
        Deed::Sip(count) => caller.read_at_most(count),
        Deed::Vanish(fate) => caller.vanish(fate),
    }
}

/// What some venue understands, mostly.
const WORDS: [&str; 16] = [
    "{}",
    "ping",
    "[]",
    "null",
    r#"{"method":"SUBSCRIBE","params":["btcusdt@depth","btcusdt@depth@1000ms","btcusdt@depth"],"id":1}"#,
    r#"{"method":"SET_PROPERTY","params":["combined",true],"id":2}"#,
    r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#,
    r#"{"type":"subscribe","channel":"heartbeats"}"#,
    r#"{"type":"subscribe","channel":"user","jwt":"a.b.c"}"#,
    r#"{"type":"unsubscribe","product_ids":["BTC-USDT"],"channel":"level2"}"#,
    r#"{"method":"ping","req_id":4}"#,
    r#"{"method":"subscribe","params":{"channel":"instrument"}}"#,
    r#"{"op":"login","args":[{"apiKey":"k","passphrase":"p","timestamp":"1","sign":"s"}]}"#,
    r#"{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT"},{"channel":"books5","instId":"BTC-USDT"}]}"#,
    r#"{"op":"subscribe","args":["orderbook.1.BTCUSDT","orderbook.1.BTCUSDT"]}"#,
    r#"{"op":"ping"}"#,
];
