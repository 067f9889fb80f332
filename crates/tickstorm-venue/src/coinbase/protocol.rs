//! Commands and acknowledgements. One channel a command; the acknowledgement lists all that the connection is
//! subscribed to.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize, Serializer};
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::time::time_text;
use super::values::{Fields, word};
use super::wire::Raw;
use crate::decoder::DecodeError;
use crate::encoder::Numbering;
use crate::json::{Value, quoted, read};
use crate::protocol::{Channel, Circumstances, Endpoint, Login, Refusal, Refused, Reply, Request, Topic};

/// Channels for market data are refused at the private endpoint. The public one has all of them.
pub(crate) fn read_request(listing: &Listing, bytes: &[u8], endpoint: Endpoint) -> Result<Request, Refused> {
    let refused = |refusal| Refused { id: None, refusal, topic: None, method: None };
    let command: Command<'_> = serde_json::from_slice(bytes).map_err(|error| refused(no_json(&error)))?;
    let method = command.kind.ok_or_else(|| refused(Refusal::MissingField { field: "type" }))?;
    let refused = |refusal| Refused { method: Some(quoted(&method)), ..refused(refusal) };
    if method != "subscribe" && method != "unsubscribe" {
        return Err(refused(Refusal::UnknownMethod { found: quoted(&method) }));
    }
    let name = command.channel.ok_or_else(|| refused(Refusal::MissingField { field: "channel" }))?;
    let refused = |refusal| Refused { topic: Some(quoted(&name)), ..refused(refusal) };
    let offer = OFFERS.iter().find(|offer| offer.name == name);
    let offer = offer.ok_or_else(|| refused(Refusal::UnknownChannel { name: quoted(&name) }))?;
    if endpoint == Endpoint::Private && !matches!(offer.channel, Channel::User | Channel::Heartbeats) {
        return Err(refused(Refusal::WrongEndpoint));
    }
    let products = command.product_ids.unwrap_or_default();
    let topic = |symbol| Topic { channel: offer.channel, symbol, name: offer.name.to_owned() };
    let topics: Vec<Topic> = match offer.products {
        Products::None => vec![topic(None)],
        Products::Any if products.is_empty() => vec![topic(None)],
        Products::Some if products.is_empty() => {
            return Err(refused(Refusal::MissingField { field: "product_ids" }));
        }
        Products::Any | Products::Some => find_products(listing, &products)
            .map_err(|name| refused(Refusal::UnknownSymbol { name: quoted(name) }))?
            .into_iter()
            .map(|symbol| topic(Some(symbol)))
            .collect(),
    };
    let login = command.jwt.map(|jwt| Login { signature: jwt.into_owned(), ..Login::default() });
    Ok(match &*method {
        "subscribe" => Request::Subscribe { id: None, topics, snapshot: None, fills: None, login },
        _ => Request::Unsubscribe { id: None, topics },
    })
}

/// Topics must be of one channel. A client has no choice about snapshots: they come.
pub(crate) fn write_request(listing: &Listing, request: &Request, out: &mut Vec<u8>) -> bool {
    let (kind, topics, login) = match request {
        Request::Subscribe {
            topics, snapshot: None | Some(true), fills: None | Some(false), login, ..
        } => ("subscribe", topics, login.as_ref()),
        Request::Unsubscribe { topics, .. } => ("unsubscribe", topics, None),
        _ => return false,
    };
    let Some(offer) = topics.first().and_then(|topic| offer_of(topic.channel)) else { return false };
    let products: Vec<String> =
        topics.iter().filter_map(|topic| Some(product(listing, listing.instrument(topic.symbol?)))).collect();
    let complete = match offer.products {
        Products::None => products.is_empty(),
        Products::Any => products.is_empty() || products.len() == topics.len(),
        Products::Some => products.len() == topics.len(),
    };
    if !complete || topics.iter().any(|topic| topic.channel != offer.channel) {
        return false;
    }
    let command = Command {
        kind: Some(kind.into()),
        product_ids: (!products.is_empty()).then(|| products.into_iter().map(Cow::Owned).collect()),
        channel: Some(offer.name.into()),
        jwt: login.map(|login| login.signature.as_str().into()),
    };
    serde_json::to_writer(out, &command).expect("a Vec takes everything");
    true
}

