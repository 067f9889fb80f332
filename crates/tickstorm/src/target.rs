//! The system under test, and the ways to reach it.

use std::{fmt, future::Future, pin::Pin, str::FromStr, sync::Arc};

use tickstorm_load::Failure;
use tickstorm_net::{BuiltinSpec, Endpoint};

use crate::{HostedCalls, Message};

/// Where messages go.
///
/// ```
/// use tickstorm::Target;
///
/// let consumer: Target = "ws://127.0.0.1:9001/feed".parse()?;
/// let known: Target = "builtin:?service=1ms&fail=0.001".parse()?;
/// let own_code = Target::call(|message: tickstorm::Message| async move { !message.bytes.is_empty() });
/// # Ok::<(), tickstorm::TargetError>(())
/// ```
#[derive(Debug, Clone)]
pub enum Target {
    /// A consumer of tickstorm's own, of known speed, on a loopback WebSocket.
    Builtin(BuiltinSpec),
    /// A WebSocket server.
    WebSocket(Endpoint),
    /// Code in this process.
    Call(Callee),
    /// Code in this process that a host of its own calls. It serves one run.
    Hosted(HostedCalls),
}

impl Default for Target {
    fn default() -> Self {
        Self::Builtin(BuiltinSpec::default())
    }
}

impl Target {
    /// An async function, called once a message, on the runtime that
    /// [`run_load_test`](crate::LoadGenerator::run_load_test) is awaited on.
    pub fn call<F, R>(function: F) -> Self
    where
        F: Fn(Message) -> R + Send + Sync + 'static,
        R: Future<Output: Outcome> + Send + 'static,
    {
        let function = move |mut messages: Vec<Message>| -> CallFuture {
            let message = messages.pop().expect("a call carries a message");
            let answer = function(message);
            Box::pin(async move { answer.await.outcome() })
        };
        Self::Call(Callee { function: Arc::new(function), takes: Takes::One })
    }

    /// An async function that takes up to `batch` messages that are due together; they succeed or fail together.
    pub fn call_batch<F, R>(function: F) -> Self
    where
        F: Fn(Vec<Message>) -> R + Send + Sync + 'static,
        R: Future<Output: Outcome> + Send + 'static,
    {
        let function = move |messages: Vec<Message>| -> CallFuture {
            let answer = function(messages);
            Box::pin(async move { answer.await.outcome() })
        };
        Self::Call(Callee { function: Arc::new(function), takes: Takes::Batch })
    }

    /// A `tower` service: cloned for each message, awaited until ready, then called.
    pub fn service<S>(service: S) -> Self
    where
        S: tower_service::Service<Message, Error: fmt::Display> + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Self::call(move |message| {
            let mut service = service.clone();
            async move {
                std::future::poll_fn(|context| service.poll_ready(context)).await?;
                service.call(message).await
            }
        })
    }

    /// Code that these calls are made to by whoever holds the other end of them.
    pub fn hosted(calls: HostedCalls) -> Self {
        Self::Hosted(calls)
    }

    /// The word that reports use for the way to reach it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Builtin(_) => "builtin",
            Self::WebSocket(_) => "websocket",
            Self::Call(_) | Self::Hosted(_) => "call",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(spec) => spec.fmt(f),
            Self::WebSocket(endpoint) => endpoint.fmt(f),
            Self::Call(_) | Self::Hosted(_) => f.write_str("call"),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        if text == "builtin" || text.starts_with("builtin:") {
            return Ok(Self::Builtin(text.parse()?));
        }
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.eq_ignore_ascii_case("ws") => {
                Err(TargetError::Scheme { scheme: scheme.to_owned() })
            }
            Some(_) => Ok(Self::WebSocket(text.parse()?)),
            None => Err(TargetError::Unknown { text: text.to_owned() }),
        }
    }
}

/// A text that names no target.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// Neither the built-in target nor an address.
    #[error("expected `builtin`, `builtin:?service=1ms&...` or `ws://host:port/path`, got `{text}`")]
    Unknown {
        /// What was given.
        text: String,
    },
    /// A scheme that cannot be stormed. With TLS between, the kernel takes a message later than it was sent, so that
    /// what a run measures would be something else.
    #[error("scheme of a target must be ws:// or builtin, got {scheme}://")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// The built-in target's options.
    #[error(transparent)]
    Builtin(#[from] tickstorm_net::BuiltinSpecError),
    /// The address.
    #[error(transparent)]
    Endpoint(#[from] tickstorm_net::EndpointError),
}

/// Code in this process that takes messages; made by [`Target::call`] and its siblings.
#[derive(Clone)]
pub struct Callee {
    pub(crate) function: Arc<dyn Fn(Vec<Message>) -> CallFuture + Send + Sync>,
    pub(crate) takes: Takes,
}

/// How many messages a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    One,
    Batch,
}

pub(crate) type CallFuture = Pin<Box<dyn Future<Output = Result<(), CallFailure>> + Send>>;

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callee")
    }
}

/// Why a call did not process its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailure {
    /// It said no.
    Rejected,
    /// It returned an error: its type, and its words.
    Error {
        /// Short name of the type; failures are counted by it.
        kind: String,
        /// What it says; the first few are kept as samples.
        text: String,
    },
}

impl CallFailure {
    /// How it is counted, and a sample of the words.
    pub(crate) fn counted(self) -> (Failure, Option<String>) {
        match self {
            CallFailure::Rejected => (Failure::Rejected, None),
            CallFailure::Error { kind, text } => (Failure::Error(kind.into()), Some(text)),
        }
    }
}

/// What a called function may return: nothing, a success flag, or a result.
pub trait Outcome {
    /// Whether the message was processed.
    fn outcome(self) -> Result<(), CallFailure>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), CallFailure> {
        Ok(())
    }
}

impl Outcome for bool {
    fn outcome(self) -> Result<(), CallFailure> {
        if self { Ok(()) } else { Err(CallFailure::Rejected) }
    }
}

impl<T, E: fmt::Display> Outcome for Result<T, E> {
    fn outcome(self) -> Result<(), CallFailure> {
        self.map(|_| ())
            .map_err(|error| CallFailure::Error { kind: short_type_name::<E>(), text: error.to_string() })
    }
}

/// `alloc::boxed::Box<dyn std::error::Error>` becomes `Box<dyn Error>`.
fn short_type_name<T>() -> String {
    let full = std::any::type_name::<T>();
    let mut short = String::new();
    for word in full.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        short.push_str(word.rsplit("::").next().unwrap_or(word));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_named_by_their_short_type() {
        assert_eq!(short_type_name::<std::io::Error>(), "Error");
        assert_eq!(short_type_name::<Box<dyn std::error::Error + Send>>(), "Box<dyn Error + Send>");
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_is_allowed() {
        for text in ["", "localhost", "ftp://host/x", "wss://host/x", "ws://", "builtin:?speed=3", "builtinx"]
        {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert_eq!("builtin".parse::<Target>().unwrap().to_string(), "builtin");
    }
}
