//! What a venue objects to, in words.

use tickstorm_venue::protocol::{Refusal, Refused};

/// One line for people: what was refused, in the asker's words, and why.
pub(crate) fn reason(refused: &Refused) -> String {
    let about = refused.topic.as_ref().map_or_else(String::new, |topic| format!("{topic}: "));
    let why = match &refused.refusal {
        Refusal::NoJson { line, column, problem } => {
            format!("no json at line {line}, column {column}: {problem}")
        }
        Refusal::UnknownMethod { found } => format!("unknown method {found}"),
        Refusal::MissingField { field } => format!("field {field:?} is missing"),
        Refusal::WrongValue { field, found } => format!("wrong {field}: {found}"),
        Refusal::UnknownChannel { name } => format!("unknown channel {name}"),
        Refusal::UnknownSymbol { name } => format!("unknown instrument {name}"),
        Refusal::UnknownDepth { depth } => format!("no books of {depth} levels"),
        Refusal::AlreadySubscribed => "subscribed to already".to_owned(),
        Refusal::NotSubscribed => "not subscribed to".to_owned(),
        Refusal::TooMany { limit } => format!("more than {limit}"),
        Refusal::TooFrequent => "requests come too fast".to_owned(),
        Refusal::NotLoggedIn => "only for owners of accounts".to_owned(),
        Refusal::Access(_) => "the proof of the login does not hold".to_owned(),
        Refusal::LoginFailed => "the login failed".to_owned(),
        Refusal::WrongEndpoint => "to be asked at another endpoint".to_owned(),
    };
    format!("{about}{why}")
}
