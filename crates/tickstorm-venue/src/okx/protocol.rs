//! Commands and acknowledgements. Every argument of a command is a topic, and every topic is acknowledged by itself.
//!
//! The name of a topic is its argument, as `{"channel":"books","instId":"BTC-USDT"}`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tickstorm_market::instrument::{Listing, SymbolId};

use crate::access::AccessError;
use crate::decoder::DecodeError;
use crate::encoder::Numbering;
use crate::json::{malformed, quoted};
use crate::protocol::{
    Channel, Circumstances, Endpoint, Login, Refusal, Refused, Reply, Request, RequestId, Topic,
};
use crate::venue::Venue;

/// Channels of the other endpoint are refused.
pub(crate) fn read_request(listing: &Listing, bytes: &[u8], endpoint: Endpoint) -> Result<Request, Refused> {
    if bytes == b"ping" {
        return Ok(Request::Ping { id: None });
    }
    let text = String::from_utf8_lossy(bytes);
    let command: Command<'_> = serde_json::from_str(&text)
        .map_err(|error| Refused { topic: Some(quoted(&text)), ..refused(no_json(&error)) })?;
    let id = command.id.map(|id| RequestId(id.get().to_owned()));
    let told = |refusal| Refused { id: id.clone(), topic: Some(quoted(&text)), ..refused(refusal) };
    if let Some(RequestId(id)) = &id
        && !is_request_id(id)
    {
        return Err(told(Refusal::WrongValue { field: "id", found: quoted(id) }));
    }
    let Some(op) = command.op else { return Err(told(Refusal::MissingField { field: "op" })) };
    let told = |refusal| Refused { method: Some(quoted(&op)), ..told(refusal) };
    if !matches!(&*op, "subscribe" | "unsubscribe" | "login") {
        return Err(told(Refusal::UnknownMethod { found: quoted(&op) }));
    }
    let Some(args) = command.args else { return Err(told(Refusal::MissingField { field: "args" })) };
    let wrong_args = || told(Refusal::WrongValue { field: "args", found: quoted(args.get()) });
    match &*op {
        "subscribe" | "unsubscribe" => {
            let args: Vec<Arg<'_>> = serde_json::from_str(args.get()).map_err(|_| wrong_args())?;
            if args.is_empty() {
                return Err(told(Refusal::MissingField { field: "args" }));
            }
            let symbols = Symbols::of(listing, args.len());
            let topics = args.iter().map(|arg| {
                let refuse = |refusal| Refused { topic: Some(arg.words()), ..told(refusal) };
                arg.topic(&symbols, Some(endpoint)).map_err(refuse)
            });
            let topics = topics.collect::<Result<_, _>>()?;
            Ok(match &*op {
                "subscribe" => Request::Subscribe { id, topics, snapshot: None, fills: None, login: None },
                _ => Request::Unsubscribe { id, topics },
            })
        }
        _ => {
            let args: Vec<LoginArg<'_>> = serde_json::from_str(args.get()).map_err(|_| wrong_args())?;
            let [login] = <[LoginArg<'_>; 1]>::try_from(args).map_err(|_| wrong_args())?;
            let login = login.read().map_err(told)?;
            Ok(Request::Login { id, login })
        }
    }
}

/// Clients have no choice about snapshots: they come. The login is a command of its own.
pub(crate) fn write_request(listing: &Listing, request: &Request, out: &mut Vec<u8>) -> bool {
    let (id, op, args) = match request {
        Request::Ping { .. } => {
            out.extend_from_slice(b"ping");
            return true;
        }
        Request::Subscribe {
            id,
            topics,
            snapshot: None | Some(true),
            fills: None | Some(false),
            login: None,
        } => (id, "subscribe", written_args(listing, topics)),
        Request::Unsubscribe { id, topics } => (id, "unsubscribe", written_args(listing, topics)),
        Request::Login { id, login } => (id, "login", Some(json(&[LoginArg::of(login)]))),
        _ => return false,
    };
    let Some(args) = args else { return false };
    let id = id.as_ref().map(|RequestId(id)| format!("\"id\":{id},")).unwrap_or_default();
    out.extend_from_slice(format!("{{{id}\"op\":\"{op}\",\"args\":{args}}}").as_bytes());
    true
}

pub(crate) fn write_reply(
    listing: &Listing,
    reply: &Reply,
    circumstances: &Circumstances,
    _: &mut Numbering,
    send: &mut dyn FnMut(&[u8]),
) {
    let connection = format!("{:08x}", circumstances.connection);
    let mut event = |event: &Event<'_>| {
        send(json(&Event { conn_id: Some(Cow::Borrowed(&connection)), ..event.clone() }).as_bytes());
    };
    match reply {
        Reply::Subscribed { id, topics, .. } | Reply::Unsubscribed { id, topics, .. } => {
            let subscribed = matches!(reply, Reply::Subscribed { .. });
            for topic in topics {
                let Some(arg) = written_arg(listing, topic) else { continue };
                let arg = RawValue::from_string(arg).expect("a topic is written as JSON");
                event(&Event {
                    arg: Some(&arg),
                    ..Event::of(id, if subscribed { "subscribe" } else { "unsubscribe" })
                });
                // Sockets that tell of one's own account are counted.
                if let Some(name) = private_channel(topic.channel).filter(|_| subscribed) {
                    let (channel, conn_count) = (Some(name.into()), Some("1".into()));
                    event(&Event { channel, conn_count, ..Event::of(&None, "channel-conn-count") });
                }
            }
        }
        Reply::Refused(refused) => {
            let (code, msg) = refusal_words(refused);
            event(&Event {
                code: Some(code.into()),
                msg: Some(msg.into()),
                ..Event::of(&refused.id, "error")
            });
        }
        Reply::LoggedIn { id } => {
            event(&Event { code: Some("0".into()), msg: Some("".into()), ..Event::of(id, "login") });
        }
        Reply::ClosingSoon => event(&Event {
            code: Some(CLOSING.into()),
            msg: Some("The connection will soon be closed for a service upgrade. Please reconnect.".into()),
            ..Event::of(&None, "notice")
        }),
        Reply::Pong { .. } => send(b"pong"),
        Reply::Subscriptions { .. }
        | Reply::Called { .. }
        | Reply::Session { .. }
        | Reply::Combined { .. }
        | Reply::Greeting
        | Reply::Heartbeat { .. } => {}
    }
}

