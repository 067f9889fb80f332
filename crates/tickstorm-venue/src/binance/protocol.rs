//! Commands and acknowledgements: of the market streams, and of the WebSocket API where user data is subscribed to.
//!
//! The market streams acknowledge every command alike, so that what is read back as [`Reply::Subscribed`] without
//! topics may have been any of them.

mod refusal;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tickstorm_market::instrument::{Listing, SymbolId};

use super::encode::json_string;
use super::rest;
use crate::decoder::DecodeError;
use crate::encoder::Numbering;
use crate::json::{Object, Value, quoted};
use crate::protocol::{
    Channel, Circumstances, Endpoint, Login, Refusal, Refused, Reply, Request, RequestId, Session, Topic,
};
use crate::rest::{Call, HttpRequest, RestError};
pub(crate) use refusal::write_flat_refusal;
pub(super) use refusal::{access_error, malformed};
use refusal::{read_refusal, write_refusal};

/// Reads a command, of the kind that the endpoint takes.
pub(crate) fn read_request(listing: &Listing, bytes: &[u8], endpoint: Endpoint) -> Result<Request, Refused> {
    let object = Object::parse(bytes).map_err(|error| unread(refused_json(bytes, &error)))?;
    let id = read_id(&object).map_err(unread)?;
    let refused = |refusal, method: Option<&str>| Refused {
        id: id.clone(),
        refusal,
        topic: None,
        method: method.map(str::to_owned),
    };
    let method = object.find("method").ok_or(Refusal::MissingField { field: "method" });
    let method = method.and_then(|value| text(value, "method")).map_err(|refusal| refused(refusal, None))?;
    let request = match endpoint {
        Endpoint::Public => read_stream_command(listing, &object, &method, id.clone()),
        Endpoint::Private => read_api_call(listing, &object, &method, id.clone()),
    };
    request.map_err(|wrong| Refused { topic: wrong.topic, ..refused(wrong.refusal, Some(&method)) })
}

/// A refusal before it is known whose it is.
struct Wrong {
    refusal: Refusal,
    topic: Option<String>,
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, topic: None }
    }
}

fn read_stream_command(
    listing: &Listing,
    object: &Object<'_>,
    method: &str,
    id: Option<RequestId>,
) -> Result<Request, Wrong> {
    match method {
        "SUBSCRIBE" => Ok(Request::Subscribe {
            id,
            topics: read_topics(listing, object)?,
            snapshot: None,
            fills: None,
            login: None,
        }),
        "UNSUBSCRIBE" => Ok(Request::Unsubscribe { id, topics: read_topics(listing, object)? }),
        "LIST_SUBSCRIPTIONS" => Ok(Request::List { id }),
        "SET_PROPERTY" => {
            let params = params(object)?;
            read_property(params.first())?;
            let value = params.get(1).ok_or(Refusal::MissingField { field: "params" })?;
            let combined = value
                .boolean()
                .map_err(|_| Refusal::WrongValue { field: "combined", found: found(*value) })?;
            Ok(Request::SetCombined { id, combined })
        }
        "GET_PROPERTY" => {
            read_property(params(object)?.first())?;
            Ok(Request::GetCombined { id })
        }
        _ => Err(Refusal::UnknownMethod { found: quoted(method) }.into()),
    }
}

fn read_topics(listing: &Listing, object: &Object<'_>) -> Result<Vec<Topic>, Wrong> {
    let params = params(object)?;
    if params.is_empty() {
        return Err(Refusal::WrongValue { field: "params", found: "[]".to_owned() }.into());
    }
    if params.len() > STREAMS_MAX as usize {
        return Err(Refusal::TooMany { limit: STREAMS_MAX }.into());
    }
    let topic = |value: Value<'_>| {
        let name = text(value, "params")?;
        read_stream(listing, &name).map_err(|refusal| Wrong { refusal, topic: Some(quoted(&name)) })
    };
    params.into_iter().map(topic).collect()
}

/// The one property there is.
fn read_property(name: Option<&Value<'_>>) -> Result<(), Refusal> {
    let name = name.ok_or(Refusal::MissingField { field: "params" })?;
    match text(*name, "property name")?.as_str() {
        "combined" => Ok(()),
        _ => Err(Refusal::WrongValue { field: "property", found: found(*name) }),
    }
}

fn params<'a>(object: &Object<'a>) -> Result<Vec<Value<'a>>, Refusal> {
    let params = object.find("params").ok_or(Refusal::MissingField { field: "params" })?;
    let values = params.array().map_err(|_| Refusal::WrongValue { field: "params", found: found(params) })?;
    Ok(values.collect())
}

