//! Commands and acknowledgements.
//!
//! A request is about one channel and any number of symbols; each of them is acknowledged by itself. The token of private
//! channels is a part of the request. Kraken's documentation of "Subscribe", "Ping", "Status" and "Heartbeat".

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;
use tickstorm_market::instrument::{Listing, SymbolId};

use super::RULES;
use super::encode::symbol_name;
use super::time::time_text;
use super::wire::{Reader, fields};
use crate::decoder::DecodeError;
use crate::json::{Value, quoted};
use crate::protocol::{
    Channel, Circumstances, Endpoint, Login, Refusal, Refused, Reply, Request, RequestId, Topic,
};

pub(crate) fn read_request(listing: &Listing, bytes: &[u8], endpoint: Endpoint) -> Result<Request, Refused> {
    let mut about = About::default();
    read(listing, bytes, endpoint, &mut about).map_err(|refusal| Refused {
        id: about.id,
        refusal,
        topic: about.topic,
        method: about.method,
    })
}

/// What an error answer repeats of the request, as far as it could be read.
#[derive(Default)]
struct About {
    id: Option<RequestId>,
    topic: Option<String>,
    method: Option<String>,
}

fn read(listing: &Listing, bytes: &[u8], endpoint: Endpoint, about: &mut About) -> Result<Request, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| Refusal::NoJson {
        line: 1,
        column: error.valid_up_to() + 1,
        problem: "the bytes are no text".to_owned(),
    })?;
    let request: WireRequest<'_> = serde_json::from_str(text).map_err(|error| no_json(&error))?;
    let reader = Reader { message: text };
    if let Some(value) = reader.find("req_id", request.req_id) {
        if value.raw().parse::<i64>().is_err() {
            return Err(wrong(value));
        }
        about.id = Some(RequestId(value.raw().to_owned()));
    }
    let method = string(need(reader, "method", request.method)?)?;
    about.method = Some(quoted(&method));
    let id = about.id.clone();
    match &*method {
        "ping" => return Ok(Request::Ping { id }),
        "subscribe" | "unsubscribe" => {}
        _ => return Err(Refusal::UnknownMethod { found: quoted(&method) }),
    }
    let params = need(reader, "params", request.params)?;
    let params: WireParams<'_> = params.read().map_err(|_| wrong(params))?;
    let topics = read_topics(listing, reader, &params, about)?;
    if method == "unsubscribe" {
        return Ok(Request::Unsubscribe { id, topics });
    }
    let private = topics.iter().any(|topic| matches!(topic.channel, Channel::Orders | Channel::Balances));
    if private && endpoint == Endpoint::Public {
        return Err(Refusal::WrongEndpoint);
    }
    let token = reader.find("token", params.token).map(string).transpose()?;
    let login = token.map(|token| Login { signature: token, ..Login::default() });
    if private && login.is_none() {
        return Err(Refusal::NotLoggedIn);
    }
    let wish = |field, raw| match reader.find(field, raw) {
        Some(value) => value.boolean().map(Some).map_err(|_| wrong(value)),
        None => Ok(None),
    };
    // `snapshot` is what executions once had for both.
    let plain = wish("snapshot", params.snapshot)?;
    let orders = wish("snap_orders", params.snap_orders)?;
    let fills = wish("snap_trades", params.snap_trades)?;
    let (snapshot, fills) = match topics.iter().any(|topic| topic.channel == Channel::Orders) {
        true => (orders.or(plain), fills),
        false => (plain, None),
    };
    Ok(Request::Subscribe { id, topics, snapshot, fills, login })
}