/// A reason that is known by its code alone says of the rest what the venue's words do.
pub(crate) fn read_reply(listing: &Listing, bytes: &[u8]) -> Result<Option<Reply>, DecodeError> {
    if bytes == b"pong" {
        return Ok(Some(Reply::Pong { id: None }));
    }
    let message =
        std::str::from_utf8(bytes).map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })?;
    let read: Event<'_> = serde_json::from_str(message).map_err(|error| malformed(message, 0, &error))?;
    let id = read.id.map(|id| RequestId(id.get().to_owned()));
    let Some(event) = read.event.as_deref() else { return Ok(None) };
    let missing = |field| DecodeError::MissingField { event: "reply", field };
    let reply = match event {
        "subscribe" | "unsubscribe" => {
            let arg = read.arg.ok_or(missing("arg"))?;
            let offset = arg.get().as_ptr() as usize - message.as_ptr() as usize;
            let arg: Arg<'_> =
                serde_json::from_str(arg.get()).map_err(|error| malformed(message, offset, &error))?;
            let topic = arg.topic(&Symbols::of(listing, 1), None).map_err(|refusal| match refusal {
                Refusal::UnknownSymbol { name } => DecodeError::UnknownSymbol { symbol: name },
                _ => DecodeError::UnknownEvent { event: quoted(&arg.words()), allowed: CHANNELS },
            })?;
            let (topics, all) = (vec![topic], Vec::new());
            match event {
                "subscribe" => Reply::Subscribed { id, topics, all, snapshot: None },
                _ => Reply::Unsubscribed { id, topics, all },
            }
        }
        "login" => Reply::LoggedIn { id },
        "error" => {
            let code = read.code.ok_or(missing("code"))?;
            Reply::Refused(Refused { id, ..read_refusal(&code, &read.msg.unwrap_or_default()) })
        }
        "channel-conn-count-error" => Reply::Refused(Refused {
            topic: read.channel.map(|channel| quoted(&channel)),
            ..refused(Refusal::TooMany { limit: CONNECTIONS_MAX })
        }),
        "notice" if read.code.as_deref() == Some(CLOSING) => Reply::ClosingSoon,
        _ => return Ok(None),
    };
    Ok(Some(reply))
}

#[derive(Deserialize)]
struct Command<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    op: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// What is subscribed to, in the venue's order of fields.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg<'a> {
    channel: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inst_type: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inst_family: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inst_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ccy: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_params: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginArg<'a> {
    api_key: Option<Cow<'a, str>>,
    passphrase: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_number")]
    timestamp: Option<Cow<'a, str>>,
    sign: Option<Cow<'a, str>>,
}

