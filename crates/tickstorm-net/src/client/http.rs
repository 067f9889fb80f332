//! Answers by HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Trust;
use crate::endpoint::Endpoint;

/// Asks one server, one question at a time, and keeps the connection open between them. Blocks; follows no
/// redirection and uses no proxy, so that it talks to nobody else.
#[derive(Debug, Clone)]
pub struct HttpClient {
    agent: Agent,
    server: Endpoint,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// As 200.
    pub status: u16,
    /// Seconds to wait before the next question, if the server says so.
    pub retry_after_s: Option<u64>,
    /// As it came.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The question cannot be put.
    #[error(transparent)]
    Question(#[from] crate::EndpointError),
    /// Not all of the answer came in time.
    #[error("no whole answer from {url} within {timeout:?}")]
    TimedOut {
        /// What was asked, without the query.
        url: String,
        /// The time it had.
        timeout: Duration,
    },
    /// The answer is too long.
    #[error("answer of {url} must be at most {limit} bytes")]
    TooLong {
        /// What was asked, without the query.
        url: String,
        /// The most.
        limit: u64,
    },
    /// Nobody listens, the certificate is not trusted, or it is no HTTP.
    #[error("cannot ask {url}")]
    Failed {
        /// What was asked, without the query.
        url: String,
        /// Why not.
        source: io::Error,
    },
}

impl HttpClient {
    /// A client of the [HTTP server](Endpoint::of_http) at `server`, whose path stands before that of each question.
    /// Each answer has `timeout` to come whole. Without TLS nobody needs to be trusted.
    pub fn new(server: Endpoint, trust: Option<&Trust>, timeout: Duration) -> Self {
        let mut config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(timeout))
            .user_agent(concat!("tickstorm/", env!("CARGO_PKG_VERSION")));
        if let Some(trust) = trust {
            let authorities: Vec<_> =
                trust.authorities().iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::new_with_certs(&authorities))
                .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
            config = config.tls_config(tls.build());
        }
        Self { agent: config.build().new_agent(), server }
    }

    /// Asks for a path with its query, which begins with a slash. An answer of any status is an answer.
    pub fn get(&self, path: &str) -> Result<HttpAnswer, HttpError> {
        let before = self.server.resource().trim_end_matches('/');
        let asked = self.server.with_resource(&format!("{before}{path}"))?;
        self.ask(&asked).map_err(|error| {
            let url = asked.to_string();
            match error {
                ureq::Error::Timeout(_) => {
                    let timeout = self.agent.config().timeouts().global.unwrap_or_default();
                    HttpError::TimedOut { url, timeout }
                }
                ureq::Error::BodyExceedsLimit(limit) => HttpError::TooLong { url, limit },
                ureq::Error::Io(source) => HttpError::Failed { url, source },
                other => HttpError::Failed { url, source: io::Error::other(other) },
            }
        })
    }

    fn ask(&self, asked: &Endpoint) -> Result<HttpAnswer, ureq::Error> {
        let answer = self.agent.get(asked.url()).call()?;
        let retry_after_s =
            answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let status = answer.status().as_u16();
        let body = answer.into_body().into_with_config().limit(BODY_MAX).read_to_vec()?;
        Ok(HttpAnswer { status, retry_after_s, body })
    }
}

/// The longest answer that a venue gives, the list of all its instruments, has some twenty million bytes.
const BODY_MAX: u64 = 64 << 20;