/// A stream by its name, as in a command or in the path of a socket. A name of the right form that is no instrument's has
/// no symbol: Binance takes it, and never says anything under it.
pub(super) fn read_stream(listing: &Listing, name: &str) -> Result<Topic, Refusal> {
    let topic = |channel, symbol| Topic { channel, symbol, name: name.to_owned() };
    match name {
        "!miniTicker@arr" => return Ok(topic(Channel::ShortTickers, None)),
        "!ticker@arr" => return Ok(topic(Channel::Tickers, None)),
        _ => {}
    }
    let unknown = || Refusal::UnknownChannel { name: quoted(name) };
    let (symbol, stream) = name.split_once('@').ok_or_else(unknown)?;
    let channel = match stream {
        "trade" => Channel::Trades,
        "aggTrade" => Channel::AggregateTrades,
        "bookTicker" => Channel::Quotes,
        "ticker" => Channel::Tickers,
        "miniTicker" => Channel::ShortTickers,
        "depth" | "depth@100ms" | "depth@1000ms" => Channel::Book { depth: 0 },
        _ => {
            let depth = stream.strip_prefix("depth").ok_or_else(unknown)?;
            let depth = depth.strip_suffix("@100ms").unwrap_or(depth);
            let known = PARTIAL_DEPTHS.into_iter().find(|known| known.to_string() == depth);
            Channel::TopOfBook { depth: known.ok_or(Refusal::UnknownDepth { depth: quoted(depth) })? }
        }
    };
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if symbol.is_empty() || !symbol.chars().all(is_name) {
        return Err(Refusal::UnknownSymbol { name: quoted(symbol) });
    }
    let listed = listing.instruments.iter().find(|instrument| instrument.symbol.to_lowercase() == symbol);
    Ok(topic(channel, listed.map(|listed| listed.id)))
}

fn read_api_call(
    listing: &Listing,
    object: &Object<'_>,
    method: &str,
    id: Option<RequestId>,
) -> Result<Request, Wrong> {
    let user = || vec![user_topic()];
    match method {
        "userDataStream.subscribe" => {
            Ok(Request::Subscribe { id, topics: user(), snapshot: None, fills: None, login: None })
        }
        "userDataStream.subscribe.signature" => {
            let login = Some(read_login(object)?);
            Ok(Request::Subscribe { id, topics: user(), snapshot: None, fills: None, login })
        }
        "userDataStream.unsubscribe" => Ok(Request::Unsubscribe { id, topics: user() }),
        "session.logon" => Ok(Request::Login { id, login: read_login(object)? }),
        "session.subscriptions" => Ok(Request::List { id }),
        "ping" => Ok(Request::Ping { id }),
        "session.status" => Ok(Request::Session { id }),
        "session.logout" => Ok(Request::Logout { id }),
        "time" | "depth" | "exchangeInfo" => {
            let call = read_rest_call(listing, object, method)?;
            Ok(Request::Call { id, call, login: None })
        }
        "account.status" => {
            let signed = object.find("params").and_then(|params| params.object().ok());
            let signed = signed.is_some_and(|params| params.find("signature").is_some());
            let login = if signed { Some(read_login(object)?) } else { None };
            Ok(Request::Call { id, call: Call::Balances, login })
        }
        "SUBSCRIBE" | "UNSUBSCRIBE" | "LIST_SUBSCRIPTIONS" | "SET_PROPERTY" | "GET_PROPERTY" => {
            Err(Refusal::WrongEndpoint.into())
        }
        _ => Err(Refusal::UnknownMethod { found: quoted(method) }.into()),
    }
}

/// The parameters are those of the HTTP interface, as the names of methods are the ends of its paths.
fn read_rest_call(listing: &Listing, object: &Object<'_>, method: &str) -> Result<Call, Refusal> {
    let mut pairs = Vec::new();
    if let Some(params) = object.find("params") {
        let wrong = || Refusal::WrongValue { field: "params", found: found(params) };
        for (name, value) in params.object().map_err(|_| wrong())?.all() {
            let value = value.string().map_or_else(|_| value.raw().to_owned(), |text| text.into_owned());
            pairs.push(format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)));
        }
    }
    let (path, query) = (format!("/api/v3/{method}"), pairs.join("&"));
    let request = HttpRequest { method: "GET", path: &path, query: &query, body: b"" };
    rest::read_request(listing, &request).map_err(|error| match error {
        RestError::MissingParameter { name } => Refusal::MissingField { field: name },
        RestError::WrongParameter { name, found } => Refusal::WrongValue { field: name, found },
        RestError::UnknownSymbol { name } => Refusal::UnknownSymbol { name },
        _ => Refusal::UnknownMethod { found: quoted(method) },
    })
}

/// What is signed are all parameters but the signature, by name.
fn read_login(object: &Object<'_>) -> Result<Login, Refusal> {
    let params = object.find("params").ok_or(Refusal::MissingField { field: "params" })?;
    let wrong = || Refusal::WrongValue { field: "params", found: found(params) };
    let params = params.object().map_err(|_| wrong())?;
    let mut signed = Vec::new();
    for (name, value) in params.all() {
        if name != "signature" {
            signed.push((
                name,
                value.string().map_or_else(|_| value.raw().to_owned(), |text| text.into_owned()),
            ));
        }
    }
    signed.sort();
    let pairs: Vec<String> = signed.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let required = |field| match params.find(field) {
        Some(value) => text(value, field),
        None => Err(Refusal::MissingField { field }),
    };
    let time = params.find("timestamp").ok_or(Refusal::MissingField { field: "timestamp" })?;
    let time_ms =
        time.number().map_err(|_| Refusal::WrongValue { field: "timestamp", found: found(time) })?;
    Ok(Login {
        key: required("apiKey")?,
        payload: pairs.join("&"),
        signature: required("signature")?,
        passphrase: None,
        time_ms: Some(time_ms),
    })
}

/// An id is null, a number or a short name, and comes back as it was.
fn read_id(object: &Object<'_>) -> Result<Option<RequestId>, Refusal> {
    let Some(value) = object.find("id") else { return Ok(None) };
    let json = value.raw();
    let name = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=ID_LENGTH_MAX).contains(&text.len()) && text.bytes().all(plain)
    };
    let is_id = json == "null" || json.parse::<i64>().is_ok() || value.string().is_ok_and(|text| name(&text));
    if is_id {
        Ok(Some(RequestId(json.to_owned())))
    } else {
        Err(Refusal::WrongValue { field: "id", found: found(value) })
    }
}