/// A message from the venue that is none of the market's, in the venue's order of fields.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    arg: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_count: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_id: Option<Cow<'a, str>>,
}

/// A channel of the venue.
struct Offer {
    name: &'static str,
    channel: Channel,
    endpoint: Endpoint,
    about: About,
}

/// What a channel's argument must name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Instrument,
    InstrumentType,
    Account,
}

/// Of two names for one thing the first is written.
const OFFERS: [Offer; 10] = [
    public("books", Channel::Book { depth: 400 }),
    public("books-l2-tbt", Channel::Book { depth: 400 }),
    public("books50-l2-tbt", Channel::Book { depth: 50 }),
    public("books5", Channel::TopOfBook { depth: 5 }),
    public("bbo-tbt", Channel::Quotes),
    public("trades", Channel::Trades),
    public("tickers", Channel::Tickers),
    Offer { about: About::InstrumentType, ..public("instruments", Channel::Instruments) },
    Offer { endpoint: Endpoint::Private, about: About::InstrumentType, ..public("orders", Channel::Orders) },
    Offer { endpoint: Endpoint::Private, about: About::Account, ..public("account", Channel::Balances) },
];

const CHANNELS: &str =
    "books, books-l2-tbt, books50-l2-tbt, books5, bbo-tbt, trades, tickers, instruments, orders, account";

const fn public(name: &'static str, channel: Channel) -> Offer {
    Offer { name, channel, endpoint: Endpoint::Public, about: About::Instrument }
}

fn private_channel(channel: Channel) -> Option<&'static str> {
    let offer = OFFERS.iter().find(|offer| offer.channel == channel)?;
    (offer.endpoint == Endpoint::Private).then_some(offer.name)
}

/// Instruments by the venue's ids. A request may name thousands, and the listing may have thousands.
enum Symbols<'l> {
    Few(&'l Listing),
    Many(HashMap<String, SymbolId>),
}

impl<'l> Symbols<'l> {
    fn of(listing: &'l Listing, wanted: usize) -> Self {
        if wanted < 4 {
            return Symbols::Few(listing);
        }
        let named = |instrument| Venue::Okx.symbol(listing, instrument);
        Symbols::Many(
            listing.instruments.iter().map(|instrument| (named(instrument), instrument.id)).collect(),
        )
    }

    fn find(&self, name: &str) -> Option<SymbolId> {
        match self {
            Symbols::Few(listing) => super::symbol(listing, name),
            Symbols::Many(ids) => ids.get(name).copied(),
        }
    }
}

impl Arg<'_> {
    fn topic(&self, symbols: &Symbols<'_>, endpoint: Option<Endpoint>) -> Result<Topic, Refusal> {
        let name = self.channel.as_deref().ok_or(Refusal::MissingField { field: "channel" })?;
        let offer = OFFERS.iter().find(|offer| offer.name == name);
        let offer = offer.ok_or_else(|| Refusal::UnknownChannel { name: quoted(name) })?;
        if endpoint.is_some_and(|endpoint| endpoint != offer.endpoint) {
            return Err(Refusal::WrongEndpoint);
        }
        let symbol = match self.inst_id.as_deref().filter(|_| offer.about != About::Account) {
            Some(id) => Some(symbols.find(id).ok_or_else(|| Refusal::UnknownSymbol { name: quoted(id) })?),
            None => None,
        };
        match offer.about {
            About::Instrument if symbol.is_none() => return Err(Refusal::MissingField { field: "instId" }),
            About::InstrumentType => match self.inst_type.as_deref() {
                Some("SPOT" | "ANY") => {}
                Some(other) => {
                    return Err(Refusal::WrongValue { field: "instType", found: quoted(other) });
                }
                None => return Err(Refusal::MissingField { field: "instType" }),
            },
            About::Instrument | About::Account => {}
        }
        Ok(Topic { channel: offer.channel, symbol, name: json(self) })
    }

    /// As the venue's errors name it.
    fn words(&self) -> String {
        let parts = [
            ("channel", &self.channel),
            ("instType", &self.inst_type),
            ("instFamily", &self.inst_family),
            ("instId", &self.inst_id),
            ("ccy", &self.ccy),
        ];
        let words: Vec<String> =
            parts.iter().filter_map(|(name, value)| Some(format!("{name}:{}", value.as_deref()?))).collect();
        quoted(&words.join(","))
    }
}