fn read_topics<'a>(
    listing: &Listing,
    reader: Reader<'a>,
    params: &WireParams<'a>,
    about: &mut About,
) -> Result<Vec<Topic>, Refusal> {
    let name = string(need(reader, "channel", params.channel)?)?;
    let channel = match &*name {
        "book" => Channel::Book { depth: read_depth(reader, params)? },
        "trade" => Channel::Trades,
        "ticker" => match reader.find("event_trigger", params.event_trigger) {
            None => Channel::Tickers,
            Some(value) => match &*string(value)? {
                "trades" => Channel::Tickers,
                "bbo" => Channel::Quotes,
                _ => return Err(wrong(value)),
            },
        },
        "instrument" => Channel::Instruments,
        "executions" => Channel::Orders,
        "balances" => Channel::Balances,
        "heartbeat" => Channel::Heartbeats,
        _ => return Err(Refusal::UnknownChannel { name: quoted(&name) }),
    };
    if !has_symbols(channel) {
        return Ok(vec![topic(listing, channel, None)]);
    }
    let symbols = need(reader, "symbol", params.symbol)?;
    let known: HashMap<String, SymbolId> = listing
        .instruments
        .iter()
        .map(|instrument| (symbol_name(listing, instrument), instrument.id))
        .collect();
    let (mut topics, mut refusal) = (Vec::new(), None);
    let read = symbols.elements(|raw: &RawValue| {
        let value = Value::new(reader.message, "symbol", raw);
        match string(value).map(|name| (known.get(&name), name)) {
            Ok((Some(&symbol), _)) => topics.push(topic(listing, channel, Some(symbol))),
            Ok((None, name)) => {
                about.topic.get_or_insert_with(|| quoted(&name));
                refusal.get_or_insert(Refusal::UnknownSymbol { name: quoted(&name) });
            }
            Err(wrong) => refusal = refusal.take().or(Some(wrong)),
        }
        Ok(())
    });
    match refusal {
        Some(refusal) => Err(refusal),
        None if read.is_err() || topics.is_empty() => Err(wrong(symbols)),
        None => Ok(topics),
    }
}

fn read_depth<'a>(reader: Reader<'a>, params: &WireParams<'a>) -> Result<u32, Refusal> {
    let Some(value) = reader.find("depth", params.depth) else { return Ok(RULES.default_depth) };
    let depth = value.raw().parse().ok().filter(|depth| RULES.depths.contains(depth));
    depth.ok_or_else(|| Refusal::UnknownDepth { depth: quoted(value.raw()) })
}

pub(crate) fn write_request(listing: &Listing, request: &Request, out: &mut Vec<u8>) -> bool {
    let command = match request {
        Request::Ping { id } => Command { method: "ping", params: None, req_id: raw(id) },
        Request::Subscribe { id, topics, snapshot, fills, login } => {
            let token = login.as_ref().map(|login| login.signature.as_str());
            let Some(params) = params(listing, topics, [*snapshot, *fills], token) else { return false };
            Command { method: "subscribe", params: Some(params), req_id: raw(id) }
        }
        Request::Unsubscribe { id, topics } => {
            let Some(params) = params(listing, topics, [None; 2], None) else { return false };
            Command { method: "unsubscribe", params: Some(params), req_id: raw(id) }
        }
        Request::List { .. }
        | Request::Call { .. }
        | Request::Login { .. }
        | Request::Session { .. }
        | Request::Logout { .. }
        | Request::SetCombined { .. }
        | Request::GetCombined { .. } => {
            return false;
        }
    };
    append(&command, out);
    true
}

/// None if the topics are not all of one channel, which a request must name.
fn params<'a>(
    listing: &Listing,
    topics: &[Topic],
    [snapshot, fills]: [Option<bool>; 2],
    token: Option<&'a str>,
) -> Option<Params<'a>> {
    let channel = topics.first()?.channel;
    if topics.iter().any(|topic| topic.channel != channel) {
        return None;
    }
    let symbols = topics.iter().filter_map(|topic| topic.symbol);
    let orders = channel == Channel::Orders;
    Some(Params {
        channel: channel_name(channel)?,
        symbol: symbols.map(|symbol| symbol_name(listing, listing.instrument(symbol))).collect(),
        depth: depth_of(channel),
        event_trigger: event_trigger(channel).filter(|&trigger| trigger != "trades"),
        snapshot: snapshot.filter(|_| !orders),
        token,
        snap_orders: snapshot.filter(|_| orders),
        snap_trades: fills.filter(|_| orders),
    })
}

