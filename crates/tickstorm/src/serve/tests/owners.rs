//! Clients of accounts: what they are told first, and that what follows continues it.

use std::collections::BTreeMap;

use serde_json::Value;
use tickstorm_load::Rate;
use tickstorm_market::{AccountId, SymbolId};
use tickstorm_net::frame::{FrameReader, Incoming, Role};
use tickstorm_venue::{
    Venue,
    protocol::{Channel, Endpoint, Login, Request, RequestId, Topic},
};

use super::{
    caller::Caller,
    hall::{Hall, MS, STARTS_NS, entrance, market},
    wire::Wire,
};
use crate::{
    Spec,
    serve::{ApiKey, ServeSpec, floor::Entrance},
};

/// A market of so many instruments, and keys of an account that trades every 64th of them.
fn hall(symbols: u32) -> Hall {
    let key = |venue| ApiKey::new(venue, "key".into(), "c2VjcmV0".into(), Some("phrase".into()), 0);
    // Coinbase's and Binance's keys are not needed: who comes in has logged in.
    let keys = vec![key(Venue::Kraken), key(Venue::Okx), key(Venue::Bybit)];
    let base_rate = Rate::per_second(2_000 * u64::from(symbols.div_ceil(8))).expect("it is a rate");
    let spec = Spec { symbols, base_rate, ..market(31) };
    Hall::open(&spec, ServeSpec { keys, ..ServeSpec::default() }, 0)
}

/// Somebody who has logged in to account 0.
fn enter(hall: &mut Hall, venue: Venue) -> usize {
    let entrance = Entrance { endpoint: Endpoint::Private, ..entrance(venue) };
    let index = hall.enter_by(entrance, Wire::new(16 << 20), &[]);
    let key = hall.callers[index].key;
    hall.floor.become_owner(key, AccountId(0), &[]);
    index
}

/// Everything that was said to a client, in its order.
fn texts(caller: &Caller) -> Vec<Value> {
    let mut reader = FrameReader::new(Role::Client, 64 << 20);
    reader.push(&caller.heard.bytes);
    let mut texts = Vec::new();
    while let Some(incoming) = reader.next().expect("an exchange speaks WebSocket") {
        if let Incoming::Message(text) = incoming {
            texts.push(serde_json::from_slice(text).expect("venues speak JSON"));
        }
    }
    texts
}

/// What is not filled yet of each open order, as a client knows it that adds up what it is told. Orders that were not in
/// the snapshot and are not new are unknown to it.
fn followed(venue: Venue, texts: &[Value]) -> BTreeMap<String, String> {
    let mut open: Option<BTreeMap<String, String>> = None;
    for text in texts {
        let (kind, orders, names) = match venue {
            Venue::Kraken if text["channel"] == "executions" => {
                (&text["type"], &text["data"], ["order_status", "cum_qty"])
            }
            Venue::Coinbase if text["channel"] == "user" => {
                let event = &text["events"][0];
                (&event["type"], &event["orders"], ["status", "leaves_quantity"])
            }
            _ => continue,
        };
        if kind == "snapshot" {
            open.get_or_insert_default();
        }
        let open = open.as_mut().expect("the snapshot comes first");
        for order in orders.as_array().expect("a list") {
            let id = order["order_id"].as_str().expect("a name").to_owned();
            let [status, filled] = names.map(|name| order[name].to_string());
            let is_known = kind == "snapshot" || ["new", "OPEN"].iter().any(|new| status.contains(new));
            assert!(is_known || open.contains_key(&id), "{order} comes from nowhere");
            match status.trim_matches('"').to_lowercase().as_str() {
                "filled" | "canceled" | "cancelled" => drop(open.remove(&id)),
                _ => drop(open.insert(id, filled)),
            }
        }
    }
    open.expect("there is a snapshot")
}

#[test]
fn who_comes_late_knows_the_same_open_orders_as_who_was_there_from_the_start() {
    for venue in [Venue::Kraken, Venue::Coinbase] {
        let mut hall = hall(3);
        let mut clients = Vec::new();
        for span_ms in [0, 3_000, 2_345] {
            hall.run(span_ms * MS);
            let index = enter(&mut hall, venue);
            let topics = match venue {
                Venue::Kraken => vec![topic(Channel::Orders)],
                _ => vec![topic(Channel::User)],
            };
            subscribe(&mut hall, index, topics, None);
            clients.push(index);
        }
        hall.run(STARTS_NS + 4_000 * MS);
        hall.settle();
        let known: Vec<_> =
            clients.iter().map(|&index| followed(venue, &texts(&hall.callers[index]))).collect();
        assert!(known[0].len() > 1, "{venue}: {known:?}");
        assert_eq!((&known[0], &known[0]), (&known[1], &known[2]), "{venue}");
        let outcome = hall.close();
        for index in clients {
            assert_eq!(outcome.callers[index].heard.faults, [""; 0], "{venue}: every number counts on");
        }
    }
}