/// The argument of a topic; none where the venue has no such channel.
fn written_arg(listing: &Listing, topic: &Topic) -> Option<String> {
    if serde_json::from_str::<Arg<'_>>(&topic.name).is_ok_and(|arg| arg.channel.is_some()) {
        return Some(topic.name.clone());
    }
    let offer = OFFERS.iter().find(|offer| offer.channel == topic.channel)?;
    if offer.about == About::Instrument && topic.symbol.is_none() {
        return None;
    }
    let symbol = topic.symbol.map(|symbol| Venue::Okx.symbol(listing, listing.instrument(symbol)));
    Some(json(&Arg {
        channel: Some(offer.name.into()),
        inst_type: (offer.about == About::InstrumentType).then_some("SPOT".into()),
        inst_id: symbol.map(Cow::Owned),
        ..Arg::default()
    }))
}

fn written_args(listing: &Listing, topics: &[Topic]) -> Option<String> {
    let args: Option<Vec<String>> = topics.iter().map(|topic| written_arg(listing, topic)).collect();
    args.filter(|args| !args.is_empty()).map(|args| format!("[{}]", args.join(",")))
}

impl<'a> LoginArg<'a> {
    fn of(login: &'a Login) -> Self {
        let seconds = login.payload.strip_suffix(SIGNED).map(Cow::Borrowed);
        Self {
            api_key: Some(Cow::Borrowed(&login.key)),
            passphrase: login.passphrase.as_deref().map(Cow::Borrowed),
            timestamp: seconds.or_else(|| Some(seconds_text(login.time_ms?).into())),
            sign: Some(Cow::Borrowed(&login.signature)),
        }
    }

    fn read(self) -> Result<Login, Refusal> {
        let needed = |value: Option<Cow<'a, str>>, field| value.ok_or(Refusal::MissingField { field });
        let timestamp = needed(self.timestamp, "timestamp")?;
        let time_ms = crate::text::parse_short_units(&timestamp)
            .map(|units| units / UNITS_PER_MS)
            .ok_or_else(|| Refusal::WrongValue { field: "timestamp", found: quoted(&timestamp) })?;
        Ok(Login {
            key: needed(self.api_key, "apiKey")?.into_owned(),
            payload: format!("{timestamp}{SIGNED}"),
            signature: needed(self.sign, "sign")?.into_owned(),
            passphrase: Some(needed(self.passphrase, "passphrase")?.into_owned()),
            time_ms: Some(time_ms),
        })
    }
}

/// A text, or the digits of a number as they stand: the venue's own library for Python sends its time so.
fn text_or_number<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, str>>, D::Error> {
    let Some(raw) = Option::<&'de RawValue>::deserialize(deserializer)? else { return Ok(None) };
    let raw = raw.get();
    if raw.bytes().next().is_some_and(|byte| byte == b'-' || byte.is_ascii_digit()) {
        return Ok(Some(Cow::Borrowed(raw)));
    }
    let text: Result<Cow<'de, str>, _> = serde_json::from_str(raw);
    text.map(Some).map_err(serde::de::Error::custom)
}