fn text(value: Value<'_>, field: &'static str) -> Result<String, Refusal> {
    let text = value.string().map_err(|_| Refusal::WrongValue { field, found: found(value) })?;
    Ok(text.into_owned())
}

fn found(value: Value<'_>) -> String {
    quoted(value.raw())
}

fn unread(refusal: Refusal) -> Refused {
    Refused { id: None, refusal, topic: None, method: None }
}

fn refused_json(bytes: &[u8], error: &DecodeError) -> Refusal {
    let (offset, problem) = match error {
        DecodeError::Malformed { offset, problem } => (*offset, problem.clone()),
        DecodeError::NotUtf8 { offset } => (*offset, "invalid unicode code point".to_owned()),
        DecodeError::TooDeep { offset, .. } => (*offset, "recursion limit exceeded".to_owned()),
        other => (0, other.to_string()),
    };
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    Refusal::NoJson { line, column: 1 + before.len() - line_start, problem }
}

/// Appends a command. `false` for what Binance has no command for.
pub(crate) fn write_request(listing: &Listing, request: &Request, out: &mut Vec<u8>) -> bool {
    let json = match request {
        Request::Subscribe { id, topics, login: None, .. } if topics.iter().all(is_stream) => {
            stream_command("SUBSCRIBE", &streams(listing, topics), id)
        }
        Request::Unsubscribe { id, topics } if topics.iter().all(is_stream) => {
            stream_command("UNSUBSCRIBE", &streams(listing, topics), id)
        }
        Request::Subscribe { id, topics, login, .. } if topics.iter().all(is_user) => match login {
            Some(login) => api_call("userDataStream.subscribe.signature", &login_params(login), id),
            None => api_call("userDataStream.subscribe", "", id),
        },
        Request::Unsubscribe { id, topics } if topics.iter().all(is_user) => {
            api_call("userDataStream.unsubscribe", "", id)
        }
        Request::Subscribe { .. } | Request::Unsubscribe { .. } => return false,
        Request::Call { .. } => return false,
        Request::List { id } => format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{}}}"#, id_text(id)),
        Request::Ping { id } => api_call("ping", "", id),
        Request::Login { id, login } => api_call("session.logon", &login_params(login), id),
        Request::Session { id } => api_call("session.status", "", id),
        Request::Logout { id } => api_call("session.logout", "", id),
        Request::SetCombined { id, combined } => {
            stream_command("SET_PROPERTY", &format!(r#""combined",{combined}"#), id)
        }
        Request::GetCombined { id } => stream_command("GET_PROPERTY", r#""combined""#, id),
    };
    out.extend_from_slice(json.as_bytes());
    true
}

fn stream_command(method: &str, params: &str, id: &Option<RequestId>) -> String {
    format!(r#"{{"method":"{method}","params":[{params}],"id":{}}}"#, id_text(id))
}

fn api_call(method: &str, params: &str, id: &Option<RequestId>) -> String {
    let params = if params.is_empty() { String::new() } else { format!(r#","params":{{{params}}}"#) };
    format!(r#"{{"id":{},"method":"{method}"{params}}}"#, id_text(id))
}

/// The signed parameters as they were, and the signature.
fn login_params(login: &Login) -> String {
    let signed = login.payload.split('&').filter_map(|pair| pair.split_once('='));
    let mut params: Vec<String> = signed
        .map(|(name, value)| {
            let number = matches!(name, "timestamp" | "recvWindow") && value.parse::<u64>().is_ok();
            let value = if number { value.to_owned() } else { json_string(value) };
            format!("{}:{value}", json_string(name))
        })
        .collect();
    params.push(format!(r#""signature":{}"#, json_string(&login.signature)));
    params.join(",")
}

fn is_user(topic: &Topic) -> bool {
    topic.channel == Channel::User
}

fn is_stream(topic: &Topic) -> bool {
    let known = matches!(
        topic.channel,
        Channel::Book { .. }
            | Channel::TopOfBook { .. }
            | Channel::Trades
            | Channel::AggregateTrades
            | Channel::Quotes
            | Channel::Tickers
            | Channel::ShortTickers
    );
    known && (topic.symbol.is_some() || !topic.name.is_empty())
}

fn streams(listing: &Listing, topics: &[Topic]) -> String {
    let names: Vec<String> = topics.iter().map(|topic| json_string(&stream_name(listing, topic))).collect();
    names.join(",")
}

/// As the client wrote it; else the fastest stream of the kind.
fn stream_name(listing: &Listing, topic: &Topic) -> String {
    let Some(symbol) = topic.symbol.filter(|_| topic.name.is_empty()) else { return topic.name.clone() };
    let symbol = symbol_in_small_letters(listing, symbol);
    match topic.channel {
        Channel::Book { .. } => format!("{symbol}@depth@100ms"),
        Channel::TopOfBook { depth } => format!("{symbol}@depth{depth}@100ms"),
        Channel::Trades => format!("{symbol}@trade"),
        Channel::AggregateTrades => format!("{symbol}@aggTrade"),
        Channel::Quotes => format!("{symbol}@bookTicker"),
        Channel::Tickers => format!("{symbol}@ticker"),
        _ => format!("{symbol}@miniTicker"),
    }
}

fn symbol_in_small_letters(listing: &Listing, symbol: SymbolId) -> String {
    listing.instruments.get(symbol.0 as usize).map(|listed| listed.symbol.to_lowercase()).unwrap_or_default()
}

fn id_text(id: &Option<RequestId>) -> &str {
    id.as_ref().map_or("null", |id| &id.0)
}

/// Hands the one message of a reply to `send`; none for greetings, heartbeats and clients who are cut off for asking
/// too often.
pub(crate) fn write_reply(
    _: &Listing,
    reply: &Reply,
    circumstances: &Circumstances,
    _: &mut Numbering,
    send: &mut dyn FnMut(&[u8]),
) {
    let ms = circumstances.now_unix_ns / 1_000_000;
    let json = match circumstances.endpoint {
        Endpoint::Public => stream_reply(reply, ms),
        Endpoint::Private => api_reply(reply, ms),
    };
    if let Some(json) = json {
        send(json.as_bytes());
    }
}

fn stream_reply(reply: &Reply, ms: u64) -> Option<String> {
    let result = |id, result: &str| Some(format!(r#"{{"result":{result},"id":{}}}"#, id_text(id)));
    match reply {
        Reply::Subscribed { id, .. } | Reply::Unsubscribed { id, .. } => result(id, "null"),
        Reply::Combined { id, combined: None } | Reply::Pong { id } => result(id, "null"),
        Reply::Combined { id, combined: Some(combined) } => result(id, &combined.to_string()),
        Reply::Subscriptions { id, all } => {
            let names: Vec<String> = all.iter().map(|topic| json_string(&topic.name)).collect();
            result(id, &format!("[{}]", names.join(",")))
        }
        Reply::Refused(refused) => write_refusal(refused, Endpoint::Public),
        Reply::ClosingSoon => Some(format!(r#"{{"e":"serverShutdown","E":{ms}}}"#)),
        Reply::LoggedIn { .. }
        | Reply::Session { .. }
        | Reply::Greeting
        | Reply::Heartbeat { .. }
        | Reply::Called { .. } => None,
    }
}

/// The number of a subscription is that of the account; whose it is only shows in its events.
fn api_reply(reply: &Reply, ms: u64) -> Option<String> {
    let result = |id, result: &str| {
        Some(format!(
            r#"{{"id":{},"status":200,"result":{result},"rateLimits":[{USED_WEIGHT}]}}"#,
            id_text(id)
        ))
    };
    match reply {
        Reply::Subscribed { id, .. } => result(id, r#"{"subscriptionId":0}"#),
        Reply::Unsubscribed { id, .. } | Reply::Pong { id } | Reply::Combined { id, .. } => result(id, "{}"),
        Reply::Subscriptions { id, all } => {
            result(id, if all.is_empty() { "[]" } else { r#"[{"subscriptionId":0}]"# })
        }
        Reply::Session { id, session } => {
            let Session { login, connected_ms, is_subscribed } = session;
            let (key, since) = match login {
                Some((key, since_ms)) => (json_string(key), since_ms.to_string()),
                None => ("null".to_owned(), "null".to_owned()),
            };
            result(
                id,
                &format!(
                    r#"{{"apiKey":{key},"authorizedSince":{since},"connectedSince":{connected_ms},"returnRateLimits":true,"serverTime":{ms},"userDataStream":{is_subscribed}}}"#
                ),
            )
        }
        Reply::Called { id, answer } => {
            let body = String::from_utf8_lossy(&answer.body);
            if answer.status == 200 {
                return result(id, &body);
            }
            let (id, status) = (id_text(id), answer.status);
            Some(format!(r#"{{"id":{id},"status":{status},"error":{body},"rateLimits":[{USED_WEIGHT}]}}"#))
        }
        Reply::Refused(refused) => write_refusal(refused, Endpoint::Private),
        Reply::ClosingSoon => Some(format!(r#"{{"event":{{"e":"serverShutdown","E":{ms}}}}}"#)),
        Reply::LoggedIn { .. } | Reply::Greeting | Reply::Heartbeat { .. } => None,
    }
}

/// Reads a reply of either endpoint; none for the replies to calls that are answered with facts, as to `time`.
pub(crate) fn read_reply(listing: &Listing, bytes: &[u8]) -> Result<Option<Reply>, DecodeError> {
    let object = Object::parse(bytes)?;
    let id = object.find("id").map(|id| RequestId(id.raw().to_owned()));
    if object.find("error").is_some() || object.find("code").is_some() {
        return Ok(Some(Reply::Refused(read_refusal(&object, id)?)));
    }
    let event = match object.find("event").or_else(|| object.find("data")) {
        Some(event) if event.is_object() => event.object()?.find("e"),
        _ => object.find("e"),
    };
    if event.is_some_and(|event| event.string().is_ok_and(|name| name == "serverShutdown")) {
        return Ok(Some(Reply::ClosingSoon));
    }
    let Some(result) = object.find("result") else { return Ok(None) };
    Ok(match result.raw() {
        "null" => Some(Reply::Subscribed { id, topics: Vec::new(), all: Vec::new(), snapshot: None }),
        "true" => Some(Reply::Combined { id, combined: Some(true) }),
        "false" => Some(Reply::Combined { id, combined: Some(false) }),
        _ if result.is_array() => Some(Reply::Subscriptions { id, all: read_list(listing, result)? }),
        _ if result.is_object() => {
            let result = result.object()?;
            if result.is_empty() {
                Some(Reply::Pong { id })
            } else if result.find("subscriptionId").is_some() {
                Some(Reply::Subscribed { id, topics: vec![user_topic()], all: Vec::new(), snapshot: None })
            } else {
                read_session(&result)?.map(|session| Reply::Session { id, session })
            }
        }
        _ => None,
    })
}

/// None if it is something else.
fn read_session(result: &Object<'_>) -> Result<Option<Session>, DecodeError> {
    let (Some(since), Some(connected)) = (result.find("authorizedSince"), result.find("connectedSince"))
    else {
        return Ok(None);
    };
    let login = match result.find("apiKey") {
        Some(key) if key.raw() != "null" => Some((key.string()?.into_owned(), since.number()?)),
        _ => None,
    };
    let is_subscribed = result.find("userDataStream").is_some_and(|truth| truth.raw() == "true");
    Ok(Some(Session { login, connected_ms: connected.number()?, is_subscribed }))
}

/// Streams that are not known here are left out.
fn read_list(listing: &Listing, list: Value<'_>) -> Result<Vec<Topic>, DecodeError> {
    let mut topics = Vec::new();
    for value in list.array()? {
        if value.is_object() {
            topics.push(user_topic());
        } else {
            topics.extend(read_stream(listing, &value.string()?));
        }
    }
    Ok(topics)
}

fn user_topic() -> Topic {
    Topic { channel: Channel::User, symbol: None, name: "userDataStream".to_owned() }
}

/// Streams of one connection.
const STREAMS_MAX: u32 = 1024;

const PARTIAL_DEPTHS: [u32; 3] = [5, 10, 20];

const ID_LENGTH_MAX: usize = 36;

/// Subscribing weighs two.
const USED_WEIGHT: &str =
    r#"{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":2}"#;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::listing;

    fn read(text: &str, endpoint: Endpoint) -> Result<Request, Refused> {
        read_request(&listing(), text.as_bytes(), endpoint)
    }

    fn written(request: &Request) -> Option<String> {
        let mut out = Vec::new();
        let written = write_request(&listing(), request, &mut out);
        assert_eq!(written, !out.is_empty());
        written.then(|| String::from_utf8(out).unwrap())
    }

    fn replied(reply: &Reply, endpoint: Endpoint) -> Option<String> {
        let now = Circumstances { now_unix_ns: 1_795_420_800_000_000_000, connection: 0, endpoint };
        let mut sent = Vec::new();
        let keep = &mut |bytes: &[u8]| sent.push(String::from_utf8(bytes.to_vec()).unwrap());
        write_reply(&listing(), reply, &now, &mut Numbering::default(), keep);
        assert!(sent.len() <= 1);
        sent.pop()
    }

    fn id(text: &str) -> Option<RequestId> {
        Some(RequestId(text.to_owned()))
    }

    fn topic(channel: Channel, name: &str) -> Topic {
        let symbol = (!name.starts_with('!')).then_some(SymbolId(0));
        Topic { channel, symbol, name: name.to_owned() }
    }

    #[test]
    fn every_command_is_read_and_written_as_in_the_documentation() {
        let topics = vec![
            topic(Channel::AggregateTrades, "btcusdt@aggTrade"),
            topic(Channel::Book { depth: 0 }, "btcusdt@depth@100ms"),
        ];
        for (text, endpoint, request) in [
            (
                r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth@100ms"],"id":1}"#,
                Endpoint::Public,
                Request::Subscribe {
                    id: id("1"),
                    topics: topics.clone(),
                    snapshot: None,
                    fills: None,
                    login: None,
                },
            ),
            (
                r#"{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":2}"#,
                Endpoint::Public,
                Request::Unsubscribe { id: id("2"), topics: topics[..1].to_vec() },
            ),
            (r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#, Endpoint::Public, Request::List { id: id("3") }),
            (
                r#"{"method":"SET_PROPERTY","params":["combined",true],"id":4}"#,
                Endpoint::Public,
                Request::SetCombined { id: id("4"), combined: true },
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["combined"],"id":5}"#,
                Endpoint::Public,
                Request::GetCombined { id: id("5") },
            ),
            (
                r#"{"id":"8b0f2b36-0001","method":"userDataStream.subscribe.signature","params":{"apiKey":"demo-key","recvWindow":5000,"timestamp":1795420800000,"signature":"0d5c"}}"#,
                Endpoint::Private,
                Request::Subscribe {
                    id: id("\"8b0f2b36-0001\""),
                    topics: vec![user_topic()],
                    snapshot: None,
                    fills: None,
                    login: Some(Login {
                        key: "demo-key".into(),
                        payload: "apiKey=demo-key&recvWindow=5000&timestamp=1795420800000".into(),
                        signature: "0d5c".into(),
                        passphrase: None,
                        time_ms: Some(1_795_420_800_000),
                    }),
                },
            ),
            (r#"{"id":null,"method":"ping"}"#, Endpoint::Private, Request::Ping { id: id("null") }),
            (r#"{"id":1,"method":"session.status"}"#, Endpoint::Private, Request::Session { id: id("1") }),
            (r#"{"id":1,"method":"session.logout"}"#, Endpoint::Private, Request::Logout { id: id("1") }),
        ] {
            assert_eq!(read(text, endpoint), Ok(request.clone()), "{text}");
            assert_eq!(written(&request).as_deref(), Some(text));
            let spaced = format!(r#"{{"zz":[{{}}],{}"#, &text[1..]).replace(':', " :\n");
            assert_eq!(read(&spaced, endpoint), Ok(request), "{spaced}");
        }
    }

    #[test]
    fn what_is_signed_are_all_parameters_by_name_however_they_are_ordered() {
        let text = r#"{"id":1,"method":"session.logon","params":{"timestamp":7,"zeta":"ü","signature":"s","apiKey":"k","active":true}}"#;
        let Ok(Request::Login { login, .. }) = read(text, Endpoint::Private) else { panic!("a login") };
        assert_eq!(login.payload, "active=true&apiKey=k&timestamp=7&zeta=ü");
        for (piece, missing) in [("apiKey", "apiKey"), ("signature", "signature"), ("timestamp", "timestamp")]
        {
            let refused = read(&text.replace(piece, "x"), Endpoint::Private).unwrap_err();
            assert_eq!(refused.refusal, Refusal::MissingField { field: missing });
        }
    }

    #[test]
    fn every_stream_has_its_channel() {
        for (name, channel) in [
            ("btcusdt@trade", Channel::Trades),
            ("btcusdt@aggTrade", Channel::AggregateTrades),
            ("btcusdt@bookTicker", Channel::Quotes),
            ("btcusdt@depth", Channel::Book { depth: 0 }),
            ("btcusdt@depth@100ms", Channel::Book { depth: 0 }),
            ("btcusdt@depth5", Channel::TopOfBook { depth: 5 }),
            ("btcusdt@depth10@100ms", Channel::TopOfBook { depth: 10 }),
            ("btcusdt@depth20", Channel::TopOfBook { depth: 20 }),
            ("btcusdt@ticker", Channel::Tickers),
            ("btcusdt@miniTicker", Channel::ShortTickers),
            ("!miniTicker@arr", Channel::ShortTickers),
            ("!ticker@arr", Channel::Tickers),
        ] {
            let topic = topic(channel, name);
            assert_eq!(read_stream(&listing(), name), Ok(topic.clone()));
            let unnamed = Topic { name: String::new(), ..topic.clone() };
            if let Some(again) = topic.symbol.map(|_| stream_name(&listing(), &unnamed)) {
                assert_eq!(read_stream(&listing(), &again).map(|topic| topic.channel), Ok(channel));
            }
        }
        let refusal = |name| read_stream(&listing(), name).unwrap_err();
        assert_eq!(refusal("btcusdt@depth7"), Refusal::UnknownDepth { depth: "7".into() });
        assert_eq!(refusal("btcusdt@depth05"), Refusal::UnknownDepth { depth: "05".into() });
        for (name, channel) in [
            ("ethusdt@trade", Channel::Trades),
            ("BTCUSDT@trade", Channel::Trades),
            ("nope@ticker", Channel::Tickers),
        ] {
            let of_nothing = Topic { channel, symbol: None, name: name.to_owned() };
            assert_eq!(read_stream(&listing(), name), Ok(of_nothing), "it is taken, and means nothing");
        }
        assert_eq!(refusal("@trade"), Refusal::UnknownSymbol { name: "".into() });
        assert_eq!(refusal("btc usdt@trade"), Refusal::UnknownSymbol { name: "btc usdt".into() });
        for name in ["btcusdt@kline_1m", "btcusdt", "", "@", "btcusdt@"] {
            assert_eq!(refusal(name), Refusal::UnknownChannel { name: name.into() });
        }
    }

    #[test]
    fn mistakes_are_answered_as_the_venue_does() {
        for (text, answer) in [
            (
                r#"{"method":"SUBSCRIB","params":["btcusdt@trade"],"id":7}"#,
                r#"{"error":{"code":2,"msg":"Invalid request: unknown variant `SUBSCRIB`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 20"},"id":7}"#,
            ),
            (
                "",
                r#"{"error":{"code":3,"msg":"Invalid JSON: EOF while parsing a value at line 1 column 1"},"id":null}"#,
            ),
            (
                "{\n x",
                r#"{"error":{"code":3,"msg":"Invalid JSON: key must be a string at line 2 column 2"},"id":null}"#,
            ),
            (r#"{"id":1}"#, r#"{"error":{"code":2,"msg":"Invalid request: missing field `method`"},"id":1}"#),
            (
                r#"{"method":"SUBSCRIBE","id":1}"#,
                r#"{"error":{"code":2,"msg":"Invalid request: missing field `params`"},"id":1}"#,
            ),
            (
                r#"{"method":"SUBSCRIBE","params":["btcusdt@x"],"id":"a-1"}"#,
                r#"{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":"a-1"}"#,
            ),
            (
                r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1.5}"#,
                r#"{"error":{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"},"id":null}"#,
            ),
            (
                r#"{"method":"GET_PROPERTY","params":["x"],"id":1}"#,
                r#"{"error":{"code":0,"msg":"Unknown property"},"id":1}"#,
            ),
            (
                r#"{"method":"GET_PROPERTY","params":[1],"id":1}"#,
                r#"{"error":{"code":2,"msg":"Invalid request: property name must be a string"},"id":1}"#,
            ),
            (
                r#"{"method":"SET_PROPERTY","params":["combined","x"],"id":1}"#,
                r#"{"error":{"code":1,"msg":"Invalid value type: expected Boolean"},"id":1}"#,
            ),
            (
                r#"{"method":"userDataStream.subscribe","id":1}"#,
                r#"{"error":{"code":2,"msg":"Invalid request: unknown variant `userDataStream.subscribe`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 36"},"id":1}"#,
            ),
        ] {
            let refused = read(text, Endpoint::Public).unwrap_err();
            assert_eq!(
                replied(&Reply::Refused(refused), Endpoint::Public).as_deref(),
                Some(answer),
                "{text}"
            );
        }
        let many = vec!["\"btcusdt@trade\""; 1025].join(",");
        let refused =
            read(&format!(r#"{{"method":"SUBSCRIBE","params":[{many}],"id":1}}"#), Endpoint::Public)
                .unwrap_err();
        assert_eq!(refused.refusal, Refusal::TooMany { limit: 1024 });
        let refused = read(r#"{"method":"SUBSCRIBE","params":["btcusdt@depth3"],"id":1}"#, Endpoint::Public)
            .unwrap_err();
        assert_eq!(
            (refused.topic.as_deref(), refused.method.as_deref()),
            (Some("btcusdt@depth3"), Some("SUBSCRIBE"))
        );
        let refused = read(r#"{"method":"SUBSCRIBE","params":[],"id":1}"#, Endpoint::Private).unwrap_err();
        assert_eq!(refused.refusal, Refusal::WrongEndpoint);
    }

    #[test]
    fn replies_read_and_write_as_in_the_documentation() {
        let refused = |id, refusal| Reply::Refused(Refused { id, refusal, topic: None, method: None });
        let user = || vec![user_topic()];
        for (text, endpoint, reply) in [
            (
                r#"{"result":null,"id":1}"#,
                Endpoint::Public,
                Reply::Subscribed { id: id("1"), topics: vec![], all: vec![], snapshot: None },
            ),
            (
                r#"{"result":["btcusdt@depth@100ms"],"id":3}"#,
                Endpoint::Public,
                Reply::Subscriptions {
                    id: id("3"),
                    all: vec![topic(Channel::Book { depth: 0 }, "btcusdt@depth@100ms")],
                },
            ),
            (
                r#"{"result":true,"id":5}"#,
                Endpoint::Public,
                Reply::Combined { id: id("5"), combined: Some(true) },
            ),
            (r#"{"e":"serverShutdown","E":1795420800000}"#, Endpoint::Public, Reply::ClosingSoon),
            (r#"{"event":{"e":"serverShutdown","E":1795420800000}}"#, Endpoint::Private, Reply::ClosingSoon),
            (
                include_str!("../../../../testdata/binance/subscribed_user.json").trim_end(),
                Endpoint::Private,
                Reply::Subscribed {
                    id: id("\"8b0f2b36-0001\""),
                    topics: user(),
                    all: vec![],
                    snapshot: None,
                },
            ),
            (
                include_str!("../../../../testdata/binance/refused_user.json").trim_end(),
                Endpoint::Private,
                refused(id("\"8b0f2b36-0001\""), Refusal::LoginFailed),
            ),
            (
                include_str!("../../../../testdata/binance/error.json").trim_end(),
                Endpoint::Public,
                refused(id("7"), Refusal::UnknownMethod { found: "SUBSCRIB".into() }),
            ),
        ] {
            assert_eq!(read_reply(&listing(), text.as_bytes()), Ok(Some(reply.clone())), "{text}");
            assert_eq!(replied(&reply, endpoint).as_deref(), Some(text));
        }
        let combined = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#;
        assert_eq!(read_reply(&listing(), combined.as_bytes()), Ok(Some(Reply::ClosingSoon)));
        let flat = r#"{"code":3,"msg":"Invalid JSON: expected value at line 4 column 2"}"#;
        let no_json = Refusal::NoJson { line: 4, column: 2, problem: "expected value".into() };
        assert_eq!(read_reply(&listing(), flat.as_bytes()), Ok(Some(refused(None, no_json))));
        for none in
            ["{}", r#"{"id":1,"result":{"serverTime":7}}"#, r#"{"e":"trade"}"#, r#"{"timezone":"UTC"}"#]
        {
            assert_eq!(read_reply(&listing(), none.as_bytes()), Ok(None));
        }
    }

    #[test]
    fn the_web_socket_api_takes_calls_of_the_http_interface() {
        let call = |text: &str| read(text, Endpoint::Private);
        let asked = |json: &str| match call(json) {
            Ok(Request::Call { call, login, .. }) => (call, login),
            other => panic!("{other:?}"),
        };
        let symbol = SymbolId(0);
        assert_eq!(asked(r#"{"id":1,"method":"time"}"#), (Call::Time, None));
        assert_eq!(
            asked(r#"{"id":1,"method":"depth","params":{"symbol":"BTCUSDT","limit":5}}"#),
            (Call::Depth { symbol, limit: 5 }, None)
        );
        assert_eq!(
            asked(r#"{"id":1,"method":"exchangeInfo","params":{"symbols":["BTCUSDT"]}}"#),
            (Call::Instruments(vec![symbol]), None)
        );
        assert_eq!(asked(r#"{"id":1,"method":"account.status"}"#), (Call::Balances, None));
        let signed =
            r#"{"id":1,"method":"account.status","params":{"apiKey":"k","timestamp":7,"signature":"0d"}}"#;
        let (asked_for, login) = asked(signed);
        assert_eq!((asked_for, login.unwrap().payload), (Call::Balances, "apiKey=k&timestamp=7".to_owned()));
        let refused = call(r#"{"id":1,"method":"depth","params":{"symbol":"NONE"}}"#).unwrap_err();
        assert_eq!(refused.refusal, Refusal::UnknownSymbol { name: "NONE".into() });
        let refused = call(r#"{"id":1,"method":"depth"}"#).unwrap_err();
        assert_eq!(refused.refusal, Refusal::MissingField { field: "symbol" });

        let rest = crate::Rest::new(crate::Venue::Binance, &listing());
        let facts = crate::rest::Facts {
            now_unix_ns: 1_795_420_800_123_000_000,
            book: None,
            balances: None,
            token: "",
        };
        let reply = |answer| replied(&Reply::Called { id: id("1"), answer }, Endpoint::Private).unwrap();
        let told = reply(rest.answer(&Call::Time, &facts));
        assert!(
            told.starts_with(r#"{"id":1,"status":200,"result":{"serverTime":1795420800123},"rateLimits":["#),
            "{told}"
        );
        let told = reply(rest.refuse(&RestError::UnknownSymbol { name: "X".into() }, 0));
        assert!(
            told.starts_with(r#"{"id":1,"status":400,"error":{"code":-1121,"msg":"Invalid symbol."},"#),
            "{told}"
        );
    }

    #[test]
    fn errors_are_flat_where_that_is_wanted() {
        let options = crate::VenueOptions::parse(["binance-error-envelope=flat"]).unwrap();
        let protocol = crate::Protocol::with_options(crate::Venue::Binance, &listing(), &options);
        let refused = read(r#"{"method":"SUBSCRIB","id":7}"#, Endpoint::Public).unwrap_err();
        let mut told = Vec::new();
        let circumstances = Circumstances { now_unix_ns: 0, connection: 0, endpoint: Endpoint::Public };
        let reply = Reply::Refused(refused);
        protocol.write_reply(&reply, &circumstances, &mut Numbering::default(), |bytes| {
            told.push(String::from_utf8(bytes.to_vec()).unwrap());
        });
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with(r#"{"code":2,"msg":"Invalid request: unknown variant `SUBSCRIB`"#),
            "{told:?}"
        );
    }

    #[test]
    fn replies_of_the_private_socket_read_back() {
        for reply in [
            Reply::Session { id: id("1"), session: Session { connected_ms: 7, ..Session::default() } },
            Reply::Session {
                id: id("1"),
                session: Session { login: Some(("k\"".into(), 9)), connected_ms: 7, is_subscribed: true },
            },
            Reply::Pong { id: id("1") },
            Reply::Subscriptions { id: id("1"), all: vec![user_topic()] },
            Reply::Subscriptions { id: id("1"), all: vec![] },
        ] {
            let text = replied(&reply, Endpoint::Private).unwrap();
            assert_eq!(read_reply(&listing(), text.as_bytes()), Ok(Some(reply)));
        }
        for silent in [Reply::Greeting, Reply::Heartbeat { count: 1 }] {
            assert_eq!(replied(&silent, Endpoint::Public), None);
            assert_eq!(replied(&silent, Endpoint::Private), None);
        }
    }

    #[test]
    fn a_refusal_that_was_read_is_written_as_it_was() {
        let refusals = [
            Refusal::NoJson { line: 3, column: 9, problem: "expected value".into() },
            Refusal::UnknownMethod { found: "`".into() },
            Refusal::MissingField { field: "method" },
            Refusal::WrongValue { field: "params", found: "7".into() },
            Refusal::WrongValue { field: "id", found: "{}".into() },
            Refusal::UnknownChannel { name: "x".into() },
            Refusal::UnknownSymbol { name: "x".into() },
            Refusal::UnknownDepth { depth: "3".into() },
            Refusal::TooMany { limit: 1024 },
            Refusal::NotLoggedIn,
            Refusal::LoginFailed,
            Refusal::WrongEndpoint,
        ];
        for refusal in refusals {
            for endpoint in [Endpoint::Public, Endpoint::Private] {
                let refused = Refused { id: id("1"), refusal: refusal.clone(), topic: None, method: None };
                let text = replied(&Reply::Refused(refused), endpoint).unwrap();
                let Ok(Some(Reply::Refused(read))) = read_reply(&listing(), text.as_bytes()) else {
                    panic!("{text}")
                };
                let again = replied(&Reply::Refused(read.clone()), endpoint).unwrap();
                let Ok(Some(Reply::Refused(reread))) = read_reply(&listing(), again.as_bytes()) else {
                    panic!("{again}")
                };
                assert_eq!(reread, read, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn damaged_requests_and_replies_never_panic(
            which in 0..4usize,
            place: prop::sample::Index,
            byte: u8,
            cut: bool,
        ) {
            let texts: [&str; 4] = [
                r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@depth@100ms"],"id":1}"#,
                r#"{"id":"8b0f2b36-0001","method":"userDataStream.subscribe.signature","params":{"apiKey":"demo-key","recvWindow":5000,"timestamp":1795420800000,"signature":"0d5c"}}"#,
                include_str!("../../../../testdata/binance/error.json"),
                include_str!("../../../../testdata/binance/subscribed_user.json"),
            ];
            let mut bytes = texts[which].as_bytes().to_vec();
            let at = place.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
            for endpoint in [Endpoint::Public, Endpoint::Private] {
                if let Err(refused) = read_request(&listing(), &bytes, endpoint) {
                    let text = replied(&Reply::Refused(refused), endpoint).unwrap();
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
                }
            }
            let _ = read_reply(&listing(), &bytes);
        }
    }
}