fn topic(channel: Channel) -> Topic {
    Topic { channel, symbol: None, name: String::new() }
}

/// Subscribes; at Kraken with the token that the request needs.
fn subscribe(hall: &mut Hall, index: usize, topics: Vec<Topic>, fills: Option<bool>) {
    let caller = &hall.callers[index];
    let unix_ms = hall.floor.real_unix_ns(hall.now_ns) / MS;
    let token = hall.floor.keys[caller.venue as usize].token(AccountId(0), unix_ms);
    let is_kraken = caller.venue == Venue::Kraken;
    let login = token.filter(|_| is_kraken).map(|signature| Login { signature, ..Login::default() });
    let id = is_kraken.then(|| RequestId("1".to_owned()));
    hall.callers[index].ask(&Request::Subscribe { id, topics, snapshot: None, fills, login });
    hall.attend();
    hall.attend();
}

#[test]
fn the_last_fills_come_in_the_snapshot_to_who_wants_them() {
    let mut hall = hall(3);
    let early = enter(&mut hall, Venue::Kraken);
    subscribe(&mut hall, early, vec![topic(Channel::Orders)], None);
    hall.run(STARTS_NS + 5_000 * MS);
    let late = enter(&mut hall, Venue::Kraken);
    subscribe(&mut hall, late, vec![topic(Channel::Orders)], Some(true));
    let fills = |index: usize, kind: &str| {
        let texts = texts(&hall.callers[index]);
        let told = texts.iter().filter(|text| text["channel"] == "executions" && text["type"] == kind);
        let entries = told.flat_map(|text| text["data"].as_array().expect("a list").clone());
        entries.filter(|entry| entry["exec_type"] == "trade").collect::<Vec<_>>()
    };
    let happened = fills(early, "update");
    assert!(happened.len() > 5, "{}", happened.len());
    let last = happened.len().saturating_sub(50);
    assert_eq!(fills(late, "snapshot"), happened[last..], "with the times at which they were");
    hall.close();
}

#[test]
fn who_asks_for_some_products_is_told_of_those_alone() {
    let mut hall = hall(130);
    let listing = hall.plan.market().listing.clone();
    let [one, two, three] =
        [0, 64, 128].map(|symbol| Venue::Coinbase.symbol(&listing, listing.instrument(SymbolId(symbol))));
    hall.run(STARTS_NS + 3_000 * MS);
    let index = enter(&mut hall, Venue::Coinbase);
    let request = format!(r#"{{"type":"subscribe","channel":"user","product_ids":["{three}","{two}"]}}"#);
    hall.callers[index].say(request.as_bytes());
    let other = enter(&mut hall, Venue::Coinbase);
    hall.callers[other].say(br#"{"type":"subscribe","channel":"user"}"#);
    hall.run(3_000 * MS);
    hall.settle();
    let told = |index: usize| {
        let mut frames = texts(&hall.callers[index]);
        frames.retain(|text| text["channel"] == "user");
        let snapshots = frames.iter().filter(|text| text["events"][0]["type"] == "snapshot").count();
        assert_eq!(snapshots, 1, "one, however many products there are");
        let orders = frames.iter().flat_map(|text| text["events"][0]["orders"].as_array().expect("a list"));
        orders.cloned().collect::<Vec<_>>()
    };
    let mut all = told(other);
    let count = all.len();
    all.retain(|order| order["product_id"] != one);
    assert!((1..count).contains(&all.len()), "{} of {count} are of others", all.len());
    assert!(all.iter().any(|order| order["product_id"] == two), "{all:?}");
    assert_eq!(told(index), all);
    hall.close();
}

#[test]
fn orders_of_one_instrument_of_okx_are_those_alone() {
    let mut hall = hall(130);
    let listing = hall.plan.market().listing.clone();
    let name = Venue::Okx.symbol(&listing, listing.instrument(SymbolId(64)));
    let one = enter(&mut hall, Venue::Okx);
    let arg = format!(r#"{{"channel":"orders","instType":"SPOT","instId":"{name}"}}"#);
    hall.callers[one].say(format!(r#"{{"op":"subscribe","args":[{arg}]}}"#).as_bytes());
    let all = enter(&mut hall, Venue::Okx);
    subscribe(&mut hall, all, vec![topic(Channel::Orders)], None);
    hall.run(STARTS_NS + 5_000 * MS);
    hall.settle();
    let told = |index: usize| {
        let texts = texts(&hall.callers[index]).into_iter();
        let told = texts.filter(|text| text["arg"]["channel"] == "orders" && text["data"].is_array());
        told.map(|text| text["data"].clone()).collect::<Vec<_>>()
    };
    let mut expected = told(all);
    let count = expected.len();
    expected.retain(|orders| orders[0]["instId"] == name);
    assert!((1..count).contains(&expected.len()), "{} of {count}", expected.len());
    assert_eq!(told(one), expected);
    hall.close();
}
