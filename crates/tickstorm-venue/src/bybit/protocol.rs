//! Commands and acknowledgements.

use serde::Deserialize;
use serde_json::value::RawValue;
use tickstorm_market::instrument::{Listing, SymbolId};

use super::rules::{QUOTE_DEPTH, RULES};
use crate::decoder::DecodeError;
use crate::encoder::Numbering;
use crate::json::{Object, Value, quoted, skip_space};
use crate::protocol::{
    Channel, Circumstances, Endpoint, Login, Refusal, Refused, Reply, Request, RequestId, Topic,
};

/// What all commands have in common.
#[derive(Deserialize)]
struct Command<'a> {
    #[serde(borrow)]
    req_id: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow, default)]
    args: Vec<&'a RawValue>,
}

/// If one topic of a request is wrong, all of it is refused.
pub(crate) fn read_request(listing: &Listing, bytes: &[u8], endpoint: Endpoint) -> Result<Request, Refused> {
    let unread = |refusal| Refused { id: None, refusal, topic: None, method: None };
    let command: Command<'_> = serde_json::from_slice(bytes).map_err(|error| unread(unreadable(&error)))?;
    // serde takes an array for a command without names.
    if bytes.get(skip_space(bytes, 0)) != Some(&b'{') {
        return Err(unread(Refusal::MissingField { field: "op" }));
    }
    // Documented as a text, and sent as a number by ccxt all the same.
    let is_id = |json: &str| json.starts_with('"') || is_number(json);
    if let Some(id) = command.req_id.filter(|id| !is_id(id.get())) {
        return Err(unread(Refusal::WrongValue { field: "req_id", found: quoted(id.get()) }));
    }
    let id = command.req_id.map(|id| RequestId(id.get().to_owned()));
    let op = command.op.map(|op| string(op).unwrap_or_else(|| op.get().to_owned())).unwrap_or_default();
    let refused = |(refusal, topic)| Refused { id: id.clone(), refusal, topic, method: Some(quoted(&op)) };
    let whole = |refusal| refused((refusal, None));
    match op.as_str() {
        "subscribe" => {
            let topics = topics(listing, &command.args, endpoint).map_err(refused)?;
            Ok(Request::Subscribe { id, topics, snapshot: None, fills: None, login: None })
        }
        "unsubscribe" => {
            let topics = topics(listing, &command.args, endpoint).map_err(refused)?;
            Ok(Request::Unsubscribe { id, topics })
        }
        "ping" => Ok(Request::Ping { id }),
        "auth" if endpoint == Endpoint::Public => Err(whole(Refusal::WrongEndpoint)),
        "auth" => {
            let login = login(&command.args).map_err(whole)?;
            Ok(Request::Login { id, login })
        }
        "" => Err(whole(Refusal::MissingField { field: "op" })),
        _ => Err(whole(Refusal::UnknownMethod { found: quoted(&op) })),
    }
}