/// Trades begin with a snapshot without being asked if `trade_snapshots`; all others do.
pub(crate) fn write_reply(
    listing: &Listing,
    reply: &Reply,
    trade_snapshots: bool,
    circumstances: &Circumstances,
    send: &mut dyn FnMut(&[u8]),
) {
    let time = time_text(circumstances.now_unix_ns);
    let mut answer = |answer: Answer<'_>| {
        let mut out = Vec::new();
        append(&Answer { time_in: Some(&time), time_out: Some(&time), ..answer }, &mut out);
        send(&out);
    };
    match reply {
        Reply::Subscribed { id, topics, snapshot, .. } => {
            for topic in topics {
                let unasked = topic.channel != Channel::Trades || trade_snapshots;
                let result = result(listing, topic, Some(snapshot.unwrap_or(unasked)));
                answer(Answer { result, success: Some(true), ..Answer::to("subscribe", id) });
            }
        }
        Reply::Unsubscribed { id, topics, .. } => {
            for topic in topics {
                let result = result(listing, topic, None);
                answer(Answer { result, success: Some(true), ..Answer::to("unsubscribe", id) });
            }
        }
        Reply::Refused(refused) => {
            let error = error_text(&refused.refusal);
            // The end of a topic's name, if it is about a symbol.
            let symbol = refused.topic.as_deref().and_then(|topic| topic.rsplit(' ').next());
            let symbol = symbol.filter(|symbol| symbol.contains('/'));
            answer(Answer {
                error: Some(&error),
                success: Some(false),
                symbol,
                method: refused.method.as_deref(),
                req_id: raw(&refused.id),
                ..Answer::default()
            });
        }
        Reply::Pong { id } => answer(Answer::to("pong", id)),
        Reply::Greeting => send(status(circumstances.connection, "online").as_bytes()),
        Reply::ClosingSoon => send(status(circumstances.connection, "maintenance").as_bytes()),
        Reply::Heartbeat { .. } => send(br#"{"channel":"heartbeat"}"#),
        Reply::Subscriptions { .. }
        | Reply::LoggedIn { .. }
        | Reply::Called { .. }
        | Reply::Session { .. }
        | Reply::Combined { .. } => {}
    }
}

/// Of a heartbeat the count is not told, of a subscription all the others.
pub(crate) fn read_reply(listing: &Listing, bytes: &[u8]) -> Result<Option<Reply>, DecodeError> {
    let reader = Reader::new(bytes)?;
    let answer: WireAnswer<'_> = reader.message()?;
    if let Some(channel) = reader.find("channel", answer.channel) {
        return match &*channel.string()? {
            "heartbeat" => Ok(Some(Reply::Heartbeat { count: 0 })),
            "status" => read_status(reader, &answer).map(Some),
            _ => Ok(None),
        };
    }
    let id = answer.req_id.map(|raw| RequestId(raw.get().to_owned()));
    let method = reader.find("method", answer.method).map(Value::string).transpose()?;
    if let Some(error) = reader.find("error", answer.error) {
        let symbol = reader.find("symbol", answer.symbol).map(Value::string).transpose()?;
        return Ok(Some(Reply::Refused(Refused {
            id,
            refusal: refusal(&error.string()?),
            topic: symbol.map(|symbol| symbol.into_owned()),
            method: method.map(|method| method.into_owned()),
        })));
    }
    let Some(method) = method else { return Ok(None) };
    if method == "pong" {
        return Ok(Some(Reply::Pong { id }));
    }
    let subscribed = match &*method {
        "subscribe" => true,
        "unsubscribe" => false,
        _ => return Ok(None),
    };
    let result: WireParams<'_> = reader.need("answer", "result", answer.result)?.read()?;
    let (topics, all) = (vec![read_result(listing, reader, &result)?], Vec::new());
    Ok(Some(match subscribed {
        true => {
            let snapshot = reader.find("snapshot", result.snapshot).map(Value::boolean).transpose()?;
            Reply::Subscribed { id, topics, all, snapshot }
        }
        false => Reply::Unsubscribed { id, topics, all },
    }))
}

fn read_status<'a>(reader: Reader<'a>, answer: &WireAnswer<'a>) -> Result<Reply, DecodeError> {
    let mut reply = Reply::Greeting;
    reader.need("status", "data", answer.data)?.elements(|status: WireStatus<'a>| {
        let system = reader.need("status", "system", status.system)?;
        reply = match &*system.string()? {
            "online" | "cancel_only" | "post_only" => Reply::Greeting,
            "maintenance" => Reply::ClosingSoon,
            _ => return Err(system.wrong("online, maintenance, cancel_only or post_only")),
        };
        Ok(())
    })?;
    Ok(reply)
}

