//! Errors on the sockets: codes of their own on the market streams, those of REST on the WebSocket API.

use crate::access::AccessError;
use crate::binance::encode::json_string;
use crate::decoder::DecodeError;
use crate::json::Object;
use crate::protocol::{Endpoint, Refusal, Refused, RequestId};

/// The error message; none for who is simply cut off, and for what Binance does not mind.
pub(super) fn write_refusal(refused: &Refused, endpoint: Endpoint) -> Option<String> {
    let id = refused.id.as_ref().map_or("null", |id| &id.0);
    match endpoint {
        Endpoint::Public => {
            let (code, text) = stream_error(refused)?;
            Some(format!(r#"{{"error":{{"code":{code},"msg":{}}},"id":{id}}}"#, json_string(&text)))
        }
        Endpoint::Private => {
            let (status, code, text) = api_error(&refused.refusal)?;
            let error = format!(r#"{{"code":{code},"msg":{}}}"#, json_string(&text));
            Some(format!(r#"{{"id":{id},"status":{status},"error":{error},"rateLimits":[]}}"#))
        }
    }
}

/// An error of the market streams as the documentation prints it.
pub(crate) fn write_flat_refusal(refused: &Refused, send: &mut dyn FnMut(&[u8])) {
    if let Some((code, text)) = stream_error(refused) {
        send(format!(r#"{{"code":{code},"msg":{}}}"#, json_string(&text)).as_bytes());
    }
}

fn stream_error(refused: &Refused) -> Option<(i32, String)> {
    Some(match &refused.refusal {
        Refusal::NoJson { line, column, problem } => {
            (3, format!("Invalid JSON: {problem} at line {line} column {column}"))
        }
        Refusal::UnknownMethod { found } => (INVALID, unknown_method(found)),
        Refusal::MissingField { field } => (INVALID, format!("{INVALID_REQUEST}missing field `{field}`")),
        Refusal::WrongValue { field: "property", .. } => (0, "Unknown property".to_owned()),
        Refusal::WrongValue { field: "combined", .. } => (1, WRONG_PROPERTY.to_owned()),
        Refusal::WrongValue { field: "property name", .. } => {
            (INVALID, format!("{INVALID_REQUEST}property name must be a string"))
        }
        Refusal::WrongValue { field: "id", .. } => {
            (INVALID, format!("{INVALID_REQUEST}request ID must be an unsigned integer"))
        }
        Refusal::WrongValue { field, found } => {
            (INVALID, format!("{INVALID_REQUEST}{WRONG_VALUE}{found} of field `{field}`"))
        }
        Refusal::UnknownChannel { .. } | Refusal::UnknownSymbol { .. } | Refusal::UnknownDepth { .. } => {
            (INVALID, format!("{INVALID_REQUEST}invalid stream"))
        }
        Refusal::TooMany { .. } => (4, "Too many subscriptions".to_owned()),
        Refusal::NotLoggedIn | Refusal::LoginFailed | Refusal::Access(_) | Refusal::WrongEndpoint => {
            (INVALID, unknown_method(refused.method.as_deref().unwrap_or_default()))
        }
        Refusal::AlreadySubscribed | Refusal::NotSubscribed | Refusal::TooFrequent => return None,
    })
}

/// The place is where the name ends in a command that begins with it, as all clients' do.
fn unknown_method(name: &str) -> String {
    let column = METHOD_START + name.len();
    format!("{INVALID_REQUEST}unknown variant `{name}`, expected one of {METHODS} at line 1 column {column}")
}

/// Status, code and text.
fn api_error(refusal: &Refusal) -> Option<(u16, i32, String)> {
    Some(match refusal {
        Refusal::NoJson { .. } => (400, -1135, "Invalid JSON Request".to_owned()),
        Refusal::MissingField { field } => (400, -1102, malformed(field)),
        Refusal::WrongValue { field, .. } => (400, -1102, malformed(field)),
        Refusal::UnknownMethod { .. }
        | Refusal::WrongEndpoint
        | Refusal::UnknownChannel { .. }
        | Refusal::UnknownDepth { .. } => (400, -1020, "This operation is not supported.".to_owned()),
        Refusal::UnknownSymbol { .. } => (400, -1121, "Invalid symbol.".to_owned()),
        Refusal::Access(error) => access_error(error),
        Refusal::LoginFailed => (400, -1022, "Signature for this request is not valid.".to_owned()),
        Refusal::NotLoggedIn => (401, -2015, "Invalid API-key, IP, or permissions for action.".to_owned()),
        Refusal::TooMany { .. } | Refusal::TooFrequent => {
            let text = "Too many requests; current limit is 6000 request weight per 1 MINUTE. \
                Please use WebSocket Streams for live updates to avoid polling the API.";
            (429, -1003, text.to_owned())
        }
        Refusal::AlreadySubscribed | Refusal::NotSubscribed => return None,
    })
}

/// Status, code and text of a proof that does not hold, on the socket and by HTTP.
pub(in crate::binance) fn access_error(error: &AccessError) -> (u16, i32, String) {
    match error {
        AccessError::Missing { what: "X-MBX-APIKEY" } => (401, -2014, "API-key format invalid.".to_owned()),
        AccessError::Missing { what } | AccessError::Unreadable { what } => (400, -1102, malformed(what)),
        AccessError::UnknownKey | AccessError::WrongPassphrase => {
            (401, -2015, "Invalid API-key, IP, or permissions for action.".to_owned())
        }
        AccessError::Late => {
            (400, -1021, "Timestamp for this request is outside of the recvWindow.".to_owned())
        }
        AccessError::Early => {
            (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.".to_owned())
        }
        AccessError::WrongSignature => (400, -1022, "Signature for this request is not valid.".to_owned()),
    }
}

pub(in crate::binance) fn malformed(field: &str) -> String {
    format!("Mandatory parameter '{field}' was not sent, was empty/null, or malformed.")
}

/// An error of either endpoint, also without the object around code and text, as the documentation prints it. The
/// text only keeps a part of what was wrong.
pub(super) fn read_refusal(object: &Object<'_>, id: Option<RequestId>) -> Result<Refused, DecodeError> {
    let mut inner = match object.find("error") {
        Some(error) => Some(error.object()?),
        None => None,
    };
    let error = inner.as_mut().map(|error| error.called("error")).unwrap_or(object);
    let code = error.field("code")?;
    let text = error.field("msg")?.string()?;
    let name = || text.split('`').nth(1).unwrap_or_default().to_owned();
    let request = text.strip_prefix(INVALID_REQUEST).unwrap_or(&text);
    let refusal = match (code.raw(), request) {
        ("0", _) => wrong_value("property"),
        ("1", _) => wrong_value("combined"),
        ("2", text) if text.starts_with("unknown variant") => Refusal::UnknownMethod { found: name() },
        ("2", "missing field `params`") => Refusal::MissingField { field: "params" },
        ("2", text) if text.starts_with("missing field") => Refusal::MissingField { field: "method" },
        ("2", text) if text.starts_with("property name") => wrong_value("property name"),
        ("2", text) if text.starts_with("request ID") => wrong_value("id"),
        ("2", text) if text.starts_with("invalid stream") => Refusal::UnknownChannel { name: String::new() },
        ("2", text) if text.starts_with(WRONG_VALUE) => {
            let found = text[WRONG_VALUE.len()..].rsplit_once(" of field").map_or("", |(found, _)| found);
            Refusal::WrongValue { field: "params", found: found.to_owned() }
        }
        ("3", text) => read_no_json(text),
        ("4", _) => Refusal::TooMany { limit: super::STREAMS_MAX },
        ("-1135", _) => Refusal::NoJson { line: 1, column: 1, problem: text.into_owned() },
        ("-1102", _) => Refusal::MissingField { field: "params" },
        ("-1020", _) => Refusal::UnknownMethod { found: String::new() },
        ("-1121", _) => Refusal::UnknownSymbol { name: String::new() },
        ("-1003", _) => Refusal::TooFrequent,
        ("-2015" | "-2014", _) => Refusal::NotLoggedIn,
        ("-1021" | "-1022", _) => Refusal::LoginFailed,
        _ => Refusal::WrongValue { field: "params", found: text.into_owned() },
    };
    Ok(Refused { id, refusal, topic: None, method: None })
}

fn wrong_value(field: &'static str) -> Refusal {
    Refusal::WrongValue { field, found: String::new() }
}

/// `Invalid JSON: expected value at line 1 column 2`
fn read_no_json(text: &str) -> Refusal {
    let text = text.strip_prefix("Invalid JSON: ").unwrap_or(text);
    let place = || {
        let (problem, place) = text.rsplit_once(" at line ")?;
        let (line, column) = place.split_once(" column ")?;
        Some((problem, line.parse().ok()?, column.parse().ok()?))
    };
    let (problem, line, column) = place().unwrap_or((text, 1, 1));
    Refusal::NoJson { line, column, problem: problem.to_owned() }
}

/// The code of most mistakes, and how their text begins.
const INVALID: i32 = 2;
const INVALID_REQUEST: &str = "Invalid request: ";

const WRONG_VALUE: &str = "invalid value ";

const WRONG_PROPERTY: &str = "Invalid value type: expected Boolean";

const METHODS: &str = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`";

/// `{"method":""`
const METHOD_START: usize = 12;
