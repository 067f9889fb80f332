//! Whose certificates a client accepts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The authorities that may vouch for a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust {
    authorities: Arc<[CertificateDer<'static>]>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Those that this system trusts.
    pub fn of_system() -> Result<Self, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let (mut roots, mut authorities) = (RootCertStore::empty(), Vec::new());
        for authority in found.certs {
            // Systems keep certificates that nobody can use any more; the others are good all the same.
            if roots.add(authority.clone()).is_ok() {
                authorities.push(authority);
            }
        }
        if authorities.is_empty() {
            let reason =
                found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
            return Err(TrustError::NoSystem { reason });
        }
        Ok(Self::new(roots, authorities))
    }

    /// Those in a PEM file, and no others: for a server with a private authority, or with a certificate of its own
    /// making.
    pub fn of_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let (mut roots, mut authorities) = (RootCertStore::empty(), Vec::new());
        for (index, authority) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let number = index + 1;
            let authority =
                authority.map_err(|error| TrustError::Pem { number, problem: error.to_string() })?;
            roots
                .add(authority.clone())
                .map_err(|error| TrustError::Pem { number, problem: error.to_string() })?;
            authorities.push(authority);
        }
        if authorities.is_empty() {
            return Err(TrustError::NoCertificate);
        }
        Ok(Self::new(roots, authorities))
    }

    fn new(roots: RootCertStore, authorities: Vec<CertificateDer<'static>>) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for the versions that we are built with");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        // A server that offers HTTP/2 on the same port must not choose it for a WebSocket.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { authorities: authorities.into(), config: Arc::new(config) }
    }

    pub(super) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    pub(super) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

/// Why nobody can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The system has no authorities.
    #[error("this system has no certificate authorities to trust: {reason}")]
    NoSystem {
        /// What the search said.
        reason: String,
    },
    /// A text without certificates.
    #[error("expected certificates in PEM, found none")]
    NoCertificate,
    /// A certificate that is none.
    #[error("certificate {number} cannot be used: {problem}")]
    Pem {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_and_what_is_none_is_refused() {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let two = own.cert.pem().repeat(2);
        assert_eq!(Trust::of_pem(two.as_bytes()).unwrap().authorities().len(), 2);
        assert_eq!(Trust::of_pem(b"no certificate").unwrap_err(), TrustError::NoCertificate);
        let broken = own.cert.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = Trust::of_pem(broken.as_bytes()).unwrap_err();
        assert!(matches!(error, TrustError::Pem { number: 2, .. }), "{error}");
    }
}
