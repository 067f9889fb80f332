//! Whose certificates a client accepts, and its end of TLS.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::socket::remaining;
use crate::tls::{HTTP_1, TlsError, provider};
use crate::transport::Transport;

/// The authorities that may vouch for a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust {
    authorities: Arc<[CertificateDer<'static>]>,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Those that this system trusts: its own list, a company's authority included. No list of ours, which would grow
    /// old in the binary and know nothing of that company. `SSL_CERT_FILE` and `SSL_CERT_DIR` name another list.
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
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for the versions that we are built with");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        // A server that offers HTTP/2 on the same port must not choose it for a WebSocket.
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Self { authorities: authorities.into(), config: Arc::new(config) }
    }

    /// Shakes hands on a connected stream before the deadline, blocking, and leaves it non-blocking. `server_name` is the
    /// host name or address that the certificate must be for.
    pub fn connect(
        &self,
        mut stream: TcpStream,
        server_name: &str,
        deadline: Instant,
    ) -> Result<Transport, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::Name { name: server_name.to_owned() })?;
        let mut session = ClientConnection::new(Arc::clone(&self.config), name).map_err(TlsError::Setup)?;
        shake_hands(&mut stream, &mut session, deadline)
            .and_then(|done| match done {
                Ok(()) => Transport::tls(stream, session.into()).map(Ok),
                Err(error) => Ok(Err(error)),
            })
            .map_err(|source| TlsError::Socket { name: server_name.to_owned(), source })?
            .map_err(|source| TlsError::Handshake { name: server_name.to_owned(), source })
    }

    pub(super) fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }
}

fn shake_hands(
    stream: &mut TcpStream,
    session: &mut ClientConnection,
    deadline: Instant,
) -> io::Result<Result<(), rustls::Error>> {
    stream.set_nonblocking(false)?;
    loop {
        while session.wants_write() {
            stream.set_write_timeout(Some(remaining(deadline)?))?;
            session.write_tls(stream)?;
        }
        if !session.is_handshaking() {
            stream.set_read_timeout(None)?;
            stream.set_write_timeout(None)?;
            return Ok(Ok(()));
        }
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match session.read_tls(stream) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A socket with a timeout reports it as either.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if let Err(error) = session.process_new_packets() {
            // The peer learns why from the alert, if it still listens.
            let _ = session.write_tls(stream);
            return Ok(Err(error));
        }
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
