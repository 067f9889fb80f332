//! Writes the seeds of `fuzz/corpus` that follow from our own wording anew: `cargo run -p tickstorm-fuzz --example seeds`.
//! Those from `testdata` and those of faults that were found stay as they are.

use std::error::Error;
use std::fs;

use tickstorm_fuzz::{Target, fuzz_folder, listing};
use tickstorm_market::{AccountId, Kind, Listing, MarketSpec, Message, ShardMarket, Snapshot, SymbolId};
use tickstorm_net::frame::{self, Opcode};
use tickstorm_random::Seed;
use tickstorm_venue::decoded::AssetBalance;
use tickstorm_venue::normalised::{Format, Head, Writer};
use tickstorm_venue::protocol::{Channel, Circumstances, Endpoint, Login, Reply, Request, RequestId, Topic};
use tickstorm_venue::rest::{Call, Facts};
use tickstorm_venue::{Encoder, Numbering, Protocol, Rest, Venue};

fn main() -> Result<(), Box<dyn Error>> {
    let market = Market::new()?;
    for venue in Venue::ALL {
        let stream = stream(venue, &market);
        write(Target::Decode(venue), "ours_stream", &stream)?;
        write(Target::Sniff, &format!("ours_{venue}"), &stream)?;
        write(Target::Check, &format!("ours_{venue}"), &stream)?;
        let mut list = Vec::new();
        Encoder::new(venue, &listing(), START_UNIX_NS).instruments(0, &mut Numbering::default(), &mut list);
        write(Target::Instruments(venue), "ours_list", &list)?;
        requests(venue)?;
        calls(venue, &market)?;
    }
    for format in Format::ALL {
        let stream = records(format, &market);
        write(Target::Reader(format), "ours_stream", &stream)?;
        write(Target::Check, &format!("ours_{format}"), &stream)?;
    }
    frames(&market)
}

fn write(target: Target, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = fuzz_folder().join("corpus").join(target.name());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// A market's beginning with something of every kind, few levels deep.
struct Market {
    snapshots: Vec<Snapshot>,
    messages: Vec<Message>,
}

impl Market {
    fn new() -> Result<Self, Box<dyn Error>> {
        // A market refuses steps as large as the others'.
        let listing = listing();
        let some = Listing { instruments: listing.instruments[..3].into(), assets: listing.assets };
        let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(1), some) };
        let mut market = ShardMarket::new(&spec, 0)?;
        let mut snapshots = market.snapshots();
        for snapshot in &mut snapshots {
            snapshot.bids.truncate(5);
            snapshot.asks.truncate(5);
        }
        let mut messages: Vec<Message> = Vec::new();
        for number in 0..100_000 {
            let message = *market.next(number * 700_000);
            let kind = message.body.kind();
            if messages.iter().filter(|known| known.body.kind() == kind).count() < A_KIND {
                messages.push(message);
            }
        }
        assert!(messages.len() >= Kind::ALL.len(), "a long stream has something of nearly every kind");
        Ok(Self { snapshots, messages })
    }
}

const A_KIND: usize = 3;

fn stream(venue: Venue, market: &Market) -> Vec<u8> {
    let mut encoder = Encoder::new(venue, &listing(), START_UNIX_NS);
    let mut numbering = Numbering::default();
    let mut out = Vec::new();
    encoder.instruments(0, &mut numbering, &mut out);
    for snapshot in market.snapshots.iter().take(2) {
        out.push(b'\n');
        encoder.snapshot(snapshot, 0, &mut numbering, &mut out);
    }
    for message in &market.messages {
        out.push(b'\n');
        if !encoder.encode(message, &mut numbering, &mut out) {
            out.pop();
        }
    }
    out
}

