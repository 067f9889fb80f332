//! API keys: who may see an account's orders and balances, proved as each venue documents it.
//!
//! Nothing is remembered between calls, so that nonces are read but not held against earlier ones, and tokens carry
//! their own proof. Times are the caller's.

mod jwt;
mod signature;
mod time;

use percent_encoding::percent_decode_str;
use thiserror::Error;
use tickstorm_market::event::AccountId;

use crate::protocol::Login;
use crate::venue::Venue;
pub use signature::UnusableSecret;
use signature::{Secret, same};

/// What a client signs with, and whose orders and balances it may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The public part, as it stands in requests.
    pub key: String,
    /// The secret part: text for most; base64 at Kraken; a PEM of an elliptic curve's key (its private or its public
    /// half) at Coinbase, where base64 of an Ed25519 key will do as well, and at Binance if it is an Ed25519 key.
    pub secret: String,
    /// At OKX, where it must be given with every signature.
    pub passphrase: Option<String>,
    /// The account.
    pub account: AccountId,
}

/// The keys that one venue knows.
#[derive(Debug, Clone)]
pub struct Keys {
    venue: Venue,
    known: Vec<(Credential, Secret)>,
}

/// A credential that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The venue does not sign with such a secret.
    #[error("the secret of {venue} key {key:?} cannot be used")]
    Secret {
        /// The venue.
        venue: Venue,
        /// The key.
        key: String,
        /// Why.
        source: UnusableSecret,
    },
    /// It is known already.
    #[error("{venue} key {key:?} is given twice")]
    Twice {
        /// The venue.
        venue: Venue,
        /// The key.
        key: String,
    },
    /// Every signature needs one.
    #[error("{venue} key {key:?} has no passphrase, which every signature there needs")]
    NoPassphrase {
        /// The venue.
        venue: Venue,
        /// The key.
        key: String,
    },
}

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessError {
    /// A part of it is missing.
    Missing {
        /// Which: a header, a parameter, a field.
        what: &'static str,
    },
    /// A part of it cannot be read.
    Unreadable {
        /// Which.
        what: &'static str,
    },
    /// Nobody has this key, or this token.
    UnknownKey,
    /// It was signed too long ago, or its time is over.
    Late,
    /// It was signed in the future.
    Early,
    /// The passphrase is another one.
    WrongPassphrase,
    /// The signature is another one.
    WrongSignature,
}

/// A request with its proof, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedRequest<'a> {
    /// As `GET`.
    pub method: &'a str,
    /// The venue's own path, as `/api/v3/account`: what the client signed, without a prefix of the server's.
    pub path: &'a str,
    /// What follows the question mark, or nothing, exactly as it came.
    pub query: &'a str,
    /// Names and values. Names are compared in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// What was posted, or nothing.
    pub body: &'a [u8],
}

impl Keys {
    /// A venue that knows nobody.
    pub fn new(venue: Venue) -> Self {
        Self { venue, known: Vec::new() }
    }

