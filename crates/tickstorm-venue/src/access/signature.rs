//! Secrets, and whether a signature was made with one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::{SigningKey, VerifyingKey as EdKey};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::VerifyingKey as EcKey;
use p256::ecdsa::signature::Verifier;
use sha2::{Digest, Sha256, Sha512};
use thiserror::Error;

use super::jwt::{Algorithm, Token};
use super::{AccessError, Credential};
use crate::venue::Venue;

/// What a venue needs of a secret to check signatures.
#[derive(Debug, Clone)]
pub(super) enum Secret {
    Bytes(Vec<u8>),
    /// The public half, which is all it takes to check a signature.
    Ec(Box<EcKey>),
    Ed(Box<EdKey>),
}

/// Why a secret is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnusableSecret {
    /// Anybody could sign with it.
    #[error("it is empty")]
    Empty,
    /// Kraken's are.
    #[error("it is not base64")]
    NotBase64,
    /// It begins like one.
    #[error("it is not a PEM of an Ed25519 key, nor of a P-256 key where the venue takes one")]
    WrongPem,
}

impl Secret {
    pub(super) fn read(venue: Venue, text: &str) -> Result<Self, UnusableSecret> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UnusableSecret::Empty);
        }
        if text.starts_with("-----BEGIN") {
            // In a setting of one line the ends of lines are often written out.
            let pem = text.replace("\\n", "\n");
            let ec = if venue == Venue::Coinbase { read_ec(&pem) } else { None };
            return ec.or_else(|| read_ed(&pem)).ok_or(UnusableSecret::WrongPem);
        }
        let decoded = STANDARD.decode(text);
        match venue {
            Venue::Kraken => decoded.map(Secret::Bytes).map_err(|_| UnusableSecret::NotBase64),
            // The seed, and mostly the public half behind it.
            Venue::Coinbase => Ok(match decoded.ok().filter(|bytes| [32, 64].contains(&bytes.len())) {
                Some(bytes) => {
                    let seed = bytes[..32].try_into().expect("there are as many");
                    Secret::Ed(Box::new(SigningKey::from_bytes(seed).verifying_key()))
                }
                None => Secret::Bytes(text.as_bytes().to_vec()),
            }),
            _ => Ok(Secret::Bytes(text.as_bytes().to_vec())),
        }
    }

    /// Hexadecimal HMAC-SHA256 of the parts one behind the other; a base64 signature of the same if the key is one of
    /// Ed25519.
    pub(super) fn check_hex(&self, parts: &[&[u8]], signature: &str) -> Result<(), AccessError> {
        match self {
            Secret::Bytes(key) => {
                let signature = unhex(signature).ok_or(AccessError::WrongSignature)?;
                mac::<Hmac<Sha256>>(key, parts)
                    .verify_slice(&signature)
                    .map_err(|_| AccessError::WrongSignature)
            }
            Secret::Ed(key) => {
                let signature = STANDARD.decode(signature).map_err(|_| AccessError::WrongSignature)?;
                verify_ed(key, &parts.concat(), &signature)
            }
            Secret::Ec(_) => Err(AccessError::WrongSignature),
        }
    }

    /// HMAC-SHA256 in base64.
    pub(super) fn check_base64(&self, parts: &[&[u8]], signature: &str) -> Result<(), AccessError> {
        let Secret::Bytes(key) = self else { return Err(AccessError::WrongSignature) };
        let signature = STANDARD.decode(signature).map_err(|_| AccessError::WrongSignature)?;
        mac::<Hmac<Sha256>>(key, parts).verify_slice(&signature).map_err(|_| AccessError::WrongSignature)
    }

    /// HMAC-SHA512 in base64 of the path and the SHA-256 of nonce and body.
    pub(super) fn check_kraken(
        &self,
        path: &str,
        nonce: &str,
        body: &str,
        signature: &str,
    ) -> Result<(), AccessError> {
        let Secret::Bytes(key) = self else { return Err(AccessError::WrongSignature) };
        let signature = STANDARD.decode(signature).map_err(|_| AccessError::WrongSignature)?;
        let inner = Sha256::new().chain_update(nonce).chain_update(body).finalize();
        let parts = [path.as_bytes(), &inner];
        mac::<Hmac<Sha512>>(key, &parts).verify_slice(&signature).map_err(|_| AccessError::WrongSignature)
    }

    pub(super) fn check_jwt(&self, token: &Token<'_>) -> Result<(), AccessError> {
        let signed = token.signed.as_bytes();
        match (self, token.algorithm) {
            (Secret::Ec(key), Algorithm::Es256) => {
                let signature = p256::ecdsa::Signature::from_slice(&token.signature);
                let signature = signature.map_err(|_| AccessError::WrongSignature)?;
                key.verify(signed, &signature).map_err(|_| AccessError::WrongSignature)
            }
            (Secret::Ed(key), Algorithm::EdDsa) => verify_ed(key, signed, &token.signature),
            _ => Err(AccessError::WrongSignature),
        }
    }
}

fn read_ec(pem: &str) -> Option<Secret> {
    let private =
        p256::SecretKey::from_sec1_pem(pem).ok().or_else(|| p256::SecretKey::from_pkcs8_pem(pem).ok());
    let public = match private {
        Some(private) => private.public_key(),
        None => p256::PublicKey::from_public_key_pem(pem).ok()?,
    };
    Some(Secret::Ec(Box::new(public.into())))
}

fn read_ed(pem: &str) -> Option<Secret> {
    let private = SigningKey::from_pkcs8_pem(pem).ok().map(|key| key.verifying_key());
    let public = private.or_else(|| EdKey::from_public_key_pem(pem).ok())?;
    Some(Secret::Ed(Box::new(public)))
}

fn verify_ed(key: &EdKey, signed: &[u8], signature: &[u8]) -> Result<(), AccessError> {
    let signature =
        ed25519_dalek::Signature::from_slice(signature).map_err(|_| AccessError::WrongSignature)?;
    key.verify(signed, &signature).map_err(|_| AccessError::WrongSignature)
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key may have any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// A token for the credential's account from this time on: the time, and a proof that only who has the secret can make.
pub(super) fn token(credential: &Credential, now_unix_ms: u64) -> String {
    let time = format!("{now_unix_ms:016x}");
    let parts = [TOKEN_LABEL, credential.key.as_bytes(), b"|", time.as_bytes()];
    let proof = mac::<Hmac<Sha256>>(credential.secret.as_bytes(), &parts).finalize().into_bytes();
    let digits = proof.iter().map(|byte| format!("{byte:02x}"));
    time.chars().chain(digits.collect::<String>().chars()).collect()
}

/// When a token was made, as it says itself.
pub(super) fn token_time(token: &str) -> Option<u64> {
    u64::from_str_radix(token.get(..16)?, 16).ok()
}

/// Whether two texts are the same, in a time that does not tell where they differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let differences =
        one.iter().zip(other).fold(0, |sum, (one, other)| std::hint::black_box(sum | (one ^ other)));
    one.len() == other.len() && differences == 0
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair[0])? << 4 | digit(*pair.get(1)?)?) as u8)).collect()
}

/// So that no signature of a request is ever a token.
const TOKEN_LABEL: &[u8] = b"socket token|";