/// Errors have no envelope and no number.
pub(crate) fn write_reply(
    listing: &Listing,
    reply: &Reply,
    circumstances: &Circumstances,
    numbering: &mut Numbering,
    send: &mut dyn FnMut(&[u8]),
) {
    let now = circumstances.now_unix_ns;
    let message = match reply {
        Reply::Subscribed { all, .. }
        | Reply::Unsubscribed { all, .. }
        | Reply::Subscriptions { all, .. } => {
            let subscriptions = Subscriptions(listed(listing, all));
            frame("subscriptions", now, numbering, AckEvent { subscriptions })
        }
        Reply::Heartbeat { count } => {
            let event = HeartbeatEvent { current_time: go_time(now, *count), heartbeat_counter: *count };
            frame("heartbeats", now, numbering, event)
        }
        Reply::Refused(refused) => json(&ErrorMessage { kind: "error", message: refusal_text(refused) }),
        Reply::Pong { .. }
        | Reply::LoggedIn { .. }
        | Reply::Called { .. }
        | Reply::Session { .. }
        | Reply::Combined { .. }
        | Reply::Greeting
        | Reply::ClosingSoon => return,
    };
    send(&message);
}

/// Whether an acknowledgement is for a subscription or its end, the venue does not tell. The text of an error that
/// is not known counts as a wrong value of the request.
pub(crate) fn read_reply(listing: &Listing, bytes: &[u8]) -> Result<Option<Reply>, DecodeError> {
    let (message, frame) = read::<ReplyFrame<'_>>(bytes)?;
    let fields = Fields { message, event: "frame" };
    let Some(channel) = frame.channel else {
        let Some(kind) = frame.kind else { return Ok(None) };
        if Value::new(message, "type", kind).string()? != "error" {
            return Ok(None);
        }
        let text = fields.get("message", frame.message)?.string()?;
        return Ok(Some(Reply::Refused(read_refusal(&text))));
    };
    let mut reply = None;
    match &*Value::new(message, "channel", channel).string()? {
        "subscriptions" => {
            let mut all = Vec::new();
            fields.get("events", frame.events)?.elements(|event: ReadAckEvent<'_>| {
                for (channel, products) in event.subscriptions {
                    read_topics(listing, &channel, &products, &mut all)?;
                }
                Ok(())
            })?;
            reply = Some(Reply::Subscriptions { id: None, all });
        }
        "heartbeats" => fields.get("events", frame.events)?.elements(|event: ReadHeartbeatEvent<'_>| {
            let fields = Fields { message, event: "heartbeat" };
            let count = fields.get("heartbeat_counter", event.heartbeat_counter)?;
            // The documentation's prose has a text.
            let count = count.number().or_else(|error| {
                word(count, |text| text.parse().ok(), "a whole number").map_err(|_| error)
            })?;
            reply = Some(Reply::Heartbeat { count });
            Ok(())
        })?,
        _ => {}
    }
    Ok(reply)
}

/// A channel of the venue.
struct Offer {
    name: &'static str,
    channel: Channel,
    products: Products,
}

/// Which products a subscription names.
enum Products {
    /// None.
    None,
    /// None for all of them.
    Any,
    /// One at least.
    Some,
}

const OFFERS: [Offer; 7] = [
    Offer { name: "level2", channel: Channel::Book { depth: 0 }, products: Products::Some },
    Offer { name: "market_trades", channel: Channel::Trades, products: Products::Some },
    Offer { name: "ticker", channel: Channel::Tickers, products: Products::Some },
    Offer { name: "ticker_batch", channel: Channel::ShortTickers, products: Products::Some },
    Offer { name: "user", channel: Channel::User, products: Products::Any },
    Offer { name: "status", channel: Channel::Instruments, products: Products::Any },
    Offer { name: HEARTBEATS, channel: Channel::Heartbeats, products: Products::None },
];

const HEARTBEATS: &str = "heartbeats";