fn read_result<'a>(
    listing: &Listing,
    reader: Reader<'a>,
    result: &WireParams<'a>,
) -> Result<Topic, DecodeError> {
    let name = reader.need("answer", "channel", result.channel)?;
    let channel = match &*name.string()? {
        "book" => {
            let depth = reader.need("answer", "depth", result.depth)?;
            let number = depth.number()?;
            Channel::Book { depth: u32::try_from(number).map_err(|_| depth.wrong("below 2^32"))? }
        }
        "trade" => Channel::Trades,
        "ticker" => match reader
            .find("event_trigger", result.event_trigger)
            .map(Value::string)
            .transpose()?
            .as_deref()
        {
            Some("bbo") => Channel::Quotes,
            _ => Channel::Tickers,
        },
        "instrument" => Channel::Instruments,
        "executions" => Channel::Orders,
        "balances" => Channel::Balances,
        "heartbeat" => Channel::Heartbeats,
        other => return Err(DecodeError::UnknownEvent { event: quoted(other), allowed: CHANNELS }),
    };
    if !has_symbols(channel) {
        return Ok(topic(listing, channel, None));
    }
    let symbol = reader.need("answer", "symbol", result.symbol)?.string()?;
    match find_symbol(listing, &symbol) {
        Some(symbol) => Ok(topic(listing, channel, Some(symbol))),
        None => Err(DecodeError::UnknownSymbol { symbol: quoted(&symbol) }),
    }
}

/// The venue has no name for a topic, but for what it is made of.
fn topic(listing: &Listing, channel: Channel, symbol: Option<SymbolId>) -> Topic {
    let mut name = channel_name(channel).unwrap_or_default().to_owned();
    if let Some(depth) = depth_of(channel) {
        name.push_str(&format!("-{depth}"));
    }
    if channel == Channel::Quotes {
        name.push_str("-bbo");
    }
    if let Some(symbol) = symbol {
        name.push(' ');
        name.push_str(&symbol_name(listing, listing.instrument(symbol)));
    }
    Topic { channel, symbol, name }
}

fn find_symbol(listing: &Listing, name: &str) -> Option<SymbolId> {
    let (base, quote) = name.split_once('/')?;
    let found = listing.instruments.iter().find(|instrument| {
        listing.asset(instrument.base) == base && listing.asset(instrument.quote) == quote
    });
    found.map(|instrument| instrument.id)
}

fn channel_name(channel: Channel) -> Option<&'static str> {
    Some(match channel {
        Channel::Book { .. } => "book",
        Channel::Trades => "trade",
        Channel::Tickers | Channel::Quotes => "ticker",
        Channel::Instruments => "instrument",
        Channel::Orders => "executions",
        Channel::Balances => "balances",
        Channel::Heartbeats => "heartbeat",
        Channel::TopOfBook { .. }
        | Channel::AggregateTrades
        | Channel::ShortTickers
        | Channel::Fills
        | Channel::User => return None,
    })
}

fn has_symbols(channel: Channel) -> bool {
    matches!(channel, Channel::Book { .. } | Channel::Trades | Channel::Tickers | Channel::Quotes)
}

fn depth_of(channel: Channel) -> Option<u32> {
    match channel {
        Channel::Book { depth } => Some(depth),
        _ => None,
    }
}

fn event_trigger(channel: Channel) -> Option<&'static str> {
    match channel {
        Channel::Tickers => Some("trades"),
        Channel::Quotes => Some("bbo"),
        _ => None,
    }
}

fn status(connection: u64, system: &str) -> String {
    format!(
        r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.10","system":"{system}","api_version":"v2","connection_id":{connection}}}]}}"#
    )
}

/// What a refusal reads like. Those that name what was wrong end in it.
fn error_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoJson { .. } => "Malformed request".to_owned(),
        Refusal::UnknownMethod { .. } => "Event(s) not found".to_owned(),
        Refusal::MissingField { field } => format!("{MISSING}{field}"),
        Refusal::WrongValue { field, .. } => format!("{WRONG}{field}"),
        Refusal::UnknownChannel { name } => format!("{NO_CHANNEL}{name}"),
        Refusal::UnknownSymbol { name } => format!("{NO_PAIR}{name}"),
        Refusal::UnknownDepth { .. } => "Subscription depth not supported".to_owned(),
        Refusal::AlreadySubscribed => "Already subscribed".to_owned(),
        Refusal::NotSubscribed => "Subscription not found".to_owned(),
        Refusal::TooMany { limit } => format!("{TOO_MANY}{limit}"),
        Refusal::TooFrequent => "Exceeded msg rate".to_owned(),
        Refusal::NotLoggedIn => "EAccount:Invalid permissions".to_owned(),
        Refusal::LoginFailed | Refusal::Access(_) => "ESession:Invalid session".to_owned(),
        Refusal::WrongEndpoint => WRONG_ENDPOINT.to_owned(),
    }
}