    /// Makes a key known.
    pub fn add(&mut self, credential: Credential) -> Result<(), KeyError> {
        let (venue, key) = (self.venue, credential.key.clone());
        if self.find(&key).is_ok() {
            return Err(KeyError::Twice { venue, key });
        }
        if venue == Venue::Okx && credential.passphrase.is_none() {
            return Err(KeyError::NoPassphrase { venue, key });
        }
        let secret = Secret::read(venue, &credential.secret).map_err(|source| KeyError::Secret {
            venue,
            key,
            source,
        })?;
        self.known.push((credential, secret));
        Ok(())
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn find(&self, key: &str) -> Result<&(Credential, Secret), AccessError> {
        self.known.iter().find(|(known, _)| known.key == key).ok_or(AccessError::UnknownKey)
    }

    /// Checks a login, or the proof that a subscription brings with it, on a socket.
    pub fn check_login(&self, login: &Login, now_unix_ms: u64) -> Result<AccountId, AccessError> {
        match self.venue {
            Venue::Binance => {
                let (credential, secret) = self.find(&login.key)?;
                let receive_ms = parameter(&login.payload, "recvWindow");
                within_binance_window(login.time_ms, receive_ms, now_unix_ms)?;
                secret.check_hex(&[login.payload.as_bytes()], &login.signature)?;
                Ok(credential.account)
            }
            Venue::Okx => {
                let (credential, secret) = self.find(&login.key)?;
                let time_ms = login.time_ms.ok_or(AccessError::Missing { what: "timestamp" })?;
                within(time_ms, now_unix_ms, OKX_WINDOW_MS, OKX_WINDOW_MS)?;
                let passphrase = login.passphrase.as_deref().unwrap_or_default();
                check_passphrase(credential, passphrase)?;
                secret.check_base64(&[login.payload.as_bytes()], &login.signature)?;
                Ok(credential.account)
            }
            Venue::Bybit => {
                let (credential, secret) = self.find(&login.key)?;
                if login.time_ms.ok_or(AccessError::Missing { what: "expires" })? <= now_unix_ms {
                    return Err(AccessError::Late);
                }
                secret.check_hex(&[login.payload.as_bytes()], &login.signature)?;
                Ok(credential.account)
            }
            Venue::Kraken => self.check_token(&login.signature, now_unix_ms, KRAKEN_TOKEN_MS),
            Venue::Coinbase => self.check_jwt(&login.signature, None, now_unix_ms),
        }
    }

    /// Checks a request of the HTTP interface. Paths for which the venue asks for a key alone need no signature.
    pub fn check_rest(
        &self,
        request: &SignedRequest<'_>,
        now_unix_ms: u64,
    ) -> Result<AccountId, AccessError> {
        let header = |name: &'static str| {
            let found = request.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            found.map(|(_, value)| *value).ok_or(AccessError::Missing { what: name })
        };
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        match self.venue {
            Venue::Binance => {
                let (credential, secret) = self.find(header("X-MBX-APIKEY")?)?;
                if BINANCE_UNSIGNED.contains(&request.path) {
                    return Ok(credential.account);
                }
                self.check_binance(secret, request, now_unix_ms)?;
                Ok(credential.account)
            }
            Venue::Okx => {
                let (credential, secret) = self.find(header("OK-ACCESS-KEY")?)?;
                let timestamp = header("OK-ACCESS-TIMESTAMP")?;
                let time_ms =
                    time::read(timestamp).ok_or(AccessError::Unreadable { what: "OK-ACCESS-TIMESTAMP" })?;
                within(time_ms, now_unix_ms, OKX_WINDOW_MS, OKX_WINDOW_MS)?;
                check_passphrase(credential, header("OK-ACCESS-PASSPHRASE")?)?;
                let signed = [timestamp, request.method, request.path, &query].map(str::as_bytes);
                let signed = [&signed[..], &[request.body]].concat();
                secret.check_base64(&signed, header("OK-ACCESS-SIGN")?)?;
                Ok(credential.account)
            }
            Venue::Bybit => {
                let key = header("X-BAPI-API-KEY")?;
                let (credential, secret) = self.find(key)?;
                let timestamp = header("X-BAPI-TIMESTAMP")?;
                let time_ms = number(timestamp, "X-BAPI-TIMESTAMP")?;
                let window = header("X-BAPI-RECV-WINDOW").ok();
                let window_ms = match window {
                    Some(window) => number(window, "X-BAPI-RECV-WINDOW")?,
                    None => WINDOW_MS,
                };
                within(time_ms, now_unix_ms, window_ms, AHEAD_MS)?;
                let head = [timestamp, key, window.unwrap_or_default(), request.query].map(str::as_bytes);
                let signed = [&head[..], &[request.body]].concat();
                secret.check_hex(&signed, header("X-BAPI-SIGN")?)?;
                Ok(credential.account)
            }
            Venue::Kraken => {
                let (credential, secret) = self.find(header("API-Key")?)?;
                let body = std::str::from_utf8(request.body);
                let body = body.map_err(|_| AccessError::Unreadable { what: "nonce" })?;
                let nonce = kraken_nonce(body).ok_or(AccessError::Missing { what: "nonce" })?;
                number(&nonce, "nonce")?;
                secret.check_kraken(request.path, &nonce, body, header("API-Sign")?)?;
                Ok(credential.account)
            }
            Venue::Coinbase => {
                if let Ok(bearer) = header("Authorization") {
                    let token = bearer.strip_prefix("Bearer ");
                    let token = token.ok_or(AccessError::Unreadable { what: "Authorization" })?;
                    return self.check_jwt(token, Some((request.method, request.path)), now_unix_ms);
                }
                let (credential, secret) = self.find(header("CB-ACCESS-KEY")?)?;
                let timestamp = header("CB-ACCESS-TIMESTAMP")?;
                let seconds = number(timestamp, "CB-ACCESS-TIMESTAMP")?;
                within(seconds.saturating_mul(1_000), now_unix_ms, COINBASE_WINDOW_MS, COINBASE_WINDOW_MS)?;
                let signed = [timestamp, request.method, request.path].map(str::as_bytes);
                let signed = [&signed[..], &[query.as_bytes(), request.body]].concat();
                // Some of its documents leave the query out of what is signed.
                let bare = [&signed[..3], &[request.body]].concat();
                let signature = header("CB-ACCESS-SIGN")?;
                secret.check_hex(&signed, signature).or_else(|_| secret.check_hex(&bare, signature))?;
                Ok(credential.account)
            }
        }
    }