/// Who has subscribed to his own orders; the venue repeats the client's own id, which means nothing here.
const USER: &str = "00000000-0000-0000-0000-000000000000";

fn offer_of(channel: Channel) -> Option<&'static Offer> {
    OFFERS.iter().find(|offer| offer.channel == channel)
}

fn no_json(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let problem = quoted(text.split(" at line ").next().unwrap_or(&text));
    Refusal::NoJson { line: error.line(), column: error.column(), problem }
}

/// The symbols of products in their order, each once; or the first name that is no product's.
pub(super) fn find_products<'a>(
    listing: &Listing,
    names: &'a [Cow<'_, str>],
) -> Result<Vec<SymbolId>, &'a str> {
    // Requests may name thousands, and the listing may have thousands: each is walked through once.
    let mut wanted: HashMap<&str, Option<SymbolId>> = names.iter().map(|name| (&**name, None)).collect();
    let mut name = String::new();
    for instrument in listing.instruments.iter() {
        name.clear();
        name.extend([listing.asset(instrument.base), "-", listing.asset(instrument.quote)]);
        if let Some(symbol) = wanted.get_mut(name.as_str()) {
            *symbol = Some(instrument.id);
        }
    }
    let mut found = Vec::with_capacity(wanted.len());
    for name in names {
        match wanted.remove(&**name) {
            Some(Some(symbol)) => found.push(symbol),
            Some(None) => return Err(name),
            // Named before.
            None => {}
        }
    }
    Ok(found)
}

pub(super) fn product(listing: &Listing, instrument: &Instrument) -> String {
    crate::Venue::Coinbase.symbol(listing, instrument)
}

/// Channels by name, each with its products in the order of the subscriptions.
fn listed(listing: &Listing, topics: &[Topic]) -> Vec<(&'static str, Vec<String>)> {
    let mut offers: Vec<&Offer> = OFFERS.iter().collect();
    offers.sort_unstable_by_key(|offer| offer.name);
    let products = |offer: &Offer| -> Vec<String> {
        let topics = topics.iter().filter(|topic| topic.channel == offer.channel);
        let name = |topic: &Topic| match (offer.channel, topic.symbol) {
            (Channel::Heartbeats, _) => Some(HEARTBEATS.to_owned()),
            (Channel::User, _) => Some(USER.to_owned()),
            (_, symbol) => Some(product(listing, listing.instrument(symbol?))),
        };
        let mut names: Vec<String> = topics.filter_map(name).collect();
        names.dedup();
        names
    };
    let subscribed = |offer: &&Offer| topics.iter().any(|topic| topic.channel == offer.channel);
    offers.into_iter().filter(subscribed).map(|offer| (offer.name, products(offer))).collect()
}

fn read_topics(
    listing: &Listing,
    channel: &str,
    products: &[Cow<'_, str>],
    topics: &mut Vec<Topic>,
) -> Result<(), DecodeError> {
    let offer = OFFERS
        .iter()
        .find(|offer| offer.name == channel)
        .ok_or_else(|| DecodeError::UnknownEvent { event: quoted(channel), allowed: CHANNELS })?;
    let topic = |symbol| Topic { channel: offer.channel, symbol, name: offer.name.to_owned() };
    if products.is_empty() || matches!(offer.channel, Channel::User | Channel::Heartbeats) {
        topics.push(topic(None));
        return Ok(());
    }
    let symbols = find_products(listing, products)
        .map_err(|name| DecodeError::UnknownSymbol { symbol: quoted(name) })?;
    topics.extend(symbols.into_iter().map(|symbol| topic(Some(symbol))));
    Ok(())
}

const CHANNELS: &str = "level2, market_trades, ticker, ticker_batch, user, status, heartbeats";

fn frame<E: Serialize>(
    channel: &'static str,
    now_unix_ns: u64,
    numbering: &mut Numbering,
    event: E,
) -> Vec<u8> {
    let sequence_num = numbering.frames;
    numbering.frames += 1;
    json(&Frame { channel, timestamp: time_text(now_unix_ns), sequence_num, events: [event] })
}

fn json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("texts and numbers are always JSON")
}

