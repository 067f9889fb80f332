//! JSON web tokens as Coinbase's clients make them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// A token, read but not trusted.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// Who signed it.
    pub(super) key: String,
    pub(super) algorithm: Algorithm,
    /// What was signed.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
    /// When it begins to be good: Unix seconds.
    pub(super) from: u64,
    /// When it ceases to be good: Unix seconds.
    pub(super) expires: u64,
    /// Requests that it is good for, as `GET api.coinbase.com/api/v3/brokerage/accounts`; for sockets none.
    uris: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Es256,
    EdDsa,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    nbf: u64,
    exp: u64,
    uri: Option<String>,
    #[serde(default)]
    uris: Vec<String>,
}

impl<'a> Token<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
        let header: Header = serde_json::from_slice(&decoded(header)?).ok()?;
        let claims: Claims = serde_json::from_slice(&decoded(claims)?).ok()?;
        let algorithm = match &*header.alg {
            "ES256" => Algorithm::Es256,
            "EdDSA" => Algorithm::EdDsa,
            _ => return None,
        };
        // Both say who signed it.
        if header.kid.is_some_and(|kid| kid != claims.sub) {
            return None;
        }
        Some(Self {
            key: claims.sub,
            algorithm,
            signed,
            signature: decoded(signature)?,
            from: claims.nbf,
            expires: claims.exp,
            uris: claims.uri.into_iter().chain(claims.uris).collect(),
        })
    }

    /// Whether it is good for a request. The host is the client's idea of the server, and what stands before the
    /// venue's own path as well.
    pub(super) fn allows(&self, method: &str, path: &str) -> bool {
        let good = |uri: &String| {
            uri.split_once(' ').is_some_and(|(allowed, place)| allowed == method && place.ends_with(path))
        };
        self.uris.iter().any(good)
    }
}