    /// All parameters but the signature are signed: those of the query, then those of the body, as they came.
    fn check_binance(
        &self,
        secret: &Secret,
        request: &SignedRequest<'_>,
        now_unix_ms: u64,
    ) -> Result<(), AccessError> {
        let body =
            std::str::from_utf8(request.body).map_err(|_| AccessError::Unreadable { what: "signature" })?;
        let of = |name| parameter(request.query, name).or_else(|| parameter(body, name));
        let signature = of("signature").ok_or(AccessError::Missing { what: "signature" })?;
        let time_ms = match of("timestamp") {
            Some(text) => Some(number(&text, "timestamp")?),
            None => None,
        };
        within_binance_window(time_ms, of("recvWindow"), now_unix_ms)?;
        let [query, body] = [request.query, body].map(without_signature);
        secret.check_hex(&[query.as_bytes(), body.as_bytes()], &signature)
    }

    fn check_jwt(
        &self,
        token: &str,
        of: Option<(&str, &str)>,
        now_unix_ms: u64,
    ) -> Result<AccountId, AccessError> {
        if token.is_empty() {
            return Err(AccessError::Missing { what: "jwt" });
        }
        let token = jwt::Token::read(token).ok_or(AccessError::Unreadable { what: "jwt" })?;
        let (credential, secret) = self.find(&token.key)?;
        let now = now_unix_ms / 1_000;
        if now > token.expires.saturating_add(JWT_LEEWAY) {
            return Err(AccessError::Late);
        }
        if now.saturating_add(JWT_LEEWAY) < token.from {
            return Err(AccessError::Early);
        }
        secret.check_jwt(&token)?;
        match of {
            Some((method, path)) if !token.allows(method, path) => Err(AccessError::WrongSignature),
            _ => Ok(credential.account),
        }
    }

    /// A token that stands for the account on a socket: Kraken's, good for fifteen minutes, or Binance's listen key. None
    /// if no key of the account is known.
    pub fn token(&self, account: AccountId, now_unix_ms: u64) -> Option<String> {
        let (credential, _) = self.known.iter().find(|(credential, _)| credential.account == account)?;
        Some(signature::token(credential, now_unix_ms))
    }