/// As Go writes a time with its monotonic part, which here says how many seconds of heartbeats there were.
fn go_time(unix_ns: u64, seconds: u64) -> String {
    let text = time_text(unix_ns).replace('T', " ").replace('Z', " +0000 UTC");
    format!("{text} m=+{seconds}.000000000")
}

/// What the venue's own texts are is documented for failed logins alone.
fn refusal_text(refused: &Refused) -> String {
    match &refused.refusal {
        Refusal::NoJson { line, column, problem } => {
            format!("malformed request at line {line} column {column}: {problem}")
        }
        Refusal::UnknownMethod { found } => format!("{UNKNOWN_METHOD}{found}"),
        Refusal::MissingField { field } => format!("{MISSING_FIELD}{field}"),
        Refusal::WrongValue { found, .. } => found.clone(),
        Refusal::UnknownChannel { name } => format!("{UNKNOWN_CHANNEL}{name}"),
        Refusal::UnknownSymbol { name } => format!("{UNKNOWN_PRODUCT}{name}"),
        Refusal::UnknownDepth { depth } => format!("level2 has no depth {depth}"),
        Refusal::AlreadySubscribed => ALREADY_SUBSCRIBED.to_owned(),
        Refusal::NotSubscribed => NOT_SUBSCRIBED.to_owned(),
        Refusal::TooMany { limit } => format!("more than {limit} subscriptions"),
        Refusal::TooFrequent => TOO_FREQUENT.to_owned(),
        Refusal::NotLoggedIn | Refusal::LoginFailed | Refusal::Access(_) => LOGIN_FAILED.to_owned(),
        Refusal::WrongEndpoint => WRONG_ENDPOINT.to_owned(),
    }
}

fn read_refusal(text: &str) -> Refused {
    let rest = |prefix| text.strip_prefix(prefix).map(str::to_owned);
    let refusal = match text {
        LOGIN_FAILED => Refusal::LoginFailed,
        ALREADY_SUBSCRIBED => Refusal::AlreadySubscribed,
        NOT_SUBSCRIBED => Refusal::NotSubscribed,
        TOO_FREQUENT => Refusal::TooFrequent,
        WRONG_ENDPOINT => Refusal::WrongEndpoint,
        _ => rest(UNKNOWN_METHOD)
            .map(|found| Refusal::UnknownMethod { found })
            .or_else(|| rest(UNKNOWN_CHANNEL).map(|name| Refusal::UnknownChannel { name }))
            .or_else(|| rest(UNKNOWN_PRODUCT).map(|name| Refusal::UnknownSymbol { name }))
            .unwrap_or_else(|| Refusal::WrongValue { field: "request", found: text.to_owned() }),
    };
    Refused { id: None, refusal, topic: None, method: None }
}

const LOGIN_FAILED: &str = "authentication failure";
const ALREADY_SUBSCRIBED: &str = "already subscribed";
const NOT_SUBSCRIBED: &str = "not subscribed";
const TOO_FREQUENT: &str = "rate limit exceeded";
const WRONG_ENDPOINT: &str = "channel is not available on this endpoint";
const UNKNOWN_METHOD: &str = "unknown type: ";
const UNKNOWN_CHANNEL: &str = "unknown channel: ";
const UNKNOWN_PRODUCT: &str = "unknown product: ";
const MISSING_FIELD: &str = "missing field: ";

#[derive(Serialize, Deserialize)]
struct Command<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    product_ids: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    jwt: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Frame<E> {
    channel: &'static str,
    timestamp: String,
    sequence_num: u64,
    events: [E; 1],
}

#[derive(Serialize)]
struct AckEvent {
    subscriptions: Subscriptions,
}

/// Written as an object in this order.
struct Subscriptions(Vec<(&'static str, Vec<String>)>);

impl Serialize for Subscriptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(channel, products)| (channel, products)))
    }
}

#[derive(Serialize)]
struct HeartbeatEvent {
    current_time: String,
    heartbeat_counter: u64,
}

#[derive(Serialize)]
struct ErrorMessage {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
}