/// What an error text means; one that is not known is a wrong value of an unknown field.
fn refusal(text: &str) -> Refusal {
    let field = |name: &str| FIELDS.into_iter().find(|&field| field == name);
    if let Some(name) = text.strip_prefix(NO_PAIR) {
        return Refusal::UnknownSymbol { name: name.to_owned() };
    }
    if let Some(name) = text.strip_prefix(NO_CHANNEL) {
        return Refusal::UnknownChannel { name: name.to_owned() };
    }
    if let Some(field) = text.strip_prefix(MISSING).and_then(field) {
        return Refusal::MissingField { field };
    }
    if let Some(field) = text.strip_prefix(WRONG).and_then(field) {
        return Refusal::WrongValue { field, found: String::new() };
    }
    if let Some(limit) = text.strip_prefix(TOO_MANY).and_then(|limit| limit.parse().ok()) {
        return Refusal::TooMany { limit };
    }
    match text {
        "Malformed request" => Refusal::NoJson { line: 0, column: 0, problem: String::new() },
        "Event(s) not found" => Refusal::UnknownMethod { found: String::new() },
        "Subscription depth not supported" => Refusal::UnknownDepth { depth: String::new() },
        "Already subscribed" => Refusal::AlreadySubscribed,
        "Subscription not found" => Refusal::NotSubscribed,
        "Exceeded msg rate" => Refusal::TooFrequent,
        "EAccount:Invalid permissions" => Refusal::NotLoggedIn,
        "ESession:Invalid session" => Refusal::LoginFailed,
        WRONG_ENDPOINT => Refusal::WrongEndpoint,
        other => Refusal::WrongValue { field: "", found: quoted(other) },
    }
}

fn need<'a>(
    reader: Reader<'a>,
    field: &'static str,
    raw: Option<&'a RawValue>,
) -> Result<Value<'a>, Refusal> {
    reader.find(field, raw).ok_or(Refusal::MissingField { field })
}

fn string(value: Value<'_>) -> Result<String, Refusal> {
    value.string().map(|text| text.into_owned()).map_err(|_| wrong(value))
}

fn wrong(value: Value<'_>) -> Refusal {
    Refusal::WrongValue { field: value.name(), found: quoted(value.raw()) }
}

fn no_json(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or(&text);
    Refusal::NoJson { line: error.line(), column: error.column(), problem: quoted(problem) }
}

fn raw(id: &Option<RequestId>) -> Option<&RawValue> {
    id.as_ref().and_then(|id| serde_json::from_str(&id.0).ok())
}

fn append(message: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, message).expect("text and numbers can be written to memory");
}

fn result(listing: &Listing, topic: &Topic, snapshot: Option<bool>) -> Option<AnswerResult> {
    Some(AnswerResult {
        channel: channel_name(topic.channel)?,
        depth: depth_of(topic.channel),
        event_trigger: event_trigger(topic.channel),
        maxratecount: (topic.channel == Channel::Orders && snapshot.is_some()).then_some(180),
        snapshot: snapshot.filter(|_| topic.channel != Channel::Heartbeats),
        symbol: topic.symbol.map(|symbol| symbol_name(listing, listing.instrument(symbol))),
    })
}

#[derive(Serialize)]
struct Command<'a> {
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Params<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    req_id: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Params<'a> {
    channel: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    symbol: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_trigger: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snap_orders: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snap_trades: Option<bool>,
}

/// In the venue's order of fields, which is the alphabet's.
#[derive(Serialize, Default)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    req_id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<AnswerResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_in: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_out: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn to(method: &'static str, id: &'a Option<RequestId>) -> Self {
        Self { method: Some(method), req_id: raw(id), ..Self::default() }
    }
}

#[derive(Serialize)]
struct AnswerResult {
    channel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_trigger: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxratecount: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<String>,
}

fields!(WireRequest { method, params, req_id });
fields!(WireParams { channel, symbol, depth, event_trigger, snapshot, token, snap_orders, snap_trades });
fields!(WireAnswer { channel, data, method, req_id, result, error, symbol });
fields!(WireStatus { system });

const CHANNELS: &str = "book, trade, ticker, instrument, executions, balances, heartbeat";

const NO_PAIR: &str = "Currency pair not supported ";
const NO_CHANNEL: &str = "Channel not supported ";
const MISSING: &str = "Field is missing: ";
const WRONG: &str = "Field has a wrong value: ";
const TOO_MANY: &str = "Exceeded max subscriptions: ";
const WRONG_ENDPOINT: &str =
    "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com";