/// A topic without a name gets that of its channel and symbol.
pub(crate) fn write_request(listing: &Listing, request: &Request, out: &mut Vec<u8>) -> bool {
    let (id, op, args) = match request {
        Request::Subscribe { id, topics, .. } => (id, "subscribe", topic_args(listing, topics)),
        Request::Unsubscribe { id, topics } => (id, "unsubscribe", topic_args(listing, topics)),
        Request::Ping { id } => (id, "ping", Some(String::new())),
        Request::Login { id, login } => (id, "auth", Some(login_args(login))),
        Request::List { .. }
        | Request::Call { .. }
        | Request::Session { .. }
        | Request::Logout { .. }
        | Request::SetCombined { .. }
        | Request::GetCombined { .. } => return false,
    };
    let Some(args) = args else { return false };
    let id = id.as_ref().map_or(String::new(), |RequestId(id)| format!(r#""req_id":{id},"#));
    let args = if args.is_empty() { args } else { format!(r#","args":[{args}]"#) };
    out.extend_from_slice(format!(r#"{{{id}"op":"{op}"{args}}}"#).as_bytes());
    true
}

pub(crate) fn write_reply(
    _: &Listing,
    reply: &Reply,
    circumstances: &Circumstances,
    _: &mut Numbering,
    send: &mut dyn FnMut(&[u8]),
) {
    let (id, success, said, op) = match reply {
        Reply::Subscribed { id, .. } => (id, true, acknowledged("subscribe", circumstances), "subscribe"),
        Reply::Unsubscribed { id, .. } => {
            (id, true, acknowledged("unsubscribe", circumstances), "unsubscribe")
        }
        Reply::Pong { id } => return send(pong(id.as_ref(), circumstances).as_bytes()),
        Reply::LoggedIn { id } => {
            let id = id.as_ref().map_or(String::new(), |RequestId(id)| format!(r#","req_id":{id}"#));
            let conn_id = conn_id(circumstances);
            let text = format!(r#"{{"success":true,"ret_msg":"","op":"auth","conn_id":"{conn_id}"{id}}}"#);
            return send(text.as_bytes());
        }
        Reply::Refused(refused) => {
            let op = refused.method.as_deref().unwrap_or_default();
            (&refused.id, false, refusal_text(refused), op)
        }
        // Bybit greets nobody, lists nothing, wraps nothing and announces no end.
        Reply::Subscriptions { .. }
        | Reply::Called { .. }
        | Reply::Session { .. }
        | Reply::Combined { .. }
        | Reply::Greeting
        | Reply::Heartbeat { .. }
        | Reply::ClosingSoon => return,
    };
    let id = id.as_ref().map_or(String::new(), |RequestId(id)| format!(r#""req_id":{id},"#));
    let (said, op, conn_id) = (json_string(&said), json_string(op), conn_id(circumstances));
    let text = format!(r#"{{"success":{success},"ret_msg":{said},"conn_id":"{conn_id}",{id}"op":{op}}}"#);
    send(text.as_bytes());
}

/// Whether a JSON value is a number.
fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Acknowledgements do not name their topics: the request that they answer does.
pub(crate) fn read_reply(_: &Listing, bytes: &[u8]) -> Result<Option<Reply>, DecodeError> {
    let message = Object::parse(bytes)?;
    let Some(op) = message.find("op") else { return Ok(None) };
    let op = op.string()?;
    let id = match message.find("req_id") {
        Some(id) if is_number(id.raw()) => Some(RequestId(id.raw().to_owned())),
        Some(id) => Some(id.string()?).filter(|id| !id.is_empty()).map(|id| RequestId(json_string(&id))),
        None => None,
    };
    let said = message.find("ret_msg").or_else(|| message.find("retMsg"));
    let said = said.map(Value::string).transpose()?.unwrap_or_default();
    let success = match (message.find("success"), message.find("retCode")) {
        (Some(success), _) => success.boolean()?,
        (None, Some(code)) => code.number()? == 0,
        (None, None) => true,
    };
    Ok(Some(match &*op {
        _ if !success => {
            let (text, topic) = match said.split_once(TOPIC_MARK) {
                Some((text, topic)) => (text, Some(topic.to_owned())),
                None => (&*said, None),
            };
            let refusal = refusal(text, topic.as_deref(), &op);
            let method = Some(op.into_owned()).filter(|op| !op.is_empty());
            Reply::Refused(Refused { id, refusal, topic, method })
        }
        "ping" | "pong" => Reply::Pong { id },
        "subscribe" => Reply::Subscribed { id, topics: Vec::new(), all: Vec::new(), snapshot: None },
        "unsubscribe" => Reply::Unsubscribed { id, topics: Vec::new(), all: Vec::new() },
        "auth" => Reply::LoggedIn { id },
        _ => return Ok(None),
    }))
}

fn topics(
    listing: &Listing,
    args: &[&RawValue],
    endpoint: Endpoint,
) -> Result<Vec<Topic>, (Refusal, Option<String>)> {
    if args.is_empty() {
        return Err((Refusal::MissingField { field: "args" }, None));
    }
    if endpoint == Endpoint::Public && args.len() > ARGS_MAX {
        return Err((Refusal::TooMany { limit: ARGS_MAX as u32 }, None));
    }
    if args.iter().map(|arg| arg.get().len()).sum::<usize>() > ARGS_LENGTH_MAX {
        return Err((Refusal::TooMany { limit: ARGS_LENGTH_MAX as u32 }, None));
    }
    args.iter()
        .map(|arg| {
            let name = string(arg)
                .ok_or_else(|| (Refusal::WrongValue { field: "args", found: quoted(arg.get()) }, None))?;
            let found = topic(listing, &name, endpoint).map_err(|refusal| (refusal, Some(name.clone())))?;
            Ok(Topic { name, ..found })
        })
        .collect()
}

fn topic(listing: &Listing, name: &str, endpoint: Endpoint) -> Result<Topic, Refusal> {
    let unknown = || Refusal::UnknownChannel { name: name.to_owned() };
    let (kind, rest) = name.split_once('.').unwrap_or((name, ""));
    let (channel, symbol) = match kind {
        "orderbook" => {
            let (depth, symbol) = rest.split_once('.').ok_or_else(unknown)?;
            let offered = |depth: &u32| RULES.depths.contains(depth);
            match depth.parse().ok().filter(offered) {
                Some(QUOTE_DEPTH) => (Channel::Quotes, Some(symbol)),
                Some(depth) => (Channel::Book { depth }, Some(symbol)),
                None => return Err(Refusal::UnknownDepth { depth: depth.to_owned() }),
            }
        }
        "publicTrade" => (Channel::Trades, Some(rest)),
        "tickers" => (Channel::Tickers, Some(rest)),
        "order" if ["", "spot"].contains(&rest) => (Channel::Orders, None),
        "execution" if ["", "spot"].contains(&rest) => (Channel::Fills, None),
        "wallet" if rest.is_empty() => (Channel::Balances, None),
        _ => return Err(unknown()),
    };
    let home = if symbol.is_some() { Endpoint::Public } else { Endpoint::Private };
    if home != endpoint {
        return Err(Refusal::WrongEndpoint);
    }
    let symbol = symbol.map(|symbol| {
        find_symbol(listing, symbol).ok_or_else(|| Refusal::UnknownSymbol { name: symbol.to_owned() })
    });
    Ok(Topic { channel, symbol: symbol.transpose()?, name: String::new() })
}

pub(super) fn find_symbol(listing: &Listing, name: &str) -> Option<SymbolId> {
    listing.instruments.iter().find(|instrument| instrument.symbol == name).map(|instrument| instrument.id)
}

/// The names as JSON strings; none if one of the channels does not exist here.
fn topic_args(listing: &Listing, topics: &[Topic]) -> Option<String> {
    let names: Option<Vec<String>> = topics
        .iter()
        .map(|topic| match topic.name.as_str() {
            "" => topic_name(listing, topic).map(|name| json_string(&name)),
            name => Some(json_string(name)),
        })
        .collect();
    names.map(|names| names.join(","))
}

fn topic_name(listing: &Listing, topic: &Topic) -> Option<String> {
    let of_symbol = |kind: String| Some(format!("{kind}.{}", listing.instrument(topic.symbol?).symbol));
    match topic.channel {
        Channel::Book { depth: 0 } => of_symbol(format!("orderbook.{}", RULES.whole_depth())),
        Channel::Book { depth } => of_symbol(format!("orderbook.{depth}")),
        Channel::Quotes | Channel::TopOfBook { depth: QUOTE_DEPTH } => of_symbol("orderbook.1".to_owned()),
        Channel::Trades => of_symbol("publicTrade".to_owned()),
        Channel::Tickers => of_symbol("tickers".to_owned()),
        Channel::Orders => Some("order".to_owned()),
        Channel::Fills => Some("execution".to_owned()),
        Channel::Balances => Some("wallet".to_owned()),
        Channel::TopOfBook { .. }
        | Channel::AggregateTrades
        | Channel::ShortTickers
        | Channel::User
        | Channel::Instruments
        | Channel::Heartbeats => None,
    }
}

/// Key, expiry in milliseconds (some clients quote it), and signature.
fn login(args: &[&RawValue]) -> Result<Login, Refusal> {
    let wrong = |arg: &RawValue| Refusal::WrongValue { field: "args", found: quoted(arg.get()) };
    let [key, expires, signature] = args else { return Err(Refusal::MissingField { field: "args" }) };
    let expires_text = string(expires).unwrap_or_else(|| expires.get().to_owned());
    Ok(Login {
        key: string(key).ok_or_else(|| wrong(key))?,
        time_ms: Some(expires_text.parse().map_err(|_| wrong(expires))?),
        payload: format!("GET/realtime{expires_text}"),
        signature: string(signature).ok_or_else(|| wrong(signature))?,
        passphrase: None,
    })
}

fn login_args(login: &Login) -> String {
    let expires = login.time_ms.unwrap_or_default();
    format!("{},{expires},{}", json_string(&login.key), json_string(&login.signature))
}

fn acknowledged(op: &str, circumstances: &Circumstances) -> String {
    match circumstances.endpoint {
        Endpoint::Public => op.to_owned(),
        Endpoint::Private => String::new(),
    }
}

fn pong(id: Option<&RequestId>, circumstances: &Circumstances) -> String {
    let id = id.map(|RequestId(id)| format!(r#""req_id":{id},"#)).unwrap_or_default();
    let conn_id = conn_id(circumstances);
    match circumstances.endpoint {
        Endpoint::Public => {
            format!(r#"{{"success":true,"ret_msg":"pong","conn_id":"{conn_id}",{id}"op":"ping"}}"#)
        }
        Endpoint::Private => {
            let now_ms = circumstances.now_unix_ns / 1_000_000;
            format!(r#"{{{id}"op":"pong","args":["{now_ms}"],"conn_id":"{conn_id}"}}"#)
        }
    }
}

/// A UUID on public sockets, a short name on private ones.
fn conn_id(circumstances: &Circumstances) -> String {
    let number = circumstances.connection;
    match circumstances.endpoint {
        Endpoint::Public => format!("5c1e2a7e-0000-4000-8000-{:012x}", number & 0xffff_ffff_ffff),
        Endpoint::Private => format!("cp1-{number:04}"),
    }
}

fn refusal_text(refused: &Refused) -> String {
    let topic = refused.topic.as_deref().map(|topic| format!("{TOPIC_MARK}{topic}")).unwrap_or_default();
    let text = match &refused.refusal {
        Refusal::NoJson { problem, .. } => format!("error:request is not JSON: {problem}"),
        Refusal::UnknownMethod { .. } => INVALID_OP.to_owned(),
        Refusal::MissingField { field } => format!("error:missing {field}"),
        Refusal::WrongValue { field, found } => format!("error:invalid {field}: {found}"),
        Refusal::UnknownChannel { .. }
        | Refusal::UnknownSymbol { .. }
        | Refusal::UnknownDepth { .. }
        | Refusal::WrongEndpoint => match refused.topic {
            Some(_) => NO_HANDLER.to_owned(),
            None => INVALID_OP.to_owned(),
        },
        Refusal::AlreadySubscribed => ALREADY_SUBSCRIBED.to_owned(),
        Refusal::NotSubscribed => NOT_SUBSCRIBED.to_owned(),
        Refusal::TooMany { limit } => format!("{TOO_MANY}{limit}"),
        Refusal::TooFrequent => TOO_FREQUENT.to_owned(),
        Refusal::NotLoggedIn => NOT_AUTHORIZED.to_owned(),
        Refusal::LoginFailed | Refusal::Access(_) => LOGIN_FAILED.to_owned(),
    };
    text + &topic
}

/// What a refusal's text means, as far as the texts tell reasons apart.
fn refusal(text: &str, topic: Option<&str>, op: &str) -> Refusal {
    match text {
        NO_HANDLER => Refusal::UnknownChannel { name: topic.unwrap_or_default().to_owned() },
        ALREADY_SUBSCRIBED => Refusal::AlreadySubscribed,
        NOT_SUBSCRIBED => Refusal::NotSubscribed,
        TOO_FREQUENT => Refusal::TooFrequent,
        NOT_AUTHORIZED => Refusal::NotLoggedIn,
        INVALID_OP => Refusal::UnknownMethod { found: op.to_owned() },
        _ if op == "auth" => Refusal::LoginFailed,
        _ => match text.strip_prefix(TOO_MANY).and_then(|limit| limit.parse().ok()) {
            Some(limit) => Refusal::TooMany { limit },
            None => Refusal::WrongValue { field: "args", found: quoted(text) },
        },
    }
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let problem = quoted(text.split(" at line ").next().unwrap_or(&text));
    if error.is_data() {
        return Refusal::WrongValue { field: "args", found: problem };
    }
    Refusal::NoJson { line: error.line(), column: error.column(), problem }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Topics in a request to the spot endpoint.
const ARGS_MAX: usize = 10;

/// Characters of all topics of a request.
const ARGS_LENGTH_MAX: usize = 21_000;

/// What stands between the text of a refusal and the topic concerned.
const TOPIC_MARK: &str = ",topic:";

const NO_HANDLER: &str = "error:handler not found";
const ALREADY_SUBSCRIBED: &str = "error:already subscribed";
const NOT_SUBSCRIBED: &str = "error:not subscribed";
const INVALID_OP: &str = "error:invalid op";
const TOO_MANY: &str = "args size >";
const TOO_FREQUENT: &str = "error:too many requests";
const NOT_AUTHORIZED: &str = "Request not authorized";
const LOGIN_FAILED: &str = "Params Error";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::listing;

    const SUBSCRIBE: &str = include_str!("../../../../testdata/bybit/subscribe.json");
    const UNSUBSCRIBE: &str = include_str!("../../../../testdata/bybit/unsubscribe.json");
    const PING: &str = include_str!("../../../../testdata/bybit/ping.json");
    const AUTH: &str = include_str!("../../../../testdata/bybit/auth.json");
    const SUBSCRIBED: &str = include_str!("../../../../testdata/bybit/subscribed.json");
    const UNSUBSCRIBED: &str = include_str!("../../../../testdata/bybit/unsubscribed.json");
    const NO_HANDLER_REPLY: &str = include_str!("../../../../testdata/bybit/handler_not_found.json");
    const ALREADY_REPLY: &str = include_str!("../../../../testdata/bybit/already_subscribed.json");
    const PONG_PUBLIC: &str = include_str!("../../../../testdata/bybit/pong_public.json");
    const PONG_PRIVATE: &str = include_str!("../../../../testdata/bybit/pong_private.json");
    const AUTHENTICATED: &str = include_str!("../../../../testdata/bybit/authenticated.json");

    fn id(text: &str) -> Option<RequestId> {
        Some(RequestId(format!("\"{text}\"")))
    }

    fn of_symbol(channel: Channel, name: &str) -> Topic {
        Topic { channel, symbol: Some(SymbolId(0)), name: name.to_owned() }
    }

    fn read(text: &str, endpoint: Endpoint) -> Result<Request, Refused> {
        read_request(&listing(), text.as_bytes(), endpoint)
    }

    fn replied(reply: &Reply, endpoint: Endpoint) -> Option<String> {
        let circumstances = Circumstances { now_unix_ns: 1_795_420_800_104_999_999, connection: 1, endpoint };
        let mut text = None;
        write_reply(&listing(), reply, &circumstances, &mut Numbering::default(), &mut |bytes| {
            text = Some(String::from_utf8(bytes.to_vec()).unwrap());
        });
        text
    }

    fn refused_reply(id: Option<RequestId>, refusal: Refusal, topic: Option<&str>) -> Reply {
        let method = Some("subscribe".to_owned());
        Reply::Refused(Refused { id, refusal, topic: topic.map(str::to_owned), method })
    }

    #[test]
    fn every_example_of_a_request_is_read_and_written_again() {
        let book = of_symbol(Channel::Book { depth: 50 }, "orderbook.50.BTCUSDT");
        let trades = of_symbol(Channel::Trades, "publicTrade.BTCUSDT");
        let login = Login {
            key: "demo-key".to_owned(),
            payload: "GET/realtime1795420810000".to_owned(),
            signature: "9f2c".to_owned(),
            passphrase: None,
            time_ms: Some(1_795_420_810_000),
        };
        for (text, endpoint, expected) in [
            (
                SUBSCRIBE,
                Endpoint::Public,
                Request::Subscribe {
                    id: id("r1"),
                    topics: vec![book, trades.clone()],
                    snapshot: None,
                    fills: None,
                    login: None,
                },
            ),
            (UNSUBSCRIBE, Endpoint::Public, Request::Unsubscribe { id: id("r2"), topics: vec![trades] }),
            (PING, Endpoint::Private, Request::Ping { id: id("p1") }),
            (AUTH, Endpoint::Private, Request::Login { id: id("a1"), login }),
        ] {
            assert_eq!(read(text, endpoint).as_ref(), Ok(&expected));
            let mut out = Vec::new();
            assert!(write_request(&listing(), &expected, &mut out));
            assert_eq!(String::from_utf8(out).unwrap(), text.trim_end());
        }
    }

    #[test]
    fn every_example_of_a_reply_is_written_and_read_again() {
        let none = Vec::new;
        let no_handler = Refusal::UnknownChannel { name: "orderbook.50.XYZUSDT".to_owned() };
        for (text, endpoint, reply) in [
            (
                SUBSCRIBED,
                Endpoint::Public,
                Reply::Subscribed { id: id("r1"), topics: none(), all: none(), snapshot: None },
            ),
            (
                UNSUBSCRIBED,
                Endpoint::Public,
                Reply::Unsubscribed { id: id("r2"), topics: none(), all: none() },
            ),
            (
                NO_HANDLER_REPLY,
                Endpoint::Public,
                refused_reply(id("r3"), no_handler, Some("orderbook.50.XYZUSDT")),
            ),
            (
                ALREADY_REPLY,
                Endpoint::Public,
                refused_reply(id("r4"), Refusal::AlreadySubscribed, Some("publicTrade.BTCUSDT")),
            ),
            (PONG_PUBLIC, Endpoint::Public, Reply::Pong { id: id("p1") }),
            (PONG_PRIVATE, Endpoint::Private, Reply::Pong { id: id("p1") }),
            (AUTHENTICATED, Endpoint::Private, Reply::LoggedIn { id: id("a1") }),
        ] {
            assert_eq!(replied(&reply, endpoint).as_deref(), Some(text.trim_end()));
            assert_eq!(read_reply(&listing(), text.as_bytes()), Ok(Some(reply)));
        }
    }

    #[test]
    fn every_topic_is_read_as_its_channel_and_named_after_it() {
        for (name, channel, symbol) in [
            ("orderbook.1.BTCUSDT", Channel::Quotes, Some(SymbolId(0))),
            ("orderbook.200.PEPEUSDT", Channel::Book { depth: 200 }, Some(SymbolId(1))),
            ("orderbook.1000.BTCUSDT", Channel::Book { depth: 1000 }, Some(SymbolId(0))),
            ("publicTrade.BTCUSDT", Channel::Trades, Some(SymbolId(0))),
            ("tickers.BTCUSDT", Channel::Tickers, Some(SymbolId(0))),
            ("order", Channel::Orders, None),
            ("execution", Channel::Fills, None),
            ("wallet", Channel::Balances, None),
        ] {
            let endpoint = if symbol.is_some() { Endpoint::Public } else { Endpoint::Private };
            let expected = Topic { channel, symbol, name: String::new() };
            assert_eq!(topic(&listing(), name, endpoint).as_ref(), Ok(&expected));
            assert_eq!(topic_name(&listing(), &expected).as_deref(), Some(name));
            let other = if symbol.is_some() { Endpoint::Private } else { Endpoint::Public };
            assert_eq!(topic(&listing(), name, other), Err(Refusal::WrongEndpoint));
        }
        assert_eq!(
            topic(&listing(), "order.spot", Endpoint::Private).map(|it| it.channel),
            Ok(Channel::Orders)
        );
    }

    #[test]
    fn wrong_requests_are_refused_with_their_reason_and_id() {
        let refusal = |text: &str| read(text, Endpoint::Public).unwrap_err();
        let subscribe =
            |args: &str| refusal(&format!(r#"{{"req_id":"r9","op":"subscribe","args":[{args}]}}"#));
        let unknown = subscribe("\"kline.1.BTCUSDT\"");
        assert_eq!(unknown.refusal, Refusal::UnknownChannel { name: "kline.1.BTCUSDT".to_owned() });
        assert_eq!((unknown.id, unknown.topic.as_deref()), (id("r9"), Some("kline.1.BTCUSDT")));
        let symbol = subscribe("\"tickers.BTCUSDT\",\"tickers.XYZ\"");
        assert_eq!(symbol.refusal, Refusal::UnknownSymbol { name: "XYZ".to_owned() });
        let depth = subscribe("\"orderbook.25.BTCUSDT\"").refusal;
        assert_eq!(depth, Refusal::UnknownDepth { depth: "25".to_owned() });
        assert_eq!(subscribe("7").refusal, Refusal::WrongValue { field: "args", found: "7".to_owned() });
        assert_eq!(subscribe("").refusal, Refusal::MissingField { field: "args" });
        let eleven = ["\"tickers.BTCUSDT\""; 11].join(",");
        assert_eq!(subscribe(&eleven).refusal, Refusal::TooMany { limit: 10 });
        let long = format!("\"{}\"", "x".repeat(21_000));
        assert_eq!(subscribe(&long).refusal, Refusal::TooMany { limit: 21_000 });
        assert_eq!(refusal("{}").refusal, Refusal::MissingField { field: "op" });
        let trade = refusal(r#"{"op":"order.create"}"#);
        assert_eq!(trade.refusal, Refusal::UnknownMethod { found: "order.create".to_owned() });
        assert_eq!(refusal(AUTH).refusal, Refusal::WrongEndpoint);
        let truth = refusal(r#"{"op":"ping","req_id":true}"#).refusal;
        assert_eq!(truth, Refusal::WrongValue { field: "req_id", found: "true".to_owned() });
        assert_eq!(refusal(r#"["r1","ping",[]]"#).refusal, Refusal::MissingField { field: "op" });
        assert!(matches!(
            refusal(r#"{"op":"subscribe","args":"x"}"#).refusal,
            Refusal::WrongValue { field: "args", .. }
        ));
        let Refusal::NoJson { line, column, .. } = refusal("{\n\"op\":}").refusal else { panic!("no JSON") };
        assert_eq!((line, column), (2, 6));
    }

    #[test]
    fn a_login_needs_a_key_an_expiry_and_a_signature() {
        let login = |args: &str| {
            read(&format!(r#"{{"op":"auth","args":[{args}]}}"#), Endpoint::Private).map_err(|it| it.refusal)
        };
        let quoted = login(r#""k","1795420810000","s""#);
        assert!(
            matches!(quoted, Ok(Request::Login { login, .. }) if login.time_ms == Some(1_795_420_810_000))
        );
        assert_eq!(login(r#""k",1"#), Err(Refusal::MissingField { field: "args" }));
        assert_eq!(
            login(r#""k",-1,"s""#),
            Err(Refusal::WrongValue { field: "args", found: "-1".to_owned() })
        );
        assert_eq!(login(r#"1,1,"s""#), Err(Refusal::WrongValue { field: "args", found: "1".to_owned() }));
    }

    #[test]
    fn refusals_read_back_as_far_as_their_text_tells() {
        let topic = Some("orderbook.50.BTCUSDT");
        for (refusal, topic) in [
            (Refusal::AlreadySubscribed, topic),
            (Refusal::NotSubscribed, topic),
            (Refusal::TooMany { limit: 10 }, None),
            (Refusal::TooFrequent, None),
            (Refusal::NotLoggedIn, None),
            (Refusal::UnknownMethod { found: "subscribe".to_owned() }, None),
        ] {
            let reply = refused_reply(id("r1"), refusal, topic);
            let text = replied(&reply, Endpoint::Public).unwrap();
            assert_eq!(read_reply(&listing(), text.as_bytes()), Ok(Some(reply)), "{text}");
        }
        let symbol =
            refused_reply(None, Refusal::UnknownSymbol { name: "XYZ".to_owned() }, Some("tickers.XYZ"));
        let text = replied(&symbol, Endpoint::Public).unwrap();
        assert!(
            text.contains(r#""ret_msg":"error:handler not found,topic:tickers.XYZ","conn_id":"#),
            "{text}"
        );
        assert!(!text.contains("req_id"), "{text}");
        let login = r#"{"success":false,"ret_msg":"Params Error","op":"auth","conn_id":"cp1-0001"}"#;
        let Ok(Some(Reply::Refused(refused))) = read_reply(&listing(), login.as_bytes()) else {
            panic!("refused")
        };
        assert_eq!(refused.refusal, Refusal::LoginFailed);
        let code = r#"{"retCode":10003,"retMsg":"API key is invalid.","op":"auth","connId":"cp1-0001"}"#;
        assert!(matches!(read_reply(&listing(), code.as_bytes()), Ok(Some(Reply::Refused(_)))));
    }

    #[test]
    fn what_is_no_reply_is_none() {
        for text in [
            include_str!("../../../../testdata/bybit/orderbook_delta.json"),
            include_str!("../../../../testdata/bybit/wallet.json"),
            include_str!("../../../../testdata/bybit/rest_orderbook.json"),
        ] {
            assert_eq!(read_reply(&listing(), text.as_bytes()), Ok(None));
        }
        assert_eq!(replied(&Reply::Greeting, Endpoint::Public), None);
    }

    #[test]
    fn a_number_is_an_id_too() {
        let Ok(Request::Ping { id }) = read(r#"{"op":"ping","req_id":7}"#, Endpoint::Public) else {
            panic!("a ping")
        };
        assert_eq!(id, Some(RequestId("7".to_owned())));
        let reply = replied(&Reply::Pong { id: id.clone() }, Endpoint::Public).unwrap();
        assert_eq!(read_reply(&listing(), reply.as_bytes()), Ok(Some(Reply::Pong { id })));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(
            text in "\\{?(\"(op|args|req_id|subscribe|auth|ping|success|ret_msg|orderbook.50.BTCUSDT)\"[:,]?|[\\[\\]{}:,0-9]|true|false){0,20}"
        ) {
            let _ = read(&text, Endpoint::Public);
            let _ = read(&text, Endpoint::Private);
            let _ = read_reply(&listing(), text.as_bytes());
        }

        #[test]
        fn every_id_comes_back_as_it_was(client_id in "[ -~]{0,40}") {
            let text = format!(r#"{{"op":"ping","req_id":{}}}"#, json_string(&client_id));
            let Ok(Request::Ping { id }) = read(&text, Endpoint::Public) else { panic!("a ping") };
            let reply = replied(&Reply::Pong { id: id.clone() }, Endpoint::Public).unwrap();
            let expected = if client_id.is_empty() { None } else { id };
            prop_assert_eq!(read_reply(&listing(), reply.as_bytes()), Ok(Some(Reply::Pong { id: expected })));
        }
    }
}