fn requests(venue: Venue) -> Result<(), Box<dyn Error>> {
    let listing = listing();
    let protocol = Protocol::new(venue, &listing);
    let id = || Some(RequestId("7".to_owned()));
    let channels = [
        Channel::Book { depth: 0 },
        Channel::Book { depth: 10 },
        Channel::Book { depth: 50 },
        Channel::TopOfBook { depth: 5 },
        Channel::Trades,
        Channel::AggregateTrades,
        Channel::Quotes,
        Channel::Tickers,
        Channel::ShortTickers,
        Channel::Orders,
        Channel::Fills,
        Channel::Balances,
        Channel::User,
        Channel::Instruments,
        Channel::Heartbeats,
    ];
    let topic = |channel| Topic { channel, symbol: Some(SymbolId(0)), name: String::new() };
    let login = Login {
        key: "key".to_owned(),
        payload: "payload".to_owned(),
        signature: "c2lnbmF0dXJl".to_owned(),
        passphrase: Some("phrase".to_owned()),
        time_ms: Some(1_795_420_800_000),
    };
    let mut all: Vec<(String, Request)> = Vec::new();
    for channel in channels {
        let name = format!("{channel:?}").to_lowercase().replace([' ', '{', '}', ':'], "");
        let topics = vec![topic(channel)];
        let request = Request::Subscribe { id: id(), topics, snapshot: None, fills: None, login: None };
        all.push((format!("ours_subscribe_{name}"), request));
    }
    let topics = vec![topic(Channel::Trades)];
    all.push(("ours_unsubscribe".to_owned(), Request::Unsubscribe { id: id(), topics: topics.clone() }));
    all.push(("ours_list".to_owned(), Request::List { id: id() }));
    all.push(("ours_ping".to_owned(), Request::Ping { id: id() }));
    all.push(("ours_login".to_owned(), Request::Login { id: id(), login }));
    all.push(("ours_combined".to_owned(), Request::GetCombined { id: id() }));
    for (name, request) in &all {
        let mut out = Vec::new();
        if protocol.write_request(request, &mut out) {
            write(Target::Protocol(venue), name, &out)?;
        }
    }
    let circumstances =
        Circumstances { now_unix_ns: START_UNIX_NS as u64, connection: 7, endpoint: Endpoint::Public };
    let replies = [
        (
            "ours_subscribed",
            Reply::Subscribed { id: id(), topics: topics.clone(), all: topics, snapshot: None },
        ),
        ("ours_pong", Reply::Pong { id: id() }),
        ("ours_greeting", Reply::Greeting),
        ("ours_heartbeat", Reply::Heartbeat { count: 3 }),
        ("ours_closing", Reply::ClosingSoon),
    ];
    for (name, reply) in &replies {
        let mut written = Ok(());
        protocol.write_reply(reply, &circumstances, &mut Numbering::default(), |message| {
            written = write(Target::Protocol(venue), name, message);
        });
        written?;
    }
    Ok(())
}

fn calls(venue: Venue, market: &Market) -> Result<(), Box<dyn Error>> {
    let rest = Rest::new(venue, &listing());
    let balances = [AssetBalance {
        asset: tickstorm_market::AssetId(1),
        total_units: 100_000_000,
        locked_units: Some(1),
        change_units: None,
    }];
    let facts = Facts {
        now_unix_ns: START_UNIX_NS as u64,
        book: Some(&market.snapshots[0]),
        balances: Some((AccountId(1), &balances)),
        token: "token",
    };
    let calls = [
        ("ping", Call::Ping),
        ("time", Call::Time),
        ("status", Call::Status),
        ("instruments", Call::Instruments(Vec::new())),
        ("instrument", Call::Instruments(vec![SymbolId(0)])),
        ("assets", Call::Assets),
        ("depth", Call::Depth { symbol: SymbolId(0), limit: 100 }),
        ("balances", Call::Balances),
        ("token", Call::SocketToken),
    ];
    for (name, call) in &calls {
        let Some(path) = rest.path(call) else { continue };
        write(Target::Rest(venue), &format!("ours_{name}_call"), format!("GET {path}").as_bytes())?;
        let answer = rest.answer(call, &facts).body;
        write(Target::Rest(venue), &format!("ours_{name}_answer"), &answer)?;
        if matches!(call, Call::Instruments(_)) {
            write(Target::Instruments(venue), &format!("ours_rest_{name}"), &answer)?;
        }
    }
    Ok(())
}

fn records(format: Format, market: &Market) -> Vec<u8> {
    let writer = Writer::new(format);
    let mut out = Vec::new();
    writer.head(&Head { listing: listing(), start_unix_ns: START_UNIX_NS, shards: 1 }, &mut out);
    for snapshot in &market.snapshots {
        writer.snapshot(snapshot, &mut out);
    }
    for message in &market.messages {
        if let tickstorm_market::Body::Balance(balance) = &message.body {
            writer.opening_balance(balance, &mut out);
        }
    }
    for message in &market.messages {
        writer.message(message, &mut out);
    }
    out
}

fn frames(market: &Market) -> Result<(), Box<dyn Error>> {
    let lines = stream(Venue::Binance, market);
    for (name, mask) in [("ours_server", None), ("ours_client", Some([9, 8, 7, 0]))] {
        let mut out = Vec::new();
        for line in lines.split(|&byte| byte == b'\n').take(6) {
            frame::write(&mut out, Opcode::Text, line, mask);
        }
        frame::write(&mut out, Opcode::Ping, b"ping", mask);
        frame::write(&mut out, Opcode::Pong, b"", mask);
        if mask.is_none() {
            write(Target::Check, "ours_frames", &out)?;
        }
        frame::write(&mut out, Opcode::Close, b"\x03\xe8bye", mask);
        write(Target::Frames, name, &out)?;
    }
    // A message in three parts with a ping between them, and one that is longer than may be.
    write(Target::Frames, "fragments", b"\x01\x03abc\x89\x00\x00\x03def\x80\x01g\x81\x00")?;
    write(Target::Frames, "too_long", b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00abc")?;
    Ok(())
}

/// 2026-11-23T08:00:00Z
const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;