    /// Whose user stream a listen key opens. It is good for a day, however often it is renewed.
    pub fn check_listen_key(&self, key: &str, now_unix_ms: u64) -> Result<AccountId, AccessError> {
        self.check_token(key, now_unix_ms, LISTEN_KEY_MS)
    }

    fn check_token(&self, token: &str, now_unix_ms: u64, good_ms: u64) -> Result<AccountId, AccessError> {
        let issued_ms = signature::token_time(token).ok_or(AccessError::UnknownKey)?;
        let is_it = |credential: &Credential| {
            same(signature::token(credential, issued_ms).as_bytes(), token.as_bytes())
        };
        let known = self.known.iter().find(|(credential, _)| is_it(credential));
        let (credential, _) = known.ok_or(AccessError::UnknownKey)?;
        within(issued_ms, now_unix_ms, good_ms, 0)?;
        Ok(credential.account)
    }
}

fn check_passphrase(credential: &Credential, given: &str) -> Result<(), AccessError> {
    let expected = credential.passphrase.as_deref().unwrap_or_default();
    if same(expected.as_bytes(), given.as_bytes()) { Ok(()) } else { Err(AccessError::WrongPassphrase) }
}

/// Whether a time is at most so much behind, and at most so much ahead.
fn within(time_ms: u64, now_ms: u64, behind_ms: u64, ahead_ms: u64) -> Result<(), AccessError> {
    if now_ms.saturating_sub(time_ms) > behind_ms {
        return Err(AccessError::Late);
    }
    if time_ms.saturating_sub(now_ms) > ahead_ms {
        return Err(AccessError::Early);
    }
    Ok(())
}

fn within_binance_window(
    time_ms: Option<u64>,
    receive_ms: Option<String>,
    now_ms: u64,
) -> Result<(), AccessError> {
    let time_ms = time_ms.ok_or(AccessError::Missing { what: "timestamp" })?;
    let window_ms = match receive_ms {
        Some(text) => number(&text, "recvWindow")?,
        None => WINDOW_MS,
    };
    if window_ms > WINDOW_MAX_MS {
        return Err(AccessError::Unreadable { what: "recvWindow" });
    }
    within(time_ms, now_ms, window_ms, AHEAD_MS)
}

fn number(text: &str, what: &'static str) -> Result<u64, AccessError> {
    text.parse().map_err(|_| AccessError::Unreadable { what })
}

/// The value of a parameter, decoded.
fn parameter(pairs: &str, name: &str) -> Option<String> {
    let value = pairs.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

fn without_signature(pairs: &str) -> String {
    let kept: Vec<&str> = pairs.split('&').filter(|pair| !pair.starts_with("signature=")).collect();
    kept.join("&")
}

/// Of a form or of a JSON object.
fn kraken_nonce(body: &str) -> Option<String> {
    if body.trim_start().starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(body).ok()?;
        let nonce = value.get("nonce")?;
        return Some(nonce.as_str().map_or_else(|| nonce.to_string(), str::to_owned));
    }
    parameter(body, "nonce")
}

/// How long a signature is good where the client does not say: Binance's and Bybit's `recv_window`.
const WINDOW_MS: u64 = 5_000;

/// The longest that Binance allows.
const WINDOW_MAX_MS: u64 = 60_000;

/// By how much the client's clock may be ahead, at Binance and Bybit.
const AHEAD_MS: u64 = 1_000;

const OKX_WINDOW_MS: u64 = 30_000;

const COINBASE_WINDOW_MS: u64 = 30_000;

/// Seconds by which clocks may differ from those of a token.
const JWT_LEEWAY: u64 = 5;

const KRAKEN_TOKEN_MS: u64 = 15 * 60 * 1_000;

const LISTEN_KEY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What Binance answers to a key alone.
const BINANCE_UNSIGNED: [&str; 3] =
    ["/api/v3/userDataStream", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs"];

#[cfg(test)]
mod tests;