/// Fields of requests that refusals name.
const FIELDS: [&str; 11] = [
    "method",
    "params",
    "req_id",
    "channel",
    "symbol",
    "depth",
    "event_trigger",
    "snapshot",
    "snap_orders",
    "snap_trades",
    "token",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::instrument::{AssetId, Instrument};

    use super::*;

    macro_rules! example {
        ($name:literal) => {
            include_str!(concat!("../../../../testdata/kraken/", $name, ".json")).trim_end()
        };
    }

    fn listing() -> Listing {
        let instrument = |id, symbol: &str| Instrument {
            id: SymbolId(id),
            symbol: symbol.into(),
            base: AssetId(id + 1),
            quote: AssetId(0),
            tick: 10_000_000,
            lot: 1,
            start_price: 0,
        };
        Listing {
            instruments: [instrument(0, "BTCUSD"), instrument(1, "ETHUSD")].into(),
            assets: ["USD", "BTC", "ETH"].map(String::from).into(),
        }
    }

    fn request(text: &str) -> Result<Request, Refused> {
        read_request(&listing(), text.as_bytes(), Endpoint::Private)
    }

    fn written(request: &Request) -> Option<String> {
        let mut out = Vec::new();
        write_request(&listing(), request, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    fn replies(reply: &Reply) -> Vec<String> {
        let circumstances = Circumstances {
            now_unix_ns: 1_795_420_800_110_001_000,
            connection: 806_193_442_143_087_786,
            endpoint: Endpoint::Public,
        };
        let mut sent = Vec::new();
        write_reply(&listing(), reply, false, &circumstances, &mut |text| {
            sent.push(String::from_utf8(text.to_vec()).unwrap());
        });
        sent
    }

    fn id(number: u64) -> Option<RequestId> {
        Some(RequestId(number.to_string()))
    }

    fn book(depth: u32, symbol: u32) -> Topic {
        topic(&listing(), Channel::Book { depth }, Some(SymbolId(symbol)))
    }

    #[test]
    fn the_requests_of_the_documentation_read_and_are_written_the_same() {
        let orders = topic(&listing(), Channel::Orders, None);
        let login = Login { signature: "demoToken0123456789".to_owned(), ..Login::default() };
        for (text, expected) in [
            (example!("ping"), Request::Ping { id: id(101) }),
            (
                example!("subscribe_book"),
                Request::Subscribe {
                    id: id(1),
                    topics: vec![book(10, 0), book(10, 1)],
                    snapshot: Some(true),
                    fills: None,
                    login: None,
                },
            ),
            (example!("unsubscribe_book"), Request::Unsubscribe { id: id(2), topics: vec![book(10, 1)] }),
            (
                example!("subscribe_executions"),
                Request::Subscribe {
                    id: id(5),
                    topics: vec![orders],
                    snapshot: Some(true),
                    fills: Some(false),
                    login: Some(login),
                },
            ),
        ] {
            assert_eq!(request(text), Ok(expected.clone()));
            let ours = written(&expected).unwrap();
            let [ours, documented] =
                [&ours, text].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
            assert_eq!(ours, documented);
        }
        let told = |text: &str| match request(text) {
            Ok(Request::Subscribe { snapshot, fills, .. }) => (snapshot, fills),
            other => panic!("{other:?}"),
        };
        let text = example!("subscribe_executions");
        assert_eq!(
            told(&text.replace("snap_orders", "snapshot")),
            (Some(true), Some(false)),
            "as it once was"
        );
        let both = text.replace("\"snap_orders\":true", "\"snap_orders\":true,\"snapshot\":false");
        assert_eq!(told(&both), (Some(true), Some(false)));
        assert_eq!(told(&text.replace("executions", "balances")), (None, None), "they have `snapshot` alone");
    }

    #[test]
    fn the_answers_of_the_documentation_read_and_are_written_the_same_but_for_the_time() {
        let refused = Refused {
            id: id(3),
            refusal: Refusal::UnknownSymbol { name: "XYZ/USD".to_owned() },
            topic: Some("XYZ/USD".to_owned()),
            method: Some("subscribe".to_owned()),
        };
        let all = Vec::new;
        for (text, expected) in [
            (example!("status"), Reply::Greeting),
            (example!("heartbeat"), Reply::Heartbeat { count: 0 }),
            (example!("pong"), Reply::Pong { id: id(101) }),
            (
                example!("subscribed_book"),
                Reply::Subscribed { id: id(1), topics: vec![book(10, 0)], all: all(), snapshot: Some(true) },
            ),
            (
                example!("unsubscribed_book"),
                Reply::Unsubscribed { id: id(2), topics: vec![book(10, 1)], all: all() },
            ),
            (example!("refused"), Reply::Refused(refused)),
            (
                example!("subscribed_executions"),
                Reply::Subscribed {
                    id: id(5),
                    topics: vec![topic(&listing(), Channel::Orders, None)],
                    all: all(),
                    snapshot: Some(true),
                },
            ),
        ] {
            assert_eq!(read_reply(&listing(), text.as_bytes()), Ok(Some(expected.clone())));
            let ours = replies(&expected);
            let timeless = |text: &str| text.split(",\"time_in\"").next().unwrap().to_owned();
            assert_eq!(ours.iter().map(|text| timeless(text)).collect::<Vec<_>>(), [timeless(text)]);
        }
        assert!(replies(&Reply::Pong { id: None })[0].ends_with(
            r#""time_in":"2026-11-23T08:00:00.110001Z","time_out":"2026-11-23T08:00:00.110001Z"}"#
        ));
    }

    #[test]
    fn every_symbol_is_acknowledged_by_itself() {
        let topics = vec![book(25, 0), book(25, 1)];
        assert_eq!(replies(&Reply::Subscribed { id: None, topics, all: vec![], snapshot: None }).len(), 2);
        assert_eq!(replies(&Reply::LoggedIn { id: None }), Vec::<String>::new());
        assert_eq!(
            read_reply(&listing(), replies(&Reply::ClosingSoon)[0].as_bytes()),
            Ok(Some(Reply::ClosingSoon))
        );
        assert_eq!(read_reply(&listing(), example!("trade").as_bytes()), Ok(None));
    }

    #[test]
    fn an_acknowledgement_says_of_the_snapshot_what_was_wished_for() {
        let told = |channel, snapshot, trade_snapshots| {
            let topics = vec![topic(&listing(), channel, Some(SymbolId(0)))];
            let reply = Reply::Subscribed { id: None, topics, all: vec![], snapshot };
            let circumstances = Circumstances { now_unix_ns: 0, connection: 1, endpoint: Endpoint::Public };
            let mut told = None;
            write_reply(&listing(), &reply, trade_snapshots, &circumstances, &mut |text| {
                told = Some(String::from_utf8_lossy(text).contains(r#""snapshot":true"#));
            });
            told.unwrap()
        };
        let books = Channel::Book { depth: 10 };
        for (channel, wish, trade_snapshots, expected) in [
            (books, None, false, true),
            (books, Some(false), false, false),
            (Channel::Trades, None, false, false),
            (Channel::Trades, None, true, true),
            (Channel::Trades, Some(true), false, true),
            (Channel::Trades, Some(false), true, false),
        ] {
            assert_eq!(told(channel, wish, trade_snapshots), expected, "{channel:?} {wish:?}");
        }
    }

    #[test]
    fn every_topic_reads_back_from_its_request_and_its_acknowledgement() {
        let (btc, listing) = (Some(SymbolId(0)), listing());
        for (channel, symbol) in [
            (Channel::Book { depth: 1000 }, btc),
            (Channel::Trades, btc),
            (Channel::Tickers, btc),
            (Channel::Quotes, btc),
            (Channel::Instruments, None),
            (Channel::Orders, None),
            (Channel::Balances, None),
            (Channel::Heartbeats, None),
        ] {
            let topics = vec![topic(&listing, channel, symbol)];
            let login = Some(Login { signature: "token".to_owned(), ..Login::default() });
            let (id, snapshot) = (id(7), Some(false));
            let fills = (channel == Channel::Orders).then_some(true);
            let wanted =
                Request::Subscribe { id: id.clone(), topics: topics.clone(), snapshot, fills, login };
            assert_eq!(request(&written(&wanted).unwrap()), Ok(wanted));
            // Heartbeats have no state to begin with.
            let snapshot = snapshot.filter(|_| channel != Channel::Heartbeats);
            let granted = Reply::Subscribed { id, topics, all: vec![], snapshot };
            assert_eq!(read_reply(&listing, replies(&granted)[0].as_bytes()), Ok(Some(granted)));
        }
        let mixed = vec![book(10, 0), topic(&listing, Channel::Trades, btc)];
        assert_eq!(
            written(&Request::Unsubscribe { id: None, topics: mixed }),
            None,
            "a request has one channel"
        );
    }

    #[test]
    fn what_cannot_be_granted_says_why_and_what_it_was() {
        let value = |field, found: &str| Refusal::WrongValue { field, found: found.to_owned() };
        let channel =
            |rest: &str| format!(r#"{{"method":"subscribe","params":{{"channel":{rest}}},"req_id":9}}"#);
        for (text, refusal) in [
            (r#"{"method":"addOrder"}"#.to_owned(), Refusal::UnknownMethod { found: "addOrder".to_owned() }),
            ("{}".to_owned(), Refusal::MissingField { field: "method" }),
            (r#"{"method":"ping","req_id":"x"}"#.to_owned(), value("req_id", "\"x\"")),
            (r#"{"method":"subscribe"}"#.to_owned(), Refusal::MissingField { field: "params" }),
            (channel(r#""ohlc""#), Refusal::UnknownChannel { name: "ohlc".to_owned() }),
            (channel(r#""book""#), Refusal::MissingField { field: "symbol" }),
            (channel(r#""book","symbol":[]"#), value("symbol", "[]")),
            (channel(r#""book","symbol":"BTC/USD""#), value("symbol", "\"BTC/USD\"")),
            (
                channel(r#""book","symbol":["BTC/USD"],"depth":11"#),
                Refusal::UnknownDepth { depth: "11".to_owned() },
            ),
            (
                channel(r#""book","symbol":["BTC/USD","XYZ/USD"]"#),
                Refusal::UnknownSymbol { name: "XYZ/USD".to_owned() },
            ),
            (channel(r#""trade","symbol":["BTC/USD"],"snapshot":1"#), value("snapshot", "1")),
            (channel(r#""balances""#), Refusal::NotLoggedIn),
        ] {
            let refused = request(&text).unwrap_err();
            assert_eq!(refused.refusal, refusal, "{text}");
            assert_eq!(refused.id, text.contains("req_id\":9").then(|| id(9).unwrap()), "{text}");
        }
        let private = channel(r#""balances","token":"t""#);
        let refused = read_request(&listing(), private.as_bytes(), Endpoint::Public).unwrap_err();
        assert_eq!(refused.refusal, Refusal::WrongEndpoint);
        assert!(matches!(request("{").unwrap_err().refusal, Refusal::NoJson { line: 1, .. }));
        assert!(matches!(request("[]").unwrap_err().refusal, Refusal::NoJson { .. }));
    }

    #[test]
    fn every_refusal_reads_back_as_far_as_it_is_told() {
        for refusal in [
            Refusal::NoJson { line: 0, column: 0, problem: String::new() },
            Refusal::UnknownMethod { found: String::new() },
            Refusal::MissingField { field: "symbol" },
            Refusal::WrongValue { field: "depth", found: String::new() },
            Refusal::UnknownChannel { name: "ohlc".to_owned() },
            Refusal::UnknownSymbol { name: "XYZ/USD".to_owned() },
            Refusal::UnknownDepth { depth: String::new() },
            Refusal::AlreadySubscribed,
            Refusal::NotSubscribed,
            Refusal::TooMany { limit: 200 },
            Refusal::TooFrequent,
            Refusal::NotLoggedIn,
            Refusal::LoginFailed,
            Refusal::WrongEndpoint,
        ] {
            let refused = Refused { id: id(4), refusal, topic: Some("BTC/USD".to_owned()), method: None };
            let sent = replies(&Reply::Refused(refused.clone()));
            assert_eq!(read_reply(&listing(), sent[0].as_bytes()), Ok(Some(Reply::Refused(refused))));
        }
        let foreign = read_reply(&listing(), br#"{"error":"EGeneral:Internal error","method":"subscribe"}"#);
        let found = "EGeneral:Internal error".to_owned();
        let Ok(Some(Reply::Refused(refused))) = foreign else { panic!("{foreign:?}") };
        assert_eq!(refused.refusal, Refusal::WrongValue { field: "", found });
    }

    proptest! {
        #[test]
        fn arbitrary_and_damaged_requests_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            place: prop::sample::Index,
            byte: u8,
        ) {
            let _ = read_request(&listing(), &bytes, Endpoint::Public);
            let _ = read_reply(&listing(), &bytes);
            for text in [example!("subscribe_book"), example!("subscribed_book"), example!("status"), example!("refused")] {
                let mut damaged = text.as_bytes().to_vec();
                let at = place.index(damaged.len());
                damaged[at] = byte;
                let _ = read_request(&listing(), &damaged, Endpoint::Public);
                let _ = read_reply(&listing(), &damaged);
            }
        }
    }
}