fn seconds_text(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl<'a> Event<'a> {
    fn of(id: &'a Option<RequestId>, event: &'a str) -> Self {
        let id = id.as_ref().and_then(|RequestId(id)| serde_json::from_str(id).ok());
        Self { id, event: Some(event.into()), ..Self::default() }
    }
}

fn refused(refusal: Refusal) -> Refused {
    Refused { id: None, refusal, topic: None, method: None }
}

fn no_json(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let problem = quoted(text.split(" at line ").next().unwrap_or(&text));
    Refusal::NoJson { line: error.line(), column: error.column(), problem }
}

/// Up to 32 letters and digits in quotes.
fn is_request_id(id: &str) -> bool {
    let text = id.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.is_some_and(|text| text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The venue's code and text of a refusal.
fn refusal_words(refused: &Refused) -> (&'static str, String) {
    let topic = refused.topic.as_deref().unwrap_or_default();
    match &refused.refusal {
        Refusal::NoJson { .. }
        | Refusal::UnknownMethod { .. }
        | Refusal::AlreadySubscribed
        | Refusal::NotSubscribed => ("60012", format!("{INVALID_REQUEST}{topic}")),
        Refusal::MissingField { field } => ("60013", format!("{INVALID_ARGS}{field} is missing")),
        Refusal::WrongValue { field, found } => ("60013", format!("{INVALID_ARGS}{field} is {found}")),
        Refusal::TooMany { limit } => ("60013", format!("{INVALID_ARGS}{TOO_MANY}{limit}")),
        Refusal::TooFrequent => ("60014", "Requests too frequent.".to_owned()),
        Refusal::UnknownChannel { .. } | Refusal::UnknownSymbol { .. } | Refusal::UnknownDepth { .. } => {
            ("60018", format!("{WRONG_TOPIC}{topic}{DOES_NOT_EXIST}"))
        }
        Refusal::NotLoggedIn => ("60011", "Please log in.".to_owned()),
        Refusal::LoginFailed => ("60009", "Login failed.".to_owned()),
        Refusal::Access(error) => match error {
            AccessError::Unreadable { .. } | AccessError::Early => ("60004", "Invalid timestamp".to_owned()),
            AccessError::UnknownKey => ("60005", "Invalid apiKey".to_owned()),
            AccessError::Late => ("60006", "Timestamp request expired".to_owned()),
            AccessError::WrongSignature => ("60007", "Invalid sign".to_owned()),
            AccessError::WrongPassphrase => ("60024", "Wrong passphrase".to_owned()),
            AccessError::Missing { .. } => ("60009", "Login failed.".to_owned()),
        },
        Refusal::WrongEndpoint => {
            ("60008", format!("The channel {topic} belongs to another endpoint, please use the right URL."))
        }
    }
}

fn read_refusal(code: &str, msg: &str) -> Refused {
    let topic =
        |start: &str, end: &str| Some(quoted(msg.strip_prefix(start)?.strip_suffix(end).unwrap_or(msg)));
    let wrong = || {
        let detail = msg.strip_prefix(INVALID_ARGS).unwrap_or(msg);
        if let Some(limit) = detail.strip_prefix(TOO_MANY).and_then(|limit| limit.parse().ok()) {
            return Refusal::TooMany { limit };
        }
        Refusal::WrongValue { field: "args", found: quoted(detail) }
    };
    match code {
        "60004" | "60005" | "60006" | "60007" | "60009" | "60024" => refused(Refusal::LoginFailed),
        "60008" => refused(Refusal::WrongEndpoint),
        "60011" | "64003" => refused(Refusal::NotLoggedIn),
        "60012" => {
            let topic = topic(INVALID_REQUEST, "");
            let found = topic.clone().unwrap_or_else(|| quoted(msg));
            Refused { topic, ..refused(Refusal::UnknownMethod { found }) }
        }
        "60014" => refused(Refusal::TooFrequent),
        "60018" => {
            let topic = topic(WRONG_TOPIC, DOES_NOT_EXIST);
            let words = topic.clone().unwrap_or_else(|| quoted(msg));
            let refusal = match words.split_once("instId:") {
                Some((_, name)) => Refusal::UnknownSymbol { name: name.to_owned() },
                None => Refusal::UnknownChannel { name: words },
            };
            Refused { topic, ..refused(refusal) }
        }
        _ => refused(wrong()),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings are always JSON")
}

const INVALID_REQUEST: &str = "Invalid request: ";
const INVALID_ARGS: &str = "Invalid args: ";
const TOO_MANY: &str = "at most ";
const WRONG_TOPIC: &str = "Wrong URL or ";
const DOES_NOT_EXIST: &str =
    " doesn't exist. Please use the correct URL, channel and parameters referring to API document.";

/// What is signed behind the seconds.
const SIGNED: &str = "GET/users/self/verify";

/// The code of the notice before a connection is closed.
const CLOSING: &str = "64008";

/// Connections that may be subscribed to one private channel.
const CONNECTIONS_MAX: u32 = 30;

/// 1e-8 seconds.
const UNITS_PER_MS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::listing;

    macro_rules! example {
        ($name:literal) => {
            include_str!(concat!("../../../../testdata/okx/", $name, ".json")).trim_end()
        };
    }

    fn read(text: &str, endpoint: Endpoint) -> Result<Request, Refused> {
        read_request(&listing(), text.as_bytes(), endpoint)
    }

    fn written(request: &Request) -> Option<String> {
        let mut out = Vec::new();
        write_request(&listing(), request, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    fn replies(reply: &Reply, connection: u64) -> Vec<String> {
        let circumstances = Circumstances { now_unix_ns: 0, connection, endpoint: Endpoint::Public };
        let mut sent = Vec::new();
        write_reply(&listing(), reply, &circumstances, &mut Numbering::default(), &mut |message| {
            sent.push(String::from_utf8(message.to_vec()).unwrap());
        });
        sent
    }

    fn topic(channel: Channel, symbol: Option<u32>, name: &str) -> Topic {
        Topic { channel, symbol: symbol.map(SymbolId), name: name.into() }
    }

    fn books() -> Topic {
        topic(Channel::Book { depth: 400 }, Some(0), r#"{"channel":"books","instId":"BTC-USDT"}"#)
    }

    fn id() -> Option<RequestId> {
        Some(RequestId("\"1512\"".into()))
    }

    const CONNECTION: u64 = 0xa4d3_ae55;

    #[test]
    fn the_examples_of_commands_read_and_write_as_the_same_bytes() {
        let trades = topic(Channel::Trades, Some(0), r#"{"channel":"trades","instId":"BTC-USDT"}"#);
        let subscribe = Request::Subscribe {
            id: id(),
            topics: vec![books(), trades],
            snapshot: None,
            fills: None,
            login: None,
        };
        let unsubscribe = Request::Unsubscribe { id: None, topics: vec![books()] };
        let login = Request::Login {
            id: None,
            login: Login {
                key: "demo-key".into(),
                payload: "1795420800GET/users/self/verify".into(),
                signature: "c2lnbmF0dXJl".into(),
                passphrase: Some("demo".into()),
                time_ms: Some(1_795_420_800_000),
            },
        };
        for (text, request) in [
            (example!("subscribe"), subscribe),
            (example!("unsubscribe"), unsubscribe),
            (example!("login"), login),
            ("ping", Request::Ping { id: None }),
        ] {
            assert_eq!(read(text, Endpoint::Public), Ok(request.clone()), "{text}");
            assert_eq!(written(&request).as_deref(), Some(text));
        }
    }

    #[test]
    fn the_examples_of_replies_are_written_and_read() {
        let subscribed = Reply::Subscribed { id: id(), topics: vec![books()], all: vec![], snapshot: None };
        let unsubscribed = Reply::Unsubscribed { id: None, topics: vec![books()], all: vec![] };
        let unknown = Reply::Refused(Refused {
            topic: Some("channel:books,instId:XYZ-USDT".into()),
            ..refused(Refusal::UnknownSymbol { name: "XYZ-USDT".into() })
        });
        for (text, reply, connection) in [
            (example!("subscribed"), subscribed, CONNECTION),
            (example!("unsubscribed"), unsubscribed, CONNECTION),
            (example!("error"), unknown, CONNECTION),
            (example!("notice"), Reply::ClosingSoon, CONNECTION),
            (example!("logged_in"), Reply::LoggedIn { id: None }, 0xb81f_fe20),
            (example!("login_failed"), Reply::Refused(refused(Refusal::LoginFailed)), 0xb81f_fe20),
            ("pong", Reply::Pong { id: None }, 0),
        ] {
            assert_eq!(replies(&reply, connection), [text]);
            assert_eq!(read_reply(&listing(), text.as_bytes()), Ok(Some(reply)), "{text}");
        }
    }

    #[test]
    fn every_topic_is_acknowledged_and_private_ones_are_counted() {
        let account = topic(Channel::Balances, None, r#"{"channel":"account"}"#);
        let sent = replies(
            &Reply::Subscribed { id: None, topics: vec![account, books()], all: vec![], snapshot: None },
            CONNECTION,
        );
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[1], example!("channel_conn_count"));
        assert_eq!(read_reply(&listing(), sent[1].as_bytes()), Ok(None));
        assert!(sent[2].contains("BTC-USDT"));
    }

    #[test]
    fn topics_keep_what_the_client_wrote() {
        let text = r#"{"op":"subscribe","args":[{"extraParams":"{\"updateInterval\":\"0\"}","channel":"account","ccy":"BTC"},{"channel":"orders","instType":"ANY"}]}"#;
        let Ok(Request::Subscribe { topics, .. }) = read(text, Endpoint::Private) else { panic!("{text}") };
        let account = r#"{"channel":"account","ccy":"BTC","extraParams":"{\"updateInterval\":\"0\"}"}"#;
        assert_eq!(
            topics,
            [
                topic(Channel::Balances, None, account),
                topic(Channel::Orders, None, r#"{"channel":"orders","instType":"ANY"}"#)
            ]
        );
        let sent = replies(&Reply::Subscribed { id: None, topics, all: vec![], snapshot: None }, CONNECTION);
        assert!(sent[0].contains(account), "{sent:?}");
    }

    #[test]
    fn a_topic_without_a_name_is_named_by_its_channel() {
        for (channel, symbol, arg) in [
            (Channel::Book { depth: 400 }, Some(0), r#"{"channel":"books","instId":"BTC-USDT"}"#),
            (Channel::Book { depth: 50 }, Some(2), r#"{"channel":"books50-l2-tbt","instId":"Ü\"-USDT"}"#),
            (Channel::Quotes, Some(1), r#"{"channel":"bbo-tbt","instId":"PEPE-USDT"}"#),
            (Channel::Instruments, None, r#"{"channel":"instruments","instType":"SPOT"}"#),
            (Channel::Orders, None, r#"{"channel":"orders","instType":"SPOT"}"#),
            (Channel::Balances, None, r#"{"channel":"account"}"#),
        ] {
            let topics = vec![topic(channel, symbol, "")];
            let text = written(&Request::Unsubscribe { id: None, topics }).unwrap();
            assert_eq!(text, format!(r#"{{"op":"unsubscribe","args":[{arg}]}}"#));
            let endpoint =
                if private_channel(channel).is_some() { Endpoint::Private } else { Endpoint::Public };
            let Ok(Request::Unsubscribe { topics, .. }) = read(&text, endpoint) else { panic!("{text}") };
            assert_eq!(topics, [topic(channel, symbol, arg)]);
        }
        for (channel, symbol) in
            [(Channel::Heartbeats, None), (Channel::Trades, None), (Channel::Book { depth: 7 }, Some(0))]
        {
            let topics = vec![topic(channel, symbol, "")];
            assert_eq!(written(&Request::Unsubscribe { id: None, topics }), None, "{channel:?}");
        }
    }

    #[test]
    fn what_the_venue_has_no_words_for_is_not_written() {
        let plain =
            Request::Subscribe { id: None, topics: vec![books()], snapshot: None, fills: None, login: None };
        assert!(written(&plain).is_some());
        for request in [
            Request::Subscribe {
                id: None,
                topics: vec![books()],
                snapshot: Some(false),
                fills: None,
                login: None,
            },
            Request::Subscribe { id: None, topics: vec![], snapshot: None, fills: None, login: None },
            Request::List { id: None },
            Request::GetCombined { id: None },
        ] {
            assert_eq!(written(&request), None);
        }
        for reply in
            [Reply::Greeting, Reply::Heartbeat { count: 1 }, Reply::Combined { id: None, combined: None }]
        {
            assert!(replies(&reply, 0).is_empty());
        }
    }

    #[test]
    fn wrong_commands_are_refused_with_the_venues_codes() {
        for (text, endpoint, refusal, code) in [
            ("{", Endpoint::Public, None, "60012"),
            (r#"{"args":[]}"#, Endpoint::Public, Some(Refusal::MissingField { field: "op" }), "60013"),
            (
                r#"{"op":"dance","args":[]}"#,
                Endpoint::Public,
                Some(Refusal::UnknownMethod { found: "dance".into() }),
                "60012",
            ),
            (
                r#"{"op":"dance"}"#,
                Endpoint::Public,
                Some(Refusal::UnknownMethod { found: "dance".into() }),
                "60012",
            ),
            (
                r#"{"op":"subscribe","args":[]}"#,
                Endpoint::Public,
                Some(Refusal::MissingField { field: "args" }),
                "60013",
            ),
            (
                r#"{"op":"subscribe","args":{}}"#,
                Endpoint::Public,
                Some(Refusal::WrongValue { field: "args", found: "{}".into() }),
                "60013",
            ),
            (
                r#"{"id":"x-1","op":"subscribe","args":[]}"#,
                Endpoint::Public,
                Some(Refusal::WrongValue { field: "id", found: "\"x-1\"".into() }),
                "60013",
            ),
            (
                r#"{"op":"subscribe","args":[{"channel":"books"}]}"#,
                Endpoint::Public,
                Some(Refusal::MissingField { field: "instId" }),
                "60013",
            ),
            (
                r#"{"op":"subscribe","args":[{"channel":"candle1D","instId":"BTC-USDT"}]}"#,
                Endpoint::Public,
                Some(Refusal::UnknownChannel { name: "candle1D".into() }),
                "60018",
            ),
            (
                r#"{"op":"subscribe","args":[{"channel":"books","instId":"XYZ-USDT"}]}"#,
                Endpoint::Public,
                Some(Refusal::UnknownSymbol { name: "XYZ-USDT".into() }),
                "60018",
            ),
            (
                r#"{"op":"subscribe","args":[{"channel":"orders","instType":"SWAP"}]}"#,
                Endpoint::Private,
                Some(Refusal::WrongValue { field: "instType", found: "SWAP".into() }),
                "60013",
            ),
            (
                r#"{"op":"subscribe","args":[{"channel":"account"}]}"#,
                Endpoint::Public,
                Some(Refusal::WrongEndpoint),
                "60008",
            ),
            (
                r#"{"op":"login","args":[{"apiKey":"k","passphrase":"p","timestamp":"now","sign":"s"}]}"#,
                Endpoint::Private,
                Some(Refusal::WrongValue { field: "timestamp", found: "now".into() }),
                "60013",
            ),
        ] {
            let refused = read(text, endpoint).unwrap_err();
            if let Some(refusal) = refusal {
                assert_eq!(refused.refusal, refusal, "{text}");
            }
            let sent = replies(&Reply::Refused(refused), CONNECTION);
            assert_eq!(sent.len(), 1);
            assert!(sent[0].contains(&format!(r#""event":"error","code":"{code}","msg":""#)), "{sent:?}");
            assert!(matches!(read_reply(&listing(), sent[0].as_bytes()), Ok(Some(Reply::Refused(_)))));
        }
    }

    #[test]
    fn reasons_read_back_as_the_venue_tells_them() {
        for refusal in [
            Refusal::LoginFailed,
            Refusal::NotLoggedIn,
            Refusal::TooFrequent,
            Refusal::WrongEndpoint,
            Refusal::TooMany { limit: 480 },
        ] {
            let sent = replies(&Reply::Refused(refused(refusal.clone())), CONNECTION);
            assert_eq!(
                read_reply(&listing(), sent[0].as_bytes()),
                Ok(Some(Reply::Refused(refused(refusal))))
            );
        }
        let crowded = br#"{"event":"channel-conn-count-error","channel":"orders","connCount":"30","connId":"a4d3ae55"}"#;
        let Ok(Some(Reply::Refused(refused))) = read_reply(&listing(), crowded) else { panic!("a refusal") };
        assert_eq!((refused.refusal, refused.topic), (Refusal::TooMany { limit: 30 }, Some("orders".into())));
    }

    #[test]
    fn thousands_of_topics_are_one_command() {
        let arg = r#"{"channel":"trades","instId":"PEPE-USDT"}"#;
        let text = format!(r#"{{"op":"subscribe","args":[{}]}}"#, vec![arg; 1_500].join(","));
        let Ok(Request::Subscribe { topics, .. }) = read(&text, Endpoint::Public) else { panic!("read") };
        assert_eq!(topics, vec![topic(Channel::Trades, Some(1), arg); 1_500]);
    }

    proptest! {
        #[test]
        fn a_login_reads_back_whenever_it_was_signed(time_ms in 0..10_000_000_000_000u64, key in "[a-z\"\\\\]{0,8}") {
            let login = Login {
                key,
                signature: "s".into(),
                passphrase: Some("p".into()),
                time_ms: Some(time_ms),
                payload: String::new(),
            };
            let text = written(&Request::Login { id: id(), login: login.clone() }).unwrap();
            let Ok(Request::Login { id: read_id, login: read }) = read(&text, Endpoint::Private) else {
                panic!("{text}")
            };
            prop_assert_eq!(read_id, id());
            prop_assert!(read.payload.ends_with("GET/users/self/verify"));
            prop_assert_eq!(Login { payload: String::new(), ..read }, login);
        }

        #[test]
        fn arbitrary_input_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_request(&listing(), &bytes, Endpoint::Public);
            let _ = read_reply(&listing(), &bytes);
        }

        #[test]
        fn arbitrary_commands_never_panic(
            text in "\\{(\"(op|args|id|event|arg|code|msg)\":(\"(subscribe|login|error|60018|a)\"|[0-9\\[{\\]}]{1,3}),?){0,4}\\}?"
        ) {
            let _ = read_request(&listing(), text.as_bytes(), Endpoint::Private);
            let _ = read_reply(&listing(), text.as_bytes());
        }
    }
}