#[derive(Deserialize)]
struct ReplyFrame<'a> {
    #[serde(borrow)]
    channel: Raw<'a>,
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    events: Raw<'a>,
}

#[derive(Deserialize)]
struct ReadAckEvent<'a> {
    #[serde(borrow)]
    subscriptions: std::collections::BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
struct ReadHeartbeatEvent<'a> {
    #[serde(borrow)]
    heartbeat_counter: Raw<'a>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{START_UNIX_NS, listing};

    const SUBSCRIBE: &str = include_str!("../../../../testdata/coinbase/subscribe.json");
    const UNSUBSCRIBE: &str = include_str!("../../../../testdata/coinbase/unsubscribe.json");
    const SUBSCRIPTIONS: &str = include_str!("../../../../testdata/coinbase/subscriptions.json");
    const ERROR: &str = include_str!("../../../../testdata/coinbase/error.json");
    const HEARTBEATS_FRAME: &str = include_str!("../../../../testdata/coinbase/heartbeats.json");

    /// The examples are about BTC and ETH; the second is called so here.
    fn pair() -> Listing {
        let mut listing = listing();
        std::sync::Arc::make_mut(&mut listing.assets)[2] = "ETH".to_owned();
        listing
    }

    fn topic(name: &'static str, symbol: Option<u32>) -> Topic {
        let offer = OFFERS.iter().find(|offer| offer.name == name).unwrap();
        Topic { channel: offer.channel, symbol: symbol.map(SymbolId), name: name.to_owned() }
    }

    fn request(text: &str) -> Result<Request, Refusal> {
        read_request(&pair(), text.as_bytes(), Endpoint::Public).map_err(|refused| refused.refusal)
    }

    fn written(request: &Request) -> Option<String> {
        let mut out = Vec::new();
        let told = write_request(&pair(), request, &mut out);
        assert_eq!(told, !out.is_empty());
        told.then(|| String::from_utf8(out).unwrap())
    }

    fn replied(reply: &Reply, frames: u64, now_unix_ns: u64) -> Vec<String> {
        let circumstances = Circumstances { now_unix_ns, connection: 1, endpoint: Endpoint::Public };
        let mut numbering = Numbering { frames, ..Numbering::default() };
        let mut sent = Vec::new();
        write_reply(&pair(), reply, &circumstances, &mut numbering, &mut |message| {
            sent.push(String::from_utf8(message.to_owned()).unwrap());
        });
        let numbered = sent.iter().filter(|message| message.contains("sequence_num")).count();
        assert_eq!(numbering.frames, frames + numbered as u64);
        sent
    }

    fn understood(text: &str) -> Option<Reply> {
        read_reply(&pair(), text.as_bytes()).unwrap()
    }

    #[test]
    fn the_commands_of_the_documentation_are_read_and_written_to_the_same_bytes() {
        let subscribe = Request::Subscribe {
            id: None,
            topics: vec![topic("level2", Some(0)), topic("level2", Some(1))],
            snapshot: None,
            fills: None,
            login: None,
        };
        let unsubscribe = Request::Unsubscribe { id: None, topics: vec![topic("level2", Some(1))] };
        for (text, meant) in [(SUBSCRIBE, subscribe), (UNSUBSCRIBE, unsubscribe)] {
            assert_eq!(request(text), Ok(meant.clone()));
            assert_eq!(written(&meant).as_deref(), Some(text.trim_end()));
        }
    }

    #[test]
    fn channels_without_products_and_tokens_are_read_and_written_to_the_same_bytes() {
        for (text, meant) in [
            (r#"{"type":"subscribe","channel":"heartbeats"}"#, vec![topic("heartbeats", None)]),
            (r#"{"type":"subscribe","channel":"user","jwt":"a.b.c"}"#, vec![topic("user", None)]),
            (
                r#"{"type":"subscribe","product_ids":["BTC-USDT"],"channel":"user","jwt":"a.b.c"}"#,
                vec![topic("user", Some(0))],
            ),
            (r#"{"type":"subscribe","channel":"status"}"#, vec![topic("status", None)]),
        ] {
            let Ok(Request::Subscribe { topics, login, .. }) = &request(text) else { panic!("{text}") };
            assert_eq!(*topics, meant);
            assert_eq!(
                login.as_ref().map(|login| login.signature.as_str()),
                text.contains("jwt").then_some("a.b.c")
            );
            assert_eq!(written(&request(text).unwrap()).as_deref(), Some(text));
        }
        let doubled = r#"{"type":"subscribe","product_ids":["BTC-USDT","BTC-USDT"],"channel":"ticker"}"#;
        let Ok(Request::Subscribe { topics, .. }) = request(doubled) else { panic!("{doubled}") };
        assert_eq!(topics, [topic("ticker", Some(0))]);
        let foreign = r#"{"type":"subscribe","product_ids":["BTC-USDT"],"channel":"heartbeats","x":[1]}"#;
        assert!(request(foreign).is_ok());
    }

    #[test]
    fn requests_that_the_venue_does_not_know_are_not_written() {
        let topics = vec![topic("level2", Some(0)), topic("ticker", Some(0))];
        let subscribe =
            |topics, snapshot| Request::Subscribe { id: None, topics, snapshot, fills: None, login: None };
        for request in [
            Request::Ping { id: None },
            Request::List { id: None },
            Request::Login { id: None, login: Login::default() },
            subscribe(topics, None),
            subscribe(vec![], None),
            subscribe(vec![topic("level2", None)], None),
            subscribe(vec![topic("heartbeats", Some(0))], None),
            subscribe(vec![topic("level2", Some(0))], Some(false)),
            subscribe(vec![Topic { channel: Channel::Book { depth: 10 }, ..topic("level2", Some(0)) }], None),
        ] {
            assert_eq!(written(&request), None, "{request:?}");
        }
    }

    #[test]
    fn wrong_requests_are_refused_with_the_reason() {
        let text = |text: &str| text.to_owned();
        for (request_text, refusal) in [
            ("", Refusal::NoJson { line: 1, column: 0, problem: text("EOF while parsing a value") }),
            ("{}", Refusal::MissingField { field: "type" }),
            (r#"{"type":"ping"}"#, Refusal::UnknownMethod { found: text("ping") }),
            (r#"{"type":"subscribe"}"#, Refusal::MissingField { field: "channel" }),
            (
                r#"{"type":"subscribe","channel":"candles"}"#,
                Refusal::UnknownChannel { name: text("candles") },
            ),
            (r#"{"type":"subscribe","channel":"level2"}"#, Refusal::MissingField { field: "product_ids" }),
            (
                r#"{"type":"subscribe","channel":"level2","product_ids":[]}"#,
                Refusal::MissingField { field: "product_ids" },
            ),
            (
                r#"{"type":"subscribe","channel":"level2","product_ids":["X-Y"]}"#,
                Refusal::UnknownSymbol { name: text("X-Y") },
            ),
        ] {
            assert_eq!(request(request_text), Err(refusal), "{request_text}");
        }
        assert!(matches!(request(r#"{"type":7}"#), Err(Refusal::NoJson { .. })));
        let market = |endpoint| read_request(&pair(), SUBSCRIBE.as_bytes(), endpoint);
        let refused = market(Endpoint::Private).unwrap_err();
        assert_eq!(refused.refusal, Refusal::WrongEndpoint);
        assert_eq!(
            (refused.method.as_deref(), refused.topic.as_deref()),
            (Some("subscribe"), Some("level2"))
        );
    }

    #[test]
    fn acknowledgements_list_everything_that_is_subscribed_to() {
        let all = vec![topic("level2", Some(0)), topic("level2", Some(1))];
        let start = START_UNIX_NS as u64;
        for reply in [
            Reply::Subscribed {
                id: None,
                topics: vec![topic("level2", Some(1))],
                all: all.clone(),
                snapshot: None,
            },
            Reply::Unsubscribed { id: None, topics: vec![], all: all.clone() },
        ] {
            assert_eq!(replied(&reply, 3, start + 120_455_013), [SUBSCRIPTIONS.trim_end()]);
        }
        assert_eq!(understood(SUBSCRIPTIONS), Some(Reply::Subscriptions { id: None, all }));
        let none = Reply::Unsubscribed { id: None, topics: vec![topic("user", None)], all: vec![] };
        let expected = r#"{"channel":"subscriptions","timestamp":"2026-11-23T08:00:00Z","sequence_num":0,"events":[{"subscriptions":{}}]}"#;
        assert_eq!(replied(&none, 0, start), [expected]);
    }

    #[test]
    fn acknowledgements_sort_channels_by_name_and_name_something_in_each() {
        let all = vec![
            topic("user", None),
            topic("ticker", Some(1)),
            topic("heartbeats", None),
            topic("status", None),
        ];
        let [text] = &replied(&Reply::Subscriptions { id: None, all: all.clone() }, 0, 0)[..] else {
            panic!("one")
        };
        let expected = r#"{"subscriptions":{"heartbeats":["heartbeats"],"status":[],"ticker":["ETH-USDT"],"user":["00000000-0000-0000-0000-000000000000"]}}"#;
        assert!(text.contains(expected), "{text}");
        let Some(Reply::Subscriptions { all: mut read, .. }) = understood(text) else { panic!("{text}") };
        let place = |topic: &Topic| all.iter().position(|it| it == topic);
        read.sort_by_key(place);
        assert_eq!(read, all);
    }

    #[test]
    fn heartbeats_count_and_tell_the_time() {
        let reply = Reply::Heartbeat { count: 3 };
        assert_eq!(understood(HEARTBEATS_FRAME), Some(reply.clone()));
        assert_eq!(understood(&HEARTBEATS_FRAME.replace(":3}", ":\"3\"}")), Some(reply.clone()));
        let expected = HEARTBEATS_FRAME.trim_end().replace(
            "08:00:01.000101 +0000 UTC m=+5012.000000001",
            "08:00:01.000120881 +0000 UTC m=+3.000000000",
        );
        assert_eq!(replied(&reply, 9, START_UNIX_NS as u64 + 1_000_120_881), [expected]);
    }

    #[test]
    fn errors_have_no_number_and_read_back_where_their_text_says_enough() {
        let refused = |refusal| Refused { id: None, refusal, topic: None, method: None };
        let login_failed = Reply::Refused(refused(Refusal::LoginFailed));
        assert_eq!(replied(&login_failed, 7, 0), [ERROR.trim_end()]);
        assert_eq!(understood(ERROR), Some(login_failed));
        for refusal in [
            Refusal::UnknownMethod { found: "ping".to_owned() },
            Refusal::UnknownChannel { name: "candles".to_owned() },
            Refusal::UnknownSymbol { name: "X-Y".to_owned() },
            Refusal::WrongValue { field: "request", found: "nonsense".to_owned() },
            Refusal::AlreadySubscribed,
            Refusal::NotSubscribed,
            Refusal::TooFrequent,
            Refusal::WrongEndpoint,
        ] {
            let reply = Reply::Refused(refused(refusal));
            let [text] = &replied(&reply, 7, 0)[..] else { panic!("one message") };
            assert_eq!(understood(text), Some(reply));
        }
    }

    #[test]
    fn what_the_venue_does_not_say_is_not_sent_and_what_is_no_reply_is_none() {
        for reply in
            [Reply::Pong { id: None }, Reply::LoggedIn { id: None }, Reply::Greeting, Reply::ClosingSoon]
        {
            assert_eq!(replied(&reply, 0, 0), [""; 0]);
        }
        for text in ["{}", r#"{"type":"x"}"#, r#"{"channel":"l2_data","events":[]}"#] {
            assert_eq!(understood(text), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_requests_and_replies_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            example in prop::sample::select(vec![SUBSCRIBE, SUBSCRIPTIONS, ERROR, HEARTBEATS_FRAME]),
            at: prop::sample::Index,
            with: u8,
        ) {
            let mut damaged = example.as_bytes().to_vec();
            let at = at.index(damaged.len());
            damaged[at] = with;
            for bytes in [&bytes, &damaged] {
                let _ = read_request(&pair(), bytes, Endpoint::Public);
                let _ = read_reply(&pair(), bytes);
            }
        }
    }
}
